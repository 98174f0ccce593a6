"""Payloads of many records as columns: lanes of one kind, rows of both sides beside each other."""

import contextlib
import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import GROUND_TRUTH, CallRows
from contract.dataset_format import Shape
from contract.errors import DatasetError
from readers.captures.envelope import Envelope
from readers.captures.layout import Layout, cell_name, distinct_names, is_cell
from readers.captures.rows import QUOTED_CELL, Rows, rows_of_csv, rows_of_json, widest
from readers.captures.shapes import CSV, JSON, NONE, NOTHING, Payload, Row, decode, parsed
from readers.csv_records import CellParser, CellsError
from readers.flatten import LONGEST_LIST, batch_of, flatten_batch, rows_to_batch
from readers.lanes import (
    Counts,
    Table,
    found_in,
    like_first,
    of_kinds,
    require_alike,
    rows_of,
    text_buffer,
)

# Columns that the first records do not have are read up to this number.
_UNEXPECTED = 100
# Called with what is odd, and the records it is odd in.
Note = Callable[[str, Sequence[int]], None]
_ENCODINGS = {"CSV": CSV, "JSON": JSON}
_ODD = -1


@dataclass(frozen=True)
class Texts:
    """One payload of every record as text, null where there is none, and its kind (`NONE`, `CSV`, `JSON`)."""

    text: pa.StringArray
    kinds: npt.NDArray[np.int8]

    def take(self, records: Counts) -> "Texts":
        """Return those of some records."""
        if len(records) == len(self.kinds):
            return self
        return Texts(self.text.take(pa.array(records)), self.kinds[records])

    def payloads(self, records: Counts, note: Note) -> Iterator[Payload]:
        """Yield those of some records, parsed."""
        some = self.take(records)
        for number, text, kind in zip(records.tolist(), some.text.to_pylist(), some.kinds, strict=True):
            try:
                yield parsed(text, kind)
            except ValueError:
                note("reading.undecodable", [number])
                yield NOTHING


@dataclass(frozen=True)
class Decoder:
    """How the payloads of a dataset become columns.

    Parameters
    ----------
    sides
        The wanted payloads in column order.
    call_rows, layout
        As the first records decided.
    text_only
        By the originals' rules: every cell is text, JSON keys are sorted, and the texts of CSV payloads are
        joined before lines are told apart.
    kinds
        Types of columns as the first records have them: of a list of integers and floats, Arrow makes floats.
    headers
        By payload, the line of names that CSV begins with, which is no row.
    """

    sides: tuple[str, ...]
    call_rows: CallRows = field(default_factory=CallRows)
    layout: Layout = field(default_factory=lambda: Layout(()))
    text_only: bool = False
    kinds: Mapping[str, pa.DataType] = field(default_factory=dict, hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def most_columns(self) -> int:
        """Return how many columns one payload may have: damage in one record must not cost the others."""
        return len(self.layout.names) + _UNEXPECTED if self.layout.names else LONGEST_LIST

    def parser(self) -> CellParser:
        """Return a parser for cells that skips the columns to leave out."""
        dropped = [raw for raw, name in self.layout.names.items() if name is None]
        return CellParser(self.text_only, dropped, dict(self.kinds))

    def table(self, envelope: Envelope, parser: CellParser, note: Note) -> Table:
        """Return the rows of records, columns under their raw names.

        Raises
        ------
        DatasetError
            When payloads do not fit into columns, or the originals would not read them.
        """
        texts = [texts_of(envelope, side, note, self.headers.get(side)) for side in self.sides]
        # Of two payloads, the first one's cells would move the other's to later columns.
        is_new = any(map(is_cell, self.layout.names)) and self.layout.widths[0] == 0
        if is_new and len(texts) > 1 and (late := np.flatnonzero(texts[0].kinds == CSV)).size:
            raise DatasetError.of("captures.late", place=envelope.place(int(late[0])), field=self.sides[0])
        if self.text_only:
            self._require_one_encoding(envelope)
            texts = self._joined(texts)

        def one_by_one(records: Counts) -> Table:
            rows = self._rows(texts, records, note)
            return self.of_rows(rows, parser, lambda text, odd: note(text, records[list(odd)].tolist()))

        def bulk(records: Counts) -> Table:
            return self._together([text.take(records) for text in texts], parser)

        exact = self.text_only and any((text.kinds == JSON).any() for text in texts)
        return of_kinds([text.kinds for text in texts], None if exact else bulk, one_by_one)

    def of_rows(
        self,
        sides: Sequence[list[list[Row] | None]],
        parser: CellParser,
        note: Note = lambda text, records: None,
    ) -> Table:
        """Return parsed rows as columns: for each side those of each record, None where it is missing."""
        kinds = []
        for side, records in enumerate(sides):
            forms = [NONE if rows is None else CSV if isinstance(rows[0], list) else JSON for rows in records]
            kinds.append(np.array(forms))
            if not self.text_only and side < len(sides) - 1 and any(self.layout.widths):
                width = self.layout.widths[side]
                cells = {at: rows for at, rows in enumerate(records) if rows and forms[at] == CSV}
                note("reading.too_wide", [at for at, rows in cells.items() if max(map(len, rows)) > width])
                for at, rows in cells.items():
                    records[at] = [[*list(row)[:width], *[None] * (width - len(row))] for row in rows]

        def of_kind(numbers: Counts) -> Table:
            some = [[records[number] for number in numbers.tolist()] for records in sides]
            return self._beside([_gathered(records, text_only=self.text_only) for records in some], parser)

        return of_kinds(kinds, None, of_kind)

    def _together(self, texts: Sequence[Texts], parser: CellParser) -> Table:
        """Return the rows of records whose payloads are of one kind each."""
        rows = []
        for side, some in zip(self.sides, texts, strict=True):
            kind = some.kinds[0] if len(some.kinds) else NONE
            if kind == NONE:
                rows.append(Rows(np.zeros(len(some.kinds), np.int64)))
            elif kind == CSV:
                rows.append(rows_of_csv(some.text, "row" if self.text_only else self.call_rows.shape(side)))
            else:
                found = rows_of_json(some.text, self.call_rows.shape(side))
                require_alike(widest(found.batch.columns) <= self.most_columns, "more columns than expected")
                rows.append(replace(found, batch=flatten_batch(found.batch)))
        return self._beside(rows, parser)

    def _rows(self, texts: Sequence[Texts], records: Counts, note: Note) -> list[list[list[Row] | None]]:
        sides: list[list[list[Row] | None]] = []
        for side, text in zip(self.sides, texts, strict=True):
            some = text.take(records)
            shape: Shape = "row" if self.text_only and CSV in some.kinds else self.call_rows.shape(side)
            rows: list[list[Row] | None] = []
            lengths = pc.binary_length(some.text).to_pylist()
            payloads = text.payloads(records, note)
            for number, length, payload in zip(records.tolist(), lengths, payloads, strict=True):
                found = payload.rows(shape)
                if (length or 0) > 2 * self.most_columns:
                    bounded = [_bounded(row, self.most_columns) for row in found]
                    note("reading.too_wide", [number] if bounded != found else [])
                    found = bounded
                rows.append(found or None)
            sides.append(rows)
        return sides

    def _beside(self, sides: list[Rows], parser: CellParser) -> Table:
        """Put the rows of all payloads beside each other: one row is repeated, rows that lack are missing."""
        index, counts, uneven = _zip_rows([side.counts for side in sides])
        rows = [side.take(where) for side, where in zip(sides, index, strict=True)]
        found = self._named(rows)
        # Columns without names are named by their position in the row.
        widths = self.layout.widths or (0,) * len(rows)
        last = len(rows) - 1
        for is_text, group in groupby(range(len(rows)), key=lambda at: rows[at].lines is not None):
            places = list(group)
            position = sum(widths[: places[0]])
            if is_text:
                # Neighbouring CSV payloads are one line of cells, wherever the first one ends.
                for at in places[: 0 if self.text_only else last - places[0]]:
                    other = pc.not_equal(_commas(rows[at].lines), widths[at] - 1)
                    require_alike(not (widths[at] and pc.any(other).as_py()), "another number of cells")
                # Where a record has none of them, its cells are empty.
                texts = [pc.fill_null(rows[at].lines, "," * (widths[at] - 1)) for at in places]
                found[places[0]] = _parse_lines(texts, position, parser, 2 * self.most_columns)
                continue
            for at in places:
                batch = rows[at].batch
                if rows[at].is_cells and batch is not None:
                    require_alike(at == last or batch.num_columns == widths[at], "more cells than expected")
                    start = sum(widths[:at])
                    found[at] = {cell_name(start + cell): each for cell, each in enumerate(batch.columns)}
                found[at] = {name: like_first(each, self.kinds.get(name)) for name, each in found[at].items()}
        columns = dict(chain.from_iterable(each.items() for each in found))
        total = int(counts.sum())
        batch = batch_of(columns, total)
        require_alike(batch.num_rows == total, "cells hold line ends")
        return Table(batch, counts, uneven)

    def _named(self, rows: Sequence[Rows]) -> list[dict[str, pa.Array]]:
        """Return the columns of each payload that have names, under distinct ones.

        A name that request and response have in common belongs to the request, whose names are the
        baseline's; the response's column is called ``endpointOutput.<name>``.
        """
        names = [[] if side.batch is None or side.is_cells else side.batch.schema.names for side in rows]
        every = distinct_names(self.sides, names, self.layout.own)
        both = zip(every, rows, strict=True)
        return [dict(zip(own, side.batch.columns, strict=True)) if own else {} for own, side in both]

    def _require_one_encoding(self, envelope: Envelope) -> None:
        """Raise DatasetError where the originals would not read a record."""
        present = {}
        for side in sorted(self.sides):
            data, encodings, _ = envelope.parts[side].flatten()
            present[side] = pc.if_else(data.is_valid(), pc.fill_null(encodings, "None"), None)
        for side, encodings in present.items():
            if (at := pc.index(encodings, "BASE64").as_py()) >= 0:
                raise DatasetError.of("captures.base64", field=side, place=envelope.place(at))
        # The originals name the request first.
        [first, *others] = present or [""]
        for other in others:
            if (at := pc.index(pc.not_equal(present[first], present[other]), True).as_py()) >= 0:
                one, two = (present[side][at].as_py()[:40] for side in (first, other))
                told = {"one": one, "first": first, "two": two, "other": other}
                raise DatasetError.of("captures.encodings", place=envelope.place(at), **told)

    def _joined(self, texts: Sequence[Texts]) -> list[Texts]:
        """Return CSV payloads joined with a comma, a missing one with as many cells as it should have."""
        csv_records = np.any([text.kinds == CSV for text in texts], axis=0)
        if not csv_records.any():
            return list(texts)
        every = zip(texts, self.layout.widths or (0,) * len(texts), strict=True)
        some = [(side.text, width) for side, width in every if width or side.text.null_count < len(side.text)]
        parts = [pc.fill_null(pc.ascii_rtrim(text, "\r\n"), "," * (width - 1)) for text, width in some]
        joined = pc.binary_join_element_wise(*parts, ",") if len(parts) > 1 else parts[0]
        mask, nothing = pa.array(csv_records), pa.scalar(None, pa.string())
        found = []
        for place, text in enumerate(texts):
            kinds = np.where(csv_records, NONE if place else CSV, text.kinds).astype(np.int8)
            found.append(Texts(pc.if_else(mask, nothing if place else joined, text.text), kinds))
        return found


def texts_of(envelope: Envelope, side: str, note: Note, header: str | None = None) -> Texts:
    """Return a payload of records, or their label, as text: decoded, and without its header."""
    text, encodings, *content_types = envelope.parts[side].flatten()
    encoded = encodings.dictionary_encode()
    codes = [_ENCODINGS.get(name.upper(), _ODD) for name in encoded.dictionary.to_pylist()]
    codes.append(CSV if side == GROUND_TRUTH else _ODD)  # where there is none
    indices = encoded.indices.fill_null(len(codes) - 1).to_numpy(zero_copy_only=False)
    kinds = np.array(codes, np.int8)[indices]
    kinds[text.is_null().to_numpy(zero_copy_only=False)] = NONE
    is_odd = kinds == _ODD
    if is_odd.any():
        decoded: list[str | None] = []
        for at in np.flatnonzero(is_odd).tolist():
            content, kinds[at] = None, NONE
            content_type = content_types[0][at].as_py() if content_types else None
            try:
                content, kinds[at] = decode(text[at].as_py(), encodings[at].as_py(), content_type)
            except ValueError:
                note("reading.undecodable", [at])
            decoded.append(content)
        text = pc.replace_with_mask(text, pa.array(is_odd), pa.array(decoded, pa.string()))
    if header is not None:
        # Batches of no rows are names alone.
        below = pc.replace_substring_regex(text, rf"\A{re.escape(header)}\r?(\n|\z)", "")
        text = pc.if_else(pa.array(kinds == CSV), below, text)
    return Texts(text, kinds)


def _bounded(value: Any, most: int) -> Any:
    """Return a value without what lists and objects in it have beyond `most` members."""
    if isinstance(value, dict):
        return {name: _bounded(member, most) for name, member in islice(value.items(), most)}
    return [_bounded(member, most) for member in value[:most]] if isinstance(value, list) else value


def _gathered(records: Sequence[list[Row] | None], *, text_only: bool) -> Rows:
    """Return parsed rows of one kind."""
    counts = np.array([0 if rows is None else len(rows) for rows in records], np.int64)
    rows: list[Any] = [row for found in records if found is not None for row in found]
    if not rows:
        return Rows(counts)
    if isinstance(rows[0], dict):
        try:
            batch = rows_to_batch(rows, text_only=text_only)
        except DatasetError as error:
            raise CellsError(error.message) from error
        # The originals' JSON reader sorts the keys.
        return Rows(counts, batch=batch.select(sorted(batch.schema.names)) if text_only else batch)
    lines: list[str] = []
    csv.writer(SimpleNamespace(write=lines.append), lineterminator="\n").writerows(rows)
    return Rows(counts, lines=pa.array([line[:-1] for line in lines], pa.string()))


def _zip_rows(counts: list[Counts]) -> tuple[list[Counts], Counts, Counts]:
    """Align the rows of several payloads per record.

    A payload of one row is repeated; where others have fewer than the longest, rows are missing.

    Returns
    -------
    For each payload the position of its row in each output row, -1 for none; the output rows of each
    record; and the records where the numbers of rows differ.
    """
    every = np.stack(counts)
    longest = np.maximum(every.max(axis=0), 1)
    if (longest == 1).all():
        return [np.where(count > 0, np.cumsum(count) - count, -1) for count in counts], longest, longest[:0]
    uneven = np.flatnonzero(((every > 1) & (every != longest)).any(axis=0))
    record, within = rows_of(longest)
    index = []
    for count in counts:
        start, here = (np.cumsum(count) - count)[record], count[record]
        index.append(np.where(here == 1, start, np.where(within < here, start + within, -1)))
    return index, longest, uneven


def _commas(lines: pa.StringArray) -> pa.IntegerArray:
    """Return how many commas stand between the cells of each line."""
    if found_in(text_buffer(lines), b'"'):
        lines = pc.replace_substring_regex(lines, QUOTED_CELL, "")
    return pc.count_substring(lines, ",")


def _lines_of(*cells: pa.StringArray) -> pa.Buffer:
    between = [part for each in cells for part in (each, ",")]
    return text_buffer(pc.binary_join_element_wise(*between[:-1], "\n", ""))


def _parse_lines(
    texts: list[pa.StringArray], position: int, parser: CellParser, limit: int
) -> dict[str, pa.Array]:
    """Parse lines of cells, the shorter ones filled up with empty cells."""
    text = _lines_of(*texts)
    most = sum(each[0].as_py().count(",") + 1 for each in texts) - 1 if len(texts[0]) else 0
    if 0 < most < limit and not found_in(text, b'"'):
        # As a rule all have as many cells; counting them takes as long as reading them.
        with contextlib.suppress(CellsError):
            return parser(text, [cell_name(position + at) for at in range(most + 1)], len(texts[0]))
    lines = pc.binary_join_element_wise(*texts, ",") if len(texts) > 1 else texts[0]
    commas = _commas(lines)
    least, most = pc.min_max(commas).as_py().values()
    require_alike(most < limit, "more cells than expected")
    if least < most:
        lines = pc.binary_join_element_wise(lines, pc.binary_repeat(",", pc.subtract(most, commas)), "")
    if most == 0:
        # A blank line would be skipped, an empty cell is not.
        lines = pc.if_else(pc.equal(lines, ""), '""', lines)
    return parser(_lines_of(lines), [cell_name(position + at) for at in range(most + 1)], len(lines))
