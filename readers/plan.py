"""Dividing a dataset into splits that can be read side by side.

The division depends on the data alone, never on the machine, so the same data gives the same results
everywhere. Files come in path order; a split is many small files, one file, or a piece of a large one.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from contract.dataset import (
    TRANSFORM_ID,
    TRANSFORM_TIME,
    ColumnKind,
    Dataset,
    Location,
    Plan,
    Split,
    Tally,
    counting,
    notice,
)
from contract.errors import ConfigurationError, DatasetError
from contract.window import CAPTURE_SLACK, folder_overlaps, path_span
from contract.wording import several, some_of
from file_storage.storage import SourceFile, is_compressed, list_files
from readers.dataset import watched, with_segments
from readers.file_kind import data_files, folder_values, require_kind, say_endpoints, say_folders
from readers.flatten import batch_of, columns_of
from readers.splitting import SMALL, FileRange, FileSplit, Pieces, Splits, Transform, each, first_bytes

if TYPE_CHECKING:
    from readers.labels import LabelIndex


# Bytes of a file that tell what its columns are.
_SAMPLE = 1 << 16
_LENGTHS = {timedelta(days=1): "day", timedelta(hours=1): "hour"}
CAPTURES = ("sagemakerCaptureJson", "sagemakerMergeJson")
_NESTED = (*CAPTURES, "json")


_log = logging.getLogger(__name__)


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
    index = _index(request)
    splits: Splits = ()
    for split in _splits(files, request, index, whole_files):
        by_folder = itertools.groupby(split.pieces, lambda piece: folder_values(piece.path, request.folders))
        splits += tuple(split._replace(pieces=tuple(pieces)) for _, pieces in by_folder)
    splits = _typed(splits, request, index)
    splits = _with_folders(splits, request) if request.folders else splits
    return Plan(_extended(splits, request, whole_files), total, total < SMALL)


def files_of(request: Dataset) -> tuple[list[SourceFile], Dataset]:
    """Return the files to read, those of the window where their paths tell, and what is known of their rows.

    Raises
    ------
    DatasetError
        When the window cannot be applied.
    """
    files = list_files(request.source)
    kind, said = request.format.kind, request.said
    if kind in CAPTURES:
        # Captures are filtered record by record, by the time each one carries, so files nearby count too.
        every = files
        files = [file for file in every if folder_overlaps(file.path, request.window, CAPTURE_SLACK)]
        if every and not files:
            paths = sorted(file.path for file in every)
            said.say("reading.elsewhere", count=len(paths), first=paths[0], last=paths[-1])
        from readers.inference_logs import log_of

        if files and (log := log_of(files, request)) is not None:
            return [log], request
        say_endpoints(files, said)
    scripted = request.preprocessor is not None and request.preprocessor.kind == "record"
    if not scripted:  # a script reads what it likes
        files = data_files(files, kind, said)
        say_folders(files, request.folders, said)
    if kind not in CAPTURES:
        if kind in ("json", "parquet") and not (request.locations or request.preprocessor or request.keys):
            from readers.inference_logs import refuse_log

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
        request.said.say("reading.by_time", time=request.keys.time)
        return files, request
    spans = {file: path_span(file.path) for file in files}
    inside = []
    for file, span in spans.items():
        if span is None:
            raise DatasetError.of("windowed_rows.no_date", file=file.path)
        if span.start >= window.end or span.end <= window.start:
            continue
        if span.start < window.start or span.end > window.end:
            length = _LENGTHS[span.end - span.start]
            raise DatasetError.of("windowed_rows.part_of_file", file=file.path, length=length)
        inside.append(file)
    request.said.say("reading.by_date")
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
            beginning = first_bytes(first.path, _SAMPLE).partition(b"\n")[0]
            either = f'"({TRANSFORM_ID}|{TRANSFORM_TIME})"'.encode()
            names = map(bytes.decode, re.findall(either, beginning, re.IGNORECASE))
            keys = transform_keys(list(names), ())
        if keys is not None:
            request.said.say("reading.transform")
    if keys is None:
        return request
    locations = request.locations
    if locations is not None:
        known = {other.name for other in locations.others}
        further = (Location(name, name, variable="id_attribute") for name in keys.names if name not in known)
        locations = locations._replace(others=(*locations.others, *further))
    exclude = tuple(name for name in request.exclude if name not in keys.names)
    return replace(request, keys=keys, locations=locations, exclude=exclude)


def _with_folders(splits: Splits, request: Dataset) -> Splits:
    """Return splits with a column for each folder that is to be one."""
    from readers.cell_types import kinds_of, typed

    every = [folder_values(split.pieces[0].path, request.folders) for split in splits]
    values = pa.RecordBatch.from_pylist(every, pa.schema([(name, pa.string()) for name in request.folders]))
    if request.cells is not None:
        values = typed(values, kinds_of([values], request.cells), request.cells)
    request.said.say("reading.folders", names=", ".join(request.folders))
    rows = (values.slice(at, 1) for at in range(len(splits)))
    changes = (each(functools.partial(_beside_folder, values=row)) for row in rows)
    return tuple(split.then(change) for split, change in zip(splits, changes, strict=True))


def _beside_folder(batch: pa.RecordBatch, values: pa.RecordBatch) -> pa.RecordBatch:
    for name, column in columns_of(values).items():
        if name in batch.schema.names:
            raise DatasetError.of("data_files.folder_and_column", field=name)
        batch = batch.append_column(name, column.take(pa.array(np.zeros(batch.num_rows, np.int8))))
    return batch


def _extended(splits: Splits, request: Dataset, whole_files: bool) -> Splits:
    """Return splits with the columns that are added to what the files hold."""
    if request.typed_labels:
        from readers.captures.label_columns import with_typed_labels

        splits = _then(splits, each(with_typed_labels))
    if request.beside:
        others = [plan_dataset(other, whole_files=whole_files) for other in request.beside]
        sides: list[tuple[str, Sequence[Split]]] = [(request.source, splits)]
        sides += [(other.source, plan.splits) for other, plan in zip(request.beside, others, strict=True)]
        name = " beside ".join(source for source, _ in sides)
        splits = (FileSplit((), functools.partial(side_by_side, sides=sides), name=name),)
    if request.prediction is not None:
        splits = _then(splits, each(request.prediction.append))
    if request.segments:
        splits = _then(splits, each(functools.partial(with_segments, columns=request.segments)))
    return splits


def _then(splits: Splits, transform: Transform) -> Splits:
    return tuple(split.then(transform) for split in splits)


def side_by_side(_: Pieces, sides: Sequence[tuple[str, Sequence[Split]]]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of several datasets side by side: the first row of each, the second of each, and so on.

    A later dataset's column replaces one of the same name.

    Parameters
    ----------
    sides
        What the settings call each dataset, and its splits in order.

    Raises
    ------
    DatasetError
        When the datasets differ in their number of rows; names both numbers.
    """
    streams: list[Iterator[pa.RecordBatch]] = [
        (batch for split in splits for batch in split.batches() if batch.num_rows) for _, splits in sides
    ]
    # A dataset beside the first one lacks no columns: it has only its own.
    streams[1:] = map(_without_files, streams[1:])
    nothing = pa.RecordBatch.from_pylist([])
    held = [next(stream, nothing) for stream in streams]
    taken = 0
    while count := min(batch.num_rows for batch in held):
        rows = [columns_of(batch.slice(0, count)) for batch in held]
        yield batch_of(functools.reduce(operator.or_, rows), count)
        taken += count
        both = zip(held, streams, strict=True)
        held = [one.slice(count) if one.num_rows > count else next(stream, nothing) for one, stream in both]
    left = [sum(batch.num_rows for batch in (rest, *more)) for rest, more in zip(held, streams, strict=True)]
    for source, more in zip((source for source, _ in sides), left, strict=True):
        if more != left[0]:
            first = {"first": sides[0][0], "rows": several(taken + left[0], "row")}
            raise DatasetError.of("data_files.rows_beside", file=source, count=taken + more, **first)


def _without_files(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches; what they count is noticed, but for which files have which columns."""
    while True:
        tally = Tally()
        with counting(tally):
            batch = next(batches, None)
        for (code, *members), count in tally.items():
            if code != "file":
                notice(code, count, **dict(members))
        if batch is None:
            return
        yield batch


def _typed(splits: Splits, request: Dataset, index: LabelIndex | None) -> Splits:
    """Return splits of the window's rows, whose cells are understood alike.

    What the cells are is said by the baseline or by the first rows.
    """
    rules, keys = request.cells, request.keys
    kinds: dict[str, ColumnKind] | None = None
    if rules is not None and len(splits) > 1:  # else the first rows decide as they come
        from readers.cell_types import kinds_of, require_like_baseline, say_kinds

        samples = [_first_rows(splits[0], 0, request), _first_rows(splits[-1], -1, request)]
        batches = [batch for batch in samples if batch is not None and batch.num_rows]
        if len(batches) > 1 and request.format.kind in _NESTED:
            first, last = (set(batch.schema.names) for batch in batches)
            sides = (first - last, last - first)
            gone, new = (sorted({name.partition(".")[0] for name in one}) for one in sides)
            if gone and new:  # members on both sides that the other one lacks
                request.said.say("reading.first_and_last", first=some_of(gone), last=some_of(new))
        with contextlib.suppress(pa.ArrowInvalid):  # no UTF-8; reading in earnest names the place
            kinds = kinds_of(batches, rules) if batches else None
        if kinds is not None:
            for name in keys.names if keys else ():
                kinds.pop(name, None)
            require_like_baseline(batches, kinds, rules)
            say_kinds(batches, kinds, rules, request.said.say)
    if keys is not None and request.format.kind not in CAPTURES:
        from readers.row_keys import keyed_rows

        keyed = functools.partial(keyed_rows, request=request, keys=keys, index=index)
        splits = tuple(split.then(functools.partial(keyed, label=split.label)) for split in splits)
    if request.format.kind in _NESTED and request.preprocessor is None:
        splits = _then(splits, watched)
    if rules is None:
        return splits
    from readers.cell_types import typed_rows

    return _then(splits, functools.partial(typed_rows, rules=rules, kinds=kinds))


def _first_rows(split: FileSplit, place: int, request: Dataset) -> pa.RecordBatch | None:
    """Return some rows of a split; None where a script makes them."""
    if request.preprocessor is not None:
        return None  # a script is run once for each row
    path = split.pieces[place].path
    if request.format.kind == "csv":
        from readers.csv import csv_sample

        return csv_sample(path, request, _SAMPLE)
    if request.format.kind == "parquet":
        from readers.parquet import parquet_sample

        return parquet_sample(path, request)
    from readers.json_files import is_document

    whole = is_compressed(path) or (request.format.kind == "json" and is_document(path))
    piece = split.pieces[place] if whole else FileRange(path, 0, _SAMPLE)
    with contextlib.suppress(DatasetError):  # reading in earnest names the place
        return next((batch for batch in split.read((piece,)) if batch.num_rows), None)
    return None


def _index(request: Dataset) -> LabelIndex | None:
    """Return the labels to join with the rows."""
    source, keys = request.ground_truth_source, request.keys
    if source is None:
        return None
    if request.format.kind not in CAPTURES and (keys is None or keys.identifier is None):
        raise ConfigurationError.of("label_files.no_ids", file=request.source)
    from readers.labels import index_labels

    index = index_labels(source, request.label_places)
    _log.info("Read %s from %s, %d replaced later", several(index.records, "label"), source, index.duplicates)
    if index.duplicates:
        counts = {"count": index.duplicates, "records": index.records, "changed": index.changed}
        request.said.say("reading.replaced", **counts)
    return index


def _splits(
    files: Sequence[SourceFile], request: Dataset, index: LabelIndex | None, whole_files: bool
) -> Splits:
    """Return files divided; each reader is imported when it is asked for, since a job is a cold start."""
    kind, preprocessor = request.format.kind, request.preprocessor
    captures = kind in CAPTURES
    if preprocessor is not None and preprocessor.kind == "record":
        from readers.scripts import record_splits

        request = replace(request, labels=request.labels or (captures and index is not None))
        return record_splits(files, request, preprocessor, index if captures else None)
    splits: Splits
    if captures:
        from readers.captures.split import capture_splits

        splits = capture_splits(files, request, index)
    elif kind == "csv":
        from readers.csv import csv_splits

        splits = csv_splits(files, request, whole_files=whole_files)
    elif kind == "json":
        from readers.json_files import json_splits

        splits = json_splits(files, request, whole_files=whole_files)
    else:
        from readers.parquet import parquet_splits

        splits = parquet_splits(files, request)
    if preprocessor is None:
        return splits
    from readers.scripts import apply_dataframe

    return _then(splits, each(functools.partial(apply_dataframe, preprocessor)))
