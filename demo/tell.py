"""The steps of the story, told while they run."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from demo.commands import baseline_command, monitoring_command, run_job, shell_text
from demo.story import APRIL, CONTROL, JULY, TRAINING, Data, Layout, make_data, prepare_directory, write_data
from demo.summary import WIDTH, describe_changes, describe_quiet, read_features, read_report
from demo.tell_attribution import tell_attribution
from demo.tell_bias import tell_bias
from demo.tell_live import tell_live
from demo.tell_model import tell_model
from demo.tell_year import tell_year

Say = Callable[[str], None]


def tell(directory: Path, say: Say) -> None:
    """Make the data, run the jobs and say what they found.

    Parameters
    ----------
    directory
        Gets all files; see `demo.story.Layout`.
    say
        Takes one line of text.

    Raises
    ------
    contract.errors.MonitorError
        When the data are not installed, `directory` cannot be used, or a job fails.
    """
    started = time.monotonic()
    layout = Layout(directory)
    prepare_directory(layout)
    say("Flights out of New York, 2013. A model predicts, one hour before departure, who will be late.")
    data = make_data()
    _prepare(data, layout, say)
    _run("2. Learn what normal looks like: statistics and suggested constraints", "baseline", layout, say)
    _run("3. Control: those held-out flights, on 1 April. Nothing changed", "control", layout, say)
    _run("4. The week of 8 to 14 July", "july", layout, say)
    _conclude(layout, say)
    tell_model(data, layout, say)
    tell_bias(layout, say)
    tell_attribution(data, layout, say)
    tell_year(data, layout, say)
    tell_live(data, layout, say)
    say("")
    say(f"All files are in {layout.directory}, every job's log included. Open in a browser:")
    say(f"  {layout.overview / 'index.html'}")
    for directory in (
        layout.report(JULY),
        layout.measurement(APRIL),
        layout.bias(APRIL),
        layout.attribution(JULY),
        layout.directory / "reports" / "live-july",
    ):
        say(f"  {directory / 'report.html'}")
    say("")
    say(f"Took {time.monotonic() - started:.0f} s.")


def _prepare(data: Data, layout: Layout, say: Say) -> None:
    files = write_data(data, layout)
    say("")
    say("1. Prepare the data")
    say(f"   {len(data.training):>6,} flights of January to March to learn from   {layout.training}")
    say(f"   {len(data.control):>6,} flights of the same months, held out at random and replayed on 1 April")
    say(f"   {len(data.april):>6,} flights of 21 to 27 April, for the second part")
    say(f"   {len(data.july):>6,} flights of 8 to 14 July")
    say(f"   the last three as SageMaker captures, {files} files   {layout.captures}")


def _run(title: str, name: str, layout: Layout, say: Say) -> None:
    windows = {window.name: window for window in (CONTROL, JULY)}
    command = monitoring_command(layout, windows[name]) if name in windows else baseline_command(layout)
    directory = layout.report(windows[name]) if name in windows else layout.baseline
    say("")
    say(title)
    say("   $ " + shell_text(command))
    run_job(command, layout.log(name))
    message = (directory / "message").read_text(encoding="utf-8").strip()
    say(textwrap.fill(message, WIDTH, initial_indent="   ", subsequent_indent="   "))


def _conclude(layout: Layout, say: Say) -> None:
    baseline = read_features(layout.baseline)
    control, july = (read_report(layout.report(window)) for window in (CONTROL, JULY))
    say("")
    say("What the monitor says")
    say("")
    say(f"Control: {len(control.violations)} violations in {control.rows:,} flights")
    for line in (*describe_changes(baseline, control, TRAINING, CONTROL.title), *describe_quiet(control)):
        say(line)
    say("")
    say(f"{JULY.title}: {len(july.violations)} violations in {july.rows:,} flights")
    for line in (*describe_changes(baseline, july, TRAINING, JULY.title), *describe_quiet(july)):
        say(line)
