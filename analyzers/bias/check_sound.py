"""Decisions by statistics: a violation is a size of bias beyond its limit by more than chance explains.

All metrics of all groups of a window without any change together raise a violation in less than 1 % of
windows. Metrics that are the same number in another form (DPL, KS, LP, TVD), and the two groups of a facet of
two values, share one part of that budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from analyzers.bias.check_sagemaker import unmatched, violation
from analyzers.bias.comparison import Limit, p_values
from analyzers.bias.explain import explain, group_text, impact_findings, requirement_text
from analyzers.bias.held import Held, hold
from analyzers.bias.resampling import to_scale
from analyzers.wording import number
from contract.analyzer import Decision, Finding
from contract.documents.bias import BiasConstraints, BiasStatistics, FacetStatistics, MetricValue
from contract.documents.violations import Violations

# Probability that a window without any change raises a violation.
FALSE_ALARM_RATE = 0.004
# Shares of it relative to those of other metrics: who is selected is what bias is watched for first.
_WEIGHTS = {"DPPL": 5.0, "DI": 5.0}


@dataclass(frozen=True)
class Comparison:
    """One metric of one group against its limit.

    `p_value` is the probability of a value as bad when nothing has changed; 1 where the limit is kept.
    """

    facet: FacetStatistics
    metric: MetricValue
    value: float
    limit: Limit
    p_value: float

    @property
    def is_beyond(self) -> bool:
        """Return whether the value is beyond the limit, be it by chance."""
        return self.limit.is_left(self.metric.name, self.value)

    def is_violated(self, budget: float) -> bool:
        """Return whether chance does not explain the value, `budget` being the share of a weight of 1."""
        return self.p_value < budget * _WEIGHTS.get(self.metric.name, 1.0)

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
    groups, notes = hold(statistics, constraints, baseline)
    tests = {group.test_of(name): _WEIGHTS.get(name, 1.0) for group in groups for name in group.limits}
    budget = FALSE_ALARM_RATE * error_share / max(1.0, sum(tests.values()))
    comparisons = _once([one for group in groups for one in _compare(group, seed)])
    violated = [one for one in comparisons if one.is_violated(budget)]
    findings = sorted(
        (_finding(comparison, comparison.is_violated(budget)) for comparison in comparisons),
        key=lambda finding: (not finding.violated, -(finding.distance or 0.0)),
    )
    crossed = impact_findings(statistics.facets)
    return Decision(
        Violations(
            [violation(one.facet, one.metric.name, _violation_text(one)) for one in violated],
            {"version": "1.0"},
        ),
        (*findings, *(Finding(f"DI of {group}", text) for group, text in crossed.items())),
        (
            *unmatched(statistics, constraints),
            *notes,
            *_exact_note(groups),
        ),
    )


def _compare(group: Held, seed: int) -> list[Comparison]:
    values = {name: metric.value for name, metric in group.metrics.items() if metric.value is not None}
    beyond = {name: limit for name, limit in group.limits.items() if limit.is_left(name, values[name])}
    found = p_values(group.window, group.before, beyond, seed)
    if "FT" in beyond:
        found["FT"] = 0.0  # has no interval, so somebody's limit is taken at its word
    return [
        Comparison(group.facet, group.metrics[name], values[name], limit, found.get(name, 1.0))
        for name, limit in group.limits.items()
    ]


def _once(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return the comparisons with GE, in which groups play no part, for the first group only."""
    kept, has_entropy = [], False
    for comparison in comparisons:
        if comparison.metric.name == "GE":
            if has_entropy:
                continue
            has_entropy = True
        kept.append(comparison)
    return kept


def _violation_text(comparison: Comparison) -> str:
    sentence = explain(comparison.facet, comparison.metric)
    tail = requirement_text(comparison.value, comparison.limit.requirement)
    return f"{sentence} {tail}" if sentence else tail


def _finding(comparison: Comparison, violated: bool) -> Finding:
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
    subject = f"{metric.name} of {group_text(comparison.facet)}"
    text = f"{subject} is {_text(comparison.value)}{interval}, {limit}: {verdict}"
    return Finding(subject, text, comparison.growth, violated)


def _text(value: float) -> str:
    return number(value) if math.isfinite(value) else str(value).replace("inf", "infinite")


def _exact_note(groups: list[Held]) -> list[str]:
    limits = [limit for group in groups for limit in group.limits.values() if not limit.decided]
    if not limits or any(limit.own or limit.error for limit in limits):
        return []
    return ["The baseline's values are taken as exact; give its statistics to count their own uncertainty."]
