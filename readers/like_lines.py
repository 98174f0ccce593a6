"""JSON as programs write it, read by the places of its quotes and brackets.

Lines that differ in their texts only: the first line is parsed. Where all that stands between the texts of a
line is what stands there in the first, byte by byte, the line says what the first one says, with other texts.

Objects with one list of cells, or of rows of them: brackets and commas say where cells begin and end, so that
those of one column are converted together. All else that they say is parsed.
"""

import contextlib
import copy
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.errors import DatasetError
from readers.lanes import Counts, NotBulkError, found_in, require_alike, text_buffer

# Bytes that fit the processor's cache: lines of so many are compared at once.
_TOGETHER = 1 << 20
# Lines with more texts are left to a parser, and all of a block after so many parts more that are not alike.
_MOST_TEXTS, _MOST_UNLIKE = 200, 3
# So many lines tell as a rule in which texts all differ.
_SOME = 50
_QUOTE, _BACKSLASH, _BLANK, _ZERO, _MINUS = b'"\\ 0-'
_OPEN, _CLOSE = b"[]"
_IS_MARK, _IS_BRACE, _IS_DIGIT = (
    np.bincount(list(marks), minlength=256) > 0 for marks in (b"[]{},", b"{}", b"0123456789")
)
# Of rows that differ in length, so many times as many cells as there are may be missing.
_MOST_MISSING = 4
_UNESCAPED_QUOTE = re.compile(rb'(?<!\\)"')
# A private character, which `exact` passes on; and a byte that no line has.
_MARK, _HOLE = "\uf8ff", b"\0"

type _Exact = Callable[[bytes], Mapping[str, Any]]
# Where some texts of each line begin and end, shape (lines, 2 * texts).
type _Edges = npt.NDArray[np.int32]


def like_lines(
    data: bytes, schema: pa.Schema, exact: _Exact, whole: Callable[[pa.RecordBatch], pa.RecordBatch]
) -> Iterator[tuple[int, int, pa.RecordBatch | None]]:
    """Yield lines in runs, one after the other, each with what `schema` names of its records.

    Parameters
    ----------
    data
        Whole lines.
    schema
        Members that are texts, or objects of them.
    exact
        Returns these members of one line; which texts the line has makes no difference to where they are.
    whole
        Raises `NotBulkError` where records do not have what they need, or text is not UTF-8.

    Yields
    ------
    Where a run begins and ends, and None where its lines have to be read otherwise.
    """
    start = 0
    for pattern, parts in itertools.groupby(_parts(data, exact), key=lambda part: part.pattern):
        every, batch = list(parts), None
        if pattern is not None:
            with contextlib.suppress(NotBulkError):
                batch = whole(pattern.records(data, np.concatenate([part.edges for part in every]), schema))
        yield start, every[-1].end, batch
        start = every[-1].end


class _Part(NamedTuple):
    """Some lines, the pattern that they have, and where the texts are in which they differ."""

    end: int
    pattern: "_Pattern | None" = None
    edges: _Edges = np.empty((0, 0), np.int32)


def _parts(data: bytes, exact: _Exact) -> Iterator[_Part]:
    pattern, start, unlike = None, 0, 0
    while start < len(data):
        end = data.find(b"\n", min(start + _TOGETHER, len(data) - 1)) + 1 or len(data)
        part = _Part(end)
        # By the pattern of the part before, or else by one of its own.
        for known in (pattern, None)[pattern is None :]:
            with contextlib.suppress(NotBulkError, DatasetError):
                found = known or _Pattern(data[start : data.find(b"\n", start)], exact)
                part = found.find(data, start, end)
                break
        pattern = part.pattern or pattern
        unlike = max(0, unlike - 1) if part.pattern else unlike + 1
        if unlike > _MOST_UNLIKE:
            part = _Part(len(data))
        yield part
        start = part.end


class _Pattern:
    """A line: what stands between its quotes, texts at odd places, and which of these its members are.

    Raises
    ------
    NotBulkError
        When it has no texts, or too many; and whatever `exact` raises.
    """

    def __init__(self, line: bytes, exact: _Exact) -> None:
        self.between = _UNESCAPED_QUOTE.split(line)
        # Texts that are no names.
        texts = range(1, len(self.between) - 1, 2)
        self.values = [at for at in texts if self.between[at + 1].lstrip()[:1] != b":"]
        require_alike(self.values and len(self.between) <= _MOST_TEXTS, "it has other than some texts")
        marked = list(self.between)
        for at in self.values:
            marked[at] = f"{_MARK}{at}".encode()
        self.record = exact(b'"'.join(marked))
        self._vary(self.values[:1])

    def find(self, data: bytes, start: int, end: int) -> _Part:
        """Return where the texts of some lines are, by this pattern or one that differs in more texts.

        Raises
        ------
        NotBulkError
            When lines differ in more than texts.
        """
        quotes = np.flatnonzero(_are_quotes(data, start, end))
        # No control character but line ends may stand in JSON as it is written.
        rows = int(np.count_nonzero(np.frombuffer(data, np.uint8)[start:end] < _BLANK))
        require_alike(len(quotes) == rows * (len(self.between) - 1), "lines have other texts")
        places, pattern = quotes.reshape(rows, -1), self
        for lines in (0, _SOME, rows):
            if lines:
                pattern = copy.copy(self)
                some = places[:lines]
                pattern._vary([at for at in self.values if not self._is_constant(at, data, start, some)])
            edges = _edges(start, places, pattern.varying)
            if pattern._fits(data, start, end, edges):
                return _Part(end, pattern, edges)
        raise NotBulkError("lines differ in more than texts")

    def records(self, data: bytes, edges: _Edges, schema: pa.Schema) -> pa.RecordBatch:
        """Return what `schema` names of some records."""
        slices = _cut(data, edges)
        columns = [self._members(one.type, self.record.get(one.name), slices, len(edges)) for one in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _members(self, kind: pa.DataType, value: Any, slices: pa.BinaryArray, rows: int) -> pa.Array:
        if value is None:
            return pa.nulls(rows, kind)
        if types.is_struct(kind):
            found = [self._members(one.type, value.get(one.name), slices, rows) for one in kind]
            return pa.Array.from_buffers(kind, rows, [None], children=found)
        at = int(value[1:]) if value[:1] == _MARK and value[1:].isdecimal() else 0
        require_alike(at or _MARK not in value, "it has texts within a value that is no text")
        if at not in self.varying:
            text = self.between[at].replace(b'\\"', b'"') if at else value.encode()
            return pa.repeat(pa.scalar(text, pa.binary()), rows).view(pa.string())
        every = np.arange(2 * self.varying.index(at), len(slices), 2 * len(self.varying))
        return _unescaped(slices.take(pa.array(every)).view(pa.string()))

    def _is_constant(self, at: int, data: bytes, start: int, places: npt.NDArray[np.intp]) -> bool:
        texts = _cut(data, _edges(start, places, [at])).take(pa.array(np.arange(0, 2 * len(places), 2)))
        return bool(pc.all(pc.equal(texts, self.between[at])).as_py())

    def _vary(self, varying: Sequence[int]) -> None:
        """Remember in which texts lines differ, and what stands around and between those."""
        self.varying = list(varying) or self.values[:1]
        holes = list(self.between)
        for at in self.varying:
            holes[at] = _HOLE
        self.first, *inner, last = b'"'.join(holes).split(_HOLE)
        self.last = last + b"\n"
        between = [constant for text in inner for constant in (text, None)]
        self.constants = pa.array([None, *between, self.last + self.first])
        self.expected = self.constants[:0]

    def _fits(self, data: bytes, start: int, end: int, edges: _Edges) -> bool:
        """Return whether lines have what the pattern has around and between the texts that vary."""
        slices = _cut(data, edges)
        if len(self.expected) < len(slices):
            every = np.arange(len(slices) + 1) % len(self.constants)
            self.expected = self.constants.take(pa.array(every))
        alike = pc.all(pc.equal(slices, self.expected[: len(slices)]), min_count=0)
        ends_fit = data.startswith(self.first, start) and data.endswith(self.last, start, end)
        return ends_fit and bool(alike.as_py())


def _are_quotes(data: bytes, start: int, end: int | None) -> npt.NDArray[np.bool]:
    """Return which bytes between two begin or end a text, in JSON that escapes nothing but quotes.

    Raises
    ------
    NotBulkError
        When it escapes more.
    """
    text = np.frombuffer(data, np.uint8)[start:end]
    is_quote: npt.NDArray[np.bool] = text == _QUOTE
    if data.find(b"\\", start, end) >= 0:
        is_escaping = text == _BACKSLASH
        is_escaped = is_escaping[:-1] & is_quote[1:]
        is_quote[1:] ^= is_escaped
        is_all = np.count_nonzero(is_escaped) == np.count_nonzero(is_escaping)
        require_alike(is_all, "it escapes other than quotes")
    return is_quote


def _edges(start: int, places: npt.NDArray[np.intp], texts: Sequence[int]) -> _Edges:
    """Return where some texts of each line begin and end, given where its quotes are, from `start` on."""
    edges = places[:, [place for at in texts for place in (at - 1, at)]].astype(np.int32, order="C")
    edges += np.array([start + 1, start] * len(texts), np.int32)
    return edges


def _cut(data: bytes, edges: npt.NDArray[np.signedinteger]) -> pa.BinaryArray:
    """Return the texts of each line, and after each what stands before the next of them."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(edges, np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), edges.size - 1, buffers)


def _unescaped(column: pa.StringArray) -> pa.StringArray:
    has_escapes = found_in(column.buffers()[2] or b"", b"\\")
    return pc.replace_substring(column, '\\"', '"') if has_escapes else column


class Lists(NamedTuple):
    """Objects with one list of cells, or of rows of them.

    Parameters
    ----------
    before, after
        What each object has around its list.
    counts
        How many rows each has.
    cells
        Those of all rows, by their place in the row.
    are_even
        Whether all rows are of one length.
    deep
        1 where the lists hold cells, and are all that the objects have of lists. 2 where they hold rows of
        cells, and are all that they have of such lists.
    """

    before: pa.StringArray
    after: pa.StringArray
    counts: Counts
    cells: list[pa.Array]
    are_even: bool
    deep: int


def cells_of_lists(data: pa.StringArray) -> Lists:
    """Return what JSON objects have in their one list of cells, and around it.

    Raises
    ------
    NotBulkError
        When some object is nothing of the kind, or cells in one place are of several kinds.
    """
    require_alike(len(data) and "[" in data[0].as_py(), "no list")
    whole = bytes(text_buffer(data))
    text = np.frombuffer(whole, np.uint8)
    is_quote = _are_quotes(whole, 0, None)
    places = np.flatnonzero(np.frombuffer(whole.translate(_IS_MARK.tobytes()), np.bool) | is_quote)
    is_quote = is_quote[places]
    quotes = places[is_quote]
    marks = places[~(is_quote | np.logical_xor.accumulate(is_quote))]
    kinds = text[marks]
    opens, closes = kinds == _OPEN, kinds == _CLOSE
    first, last, deep = opens, closes, 1
    if (opens[:-1] & opens[1:]).any():
        first, last, deep = opens & np.append(opens[1:], False), closes & np.append(False, closes[:-1]), 2
    is_lone = np.count_nonzero(first) == np.count_nonzero(last) == len(data)
    require_alike(is_lone and text.min() >= _BLANK, "not one list in each object")
    ends = np.cumsum(pc.binary_length(data).to_numpy(zero_copy_only=False))
    edges = np.stack([ends - np.diff(ends, prepend=0), marks[first] + 1, marks[last], ends], axis=1)
    within = np.cumsum(first.astype(np.int8) - last, dtype=np.int32) > 0
    is_flat = (np.diff(edges.ravel()) >= 0).all() and not (within & _IS_BRACE[kinds]).any()
    require_alike(is_flat, "not one list of cells in each object")
    depth = np.cumsum(np.where(within | last, opens.astype(np.int8) - closes, 0), dtype=np.int32)
    require_alike(depth.max() == deep, "a list within a row")
    if deep > 1:
        between = np.flatnonzero(depth == 1)
        gaps, follow = marks[between + 1] - marks[between], kinds[between + 1] == _OPEN
        fits = (gaps == 1) | ((gaps == 2) & (text[marks[between] + 1] == _BLANK))
        require_alike((fits & (follow == (kinds[between] != _CLOSE))).all(), "a list of more than rows")
    at = np.flatnonzero((depth == deep) & (kinds != _CLOSE))
    starts, stops, heads = marks[at] + 1, marks[at + 1], np.flatnonzero(opens[at])
    starts += text[starts] == _BLANK
    counts = np.diff(np.searchsorted(starts[heads], ends), prepend=0)
    texts = int(np.diff(np.searchsorted(quotes, edges[:, 1:3])).sum())
    cells = _cells(whole, starts, stops, heads, texts)
    slices = _cut(whole, edges).view(pa.string())
    before, after = (slices.take(pa.array(np.arange(at, len(slices), 4))) for at in (0, 2))
    return Lists(before, after, counts, cells, len(cells) * len(heads) == len(starts), deep)


def _cells(data: bytes, starts: Counts, stops: Counts, heads: Counts, quotes: int) -> list[pa.Array]:
    """Return cells by place, given where they are, the first ones of rows, and how many quotes they have."""
    text = np.frombuffer(data, np.uint8)
    first, last = text[starts], text[stops - 1]
    is_text, is_null = first == _QUOTE, first == ord("n")
    is_closed = (last == _QUOTE)[is_text].all() and quotes == 2 * np.count_nonzero(is_text)
    # Arrow would read 007, 0x1F, +1, .5 and 1. too.
    digits = starts + (first == _MINUS)
    lead = text[digits]
    fits = (_IS_DIGIT[lead] & _IS_DIGIT[last]) == (_IS_DIGIT[first] | (first == _MINUS))
    follow = text[digits[lead == _ZERO] + 1]
    is_odd = np.count_nonzero(_IS_DIGIT[follow] | (follow == ord("x")) | (follow == ord("X")))
    require_alike(is_closed and not is_odd and fits.all(), "cells that are no JSON")
    edges = np.stack([starts + is_text, stops - is_text], axis=1, dtype=np.int32, casting="unsafe")
    slices = _cut(data, edges).view(pa.string())
    nulls = slices.take(pa.array(2 * np.flatnonzero(is_null)))
    require_alike(pc.all(pc.equal(nulls, "null"), min_count=0).as_py(), "cells that are no JSON")
    lengths = np.diff(heads, append=len(starts))
    width = int(lengths.max())
    require_alike(width * len(heads) <= _MOST_MISSING * len(starts), "rows that differ much in length")
    columns = []
    for place in range(width):
        lacks = lengths <= place
        here = np.where(lacks, 0, heads + place)
        lacks |= is_null[here]
        kinds = np.flatnonzero(np.bincount(first[here[~lacks]], minlength=1))
        columns.append(_typed(slices.take(pa.array(2 * here, mask=lacks)), bytes(kinds.astype(np.uint8))))
    return columns


def _typed(column: pa.StringArray, first: bytes) -> pa.Array:
    """Return cells of one kind, given as JSON, by the characters that they begin with."""
    if not first:
        return pa.nulls(len(column))
    if first == b'"':
        return _unescaped(column)
    if not first.strip(b"ft"):
        is_true, is_false = pc.equal(column, "true"), pc.equal(column, "false")
        require_alike(pc.all(pc.or_(is_true, is_false)).as_py(), "cells that are no JSON")
        return is_true
    data = bytes(column.buffers()[2])
    marks = found_in(data, b".eE")
    is_odd = b"." in marks and len(marks) > 1 and re.search(rb"\.[eE]", data)
    require_alike(not first.strip(b"-0123456789") and not is_odd, "cells of several kinds")
    try:
        found = column.cast(pa.float64() if marks else pa.int64())
    except pa.ArrowInvalid as error:
        raise NotBulkError(str(error)) from error
    require_alike(not pc.any(pc.is_inf(found)).as_py(), "a number is too large")
    return found
