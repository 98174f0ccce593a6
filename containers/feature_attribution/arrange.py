"""From settings and ``analysis_config.json`` to what is read and explained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from contract.analysis_config import AnalysisConfig, Locator, PredictorConfig, ShapConfig
from contract.analysis_config.arrange import arrange_dataset
from contract.analysis_config.columns import Columns, find_column
from contract.analysis_config.first_rows import column_names
from contract.analysis_config.json_object import Mistakes
from contract.analysis_config.other_methods import log_other_methods
from contract.datasets.format import DatasetFormat
from contract.datasets.request import DatasetRequest
from contract.errors import ConfigurationError
from contract.settings import Settings

_CONTENT_TYPES = ("text/csv", "application/jsonlines", "application/json")
_TABLES = ("text/csv", "application/x-parquet")
_CAPTURES = ("sagemakerCaptureJson", "sagemakerMergeJson")

_log = logging.getLogger("monitor.feature_attribution")


@dataclass(frozen=True)
class Wanted:
    """What is to be explained, by names of columns.

    Parameters
    ----------
    columns
        All there are.
    features
        Those the model takes, in their order.
    reported
        Those whose values are reported; all when empty.
    join_column
        Copied beside the values of single rows.
    shap
        How to explain.
    predictor
        How to ask the model.
    """

    columns: tuple[str, ...]
    features: tuple[str, ...]
    reported: tuple[str, ...]
    join_column: str | None
    shap: ShapConfig
    predictor: PredictorConfig


def arrange_attribution(
    settings: Settings, config: AnalysisConfig, request: DatasetRequest
) -> tuple[DatasetRequest, Wanted]:
    """Return what to read, and what to explain.

    Raises
    ------
    ConfigurationError
        With every member that does not suit the data.
    DatasetError
        When the data cannot be read.
    """
    mistakes = Mistakes(config.where)
    request, columns = _dataset(settings, config, request, mistakes)
    wanted = _wanted(config, columns, mistakes)
    mistakes.stop_if_any()
    log_other_methods(config, ("pre_training_bias", "post_training_bias", "pdp", "report"), _log)
    return request, wanted


def _dataset(
    settings: Settings, config: AnalysisConfig, request: DatasetRequest, mistakes: Mistakes
) -> tuple[DatasetRequest, Columns]:
    script = request.preprocessor
    if script is not None and script.kind == "record":
        return _scripted(settings, config, request, mistakes)
    # Answers of the model are asked for anew, whatever was captured of them.
    config = replace(config, predictor=None)
    named = _named_as_at_the_baseline(settings, config, request)
    return arrange_dataset(settings, config, request, mistakes) if named is None else named


def _named_as_at_the_baseline(
    settings: Settings, config: AnalysisConfig, request: DatasetRequest
) -> tuple[DatasetRequest, Columns] | None:
    """Arrange records without headers by the baseline's names, None where these do not fit."""
    names = request.column_names
    is_table = config.dataset_type in _TABLES or settings.dataset_format.kind in ("csv", "parquet")
    if not names or config.headers or (is_table and config.features is None):
        return None
    mistakes = Mistakes(config.where)
    try:
        arranged = arrange_dataset(settings, replace(config, headers=names), request, mistakes)
    except ConfigurationError:
        return None
    return None if mistakes.texts else arranged


def _scripted(
    settings: Settings, config: AnalysisConfig, request: DatasetRequest, mistakes: Mistakes
) -> tuple[DatasetRequest, Columns]:
    """Arrange records whose columns a user's script names."""
    form = settings.dataset_format if "dataset_format" in settings.given else _format_of(config)
    source = config.dataset_uri or settings.dataset_source
    request = replace(
        request, source=source, format=form, text_only=False, column_names=config.headers or None
    )
    names = column_names(request)

    def find(locator: Locator | None, place: str) -> str | None:
        return None if locator is None else find_column(locator, names, place, mistakes, config.headers)

    label = None if form.kind in _CAPTURES else find(config.label, "label")
    return request, Columns(
        names, label=label, predicted_label=find(config.predicted_label, "predicted_label")
    )


def _format_of(config: AnalysisConfig) -> DatasetFormat:
    """Return how the data is read by what the configuration says of it; nothing: captures."""
    match config.dataset_type:
        case None | "application/sagemakercapturejson":
            return DatasetFormat("sagemakerCaptureJson", capture_indices=("endpointInput",))
        case "text/csv":
            return DatasetFormat("csv", header=not config.headers)
        case "application/x-parquet":
            return DatasetFormat("parquet")
        case _:
            return DatasetFormat("json")


def _wanted(config: AnalysisConfig, columns: Columns, mistakes: Mistakes) -> Wanted:
    def find(locator: Locator, place: str, names: Sequence[str]) -> str | None:
        return find_column(locator, names, place, mistakes, config.headers)

    names = columns.names
    excluded = {
        find(locator, f"excluded_columns[{number}]", names)
        for number, locator in enumerate(config.excluded_columns)
    }
    join = config.joinsource_name_or_index
    join_column = None if join is None else find(join, "joinsource_name_or_index", names)
    features = tuple(name for name in columns.features if name not in excluded and name != join_column)
    shap = (config.methods and config.methods.shap) or ShapConfig()
    reported = {
        find(locator, f"methods.shap.features_to_explain[{number}]", features if _is_name(locator) else names)
        for number, locator in enumerate(shap.features_to_explain)
    }
    if names and not features:
        mistakes.add(
            "no column is left to explain; leave some of label, predicted_label and excluded_columns out"
        )
    predictor = config.predictor or PredictorConfig()
    if predictor.content_type is None and config.dataset_type in _CONTENT_TYPES:
        predictor = replace(predictor, content_type=config.dataset_type)  # type: ignore[arg-type]  # one of the three
    return Wanted(
        columns=names,
        features=features,
        reported=tuple(name for name in features if name in reported),
        join_column=join_column,
        shap=shap,
        predictor=predictor,
    )


def _is_name(locator: Locator) -> bool:
    return isinstance(locator, str) and not locator.isdecimal()
