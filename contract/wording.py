"""Numbers and lists as they appear in sentences, and texts that are numbers."""

from collections.abc import Iterable, Sequence

# Words of logs and messages.


def several(amount: int, noun: str) -> str:
    """Return an amount with its noun, as in ``1 row`` and ``2 rows``."""
    return f"{amount} {noun if amount == 1 else noun + 's'}"


def ordinal(place: int) -> str:
    """Return a place as people write it, such as ``2nd``."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{place}{endings.get(place % 10, 'th') if place % 100 not in (11, 12, 13) else 'th'}"


def one_line(text: object, most: int = 300) -> str:
    """Return a library's or service's text as a clause of a sentence."""
    return " ".join(str(text).split()).rstrip(".")[:most]


def as_float(value: object) -> float | None:
    """Return the number that a value is, or that its text reads as; None for others."""
    try:
        return float(value)  # type: ignore[arg-type] # others raise TypeError
    except (TypeError, ValueError):
        return None


_MOST_LISTED = 5
_LONGEST = 60


def percent(share: float) -> str:
    """Return a share as text such as ``99.98 %``, never rounded to 0 % or 100 % when it is neither."""
    for digits in range(1, 9):
        text = f"{100.0 * share:.{digits}f}"
        if share in (0.0, 1.0) or float(text) not in (0.0, 100.0):
            break
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction} %" if fraction else f"{whole} %"


def number(value: float, digits: int = 4) -> str:
    """Return a number with so many significant digits, whole numbers whole."""
    if abs(value) < 1e15 and (value == int(value) or abs(value) >= 10.0**digits - 0.5):
        return str(round(value))
    return f"{value:.{digits}g}"


def chance(p_value: float) -> str:
    """Return how sure a finding is, in words: ``chance would do this once in 2,000 times``."""
    if p_value <= _ONE_IN_A_MILLION:
        return "chance would do this less than once in a million times"
    if p_value >= _OFTEN:
        return f"chance would do this in {percent(round(p_value, 2))} of all cases"
    rounded = float(f"{1.0 / p_value:.2g}")
    return f"chance would do this once in {rounded:,.0f} times"


_ONE_IN_A_MILLION, _OFTEN = 1e-6, 0.1


def listing(names: Sequence[str], most: int = _MOST_LISTED) -> str:
    """Return names in quotes, separated by commas, at most `most` of them."""
    return some_of([repr(shorten(name)) for name in names], most)


def some_of(texts: Sequence[str], most: int = _MOST_LISTED) -> str:
    """Return texts separated by commas, at most `most` of them, and how many more there are."""
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def counted(items: Iterable[tuple[str, int]]) -> str:
    """Return values with their counts, the most frequent first: ``'a' (12), 'b' (3)``."""
    ordered = sorted(items, key=lambda item: (-item[1], item[0]))
    return some_of([f"{shorten(value)!r} ({count})" for value, count in ordered], _MOST_LISTED)


def shorten(text: str, longest: int = _LONGEST) -> str:
    """Return `text`, cut with an ellipsis when it is longer."""
    return text if len(text) <= longest else text[: longest - 1].rstrip(" ,;:") + "…"
