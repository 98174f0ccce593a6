"""Compare a window's statistics with the baseline, by the rules chosen."""

from __future__ import annotations

from analyzers.data_quality.check_sagemaker import check_sagemaker
from analyzers.data_quality.check_sound import check_sound
from analyzers.data_quality.suggest import Rules, suggest
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
        What it is compared with. Without constraints, sound rules take those that the baseline's statistics
        suggest; the originals check nothing then.
    rules
        ``sound`` or ``sagemaker``.
    error_share
        How much of the false alarms a job may raise are this comparison's, under sound rules.

    Raises
    ------
    DocumentError
        When the constraints' configuration is unusable.
    """
    constraints = baseline.constraints
    if rules == "sagemaker":
        if constraints is None:
            return Decision(
                Violations(), notes=("There is no baseline_constraints, so nothing was checked.",)
            )
        return check_sagemaker(statistics, constraints, baseline.statistics)
    if constraints is None:
        if baseline.statistics is None:
            return Decision(Violations(), notes=("There is no baseline, so nothing was checked.",))
        constraints = suggest(baseline.statistics)
    return check_sound(statistics, constraints, baseline.statistics, error_share)
