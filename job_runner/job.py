"""The whole job on one page: read, summarize, describe, check, write, publish."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from analyzers.shared.rules import with_presence
from contract import api, json_layout
from contract.dataset import MARKERS, CellRules, Dataset, LabelPlaces, Plan, Preprocessor, RowKeys, Tally
from contract.decision import dump_comparisons
from contract.errors import DatasetError, DocumentError, OutputError, wording
from contract.outcome import EXIT_COMPLETED, EXIT_NOT_DELIVERED, EXIT_UNDECIDED, EXIT_VIOLATIONS
from contract.schema import gathered, write_document
from contract.settings import Settings
from contract.window import between
from contract.wording import several
from file_storage import s3, storage
from file_storage.scripts import load_postprocessor, load_preprocessor, run_postprocessor
from job_runner import engine
from readers.cell_types import texts_in
from readers.dataset import NotSplittable
from readers.plan import plan_dataset
from reporting.history.record import Earlier, Run, completed_run
from reporting.sinks import publishing

if TYPE_CHECKING:
    from job_runner.cluster.hosts import Cluster
    from reporting.sinks.delivery import Undelivered

STATISTICS = "statistics.json"
CONSTRAINTS = "constraints.json"
VIOLATIONS = "constraint_violations.json"
COMPARISONS = "comparisons.json"
REPORT = "report.html"

_log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How the job ended: exit code, the sentence for the message file, and what a person wants to see.

    `waits` is whether violations raise no alert yet.
    """

    exit_code: int
    message: str
    decision: api.Decision | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    waits: bool = False


class Found(NamedTuple):
    """What the data says; `compared` and `decision` are None where nothing was compared."""

    rows: int
    statistics: Any
    constraints: Any
    compared: api.AnyBaseline | None
    decision: api.Decision | None
    facts: api.Facts
    apart: str = ""


def run(
    settings: Settings, monitor: api.Monitor, cluster: Cluster | None = None, learn: Learn | None = None
) -> Outcome:
    """Run a baseline job (no baseline given, or no check wanted) or a monitoring job (baseline given).

    Parameters
    ----------
    settings
        What the job was told.
    monitor
        What kind of job it is.
    cluster
        Hosts that help; None where this one is alone.
    learn
        Adds to a baseline, given its statistics and constraints by file name, what its windows do.

    Raises
    ------
    MonitorError
        When the job cannot complete; nothing has been written then, or only whole files.
    """
    job = prepare(settings, monitor, cluster)
    storage.prepare_output(settings.output_path)
    plan, analyzer, summary = summarize(job)
    require_excluded(job.settings, job.request)
    return finish(job, analyzer, conclude(job, plan, analyzer, summary), learn)


@dataclass(frozen=True)
class Job:
    """What a job knows before it reads: its settings, and what they led to; `started` is monotonic."""

    settings: Settings
    monitor: api.Monitor
    files: api.AnyDocuments
    baseline: api.AnyBaseline | None
    request: Dataset
    make: api.MakeAnalyzer
    sinks: publishing.Sinks | None
    cluster: Cluster | None
    started: float
    # The baseline's statistics and constraints as JSON values, which the pages of many windows show.
    shown: Callable[[], tuple[dict[str, Any], dict[str, Any]]]


Learn = Callable[[Job, Mapping[str, bytes]], api.AnyBaseline]


def prepare(settings: Settings, monitor: api.Monitor, cluster: Cluster | None = None) -> Job:
    """Read what the settings name besides the data; their mistakes show before the work."""
    started = time.monotonic()
    s3.encrypt_with(settings.output_kms_key)
    sinks = publishing.open_sinks(settings)
    settings = monitor.adjusted(settings)
    files = load_documents(settings, monitor)
    baseline = read_baseline(settings, files)
    if settings.register_new_baseline:
        storage.prepare_output(settings.register_new_baseline, "register_new_baseline")
    # Mistakes in either script show before the work.
    script = settings.record_preprocessor_script
    request = dataset_request(settings, files, baseline, load_preprocessor(script) if script else None)
    if settings.post_analytics_processor_script:
        load_postprocessor(settings.post_analytics_processor_script)
    request, make = monitor.arranged(settings, request)
    make = functools.partial(make_analyzer, make=make)
    shown = functools.cache(functools.partial(_shown, files, baseline or api.Baseline()))
    return Job(settings, monitor, files, baseline, request, make, sinks, cluster, started, shown)


def _shown(files: api.AnyDocuments, baseline: api.AnyBaseline) -> tuple[dict[str, Any], dict[str, Any]]:
    known = files.write_statistics(baseline.statistics, True) if baseline.statistics else {}
    return known, files.write_constraints(baseline.constraints) if baseline.constraints else {}


def finish(job: Job, analyzer: api.AnyAnalyzer, found: Found, learn: Learn | None = None) -> Outcome:
    """Write the files of what was found in a window, and tell others."""
    settings, monitor, files = job.settings, job.monitor, job.files
    before: dict[str, bytes] = {}
    earlier = Earlier()
    if settings.history_path is not None and found.compared is not None and found.decision is not None:
        # Imported late, as only jobs that keep a history need them.
        from job_runner.earlier_windows import alert_of, earlier_of, with_label_coverage, with_lasting
        from reporting.history.folder import baseline_documents

        before = baseline_documents(found.compared, files)
        earlier = earlier_of(settings, monitor, found.facts, before)
        if settings.rules == "sound":
            decision = with_label_coverage(settings, earlier, found.facts, found.decision)
            decision = with_lasting(settings, earlier, found.compared, decision)
            found = found._replace(decision=decision)
    documents = _documents(job, found)
    known = job.baseline or api.Baseline()
    if learn is not None:
        known = learn(job, {name: _content(documents[name]) for name in (STATISTICS, CONSTRAINTS)})
    documents[CONSTRAINTS] |= known.natural_variation
    contents = {name: _content(document) for name, document in documents.items()}
    outdated = {VIOLATIONS, COMPARISONS, REPORT, *files.occasional_files} - contents.keys()
    published = analyzer.metrics(found.statistics, found.compared, found.decision)
    seconds = time.monotonic() - job.started
    told = found.facts, found.decision, published, contents
    run = completed_run(settings, monitor, seconds, found.rows, *told).compared_with(before)
    # A gate is about this window alone.
    if settings.alert_after and found.decision is not None and not settings.register_new_baseline:
        run = replace(run, alert=alert_of(settings.alert_after, earlier, run))
    page = _page(job, documents, found, run, earlier)
    # One set: two jobs with one output folder never leave the page of one beside the figures of the other.
    storage.write_files_atomically(settings.output_path, contents | page, outdated - page.keys())
    written = (*documents, *page)

    # From here on others are told, which may take its time: whatever becomes of it, the files are there.
    undelivered = publishing.publish(run, settings, job.sinks)
    no_baseline = {VIOLATIONS, COMPARISONS, *files.not_in_baseline}
    baseline_files = {name: content for name, content in contents.items() if name not in no_baseline}
    kept = register_baseline_if_decided(settings, found.decision, baseline_files)
    if settings.post_analytics_processor_script:
        run_postprocessor(settings.post_analytics_processor_script, settings.given)
    outcome = _outcome(settings, found, written, undelivered, kept, run)
    if settings.history_path is None:
        return outcome
    from reporting.history.folder import keep_run, to_json

    by_originals = settings.rules == "sagemaker"
    # The originals' files lack members that another check of the same statistics can use.
    whole = to_json(files.write_statistics(found.statistics, True)) if by_originals else contents[STATISTICS]
    run = replace(run, exit_code=outcome.exit_code, message=outcome.message)
    undelivered = (*undelivered, *keep_run(settings, run, before, whole))
    return _outcome(settings, found, written, undelivered, kept, run)


def require_excluded(settings: Settings, request: Dataset) -> None:
    """Make sure that columns to leave out are not merely misspelt; those that are not there are said."""
    if not settings.exclude_features or request.preprocessor is not None:
        return
    # Imported late, as only jobs that leave something out need them.
    from job_runner.clarify import column_names, missing_columns

    names = column_names(replace(request, exclude=(), prediction=None, segments=()))
    for text in missing_columns(replace(settings, segment_by=(), problem_type=None), names, names):
        if text.endswith("?"):
            raise DatasetError(text, field="exclude_features_attribute")
        request.said.say("reading.excluded", text=text)


def conclude(job: Job, plan: Plan, analyzer: api.AnyAnalyzer, summary: Any) -> Found:
    """Describe and check a window by its summary; that depends on no other window."""
    settings, baseline, rows = job.settings, job.baseline, analyzer.row_count(summary)
    seconds = time.monotonic() - job.started
    _log.info("Read %s from %s in %.1f s", several(rows, "row"), settings.dataset_source, seconds)
    if not rows and not settings.is_monitoring:
        told = f"{'row' if plan.splits else 'file'}{between(settings.window)}"
        raise DatasetError.of("rows.none_for_baseline", file=settings.dataset_source, found=told)
    if not rows:
        _log.warning("No rows in %s%s", settings.dataset_source, between(settings.window))
    statistics = analyzer.describe(summary)
    compared = baseline if settings.is_monitoring else None
    if compared is None and baseline is not None:
        analyzer.suggest(statistics, None)  # refuses what cannot be a baseline: no labels, say
    if compared is not None:
        statistics = analyzer.estimate(statistics, compared)
    constraints = analyzer.suggest(statistics, baseline)
    decision = None
    if compared is not None and not rows:
        where = f"{settings.dataset_source}{between(settings.window)}"
        reason, notes = f"there are no rows in {where}", (f"No rows in {where}, so nothing was checked.",)
        decision = api.Decision(api.Violations(), (), notes, analyzer.unanswered(compared, reason), reason)
    elif compared is not None and (compared.variation is None or settings.rules == "sagemaker"):
        decision = analyzer.check(statistics, compared)
    elif compared is not None:
        from job_runner.earlier_windows import check

        decision = check(analyzer, statistics, compared, settings.window)
    if compared is not None and decision is not None and settings.rules == "sound":
        decision = _with_payloads(job, analyzer, rows, compared, decision)
        if rows and compared.unasked:
            from job_runner.segments import with_segments_unasked

            decision = with_segments_unasked(decision, compared.unasked)
    facts = analyzer.facts(statistics)
    return Found(rows, statistics, constraints, compared, decision, facts, job.request.said.apart)


def _with_payloads(
    job: Job, analyzer: api.AnyAnalyzer, rows: int, compared: api.AnyBaseline, decision: api.Decision
) -> api.Decision:
    """Add whether more payloads than at the baseline could not be decoded, where some could not."""
    unread, before, known = job.request.said.undecodable, compared.undecodable, compared.statistics
    # A call of which nothing can be decoded has no row.
    rows, rows_before = max(unread, rows), None
    if not rows or not (unread or before):
        return decision
    if known and (rows_before := analyzer.facts(known).rows) is None:
        rows_before = job.files.write_statistics(known, False).get("dataset", {}).get("item_count")
    of = api.Violation(api.PRESENCE_CHECK, "payloads could not be decoded", metric_name="payloads")
    return with_presence(decision, of, (unread, rows), (before, max(before, rows_before or 0)), 1.0)


def _documents(job: Job, found: Found) -> dict[str, Any]:
    """Return JSON values, text or bytes by the name of the file they make."""
    settings, files = job.settings, job.files
    documents = {
        STATISTICS: files.write_statistics(found.statistics, settings.rules == "sound"),
        CONSTRAINTS: files.write_constraints(found.constraints),
        **files.further_files(found.statistics, found.constraints),
    }
    if reading := job.request.said.document(with_sentences=settings.rules == "sound"):
        documents[STATISTICS] |= {"reading": reading}
    if found.decision is not None:
        documents[VIOLATIONS] = write_document(found.decision.violations)
        if settings.rules == "sound":
            documents[COMPARISONS] = dump_comparisons(found.decision)
    return documents


def _page(job: Job, documents: dict[str, Any], found: Found, run: Run, earlier: Earlier) -> dict[str, bytes]:
    """Return the page people look at by its name; empty where none is asked for, or none can be made."""
    if not job.settings.report:
        return {}
    # Imported late: a job without a report loads nothing of it.
    from contract import page as view
    from reporting.report import page

    known, expected = job.shown() if found.compared else ({}, {})
    source = view.Source(documents[STATISTICS], documents[CONSTRAINTS], known, expected, found.decision)
    notes = (*(found.decision.notes if found.decision else ()), *job.request.said.lines())
    if found.decision is None and (usual := documents[CONSTRAINTS].get(api.VARIATION)):
        notes = (wording("variation.learned", **usual), *notes)
    content = page.make_report(job.settings, job.monitor, run, source, notes, earlier)
    return {} if content is None else {REPORT: content}


def _content(document: Any) -> bytes:
    """Return a file's bytes: text and bytes as they are, anything else as JSON in the originals' layout."""
    if isinstance(document, bytes):
        return document
    return document.encode() if isinstance(document, str) else json_layout.dumps(document)


def load_documents(settings: Settings, monitor: api.Monitor) -> api.AnyDocuments:
    """Return how the job's documents are read and written."""
    documents = monitor.load_documents()
    if not settings.segment_by:
        return documents
    from job_runner.segments import segmented_documents

    return segmented_documents(documents)


def make_analyzer(settings: Settings, plan: Plan, make: api.MakeAnalyzer) -> api.AnyAnalyzer:
    """Return the monitor's analyzer, repeated by segment when the settings ask for it."""
    analyzer = make(settings, plan)
    if not settings.segment_by:
        return analyzer
    from job_runner.segments import SegmentedAnalyzer

    return SegmentedAnalyzer(analyzer, settings.segment_by)


_NO_BASELINE = ("stored_file.missing", "stored_file.no_document", "stored_file.folder")


def read_baseline(settings: Settings, documents: api.AnyDocuments) -> api.AnyBaseline | None:
    """Read the baseline documents the settings name, None in a baseline job.

    Where the check is skipped, a baseline still lends its names and an expert's additions, if it is there.

    Raises
    ------
    DocumentError
        Naming the file and the place in it.
    """

    def read(variable: str, names: tuple[str, ...], parse: Callable[..., Any]) -> Any:
        given: str | None = getattr(settings, variable)
        if given is None:
            return None
        try:
            path = storage.resolve_document(given, names, variable)
        except DocumentError as error:
            # What cannot be read now may be there, with what an expert added.
            is_missing = error.code in _NO_BASELINE
            if settings.skip_check and is_missing:
                _log.info("Going on without it, since the check is skipped: %s", error.message)
                return None
            if not (settings.register_new_baseline and is_missing):
                raise
            cause = error.message.rstrip(".")
            raise DocumentError.of("baseline.first", file=given, field=variable, cause=cause) from error
        value = json_layout.loads(storage.read_bytes(path, DocumentError), path)
        if (found := value.pop(api.VARIATION, None)) is not None:
            # Imported late, as few constraints have it.
            from job_runner.earlier_windows import read_variation

            told["variation"] = read_variation(found, path)
        if variable == "baseline_statistics":
            with gathered(value, path) as members:
                told["undecodable"] = members.within("reading").count("undecodable_payloads", 0)
                if not settings.segment_by and (segments := members.children("segments", [])):
                    told["unasked"] = ", ".join(segments[0].get("segment", dict))
        return parse(value, path)

    told: dict[str, Any] = {}
    constraints = read("baseline_constraints", documents.constraints_names, documents.read_constraints)
    statistics = read("baseline_statistics", (STATISTICS,), documents.read_statistics)
    return api.Baseline(statistics, constraints, **told) if constraints or statistics else None


def dataset_request(
    settings: Settings,
    files: api.AnyDocuments,
    baseline: api.AnyBaseline | None,
    preprocessor: Preprocessor | None,
) -> Dataset:
    """Return what to read; columns that come without names get those of the baseline, and cells its types."""
    keys = RowKeys(settings.id_attribute, settings.time_attribute)
    return Dataset(
        source=settings.dataset_source,
        format=settings.dataset_format,
        text_only=settings.rules == "sagemaker",
        window=settings.window and settings.window._replace(edges=()),
        column_names=files.column_names(baseline) if baseline else None,
        exclude=settings.exclude_features,
        preprocessor=preprocessor,
        labels=settings.problem_type is not None,
        ground_truth_source=settings.ground_truth_source,
        rows=settings.rows,
        label_places=LabelPlaces.of(settings),
        cells=_cell_rules(settings, files, baseline),
        folders=settings.folder_columns,
        keys=keys if keys.names else None,
    )


def _cell_rules(
    settings: Settings, files: api.AnyDocuments, baseline: api.AnyBaseline | None
) -> CellRules | None:
    if settings.rules == "sagemaker":
        return None  # the originals take every cell as it is
    written: list[Any] = [settings.positive_label]
    if baseline is not None and baseline.constraints:
        written.append(files.write_constraints(baseline.constraints))
    if baseline is not None and baseline.statistics and settings.problem_type is not None:
        written.append(files.write_statistics(baseline.statistics, False))
    return CellRules(
        markers=MARKERS if settings.missing_values is None else settings.missing_values,
        declared=files.declared(baseline) if baseline is not None else {},
        judged=True if settings.problem_type is not None else settings.segment_by,
        listed=frozenset(texts_in(written)),
        dates=settings.problem_type is None,
        typed=settings.dataset_format.kind in ("json", "parquet"),
    )


def summarize(job: Job) -> tuple[Plan, api.AnyAnalyzer, Any]:
    """Read the data and return how, the analyzer, and its summary."""
    settings, request = job.settings, job.request
    plan = plan_dataset(request)
    analyzer = job.make(settings, plan)

    def summarized(plan: Plan) -> Any:
        noticed = Tally()
        if job.cluster is None:
            summary = engine.summarize_splits(analyzer, plan.splits, settings.workers, noticed)
        else:
            # What all hosts must see alike.
            paths = [*(one.source for one in (request, *request.beside)), request.ground_truth_source]
            paths += [settings.record_preprocessor_script, settings.model]
            summary = job.cluster.summarize(analyzer, plan.splits, [path for path in paths if path], noticed)
        request.said.add(noticed, analyzer.row_count(summary))
        found = {dict(members)["marker"] for code, *members in noticed if code == "reading.marker"}
        for marker in settings.missing_values or ():
            if marker not in found and marker.casefold() not in ("", "nan"):
                request.said.say("reading.unlisted", marker=marker)
        for sentence in request.said.lines():
            _log.info("Reading %s", sentence)
        if left_out := request.said.outside:
            _log.info(wording("rows.outside", count=f"{left_out:,}", span=between(request.window)))
        return summary

    try:
        return plan, analyzer, summarized(plan)
    except NotSplittable as reason:
        _log.info("Reading files whole: %s", reason)
    plan = plan_dataset(request, whole_files=True)
    return plan, analyzer, summarized(plan)


def _outcome(
    settings: Settings,
    found: Found,
    files: tuple[str, ...],
    undelivered: tuple[Undelivered, ...],
    kept: str | None,
    run: Run,
) -> Outcome:
    decision = found.decision
    violations = len(decision.violations.violations) if decision else 0
    is_empty = decision is not None and decision.is_empty
    said = [kept] if kept else []
    if is_empty and found.apart:
        said.insert(0, f"{found.apart[0].upper()}{found.apart[1:]}.")
    if violations and run.alert:
        said.insert(0, run.alert.text)
    if decision and decision.undecided and not is_empty:
        asked, undecided = len(decision.comparisons), len(decision.undecided)
        is_open = f"{undecided:,} {'was' if undecided == 1 else 'were'}"
        told = {"asked": asked, "decided": asked - undecided, "open": is_open, "why": decision.why_undecided}
        said.insert(0, wording("outcome.undecided", **told))
    if undelivered:
        missed = "; ".join(f"{parcel.address}: {parcel.reason}" for parcel in undelivered)
        said.append(f"Not delivered to {missed}.")
    # The originals' sentence comes first, because services and dashboards match its beginning.
    if decision is None and settings.rules == "sound":
        text = wording("outcome.baseline", rows=several(found.rows, "row"))
        if settings.fail_on_violations and not settings.skip_check:
            said.insert(0, wording("outcome.no_check"))
    elif decision is not None and is_empty:
        text = wording("outcome.empty", why=decision.why_undecided or "nothing was asked for")
    elif violations:
        text = wording("outcome.violated", violations=violations)
    else:
        text = wording("outcome.holds")
    exit_code = exit_code_of(settings, decision, undelivered, waits=run.waits)
    # A decision repeats what its statistics note.
    notes = found.facts.notes if decision is None else decision.notes
    return Outcome(exit_code, " ".join([text, *said]), decision, files, notes, run.waits)


def exit_code_of(
    settings: Settings,
    decision: api.Decision | None,
    undelivered: tuple[Undelivered, ...] = (),
    *,
    waits: bool = False,
) -> int:
    """Return the exit code that the settings ask for; violations whose alert waits fail nothing."""
    violations = len(decision.violations.violations) if decision else 0
    ends = {
        EXIT_VIOLATIONS: settings.fail_on_violations and violations > 0 and not waits,
        EXIT_UNDECIDED: settings.fail_on_undecided and decision is not None and decision.fails_gate,
        EXIT_NOT_DELIVERED: settings.fail_on_sink_error and len(undelivered) > 0,
    }
    return next((code for code, is_so in ends.items() if is_so), EXIT_COMPLETED)


# The on-demand gate: what passed its check becomes the baseline, and the one before is kept.


def register_baseline_if_decided(
    settings: Settings, decision: api.Decision | None, documents: Mapping[str, bytes]
) -> str | None:
    """Register the run's documents as the new baseline, if the settings ask for it and the check allows it.

    A baseline is renewed whole or not at all: nothing is violated, something was decided, no comparison has
    lost the figures that the baseline has, none is undecided about a change beyond its limit, and none is
    for want of ``baseline_statistics``. `decision` is None where the check was skipped.

    Returns
    -------
    Why the baseline stays as it was, as a sentence; None when it does not, or nothing was asked.

    Raises
    ------
    OutputError
        When the folder cannot be written; the baseline is as it was.
    """
    folder = settings.register_new_baseline
    if folder is None:
        return None
    if decision is not None and decision.violations.violations:
        return wording("baseline_kept.violated", file=folder)
    if decision is not None and decision.is_empty:
        return wording("baseline_kept.nothing_decided", file=folder)
    if decision is not None and decision.fails_gate:
        return wording("baseline_kept.figures_lost", file=folder)
    if decision is not None and decision.undecided and settings.baseline_statistics is None:
        return wording("baseline_kept.no_statistics", file=folder)
    for one in () if decision is None else decision.comparisons:
        if one.state is api.State.UNDECIDED and one.limit is not None and (one.effect or 0.0) > one.limit:
            return wording("baseline_kept.untold", file=folder, subject=one.subject)
    register_baseline(folder, documents, datetime.now(UTC))
    return None


def register_baseline(folder: str, documents: Mapping[str, bytes], now: datetime) -> None:
    """Put documents into the folder of the baseline, and keep those that they replace.

    What is replaced is copied first, to ``previous/<time>/`` within the folder. Each file then appears whole;
    when one cannot be written, those before it get their old content back.

    Parameters
    ----------
    folder
        Local, created when absent, or ``s3://bucket/prefix``.
    documents
        Content by file name.
    now
        Timezone-aware; the name of the kept copy.

    Raises
    ------
    OutputError
        When the folder cannot be written; the baseline is as it was.
    """
    folder = folder.rstrip("/") or "/"
    kept = f"{folder}/previous/{now.astimezone(UTC):%Y-%m-%dT%H%M%S.%fZ}"
    with storage.alone(folder):
        stored = ((name, storage.read_if_there(f"{folder}/{name}", OutputError)) for name in documents)
        before = {name: content for name, content in stored if content is not None}
        if before:
            storage.write_files_atomically(kept, before)
        try:
            storage.write_files_atomically(folder, documents)
        except OutputError:
            with contextlib.suppress(OutputError):
                storage.write_files_atomically(folder, before)
            raise
    _log.info("The new baseline is in %s%s", folder, f"; the one before is kept in {kept}" if before else "")
