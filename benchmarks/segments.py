"""What segments cost: a data-quality job with 5 and with 50 of them beside the same one without, in turns.

Every run is a fresh process on one Parquet file of ten columns; ratios are to the run without segments.

    python -m benchmarks.segments [--rows N] [--repeat N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.__main__ import ROOT, make_dataset, run_contender
from benchmarks.contenders import OURS, Contender, Dataset, Setup, ours
from benchmarks.measure import Cost, median
from benchmarks.report import markdown_table

ROWS = 2_000_000
# The column that makes so many segments, and at most how many times the run without may take.
CHOICES = {5: ("five", 1.6), 50: ("fifty", 3.0)}
LONGEST_SECONDS = 1_800.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segments", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the table (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are shown (%(default)s)")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "bench-data", help="generated files (%(default)s)"
    )
    options = parser.parse_args(arguments)
    dataset = Dataset("segmented", options.rows)
    make_dataset(dataset, options.data)
    with tempfile.TemporaryDirectory() as scratch:
        setup = Setup(options.data, Path(scratch), Path(), ())
        whole = ours(dataset, setup, "without segments")
        divided = [
            ours(dataset, setup, f"{number} segments", goal, ("--segment-by", column))
            for number, (column, goal) in CHOICES.items()
        ]
        # In turns, so that all meet the machine in the same mood.
        rounds = [
            [run_contender(contender, LONGEST_SECONDS, setup) for contender in (whole, *divided)]
            for _ in range(options.repeat)
        ]
    costs = [median(list(runs)) for runs in zip(*rounds, strict=True)]
    header = (f"{OURS}, {options.rows:,} rows x 10 columns", "wall s", "CPU s", "peak MB", "ratio", "goal")
    rows = [_row(contender, cost, costs[0]) for contender, cost in zip((whole, *divided), costs, strict=True)]
    print(markdown_table(header, rows))
    return 0


def _row(contender: Contender, cost: Cost, whole: Cost) -> tuple[str, ...]:
    figures = (f"{cost.wall:.2f}", f"{cost.processor:.2f}", f"{cost.peak / 1e6:,.0f}")
    if contender.goal is None:
        return (contender.name, *figures, "", "")
    ratio = cost.processor / whole.processor
    verdict = "met" if ratio <= contender.goal else "missed"
    return (contender.name, *figures, f"{ratio:.2f}", f"at most {contender.goal:.1f}: {verdict}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
