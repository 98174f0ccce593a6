"""Dividing a dataset into splits that can be read side by side.

The division depends on the data alone, never on the machine, so the same data gives the same results
everywhere. Files come in path order; a split is many small files, one file, or a piece of a large one.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pyarrow as pa

from contract.dataset import Dataset, Plan, Split
from contract.dataset_format import Kind
from contract.errors import ConfigurationError, DatasetError
from contract.window import folder_overlaps, in_window_by_folder
from contract.wording import several
from file_storage import storage
from file_storage.storage import SourceFile
from readers.dataset import reading_of, transformed
from readers.splitting import SMALL

# Datasets whose rows continue each other: facets or predictions that are kept in files of their own.


@dataclass(frozen=True)
class Side:
    """One of the datasets: what the settings call it, and its splits in order."""

    source: str
    splits: tuple[Split, ...]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all splits in order."""
        for split in self.splits:
            yield from (batch for batch in split.batches() if batch.num_rows)


@dataclass(frozen=True)
class BesideSplit:
    """Rows of several datasets side by side: the first row of each, the second of each, and so on."""

    sides: tuple[Side, ...]

    @property
    def label(self) -> str:
        """Return the datasets."""
        return " beside ".join(side.source for side in self.sides)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield rows with the columns of all; a later dataset's column replaces one of the same name.

        Raises
        ------
        DatasetError
            When the datasets differ in their number of rows; names both numbers.
        """
        streams = [_Stream(side) for side in self.sides]
        while _all_filled(streams):
            count = min(stream.left for stream in streams)
            columns: dict[str, pa.Array] = {}
            for stream in streams:
                batch = stream.take(count)
                columns |= dict(zip(batch.schema.names, batch.columns, strict=True))
            yield pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        first, *others = streams
        for other in others:
            if first.left or other.left:
                raise DatasetError(
                    f"{first.side.source} has {several(first.count(), 'row')}, but {other.side.source} has "
                    f"{other.count()}; rows are matched by their order, so both need as many."
                )


class _Stream:
    """A dataset read step by step."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._batches = side.batches()
        self._batch: pa.RecordBatch | None = None
        self._taken = 0
        self._rows = 0

    @property
    def left(self) -> int:
        """Return how many rows of the batch at hand are left."""
        return 0 if self._batch is None else int(self._batch.num_rows) - self._taken

    def fill(self) -> bool:
        """Read on when nothing is left; return whether there is something."""
        if not self.left:
            self._batch = next(self._batches, None)
            self._taken = 0
        return self.left > 0

    def take(self, count: int) -> pa.RecordBatch:
        """Return the next `count` rows, of which there are that many left."""
        assert self._batch is not None  # noqa: S101 - fill() has said so
        rows = self._batch.slice(self._taken, count)
        self._taken += count
        self._rows += count
        return rows

    def count(self) -> int:
        """Return the number of rows, reading what is left of them."""
        rows: int = self._rows + self.left + sum(batch.num_rows for batch in self._batches)
        return rows


def _all_filled(streams: list[_Stream]) -> bool:
    """Read on in every stream, also where an earlier one has ended; return whether each has rows."""
    filled = [stream.fill() for stream in streams]
    return all(filled)


# A record lies in the folder of the hour it was written, which need not be that of its inference.
CAPTURE_SLACK = timedelta(hours=1)
CAPTURES = ("sagemakerCaptureJson", "sagemakerMergeJson")

_log = logging.getLogger(__name__)

_MakeSplits = Callable[[Sequence[SourceFile], Dataset, bool], tuple[Split, ...]]


def plan_dataset(request: Dataset, *, whole_files: bool = False) -> Plan:
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
    return Plan(_extended(splits, request, whole_files), total, total < SMALL, reading_of(splits))


def _extended(splits: tuple[Split, ...], request: Dataset, whole_files: bool) -> tuple[Split, ...]:
    """Return splits with the columns that are added to what the files hold."""
    if request.typed_labels:
        from readers.captures.labels import with_typed_labels

        splits = transformed(splits, with_typed_labels)
    if request.beside:
        splits = _continued(splits, request, whole_files)
    if request.prediction is not None:
        splits = transformed(splits, request.prediction.append)
    if request.segments:
        from readers.dataset import with_segments

        splits = transformed(splits, functools.partial(with_segments, columns=request.segments))
    return splits


def _joined(files: Sequence[SourceFile], request: Dataset) -> tuple[Split, ...]:
    """Return splits of captures that get their labels from `request.ground_truth_source`."""
    from readers.labels.index import index_labels

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
        from readers.scripts import record_splits

        return record_splits(files, request, index)
    if request.locations is not None:
        from readers.captures.paths import located_capture_splits

        return located_capture_splits(files, request, request.locations, index)
    from readers.captures.split import capture_splits

    return _preprocessed(capture_splits(files, request, index), request)


def _continued(splits: tuple[Split, ...], request: Dataset, whole_files: bool) -> tuple[Split, ...]:
    """Return one split whose rows are continued by those of other datasets."""
    others = [plan_dataset(other, whole_files=whole_files) for other in request.beside]
    sides = [Side(request.source, splits)]
    sides += [Side(other.source, plan.splits) for other, plan in zip(request.beside, others, strict=True)]
    return (BesideSplit(tuple(sides)),)


def _splits(files: list[SourceFile], request: Dataset, whole_files: bool) -> tuple[Split, ...]:
    preprocessor = request.preprocessor
    if preprocessor is not None and preprocessor.kind == "record":
        from readers.scripts import record_splits

        return record_splits(files, request)
    return _preprocessed(_READERS[request.format.kind](files, request, whole_files), request)


def _preprocessed(splits: tuple[Split, ...], request: Dataset) -> tuple[Split, ...]:
    if request.preprocessor is None:
        return splits
    from readers.scripts import apply_dataframe

    return transformed(splits, functools.partial(apply_dataframe, request.preprocessor))


# Each reader is imported when its format is asked for: a job is a cold start.


def _csv(files: Sequence[SourceFile], request: Dataset, whole_files: bool) -> tuple[Split, ...]:
    from readers.csv import csv_splits

    return csv_splits(files, request, whole_files=whole_files)


def _json(files: Sequence[SourceFile], request: Dataset, whole_files: bool) -> tuple[Split, ...]:
    from readers.json_files import json_splits

    return json_splits(files, request, whole_files=whole_files)


def _parquet(files: Sequence[SourceFile], request: Dataset, whole_files: bool) -> tuple[Split, ...]:
    from readers.parquet import parquet_splits

    return parquet_splits(files, request)


def _capture(files: Sequence[SourceFile], request: Dataset, whole_files: bool) -> tuple[Split, ...]:
    if request.locations is not None:
        from readers.captures.paths import located_capture_splits

        return located_capture_splits(files, request, request.locations)
    from readers.captures.split import capture_splits

    return capture_splits(files, request)


_READERS: dict[Kind, _MakeSplits] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
    "sagemakerCaptureJson": _capture,
    "sagemakerMergeJson": _capture,
}
