"""The cells of `benchmarks/simulate.py` by other methods: the same baselines and windows, side by side.

    python -m benchmarks.simulate_peers [--windows N] [--seed S] [--only TEXT] [--without evidently]

A column counts as found, or as a false alarm, when the method flags it in the window. Each fault has two
figures: windows in which its columns are flagged with the fault, and windows in which they are without it.

sound, sagemaker
    Our rules, and those of the original containers.
evidently
    The package itself, in an environment of its own, with its defaults: it chooses each column's test.
psi
    Population stability index above 0.2 over the deciles of the baseline, or over categories, of which those
    below one in a thousand on both sides are one; missing cells are a bin of their own.
ks
    Two-sample Kolmogorov-Smirnov test of numbers, Pearson's test of categories and of missing cells, p < 0.05
    divided by their number (Bonferroni). Categories with fewer than five expected rows are one.
chunks
    As NannyML sets thresholds: Jensen-Shannon distance of each column above mean + 3 standard deviations of
    chunks of the baseline, or its share of missing cells beyond mean +- 3. Chunks are as long as the window,
    but a tenth of the baseline at most; the first 200 count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats
from scipy.spatial.distance import jensenshannon

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from benchmarks import peers_environment, simulate
from benchmarks.simulate import Draw
from contract.api import Baseline

Floats = npt.NDArray[np.float64]
METHODS = ("sound", "sagemaker", "evidently", "psi", "ks", "chunks")
CHUNKS = 200


@dataclass(frozen=True)
class Column:
    """Cells of one column: its numbers in ascending order, or how often each text occurs."""

    rows: int
    missing: int
    numbers: Floats | None
    words: pd.Series[Any]

    def words_of(self) -> pd.Series[Any]:
        return self.words if self.numbers is None else pd.Series(self.numbers).astype(str).value_counts()


Columns = dict[str, Column]
Limits = dict[str, tuple[float, float, float]]


def columns_of(frame: pd.DataFrame) -> Columns:
    """Return the columns of a frame."""
    found = {}
    for name, series in frame.items():
        present = series.dropna()
        if pd.api.types.is_numeric_dtype(present):
            numbers, words = np.sort(present.to_numpy(float)), pd.Series(dtype=int)
        else:
            numbers, words = None, present.astype(str).value_counts()
        found[str(name)] = Column(len(series), len(series) - len(present), numbers, words)
    return found


def counts(before: Column, now: Column, bins: int, expected: float = 0.0) -> tuple[Floats, Floats]:
    """Count the present values of either side by quantiles of the baseline, or by category.

    Rare categories are one: those below one in a thousand on both sides or, where `expected` is given, of
    which the smaller side would have fewer rows if both were alike.
    """
    if before.numbers is None or now.numbers is None:
        sides = [side.words_of() for side in (before, now)]
        if expected:
            together = sides[0].add(sides[1], fill_value=0)
            smaller = min(float(side.sum()) for side in sides)
            kept = sorted(together.index[together / together.sum() * smaller >= expected])
        else:
            kept = sorted(set().union(*(s.index[s >= 0.001 * max(1, s.sum())] for s in sides)))
        found = [side.reindex(kept, fill_value=0).to_numpy(float) for side in sides]
        first, second = (np.append(f, s.sum() - f.sum()) for f, s in zip(found, sides, strict=True))
        return first, second
    if not before.numbers.size:
        return np.zeros(1), np.array([float(now.numbers.size)])
    edges = np.unique(np.quantile(before.numbers, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    first, second = (
        np.diff(np.searchsorted(values, edges, side="right"), prepend=0, append=values.size).astype(float)
        for values in (before.numbers, now.numbers)
    )
    return first, second


def psi(baseline: Columns, window: Columns) -> set[str]:
    """Return the columns whose population stability index is above 0.2."""
    found = set()
    for name, column in baseline.items():
        sides = zip(counts(column, window[name], 10), (column, window[name]), strict=True)
        before, now = (np.maximum(np.append(c, side.missing) / side.rows, 1e-4) for c, side in sides)
        if float(np.sum((now - before) * np.log(now / before))) > 0.2:
            found.add(name)
    return found


def ks(baseline: Columns, window: Columns) -> set[str]:
    """Return the columns that tests at 5 %, divided by their number, tell from the baseline."""
    tests: list[tuple[str, float]] = []
    for name, before in baseline.items():
        now = window[name]
        present = [np.array([side.rows - side.missing, side.missing]) for side in (before, now)]
        tests.append((name, _homogeneous(present[0], present[1])))
        if not present[0][0] or not present[1][0]:
            continue
        if before.numbers is not None and now.numbers is not None:
            p = float(stats.ks_2samp(before.numbers, now.numbers, method="asymp").pvalue)
        else:
            p = _homogeneous(*counts(before, now, 10, expected=5.0))
        tests.append((name, p))
    return {name for name, p in tests if p < 0.05 / len(tests)}


def _homogeneous(before: npt.NDArray[Any], now: npt.NDArray[Any]) -> float:
    table = np.stack([before, now])
    table = table[:, table.sum(axis=0) > 0]
    return 1.0 if table.shape[1] < 2 else float(stats.chi2_contingency(table, correction=False).pvalue)


def chunk_limits(baseline: pd.DataFrame, rows: int) -> Limits:
    """Return of each column the limit of its distance, and both limits of its share of missing cells."""
    size, known = max(1, min(rows, len(baseline) // 10)), columns_of(baseline)
    starts = range(0, len(baseline) - size + 1, size)[:CHUNKS]
    parts = [columns_of(baseline.iloc[start : start + size]) for start in starts]
    limits = {}
    for name, column in known.items():
        distance = [_distance(column, part[name]) for part in parts]
        missing = [part[name].missing / part[name].rows for part in parts]
        middle, spread = float(np.mean(missing)), 3.0 * float(np.std(missing))
        far = float(np.mean(distance)) + 3.0 * float(np.std(distance))
        limits[name] = (far, middle - spread, middle + spread)
    return limits


def chunks(baseline: Columns, window: Columns, limits: Limits) -> set[str]:
    """Return the columns beyond the limits that chunks of the baseline gave."""
    found = set()
    for name, (far, least, most) in limits.items():
        share = window[name].missing / window[name].rows
        if _distance(baseline[name], window[name]) > far or not least <= share <= most:
            found.add(name)
    return found


def _distance(baseline: Column, window: Column) -> float:
    before, now = counts(baseline, window, 30)
    return 0.0 if not before.sum() or not now.sum() else float(jensenshannon(before, now, base=2))


def others(method: str, baseline: pd.DataFrame, windows: list[pd.DataFrame]) -> Iterator[set[str]]:
    """Yield the columns that a method written here names, window by window."""
    known = columns_of(baseline)
    limits = chunk_limits(baseline, len(windows[0])) if method == "chunks" else {}
    for window in map(columns_of, windows):
        if method == "chunks":
            yield chunks(known, window, limits)
        else:
            yield {"psi": psi, "ks": ks}[method](known, window)


def ours(
    rules: Any, cluster_by: tuple[str, ...], arrival_order: bool = True
) -> Callable[[pa.Table, list[pa.Table]], Iterator[set[str]]]:
    """Return what gives the columns that our analyzer names, window by window."""
    analyzer = DataQualityAnalyzer(rules=rules, cluster_by=cluster_by, arrival_order=arrival_order)

    def run(baseline: pa.Table, windows: list[pa.Table]) -> Iterator[set[str]]:
        statistics = analyzer.describe(analyzer.summarize(baseline.combine_chunks().to_batches()))
        known = Baseline[Any, Any](statistics, analyzer.suggest(statistics, None))
        for window in windows:
            batches = window.combine_chunks().to_batches()
            decision = analyzer.check(analyzer.describe(analyzer.summarize(batches)), known)
            names = [violation.feature_name or "" for violation in decision.violations.violations]
            # A pair of features is named by both.
            yield {name for both in names for name in both.split("', '")}

    return run


def flagged(
    draws: Mapping[str, Draw],
    controls: Mapping[str, Draw],
    sizes: tuple[int, int],
    windows: int,
    seed: int,
    methods: tuple[str, ...],
    evidently: Path | None,
    cluster_by: tuple[str, ...] = (),
    changed: bool = True,
) -> dict[str, list[set[str]]]:
    """Return, by method, the columns that each window's comparison names, with or without the faults."""
    g = np.random.default_rng(seed)
    found: dict[str, list[set[str]]] = {method: [] for method in methods}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for start in range(0, windows, simulate.WINDOWS_PER_BASELINE):
            baseline = _table(g, sizes[0], draws, controls, False)
            several = [
                _table(g, sizes[1], draws, controls, changed)
                for _ in range(min(simulate.WINDOWS_PER_BASELINE, windows - start))
            ]
            plain = [table.drop_columns(list(cluster_by)) for table in (baseline, *several)]
            frame, *frames = (table.to_pandas() for table in plain)
            for method in methods:
                if method in ("sound", "sagemaker"):
                    found[method] += ours(method, cluster_by, sizes[1] < 100_000)(baseline, several)
                elif method != "evidently":
                    found[method] += others(method, frame, frames)
            if evidently is not None and "evidently" in methods:
                pq.write_table(plain[0], folder / f"baseline-{start:05d}.parquet")
                for place, window in enumerate(plain[1:]):
                    pq.write_table(window, folder / f"window-{start:05d}-{place:05d}.parquet")
        if evidently is not None and "evidently" in methods:
            script = Path(__file__).parent / "peers" / "evidently_drift.py"
            answer = subprocess.run([evidently, script, folder], check=True, capture_output=True, text=True)
            found["evidently"] = [set(json.loads(line)) for line in answer.stdout.splitlines()]
    return found


def _table(
    g: np.random.Generator, rows: int, draws: Mapping[str, Draw], controls: Mapping[str, Draw], changed: bool
) -> pa.Table:
    batches = [simulate.batch(g, rows, draws, changed), simulate.batch(g, rows, controls, False)]
    columns = {name: batch.column(name) for batch in batches for name in batch.schema.names}
    plain = {
        name: column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for name, column in columns.items()
    }
    return pa.table(plain)


def _bounds(count: int, windows: int) -> str:
    low, high = simulate.interval(count, windows)
    return f"{count}/{windows} ({100.0 * low:.1f} to {100.0 * high:.1f} %)"


def _hits(name: str, sets: list[set[str]]) -> int:
    return sum(any(column.split("|")[0] == name for column in columns) for columns in sets)


def _row(words: str, cells: list[str]) -> None:
    print(f"| {' | '.join([words, *cells])} |", flush=True)


def _tell(words: str, found: Mapping[str, list[set[str]]]) -> None:
    """Say on the error stream which columns were flagged most often."""
    for method, sets in found.items():
        often = Counter(column for columns in sets for column in columns).most_common(6)
        print(f"{words}: {method}: {dict(often)}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate_peers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--windows", type=int, default=100, help="windows of each cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="cells with this text; 'see' or 'bear' for one table")
    parser.add_argument(
        "--baseline", type=int, action="append", default=[], help="only baselines of so many rows"
    )
    parser.add_argument("--without", action="append", default=[], choices=METHODS)
    parser.add_argument(
        "--environment", type=Path, default=Path(".cache/peers-venv"), help="of the package evidently"
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    methods = tuple(method for method in METHODS if method not in arguments.without)
    evidently = peers_environment.prepare(arguments.environment) if "evidently" in methods else None
    windows, seed, only = arguments.windows, arguments.seed, arguments.only
    rule = f"|{'---|' * (len(methods) + 1)}"
    if not only or only == "see":
        print(f"| must see: flagged with the fault, and without | {' | '.join(methods)} |\n{rule}")
        for faults, sizes in ((simulate.SEE, (20_000, 5_000)), (simulate.LARGE_SEE, (20_000, 20_000))):
            controls = (
                {"control": lambda g, n, changed: simulate.kinds(g, n)} if faults is simulate.SEE else {}
            )
            seen, still = (
                flagged(faults, kept, sizes, windows, seed + place, methods, evidently, (), not place)
                for place, kept in ((0, controls), (1, {}))
            )
            for name in faults:
                cells = [
                    ", ".join(_bounds(_hits(name, sets[m]), len(sets[m])) for sets in (seen, still))
                    for m in methods
                ]
                _row(name, cells)
            if controls:
                cells = [_bounds(_hits("control", seen[m]), len(seen[m])) for m in methods]
                _row("*alarms in columns without a fault*", cells)
                _tell("without a fault", still)
                _tell("with", seen)
        print()
    print(f"| must bear | {' | '.join(methods)} |\n{rule}")
    for cell in simulate.bears():
        if only != "bear" and only not in cell.name:
            continue
        for baseline_rows in cell.baseline_rows:
            if baseline_rows not in (arguments.baseline or cell.baseline_rows):
                continue
            sizes = (baseline_rows, cell.window_rows)
            count = max(1, int(windows * cell.part))
            draws = {"control": cell.draw}
            found = flagged(draws, {}, sizes, count, seed, methods, evidently, cell.cluster_by)
            words = f"{cell.name}, {sizes[0]:,}/{sizes[1]:,}"
            _row(words, [_bounds(sum(map(bool, found[m])), len(found[m])) for m in methods])
            _tell(words, found)


if __name__ == "__main__":
    main()
