"""Boosted trees in the native files of XGBoost and LightGBM."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from contract.analysis_config.members import PredictorConfig
from contract.errors import ModelError
from contract.models.columns import numeric_matrix
from contract.models.libraries import require
from contract.models.local import LocalModel, first_line
from contract.models.policy import Policy
from contract.models.trial import harm_of, varied_rows


def open_xgboost(
    content: bytes, where: str, predictor: PredictorConfig, policy: Policy, reopen: Any
) -> LocalModel:
    """Return the model of an XGBoost file, JSON or UBJSON.

    Trees up to ``best_iteration`` are used when early stopping left one in the file.

    Raises
    ------
    ModelError
        When the file is damaged, or is no model.
    """
    xgboost = require("xgboost", "xgboost-cpu", where)

    def attempt() -> None:
        # Threads of the original do not exist in the copy.
        xgboost.core._LIB.omp_set_num_threads(1)
        copy = xgboost.Booster({"nthread": 1})
        copy.load_model(bytearray(content))
        copy.inplace_predict(varied_rows(copy.num_features()))

    _require_harmless(attempt, content, f"{where} is not a whole XGBoost model")
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(content))
        booster.set_param({"nthread": policy.threads})
        count = booster.num_features()
    except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
        raise ModelError(
            f"{where} is not a whole XGBoost model ({first_line(error)}); save it again with "
            "Booster.save_model('model.json')."
        ) from error
    return xgboost_model(booster, where, predictor, reopen, count)


def xgboost_model(
    booster: Any, where: str, predictor: PredictorConfig, reopen: Any, count: int
) -> LocalModel:
    """Return a loaded ``xgboost.Booster`` as a model with `count` features."""
    best = booster.attr("best_iteration")
    trees = (0, int(best) + 1) if best is not None and best.isdigit() else (0, 0)

    def score(table: pa.RecordBatch) -> Any:
        matrix = numeric_matrix(table, np.float32, where)
        if not len(matrix):
            return matrix
        try:
            return booster.inplace_predict(matrix, iteration_range=trees, missing=math.nan)
        except Exception as error:
            raise ModelError(f"{where} cannot score these rows: {first_line(error)}.") from error

    headers = predictor.label_headers
    names = booster.feature_names
    return LocalModel(where, "xgboost", booster, score, reopen, None, headers, names, count)


def open_lightgbm(
    content: bytes, where: str, predictor: PredictorConfig, policy: Policy, reopen: Any
) -> LocalModel:
    """Return the model of a LightGBM text file.

    Raises
    ------
    ModelError
        When the file is damaged, or is no model.
    """
    lightgbm = require("lightgbm", "lightgbm", where)

    def attempt() -> None:
        # Threads of the original do not exist in the copy.
        lightgbm.basic._LIB.omp_set_num_threads(1)
        copy = lightgbm.Booster(model_str=content.decode())
        copy.predict(varied_rows(copy.num_feature()), num_threads=1)

    _require_harmless(attempt, content, f"{where} is not a whole LightGBM model")
    try:
        booster = lightgbm.Booster(model_str=content.decode())
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise ModelError(
            f"{where} is not a whole LightGBM model ({first_line(error)}); save it again with "
            "Booster.save_model('model.txt')."
        ) from error

    def score(table: pa.RecordBatch) -> Any:
        matrix = numeric_matrix(table, np.float64, where)
        if not len(matrix):
            return matrix
        try:
            return booster.predict(matrix, num_threads=policy.threads)
        except Exception as error:
            raise ModelError(f"{where} cannot score these rows: {first_line(error)}.") from error

    names = booster.feature_name()
    known = None if names == [f"Column_{number}" for number in range(len(names))] else names
    return LocalModel(
        where, "lightgbm", booster, score, reopen, None, predictor.label_headers, known, booster.num_feature()
    )


def _require_harmless(attempt: Callable[[], None], content: bytes, problem: str) -> None:
    if reason := harm_of(attempt, len(content)):
        raise ModelError(f"{problem} ({reason}); save it again with the library's save_model.")
