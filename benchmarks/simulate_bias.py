"""How often decisions on bias are wrong: false alarms without change, a disadvantage found, honest intervals.

Draws the table of counts that a baseline and a window of a population have (the same as drawing rows and
counting them), and a share of the windows as rows through the whole analyzer. `docs/bias_decisions.md` holds
the tables of a full run.

    python -m benchmarks.simulate_bias [--windows N] [--seed S]
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

from analyzers.bias.analyzer import BiasAnalyzer, suggest
from analyzers.bias.check import tables_of
from analyzers.bias.documents import BiasStatistics, FacetStatistics, MetricValue
from analyzers.bias.metrics import METRICS, Floats
from analyzers.bias.resampling import spreads
from analyzers.bias.summary import ALL_POST, BiasRequest, FacetRequest
from analyzers.shared.rules import Rules
from contract.api import Baseline

RULES: tuple[Rules, ...] = ("sound", "sagemaker")
NO_DATA = BiasRequest("label", (1,), (), post_training=None)
WINDOW_ROWS = (500, 2_000, 20_000)
BASELINE_ROWS = (2_000, 20_000)
CHANGED_ROWS = 5_000
COVERAGE_ROWS = (500, 2_000, 20_000)
MINORITY = 0.1
# Windows without change that may alarm; the best single test is given all of it.
ALLOWED_RATE = 0.01
BOUND_WINDOWS = 20_000

Counts = npt.NDArray[np.int64]
RunAll = Callable[[Callable[["Cell"], Any], Iterable["Cell"]], Iterator[Any]]


@dataclass(frozen=True)
class Population:
    """Shares of ``cells[sex, region, stratum, observed, predicted]``; one region, one stratum where unused.

    Facets are the second sex, a minority, and, with several regions, each region in turn.
    """

    name: str
    cells: Floats

    @property
    def has_strata(self) -> bool:
        """Return whether there is a group variable."""
        return len(self.cells[0, 0]) > 1

    def groups(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield facet, value, and the axis and position that hold the group."""
        yield "sex", "1", 0, 1
        if self.cells.shape[1] > 1:
            for region in range(self.cells.shape[1]):
                yield "region", str(region), 1, region

    def changed(self) -> Population:
        """Return the population in which every other positive prediction of the minority is negative."""
        cells = self.cells.copy()
        halved = cells[1, ..., 1] / 2.0
        cells[1, ..., 1] -= halved
        cells[1, ..., 0] += halved
        return Population(self.name, cells)


def _population(
    name: str,
    positive: float,
    *,
    lower: float = 0.0,
    regions: int = 1,
    strata: int = 1,
    minority: float = MINORITY,
) -> Population:
    """Return a population whose labels are positive at a rate, predicted right four times of five.

    `lower` is by how much the minority's rate is below the others'. Strata differ in size, in rate and in
    their share of the minority.
    """
    sizes = np.arange(1.0, strata + 1.0)
    sizes /= sizes.sum()
    tilt = np.linspace(-0.5, 0.5, strata) if strata > 1 else np.zeros(1)
    cells = np.zeros((2, regions, strata, 2, 2))
    for stratum, size in enumerate(sizes):
        share = minority * (1.0 + 0.5 * tilt[stratum])
        for sex, of_sex in enumerate((1.0 - share, share)):
            rate = positive * (1.0 + 0.5 * tilt[stratum]) * (1.0 - lower * sex)
            # As many positive predictions as positive labels.
            labels = np.array([1.0 - rate, rate])
            wrong = 0.2 * rate / (1.0 - rate)
            predictions = np.array([[1.0 - wrong, wrong], [0.2, 0.8]])
            table = size * of_sex * labels[:, None] * predictions
            for region in range(regions):
                cells[sex, region, stratum] = table / regions
    return Population(name, cells / cells.sum())


POPULATIONS = (
    _population("50 % positive, fair", 0.5),
    _population("30 % positive, fair", 0.3),
    _population("30 % positive, minority 21 %", 0.3, lower=0.3),
    _population("10 % positive, fair", 0.1),
    _population("30 % positive, 5 strata", 0.3, strata=5),
    _population("30 % positive, 60 strata", 0.3, strata=60),
    _population("30 % positive, 5 facet values", 0.3, regions=4),
)


def draw_counts(population: Population, rows: int, generator: np.random.Generator) -> Counts:
    """Return how many of the rows drawn from a population are in each of its cells."""
    counts = generator.multinomial(rows, population.cells.ravel())
    return counts.reshape(population.cells.shape)


def describe(population: Population, counts: Counts) -> BiasStatistics:
    """Return the statistics of rows with these counts, without intervals."""
    facets = [_facet(population, counts, *group) for group in population.groups()]
    return BiasStatistics(int(counts.sum()), "label", "1", facets, has_labels=True, has_predictions=True)


def describe_rows(population: Population, counts: Counts) -> BiasStatistics:
    """Return the same statistics as a job makes them: of rows, by the analyzer, with intervals."""
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    columns = np.unravel_index(cells, counts.shape)
    names = ("sex", "region", "stratum", "label", "prediction")
    batch = pa.RecordBatch.from_pydict(dict(zip(names, columns, strict=True)))
    facets: dict[str, list[int]] = {}
    for facet, value, _, _ in population.groups():
        facets.setdefault(facet, []).append(int(value))
    request = BiasRequest(
        label="label",
        label_values=(1,),
        facets=tuple(FacetRequest((facet,), (value,)) for facet in facets for value in facets[facet]),
        group_variable="stratum" if population.has_strata else None,
        predicted_label="prediction",
        post_training=tuple(name for name in ALL_POST if name != "FT"),
    )
    analyzer = BiasAnalyzer("sound", request)
    return analyzer.describe(analyzer.summarize([batch]))


def _facet(
    population: Population, counts: Counts, facet: str, value: str, axis: int, position: int
) -> FacetStatistics:
    group = np.take(counts, position, axis)
    # Rest and group against stratum, observed, predicted.
    both = np.stack((counts.sum(axis=axis) - group, group)).sum(axis=1)
    strata = None
    if population.has_strata:
        strata = both.swapaxes(0, 1)
    statistics = FacetStatistics(
        facet,
        value,
        both.sum(axis=1).tolist(),
        None if strata is None else strata.sum(axis=-1).tolist(),
        None if strata is None else strata.sum(axis=-2).tolist(),
    )
    values = metric_values(statistics)
    statistics.pre, statistics.post = (
        [values[name] for name in sorted(values) if METRICS[name].stage == stage] for stage in ("pre", "post")
    )
    return statistics


def metric_values(facet: FacetStatistics) -> dict[str, MetricValue]:
    """Return every metric that follows from a group's counts."""
    tables = tables_of(facet)
    values = {}
    for name, metric in METRICS.items():
        table = tables.strata.get(name) if metric.table == "strata" else tables.confusion
        if metric.table == "neighbours" or table is None:
            continue
        value = float(metric.function(table))
        values[name] = MetricValue(name, metric.description, None if np.isnan(value) else value)
    return values


@dataclass
class Rates:
    """How many windows there were, how many raised a violation, and of which metrics."""

    windows: int = 0
    alarmed: int = 0
    metrics: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Return the share of windows with a violation."""
        return self.alarmed / max(1, self.windows)


@dataclass(frozen=True)
class Cell:
    """One cell of a table: windows of a population beside baselines of their own.

    With the change, only violations of the metrics of predictions (DPPL, DI) of the minority count. Through
    rows, every window passes the whole analyzer.
    """

    population: Population
    baseline_rows: int
    rows: int
    windows: int
    seed: int
    changed: bool = False
    through_rows: bool = False


def simulate(cell: Cell) -> dict[Rules, Rates]:
    """Return, per set of rules, how many windows raised a violation."""
    generator = np.random.default_rng(cell.seed)
    rates = {rules: Rates() for rules in RULES}
    before, now = cell.population, cell.population.changed() if cell.changed else cell.population
    look = describe_rows if cell.through_rows else describe
    for number in range(cell.windows):
        known = look(before, draw_counts(before, cell.baseline_rows, generator))
        baseline = Baseline(known, suggest(known, None))
        window = look(now, draw_counts(now, cell.rows, generator))
        for rules, rate in rates.items():
            decision = BiasAnalyzer(rules, NO_DATA, number).check(window, baseline)
            found = decision.violations.violations
            if cell.changed:
                found = [one for one in found if one.metric_name in ("DPPL", "DI")]
                found = [one for one in found if one.extra["facet"] == "sex"]
            rate.windows += 1
            rate.alarmed += bool(found)
            rate.metrics.update(violation.metric_name or "" for violation in found)
    return rates


def best_power(population: Population, baseline_rows: int, rows: int, windows: int, seed: int) -> float:
    """Return how often the best test of one question finds what `Population.changed` changes.

    It is told what a job is not: that the minority's rate of positive predictions is all to look at, and
    which way it may go; and it has all of `ALLOWED_RATE` for that. Of two proportions the uniformly most
    powerful unbiased test is Fisher's, randomised (Lehmann & Romano 2005, Testing Statistical Hypotheses,
    section 4.5), whose power is averaged over `windows` draws of counts.
    """
    generator = np.random.default_rng(seed)
    (before, before_positive), (now, now_positive) = (
        _minority(one, drawn_rows, windows, generator)
        for one, drawn_rows in ((population, baseline_rows), (population.changed(), rows))
    )
    same_margins = stats.hypergeom(before + now, before_positive + now_positive, now)
    fewer, as_many = same_margins.cdf(now_positive - 1), same_margins.pmf(now_positive)
    return float(np.mean(np.clip((ALLOWED_RATE - fewer) / as_many, 0.0, 1.0)))


def _minority(
    population: Population, rows: int, windows: int, generator: np.random.Generator
) -> tuple[Counts, Counts]:
    """Return the rows of the minority, and those of them predicted positive, per window."""
    negative, positive = population.cells[1].sum(axis=(0, 1, 2))
    drawn = generator.multinomial(rows, [negative, positive, 1.0 - negative - positive], size=windows)
    return drawn[:, 0] + drawn[:, 1], drawn[:, 1]


def coverage(population: Population, rows: int, windows: int, seed: int) -> dict[str, float]:
    """Return, per metric, the share of windows whose 95 % interval holds the population's value."""
    generator = np.random.default_rng(seed)
    very_many = np.rint(population.cells * 1e12)
    truth = metric_values(_facet(population, very_many, "sex", "1", 0, 1))
    held: Counter[str] = Counter()
    measured: Counter[str] = Counter()
    for _ in range(windows):
        facet = describe(population, draw_counts(population, rows, generator)).facets[0]
        values = {m.name: m.value for m in [*(facet.pre or []), *(facet.post or [])] if m.value is not None}
        for name, one in spreads(tables_of(facet), values, generator).items():
            value = truth[name].value
            measured[name] += 1
            held[name] += value is not None and one.interval[0] <= value <= one.interval[1]
    return {name: held[name] / measured[name] for name in sorted(measured)}


def print_false_alarms(run_all: RunAll, windows: int, seed: int) -> None:
    cells = [
        Cell(population, baseline_rows, rows, windows, seed)
        for population in POPULATIONS
        for baseline_rows in BASELINE_ROWS
        for rows in WINDOW_ROWS
    ]
    few = max(1, windows // 10)
    cells += [
        Cell(POPULATIONS[-1], BASELINE_ROWS[-1], rows, few, seed, through_rows=True) for rows in WINDOW_ROWS
    ]
    print("| population | baseline | rows | windows | false alarms, sound | false alarms, sagemaker |")
    print("|---|---:|---:|---:|---:|---:|")
    for cell, rates in zip(cells, run_all(simulate, cells), strict=True):
        shares = " | ".join(f"{100.0 * rates[rules].share:.2f} %" for rules in RULES)
        name = cell.population.name + (", through the analyzer" if cell.through_rows else "")
        print(
            f"| {name} | {cell.baseline_rows:,} | {cell.rows:,} | {cell.windows:,} | {shares} |", flush=True
        )


def print_found(run_all: RunAll, windows: int, seed: int) -> None:
    cells = [
        Cell(population, baseline_rows, CHANGED_ROWS, windows, seed, changed=True)
        for population in POPULATIONS
        for baseline_rows in BASELINE_ROWS
    ]
    print(f"\nThe minority's positive predictions halved, windows of {CHANGED_ROWS:,} rows\n")
    print("| population | baseline | found, sound | found, sagemaker | best single test |")
    print("|---|---:|---:|---:|---:|")
    for cell, rates in zip(cells, run_all(simulate, cells), strict=True):
        shares = " | ".join(f"{100.0 * rates[rules].share:.1f} %" for rules in RULES)
        best = best_power(cell.population, cell.baseline_rows, cell.rows, BOUND_WINDOWS, seed)
        print(
            f"| {cell.population.name} | {cell.baseline_rows:,} | {shares} | {100.0 * best:.1f} % |",
            flush=True,
        )


def print_coverage(run_all: RunAll, windows: int, seed: int) -> None:
    cells = [Cell(population, 0, rows, windows, seed) for population in POPULATIONS for rows in COVERAGE_ROWS]
    found = list(run_all(_coverage_of, cells))
    print("\nCoverage of 95 % intervals: mean over the populations, and the lowest\n")
    print("| metric | " + " | ".join(f"{rows:,} rows" for rows in COVERAGE_ROWS) + " |")
    print("|---|" + "---:|" * len(COVERAGE_ROWS))
    for name in sorted({name for shares in found for name in shares}):
        texts = []
        for rows in COVERAGE_ROWS:
            pairs = zip(cells, found, strict=True)
            shares = [one[name] for cell, one in pairs if cell.rows == rows and name in one]
            texts.append(f"{100.0 * np.mean(shares):.1f} % ({100.0 * min(shares):.1f} %)")
        print(f"| {name} | {' | '.join(texts)} |")


def _coverage_of(cell: Cell) -> dict[str, float]:
    return coverage(cell.population, cell.rows, cell.windows, cell.seed)


def run(windows: int, seed: int, processes: int | None = None) -> None:
    """Print all tables: `windows` per cell, a fifth as many where the change is in and for coverage.

    Parameters
    ----------
    windows
        Windows without change in each cell.
    seed
        Of everything drawn.
    processes
        How many at once; None takes one per core, 1 none beside this one.
    """
    started = time.monotonic()
    fewer = max(1, windows // 5)
    with contextlib.ExitStack() as stack:
        run_all: RunAll = map
        if processes != 1:
            spawn = multiprocessing.get_context("spawn")
            run_all = stack.enter_context(ProcessPoolExecutor(processes, mp_context=spawn)).map
        print_false_alarms(run_all, windows, seed)
        print_found(run_all, fewer, seed + 1)
        print_coverage(run_all, fewer, seed + 2)
    print(
        f"\n{windows} windows without change per cell, {fewer} with it and for coverage; a new baseline for "
        f"every window; seed {seed}; {time.monotonic() - started:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate_bias", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--windows", type=int, default=2_000, help="windows without change, per cell")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    run(arguments.windows, arguments.seed)


if __name__ == "__main__":
    main()
