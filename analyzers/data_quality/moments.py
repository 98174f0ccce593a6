"""Mergeable moments of numbers: count, sum, mean, centred sum of squares, extremes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzers.sums import sum_of_products

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Moments:
    """Moments of finite float64 values.

    Chunks are combined as in Chan, Golub and LeVeque (1983), "Algorithms for computing the sample
    variance". `total` and `squares` become infinite or NaN when the values are too large for them; the
    properties return None then.
    """

    count: int = 0
    total: float = 0.0
    centre: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    def add(self, values: Floats, scratch: Floats | None = None) -> None:
        """Add a chunk; `scratch` is memory of at least its size to work in."""
        if not values.size:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(values.sum())
            centre = total / values.size
            deviations = np.subtract(values, centre, out=None if scratch is None else scratch[: values.size])
            squares = sum_of_products(deviations, deviations, scratch=deviations)
        self._combine(Moments(values.size, total, centre, squares, float(values.min()), float(values.max())))

    def add_in_order(self, values: Floats) -> None:
        """Add a chunk with `total` summed value by value, to the last digit as the originals do."""
        if not values.size:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(np.cumsum(np.concatenate(([self.total], values)))[-1])
        self.add(values)
        self.total = total

    def add_weighted(self, values: Floats, counts: npt.NDArray[np.int64]) -> None:
        """Add distinct `values`, each as often as the positive `counts` say."""
        if not values.size:
            return
        weights = counts.astype(np.float64)
        count = int(counts.sum())
        with np.errstate(over="ignore", invalid="ignore"):
            total = sum_of_products(values, weights)
            centre = total / count
            deviations = values - centre
            squares = sum_of_products(deviations * deviations, weights)
        self._combine(Moments(count, total, centre, squares, float(values.min()), float(values.max())))

    def merge(self, other: Moments) -> None:
        """Add the values `other` stands for."""
        if other.count:
            self._combine(other)

    def _combine(self, other: Moments) -> None:
        count = self.count + other.count
        delta = other.centre - self.centre
        share = other.count / count
        self.squares += other.squares + delta * delta * self.count * share
        self.centre = other.centre if not self.count else self.centre + delta * share
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.count = count

    @property
    def sum(self) -> float | None:
        """Return the sum, None when there is no value or the sum is beyond float64."""
        return _finite(self.total) if self.count else None

    @property
    def mean(self) -> float | None:
        """Return the mean, None without values or beyond float64."""
        return _finite(self.total / self.count) if self.count else None

    @property
    def standard_deviation(self) -> float | None:
        """Return the population standard deviation, None without values or beyond float64."""
        return _finite(math.sqrt(self.squares / self.count)) if self.count else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
