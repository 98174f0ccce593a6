"""Dividing a dataset into splits that can be read side by side.

The division depends on the data alone, never on the machine, so the same data gives the same results
everywhere. Files come in path order; a split is many small files, one file, or a piece of a large one.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from contract.dataset import TRANSFORM_ID, TRANSFORM_TIME, ColumnKind, Dataset, Location, Plan, Split
from contract.dataset_format import Kind
from contract.errors import ConfigurationError, DatasetError
from contract.window import folder_overlaps, path_span
from contract.wording import several
from file_storage import storage
from file_storage.storage import SourceFile
from readers.dataset import reading_of, transformed
from readers.file_kind import data_files, require_kind, say_endpoints
from readers.inference_logs import log_of, refuse_log
from readers.splitting import SMALL, FileRange, OfFileRanges

if TYPE_CHECKING:
    from readers.labels.index import LabelIndex


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
# Bytes of a file that tell what its columns are.
_SAMPLE = 1 << 16
_LENGTHS = {timedelta(days=1): "day", timedelta(hours=1): "hour"}
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
    files, request = files_of(request)
    total = sum(file.size for file in files)
    if not files:
        return Plan((), 0, small=True)
    if request.ground_truth_source is not None and request.format.kind in CAPTURES:
        splits = _joined(files, request)
    else:
        splits = _splits(files, request, whole_files)
    reading = reading_of(splits)
    splits = _typed(splits, request)
    return Plan(_extended(splits, request, whole_files), total, total < SMALL, reading)


def files_of(request: Dataset) -> tuple[list[SourceFile], Dataset]:
    """Return the files to read, those of the window where their paths tell, and what is known of their rows.

    Raises
    ------
    DatasetError
        When the window cannot be applied.
    """
    files = storage.list_files(request.source)
    kind, said = request.format.kind, request.said
    if kind in CAPTURES:
        # Captures are filtered record by record, by the time each one carries, so files nearby count too.
        files = [file for file in files if folder_overlaps(file.path, request.window, CAPTURE_SLACK)]
        if files and (log := log_of(files, request)) is not None:
            return [log], request
        say_endpoints(files, said)
    scripted = request.preprocessor is not None and request.preprocessor.kind == "record"
    if not scripted:  # a script reads what it likes
        files = data_files(files, kind, said)
    if kind not in CAPTURES:
        if kind in ("json", "parquet") and not (request.locations or request.preprocessor or request.keys):
            refuse_log(files, kind)
        files, request = _of_window(files, request)
    for file in {files[0]: 0, files[-1]: 0} if files and not scripted else ():
        require_kind(file.path, kind)
    return files, request


def _of_window(files: list[SourceFile], request: Dataset) -> tuple[list[SourceFile], Dataset]:
    window = request.window
    request = _with_keys(files, request)
    if window is None or not files:
        return files, request
    if request.keys is not None and request.keys.time is not None:
        request.said.say("window", f"rows are selected by their time in {request.keys.time}")
        return files, request
    spans = {file: path_span(file.path) for file in files}
    inside = []
    for file, span in spans.items():
        if span is None:
            raise DatasetError(
                f"the window cannot be applied: {file.path} has no date in its path, and nothing says "
                "where rows hold their time; set time_attribute, keep files in folders such as 2026/03/02, "
                "or leave start_time, end_time and window out."
            )
        if span.start >= window.end or span.end <= window.start:
            continue
        if span.start < window.start or span.end > window.end:
            raise DatasetError(
                f"the window cannot be applied: {file.path} holds rows of a whole "
                f"{_LENGTHS[span.end - span.start]}, only a part of which is in the window; set "
                "time_attribute, or choose a window of whole ones."
            )
        inside.append(file)
    request.said.say("window", "files are selected by the dates in their paths")
    return inside, request


def _with_keys(files: Sequence[SourceFile], request: Dataset) -> Dataset:
    """Return the request with where its rows hold id and time, as told or as batch transform writes them."""
    keys = request.keys
    if keys is None and files and request.format.kind in ("csv", "json"):
        from readers.row_keys import transform_keys

        first = next((file for file in files if file.size), files[0])
        require_kind(first.path, request.format.kind)
        if request.format.kind == "csv":
            from readers.csv import first_records

            records = first_records(first.path)
            has_names = request.format.header and bool(records)
            keys = transform_keys(records[0] if has_names else (), () if has_names else records)
        else:
            with storage.reading(first.path), storage.open_input(first.path) as stream:
                beginning = stream.read(_SAMPLE).partition(b"\n")[0]
            names = [name for name in (TRANSFORM_ID, TRANSFORM_TIME) if f'"{name}"'.encode() in beginning]
            keys = transform_keys(names, ())
        if keys is not None:
            request.said.say("ids", "id and time are those that batch transform adds, and no features")
    if keys is None:
        return request
    locations = request.locations
    if locations is not None:
        known = {other.name for other in locations.others}
        further = (Location(name, name, variable="id_attribute") for name in keys.names if name not in known)
        locations = replace(locations, others=(*locations.others, *further))
    exclude = tuple(name for name in request.exclude if name not in keys.names)
    return replace(request, keys=keys, locations=locations, exclude=exclude)


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
    request = replace(request, labels=True)
    index = _index(request)
    preprocessor = request.preprocessor
    if preprocessor is not None and preprocessor.kind == "record":
        from readers.scripts import record_splits

        return record_splits(files, request, index)
    if request.locations is not None:
        from readers.captures.paths import located_capture_splits

        return located_capture_splits(files, request, request.locations, index)
    from readers.captures.split import capture_splits

    return _preprocessed(capture_splits(files, request, index), request)


def _typed(splits: tuple[Split, ...], request: Dataset) -> tuple[Split, ...]:
    """Return splits whose cells are understood alike, by what the baseline or the first rows say."""
    rules = request.cells
    if rules is None or not splits:
        return _keyed(splits, request)
    from readers.cell_types import TypedSplit, kinds_of, require_order, said_of_kinds

    kinds: dict[str, ColumnKind] | None = None
    samples = []
    if len(splits) > 1:  # else the first rows decide as they come
        samples = [_first_rows(splits[0], 0, request), _first_rows(splits[-1], -1, request)]
    batches = [batch for batch in samples if batch is not None and batch.num_rows]
    with contextlib.suppress(pa.ArrowInvalid):  # text that is no UTF-8; reading in earnest names the place
        kinds = kinds_of(batches, rules) if batches else None
    if kinds is not None:
        for name in request.keys.names if request.keys else ():
            kinds.pop(name, None)
        require_order(batches[0], kinds, rules)
        for sentence in said_of_kinds(batches, kinds, rules):
            request.said.say("types", sentence)
    return tuple(TypedSplit(split, rules, kinds) for split in _keyed(splits, request))


def _first_rows(split: Split, place: int, request: Dataset) -> pa.RecordBatch | None:
    """Return some rows of a split at little cost; None where they cost as much as reading all."""
    if not isinstance(split, OfFileRanges):
        return None  # a script is run once for each row
    path = split.pieces[place].path
    if request.format.kind == "csv":
        from readers.csv import csv_sample

        return csv_sample(path, request, _SAMPLE)
    if request.format.kind == "parquet":
        from readers.parquet import parquet_sample

        return parquet_sample(path, request)
    from readers.json_files import is_document

    if storage.is_compressed(path) or (request.format.kind == "json" and is_document(path)):
        return None
    changes: dict[str, Any] = {"pieces": (FileRange(path, 0, _SAMPLE),)}
    if any(member.name == "index" for member in fields(split)):
        changes["index"] = None
    try:
        return next((batch for batch in replace(split, **changes).batches() if batch.num_rows), None)
    except DatasetError:
        return None  # reading in earnest names the place


def _index(request: Dataset) -> LabelIndex:
    from readers.labels.index import index_labels

    source = request.ground_truth_source or ""
    index = index_labels(source, request.label_places)
    _log.info("Read %s from %s, %d replaced later", several(index.records, "label"), source, index.duplicates)
    return index


def _keyed(splits: tuple[Split, ...], request: Dataset) -> tuple[Split, ...]:
    """Return splits of the window's rows, with labels joined, and without id and time."""
    keys = request.keys
    if request.format.kind in CAPTURES:
        return splits
    if request.ground_truth_source is not None and (keys is None or keys.identifier is None):
        raise ConfigurationError(
            f"ground_truth_source is set, but nothing says where the rows of {request.source} hold their id; "
            "set id_attribute, or name the label's column with ground_truth_attribute."
        )
    if keys is None:
        return splits
    from readers.row_keys import KeyedSplit

    index = _index(request) if request.ground_truth_source is not None else None
    return tuple(KeyedSplit(split, keys, request.window, index) for split in splits)


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
