"""Numbers and names as people read them."""

from __future__ import annotations

import math
from typing import Any

_LONGEST = 120


def number(value: Any, digits: int = 4) -> str:
    """Return a number with `digits` significant digits; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 15 or size < -4:
        text = f"{value:.{digits - 1}e}"
    else:
        decimals = max(0, digits - 1 - size)
        text = f"{value:,.{decimals}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−", 1) if value < 0 else text


def percent(value: Any) -> str:
    """Return a share as percent with three significant digits; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    hundredfold = value * 100.0
    # As many digits as tell a share from none and from all.
    if 99.0 < hundredfold < 100.0:
        return f"{math.floor(hundredfold * 100.0) / 100.0:g} %"
    return f"{number(hundredfold, 3)} %"


def count(value: int) -> str:
    """Return a whole number with separators."""
    return f"{value:,}"


def several(amount: int, noun: str) -> str:
    """Return an amount with its noun, as in ``1 row`` and ``2 rows``."""
    return f"{count(amount)} {noun if amount == 1 else noun + 's'}"


def short(text: str, longest: int = _LONGEST) -> str:
    """Return text cut to what a page can hold."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def sentence(text: str) -> str:
    """Return text with a capital first and a full stop last."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")


def as_number(value: Any) -> float | None:
    """Return a finite number of a document, None for texts such as ``"NaN"``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
