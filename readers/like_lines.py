"""Lines of JSON that differ in their texts only, as programs write them, read by the places of their quotes.

The first line is parsed. Where all that stands between the texts of a line is what stands there in the first,
byte by byte, the line says what the first one says, with other texts.
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
from readers.lanes import NotBulkError, found_in, require_alike

# Bytes that fit the processor's cache: lines of so many are compared at once.
_TOGETHER = 1 << 20
# Lines with more texts are left to a parser, and all of a block after so many parts more that are not alike.
_MOST_TEXTS, _MOST_UNLIKE = 200, 3
# So many lines tell as a rule in which texts all differ.
_SOME = 50
_QUOTE, _BACKSLASH, _BLANK = ord('"'), ord("\\"), ord(" ")
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
        quotes = quote_places(data, start, end)
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
        column = slices.take(pa.array(every)).view(pa.string())
        has_escapes = found_in(column.buffers()[2] or b"", b"\\")
        return pc.replace_substring(column, '\\"', '"') if has_escapes else column

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


def quote_places(data: bytes, start: int = 0, end: int | None = None) -> npt.NDArray[np.int64]:
    """Return where texts begin and end, counted from `start`, in JSON that escapes nothing but quotes.

    Raises
    ------
    NotBulkError
        When it escapes more.
    """
    text = np.frombuffer(data, np.uint8)[start:end]
    is_quote = text == _QUOTE
    if data.find(b"\\", start, end) >= 0:
        is_escaping = text == _BACKSLASH
        is_escaped = is_escaping[:-1] & is_quote[1:]
        is_quote[1:] ^= is_escaped
        require_alike(is_escaped.sum() == is_escaping.sum(), "it escapes other than quotes")
    return np.flatnonzero(is_quote)


def _edges(start: int, places: npt.NDArray[np.intp], texts: Sequence[int]) -> _Edges:
    """Return where some texts of each line begin and end, given where its quotes are, from `start` on."""
    edges = places[:, [place for at in texts for place in (at - 1, at)]].astype(np.int32, order="C")
    edges += np.array([start + 1, start] * len(texts), np.int32)
    return edges


def _cut(data: bytes, edges: _Edges) -> pa.BinaryArray:
    """Return the texts of each line, and after each what stands before the next of them."""
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), edges.size - 1, buffers)
