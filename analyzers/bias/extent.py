"""What all values of a column have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from analyzers.bias.cells import as_number
from analyzers.bias.request import Value


@dataclass
class Extent:
    """What all values of a column have in common.

    Parameters
    ----------
    least, greatest
        Of those that are numbers, text included; infinite when there are none.
    is_integral
        Whether all numbers are whole.
    has_words
        Whether there is text that is no number.
    is_castable
        Whether all values are whole numbers as Python reads them, text included.
    """

    least: float = math.inf
    greatest: float = -math.inf
    is_integral: bool = True
    has_words: bool = False
    is_castable: bool = True

    def add(self, values: Iterable[Value]) -> None:
        """Take values in."""
        for value in values:
            number = as_number(value)
            if number is None or math.isnan(number):
                self.has_words, self.is_castable = True, False
                continue
            self.add_numbers(number, number, number.is_integer())
            self.is_castable = self.is_castable and _is_whole(value)

    def add_numbers(self, least: float, greatest: float, is_integral: bool) -> None:
        """Take a range of numbers in."""
        self.least, self.greatest = min(self.least, least), max(self.greatest, greatest)
        self.is_integral = self.is_integral and is_integral

    def joined(self, other: Extent) -> Extent:
        """Return what the values of both have in common."""
        return Extent(
            min(self.least, other.least),
            max(self.greatest, other.greatest),
            self.is_integral and other.is_integral,
            self.has_words or other.has_words,
            self.is_castable and other.is_castable,
        )


def _is_whole(value: Value) -> bool:
    try:
        int(value)
    except (ValueError, OverflowError):
        return False
    return True
