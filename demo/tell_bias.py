"""The third part of the story: does the model treat the airports as it did?"""

from __future__ import annotations

from collections.abc import Callable

from demo.bias import (
    FACET,
    GROUP,
    describe_bias,
    explain_undecided,
    explain_violation,
    read_bias,
    write_configuration,
)
from demo.commands import bias_baseline_command, bias_command, run_job, run_jobs, shell_text
from demo.story import APRIL, CONTROL, JULY, TRAINING, Layout

Say = Callable[[str], None]

_WINDOWS = (CONTROL, APRIL, JULY)
_VIOLATED, _UNDECIDED = "GE", "AD"
_LESSON = (
    "In April the model fails everybody, as GE says, which knows no groups. LaGuardia seems to fare",
    "worst, but flights of one day share their weather and their queues, and seven days as unlike as",
    "these do not prove it: the interval of its accuracy reaches zero, and the monitor says what would.",
)


def tell_bias(layout: Layout, say: Say) -> None:
    """Measure how the model treats one airport's flights at the baseline, and in every window.

    Parameters
    ----------
    layout
        Where the captures with their labels are.
    say
        Takes one line of text.

    Raises
    ------
    contract.errors.MonitorError
        When a job fails.
    """
    write_configuration(layout.bias_configuration)
    say("")
    say(f"9. Is it fair? {FACET} = {GROUP} against all others, in those flights of {TRAINING}")
    say("   $ " + shell_text(bias_baseline_command(layout)))
    run_job(bias_baseline_command(layout), layout.log("bias-baseline"))
    shown, *others = _WINDOWS
    say("")
    say("10. Is it as fair as it was?")
    say("   $ " + shell_text(bias_command(layout, shown)))
    say(f"   and the same for {' and '.join(window.title for window in others)}")
    run_jobs([(bias_command(layout, window), layout.log(f"{window.name}-bias")) for window in _WINDOWS])
    _conclude(layout, say)


def _conclude(layout: Layout, say: Say) -> None:
    measured = {window.name: read_bias(layout.bias(window)) for window in _WINDOWS}
    say("")
    say(f"What the monitor says of {GROUP}")
    say("")
    rows = [(window.title, measured[window.name]) for window in _WINDOWS]
    for line in describe_bias(read_bias(layout.bias_baseline), rows, TRAINING):
        say(line)
    april = measured[APRIL.name]
    say("")
    count = len(april.violations)
    say(f"{APRIL.title}: {count} violation{'s' * (count != 1)} in {april.rows:,} labelled flights")
    say(f"  worse: {', '.join(april.violated)}")
    for line in (*explain_violation(april, _VIOLATED), *explain_undecided(april, _UNDECIDED)):
        say(line)
    say("")
    for line in _LESSON:
        say(line)
