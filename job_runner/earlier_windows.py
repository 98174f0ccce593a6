"""Earlier windows: how far they move by themselves, and what they add to what a window shows alone."""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np

from analyzers.shared.significance import binomial_tail, chi_squared_tail, student_quantile
from contract import schema
from contract.api import LASTING_CHECK, PRESENCE_CHECK, VARIATION, AnyBaseline, AnyChecker, Monitor, Settings
from contract.decision import SHIFT, Comparison, Decision, Facts, Part, Shift, State, Violation
from contract.errors import MonitorError, wording
from contract.window import FEWEST_WINDOWS, LONGER, Window, parse_duration, read_zone
from contract.wording import chance, percent
from file_storage import storage
from reporting.history.folder import Selection, read_runs
from reporting.history.record import Alert, Earlier, Run, RunFinding, found_in, way_of

_log = logging.getLogger(__name__)

# Natural variation: how far the windows of a baseline move by themselves, and which changes that explains.
#
# A baseline of whole days knows all hours together, and each single hour differs from it, day after day.
# With `baseline_window` a baseline job checks its own windows against all of it, as jobs to come will, and
# keeps how far each comparison moved. A violation must then be further than that, too.


# Fewer windows of one hour or day say too little of it; so many without an alarm say enough.
_FEWEST_OF_A_GROUP, _MANY = 3, 100
# Hours and days count where they differ by more than chance would have them so often.
_LEVEL = 0.001
# One in 30,000 exceeds this many standard deviations of a normal distribution.
_DEVIATIONS = 4.0

# How windows are grouped, by the number of groups: not, by hour, by day, by hour of the week.
_GROUPS: dict[int, Callable[[datetime], int]] = {
    1: lambda start: 0,
    24: lambda start: start.hour,
    7: lambda start: start.weekday(),
    168: lambda start: 24 * start.weekday() + start.hour,
}
_text = schema.of_kind(str)
# Design effects by name, as a checker has them.
Effects = Mapping[str, float]


def _read_groups(members: schema.JsonObject, key: str) -> list[float] | None:
    found = schema.numbers(members, key)
    if found is not None and len(found) not in _GROUPS:
        members.wrong(key, "a list of 1, 7, 24 or 168 numbers")
    return found


def _read_effects(members: schema.JsonObject, key: str) -> Effects:
    effects = members.child(key)
    return {name: effects.number(name, 1.0) for name in effects.members} if effects else {}


def _then(ends: list[float], start: datetime) -> float:
    """Return the number for windows that start then."""
    return ends[_GROUPS[len(ends)](start)]


@dataclass(frozen=True, kw_only=True)
class Usual:
    """How far one part of a comparison moves by itself, in each group of windows.

    A part that can move two ways has a `least`, too: what is less than that is another move than the usual.
    """

    subject: str = schema.member(_text, schema.REQUIRED)
    check: str = schema.member(_text, schema.REQUIRED)
    part: str = schema.member(_text, "", written="if any")
    segment: Mapping[str, str | None] = schema.member(schema.of_kind(dict), {}, written="if any")
    most: list[float] = schema.member(_read_groups, schema.REQUIRED)
    least: list[float] | None = schema.member(_read_groups)

    def takes(self, part: Part, start: datetime) -> bool:
        """Return whether a window that starts then moves so by itself."""
        is_more = self.least is None or _then(self.least, start) <= part.excess
        return is_more and part.excess <= _then(self.most, start)

    def middle(self, start: datetime) -> tuple[float, float]:
        """Return where a window that starts then lies by itself, and by what deviation it misses that."""
        least, most = (_then(ends or [0.0], start) for ends in (self.least, self.most))
        return (most + least) / 2.0, (most - least) / 2.0 / _DEVIATIONS


@dataclass(frozen=True, kw_only=True)
class Variation:
    """What windows of one length do by themselves, and how many of them violate the constraints."""

    window: str = schema.member(_text, schema.REQUIRED)
    time_zone: str = schema.member(_text, "UTC")
    windows: int = schema.member(schema.count, schema.REQUIRED)
    violating: int = schema.member(schema.count, 0)
    design_effects: Effects = schema.member(_read_effects, {}, written="if any")
    usual: list[Usual] = schema.member(schema.objects_of(Usual), schema.REQUIRED)


def usual_shifts(variation: Variation | None, window: Window) -> dict[str, tuple[float, float]]:
    """Return where features lie in a window by themselves, and by what deviation they miss it, in limits."""
    if variation is None or not _is_of(variation, window):
        return {}
    start = window.start.astimezone(read_zone("time_zone", variation.time_zone))
    shifts = (one for one in variation.usual if one.part == SHIFT and not one.segment)
    return {one.subject: one.middle(start) for one in shifts}


def _is_of(variation: Variation, window: Window) -> bool:
    length = parse_duration("window", variation.window, "PT1H")
    return length / LONGER < window.end - window.start < length * LONGER


def read_variation(value: Any, where: str) -> Variation:
    """Build it from the member of a constraints file.

    Raises
    ------
    DocumentError
        Naming file and member.
    """
    with schema.gathered(value, f"{where}: {VARIATION}") as members:
        found = schema.read_document(Variation, members)
        members.mistakes.attempt(parse_duration, "window", found.window, "PT1H")
        members.mistakes.attempt(read_zone, "time_zone", found.time_zone)
    return found


def _moved(one: Comparison) -> dict[str, Part]:
    """Return how far each part of a comparison moved: in limits, where there is one, else in its own unit."""
    if one.parts:
        return dict(one.parts)
    far = one.effect
    if far is None and one.value is not None and one.expected is not None:
        far = abs(one.value - one.expected)
    if far is None or not math.isfinite(far):
        return {}
    return {"": Part(far / one.limit if one.limit else far, one.state is State.VIOLATED)}


def _key(one: Comparison | Usual, part: str) -> tuple[str, str, str, str]:
    return one.subject, str(one.check), part, str(dict(one.segment))


def check(checker: AnyChecker, statistics: Any, baseline: AnyBaseline, window: Window | None) -> Decision:
    """Compare a window with a baseline that knows what its windows do by themselves.

    How much the rows of a baseline depend on each other is mostly how its windows differ. So rows count by
    the dependence within windows, and a violation must be beyond what windows do by themselves.
    """
    variation: Variation = baseline.variation
    if window is None or not _is_of(variation, window):
        decision = checker.check(statistics, baseline)
        note = wording("variation.other_window", window=variation.window)
        return replace(decision, notes=(*decision.notes, note))
    return within(_checked(checker, statistics, baseline, variation.design_effects), variation, window)


def _checked(checker: AnyChecker, statistics: Any, baseline: AnyBaseline, effects: Effects) -> Decision:
    of_windows = baseline.statistics and checker.with_design_effects(baseline.statistics, effects)
    return checker.check(statistics, replace(baseline, statistics=of_windows))


def within(decision: Decision, variation: Variation, window: Window) -> Decision:
    """Return the decision without violations that windows of that hour or day make by themselves."""
    start = window.start.astimezone(read_zone("time_zone", variation.time_zone))
    known = {_key(one, one.part): one for one in variation.usual}

    def is_usual(one: Comparison) -> bool:
        """Return whether windows do by themselves what violates."""
        far = [(known.get(_key(one, name)), part) for name, part in _moved(one).items() if part.violated]
        return bool(far) and all(found is not None and found.takes(part, start) for found, part in far)

    usual = {id(one) for one in decision.comparisons if one.state is State.VIOLATED and is_usual(one)}
    left = [one for one in decision.violations.violations if id(_comparison_of(one, decision)) not in usual]
    alarming = {one.subject for one in left}
    violations = replace(decision.violations, violations=left)
    findings = (replace(one, violated=one.violated and one.subject in alarming) for one in decision.findings)
    comparisons = (
        replace(one, state=State.CHANGED, text=_usual_text(one, variation)) if id(one) in usual else one
        for one in decision.comparisons
    )
    return replace(decision, violations=violations, findings=tuple(findings), comparisons=tuple(comparisons))


def _usual_text(one: Comparison, variation: Variation) -> str:
    return wording("variation.usual", text=one.text.rstrip("."), window=variation.window)


def _comparison_of(violation: Violation, decision: Decision) -> Comparison | None:
    """Return the comparison that a violation is of: the one in its words, else the one about its subject."""
    key = violation.constraint_check_type, violation.extra.get("segment", {})
    about = [one for one in decision.comparisons if (one.check, dict(one.segment)) == key]
    in_words = [one for one in about if one.text and violation.description.endswith(one.text)]
    return next((one for one in in_words or about if in_words or one.subject == violation.subject), None)


def variation_of(
    each: Iterable[tuple[AnyChecker, Window, Any]], baseline: AnyBaseline, length: str, zone: tzinfo
) -> Variation:
    """Return what windows of a baseline do by themselves; each has what checks it, and its statistics."""
    moved: dict[tuple[str, str, str, str], tuple[Mapping[str, Any], list[tuple[datetime, Part]]]] = {}
    effects: dict[str, list[float]] = defaultdict(list)
    violating = checked = 0
    for checker, window, statistics in each:
        own = checker.design_effects(statistics)
        decision = _checked(checker, checker.estimate(statistics, baseline), baseline, own)
        if decision.is_empty:
            continue
        checked += 1
        violating += bool(decision.violations.violations)
        for name, effect in own.items():
            effects[name].append(effect)
        for one in decision.comparisons:
            for name, part in _moved(one).items():
                if not math.isfinite(part.excess):
                    continue
                found = moved.setdefault(_key(one, name), (one.segment, []))[1]
                found.append((window.start.astimezone(zone), part))
    told = {"window": length, "windows": checked, "violating": violating}
    _log.warning(wording("variation.learned" if checked else "variation.nothing", **told))
    usual = []
    for (subject, about, aspect, _), (segment, found) in moved.items():
        if len(found) < FEWEST_WINDOWS:
            continue
        least, most = _usual(found)
        # Where none of many windows alarms, and no hour or day differs, nothing needs to be explained.
        is_quiet = aspect != SHIFT and not any(part.violated for _, part in found)
        if len(found) >= _MANY and len(most) == 1 and is_quiet:
            continue
        # What stays within its limit needs no more; a part, unlike what is all in one, may move two ways.
        if max(*most, *(-one for one in least)) > 1.0 if aspect else max(most) > 0.0:
            ways = {"most": most, "least": least} if aspect else {"most": most}
            usual.append(Usual(subject=subject, check=about, part=aspect, segment=segment, **ways))
    return Variation(
        window=length,
        time_zone=str(zone),
        windows=checked,
        violating=violating,
        design_effects={name: round(float(np.mean(found)), 3) for name, found in effects.items()},
        usual=usual,
    )


def _usual(found: Sequence[tuple[datetime, Part]]) -> tuple[list[float], list[float]]:
    """Return from where to where windows move by themselves, by hour or day where chance is not why."""
    values = np.array([part.excess for _, part in found])
    ends, least_variance = [np.zeros(0)] * 2, math.inf
    for size, group_of in _GROUPS.items():
        groups = np.array([group_of(start) for start, _ in found])
        counts = np.bincount(groups, minlength=size)
        known = counts > 0
        free = values.size - int(known.sum())
        if counts[known].min() < _FEWEST_OF_A_GROUP or known.sum() == 1 < size:
            continue
        means = np.bincount(groups, values, size) / np.maximum(counts, 1)
        variance = float(np.sum((values - means[groups]) ** 2)) / free
        between = float(np.sum(counts * (means - values.mean()) ** 2))
        by_chance = variance and chi_squared_tail(between / variance, int(known.sum()) - 1) >= _LEVEL
        differ = between > 0.0 and not by_chance
        if variance < least_variance and (size == 1 or differ):
            least_variance, ends = variance, [np.full(size, math.inf), np.full(size, -math.inf)]
            np.minimum.at(ends[0], groups, values)
            np.maximum.at(ends[1], groups, values)
            errors = np.sqrt(variance * (1.0 + 1.0 / np.maximum(counts, 1)))
            wide = student_quantile(_DEVIATIONS, free) * errors
            ends = [np.minimum(ends[0], means - wide), np.maximum(ends[1], means + wide)]
            # Of hours and days without a window nothing is known but what all do.
            ends[0][~known], ends[1][~known] = ends[0][known].min(), ends[1][known].max()
    least, most = ([float(f"{end:.4g}") for end in side.tolist()] for side in ends)
    return least, most


# What the runs in a history add: whether as many labels came, what moves for long, and when to alert.


# What there is before the first run of all.
_NOTHING_YET = ("stored_file.missing", "stored_file.no_prefix")


def earlier_of(settings: Settings, monitor: Monitor, facts: Facts, compared: Mapping[str, bytes]) -> Earlier:
    """Return the runs of the same monitor, model, endpoint and schedule about an earlier time.

    `compared` are the baseline's documents, by their members of a record.
    """
    window = settings.window
    names = settings.model_name, settings.sagemaker_endpoint_name, settings.sagemaker_monitoring_schedule_name
    wanted = Selection(monitor.name, *names, until=window.start if window else datetime.now(UTC))
    try:
        if settings.alert_after:  # no window is counted where none can be kept
            storage.prepare_output(settings.history_path or "", "history_path")
        runs = [run for run in read_runs(settings.history_path or "", wanted) if run.names == names]
    except MonitorError as error:
        if error.code in _NOTHING_YET:
            return Earlier()
        _log.warning("Earlier windows are not known: %s", error.message)
        return Earlier(problem=error.message)
    way, found = way_of(settings, facts, compared), {}
    for run in runs:
        if window is None or run.window is None or run.violations is None or run.way != way:
            continue
        if 1.0 / LONGER < (run.window[1] - run.window[0]) / (window.end - window.start) < LONGER:
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


def with_label_coverage(settings: Settings, earlier: Earlier, facts: Facts, decision: Decision) -> Decision:
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
    if len(usual) < _FEWEST_WITH_LABELS:
        return decision
    rows, lowest = labelled + unlabelled, min(usual.values())
    p_value = binomial_tail(unlabelled, rows, 1.0 - lowest)
    share = labelled / rows
    told = {"share": percent(share), "lowest": percent(lowest), "chance": chance(p_value)}
    text = wording("labels.fewer", labelled=labelled, rows=rows, windows=len(usual), **told)
    figures: dict[str, Any] = {"value": share, "expected": lowest, "p_value": p_value, "rows": rows}
    figures |= {"effect": lowest - share, "limit": _FEWER_LABELS}
    comparison = Comparison("labels", PRESENCE_CHECK, State.HOLDS, text, **figures)
    of = Violation(PRESENCE_CHECK, "", metric_name="labels")
    return decision.with_tested(comparison, of, _LABELS_RATE)


# How many earlier windows say what is usual; how many labels fewer violate; how often chance may do it.
_FEWEST_WITH_LABELS, _FEWER_LABELS, _LABELS_RATE = 3, 0.1, 0.0005


def with_lasting(settings: Settings, earlier: Earlier, baseline: AnyBaseline, decision: Decision) -> Decision:
    """Add what moved to one side in windows that are each too small to show it.

    The windows of the last day, week and four weeks are pooled. A violation is a pooled shift beyond its
    limit that chance, in these windows and in the baseline, does not explain. Windows in which the feature
    violates by itself were told of, and are left out. Where the history cannot be read, this is not decided.
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
    if earlier.problem:
        reason = wording("lasting.unknown", cause=earlier.problem.rstrip("."))
        unknown = Comparison("earlier windows", LASTING_CHECK, State.UNDECIDED, reason=reason)
        return replace(decision, comparisons=(*decision.comparisons, unknown))
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
        of = Violation(LASTING_CHECK, "", feature_name=subject)
        decision = decision.with_tested(worst, of, rate)
    return decision


def _pooled(subject: str, shift: Shift, pool: Sequence[tuple[datetime, float, float]]) -> Comparison:
    """Return how far windows moved together, given when each begins, its shift and its weight."""
    weight = sum(one[2] for one in pool)
    by = sum(one[1] * one[2] for one in pool) / weight
    p_value = math.erfc(abs(by) / math.hypot(weight**-0.5, shift.baseline_error) / math.sqrt(2.0))
    shares = [percent(0.5 + far) for far in (by, math.copysign(shift.limit, by))]
    told = {"windows": len(pool), "since": pool[-1][0], "share": shares[0], "limit": shares[1]}
    text = wording("lasting.moved", **told, chance=chance(p_value))
    figures: dict[str, Any] = {"effect": abs(by), "limit": shift.limit, "p_value": p_value}
    figures |= {"value": 0.5 + by, "expected": 0.5}
    return Comparison(subject, LASTING_CHECK, State.HOLDS, text, **figures)


# Windows are pooled over whole days and weeks, whose hours and days even out, where these have enough.
_SPANS = (timedelta(days=1), timedelta(days=7), timedelta(days=28))
_FEWEST_POOLED = 4
# How often chance may alarm in a month, over all features and spans.
_LASTING_RATE = 0.005
