"""Compare a window's statistics with the baseline, by the rules chosen."""

from __future__ import annotations

from typing import Any

from analyzers.model_quality.check_sagemaker import check_sagemaker
from analyzers.model_quality.check_sound import check_sound
from analyzers.model_quality.suggest import suggest
from analyzers.rules import Rules, constraints_to_check
from analyzers.wording import number
from contract.analyzer import Decision
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
    if not statistics.item_count:
        return Decision(
            Violations(), notes=(*notes, "No row has both label and prediction, so nothing was checked.")
        )
    constraints = constraints_to_check(baseline, rules, suggest)
    if constraints is None:
        return Decision(Violations(), notes=(*notes, "There are no constraints, so nothing was checked."))
    if rules == "sagemaker":
        decision = check_sagemaker(statistics, constraints)
    else:
        before = baseline.statistics
        decision = check_sound(
            statistics, constraints, before, positive=positive, error_share=error_share, seed=seed
        )
    return Decision(decision.violations, decision.findings, (*notes, *decision.notes))


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
