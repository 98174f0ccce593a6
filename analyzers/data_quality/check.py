"""Compare a window's statistics with the baseline, by the rules chosen."""

from __future__ import annotations

from analyzers.data_quality.check_sagemaker import check_sagemaker
from analyzers.data_quality.check_sound import check_sound
from analyzers.data_quality.suggest import suggest
from analyzers.rules import Rules, constraints_to_check
from contract.analyzer import Decision
from contract.documents.data_quality import DataQualityBaseline
from contract.documents.statistics import Statistics
from contract.documents.violations import Violations


def check(
    statistics: Statistics,
    baseline: DataQualityBaseline,
    *,
    rules: Rules = "sound",
    error_share: float = 1.0,
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
        How much of the false alarms a job may raise are this comparison's, under sound rules.

    Raises
    ------
    DocumentError
        When the constraints' configuration is unusable.
    """
    constraints = constraints_to_check(baseline, rules, suggest)
    if constraints is None:
        reason = f"there is no {'baseline_constraints' if rules == 'sagemaker' else 'baseline'}"
    elif not constraints.features:
        reason = f"{constraints.where} has no feature"
    elif not any(constraints.config(feature).evaluate_constraints for feature in constraints.features):
        reason = "evaluate_constraints is Disabled"
    elif rules == "sagemaker":
        return check_sagemaker(statistics, constraints, baseline.statistics)
    else:
        return check_sound(statistics, constraints, baseline.statistics, error_share)
    return Decision(Violations(), notes=(f"Nothing was checked, as {reason}.",), reason=reason)
