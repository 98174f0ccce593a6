"""The console command ``monitor-history``: list, show, report, export, compact and replay past runs.

monitor-history list --history-path s3://bucket/history --endpoint flights --since 2026-05-01
monitor-history show last --history-path history
monitor-history report --history-path history --output overview
monitor-history export --history-path history --format parquet --table metrics --output metrics.parquet
monitor-history compact --history-path history
monitor-history replay --history-path history --baseline-constraints edited.json

The variable history_path stands for --history-path where that is not given.
"""

import argparse
import sys
from collections.abc import Sequence

from containers.commands import command_line
from containers.commands.backtest import DESCRIPTION, add_replay
from contract.errors import ConfigurationError
from contract.window import parse_duration, read_zone


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command_line.run_action(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    about = "Look at the runs that jobs with history_path have left behind."
    parser = command_line.new_parser("monitor-history", about, __doc__)
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
        command_line.add_flags(command, "history", *groups)
    help_text = "check past windows again, with an edited baseline or by other rules"
    add_replay(actions.add_parser("replay", help=help_text, description=DESCRIPTION, allow_abbrev=False))
    return parser


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


def _list(given: argparse.Namespace) -> None:
    from reporting.history.folder import read_runs
    from reporting.history.tables import list_runs

    if runs := read_runs(_history_of(given), command_line.selection_of(given)):
        sys.stdout.write(list_runs(runs))
    else:
        print("No run is as asked for.", file=sys.stderr)


def _show(given: argparse.Namespace) -> None:
    from reporting.history.folder import run_named
    from reporting.history.tables import describe_run

    print(describe_run(run_named(_history_of(given), given.run)))


def _report(given: argparse.Namespace) -> None:
    from file_storage import storage
    from reporting.history.folder import read_runs
    from reporting.report.overview import links_to, make_pages

    if given.windows < 1:
        raise ConfigurationError.of("setting.count", field="--windows", text=given.windows)
    moved = [tuple(text.partition("=")[::2]) for text in given.link]
    if wrong := [text for text, pair in zip(given.link, moved, strict=True) if not all(pair)]:
        raise ConfigurationError.of("command.link", text=wrong[0])
    runs = read_runs(_history_of(given), command_line.selection_of(given))
    zone = read_zone("--time-zone", given.time_zone) if given.time_zone else None
    pages = make_pages(runs, links_to(given.output, runs, moved), given.windows, zone)
    storage.prepare_output(given.output, "--output")
    storage.write_files_atomically(given.output, pages)
    print(f"Wrote {len(pages)} pages about {len(runs)} runs to {given.output}; the first is index.html.")


def _export(given: argparse.Namespace) -> None:
    from reporting.history.folder import read_runs
    from reporting.history.tables import TABLES, to_csv, to_json_lines, to_parquet

    runs = read_runs(_history_of(given), command_line.selection_of(given))
    if given.format == "jsonl":
        content = to_json_lines(runs)
    else:
        rows = TABLES[given.table](runs)
        content = to_csv(rows) if given.format == "csv" else to_parquet(rows)
    command_line.write_output(content, given.output)


def _compact(given: argparse.Namespace) -> None:
    from reporting.history.folder import compact

    done = compact(_history_of(given), older_than=parse_duration("--older-than", given.older_than, "P1D"))
    print(f"Put {done.runs} runs from {done.files_before} files into {done.files_after}.")
