"""From Python rows to flat columns, by the rules of `flatten`, for data that fits no bulk reader."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from contract.errors import DatasetError
from contract.reading import notice
from readers.flatten import DEEPEST, LONGEST_LIST, batch_of, bytes_text, name_clash, too_deep, too_long

_INT64 = range(-(2**63), 2**63)
_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(text: str | bytes) -> Any:
    """Parse JSON as found in the wild: also ``NaN``, ``Infinity`` and lone surrogates, as Python writes them.

    Raises
    ------
    ValueError
        When it is no JSON at all, or no UTF-8.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            value = _repaired(json.loads(text))
        except RecursionError:
            raise ValueError("nested too deeply") from None
    # Nearly always this says cheaply that no object names a member twice.
    members = text.count('":') if isinstance(text, str) else text.count(b'":')
    if members != _members(value):
        json.loads(text, object_pairs_hook=_note_repeated)
    return value


def _members(value: Any) -> int:
    """Return how many members all objects in a JSON value have."""
    waiting = [value]
    for each in waiting:
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return sum(len(each) for each in waiting if isinstance(each, dict))


def _note_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        notice("reading.members", field=name[:40])
    return value


def json_text(value: Any) -> str:
    """Return a JSON value as compact text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def rows_to_batch(
    rows: Sequence[Mapping[str, Any]], *, text_only: bool = False, metadata: dict[bytes, bytes] | None = None
) -> pa.RecordBatch:
    """Return rows as columns, in the order in which names are first seen.

    Parameters
    ----------
    rows
        Values are text, numbers, booleans, None, or nested mappings and lists, which are flattened.
    text_only
        Make every value text: integers in decimal digits, floats as Python writes them (``0.0`` stays
        ``0.0``), booleans ``true`` and ``false``.
    metadata
        Metadata for the schema.

    Returns
    -------
    A column is int64, float64, bool, string or null. Integers beside floats, or beyond 64 bits, make it
    float64; values of other kinds beside each other make it text.

    Raises
    ------
    DatasetError
        When two fields become one column, or a value cannot be represented.
    """
    columns: dict[str, pa.Array] = {}
    origins: dict[str, str] = {}
    for key, values in _by_key(rows).items():
        for raw_name, flat in _expand(key, values):
            name = without_surrogates(raw_name)
            if name in columns:
                raise name_clash(name, origins[name], key)
            columns[name] = column_of(name, flat, text_only=text_only)
            origins[name] = key
    return batch_of(columns, len(rows), metadata)


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
    def members(self) -> dict[str, _Alike]:
        """Return what lies below each key."""
        mappings = [value for value in map(_simple, self.values) if isinstance(value, Mapping)]
        return {key: _Alike(children) for key, children in _by_key(mappings).items()}

    @cached_property
    def items(self) -> _Alike:
        """Return what lies at any position."""
        lists = [value for value in map(_simple, self.values) if isinstance(value, list)]
        return _Alike([item for value in lists for item in value])


def _expand(
    name: str, values: list[Any], alike: _Alike | None = None, depth: int = 0
) -> Iterator[tuple[str, list[Any]]]:
    """Yield the flat columns of a field; without others that are alike, its values decide on the order."""
    if depth > DEEPEST:
        raise too_deep(name)
    kinds = {type(value) for value in values}
    if kinds <= {str, int, float, bool, type(None)}:
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
    for position in range(longest):
        children = [
            value[position] if value is not None and len(value) > position else None for value in lists
        ]
        yield from _expand(f"{name}.{position}", children, alike.items, depth + 1)


def _simple(value: Any) -> Any:
    """Return what JSON could have held for values that only a script can make."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes | bytearray):
        return bytes_text(bytes(value))
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.date | datetime.time):
        # pandas.NaT is a datetime by class, means missing, and differs from itself.
        return value.isoformat() if value == value else None
    if isinstance(value, tuple | set | frozenset):
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
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {str}:
        return _text_array(values)
    if not text_only:
        if kinds == {bool}:
            return pa.array(values, pa.bool_())
        if kinds == {int} and all(value is None or value in _INT64 for value in values):
            return pa.array(values, pa.int64())
        if kinds <= {int, float}:
            return pa.array([None if value is None else _float(value) for value in values], pa.float64())
    return _text_array([scalar_text(name, value) for value in values])


def _text_array(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([None if text is None else without_surrogates(text) for text in values], pa.string())


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


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
