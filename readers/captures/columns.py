"""Payloads of many records as columns: lanes of one kind, rows of both sides beside each other."""

import contextlib
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset import GROUND_TRUTH, CallRows, Dataset
from contract.dataset_format import Shape
from contract.errors import DatasetError
from readers.arrow_json import JsonFields, parse_json
from readers.captures.envelope import Envelope
from readers.captures.shapes import (
    CSV,
    FRAMES,
    JSON,
    NONE,
    NOTHING,
    Payload,
    Row,
    decode,
    is_batch,
    json_values,
    parsed,
    rows_of_values,
)
from readers.cell_types import typed_text
from readers.csv_records import CellParser, CellsError
from readers.dataset import POSITIONAL, excluded_positions, named_by_position, positional_names
from readers.flatten import LONGEST_LIST, batch_of, columns_of, flatten_batch, json_text, rows_to_batch
from readers.lanes import (
    Counts,
    NotBulkError,
    Table,
    common_type,
    found_in,
    like_first,
    of_kinds,
    require_alike,
    require_exact,
    rows_of,
    text_buffer,
)
from readers.like_lines import Lists, cells_of_lists

# Columns that the first records do not have are read up to this number.
_UNEXPECTED = 100
_LONG = 1 << 19
# So few payloads are not worth a look at the places of their cells, nor are so many forms of them.
_WORTH_IT, _MOST_FORMS = 20, 50
# A number that nobody writes, and those after it.
_SAMPLE = 0x3BAD << 48
_QUOTED_CELL = r'"(?:[^"]|"")*"'
_QUOTED_LINE = rf'^(?:{_QUOTED_CELL}|[^",]*)(?:,(?:{_QUOTED_CELL}|[^",]*))*$'

# Called with what is odd, and the records it is odd in.
Note = Callable[[str, Sequence[int]], None]
_ENCODINGS = {"CSV": CSV, "JSON": JSON}
_ODD = -1


# What the columns of captures are called is decided once per job from the first records. Every split then
# names its columns alike, whatever single records it holds.


CELL = "_c"


@dataclass(frozen=True)
class Layout:
    """Where the columns of each payload stand, and what they are called.

    Parameters
    ----------
    widths
        Columns of each wanted payload, in column order; what a record without it is padded with.
    own
        Names of each payload's columns. Those that several have in common are told apart by the name of
        the payload, and so is what later records have of a name that belonged to another payload.
    names
        Final name by raw name, None for columns to leave out. Other columns keep their raw name.
    exclude
        Raw names to leave out beyond those of `names`.
    positional
        Whether columns have to be matched with the baseline's by their position.
    """

    widths: tuple[int, ...]
    own: tuple[frozenset[str], ...] = ()
    names: Mapping[str, str | None] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    positional: bool = False

    def finish(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with final names, without the columns to leave out."""
        found = columns_of(batch)
        columns: dict[str, pa.Array] = {}
        # In the order of the first records, whatever comes first in these.
        for raw in dict.fromkeys((*self.names, *found)):
            name = self.names.get(raw, None if raw in self.exclude else raw)
            if name is not None and raw in found:
                columns |= _added(columns.get(name), found[raw], name, raw)
        return batch_of(columns, batch.num_rows, POSITIONAL if self.positional else None)


def _added(known: pa.Array | None, column: pa.Array, name: str, raw: str) -> dict[str, pa.Array]:
    """Return a column under its name, together with the one that has this name in other records."""
    if known is None or pc.any(pc.and_(known.is_valid(), column.is_valid())).as_py():
        return {name if known is None else raw: column}
    kind = common_type({known.type, column.type}, as_text=True)
    return {name: pc.coalesce(known.cast(kind), column.cast(kind))}


def cell_name(position: int) -> str:
    """Return the raw name of a column without a name."""
    return f"{CELL}{position}"


def find_layout(
    sides: Sequence[str],
    rows_of: Sequence[Sequence[Sequence[Row] | None]],
    request: Dataset,
    headers: Mapping[str, Sequence[str | None]],
) -> Layout:
    """Decide the layout from the first records.

    Cells are called by the header of their payload. Columns without names get the baseline's by position.
    Where some columns have names: when none of them is in the baseline and the numbers agree, likewise;
    when one is, columns without names get the names left over, in order, if their numbers agree.

    Parameters
    ----------
    sides
        The wanted payloads in column order, such as ``("endpointOutput", "endpointInput")``.
    rows_of
        For each of them the rows of each record, None where there is none.
    request
        With the baseline's names and the columns to leave out.
    headers
        By payload, the names that its CSV begins with.
    """
    widths: list[int] = []
    is_named: list[bool] = []
    names_of_sides: list[list[str]] = []
    for records in rows_of:
        rows = [row for record in records for row in record or ()]
        cells = Counter(len(row) for row in rows if isinstance(row, list))
        objects = [row for row in rows if isinstance(row, dict)]
        seen = rows_to_batch(objects).schema.names
        named = sorted(seen) if request.text_only else seen  # as the originals' JSON reader does
        # A few objects among cells do not tell what the cells are.
        is_named.append(bool(named) and (request.text_only or 2 * len(objects) >= len(rows)))
        widths.append(len(named) if is_named[-1] else max(cells, key=cells.__getitem__, default=0))
        names_of_sides.append(named)
    distinct = distinct_names(sides, names_of_sides)
    columns: list[str] = []
    titled: list[list[str]] = []
    for side, mine, told, width in zip(sides, distinct, is_named, widths, strict=True):
        own = mine if told else []
        raw = own or [cell_name(len(columns) + position) for position in range(width)]
        header = headers.get(side, ()) if not own else ()
        columns += raw
        fits = len(header) == len(raw)
        titled.append([title or name for title, name in zip(header, raw, strict=True)] if fits else raw)
    titles = [*chain.from_iterable(distinct_names(sides, titled))]
    positional = all(map(is_cell, titles))
    # Of ``{"instances": [[1, 2]]}`` the columns are instances.0 and instances.1, which is no name either.
    unnamed = [name for name in titles if is_cell(name) or (not request.text_only and is_batch(name))]
    if positional:
        final, excluded = positional_names(len(columns), request)
        # By the baseline's names a single record with more cells disturbs no other column. The originals
        # know positions only.
        positional = request.text_only or final == columns
    else:
        final = _mixed_names(titles, unnamed, request) if unnamed or titles != columns else titles
        if renamed := {title: name for title, name in zip(titles, final, strict=True) if title != name}:
            pairs = [f"{title} is {name}" for title, name in renamed.items()]
            request.said.say("reading.by_position", pairs=", ".join(pairs))
        known = (final, titles, columns)
        excluded = set[int]().union(*(excluded_positions(names, request.exclude) for names in known))
    kept = [None if position in excluded else name for position, name in enumerate(final)]
    names = dict(zip(columns, kept, strict=True))
    for name in chain.from_iterable(distinct):
        names.setdefault(name, None if name in request.exclude else name)
    beyond = {cell_name(int(entry)) for entry in request.exclude if entry.isdecimal()}
    left_out = frozenset(request.exclude) | beyond
    return Layout(tuple(widths), tuple(map(frozenset, names_of_sides)), names, left_out, positional)


def is_cell(name: str) -> bool:
    """Return whether this is the raw name of a column without a name."""
    return name.startswith(CELL) and name[len(CELL) :].isdecimal()


def distinct_names(
    sides: Sequence[str], names_of_sides: Sequence[list[str]], own: Sequence[frozenset[str]] = ()
) -> list[list[str]]:
    """Return the names of each payload's columns, after its own where they belong to another payload.

    Of several payloads with a name it belongs to the last one, and where names are known to be the `own` of
    a payload, to none of the others.
    """
    known, later = frozenset[str]().union(*own), set[str]()
    found: list[list[str]] = []
    every = [*zip(sides, names_of_sides, own or [known] * len(sides), strict=True)]
    for side, names, mine in reversed(every):
        taken = later | (known - mine)
        found.insert(0, [f"{side}.{name}" if name in taken else name for name in names])
        later |= mine.union(names) - taken
    return found


def _mixed_names(columns: list[str], unnamed: list[str], request: Dataset) -> list[str]:
    baseline = request.column_names or ()
    if not set(columns).intersection(baseline):
        return named_by_position(columns, request)
    # What the baseline calls by its place is no other column, even where an optional member is not there.
    unnamed = [name for name in unnamed if name not in baseline]
    left = [name for name in baseline if name not in columns]
    names = dict(zip(unnamed, left, strict=True)) if len(unnamed) == len(left) else {}
    return [names.get(column, column) for column in columns]


# Payloads as columns.


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
class Rows:
    """One payload of every record as rows: lines of CSV, or columns with names, or without (`is_cells`)."""

    counts: Counts
    lines: pa.StringArray = None
    batch: pa.RecordBatch = None
    is_cells: bool = False

    def take(self, positions: Counts) -> "Rows":
        """Return the rows at `positions`, missing where negative."""
        if np.array_equal(positions, np.arange(self.counts.sum())):
            return self
        index = pa.array(positions, mask=positions < 0)
        lines, batch = (held if held is None else held.take(index) for held in (self.lines, self.batch))
        return replace(self, lines=lines, batch=batch)


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
                rows.append(_csv_rows(some.text, "row" if self.text_only else self.call_rows.shape(side)))
            else:
                found = _json_rows(some.text, self.call_rows.shape(side))
                require_alike(_widest(found.batch.columns) <= self.most_columns, "more columns than expected")
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


def json_array(data: pa.StringArray) -> pa.Array:
    """Return JSON payloads parsed, one value for each; null is no payload.

    Raises
    ------
    NotBulkError
        When the payloads differ in kind, or one is no JSON.
    """
    lengths = pc.fill_null(pc.binary_length(data), 0).to_numpy(zero_copy_only=False)
    if len(lengths) and lengths.max() > max(_LONG, 100 * np.sort(lengths)[(len(lengths) - 1) // 2]):
        # Members that one payload alone has would become a column of all.
        raise NotBulkError("a payload is far longer than the others")
    # Wrapped, every payload is the one member of an object, whatever it is.
    nulls = {"null_handling": "replace", "null_replacement": "null"}
    wrapped = pc.binary_join_element_wise('{"p":', data, "}\n", "", **nulls)
    batch = parse_json(text_buffer(wrapped), JsonFields())
    require_alike(batch.num_rows == len(data) and batch.schema.names == ["p"], "several values in a payload")
    return batch.column(0)


def _csv_rows(data: pa.StringArray, shape: Shape) -> Rows:
    text, marks = data, found_in(text_buffer(data), b'\r\n",')
    if not marks.isdisjoint((b"\n", b"\r")):
        text = pc.ascii_rtrim(data, "\r\n")
        text = pc.replace_substring(pc.replace_substring(text, "\r\n", "\n"), "\r", "\n")
        marks = found_in(text_buffer(text), b'\n",')
    if shape == "list" and b"," in marks:
        require_alike(b'"' not in marks, "a cell may hold a comma")
        single = pc.invert(pc.match_substring(text, "\n"))
        text = pc.if_else(single, pc.replace_substring(text, ",", "\n"), text)
        marks = found_in(text_buffer(text), b"\n")
    counts, lines = np.ones(len(text), np.int64), text
    if b"\n" in marks:
        counts = 1 + pc.count_substring(text, "\n").to_numpy(zero_copy_only=False).astype(np.int64)
        lines = pc.list_flatten(pc.split_pattern(text, "\n"))
    are_cells = b'"' not in marks or pc.all(pc.match_substring_regex(lines, _QUOTED_LINE)).as_py()
    require_alike(are_cells, "a quote stands within a cell, or a cell holds a line end")
    return Rows(counts, lines=lines)


def _json_rows(data: pa.StringArray, shape: Shape) -> Rows:
    cells, name, others = list[pa.Array](), None, dict[str, pa.Array]()
    try:
        require_alike(len(data) >= _WORTH_IT, "too few payloads")
        # Cells of a list are of one type in Arrow's JSON.
        found = cells_of_lists(data)
        with contextlib.suppress(NotBulkError):
            return _like_samples(found, shape)
        around = pc.binary_join_element_wise(found.before, found.after, str(_SAMPLE)).dictionary_encode()
        values = json_array(around.dictionary).take(around.indices)
        fits = types.is_struct(values.type) and (found.deep == 1) == (shape == "row")
        require_alike(fits, "rows of another kind")
        counts, cells = found.counts, found.cells
    except NotBulkError:
        values = json_array(data)
    require_alike(not values.null_count, "a payload is null")
    if types.is_struct(values.type):
        members = [member.type for member in values.type]
        require_alike(not _may_be_table(values.type), "a payload may be a table")
        if shape == "columns" and len(members) > 1 and all(map(types.is_list, members)):
            return _column_rows(values)
        has_lists = any(map(types.is_list, members))
        is_deep = any(map(types.is_struct, members)) and (shape == "columns" or not has_lists)
        is_series = shape == "columns" and "0" in values.type.names
        is_plain = shape == "row" or not (is_deep or is_series)
        require_alike(is_plain, "a list may be deeper, or a column a series")
        if not cells and (shape == "row" or not has_lists):
            return Rows(np.ones(len(values), np.int64), batch=_named(values))
        others = columns_of(_named(values))
        lists = [one for one in others if types.is_list(others[one].type)]
        require_alike(len(lists) == 1, "an object has several lists")
        name, values = lists[0], others.pop(lists[0])
    element = values.type.value_type if types.is_list(values.type) else None
    if cells:
        are_own = pc.list_flatten(values).equals(pa.repeat(_SAMPLE, len(values)))
        require_alike(are_own, "cells of a list that is deeper")
        rows = pa.RecordBatch.from_arrays(cells, [f"{name}.{place}" for place in range(len(cells))])
    elif element is None or (name is None and shape == "row" and not types.is_nested(element)):
        return Rows(np.ones(len(values), np.int64), batch=_numbers(values), is_cells=True)
    else:
        counts, elements = _filled(values), pc.list_flatten(values)
        if types.is_struct(element):
            rows = _named(elements)
        elif name is None:
            return Rows(counts, batch=_numbers(elements), is_cells=True)
        else:
            require_alike(not (elements.null_count and types.is_list(element)), "a row is null")
            rows = pa.RecordBatch.from_arrays([elements], names=[name])
    require_alike(others.keys().isdisjoint(rows.schema.names), "a row has a member of the object around it")
    record = pa.array(rows_of(counts)[0])
    repeated = {one: column.take(record) for one, column in others.items()}
    return Rows(counts, batch=batch_of(columns_of(rows) | repeated, len(record)))


def _like_samples(lists: Lists, shape: Shape) -> Rows:
    """Return the rows of payloads of a few forms: numbers in the places of cells say where these belong."""
    before, after = lists.before.dictionary_encode(), lists.after.dictionary_encode()
    forms = before.indices.to_numpy().astype(np.int64) * len(after.dictionary) + after.indices.to_numpy()
    _, firsts = np.unique(forms * (lists.counts.max() + 1) + lists.counts, return_index=True)
    require_alike(lists.are_even and len(firsts) <= _MOST_FORMS, "payloads of many forms")
    width, layouts = len(lists.cells), set[tuple[tuple[str, bool, pa.Scalar], ...]]()
    for at in firsts.tolist():
        numbers = _SAMPLE + np.arange(lists.counts[at] * width).reshape(-1, width)
        cells = json_text((numbers if lists.deep > 1 else numbers[0]).tolist())[1:-1]
        layouts.add(_layout_of(f"{lists.before[at]}{cells}{lists.after[at]}", shape, pa.array(numbers[:, 0])))
    require_alike(len(layouts) == 1, "payloads of several forms")
    [layout] = layouts
    places = {place.as_py() for _, is_cell, place in layout if is_cell}
    require_alike(places == {*range(width)}, "cells that are no values")
    total = int(lists.counts.sum())
    columns = {
        name: lists.cells[value.as_py()] if is_cell else pa.repeat(value, total)
        for name, is_cell, value in layout
    }
    return Rows(lists.counts, batch=batch_of(columns, total))


def _layout_of(text: str, shape: Shape, starts: pa.Array) -> tuple[tuple[str, bool, pa.Scalar], ...]:
    """Return by name the place in a row that a column's cells have, or the one value that is no cell.

    Parameters
    ----------
    text
        A payload whose cells are numbers, one after the other.
    starts
        The first number of each row.
    """
    try:
        rows = rows_of_values(json_values(text), shape)
    except ValueError as error:
        raise NotBulkError(str(error)) from error
    named = [row for row in rows if isinstance(row, dict)]
    require_alike(len(named) == len(rows) == len(starts), "rows without names")
    layout = []
    for name, column in columns_of(rows_to_batch(named)).items():
        is_cell = types.is_integer(column.type) and (column[0].as_py() or 0) >= _SAMPLE
        distinct = (pc.subtract(column, starts) if is_cell else column).unique()
        require_alike(len(distinct) == 1, "rows that differ")
        layout.append((name, is_cell, distinct[0]))
    return tuple(layout)


def _may_be_table(kind: pa.StructType) -> bool:
    """Return whether objects have a member by which libraries mark a table."""
    names = {member.name: member.type for member in kind}
    if len(names) == 1 and types.is_list(kind[0].type) and types.is_struct(kind[0].type.value_type):
        names |= {member.name: member.type for member in kind[0].type.value_type}
    tensors = [names[name] for name in ("inputs", "outputs") if name in names]
    elements = [each.value_type if types.is_list(each) else each for each in tensors]
    has_rows = not names.keys().isdisjoint(("columns", "fields", "schema"))
    is_seldon = "data" in names and types.is_struct(names["data"])
    if has_rows or is_seldon or any(map(types.is_struct, elements)) or not names.keys().isdisjoint(FRAMES):
        return True
    return all(map(types.is_struct, names.values()))


def _column_rows(objects: pa.StructArray) -> Rows:
    members = objects.flatten()
    counts = _filled(members[0])
    for member in members:
        is_column = np.array_equal(_filled(member), counts) and not types.is_nested(member.type.value_type)
        require_alike(is_column, "columns differ in length")
    names = [member.name for member in objects.type]
    return Rows(counts, batch=pa.RecordBatch.from_arrays([pc.list_flatten(each) for each in members], names))


def _named(objects: pa.StructArray) -> pa.RecordBatch:
    require_alike(objects.type.num_fields and not objects.null_count, "objects without members")
    return pa.RecordBatch.from_struct_array(objects)


def _numbers(values: pa.Array) -> pa.RecordBatch:
    """Return numbers, or lists of numbers that are all of one length, as columns without names."""
    kind = values.type.value_type if types.is_list(values.type) else values.type
    are_numbers = not values.null_count and (types.is_integer(kind) or types.is_floating(kind))
    require_alike(are_numbers, "cells are more than numbers")
    lengths = pc.unique(pc.list_value_length(values)) if types.is_list(values.type) else [1]
    require_alike(len(lengths) == 1, "arrays differ in length")
    return pa.RecordBatch.from_arrays([values], names=[""])


def _widest(columns: Sequence[pa.Array]) -> int:
    """Return the most members of an object, or elements of a list, at any depth.

    Raises
    ------
    NotBulkError
        Where elements may be integers that lack digits.
    """
    widest = len(columns)
    for array in columns:
        if types.is_struct(array.type):
            widest = max(widest, _widest(array.flatten()))
        elif types.is_list(array.type):
            longest, elements = pc.max(pc.list_value_length(array)).as_py() or 0, pc.list_flatten(array)
            widest = max(widest, longest, _widest([elements]))
            require_exact(elements)
    return widest


def _bounded(value: Any, most: int) -> Any:
    """Return a value without what lists and objects in it have beyond `most` members."""
    if isinstance(value, dict):
        return {name: _bounded(member, most) for name, member in islice(value.items(), most)}
    return [_bounded(member, most) for member in value[:most]] if isinstance(value, list) else value


def _filled(lists: pa.ListArray) -> Counts:
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    counts: Counts = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    require_alike((counts > 0).all(), "a list is empty")
    return counts


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
        lines = pc.replace_substring_regex(lines, _QUOTED_CELL, "")
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


# Labels of captured calls as columns: one row per row of the call.
#
# A label of one cell is the column ``groundTruthData``. One of several cells gives ``groundTruthData.0``,
# ``groundTruthData.1`` and so on, a JSON object ``groundTruthData.<member>``. Cells are text. A call of
# several rows needs as many labels: lines of CSV, or a JSON list; other numbers say nothing about single
# rows, which then count as unlabelled.


# The first of these that gives as many labels as the call has rows.
_SHAPES: tuple[Shape, ...] = ("list", "row", "columns")


def with_label_columns(
    batch: pa.RecordBatch, labels: pa.StructArray, counts: Counts
) -> tuple[pa.RecordBatch, Counts]:
    """Return the batch with its labels as last columns.

    Parameters
    ----------
    batch
        The rows of some records.
    labels
        One per record.
    counts
        Rows by record.

    Returns
    -------
    The batch, and which records have another number of labels than rows.
    """
    columns, unlike = label_columns(labels, counts)
    kept = {name: column for name, column in columns_of(batch).items() if name not in columns}
    return batch_of(kept | columns, batch.num_rows, batch.schema.metadata), unlike


def with_typed_labels(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows whose labels, text so far, are numbers where they can be."""
    columns = columns_of(batch)
    columns |= {name: typed_text(columns[name]) for name in columns if name.partition(".")[0] == GROUND_TRUTH}
    return batch_of(columns, batch.num_rows, batch.schema.metadata)


def label_columns(labels: pa.StructArray, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    """Return the labels of all rows by column name, and which records have the wrong number of them."""
    data, encodings = labels.flatten()
    text = pc.ascii_rtrim(data, "\r\n")
    simple = pc.fill_null(pc.equal(encodings, "CSV"), True)
    if found_in(text_buffer(text), b'",\r'):
        simple = pc.and_(simple, pc.fill_null(pc.invert(pc.match_substring_regex(text, '[",\r]')), True))
    simple = pc.or_(simple, text.is_null()).to_numpy(zero_copy_only=False)

    def read(records: Counts) -> Table:
        some = text if len(records) == len(text) else text.take(pa.array(records))
        if simple[records].all():
            columns, unlike = _single_cells(some, counts[records])
        else:
            columns, unlike = _any_cells(some, encodings.take(pa.array(records)), counts[records])
        is_held = any(column.null_count < len(column) for column in columns.values())
        batch = batch_of(columns if is_held else {}, int(counts[records].sum()))
        return Table(batch, counts[records], unlike)

    table = of_kinds([simple], None, read)
    columns = columns_of(table.batch)
    return columns or {GROUND_TRUTH: pa.nulls(table.batch.num_rows, pa.string())}, table.uneven


def _single_cells(text: pa.StringArray, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    """Place lines of one cell each."""
    present = text.is_valid().to_numpy(zero_copy_only=False)
    breaks = pc.fill_null(pc.count_substring(text, "\n"), 0).to_numpy(zero_copy_only=False)
    lines = np.where(present, breaks + 1, 0).astype(np.int64)
    fits = present & (lines == counts)
    unlike = np.flatnonzero(present & ~fits)
    if (counts != 1).any() or breaks.any():
        cells = pc.list_flatten(pc.split_pattern(text, "\n"))
        record, within = rows_of(counts)
        position = (np.cumsum(lines) - lines)[record] + within
        text = cells.take(pa.array(np.where(fits[record], position, 0), mask=~fits[record]))
    return {GROUND_TRUTH: pc.if_else(pc.equal(text, ""), None, text)}, unlike


def _any_cells(
    texts: pa.StringArray, encodings: pa.StringArray, counts: Counts
) -> tuple[dict[str, pa.Array], Counts]:
    rows: list[dict[str, Any]] = []
    unlike: list[int] = []
    labels = zip(texts.to_pylist(), encodings.to_pylist(), counts.tolist(), strict=True)
    for number, (text, encoding, count) in enumerate(labels):
        found: list[Row] | None = None
        with contextlib.suppress(ValueError):
            payload = parsed(*decode(text, encoding or "CSV", None))
            readings = map(payload.rows, _SHAPES if payload.values else ())
            found = next((read for read in readings if len(read) == count), None)
            found = found if payload.values else []
        if found is None:
            unlike.append(number)
        rows += map(_named_label, found or [{}] * count)
    batch = rows_to_batch(rows, text_only=True)
    columns = columns_of(batch).items()
    return {name: column.cast(pa.string()) for name, column in columns}, np.array(unlike, np.int64)


def _named_label(row: Row) -> dict[str, Any]:
    if isinstance(row, list) and len(row) == 1:
        return {GROUND_TRUTH: row[0]}
    cells = row if isinstance(row, dict) else dict(enumerate(row))
    return {f"{GROUND_TRUTH}.{name}": value for name, value in cells.items()}
