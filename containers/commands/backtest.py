"""Checking past windows again: ``monitor-history replay``, also called ``monitor-backtest``.

monitor-backtest --history-path history --schedule hourly --baseline-constraints edited.json
monitor-backtest --history-path s3://bucket/history --monitor bias --rules sagemaker --last 30
monitor-backtest reports/ --baseline-constraints edited.json --baseline-statistics baseline/statistics.json

Exit codes: 0 done, 1 our fault, 2 input or configuration at fault, or nothing could be replayed, 3 what
--fail-on names has come about. The variable history_path stands for --history-path where neither that nor a
folder is given.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from containers.commands import command_line
from contract.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from contract.api import Monitor
    from job_runner.replay import Backtest, Document, Edit, PastWindow

EXIT_FAILED_ON = 3
DESCRIPTION = (
    "Check past windows again, from their statistics alone, with an edited baseline or by "
    "other rules, and say which would have alarmed."
)
_OF_HISTORY = ("endpoint", "schedule", "since", "until", "last")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = command_line.new_parser("monitor-backtest", DESCRIPTION, __doc__)
    add_replay(parser)
    return command_line.run_action(parser, arguments)


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which windows are checked again, and how; ``action`` runs it."""
    parser.set_defaults(action=_run)
    windows = parser.add_argument_group("which windows")
    command_line.add_flags(windows, "folders", "history", "selection", "checked")
    edit = parser.add_argument_group("what is tried; what is not given stays as it was")
    command_line.add_flags(edit, "edit")
    command_line.add_flags(parser, "replay")


def _run(given: argparse.Namespace) -> int:
    # Imported late: --help needs none of it.
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
    command_line.write_output(content, given.output)
    return _exit_code(backtest, given.fail_on)


def _exit_code(backtest: Backtest, fail_on: str | None) -> int:
    counts = backtest.summary
    occurred = {
        None: 0,
        "alarms": counts["alarms_after"],
        "changes": sum(window.changes_verdict for window in backtest.windows),
        "silenced": counts["silenced"],
    }[fail_on]
    if occurred:
        return EXIT_FAILED_ON
    # With a question asked, a window that cannot answer it leaves it open.
    unanswered = backtest.not_replayed and (fail_on is not None or not backtest.windows)
    return InputError.exit_code if unanswered else 0


def _replayable(given: argparse.Namespace) -> dict[str, Monitor]:
    """Return the monitors whose past windows can be checked again, by name; just the one that is given."""
    wanted = given.monitor
    if wanted is not None and ":" in wanted:
        monitor = command_line.find_monitor(wanted)
        monitor.replay()
        given.monitor = monitor.name
        return {monitor.name: monitor}
    monitors = [command_line.find_monitor(name) for name in command_line.monitor_names()]
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
        runs = read_runs(given.history_path, command_line.selection_of(given))
        windows = windows_of_history(given.history_path, (run for run in runs if run.monitor in wanted))
    else:
        raise ConfigurationError.of("command.nothing_to_replay")
    if not windows:
        of = f" of {' or '.join(wanted)}" if len(wanted) < len(monitors) else ""
        raise ConfigurationError.of("command.no_window", of=of)
    require_one_schedule(windows, edit)
    return windows
