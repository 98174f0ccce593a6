"""What a backtest found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contract.api import Violation, Violations, violations_to_json
from contract.wording import several
from job_runner.replay import Replayed
from reporting.history.tables import aligned

SCHEMA = 1
_MOST_LINES = 12
_MOST_TEXT = 160


@dataclass(frozen=True)
class NotReplayed:
    """A window that could not be checked again, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Backtest:
    """All windows of a backtest, in order."""

    windows: tuple[Replayed, ...]
    not_replayed: tuple[NotReplayed, ...] = ()

    @property
    def summary(self) -> dict[str, int]:
        """Return how many windows alarmed, how many would have, and how many verdicts change which way."""
        before = [bool(window.before) for window in self.windows]
        after = [bool(window.after) for window in self.windows]
        return {
            "windows": len(self.windows),
            "alarms_before": sum(before),
            "alarms_after": sum(after),
            "silenced": sum(was and not now for was, now in zip(before, after, strict=True)),
            "alarming": sum(now and not was for was, now in zip(before, after, strict=True)),
        }


def to_text(backtest: Backtest) -> str:
    """Return a table: a line per window, below it one per violation that goes (-) or comes (+), and a sum."""
    head = ("WINDOW", "MONITOR", "OF", "BEFORE", "AFTER", "")
    lines = [head, *(_line(window) for window in backtest.windows)]
    table = aligned(lines).splitlines()
    text = table[:1]
    common = _common_notes(backtest)
    for line, window in zip(table[1:], backtest.windows, strict=True):
        own = (note for note in window.notes if note not in common)
        text += [line, *_changes(window), *(f"    {note}" for note in own)]
    text += [f"{one.name}  not replayed: {one.reason}" for one in backtest.not_replayed]
    return "\n".join([*text, "", *common, _sum(backtest)]) + "\n"


def _common_notes(backtest: Backtest) -> list[str]:
    """Return the notes that all windows share, to be said once."""
    if len(backtest.windows) < 2:
        return []
    first, *others = backtest.windows
    return [note for note in first.notes if all(note in window.notes for window in others)]


def _line(window: Replayed) -> tuple[str, ...]:
    run = window.window.run
    of = " ".join(filter(None, (run.endpoint, run.schedule))) if run else ""
    verdict = ""
    if window.changes_verdict:
        verdict = "falls silent" if window.before else "would alarm"
    before, after = (str(len(violations) or "ok") for violations in (window.before, window.after))
    return window.window.name, window.monitor, of or "-", before, after, verdict


def _changes(window: Replayed) -> Iterator[str]:
    lines = [
        f"    {sign} {describe(violation)}"
        for sign, violations in (("-", window.gone), ("+", window.new))
        for violation in violations
    ]
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"    ... and {len(lines) - _MOST_LINES} more (--format json has all)"


def describe(violation: Violation) -> str:
    """Return a violation on one line."""
    text = violation.description
    short = text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 3] + "..."
    return f"{violation.constraint_check_type} {violation.subject}: {short}"


def _sum(backtest: Backtest) -> str:
    counts = backtest.summary
    text = (
        f"{several(counts['windows'], 'window')}: {counts['alarms_before']} alarmed, "
        f"{counts['alarms_after']} would have; {counts['silenced']} fall silent, "
        f"{counts['alarming']} start to alarm."
    )
    if backtest.not_replayed:
        text += f" {len(backtest.not_replayed)} could not be replayed."
    return text


def to_json(backtest: Backtest) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {
        "schema": SCHEMA,
        "windows": [_window_to_json(window) for window in backtest.windows],
        "not_replayed": [vars(one) for one in backtest.not_replayed],
        "summary": backtest.summary,
    }


def _window_to_json(window: Replayed) -> dict[str, Any]:
    run = window.window.run
    members: dict[str, Any] = {
        "name": window.window.name,
        "monitor": window.monitor,
        "run": run.run if run else None,
        "endpoint": run.endpoint if run else None,
        "schedule": run.schedule if run else None,
        "before": {"recorded": window.recorded, "violations": _violations(window.before)},
        "after": {"violations": _violations(window.after)},
        "gone": _violations(window.gone),
        "new": _violations(window.new),
        "notes": list(window.notes),
    }
    return {key: member for key, member in members.items() if member is not None}


def _violations(violations: tuple[Violation, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = violations_to_json(Violations(list(violations)))["violations"]
    return found
