"""Predictions that a model is asked for, where the data has none."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

from contract.analysis_config import AnalysisConfig, PredictorConfig
from contract.checklist import NotTriedError
from contract.dataset import Dataset, Prediction
from contract.schema import Mistakes
from contract.settings import Settings
from job_runner.clarify.columns import Columns, find_column, first_batch
from readers.plan import plan_dataset

if TYPE_CHECKING:
    import pyarrow as pa

    from model_clients.model import Model

_LABEL, _PROBABILITY = "predicted_label", "probability"


def names_a_model(settings: Settings, config: AnalysisConfig) -> bool:
    """Return whether settings or configuration say which model to ask."""
    predictor = config.predictor
    return settings.model is not None or bool(predictor and (predictor.endpoint_name or predictor.model_name))


def ask_model(
    settings: Settings, config: AnalysisConfig, request: Dataset, columns: Columns, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Return what to read with a column of predictions, and the columns with it.

    The model is asked for the first row at once, so that what is wrong with it shows before the work.

    Raises
    ------
    ConfigurationError
        When it is not said how to ask the model, or the configuration is at fault otherwise.
    ModelError
        When the model cannot be asked.
    """
    from model_clients.opening import open_model

    features = model_features(config, columns, mistakes)
    mistakes.stop_if_any()
    predictor = config.predictor or PredictorConfig()
    if predictor.content_type is None and config.dataset_type in (
        "text/csv",
        "application/json",
        "application/jsonlines",
    ):
        predictor = replace(predictor, content_type=config.dataset_type)
    first = first_batch(request)
    model = open_model(
        settings.model,
        predictor,
        allow_pickled_model=settings.allow_pickled_model,
        start=_may_start(settings, predictor, request),
    )
    as_label = predictor.probability is None and predictor.label is not None
    if not as_label and first is not None:
        as_label = _answers_labels(model, predictor, first.slice(0, 1).select(list(features)))
    name = _free_name(_LABEL if as_label else _PROBABILITY, columns)
    ask = model.predict_labels if as_label else functools.partial(_scores, model)
    prediction = Prediction(name, features, ask, model.where, model.close)
    request = replace(request, prediction=prediction)
    if as_label:
        return request, replace(columns, predicted_label=name)
    return request, replace(columns, probability=name)


def _scores(model: Model, rows: pa.RecordBatch) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    return pa.array(np.ascontiguousarray(model.predict(rows)[:, 0]))


def _may_start(settings: Settings, predictor: PredictorConfig, request: Dataset) -> bool:
    """Return whether an endpoint may be started: no dry run, and no window without data, is worth one."""
    if settings.validate_only:
        return False
    is_given = settings.model is not None or predictor.endpoint_name is not None
    return is_given or bool(plan_dataset(request).splits)


def _answers_labels(model: Model, predictor: PredictorConfig, row: pa.RecordBatch) -> bool:
    """Return whether the model's answers tell the predicted class, rather than the score of one."""
    try:
        return bool(model.predict(row).shape[1] > 1)
    except NotTriedError:
        return len(predictor.label_headers) > 1


def model_features(config: AnalysisConfig, columns: Columns, mistakes: Mistakes) -> tuple[str, ...]:
    """Return the columns that the model takes: all but label, predictions, and those that are left out."""
    excluded = {
        find_column(locator, columns.names, f"excluded_columns[{number}]", mistakes, config.headers)
        for number, locator in enumerate(config.excluded_columns)
    }
    join, place = config.joinsource_name_or_index, "joinsource_name_or_index"
    excluded.add(find_column(join, columns.names, place, mistakes, config.headers))
    excluded.update(columns.facets)
    return tuple(name for name in columns.features if name not in excluded)


def _free_name(name: str, columns: Columns) -> str:
    while name in columns.names:
        name += "_"
    return name
