"""Whether what an analysis needs is there as often as at the baseline: predictions, groups, labels."""

from __future__ import annotations

from analyzers.shared.significance import hypergeometric_tail
from contract.api import PRESENCE_CHECK, Comparison, Decision, State, Violation
from contract.wording import chance, percent

# Probability of a false alarm of one such check, and by how much the share of rows that lack it may grow.
FALSE_ALARM_RATE = 0.0005
LIMIT = 0.01


def with_presence(
    decision: Decision,
    of: Violation,
    lacking: tuple[int, int],
    usual: tuple[int, int],
    error_share: float,
) -> Decision:
    """Add to a decision whether the share of rows that lack something has grown.

    A violation is a growth by more than one row in a hundred that chance does not explain (Fisher's exact
    test).

    Parameters
    ----------
    of
        What a violation would be; its description says what the rows lack: ``rows lack a prediction``.
    lacking, usual
        Rows that lack it, and all rows, of the window and of the baseline. Without rows on both sides there
        is nothing to compare.
    error_share
        Share of the false-alarm rate that this check may spend.
    """
    (missing, rows), (missing_before, rows_before) = lacking, usual
    if not rows or not rows_before:
        return decision
    share, share_before = missing / rows, missing_before / rows_before
    p_value = hypergeometric_tail(missing, rows, missing + missing_before, rows + rows_before)
    text = (
        f"{missing:,} of {rows:,} {of.description} ({percent(share)}), where {missing_before:,} of "
        f"{rows_before:,} did at the baseline ({percent(share_before)}); {chance(p_value)}."
    )
    comparison = Comparison(
        of.subject,
        PRESENCE_CHECK,
        State.HOLDS,
        text,
        value=share,
        effect=share - share_before,
        limit=LIMIT,
        p_value=p_value,
        rows=rows,
        baseline_rows=rows_before,
    )
    with_it = decision.with_tested(comparison, of, FALSE_ALARM_RATE * error_share)
    # That rows are complete decides nothing of what is in them.
    is_violated = len(with_it.violations.violations) > len(decision.violations.violations)
    return decision if decision.is_empty and not is_violated else with_it
