"""Decisions by statistics: a violation is a metric beyond its threshold by more than chance explains.

All metrics of a window without any change together raise a violation in less than 1 % of windows. Metrics
that are the same number in another form (recall, its complement; mse, rmse) share one part of that budget.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from analyzers.model_quality import check_sagemaker, documents
from analyzers.model_quality.confusion import binary_cells, binary_metrics
from analyzers.model_quality.documents import MetricConstraint, QualityConstraints, QualityStatistics
from analyzers.model_quality.intervals import TABLE_RESAMPLES, Z_95, table_draws
from analyzers.shared.cells import Floats
from analyzers.shared.significance import student_ratio
from contract.api import Decision, Finding, State, Violation, Violations
from contract.errors import DocumentError, wording
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


def _log_odds(share: float) -> float:
    inside = min(1.0 - 1e-9, max(1e-9, share))
    return math.log(inside / (1.0 - inside))


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
    if is_loss(name):
        return _RATIO
    return {"auc": _AREA, "r2": _UNEXPLAINED}.get(name, _SHARE)


class Side(NamedTuple):
    """A window or a baseline: its statistics, and the metrics of its resampled confusion matrix.

    `widening` is what its intervals lack of the error that decides: for dependence of rows that the other
    side shows, and for far tails where dependence is known from few blocks.
    """

    statistics: QualityStatistics
    draws: Mapping[str, Floats]
    widening: float = 1.0


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
        told = self.relevant if change is None else change
        remainder = (told / critical) ** 2 - self.baseline_error**2
        if remainder <= 0.0:
            return None
        return math.ceil(rows * self.window_error**2 / remainder)

    @property
    def interval_text(self) -> str:
        """Return the interval in words, empty where there is none."""
        ends = self.metric.interval
        return f" (95 % interval {' to '.join(map(number, ends))})" if ends else ""

    @property
    def worse(self) -> float:
        """Return by how much the metric is beyond its threshold, on the scale of the comparison."""
        scale = _scale_of(self.name)
        gap = scale.to(self.constraint.threshold) - scale.to(self.value)
        return gap if self.constraint.operator == documents.LESS else -gap

    @property
    def is_open(self) -> bool:
        """Return whether the metric is worse by as much as matters, but chance may explain it."""
        if self.p_value < self.alpha:
            return False
        if _scale_of(self.name) in _RATIOS:
            return self.worse >= math.log1p(RELEVANT_RATIO)
        return check_sagemaker.shortfall(self.value, self.constraint) >= RELEVANT_POINTS

    @property
    def is_certain(self) -> bool:
        """Return whether the metric is beyond its threshold by more than chance explains."""
        return check_sagemaker.is_beyond(self.value, self.constraint) and self.p_value < self.alpha

    @property
    def is_violated(self) -> bool:
        """Return whether it is that, and by so much that somebody would act.

        A threshold that is the baseline's own value leaves room: 0.03 of Cohen's h for shares and areas
        (0.806 to 0.794, 0.990 to 0.987), 2 % of an error and of what R² leaves unexplained. A threshold that
        somebody set is exact.
        """
        if not self.is_certain or not self.is_own:
            return self.is_certain
        scale, threshold = _scale_of(self.name), self.constraint.threshold
        if scale in _RATIOS:
            return abs(scale.to(self.value) - scale.to(threshold)) > math.log1p(self.least)
        angles = [2.0 * math.asin(math.sqrt(min(1.0, max(0.0, share)))) for share in (self.value, threshold)]
        return abs(angles[1] - angles[0]) > self.least


def _test(name: str, constraint: MetricConstraint, window: Side, baseline: Side | None) -> MetricTest | None:
    """Return the comparison of a metric, None when the window does not define it or its spread.

    Parameters
    ----------
    name, constraint
        What is compared with what.
    window
        The rows at hand.
    baseline
        Where the threshold comes from, None when that is not known; its own error then counts as none.
    """
    metric = window.statistics.metrics.get(name)
    if metric is None or metric.value is None:
        return None
    if metric.interval is None and metric.standard_deviation is None:
        return None  # one row: nothing tells how far it would move by chance
    own = baseline is not None and check_sagemaker.is_own_value(constraint, baseline.statistics.value(name))
    known = baseline if own else None
    error = window.widening * _error(name, metric)
    before = known.statistics.metrics.get(name) if known else None
    baseline_error = known.widening * _error(name, before) if known and before else 0.0
    if name in window.draws:
        threshold = known.draws.get(name) if known else None
        p_value = _drawn_p_value(window.draws[name], constraint, threshold)
    else:
        p_value = _normal_p_value(name, metric.value, constraint, error, baseline_error)
    scale = _scale_of(name)
    relevant = RELEVANT_RATIO if scale in _RATIOS else RELEVANT_POINTS * scale.slope(metric.value)
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
    inside = [np.clip(shares, 1e-9, 1.0 - 1e-9) for shares in (drawn, np.asarray(limit))]
    logits = [np.log(shares / (1.0 - shares)) for shares in inside]
    apart = logits[0] - logits[1]
    ratio = abs(float(apart.mean())) / max(1e-12, float(apart.std()))
    return max(_SMALLEST_P, min(p_value, NormalDist().cdf(-ratio)))


def _normal_p_value(
    name: str, value: float, constraint: MetricConstraint, error: float, baseline_error: float
) -> float:
    gap = _scale_of(name).to(value) - _scale_of(name).to(constraint.threshold)
    worse = -gap if constraint.operator == documents.LESS else gap
    total = math.hypot(error, baseline_error)
    if total == 0.0:
        return _SMALLEST_P if worse > 0.0 else 1.0
    return max(_SMALLEST_P, NormalDist().cdf(-worse / total))


def widened(name: str, value: float, bound: float, factor: float) -> float:
    """Return a bound moved away from its value by a factor, on the scale on which errors are about normal."""
    scale = _scale_of(name)
    if not scale.ends[0] < bound < scale.ends[1]:
        return bound
    return scale.back(scale.to(value) + factor * (scale.to(bound) - scale.to(value)))


def _error(name: str, metric: documents.MetricValue) -> float:
    """Return the standard error of a metric on its scale."""
    scale, deviation = _scale_of(name), metric.standard_deviation or 0.0
    if metric.value is None:
        return 0.0
    if metric.interval is None:
        return deviation * _SUBSAMPLE_FACTOR * scale.slope(metric.value)
    low, high = (scale.to(bound) for bound in metric.interval)
    error = (high - low) / (2.0 * Z_95)
    return max(deviation, error) if scale is _AREA else abs(error)


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
    tests = _tests(statistics, constraints, baseline, positive, seed)
    questions = {_SAME_TEST.get(test.name, test.name) for test in tests}
    alpha = FALSE_ALARM_RATE * error_share / max(1, len(questions))
    tested = {test.name: replace(test, alpha=alpha) for test in tests}
    tests = list(tested.values())
    violations = [_violation(test, statistics, baseline) for test in tests if test.is_violated]
    found = {test.name: _finding(test) for test in tests}
    findings = sorted(found.values(), key=lambda finding: (not finding.violated, -(finding.distance or 0.0)))
    notes = []
    notes += _small_window(statistics, tests)
    if baseline is None:
        notes.append("There is no baseline_statistics, so thresholds are taken as exact.")
    why_open, comparisons = _why_open(tests, statistics), []
    for name, constraint in constraints.metrics.items():
        if name not in tested:
            unanswered = check_sagemaker.undefined(
                name, constraint, check_sagemaker.why_undefined(statistics)
            )
            if statistics.value(name) is not None:
                unanswered = replace(unanswered, reason=wording("quality_notes.few_rows"), lost=False)
            comparisons.append(unanswered)
            continue
        test, comparison = tested[name], check_sagemaker.compared(found[name], constraint, statistics)
        if test.is_open:
            comparison = replace(comparison, state=State.UNDECIDED, reason=why_open)
        elif test.is_certain and not test.is_violated:
            comparison = replace(comparison, state=State.CHANGED)
        elif statistics.item_count < _FEWEST_ROWS and not test.is_certain:
            # Of so few rows nearly any result is one that holds.
            few_rows = wording("quality_notes.few_rows")
            comparison = replace(comparison, state=State.UNDECIDED, reason=few_rows)
        rows = None if baseline is None else baseline.item_count
        comparisons.append(replace(comparison, p_value=test.p_value, baseline_rows=rows))
    return Decision(Violations(violations), tuple(findings), tuple(notes), tuple(comparisons))


def _why_open(tests: list[MetricTest], statistics: QualityStatistics) -> str:
    """Return why metrics that are worse by as much as matters are not decided, and how many rows would do."""
    rows = statistics.item_count
    needed = [test.rows_needed(rows, test.worse) for test in tests if test.is_open]
    alike = ", which depend on each other," if statistics.design_effect > 1.0 else ""
    enough = [count for count in needed if count is not None]
    could = f"about {max(rows + 1, *enough, 0):,} could"
    tell = could if enough else "the baseline is too small for any to do so"
    return f"{several(rows, 'row')}{alike} cannot tell so large a change from chance; {tell}"


def _tests(
    statistics: QualityStatistics,
    constraints: QualityConstraints,
    baseline: QualityStatistics | None,
    positive: str,
    seed: int,
) -> list[MetricTest]:
    """Return the tests of all metrics, with many resamples only where a few do not settle them."""
    tests: list[MetricTest] = []
    least = _least_changes(constraints)
    for resamples in (_FIRST_RESAMPLES, TABLE_RESAMPLES):
        generators = np.random.default_rng([seed, 1]).spawn(2)
        window = _side(statistics, baseline, positive, generators[0], resamples)
        before = None if baseline is None else _side(baseline, None, positive, generators[1], resamples)
        tests = [
            replace(test, least=least[_scale_of(name) in _RATIOS])
            for name, constraint in constraints.metrics.items()
            if (test := _test(name, constraint, window, before)) is not None
        ]
        if all(test.p_value > _SETTLED for test in tests if test.name in window.draws):
            break
    return tests


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
    if statistics.problem_type == "BinaryClassification" and statistics.confusion_matrix:
        cells = binary_cells(statistics.confusion_matrix, positive)
        effect = known.design_effect * far * far
        draws = binary_metrics(table_draws(cells / effect, generator, resamples))
    return Side(statistics, draws, shared * far / student_ratio(Z_95, statistics.blocks))


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
    usual = check_sagemaker.CONSTRAINED[statistics.problem_type]
    further = documents.FACTS["further"]
    known = {*usual, *statistics.metrics, *further}
    worse = usual | documents.FACTS["losses"]
    worse |= {name: documents.GREATER if is_loss(name) else documents.LESS for name in further}
    for name, constraint in constraints.metrics.items():
        if constraint.threshold > 1.0 and not is_loss(name):
            value = constraint.threshold
            raise DocumentError.of("quality_documents.range", file=constraints.where, field=name, value=value)
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
    before = baseline.value(test.name) if baseline else None
    crossed = f"{'fell below' if is_low else 'rose above'} {number(test.constraint.threshold)}"
    found = f"{number(test.value)}{test.interval_text} over {now.item_count:,} rows"
    text = f"{test.name} {crossed}: it is {found}"
    if baseline is not None and before is not None:
        text += f", and was {number(before)} over {baseline.item_count:,} at the baseline"
    original = check_sagemaker.describe_comparison(test.name, test.metric, test.constraint)
    text = f"{text}; {chance(test.p_value)}. {original}"
    return Violation(test.constraint.operator, text, metric_name=test.name)


def _finding(test: MetricTest) -> Finding:
    value, constraint = test.value, test.constraint
    limit = "at least" if constraint.operator == documents.LESS else "at most"
    verdict = "holds"
    if test.is_violated:
        verdict = "is worse than chance explains"
    elif test.is_certain:
        verdict = "is worse, but by less than anybody would act on"
    elif test.is_open:
        verdict = "is worse by as much as matters, but so few rows do not tell that from chance"
    elif check_sagemaker.is_beyond(value, constraint):
        verdict = "is worse, but no more than chance explains"
    expected = f"expected {limit} {number(constraint.threshold)}"
    text = f"{test.name} {number(value)}{test.interval_text}, {expected}: {verdict}"
    worse = check_sagemaker.shortfall(value, constraint)
    if is_loss(test.name) and constraint.threshold > 0.0:
        worse /= constraint.threshold  # what has a unit of its own compares by its relative increase
    found = Finding(test.name, text, worse, test.is_violated, value=value, expected=constraint.threshold)
    return replace(found, interval=test.metric.interval)


def _small_window(statistics: QualityStatistics, tests: list[MetricTest]) -> list[str]:
    rows = statistics.item_count
    open_tests = [test for test in tests if test.name not in _SAME_TEST and not test.is_violated]
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
