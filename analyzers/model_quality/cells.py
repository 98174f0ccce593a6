"""Cells of record batches as labels and as numbers, whatever type the reader gave them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analyzers.labels import normalise_label, number_label

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MISSING = -1

_MISSING_TEXTS = frozenset(("", "nan", "null", "none"))


@dataclass(frozen=True)
class LabelCells:
    """A column of labels: `codes` index `texts`, ``MISSING`` where there is none."""

    codes: Codes
    texts: list[str]


@dataclass(frozen=True)
class NumberCells:
    """A column of numbers, NaN where there is none.

    `unusable` counts the cells that hold something else, of which `example` is one.
    """

    values: Floats
    unusable: int = 0
    example: str = ""


def read_labels(array: pa.Array, *, binary: bool) -> LabelCells:
    """Return the normalised labels of a column.

    Parameters
    ----------
    array
        Any type a reader yields.
    binary
        Whether true and false stand for 1 and 0, as they do where a label is positive or not.
    """
    if pa.types.is_null(array.type):
        return LabelCells(np.full(len(array), MISSING, dtype=np.int64), [])
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    places: dict[str, int] = {}
    new_codes = [_place(value, places, binary) for value in encoded.dictionary.to_pylist()]
    codes = encoded.indices.cast(pa.int64()).fill_null(len(new_codes)).to_numpy()
    return LabelCells(np.array([*new_codes, MISSING], dtype=np.int64)[codes], list(places))


def _place(value: object, places: dict[str, int], binary: bool) -> int:
    text = _label_text(value)
    if text.lower() in _MISSING_TEXTS:
        return MISSING
    if binary and text in ("true", "false"):
        text = "1" if text == "true" else "0"
    return places.setdefault(text, len(places))


def _label_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return number_label(value)
    return normalise_label(str(value))


def read_numbers(array: pa.Array) -> NumberCells:
    """Return the numbers of a column; text is read as a number where it is one."""
    if pa.types.is_null(array.type):
        return NumberCells(np.full(len(array), np.nan))
    if pa.types.is_dictionary(array.type):
        return _decode(array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        try:
            trimmed = pc.utf8_trim_whitespace(array)
            array = pc.if_else(pc.equal(trimmed, ""), None, trimmed).cast(pa.float64())
        except pa.ArrowInvalid:
            # Something in it is no number: look at each distinct text by itself.
            return _decode(array.dictionary_encode())
    values = array.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return NumberCells(np.where(np.isfinite(values), values, np.nan))


def _decode(array: pa.Array) -> NumberCells:
    texts = array.dictionary.to_pylist()
    numbers = [_number(text) for text in texts]
    table = np.array([np.nan if number is None else number for number in numbers] + [np.nan])
    codes = array.indices.cast(pa.int64()).fill_null(len(texts)).to_numpy()
    unusable = np.flatnonzero(np.array([*(number is None for number in numbers), False])[codes])
    example = str(texts[codes[unusable[0]]]) if unusable.size else ""
    return NumberCells(table[codes], unusable.size, example)


def _number(text: object) -> float | None:
    """Return a number, NaN for a missing one, None for something else."""
    stripped = str(text).strip() if text is not None else ""
    if stripped.lower() in _MISSING_TEXTS:
        return np.nan
    if stripped.lower() in ("true", "false"):
        return float(stripped.lower() == "true")
    try:
        value = float(stripped)
    except ValueError:
        return None
    return value if np.isfinite(value) else np.nan
