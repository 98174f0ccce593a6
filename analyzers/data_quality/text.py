"""What a text cell is: missing, a number, a boolean, or text. Each distinct text is looked at once.

The classes are those of spec section 3.5:

========== =================================================================================
missing    null or empty
integral   optional sign, optional single space, digits
fractional the same with a decimal part, an exponent, or both
boolean    ``true`` or ``false``
string     anything else, such as ``.5``, ``5.``, ``NaN``, ``1,000``
========== =================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analyzers.data_quality.hyperloglog import float_bits, hash_bits
from analyzers.data_quality.text_hash import hash_texts

_INTEGRAL = r"^[+-]? ?[0-9]+$"
_NUMBER = r"^[+-]? ?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


class CellKind(IntEnum):
    """The class of a cell; the kinds are disjoint."""

    MISSING = 0
    INTEGRAL = 1
    INTEGRAL_VALUED = 2  # written or stored as a fractional number, such as 3.0
    FRACTIONAL = 3
    BOOLEAN = 4
    STRING = 5
    NON_FINITE = 6  # a number beyond float64, or an infinity


@dataclass(frozen=True, slots=True)
class TextCells:
    """What texts are.

    Attributes
    ----------
    kinds
        `CellKind` of each text, uint8, shape (n,).
    numbers
        Its value as float64, shape (n,); NaN where it is no finite number.
    hashes
        Its 64-bit hash for distinct counts, uint64, shape (n,).
    """

    kinds: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.float64]
    hashes: npt.NDArray[np.uint64]


def read_texts(texts: pa.Array, *, hash_as_text: bool) -> TextCells:
    """Classify, parse and hash texts.

    Parameters
    ----------
    texts
        An Arrow array of type string or large_string.
    hash_as_text
        Whether numbers are hashed as the text they came as, like the originals, so that ``1`` and ``1.0``
        are two values; otherwise as float64, so that they are one.
    """
    data, starts, lengths = _bytes_of(texts)
    kinds = np.full(len(texts), CellKind.STRING, dtype=np.uint8)
    kinds[lengths == 0] = CellKind.MISSING
    if texts.null_count:
        kinds[texts.is_null().to_numpy(zero_copy_only=False)] = CellKind.MISSING
    numbers = np.full(len(texts), np.nan)
    hashes = hash_texts(data, starts, lengths)
    rows = np.flatnonzero(kinds == CellKind.STRING)
    if rows.size:
        first = data[starts[rows]]
        last = data[starts[rows] + lengths[rows] - 1]
        _mark_booleans(texts, rows[(first == ord("t")) | (first == ord("f"))], lengths, kinds)
        starts_like_number = (
            _is_digit(first) | (first == ord("-")) | (first == ord("+")) | (first == ord(" "))
        )
        _mark_numbers(texts, rows[starts_like_number & _is_digit(last)], kinds, numbers)
        if not hash_as_text:
            numeric = np.flatnonzero(~np.isnan(numbers))
            hashes[numeric] = hash_bits(float_bits(numbers[numeric] + 0.0))
    return TextCells(kinds, numbers, hashes)


def _bytes_of(
    texts: pa.Array,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the UTF-8 bytes, and where each text starts and how long it is."""
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    if not len(texts) or offsets is None:
        return np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    bounds = np.frombuffer(offsets, dtype=width)[texts.offset : texts.offset + len(texts) + 1].astype(
        np.int64
    )
    first = int(bounds[0])
    used = b"" if data is None else memoryview(data)[first : int(bounds[-1])]
    return np.frombuffer(used, dtype=np.uint8), bounds[:-1] - first, np.diff(bounds)


def _is_digit(characters: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return (characters >= ord("0")) & (characters <= ord("9"))


def _mark_booleans(
    texts: pa.Array,
    rows: npt.NDArray[np.intp],
    lengths: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8],
) -> None:
    rows = rows[lengths[rows] <= len("false")]
    if rows.size:
        words = texts.take(pa.array(rows))
        is_boolean = pc.is_in(words, pa.array(["true", "false"], words.type))
        kinds[rows[is_boolean.to_numpy(zero_copy_only=False)]] = CellKind.BOOLEAN


def _mark_numbers(
    texts: pa.Array,
    rows: npt.NDArray[np.intp],
    kinds: npt.NDArray[np.uint8],
    numbers: npt.NDArray[np.float64],
) -> None:
    """Settle the candidates `rows`: texts that begin like a number and end in a digit."""
    if not rows.size:
        return
    candidates = texts if rows.size == len(texts) else texts.take(pa.array(rows))
    is_number = pc.match_substring_regex(candidates, _NUMBER)
    if is_number.true_count < len(rows):
        keep = is_number.to_numpy(zero_copy_only=False)
        rows, candidates = rows[keep], candidates.filter(is_number)
    if not rows.size:
        return
    values = _parse(candidates)
    integral = pc.match_substring_regex(candidates, _INTEGRAL).to_numpy(zero_copy_only=False)
    finite = np.isfinite(values)
    fractional_kinds = np.where(
        np.floor(values) == values, np.uint8(CellKind.INTEGRAL_VALUED), np.uint8(CellKind.FRACTIONAL)
    )
    kinds[rows] = np.where(integral, np.uint8(CellKind.INTEGRAL), fractional_kinds)
    kinds[rows[~finite]] = CellKind.NON_FINITE
    numbers[rows[finite]] = values[finite]


def _parse(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Return the values of number texts; beyond float64 they are infinite."""
    data, _, _ = _bytes_of(texts)
    if np.any((data == ord("+")) | (data == ord(" "))):
        texts = pc.replace_substring_regex(pc.replace_substring(texts, " ", ""), r"^\+", "")
    parsed: npt.NDArray[np.float64] = pc.cast(texts, pa.float64()).to_numpy()
    return parsed
