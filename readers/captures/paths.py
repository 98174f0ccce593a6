"""Captures, merged ones too, whose columns are found by JMESPath in their payloads, as record batches.

A call may carry many rows: its features, scores and labels are then lists of one length. Payloads of CSV
have no paths; there, a location is the position of a column.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import ColumnPaths, Dataset
from contract.dataset_format import Shape
from contract.window import Window
from file_storage.storage import SourceFile
from readers.captures.columns import UNDECODABLE, Note, Texts, json_array, texts_of
from readers.captures.envelope import LABEL, Envelope, open_envelope
from readers.captures.envelope import Part as Payloads
from readers.captures.labels import label_columns
from readers.captures.shapes import CSV, JSON, NONE, UndecodableError, csv_rows, json_values
from readers.captures.split import Notes, first_calls, may_cut, survey
from readers.column_paths import PlainPath
from readers.labels.index import LabelIndex
from readers.lanes import Counts, MixedTypesError, NotBulkError, Table, in_lanes, together
from readers.paths import GROUND_TRUTH, REQUEST, RESPONSE, Finder, Part, typed_text, values_at
from readers.splitting import OfFileRanges, balanced_rows, blocks_of_lines, divide

# What a part is called in captures: the first of these that a record has.
SIDES = {
    REQUEST: ("endpointInput", "batchTransformInput", "batchTransformOutput"),
    RESPONSE: ("endpointOutput", "batchTransformOutput"),
}
# Of so many records the types of features are learnt.
_LEARNT_RECORDS = 100
_RECORDS_LOOKED_AT = 100


@dataclass(frozen=True)
class LocatedCaptureSplit(OfFileRanges):
    """Some capture files, or a byte range of one."""

    locations: ColumnPaths
    shape: Shape = "row"
    window: Window | None = None
    index: LabelIndex | None = field(default=None, compare=False, repr=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order.

        Raises
        ------
        DatasetError
            Naming file and line of what is no capture record, or holds another number of labels or
            predictions than rows.
        """
        finder = Finder(self.locations, self.shape)
        notes = Notes(self.label)
        sides = tuple(dict.fromkeys(side for names in SIDES.values() for side in names))
        for block in blocks_of_lines(self.pieces):
            envelope = open_envelope(
                block, sides, labels=True, ids=self.index is not None, times=self.window is not None
            )
            envelope = envelope.within(self.window).labelled(self.index)
            if len(envelope):
                batch = self._table(envelope, finder, notes).batch
                size = balanced_rows(max(1, batch.num_rows))
                yield from (batch.slice(at, size) for at in range(0, batch.num_rows, size))
        finder.require_labels(self.label)
        notes.report()

    def _table(self, envelope: Envelope, finder: Finder, notes: Notes) -> Table:
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
                first = _parts(envelope, texts, alone, np.arange(min(len(envelope), _LEARNT_RECORDS)), note)
                finder.learn(Finder(self.locations, self.shape).one_by_one(first).batch)
            values = {
                part: json_array(texts[part].take(records).text)
                for part in SIDES
                if (texts[part].kinds[records] == JSON).all()
            }
            truth = texts[GROUND_TRUTH].take(records)
            table = finder.together(values, functools.partial(_labels_at, truth))
            columns = [
                table.batch.column(other.name)
                for other in self.locations.others
                if other.side == GROUND_TRUTH
            ]
            finder.count_labels(
                int((truth.kinds != NONE).sum()), sum(len(each) - each.null_count for each in columns)
            )
            return table

        kinds = 3 * texts[REQUEST].kinds.astype(np.int64) + texts[RESPONSE].kinds

        def lanes(*, in_bulk: bool) -> list[tuple[Counts, Table]]:
            found: list[tuple[Counts, Table]] = []
            for kind in np.flatnonzero(np.bincount(kinds)):
                records = np.flatnonzero(kinds == kind)
                found += in_lanes(records, bulk, one_by_one) if in_bulk else [(records, one_by_one(records))]
            return found

        try:
            table = together(lanes(in_bulk=finder.is_bulk), len(envelope))
        except MixedTypesError:
            table = together(lanes(in_bulk=False), len(envelope), as_text=True)
        notes.add(envelope, odd)
        return table


def located_capture_splits(
    files: Sequence[SourceFile],
    request: Dataset,
    locations: ColumnPaths,
    index: LabelIndex | None = None,
) -> tuple[LocatedCaptureSplit, ...]:
    """Divide capture files into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With the window.
    locations
        Where the columns are.
    index
        Labels to join with the records.
    """
    Finder(locations)  # its mistakes show before the work
    shape: Shape = "row"
    if locations.features is None:
        decoder, _ = survey(files, request)
        shape = decoder.reading.shape("endpointInput")
    return tuple(
        LocatedCaptureSplit(pieces, locations, shape, request.window, index)
        for pieces in divide(files, may_cut=may_cut)
    )


def first_sides(files: Sequence[SourceFile]) -> dict[str, bool]:
    """Return the parts that the first records have, and whether each is CSV, labels of one cell.

    Parameters
    ----------
    files
        Captures, in path order; a few records of the first ones are read.
    """
    sides: dict[str, bool] = {}
    names = (*dict.fromkeys(side for names in SIDES.values() for side in names), LABEL)
    for call in first_calls(files, names)[:_RECORDS_LOOKED_AT]:
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
            try:
                parts[name] = _parsed(text, kind)
            except UndecodableError:
                parts[name] = Part()
                note(UNDECODABLE, [number])
        if alone[number]:
            parts[REQUEST] = parts[RESPONSE]
        yield parts, functools.partial(envelope.place, number)


def _parsed(text: str, kind: int) -> Part:
    if kind == NONE:
        return Part()
    if kind == CSV:
        return Part(cells=csv_rows(text))
    return Part([value for value in json_values(text) if value is not None])


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
