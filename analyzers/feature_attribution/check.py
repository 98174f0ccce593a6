"""Compare a window's attributions with the baseline's, by the rules chosen."""

from __future__ import annotations

import math
from typing import Literal

from analyzers.feature_attribution.check_sagemaker import check_sagemaker, document
from analyzers.feature_attribution.check_sound import Limits, check_sound
from analyzers.feature_attribution.pairing import pair_labels, unpaired
from analyzers.wording import number
from contract.analyzer import Decision
from contract.documents.attribution import (
    AttributionBaseline,
    AttributionConstraints,
    AttributionStatistics,
)
from contract.errors import DocumentError

Rules = Literal["sound", "sagemaker"]
_SAME = 1e-4


def check(
    statistics: AttributionStatistics,
    baseline: AttributionBaseline,
    *,
    rules: Rules,
    limits: Limits,
    error_share: float = 1.0,
    seed: int = 0,
) -> Decision:
    """Return the violations of a window, what was found on the way, and notes.

    Parameters
    ----------
    statistics
        The window.
    baseline
        What it is compared with; its statistics where it has no constraints.
    rules
        ``sound`` or ``sagemaker``.
    limits
        From the settings, for sound rules.
    error_share
        Share of the false-alarm rate that this check may spend.
    seed
        Of the draws that give the standard error of NDCG.

    Raises
    ------
    DocumentError
        When the baseline's values cannot be compared with the window's.
    """
    before = baseline.constraints or baseline.statistics
    if before is None or not statistics.labels:
        return Decision(
            document([]), notes=(*statistics.notes, "No row was explained, so nothing was checked.")
        )
    _require_comparable(before, statistics)
    pairs = list(
        pair_labels(
            before.labels,
            statistics.labels,
            baseline_rows=before.design.rows,
            rows=statistics.explained.rows,
            where=before.where,
        )
    )
    if rules == "sagemaker":
        decision = check_sagemaker(pairs)
    else:
        decision = check_sound(pairs, limits, error_share=error_share, seed=seed)
    notes = (
        *statistics.notes,
        *unpaired(before.labels, statistics.labels),
        *(note for pair in pairs for note in pair.notes),
        *_other_reference(before, statistics),
        *decision.notes,
    )
    return Decision(decision.violations, decision.findings, notes)


def _require_comparable(
    before: AttributionConstraints | AttributionStatistics, statistics: AttributionStatistics
) -> None:
    for member in ("agg_method", "use_logit"):
        then, now = getattr(before.design, member), getattr(statistics.design, member)
        if then is not None and now is not None and then != now:
            raise DocumentError(
                f"{before.where} was computed with {member} {_shown(then)}, but methods.shap.{member} is "
                f"{_shown(now)}; give the same, or a baseline computed with it."
            )


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _other_reference(
    before: AttributionConstraints | AttributionStatistics, statistics: AttributionStatistics
) -> list[str]:
    """Note when the model's mean answer on the baseline rows is not what it was."""
    if len(before.labels) != len(statistics.labels):
        return []
    alone = len(before.labels) == 1
    notes = []
    for name, label in statistics.labels.items():
        former = next(iter(before.labels.values())) if alone else before.labels.get(name)
        if former is None or former.expected_value is None or label.expected_value is None:
            continue
        then, now = former.expected_value, label.expected_value
        if not math.isclose(then, now, rel_tol=_SAME, abs_tol=1e-9):
            notes.append(
                f"The expected value of {name} is {number(now)}, but {number(then)} at the baseline: the "
                "model, or the rows that stand for absent features, are others, and sizes can change for "
                "that alone."
            )
    return notes
