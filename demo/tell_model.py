"""The second part of the story: is the model still as good as it was?"""

from __future__ import annotations

from collections.abc import Callable

from demo.commands import (
    SEGMENT,
    SEGMENT_POSITION,
    estimate_command,
    measurement_command,
    merge_command,
    model_baseline_command,
    run_job,
    run_jobs,
    shell_text,
)
from demo.performance import (
    Performance,
    describe_accuracy,
    describe_estimate,
    describe_fall,
    read_coverage,
    read_performance,
)
from demo.story import APRIL, CONTROL, JULY, TRAINING, Data, Layout, Window, write_late_labels

Say = Callable[[str], None]

_WINDOWS = (CONTROL, APRIL, JULY)
_LESSON = (
    "An estimate holds as long as a probability means what it meant, as in the control. In that week of",
    "April the weather is fair, and air traffic controllers are on unpaid leave, which no feature tells:",
    "the estimate rises, accuracy falls, and only labels say so.",
)


def tell_model(data: Data, layout: Layout, say: Say) -> None:
    """Measure the model at the baseline, estimate it before labels come, measure it when they have come.

    Parameters
    ----------
    data
        The flights of the story.
    layout
        Where the captures are.
    say
        Takes one line of text.

    Raises
    ------
    contract.errors.MonitorError
        When a job fails.
    """
    say("")
    say(f"5. How good is the model? {len(data.validation):,} flights of {TRAINING} that it never saw")
    say("   $ " + shell_text(model_baseline_command(layout)))
    run_job(model_baseline_command(layout), layout.log("model-baseline"))
    say(f"   column {SEGMENT_POSITION} is {SEGMENT}: everything is repeated for each of the three airports")
    _in_windows(
        "6. No labels yet: estimate from the model's own probabilities", estimate_command, layout, say
    )
    for window in _WINDOWS:
        say(describe_estimate(read_performance(layout.estimate(window)), window.title))
    _merge(data, layout, say)
    _in_windows("8. Measure, now that there are labels", measurement_command, layout, say)
    _conclude(layout, say)


def _in_windows(title: str, command: Callable[[Layout, Window], list[str]], layout: Layout, say: Say) -> None:
    """Run one kind of job in every window, and show the first of them."""
    shown, *others = _WINDOWS
    say("")
    say(title)
    say("   $ " + shell_text(command(layout, shown)))
    say(f"   and the same for {' and '.join(window.title for window in others)}")
    kind = command.__name__.removesuffix("_command")
    run_jobs([(command(layout, window), layout.log(f"{window.name}-model-{kind}")) for window in _WINDOWS])


def _merge(data: Data, layout: Layout, say: Say) -> None:
    write_late_labels(data, layout)
    say("")
    say("7. A day after each prediction its label comes in: join the two")
    say("   $ " + shell_text(merge_command(layout)))
    run_job(merge_command(layout), layout.log("merge"))
    captures, joined = read_coverage(layout.merged)
    say(f"   {joined:,} of {captures:,} predictions got a label; flights that never arrived get none.")


def _conclude(layout: Layout, say: Say) -> None:
    baseline = read_performance(layout.model_baseline)
    estimates = {window.name: read_performance(layout.estimate(window)) for window in _WINDOWS}
    measured = {window.name: read_performance(layout.measurement(window)) for window in _WINDOWS}
    say("")
    say("What the monitor says of the model")
    say("")
    rows = [(window.title, estimates[window.name], measured[window.name]) for window in _WINDOWS]
    for line in describe_accuracy(baseline, rows, TRAINING):
        say(line)
    april = measured[APRIL.name]
    say("")
    say(f"{APRIL.title}: {_violations(april)}")
    for line in describe_fall(baseline, april, SEGMENT):
        say(line)
    say("")
    for line in _LESSON:
        say(line)


def _violations(window: Performance) -> str:
    of_segments = len(window.violations) - len(window.worse)
    return (
        f"{len(window.worse)} violations in {window.rows:,} labelled flights, {of_segments} more by {SEGMENT}"
    )
