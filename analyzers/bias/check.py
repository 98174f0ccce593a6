"""Decisions by either set of rules; by statistics a violation is a size of bias beyond its limit and chance.

All metrics of all groups of a window without any change together raise a violation in less than 1 % of
windows. Metrics that are the same number in another form (DPL, KS, LP, TVD), and the two groups of a facet of
two values, are one test. Tests have weights: test j is held to the level ``w_j q``.

Level q is the largest at which chance raises any violation in no more than `FALSE_ALARM_RATE` of the windows.
Within a group that probability is taken from how its metrics move together (`effective_weight`);
those of groups are added, which is enough however they overlap.

Once a test is violated it is no question any more, and the others are held to the level that is due to them
alone, until no more is violated. That is closed testing (Marcus, Peritz & Gabriel 1976, Biometrika 63: a
hypothesis is rejected when each intersection it is part of is) in the steps of Westfall & Young (1993,
section 2.6): fewer tests never have a smaller level, so the whole of what is left stands for its parts. So
metrics that have not changed keep the same rate beside others that have.
"""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from analyzers.bias.describe import explain, group_text, impact_findings, requirement_text
from analyzers.bias.documents import BiasConstraints, BiasStatistics, FacetStatistics, MetricValue
from analyzers.bias.metrics import METRICS, RATES, WITHOUT_LABELS
from analyzers.bias.resampling import DISTANCES, Draws, Tables, draw, draw_together, scale_of, to_scale
from analyzers.shared.analysis_json import with_version
from analyzers.shared.cells import Floats
from analyzers.shared.significance import OPEN, student_ratio
from contract.api import Comparison, Decision, Finding, State, Violation
from contract.errors import wording
from contract.wording import chance, number

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

# Standard deviations about which decisions are made.
_FAR = 4.0
_Z_95 = 1.959963984540054
_SAME_NUMBER = 1e-5
# Share of the baseline's size that is allowed on the other side of no bias.
_TURNED = 0.5
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
        The same on the comparison scale; for a size, ``-size`` and ``size``, half of it on the side where the
        baseline's value is not: a group that was ahead and is now behind is treated otherwise than it was.
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

    def growth(self, name: str, value: float) -> float:
        """Return how far a value is beyond the limit on the comparison scale; negative inside."""
        position = to_scale(name, value)
        return max(position - self.high, self.low - position)


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
    low, high = -size, size
    if scale_of(name) in ("difference", "ratio"):
        low, high = (-_TURNED * size, size) if position > 0.0 else (-size, _TURNED * size)
    if before is not None and before.value is not None:
        own = math.isclose(value, before.value, rel_tol=_SAME_NUMBER, abs_tol=_SAME_NUMBER)
        return Limit(value, low, high, position, own=own)
    return Limit(value, low, high, position, error=_error(constraint, value))


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


def tables_of(facet: FacetStatistics, other: FacetStatistics | None = None) -> Tables:
    """Return a group's counts as arrays; `other` may show better how its rows depend on each other."""
    known = max(filter(None, (facet, other)), key=lambda side: side.design_effect or 1.0)
    effect = (known.design_effect or 1.0) * student_ratio(_FAR, known.blocks) ** 2
    given = {"CDDL": facet.strata_observed, "CDDPL": facet.strata_predicted}.items()
    strata = {name: np.asarray(one, np.float64).reshape(-1, 2, 2) for name, one in given if one is not None}
    unpredicted = np.asarray(facet.unpredicted or 0.0)
    return Tables(np.asarray(facet.counts, dtype=np.float64), strata, unpredicted, effect=effect)


def decided_strata(tables: Tables) -> Tables:
    """Return the tables with only those strata in which both outcomes occur.

    An empty outcome counts as a share of 0, so that strata too small to have both pull the disparity of a
    small sample away from that of a large one; without them it is unbiased at any size.
    """
    both = {name: known[(known.sum(axis=1) > 0).all(axis=1)] for name, known in tables.strata.items()}
    return replace(tables, strata=both)


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
        others: Draws = draw(before, own, size, generators[1]) if before is not None else {}
        noise = generators[2].standard_normal(size)
        for name, limit in open_limits.items():
            if name not in drawn:
                continue
            if limit.decided:
                above, below = _tail(drawn[name] - limit.high), _tail(limit.low - drawn[name])
                # Where the range is narrow, chance leaves it at either end.
                found[name] = min(1.0, above + max(0.0, 1.0 - below), below + max(0.0, 1.0 - above))
                continue
            # A distance does not say which group was ahead: the one that is now, which makes growth smallest.
            signed = scale_of(name) in ("difference", "ratio")
            position = limit.position if signed else math.copysign(limit.high, float(np.median(drawn[name])))
            before_draws = others[name] if name in others else position + limit.error * noise
            found[name] = _grown(drawn[name], before_draws)
    return found


def _grown(drawn: Floats, others: Floats) -> float:
    """Return the probability that chance alone moves a metric as far, in the direction of more bias.

    The metric must have moved, which is what the probability is of, and its size must have grown, or be more
    than half as large on the other side; else it gives 1.
    """
    now, then = float(np.median(drawn)), float(np.median(others))
    limit = _TURNED if now * then < 0.0 else 1.0
    if float(np.mean(np.abs(drawn) <= limit * np.abs(others))) > _SETTLED:
        return 1.0
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
    counts = tables.of(name) / tables.effect
    sizes = counts.sum(axis=(1, 2))
    total = float(tables.of(name).sum())
    smallest = float(sizes.sum()) if name in ("CI", "GE") else float(sizes.min())
    factor = SMALLEST_GROUP / max(smallest, 0.5)
    rate = RATES.get(name)
    if rate is not None:
        base = rate.of(counts) + (rate.hits(counts) if name == "TE" else 0.0)
        factor = max(factor, FEWEST_IN_RATE / max(float(base.min()), 0.5))
    strata = tables.strata.get(name)
    if strata is not None and strata.size:
        factor = max(factor, FEWEST_IN_RATE / max(float(strata.sum(axis=(0, 1)).min()) / tables.effect, 0.5))
    return math.ceil(total * factor) if factor > 1.0 else None


# Groups of a window with the limits that their metrics are held to, and notes on those left out.


# Strata that lack an outcome are left out; with more of the rows in them, too little is left.
_MOST_LEFT_OUT = 0.1
# Facets of many values have many small groups.
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
        first, second = self.window.of(name)
        limit = self.limits[name]
        question = "DPL" if name in DISTANCES and not limit.decided else name
        asked = limit.requirement if limit.decided else None
        return (frozenset((first.tobytes(), second.tobytes())), question, asked)


def _all_alike(name: str, window: Tables) -> str:
    """Return which outcomes that a metric rests on are all alike; empty where none are."""
    confusion = window.confusion.sum(axis=0)
    rests_on = {
        "prediction": METRICS[name].stage == "post" and name != "FT",
        "label": name not in WITHOUT_LABELS,
    }
    for role, counts in (("prediction", confusion.sum(axis=0)), ("label", confusion.sum(axis=1))):
        if rests_on[role] and counts.any() and not counts.all():
            return f"{'no' if counts[0] else 'every'} {role} is positive"
    return ""


def hold(
    statistics: BiasStatistics, constraints: BiasConstraints, baseline: BiasStatistics | None
) -> tuple[list[Held], list[str], list[Comparison]]:
    """Return every group with what can be decided, notes, and what cannot be, as comparisons."""
    groups: dict[int, Held] = {}
    undecided = []
    for facet, metric, constraint in pairs(statistics, constraints):
        if id(facet) not in groups:
            known = None if baseline is None else baseline.group(facet.facet, facet.value_or_threshold)
            before = None if known is None else decided_strata(tables_of(known))
            groups[id(facet)] = Held(facet, decided_strata(tables_of(facet, known)), before, known)
        group = groups[id(facet)]
        limit = limit_of(constraint, None if group.known is None else group.known.metric(metric.name))
        lost = metric.value is None
        if lost and not constraint.asks_for_something:
            continue  # as at the baseline
        alike = _all_alike(metric.name, group.window)
        if alike and statistics.has_labels and not lost:
            undecided.append(no_answer(facet, metric.name, alike, lost=limit is not None))
        elif not statistics.has_labels and metric.name not in WITHOUT_LABELS:
            undecided.append(no_answer(facet, metric.name, "no row has a label", lost=True))
        elif lost or limit is None:
            reason = f"the baseline has no finite value of {metric.name}"
            reason = why_no_value(facet, metric) if lost else reason
            undecided.append(no_answer(facet, metric.name, reason, lost))
        else:
            group.metrics[metric.name] = metric
            group.limits[metric.name] = limit
    notes = []
    if not statistics.has_labels:
        notes.append("No row has a label, so only metrics that need none were checked.")
    for group in groups.values():
        left_out = _leave_out(group).items()
        undecided += [no_answer(group.facet, name, reason) for name, reason in left_out]
    return list(groups.values()), notes, undecided


def _leave_out(group: Held) -> dict[str, str]:
    """Take metrics that cannot be decided off a group; return why, by their names."""
    every, text, reasons = tables_of(group.facet).strata, group_text(group.facet), {}
    rows = int(group.window.confusion.sum())
    for name, limit in list(group.limits.items()):
        needed = rows_lacking(name, group.window)
        whole = float(every[name].sum()) if name in every else 0.0
        if name == "FT":
            if limit.decided:
                continue
            reasons[name] = _NO_INTERVAL
        elif needed is not None and not group.window.confusion.sum(axis=(1, 2)).all():
            reasons[name] = why_no_value(group.facet, group.metrics[name])
        elif needed is not None:
            reasons[name] = wording("bias_notes.small", group=text, rows=rows, needed=needed)
        elif limit.own and group.before is not None and rows_lacking(name, group.before) is not None:
            reasons[name] = wording("bias_notes.small_before", group=text)
        elif whole and 1.0 - float(group.window.strata[name].sum()) / whole > _MOST_LEFT_OUT:
            reasons[name] = wording("bias_notes.strata", group=text)
        else:
            continue
        del group.limits[name]
    return reasons


# How many separate tests the metrics of a group amount to: they are functions of the same few counts.
#
# With n tests that a false alarm may come from, each at level q, some alarm in at most n q of the windows
# (Bonferroni). Where tests alarm together that is too much, and wastes power. Let S be how many alarm, and
# let test j alarm with probability ``w_j q`` when nothing has changed. One alarm or more is the sum of 1 /
# S over those that alarm, so
#
#     P(some test alarms) = sum_j w_j q E[1 / S | j alarms] = q W:
#
# the tests cost an effective weight W of at most ``sum_j w_j``, and level ``rate / W`` keeps the rate. This
# is the single-step procedure of Westfall & Young (1993, Resampling-Based Multiple Testing, section 2.3).
# In each of the draws some test alarms already (Owen, Maximov & Chertkov 2019, Importance sampling the
# union of rare events, Electronic Journal of Statistics 13), so that 2,000 suffice for any level, where
# plain resampling would need a million for one in 10,000.
#
# Both tables of counts are resampled whole, all metrics from the same cells, and a metric's moves from
# baseline to window are given the ranks of a normal distribution; that a test alarms then moves the others
# along their correlation (Hothorn, Bretz & Westfall 2008, Simultaneous inference in general parametric
# models, Biometrical Journal 50). A test alarms when the size of its metric grows: far up or far down where
# the baseline is near no bias, in one direction where it is not.


_JOINT_DRAWS = 2_000
_LARGEST_LEVEL = 0.5


def effective_weight(group: Held, weights: Mapping[str, float], level: float, seed: int) -> float:
    """Return the weight that a group's tests cost together, at most the sum of theirs.

    Parameters
    ----------
    group
        With the counts of the window and of the baseline.
    weights
        By metric. Metrics whose limit is not a value of the baseline's counts, and those of strata, whose
        counts are not part of the group's table, cost their full weight, which is enough however they depend.
    level
        Of a weight of 1. Smaller levels depend less, so this should be the smallest one considered.
    seed
        Of the resampling.
    """
    total = sum(weights.values())
    joint = [name for name in weights if group.limits[name].own]
    if group.before is None or not joint:
        return total
    generators = np.random.default_rng([seed, 3]).spawn(3)
    now = draw_together(group.window, joint, _JOINT_DRAWS, generators[0])
    then = draw_together(group.before, joint, _JOINT_DRAWS, generators[1])
    joint = [name for name in joint if name in now]
    if len(joint) < 2:
        return total
    levels = np.array([min(_LARGEST_LEVEL, level * weights[name]) for name in joint])
    before = np.stack([then[name] for name in joint])
    scores, positions = _moves(np.stack([now[name] for name in joint]), before)
    apart = total - sum(weights[name] for name in joint)
    return apart + (total - apart) * _share_alarming_first(scores, positions, levels, generators[2])


def _moves(now: Floats, then: Floats) -> tuple[Floats, Floats]:
    """Return how metrics move together by chance alone, from values ``[metric, draw]``.

    Returns
    -------
    The moves with the ranks of a normal distribution, shape (metrics, draws), and the baseline's values in
    standard errors of a move.
    """
    with np.errstate(invalid="ignore"):
        raw = now - then
    order = raw.argsort(axis=1, kind="stable")
    scores = np.empty_like(raw)
    np.put_along_axis(scores, order, np.broadcast_to(_normal_scores(), raw.shape), axis=1)
    low, high = (int(share * raw.shape[1]) for share in (0.1587, 0.8413))
    ordered = np.take_along_axis(raw, order[:, [low, high]], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        positions = 2.0 * np.asarray(np.median(then, axis=1)) / (ordered[:, 1] - ordered[:, 0])
    # Without a spread a metric may grow on either side, as from 0.
    return scores, np.where(np.isfinite(positions), positions, 0.0)


@functools.cache
def _normal_scores() -> Floats:
    return np.array([_NORMAL.inv_cdf((rank + 0.5) / _JOINT_DRAWS) for rank in range(_JOINT_DRAWS)])


def _share_alarming_first(
    scores: Floats, positions: Floats, levels: Floats, generator: np.random.Generator
) -> float:
    """Return E[1 / S] for S tests that alarm, over draws in which one does, chosen by the levels."""
    # Distances from no move at which a test alarms: with the baseline's sign, and against it.
    sides = [_thresholds(level, abs(z)) for level, z in zip(levels.tolist(), positions.tolist(), strict=True)]
    along, against = np.array(sides).T
    towards = np.copysign(1.0, positions)
    chances = np.array([[_NORMAL.cdf(-along), _NORMAL.cdf(-against)] for along, against in sides]).ravel()
    moves = scores.T
    chosen = generator.choice(chances.size, len(moves), p=chances / chances.sum())
    test, is_against = np.divmod(chosen, 2)
    tails = chances[chosen] * (1.0 - generator.random(len(chosen)))
    far = np.array([-_NORMAL.inv_cdf(tail) for tail in tails.tolist()])
    far *= np.where(is_against, -towards[test], towards[test])
    rows = np.arange(len(chosen))
    moved = moves + (far - moves[rows, test])[:, None] * np.asarray(np.corrcoef(scores))[test]
    moved *= towards
    alarms = (moved >= along) | (moved <= -against)
    alarms[rows, test] = True
    return float(np.mean(1.0 / alarms.sum(axis=1)))


def _thresholds(level: float, position: float) -> tuple[float, float]:
    """Return how far a metric must move to have grown at a level: with the baseline's sign, and against."""
    # Against its sign a metric must first come back from where it was, and half as far again.
    against = max(-_NORMAL.inv_cdf(level / 2.0), (1.0 + _TURNED) * position)
    return -_NORMAL.inv_cdf(level - _NORMAL.cdf(-against)), against


# Probability that a window without any change raises a violation.
FALSE_ALARM_RATE = 0.005
# Shares of it relative to those of other metrics: who is selected is what bias is watched for first.
_WEIGHTS = {"DPPL": 20.0, "DI": 20.0}

# On the comparison scale: a point of a difference of shares, 1 % of disparate impact.
_LEAST_GROWTH = 0.01

Test = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class MetricTest:
    """One metric of one group against its limit. Two are equal only where they are the same object.

    `p_value` is the probability of a value as bad when nothing has changed; 1 where the limit is kept.
    """

    group: Held
    metric: MetricValue
    value: float
    limit: Limit
    p_value: float

    def is_certain(self, level: float) -> bool:
        """Return whether chance does not explain the value, `level` being that of a weight of 1."""
        return self.p_value < level * _WEIGHTS.get(self.metric.name, 1.0)

    def is_violated(self, level: float) -> bool:
        """Return whether the value is certain, and worse by so much that somebody would act.

        A limit that is the baseline's own value leaves room for a change that nobody would act on.
        """
        return self.is_certain(level) and (self.limit.decided or self.growth > _LEAST_GROWTH)

    def is_open(self, level: float) -> bool:
        """Return whether the value does not hold, as chance may explain it, but seldom does or should not."""
        is_seldom = self.limit.decided or self.is_certain(OPEN * level)
        return is_seldom and not self.is_certain(level) and self.growth > _LEAST_GROWTH

    @property
    def growth(self) -> float:
        """Return how far the value is beyond the limit, be it by chance; negative inside."""
        return self.limit.growth(self.metric.name, self.value)


def check_sound(
    statistics: BiasStatistics,
    constraints: BiasConstraints,
    baseline: BiasStatistics | None,
    *,
    error_share: float,
    seed: int,
) -> Decision:
    """Compare a window with the baseline.

    Parameters
    ----------
    statistics
        The window.
    constraints
        What is allowed: per metric ``allowed``, else ``threshold``, else its value at the baseline as a size.
    baseline
        Where the values come from. A value that is this document's own carries its error, and so does one
        with a ``confidence_interval``; others are exact, Clarify's among them.
    error_share
        Share of the false-alarm rate that this check may spend.
    seed
        Of the resampling.
    """
    groups, notes, undecided = hold(statistics, constraints, baseline)
    comparisons = [one for group in groups for one in _compare(group, seed)]
    # In GE groups play no part: the first group's stands for all.
    entropies = [one for one in comparisons if one.metric.name == "GE"]
    comparisons = [one for one in comparisons if one not in entropies[1:]]
    violated, level = _violated(groups, comparisons, FALSE_ALARM_RATE * error_share, seed)
    found = {one: _finding(one, one in violated) for one in comparisons}
    findings = sorted(found.values(), key=lambda finding: (not finding.violated, -(finding.distance or 0.0)))
    impacts = impact_findings(statistics.facets)
    findings += [Finding(f"DI of {group}", text) for group, text in impacts.items()]
    limits = [limit for group in groups for limit in group.limits.values() if not limit.decided]
    if limits and not any(limit.own or limit.error for limit in limits):
        notes.append(wording("bias_notes.exact" if baseline is None else "baseline_files.other_job"))
    shown = [one for one in comparisons if one in violated]
    violations = [violation(one.group.facet, one.metric.name, _told(one)) for one in shown]
    answers = [_comparison(one, finding, level) for one, finding in found.items()]
    for one in entropies[1:]:
        subject = subject_of(one.group.facet, "GE")
        answers.append(replace(_comparison(entropies[0], found[entropies[0]], level), subject=subject))
    answers += [*undecided, *absent_groups(statistics, constraints, is_sound=True)]
    notes = [*unmatched(statistics, constraints), *notes]
    return Decision(with_version(violations), tuple(findings), tuple(notes), tuple(answers))


def _comparison(one: MetricTest, finding: Finding, level: float) -> Comparison:
    name, sides = one.metric.name, (one.group.window, one.group.before)
    state = State.CHANGED if one.is_certain(level) else State.HOLDS
    state = State.VIOLATED if finding.violated else State.UNDECIDED if one.is_open(level) else state
    value, effect = (each if math.isfinite(each) else None for each in (one.value, one.growth))
    rows, before = (int(side.of(name).sum()) if side else None for side in sides)
    figures: dict[str, Any] = {"value": value, "expected": finding.expected, "effect": effect}
    figures |= {"limit": 0.0 if one.limit.decided else _LEAST_GROWTH, "p_value": one.p_value}
    if state is State.UNDECIDED:
        figures["reason"] = wording("bias_notes.open", group=group_text(one.group.facet))
    about = (subject_of(one.group.facet, name), CHECK_TYPE, state, finding.text)
    return Comparison(*about, rows=rows, baseline_rows=before, **figures)


def _violated(
    groups: list[Held], comparisons: list[MetricTest], rate: float, seed: int
) -> tuple[set[MetricTest], float]:
    """Return what is violated, and the last level: what is left after a step has the whole rate again."""
    violated: set[MetricTest] = set()
    while True:
        left = [one for one in comparisons if one not in violated]
        level = _level(groups, left, {one.group.test_of(one.metric.name) for one in violated}, rate, seed)
        found = {one for one in left if one.is_violated(level)}
        if not found:
            return violated, level
        violated |= found


def _level(groups: list[Held], left: list[MetricTest], rejected: set[Test], rate: float, seed: int) -> float:
    """Return the level of a weight of 1 at which what is left keeps the rate."""
    tests = _tests(groups, rejected)
    weights = [weight for _, of_group in tests for weight in of_group.values()]
    if not weights:
        return 0.0
    smallest, largest = rate / sum(weights), rate / max(weights)
    if not any(one.is_violated(largest) and not one.is_violated(smallest) for one in left):
        return smallest  # any other level would decide alike
    return rate / sum(effective_weight(group, of_group, smallest, seed) for group, of_group in tests)


def _tests(groups: list[Held], rejected: set[Test]) -> list[tuple[Held, dict[str, float]]]:
    """Return groups with the weights of the tests that are not rejected, each test once."""
    tests, seen = [], set(rejected)
    # In an order of their own, so that the order of a job's facets plays no part.
    for group in sorted(groups, key=lambda group: (group.facet.facet, group.facet.value_or_threshold)):
        weights = {}
        for name in group.limits:
            test = group.test_of(name)
            if test not in seen:
                seen.add(test)
                weights[name] = _WEIGHTS.get(name, 1.0)
        if weights:
            tests.append((group, weights))
    return tests


def _compare(group: Held, seed: int) -> list[MetricTest]:
    values = {name: metric.value for name, metric in group.metrics.items() if metric.value is not None}
    beyond = {name: limit for name, limit in group.limits.items() if limit.growth(name, values[name]) > 0.0}
    found = p_values(group.window, group.before, beyond, seed)
    if "FT" in beyond:
        found["FT"] = 0.0  # has no interval, so somebody's limit is taken at its word
    return [
        MetricTest(group, group.metrics[name], values[name], limit, found.get(name, 1.0))
        for name, limit in group.limits.items()
    ]


def _told(one: MetricTest) -> str:
    """Return the counts of both times and how sure it is, before Clarify's sentence, which parsers read."""
    known, name = one.group.known, one.metric.name
    texts = [explain(one.group.facet, one.metric)]
    before = None if known is None else known.metric(name)
    if texts[0] and known is not None and before is not None and before.value is not None:
        texts.append(f"At the baseline: {explain(known, before)}")
    if name != "FT":
        sure = chance(one.p_value)
        texts.append(f"({sure[0].upper()}{sure[1:]}.)")
    return " ".join(filter(None, (*texts, requirement_text(one.value, one.limit.requirement))))


def _finding(comparison: MetricTest, violated: bool) -> Finding:
    metric, requirement = comparison.metric, comparison.limit.requirement
    between = metric.confidence_interval
    interval = f" (95 % interval {' to '.join(map(_text, between))})" if between else ""
    ends = requirement if isinstance(requirement, tuple) else (requirement,)
    limit = f"{'allowed' if comparison.limit.decided else 'baseline'} {' to '.join(map(_text, ends))}"
    verdict = "holds"
    if violated:
        verdict = "is beyond that by more than chance explains"
    elif comparison.growth > 0.0:
        verdict = "is beyond that, but no more than chance explains"
    subject = f"{metric.name} of {group_text(comparison.group.facet)}"
    text = f"{subject} is {_text(comparison.value)}{interval}, {limit}: {verdict}"
    found = Finding(subject, text, comparison.growth, violated, value=comparison.value, interval=between)
    return found if isinstance(requirement, tuple) else replace(found, expected=requirement)


def _text(value: float) -> str:
    return number(value) if math.isfinite(value) else str(value).replace("inf", "infinite")


# Decisions as Clarify's bias-drift monitor made them: |current| > |baseline|, to the precision of floats.
#
# Spec section 4.3: found from the service's own decisions. Sizes are compared, so signs do not count, and DI
# is compared by size too, although a smaller DI is the worse one.


CHECK_TYPE = "bias_drift_check"
# Metrics are sums over rows or strata; other orders of addition change the last digits by less than this.
_SAME_RELATIVE, _SAME_ABSOLUTE = 1e-12, 1e-15


def check_sagemaker(statistics: BiasStatistics, constraints: BiasConstraints) -> Decision:
    """Compare a window with the constraints as the original did.

    A metric without a value on either side raises no violation; notes name those, and groups that
    the constraints do not have.
    """
    violations, findings, comparisons = [], [], []
    without: dict[str, list[str]] = {}
    for facet, metric, before in pairs(statistics, constraints):
        if metric.value is None or before.value is None:
            without.setdefault(group_text(facet), []).append(metric.name)
            if metric.value is None and before.value is None:
                continue  # as at the baseline
            lost = metric.value is None
            reason = why_no_value(facet, metric) if lost else f"the baseline has no value of {metric.name}"
            comparisons.append(no_answer(facet, metric.name, reason, lost))
            continue
        size, limit = abs(metric.value), abs(before.value)
        # In their last digits the same rows may differ (GE, by their order).
        is_same = math.isclose(size, limit, rel_tol=_SAME_RELATIVE, abs_tol=_SAME_ABSOLUTE)
        is_violated = size > limit and not is_same
        state, subject = State.VIOLATED if is_violated else State.HOLDS, subject_of(facet, metric.name)
        found = Comparison(subject, CHECK_TYPE, state, limit=0.0)
        if math.isfinite(size) and math.isfinite(limit):
            found = replace(found, value=metric.value, expected=before.value, effect=size - limit)
        comparisons.append(found)
        if is_violated:
            text = requirement_text(metric.value, before.value)
            violations.append(violation(facet, metric.name, text))
            growth = size - limit if math.isfinite(size) else None
            findings.append(Finding(f"{metric.name} of {group_text(facet)}", text, growth, violated=True))
    notes = unmatched(statistics, constraints)
    for group, names in without.items():
        notes.append(wording("bias_notes.without", group=group, names=", ".join(names)))
    given = (metric for _, member in constraints.groups() for metric in member.metrics)
    if ignored := [one.name for one in given if one.allowed is not None or one.threshold is not None]:
        notes.append(wording("bias_notes.ignored", names=", ".join(dict.fromkeys(ignored))))
    comparisons += absent_groups(statistics, constraints, is_sound=False)
    return Decision(with_version(violations), tuple(findings), tuple(notes), tuple(comparisons))


def why_no_value(facet: FacetStatistics, metric: MetricValue) -> str:
    """Return why the window does not define a metric of a group."""
    sizes = [sum(sum(row) for row in side) for side in facet.counts or ()]
    if sizes and not all(sizes):
        return f"the window has no rows {'of' if not sizes[-1] else 'outside'} the group {group_text(facet)}"
    return (metric.error or f"the window does not define {metric.name}").rstrip(".")


def no_answer(facet: FacetStatistics, name: str, reason: str, lost: bool = False) -> Comparison:
    """Return the comparison of a metric of a group that has no answer."""
    return Comparison(subject_of(facet, name), CHECK_TYPE, State.UNDECIDED, reason=reason, lost=lost)


def absent_groups(
    statistics: BiasStatistics, constraints: BiasConstraints, *, is_sound: bool
) -> list[Comparison]:
    """Return the comparisons of groups and metrics that the baseline has and the window has not."""
    known_groups = [one[1:] for one in constraints.groups_of(statistics) if one[2] is not None]
    there = {(id(before), metric.name) for metrics, before in known_groups for metric in metrics}
    why = next(iter(statistics.problems.values()), "").rstrip(".")
    known = {facet.facet for facet in statistics.facets}
    found = []
    for name, member in constraints.groups():
        group = FacetStatistics(name, member.value_or_threshold, [])
        has_others = any((id(member), metric.name) in there for metric in member.metrics)
        for metric in member.metrics:
            reason = why or f"the window has no metrics of the group {name} = {member.value_or_threshold}"
            if name in known and not statistics.has_predictions and METRICS[metric.name].stage == "post":
                reason = "no row has a usable prediction, or no metric of predictions is asked for"
            elif has_others:
                reason = "the configuration asks for fewer metrics than at the baseline"
            is_asked = metric.asks_for_something if is_sound else metric.value is not None
            if is_asked and (id(member), metric.name) not in there:
                found.append(no_answer(group, metric.name, reason, lost=True))
    return found


def pairs(
    statistics: BiasStatistics, constraints: BiasConstraints
) -> Iterator[tuple[FacetStatistics, MetricValue, MetricValue]]:
    """Yield every metric of the window with its constraint, in the original's order."""
    for facet, metrics, before in constraints.groups_of(statistics):
        for metric in metrics:
            constraint = None if before is None else before.metric(metric.name)
            if constraint is not None:
                yield facet, metric, constraint


def unmatched(statistics: BiasStatistics, constraints: BiasConstraints) -> list[str]:
    """Return notes on groups that only one side has."""
    every = list(constraints.groups_of(statistics))
    known = {group_text(facet) for facet, _, before in every if before is not None}
    unknown = dict.fromkeys(text for facet, _, _ in every if (text := group_text(facet)) not in known)
    notes = [f"The baseline does not know the group {text}, so it was not checked." for text in unknown]
    seen = {(facet.facet, before.value_or_threshold) for facet, _, before in every if before is not None}
    asked = [(name, member.value_or_threshold) for name, member in constraints.groups()]
    if absent := dict.fromkeys(f"{name} = {value}" for name, value in asked if (name, value) not in seen):
        notes.append(wording("bias_notes.absent", groups=", ".join(absent)))
    return notes


def subject_of(facet: FacetStatistics, name: str) -> str:
    """Return what a comparison of a metric of a group is about."""
    return violation(facet, name, "").subject


def violation(facet: FacetStatistics, name: str, description: str) -> Violation:
    """Return a violation with the members of the original file."""
    group = {"facet": facet.facet, "facet_value": facet.value_or_threshold}
    return Violation(CHECK_TYPE, description, metric_name=name, extra=group)
