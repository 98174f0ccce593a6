"""Compare a window's bias with the baseline's, by the rules chosen."""

from __future__ import annotations

from dataclasses import replace

from analyzers.bias.check_sagemaker import check_sagemaker
from analyzers.bias.check_sound import check_sound
from analyzers.bias.explain import impact_findings
from analyzers.bias.suggest import suggest
from analyzers.rules import Rules, constraints_to_check
from contract.analyzer import Decision
from contract.documents.bias import BiasBaseline, BiasStatistics
from contract.documents.violations import Violations


def check(
    statistics: BiasStatistics,
    baseline: BiasBaseline,
    *,
    rules: Rules,
    error_share: float = 1.0,
    seed: int = 0,
) -> Decision:
    """Return the violations of a window, what was found on the way, and notes.

    Parameters
    ----------
    statistics
        The window.
    baseline
        What it is compared with; `constraints_to_check` says what becomes of one without constraints.
    rules
        ``sound`` or ``sagemaker``.
    error_share
        Share of the false-alarm rate that this check may spend.
    seed
        Of the resampling.
    """
    notes = [*statistics.notes, *(f"{what}: {why}" for what, why in statistics.problems.items())]
    constraints = constraints_to_check(baseline, rules, suggest)
    if constraints is None or not list(constraints.stages()):
        reason = "there are no constraints"
        return Decision(
            Violations([], {"version": "1.0"}),
            notes=(*notes, f"Nothing was checked, as {reason}."),
            reason=reason,
        )
    if rules == "sagemaker":
        decision = check_sagemaker(statistics, constraints)
    else:
        decision = check_sound(
            statistics, constraints, baseline.statistics, error_share=error_share, seed=seed
        )
    said = [note for note in notes if note not in _told_by_violations(statistics, decision)]
    return replace(decision, notes=(*said, *decision.notes))


def _told_by_violations(statistics: BiasStatistics, decision: Decision) -> list[str]:
    """Return the findings on four fifths whose groups have a violation of DI, which says as much."""
    violated = [
        (one.extra.get("facet"), one.extra.get("facet_value"))
        for one in decision.violations.violations
        if one.metric_name == "DI"
    ]
    facets = [facet for facet in statistics.facets if (facet.facet, facet.value_or_threshold) in violated]
    return list(impact_findings(facets).values())
