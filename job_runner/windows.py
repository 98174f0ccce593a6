"""Many windows in one pass: each is summarized by itself, and finished as a job about it alone would be.

Windows that follow each other are read together, up to `MOST_TOGETHER`: memory stays bounded, and a killed
job has little to do again. Where rows carry no time (files dated by their paths), where a script makes the
rows, or where a model explains them, windows are read one by one, each from its own files.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import logging
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from contract import api, json_layout
from contract.api import AnyAnalyzer, Decision, Monitor, Plan, Settings
from contract.dataset import WINDOW
from contract.errors import DatasetError, MonitorError, wording
from contract.outcome import EXIT_COMPLETED, EXIT_NOT_DELIVERED, EXIT_UNDECIDED, EXIT_VIOLATIONS
from contract.window import Window, folders_of
from contract.wording import several, some_of
from file_storage import storage
from job_runner import job as jobs
from job_runner.earlier_windows import variation_of
from job_runner.segments import SegmentedAnalyzer, SegmentedSummary
from readers.plan import CAPTURES, files_of
from readers.splitting import SMALL
from reporting.history.record import for_others, way_of

if TYPE_CHECKING:
    from job_runner.cluster.hosts import Cluster

MOST_TOGETHER = 100
_MOST_NAMED = 5
_WORST_FIRST = (EXIT_VIOLATIONS, EXIT_UNDECIDED, EXIT_NOT_DELIVERED, EXIT_COMPLETED)

_log = logging.getLogger(__name__)


class WindowedAnalyzer(SegmentedAnalyzer):
    """An analyzer whose segments are the windows, without a summary of all rows together."""

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> SegmentedSummary:
        """Summarize the rows of each window, in their order."""
        summary = self.empty()
        for _ in self._divide(batches, summary):
            pass  # each is summarized on its way
        return summary

    def row_count(self, summary: SegmentedSummary) -> int:
        """Return how many rows were summarized."""
        return sum(segment.rows for segment in summary.segments.values())

    def _own_rows(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows.drop_columns([WINDOW])


def run(settings: Settings, monitor: Monitor, cluster: Cluster | None = None) -> jobs.Outcome:
    """Finish every window that is not finished yet; parameters are those of a job about one."""
    job = jobs.prepare(settings, monitor, cluster)
    settings = job.settings
    jobs.require_excluded(settings, job.request)
    assert settings.window is not None  # noqa: S101 - for mypy: there are several
    windows = settings.window.each()
    folders = folders_of(settings.output_path, windows, settings.time_zone or UTC)
    storage.prepare_output(folders[0].rpartition("/")[0] or ".")
    alone = (_settings_of(settings, *place) for place in zip(windows, folders, strict=True))
    of = dict(zip(windows, alone, strict=True))
    ended = _ended_before(job, of)
    there = wording("windows.there", windows=several(len(ended), "window"), of=len(windows)) if ended else ""
    if there:
        _log.warning(there)
    for read, window, plan, analyzer, summary in _read_each(job, windows, frozenset(ended)):
        if not (settings.is_monitoring or analyzer.row_count(summary)):  # a baseline has no row to know
            _log.warning(wording("windows.no_rows", name=_name(window, settings)))
            continue
        own = replace(read, settings=of[window])
        ended[window] = jobs.finish(own, analyzer, jobs.conclude(own, plan, analyzer, summary))
        _log.info("%s: %s", _name(window, settings), ended[window].message)
    if not ended:
        raise DatasetError.of("rows.none_for_baseline", file=settings.dataset_source, found="row in a window")
    codes = [ended[window].exit_code for window in windows if window in ended]
    code = min(codes[-1:] if settings.gate_on == "last" else codes, key=_WORST_FIRST.index)
    decisions = {window: ended[window].decision for window in windows if window in ended}
    waiting = sum(one.waits for one in ended.values())
    message = f"{_message(settings, decisions, waiting)} {there}".rstrip()
    return jobs.Outcome(code, message, files=(several(len(ended), "folder"),))


def _settings_of(settings: Settings, window: Window, folder: str) -> Settings:
    """Return the settings of a job about one window alone."""
    times = {"start_time": window.start.isoformat(), "end_time": window.end.isoformat()}
    given = {name: text for name, text in settings.given.items() if name not in ("window", "each_window")}
    given |= {**times, "output_path": folder}
    return replace(settings, window=window, output_path=folder, given=given)


type _Read = tuple[jobs.Job, Window, Plan, AnyAnalyzer, object]


def _read_each(job: jobs.Job, windows: Sequence[Window], ended: Collection[Window] = ()) -> Iterator[_Read]:
    """Yield each window that has not ended with its summary, how it was read, and its analyzer."""
    _, known = files_of(job.request)
    is_told = known.format.kind in CAPTURES or (known.keys is not None and known.keys.time is not None)
    script, offers = job.settings.record_preprocessor_script, job.monitor.offers
    most = MOST_TOGETHER if is_told and not script and "attributions" not in offers else 1
    # After a kill the same are read together as before: the last digits of sums depend on that.
    each = (some for some in itertools.batched(windows, most) if not all(one in ended for one in some))
    read = (
        _read_together(job, Window(some[0].start, some[-1].end, tuple(one.start for one in some)))
        for some in each
    )
    # One after the other: side by side they would wait for each other, as most of it is Python.
    for found in itertools.chain.from_iterable(read):
        if found[1] not in ended:
            yield replace(found[0], started=time.monotonic()), *found[1:]


def _read_together(job: jobs.Job, together: Window) -> list[_Read]:
    # What is said of reading these is not said of others.
    request = replace(job.request, window=together, said=copy.deepcopy(job.request.said))
    read = []
    for window, plan, analyzer, summary in _read(replace(job, request=request), together):
        said = request.said
        if len(together.edges) > 1:
            said = replace(said, undecodable=said.undecodable_in[together.place(window.start)])
        read.append((replace(job, request=replace(request, said=said)), window, plan, analyzer, summary))
    return read


def _read(job: jobs.Job, together: Window) -> Iterator[tuple[Window, Plan, AnyAnalyzer, object]]:
    """Yield each window's summary, and the analyzer that made it, after one pass over the rows of all."""
    windows, inner = together.each(), []
    if len(windows) == 1:
        yield windows[0], *jobs.summarize(replace(job, request=replace(job.request, window=windows[0])))
        return

    def make_windowed(settings: Settings, plan: Plan) -> AnyAnalyzer:
        # As in a job about one window alone, which reads captures of its hours, and other files as a whole.
        if job.request.format.kind in CAPTURES:
            plan = plan._replace(small=plan.total_bytes < SMALL * len(windows))
        inner.append(job.make(settings, plan))
        return WindowedAnalyzer(inner[-1], (WINDOW,), most=len(windows))

    plan, _, summaries = jobs.summarize(replace(job, make=make_windowed))
    for place, window in enumerate(windows):
        found = summaries.segments.pop((str(place),), None)
        yield window, plan, inner[-1], found.summary if found else inner[-1].empty()


def run_baseline(settings: Settings, monitor: Monitor, cluster: Cluster | None = None) -> jobs.Outcome:
    """Run a baseline job that learns what its windows do by themselves; parameters are those of any job."""
    return jobs.run(settings, monitor, cluster, _learned)


def _learned(job: jobs.Job, documents: Mapping[str, bytes]) -> api.AnyBaseline:
    """Return a baseline, given by file name, with what its windows do by themselves."""
    settings, span = job.settings, job.settings.window
    assert span is not None  # noqa: S101 - for mypy: it has windows
    with tempfile.TemporaryDirectory() as folder:
        storage.write_files_atomically(folder, documents)
        of_all: dict[str, Any] = {f"baseline_{Path(name).stem}": f"{folder}/{name}" for name in documents}
        checking = jobs.prepare(replace(settings, **of_all, **_QUIET), job.monitor, job.cluster)
    assert checking.baseline is not None  # noqa: S101 - for mypy: it was just written
    read = _read_each(checking, span.each())
    each = ((made, window, made.describe(rows)) for _, window, _, made, rows in read if made.row_count(rows))
    found = variation_of(each, checking.baseline, settings.baseline_window or "", settings.time_zone or UTC)
    return replace(checking.baseline, variation=found)


# A baseline job looks at its windows without telling anyone.
_QUIET: dict[str, Any] = {"skip_check": False, "register_new_baseline": None, "history_path": None}
_QUIET |= {"metrics_sinks": (), "event_sinks": ()}


def _ended_before(job: jobs.Job, of: Mapping[Window, Settings]) -> dict[Window, jobs.Outcome]:
    """Return how windows ended whose files are all there, and whose record, where any is kept.

    A window of which nothing was decided is not among them: its labels may have come since. Nor is one whose
    record says that it was compared with another baseline, or otherwise.
    """
    settings, recorded = job.settings, None
    if settings.history_path is not None:
        from reporting.history.folder import Selection, baseline_documents, read_runs

        recorded = {}
        compared = baseline_documents(job.baseline if settings.is_monitoring else None, job.files)
        ways = [way_of(settings, api.Facts(positional=one), compared) for one in (False, True)]
        with contextlib.suppress(MonitorError):  # there is no history yet
            runs = read_runs(settings.history_path, Selection(job.monitor.name))
            latest = {(run.window, run.output_path): run for run in runs}
            recorded = {place: run for place, run in latest.items() if run.way in ways}
    wanted = [jobs.STATISTICS, jobs.CONSTRAINTS, *([jobs.REPORT] if settings.report else [])]
    if settings.is_monitoring:
        wanted += [jobs.VIOLATIONS, *([jobs.COMPARISONS] if settings.rules == "sound" else [])]
    found = {}
    for window, own in of.items():
        folder = own.output_path
        told = recorded and recorded.get(((window.start, window.end), for_others(folder)))
        if (told or recorded is None) and all(storage.is_there(f"{folder}/{name}") for name in wanted):
            decision = _decision_in(folder, settings.rules) if settings.is_monitoring else None
            if decision is None or not decision.is_empty:
                waits = bool(told and told.waits)
                code = jobs.exit_code_of(settings, decision, waits=waits)
                found[window] = jobs.Outcome(code, "", decision, waits=waits)
    return found


def _decision_in(folder: str, rules: str) -> Decision:
    """Return what the files of a window say was decided."""
    path = f"{folder}/{jobs.VIOLATIONS}"
    violations = api.read_violations(json_layout.loads(storage.read_bytes(path), path), path)
    if rules == "sagemaker":  # which tells no comparisons
        return Decision(violations, comparisons=(api.Comparison("", "", api.State.HOLDS),))
    told = orjson.loads(storage.read_bytes(f"{folder}/{jobs.COMPARISONS}"))["comparisons"]
    comparisons = tuple(api.Comparison(**{**one, "state": api.State(one["state"])}) for one in told)
    return Decision(violations, comparisons=comparisons)


def _name(window: Window, settings: Settings) -> str:
    return f"{window.start.astimezone(settings.time_zone or UTC):%Y-%m-%d %H:%M}"


def _message(settings: Settings, decisions: Mapping[Window, Decision | None], waiting: int) -> str:
    """Return how many windows ended how, and name those that alarm."""
    known = {window: decision for window, decision in decisions.items() if decision is not None}
    found = {window: decision.violations.violations for window, decision in known.items()}
    is_open = sum(decision.is_empty for decision in known.values())
    alarms = {
        _name(window, settings): some_of(list(dict.fromkeys(one.subject for one in violations)), 3)
        for window, violations in found.items()
        if violations
    }
    states = {"open": is_open, "violated": len(alarms), "described": len(decisions) - len(known)}
    states["fine"] = len(known) - is_open - len(alarms)
    if alarms:
        first = wording("outcome.violated", violations=sum(map(len, found.values())))
    elif states["fine"]:
        first = wording("outcome.holds")
    else:
        reasons = filter(None, (decision.why_undecided for decision in known.values()))
        first = wording("outcome.empty", why=next(reasons, "nothing was compared"))
    said = [first, wording("windows.ended", windows=several(len(decisions), "window"), **states)]
    texts = [f"{name} ({subjects})" for name, subjects in alarms.items()]
    said += [wording("windows.alarms", alarms=some_of(texts, _MOST_NAMED))] if texts else []
    if waiting and settings.alert_after:
        after = "/".join(map(str, settings.alert_after))
        said.append(wording("windows.waiting", windows=waiting, after=after))
    return " ".join(said)
