"""What many windows in one pass cost: 90 days of captures by the hour beside one window over the same data.

Every run is a fresh process that compares with a baseline of the first two weeks, in turns; ratios are to the
run with one window. Captures lie in files of hours, and nothing ever changes in them.

    python -m benchmarks.months [--rows N] [--repeat N]

With --kills N a job about all windows, with pages and history, is killed N times at random points and started
again; at the end all it left is compared with what a job that was never killed leaves.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from benchmarks.__main__ import ROOT, make_dataset, run_contender
from benchmarks.contenders import MONTHS_START, OURS, Contender, Dataset, Setup, ours
from benchmarks.measure import Cost, median
from benchmarks.report import markdown_table

ROWS = 20_000_000
HOURS = 90 * 24
BASELINE_HOURS = 14 * 24
MOST_TIMES = 1.5
MOST_BYTES = 1e9
LONGEST_SECONDS = 7_200.0
NO_PAGES = ("--report", "Disabled")


def hours(number: int) -> tuple[str, ...]:
    """Return the options of a job about so many hours from the first on."""
    end = MONTHS_START + timedelta(hours=number)
    return ("--start-time", MONTHS_START.isoformat(), "--end-time", end.isoformat())


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.months", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="records (%(default)s)")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; medians are shown (%(default)s)")
    parser.add_argument("--kills", type=int, default=0, help="kill a job so often instead of measuring")
    parser.add_argument("--window", default="PT1H", help="length of the windows (%(default)s)")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "bench-data", help="generated files (%(default)s)"
    )
    options = parser.parse_args(arguments)
    dataset = Dataset("months", options.rows)
    make_dataset(dataset, options.data)
    with tempfile.TemporaryDirectory() as name:
        setup = Setup(options.data, Path(name), Path(), ())
        compared = (*baseline_of(dataset, setup), *hours(HOURS))
        each = ("--each-window", "Enabled", "--window", options.window)
        if options.kills:
            return killed(dataset, setup, (*compared, *each), options.kills)
        contenders = [
            ours(dataset, setup, "one window", None, compared),
            ours(dataset, setup, f"windows of {options.window}", MOST_TIMES, (*compared, *each)),
            ours(dataset, setup, "the same without pages", MOST_TIMES, (*compared, *each, *NO_PAGES)),
        ]
        costs: list[list[Cost]] = [[] for _ in contenders]
        for _ in range(options.repeat):
            for contender, done in zip(contenders, costs, strict=True):
                done.append(run_contender(contender, LONGEST_SECONDS, setup))
                print(contender.name, done[-1], file=sys.stderr, flush=True)
                shutil.rmtree(setup.scratch / "output")
    header = (f"{OURS}, {options.rows:,} captures", "wall s", "CPU s", "peak MB", "ratio", "goal")
    medians = [median(done) for done in costs]
    rows = [_row(contender, cost, medians[0]) for contender, cost in zip(contenders, medians, strict=True)]
    print(markdown_table(header, rows))
    return 0


def baseline_of(dataset: Dataset, setup: Setup) -> tuple[str, ...]:
    """Run a baseline job on the first two weeks, and return the options of a job that compares with it."""
    folder = setup.scratch / "baseline"
    folder.mkdir()
    run_contender(
        ours(dataset, replace(setup, scratch=folder), options=hours(BASELINE_HOURS)), LONGEST_SECONDS, setup
    )
    names = ("statistics", "constraints")
    return tuple(text for name in names for text in (f"--baseline-{name}", f"{folder}/output/{name}.json"))


def killed(dataset: Dataset, setup: Setup, given: tuple[str, ...], kills: int) -> int:
    """Kill a job about all windows again and again, and say whether it leaves the same in the end."""
    from benchmarks.kills import kill_and_go_on  # loads what would make this process large

    kept = ("--history-path", str(setup.scratch / "job/history"))
    job = ours(dataset, replace(setup, scratch=setup.scratch / "job"), options=(*given, *kept))
    result = kill_and_go_on(job.command, setup.scratch, kills)
    print(result)
    return 1 if result.problems else 0


def _row(contender: Contender, cost: Cost, one: Cost) -> tuple[str, ...]:
    figures = (f"{cost.wall:.1f}", f"{cost.processor:.1f}", f"{cost.peak / 1e6:,.0f}")
    if contender.goal is None:
        return (contender.name, *figures, "", "")
    ratio = cost.processor / one.processor
    verdicts = [
        "met" if is_met else "missed" for is_met in (ratio <= contender.goal, cost.peak <= MOST_BYTES)
    ]
    goal = f"at most {contender.goal:.1f}: {verdicts[0]}; {MOST_BYTES / 1e6:,.0f} MB: {verdicts[1]}"
    return (contender.name, *figures, f"{ratio:.2f}", goal)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
