"""Pickled models, which run whatever code their maker put in: only when the user says so."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pyarrow as pa

from contract.analysis_config.members import PredictorConfig
from contract.errors import ModelError
from contract.models.columns import numeric_matrix
from contract.models.local import LocalModel, first_line


def open_pickled(
    content: bytes, where: str, predictor: PredictorConfig, allowed: bool, reopen: Any
) -> LocalModel:
    """Return a pickled model with scikit-learn's methods, or an XGBoost booster.

    Scores are ``predict_proba`` where there is one, else ``predict``.

    Raises
    ------
    ModelError
        When it is not `allowed`, cannot be loaded, or has no such method.
    """
    model = _permitted(content, where, allowed)
    if type(model).__module__.startswith("xgboost") and type(model).__name__ == "Booster":
        from contract.models.boosters import xgboost_model

        return xgboost_model(model, where, predictor, reopen, model.num_features())
    method = getattr(model, "predict_proba", None) or getattr(model, "predict", None)
    if not callable(method):
        raise ModelError(
            f"model {where} holds a {type(model).__name__}, which has neither predict_proba nor predict; "
            "give a model, or a model.tar.gz with an inference.py that knows what to do with it."
        )

    def ask(function: Any, table: pa.RecordBatch) -> Any:
        try:
            return function(_features(model, table, where))
        except ModelError:
            raise
        except Exception as error:  # the model is the user's code
            raise ModelError(
                f"model {where} cannot score these rows: {type(error).__name__}: {first_line(error)}."
            ) from error

    classes = getattr(model, "classes_", None)
    names = getattr(model, "feature_names_in_", None)
    return LocalModel(
        where,
        "pickled",
        model,
        lambda table: ask(method, table),
        reopen,
        (lambda table: ask(model.predict, table)) if classes is not None else None,
        predictor.label_headers,
        [str(name) for name in names] if names is not None else None,
        getattr(model, "n_features_in_", None),
    )


def _permitted(content: bytes, where: str, allowed: bool) -> Any:
    if not allowed:
        raise ModelError(
            f"model {where} is pickled, and loading it would run any code its maker put in with the rights "
            "of this job; export it as ONNX or as the booster's own file, or set "
            "allow_pickled_model=Enabled if you trust where it comes from."
        )
    try:
        return _load(content, where)
    except Exception as error:  # unpickling runs code of the file's choice, which may raise anything
        raise ModelError(
            f"model {where} cannot be unpickled: {type(error).__name__}: {first_line(error)}; it needs the "
            "same libraries, in the same versions, as when it was saved."
        ) from error


def _load(content: bytes, where: str) -> Any:
    if where.endswith(".joblib"):
        from contract.models.libraries import require

        return require("joblib", "joblib", where).load(io.BytesIO(content))
    return pickle.loads(content)  # noqa: S301 - the user has accepted the risk explicitly


def _features(model: Any, table: pa.RecordBatch, where: str) -> Any:
    """Return a DataFrame for a model that was trained on one, else a matrix of numbers."""
    if getattr(model, "feature_names_in_", None) is not None:
        from contract.models.libraries import require

        require("pandas", "pandas", where)
        return table.to_pandas()
    return numeric_matrix(table, np.float64, where)
