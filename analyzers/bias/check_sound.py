"""Decisions by statistics: a violation is a size of bias beyond its limit by more than chance explains.

All metrics of all groups of a window without any change together raise a violation in less than 1 % of
windows. Metrics that are the same number in another form (DPL, KS, LP, TVD), and the two groups of a facet of
two values, are one test. Tests have weights: test j is held to the level ``w_j q``.

Level q is the largest at which chance raises any violation in no more than `FALSE_ALARM_RATE` of the windows.
Within a group that probability is taken from how its metrics move together (`analyzers.bias.check_sound`);
those of groups are added, which is enough however they overlap.

Once a test is violated it is no question any more, and the others are held to the level that is due to them
alone, until no more is violated. That is closed testing (Marcus, Peritz & Gabriel 1976, Biometrika 63: a
hypothesis is rejected when each intersection it is part of is) in the steps of Westfall & Young (1993,
section 2.6): fewer tests never have a smaller level, so the whole of what is left stands for its parts. So
metrics that have not changed keep the same rate beside others that have.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from analyzers.bias.check_sagemaker import CHECK_TYPE, absent_groups, unmatched, violation
from analyzers.bias.comparison import Held, Limit, hold, p_values
from analyzers.bias.documents import BiasConstraints, BiasStatistics, MetricValue
from analyzers.bias.explain import explain, group_text, impact_findings, requirement_text
from analyzers.bias.metrics import Floats
from analyzers.bias.resampling import draw_together, to_scale
from contract.api import Comparison, Decision, Finding, State, Violations
from contract.wording import chance, number

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


_DRAWS = 2_000
_LARGEST_LEVEL = 0.5
_NORMAL = NormalDist()


@dataclass(frozen=True)
class _Moves:
    """How metrics move together by chance alone.

    Parameters
    ----------
    scores
        Moves with the ranks of a normal distribution, shape (draws, metrics).
    correlation
        Of the scores.
    positions
        The baseline's values in standard errors of a move.
    """

    scores: Floats
    correlation: Floats
    positions: Floats


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
    now = draw_together(group.window, joint, _DRAWS, generators[0])
    then = draw_together(group.before, joint, _DRAWS, generators[1])
    joint = [name for name in joint if name in now]
    if len(joint) < 2:
        return total
    levels = np.array([min(_LARGEST_LEVEL, level * weights[name]) for name in joint])
    moves = _moves(np.stack([now[name] for name in joint]), np.stack([then[name] for name in joint]))
    apart = total - sum(weights[name] for name in joint)
    return apart + (total - apart) * _share_alarming_first(moves, levels, generators[2])


def _moves(now: Floats, then: Floats) -> _Moves:
    """Return the moves of ``[metric, draw]``."""
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
    positions = np.asarray(np.where(np.isfinite(positions), positions, 0.0))
    return _Moves(scores.T, np.asarray(np.corrcoef(scores)), positions)


@functools.cache
def _normal_scores() -> Floats:
    return np.array([_NORMAL.inv_cdf((rank + 0.5) / _DRAWS) for rank in range(_DRAWS)])


def _share_alarming_first(moves: _Moves, levels: Floats, generator: np.random.Generator) -> float:
    """Return E[1 / S] for S tests that alarm, over draws in which one does, chosen by the levels."""
    # Distances from no move at which a test alarms: with the baseline's sign, and against it.
    sides = [
        _thresholds(float(level), abs(float(z))) for level, z in zip(levels, moves.positions, strict=True)
    ]
    along, against = np.array(sides).T
    towards = np.copysign(1.0, moves.positions)
    chances = np.array([[_NORMAL.cdf(-along), _NORMAL.cdf(-against)] for along, against in sides]).ravel()
    chosen = generator.choice(chances.size, len(moves.scores), p=chances / chances.sum())
    test, is_against = np.divmod(chosen, 2)
    tails = chances[chosen] * (1.0 - generator.random(len(chosen)))
    far = np.array([-_NORMAL.inv_cdf(tail) for tail in tails.tolist()])
    far *= np.where(is_against, -towards[test], towards[test])
    rows = np.arange(len(chosen))
    moved = moves.scores + (far - moves.scores[rows, test])[:, None] * moves.correlation[test]
    moved *= towards
    alarms = (moved >= along) | (moved <= -against)
    alarms[rows, test] = True
    return float(np.mean(1.0 / alarms.sum(axis=1)))


def _thresholds(level: float, position: float) -> tuple[float, float]:
    """Return how far a metric must move to have grown at a level: with the baseline's sign, and against."""
    # Against its sign a metric must first come back from where it was, and as far again.
    against = max(-_NORMAL.inv_cdf(level / 2.0), 2.0 * position)
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

    @property
    def is_beyond(self) -> bool:
        """Return whether the value is beyond the limit, be it by chance."""
        return self.limit.is_left(self.metric.name, self.value)

    def is_violated(self, level: float) -> bool:
        """Return whether chance does not explain the value, `level` being that of a weight of 1.

        A limit that is the baseline's own value leaves room for a change that nobody would act on.
        """
        matters = self.limit.decided or self.growth > _LEAST_GROWTH
        return matters and self.p_value < level * _weight(self.metric.name)

    @property
    def growth(self) -> float:
        """Return how far the value is beyond the limit on the comparison scale; negative inside."""
        position = to_scale(self.metric.name, self.value)
        return max(position - self.limit.high, self.limit.low - position)


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
    violated = _violated(groups, comparisons, FALSE_ALARM_RATE * error_share, seed)
    findings = [
        *sorted(
            (_finding(one, one in violated) for one in comparisons),
            key=lambda finding: (not finding.violated, -(finding.distance or 0.0)),
        ),
        *(Finding(f"DI of {group}", text) for group, text in impact_findings(statistics.facets).items()),
    ]
    limits = [limit for group in groups for limit in group.limits.values() if not limit.decided]
    exact = []
    if limits and not any(limit.own or limit.error for limit in limits):
        exact.append(
            "The baseline's values are taken as exact; give its statistics to count their own uncertainty."
        )
    violations = [
        violation(one.group.facet, one.metric.name, _violation_text(one))
        for one in comparisons
        if one in violated
    ]
    answers = [_comparison(one, one in violated) for one in comparisons]
    return Decision(
        Violations(violations, {"version": "1.0"}),
        tuple(findings),
        (*unmatched(statistics, constraints), *notes, *exact),
        (*answers, *undecided, *absent_groups(statistics, constraints)),
    )


def _comparison(one: MetricTest, violated: bool) -> Comparison:
    requirement, facet = one.limit.requirement, one.group.facet
    return Comparison(
        violation(facet, one.metric.name, "").subject,
        CHECK_TYPE,
        State.VIOLATED if violated else State.HOLDS,
        _finding(one, violated).text,
        value=one.value if math.isfinite(one.value) else None,
        expected=None if isinstance(requirement, tuple) else requirement,
        effect=one.growth if math.isfinite(one.growth) else None,
        limit=0.0,
        p_value=one.p_value,
        rows=int(np.sum(facet.counts)) if facet.counts else None,
    )


def _weight(name: str) -> float:
    return _WEIGHTS.get(name, 1.0)


def _violated(groups: list[Held], comparisons: list[MetricTest], rate: float, seed: int) -> set[MetricTest]:
    """Return what is violated, in steps: the tests left after each have the whole rate again."""
    violated: set[MetricTest] = set()
    while True:
        left = [one for one in comparisons if one not in violated]
        level = _level(groups, left, {one.group.test_of(one.metric.name) for one in violated}, rate, seed)
        found = {one for one in left if one.is_violated(level)}
        if not found:
            return violated
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
                weights[name] = _weight(name)
        if weights:
            tests.append((group, weights))
    return tests


def _compare(group: Held, seed: int) -> list[MetricTest]:
    values = {name: metric.value for name, metric in group.metrics.items() if metric.value is not None}
    beyond = {name: limit for name, limit in group.limits.items() if limit.is_left(name, values[name])}
    found = p_values(group.window, group.before, beyond, seed)
    if "FT" in beyond:
        found["FT"] = 0.0  # has no interval, so somebody's limit is taken at its word
    return [
        MetricTest(group, group.metrics[name], values[name], limit, found.get(name, 1.0))
        for name, limit in group.limits.items()
    ]


def _violation_text(one: MetricTest) -> str:
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
    interval = ""
    if metric.confidence_interval is not None:
        low, high = metric.confidence_interval
        interval = f" (95 % interval {_text(low)} to {_text(high)})"
    if isinstance(requirement, tuple):
        limit = f"allowed {_text(requirement[0])} to {_text(requirement[1])}"
    else:
        limit = f"{'allowed' if comparison.limit.decided else 'baseline'} {_text(requirement)}"
    verdict = "holds"
    if violated:
        verdict = "is beyond that by more than chance explains"
    elif comparison.is_beyond:
        verdict = "is beyond that, but no more than chance explains"
    subject = f"{metric.name} of {group_text(comparison.group.facet)}"
    text = f"{subject} is {_text(comparison.value)}{interval}, {limit}: {verdict}"
    return Finding(subject, text, comparison.growth, violated)


def _text(value: float) -> str:
    return number(value) if math.isfinite(value) else str(value).replace("inf", "infinite")
