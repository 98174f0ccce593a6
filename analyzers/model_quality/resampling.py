"""How far a metric would move with other rows of the same kind: resampling of counts, not of rows.

A resample gives every cell of a confusion matrix, every bucket of residuals and every entry of a score
histogram a random weight instead of drawing rows again, so its cost does not depend on the number of rows.
Weights are gamma distributed (the Bayesian bootstrap, Rubin 1981); 2 x 2 tables get half a row more in
each cell (Jeffreys' prior), which keeps intervals honest where a cell is empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from analyzers.model_quality.cells import Codes, Floats

RESAMPLES = 1000

# A table of four cells costs next to nothing, and its tails decide.
TABLE_RESAMPLES = 20_000

# Weights drawn at most, and held at once.
_MOST_WEIGHTS = 100_000_000
_BLOCK_WEIGHTS = 4_000_000

Z_95 = 1.959963984540054


def table_draws(cells: Codes, generator: np.random.Generator) -> Floats:
    """Return resampled 2 x 2 tables, shape ``(TABLE_RESAMPLES, 4)``."""
    return generator.standard_gamma(cells + 0.5, size=(TABLE_RESAMPLES, cells.size))


def cell_blocks(counts: Codes, generator: np.random.Generator) -> list[Floats]:
    """Return resampled counts in blocks of shape ``(resamples, cells)``.

    Fewer than 1000 resamples when there are more than 100,000 cells.
    """
    resamples = max(200, min(RESAMPLES, _MOST_WEIGHTS // max(1, counts.size)))
    rows = max(1, _BLOCK_WEIGHTS // max(1, counts.size))
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    return [generator.standard_gamma(counts.astype(np.float64), size=(size, counts.size)) for size in sizes]


def subsamples(counts: Codes, generator: np.random.Generator) -> Floats:
    """Return five subsamples of 80 % of the rows, drawn without replacement: the originals' spread."""
    drawn = int(0.8 * counts.sum())
    return generator.multivariate_hypergeometric(counts, drawn, size=5, method="marginals").astype(np.float64)


def deviation(draws: Floats) -> float | None:
    """Return the standard deviation of the defined draws, None when there are not two."""
    defined = draws[np.isfinite(draws)]
    return float(np.std(defined, ddof=1)) if defined.size > 1 else None


def quantile_interval(draws: Floats) -> tuple[float, float] | None:
    """Return the middle 95 % of the defined draws."""
    defined = draws[np.isfinite(draws)]
    if not defined.size:
        return None
    low, high = np.quantile(defined, (0.025, 0.975))
    return float(low), float(high)


def share_interval(value: float, deviation: float) -> tuple[float, float]:
    """Return a 95 % interval for a number in 0..1 from its standard error, on the log-odds scale."""
    if not 0.0 < value < 1.0:
        return max(0.0, value - Z_95 * deviation), min(1.0, value + Z_95 * deviation)
    centre, width = math.log(value / (1.0 - value)), Z_95 * deviation / (value * (1.0 - value))
    low, high = (1.0 / (1.0 + math.exp(-bound)) for bound in (centre - width, centre + width))
    return low, high


def positive_interval(value: float, deviation: float) -> tuple[float, float]:
    """Return a 95 % interval for a positive number from its standard error, on the log scale."""
    if value <= 0.0:
        return value, value
    factor = math.exp(Z_95 * deviation / value)
    return value / factor, value * factor


def area_interval(
    area: float, deviation: float | None, positives: int, negatives: int
) -> tuple[float, float]:
    """Return a 95 % interval for an area under the ROC curve.

    Those areas whose own variance makes the observed one no surprise (Newcombe 2006, method 5), with Hanley
    and McNeil's variance scaled to what DeLong's estimate says of these scores; so the interval stays within
    0..1 and has a width even when every positive ranks above every negative.
    """
    model = _area_variance(area, positives, negatives)
    ratio = 1.0
    if deviation is not None and model > 0.0:
        ratio = min(2.0, max(0.5, deviation**2 / model))

    def surprising(candidate: float) -> bool:
        variance = ratio * _area_variance(candidate, positives, negatives)
        return abs(area - candidate) > Z_95 * math.sqrt(variance)

    return _border(area, 0.0, surprising), _border(area, 1.0, surprising)


def _area_variance(area: float, positives: int, negatives: int) -> float:
    mean_less_one = (positives + negatives) / 2.0 - 1.0
    spread = 1.0 + mean_less_one * ((1.0 - area) / (2.0 - area) + area / (1.0 + area))
    return area * (1.0 - area) / (positives * negatives) * spread


def _border(inside: float, outside: float, surprising: Callable[[float], bool]) -> float:
    """Return where, between a value that is no surprise and the end of the range, surprise begins."""
    if not surprising(outside):
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2.0
        if surprising(middle):
            outside = middle
        else:
            inside = middle
    return inside
