"""95 % intervals of shares, means and areas, chosen by how often they hold the truth in simulations.

`docs/model_quality.md` has the measured rates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.shared.cells import Codes, Floats
from analyzers.shared.significance import border, student_quantile, sum_of_products

Z_95 = 1.959963984540054

# With ten positives DeLong's variance is too small as often as not; below this share of the model's it is
# not believed. Chosen by the coverage that it gives with 200 and 1,000 rows.
_SMALLEST_RATIO = 0.45

Interval = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """How far a mean varies by chance, and how far what it is a mean of is from normal.

    Parameters
    ----------
    count
        Observations, at least two.
    error
        Standard error of the mean.
    skewness, kurtosis
        Of one observation; 0 and 3 for a normal one.
    """

    count: int
    error: float
    skewness: float
    kurtosis: float

    @property
    def degrees(self) -> float:
        """Return Student's degrees of freedom: few where a few observations hold most of the variance."""
        known = 2.0 * self.count / (self.kurtosis - 1.0) if self.kurtosis > 1.0 else math.inf
        return min(self.count - 1.0, known)


def spread_of_total(deviations: Floats, rows: float) -> Spread | None:
    """Return the spread of a mean over `rows` from the deviations of groups of rows.

    Parameters
    ----------
    deviations
        Sum over each group of rows of value less mean; they add up to zero.
    rows
        In all groups together.

    Returns
    -------
    Spread or None
        None with fewer than two groups, or deviations that are no numbers.
    """
    # Divided by the largest, so that fourth powers stay numbers.
    largest = float(np.abs(deviations).max(initial=0.0))
    if not math.isfinite(largest):
        return None
    relative = deviations / largest if largest > 0.0 else deviations
    squares = relative * relative
    sums = (squares.sum(), sum_of_products(squares, relative), sum_of_products(squares, squares))
    moments = [float(total) / max(1, relative.size) for total in sums]
    return spread_of_moments(deviations.size, largest * deviations.size / rows, moments)


def spread_of_powers(count: int, powers: Floats) -> Spread | None:
    """Return the spread of a mean from sums of the first four powers, None with fewer than two rows."""
    if count < 2:
        return None
    first, second, third, fourth = (powers / count).tolist()
    variance = second - first * first
    if variance <= 1e-12 * second:
        variance = 0.0  # all alike: what is left is rounding
    moments = (
        variance,
        third - 3.0 * first * second + 2.0 * first**3,
        fourth - 4.0 * first * third + 6.0 * first**2 * second - 3.0 * first**4,
    )
    return spread_of_moments(count, 1.0, moments)


def spread_of_moments(count: int, scale: float, moments: Sequence[float]) -> Spread | None:
    """Return the spread of a mean from moments of its observations.

    Parameters
    ----------
    count
        Observations.
    scale
        What the mean of the observations is multiplied by.
    moments
        Central moments of one observation, of order 2 to 4.

    Returns
    -------
    Spread or None
        None with fewer than two observations, or moments that are no numbers.
    """
    second, third, fourth = moments
    if count < 2 or not all(map(math.isfinite, moments)):
        return None
    error = scale * math.sqrt(second / (count - 1))
    squared = second * second
    if squared <= 0.0:
        return Spread(count, error, 0.0, 3.0)
    return Spread(count, error, third / (second * math.sqrt(second)), max(1.0, fourth / squared))


def mean_interval(mean: float, spread: Spread) -> Interval:
    """Return a 95 % interval for a mean, also where single observations are skewed or heavy-tailed.

    Hall's (1992) monotone cubic transformation takes the skewness out of the studentised mean. Its quantile
    is Student's with as many degrees of freedom as the estimated variance has, ``2 n / (kurtosis - 1)``: a
    few large values make it an uncertain one.
    """
    quantile = _quantile(spread)
    root = math.sqrt(spread.count)
    curvature, shift = spread.skewness / (3.0 * root), spread.skewness / (6.0 * root)

    def studentised(transformed: float) -> float:
        centred = transformed - shift
        if abs(curvature) < 1e-8:
            return centred
        return (math.cbrt(1.0 + 3.0 * curvature * centred) - 1.0) / curvature

    low, high = (mean - spread.error * studentised(bound) for bound in (quantile, -quantile))
    return min(low, mean), max(high, mean)


def loss_interval(mean: float, spread: Spread) -> Interval:
    """Return a 95 % interval for the mean of values from 0 up."""
    low, high = mean_interval(mean, spread)
    return max(0.0, low), high


def logarithmic_interval(mean: float, spread: Spread) -> Interval:
    """Return a 95 % interval for the mean of positive values that are bounded or nearly so, on the log scale.

    Hall's transformation would make it too wide when a rare class has ten rows.
    """
    if mean <= 0.0:
        return mean, mean
    factor = math.exp(min(700.0, _quantile(spread) * spread.error / mean))
    return mean / factor, mean * factor


def unexplained_interval(r2: float, spread: Spread) -> Interval:
    """Return a 95 % interval for R² from the spread of ``log(1 - R²)``, on which scale errors multiply."""
    factor = math.exp(min(700.0, _quantile(spread) * spread.error))
    return 1.0 - (1.0 - r2) * factor, 1.0 - (1.0 - r2) / factor


def _quantile(spread: Spread) -> float:
    return student_quantile(Z_95, max(1.0, spread.degrees))


def proportion_interval(hits: float, total: float) -> Interval:
    """Return a 95 % interval for a share of independent rows (Wilson 1927), `total` positive.

    Chosen over Jeffreys' because with a handful of rows on one side of a rare class that one holds the truth
    in up to 98 % of windows.
    """
    square = Z_95 * Z_95
    centre = (hits + square / 2.0) / (total + square)
    width = Z_95 / (total + square) * math.sqrt(hits * (total - hits) / total + square / 4.0)
    share = hits / total
    return max(0.0, min(share, centre - width)), min(1.0, max(share, centre + width))


def share_interval(value: float, deviation: float, quantile: float = Z_95) -> Interval:
    """Return a 95 % interval for a number in 0..1 from its standard error, on the log-odds scale."""
    if not 0.0 < value < 1.0:
        return max(0.0, value - quantile * deviation), min(1.0, value + quantile * deviation)
    centre, width = math.log(value / (1.0 - value)), quantile * deviation / (value * (1.0 - value))
    low, high = (1.0 / (1.0 + math.exp(-bound)) for bound in (centre - width, centre + width))
    return low, high


def precision_interval(precision: float, spread: Spread, positives: int) -> Interval:
    """Return a 95 % interval for an average precision, on the log-odds scale.

    The quantile lies between the normal one and Student's with the degrees of freedom of the variance: the
    first is too small and the second too large when there are ten positives.
    """
    if precision == 1.0:
        return 1.0 - min(1.0, Z_95 / positives), 1.0  # nothing varies when every positive ranks first
    degrees = 4.0 * spread.count / max(1e-9, spread.kurtosis - 1.0)
    return share_interval(precision, spread.error, student_quantile(Z_95, max(1.0, degrees)))


def area_interval(area: float, deviation: float | None, positives: int, negatives: int) -> Interval:
    """Return a 95 % interval for an area under the ROC curve.

    Those areas whose own variance makes the observed one no surprise (Newcombe 2006, method 5), with Hanley
    and McNeil's variance scaled to what DeLong's estimate says of these scores; so the interval stays within
    0..1 and has a width even when every positive ranks above every negative.
    """
    model = area_variance(area, positives, negatives)
    ratio = 1.0
    if deviation is not None and model > 0.0:
        ratio = min(2.0, max(_SMALLEST_RATIO, deviation**2 / model))

    def is_likely(candidate: float) -> bool:
        variance = ratio * area_variance(candidate, positives, negatives)
        return abs(area - candidate) <= Z_95 * math.sqrt(variance)

    low, high = (end if is_likely(end) else border(area, end, is_likely) for end in (0.0, 1.0))
    return low, high


def area_variance(area: float, positives: int, negatives: int) -> float:
    """Return Hanley and McNeil's variance of an area under the ROC curve."""
    mean_less_one = (positives + negatives) / 2.0 - 1.0
    spread = 1.0 + mean_less_one * ((1.0 - area) / (2.0 - area) + area / (1.0 + area))
    return area * (1.0 - area) / (positives * negatives) * spread


# How far a metric would move with other rows of the same kind: resampling of counts, not of rows.
#
# A resample gives every cell of a confusion matrix a random weight instead of drawing rows again, so its
# cost does not depend on the number of rows. Weights are gamma distributed (the Bayesian bootstrap, Rubin
# 1981); 2 x 2 tables get half a row more in each cell (Jeffreys' prior), which keeps intervals honest where
# a cell is empty.


RESAMPLES = 1000

# For the middle 95 % of 2 x 2 tables, and for their tails, which decide.
INTERVAL_RESAMPLES = 4_000
TABLE_RESAMPLES = 20_000

# The originals' spread: that of so many subsamples of this share of the rows.
SUBSAMPLES = 5
SUBSAMPLED_SHARE = 0.8

# Weights drawn at most, and held at once.
_MOST_WEIGHTS = 100_000_000
_BLOCK_WEIGHTS = 4_000_000


def table_draws(cells: Codes | Floats, generator: np.random.Generator, resamples: int) -> Floats:
    """Return resampled 2 x 2 tables, shape ``(resamples, 4)``."""
    return generator.standard_gamma(cells + 0.5, size=(resamples, cells.size))


def share_draws(share: float, rows: float, generator: np.random.Generator, resamples: int) -> Floats:
    """Return a resampled share of so many rows, which need not be whole, shape ``(resamples,)``."""
    weights = table_draws(np.array([share * rows, (1.0 - share) * rows]), generator, resamples)
    return np.asarray(weights[:, 0] / weights.sum(axis=1))


def cell_blocks(counts: Codes, generator: np.random.Generator) -> list[Floats]:
    """Return resampled counts in blocks of shape ``(resamples, cells)``.

    Fewer than 1000 resamples when there are more than 100,000 cells.
    """
    resamples = max(200, min(RESAMPLES, _MOST_WEIGHTS // max(1, counts.size)))
    rows = max(1, _BLOCK_WEIGHTS // max(1, counts.size))
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    return [generator.standard_gamma(counts.astype(np.float64), size=(size, counts.size)) for size in sizes]


def subsamples(counts: Codes, generator: np.random.Generator) -> Floats:
    """Return the originals' five subsamples of 80 % of the rows, drawn without replacement."""
    drawn = int(SUBSAMPLED_SHARE * counts.sum())
    found = generator.multivariate_hypergeometric(counts, drawn, size=SUBSAMPLES, method="marginals")
    return found.astype(np.float64)


def deviation(draws: Floats) -> float | None:
    """Return the standard deviation of the defined draws, None when there are not two."""
    defined = draws[np.isfinite(draws)]
    return float(np.std(defined, ddof=1)) if defined.size > 1 else None


def quantile_interval(draws: Floats) -> Interval | None:
    """Return the middle 95 % of the defined draws."""
    defined = draws[np.isfinite(draws)]
    if not defined.size:
        return None
    low, high = np.quantile(defined, (0.025, 0.975))
    return float(low), float(high)
