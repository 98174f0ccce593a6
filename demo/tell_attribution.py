"""The fourth part of the story: does the model give its answers for the same reasons as before?"""

from __future__ import annotations

from collections.abc import Callable

from demo.attribution import (
    MOST,
    describe_attribution,
    describe_growth,
    read_attribution,
    write_attribution_input,
    write_model,
)
from demo.commands import attribution_baseline_command, attribution_command, run_job, run_jobs, shell_text
from demo.story import APRIL, JULY, TRAINING, Data, Layout

Say = Callable[[str], None]

_WINDOWS = (APRIL, JULY)
_LESSON = (
    "No alarm: the model relies on the same features, in nearly the same order. But the signs say more:",
    "warmth lowers its answers by five points, which in winter it did not, and in July that takes back",
    "what delays at the airport add. Whether that is right, only labels say; it was not.",
)


def tell_attribution(data: Data, layout: Layout, say: Say) -> None:
    """Explain the model at the baseline, and in the later windows.

    Parameters
    ----------
    data
        The flights of the story, and the model.
    layout
        Where the captures are.
    say
        Takes one line of text.

    Raises
    ------
    contract.errors.MonitorError
        When a job fails.
    """
    write_attribution_input(data.explained, layout.explained, layout.attribution_configuration)
    write_model(data.model, layout.model)
    say("")
    say(f"11. Why does the model say so? {len(data.explained):,} of those flights of {TRAINING}, explained")
    say("   $ " + shell_text(attribution_baseline_command(layout)))
    run_job(attribution_baseline_command(layout), layout.log("attribution-baseline"))
    baseline = read_attribution(layout.attribution_baseline)
    say(f"   most of all it looks at {', '.join(baseline.ranked[:MOST])}")
    shown, *others = _WINDOWS
    say("")
    say("12. For the same reasons as before? Captures again; no labels are needed")
    say("   $ " + shell_text(attribution_command(layout, shown)))
    say(f"   and the same for {' and '.join(window.title for window in others)}")
    run_jobs(
        [
            (attribution_command(layout, window), layout.log(f"{window.name}-attribution"))
            for window in _WINDOWS
        ]
    )
    _conclude(layout, say)


def _conclude(layout: Layout, say: Say) -> None:
    baseline = read_attribution(layout.attribution_baseline)
    windows = {window.name: read_attribution(layout.attribution(window)) for window in _WINDOWS}
    say("")
    say("What the monitor says of the reasons")
    say("")
    say("How far a feature moves the probability of a flight to be late, on average, up or down; its rank")
    rows = [(window.title, windows[window.name]) for window in _WINDOWS]
    for line in describe_attribution(baseline, rows, TRAINING):
        say(line)
    say("  (order: NDCG below 0.9 is a violation; sizes: beyond twice or half, chance granted)")
    say("")
    for window in _WINDOWS:
        report = windows[window.name]
        say(f"{window.title}: {len(report.violations)} violations in {report.rows:,} flights")
        for line in describe_growth(baseline, report):
            say(line)
    say("")
    for line in _LESSON:
        say(line)
