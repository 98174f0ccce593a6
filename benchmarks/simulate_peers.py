"""The cells of `benchmarks/simulate.py` by other methods: the same baselines and windows, side by side.

    python -m benchmarks.simulate_peers [--windows N] [--seed S] [--only TEXT] [--without evidently]

A column counts as found, or as a false alarm, when the method flags it in the window.

sagemaker
    the rules of the original containers (`rules=sagemaker`).
evidently
    `DataDriftPreset` with its defaults: the package itself, in an environment of its own.
psi
    Population stability index above 0.2 over the deciles of the baseline, or over categories, of which those
    below one in a thousand on both sides are one; missing cells are a bin of their own.
ks
    Two-sample Kolmogorov-Smirnov test of numbers, Pearson's test of categories and of missing cells, p < 0.05
    divided by their number (Bonferroni).
chunks
    As NannyML sets thresholds: Jensen-Shannon distance of each column, and its share of missing cells,
    beyond mean +- 3 standard deviations of chunks of the baseline, as long as the window, 10 at least.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
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

Counts = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
METHODS = ("sound", "sagemaker", "evidently", "psi", "ks", "chunks")


def counts(baseline: pd.Series[Any], window: pd.Series[Any], bins: int) -> Counts:
    """Count the present values of either side by quantiles of the baseline, or by category."""
    first, second = baseline.dropna(), window.dropna()
    if not (pd.api.types.is_numeric_dtype(first) and pd.api.types.is_numeric_dtype(second)):
        frequent = [side.astype(str).value_counts(normalize=True) for side in (first, second)]
        kept = set().union(*(shares.index[shares >= 0.001] for shares in frequent))
        both = [side.astype(str).where(side.astype(str).isin(kept), "others") for side in (first, second)]
        names = [*kept, "others"]
        found = [side.value_counts().reindex(names, fill_value=0).to_numpy(float) for side in both]
        return found[0], found[1]
    edges = np.unique(np.quantile(first, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    sides = [
        np.bincount(np.searchsorted(edges, side, side="left"), minlength=edges.size + 1)
        for side in (first, second)
    ]
    return sides[0].astype(float), sides[1].astype(float)


def psi(baseline: pd.DataFrame, window: pd.DataFrame) -> set[str]:
    """Return the columns whose population stability index is above 0.2."""
    found = set()
    for name in baseline:
        before, now = counts(baseline[name], window[name], 10)
        before = np.append(before, baseline[name].isna().sum()) / len(baseline)
        now = np.append(now, window[name].isna().sum()) / len(window)
        before, now = np.maximum(before, 1e-4), np.maximum(now, 1e-4)
        if float(np.sum((now - before) * np.log(now / before))) > 0.2:
            found.add(str(name))
    return found


def ks(baseline: pd.DataFrame, window: pd.DataFrame) -> set[str]:
    """Return the columns that tests at 5 %, divided by their number, tell from the baseline."""
    tests: list[tuple[str, float]] = []
    for name in map(str, baseline):
        first, second = baseline[name], window[name]
        tests.append(
            (
                name,
                _homogeneous(
                    *((np.array([len(s) - s.isna().sum(), s.isna().sum()])) for s in (first, second))
                ),
            )
        )
        first, second = first.dropna(), second.dropna()
        if first.empty or second.empty:
            continue
        if pd.api.types.is_numeric_dtype(first) and pd.api.types.is_numeric_dtype(second):
            tests.append((name, float(stats.ks_2samp(first, second, method="asymp").pvalue)))
        else:
            tests.append((name, _homogeneous(*counts(first, second, 10))))
    return {name for name, p in tests if p < 0.05 / len(tests)}


def _homogeneous(before: npt.NDArray[Any], now: npt.NDArray[Any]) -> float:
    table = np.stack([before, now])
    table = table[:, table.sum(axis=0) > 0]
    return 1.0 if table.shape[1] < 2 else float(stats.chi2_contingency(table, correction=False).pvalue)


def chunks(baseline: pd.DataFrame, window: pd.DataFrame) -> set[str]:
    """Return the columns beyond mean +- 3 standard deviations of the baseline's chunks."""
    size = min(len(window), len(baseline) // 10)
    parts = [baseline.iloc[start : start + size] for start in range(0, len(baseline) - size + 1, size)]
    found = set()
    for name in map(str, baseline):
        distance = [_distance(baseline[name], part[name]) for part in parts]
        missing = [float(part[name].isna().mean()) for part in parts]
        for seen, values in (
            (_distance(baseline[name], window[name]), distance),
            (float(window[name].isna().mean()), missing),
        ):
            spread = 3.0 * float(np.std(values))
            if abs(seen - float(np.mean(values))) > spread:
                found.add(name)
    return found


def _distance(baseline: pd.Series[Any], window: pd.Series[Any]) -> float:
    before, now = counts(baseline, window, 30)
    return 0.0 if not before.sum() or not now.sum() else float(jensenshannon(before, now, base=2))


OTHERS: dict[str, Callable[[pd.DataFrame, pd.DataFrame], set[str]]] = {"psi": psi, "ks": ks, "chunks": chunks}


def ours(rules: Any, cluster_by: tuple[str, ...]) -> Callable[[pa.Table, list[pa.Table]], Iterator[set[str]]]:
    """Return what gives the columns that our analyzer names, window by window."""
    analyzer = DataQualityAnalyzer(rules=rules, cluster_by=cluster_by)

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
) -> dict[str, list[set[str]]]:
    """Return, by method, the columns that each window's comparison names."""
    g = np.random.default_rng(seed)
    found: dict[str, list[set[str]]] = {method: [] for method in methods}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for start in range(0, windows, simulate.WINDOWS_PER_BASELINE):
            baseline = _table(g, sizes[0], draws, controls, changed=False)
            several = [
                _table(g, sizes[1], draws, controls, changed=True)
                for _ in range(min(simulate.WINDOWS_PER_BASELINE, windows - start))
            ]
            for method in methods:
                if method in ("sound", "sagemaker"):
                    found[method] += ours(method, cluster_by)(baseline, several)
                elif method in OTHERS:
                    frames = [window.to_pandas() for window in several]
                    found[method] += [OTHERS[method](baseline.to_pandas(), frame) for frame in frames]
            if evidently is not None and "evidently" in methods:
                pq.write_table(baseline, folder / f"baseline-{start:05d}.parquet")
                for place, window in enumerate(several):
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


def _row(words: list[str], shares: Mapping[str, int], windows: Mapping[str, int]) -> None:
    cells = [f"{shares[method]}/{windows[method]}" for method in shares]
    print(f"| {' | '.join([*words, *cells])} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate_peers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--windows", type=int, default=100, help="windows of each cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", default="", help="cells whose name has this text; 'see' for what must be seen"
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
        print(f"| must see | {' | '.join(methods)} |\n{rule}")
        for faults, sizes in ((simulate.SEE, (20_000, 5_000)), (simulate.LARGE_SEE, (20_000, 20_000))):
            controls = (
                {"control": lambda g, n, changed: simulate.kinds(g, n)} if faults is simulate.SEE else {}
            )
            found = flagged(faults, controls, sizes, windows, seed, methods, evidently)
            sums = {method: len(sets) for method, sets in found.items()}
            for name in [*faults, *controls]:
                hits = {
                    method: sum(any(column.split("|")[0] == name for column in columns) for columns in sets)
                    for method, sets in found.items()
                }
                _row(["*alarms in columns without a fault*" if name == "control" else name], hits, sums)
        print()
    print(f"| must bear | {' | '.join(methods)} |\n{rule}")
    for cell in simulate.bears():
        if only not in cell.name or cell.window_rows > 100_000:
            continue
        sizes = (cell.baseline_rows[-1], cell.window_rows)
        count = max(1, int(windows * cell.part))
        found = flagged({"control": cell.draw}, {}, sizes, count, seed, methods, evidently, cell.cluster_by)
        alarms = {method: sum(map(bool, sets)) for method, sets in found.items()}
        words = [f"{cell.name}, {sizes[0]:,}/{sizes[1]:,}"]
        _row(words, alarms, {method: len(sets) for method, sets in found.items()})


if __name__ == "__main__":
    main()
