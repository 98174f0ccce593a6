"""Natural variation: how far the windows of a baseline move by themselves, and which changes that explains.

A baseline of whole days knows all hours together, and each single hour differs from it, day after day. With
`baseline_window` a baseline job checks its own windows against all of it, as jobs to come will, and keeps how
far each comparison moved. A violation must then be further than that, too.
"""

from __future__ import annotations

import functools
import logging
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from analyzers.shared.significance import chi_squared_tail, student_quantile
from contract.api import Baseline, Checker, Comparison, Decision, Part, State, Violation
from contract.errors import wording
from contract.schema import (
    REQUIRED,
    JsonObject,
    count,
    gathered,
    member,
    numbers,
    objects_of,
    of_kind,
    read_document,
)
from contract.window import FEWEST_WINDOWS, Window, parse_duration, read_zone
from file_storage import storage
from job_runner import job as jobs
from job_runner import windows

# Fewer windows of one hour or day say too little of it.
_FEWEST_OF_A_GROUP = 3
# How much longer or shorter a window may be, as days are when clocks are put forward or back.
_LONGER = 1.1
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
_text = of_kind(str)
# Design effects by name, as a checker has them.
Effects = Mapping[str, float]
_log = logging.getLogger(__name__)


def _read_most(members: JsonObject, key: str) -> list[float] | None:
    found = numbers(members, key)
    if found is not None and len(found) not in _GROUPS:
        members.wrong(key, "a list of 1, 7, 24 or 168 numbers")
    return found


def _read_effects(members: JsonObject, key: str) -> Effects:
    effects = members.child(key)
    return {name: effects.number(name, 1.0) for name in effects.members} if effects else {}


@dataclass(frozen=True, kw_only=True)
class Usual:
    """How far one part of a comparison moves by itself at most, in each group of windows."""

    subject: str = member(_text, REQUIRED)
    check: str = member(_text, REQUIRED)
    part: str = member(_text, "", written="if any")
    segment: Mapping[str, str | None] = member(of_kind(dict), {}, written="if any")
    most: list[float] = member(_read_most, REQUIRED)


@dataclass(frozen=True, kw_only=True)
class Variation:
    """What windows of one length do by themselves, and how many of them violate the constraints."""

    window: str = member(_text, REQUIRED)
    time_zone: str = member(_text, "UTC")
    windows: int = member(count, REQUIRED)
    violating: int = member(count, 0)
    design_effects: Effects = member(_read_effects, {}, written="if any")
    usual: list[Usual] = member(objects_of(Usual), REQUIRED)


def read_variation(value: Any, where: str) -> Variation:
    """Build it from the member of a constraints file.

    Raises
    ------
    DocumentError
        Naming file and member.
    """
    with gathered(value, where) as members:
        found = read_document(Variation, members)
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


def check(
    checker: Checker[Any, Any], statistics: Any, baseline: Baseline[Any, Any], window: Window | None
) -> Decision:
    """Compare a window with a baseline that knows what its windows do by themselves.

    How much the rows of a baseline depend on each other is mostly how its windows differ. So rows count by
    the dependence within windows, and a violation must be beyond what windows do by themselves.
    """
    variation: Variation = baseline.variation
    length = parse_duration("window", variation.window, "PT1H")
    if window is None or not length / _LONGER < window.end - window.start < length * _LONGER:
        decision = checker.check(statistics, baseline)
        note = wording("variation.other_window", window=variation.window)
        return replace(decision, notes=(*decision.notes, note))
    return _within(_checked(checker, statistics, baseline, variation.design_effects), variation, window)


def _checked(
    checker: Checker[Any, Any], statistics: Any, baseline: Baseline[Any, Any], effects: Effects
) -> Decision:
    of_windows = baseline.statistics and checker.with_design_effects(baseline.statistics, effects)
    return checker.check(statistics, replace(baseline, statistics=of_windows))


def _within(decision: Decision, variation: Variation, window: Window) -> Decision:
    start = window.start.astimezone(read_zone("time_zone", variation.time_zone))
    most = {
        (one.subject, one.check, one.part, str(one.segment)): one.most[_GROUPS[len(one.most)](start)]
        for one in variation.usual
    }

    def is_usual(one: Comparison) -> bool:
        far = [
            part.excess - most.get((one.subject, str(one.check), name, str(dict(one.segment))), -math.inf)
            for name, part in _moved(one).items()
            if part.violated
        ]
        return one.state is State.VIOLATED and bool(far) and max(far) <= 0.0

    usual = [one for one in decision.comparisons if is_usual(one)]
    left = [one for one in decision.violations.violations if _comparison_of(one, decision) not in usual]
    alarming = {one.subject for one in left}
    said = functools.partial(wording, "variation.usual", window=variation.window)
    return replace(
        decision,
        violations=replace(decision.violations, violations=left),
        findings=tuple(
            replace(one, violated=one.violated and one.subject in alarming) for one in decision.findings
        ),
        comparisons=tuple(
            replace(one, state=State.CHANGED, text=said(text=one.text)) if one in usual else one
            for one in decision.comparisons
        ),
    )


def _comparison_of(violation: Violation, decision: Decision) -> Comparison | None:
    """Return the comparison that a violation is of: the one in its words, else the one about its subject."""
    about = [
        one
        for one in decision.comparisons
        if (one.check, dict(one.segment))
        == (violation.constraint_check_type, violation.extra.get("segment", {}))
    ]
    in_words = [one for one in about if one.text and violation.description.endswith(one.text)]
    return next((one for one in in_words or about if in_words or one.subject == violation.subject), None)


def learn(job: jobs.Job, documents: Mapping[str, bytes]) -> Variation:
    """Check each window of a baseline against all of it.

    Parameters
    ----------
    job
        The baseline's.
    documents
        Its statistics and constraints.
    """
    settings, span = job.settings, job.settings.window
    assert span is not None  # noqa: S101 - for mypy: it has windows
    with tempfile.TemporaryDirectory() as folder:
        storage.write_files_atomically(folder, documents)
        of_baseline: dict[str, Any] = {
            f"baseline_{name.partition('.')[0]}": f"{folder}/{name}" for name in documents
        }
        checking = jobs.prepare(replace(settings, **of_baseline, **_QUIET), job.monitor, job.cluster)
    moved: dict[tuple[str, str, str, str], list[tuple[datetime, float]]] = defaultdict(list)
    effects: dict[str, list[float]] = defaultdict(list)
    segments, violating, checked = {}, 0, 0
    zone = settings.time_zone or UTC
    for own, window, _, analyzer, summary in windows.read_each(checking, span.each()):
        statistics = analyzer.describe(summary)
        if own.baseline is None or not analyzer.row_count(summary):
            continue
        own_effects = analyzer.design_effects(statistics)
        decision = _checked(analyzer, analyzer.estimate(statistics, own.baseline), own.baseline, own_effects)
        if decision.is_empty:
            continue
        for name, found in own_effects.items():
            effects[name].append(found)
        checked += 1
        violating += bool(decision.violations.violations)
        for one in decision.comparisons:
            for name, part in _moved(one).items():
                key = (one.subject, str(one.check), name, str(dict(one.segment)))
                segments[key] = one.segment
                moved[key].append((window.start.astimezone(zone), part.excess))
    told = {"window": settings.baseline_window, "windows": checked, "violating": violating}
    _log.warning(wording("variation.learned" if checked else "variation.nothing", **told))
    usual = [
        Usual(subject=key[0], check=key[1], part=key[2], segment=segments[key], most=most)
        for key, found in moved.items()
        # What stays within its limit needs no more.
        if len(found) >= FEWEST_WINDOWS
        and max(most := _most(*zip(*found, strict=True))) > (1.0 if key[2] else 0.0)
    ]
    return Variation(
        window=settings.baseline_window or "",
        time_zone=str(zone),
        windows=checked,
        violating=violating,
        design_effects={name: round(float(np.mean(found)), 3) for name, found in effects.items()},
        usual=usual,
    )


# A baseline job looks at its windows without telling anyone.
_QUIET: dict[str, Any] = {
    "skip_check": False,
    "register_new_baseline": None,
    "history_path": None,
    "metrics_sinks": (),
    "event_sinks": (),
}


def _most(starts: Sequence[datetime], moved: Sequence[float]) -> list[float]:
    """Return how far windows move by themselves, by hour or day where these differ beyond chance."""
    values, mean = np.array(moved), float(np.mean(moved))
    found, least = np.zeros(0), math.inf
    for size, group_of in _GROUPS.items():
        groups = np.array([group_of(start) for start in starts])
        counts = np.bincount(groups, minlength=size)
        known = counts > 0
        free = values.size - int(known.sum())
        if counts[known].min() < _FEWEST_OF_A_GROUP or known.sum() == 1 < size:
            continue
        means = np.bincount(groups, values, size) / np.maximum(counts, 1)
        variance = float(np.sum((values - means[groups]) ** 2)) / free
        between = float(np.sum(counts * (means - mean) ** 2))
        differ = between > 0.0 and (
            not variance or chi_squared_tail(between / variance, int(known.sum()) - 1) < _LEVEL
        )
        if variance < least and (size == 1 or differ):
            least, highest = variance, np.full(size, -math.inf)
            np.maximum.at(highest, groups, values)
            wide = student_quantile(_DEVIATIONS, free) * np.sqrt(
                variance * (1.0 + 1.0 / np.maximum(counts, 1))
            )
            found = np.maximum(highest, means + wide)
            found[~known] = found[known].max()
    return [float(f"{most:.4g}") for most in found]
