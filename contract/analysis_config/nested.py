"""Datasets of nested JSON records, whose columns are found by JMESPath."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from contract.analysis_config.columns import Columns
from contract.analysis_config.first_rows import first_batch
from contract.analysis_config.json_object import Mistakes
from contract.analysis_config.members import AnalysisConfig, Locator
from contract.analysis_config.tables import add_separate_files
from contract.datasets.json_lines import is_document
from contract.datasets.locations import GROUND_TRUTH, PREFIX, Location, Locations
from contract.datasets.request import DatasetRequest
from contract.datasets.storage import list_files
from contract.settings import Settings
from contract.wording import several

_ENOUGH_ROWS = 10
_TWO = 2
_LABEL, _PREDICTED, _PROBABILITY = "label", "predicted_label", "probability"


def arrange_nested(
    settings: Settings, config: AnalysisConfig, request: DatasetRequest, mistakes: Mistakes
) -> tuple[DatasetRequest, Columns]:
    """Return what to read and its columns, for JSON and JSON Lines with a path of the features."""
    separate = config.predicted_label_dataset_uri is not None
    predicted = None if separate else settings.inference_attribute or config.predicted_label
    truth = settings.ground_truth_attribute
    paths: list[tuple[str, Locator | None, str]] = [
        (_LABEL, truth or config.label, "ground_truth_attribute" if truth else "label"),
        (_PREDICTED, predicted, "inference_attribute" if settings.inference_attribute else "predicted_label"),
        (_PROBABILITY, settings.probability_attribute, "probability_attribute"),
    ]
    others = with_classes(
        [Location(name, str(path), variable=variable) for name, path, variable in paths if path is not None],
        config,
    )
    locations = Locations(config.features, others, document=_is_document(config, request))
    request = replace(request, locations=locations)
    request, columns = name_columns(request, locations, config, mistakes)
    return add_separate_files(config, request, columns, mistakes)


def with_classes(others: list[Location], config: AnalysisConfig) -> tuple[Location, ...]:
    """Return the locations; scores of more than two classes become the label with the largest.

    Two classes may have one score as well as two, so they are left to a threshold.
    """
    headers = () if config.predictor is None else config.predictor.label_headers
    if len(headers) <= _TWO or any(other.name == _PREDICTED for other in others):
        return tuple(others)
    return tuple(
        replace(other, name=_PREDICTED, classes=headers) if other.name == _PROBABILITY else other
        for other in others
    )


def name_columns(
    request: DatasetRequest, locations: Locations, config: AnalysisConfig, mistakes: Mistakes
) -> tuple[DatasetRequest, Columns]:
    """Name the columns that `locations` lead to: by the headers for features, label and predicted label.

    Parameters
    ----------
    request
        Reads `locations`.
    """
    batch = first_batch(request)
    found = () if batch is None else tuple(batch.schema.names)
    if batch is not None:
        _note_empty(batch, locations, mistakes)
    beside = [other.name for other in locations.others]
    features = tuple(name for name in found if name not in beside)
    names = _names(features, beside, config, mistakes)
    others = tuple(replace(other, name=names.get(other.name, other.name)) for other in locations.others)
    named = tuple(names.get(name, name) for name in features)
    # Records may name their features themselves; headers are for those that do not.
    locations = replace(locations, others=others, headers=named)
    columns = Columns(
        names=(*named, *(other.name for other in others)) if found else (),
        label=names.get(_LABEL, _LABEL) if _LABEL in beside else None,
        predicted_label=names.get(_PREDICTED, _PREDICTED) if _PREDICTED in beside else None,
        probability=_PROBABILITY if _PROBABILITY in beside else None,
        label_name=names.get(_LABEL, _LABEL),
    )
    return replace(request, locations=locations), columns


def _note_empty(batch: pa.RecordBatch, locations: Locations, mistakes: Mistakes) -> None:
    """Note the paths that lead to nothing. Of a few rows, all may well lack a value."""
    if batch.num_rows < _ENOUGH_ROWS:
        return
    for other in locations.others:
        if other.side != GROUND_TRUTH and batch.column(other.name).null_count == batch.num_rows:
            mistakes.add(
                f"{other.variable} is {other.path!r}, which leads to nothing in the first "
                f"{batch.num_rows} rows; correct the path"
            )


def _names(
    features: tuple[str, ...], beside: list[str], config: AnalysisConfig, mistakes: Mistakes
) -> dict[str, str]:
    """Return final names by those at hand, for the columns that get another."""
    listed = [name for name in (_LABEL, _PREDICTED) if name in beside]
    if not config.headers:
        if not features or not features[0].startswith(PREFIX):
            return {}
        return {name: f"{PREFIX}{len(features) + at}" for at, name in enumerate(listed)}
    if not features:
        return {}
    least, most = len(features), len(features) + len(listed)
    if not least <= len(config.headers) <= most:
        further = "".join(f" and the {name.replace('_', ' ')}" for name in listed)
        expected = several(least, "feature") + further
        mistakes.add(
            f"headers names {several(len(config.headers), 'column')}, but the data has {expected}; "
            "name the features, then the label, then the predicted label"
        )
        mistakes.stop_if_any()  # of columns with other names, more would be said that is beside the point
    return dict(zip([*features, *listed], config.headers, strict=False))


def _is_document(config: AnalysisConfig, request: DatasetRequest) -> bool:
    if config.dataset_type in ("application/json", "application/jsonlines"):
        return config.dataset_type == "application/json"
    files = list_files(request.source, "dataset_source")
    return bool(files) and is_document(files[0].path)
