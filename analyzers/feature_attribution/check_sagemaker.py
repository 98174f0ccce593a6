"""Decisions as the originals took them: an order of features with an NDCG below 0.9 is a violation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from analyzers.feature_attribution.drift import ndcg
from analyzers.feature_attribution.pairing import Pair
from contract.analyzer import Comparison, Decision, Finding, State
from contract.documents.violations import Violation, Violations

THRESHOLD = 0.9
CHECK_TYPE = "feature_attribution_drift_check"
METRIC = "shap"


def check_sagemaker(pairs: Sequence[Pair]) -> Decision:
    """Compare the order of features with the baseline's, without regard to chance."""
    violations, findings, notes, comparisons = [], [], [], []
    for pair in pairs:
        score = ndcg(pair.baseline.values, pair.live.values)
        if math.isnan(score):
            notes.append(
                f"The baseline attributes nothing to any feature for {pair.label}, so nothing is checked."
            )
            comparisons.append(no_order(pair))
            continue
        violated = score < THRESHOLD
        findings.append(Finding(pair.label, f"NDCG {score:.4f}", distance=1.0 - score, violated=violated))
        state = State.VIOLATED if violated else State.HOLDS
        comparisons.append(
            Comparison(pair.label, CHECK_TYPE, state, value=score, expected=THRESHOLD, effect=1.0 - score)
        )
        if violated:
            violations.append(order_violation(pair.label, score, THRESHOLD))
    return Decision(document(violations), tuple(findings), tuple(notes), tuple(comparisons))


def no_order(pair: Pair) -> Comparison:
    """Return the comparison of a label whose features have no order, on one side or the other."""
    lost = bool(pair.baseline.values.any())
    reason = f"{'the window' if lost else 'the baseline'} attributes nothing to any feature"
    return Comparison(pair.label, CHECK_TYPE, State.UNDECIDED, reason=reason, lost=lost)


def order_violation(label: str, score: float, threshold: float, because: str = "") -> Violation:
    """Return the violation in the originals' words, followed by ours."""
    text = f"Feature attribution drift {score} exceeds threshold {threshold}"
    return Violation(
        CHECK_TYPE, text + (f": {because}" if because else ""), metric_name=METRIC, extra={"label": label}
    )


def document(violations: list[Violation]) -> Violations:
    """Return the document, with the version that the originals write."""
    extra: dict[str, Any] = {"version": "1.0"}
    return Violations(violations, extra)
