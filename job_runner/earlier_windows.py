"""What the history knows of earlier windows: whether as many labels came, and whether an alert is due."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from analyzers.shared.significance import binomial_tail
from contract import api
from contract.errors import MonitorError, wording
from contract.settings import Settings
from contract.window import LONGER
from contract.wording import chance, percent
from reporting.history.read import read_runs
from reporting.history.record import Alert, Run
from reporting.history.selection import Selection

# What there is before the first run of all.
_NOTHING_YET = ("stored_file.missing", "stored_file.no_prefix")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """Runs about windows that begin before this one, the earliest first; `problem` is why none are known."""

    runs: Sequence[Run] = ()
    problem: str = ""


def earlier_of(settings: Settings, monitor: api.Monitor) -> Earlier:
    """Return the runs of the same monitor, endpoint and schedule; without a window none come before."""
    if settings.window is None or settings.history_path is None:
        return Earlier()
    endpoint, schedule = settings.sagemaker_endpoint_name, settings.sagemaker_monitoring_schedule_name
    of_these = Selection(monitor.name, endpoint, schedule, until=settings.window.start)
    try:
        return Earlier(read_runs(settings.history_path, of_these))
    except MonitorError as error:
        _log.info("Earlier windows are not known: %s", error.message)
        return Earlier(problem="" if error.code in _NOTHING_YET else error.message)


def alike(earlier: Sequence[Run], now: Run) -> list[Run]:
    """Return the runs that compared windows of one length with one baseline in one way, as `now` does.

    Of a window that ran again, the last one.
    """

    def about(run: Run) -> tuple[object, ...]:
        baseline = run.compared.constraints, run.compared.statistics
        return run.model, run.endpoint, run.schedule, run.rules, run.checking, baseline

    found = {}
    for run in earlier:
        if run.window and now.window and run.violations is not None and about(run) == about(now):
            ratio = (run.window[1] - run.window[0]) / (now.window[1] - now.window[0])
            if 1.0 / LONGER < ratio < LONGER:
                found[run.window] = run
    return list(found.values())


def alert_of(after: tuple[int, int], earlier: Earlier, now: Run) -> Alert:
    """Return whether an alert is due: any violation in so many of the last windows, this one included.

    Windows of which nothing was decided neither violate nor hold: they are passed over, and older ones count.
    """
    least, of = after
    before = alike(earlier.runs, now)
    decided = [run for run in before if run.is_decided]
    counted = [*decided[max(0, len(decided) - of + 1) :], now]
    since = counted[0].at if len(counted) == of else datetime.min.replace(tzinfo=UTC)
    violated = sum(bool(run.violations) for run in counted)
    return Alert(
        f"{least}/{of}",
        violated,
        len(counted),
        passed_over=sum(run.at > since and not run.is_decided for run in before),
        due=bool(now.violations) and (violated >= least or bool(earlier.problem)),
        problem=earlier.problem,
    )


def with_label_coverage(
    settings: Settings, earlier: Earlier, facts: api.Facts, decision: api.Decision
) -> api.Decision:
    """Add whether as many labels came as to earlier windows by that age, where the history knows some.

    A violation is a share of labelled rows that lies below that of every one of them by more than ten points,
    which chance does not explain either.
    """
    labelled, unlabelled = facts.item_count, facts.unlabelled_count
    if settings.window is None or labelled is None or unlabelled is None or decision.is_empty:
        return decision
    age = datetime.now(UTC) - settings.window.end
    usual = {
        run.window: run.label_coverage
        for run in earlier.runs
        if run.window and run.label_coverage and age / 2 <= run.finished - run.window[1] <= age * 1.25
    }
    if len(usual) < _FEWEST_WINDOWS:
        return decision
    rows, lowest = labelled + unlabelled, min(usual.values())
    p_value = binomial_tail(unlabelled, rows, 1.0 - lowest)
    shares = {"share": percent(labelled / rows), "lowest": percent(lowest), "chance": chance(p_value)}
    text = wording("labels.fewer", labelled=labelled, rows=rows, windows=len(usual), **shares)
    comparison = api.Comparison(
        "labels",
        api.PRESENCE_CHECK,
        api.State.HOLDS,
        text,
        value=labelled / rows,
        expected=lowest,
        effect=lowest - labelled / rows,
        limit=_FEWER_LABELS,
        p_value=p_value,
        rows=rows,
    )
    return decision.with_tested(
        comparison, api.Violation(api.PRESENCE_CHECK, "", metric_name="labels"), _LABELS_RATE
    )


# How many earlier windows say what is usual; how many labels fewer violate; how often chance may do it.
_FEWEST_WINDOWS, _FEWER_LABELS, _LABELS_RATE = 3, 0.1, 0.0005
