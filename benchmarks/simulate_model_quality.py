"""How often model-quality decisions are wrong: false alarms, changes found, truths outside their interval.

Draws a baseline and windows of models of the kinds that occur in practice, passes them through the analyzer
as record batches, and counts. `docs/model_quality.md` holds the tables of a full run.

    python -m benchmarks.simulate_model_quality [--windows N] [--seed S]
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from analyzers.model_quality.analyzer import ModelQualityAnalyzer
from analyzers.model_quality.check import CONSTRAINED
from analyzers.model_quality.documents import ProblemType
from contract.api import Baseline

# So many that a rate of 95 % is known to half a point.
WINDOWS = 2_000

RULES = ("sound", "sagemaker")
WINDOW_ROWS = (500, 5_000)
BASELINE_ROWS = 5_000
COVERAGE_ROWS = (200, 1_000, 5_000, 20_000)
TRUTH_ROWS = 16_000_000
TRUTH_BATCH = 1_000_000
SAGEMAKER_EVERY = 5

# What a change has to be found by.
_WANTED = {
    "BinaryClassification": {"accuracy"},
    "MulticlassClassification": {"accuracy"},
    "Regression": {"mae", "rmse"},
}

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
    """Labels from 60 to 140 and predictions that miss them by `noise`, which grows by the share `worse`.

    Labels that come near zero would leave ``mape`` without a finite mean, and so without a truth to hold.
    """

    def draw(generator: np.random.Generator, rows: int, worse: float) -> pa.RecordBatch:
        labels = generator.uniform(60.0, 140.0, rows)
        predictions = labels - (1.0 + worse) * noise(generator, rows)
        return pa.RecordBatch.from_pydict({"label": labels, "prediction": predictions})

    return draw


def _five_scores(generator: np.random.Generator, rows: int, worse: float) -> pa.RecordBatch:
    """Draw two classes of which scores have five values."""
    scores = generator.choice((0.05, 0.2, 0.4, 0.7, 0.9), rows)
    labels = (generator.random(rows) < scores).astype(np.int64)
    predictions = (scores >= 0.5).astype(np.int64)
    return pa.RecordBatch.from_pydict({"label": labels, "prediction": predictions, "score": scores})


def _twenty_probabilities(generator: np.random.Generator, rows: int, worse: float) -> pa.RecordBatch:
    """Draw 20 classes with a probability of each."""
    labels = generator.integers(0, 20, rows)
    odds = generator.normal(size=(rows, 20))
    odds[np.arange(rows), labels] += 3.0
    shares = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    columns: dict[str, np.ndarray] = {f"score_{place}": shares[:, place] for place in range(20)}
    return pa.RecordBatch.from_pydict({"label": labels, "prediction": shares.argmax(axis=1), **columns})


def _in_sessions(draw: Draw, length: int) -> Draw:
    """Return what draws sessions of equal rows, which come in no order."""

    def drawn(generator: np.random.Generator, rows: int, worse: float) -> pa.RecordBatch:
        sessions = draw(generator, rows // length, worse)
        sessions = sessions.append_column("session", pa.array(np.arange(sessions.num_rows)))
        return sessions.take(pa.array(generator.permutation(sessions.num_rows * length) // length))

    return drawn


@dataclass(frozen=True)
class Model:
    """A kind of model, and a change that should be found."""

    name: str
    problem_type: ProblemType
    draw: Draw
    worse: float = 0.0
    change: str = ""
    cluster_by: tuple[str, ...] = ()
    scores: str | None = None

    def analyzer(self, rules: str) -> ModelQualityAnalyzer:
        scored = "score" if self.problem_type == "BinaryClassification" else self.scores
        return ModelQualityAnalyzer(
            rules="sound" if rules == "sound" else "sagemaker",
            problem_type=self.problem_type,
            inference_attribute="prediction",
            probability_attribute=scored,
            ground_truth_attribute="label",
            cluster_by=self.cluster_by,
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


# What intervals find hard, with the rows of a window.
_LOGNORMAL = _regression(lambda generator, rows: 10.0 * generator.lognormal(0.0, 1.0, rows))
_T3 = _regression(lambda generator, rows: 10.0 * generator.standard_t(3.0, rows))
HARD: tuple[tuple[Model, int], ...] = (
    (Model("binary, 0.5 % positive", "BinaryClassification", _binary(0.005, 2.5)), 5_000),
    (Model("binary, 30 % positive", "BinaryClassification", _binary(0.3, 1.5)), 50),
    (Model("five distinct scores", "BinaryClassification", _five_scores), 500),
    (Model("near-perfect model", "BinaryClassification", _binary(0.3, 6.0)), 1_000),
    (
        Model("20 classes", "MulticlassClassification", _multiclass(tuple(np.full(20, 0.05).tolist()), 0.7)),
        1_000,
    ),
    (Model("regression, t3 errors", "Regression", _T3), 1_000),
    (Model("regression, lognormal errors", "Regression", _LOGNORMAL), 1_000),
    (
        Model(
            "clusters of 10, cluster_by",
            "BinaryClassification",
            _in_sessions(_binary(0.3, 1.5), 10),
            cluster_by=("session",),
        ),
        5_000,
    ),
    (
        Model(
            "regression, clusters of 10, cluster_by",
            "Regression",
            _in_sessions(_regression(lambda generator, rows: generator.normal(0.0, 10.0, rows)), 10),
            cluster_by=("session",),
        ),
        5_000,
    ),
    (
        Model(
            "20 classes, a probability of each",
            "MulticlassClassification",
            _twenty_probabilities,
            scores=",".join(f"score_{place}" for place in range(20)),
        ),
        1_000,
    ),
)


def print_hard(windows: int, seed: int, only: str = "", truth_rows: int = TRUTH_ROWS) -> None:
    """Print how often 95 % intervals hold the truth where that is hard, one row for each metric.

    The last column is the share of windows in which a note says that the interval may be too narrow or wide.
    """
    print(
        "| model | rows | metric | interval holds the truth | windows with a note |\n|---|---:|---|---:|---:|"
    )
    for place, (model, rows) in enumerate(HARD):
        if only not in model.name:
            continue
        truth = true_metrics(model, np.random.default_rng([seed, 4, place]), truth_rows)
        noted: Counter[str] = Counter()
        shares = simulate_coverage(
            model, rows, windows, truth, np.random.default_rng([seed, 5, place]), noted
        )
        for name, share in shares.items():
            with_note = f"{100.0 * noted[name] / windows:.1f} %" if noted[name] else ""
            print(f"| {model.name} | {rows:,} | `{name}` | {100.0 * share:.1f} % | {with_note} |", flush=True)


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
    """Return, per set of rules, how many windows without and with the change raised a violation.

    Every window has a baseline of its own, so windows are independent; the originals' rules, whose rates are
    far from any border, see one in five of them.
    """
    rates = {rules: Rates() for rules in RULES}
    analyzers = {rules: model.analyzer(rules) for rules in RULES}
    for number in range(windows + changed):
        is_changed = number >= windows
        before = model.draw(generator, BASELINE_ROWS, 0.0)
        batch = model.draw(generator, rows, model.worse if is_changed else 0.0)
        for rules, analyzer in analyzers.items():
            if rules == "sagemaker" and number % SAGEMAKER_EVERY:
                continue
            names = _violated(analyzer, before, batch)
            rate = rates[rules]
            if is_changed:
                rate.changed += 1
                rate.found += bool(names & _WANTED[model.problem_type])
            else:
                rate.windows += 1
                rate.alarmed += bool(names)
                rate.metrics.update(names)
    return rates


def _violated(analyzer: ModelQualityAnalyzer, before: pa.RecordBatch, batch: pa.RecordBatch) -> set[str]:
    known = analyzer.describe(analyzer.summarize([before]))
    baseline = Baseline(known, analyzer.suggest(known, None))
    decision = analyzer.check(analyzer.describe(analyzer.summarize([batch])), baseline)
    return {violation.metric_name or "" for violation in decision.violations.violations}


def simulate_coverage(
    model: Model,
    rows: int,
    windows: int,
    truth: dict[str, float],
    generator: np.random.Generator,
    noted: Counter[str] | None = None,
) -> dict[str, float]:
    """Return the share of windows whose interval holds the truth, per metric.

    `noted` counts windows in which a note says of the metric that its interval may be too narrow or too wide.
    """
    analyzer = model.analyzer("sound")
    held: Counter[str] = Counter()
    measured: Counter[str] = Counter()
    for _ in range(windows):
        statistics = analyzer.describe(analyzer.summarize([model.draw(generator, rows, 0.0)]))
        told = (
            note.partition(":")[0] for note in statistics.notes if "too narrow" in note or "too wide" in note
        )
        about = " ".join(told)
        for name, metric in statistics.metrics.items():
            if noted is not None and re.search(rf"\b{name}\b", about):
                noted[name] += 1
            if metric.interval is not None and name in truth:
                measured[name] += 1
                held[name] += metric.interval[0] <= truth[name] <= metric.interval[1]
    return {name: held[name] / count for name, count in measured.items()}


def true_metrics(model: Model, generator: np.random.Generator, rows: int = TRUTH_ROWS) -> dict[str, float]:
    """Return the metrics of very many rows."""
    analyzer = replace(model, cluster_by=()).analyzer("sound")
    batches = (model.draw(generator, TRUTH_BATCH, 0.0) for _ in range(max(1, rows // TRUTH_BATCH)))
    statistics = analyzer.describe(analyzer.summarize(batches))
    return {name: metric.value for name, metric in statistics.metrics.items() if metric.value is not None}


def _decisions_of(place: int, rows: int, windows: int, changed: int, seed: int) -> dict[str, Rates]:
    generator = np.random.default_rng([seed, 1, place, rows])
    return simulate_decisions(MODELS[place], rows, windows, changed, generator)


def _coverage_of(place: int, rows: int, windows: int, truth: dict[str, float], seed: int) -> dict[str, float]:
    generator = np.random.default_rng([seed, 2, place, rows])
    return simulate_coverage(MODELS[place], rows, windows, truth, generator)


def _truth_of(place: int, seed: int) -> dict[str, float]:
    return true_metrics(MODELS[place], np.random.default_rng([seed, 3, place]))


def print_decisions(pool: Executor, windows: int, changed: int, seed: int) -> None:
    """Print how often each model and size raised a violation without and with its change."""
    print("| model | rows | change | false alarms, sound | found, sound | false alarms, sagemaker |")
    print("|---|---:|---|---:|---:|---:|")
    cells = [(place, rows) for place in range(len(MODELS)) for rows in WINDOW_ROWS]
    jobs = [pool.submit(_decisions_of, place, rows, windows, changed, seed) for place, rows in cells]
    alarms: Counter[str] = Counter()
    for (place, rows), job in zip(cells, jobs, strict=True):
        model, rates = MODELS[place], job.result()
        sound, original = rates["sound"], rates["sagemaker"]
        print(
            f"| {model.name} | {rows:,} | {model.change} | {_share(sound.alarmed, sound.windows, 2)} | "
            f"{_share(sound.found, sound.changed)} | {_share(original.alarmed, original.windows)} |",
            flush=True,
        )
        alarms.update({f"{model.name}: {name}": count for name, count in sound.metrics.items()})
    listed = ", ".join(f"{name} {count}" for name, count in alarms.most_common(8))
    print(f"\nfalse alarms under sound rules by metric: {listed or 'none'}")


def print_coverage(pool: Executor, windows: int, seed: int) -> None:
    """Print how often intervals hold the truth, and where that is outside 93 to 97 %."""
    truths = list(pool.map(_truth_of, range(len(MODELS)), [seed] * len(MODELS)))
    jobs = {
        (place, rows): pool.submit(_coverage_of, place, rows, windows, truths[place], seed)
        for place in range(len(MODELS))
        for rows in COVERAGE_ROWS
    }
    outside = []
    for place, model in enumerate(MODELS):
        shares = {rows: jobs[place, rows].result() for rows in COVERAGE_ROWS}
        print(f"\nCoverage of 95 % intervals, {model.name}\n")
        print("| metric | " + " | ".join(f"{rows:,} rows" for rows in COVERAGE_ROWS) + " |")
        print("|---|" + "---:|" * len(COVERAGE_ROWS))
        names = [*CONSTRAINED[model.problem_type]]
        names += [name for name in shares[COVERAGE_ROWS[-1]] if name not in names]
        for name in names:
            row = {rows: shares[rows].get(name) for rows in COVERAGE_ROWS}
            cells = ("" if share is None else f"{100.0 * share:.1f} %" for share in row.values())
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
            outside += [
                f"{model.name}, {name}, {rows:,} rows: {100.0 * share:.1f} %"
                for rows, share in row.items()
                if share is not None and not 0.93 <= share <= 0.97
            ]
    print(f"\nOutside 93 to 97 %: {'; '.join(outside) or 'none'}")


def _share(part: int, whole: int, digits: int = 1) -> str:
    return f"{100.0 * part / max(1, whole):.{digits}f} %"


def run(windows: int, seed: int) -> None:
    """Print all tables: `windows` without change per model and size, and a tenth as many with it."""
    started = time.monotonic()
    changed = max(1, windows // 10)
    # Processes are spawned, as threads of Arrow and NumPy do not survive a fork.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        print_decisions(pool, windows, changed, seed)
        print_coverage(pool, windows, seed)
    print()
    print_hard(windows, seed)
    print(
        f"\n{windows} windows without change and {changed} with it, per model and size; seed {seed}; "
        f"{time.monotonic() - started:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate_model_quality", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--windows", type=int, default=WINDOWS, help="windows without change, per model and size"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hard", action="store_true", help="only the intervals that are hard")
    parser.add_argument("--only", default="", help="of those, models whose name has this text")
    arguments = parser.parse_args()
    if arguments.hard:
        print_hard(arguments.windows, arguments.seed, arguments.only)
    else:
        run(arguments.windows, arguments.seed)


if __name__ == "__main__":
    main()
