"""Compare a window's attributions with the baseline's, by the rules chosen."""

from __future__ import annotations

import math
from dataclasses import replace

from analyzers.feature_attribution.check_sagemaker import CHECK_TYPE, check_sagemaker, document
from analyzers.feature_attribution.check_sound import Limits, check_sound
from analyzers.feature_attribution.pairing import counterparts, pair_labels, unpaired
from analyzers.rules import Rules
from analyzers.wording import number
from contract.analyzer import Comparison, Decision, State
from contract.documents.attribution import (
    AttributionBaseline,
    AttributionConstraints,
    AttributionStatistics,
)
from contract.errors import DocumentError

_SAME = 1e-4


def check(
    statistics: AttributionStatistics,
    baseline: AttributionBaseline,
    *,
    rules: Rules,
    limits: Limits,
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
    seed
        Of the draws that give the standard error of NDCG.

    Raises
    ------
    DocumentError
        When the baseline's values cannot be compared with the window's.
    """
    before = baseline.constraints or baseline.statistics
    if before is None or not statistics.labels:
        reason = "no row was explained" if before is not None else "there is no baseline"
        return Decision(
            document([]), notes=(*statistics.notes, f"Nothing was checked, as {reason}."), reason=reason
        )
    _require_comparable(before, statistics)
    pairs = list(pair_labels(before, statistics))
    decision = check_sagemaker(pairs) if rules == "sagemaker" else check_sound(pairs, limits, seed=seed)
    notes = (
        *statistics.notes,
        *unpaired(before.labels, statistics.labels),
        *(note for pair in pairs for note in pair.notes),
        *_other_reference(before, statistics),
        *decision.notes,
    )
    alone = len(before.labels) == len(statistics.labels) == 1
    lost = [
        Comparison(label, CHECK_TYPE, State.UNDECIDED, reason="the window lacks labels", lost=True)
        for label in before.labels
        if label not in statistics.labels and not alone
    ]
    return replace(decision, notes=notes, comparisons=(*decision.comparisons, *lost))


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
    notes = []
    for name, former in counterparts(before.labels, statistics.labels).items():
        then, now = former.expected_value, statistics.labels[name].expected_value
        if then is None or now is None:
            continue
        if not math.isclose(then, now, rel_tol=_SAME, abs_tol=1e-9):
            notes.append(
                f"The expected value of {name} is {number(now)}, but {number(then)} at the baseline: the "
                "model, or the rows that stand for absent features, are others, and sizes can change for "
                "that alone."
            )
    return notes
