"""Captures, merged ones too, whose columns are found by JMESPath in their payloads, as record batches.

A call may carry many rows: its features, scores and labels are then lists of one length. Payloads of CSV
have no paths; there, a location is the position of a column.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import ColumnPaths, Dataset
from contract.dataset_format import Shape
from contract.window import Window
from file_storage.storage import SourceFile
from readers.arrow_json import NotBulkError
from readers.captures.columns import UNDECODABLE, Note, Texts, json_array, texts_of
from readers.captures.envelope import LABEL, Envelope
from readers.captures.envelope import Part as Payloads
from readers.captures.labels import label_columns
from readers.captures.shapes import CSV, JSON, NONE, UndecodableError, csv_rows, parsed
from readers.captures.split import Notes, envelopes, first_calls, may_cut, survey
from readers.labels.index import LabelIndex
from readers.lanes import Counts, Table, of_kinds
from readers.paths import GROUND_TRUTH, REQUEST, RESPONSE, Finder, Part, PlainPath, typed_text, values_at
from readers.splitting import FileSplit, Pieces, balanced, divide, label

# What a part is called in captures: the first of these that a record has.
SIDES = {
    REQUEST: ("endpointInput", "batchTransformInput", "batchTransformOutput"),
    RESPONSE: ("endpointOutput", "batchTransformOutput"),
}
_ALL_SIDES = tuple(dict.fromkeys(side for names in SIDES.values() for side in names))
# Of so many records the types of features are learnt.
_LEARNT_RECORDS = 100
_RECORDS_LOOKED_AT = 100


def read_located_captures(
    pieces: Pieces, locations: ColumnPaths, shape: Shape, window: Window | None, index: LabelIndex | None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some capture files, or of a byte range of one.

    Raises
    ------
    DatasetError
        Naming file and line of what is no capture record, or holds another number of labels or
        predictions than rows.
    """
    finder, notes = Finder(locations, shape), Notes(label(pieces))
    for envelope in envelopes(pieces, _ALL_SIDES, window, index, labels=True):
        yield from balanced(_table(envelope, finder, notes).batch)
    finder.require_labels(notes.label)
    notes.report()


def _table(envelope: Envelope, finder: Finder, notes: Notes) -> Table:
    odd: dict[str, set[int]] = {}

    def note(text: str, records: Sequence[int]) -> None:
        odd.setdefault(text, set()).update(records)

    texts = {part: _first_of(envelope, names, note) for part, names in SIDES.items()}
    labels = envelope.labels or Payloads(pa.array([], pa.string()), pa.array([], pa.string()))
    labels = Payloads(labels.data, pc.fill_null(labels.encodings, "CSV"))
    texts[GROUND_TRUTH] = texts_of(labels, lambda: [None] * len(envelope), note)
    # What has no request holds features and predictions together, as the output of batch transform may.
    alone = pc.and_(*(envelope.parts[name].data.is_null() for name in SIDES[REQUEST][:2])).to_pylist()

    def one_by_one(records: Counts) -> Table:
        return finder.one_by_one(_parts(envelope, texts, alone, records, note))

    def bulk(records: Counts) -> Table:
        if finder.needs_kinds:
            finder.learn(_parts(envelope, texts, alone, np.arange(min(len(envelope), _LEARNT_RECORDS)), note))
        values = {
            part: json_array(texts[part].take(records).text)
            for part in SIDES
            if (texts[part].kinds[records] == JSON).all()
        }
        truth = texts[GROUND_TRUTH].take(records)
        table = finder.together(values, functools.partial(_labels_at, truth))
        finder.count_labels(table.batch, int((truth.kinds != NONE).sum()))
        return table

    kinds = 3 * texts[REQUEST].kinds.astype(np.int64) + texts[RESPONSE].kinds
    table = of_kinds(kinds, bulk if finder.is_bulk else None, one_by_one)
    notes.add(envelope, odd)
    return table


def located_capture_splits(
    files: Sequence[SourceFile], request: Dataset, locations: ColumnPaths, index: LabelIndex | None
) -> tuple[FileSplit, ...]:
    """Divide capture files into splits; `index` has labels to join with the records."""
    Finder(locations)  # its mistakes show before the work
    shape: Shape = "row"
    if locations.features is None:
        decoder, _ = survey(files, request)
        shape = decoder.reading.shape("endpointInput")
    read = functools.partial(
        read_located_captures, locations=locations, shape=shape, window=request.window, index=index
    )
    return tuple(FileSplit(pieces, read) for pieces in divide(files, may_cut=may_cut))


def first_sides(files: Sequence[SourceFile]) -> dict[str, bool]:
    """Return the parts that the first records have, and whether each is CSV, labels of one cell.

    Parameters
    ----------
    files
        Captures, in path order; a few records of the first ones are read.
    """
    sides: dict[str, bool] = {}
    for call in first_calls(files, (*_ALL_SIDES, LABEL))[:_RECORDS_LOOKED_AT]:
        for side, payload in call.payloads.items():
            single = side != LABEL or all(len(row) == 1 for row in payload.values)
            sides[side] = sides.get(side, True) and payload.kind == CSV and single
    return sides


def _first_of(envelope: Envelope, names: Sequence[str], note: Note) -> Texts:
    """Return the first of some payloads that each record has."""
    texts = [
        texts_of(envelope.parts[name], functools.partial(envelope.content_types, name), note)
        for name in names
    ]
    kinds = texts[-1].kinds
    for text in reversed(texts[:-1]):
        kinds = np.where(text.kinds == NONE, kinds, text.kinds)
    return Texts(pc.coalesce(*(text.text for text in texts)), kinds)


def _parts(
    envelope: Envelope, texts: Mapping[str, Texts], alone: Sequence[bool], records: Counts, note: Note
) -> Iterator[tuple[Mapping[str, Part], Callable[[], str]]]:
    """Yield the parts of records, parsed, and what names each record."""
    some = {part: text.take(records) for part, text in texts.items()}
    columns = [zip(part.text.to_pylist(), part.kinds.tolist(), strict=True) for part in some.values()]
    for number, *found in zip(records.tolist(), *columns, strict=True):
        parts: dict[str, Part] = {}
        for name, (text, kind) in zip(some, found, strict=True):
            parts[name] = Part()
            if kind == CSV:
                parts[name] = Part(cells=csv_rows(text))
            elif kind == JSON:
                try:
                    parts[name] = Part(parsed(text, kind).values)
                except UndecodableError:
                    note(UNDECODABLE, [number])
        if alone[number]:
            parts[REQUEST] = parts[RESPONSE]
        yield parts, functools.partial(envelope.place, number)


def _labels_at(truth: Texts, path: PlainPath | None, counts: Counts) -> pa.Array:
    """Return one label for each row; missing where a record has none."""
    present = truth.kinds != NONE
    if not present.any():
        return pa.nulls(int(counts.sum()))
    if not (truth.kinds == JSON).any():
        encodings = pa.array(["CSV"] * len(counts), pa.string())
        columns, unlike = label_columns(Payloads(truth.text, encodings), counts)
        if len(unlike) or list(columns) != [LABEL]:
            raise NotBulkError("labels of several cells, or of another number than rows")
        return typed_text(columns[LABEL])
    if (truth.kinds == CSV).any() or path is None:
        raise NotBulkError("labels of several encodings, or without a path")
    values, found = values_at(json_array(truth.text.drop_null()), path)
    if not np.array_equal(found, counts[present]):
        raise NotBulkError("another number of labels than rows")
    if present.all():
        return values
    rows = np.repeat(present, counts)
    where = np.cumsum(rows) - 1
    return values.take(pa.array(where, mask=~rows))
