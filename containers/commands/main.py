"""The console commands that are no jobs: what they share, and each of them."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contract
from contract.errors import ConfigurationError, InputError, MonitorError, OutputError, wording
from contract.window import parse_duration, read_instant, read_zone
from contract.wording import several, some_of

if TYPE_CHECKING:
    from contract.api import Monitor
    from job_runner.replay import Document, Edit, PastWindow
    from reporting.history.folder import Selection
    from reporting.history.record import Run

# What the commands share: finding monitors, selecting runs, writing what they found.


# Where packages announce monitors of their own.
GROUP = "model_monitor.monitors"
_OURS = {
    name: EntryPoint(name, f"containers.{name.replace('-', '_')}.main:MONITOR", GROUP)
    for name in ("data-quality", "model-quality", "bias", "feature-attribution")
}


def monitor_names() -> tuple[str, ...]:
    """Return the monitors that have a name: ours, and those that installed packages announce."""
    return tuple(_OURS | {one.name: one for one in entry_points(group=GROUP)})


def find_monitor(name: str) -> Monitor:
    """Return a monitor by its name, or by ``package.module:NAME``.

    Raises
    ------
    ConfigurationError
        When there is none.
    """
    known = {one.name: one for one in entry_points(group=GROUP)} | _OURS
    entry = known.get(name) or EntryPoint(name, name, GROUP)
    if name not in known and not all(name.partition(":")):
        raise ConfigurationError.of("command.monitor", name=name, known=", ".join(known))
    if name not in known:
        # As `python -m` does: a module beside the job.
        sys.path.append(os.getcwd())  # noqa: PTH109 - sys.path holds texts
    with ConfigurationError.instead_of("command.no_import", ImportError, name=name):
        monitor = vars(importlib.import_module(entry.module)).get(entry.attr)
    from contract.api import Monitor

    if not isinstance(monitor, Monitor):
        raise ConfigurationError.of("command.no_monitor", name=name, module=entry.module)
    return monitor


def _monitor(text: str) -> str:
    """Return what ``--monitor`` was given, if it can name a monitor."""
    if text not in monitor_names() and ":" not in text:
        listed = ", ".join(monitor_names())
        raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {listed})")
    return text


def _address(text: str) -> str:
    if not text.startswith("s3://"):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write s3://BUCKET/PREFIX")
    return text


def _minute(text: str) -> int:
    if not re.fullmatch("[0-5]?[0-9]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no minute; write a whole number from 0 to 59")
    return int(text)


_TYPES = {"text": str, "number": int, "minute": _minute, "monitor": _monitor, "address": _address}
_FLAGS = tomllib.loads(Path(__file__).with_name("flags.toml").read_text("utf-8"))


def new_parser(program: str, description: str, about: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command: flags in full, --version, what its function says `about` it."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=cleandoc(about or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{program} {contract.__version__}")
    return parser


def run_action(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Run the ``action`` that a parser sets; return the exit code, after a sentence on what is wrong.

    Parameters
    ----------
    arguments
        Command-line arguments; None for those of the process.
    """
    try:
        given = parser.parse_args(arguments)
        action: Callable[[argparse.Namespace], int | None] = given.action
        return action(given) or 0
    except MonitorError as error:
        print(f"{parser.prog}: {error.message}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever reads the output has seen enough of it; nothing may be flushed to them at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def add_flags(parser: argparse._ActionsContainer, *groups: str) -> None:
    """Add the flags of some groups of ``flags.toml``."""
    for name, options in (flag for group in groups for flag in _FLAGS[group].items()):
        parser.add_argument(name, **{**options, "type": _TYPES[options.get("type", "text")]})
    history = os.environ.get("history_path")  # noqa: SIM112 - the contract's are lower-case
    parser.set_defaults(history_path=history or None)


def selection_of(given: argparse.Namespace) -> Selection:
    """Return which runs are wanted.

    Raises
    ------
    ConfigurationError
        When a time or a number is none.
    """
    if given.last is not None and given.last < 1:
        raise ConfigurationError.of("setting.count", field="--last", text=given.last)
    monitor = find_monitor(given.monitor).name if ":" in (given.monitor or "") else given.monitor
    since, until = read_instant("--since", given.since), read_instant("--until", given.until)
    from reporting.history.folder import Selection

    return Selection(monitor, given.model, given.endpoint, given.schedule, since, until, given.last)


def write_output(content: bytes, path: str | None) -> None:
    """Write to a file, or to standard output.

    Raises
    ------
    OutputError
        Naming the file and the cause.
    """
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with OutputError.instead_of("command.output", OSError, file=path):
        Path(path).write_bytes(content)


# Past runs.


def monitor_history(arguments: Sequence[str] | None = None) -> int:
    """List, show, report, export, compact and replay past runs; return the exit code.

    monitor-history list --history-path s3://bucket/history --endpoint flights --since 2026-05-01
    monitor-history show last --history-path history
    monitor-history report --history-path history --output overview
    monitor-history export --history-path history --format parquet --table metrics --output metrics.parquet
    monitor-history compact --history-path history
    monitor-history replay --history-path history --baseline-constraints edited.json

    The variable history_path stands for --history-path where that is not given.
    """
    about = "Look at the runs that jobs with history_path have left behind."
    parser = new_parser("monitor-history", about, monitor_history.__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for action, groups, help_text in (
        (_list, ("selection",), "one line per run"),
        (_show, ("show",), "everything about one run"),
        (_report, ("selection", "report"), "pages: all models at a glance, and the trends of each"),
        (_export, ("selection", "export"), "runs, violations, findings or metrics for other programs"),
        (_compact, ("compact",), "put old records into few files"),
    ):
        name = action.__name__.strip("_")
        command = actions.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        command.set_defaults(action=action)
        add_flags(command, "history", *groups)
    help_text = "check past windows again, with an edited baseline or by other rules"
    _add_replay(actions.add_parser("replay", help=help_text, description=_BACKTEST, allow_abbrev=False))
    return run_action(parser, arguments)


def _history_of(given: argparse.Namespace) -> str:
    """Return where the history is.

    Raises
    ------
    ConfigurationError
        When nobody said.
    """
    history: str | None = given.history_path
    if not history:
        raise ConfigurationError.of("command.no_history", field="history_path")
    return history


def _wanted_runs(given: argparse.Namespace) -> list[Run]:
    """Return the runs that are asked for; where there are none, say what there is instead."""
    from reporting.history.folder import read_runs

    history = _history_of(given)
    if runs := read_runs(history, selection_of(given)):
        return runs
    text = wording("command.empty_history", file=history)
    if every := read_runs(history):
        known = {(place, name) for run in every for place, name in enumerate(run.names) if name}
        names = [f"--{('model', 'endpoint', 'schedule')[place]} {name}" for place, name in sorted(known)]
        shown = some_of(names, 12) or "none names a model, an endpoint or a schedule"
        text = wording("command.no_run", runs=several(len(every), "run"), file=history, names=shown)
    print(text, file=sys.stderr)
    return []


def _list(given: argparse.Namespace) -> None:
    from reporting.history.tables import list_runs

    if runs := _wanted_runs(given):
        sys.stdout.write(list_runs(runs))


def _show(given: argparse.Namespace) -> None:
    from reporting.history.folder import run_named
    from reporting.history.tables import describe_run

    print(describe_run(run_named(_history_of(given), given.run)))


def _report(given: argparse.Namespace) -> None:
    from datetime import UTC, datetime

    from file_storage import storage
    from reporting.report.overview import links_to, make_pages

    if given.windows < 1:
        raise ConfigurationError.of("setting.count", field="--windows", text=given.windows)
    moved = [tuple(text.partition("=")[::2]) for text in given.link]
    if wrong := [text for text, pair in zip(given.link, moved, strict=True) if not all(pair)]:
        raise ConfigurationError.of("command.link", text=wrong[0])
    runs = _wanted_runs(given)
    zone = read_zone("--time-zone", given.time_zone) if given.time_zone else None
    now = None if given.until or given.last else datetime.now(UTC)
    pages = make_pages(runs, links_to(given.output, runs, moved), given.windows, zone, now)
    storage.prepare_output(given.output, "--output")
    storage.write_files_atomically(given.output, pages)
    wrote, about = several(len(pages), "page"), several(len(runs), "run")
    print(f"Wrote {wrote} about {about} to {given.output}; the first is index.html.")


def _export(given: argparse.Namespace) -> None:
    from reporting.history.tables import TABLES, to_csv, to_json_lines, to_parquet

    runs = _wanted_runs(given)
    if given.format == "jsonl":
        content = to_json_lines(runs)
    else:
        rows = TABLES[given.table](runs)
        content = to_csv(rows) if given.format == "csv" else to_parquet(rows)
    write_output(content, given.output)


def _compact(given: argparse.Namespace) -> None:
    from reporting.history.folder import compact

    done = compact(_history_of(given), older_than=parse_duration("--older-than", given.older_than, "P1D"))
    print(f"Put {done.runs} runs from {done.files_before} files into {done.files_after}.")


# Past windows, checked again.


EXIT_FAILED_ON = 3
_BACKTEST = (
    "Check past windows again, from their statistics alone, with an edited baseline or by "
    "other rules, and say which would have alarmed."
)
_OF_HISTORY = ("model", "endpoint", "schedule", "since", "until", "last")


def monitor_backtest(arguments: Sequence[str] | None = None) -> int:
    """Check past windows again, as ``monitor-history replay`` does; return the exit code.

    monitor-backtest --history-path history --schedule hourly --baseline-constraints edited.json
    monitor-backtest --history-path s3://bucket/history --monitor bias --rules sagemaker --last 30
    monitor-backtest reports --baseline-constraints edited.json --baseline-statistics baseline/statistics.json

    Exit codes: 0 done, 1 our fault, 2 input or configuration at fault, or nothing could be replayed, 3 what
    --fail-on names has come about. The variable history_path stands for --history-path where neither that
    nor a folder is given.
    """
    parser = new_parser("monitor-backtest", _BACKTEST, monitor_backtest.__doc__)
    _add_replay(parser)
    return run_action(parser, arguments)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which windows are checked again, and how; ``action`` runs it."""
    parser.set_defaults(action=_replay)
    add_flags(parser.add_argument_group("which windows"), "folders", "history", "selection", "checked")
    add_flags(parser.add_argument_group("what is tried; what is not given stays as it was"), "edit")
    add_flags(parser, "replay")


def _replay(given: argparse.Namespace) -> int:
    # Imported late: --help needs none of it.
    import orjson

    from job_runner.replay import Backtest, replay, to_json, to_text

    monitors = _replayable(given)
    edit = _edit(given)
    replayed, missing = [], []
    for window in _windows(given, edit, monitors):
        try:
            replayed.append(replay(window, edit, monitors))
        except InputError as error:
            missing.append({"name": window.name, "reason": error.message})
    backtest = Backtest(tuple(replayed), tuple(missing))
    if given.format == "json":
        content = orjson.dumps(to_json(backtest), option=orjson.OPT_INDENT_2) + b"\n"
    else:
        content = to_text(backtest).encode()
    write_output(content, given.output)
    counts, changes = backtest.summary, sum(window.changes_verdict for window in backtest.windows)
    occurred = {"alarms": counts["alarms_after"], "changes": changes, "silenced": counts["silenced"]}
    if occurred.get(given.fail_on):
        return EXIT_FAILED_ON
    # With a question asked, a window that cannot answer it leaves it open.
    left_open = backtest.not_replayed or counts["decides_nothing"]
    unanswered = left_open if given.fail_on else backtest.not_replayed and not backtest.windows
    return InputError.exit_code if unanswered else 0


def _replayable(given: argparse.Namespace) -> dict[str, Monitor]:
    """Return the monitors whose past windows can be checked again, by name; just the one that is given."""
    wanted = given.monitor
    if wanted is not None and ":" in wanted:
        monitor = find_monitor(wanted)
        monitor.replay()
        given.monitor = monitor.name
        return {monitor.name: monitor}
    monitors = [find_monitor(name) for name in monitor_names()]
    return {monitor.name: monitor for monitor in monitors if monitor.load_replay is not None}


def _edit(given: argparse.Namespace) -> Edit:
    from contract.settings import VARIABLE_BY_NAME
    from file_storage import storage
    from job_runner.replay import Edit, read_document

    def document(variable: str, *names: str) -> Document | None:
        path = vars(given)[variable]
        return None if path is None else read_document(storage.resolve_document(path, names, variable))

    constraints = document("baseline_constraints", "constraints.json", "analysis.json")
    limit = VARIABLE_BY_NAME["attribution_drift_threshold"].read(given.attribution_drift_threshold)
    return Edit(constraints, document("baseline_statistics", "statistics.json"), given.rules, limit)


def _windows(given: argparse.Namespace, edit: Edit, monitors: Mapping[str, Monitor]) -> list[PastWindow]:
    from job_runner.replay import monitors_of, require_one_schedule, windows_of_folders, windows_of_history
    from reporting.history.folder import read_runs

    fitting = monitors_of(edit, monitors)
    if given.monitor is not None and given.monitor not in fitting:
        others = " or ".join(fitting)
        raise ConfigurationError.of("command.other_monitor", monitor=given.monitor, others=others)
    wanted = (given.monitor,) if given.monitor else fitting
    if given.folders:
        if asked := [flag for flag in _OF_HISTORY if getattr(given, flag) is not None]:
            raise ConfigurationError.of("command.of_history", field=f"--{asked[0]}")
        checking = {"positive_label": given.positive_label} if given.positive_label else {}
        windows = windows_of_folders(given.folders, given.checked_by, checking, wanted, monitors)
    elif given.history_path:
        runs = read_runs(given.history_path, selection_of(given))
        windows = windows_of_history(given.history_path, (run for run in runs if run.monitor in wanted))
    else:
        raise ConfigurationError.of("command.nothing_to_replay")
    if not windows:
        of = f" of {' or '.join(wanted)}" if len(wanted) < len(monitors) else ""
        raise ConfigurationError.of("command.no_window", of=of)
    require_one_schedule(windows, edit)
    return windows


# A monitor's set-up.


def monitor_validate(arguments: Sequence[str] | None = None) -> int:
    """Check the set-up of a monitor; return the exit code.

    All other flags, and the environment variables, are those of the monitor's own command:

    monitor-validate --monitor data-quality --dataset-source captures/ --output-path report/ ...

    Exit codes: 0 all in order, 2 something is not.
    """
    # Imported late: no other command runs a monitor.
    from contract.outcome import Line, print_checklist
    from job_runner.console import run_command

    arguments = sys.argv[1:] if arguments is None else arguments
    about = "Check the whole set-up of a monitor, say how to mend what is wrong, and write nothing."
    parser = new_parser("monitor-validate", about, monitor_validate.__doc__)
    add_flags(parser, "validate")
    given, others = parser.parse_known_args(arguments)
    analysis = os.environ.get("analysis_type", "").upper()  # noqa: SIM112 - the contract's are lower-case
    names = monitor_names()
    served = (name for name in names if analysis in find_monitor(name).analysis_types)
    try:
        name = given.monitor or next(served, None)
        if name is None:
            raise ConfigurationError.of("command.no_monitor_named", monitors=", ".join(names))
        monitor = find_monitor(name)
    except ConfigurationError as error:
        return print_checklist([Line("FAIL", error.message)], sys.stdout)
    return run_command(monitor, ["--validate", *others])


# Schedules of the closed services.


def import_schedule(arguments: Sequence[str] | None = None) -> int:
    """Write a schedule as a manifest; return the exit code.

    aws sagemaker describe-monitoring-schedule --monitoring-schedule-name NAME > schedule.json
    aws sagemaker describe-data-quality-job-definition --job-definition-name DEFINITION > definition.json
    aws sagemaker describe-endpoint --endpoint-name ENDPOINT > endpoint.json
    import-schedule --to kubernetes schedule.json definition.json endpoint.json > monitor.yaml

    or, with boto3 and credentials: import-schedule --to kubernetes --schedule-name NAME > monitor.yaml
    """
    # Imported late: no other command needs templates.
    from orchestrators.import_schedule import jobs

    about = "Write what a monitoring schedule of SageMaker did as a manifest of any orchestrator."
    parser = new_parser("import-schedule", about, import_schedule.__doc__)
    parser.add_argument("--to", required=True, choices=tuple(jobs.WRITERS), help="whom to write for")
    add_flags(parser, "import-schedule")
    parser.set_defaults(action=_write, **vars(jobs.Options()))
    return run_action(parser, arguments)


def _documents(given: argparse.Namespace) -> list[dict[str, Any]]:
    from orchestrators.import_schedule.describe import ask_service, parse_documents

    if given.schedule_name:
        if given.files:
            raise ConfigurationError.of("command.two_sources", field="--schedule-name")
        return list(ask_service(given.schedule_name))
    documents = []
    for file in given.files or ["-"]:
        name = "stdin" if file == "-" else file
        with ConfigurationError.instead_of("command.file", OSError, UnicodeDecodeError, file=name):
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        documents += parse_documents(text, name)
    return documents


def _write(given: argparse.Namespace) -> None:
    from orchestrators.import_schedule import describe, jobs

    options = jobs.Options(**{name: vars(given)[name] for name in vars(jobs.Options())})
    found = jobs.make_jobs(describe.combine(_documents(given)), options)
    sys.stdout.write(jobs.WRITERS[given.to](found))
