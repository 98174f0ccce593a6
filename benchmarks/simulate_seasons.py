"""One hour against whole days: alarms, and changes found, with and without what the baseline's windows do.

Features and the errors of a model follow the hour of the day, and weekends; rows come in the order of time,
or shuffled within the baseline, as files of many workers are. A baseline of two weeks is checked against each
hour of the weeks that follow.

    python -m benchmarks.simulate_seasons [--weeks N] [--rows N] [--seed S]
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from benchmarks.simulate import Generator, interval, some, words
from benchmarks.simulate_model_quality import MODELS
from contract.api import Baseline, Checker
from contract.window import Window
from job_runner.earlier_windows import check, variation_of

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
BASELINE_WEEKS = 2
HOURS_OF_WEEK = 168
# One hour in so many has the changes.
CHANGED_EVERY = 5

Columns = dict[str, Any]


def season(hour: int) -> float:
    """Return a number from -1 to 1 that follows the hour of the day, less so on weekends."""
    is_weekend = hour % HOURS_OF_WEEK >= 120
    return math.sin(2.0 * math.pi * (hour % 24) / 24.0) * (0.5 if is_weekend else 1.0)


def features(g: Generator, rows: int, hour: int) -> Columns:
    """Draw columns, some of which follow the hour of the day."""
    of = season(hour)
    share = 0.3 + 0.15 * of
    return {
        "load, by hour": g.normal(100.0 + 15.0 * of, 10.0, rows),
        "spread, by hour": g.normal(0.0, 2.0**of, rows),
        "channel, by hour": words(g, rows, {"web": share, "app": 0.9 - share, "mail": 0.1}),
        "missing, by hour": pa.array(g.normal(size=rows), mask=g.random(rows) < 0.05 + 0.04 * of),
        "amount": g.lognormal(3.0, 1.0, rows),
        "age": np.clip(np.round(g.normal(45.0, 15.0, rows)), 18.0, 99.0),
        "flag": (g.random(rows) < 0.02).astype(np.int64),
        "kind": words(g, rows, {"a": 0.6, "b": 0.3, "c": 0.1}),
    }


def faults(g: Generator, found: Columns) -> Iterator[tuple[str, str, Any]]:
    """Yield each fault: its name, its column, and the column with it."""
    for name in ("load, by hour", "age"):
        values = np.asarray(found[name])
        scale = 10.0 if name != "age" else 15.0
        yield f"{name}: mean + 1 sd", name, values + scale
        yield f"{name}: mean + 2 sd", name, values + 2.0 * scale
        yield f"{name}: sentinel -999 in 2 %", name, some(g, values, 0.02, -999.0)
        yield f"{name}: unit error, times 1000 in 2 %", name, some(g, values, 0.02, lambda v: v * 1000.0)
        yield f"{name}: 20 % missing", name, pa.array(values, mask=g.random(values.size) < 0.2)
    yield "channel, by hour: 30 % of a new one", "channel, by hour", _renamed(g, found["channel, by hour"])
    yield "kind: 30 % of a new one", "kind", _renamed(g, found["kind"])


def _renamed(g: Generator, values: pa.Array) -> pa.Array:
    return pa.compute.if_else(pa.array(g.random(len(values)) < 0.3), "other", values.cast(pa.string()))


def window_of(hour: int) -> Window:
    """Return an hour since the first."""
    return Window(FIRST + timedelta(hours=hour), FIRST + timedelta(hours=hour + 1))


def baseline_of(
    analyzer: Any, batches: list[pa.RecordBatch], g: Generator, *, shuffled: bool
) -> tuple[Baseline[Any, Any], Baseline[Any, Any]]:
    """Return a baseline without and with what its windows do by themselves."""
    rows = pa.Table.from_batches(batches).combine_chunks()
    rows = rows.take(g.permutation(rows.num_rows)) if shuffled else rows
    statistics = analyzer.describe(analyzer.summarize(rows.to_batches()))
    plain = Baseline[Any, Any](statistics, analyzer.suggest(statistics, None))
    each = (
        (analyzer, window_of(hour), analyzer.describe(analyzer.summarize([batch])))
        for hour, batch in enumerate(batches)
    )
    return plain, replace(plain, variation=variation_of(each, plain, "PT1H", UTC))


def _subjects(
    checker: Checker[Any, Any], statistics: Any, baseline: Baseline[Any, Any], at: Window
) -> set[str]:
    known = baseline.variation is not None
    decision = check(checker, statistics, baseline, at) if known else checker.check(statistics, baseline)
    return {one.feature_name or one.metric_name or "" for one in decision.violations.violations}


def of_features(
    weeks: int, rows: int, seed: int, *, shuffled: bool
) -> list[tuple[Counter[str], Counter[str]]]:
    """Return, without and with what windows do: windows with alarms, and faults found, with totals."""
    g = np.random.default_rng(seed)
    analyzer = DataQualityAnalyzer(rules="sound", arrival_order=True)
    known = range(BASELINE_WEEKS * HOURS_OF_WEEK)
    batches = [pa.RecordBatch.from_pydict(features(g, rows, hour)) for hour in known]
    baselines = baseline_of(analyzer, batches, g, shuffled=shuffled)
    counts: list[tuple[Counter[str], Counter[str]]] = [(Counter(), Counter()) for _ in baselines]
    for hour in range(known.stop, known.stop + weeks * HOURS_OF_WEEK):
        drawn = features(g, rows, hour)
        changes = [("", "", None), *(faults(g, drawn) if hour % CHANGED_EVERY == 0 else ())]
        for name, column, values in changes:
            changed = {**drawn, column: values} if column else drawn
            batch = pa.RecordBatch.from_pydict(changed)
            statistics = analyzer.describe(analyzer.summarize([batch]))
            for (alarms, found), baseline in zip(counts, baselines, strict=True):
                subjects = _subjects(analyzer, statistics, baseline, window_of(hour))
                if not column:
                    alarms.update(["windows", *(["any"] if subjects else []), *subjects])
                else:
                    found.update([f"{name}|", *([name] if column in subjects else [])])
    return counts


def of_model(weeks: int, rows: int, seed: int) -> list[Counter[str]]:
    """Return, without and with what windows do: windows with an alarm, by how much worse they are."""
    g = np.random.default_rng(seed)
    model = next(one for one in MODELS if one.problem_type == "BinaryClassification")
    analyzer = model.analyzer("sound")

    def draw(hour: int, worse: float) -> pa.RecordBatch:
        return model.draw(g, rows, 0.04 + 0.04 * season(hour) + worse)

    known = range(BASELINE_WEEKS * HOURS_OF_WEEK)
    baselines = baseline_of(analyzer, [draw(hour, 0.0) for hour in known], g, shuffled=True)
    counts: list[Counter[str]] = [Counter() for _ in baselines]
    for hour in range(known.stop, known.stop + weeks * HOURS_OF_WEEK):
        for worse in (0.0, 0.1, 0.2) if hour % CHANGED_EVERY == 0 else (0.0,):
            statistics = analyzer.describe(analyzer.summarize([draw(hour, worse)]))
            for count, baseline in zip(counts, baselines, strict=True):
                subjects = _subjects(analyzer, statistics, baseline, window_of(hour))
                count.update([f"{worse}|", *([f"{worse}"] if subjects else [])])
    return counts


def _share(count: int, windows: int) -> str:
    low, high = interval(count, windows)
    return f"{count:,}/{windows:,} ({100.0 * low:.1f} to {100.0 * high:.1f} %)"


def _row(name: str, pairs: Mapping[str, tuple[int, int]]) -> None:
    print(f"| {name} | " + " | ".join(_share(*pair) for pair in pairs.values()) + " |", flush=True)


def main() -> None:
    """Print the tables of `docs/soundness.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate_seasons")
    parser.add_argument("--weeks", type=int, default=3)
    parser.add_argument("--rows", type=int, default=500, help="of an hour")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for shuffled in (False, True):
        order = "shuffled" if shuffled else "in the order of time"
        counts = of_features(given.weeks, given.rows, given.seed, shuffled=shuffled)
        print(f"\n| hours of {given.rows} rows, baseline {order} | without | with |\n|---|---|---|")
        windows = counts[0][0]["windows"]
        _row(
            "*alarms where nothing changed*",
            {str(n): (one["any"], windows) for n, (one, _) in enumerate(counts)},
        )
        for name in dict.fromkeys(key.rstrip("|") for key in counts[0][1]):
            _row(name, {str(n): (one[name], one[f"{name}|"]) for n, (_, one) in enumerate(counts)})
        print({name: count for name, count in counts[1][0].items() if name not in ("windows", "any")})
    counts_of_model = of_model(given.weeks, given.rows, given.seed)
    print("\n| a model whose errors follow the hour | without | with |\n|---|---|---|")
    for worse in ("0.0", "0.1", "0.2"):
        _row(
            f"{float(worse):.0%} more predictions turned round",
            {str(n): (one[worse], one[f"{worse}|"]) for n, one in enumerate(counts_of_model)},
        )


if __name__ == "__main__":
    main()
