"""Compare a window's statistics with the baseline, by the rules chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analyzers.model_quality.check_sagemaker import check_sagemaker
from analyzers.model_quality.check_sound import check_sound
from analyzers.model_quality.suggest import suggest
from analyzers.rules import Rules, constraints_to_check
from analyzers.wording import number
from contract.analyzer import Comparison, Decision, State
from contract.documents.model_quality import ModelQualityBaseline, ModelQualityStatistics
from contract.documents.violations import Violations
from contract.errors import DocumentError


def check(
    statistics: ModelQualityStatistics,
    baseline: ModelQualityBaseline,
    *,
    rules: Rules,
    positive: str,
    error_share: float,
    seed: int,
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
    positive
        The positive label.
    error_share
        Share of the false-alarm rate that this check may spend.
    seed
        Of the resampling.

    Raises
    ------
    DocumentError
        When the baseline is of another problem type, or constrains what is no metric.
    """
    _require_same_type(statistics, baseline)
    notes = [*statistics.notes, *_estimated(statistics)]
    constraints = constraints_to_check(baseline, rules, suggest)
    if constraints is None or not constraints.metrics:
        reason = "there are no constraints"
        return Decision(Violations(), notes=(*notes, f"Nothing was checked, as {reason}."), reason=reason)
    if not statistics.item_count:
        reason = _why_no_rows(statistics)
        return Decision(
            Violations(),
            notes=(*notes, f"Nothing was checked, as {reason}."),
            comparisons=tuple(
                Comparison(name, constraint.operator, State.UNDECIDED, reason=reason, lost=True)
                for name, constraint in constraints.metrics.items()
            ),
        )
    if rules == "sagemaker":
        decision = check_sagemaker(statistics, constraints)
    else:
        before = baseline.statistics
        decision = check_sound(
            statistics, constraints, before, positive=positive, error_share=error_share, seed=seed
        )
    return replace(decision, notes=(*notes, *decision.notes))


def _why_no_rows(statistics: ModelQualityStatistics) -> str:
    if not statistics.unpredicted_count:
        return "no row has a label" if statistics.unlabelled_count else "no row has a label and a prediction"
    finite = "finite " if statistics.problem_type == "Regression" else ""
    return f"no row with a label has a {finite}prediction"


def _require_same_type(statistics: ModelQualityStatistics, baseline: ModelQualityBaseline) -> None:
    for document in (baseline.constraints, baseline.statistics):
        if document is not None and document.problem_type != statistics.problem_type:
            raise DocumentError(
                f"{document.where} is of problem_type {document.problem_type}, but the window is "
                f"{statistics.problem_type}; give the baseline of this model."
            )


def _estimated(statistics: ModelQualityStatistics) -> list[str]:
    estimated: dict[str, Any] = statistics.estimated or {}
    if not estimated:
        return []
    values = ", ".join(
        f"{name} {number(round(metric['value'], 4))}" for name, metric in estimated["metrics"].items()
    )
    return [f"Of {estimated['item_count']} rows without label: {values}. {estimated['assumption']}"]
