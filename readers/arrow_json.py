"""JSON as columns by Arrow's reader, without what that reader dies of or changes."""

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import json, types

from readers.flatten import DEEPEST
from readers.lanes import NotBulkError, pieces_of, require_alike

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
    found = dict(zip(batch.schema.names, batch.columns, strict=True))
    names = [name for name in fields.order if name in found]
    return pa.RecordBatch.from_arrays([_ordered(found[name], fields.order[name]) for name in names], names)


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


def _learn_order(members: Iterable[pa.Field], order: MemberOrder) -> None:
    for member in members:
        kind = member.type
        while types.is_list(kind):
            kind = kind.value_type
        below = order.setdefault(member.name, {})
        if types.is_struct(kind):
            _learn_order(kind, below)


def _ordered(array: pa.Array, order: MemberOrder) -> pa.Array:
    """Return an array whose members, at any depth, come in the order given: a second reading may mix them."""
    kind = array.type
    if not order or not types.is_nested(kind):
        return array
    mask = array.is_null() if array.null_count else None
    if types.is_list(kind):
        values = array.values
        items = _ordered(values, order)
        return array if items is values else pa.ListArray.from_arrays(array.offsets, items, mask=mask)
    names = sorted((member.name for member in kind), key=list(order).index)
    found = [array.field(name) for name in names]
    members = [_ordered(member, order[name]) for name, member in zip(names, found, strict=True)]
    if names == [member.name for member in kind] and all(map(operator.is_, members, found)):
        return array
    return pa.StructArray.from_arrays(members, names, mask=mask)


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
            told = [(name, text or known) for name, known, text in members if not types.is_null(known)]
            return pa.struct(told)
    return None


# Refusing JSON that Arrow's reader dies of, before it does.
#
# Arrow (seen in 26.0) ends the process when the first value of a block is ``null`` instead of an object,
# and when values are nested some thousand levels deep.


_NULL_FIRST = re.compile(rb"(?:\xef\xbb\xbf|[ \t\r\n])*+null")
_OPENING, _CLOSING, _NEWLINE = ord("{"), ord("}"), ord("\n")
# Sets the one bit in which a bracket differs from the brace of its kind.
_BRACE = 0x20


def refuse_deep_nesting(data: bytes | pa.Buffer) -> int:
    """Raise NotBulkError for values nested deeper than `DEEPEST`; brackets inside text count.

    Returns
    -------
    How many line ends there are.
    """
    both = ((piece, piece | _BRACE) for piece in pieces_of(data))
    found = (piece[(br == _OPENING) | (br == _CLOSING) | (piece == _NEWLINE)] for piece, br in both)
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
