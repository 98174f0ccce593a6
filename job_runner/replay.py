"""Checking a past window again, with another baseline or by other rules, from its statistics alone."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

from contract import api, json_layout
from contract.errors import ConfigurationError, DatasetError, DocumentError, InputError, wording
from contract.schema import write_document
from contract.window import Window
from contract.wording import several, shorten, some_of
from file_storage import storage
from job_runner import earlier_windows
from job_runner.segments import SegmentedAnalyzer, segmented_documents
from reporting.history import folder
from reporting.history.record import Run, digest, told
from reporting.history.tables import aligned, window_text

# Past windows that can be checked again: from a history, or from the folders that jobs wrote.


STATISTICS = "statistics.json"
VIOLATIONS = "constraint_violations.json"


class Document(NamedTuple):
    """A parsed JSON document, and where it was read, for messages."""

    value: dict[str, Any]
    where: str

    @classmethod
    def of(cls, content: bytes, path: str) -> "Document":
        """Return the document that a file holds."""
        return cls(json_layout.loads(content, path), path)


class Material(NamedTuple):
    """What checking one window again takes.

    Parameters
    ----------
    statistics
        Of the window.
    constraints, baseline_statistics
        What it was compared with at the time; None where that is not known.
    notes
        On what of this is not surely as it was.
    """

    statistics: Document
    constraints: Document | None = None
    baseline_statistics: Document | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PastWindow:
    """One window.

    Parameters
    ----------
    name
        What people call it: its time, or its folder.
    monitor
        None where only its statistics tell.
    rules
        By which it was checked.
    rows
        None where that is not known.
    violations
        What was found at the time, None where that is not known.
    checking
        What else the check depends on (see `reporting.history.record.Run`).
    load
        Reads the rest; raises InputError where that is not possible.
    """

    name: str
    monitor: str | None
    rules: str
    rows: int | None
    violations: tuple[api.Violation, ...] | None
    load: Callable[[], Material] = field(repr=False)
    checking: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None


def windows_of_history(history: str, runs: Iterable[Run]) -> list[PastWindow]:
    """Return the windows of runs that checked something; of several runs of one window, the last that ended.

    Parameters
    ----------
    history
        Where the runs are recorded.
    runs
        In the order wanted.
    """
    latest: dict[tuple[object, ...], Run] = {}
    for run in runs:
        if run.has_failed or run.violations is None:
            continue
        about = (*run.names, run.window, run.dataset_source, str(run.checking.get("segment_by")))
        key = (run.monitor, *(about if run.window else (run.run,)))
        if key not in latest or latest[key].finished <= run.finished:
            latest[key] = run
    windows = []
    for run in latest.values():
        known = window_text(run), run.monitor, run.rules, run.rows, run.violations
        windows.append(PastWindow(*known, functools.partial(_load, history, run), run.checking, run))
    return windows


def _load(history: str, run: Run) -> Material:
    statistics = None if run.statistics is None else _kept(folder.join(history, run.statistics))
    statistics, then, notes = statistics or _from_output(run), run.compared, list[str]()
    constraints = _baseline(history, then.constraints, then.constraints_path, notes)
    before = _baseline(history, then.statistics, then.statistics_path, notes)
    return Material(statistics, constraints, before, tuple(notes))


def _kept(path: str) -> Document | None:
    content = folder.read_if_there(path)
    return None if content is None else Document.of(content, path)


def _from_output(run: Run) -> Document:
    """Return the statistics from where the run wrote them, if nobody has written over them."""
    path = folder.join(run.output_path, STATISTICS)
    try:
        content = folder.read_if_there(path)
    except (DatasetError, DocumentError) as error:
        raise DatasetError.of("replay.unreadable", file=path, cause=error.message) from error
    if content is None:
        raise DatasetError.of("replay.gone", file=path)
    if digest(content) != run.statistics_digest:
        raise DatasetError.of("replay.overwritten", file=path)
    return Document.of(content, path)


def _baseline(history: str, name: str | None, path: str | None, notes: list[str]) -> Document | None:
    """Return a document of the baseline at the time: the kept copy, else what its path holds now."""
    kept = None if name is None else _kept(folder.join(history, folder.baseline_file(name)))
    # Of a folder it is not recorded which of its files it was.
    if kept is not None or path is None or not path.endswith(".json"):
        return kept
    with contextlib.suppress(DatasetError, DocumentError):
        if (now := _kept(path)) is not None:
            notes.append(wording("replay.baseline_of_now", file=path))
            return now
    return None


def read_document(path: str) -> Document:
    """Read a JSON document.

    Raises
    ------
    DocumentError
        Naming the path and the cause.
    """
    return Document.of(storage.read_bytes(path, DocumentError), path)


class Edit(NamedTuple):
    """What is tried: each None leaves that as it was at the time."""

    constraints: Document | None = None
    baseline_statistics: Document | None = None
    rules: str | None = None
    attribution_drift_threshold: float | None = None


class Replayed(NamedTuple):
    """A window with what was found before the edit and what would have been found after.

    Parameters
    ----------
    monitor
        Its kind.
    before
        What the run reported; where that is not known, what is found without the edit.
    notes
        What a reader should know of this window.
    decided
        Whether anything was decided before, and is after.
    """

    window: PastWindow
    monitor: str
    before: tuple[api.Violation, ...]
    after: tuple[api.Violation, ...]
    notes: tuple[str, ...] = ()
    decided: tuple[bool, bool] = (True, True)

    @property
    def gone(self) -> tuple[api.Violation, ...]:
        """Return what would no longer be found."""
        return _without(self.before, self.after)

    @property
    def new(self) -> tuple[api.Violation, ...]:
        """Return what would be found that was not."""
        return _without(self.after, self.before)

    @property
    def changes_verdict(self) -> bool:
        """Return whether the window starts to alarm, or falls silent, or is no longer decided."""
        return bool(self.before) != bool(self.after) or self.decided == (True, False)


def replay(window: PastWindow, edit: Edit, monitors: Mapping[str, api.Monitor]) -> Replayed:
    """Check a window as it was, and with an edit.

    Raises
    ------
    InputError
        When that is not possible; says why.
    """
    material = window.load()
    monitor = kind_of(window, material, monitors)
    notes = list(material.notes)
    decision = _check(window, material, edit, monitor)
    after, unedited, was_decided = tuple(decision.violations.violations), None, True
    if material.constraints is not None or material.baseline_statistics is not None:
        known = decision if edit == Edit() else _check(window, material, Edit(), monitor)
        unedited, was_decided = tuple(known.violations.violations), not known.is_empty
    if window.run is not None and window.run.decided is not None:
        was_decided = window.run.decided > 0
    before = unedited if window.violations is None else window.violations
    if before is None:
        raise ConfigurationError.of("replay.no_violations", file=window.name)
    lasting = [one.subject for one in before if one.constraint_check_type == api.LASTING_CHECK]
    notes += [wording("replay.lasting", subjects=some_of(lasting))] if lasting else []
    before = tuple(one for one in before if one.constraint_check_type != api.LASTING_CHECK)
    if unedited is not None and (_without(unedited, before) or _without(before, unedited)):
        then = f" of version {window.run.version}" if window.run else ""
        now = several(len(unedited), "violation")
        notes.append(wording("replay.differs_unedited", now=now, then=then, reported=len(before)))
    if edit.rules not in (None, window.rules):
        notes.append(wording("replay.other_rules", then=window.rules, now=edit.rules))
    decided = was_decided or bool(before), not decision.is_empty
    return Replayed(window, monitor.name, before, after, tuple(notes), decided)


def kind_of(window: PastWindow, material: Material, monitors: Mapping[str, api.Monitor]) -> api.Monitor:
    """Return what kind of monitor wrote a window's statistics.

    Raises
    ------
    DocumentError
        When none did.
    """
    if window.monitor is not None and window.monitor in monitors:
        return monitors[window.monitor]
    for monitor in monitors.values():
        if monitor.replay().has_written(material.statistics.value):
            return monitor
    known = " or ".join(monitors)
    raise DocumentError.of("replay.no_statistics", file=material.statistics.where, monitors=known)


def _check(window: PastWindow, material: Material, edit: Edit, monitor: api.Monitor) -> api.Decision:
    if window.rows == 0:
        return api.Decision(api.Violations())  # a window without data is not checked
    segmented = "segment_by" in window.checking or "segments" in material.statistics.value
    replay, documents = monitor.replay(), monitor.load_documents()
    documents = segmented_documents(documents) if segmented else documents
    statistics = documents.read_statistics(material.statistics.value, material.statistics.where)
    constraints = edit.constraints or material.constraints
    before = edit.baseline_statistics or material.baseline_statistics
    if constraints is None and before is None:
        raise ConfigurationError.of("replay.no_baseline", file=window.name)
    baseline = api.AnyBaseline(before and documents.read_statistics(before.value, before.where))
    if constraints is not None:
        own, where = dict(constraints.value), constraints.where
        if (usual := own.pop(api.VARIATION, None)) is not None:
            baseline = replace(baseline, variation=earlier_windows.read_variation(usual, where))
        baseline = replace(baseline, constraints=documents.read_constraints(own, where))
    threshold = {"attribution_drift_threshold": edit.attribution_drift_threshold}
    checking = {**window.checking, **told(threshold)}
    parts = [statistics]
    if segmented:
        parts = [statistics.whole, *(segment.statistics for segment in statistics.segments)]
    rules: Any = edit.rules or window.rules
    checker = replay.make_checker(rules, checking, parts[0])
    for part in parts:
        replay.recall(part, checking)
    # Only what checks is asked of it.
    checker = SegmentedAnalyzer(cast(api.AnyAnalyzer, checker), ()) if segmented else checker
    if baseline.variation is None or rules == "sagemaker":
        return checker.check(statistics, baseline)
    if window.run is None:
        raise ConfigurationError.of("replay.no_time", file=window.name, field=api.VARIATION)
    at = Window(*window.run.window) if window.run.window else None
    return earlier_windows.check(checker, statistics, baseline, at)


def key_of(violation: api.Violation) -> tuple[object, ...]:
    """Return what makes two violations of a window the same, whatever their words."""
    members = {name: str(member) for name, member in violation.extra.items()}
    about = violation.feature_name, violation.metric_name
    return (str(violation.constraint_check_type), *about, tuple(sorted(members.items())))


def _without(these: tuple[api.Violation, ...], those: tuple[api.Violation, ...]) -> tuple[api.Violation, ...]:
    known = {key_of(violation) for violation in those}
    return tuple(violation for violation in these if key_of(violation) not in known)


# Which windows an edit is about: an edited baseline fits one monitor, and one schedule of it.


_LISTED = 5


def monitors_of(edit: Edit, monitors: Mapping[str, api.Monitor]) -> tuple[str, ...]:
    """Return the monitors that an edit fits: all of them where it has no document.

    Raises
    ------
    ConfigurationError
        When its documents are of no monitor, or of different ones.
    """
    fitting = tuple(monitors)
    replays = {name: monitor.replay() for name, monitor in monitors.items()}
    constraints, statistics = edit.constraints, edit.baseline_statistics
    for document, role, knows in (
        (constraints, "constraints", {name: one.takes for name, one in replays.items()}),
        (statistics, "statistics", {name: one.has_written for name, one in replays.items()}),
    ):
        if document is None:
            continue
        own = [name for name, known in knows.items() if known(document.value)]
        if not own:
            raise ConfigurationError.of("replay.no_monitor", file=document.where, role=role)
        fitting = tuple(name for name in fitting if name in own)
    if not fitting:
        raise ConfigurationError.of("replay.two_monitors")
    if edit.attribution_drift_threshold is not None:
        fitting = tuple(name for name in fitting if "attributions" in monitors[name].offers) or fitting
    return fitting


def require_one_schedule(windows: Sequence[PastWindow], edit: Edit) -> None:
    """Refuse to try one baseline on windows of several schedules, which have one each.

    Raises
    ------
    ConfigurationError
        Naming them.
    """
    if edit.constraints is None and edit.baseline_statistics is None:
        return
    found = {
        (*run.labels.items(), ("segments", str(run.checking.get("segment_by", ""))))
        for window in windows
        if (run := window.run) is not None
    }
    if len(found) > 1:
        jobs = [" ".join(f"{name} {text}" for name, text in labels if text) for labels in sorted(found)]
        raise ConfigurationError.of("replay.several_jobs", jobs=some_of(jobs, _LISTED))


def windows_of_folders(
    folders: Sequence[str],
    rules: str,
    checking: Mapping[str, Any],
    wanted: Collection[str],
    monitors: Mapping[str, api.Monitor],
) -> list[PastWindow]:
    """Return the windows whose files lie in folders, or anywhere below them.

    Parameters
    ----------
    folders
        Output folders of jobs; or folders above, of which every one with both statistics and violations is
        taken. Local or on S3.
    rules
        By which they were checked, which the files do not tell.
    checking
        What else they do not tell.
    wanted
        Windows of other monitors are left out.

    Raises
    ------
    DatasetError
        When a folder is not there, or holds no statistics.
    """
    windows = []
    for given in folders:
        known = {file.path for file in storage.list_files(given, "folder")}
        own = folder.join(given, STATISTICS)
        places = {path.rpartition("/")[0] for path in known if path.endswith(f"/{VIOLATIONS}")}
        below = sorted({f"{place}/{STATISTICS}" for place in places} & known)
        if not (found := [own] if own in known else below):
            raise DatasetError.of("replay.no_windows", file=given)
        for path in found:
            place = path.rpartition("/")[0]
            violations = None
            if f"{place}/{VIOLATIONS}" in known:
                document = read_document(f"{place}/{VIOLATIONS}")
                violations = tuple(api.read_violations(document.value, document.where).violations)
            load = functools.partial(lambda path: Material(read_document(path)), path)
            window = PastWindow(place, None, rules, None, violations, load, checking)
            # Where nobody can tell the monitor, replaying the window will say why.
            monitor = None
            with contextlib.suppress(InputError):
                monitor = kind_of(window, window.load(), monitors).name
            if monitor is None or monitor in wanted:
                windows.append(replace(window, monitor=monitor))
    return windows


# What a backtest found, for people and for programs.


SCHEMA = 1
_MOST_LINES = 12
_MOST_TEXT = 160


class Backtest(NamedTuple):
    """All windows of a backtest, in order; of those that could not be checked again, name and reason."""

    windows: tuple[Replayed, ...]
    not_replayed: tuple[dict[str, str], ...] = ()

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
            "decides_nothing": sum(window.decided == (True, False) for window in self.windows),
        }


def to_text(backtest: Backtest) -> str:
    """Return a table: a line per window, below it one per violation that goes (-) or comes (+), and a sum."""
    head = ("WINDOW", "MONITOR", "OF", "BEFORE", "AFTER", "")
    table = aligned([head, *map(_line, backtest.windows)]).splitlines()
    text = table[:1]
    # What all windows have in common is said once.
    notes = backtest.windows[0].notes if len(backtest.windows) > 1 else ()
    common = [note for note in notes if all(note in window.notes for window in backtest.windows)]
    for line, window in zip(table[1:], backtest.windows, strict=True):
        own = (note for note in window.notes if note not in common)
        text += [line, *_changes(window), *(f"    {note}" for note in own)]
    text += [f"{one['name']}  not replayed: {one['reason']}" for one in backtest.not_replayed]
    windows = several(len(backtest.windows), "window")
    counted = wording("replay.sum", **backtest.summary | {"windows": windows})
    if left := backtest.summary["decides_nothing"]:
        counted += f" {left} would decide nothing any more."
    if missing := len(backtest.not_replayed):
        counted += f" {missing} could not be replayed."
    return "\n".join([*text, "", *common, counted]) + "\n"


def _line(window: Replayed) -> tuple[str, ...]:
    run = window.window.run
    of = " ".join(filter(None, (run.model or run.endpoint, run.schedule))) if run else ""
    verdict = "would alarm" if window.after else "falls silent" if window.before else "decides nothing"
    sides = zip((window.before, window.after), window.decided, strict=True)
    before, after = (str(len(found) or ("ok" if decided else "not decided")) for found, decided in sides)
    about = window.window.name, window.monitor, of or "-"
    return *about, before, after, verdict if window.changes_verdict else ""


def _changes(window: Replayed) -> Iterator[str]:
    signs = {"-": window.gone, "+": window.new}.items()
    lines = [f"    {sign} {describe(violation)}" for sign, changed in signs for violation in changed]
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"    ... and {len(lines) - _MOST_LINES} more (--format json has all)"


def describe(violation: api.Violation) -> str:
    """Return a violation on one line."""
    text = shorten(violation.description, _MOST_TEXT)
    return f"{violation.constraint_check_type} {violation.subject}: {text}"


def to_json(backtest: Backtest) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {
        "schema": SCHEMA,
        "windows": [_window_to_json(window) for window in backtest.windows],
        "not_replayed": list(backtest.not_replayed),
        "summary": backtest.summary,
    }


def _window_to_json(window: Replayed) -> dict[str, Any]:
    about = vars(window.window.run) if window.window.run else {}
    members = {
        "name": window.window.name,
        "monitor": window.monitor,
        **{key: about.get(key) for key in ("run", "endpoint", "schedule")},
        "before": {
            "recorded": window.window.violations is not None,
            "decided": window.decided[0],
            "violations": list(map(write_document, window.before)),
        },
        "after": {"decided": window.decided[1], "violations": list(map(write_document, window.after))},
        "gone": list(map(write_document, window.gone)),
        "new": list(map(write_document, window.new)),
        "notes": list(window.notes),
    }
    return {key: member for key, member in members.items() if member is not None}
