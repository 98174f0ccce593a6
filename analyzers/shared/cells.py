"""Cells of a column as codes of values, as labels and as numbers: one rule, whatever type the reader gave."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.wording import listing

Value = bool | int | float | str
Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

# Integers that span fewer values than this are their own codes; others are hashed.
_SPAN = 512
# Beyond this, floats no longer hold every integer.
_EXACT = 2.0**53

# Texts that stand for no number, in small letters.
_NO_NUMBER = frozenset(("", "na", "nan", "none", "null"))
# ``NA`` is a label that people use.
NO_LABEL = _NO_NUMBER - {"na"}
_BOOLEANS = {"true": 1.0, "false": 0.0}
# Texts that are the same number are the same label; those with leading zeros are codes, not numbers.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)


class Coded(NamedTuple):
    """A column of a batch: code 0 is a missing cell, code i + 1 stands for ``values[i]``.

    Not every value needs to occur; codes need not be in order of appearance.
    """

    codes: Codes
    values: Sequence[Value]

    @property
    def size(self) -> int:
        """Return how many codes there are at most."""
        return len(self.values) + 1


class Numbers(NamedTuple):
    """A column of numbers, NaN where there is none; `unusable` cells hold other text, such as `example`."""

    values: Floats
    unusable: int = 0
    example: str = ""


def label_of(value: Value, *, binary: bool = True) -> str:
    """Return the text under which equal values of whatever type are the same.

    `` 1``, ``1``, ``1.0`` and ``1e0`` are all ``1``; texts with leading zeros are codes, not numbers.
    Surrounding blanks go, numbers take their shortest form, ``True`` and ``FALSE`` become lower case, or 1
    and 0 where `binary` says that they stand for these.
    """
    text = str(value).strip()
    if isinstance(value, float) or (_NUMBER.fullmatch(text) and not text.lstrip("+-").isdigit()):
        number = float(value)
        text = str(int(number)) if number.is_integer() and abs(number) < _EXACT else repr(number)
    elif _NUMBER.fullmatch(text):
        text = "0" if text == "-0" else text.removeprefix("+")
    elif (lower := text.lower()) in _BOOLEANS:
        text = f"{_BOOLEANS[lower]:g}" if binary else lower
    return text


def changed_labels(before: Iterable[str] | None, now: Iterable[str] | None) -> dict[str, str] | None:
    """Return which labels are `gone` and which `new`, as text; None unless there are both."""
    then, found = ({label_of(name) for name in names or ()} for names in (before, now))
    if not then or not found or then <= found or found <= then:
        return None
    return {"gone": listing(sorted(then - found)), "new": listing(sorted(found - then))}


def read_labels(array: pa.Array, *, binary: bool, none: Collection[str]) -> tuple[Coded, dict[str, int]]:
    """Return the labels of a column as `label_of` gives them, and how often each text of `none` is there."""
    cells = encode(array)
    places: dict[str, int] = {}
    texts = [label_of(value, binary=binary) for value in cells.values]
    lookup = [0 if t.lower() in none else places.setdefault(t, len(places) + 1) for t in texts]
    known = zip(texts, lookup, np.bincount(cells.codes, minlength=len(texts) + 1)[1:].tolist(), strict=True)
    missing = {text: count for text, place, count in known if text and not place and count}
    return Coded(np.array([0, *lookup], dtype=np.int64)[cells.codes], list(places)), missing


def as_number(value: Value) -> float | None:
    """Return a value as a number, None for what is none, or none that a float can hold."""
    if isinstance(value, str) and "_" in value:
        return None  # Python would read 1_000 as a number
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def read_numbers(array: pa.Array) -> Numbers:
    """Return a column as numbers: text that is one, and 1 and 0 for true and false."""
    if not is_textual(array.type):
        return Numbers(floats(array))
    if not pa.types.is_dictionary(array.type):
        try:
            trimmed = pc.utf8_trim_whitespace(array)
            return Numbers(floats(pc.if_else(pc.equal(trimmed, ""), None, trimmed)))
        except pa.ArrowInvalid:
            pass  # something in it is no number: look at each distinct text by itself
    cells = _hashed(array)
    lower = [str(text).strip().lower() for text in cells.values]
    read = [math.nan if t in _NO_NUMBER else _BOOLEANS.get(t, as_number(t)) for t in lower]
    table = np.array([math.nan, *(math.nan if number is None else number for number in read)])
    unusable = np.flatnonzero(np.array([False, *(number is None for number in read)])[cells.codes])
    example = str(cells.values[cells.codes[unusable[0]] - 1]) if unusable.size else ""
    return Numbers(table[cells.codes], unusable.size, example)


def floats(array: pa.Array) -> Floats:
    """Return numbers or booleans as float64, NaN where missing."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    array = array.cast(pa.float64(), safe=False)
    filled = array.fill_null(math.nan) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def arrow_of(values: npt.NDArray[Any]) -> pa.Array:
    """Return numbers or flags as an Arrow array.

    `pyarrow.array` would load `numpy.ma`, which takes a twentieth of a small job's time.
    """
    kind = pa.from_numpy_dtype(values.dtype)
    data = np.packbits(values, bitorder="little") if pa.types.is_boolean(kind) else values
    return pa.Array.from_buffers(kind, values.size, [None, pa.py_buffer(np.ascontiguousarray(data))])


def distinct_of(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the values in ascending order, each once; without counts NumPy would load `numpy.ma`, too."""
    return np.unique(values, return_counts=True)[0]


def is_textual(kind: pa.DataType) -> bool:
    """Return whether cells of a type are text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def encode(array: pa.Array, out: Codes | None = None) -> Coded:
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
        return Coded(np.zeros(len(array), dtype=np.int64), ())
    if pa.types.is_boolean(kind):
        return Coded(_plus_one(array.cast(pa.int8()), out), (False, True))
    if pa.types.is_integer(kind):
        return _encode_integers(array, out)
    return _encode_floats(array) if pa.types.is_floating(kind) else _hashed(array, out)


def _plus_one(array: pa.Array, out: Codes | None) -> Codes:
    """Return integers plus one, 0 for null."""
    filled = array.fill_null(-1) if array.null_count else array
    numbers = filled.to_numpy(zero_copy_only=False)
    codes: Codes = np.add(numbers, 1, out=out, dtype=np.int64)
    return codes


def _encode_integers(array: pa.Array, out: Codes | None) -> Coded:
    bounds = pc.min_max(array)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is None or high - low >= _SPAN:
        return _hashed(array, out)
    if high < 2**63:
        array = array.cast(pa.int64())
    # Taking off the least first keeps unsigned 64-bit integers exact.
    steps = pc.subtract(array, pa.scalar(low, array.type)).cast(pa.int64())
    return Coded(_plus_one(steps, out), range(low, high + 1))


def _encode_floats(array: pa.Array) -> Coded:
    numbers = floats(array)
    present = ~np.isnan(numbers)
    known = numbers if present.all() else numbers[present]
    if _all_integral(known[:64]) and _all_integral(known):
        low, high = float(known.min()), float(known.max())
        if high - low < _SPAN and max(abs(low), abs(high)) < _EXACT:
            codes = np.zeros(numbers.size, dtype=np.int64)
            codes[present] = (known - low).astype(np.int64) + 1
            return Coded(codes, [low + step for step in range(int(high - low) + 1)])
    return _hashed(pa.array(numbers, from_pandas=True))


def _all_integral(numbers: Floats) -> bool:
    return bool(numbers.size) and bool((numbers == np.floor(numbers)).all() and np.isfinite(numbers).all())


def _hashed(array: pa.Array, out: Codes | None = None) -> Coded:
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    indices, values = encoded.indices, encoded.dictionary.to_pylist()
    codes = _plus_one(indices, out)
    if None in values or len(set(values)) < len(values):
        # A dictionary may hold null or the same text twice; each value has one code here.
        places: dict[Value, int] = {}
        lookup = [0 if v is None else places.setdefault(v, len(places) + 1) for v in values]
        return Coded(np.array([0, *lookup], dtype=np.int64)[codes], list(places))
    return Coded(codes, values)


def as_float32(numbers: npt.ArrayLike) -> Floats:
    """Return numbers in the precision of float32, in which 0.7, float32's 0.7 and 0.1 * 7 are equal.

    From 2**24 on, where that would merge whole numbers, they stay as they are. Order is kept.
    """
    values = np.asarray(numbers, dtype=np.float64)
    sizes = np.abs(values)
    fits = (sizes < 2.0**24) & (sizes > 1e-30)
    if fits.all():
        return values.astype(np.float32).astype(np.float64)
    return np.where(fits, np.where(fits, values, 0.0).astype(np.float32), values)
