"""From nested to flat columns: the shapes and types that every reader hands on.

A struct becomes dotted names, a list numbered names (``name.0``), a map dotted keys. Dates and times
become ISO 8601 text (instants in UTC), decimals the nearest float64, or int64 where they have no fraction,
durations seconds, binary values text where they are UTF-8 and else hexadecimal digits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.errors import DatasetError

_Columns = Iterator[tuple[str, pa.Array]]

_NUMBERS = (types.is_integer, types.is_floating, types.is_boolean)
_PLAIN = (*_NUMBERS, types.is_null, types.is_string, types.is_large_string)
# Deeper values are damage or an attack, and would exhaust the stack.
DEEPEST = 100
# Longer lists would become more columns than anyone looks at.
LONGEST_LIST = 10_000


def flatten_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with flat columns of numbers, booleans, nulls and text only.

    Parameters
    ----------
    batch
        Columns of any Arrow type.

    Returns
    -------
    The same rows. Lists of different lengths are padded with nulls up to the longest of the batch.
    The metadata of the schema is kept.

    Raises
    ------
    DatasetError
        When two columns get the same name; names both.
    """
    names = batch.schema.names
    if all(map(_is_plain, batch.schema.types)) and len(set(names)) == len(names):
        return batch
    columns: dict[str, pa.Array] = {}
    origins: dict[str, str] = {}
    for field, array in zip(batch.schema, batch.columns, strict=True):
        try:
            flattened = list(_flatten(field.name, array))
        except RecursionError:
            raise too_deep(field.name) from None
        for name, flat in flattened:
            if name in columns:
                raise name_clash(name, origins[name], field.name)
            columns[name] = flat
            origins[name] = field.name
    return batch_of(columns, batch.num_rows, batch.schema.metadata)


def name_clash(name: str, first: str, second: str) -> DatasetError:
    """Return the error for two fields that would become one column."""
    if first == second:
        return DatasetError.of("tables.twice", field=name)
    return DatasetError.of("tables.clash", field=name, first=first, second=second)


def too_deep(name: str) -> DatasetError:
    """Return the error for a field whose values are nested deeper than `DEEPEST`."""
    return DatasetError.of("tables.too_deep", field=name[:40], deepest=DEEPEST)


def too_long(name: str, length: int) -> DatasetError:
    """Return the error for a field whose lists are longer than `LONGEST_LIST`."""
    return DatasetError.of("tables.too_long", field=name[:40], length=length, longest=LONGEST_LIST)


def columns_of(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Return the columns of a batch by their names."""
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def batch_of(
    columns: Mapping[str, pa.Array], rows: int, metadata: dict[bytes, bytes] | None = None
) -> pa.RecordBatch:
    """Return columns by name as a batch of so many rows, none of them too."""
    if not columns:
        return without_columns(rows, metadata)
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns), metadata=metadata)


def without_columns(rows: int, metadata: dict[bytes, bytes] | None = None) -> pa.RecordBatch:
    """Return rows without columns."""
    # A batch without columns keeps its number of rows only when taken from a struct array.
    empty = pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
    return empty.replace_schema_metadata(metadata)


def _is_plain(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return bool(types.is_string(kind.value_type) and types.is_signed_integer(kind.index_type))
    return any(is_one(kind) for is_one in _PLAIN)


def _flatten(name: str, array: pa.Array) -> _Columns:
    kind = array.type
    if _is_plain(kind):
        yield name, array
    elif types.is_struct(kind):
        # StructArray.flatten gives the children the nulls of their parent.
        for field, child in zip(kind, array.flatten(), strict=True):
            yield from _flatten(f"{name}.{field.name}", child)
    elif types.is_map(kind):
        yield from _flatten_map(name, array)
    elif types.is_dictionary(kind):
        value = kind.value_type
        if types.is_string(value) or types.is_large_string(value) or types.is_string_view(value):
            yield name, array.cast(pa.dictionary(pa.int32(), pa.string()))
        else:
            yield from _flatten(name, array.dictionary_decode())
    elif types.is_run_end_encoded(kind):
        yield from _flatten(name, pc.run_end_decode(array))
    elif types.is_nested(kind) and not types.is_union(kind):
        yield from _flatten_list(name, array)
    elif isinstance(array, pa.ExtensionArray):
        yield from _flatten(name, array.storage)
    else:
        yield name, _as_plain(array)


def _flatten_list(name: str, array: pa.Array) -> _Columns:
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    # list_flatten skips null lists and honours slices, so element i of a row is at its start plus i.
    values = pc.list_flatten(array)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    longest = int(lengths.max(initial=0))
    if longest > LONGEST_LIST:
        raise too_long(name, longest)
    for position in range(longest):
        elements = values.take(pa.array(starts + position, mask=lengths <= position))
        yield from _flatten(f"{name}.{position}", elements)


def _flatten_map(name: str, array: pa.Array) -> _Columns:
    entries = array.cast(pa.list_(pa.struct([("key", pa.string()), ("value", array.type.item_type)])))
    flat = pc.list_flatten(entries)
    rows = pc.list_parent_indices(entries).to_numpy(zero_copy_only=False)
    keys, items = flat.flatten()
    encoded = keys.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    for code, key in enumerate(encoded.dictionary.to_pylist()):
        positions = np.flatnonzero(codes == code)
        where = np.full(len(array), -1, np.int64)
        where[rows[positions]] = positions
        yield from _flatten(f"{name}.{key}", items.take(pa.array(where, mask=where < 0)))


def _as_plain(array: pa.Array) -> pa.Array:
    kind = array.type
    if types.is_decimal(kind):
        return _numbers(array)
    if types.is_timestamp(kind):
        # Without its time zone an instant reads as UTC; so no time zone database is needed.
        text = pc.strftime(array.cast(pa.timestamp(kind.unit)), "%Y-%m-%dT%H:%M:%S")
        text = _without_zeros(text, kind.unit)
        return text if kind.tz is None else pc.binary_join_element_wise(text, "Z", "")
    if types.is_time(kind):
        return _without_zeros(array.cast(pa.string()), kind.unit)
    if types.is_date(kind) or types.is_string_view(kind):
        return array.cast(pa.string())
    if types.is_duration(kind):
        ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return pc.divide(array.cast(pa.int64()).cast(pa.float64(), safe=False), float(ticks))
    if types.is_fixed_size_binary(kind) or types.is_binary_view(kind):
        return _binary_text(array.cast(pa.binary()))
    if types.is_binary(kind) or types.is_large_binary(kind):
        return _binary_text(array)
    return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())


def _numbers(array: pa.Array) -> pa.Array:
    """Return decimals as int64 where they have no fraction, else as the nearest float64."""
    if array.type.scale <= 0:
        with contextlib.suppress(pa.ArrowInvalid):  # beyond 64 bits
            return array.cast(pa.int64())
    # By way of text: Arrow's direct cast multiplies by 0.01, after which 4.60 is larger than 4.6.
    return array.cast(pa.string()).cast(pa.float64())


def _without_zeros(text: pa.Array, unit: str) -> pa.Array:
    """Return times without zeros at the end of their fractions, which whole seconds do not have."""
    return text if unit == "s" else pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")


def _binary_text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.large_string() if types.is_large_binary(array.type) else pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if value is None else bytes_text(value) for value in array.to_pylist()])


def bytes_text(value: bytes) -> str:
    """Return the text when `value` is UTF-8, else its hexadecimal digits."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
