"""Changes that last, in windows too small to show them: found within a day, and what alarms without one.

Hours of few rows are checked against one baseline, each with the history of those before it, as jobs with
`history_path` are. Rows are independent, or come in sessions; or features follow the hour of the day and
weekends, and the baseline knows its windows (`baseline_window`).

    python -m benchmarks.simulate_history [--runs N] [--months N] [--rows N] [--seed S]
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from benchmarks.simulate import Generator, interval, words
from benchmarks.simulate_seasons import FIRST, features, window_of
from containers.data_quality.main import MONITOR
from contract.api import LASTING_CHECK, Baseline
from contract.settings import read_settings
from job_runner.earlier_windows import (
    _FEWEST_POOLED,
    _LASTING_RATE,
    _SPANS,
    check,
    variation_of,
    with_lasting,
)
from reporting.history.record import Earlier, Run, found_in

BASELINE_ROWS = 20_000
HOURS_OF_MONTH = 720
# A change is looked for within these windows, after as many without one.
A_DAY = 24

Columns = dict[str, Any]
Draw = Callable[[Generator, int, int], Columns]


def independent(g: Generator, rows: int, hour: int) -> Columns:
    """Draw columns of many kinds, whatever the hour."""
    return {
        "normal": g.normal(50.0, 10.0, rows),
        "income": g.lognormal(3.0, 1.0, rows),
        "heavy tails": g.standard_t(2.0, rows),
        "age": np.clip(np.round(g.normal(45.0, 15.0, rows)), 18.0, 99.0),
        "flag of 5 %": (g.random(rows) < 0.05).astype(np.int64),
        "mostly 0": np.where(g.random(rows) < 0.8, 0.0, g.exponential(10.0, rows)),
        "30 % missing": pa.array(g.normal(size=rows), mask=g.random(rows) < 0.3),
        "kind": words(g, rows, {"a": 0.6, "b": 0.3, "c": 0.1}),
    }


def sessions(g: Generator, rows: int, hour: int) -> Columns:
    """Draw sessions of five equal rows, one after the other."""
    drawn = independent(g, rows // 5, hour)
    return {name: pa.array(values).take(np.repeat(np.arange(rows // 5), 5)) for name, values in drawn.items()}


class History:
    """One baseline, and the hours that are checked against it, each with those before."""

    def __init__(self, draw: Draw, g: Generator, rows: int, *, seasons: bool = False) -> None:
        self.draw, self.g, self.rows = draw, g, rows
        self.analyzer = DataQualityAnalyzer(rules="sound", arrival_order=True)
        hours = 336 if seasons else 1
        batches = [pa.RecordBatch.from_pydict(draw(g, BASELINE_ROWS // hours, hour)) for hour in range(hours)]
        table = pa.Table.from_batches(batches).combine_chunks()
        table = table.take(g.permutation(table.num_rows)) if seasons else table
        statistics = self._describe(*table.to_batches())
        plain = Baseline[Any, Any](statistics, self.analyzer.suggest(statistics, None))
        each = ((self.analyzer, window_of(n), self._describe(one)) for n, one in enumerate(batches))
        known = variation_of(each, plain, "PT1H", UTC) if seasons else None
        self.baseline, self.runs, self.hour = replace(plain, variation=known), list[Run](), hours

    def _describe(self, *batches: pa.RecordBatch) -> Any:
        return self.analyzer.describe(self.analyzer.summarize(batches))

    def next(self, change: Callable[[Columns], Columns] = dict) -> tuple[set[str], set[str]]:
        """Return what alarms in the next hour: what lasts, and the rest."""
        window = window_of(self.hour)
        batch = pa.RecordBatch.from_pydict(change(self.draw(self.g, self.rows, self.hour)))
        statistics = self._describe(batch)
        if self.baseline.variation is None:
            decision = self.analyzer.check(statistics, self.baseline)
        else:
            decision = check(self.analyzer, statistics, self.baseline, window)
        settings = replace(SETTINGS, window=window)
        # Older ones are not looked at, and keeping them would cost time.
        decision = with_lasting(settings, Earlier(alike=self.runs[-671:]), self.baseline, decision)
        found = decision.violations.violations
        self.runs.append(
            Run(
                **OF_RUNS,
                run=str(self.hour),
                window=(window.start, window.end),
                violations=tuple(found),
                findings=tuple(map(found_in, decision.findings)),
            )
        )
        self.hour += 1
        lasting = {one.subject for one in found if one.constraint_check_type == LASTING_CHECK}
        return lasting, {one.subject for one in found if one.constraint_check_type != LASTING_CHECK}


OF_RUNS: dict[str, Any] = {
    "monitor": MONITOR.name,
    "version": "1",
    "rules": "sound",
    "started": FIRST,
    "finished": FIRST,
    "exit_code": 0,
}
SETTINGS = read_settings(
    ["--dataset-source", "x", "--dataset-format", '{"csv":{}}', "--output-path", "x"], {}, MONITOR
)
CHANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "normal: mean + 0.5 sd": ("normal", lambda values: values + 5.0),
    "normal: mean - 0.5 sd": ("normal", lambda values: values - 5.0),
    "age: mean + 0.5 sd": ("age", lambda values: np.clip(values + 7.5, 18.0, 99.0)),
    "income: times 1.65 (its logarithm + 0.5 sd)": ("income", lambda values: values * np.exp(0.5)),
}


def found_after(history: History, column: str, moved: Callable[[Any], Any], most: int) -> int | None:
    """Return after how many windows a change is found, None where it is not within so many."""

    def change(drawn: Columns) -> Columns:
        return {**drawn, column: moved(drawn[column])}

    for _ in range(A_DAY):
        history.next()
    return next((n for n in range(1, most + 1) if column in history.next(change)[0]), None)


def power(name: str, runs: int, rows: int, seed: int, *, seasons: bool = False) -> list[int | None]:
    """Return after how many windows of a day a change is found, in each run with a baseline of its own."""
    found = []
    for one in np.random.SeedSequence(seed).spawn(runs):
        draw, g = features if seasons else independent, np.random.default_rng(one)
        found.append(found_after(History(draw, g, rows, seasons=seasons), *CHANGES[name], A_DAY))
    return found


def months(
    draw: Draw, count: int, hours: int, rows: int, seed: int, *, seasons: bool
) -> Iterator[Counter[str]]:
    """Yield, of months without a change, how many windows alarm for what lasts, and by which feature."""
    for one in np.random.SeedSequence(seed).spawn(count):
        history = History(draw, np.random.default_rng(one), rows, seasons=seasons)
        found = Counter[str]()
        for _ in range(hours):
            lasting, others = history.next()
            found.update([*lasting, *(["any"] if lasting else []), *(["single windows"] if others else [])])
        yield found


def many_months(count: int, rows: int, seed: int) -> int:
    """Return in how many months something alarms for what lasts, by the arithmetic of the job alone.

    What a window shows of a feature is its mean rank in a baseline; the rest of the analysis is left out.
    """
    alarms = 0
    for one in np.random.SeedSequence(seed).spawn(count):
        g = np.random.default_rng(one)
        before, now = independent(g, BASELINE_ROWS, 0), independent(g, HOURS_OF_MONTH * rows, 0)
        names = [name for name, values in now.items() if isinstance(values, np.ndarray)]
        rate = _LASTING_RATE / HOURS_OF_MONTH / (len(names) * len(_SPANS))
        alarms += any(least_p_value(before[name], now[name], rows) < rate for name in names)
    return alarms


def least_p_value(before: Any, now: Any, rows: int) -> float:
    """Return the smallest p-value of a month of hours, of pools beyond the limit."""
    known = np.sort(before)
    ranks = np.searchsorted(known, now) + np.searchsorted(known, now, side="right")
    moved = (ranks / (2.0 * known.size) - 0.5).reshape(-1, rows).mean(axis=1)
    total, least = np.concatenate([[0.0], np.cumsum(moved)]), 1.0
    for span in _SPANS:
        last = np.arange(_FEWEST_POOLED, total.size)
        first = np.maximum(0, last - int(span / timedelta(hours=1)))
        by = (total[last] - total[first]) / (last - first)
        error = np.sqrt(1.0 / (12.0 * rows * (last - first)) + 1.0 / (12.0 * known.size))
        far = (np.abs(by) / error)[np.abs(by) > 0.1]
        least = min(least, math.erfc(float(far.max()) / math.sqrt(2.0)) if far.size else 1.0)
    return least


def _share(count: int, total: int) -> str:
    low, high = interval(count, total)
    return f"{count:,}/{total:,} ({100.0 * low:.1f} to {100.0 * high:.1f} %)"


def main() -> None:
    """Print the tables of `docs/soundness.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate_history")
    parser.add_argument("--runs", type=int, default=100, help="of each change")
    parser.add_argument("--months", type=int, default=20, help="of each kind")
    parser.add_argument("--many", type=int, default=2_000, help="months by their arithmetic alone")
    parser.add_argument("--rows", type=int, default=10, help="of an hour")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.runs:
        print(f"| hours of {given.rows} rows | found within {A_DAY} windows | half of them after |")
        print("|---|---|---|")
    cases = [(name, given.runs, False) for name in CHANGES]
    # A baseline of two weeks of hours takes longer.
    cases.append(("age: mean + 0.5 sd", given.runs // 5, True))
    for name, runs, seasons in cases if given.runs else ():
        after = power(name, runs, given.rows, given.seed, seasons=seasons)
        name += ", among seasons, with baseline_window" if seasons else ""
        found = sorted(one for one in after if one is not None)
        half = f"{found[len(found) // 2]} windows" if found else "-"
        print(f"| {name} | {_share(len(found), len(after))} | {half} |", flush=True)
    print(f"\n| months of {HOURS_OF_MONTH} hours without a change | with an alarm | windows that alarm |")
    print("|---|---|---|")
    for rows in (given.rows, 100) if given.many else ():
        alarmed = many_months(given.many, rows, given.seed)
        print(f"| {rows} independent rows, arithmetic alone | {_share(alarmed, given.many)} | |", flush=True)
    cells: tuple[tuple[str, Draw, int, bool], ...] = (
        (f"{given.rows} independent rows", independent, given.rows, False),
        ("100 independent rows", independent, 100, False),
        (f"{given.rows} rows in sessions of 5", sessions, given.rows, False),
        (f"{given.rows} rows, seasons, with baseline_window", features, given.rows, True),
        ("60 rows, seasons, with baseline_window", features, 60, True),
    )
    for name, draw, rows, seasons in cells if given.months else ():
        counts = list(months(draw, given.months, HOURS_OF_MONTH, rows, given.seed, seasons=seasons))
        alarmed = sum(bool(one["any"]) for one in counts)
        windows = sum(one["any"] for one in counts)
        print(f"| {name} | {_share(alarmed, len(counts))} | {windows:,} |", flush=True)


if __name__ == "__main__":
    main()
