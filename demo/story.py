"""The story: which flights were learned from, which are monitored, and the jobs a user would run."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from contract.errors import MonitorError, OutputError
from contract.variables import VARIABLES
from demo.captures import write_captures
from demo.flights import FEATURES, asked_between, load_tables, make_flights, split_training

ENDPOINT = "flight-delay"
VARIANT = "AllTraffic"
SEED = 2013

# All times are UTC without a zone, as in the frames; a day in New York starts at 04:00 in summer time.
TRAINED_UNTIL = datetime(2013, 4, 1, 4)
HELD_OUT_SHARE = 1 / 12

_CAPTURE_FORMAT = json.dumps({"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput"]}})
_CSV_FORMAT = json.dumps({"csv": {"header": True}})
_MARKER = ".written-by-demo"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Window:
    """A span of time whose captures are monitored; `start` is in, `end` is out (UTC)."""

    name: str
    title: str
    start: datetime
    end: datetime


TRAINING = "January to March"
CONTROL = Window(
    "control",
    "control",
    datetime(2013, 4, 1, 4),
    datetime(2013, 4, 2, 4),
)
JULY = Window(
    "july",
    "8 to 14 July",
    datetime(2013, 7, 8, 4),
    datetime(2013, 7, 15, 4),
)


@dataclass(frozen=True)
class Data:
    """What the story is about: flights the model learned from, the control's, and July's."""

    training: pd.DataFrame
    control: pd.DataFrame
    july: pd.DataFrame


@dataclass(frozen=True)
class Layout:
    """Where the demo leaves its files."""

    directory: Path

    @property
    def training(self) -> Path:
        """Return the training data."""
        return self.directory / "baseline" / "data" / "training.csv"

    @property
    def baseline(self) -> Path:
        """Return the directory with the baseline's statistics and constraints."""
        return self.directory / "baseline"

    @property
    def captures(self) -> Path:
        """Return the directory with the endpoint's captures."""
        return self.directory / "captures"

    def report(self, window: Window) -> Path:
        """Return the directory with the report of one window."""
        return self.directory / "reports" / window.name

    def log(self, name: str) -> Path:
        """Return the log of one job."""
        return self.directory / f"{name}.log"


def make_data() -> Data:
    """Return the flights of the story, the same in every run.

    The control are flights of the training months that were drawn at random and kept out of training;
    they are sent to the endpoint on the day the model goes live. Their distribution is that of the
    training data by construction, so there is nothing to find in them.
    """
    flights = make_flights(load_tables())
    training, held_out = split_training(flights, TRAINED_UNTIL, HELD_OUT_SHARE, SEED)
    return Data(
        training=training,
        control=_replayed(held_out, CONTROL),
        july=asked_between(flights, JULY.start, JULY.end),
    )


def _replayed(flights: pd.DataFrame, window: Window) -> pd.DataFrame:
    step = (window.end - window.start) / len(flights)
    times = pd.date_range(window.start, periods=len(flights), freq=pd.Timedelta(step)).floor("s")
    return flights.assign(asked_at=times)


def prepare_directory(layout: Layout) -> None:
    """Empty the demo's directory of an earlier run, and of nothing else.

    Raises
    ------
    OutputError
        When the directory holds files the demo did not write, or cannot be written.
    """
    directory = layout.directory
    marker = directory / _MARKER
    try:
        if directory.exists() and not marker.exists() and any(directory.iterdir()):
            raise OutputError(
                f"{directory} holds files that are not the demo's: choose an empty or new directory."
            )
        for folder in ("baseline", "captures", "reports"):
            shutil.rmtree(directory / folder, ignore_errors=True)
            (directory / folder).mkdir(parents=True)
        marker.touch()
    except OSError as error:
        raise OutputError(
            f"{error.filename or directory} cannot be written ({error.strerror}): choose another directory."
        ) from error


def write_data(data: Data, layout: Layout) -> int:
    """Write the training data and the captures of both windows; return the number of capture files."""
    layout.training.parent.mkdir(parents=True, exist_ok=True)
    data.training[list(FEATURES)].to_csv(layout.training, index=False, lineterminator="\n")
    return sum(
        write_captures(flights, layout.captures, endpoint=ENDPOINT, variant=VARIANT, seed=seed)
        for seed, flights in enumerate((data.control, data.july), start=SEED)
    )


def baseline_command(layout: Layout) -> list[str]:
    """Return the command that profiles the training data."""
    return [
        "monitor-data-quality",
        f"--dataset-source={layout.training}",
        f"--dataset-format={_CSV_FORMAT}",
        f"--output-path={layout.baseline}",
        f"--output-message-file={layout.baseline / 'message'}",
    ]


def monitoring_command(layout: Layout, window: Window) -> list[str]:
    """Return the command that compares a window of captures with the baseline."""
    report = layout.report(window)
    return [
        "monitor-data-quality",
        f"--dataset-source={layout.captures}",
        f"--dataset-format={_CAPTURE_FORMAT}",
        f"--start-time={window.start:%Y-%m-%dT%H:%M:%SZ}",
        f"--end-time={window.end:%Y-%m-%dT%H:%M:%SZ}",
        f"--baseline-statistics={layout.baseline / 'statistics.json'}",
        f"--baseline-constraints={layout.baseline / 'constraints.json'}",
        f"--output-path={report}",
        f"--output-message-file={report / 'message'}",
        "--publish-cloudwatch-metrics=Enabled",
        f"--cloudwatch-metrics-directory={report}",
    ]


def run_job(command: list[str], log: Path) -> None:
    """Run a console command as a user would, its log going to `log`.

    Raises
    ------
    MonitorError
        When the job fails, with the last line it said.
    """
    # The very command, whether or not it is on the PATH of whoever started the demo.
    process = [sys.executable, "-m", "containers.data_quality.main", *command[1:]]
    contract_variables = {name for variable in VARIABLES for name in (variable.name, *variable.aliases)}
    environment = {name: text for name, text in os.environ.items() if name not in contract_variables}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environment.get("PYTHONPATH")]))
    with log.open("wb") as sink:
        ended = subprocess.run(  # noqa: S603 - our own command with our own arguments, no shell
            process, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment, check=False
        )
    if ended.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
        reason = lines[-1].rpartition(" - ERROR - ")[2].rstrip(".")
        raise MonitorError(f"A job ended with exit code {ended.returncode} ({reason}); its log is {log}.")


def shell_text(command: list[str]) -> str:
    """Return a command as a user types it, one flag per line."""
    return " \\\n      ".join(_quoted(argument) for argument in command)


def _quoted(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag + (" " + shlex.quote(value) if equals else "")
