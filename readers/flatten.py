"""From nested to flat columns, of Arrow or of Python rows: the shapes and types that every reader hands on.

A struct becomes dotted names, a list numbered names (``name.0``), a map dotted keys. Dates and times
become ISO 8601 text (instants in UTC), decimals the nearest float64, or whole numbers where they have no
fraction, floats of 16 and 32 bits the decimals that they are the nearest of, durations seconds, UUIDs their
usual text, other binary values text where they are UTF-8 and else hexadecimal digits.
"""

import contextlib
import datetime
import decimal
import itertools
import json
import math
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset import notice
from contract.errors import DatasetError

_Columns = Iterator[tuple[str, pa.Array]]

_NUMBERS = (types.is_integer, types.is_float64, types.is_boolean)
_PLAIN = (*_NUMBERS, types.is_null, types.is_string, types.is_large_string)
_BINARY = (types.is_fixed_size_binary, types.is_binary_view, types.is_binary, types.is_large_binary)
# Digits behind the point of floats of 16 and 32 bits, and how many of these fit the processor's cache.
_DIGITS, _TOGETHER = 7, 1 << 14
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

    def flattened() -> Iterator[tuple[str, str, pa.Array]]:
        for field, array in zip(names, batch.columns, strict=True):
            try:
                yield from ((field, name, flat) for name, flat in _flatten(field, array))
            except RecursionError:
                raise too_deep(field) from None

    return batch_of(_by_name(flattened()), batch.num_rows, batch.schema.metadata)


def too_deep(name: str) -> DatasetError:
    """Return the error for a field whose values are nested deeper than `DEEPEST`."""
    return DatasetError.of("tables.too_deep", field=name[:40], deepest=DEEPEST)


def too_long(name: str, length: int) -> DatasetError:
    """Return the error for a field whose lists are longer than `LONGEST_LIST`."""
    return DatasetError.of("tables.too_long", field=name[:40], length=length, longest=LONGEST_LIST)


def _by_name(found: Iterable[tuple[str, str, pa.Array]]) -> dict[str, pa.Array]:
    """Return columns by name, given the field that each comes from; refuse two fields for one name."""
    columns: dict[str, pa.Array] = {}
    origins: dict[str, str] = {}
    for origin, name, column in found:
        if name in columns:
            told = {"first": origins[name], "second": origin}
            is_same = origins[name] == origin
            raise DatasetError.of("tables.twice" if is_same else "tables.clash", field=name, **told)
        columns[name], origins[name] = column, origin
    return columns


def columns_of(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Return the columns of a batch by their names."""
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def batch_of(
    columns: Mapping[str, pa.Array], rows: int, metadata: dict[bytes, bytes] | None = None
) -> pa.RecordBatch:
    """Return columns by name as a batch of so many rows, none of them too."""
    if not columns:
        # A batch without columns keeps its number of rows only when taken from a struct array.
        empty = pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        return empty.replace_schema_metadata(metadata)
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns), metadata=metadata)


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
    elif isinstance(array, pa.ExtensionArray) and not isinstance(kind, pa.UuidType):
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
    if types.is_floating(kind):
        return as_decimals(array)
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
    if any(is_one(kind) for is_one in _BINARY):
        return _binary_text(array.cast(pa.binary()))
    return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())


def _numbers(array: pa.Array) -> pa.Array:
    """Return decimals as int64 or uint64 where they have no fraction, else as the nearest float64."""
    for kind in (pa.int64(), pa.uint64()) if array.type.scale <= 0 else ():
        with contextlib.suppress(pa.ArrowInvalid):  # beyond 64 bits
            return array.cast(kind)
    # By way of text: Arrow's direct cast multiplies by 0.01, after which 4.60 is larger than 4.6.
    return array.cast(pa.string()).cast(pa.float64())


def as_decimals(array: pa.Array) -> pa.Array:
    """Return floats of 16 or 32 bits as decimals, such as 0.7, not 0.699999988, which is below it.

    Columns of other types stay as they are.
    """
    if not (types.is_float16(array.type) or types.is_float32(array.type)):
        return array
    narrow = array.to_numpy(zero_copy_only=False)
    found = narrow.astype(np.float64)
    with np.errstate(all="ignore"):
        for start in range(0, narrow.size, _TOGETHER):
            values, here = (every[start : start + _TOGETHER] for every in (narrow, found))
            wide, at = here.copy(), np.arange(values.size)
            for scale in 10.0 ** np.arange(_DIGITS, -1, -1):  # the fewest digits win
                rounded = np.rint(wide * scale) / scale
                fits = rounded.astype(narrow.dtype) == values[at]
                wide, at = wide[fits], at[fits]
                here[at] = rounded[fits]
    return pa.array(found, mask=np.asarray(array.is_null()))


def _without_zeros(text: pa.Array, unit: str) -> pa.Array:
    """Return times without zeros at the end of their fractions, which whole seconds do not have."""
    return text if unit == "s" else pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")


def _binary_text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if value is None else bytes_text(value) for value in array.to_pylist()])


def bytes_text(value: bytes) -> str:
    """Return the text when `value` is UTF-8, else its hexadecimal digits."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


# From Python rows to flat columns, by the same rules, for data that fits no bulk reader.


_OF_JSON = {str, int, float, bool, type(None), dict, list}
_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(text: str | bytes) -> Any:
    """Parse JSON as found in the wild: also ``NaN``, ``Infinity`` and lone surrogates, as Python writes them.

    Raises
    ------
    ValueError
        When it is no JSON at all, or no UTF-8.
    """
    known = -1
    try:
        value = orjson.loads(text)
        with contextlib.suppress(orjson.JSONEncodeError):  # nested deeply
            known = orjson.dumps(value).count(b":")
    except orjson.JSONDecodeError:
        try:
            value = _repaired(json.loads(text))
        except RecursionError:
            raise ValueError("nested too deeply") from None
    # Nearly always this says cheaply that no object names a member twice.
    if known != (text.count(":") if isinstance(text, str) else text.count(b":")):
        with contextlib.suppress(RecursionError):
            json.loads(text, object_pairs_hook=_note_repeated)
    return value


def _note_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        notice("reading.members", field=name[:40])
    return value


def json_text(value: Any) -> str:
    """Return a JSON value as compact text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def rows_to_batch(rows: Sequence[Mapping[str, Any]], *, text_only: bool = False) -> pa.RecordBatch:
    """Return rows as columns, in the order in which names are first seen.

    Parameters
    ----------
    rows
        Values are text, numbers, booleans, None, or nested mappings and lists, which are flattened.
    text_only
        Make every value text: integers in decimal digits, floats as Python writes them (``0.0`` stays
        ``0.0``), booleans ``true`` and ``false``.

    Returns
    -------
    A column is int64, float64, bool, string or null. Integers beside floats, or beyond 64 bits, make it
    float64; values of other kinds beside each other make it text.

    Raises
    ------
    DatasetError
        When two fields become one column, or a value cannot be represented.
    """

    def expanded() -> Iterator[tuple[str, str, pa.Array]]:
        for key, values in _by_key(rows).items():
            for raw_name, flat in _expand(key, values):
                name = without_surrogates(raw_name)
                yield key, name, column_of(name, flat, text_only=text_only)

    return batch_of(_by_name(expanded()), len(rows))


def _by_key(rows: Sequence[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        for key, value in (row or {}).items():
            column = columns.setdefault(key, [])
            column += [None] * (number - len(column))
            column.append(value)
    for column in columns.values():
        column += [None] * (len(rows) - len(column))
    return columns


def without_surrogates(text: str) -> str:
    """Return `text` with halves of surrogate pairs, which no UTF-8 text can hold, replaced."""
    return text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


@dataclass(frozen=True)
class _Alike:
    """Values with the same members, such as those at every position of a list.

    Members come in the order in which these values first show them, as in a struct of Arrow. Both properties
    are asked for once per position, and computed once.
    """

    values: list[Any]

    @cached_property
    def members(self) -> "dict[str, _Alike]":
        """Return what lies below each key."""
        mappings = [value for value in map(_simple, self.values) if isinstance(value, Mapping)]
        return {key: _Alike(children) for key, children in _by_key(mappings).items()}

    @cached_property
    def items(self) -> "_Alike":
        """Return what lies at any position."""
        lists = [value for value in map(_simple, self.values) if isinstance(value, list)]
        return _Alike([item for value in lists for item in value])


def _expand(
    name: str, values: list[Any], alike: _Alike | None = None, depth: int = 0
) -> Iterator[tuple[str, list[Any]]]:
    """Yield the flat columns of a field; without others that are alike, its values decide on the order."""
    if depth > DEEPEST:
        raise too_deep(name)
    if {type(value) for value in values} <= {str, int, float, bool, type(None)}:
        yield name, values
        return
    values = [_simple(value) for value in values]
    mappings = [value if isinstance(value, Mapping) else None for value in values]
    lists = [value if isinstance(value, list) else None for value in values]
    scalars = [None if isinstance(value, Mapping | list) else value for value in values]
    nested = any(value is not None for value in mappings + lists)
    if not nested or any(value is not None for value in scalars):
        yield name, scalars
    members = _by_key(mappings)
    shared = alike.members if alike and members else {}
    for key in filter(members.__contains__, shared or members):
        yield from _expand(f"{name}.{key}", members[key], shared.get(key), depth + 1)
    alike = alike or _Alike(values)
    longest = max((len(value) for value in lists if value is not None), default=0)
    if longest > LONGEST_LIST:
        raise too_long(name, longest)
    for position, children in enumerate(itertools.zip_longest(*(value or () for value in lists))):
        yield from _expand(f"{name}.{position}", list(children), alike.items, depth + 1)


def _simple(value: Any) -> Any:
    """Return what JSON could have held for values that only a script can make."""
    if type(value) in _OF_JSON:
        return value
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes | bytearray):
        return bytes_text(bytes(value))
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        # pandas.NaT is a datetime by class, means missing, and differs from itself.
        return value.isoformat() if value == value else None
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)  # in one order in every process
    if isinstance(value, tuple):
        return list(value)
    if type(value).__name__ == "NAType":  # pandas.NA, without importing pandas
        return None
    return value


def column_of(name: str, values: list[Any], *, text_only: bool = False) -> pa.Array:
    """Return one column of scalars by the rules of `rows_to_batch`; `name` is for the error.

    Raises
    ------
    DatasetError
        When a value is neither text, number, boolean nor None.
    """
    kinds = set(map(type, values)) - {type(None)}
    is_number = not text_only and kinds <= {int, float}
    if is_number or kinds <= {str} or (kinds == {bool} and not text_only):
        with contextlib.suppress(OverflowError, ValueError):  # integers beyond 64 bits, halves of surrogates
            return pa.array(values)
    if is_number:
        # By way of decimals those beyond the largest float are infinite.
        return pa.array([None if each is None else float(decimal.Decimal(each)) for each in values])
    texts = [scalar_text(name, value) for value in values]
    return pa.array([None if text is None else without_surrogates(text) for text in texts], pa.string())


def scalar_text(name: str, value: Any) -> str | None:
    """Return the canonical text of a scalar, None for None and NaN; `name` is for the error."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return None if math.isnan(value) else float.__repr__(value)
    raise DatasetError.of("tables.value", field=name, kind=type(value).__name__)


def _repaired(value: Any) -> Any:
    """Replace halves of surrogate pairs in every text."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value
