"""What the decisions of data quality must see and what they must bear, measured.

Draws baselines and windows as tables, passes them through the analyzer as record batches, and counts
violations. The faults to be seen stand in separate columns of one table, beside columns without a fault, so
that one window measures them all. `docs/soundness.md` holds the tables of a full run; those of model quality
(`benchmarks/simulate_model_quality.py`) and of bias (`benchmarks/simulate_bias.py`) follow.

    python -m benchmarks.simulate [--windows N] [--seed S] [--only TEXT]
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from analyzers.shared.rules import Rules
from benchmarks import simulate_bias, simulate_model_quality
from contract.api import Baseline, Decision

# A baseline is drawn once and used for many windows; a new one now and then averages over lucky ones.
WINDOWS_PER_BASELINE = 20

Generator = np.random.Generator
Floats = npt.NDArray[np.float64]
Table = dict[str, Any]
# Draws columns of so many rows, with or without the fault.
Draw = Callable[[Generator, int, bool], Table]


def texts(codes: npt.NDArray[Any], names: Iterable[str]) -> pa.Array:
    """Return texts by their places."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(names)))


def words(generator: Generator, rows: int, shares: Mapping[str, float]) -> pa.Array:
    """Draw texts with these shares."""
    cumulative = np.cumsum(list(shares.values()))
    return texts(np.searchsorted(cumulative / cumulative[-1], generator.random(rows), side="right"), shares)


def zipf(generator: Generator, rows: int, values: int, exponent: float) -> npt.NDArray[np.int64]:
    """Draw places of values of which the n-th is ``n ** -exponent`` times as frequent as the first."""
    cumulative = np.cumsum(np.arange(1, values + 1) ** -exponent)
    return np.searchsorted(cumulative / cumulative[-1], generator.random(rows), side="right")


def some(generator: Generator, values: Floats, share: float, replacement: Any) -> Floats:
    """Return the values with a share of them replaced, by a number or by a function of them."""
    chosen = generator.random(values.size) < share
    return np.where(chosen, replacement(values) if callable(replacement) else replacement, values)


def masked(generator: Generator, values: Any, share: float) -> pa.Array:
    """Return the values, a share of them missing."""
    return pa.array(values, mask=generator.random(len(values)) < share)


def _amounts(g: Generator, n: int) -> Floats:
    return np.round(g.lognormal(3.0, 1.0, n), 2)


def _ages(g: Generator, n: int) -> Floats:
    return np.clip(np.round(g.normal(45.0, 15.0, n)), 18.0, 99.0)


def _frozen(values: Floats, share: float) -> Floats:
    start = int(values.size * (1.0 - share))
    return np.append(values[:start], np.full(values.size - start, values[start]))


def _number(
    name: str, draw: Callable[[Generator, int], Floats], fault: Callable[[Generator, Floats], Any]
) -> Draw:
    return lambda g, n, changed: {name: fault(g, draw(g, n)) if changed else draw(g, n)}


def _normals(g: Generator, n: int) -> Floats:
    return g.normal(50.0, 10.0, n)


def _binary(before: float, now: float) -> Draw:
    return lambda g, n, changed: {"": (g.random(n) < (now if changed else before)).astype(np.int64)}


def _text(before: Mapping[str, float], now: Mapping[str, float]) -> Draw:
    return lambda g, n, changed: {"": words(g, n, now if changed else before)}


def _many_texts(fault: Callable[[Generator, npt.NDArray[np.int64]], tuple[npt.NDArray[Any], str]]) -> Draw:
    def draw(g: Generator, n: int, changed: bool) -> Table:
        codes, prefix = zipf(g, n, 5_000, 0.7), "word"
        if changed:
            codes, prefix = fault(g, codes)
        return {"": texts(codes, [f"{prefix} {place}" for place in range(5_001)])}

    return draw


def _ids(g: Generator, n: int, constant: float) -> pa.Array:
    codes = np.where(g.random(n) < constant, 0, g.integers(1, 1 << 60, n))
    return pa.array([f"user-{code}" for code in codes.tolist()])


def _filled(g: Generator, values: pa.Array, share: float) -> pa.Array:
    return pc.if_else(pa.array(g.random(len(values)) < share), "n/k", values.dictionary_decode())


def _pair(g: Generator, n: int, correlation: float) -> tuple[Floats, Floats]:
    first, noise = g.normal(size=(2, n))
    return first, correlation * first + math.sqrt(1.0 - correlation**2) * noise


def _correlated(g: Generator, n: int, changed: bool) -> Table:
    first, second = _pair(g, n, 0.3 if changed else 0.0)
    return {"": first, "2": second}


def _swapped(g: Generator, n: int, changed: bool) -> Table:
    first, second = _pair(g, n, 0.6)
    third = g.normal(size=n)
    return {"": second, "2": first, "3": third} if changed else {"": first, "2": third, "3": second}


def _imputed(g: Generator, n: int, changed: bool) -> Table:
    values = _normals(g, n)
    return {"": some(g, values, 0.1, 50.1) if changed else masked(g, values, 0.1)}


def _texts_among_numbers(g: Generator, n: int, changed: bool) -> Table:
    found = pa.array(np.round(_normals(g, n)).astype(np.int64)).cast(pa.string())
    return {"": pa.compute.if_else(pa.array(g.random(n) < (0.02 if changed else 0.0)), "unknown", found)}


_FOUR = {"north": 0.5, "south": 0.3, "east": 0.15, "west": 0.05}
_TEN = {f"value {place}": 0.1 for place in range(10)}
_TEN_MOVED = {name: 0.15 if place % 2 else 0.05 for place, name in enumerate(_TEN)}

SEE: dict[str, Draw] = {
    "sentinel -999 in 1 % of ages": _number("", _ages, lambda g, v: some(g, v, 0.01, -999.0)),
    "sentinel 0 in 1 %, inside the range": _number(
        "", lambda g, n: g.normal(size=n), lambda g, v: some(g, v, 0.01, 0.0)
    ),
    "unit error, times 1000 in 1 %": _number("", _amounts, lambda g, v: some(g, v, 0.01, lambda x: 1e3 * x)),
    "sign flip in 1 % of amounts": _number("", _amounts, lambda g, v: some(g, v, 0.01, np.negative)),
    "outliers, times 100 in 1 %": _number("", _normals, lambda g, v: some(g, v, 0.01, lambda x: 1e2 * x)),
    "top 5 % times ten": _number("", _amounts, lambda g, v: np.where(v > 104.0, 10.0 * v, v)),
    "frozen last 15 %": _number("", _normals, lambda g, v: _frozen(v, 0.15)),
    "10 % missing, now imputed by one value": _imputed,
    "mean + 0.2 sd": _number("", _normals, lambda g, v: v + 2.0),
    "mean + 0.2 sd, ages": _number("", _ages, lambda g, v: v + 3.0),
    "mean - 0.2 sd": _number("", _normals, lambda g, v: v - 2.0),
    "sd times 1.5": _number("", _normals, lambda g, v: 50.0 + 1.5 * (v - 50.0)),
    "sd times 0.67": _number("", _normals, lambda g, v: 50.0 + 0.67 * (v - 50.0)),
    "half of the window + 1 sd": _number(
        "", _normals, lambda g, v: v + 10.0 * (np.arange(v.size) > v.size / 2)
    ),
    "binary 0.2 -> 2 %": _binary(0.002, 0.02),
    "binary 30 -> 38 %": _binary(0.3, 0.38),
    "binary 50 -> 58 %": _binary(0.5, 0.58),
    "category of 5 % gone": _text(_FOUR, {**_FOUR, "north": 0.55, "west": 0.0}),
    "new category at 1 %": _text(_FOUR, {**_FOUR, "north": 0.49, "up": 0.01}),
    "ten categories by 5 points each": _text(_TEN, _TEN_MOVED),
    "5,000 texts, new vocabulary": _many_texts(lambda g, codes: (codes, "term")),
    "5,000 texts, one constant": _many_texts(lambda g, codes: (np.zeros_like(codes), "word")),
    "5,000 texts, half unknown": _many_texts(
        lambda g, codes: (np.where(g.random(codes.size) < 0.5, 5_000, codes), "word")
    ),
    "id made constant": lambda g, n, changed: {"": _ids(g, n, float(changed))},
    "id, half of the rows one value": lambda g, n, changed: {"": _ids(g, n, 0.5 * changed)},
    "5,000 texts, half n/k, new vocabulary": lambda g, n, changed: {
        "": _filled(
            g,
            texts(zipf(g, n, 5_000, 0.7), [f"{'term' if changed else 'word'} {i}" for i in range(5_000)]),
            0.5,
        )
    },
    "correlation 0 -> 0.3": _correlated,
    "two columns swapped, equal margins": _swapped,
    "2 % text in a column of numbers": _texts_among_numbers,
    "missing 0 -> 1 %": lambda g, n, changed: {"": masked(g, _normals(g, n), 0.01 * changed)},
    "missing 2 -> 5 %": lambda g, n, changed: {"": masked(g, _normals(g, n), 0.05 if changed else 0.02)},
}
LARGE_SEE: dict[str, Draw] = {
    "sd times 1.25": _number("", _normals, lambda g, v: 50.0 + 1.25 * (v - 50.0)),
}


def kinds(g: Generator, n: int) -> Table:
    """Draw independent rows of the kinds of features that occur in practice."""
    return {
        "normal": _normals(g, n),
        "exponential": g.exponential(3.0, n),
        "amount": _amounts(g, n),
        "duration": g.lognormal(0.0, 2.0, n),
        "Cauchy": g.standard_cauchy(n),
        "Pareto": g.pareto(0.8, n),
        "zero-inflated": np.where(g.random(n) < 0.7, 0.0, _amounts(g, n)),
        "flag": (g.random(n) < 0.3).astype(np.int64),
        "rare flag": (g.random(n) < 0.003).astype(np.int64),
        "visits": g.poisson(3.0, n),
        "long-tailed count": np.minimum(g.zipf(2.0, n), 100_000),
        "age": _ages(g, n).astype(np.int64),
        "grid": np.round(g.normal(size=n), 1),
        "hour": g.integers(0, 24, n),
        "2 % missing": masked(g, g.normal(size=n), 0.02),
        "0.1 % missing": masked(g, g.normal(size=n), 0.001),
        "99 % missing": masked(g, g.normal(size=n), 0.99),
        "constant": np.full(n, 7),
        "four values": words(g, n, _FOUR),
        "200 values": texts(zipf(g, n, 200, 1.0), map(str, range(200))),
        "rare categories": texts(zipf(g, n, 2_000, 2.5), [f"c{place}" for place in range(2_000)]),
        "5,000 texts": texts(zipf(g, n, 5_000, 0.7), [f"w{place}" for place in range(5_000)]),
        "text, 30 % missing": masked(g, words(g, n, _TEN).dictionary_decode(), 0.3),
        "id": _ids(g, n, 0.0),
    }


def _of_noise(g: Generator, noise: Callable[[], Floats]) -> Table:
    """Return features of several kinds, each of a normal process of its own."""
    n = noise().size
    uniform = [np.array(normal_cdf(noise())) for _ in range(3)]
    return {
        "normal": noise(),
        "lognormal": np.round(np.exp(1.5 * noise()), 2),
        "half": noise() + g.normal(size=n),
        "counts": np.floor(np.exp(noise())).astype(np.int64),
        "flag": (noise() > 0.5).astype(np.int64),
        "rare flag": (noise() > 2.5).astype(np.int64),
        "missing": pa.array(g.normal(size=n), mask=noise() > 1.8),
        "four values": texts(np.minimum(np.floor(4.0 * uniform[0]), 3), ["a", "b", "c", "d"]),
        "300 values": texts(np.floor(300.0 * uniform[1] ** 3), map(str, range(300))),
        "3,000 values": texts(np.floor(3_000.0 * uniform[2] ** 2), [f"v{place}" for place in range(3_000)]),
        "independent": g.normal(size=n),
    }


def normal_cdf(values: Floats) -> Floats:
    # Abramowitz & Stegun 26.2.17 is finer than any share here.
    t = 1.0 / (1.0 + 0.2316419 * np.abs(values))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    upper = np.exp(-values * values / 2.0) / math.sqrt(2.0 * math.pi) * series
    return np.clip(np.where(values > 0.0, 1.0 - upper, upper), 0.0, 1.0 - 1e-12)


def sessions(length: int) -> Callable[[Generator, int], Table]:
    """Return what draws rows in sessions of equal cells, of this length."""
    return lambda g, n: _of_noise(g, lambda: np.repeat(g.normal(size=n // length + 1), length)[:n])


def long_sessions(mean: int) -> Callable[[Generator, int], Table]:
    """Return what draws rows in sessions of geometric length."""

    def draw(g: Generator, n: int) -> Table:
        place = np.cumsum(g.random(n) < 1.0 / mean)
        return _of_noise(g, lambda: g.normal(size=place[-1] + 1)[place])

    return draw


def autoregressive(coefficient: float) -> Callable[[Generator, int], Table]:
    """Return what draws rows that depend on the row before."""

    def noise(g: Generator, n: int) -> Floats:
        from scipy.signal import lfilter

        steps = g.normal(size=n + 500) * math.sqrt(1.0 - coefficient**2)
        return np.asarray(lfilter([1.0], [1.0, -coefficient], steps)[500:])

    return lambda g, n: _of_noise(g, lambda: noise(g, n))


def _word_groups(g: Generator, n: int) -> Table:
    return {
        f"groups of {length}, {values}": texts(
            np.repeat(zipf(g, n // length + 1, values, exponent), length)[:n],
            [f"w{place}" for place in range(values)],
        )
        for length, values, exponent in ((2, 300, 1.0), (3, 1_000, 1.3), (10, 1_000, 1.3), (10, 20_000, 0.8))
    }


def _fillers(g: Generator, n: int) -> Table:
    """Draw ids of which a fixed share is one stand-in."""
    return {f"{share:.1%} n/k": _ids(g, n, share) for share in (0.02, 0.125, 0.3, 0.5, 0.87)}


def _wide(g: Generator, n: int) -> Table:
    shared = g.normal(size=n)
    table: Table = {f"r{place}": 0.9 * shared + 0.4 * g.normal(size=n) for place in range(100)}
    table |= {f"n{place}": g.normal(size=n) for place in range(200)}
    table |= {f"c{place}": words(g, n, _TEN) for place in range(100)}
    return table | {f"f{place}": (g.random(n) < 0.001 * (place + 1)).astype(np.int64) for place in range(100)}


def _trivial(g: Generator, n: int, changed: bool) -> Table:
    """Draw rows with changes that nobody would act on."""
    c = float(changed)
    return {
        "missing 2 -> 2.1 %": masked(g, g.normal(size=n), 0.02 + 0.001 * c),
        "flag 50 -> 51 %": (g.random(n) < 0.5 + 0.01 * c).astype(np.int64),
        "mean + 0.03 sd": g.normal(0.03 * c, 1.0, n),
        "new category at 0.1 %": words(g, n, {**_FOUR, "up": 0.001 * c}),
        "outliers in 0.05 %": some(g, g.normal(size=n), 0.0005 * c, 100.0),
        "text among numbers": g.integers(0, 100, n),
    }


@dataclass(frozen=True)
class Bear:
    """Rows without a change worth an alarm; the same windows are held to a baseline of each size."""

    name: str
    baseline_rows: tuple[int, ...]
    window_rows: int
    draw: Draw
    part: float = 1.0
    cluster_by: tuple[str, ...] = ()


def _still(draw: Callable[[Generator, int], Table]) -> Draw:
    return lambda g, n, changed: draw(g, n)


def _shuffled(length: int) -> Draw:
    """Return what draws sessions of this length whose rows come in no order, and their ids."""

    def draw(g: Generator, n: int) -> Table:
        table = {"session": np.repeat(g.integers(0, 1 << 60, n // length + 1), length)[:n]}
        order = g.permutation(n)
        found = {**table, **sessions(length)(g, n)}
        return {name: pa.array(column).take(order) for name, column in found.items()}

    return _still(draw)


def _copied(times: int) -> Draw:
    """Return what draws independent rows, of a window each so often in a row."""

    def draw(g: Generator, n: int, changed: bool) -> Table:
        copies = times if changed else 1
        table = kinds(g, -(-n // copies))
        places = pa.array(np.repeat(np.arange(-(-n // copies)), copies)[:n])
        return {name: pa.array(column).take(places) for name, column in table.items() if name != "id"}

    return draw


def bears() -> list[Bear]:
    both = [
        ("independent rows of 24 kinds", _still(kinds)),
        *((f"sessions of {length}", _still(sessions(length))) for length in (2, 10, 50)),
        ("sessions, geometric, mean 10", _still(long_sessions(10))),
        *((f"AR(1) {c}", _still(autoregressive(c))) for c in (0.3, 0.5, 0.7, 0.9)),
        ("words in groups of 2, 3 and 10", _still(_word_groups)),
        ("ids with one frequent filler", _still(_fillers)),
    ]
    found = [Bear(name, (2_000, 20_000), 5_000, draw) for name, draw in both]
    known = ("control|session",)
    shuffled = [
        Bear(f"sessions of {n}, shuffled, cluster_by", (20_000,), 5_000, _shuffled(n), cluster_by=known)
        for n in (2, 10, 50)
    ]
    return [
        *found,
        *shuffled,
        Bear("independent rows, tiny baseline", (100,), 5_000, _still(kinds)),
        Bear("independent rows, small windows", (20_000,), 500, _still(kinds)),
        Bear("independent rows, 10-row windows", (20_000,), 10, _still(kinds)),
        Bear("independent rows, optional members in windows of 50", (2_000,), 50, _still(kinds)),
        *(
            Bear(f"rows written {times} times, in windows of {rows} only", (20_000,), rows, _copied(times))
            for times, rows in ((2, 20), (2, 42), (3, 20), (3, 42))
        ),
        Bear("500 columns", (5_000,), 2_000, _still(_wide), 0.1),
        Bear("1,000,000 rows, trivial change", (20_000,), 1_000_000, _trivial, 0.05),
    ]


@dataclass
class Rates:
    """Windows, those with an alarm in a column without a fault, and those in which each fault was found."""

    windows: int = 0
    alarmed: int = 0
    alarms: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)


def interval(count: int, windows: int) -> tuple[float, float]:
    """Return Wilson's interval of a share at 95 %."""
    z = NormalDist().inv_cdf(0.975)
    share, scale = count / windows, 1.0 + z * z / windows
    centre = share + z * z / (2.0 * windows)
    width = z * math.sqrt(share * (1.0 - share) / windows + z * z / (4.0 * windows * windows))
    return max(0.0, (centre - width) / scale), min(1.0, (centre + width) / scale)


def batch(g: Generator, rows: int, draws: Mapping[str, Draw], changed: bool) -> pa.RecordBatch:
    """Draw the columns of all faults, changed or not; each is named by its fault and its part."""
    columns = {
        f"{name}|{part}": column
        for name, draw in draws.items()
        for part, column in draw(g, rows, changed).items()
    }
    return pa.RecordBatch.from_pydict(columns)


def measure(
    draws: Mapping[str, Draw],
    controls: Mapping[str, Draw],
    sizes: tuple[int, int],
    windows: int,
    seed: int,
    rules: Rules = "sound",
) -> Rates:
    """Count over windows in which `draws` are changed and `controls` are not.

    Parameters
    ----------
    draws, controls
        Columns by name of the fault.
    sizes
        Rows of a baseline and of a window.
    windows, seed
        How many windows, and of the random generator.
    rules
        ``sound`` or ``sagemaker``.
    """
    g = np.random.default_rng(seed)
    analyzer = DataQualityAnalyzer(rules=rules, arrival_order=max(sizes) < 100_000)
    rates, baseline = Rates(), Baseline[Any, Any]()
    for number in range(windows):
        if number % WINDOWS_PER_BASELINE == 0:
            baseline = _baseline(analyzer, [batch(g, sizes[0], part, False) for part in (draws, controls)])
        window = _join([batch(g, sizes[1], draws, True), batch(g, sizes[1], controls, False)])
        decision = analyzer.check(analyzer.describe(analyzer.summarize([window])), baseline)
        _count(rates, decision, controls)
    return rates


def _join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    columns = {name: batch.column(name) for batch in batches for name in batch.schema.names}
    return pa.RecordBatch.from_pydict(columns)


def _baseline(analyzer: DataQualityAnalyzer, batches: list[pa.RecordBatch]) -> Baseline[Any, Any]:
    statistics = analyzer.describe(analyzer.summarize([_join(batches)]))
    return Baseline(statistics, analyzer.suggest(statistics, None))


def _count(rates: Rates, decision: Decision, controls: Mapping[str, Draw]) -> None:
    subjects = {
        (violation.feature_name or "", str(violation.constraint_check_type))
        for violation in decision.violations.violations
    }
    false = {subject for subject in subjects if subject[0].split("|")[0] in controls}
    rates.windows += 1
    rates.alarmed += bool(false)
    rates.alarms.update(f"{name.split('|')[1]} ({check})" for name, check in false)
    rates.found.update({name.split("|")[0] for name, _ in subjects - false})


def see(windows: int, seed: int, rules: Rules = "sound", only: str = "") -> dict[str, Rates]:
    """Return the rates of everything that must be seen, by fault; `only` those whose name has this text."""
    controls = {"control": _still(kinds)}
    found: dict[str, Rates] = {}
    for faults, others, rows in ((SEE, controls, 5_000), (LARGE_SEE, {}, 20_000)):
        chosen = {name: draw for name, draw in faults.items() if only in name}
        if chosen:
            found |= dict.fromkeys(chosen, measure(chosen, others, (20_000, rows), windows, seed, rules))
    return found


def bear(cell: Bear, windows: int, seed: int, rules: Rules = "sound") -> list[Rates]:
    """Return the rates of rows without a change worth an alarm, by size of the baseline."""
    g = np.random.default_rng(seed)
    analyzer = DataQualityAnalyzer(
        rules=rules, arrival_order=cell.window_rows < 100_000, cluster_by=cell.cluster_by
    )
    rates = [Rates() for _ in cell.baseline_rows]
    baselines: list[Baseline[Any, Any]] = []
    draws = {"control": cell.draw}
    for number in range(max(1, int(windows * cell.part))):
        if number % WINDOWS_PER_BASELINE == 0:
            baselines = [_baseline(analyzer, [batch(g, rows, draws, False)]) for rows in cell.baseline_rows]
        window = analyzer.describe(analyzer.summarize([batch(g, cell.window_rows, draws, True)]))
        for rate, baseline in zip(rates, baselines, strict=True):
            _count(rate, analyzer.check(window, baseline), draws)
    return rates


# One window with eleven faults at once.
ELEVEN: dict[str, Draw] = {
    "sentinel -999 in 5 % of ages": _number("", _ages, lambda g, v: some(g, v, 0.05, -999.0)),
    "a correlation of 0.95": lambda g, n, changed: dict(
        zip(("", "2"), _pair(g, n, 0.95 if changed else 0.0), strict=True)
    ),
} | {
    name: SEE[name]
    for name in (
        "5,000 texts, one constant",
        "top 5 % times ten",
        "binary 0.2 -> 2 %",
        "unit error, times 1000 in 1 %",
        "frozen last 15 %",
        "10 % missing, now imputed by one value",
        "category of 5 % gone",
        "id made constant",
        "missing 2 -> 5 %",
    )
}


def eleven(windows: int, seed: int) -> tuple[Rates, dict[str, str], Rates]:
    """Return the rates of eleven faults in one window, what is said of each, and the rates of its control."""
    g, analyzer = np.random.default_rng(seed), DataQualityAnalyzer()
    found, control, said = Rates(), Rates(), dict[str, str]()
    baseline = Baseline[Any, Any]()
    for number in range(windows):
        if number % WINDOWS_PER_BASELINE == 0:
            baseline = _baseline(analyzer, [batch(g, 20_000, ELEVEN, False)])
        for changed, rates in ((True, found), (False, control)):
            window = batch(g, 5_000, ELEVEN, changed)
            decision = analyzer.check(analyzer.describe(analyzer.summarize([window])), baseline)
            _count(rates, decision, {} if changed else ELEVEN)
            for violation in decision.violations.violations if changed else ():
                said.setdefault((violation.feature_name or "").split("|")[0], violation.description)
    return found, said, control


def _share(count: int, windows: int) -> str:
    low, high = interval(count, windows)
    return f"{count:,}/{windows:,} ({100.0 * low:.1f} to {100.0 * high:.1f} %)"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--windows", type=int, default=1_000, help="windows of each cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only",
        default="",
        help="cells or faults whose name has this text; 'see' for all faults, 'eleven' for eleven at once",
    )
    arguments = parser.parse_args()
    windows, seed, only = arguments.windows, arguments.seed, arguments.only
    fault = "" if only == "see" else only
    if any(fault in name for name in {**SEE, **LARGE_SEE}):
        print("| must see | baseline/window rows | found |\n|---|---|---|")
        rates = see(windows, seed, only=fault)
        for name, rate in rates.items():
            sizes = "20,000/20,000" if name in LARGE_SEE else "20,000/5,000"
            print(f"| {name} | {sizes} | {_share(rate.found[name], rate.windows)} |", flush=True)
        control = next(iter(rates.values()))
        print(
            "| *alarms in columns without a fault* | 20,000/5,000 | "
            f"{_share(control.alarmed, control.windows)} |"
        )
        print(f"\n{dict(control.alarms.most_common(8))}\n")
    if not only or only == "eleven":
        found, said, control = eleven(max(1, windows // 5), seed)
        print("| eleven faults in one window | found | what is said |\n|---|---|---|")
        for name in ELEVEN:
            print(
                f"| {name} | {_share(found.found[name], found.windows)} | {said.get(name, '')} |", flush=True
            )
        print(f"| *control: any alarm* | {_share(control.alarmed, control.windows)} | |\n")
    print("| must bear | baseline/window rows | alarms | most often |\n|---|---|---|---|")
    for cell in bears():
        if only and only not in cell.name:
            continue
        for rows, rate in zip(cell.baseline_rows, bear(cell, windows, seed), strict=True):
            often = ", ".join(f"{name} {count}" for name, count in rate.alarms.most_common(4))
            sizes, alarms = f"{rows:,}/{cell.window_rows:,}", _share(rate.alarmed, rate.windows)
            print(f"| {cell.name} | {sizes} | {alarms} | {often} |", flush=True)
    if not only:
        simulate_model_quality.run(2 * windows, seed)
        print()
        simulate_bias.run(2 * windows, seed)


if __name__ == "__main__":
    main()
