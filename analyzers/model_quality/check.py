"""Decisions by either set of rules; by statistics a violation is a metric beyond its threshold and chance.

All metrics of a window without any change together raise a violation in less than 1 % of windows. Metrics
that are the same number in another form (recall, its complement; mse, rmse) share one part of that budget.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzers.model_quality import documents
from analyzers.model_quality.documents import MetricConstraint, QualityConstraints, QualityStatistics
from analyzers.model_quality.intervals import TABLE_RESAMPLES, Z_95, area_variance, share_draws, table_draws
from analyzers.model_quality.metrics import binary_cells, binary_metrics
from analyzers.shared.cells import Floats
from analyzers.shared.rules import SMALL_MAP, category_order
from analyzers.shared.significance import OPEN, student_ratio
from contract.api import Comparison, Decision, Finding, State, Violation, Violations
from contract.errors import DocumentError, wording
from contract.json_layout import java_double
from contract.schema import nearest
from contract.wording import chance, number, several

_LOSSES = frozenset(("mae", "mse", "rmse", "mape", "log_loss", "brier_score", "expected_calibration_error"))
_SMALLEST_P = 1e-12

# The originals' spread comes from subsamples of 80 % without replacement, half as wide as a standard error.
_SUBSAMPLE_FACTOR = 2.0

# A change that a window should be able to tell: 5 points of a share, a tenth of an error.
RELEVANT_POINTS = 0.05
RELEVANT_RATIO = 0.1


class _Scale(NamedTuple):
    """A rising scale on which the error of a metric is about normal: there, back, slope, ends."""

    to: Callable[[float], float]
    back: Callable[[float], float]
    slope: Callable[[float], float]
    ends: tuple[float, float] = (-math.inf, math.inf)


def _log_odds(share: npt.ArrayLike) -> Any:
    inside = np.clip(share, 1e-9, 1.0 - 1e-9)
    return np.log(inside / (1.0 - inside))


def _log_odds_slope(share: float) -> float:
    inside = min(0.999, max(0.001, share))
    return 1.0 / (inside * (1.0 - inside))


_AREA = _Scale(float, lambda moved: min(1.0, max(0.0, moved)), lambda value: 1.0)
_RATIO = _Scale(
    lambda value: math.log(max(1e-300, value)),
    lambda moved: math.exp(min(700.0, moved)),
    lambda value: 1.0 / max(1e-12, value),
    (0.0, math.inf),
)
_UNEXPLAINED = _Scale(
    lambda value: -math.log(max(1e-300, 1.0 - value)),
    lambda moved: 1.0 - math.exp(min(700.0, -moved)),
    lambda value: 1.0 / max(1e-12, 1.0 - value),
)
_RATIOS = (_RATIO, _UNEXPLAINED)
_SHARE = _Scale(_log_odds, lambda moved: 1.0 / (1.0 + math.exp(-moved)), _log_odds_slope, (0.0, 1.0))


def _scale_of(name: str) -> _Scale:
    return _RATIO if is_loss(name) else {"auc": _AREA, "r2": _UNEXPLAINED}.get(name, _SHARE)


class Side(NamedTuple):
    """A window or a baseline: its statistics, and the metrics of its resampled table of two classes.

    `outcomes` are its numbers of positive and negative labels, where it has some. `widening` is what its
    intervals lack of the error that decides: for dependence of rows that the other side shows, and for far
    tails where dependence is known from few blocks.
    """

    statistics: QualityStatistics
    draws: Mapping[str, Floats]
    resamples: int
    widening: float = 1.0
    outcomes: tuple[int, ...] = ()


@dataclass(frozen=True)
class MetricTest:
    """One metric against its threshold.

    Parameters
    ----------
    name
        Of the metric.
    metric, value
        In the window.
    constraint
        The threshold.
    p_value
        Probability of a value as bad when nothing has changed.
    window_error, baseline_error
        Standard errors of both sides on the scale of the comparison; the latter 0 for a threshold that
        somebody decided.
    relevant
        A change worth telling, on the same scale.
    is_own
        Whether the threshold is the baseline's own value.
    least
        The smallest change of such a value that somebody would act on.
    alpha
        Probability of a false alarm that this test may have.
    """

    name: str
    metric: documents.MetricValue
    constraint: MetricConstraint
    p_value: float
    window_error: float
    baseline_error: float
    relevant: float
    value: float
    is_own: bool = False
    least: float = 0.0
    alpha: float = 0.0

    def rows_needed(self, rows: int, change: float | None = None) -> int | None:
        """Return from how many rows a change is told, the relevant one by default; None from no number.

        `change` is on the scale of the comparison. No number will do where the baseline is too small.
        """
        critical = -NormalDist().inv_cdf(self.alpha)
        remainder = ((self.relevant if change is None else change) / critical) ** 2 - self.baseline_error**2
        return None if remainder <= 0.0 else math.ceil(rows * self.window_error**2 / remainder)

    @property
    def interval_text(self) -> str:
        """Return the interval in words, empty where there is none."""
        ends = self.metric.interval
        return f" (95 % interval {' to '.join(map(number, ends))})" if ends else ""

    @property
    def worse(self) -> float:
        """Return by how much the metric is beyond its threshold, on the scale of the comparison."""
        return _worse(self.name, self.value, self.constraint)

    @property
    def is_open(self) -> bool:
        """Return whether the metric is worse by as much as matters, or seldom is, but perhaps by chance."""
        if self.p_value < OPEN * self.alpha:
            return self.p_value >= self.alpha and self.is_worse_by_more
        if _scale_of(self.name) in _RATIOS:
            return self.worse >= math.log1p(RELEVANT_RATIO)
        return shortfall(self.value, self.constraint) >= RELEVANT_POINTS

    @property
    def state(self) -> State:
        """Return how it ended: beyond chance, and if so, by so much that somebody would act."""
        if shortfall(self.value, self.constraint) > 0.0 and self.p_value < self.alpha:
            return State.VIOLATED if self.is_worse_by_more else State.CHANGED
        return State.UNDECIDED if self.is_open else State.HOLDS

    @property
    def is_worse_by_more(self) -> bool:
        """Return whether the metric is beyond its threshold by more than nobody would act on.

        A threshold that is the baseline's own value leaves room: 0.03 of Cohen's h for shares and areas
        (0.806 to 0.794, 0.990 to 0.987), 2 % of an error and of what R² leaves unexplained. A threshold that
        somebody set is exact.
        """
        if not self.is_own or shortfall(self.value, self.constraint) <= 0.0:
            return shortfall(self.value, self.constraint) > 0.0
        scale, threshold = _scale_of(self.name), self.constraint.threshold
        if scale in _RATIOS:
            return abs(scale.to(self.value) - scale.to(threshold)) > math.log1p(self.least)
        angles = [2.0 * math.asin(math.sqrt(min(1.0, max(0.0, share)))) for share in (self.value, threshold)]
        return abs(angles[1] - angles[0]) > self.least


def _test(
    name: str,
    constraint: MetricConstraint,
    window: Side,
    baseline: Side | None,
    generator: np.random.Generator,
) -> MetricTest | None:
    """Return the comparison of a metric, None when the window does not define it or its spread.

    Parameters
    ----------
    name, constraint
        What is compared with what.
    window
        The rows at hand.
    baseline
        Where the threshold comes from, None when that is not known; its own error then counts as none.
    generator
        Draws shares.
    """
    metric = window.statistics.metrics.get(name)
    if metric is None or metric.value is None:
        return None
    if metric.interval is None and metric.standard_deviation is None:
        return None  # one row: nothing tells how far it would move by chance
    own = baseline is not None and is_own_value(constraint, baseline.statistics.value(name))
    known, scale = baseline if own else None, _scale_of(name)
    before = known.statistics.metrics.get(name) if known else None
    worse, short = _worse(name, metric.value, constraint), shortfall(metric.value, constraint)
    error = _error(name, metric, window)
    baseline_error = _error(name, before, known) if known and before else 0.0
    if known and baseline_error and known.statistics.item_count:
        # The side of fewer rows may lack those that show how far the metric varies. What the window shows of
        # that is an error beside its own value, which the scale makes too little of beside a smaller one.
        ratio = math.sqrt(known.statistics.item_count / window.statistics.item_count)
        bent = worse / (scale.slope(metric.value) * short) if scale in _RATIOS and short > 0.0 else 1.0
        least = error / ratio * bent if ratio < 1.0 else 0.0
        error, baseline_error = max(error, baseline_error * ratio), max(baseline_error, least)
    relevant = RELEVANT_RATIO if scale in _RATIOS else RELEVANT_POINTS * scale.slope(metric.value)
    if scale is _SHARE:
        drawn, threshold = window.draws.get(name), known.draws.get(name) if known else None
        if drawn is None:
            drawn = share_draws(metric.value, error**-2, generator, window.resamples)
            if before and before.value is not None and baseline_error:
                threshold = share_draws(before.value, baseline_error**-2, generator, window.resamples)
        p_value, unit = _drawn_p_value(drawn, constraint, threshold), math.sqrt(scale.slope(metric.value))
        error, baseline_error = unit * error, unit * baseline_error
    else:
        if name == "auc" and len(window.outcomes) == 2:
            # Few positives all ranked last show no spread; as good a model as asked for has some.
            error = max(error, math.sqrt(area_variance(constraint.threshold, *window.outcomes)))
        total = math.hypot(error, baseline_error)
        p_value = _SMALLEST_P if worse > 0.0 else 1.0
        if total != 0.0:
            p_value = max(_SMALLEST_P, NormalDist().cdf(-worse / total))
    return MetricTest(name, metric, constraint, p_value, error, baseline_error, relevant, metric.value, own)


def is_loss(name: str) -> bool:
    """Return whether a metric is an error from 0 up, whose changes are told by their ratio."""
    return name in _LOSSES or name.startswith("pinball_loss")


def _drawn_p_value(drawn: Floats, constraint: MetricConstraint, threshold: Floats | None) -> float:
    limit = constraint.threshold if threshold is None else threshold
    beyond = drawn >= limit if constraint.operator == documents.LESS else drawn <= limit
    p_value = (1.0 + float(np.count_nonzero(beyond))) / (drawn.size + 1.0)
    if beyond.any():
        return p_value
    # No draw is beyond, and a small share of the budget may ask for less than one in so many.
    apart = _log_odds(drawn) - _log_odds(limit)
    ratio = abs(float(apart.mean())) / max(1e-12, float(apart.std()))
    likely = min(NormalDist().cdf(-ratio), _chance_of_meeting(drawn, np.array(limit)))
    return max(_SMALLEST_P, min(p_value, likely))


def _chance_of_meeting(drawn: Floats, limit: Floats) -> float:
    """Return a bound of the chance that two shares change places: Chernoff's, of beta distributions.

    The log-odds of a share of 0 or 1 are so uncertain that they never get far from any other, however many
    rows there are (Hauck and Donner 1977).
    """
    between = np.linspace(drawn.mean(), limit.mean(), 101)[1:-1]
    chances = np.zeros(between.size)
    for side in (drawn, limit):
        inside = np.clip(side.mean(), 1e-9, 1.0 - 1e-9)
        rows = inside * (1.0 - inside) / max(1e-15, float(side.var())) - 1.0
        divergence = inside * np.log(inside / between)
        divergence += (1.0 - inside) * np.log((1.0 - inside) / (1.0 - between))
        chances += np.exp(-rows * divergence)
    return float(np.min(chances))


def _worse(name: str, value: float, constraint: MetricConstraint) -> float:
    """Return by how much a metric is beyond its threshold, in units of its errors."""
    scale = _scale_of(name)
    if scale is _SHARE:
        return scale.slope(value) * shortfall(value, constraint)
    gap = scale.to(constraint.threshold) - scale.to(value)
    return gap if constraint.operator == documents.LESS else -gap


def widened(name: str, value: float, bound: float, factor: float) -> float:
    """Return a bound moved away from its value by a factor, on the scale on which errors are about normal."""
    scale = _scale_of(name)
    if not scale.ends[0] < bound < scale.ends[1]:
        return bound
    return scale.back(scale.to(value) + factor * (scale.to(bound) - scale.to(value)))


def _error(name: str, metric: documents.MetricValue, side: Side) -> float:
    """Return the standard error of a metric on its scale.

    Of a share the root of 1 / rows: of how many rows it has such an interval (Wilson's, by its bound towards
    one half). On the log-odds scale one that is 0 or 1 would be infinitely far from any other.
    """
    scale, deviation, value = _scale_of(name), metric.standard_deviation or 0.0, metric.value or 0.0
    if scale is _SHARE:
        gap, spread = _SUBSAMPLE_FACTOR * deviation, value * (1.0 - value)
        if metric.interval is not None:
            bound = metric.interval[0 if value > 0.5 else 1]
            gap, spread = abs(value - bound) / Z_95, bound * (1.0 - bound)
        rows = spread / gap**2 if gap and spread > 0.0 else side.statistics.item_count
        return side.widening / math.sqrt(rows) if rows else 0.0
    if metric.interval is None:
        return side.widening * deviation * _SUBSAMPLE_FACTOR * scale.slope(value)
    low, high = (scale.to(bound) for bound in metric.interval)
    error = (high - low) / (2.0 * Z_95)
    return side.widening * (max(deviation, error) if scale is _AREA else abs(error))


# Probability that a window without any change raises a violation.
FALSE_ALARM_RATE = 0.005
# With fewer nothing is said to hold.
_FEWEST_ROWS = 30

# A first look with few resamples settles all that is far from any limit.
_FIRST_RESAMPLES = 2_000
_SETTLED = 0.02
# Standard deviations about which decisions are made.
_FAR = 4.0

_SAME_TEST: dict[str, str] = documents.FACTS["same_test"]


def check_sound(
    statistics: QualityStatistics,
    constraints: QualityConstraints,
    baseline: QualityStatistics | None,
    *,
    positive: str,
    error_share: float,
    seed: int,
) -> Decision:
    """Compare a window with the baseline.

    Parameters
    ----------
    statistics
        The window.
    constraints
        The thresholds.
    baseline
        Where they come from; a threshold that is the baseline's own value carries that value's error, and one
        that somebody set is taken as exact, as are all without the baseline's statistics.
    positive
        The positive label.
    error_share
        Share of the false-alarm rate that this check may spend.
    seed
        Of the resampling.

    Raises
    ------
    DocumentError
        When a constraint names no metric.
    """
    _refuse_unknown(statistics, constraints)
    least = _least_changes(constraints)
    for resamples in (_FIRST_RESAMPLES, TABLE_RESAMPLES):
        generators = np.random.default_rng([seed, 1]).spawn(3)
        window = _side(statistics, baseline, positive, generators[0], resamples)
        before = None if baseline is None else _side(baseline, None, positive, generators[1], resamples)
        tests = [
            test
            for name, constraint in constraints.metrics.items()
            if (test := _test(name, constraint, window, before, generators[2])) is not None
        ]
        # Many resamples only where a few do not settle the tests.
        if all(test.p_value > _SETTLED for test in tests if _scale_of(test.name) is _SHARE):
            break
    questions = {_SAME_TEST.get(test.name, test.name) for test in tests}
    alpha = FALSE_ALARM_RATE * error_share / max(1, len(questions))
    tests = [replace(test, alpha=alpha, least=least[_scale_of(test.name) in _RATIOS]) for test in tests]
    tested = {test.name: test for test in tests}
    violations = [_violation(test, statistics, baseline) for test in tests if test.state is State.VIOLATED]
    found = {test.name: _finding(test) for test in tests}
    findings = sorted(found.values(), key=lambda finding: (not finding.violated, -(finding.distance or 0.0)))
    notes = _small_window(statistics, tests)
    if baseline is None:
        notes.append("There is no baseline_statistics, so thresholds are taken as exact.")
    elif len(tests) > 2 and not any(test.is_own for test in tests):
        notes.append(wording("baseline_files.other_job"))
    why_open, comparisons = _why_open(tests, statistics), []
    for name, constraint in constraints.metrics.items():
        if name not in tested:
            unanswered = undefined(name, constraint, why_undefined(statistics, name))
            if statistics.value(name) is not None:
                unanswered = replace(unanswered, reason=wording("quality_notes.few_rows"), lost=False)
            comparisons.append(unanswered)
            continue
        test, state, reason = tested[name], tested[name].state, why_open
        if state is State.HOLDS and statistics.item_count < _FEWEST_ROWS:
            # Of so few rows nearly any result is one that holds.
            state, reason = State.UNDECIDED, wording("quality_notes.few_rows")
        rows = None if baseline is None else baseline.item_count
        reason = reason if state is State.UNDECIDED else ""
        comparison = replace(compared(found[name], constraint, statistics), state=state, reason=reason)
        comparisons.append(replace(comparison, p_value=test.p_value, baseline_rows=rows))
    return Decision(Violations(violations), tuple(findings), tuple(notes), tuple(comparisons))


def _why_open(tests: list[MetricTest], statistics: QualityStatistics) -> str:
    """Return why metrics that are worse by as much as matters are not decided, and how many rows would do."""
    rows = statistics.item_count
    needed = [test.rows_needed(rows, test.worse) for test in tests if test.is_open]
    alike = ", which depend on each other," if statistics.design_effect > 1.0 else ""
    # Where far fewer rows than these would do, it is the draws of a small baseline that vary.
    enough = [count for count in needed if count is not None and 2 * count > rows]
    could = f"about {max(rows + 1, *enough, 0):,} could"
    tell = could if enough else "the baseline is too small for any to do so"
    return f"{several(rows, 'row')}{alike} cannot tell so large a change from chance; {tell}"


def _side(
    statistics: QualityStatistics,
    baseline: QualityStatistics | None,
    positive: str,
    generator: np.random.Generator,
    resamples: int,
) -> Side:
    known = statistics
    if baseline is not None and baseline.design_effect > statistics.design_effect:
        known = baseline  # a window too short to show how its rows depend on each other
    far = student_ratio(_FAR, known.blocks)
    shared = math.sqrt(known.design_effect / statistics.design_effect)
    draws: Mapping[str, Floats] = {}
    outcomes: tuple[int, ...] = ()
    if statistics.problem_type == "BinaryClassification" and statistics.confusion_matrix:
        cells = binary_cells(statistics.confusion_matrix, positive)
        outcomes = tuple(filter(None, (int(cells[:2].sum()), int(cells[2:].sum()))))
        draws = binary_metrics(table_draws(cells / (known.design_effect * far * far), generator, resamples))
    widening = shared * far / student_ratio(Z_95, statistics.blocks)
    return Side(statistics, draws, resamples, widening, outcomes)


def _least_changes(constraints: QualityConstraints) -> list[float]:
    """Return the smallest changes of shares and of errors that count, as monitoring_config sets them."""
    config = constraints.extra.get("monitoring_config")
    given = {**documents.LEAST_CHANGES, **config} if isinstance(config, Mapping) else documents.LEAST_CHANGES
    for name, usual in documents.LEAST_CHANGES.items():
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0.0:
            where = {"file": constraints.where, "field": name}
            raise DocumentError.of("quality_documents.change", value=value, usual=usual, **where)
    return [given[name] for name in documents.LEAST_CHANGES]


def _refuse_unknown(statistics: QualityStatistics, constraints: QualityConstraints) -> None:
    usual = CONSTRAINED[statistics.problem_type]
    further = documents.FACTS["further"]
    known = {*usual, *statistics.metrics, *further}
    worse = usual | documents.FACTS["losses"]
    worse |= {name: documents.GREATER if is_loss(name) else documents.LESS for name in further}
    for name, constraint in constraints.metrics.items():
        value, is_share = constraint.threshold, not is_loss(name)
        # NaN is neither.
        if not value >= (-math.inf if name == "r2" else 0.0) or (value > 1.0 and is_share):
            most, where = "up to 1, such as 0.95" if is_share else "on", constraints.where
            raise DocumentError.of("quality_documents.range", file=where, field=name, value=value, most=most)
        if constraint.operator != (way := worse.get(name, constraint.operator)):
            told = {"file": constraints.where, "field": name, "operator": constraint.operator}
            raise DocumentError.of("quality_documents.operator", worse=way, **told)
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean {close!r}?" if close else f"known are {', '.join(sorted(known))}."
            raise DocumentError.of("quality_documents.metric", file=constraints.where, field=name, hint=hint)


def _violation(test: MetricTest, now: QualityStatistics, baseline: QualityStatistics | None) -> Violation:
    """Say what happened in rounded numbers; the end is the originals' sentence, which parsers read."""
    is_low = test.constraint.operator == documents.LESS
    crossed = f"{'fell below' if is_low else 'rose above'} {number(test.constraint.threshold)}"
    found = f"{number(test.value)}{test.interval_text} over {now.item_count:,} rows"
    text = f"{test.name} {crossed}: it is {found}"
    if baseline is not None and (before := baseline.value(test.name)) is not None:
        rows = f" over {baseline.item_count:,}" if baseline.item_count else ""
        text += f", and was {number(before)}{rows} at the baseline"
    original = describe_comparison(test.name, test.metric, test.constraint)
    text = f"{text}; {chance(test.p_value)}. {original}"
    return Violation(test.constraint.operator, text, metric_name=test.name)


# Of a metric that is worse than its threshold.
_VERDICTS = {
    State.VIOLATED: "is worse than chance explains",
    State.CHANGED: "is worse, but by less than anybody would act on",
    State.UNDECIDED: "is worse by as much as matters, but so few rows do not tell that from chance",
    State.HOLDS: "is worse, but no more than chance explains",
}


def _finding(test: MetricTest) -> Finding:
    value, threshold, worse = test.value, test.constraint.threshold, shortfall(test.value, test.constraint)
    limit = "at least" if test.constraint.operator == documents.LESS else "at most"
    verdict = _VERDICTS[test.state] if worse > 0.0 else "holds"
    text = f"{test.name} {number(value)}{test.interval_text}, expected {limit} {number(threshold)}: {verdict}"
    if is_loss(test.name) and threshold > 0.0:
        worse /= threshold  # what has a unit of its own compares by its relative increase
    figures: dict[str, Any] = {"value": value, "expected": threshold, "interval": test.metric.interval}
    return Finding(test.name, text, worse, test.state is State.VIOLATED, **figures)


def _small_window(statistics: QualityStatistics, tests: list[MetricTest]) -> list[str]:
    rows = statistics.item_count
    open_tests = [test for test in tests if test.name not in _SAME_TEST and test.state is not State.VIOLATED]
    needed = {test.name: test.rows_needed(rows) for test in open_tests}
    undecided = [f"{name} ({count:,} rows)" for name, count in needed.items() if count and count > rows]
    hopeless = [name for name, count in needed.items() if count is None]
    change = "an error 10 % larger" if statistics.problem_type == "Regression" else "a change of 5 points"
    notes = []
    if undecided:
        names = ", ".join(undecided)
        notes.append(wording("quality_notes.small_window", rows=rows, change=change, names=names))
    if hopeless:
        notes.append(wording("quality_notes.small_baseline", change=change, names=", ".join(hopeless)))
    return notes


# Decisions as the original containers made them: any value worse than its threshold (spec section 4.4).


# Constraints: the metrics of the baseline as thresholds.


# Which direction is worse, for every metric that is constrained by itself, in the originals' order.
CONSTRAINED: dict[str, dict[str, documents.Operator]] = documents.FACTS["constrained"]


def suggest(
    statistics: QualityStatistics, baseline: documents.QualityBaseline | None = None, *, sound: bool = True
) -> QualityConstraints:
    """Return constraints with the value of each metric as its threshold.

    Under sound rules what an expert changed in the baseline's constraints is kept: metrics left out stay out,
    metrics added stay, and a threshold that is not the baseline's value is a decision, so it stays.

    Parameters
    ----------
    statistics
        Of the baseline, or of a window.
    baseline
        What the window was compared with, None in a baseline job.
    sound
        Whether sound rules apply.
    """
    operators = {**CONSTRAINED[statistics.problem_type], **(documents.FACTS["losses"] if sound else {})}
    if baseline is None or not sound or baseline.constraints is None:
        metrics = {
            name: MetricConstraint(value, operator)
            for name, operator in operators.items()
            if (value := statistics.value(name)) is not None
        }
        return QualityConstraints(statistics.problem_type, metrics)
    known, before, metrics = baseline.constraints, baseline.statistics, {}
    for name, constraint in known.metrics.items():
        value = statistics.value(name)
        decided = before is not None and not is_own_value(constraint, before.value(name))
        threshold = constraint.threshold if decided or value is None else value
        metrics[name] = MetricConstraint(threshold, constraint.operator, constraint.extra)
    return QualityConstraints(statistics.problem_type, metrics, extra=known.extra, order=known.order)


def is_own_value(constraint: MetricConstraint, value: float | None) -> bool:
    """Return whether the threshold is the baseline's own value rather than somebody's decision."""
    # Thresholds that people copy are rounded now and then.
    return value is not None and math.isclose(constraint.threshold, value, rel_tol=1e-5, abs_tol=1e-5)


def check_sagemaker(statistics: QualityStatistics, constraints: QualityConstraints) -> Decision:
    """Compare a window with the constraints as the originals did.

    A metric that is undefined in the window raises no violation.
    """
    violations, findings, comparisons = [], [], []
    names = {documents.FACTS["reported"].get(name, name): name for name in constraints.metrics}
    ordered = list(names)
    if len(names) > SMALL_MAP:
        # f0_5 was not among the ten first violations recorded, although it was one; so it comes last.
        ordered = sorted(category_order("", names), key=lambda name: name == "f0_5")
    for name, reported in ((names[reported], reported) for reported in ordered):
        metric, constraint = statistics.metrics.get(name), constraints.metrics[name]
        if metric is None or metric.value is None:
            comparisons.append(undefined(name, constraint, why_undefined(statistics)))
            continue
        text = describe_comparison(reported, metric, constraint)
        worse = shortfall(metric.value, constraint)
        if worse > 0.0:
            violations.append(Violation(constraint.operator, text, metric_name=reported))
        finding = Finding(name, text, worse, worse > 0.0, value=metric.value, expected=constraint.threshold)
        findings.append(finding)
        comparisons.append(compared(finding, constraint, statistics))
    return Decision(Violations(violations), tuple(findings), comparisons=tuple(comparisons))


def compared(finding: Finding, constraint: MetricConstraint, statistics: QualityStatistics) -> Comparison:
    """Return a finding as a comparison."""
    state = State.VIOLATED if finding.violated else State.HOLDS
    found = Comparison(finding.subject, constraint.operator, state, finding.text, rows=statistics.item_count)
    return replace(found, value=finding.value, expected=finding.expected, effect=finding.distance, limit=0.0)


def why_undefined(statistics: QualityStatistics, name: str = "") -> str:
    """Return why the window does not define a metric, or some where none is named."""
    if name in documents.FACTS["of_probabilities"] and name not in statistics.metrics:
        return "the window has no scores that are probabilities, from 0 to 1"
    matrix, positive = statistics.confusion_matrix or {}, statistics.positive_label or ""
    found = {label for label, row in matrix.items() if any(row.values())}
    if positive and len(found) == 1:
        return f"{'every' if positive in found else 'no'} label in the window is {positive!r}"
    if positive and not any(row.get(positive) for row in matrix.values()):
        return f"no prediction in the window is {positive!r}"
    return "the window does not define some metrics"


def undefined(name: str, constraint: MetricConstraint, reason: str) -> Comparison:
    """Return the comparison of a metric that the window does not define: no positives, say."""
    return Comparison(name, constraint.operator, State.UNDECIDED, reason=reason, lost=True)


def shortfall(value: float, constraint: MetricConstraint) -> float:
    """Return by how much a value is worse than the threshold; negative when it is better."""
    gap = constraint.threshold - value
    return gap if constraint.operator == documents.LESS else -gap


def describe_comparison(name: str, metric: documents.MetricValue, constraint: MetricConstraint) -> str:
    """Return the originals' sentence on a metric that is beyond its threshold."""
    value = java_double(metric.value) if metric.value is not None else "NaN"
    deviation = "NaN" if metric.standard_deviation is None else java_double(metric.standard_deviation)
    verb = "was" if metric.value is not None and shortfall(metric.value, constraint) > 0.0 else "was not"
    threshold = java_double(constraint.threshold)
    return f"Metric {name} with {value} +/- {deviation} {verb} {constraint.operator} '{threshold}'"
