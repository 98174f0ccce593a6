"""What the commands that are no jobs share: finding monitors, selecting runs, writing what they found."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contract
from contract.errors import ConfigurationError, MonitorError, OutputError
from contract.window import read_instant

if TYPE_CHECKING:
    from contract.api import Monitor
    from reporting.history.folder import Selection

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


_TYPES: dict[str, Any] = {"text": str, "number": int, "monitor": _monitor, "address": _address}
_FLAGS = tomllib.loads(resources.files(__package__).joinpath("flags.toml").read_text("utf-8"))


def new_parser(program: str, description: str, about: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command: flags in full, --version, what its module says `about` it."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=(about or "").partition("\n\n")[2],
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
    # The contract's variables are lower-case.
    parser.set_defaults(history_path=os.environ.get("history_path") or None)  # noqa: SIM112


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

    return Selection(monitor, given.endpoint, given.schedule, since, until, given.last)


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
