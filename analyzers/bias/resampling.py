"""How far a metric of bias would move with other rows of the same kind.

Tables of counts are resampled, not rows, so the cost does not depend on the number of rows. Each cell gets
a gamma distributed weight: the posterior of the table's shares under Jeffreys' prior, half a row more in
each cell, which keeps groups with an empty cell honest. The prior is put on the smallest table a metric
needs (labels by facet for DPL, say), so that no metric is pulled by cells that it adds up anyway.

Draws are on a signed scale on which sizes compare: differences as they are, the logarithm of a ratio
(DI), the signed root of a divergence (KL, JS), the signed difference behind a distance (KS, LP, TVD). On the
unsigned scales the last five would never be near zero in a small sample, and so always seem to have grown.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from analyzers.bias import metrics
from analyzers.shared.cells import Floats

RESAMPLES = 1_000
# Half a row per cell: Jeffreys' prior.
PRIOR = 0.5
_LEVELS = (0.025, 0.1587, 0.8413, 0.975)

Scale = Literal["difference", "ratio", "distance", "divergence"]
Draws = dict[str, Floats]

# Of two outcomes, KS and TVD are |DPL|, and LP is the root of 2 times that.
DISTANCES = {"KS": 1.0, "TVD": 1.0, "LP": math.sqrt(2.0)}
_SCALES: dict[str, Scale] = {
    "DI": "ratio",
    "KL": "divergence",
    "JS": "divergence",
    **dict.fromkeys(DISTANCES, "distance"),
}


@dataclass(frozen=True)
class Tables:
    """The counts of one group against the rest.

    Parameters
    ----------
    confusion
        ``counts[facet, observed, predicted]``, shape (2, 2, 2); without predictions, or without labels, all
        rows are in the first cell of that axis.
    strata
        ``counts[stratum, facet, outcome]`` of ``CDDL`` and ``CDDPL``, without those that are not known.
    unpredicted
        As `confusion`, for rows that lack only a prediction; metrics before training count them too.
    missing, unlabelled
        Rows without a value of the facet, and others without a label.
    effect
        As many rows tell as much as an independent one.
    """

    confusion: Floats
    strata: Mapping[str, Floats] = field(default_factory=dict)
    unpredicted: Floats | float = 0.0
    missing: int = 0
    unlabelled: int = 0
    effect: float = 1.0

    def of(self, name: str) -> Floats:
        """Return the counts that a metric follows from."""
        return self.confusion + self.unpredicted if metrics.METRICS[name].stage == "pre" else self.confusion


class Spread(NamedTuple):
    """The uncertainty of one metric: its standard error, and its 95 % confidence interval."""

    standard_error: float
    interval: tuple[float, float]


def scale_of(name: str) -> Scale:
    """Return on which scale a metric's draws are."""
    return _SCALES.get(name, "difference")


def to_scale(name: str, value: float) -> float:
    """Return a value on its comparison scale; the sign of distances and divergences is not in the value."""
    scale = scale_of(name)
    if scale == "ratio":
        return math.log(value) if value > 0.0 else -math.inf
    return math.sqrt(abs(value)) if scale == "divergence" else value


def draw(tables: Tables, names: Iterable[str], size: int, generator: np.random.Generator) -> Draws:
    """Return resampled metrics on their signed scales, ``size`` of each.

    Parameters
    ----------
    tables
        The counts.
    names
        Of the metrics wanted; those that the tables cannot give (the flip test, CDDL without strata) are
        left out.
    size
        How many resamples.
    generator
        Source of randomness.
    """
    wanted = tuple(names)
    draws: Draws = {}
    # Each table has a generator of its own, so that a metric's draws do not depend on what else is wanted.
    *generators, of_strata = generator.spawn(len(_VIEWS) + 1)
    for view, own in zip(_VIEWS, generators, strict=True):
        if members := [name for name in wanted if name in view.members]:
            drawn = view.resampled(tables.of(members[0]) / tables.effect, size, own)
            draws.update(_metrics_of(drawn, members))
    for name, strata in tables.strata.items():
        estimate = disparity(strata) if name in wanted else None
        if estimate is not None:
            draws[name] = estimate.draw(size, of_strata, tables.effect)
    return draws


def draw_together(tables: Tables, names: Iterable[str], size: int, generator: np.random.Generator) -> Draws:
    """Return metrics of the same resampled tables, so that one draw's values belong together.

    As `draw`, without the metrics of strata, whose counts are not part of the other table.
    """
    drawn = _WHOLE.resampled(tables.confusion / tables.effect, size, generator)
    return _metrics_of(drawn, [name for name in names if metrics.METRICS[name].table == "confusion"])


def spread(name: str, value: float, draws: Floats) -> Spread | None:
    """Return a metric's standard error and 95 % interval from its draws.

    The standard error is half the distance between the 15.87 % and the 84.13 % quantile: that of a normal
    distribution, and finite for ratios, whose variance is not. The interval holds the value.

    Parameters
    ----------
    name
        Of the metric.
    value
        What the rows give; may be infinite.
    draws
        Resamples on the signed scale.
    """
    defined = draws[~np.isnan(draws)]
    if defined.size < RESAMPLES // 2 or math.isnan(value):
        return None
    low, lower, upper, high = _quantiles(defined)
    low, high = _from_scale(name, low, high)
    lower, upper = _from_scale(name, lower, upper)
    return Spread((upper - lower) / 2.0, (min(low, value), max(high, value)))


def _quantiles(draws: Floats) -> list[float]:
    """Return the draws at `_LEVELS`, interpolated as NumPy does, without what its import drags along."""
    ordered = np.sort(draws)
    places = np.array(_LEVELS) * (ordered.size - 1)
    below = np.floor(places).astype(np.int64)
    left, right = ordered[below], ordered[below + 1]
    with np.errstate(invalid="ignore"):  # between equal infinities
        between = left + (places - below) * (right - left)
    quantiles: list[float] = np.where(left == right, left, between).tolist()
    return quantiles


def spreads(
    tables: Tables, values: dict[str, float], generator: np.random.Generator, size: int = RESAMPLES
) -> dict[str, Spread]:
    """Return the spread of each metric whose value is given and whose tables are there."""
    draws = draw(tables, values, size, generator)
    found = {name: spread(name, values[name], drawn) for name, drawn in draws.items()}
    return {name: one for name, one in found.items() if one is not None}


def _from_scale(name: str, low: float, high: float) -> tuple[float, float]:
    scale = scale_of(name)
    if scale == "difference":
        return low, high
    if scale == "ratio":
        return math.exp(low), math.exp(high)
    smallest = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
    largest = max(abs(low), abs(high))
    return (smallest, largest) if scale == "distance" else (smallest**2, largest**2)


# --- views: the smallest table that a metric needs --------------------------------------------------------


class _View(NamedTuple):
    """A table made from the confusion table, and the metrics it suffices for.

    `reduce` adds cells up; `place` is where the formulas look for the cells of the result.
    """

    members: frozenset[str]
    reduce: Callable[[Floats], Floats]
    place: tuple[Any, ...]

    def resampled(self, confusion: Floats, size: int, generator: np.random.Generator) -> Floats:
        cells = self.reduce(confusion) + PRIOR
        # Cell by cell in memory, so that adding cells up adds long contiguous rows.
        table = np.zeros((2, 2, 2, size))
        drawn = table[self.place]
        for cell, count in np.ndenumerate(cells):
            drawn[cell] = generator.standard_gamma(count, size)
        return np.moveaxis(table, -1, 0)


def _correctness(confusion: Floats) -> Floats:
    """Return ``counts[facet, wrong or right]``."""
    right = metrics.rightly_predicted(confusion)
    return np.stack((metrics.facet_sizes(confusion) - right, right), axis=-1)


_WHOLE = _View(frozenset(("DCA", "DCR", "RD", "SD", "DAR", "DRR", "TE")), np.asarray, np.s_[:, :])
_VIEWS = (
    _View(frozenset(("CI", "DPL", "KL", "JS", *DISTANCES)), metrics.observed_counts, np.s_[:, :, 0]),
    _View(frozenset(("DPPL", "DI")), metrics.predicted_counts, np.s_[:, 0]),
    # As rows predicted positive: wrong where observed negative, right where observed positive.
    _View(frozenset(("AD",)), _correctness, np.s_[:, :, 1]),
    _View(frozenset(("GE",)), lambda confusion: np.asarray(confusion.sum(axis=0)), np.s_[0, :]),
    _WHOLE,
)


def _metrics_of(counts: Floats, names: Iterable[str]) -> Draws:
    draws: Draws = {}
    for name in names:
        scale = scale_of(name)
        if scale == "distance":
            draws[name] = DISTANCES[name] * metrics.RATES["DPL"].difference(counts)
            continue
        values = metrics.METRICS[name].function(counts)
        if scale == "ratio":
            values = np.log(values)
        elif scale == "divergence":
            values = np.copysign(np.sqrt(np.maximum(values, 0.0)), metrics.RATES["DPL"].difference(counts))
        draws[name] = values
    return draws


# --- strata -----------------------------------------------------------------------------------------------


class Disparity(NamedTuple):
    """Conditional demographic disparity with its precision, whatever the number of strata.

    Parameters
    ----------
    shares
        d's share of the rejected and of the accepted, averaged over strata by size.
    rows
        The number of rows that would give each share the same variance without strata.
    between
        Variance of the mean over strata that comes from the strata's random sizes.
    """

    shares: tuple[float, float]
    rows: tuple[float, float]
    between: float

    def draw(self, size: int, generator: np.random.Generator, effect: float = 1.0) -> Floats:
        """Return resampled disparities: two beta draws each, as of one large stratum.

        `effect` rows tell as much as an independent one.
        """
        rejected, accepted = (
            generator.beta(rows / effect * share + PRIOR, rows / effect * (1.0 - share) + PRIOR, size)
            for share, rows in zip(self.shares, self.rows, strict=True)
        )
        between = generator.normal(0.0, math.sqrt(self.between * effect), size)
        return np.asarray(rejected - accepted + between)


def disparity(strata: Floats) -> Disparity | None:
    """Return the disparity of ``counts[stratum, facet, outcome]`` with its precision.

    Hundreds of strata of a few rows each are summed up by two shares, each with the number of rows that has
    the same variance, so that resampling costs the same as for one stratum. None when an outcome does
    not occur.
    """
    outcomes = strata.sum(axis=1)
    sizes = outcomes.sum(axis=1)
    rows = float(sizes.sum())
    if not strata.size or not (outcomes.sum(axis=0) > 0).all():
        return None
    weights = sizes / rows
    occupied = np.maximum(outcomes, 1.0)
    shares = strata[:, 1, :] / occupied
    means = weights @ shares
    by_outcome = zip(shares.T, outcomes.T, means.tolist(), strict=True)
    effective = [_effective_rows(weights, *one) for one in by_outcome]
    terms = shares[:, 0] - shares[:, 1]
    between = max(0.0, float(weights @ terms**2) - float(weights @ terms) ** 2) / rows
    return Disparity((float(means[0]), float(means[1])), (effective[0], effective[1]), between)


def _effective_rows(weights: Floats, shares: Floats, counts: Floats, mean: float) -> float:
    filled = counts > 0
    weights, shares, counts = weights[filled], shares[filled], counts[filled]
    together = mean * (1.0 - mean)
    if together <= 0.0:
        return 1.0 / float((weights**2 / counts).sum())
    # A stratum's own variance, steadied by two rows of the variance of all.
    own = np.where(counts > 1, shares * (1.0 - shares) * counts / np.maximum(counts - 1.0, 1.0), together)
    steadied = (counts * own + 2.0 * together) / (counts + 2.0)
    return together / float((weights**2 / counts * steadied).sum())
