"""How often model-quality decisions are wrong: false alarms, changes found, truths outside their interval.

Draws a baseline and windows of models of the kinds that occur in practice, passes them through the analyzer
as record batches, and counts. `docs/model_quality.md` holds the tables of a full run.

    python -m benchmarks.simulate_model_quality [--windows N] [--seed S]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from analyzers.model_quality.analyzer import ModelQualityAnalyzer
from analyzers.model_quality.suggest import CONSTRAINED
from contract.analyzer import Baseline
from contract.documents.model_quality import ProblemType

RULES = ("sound", "sagemaker")
WINDOW_ROWS = (500, 5_000)
BASELINE_ROWS = 5_000
COVERAGE_ROWS = (200, 1_000, 5_000, 20_000)
TRUTH_ROWS = 4_000_000

# A baseline is drawn once and used for many windows; a new one now and then averages over lucky ones.
WINDOWS_PER_BASELINE = 10

Draw = Callable[[np.random.Generator, int, float], pa.RecordBatch]


def _binary(share: float, distance: float) -> Draw:
    """Two classes `distance` standard deviations apart; `worse` is the share of predictions turned round."""

    def draw(generator: np.random.Generator, rows: int, worse: float) -> pa.RecordBatch:
        labels = generator.random(rows) < share
        inputs = generator.normal(size=rows) + distance * labels
        odds = share / (1.0 - share) * np.exp(distance * inputs - distance**2 / 2.0)
        scores = odds / (1.0 + odds)
        turned = generator.random(rows) < worse
        scores = np.where(turned, 1.0 - scores, scores)
        return pa.RecordBatch.from_pydict(
            {
                "label": labels.astype(np.int64),
                "prediction": (scores >= 0.5).astype(np.int64),
                "score": scores,
            }
        )

    return draw


def _multiclass(shares: tuple[float, ...], accuracy: float) -> Draw:
    """Classes predicted right with probability `accuracy`, else at random."""

    def draw(generator: np.random.Generator, rows: int, worse: float) -> pa.RecordBatch:
        labels = generator.choice(len(shares), rows, p=shares)
        predictions = generator.choice(len(shares), rows, p=shares)
        right = generator.random(rows) < accuracy - worse
        return pa.RecordBatch.from_pydict(
            {"label": labels, "prediction": np.where(right, labels, predictions)}
        )

    return draw


def _regression(noise: Callable[[np.random.Generator, int], np.ndarray]) -> Draw:
    """A linear model whose residuals are `noise`; `worse` is the share by which they grow."""

    def draw(generator: np.random.Generator, rows: int, worse: float) -> pa.RecordBatch:
        predictions = generator.normal(100.0, 20.0, rows)
        labels = predictions + (1.0 + worse) * noise(generator, rows)
        return pa.RecordBatch.from_pydict({"label": labels, "prediction": predictions})

    return draw


@dataclass(frozen=True)
class Model:
    """A kind of model, and a change that should be found."""

    name: str
    problem_type: ProblemType
    draw: Draw
    worse: float
    change: str

    def analyzer(self, rules: str) -> ModelQualityAnalyzer:
        scored = "score" if self.problem_type == "BinaryClassification" else None
        return ModelQualityAnalyzer(
            rules="sound" if rules == "sound" else "sagemaker",
            problem_type=self.problem_type,
            inference_attribute="prediction",
            probability_attribute=scored,
            ground_truth_attribute="label",
        )


# Turning a share w of predictions round takes w (2 a - 1) off an accuracy of a.
MODELS = (
    Model("binary, 30 % positive", "BinaryClassification", _binary(0.3, 1.5), 0.078, "accuracy - 5 points"),
    Model("binary, 5 % positive", "BinaryClassification", _binary(0.05, 2.5), 0.055, "accuracy - 5 points"),
    Model(
        "five classes",
        "MulticlassClassification",
        _multiclass((0.4, 0.3, 0.15, 0.1, 0.05), 0.7),
        0.07,
        "accuracy - 5 points",
    ),
    Model(
        "regression, normal errors",
        "Regression",
        _regression(lambda generator, rows: generator.normal(0.0, 10.0, rows)),
        0.1,
        "errors 10 % larger",
    ),
    Model(
        "regression, heavy tails",
        "Regression",
        _regression(lambda generator, rows: 10.0 * generator.standard_t(5.0, rows)),
        0.1,
        "errors 10 % larger",
    ),
)


@dataclass
class Rates:
    """Counts for one model, set of rules and window size."""

    windows: int = 0
    alarmed: int = 0
    changed: int = 0
    found: int = 0
    metrics: Counter[str] = field(default_factory=Counter)


def simulate_decisions(
    model: Model, rows: int, windows: int, changed: int, generator: np.random.Generator
) -> dict[str, Rates]:
    """Return, per set of rules, how many windows without and with the change raised a violation."""
    rates = {rules: Rates() for rules in RULES}
    analyzers = {rules: model.analyzer(rules) for rules in RULES}
    baselines: dict[str, Baseline] = {}
    for number in range(windows + changed):
        if number % WINDOWS_PER_BASELINE == 0:
            batch = model.draw(generator, BASELINE_ROWS, 0.0)
            for rules, analyzer in analyzers.items():
                statistics = analyzer.describe(analyzer.summarize([batch]))
                baselines[rules] = Baseline(statistics, analyzer.suggest(statistics, None))
        is_changed = number >= windows
        batch = model.draw(generator, rows, model.worse if is_changed else 0.0)
        for rules, analyzer in analyzers.items():
            statistics = analyzer.describe(analyzer.summarize([batch]))
            violations = analyzer.check(statistics, baselines[rules]).violations.violations
            rate = rates[rules]
            if is_changed:
                rate.changed += 1
                wanted = ("mae", "rmse") if model.problem_type == "Regression" else ("accuracy",)
                rate.found += any(violation.metric_name in wanted for violation in violations)
            else:
                rate.windows += 1
                rate.alarmed += bool(violations)
                rate.metrics.update(violation.metric_name or "" for violation in violations)
    return rates


def simulate_coverage(
    model: Model, rows: int, windows: int, truth: dict[str, float], generator: np.random.Generator
) -> dict[str, float]:
    """Return the share of windows whose interval holds the truth, per metric."""
    analyzer = model.analyzer("sound")
    held: Counter[str] = Counter()
    measured: Counter[str] = Counter()
    for _ in range(windows):
        statistics = analyzer.describe(analyzer.summarize([model.draw(generator, rows, 0.0)]))
        for name, metric in statistics.metrics.items():
            if metric.interval is not None and name in truth:
                measured[name] += 1
                held[name] += metric.interval[0] <= truth[name] <= metric.interval[1]
    return {name: held[name] / count for name, count in measured.items()}


def true_metrics(model: Model, generator: np.random.Generator) -> dict[str, float]:
    """Return the metrics of very many rows."""
    analyzer = model.analyzer("sound")
    statistics = analyzer.describe(analyzer.summarize([model.draw(generator, TRUTH_ROWS, 0.0)]))
    return {name: metric.value for name, metric in statistics.metrics.items() if metric.value is not None}


def print_decisions(windows: int, changed: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    print("| model | rows | rules | false alarms | change | found |")
    print("|---|---:|---|---:|---|---:|")
    for model in MODELS:
        for rows in WINDOW_ROWS:
            for rules, rate in simulate_decisions(model, rows, windows, changed, generator).items():
                false = 100.0 * rate.alarmed / max(1, rate.windows)
                found = 100.0 * rate.found / max(1, rate.changed)
                print(
                    f"| {model.name} | {rows:,} | {rules} | {false:.1f} % | {model.change} | {found:.1f} % |",
                    flush=True,
                )


def print_coverage(windows: int, seed: int) -> None:
    generator = np.random.default_rng(seed + 1)
    for model in MODELS:
        truth = true_metrics(model, generator)
        shares = {rows: simulate_coverage(model, rows, windows, truth, generator) for rows in COVERAGE_ROWS}
        print(f"\nCoverage of 95 % intervals, {model.name}\n")
        print("| metric | " + " | ".join(f"{rows:,} rows" for rows in COVERAGE_ROWS) + " |")
        print("|---|" + "---:|" * len(COVERAGE_ROWS))
        names = [*CONSTRAINED[model.problem_type]]
        names += [name for name in shares[COVERAGE_ROWS[-1]] if name not in names]
        for name in names:
            cells = " | ".join(
                f"{100.0 * shares[rows][name]:.1f} %" if name in shares[rows] else ""
                for rows in COVERAGE_ROWS
            )
            print(f"| {name} | {cells} |", flush=True)


def run(windows: int, seed: int) -> None:
    """Print all tables: `windows` without change per model and size, and a fifth as many with it."""
    started = time.monotonic()
    changed = max(1, windows // 5)
    print_decisions(windows, changed, seed)
    print_coverage(windows, seed)
    print(
        f"\n{windows} windows without change and {changed} with it, per model and size; seed {seed}; "
        f"{time.monotonic() - started:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate_model_quality", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--windows", type=int, default=1_000, help="windows without change, per model and size"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    run(arguments.windows, arguments.seed)


if __name__ == "__main__":
    main()
