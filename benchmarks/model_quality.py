"""A binary window with all metrics, curves and resampling, beside one scikit-learn evaluation of its rows.

Both get the rows in memory: the analyzer as record batches of 65,536 rows, scikit-learn as NumPy arrays.

    python -m benchmarks.model_quality [--rows N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from analyzers.model_quality.analyzer import ModelQualityAnalyzer
from contract.api import Baseline

ROWS = 10_000_000
BATCH_ROWS = 65_536

# At most this many scikit-learn evaluations.
GOAL = 3.0


def draw(rows: int, seed: int) -> pa.Table:
    """Return labels, predictions and calibrated scores, nearly all of them distinct."""
    generator = np.random.default_rng(seed)
    labels = generator.random(rows) < 0.3
    inputs = generator.normal(size=rows) + 1.5 * labels
    odds = 3.0 / 7.0 * np.exp(1.5 * inputs - 1.125)
    scores = odds / (1.0 + odds)
    predictions = (scores >= 0.5).astype(np.int64)
    return pa.table({"label": labels.astype(np.int64), "prediction": predictions, "score": scores})


def analyze(table: pa.Table) -> dict[str, float]:
    """Return the metrics of a whole analysis: summary, statistics with intervals, constraints, check."""
    analyzer = ModelQualityAnalyzer(
        problem_type="BinaryClassification",
        inference_attribute="prediction",
        probability_attribute="score",
        ground_truth_attribute="label",
    )
    statistics = analyzer.describe(analyzer.summarize(table.to_batches(max_chunksize=BATCH_ROWS)))
    analyzer.check(statistics, Baseline(statistics, analyzer.suggest(statistics, None)))
    return {name: metric.value for name, metric in statistics.metrics.items() if metric.value is not None}


def evaluate(table: pa.Table) -> dict[str, float]:
    """Return the same metrics by scikit-learn, each once and without any resampling."""
    from sklearn import metrics

    labels, predictions, scores = (table.column(name).to_numpy() for name in table.column_names)
    metrics.confusion_matrix(labels, predictions)
    metrics.roc_curve(labels, scores)
    metrics.precision_recall_curve(labels, scores)
    return {
        "accuracy": metrics.accuracy_score(labels, predictions),
        "recall": metrics.recall_score(labels, predictions),
        "precision": metrics.precision_score(labels, predictions),
        "f0_5": metrics.fbeta_score(labels, predictions, beta=0.5),
        "f1": metrics.fbeta_score(labels, predictions, beta=1.0),
        "f2": metrics.fbeta_score(labels, predictions, beta=2.0),
        "auc": metrics.roc_auc_score(labels, scores),
        "average_precision": metrics.average_precision_score(labels, scores),
        "log_loss": metrics.log_loss(labels, scores),
        "brier_score": metrics.brier_score_loss(labels, scores),
    }


def timed(work: Callable[[pa.Table], dict[str, float]], table: pa.Table) -> tuple[dict[str, float], float]:
    """Return what the work returns, and the seconds it took."""
    started = time.perf_counter()
    found = work(table)
    return found, time.perf_counter() - started


def compare(rows: int, seed: int = 1) -> dict[str, Any]:
    """Return seconds of both, their ratio, and the largest difference of a metric."""
    timed(analyze, draw(1_000, seed))  # imports and first calls are not what is compared
    timed(evaluate, draw(1_000, seed))
    table = draw(rows, seed)
    ours, our_seconds = timed(analyze, table)
    theirs, their_seconds = timed(evaluate, table)
    return {
        "rows": rows,
        "seconds": our_seconds,
        "scikit_learn_seconds": their_seconds,
        "ratio": our_seconds / their_seconds,
        "largest_difference": max(abs(ours[name] - value) for name, value in theirs.items()),
        "auc_difference": abs(ours["auc"] - theirs["auc"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.model_quality", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    result = compare(parser.parse_args().rows)
    print("| rows | this, with 1,000 resamples | scikit-learn, once | ratio | goal | AUC differs by |")
    print("|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {result['rows']:,} | {result['seconds']:.2f} s | {result['scikit_learn_seconds']:.2f} s | "
        f"{result['ratio']:.2f} | {GOAL:.0f} | {result['auc_difference']:.1e} |"
    )


if __name__ == "__main__":
    main()
