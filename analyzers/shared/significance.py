"""Tail probabilities that separate a change from chance.

Every function is exact or errs towards the larger probability, so that a stated false-alarm rate is an
upper bound. NumPy has none of these and SciPy is no run-time dependency; tests compare with SciPy.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

_FEWEST_DEGREES = 6
# What so many times the false alarms would have found is not decided, rather than said to hold.
OPEN = 10.0

# Sums that come out the same to the last digit wherever they are computed.


Numbers = npt.NDArray[Any]


def sum_of_products(left: Numbers, right: Numbers, scratch: Numbers | None = None) -> float:
    """Return the sum of ``left * right``.

    `numpy.dot` hands vectors of more than 10,000 numbers to BLAS, which divides them among as many threads
    as are free: the last digit then changes between hosts, and between two runs on one. Here numpy's
    pairwise summation decides the order, at no more cost.

    Parameters
    ----------
    left, right
        Of one shape (n,).
    scratch
        Memory of that shape for the products; may be one of the two.
    """
    return float(np.multiply(left, right, out=scratch).sum())


def kolmogorov_band(first_count: float, second_count: float, alpha: float) -> float:
    """Return the Kolmogorov-Smirnov distance that chance alone exceeds with probability `alpha`.

    ``sqrt(-ln(alpha / 2) / 2) * sqrt((n + m) / (n m))``: Smirnov's asymptotic critical value, which is on the
    safe side for samples with ties (Noether 1963).

    Parameters
    ----------
    first_count, second_count
        Sizes n and m of the two samples, both positive.
    alpha
        Probability of a false alarm, two-sided.
    """
    n, m = first_count, second_count
    return math.sqrt(-math.log(alpha / 2.0) / 2.0 * (n + m) / (n * m))


def rows_to_tell(distance: float, baseline_count: float, alpha: float) -> int | None:
    """Return the window size from which `distance` exceeds `kolmogorov_band`.

    None when the baseline itself is too small, so that no window is large enough.
    """
    remainder = 2.0 * distance * distance / -math.log(alpha / 2.0) - 1.0 / baseline_count
    return math.ceil(1.0 / remainder) if remainder > 0 else None


def binomial_tail(successes: int, trials: int, rate: float) -> float:
    """Return the probability of at least `successes` in `trials` independent trials of that rate."""
    if successes <= 0:
        return 1.0
    if successes > trials or rate <= 0.0:
        return 0.0
    if rate >= 1.0:
        return 1.0
    if successes <= trials * rate:
        return 1.0 - binomial_tail(trials - successes + 1, trials, 1.0 - rate)
    log_first = _log_choose(trials, successes) + successes * math.log(rate)
    log_first += (trials - successes) * math.log1p(-rate)
    deviation = math.sqrt(trials * rate * (1.0 - rate))
    counts = _counts_from(successes, trials, deviation)
    log_ratios = np.log(trials - counts) - np.log(counts + 1.0) + math.log(rate) - math.log1p(-rate)
    return _sum_of_terms(log_first, log_ratios)


def hypergeometric_tail(drawn_marked: int, drawn: int, marked: int, total: int) -> float:
    """Return the probability that at least `drawn_marked` of `drawn` items are marked.

    The items are drawn without replacement from `total`, of which `marked` are marked: Fisher's exact test
    of "no more often in the window than in the baseline", exact at every size.
    """
    smallest, largest = max(0, drawn + marked - total), min(drawn, marked)
    if drawn_marked <= smallest:
        return 1.0
    if drawn_marked > largest:
        return 0.0
    share = marked / total
    if drawn_marked <= drawn * share:
        return 1.0 - hypergeometric_tail(drawn - drawn_marked + 1, drawn, total - marked, total)
    log_first = _log_choose(marked, drawn_marked) + _log_choose(total - marked, drawn - drawn_marked)
    log_first -= _log_choose(total, drawn)
    deviation = math.sqrt(drawn * share * (1.0 - share))
    counts = _counts_from(drawn_marked, largest, deviation)
    log_ratios = np.log(marked - counts) + np.log(drawn - counts) - np.log(counts + 1.0)
    log_ratios -= np.log(total - marked - drawn + counts + 1.0)
    return _sum_of_terms(log_first, log_ratios)


def _counts_from(first: int, last: int, deviation: float) -> npt.NDArray[np.float64]:
    # Above the mean, fifty standard deviations hold all of the tail that a float can express.
    end = min(last, first + int(50.0 * deviation) + 200)
    return np.arange(first, end, dtype=np.float64)


def _sum_of_terms(log_first: float, log_ratios: npt.NDArray[np.float64]) -> float:
    relative = 1.0 + float(np.exp(np.cumsum(log_ratios)).sum()) if log_ratios.size else 1.0
    return min(1.0, math.exp(min(0.0, log_first + math.log(relative))))


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1.0) - math.lgamma(chosen + 1.0) - math.lgamma(total - chosen + 1.0)


def chi_squared_tail(statistic: float, degrees_of_freedom: int) -> float:
    """Return the probability that a chi-squared variable exceeds `statistic`; NaN for no degrees."""
    if degrees_of_freedom < 1 or math.isnan(statistic):
        return math.nan
    if statistic <= 0.0:
        return 1.0
    return gamma_tail(degrees_of_freedom / 2.0, statistic / 2.0)


def gamma_tail(shape: float, x: float) -> float:
    """Return the regularised upper incomplete gamma function Q(shape, x), `shape` a whole or half number.

    A finite sum then (Abramowitz & Stegun 26.4.4 and 26.4.5).
    """
    if x <= 0.0 or math.isinf(x):
        return 1.0 if x <= 0.0 else 0.0
    powers = np.arange(shape % 1.0, shape)
    first = powers[:1] * math.log(x) - x - math.lgamma(shape % 1.0 + 1.0)
    logs = np.cumsum(np.append(first, math.log(x) - np.log(powers[1:])))
    beyond = math.erfc(math.sqrt(x)) if shape % 1.0 else 0.0
    return min(1.0, beyond + float(np.exp(logs).sum()))


def border(inside: float, outside: float, holds: Callable[[float], bool]) -> float:
    """Return the last number that something holds for between `inside`, where it does, and `outside`."""
    for _ in range(60):
        middle = (inside + outside) / 2.0
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


@functools.lru_cache(maxsize=1024)
def poisson_upper_bound(count: int, alpha: float) -> float:
    """Return the largest Poisson mean that gives `count` events or fewer with probability `alpha`.

    The exact (Garwood 1936) one-sided bound; ``-ln(alpha)`` for a count of zero.
    """
    above = count + 10.0 * math.sqrt(count + 1.0) - 2.0 * math.log(alpha)
    # P(events <= count | mean) is Q(count + 1, mean).
    return border(above, float(count), lambda mean: gamma_tail(count + 1.0, mean) <= alpha)


def student_quantile(normal_quantile: float, degrees_of_freedom: float) -> float:
    """Return the quantile of Student's t at the probability of a quantile of the normal distribution.

    Cornish and Fisher's expansion to the fourth power of 1 / degrees (Abramowitz & Stegun 26.7.5): off by
    0.1 % at 3 degrees of freedom and 95 %, by 1 % at 2.
    """
    z, square = normal_quantile, normal_quantile * normal_quantile
    terms = (
        (square + 1.0) * z / 4.0,
        ((5.0 * square + 16.0) * square + 3.0) * z / 96.0,
        (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) * z / 384.0,
        ((((79.0 * square + 776.0) * square + 1482.0) * square - 1920.0) * square - 945.0) * z / 92160.0,
    )
    return z + sum(term / degrees_of_freedom**power for power, term in enumerate(terms, start=1))


def student_ratio(deviations: float, blocks: int) -> float:
    """Return by how much an error known from so many blocks widens a band of so many deviations."""
    return student_quantile(deviations, max(_FEWEST_DEGREES, blocks - 1)) / deviations if blocks else 1.0
