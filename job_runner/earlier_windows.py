"""What earlier windows add to one: whether as many labels came, what moves for long, and when to alert."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from analyzers.shared.significance import binomial_tail
from contract import api
from contract.errors import MonitorError, wording
from contract.settings import Settings
from contract.window import LONGER, Window
from contract.wording import chance, percent
from job_runner.variation import usual_shifts
from reporting.history.read import read_runs
from reporting.history.record import Alert, Run, checking_of, digest, found_in
from reporting.history.selection import Selection

# What there is before the first run of all.
_NOTHING_YET = ("stored_file.missing", "stored_file.no_prefix")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """Runs about windows that begin before this one, the earliest first; `problem` is why none are known.

    Those `alike` compared windows of one length with one baseline in one way; of a window that ran again, the
    last.
    """

    runs: Sequence[Run] = ()
    alike: Sequence[Run] = ()
    problem: str = ""


def earlier_of(
    settings: Settings, monitor: api.Monitor, facts: api.Facts, compared: Mapping[str, bytes]
) -> Earlier:
    """Return the runs of the same monitor, endpoint and schedule; without a window none come before.

    `compared` are the baseline's documents, by their members of a record.
    """
    if settings.window is None or settings.history_path is None:
        return Earlier()
    endpoint, schedule = settings.sagemaker_endpoint_name, settings.sagemaker_monitoring_schedule_name
    of_these = Selection(monitor.name, endpoint, schedule, until=settings.window.start)
    try:
        runs = read_runs(settings.history_path, of_these)
    except MonitorError as error:
        _log.info("Earlier windows are not known: %s", error.message)
        return Earlier(problem="" if error.code in _NOTHING_YET else error.message)
    baseline = [
        digest(compared[role]) if role in compared else None for role in ("constraints", "statistics")
    ]
    about = settings.model_name, endpoint, schedule, settings.rules, checking_of(settings, facts), *baseline
    found = {}
    for run in runs:
        of = run.compared.constraints, run.compared.statistics
        if run.window is None or run.violations is None:
            continue
        ratio = (run.window[1] - run.window[0]) / (settings.window.end - settings.window.start)
        same = about == (run.model, run.endpoint, run.schedule, run.rules, run.checking, *of)
        if same and 1.0 / LONGER < ratio < LONGER:
            found[run.window] = run
    return Earlier(runs, list(found.values()))


def alert_of(after: tuple[int, int], earlier: Earlier, now: Run) -> Alert:
    """Return whether an alert is due: any violation in so many of the last windows, this one included.

    Windows of which nothing was decided neither violate nor hold: they are passed over, and older ones count.
    """
    least, of = after
    decided = [run for run in earlier.alike if run.is_decided]
    counted = [*decided[max(0, len(decided) - of + 1) :], now]
    since = counted[0].at if len(counted) == of else datetime.min.replace(tzinfo=UTC)
    violated = sum(bool(run.violations) for run in counted)
    return Alert(
        f"{least}/{of}",
        violated,
        len(counted),
        passed_over=sum(run.at > since and not run.is_decided for run in earlier.alike),
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


def with_lasting(
    settings: Settings, earlier: Earlier, baseline: api.Baseline[Any, Any], decision: api.Decision
) -> api.Decision:
    """Add what moved to one side in windows that are each too small to show it.

    The windows of the last day, week and four weeks are pooled. A violation is a pooled shift beyond its
    limit that chance, in these windows and in the baseline, does not explain. Windows in which the feature
    violates by itself were told of, and are left out.
    """
    now = settings.window
    shifts = {one.subject: one.shift for one in decision.findings if one.shift and not one.violated}
    spans = [span for span in _SPANS if now and now.end - now.start <= span / _FEWEST_POOLED]
    if now is None or not shifts or not spans or decision.is_empty:
        return decision
    pooled: dict[str, list[tuple[datetime, float, float]]] = defaultdict(list)
    every = [(Window(*run.window), run.findings) for run in earlier.alike if run.window]
    for window, findings in [*every, (now, tuple(map(found_in, decision.findings)))]:
        if window.start < now.end - spans[-1]:
            continue
        usual = usual_shifts(baseline.variation, window)
        for one in findings:
            if one.shift and not one.violated and one.subject in shifts:
                limit = shifts[one.subject].limit
                middle, deviation = (limit * figure for figure in usual.get(one.subject, (0.0, 0.0)))
                error = max(one.shift[1], deviation, 1e-6)
                pooled[one.subject].append((window.start, one.shift[0] - middle, 1.0 / error**2))
    rate = _LASTING_RATE * ((now.end - now.start) / timedelta(days=30)) / (len(shifts) * len(spans))
    for subject, shift in shifts.items():
        tested = [_pooled(pooled[subject], now.end - span, shift) for span in spans]
        if known := [pool for pool in tested if pool.windows >= _FEWEST_POOLED]:
            # Weeks count while the last day still moves that way: what was mended stays in them for long.
            moves = math.copysign(2.0 * known[0].by, known[0].by * known[-1].by) > shift.limit
            # What is beyond the limit first, then what is least likely by chance.
            worst = min(
                known if moves else known[:1],
                key=lambda pool: (abs(pool.by) <= shift.limit, pool.p_value),
            )
            members = {
                "share": percent(0.5 + worst.by),
                "limit": percent(0.5 + math.copysign(shift.limit, worst.by)),
                "windows": worst.windows,
                "since": worst.since.astimezone(settings.time_zone or UTC),
                "chance": chance(worst.p_value),
            }
            comparison = api.Comparison(
                subject,
                api.LASTING_CHECK,
                api.State.HOLDS,
                wording("lasting.moved", **members),
                value=0.5 + worst.by,
                expected=0.5,
                effect=abs(worst.by),
                limit=shift.limit,
                p_value=worst.p_value,
            )
            of = api.Violation(api.LASTING_CHECK, "", feature_name=subject)
            decision = decision.with_tested(comparison, of, rate)
    return decision


class _Pooled(NamedTuple):
    windows: int
    since: datetime
    by: float
    p_value: float


def _pooled(each: Sequence[tuple[datetime, float, float]], since: datetime, shift: api.Shift) -> _Pooled:
    """Return the mean of the shifts since then, each with its weight, and how likely it is by chance."""
    found = [one for one in each if one[0] >= since]
    weight = sum(one[2] for one in found) or math.inf
    by = sum(one[1] * one[2] for one in found) / weight
    deviations = abs(by) / math.hypot(weight**-0.5, shift.baseline_error)
    return _Pooled(len(found), found[0][0] if found else since, by, math.erfc(deviations / math.sqrt(2.0)))


# Windows are pooled over whole days and weeks, whose hours and days even out, where these have enough.
_SPANS = (timedelta(days=1), timedelta(days=7), timedelta(days=28))
_FEWEST_POOLED = 4
# How often chance may alarm in a month, over all features and spans.
_LASTING_RATE = 0.005
