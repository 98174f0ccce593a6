"""Lines of JSON that differ in their texts only, as programs write them, read by the places of their quotes.

The first line is parsed. Where all that stands between the texts of a line is what stands there in the first,
byte by byte, the line says what the first one says, with other texts.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.errors import DatasetError
from readers.lanes import NotBulkError, require_alike

# Bytes that fit the processor's cache: lines of so many are compared at once.
_TOGETHER = 1 << 19
# Lines with more texts are left to a parser, and all of a block after so many parts more that are not alike.
_MOST_TEXTS, _MOST_UNLIKE = 200, 3
_QUOTE, _BACKSLASH, _BLANK = ord('"'), ord("\\"), ord(" ")
_UNESCAPED_QUOTE = re.compile(rb'(?<!\\)"')
# A private character, which `exact` passes on; and a byte that no line has.
_MARK, _HOLE = "\uf8ff", b"\0"

type _Exact = Callable[[bytes], Mapping[str, Any]]


def like_lines(
    data: bytes, schema: pa.Schema, exact: _Exact, whole: Callable[[pa.RecordBatch], pa.RecordBatch]
) -> Iterator[tuple[int, int, pa.RecordBatch | None]]:
    """Yield lines in parts, one after the other, each with what `schema` names of its records.

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
    Where a part begins and ends, and None where its lines have to be read otherwise.
    """
    pattern, start, unread, unlike = None, 0, 0, 0
    while start < len(data) and unlike <= _MOST_UNLIKE:
        end = data.find(b"\n", min(start + _TOGETHER, len(data) - 1)) + 1 or len(data)
        part, batch = data[start:end], None
        # By the pattern of the part before, or else by one of its own.
        for known in (pattern, None)[pattern is None :]:
            with contextlib.suppress(NotBulkError, DatasetError):
                pattern = known or _Pattern(part[: part.find(b"\n")], exact)
                batch = whole(pattern.read(part, schema))
                break
        if batch is None:
            unlike += 1
        else:
            unlike = max(0, unlike - 1)
            if unread < start:
                yield unread, start, None
            yield start, end, batch
            unread = end
        start = end
    if unread < len(data):
        yield unread, len(data), None


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
        self.values = [
            at for at in range(1, len(self.between) - 1, 2) if self.between[at + 1].lstrip()[:1] != b":"
        ]
        require_alike(self.values and len(self.between) <= _MOST_TEXTS, "it has other than some texts")
        marked = list(self.between)
        for at in self.values:
            marked[at] = f"{_MARK}{at}".encode()
        self.record = exact(b'"'.join(marked))
        self._vary(self.values[:1])

    def read(self, part: bytes, schema: pa.Schema) -> pa.RecordBatch:
        """Return the records of some lines.

        Raises
        ------
        NotBulkError
            When they differ in more than texts.
        """
        quotes = quote_places(part)
        # No control character but line ends may stand in JSON as it is written.
        rows = int(np.count_nonzero(np.frombuffer(part, np.uint8) < _BLANK))
        require_alike(len(quotes) == rows * (len(self.between) - 1), "lines have other texts")
        places = quotes.reshape(rows, -1)
        slices = _cut(part, places, self.varying)
        if not self._fits(part, slices):
            self._vary([at for at in self.values if not self._is_constant(at, part, places)])
            slices = _cut(part, places, self.varying)
            require_alike(self._fits(part, slices), "lines differ in more than texts")

        has_escapes = b"\\" in part
        columns = [
            self._members(one.type, self.record.get(one.name), slices, rows, has_escapes=has_escapes)
            for one in schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _members(
        self, kind: pa.DataType, value: Any, slices: pa.Array, rows: int, *, has_escapes: bool
    ) -> pa.Array:
        if value is None:
            return pa.nulls(rows, kind)
        if types.is_struct(kind):
            found = [
                self._members(one.type, value.get(one.name), slices, rows, has_escapes=has_escapes)
                for one in kind
            ]
            return pa.Array.from_buffers(kind, rows, [None], children=found)
        at = int(value[1:]) if value[:1] == _MARK and value[1:].isdecimal() else 0
        require_alike(at or _MARK not in value, "it has texts within a value that is no text")
        if at in self.varying:
            every = np.arange(2 * self.varying.index(at), len(slices), 2 * len(self.varying))
            column = slices.take(pa.array(every)).view(pa.string())
        else:
            text = self.between[at] if at else value.encode()
            column = pa.repeat(pa.scalar(text, pa.binary()), rows).view(pa.string())
        return pc.replace_substring(column, '\\"', '"') if has_escapes and at else column

    def _is_constant(self, at: int, part: bytes, places: npt.NDArray[np.intp]) -> bool:
        texts = _cut(part, places, [at]).take(pa.array(np.arange(0, 2 * len(places), 2)))
        return bool(pc.all(pc.equal(texts, self.between[at])).as_py())

    def _vary(self, varying: Sequence[int]) -> None:
        """Remember in which texts lines differ, and what stands around and between those."""
        self.varying = list(varying) or self.values[:1]
        holes = list(self.between)
        for at in self.varying:
            holes[at] = _HOLE
        self.first, *inner, last = b'"'.join(holes).split(_HOLE)
        self.last = last + b"\n"
        self.constants = pa.array(
            [None, *(c for text in inner for c in (text, None)), self.last + self.first]
        )
        self.expected = self.constants[:0]

    def _fits(self, part: bytes, slices: pa.Array) -> bool:
        """Return whether lines have what the pattern has around and between the texts that vary."""
        if len(self.expected) < len(slices):
            every = np.arange(len(slices) + 1) % len(self.constants)
            self.expected = self.constants.take(pa.array(every))
        alike = pc.all(pc.equal(slices, self.expected[: len(slices)]), min_count=0)
        return part.startswith(self.first) and part.endswith(self.last) and bool(alike.as_py())


def quote_places(data: bytes) -> npt.NDArray[np.int64]:
    """Return where texts begin and end in JSON that escapes nothing but quotes.

    Raises
    ------
    NotBulkError
        When it escapes more.
    """
    text = np.frombuffer(data, np.uint8)
    is_quote = text == _QUOTE
    if b"\\" in data:
        is_escaping = text == _BACKSLASH
        is_escaped = is_escaping[:-1] & is_quote[1:]
        is_quote[1:] ^= is_escaped
        require_alike(is_escaped.sum() == is_escaping.sum(), "it escapes other than quotes")
    return np.flatnonzero(is_quote)


def _cut(part: bytes, places: npt.NDArray[np.intp], texts: Sequence[int]) -> pa.BinaryArray:
    """Return some texts of each line, and after each what stands before the next of them."""
    edges = places[:, [place for at in texts for place in (at - 1, at)]].astype(np.int32, order="C")
    edges[:, ::2] += 1
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(part)]
    return pa.Array.from_buffers(pa.binary(), edges.size - 1, buffers)
