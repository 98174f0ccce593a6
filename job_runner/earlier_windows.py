"""What earlier windows add to one: whether as many labels came, what moves for long, and when to alert."""

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from analyzers.shared.significance import binomial_tail
from contract import api
from contract.errors import MonitorError, wording
from contract.window import LONGER, Window
from contract.wording import chance, percent
from file_storage import storage
from job_runner.variation import usual_shifts
from reporting.history.folder import Selection, read_runs
from reporting.history.record import Alert, Earlier, Run, RunFinding, checking_of, digest, found_in

# What there is before the first run of all.
_NOTHING_YET = ("stored_file.missing", "stored_file.no_prefix")
_log = logging.getLogger(__name__)


def earlier_of(
    settings: api.Settings, monitor: api.Monitor, facts: api.Facts, compared: Mapping[str, bytes]
) -> Earlier:
    """Return the runs of the same monitor, endpoint and schedule about an earlier time.

    `compared` are the baseline's documents, by their members of a record.
    """
    window = settings.window
    endpoint, schedule = settings.sagemaker_endpoint_name, settings.sagemaker_monitoring_schedule_name
    until = window.start if window else datetime.now(UTC)
    try:
        if settings.alert_after:  # no window is counted where none can be kept
            storage.prepare_output(settings.history_path or "", "history_path")
        wanted = Selection(monitor.name, endpoint, schedule, until=until)
        runs = read_runs(settings.history_path or "", wanted)
    except MonitorError as error:
        if error.code in _NOTHING_YET:
            return Earlier()
        _log.warning("Earlier windows are not known: %s", error.message)
        return Earlier(problem=error.message)
    baseline = [compared.get(role) and digest(compared[role]) for role in ("constraints", "statistics")]
    about = settings.model_name, endpoint, schedule, settings.rules, checking_of(settings, facts), *baseline
    found = {}
    for run in runs:
        of = run.compared.constraints, run.compared.statistics
        if window is None or run.window is None or run.violations is None:
            continue
        same = about == (run.model, run.endpoint, run.schedule, run.rules, run.checking, *of)
        if same and 1.0 / LONGER < (run.window[1] - run.window[0]) / (window.end - window.start) < LONGER:
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
    passed_over = sum(run.at > since and not run.is_decided for run in earlier.alike)
    due = bool(now.violations) and (violated >= least or bool(earlier.problem))
    return Alert(f"{least}/{of}", violated, len(counted), passed_over, due, earlier.problem)


def with_label_coverage(
    settings: api.Settings, earlier: Earlier, facts: api.Facts, decision: api.Decision
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
    share = labelled / rows
    told = {"share": percent(share), "lowest": percent(lowest), "chance": chance(p_value)}
    text = wording("labels.fewer", labelled=labelled, rows=rows, windows=len(usual), **told)
    figures: dict[str, Any] = {"value": share, "expected": lowest, "p_value": p_value, "rows": rows}
    figures |= {"effect": lowest - share, "limit": _FEWER_LABELS}
    comparison = api.Comparison("labels", api.PRESENCE_CHECK, api.State.HOLDS, text, **figures)
    of = api.Violation(api.PRESENCE_CHECK, "", metric_name="labels")
    return decision.with_tested(comparison, of, _LABELS_RATE)


# How many earlier windows say what is usual; how many labels fewer violate; how often chance may do it.
_FEWEST_WINDOWS, _FEWER_LABELS, _LABELS_RATE = 3, 0.1, 0.0005


def with_lasting(
    settings: api.Settings, earlier: Earlier, baseline: api.AnyBaseline, decision: api.Decision
) -> api.Decision:
    """Add what moved to one side in windows that are each too small to show it.

    The windows of the last day, week and four weeks are pooled. A violation is a pooled shift beyond its
    limit that chance, in these windows and in the baseline, does not explain. Windows in which the feature
    violates by itself were told of, and are left out.
    """
    now, zone = settings.window, settings.time_zone or UTC
    shifts = {one.subject: one.shift for one in decision.findings if one.shift and not one.violated}
    if now is None or not shifts or decision.is_empty:
        return decision
    length = now.end - now.start
    # Half a window more, as days are longer or shorter when clocks are put forward or back.
    spans = [span + length / 2 for span in _SPANS if length <= LONGER * span / _FEWEST_POOLED]
    if not spans:
        return decision
    moved: dict[str, list[tuple[datetime, float, float]]] = defaultdict(list)
    every: list[tuple[Window, Sequence[RunFinding]]] = [(now, [*map(found_in, decision.findings)])]
    edge = now.start
    for run in reversed(earlier.alike):
        # Of windows that overlap, as of a day every hour, those that share no row.
        if run.window and now.end - spans[-1] <= run.window[0] and run.window[1] <= edge:
            every.append((Window(*run.window), run.findings))
            edge = run.window[0]
    for window, findings in every:
        usual, start = usual_shifts(baseline.variation, window), window.start.astimezone(zone)
        for one in findings:
            if one.shift and not one.violated and one.subject in shifts:
                limit = shifts[one.subject].limit
                middle, deviation = (limit * figure for figure in usual.get(one.subject, (0.0, 0.0)))
                error = max(one.shift[1], deviation, 1e-6)
                moved[one.subject].append((start, one.shift[0] - middle, 1.0 / error**2))
    rate = _LASTING_RATE * (length / timedelta(days=30)) / (len(shifts) * len(spans))
    for subject, shift in shifts.items():
        pools = [[one for one in moved[subject] if one[0] >= now.end - span] for span in spans]
        known = [_pooled(subject, shift, pool) for pool in pools if len(pool) >= _FEWEST_POOLED]
        if not known:
            continue
        # Weeks count while the last day still moves that way: what was mended stays in them for long.
        latest, longest = ((one.value or 0.5) - 0.5 for one in (known[0], known[-1]))
        tested = known if 2.0 * math.copysign(latest, latest * longest) > shift.limit else known[:1]
        # What is beyond the limit first, then what is least likely by chance.
        worst = min(tested, key=lambda one: ((one.effect or 0.0) <= shift.limit, one.p_value or 0.0))
        of = api.Violation(api.LASTING_CHECK, "", feature_name=subject)
        decision = decision.with_tested(worst, of, rate)
    return decision


def _pooled(subject: str, shift: api.Shift, pool: Sequence[tuple[datetime, float, float]]) -> api.Comparison:
    """Return how far windows moved together, given when each begins, its shift and its weight."""
    weight = sum(one[2] for one in pool)
    by = sum(one[1] * one[2] for one in pool) / weight
    p_value = math.erfc(abs(by) / math.hypot(weight**-0.5, shift.baseline_error) / math.sqrt(2.0))
    shares = [percent(0.5 + far) for far in (by, math.copysign(shift.limit, by))]
    told = {"windows": len(pool), "since": pool[-1][0], "share": shares[0], "limit": shares[1]}
    text = wording("lasting.moved", **told, chance=chance(p_value))
    figures: dict[str, Any] = {"effect": abs(by), "limit": shift.limit, "p_value": p_value}
    figures |= {"value": 0.5 + by, "expected": 0.5}
    return api.Comparison(subject, api.LASTING_CHECK, api.State.HOLDS, text, **figures)


# Windows are pooled over whole days and weeks, whose hours and days even out, where these have enough.
_SPANS = (timedelta(days=1), timedelta(days=7), timedelta(days=28))
_FEWEST_POOLED = 4
# How often chance may alarm in a month, over all features and spans.
_LASTING_RATE = 0.005
