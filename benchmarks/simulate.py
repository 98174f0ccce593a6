"""How often each set of rules is wrong: false alarms without drift, and planted changes found.

Draws a baseline and windows of twenty features of the kinds that occur in practice, passes them through the
analyzer as record batches, and counts violations. `docs/soundness.md` holds the table of a full run; those of
model quality (`benchmarks/simulate_model_quality.py`) and of bias (`benchmarks/simulate_bias.py`) follow.

    python -m benchmarks.simulate [--windows N] [--seed S]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from benchmarks import simulate_bias, simulate_model_quality
from contract.api import Baseline, CheckType, Decision

RULES = ("sound", "sagemaker")
WINDOW_ROWS = (500, 5_000)
BASELINE_ROWS = 20_000

# A baseline is drawn once and used for many windows; a new one now and then averages over lucky ones.
WINDOWS_PER_BASELINE = 20

Draw = Callable[[np.random.Generator, int], pa.Array]


def _normal(shift: float = 0.0) -> Draw:
    return lambda generator, rows: pa.array(generator.normal(50.0 + 10.0 * shift, 10.0, rows))


def _sometimes_missing(rate: float) -> Draw:
    return lambda generator, rows: pa.array(
        generator.normal(0.0, 1.0, rows), mask=generator.random(rows) < rate
    )


def _binary(share: float) -> Draw:
    return lambda generator, rows: pa.array((generator.random(rows) < share).astype(np.int64))


def _text(shares: Mapping[str, float]) -> Draw:
    names, weights = list(shares), np.array(list(shares.values()))
    cumulative = np.cumsum(weights / weights.sum())

    def draw(generator: np.random.Generator, rows: int) -> pa.Array:
        codes = np.searchsorted(cumulative, generator.random(rows), side="right").astype(np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names))

    return draw


def _zipf(categories: int, exponent: float = 1.0) -> Draw:
    return _text({f"value {rank:04d}": rank**-exponent for rank in range(1, categories + 1)})


def _integers(low: int, high: int) -> Draw:
    return lambda generator, rows: pa.array(generator.integers(low, high, rows))


def _integers_with_text(low: int, high: int, share: float) -> Draw:
    def draw(generator: np.random.Generator, rows: int) -> pa.Array:
        texts = generator.integers(low, high, rows).astype(str).astype(object)
        texts[generator.random(rows) < share] = "n/a"
        return pa.array(texts.tolist(), pa.string())

    return draw


FEATURES: dict[str, Draw] = {
    "normal": _normal(),
    "normal 2": _normal(),
    "normal 3": _normal(),
    "exponential": lambda generator, rows: pa.array(generator.exponential(3.0, rows)),
    "amount": lambda generator, rows: pa.array(np.round(generator.lognormal(3.0, 1.0, rows), 2)),
    "duration": lambda generator, rows: pa.array(generator.lognormal(0.0, 2.0, rows)),
    "flag": _binary(0.3),
    "rare flag": _binary(0.03),
    "visits": lambda generator, rows: pa.array(generator.poisson(3.0, rows)),
    "long-tailed count": lambda generator, rows: pa.array(np.minimum(generator.zipf(2.0, rows), 100_000)),
    "score": _integers(1, 101),
    "hour": _integers(0, 24),
    "2 % missing": _sometimes_missing(0.02),
    "0.1 % missing": _sometimes_missing(0.001),
    "two values": _text({"yes": 0.7, "no": 0.3}),
    "four values": _text({"north": 0.5, "south": 0.3, "east": 0.15, "west": 0.05}),
    "thirty values": _zipf(30),
    "200 values": _zipf(200),
    "long-tailed text": _zipf(2_000, 2.5),
    "constant": lambda generator, rows: pa.array(np.full(rows, 7, dtype=np.int64)),
}


@dataclass(frozen=True)
class Change:
    """A change planted in one feature, and the check that should find it."""

    name: str
    feature: str
    check: CheckType
    draw: Draw


CHANGES = (
    Change("mean shifted by 0.3 sd", "normal", CheckType.BASELINE_DRIFT, _normal(0.3)),
    Change("binary share 30 % -> 45 %", "flag", CheckType.BASELINE_DRIFT, _binary(0.45)),
    Change(
        "category share 50 % -> 35 %",
        "four values",
        CheckType.BASELINE_DRIFT,
        _text({"north": 0.35, "south": 0.45, "east": 0.15, "west": 0.05}),
    ),
    Change("missing 2 % -> 7 %", "2 % missing", CheckType.COMPLETENESS, _sometimes_missing(0.07)),
    Change(
        "new category at 1 %",
        "four values",
        CheckType.CATEGORICAL_VALUES,
        _text({"north": 0.49, "south": 0.3, "east": 0.15, "west": 0.05, "up": 0.01}),
    ),
    Change("1 % text among integers", "score", CheckType.DATA_TYPE, _integers_with_text(1, 101, 0.01)),
)


@dataclass
class Rates:
    """Counts for one set of rules and one window size."""

    windows: int = 0
    alarmed: int = 0
    alarms: Counter[str] = field(default_factory=Counter)
    alarmed_features: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    @property
    def false_alarm_rate(self) -> float:
        """Share of windows without any change that raised at least one violation."""
        return self.alarmed / self.windows if self.windows else 0.0

    def power(self, change: str) -> float:
        """Share of windows with this change in which it was found."""
        return self.found[change] / self.tried[change] if self.tried[change] else 0.0


def draw_batch(generator: np.random.Generator, rows: int, change: Change | None = None) -> pa.RecordBatch:
    """Draw rows of all features, one of them changed if asked."""
    draws = FEATURES if change is None else {**FEATURES, change.feature: change.draw}
    return pa.RecordBatch.from_pydict({name: draw(generator, rows) for name, draw in draws.items()})


def simulate(
    windows: int, changed_windows: int, seed: int, *, sizes: tuple[int, ...] = WINDOW_ROWS
) -> dict[tuple[str, int], Rates]:
    """Return the rates per set of rules and window size.

    Parameters
    ----------
    windows
        Windows without drift, per size.
    changed_windows
        Windows with each planted change, per size.
    seed
        Of the random generator.
    sizes
        Rows per window.
    """
    generator = np.random.default_rng(seed)
    analyzers = {rules: DataQualityAnalyzer(rules=rules) for rules in RULES}
    rates = {(rules, rows): Rates() for rules in RULES for rows in sizes}
    baselines: dict[str, Baseline] = {}
    for number, (rows, change) in enumerate(_plan(windows, changed_windows, sizes)):
        if number % WINDOWS_PER_BASELINE == 0:
            batch = draw_batch(generator, BASELINE_ROWS)
            baselines = {rules: _baseline(analyzer, batch) for rules, analyzer in analyzers.items()}
        batch = draw_batch(generator, rows, change)
        for rules, analyzer in analyzers.items():
            statistics = analyzer.describe(analyzer.summarize([batch]))
            _count(rates[rules, rows], analyzer.check(statistics, baselines[rules]), change)
    return rates


def _plan(windows: int, changed_windows: int, sizes: tuple[int, ...]) -> Iterator[tuple[int, Change | None]]:
    for _ in range(windows):
        for rows in sizes:
            yield rows, None
    for _ in range(changed_windows):
        for change in CHANGES:
            for rows in sizes:
                yield rows, change


def _baseline(analyzer: DataQualityAnalyzer, batch: pa.RecordBatch) -> Baseline:
    statistics = analyzer.describe(analyzer.summarize([batch]))
    return Baseline(statistics, analyzer.suggest(statistics, None))


def _count(rates: Rates, decision: Decision, change: Change | None) -> None:
    violations = decision.violations.violations
    if change is not None:
        rates.tried[change.name] += 1
        rates.found[change.name] += any(
            violation.feature_name == change.feature and violation.constraint_check_type == change.check
            for violation in violations
        )
        return
    rates.windows += 1
    rates.alarmed += bool(violations)
    rates.alarms.update({violation.constraint_check_type for violation in violations})
    rates.alarmed_features.update({violation.feature_name or "" for violation in violations})


def table(rates: dict[tuple[str, int], Rates]) -> str:
    """Return the rates as a Markdown table."""
    columns = list(rates)
    lines = [
        "| share of windows | " + " | ".join(f"{rules}, {rows:,} rows" for rules, rows in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]

    def row(name: str, value: Callable[[Rates], float]) -> None:
        shares = " | ".join(f"{100.0 * value(rates[column]):.1f} %" for column in columns)
        lines.append(f"| {name} | {shares} |")

    row("**false alarms**, any check", lambda rate: rate.false_alarm_rate)
    for check in CheckType:
        if any(rate.alarms[check] for rate in rates.values()):
            row(f"false alarms, {check}", lambda rate, check=check: rate.alarms[check] / max(1, rate.windows))
    for change in CHANGES:
        row(f"found: {change.name}", lambda rate, change=change: rate.power(change.name))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--windows", type=int, default=1_000, help="windows without drift, per size")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    changed = max(1, arguments.windows // 5)
    rates = simulate(arguments.windows, changed, arguments.seed)
    print(table(rates))
    for (rules, rows), rate in rates.items():
        if rate.alarmed_features:
            features = ", ".join(f"{name} {count}" for name, count in rate.alarmed_features.most_common(8))
            print(f"\nfeatures with false alarms, {rules}, {rows:,} rows: {features}")
    print(
        f"\n{arguments.windows} windows without drift and {changed} with each change, per size; seed "
        f"{arguments.seed}; {time.monotonic() - started:.0f} s\n"
    )
    simulate_model_quality.run(2 * arguments.windows, arguments.seed)
    print()
    simulate_bias.run(2 * arguments.windows, arguments.seed)


if __name__ == "__main__":
    main()
