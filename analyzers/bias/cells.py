"""Cells of record batches as codes of distinct values, whatever type the reader gave them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analyzers.bias.request import Value
from analyzers.shared.rules import normalise_label

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Kind = Literal["bool", "integer", "float", "text", "category"]

# Integers that span fewer values than this are their own codes; others are hashed.
_SPAN = 512
# Beyond this, floats no longer hold every integer.
_EXACT = 2.0**53
_MISSING_TEXTS = frozenset(("", "na", "nan", "none", "null"))


@dataclass(frozen=True)
class Cells:
    """A column of a batch: code 0 is a missing cell, code i + 1 stands for ``values[i]``.

    Not every value needs to occur; codes need not be in order of appearance. Of a collapsed column `codes`
    are the places of its cells, and `values` is None.
    """

    codes: Codes
    values: Sequence[Value] | None

    @property
    def size(self) -> int:
        """Return how many codes there are at most."""
        return int(self.codes.max(initial=0)) + 1 if self.values is None else len(self.values) + 1


def kind_of(value: Value) -> Kind:
    """Return which kind of cell a value is."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "integer"
    return "float" if isinstance(value, float) else "text"


def as_number(value: Value) -> float | None:
    """Return a value as a number, None for what is none, or none that a float can hold."""
    if isinstance(value, str) and "_" in value:
        return None  # Python would read 1_000 as a number
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def normalise(value: Value) -> str:
    """Return the text under which equal values of whatever type are the same.

    `` 1``, ``1``, ``1.0`` and ``true`` are all ``1``; texts with leading zeros are codes, not numbers.
    """
    if isinstance(value, bool):
        return "1" if value else "0"
    text = normalise_label(repr(value) if isinstance(value, float) else str(value))
    return {"true": "1", "false": "0"}.get(text, text)


class Buffers:
    """Arrays of codes that are used again for every batch: fresh memory costs more than the work in it."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, ...], Codes] = {}

    def array(self, use: tuple[str, ...], size: int) -> Codes:
        """Return the array for a use, `size` long, with whatever it held before."""
        known = self._arrays.get(use)
        if known is None or known.size < size:
            known = self._arrays[use] = np.empty(size, dtype=np.int64)
        return known[:size]


def encode(array: pa.Array, out: Codes | None = None) -> Cells:
    """Return a column as codes.

    Parameters
    ----------
    array
        Any type a reader yields; NaN counts as missing.
    out
        Where codes may be written, as long as the column.
    """
    kind = array.type
    if pa.types.is_null(kind):
        return Cells(np.zeros(len(array), dtype=np.int64), ())
    if pa.types.is_boolean(kind):
        return Cells(_plus_one(array.cast(pa.int8()), out), (False, True))
    if pa.types.is_integer(kind):
        return _encode_integers(array, out)
    if pa.types.is_floating(kind):
        return _encode_floats(array)
    return _hashed(array, out)


def _plus_one(array: pa.Array, out: Codes | None) -> Codes:
    """Return integers plus one, 0 for null."""
    filled = array.fill_null(-1) if array.null_count else array
    numbers = filled.to_numpy(zero_copy_only=False)
    codes: Codes = np.add(numbers, 1, out=out, dtype=np.int64)
    return codes


def _encode_integers(array: pa.Array, out: Codes | None) -> Cells:
    bounds = pc.min_max(array)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is None or high - low >= _SPAN:
        return _hashed(array, out)
    if high >= 2**63:
        # Taking off the least first keeps unsigned 64-bit integers exact.
        array = pc.subtract(array, pa.scalar(low, array.type))
        return Cells(_plus_one(array.cast(pa.int64()), out), range(low, high + 1))
    whole = array.cast(pa.int64())
    if whole.null_count:
        return Cells(_plus_one(pc.subtract(whole, low), out), range(low, high + 1))
    return Cells(np.subtract(whole.to_numpy(), low - 1, out=out), range(low, high + 1))


def _encode_floats(array: pa.Array) -> Cells:
    numbers = floats(array)
    present = ~np.isnan(numbers)
    known = numbers if present.all() else numbers[present]
    if _all_integral(known[:64]) and _all_integral(known):
        low, high = float(known.min()), float(known.max())
        if high - low < _SPAN and max(abs(low), abs(high)) < _EXACT:
            codes = np.zeros(numbers.size, dtype=np.int64)
            codes[present] = (known - low).astype(np.int64) + 1
            return Cells(codes, [low + step for step in range(int(high - low) + 1)])
    return _hashed(pa.array(numbers, from_pandas=True))


def _all_integral(numbers: Floats) -> bool:
    return bool(numbers.size) and bool((numbers == np.floor(numbers)).all() and np.isfinite(numbers).all())


def _hashed(array: pa.Array, out: Codes | None = None) -> Cells:
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    indices, values = encoded.indices, encoded.dictionary.to_pylist()
    codes = _plus_one(indices, out)
    if None in values or len(set(values)) < len(values):
        # A dictionary may hold null or the same text twice; each value has one code here.
        places: dict[Value, int] = {}
        lookup = [0 if v is None else places.setdefault(v, len(places) + 1) for v in values]
        return Cells(np.array([0, *lookup], dtype=np.int64)[codes], list(places))
    return Cells(codes, values)


def floats(array: pa.Array) -> Floats:
    """Return numbers or booleans as float64, NaN where missing."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    array = array.cast(pa.float64(), safe=False)
    filled = array.fill_null(math.nan) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def numbers_of(array: pa.Array) -> Floats | None:
    """Return any column as float64, None when it holds text that is not a number."""
    if pa.types.is_null(array.type):
        return np.full(len(array), math.nan)
    if not is_textual(array.type):
        return floats(array)
    cells = _hashed(array)
    table = np.full(cells.size, math.nan)
    for code, text in enumerate(cells.values or (), start=1):
        if str(text).strip().lower() in _MISSING_TEXTS:
            continue
        number = as_number(text)
        if number is None:
            return None
        table[code] = number
    return np.asarray(table[cells.codes])


def is_textual(kind: pa.DataType) -> bool:
    """Return whether cells of a type are text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
