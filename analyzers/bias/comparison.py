"""Whether a metric of bias is larger than allowed by more than chance explains."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from analyzers.bias.check_sagemaker import pairs, undecided_comparison, why_no_value
from analyzers.bias.documents import BiasConstraints, BiasStatistics, FacetStatistics, MetricValue
from analyzers.bias.explain import group_text
from analyzers.bias.metrics import RATES, WITHOUT_LABELS, Floats
from analyzers.bias.resampling import DISTANCES, Draws, Tables, draw, scale_of, to_scale
from analyzers.bias.suggest import paired
from contract.api import Comparison

# Groups smaller than this are not decided, nor are rates of fewer rows than the second number.
SMALLEST_GROUP = 30
FEWEST_IN_RATE = 10

# Most metrics are settled by the first few draws; the rest is drawn until its tail is known.
_FIRST_DRAWS = 2_000
_DRAWS = 20_000
_SETTLED = 0.02
# The tail beyond this many draws is extrapolated as that of a normal distribution.
_TAIL_DRAWS = 20

# Quotients of two random counts: an interval says less of their tails than of others.
_LONG_TAILED = frozenset(("TE", "DCA", "DCR"))

_Z_95 = 1.959963984540054
_SAME_NUMBER = 1e-5
_SMALLEST_P = 1e-15

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Limit:
    """What a metric is held to.

    Parameters
    ----------
    requirement
        As written in the violation: the baseline's value, a threshold, or a range.
    low, high
        The same on the comparison scale; for a size, ``-size`` and ``size``.
    position
        The baseline's value on that scale, with its sign.
    error
        Standard error of the size on that scale; 0 where somebody decided it.
    own
        Whether it is the value of the baseline's statistics, whose counts then say how far to trust it.
    decided
        Whether somebody decided it, rather than the baseline.
    """

    requirement: float | tuple[float, float]
    low: float
    high: float
    position: float = 0.0
    error: float = 0.0
    own: bool = False
    decided: bool = False

    def is_left(self, name: str, value: float) -> bool:
        """Return whether a value is beyond the limit, be it by chance."""
        position = to_scale(name, value)
        return position < self.low or position > self.high


def limit_of(constraint: MetricValue, before: MetricValue | None) -> Limit | None:
    """Return the limit that a constraint sets, None when no value can be beyond it.

    Parameters
    ----------
    constraint
        From the baseline's constraints: ``allowed``, else ``threshold``, else its value is the limit.
    before
        The same metric in the baseline's statistics, None when there are none.
    """
    name = constraint.name
    if constraint.allowed is not None:
        low, high = (to_scale(name, end) for end in constraint.allowed)
        if scale_of(name) in ("distance", "divergence"):
            low = -high
        return Limit(constraint.allowed, low, high, decided=True)
    value = constraint.threshold if constraint.threshold is not None else constraint.value
    if value is None or math.isnan(value):
        return None
    position = to_scale(name, value)
    size = abs(position)
    if math.isinf(size):
        return None
    if constraint.threshold is not None:
        return Limit(value, -size, size, decided=True)
    if before is not None and before.value is not None:
        own = math.isclose(value, before.value, rel_tol=_SAME_NUMBER, abs_tol=_SAME_NUMBER)
        return Limit(value, -size, size, position, own=own)
    return Limit(value, -size, size, position, error=_error(constraint, value))


def _error(constraint: MetricValue, value: float) -> float:
    """Return the standard error on the comparison scale that the constraint itself states, else 0."""
    if constraint.confidence_interval is None:
        return 0.0
    name = constraint.name
    low, high = (to_scale(name, end) for end in constraint.confidence_interval)
    position = to_scale(name, value)
    # The wider side; that of a distance or a divergence is the upper one, as the lower one ends at 0.
    error = max(high - position, position - low) / _Z_95 * (2.0 if name in _LONG_TAILED else 1.0)
    return error if math.isfinite(error) else 0.0


# --- tables ------------------------------------------------------------------------------------------------


def tables_of(facet: FacetStatistics) -> Tables:
    """Return a group's counts as arrays."""
    strata = {
        name: np.asarray(known, dtype=np.float64).reshape(-1, 2, 2)
        for name, known in (("CDDL", facet.strata_observed), ("CDDPL", facet.strata_predicted))
        if known is not None
    }
    return Tables(np.asarray(facet.counts, dtype=np.float64), strata)


def decided_strata(tables: Tables) -> Tables:
    """Return the tables with only those strata in which both outcomes occur.

    An empty outcome counts as a share of 0, so that strata too small to have both pull the disparity of a
    small sample away from that of a large one; without them it is unbiased at any size.
    """
    both = {name: known[(known.sum(axis=1) > 0).all(axis=1)] for name, known in tables.strata.items()}
    return Tables(tables.confusion, both)


# --- p-values ----------------------------------------------------------------------------------------------


def p_values(window: Tables, before: Tables | None, limits: dict[str, Limit], seed: int) -> dict[str, float]:
    """Return, per metric, the probability of a value as far beyond its limit when nothing has changed.

    Both sides are resampled. Most metrics are settled by a few draws; the tails of the others take more.

    Parameters
    ----------
    window, before
        Counts of the window and of the baseline; None when the baseline's are not known.
    limits
        By metric.
    seed
        Of the resampling. Groups share it: what is the same table then gives the same draws.
    """
    found: dict[str, float] = {}
    for size in (_FIRST_DRAWS, _DRAWS):
        open_limits = {name: limit for name, limit in limits.items() if found.get(name, 0.0) < _SETTLED}
        if not open_limits:
            break
        generators = np.random.default_rng([seed, 2, size]).spawn(3)
        drawn = draw(window, open_limits, size, generators[0])
        own = [name for name, limit in open_limits.items() if limit.own]
        others = draw(before, own, size, generators[1]) if before is not None else {}
        noise = generators[2].standard_normal(size)
        for name, limit in open_limits.items():
            if name not in drawn:
                continue
            if limit.decided:
                found[name] = _beyond_range(drawn[name], limit.low, limit.high)
            else:
                found[name] = _grown(drawn[name], _baseline_draws(name, limit, drawn[name], others, noise))
    return found


def _baseline_draws(name: str, limit: Limit, drawn: Floats, others: Draws, noise: Floats) -> Floats:
    if name in others:
        return others[name]
    # A distance does not say which group was ahead: the one that is now, which makes growth the smallest.
    signed = scale_of(name) in ("difference", "ratio")
    position = limit.position if signed else math.copysign(limit.high, float(np.median(drawn)))
    return position + limit.error * noise


def _beyond_range(drawn: Floats, low: float, high: float) -> float:
    """Return the probability that chance alone leaves a range as far as the draws do."""
    above, below = _tail(drawn - high), _tail(low - drawn)
    # Where the range is narrow, chance leaves it at either end.
    return min(1.0, above + max(0.0, 1.0 - below), below + max(0.0, 1.0 - above))


def _grown(drawn: Floats, others: Floats) -> float:
    """Return the probability that chance alone moves a metric as far, in the direction of more bias.

    The metric must have moved, which is what the probability is of, and its size must have grown: a
    metric of the same size on the other side is no more bias, and gives 1.
    """
    if float(np.mean(np.abs(drawn) <= np.abs(others))) > _SETTLED:
        return 1.0
    now, then = float(np.median(drawn)), float(np.median(others))
    move = (drawn - others) if now > 0.0 else (others - drawn)
    # Chance could have made it as large on the other side too, unless the baseline's own size forbids.
    further = max(0.0, 2.0 * abs(then) - abs(now - then)) if now * then > 0.0 else 0.0
    return min(1.0, _tail(move) + _tail(move + further))


def _tail(excess: Floats) -> float:
    """Return the probability that `excess` is not positive, beyond the draws as of a normal tail."""
    inside = int(np.count_nonzero(excess <= 0.0))
    if inside >= _TAIL_DRAWS or excess.size < _DRAWS:
        return inside / excess.size
    half = excess.size // 2
    ordered = np.partition(excess, (_TAIL_DRAWS - 1, half))
    edge, middle = float(ordered[_TAIL_DRAWS - 1]), float(ordered[half])
    # What was counted is enough for tails that are long on the other side.
    counted = (inside + 1.0) / (excess.size + 1.0)
    if middle <= edge:
        return counted
    depth = _NORMAL.inv_cdf(_TAIL_DRAWS / excess.size) * middle / (middle - edge)
    return min(counted, max(_SMALLEST_P, _NORMAL.cdf(depth)))


# --- enough rows -------------------------------------------------------------------------------------------


def rows_lacking(name: str, tables: Tables) -> int | None:
    """Return how many rows of this kind would be enough to decide a metric; None when there are enough.

    Every group needs `SMALLEST_GROUP` rows, and `FEWEST_IN_RATE` of those that a rate is a share of.
    """
    counts = tables.confusion
    sizes = counts.sum(axis=(1, 2))
    total = float(sizes.sum())
    smallest = total if name in ("CI", "GE") else float(sizes.min())
    factor = SMALLEST_GROUP / max(smallest, 0.5)
    rate = RATES.get(name)
    if rate is not None:
        base = rate.of(counts) + (rate.hits(counts) if name == "TE" else 0.0)
        factor = max(factor, FEWEST_IN_RATE / max(float(base.min()), 0.5))
    strata = tables.strata.get(name)
    if strata is not None and strata.size:
        factor = max(factor, FEWEST_IN_RATE / max(float(strata.sum(axis=(0, 1)).min()), 0.5))
    return math.ceil(total * factor) if factor > 1.0 else None


# Groups of a window with the limits that their metrics are held to, and notes on those left out.


# Strata that lack an outcome are left out; with more of the rows in them, too little is left.
_MOST_LEFT_OUT = 0.1
# Facets of many values have many small groups.
_MOST_NOTES = 10
_NO_INTERVAL = "FT has no interval, so it needs an allowed range or threshold of yours"


@dataclass
class Held:
    """One group of a window: its counts, the baseline's, and per metric its value and limit."""

    facet: FacetStatistics
    window: Tables
    before: Tables | None
    known: FacetStatistics | None
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)

    def test_of(self, name: str) -> tuple[object, ...]:
        """Return what makes comparisons one test: the same rows, whichever side is called d, and question."""
        if name == "GE":
            return (name,)
        first, second = self.window.confusion
        limit = self.limits[name]
        question = "DPL" if name in DISTANCES and not limit.decided else name
        asked = limit.requirement if limit.decided else None
        return (frozenset((first.tobytes(), second.tobytes())), question, asked)


def hold(
    statistics: BiasStatistics, constraints: BiasConstraints, baseline: BiasStatistics | None
) -> tuple[list[Held], list[str], list[Comparison]]:
    """Return every group with what can be decided; what cannot, as notes and as comparisons."""
    groups: dict[int, Held] = {}
    undefined: dict[str, list[str]] = {}
    notes, undecided = [], []
    for facet, metric, constraint in pairs(statistics, constraints):
        if id(facet) not in groups:
            members = [] if baseline is None else [m for m in baseline.facets if m.facet == facet.facet]
            known = paired(members, facet.value_or_threshold)
            before = None if known is None else decided_strata(tables_of(known))
            groups[id(facet)] = Held(facet, decided_strata(tables_of(facet)), before, known)
        group = groups[id(facet)]
        limit = limit_of(constraint, None if group.known is None else group.known.metric(metric.name))
        lost = metric.value is None
        if not statistics.has_labels and metric.name not in WITHOUT_LABELS:
            undecided.append(undecided_comparison(facet, metric.name, "no row has a label", lost=True))
        elif lost and limit is None and constraint.value is None:
            continue  # as at the baseline
        elif lost or limit is None:
            undefined.setdefault(group_text(facet), []).append(metric.name)
            reason = f"the baseline has no finite value of {metric.name}"
            reason = why_no_value(facet, metric) if lost else reason
            undecided.append(undecided_comparison(facet, metric.name, reason, lost))
        else:
            group.metrics[metric.name] = metric
            group.limits[metric.name] = limit
    if not statistics.has_labels:
        notes.append("No row has a label, so only metrics that need none were checked.")
    notes += [
        f"{text}: not checked, as the window has no value or the baseline no finite one: {', '.join(names)}."
        for text, names in undefined.items()
    ]
    if any("FT" in group.limits and not group.limits["FT"].decided for group in groups.values()):
        notes.append("FT has no interval, so it is only held to an allowed range or threshold that you set.")
    left_out = []
    for group in groups.values():
        asked = list(group.limits)
        left_out += (said := _leave_out(group))
        reason = said[0].rstrip(".") if len(said) == 1 else "groups have too few rows"
        undecided += [
            undecided_comparison(group.facet, name, _NO_INTERVAL if name == "FT" else reason)
            for name in asked
            if name not in group.limits
        ]
    notes += left_out[:_MOST_NOTES]
    if len(left_out) > _MOST_NOTES:
        notes.append(f"The same is true of {len(left_out) - _MOST_NOTES:,} more cases.")
    return list(groups.values()), notes, undecided


def _leave_out(group: Held) -> list[str]:
    """Take metrics that cannot be decided off a group; return notes on them."""
    small: dict[int, list[str]] = {}
    small_before, strata = [], []
    every = tables_of(group.facet).strata
    for name, limit in list(group.limits.items()):
        needed = rows_lacking(name, group.window)
        whole = float(every[name].sum()) if name in every else 0.0
        if name == "FT":
            if limit.decided:
                continue
        elif needed is not None:
            small.setdefault(needed, []).append(name)
        elif limit.own and group.before is not None and rows_lacking(name, group.before) is not None:
            small_before.append(name)
        elif whole and 1.0 - float(group.window.strata[name].sum()) / whole > _MOST_LEFT_OUT:
            strata.append(name)
        else:
            continue
        del group.limits[name]
    texts = []
    if small:
        rows = int(group.window.confusion.sum())
        needs = "; ".join(f"{', '.join(names)} (about {rows:,})" for rows, names in sorted(small.items()))
        texts.append(f"of {rows:,} rows too few are of the group to decide metrics that need more: {needs}.")
    if small_before:
        texts.append(f"the baseline has too few rows of the group to decide {', '.join(small_before)}.")
    if strata:
        texts.append(
            f"too many groups of the group variable have only one outcome to decide {', '.join(strata)}."
        )
    return [f"{group_text(group.facet)}: {text}" for text in texts]
