"""JSON as columns by Arrow's reader, without what that reader dies of or changes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import json, types

from readers.flatten import DEEPEST
from readers.lanes import NotBulkError, require_alike

# Members by name, in the order in which they are first seen, and those below each.
MemberOrder = dict[str, Any]


@dataclass
class JsonFields:
    """What earlier blocks taught about the fields: their order, and which ones only look like times.

    `line_ends` are those of the last block.
    """

    order: MemberOrder = field(default_factory=dict)
    text: dict[str, pa.DataType] = field(default_factory=dict)
    line_ends: int = 0


def parse_json(data: bytes | pa.Buffer, fields: JsonFields) -> pa.RecordBatch:
    """Parse JSON objects, one after the other, into columns in the order in which fields are first seen.

    Text that looks like a time stays text.

    Parameters
    ----------
    fields
        What is known of the fields; updated.

    Raises
    ------
    NotBulkError
        When one is no object, a field has values of several kinds, or an object names it twice.
    """
    fields.line_ends = refuse_deep_nesting(data)
    batch = read_json(data, pa.schema(list(fields.text.items())))
    _learn_order(batch.schema, fields.order)
    times = {column.name: as_text for column in batch.schema if (as_text := _text_for_times(column.type))}
    if times:
        fields.text |= times
        batch = read_json(data, pa.schema(list(fields.text.items())))
    found = pa.struct(list(batch.schema))
    kind = _ordered(found, fields.order)
    return batch if kind == found else pa.RecordBatch.from_struct_array(batch.to_struct_array().cast(kind))


def read_json(data: bytes | pa.Buffer, schema: pa.Schema, others: str = "infer") -> pa.RecordBatch:
    """Read JSON objects, one after the other.

    Raises
    ------
    NotBulkError
        When they are malformed or do not fit into columns.
    """
    try:
        require_alike(not _NULL_FIRST.match(data), "the first line is null")
        buffer = pa.py_buffer(data)
        table = json.read_json(
            pa.BufferReader(buffer),
            # One block, so that no object straddles two.
            read_options=json.ReadOptions(use_threads=False, block_size=buffer.size + 1),
            parse_options=json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others),
        )
        [batch] = table.combine_chunks().to_batches()
        # Arrow (seen in 26.0) loses nulls at the beginning of a column's first list.
        batch.validate()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise NotBulkError(str(error)) from error
    return batch


def text_buffer(array: pa.StringArray) -> pa.Buffer:
    """Return the texts of an array, one after the other."""
    _, offsets, data = array.buffers()
    if len(array) == 0 or data is None:
        return pa.py_buffer(b"")
    edges = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return data.slice(int(edges[0]), int(edges[-1] - edges[0]))


def _learn_order(members: Iterable[pa.Field], order: MemberOrder) -> None:
    for member in members:
        kind = member.type
        while types.is_list(kind):
            kind = kind.value_type
        below = order.setdefault(member.name, {})
        if types.is_struct(kind):
            _learn_order(kind, below)


def _ordered(kind: pa.DataType, order: MemberOrder) -> pa.DataType:
    """Return a type whose members, at any depth, come in the order given: a second reading may mix them."""
    if types.is_list(kind):
        return pa.list_(_ordered(kind.value_type, order))
    if not types.is_struct(kind):
        return kind
    members = {member.name: member.type for member in kind}
    return pa.struct([(name, _ordered(members[name], order[name])) for name in order if name in members])


def _text_for_times(kind: pa.DataType) -> pa.DataType | None:
    """Return the type with text in place of times, None when there is no time in it."""
    if types.is_temporal(kind):
        return pa.string()
    if types.is_list(kind):
        element = _text_for_times(kind.value_type)
        return None if element is None else pa.list_(element)
    if types.is_struct(kind):
        members = [(member.name, member.type, _text_for_times(member.type)) for member in kind]
        if any(as_text is not None for _, _, as_text in members):
            # A member that was always null may yet become anything, so it is not fixed.
            return pa.struct(
                [(name, text or known) for name, known, text in members if not types.is_null(known)]
            )
    return None


# Refusing JSON that Arrow's reader dies of, before it does.
#
# Arrow (seen in 26.0) ends the process when the first value of a block is ``null`` instead of an object,
# and when values are nested some thousand levels deep.


_NULL_FIRST = re.compile(rb"(?:\xef\xbb\xbf|[ \t\r\n])*+null")
_OPENING, _CLOSING, _NEWLINE = ord("{"), ord("}"), ord("\n")
# Sets the one bit in which a bracket differs from the brace of its kind.
_BRACE = 0x20
_PIECE = 1 << 17


def refuse_deep_nesting(data: bytes | pa.Buffer) -> int:
    """Raise NotBulkError for values nested deeper than `DEEPEST`; brackets inside text count.

    Returns
    -------
    How many line ends there are.
    """
    found = (
        piece[((braces := piece | _BRACE) == _OPENING) | (braces == _CLOSING) | (piece == _NEWLINE)]
        for piece in _pieces(data)
    )
    marks = np.concatenate([np.zeros(0, np.uint8), *found])
    newlines = marks == _NEWLINE
    ends = np.flatnonzero(newlines)
    if np.diff(ends, prepend=-1, append=len(marks)).max() > DEEPEST:
        braces = marks | _BRACE
        depth = np.cumsum((braces == _OPENING).astype(np.int32) - (braces == _CLOSING))
        last_newline = np.maximum.accumulate(np.where(newlines, np.arange(len(marks)), -1))
        outside = np.where(last_newline >= 0, depth[last_newline], 0)
        require_alike((depth - outside).max(initial=0) <= DEEPEST, f"nested more than {DEEPEST} levels deep")
    return len(ends)


def line_ends(data: bytes) -> int:
    """Return how many line ends there are, several times as fast as ``bytes.count``."""
    return sum(int(np.count_nonzero(piece == _NEWLINE)) for piece in _pieces(data))


def found_in(text: bytes | pa.Buffer, marks: bytes) -> set[bytes]:
    """Return which of some single bytes are in a text; a copy of all of it would take new memory."""
    pieces = [text] if isinstance(text, bytes) else map(bytes, _pieces(text))
    return {mark for piece in pieces for mark in (b"%c" % each for each in marks) if mark in piece}


def _pieces(data: bytes | pa.Buffer) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield bytes in pieces that fit the processor's cache."""
    text = np.frombuffer(data, dtype=np.uint8)
    return (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
