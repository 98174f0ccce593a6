"""The two sets of rules, and which constraints each of them checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from contract.analyzer import Baseline

Rules = Literal["sound", "sagemaker"]


def constraints_to_check[Statistics, Constraints](
    baseline: Baseline[Statistics, Constraints], rules: Rules, suggest: Callable[[Statistics], Constraints]
) -> Constraints | None:
    """Return the baseline's constraints, None where there is nothing to check.

    Where it has none, sound rules take those that its statistics suggest; the originals check nothing then.

    Parameters
    ----------
    baseline
        What a window is compared with.
    rules
        ``sound`` or ``sagemaker``.
    suggest
        From the statistics of a baseline to its constraints.
    """
    if baseline.constraints is not None or baseline.statistics is None or rules == "sagemaker":
        return baseline.constraints
    return suggest(baseline.statistics)
