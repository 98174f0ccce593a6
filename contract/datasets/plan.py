"""Dividing a dataset into splits that can be read side by side.

The division depends on the data alone, never on the machine, so the same data gives the same results
everywhere. Files come in path order; a split is many small files, one file, or a piece of a large one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from contract.datasets import storage
from contract.datasets.format import Kind
from contract.datasets.pieces import SMALL
from contract.datasets.request import DatasetRequest, NotSplittable, Plan, Split
from contract.datasets.storage import SourceFile
from contract.datasets.window import folder_overlaps, in_window_by_folder
from contract.errors import ConfigurationError
from contract.wording import several

__all__ = ["DatasetRequest", "NotSplittable", "Plan", "Split", "plan_dataset"]

# A record lies in the folder of the hour it was written, which need not be that of its inference.
CAPTURE_SLACK = timedelta(hours=1)
CAPTURES = ("sagemakerCaptureJson", "sagemakerMergeJson")

_log = logging.getLogger(__name__)

_MakeSplits = Callable[[Sequence[SourceFile], DatasetRequest, bool], tuple[Split, ...]]


def plan_dataset(request: DatasetRequest, *, whole_files: bool = False) -> Plan:
    """List the files of a dataset and divide them into splits.

    Parameters
    ----------
    request
        What to read.
    whole_files
        Never cut a file. Asked for after a split raised `NotSplittable`.

    Returns
    -------
    A plan without splits when there is no file, or none in the window.

    Raises
    ------
    DatasetError
        When the source does not exist or a file's beginning cannot be read.
    """
    files = storage.list_files(request.source)
    if request.window is not None and request.format.kind not in CAPTURES:
        files = [file for file in files if in_window_by_folder(file.path, request.window)]
    else:
        # Captures are filtered record by record, by the time each one carries, so files nearby count too.
        files = [file for file in files if folder_overlaps(file.path, request.window, CAPTURE_SLACK)]
    total = sum(file.size for file in files)
    if not files:
        return Plan((), 0, small=True)
    if request.ground_truth_source is None:
        splits = _splits(files, request, whole_files)
    else:
        splits = _joined(files, request)
    return Plan(_extended(splits, request, whole_files), total, small=total < SMALL)


def _extended(splits: tuple[Split, ...], request: DatasetRequest, whole_files: bool) -> tuple[Split, ...]:
    """Return splits with the columns that are added to what the files hold."""
    if request.typed_labels:
        from contract.datasets.located_captures import TypedLabelSplit

        splits = tuple(TypedLabelSplit(split) for split in splits)
    if request.beside:
        splits = _continued(splits, request, whole_files)
    if request.prediction is not None:
        from contract.datasets.predicted import PredictedSplit

        splits = tuple(PredictedSplit(split, request.prediction) for split in splits)
    if request.segments:
        from contract.datasets.segment_column import DividedSplit

        splits = tuple(DividedSplit(split, request.segments) for split in splits)
    return splits


def _joined(files: Sequence[SourceFile], request: DatasetRequest) -> tuple[Split, ...]:
    """Return splits of captures that get their labels from `request.ground_truth_source`."""
    from contract.datasets.ground_truth_index import index_labels

    source = request.ground_truth_source or ""
    if request.format.kind not in CAPTURES:
        raise ConfigurationError(
            f"ground_truth_source is set, but dataset_format is {request.format.kind}, and labels are joined "
            "with captures; use sagemakerCaptureJson, or name the label's column with ground_truth_attribute."
        )
    request = replace(request, labels=True)
    index = index_labels(source, request.label_places)
    _log.info("Read %s from %s, %d replaced later", several(index.records, "label"), source, index.duplicates)
    preprocessor = request.preprocessor
    if preprocessor is not None and preprocessor.kind == "record":
        from contract.datasets.records import record_splits

        return record_splits(files, request, index)
    if request.locations is not None:
        from contract.datasets.located_captures import located_capture_splits

        return located_capture_splits(files, request, request.locations, index)
    from contract.datasets.capture import capture_splits

    return _preprocessed(capture_splits(files, request, index), request)


def _continued(splits: tuple[Split, ...], request: DatasetRequest, whole_files: bool) -> tuple[Split, ...]:
    """Return one split whose rows are continued by those of other datasets."""
    from contract.datasets.beside import BesideSplit, Side

    others = [plan_dataset(other, whole_files=whole_files) for other in request.beside]
    sides = [Side(request.source, splits)]
    sides += [Side(other.source, plan.splits) for other, plan in zip(request.beside, others, strict=True)]
    return (BesideSplit(tuple(sides)),)


def _splits(files: list[SourceFile], request: DatasetRequest, whole_files: bool) -> tuple[Split, ...]:
    preprocessor = request.preprocessor
    if preprocessor is not None and preprocessor.kind == "record":
        from contract.datasets.records import record_splits

        return record_splits(files, request)
    return _preprocessed(_READERS[request.format.kind](files, request, whole_files), request)


def _preprocessed(splits: tuple[Split, ...], request: DatasetRequest) -> tuple[Split, ...]:
    preprocessor = request.preprocessor
    if preprocessor is None:
        return splits
    from contract.datasets.records import PreprocessedSplit

    return tuple(PreprocessedSplit(split, preprocessor) for split in splits)


# Each reader is imported when its format is asked for: a job is a cold start.


def _csv(files: Sequence[SourceFile], request: DatasetRequest, whole_files: bool) -> tuple[Split, ...]:
    from contract.datasets.csv_table import csv_splits

    return csv_splits(files, request, whole_files=whole_files)


def _json(files: Sequence[SourceFile], request: DatasetRequest, whole_files: bool) -> tuple[Split, ...]:
    if request.locations is not None:
        from contract.datasets.located_json import located_json_splits

        return located_json_splits(files, request.locations, whole_files=whole_files)
    from contract.datasets.json_lines import json_splits

    return json_splits(files, request, whole_files=whole_files)


def _parquet(files: Sequence[SourceFile], request: DatasetRequest, whole_files: bool) -> tuple[Split, ...]:
    from contract.datasets.parquet_table import parquet_splits

    return parquet_splits(files, request)


def _capture(files: Sequence[SourceFile], request: DatasetRequest, whole_files: bool) -> tuple[Split, ...]:
    if request.locations is not None:
        from contract.datasets.located_captures import located_capture_splits

        return located_capture_splits(files, request, request.locations)
    from contract.datasets.capture import capture_splits

    return capture_splits(files, request)


_READERS: dict[Kind, _MakeSplits] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
    "sagemakerCaptureJson": _capture,
    "sagemakerMergeJson": _capture,
}
