"""Global values from local ones, with what coalitions and rows left to chance, in sums that merge."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import erfc, sqrt
from typing import Literal

import numpy as np

from analyzers.feature_attribution.kernel import Explanation, shared_error
from analyzers.shared.cells import Floats

type Aggregation = Literal["mean_abs", "median", "mean_sq"]

# Mean size of a normal deviate in units of its standard deviation.
_MEAN_SIZE = sqrt(2.0 / np.pi)

# So many standard errors from zero, a value's sign is no question.
_FARTHEST = 6.0


# Sums over designs of squared errors, of errors and of 1, by the number of features and of pairs in a design;
# errors are those of sums over a design's rows, and each array has the shape (3, outputs, features).
type DesignErrors = Mapping[tuple[int, int], Floats]


@dataclass(frozen=True)
class GlobalSummary:
    """Sums over explained rows; arrays have the shape (outputs, features) unless said otherwise.

    Parameters
    ----------
    method
        ``mean_abs``, ``median`` or ``mean_sq``.
    rows
        Explained rows.
    sums, squares
        Of what is averaged: sizes of local values, their squares, or (median) the values themselves.
    totals, total_squares
        Of the same added up over features, shape (outputs,).
    design_errors
        Errors of ``sums`` from the choice of coalitions.
    noise
        Sum of what is averaged as pure noise of the local standard errors would show it.
    inflation
        Sum of what the noise of local values adds to their sizes or squares on average.
    directed
        Sums of sizes, of values times the sign of the cell, and of the products of these two with each other
        and themselves, shape (5, outputs, features).
    local
        Local values, kept for the median only; each of shape (rows, outputs, features).
    """

    method: Aggregation
    rows: int
    sums: Floats
    squares: Floats
    totals: Floats
    total_squares: Floats
    design_errors: DesignErrors
    noise: Floats
    inflation: Floats
    directed: Floats
    local: tuple[Floats, ...] = ()


_ADDED = ("rows", "sums", "squares", "totals", "total_squares", "noise", "inflation", "directed", "local")


@dataclass(frozen=True)
class GlobalValues:
    """Global attributions; arrays have the shape (outputs, features) unless said otherwise.

    Parameters
    ----------
    values
        Mean of absolute local values, plain median of signed ones, or mean of squares.
    coalition_error
        Standard error from the choice of coalitions; 0 where values are exact, NaN where unknown.
    inflation
        Estimate of what the noise of local values adds to ``values``: small values of either sign have larger
        sizes on average than the value they stand for. 0 for the median.
    instance_error
        Standard error from the choice of rows, as draws from many.
    noise_floor
        What a feature without any influence would show for its coalition errors alone; 0 for the median.
    total, total_error
        Of the values of all features together, and its standard error, shape (outputs,).
    direction, direction_error
        Sum of values times the sign of their cells over the sum of sizes: 1 where higher cells always raise
        the answer, -1 where they always lower it; and its standard error.
    """

    values: Floats
    coalition_error: Floats
    inflation: Floats
    instance_error: Floats
    noise_floor: Floats
    total: Floats
    total_error: Floats
    direction: Floats
    direction_error: Floats

    @property
    def standard_error(self) -> Floats:
        """Errors of coalitions and rows and the inflation together.

        What coalitions leave to chance in each row alone is in the scatter of rows too, and counts twice.
        """
        return np.hypot(np.hypot(self.coalition_error, self.inflation), self.instance_error)


def summarize(explanation: Explanation, method: Aggregation, signs: Floats | None = None) -> GlobalSummary:
    """Return the sums over one window, whose designs no other window uses.

    Parameters
    ----------
    explanation
        Of whole windows, as `kernel.explain_windows` gives them.
    method
        What is averaged.
    signs
        Of the cells, shape (rows, features); None for 1 throughout.
    """
    local, error = explanation.local, explanation.standard_error
    slope: Floats | None
    if method == "mean_abs":
        averaged, slope, noise = np.abs(local), np.sign(local), error * _MEAN_SIZE
        inflation = _mean_size_beyond(np.sqrt(np.maximum(local**2 - error**2, 0.0)), error)
    elif method == "mean_sq":
        averaged, slope, noise = local**2, 2.0 * local, error**2
        inflation = error**2
    else:
        averaged, slope, noise = local, None, np.zeros_like(local)
        inflation = noise
    totals, size = averaged.sum(axis=2), np.abs(local)
    signed = local if signs is None else local * signs[:, None, :]
    return GlobalSummary(
        method=method,
        rows=len(local),
        sums=averaged.sum(axis=0),
        squares=(averaged**2).sum(axis=0),
        totals=totals.sum(axis=0),
        total_squares=(totals**2).sum(axis=0),
        design_errors=_design_errors(explanation, slope),
        noise=noise.sum(axis=0),
        inflation=inflation.sum(axis=0),
        directed=np.stack((size, signed, size**2, size * signed, signed**2)).sum(axis=1),
        local=(local,) if method == "median" else (),
    )


def _design_errors(explanation: Explanation, slope: Floats | None) -> DesignErrors:
    """Return the errors of sums over rows whose errors are correlated within designs.

    A design's error is linear in the games it is applied to, so the error of a weighted sum of values is that
    of one value of the weighted sum of games. That holds where all rows differ from the baseline in the same
    features, and is close to it elsewhere. A median hangs on a few neighbours: without weights the errors of
    a design count as one.
    """
    found: DesignErrors = {}
    for number in np.unique(explanation.design[explanation.design >= 0]):
        rows = explanation.design == number
        residuals, spread = explanation.residuals[rows], explanation.spread[rows][:, None, :]
        if slope is None:
            scale = np.sqrt(np.mean(residuals**2, axis=2))
            variance = (scale[:, :, None] * spread).sum(axis=0) ** 2
        else:
            combined = np.einsum("nof,nor->ofr", slope[rows] * spread, residuals)
            variance = np.mean(combined**2, axis=2)
        first = int(np.argmax(rows))
        kind = int(np.count_nonzero(explanation.spread[first])), int(explanation.coalitions[first]) // 2
        errors = np.stack((variance, np.sqrt(variance), np.ones_like(variance)))
        found = _added(found, {kind: errors})
    return found


def _added(one: DesignErrors, other: DesignErrors) -> DesignErrors:
    return {**one, **{kind: one[kind] + errors if kind in one else errors for kind, errors in other.items()}}


def _coalition_error(summary: GlobalSummary) -> Floats:
    """Return the standard error of the sums: what designs share of their errors does not average out."""
    variance, common = np.zeros_like(summary.sums), np.zeros_like(summary.sums)
    several = sum(float(designs.max()) for _, _, designs in summary.design_errors.values()) > 1.0
    for (players, pairs), (squares, sizes, _) in sorted(summary.design_errors.items()):
        shared = shared_error(players, pairs) if several else 0.0
        variance += (1.0 - shared) * squares
        common += np.sqrt(shared) * sizes
    return np.hypot(np.sqrt(variance), common)


def _mean_size_beyond(size: Floats, error: Floats) -> Floats:
    """Return how much larger the mean size of a normal deviate is than the size of its mean.

    That mean size is the folded normal distribution's (Leone, Nelson & Nottingham 1961).
    """
    ratio = np.divide(size, error, out=np.full_like(size, _FARTHEST), where=error > 0.0)
    return np.asarray(error * np.interp(ratio, *_beyond_table()), dtype=np.float64)


@lru_cache(maxsize=1)
def _beyond_table() -> tuple[Floats, Floats]:
    """Return sizes of the mean of a normal deviate of spread one, and how much larger its mean size is."""
    means = np.linspace(0.0, _FARTHEST, 1025)
    below = np.array([erfc(mean / sqrt(2.0)) for mean in means.tolist()])
    return means, _MEAN_SIZE * np.exp(-(means**2) / 2.0) - means * below


def merge(one: GlobalSummary, other: GlobalSummary) -> GlobalSummary:
    """Return the sums over the rows of both."""
    if not one.rows or not other.rows:
        return one if one.rows else other
    added = {name: getattr(one, name) + getattr(other, name) for name in _ADDED}
    return replace(one, **added, design_errors=_added(one.design_errors, other.design_errors))


def describe(summary: GlobalSummary, effect: float = 1.0) -> GlobalValues:
    """Return the global values of at least one row; `effect` rows tell as much as an independent one.

    Notes
    -----
    Errors of means are ``s / sqrt(rows)`` with the sample standard deviation, 0 for a single row. The error
    of a median is half the distance between the order statistics half a root of ``rows`` before and after,
    which is one standard error of its rank (Woodruff 1952).
    """
    rows = summary.rows
    values = summary.sums / rows
    instance_error = _error_of_mean(summary.sums, summary.squares, rows)
    total = summary.totals / rows
    total_instance = _error_of_mean(summary.totals, summary.total_squares, rows)
    coalition_error = _coalition_error(summary) / rows
    total_coalition = np.sqrt((coalition_error**2).sum(axis=1))
    if summary.method == "median":
        ordered = np.sort(np.concatenate(summary.local), axis=0)
        values = np.median(ordered, axis=0)
        reach = np.sqrt(rows) / 2.0
        low = int(np.floor(max(0.0, (rows - 1) / 2.0 - reach)))
        high = int(np.ceil(min(rows - 1.0, (rows - 1) / 2.0 + reach)))
        instance_error = (ordered[high] - ordered[low]) / 2.0
        total = np.abs(values).sum(axis=1)
        total_instance = np.sqrt((instance_error**2).sum(axis=1))
    instance_error, total_instance = np.sqrt(effect) * instance_error, np.sqrt(effect) * total_instance
    sizes, signed, squares, products, signed_squares = summary.directed
    with np.errstate(divide="ignore", invalid="ignore"):
        direction = np.nan_to_num(signed / sizes)
        scatter = np.maximum(signed_squares - 2.0 * direction * products + direction**2 * squares, 0.0)
        # No fewer than two values more on the other side, of those that matter.
        direction_error = np.sqrt(effect * (scatter + 4.0 * effect * squares**2 / sizes**2)) / sizes
    return GlobalValues(
        direction=direction,
        direction_error=direction_error,
        values=values,
        coalition_error=coalition_error,
        inflation=summary.inflation / rows,
        instance_error=instance_error,
        noise_floor=summary.noise / rows,
        total=total,
        total_error=np.hypot(np.hypot(total_instance, total_coalition), summary.inflation.sum(axis=1) / rows),
    )


def _error_of_mean(sums: Floats, squares: Floats, rows: int) -> Floats:
    if rows < 2:
        return np.zeros_like(sums)
    # Sums of squares lose digits where values hardly vary; their difference is then no less than zero.
    variance = np.maximum(squares - sums**2 / rows, 0.0) / (rows - 1)
    return np.asarray(np.sqrt(variance / rows), dtype=np.float64)
