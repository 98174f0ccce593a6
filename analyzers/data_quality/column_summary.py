"""The summary of one column, independent of the type the column will turn out to have.

A column may hold numbers in one split and text in another, so everything a later decision can need is
kept: cells by kind, moments and quantiles of the numeric cells, distinct counts over all cells, and how
often each value occurs while there are few.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from analyzers.data_quality.sketches import HyperLogLog, KllSketch
from analyzers.data_quality.text import CellKind, read_texts
from analyzers.shared.cells import Codes as Counts
from analyzers.shared.cells import Floats
from analyzers.shared.significance import sum_of_products

# Mergeable moments of numbers: count, sum, mean, centred sum of squares, extremes.


@dataclass(slots=True)
class Moments:
    """Moments of finite float64 values.

    Chunks are combined as in Chan, Golub and LeVeque (1983), "Algorithms for computing the sample
    variance". The mean is `centre`, a number that floats can hold, and `drift` beyond it, so that digits
    that a mean near 1e15 has no room for are in the deviation. `total` and `squares` become infinite or NaN
    when the values are too large for them; the properties return None then.
    """

    count: int = 0
    total: float = 0.0
    centre: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    drift: float = 0.0

    def add(
        self,
        values: Floats,
        scratch: Floats | None = None,
        weights: Floats | None = None,
        rows: int = 0,
        total: float | None = None,
    ) -> None:
        """Add a chunk; `scratch` is memory of at least its size to work in, `total` its sum where known.

        With `weights`, whole numbers that add up to `rows`, each value counts as often.
        """
        if not values.size:
            return
        rows = rows or values.size
        with np.errstate(over="ignore", invalid="ignore"):
            if total is None:
                total = float(values.sum()) if weights is None else sum_of_products(values, weights)
            centre = total / rows
            deviations = np.subtract(values, centre, out=None if scratch is None else scratch[: values.size])
            weighted = deviations if weights is None else deviations * weights
            drift = float(weighted.sum()) / rows
            squares = sum_of_products(deviations, weighted, scratch=weighted) - rows * drift * drift
        least, most = float(values.min()), float(values.max())
        self.merge(Moments(rows, total, centre, squares, least, most, drift))

    def add_in_order(self, values: Floats) -> None:
        """Add a chunk with `total` summed value by value, to the last digit as the originals do."""
        if not values.size:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(np.cumsum(np.concatenate(([self.total], values)))[-1])
        self.add(values)
        self.total = total

    def add_weighted(self, values: Floats, counts: Counts) -> None:
        """Add distinct `values`, each as often as the positive `counts` say."""
        self.add(values, weights=counts.astype(np.float64), rows=int(counts.sum()))

    def merge(self, other: "Moments") -> None:
        """Add the values `other` stands for."""
        if not other.count:
            return
        count = self.count + other.count
        delta = other.centre - self.centre + (other.drift - self.drift)
        share = other.count / count
        self.squares += other.squares + delta * delta * self.count * share
        if self.count:
            self.drift += delta * share
        else:
            self.centre, self.drift = other.centre, other.drift
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


@dataclass(slots=True)
class ValueCounts:
    """How often each value occurs, while there are at most `limit`; given up for good beyond.

    Numbers that came as integers, as floats, and values that came as text are kept apart: ``3``, ``3.0``
    and ``"3"`` are written differently when the column turns out to hold text.
    """

    limit: int
    integers: dict[int, int] = field(default_factory=dict)
    floats: dict[float, int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    overflowed: bool = False

    def __len__(self) -> int:
        return len(self.integers) + len(self.floats) + len(self.texts)

    def numbers(self) -> tuple[Floats, Counts]:
        """Return the distinct finite numbers among the values, and how often each occurs."""
        tables: list[dict[Any, int]] = [self.integers, self.floats, self.texts]
        values = [np.fromiter(table, np.float64, len(table)) for table in tables[:2]]
        if self.texts:
            texts = pa.array(list(self.texts), pa.string())
            values.append(read_texts(texts, hash_as_text=False).numbers)
        counts = [np.fromiter(table.values(), np.int64, len(table)) for table in tables]
        every = np.concatenate(values)
        finite = np.isfinite(every)
        return every[finite], np.concatenate(counts)[finite]


@dataclass(slots=True)
class ColumnSummary:
    """Mergeable summary of one column.

    Attributes
    ----------
    in_order
        Whether the sketch takes every number in order of arrival. Otherwise numbers reach the sketch
        only once their values are too many to count: counts are exact, sketches are not.
    cells
        How many cells there are of each `CellKind`, int64, shape (10,).
    """

    in_order: bool
    values: ValueCounts
    cells: Counts = field(default_factory=lambda: np.zeros(len(CellKind), dtype=np.int64))
    moments: Moments = field(default_factory=Moments)
    sketch: KllSketch = field(default_factory=KllSketch)
    distinct: HyperLogLog = field(default_factory=HyperLogLog)

    @property
    def missing(self) -> int:
        """Return the number of cells without a value."""
        return int(self.cells[CellKind.MISSING])

    @property
    def present(self) -> int:
        """Return the number of cells with a value."""
        return int(self.cells.sum()) - self.missing

    @property
    def completeness(self) -> float:
        """Return the share of cells with a value; 1.0 for no cells at all."""
        return self.present / int(self.cells.sum()) if self.cells.any() else 1.0

    def count_values[Value: (int, float, str)](
        self, table: dict[Value, int], values: Collection[Value], counts: Collection[int]
    ) -> None:
        """Add distinct `values` to `table`, one of the three of `self.values`."""
        if self.values.overflowed:
            return
        if not table and len(counted := dict(zip(values, counts, strict=True))) == len(values):
            table.update(counted)
        else:  # zeros of both signs are one value
            _add(table, zip(values, counts, strict=True))
        if len(self.values) > self.values.limit:
            self.stop_counting()

    def stop_counting(self) -> None:
        """Give up counting values; the numbers among them go to the sketch."""
        if not self.values.overflowed:
            if not self.in_order and len(self.values):
                self.sketch.update_weighted(*self.values.numbers())
            self.values = ValueCounts(self.values.limit, overflowed=True)

    def merge(self, other: "ColumnSummary") -> None:
        """Take in `other`, which is left as it is."""
        self.cells = self.cells + other.cells
        self.moments.merge(other.moments)
        self.distinct.merge(other.distinct)
        if self.in_order != other.in_order:
            self.sketch, self.in_order = self.all_numbers(), True
            self.sketch.merge(other.all_numbers())
        elif self.values.overflowed or other.values.overflowed:
            self.stop_counting()
            self.sketch.merge(other.all_numbers())
        else:
            self.sketch.merge(other.sketch)
        if other.values.overflowed:
            self.stop_counting()
        elif not self.values.overflowed:
            self.values.limit = min(self.values.limit, other.values.limit)
            _add(self.values.integers, other.values.integers.items())
            _add(self.values.floats, other.values.floats.items())
            _add(self.values.texts, other.values.texts.items())
            if len(self.values) > self.values.limit:
                self.stop_counting()

    def all_numbers(self) -> KllSketch:
        """Return a sketch of every finite number, counted or not."""
        sketch = self.sketch.copy()
        if not self.in_order and not self.values.overflowed:
            sketch.update_weighted(*self.values.numbers())
        return sketch


def _add[Value: (int, float, str)](table: dict[Value, int], counts: Iterable[tuple[Value, int]]) -> None:
    for value, count in counts:
        table[value] = table.get(value, 0) + count
