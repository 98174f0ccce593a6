"""When two labels are the same, whatever type a reader gave them."""

from __future__ import annotations

import re

# Texts that are the same number are the same label; those with leading zeros are codes, not numbers.
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?")
_EXACT_INTEGERS = 1 << 53


def normalise_label(text: str) -> str:
    """Return the label a text stands for: `` 1``, ``1``, ``1.0`` and ``1e0`` are all ``1``.

    Surrounding blanks go, numbers take their shortest form, ``True`` and ``FALSE`` become lower case.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return str(int(text)) if text.lstrip("+-").isdigit() else number_label(float(text))
    lower = text.lower()
    return lower if lower in ("true", "false") else text


def number_label(value: float) -> str:
    """Return the label a number stands for: ``1`` for 1.0, as long as floats hold every integer."""
    exact = value.is_integer() and abs(value) < _EXACT_INTEGERS
    return str(int(value)) if exact else repr(value)
