"""Shapley values beside shap.KernelExplainer: same boosted trees, same rows, same budget, one process.

Speed (rows per second, share of the time inside the model), the same of whole jobs, errors against
enumeration, and a large table in bounded memory. Models and linear algebra get one thread each.

    python -m benchmarks.shapley [--rows N] [--job-rows N] [--large-rows N] [--only speed,job,errors,memory]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial, reduce
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pyarrow as pa
import threadpoolctl

from analyzers.feature_attribution import kernel
from analyzers.feature_attribution import summary as aggregate
from analyzers.feature_attribution.kernel import Explanation, Sampling

FEATURES = 14
BUDGETS = (100, 2076)
GOALS = {100: 30.0, 2076: 9.0}
GOAL_INSIDE = 0.8
SECTIONS = ("speed", "job", "errors", "memory")

type Predict = Callable[[np.ndarray], np.ndarray]
type Clock = Callable[[], float]


class Explained(NamedTuple):
    """Values of rows, and their standard errors."""

    local: np.ndarray
    standard_error: np.ndarray


def explain_windows(
    predict: Predict, rows: np.ndarray, baseline: np.ndarray, sampling: Sampling
) -> Iterator[Explanation]:
    """Return the windows of a matrix explained."""

    def answer(batch: pa.RecordBatch) -> np.ndarray:
        return predict(np.stack([column.to_numpy() for column in batch.columns], axis=1))

    names = [f"f{number}" for number in range(rows.shape[1])]
    instances, baselines = (
        pa.RecordBatch.from_arrays([pa.array(column) for column in matrix.T], names)
        for matrix in (rows, baseline)
    )
    return kernel.explain_windows(answer, instances, baselines, sampling)


def explain(predict: Predict, rows: np.ndarray, baseline: np.ndarray, **sampling: Any) -> Explained:
    """Return a matrix explained."""
    windows = list(explain_windows(predict, rows, baseline, Sampling(**sampling)))
    return Explained(
        np.concatenate([window.local for window in windows]),
        np.concatenate([window.standard_error for window in windows]),
    )


def train(features: int, trees: int = 100) -> Any:
    """Return boosted trees of depth 5 with interactions to find."""
    import xgboost

    rows = draw(features, 5000, seed=1)
    score = rows[:, 0] + rows[:, 1] * rows[:, 2] + np.sin(2 * rows[:, 3]) + rows[:, 4] * (rows[:, 5] > 0)
    labels = score + 0.5 * rows[:, 6:].sum(axis=1) / np.sqrt(features - 6) > 0
    options = {"objective": "binary:logistic", "max_depth": 5, "nthread": 1, "eta": 0.1}
    return xgboost.train(options, xgboost.DMatrix(rows, labels.astype(np.int64)), trees)


def draw(features: int, rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, features))


class Timed:
    """A model that adds up the CPU seconds spent inside it."""

    def __init__(self, predict: Callable[..., np.ndarray], clock: Clock = time.process_time) -> None:
        self.predict = predict
        self.clock = clock
        self.seconds = 0.0
        self.rows = 0

    def __call__(self, *given: Any, **options: Any) -> np.ndarray:
        started = self.clock()
        scores = self.predict(*given, **options)
        self.seconds += self.clock() - started
        self.rows += len(scores)
        return scores


def kernel_explainer(predict: Predict, baseline: np.ndarray) -> Callable[[np.ndarray, int], np.ndarray]:
    import shap

    logging.getLogger("shap").setLevel(logging.ERROR)
    explainer = shap.KernelExplainer(predict, baseline)

    def values(rows: np.ndarray, budget: int) -> np.ndarray:
        np.random.seed(budget)  # the only generator that KernelExplainer draws from
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(explainer.shap_values(rows, nsamples=budget, l1_reg=False, silent=True))

    return values


def compare_speed(rows: int, rounds: int = 3) -> list[dict[str, float]]:
    """Return rows per second of both for every budget, the best of rounds that take turns."""
    predict = Timed(train(FEATURES).inplace_predict)
    given, baseline = draw(FEATURES, rows, 2), np.zeros((1, FEATURES))
    theirs = kernel_explainer(predict.predict, baseline)
    explain(predict, given[:10], baseline, num_samples=100)  # first calls are not what is compared
    theirs(given[:5], 100)
    found = []
    for budget in BUDGETS:
        own_rows = rows * 10 if budget < 1000 else rows
        own_given = np.resize(given, (own_rows, FEATURES)) + 1e-6 * np.arange(own_rows)[:, None]
        few = given[: max(5, 20_000 // budget)]
        own, other, inside = [], [], []
        for _ in range(rounds):
            predict.seconds, started = 0.0, time.process_time()
            explain(predict, own_given, baseline, num_samples=budget)
            seconds = time.process_time() - started
            own.append(own_rows / seconds)
            inside.append(predict.seconds / seconds)
            started = time.process_time()
            theirs(few, budget)
            other.append(len(few) / (time.process_time() - started))
        found.append({"budget": budget, "own": max(own), "other": max(other), "inside": max(inside)})
    return found


def compare_errors(rows: int = 12) -> list[dict[str, Any]]:
    """Return root mean squared errors in units of the exact values' root mean square.

    Exact are enumeration for probabilities of 14 features, and interventional TreeSHAP for log-odds.
    """
    found = []
    for features, units in ((14, "probability"), (14, "log-odds"), (20, "log-odds"), (40, "log-odds")):
        booster = train(features)
        given, baseline = draw(features, rows, 3), np.zeros((1, features))
        if units == "probability":
            predict: Predict = booster.inplace_predict
            exact = explain(predict, given, baseline, exact_features=features).local
        else:
            predict = partial(booster.inplace_predict, predict_type="margin")
            exact = _tree_values(booster, given, baseline)
        found += [
            {"features": features, "units": units, **_errors(predict, given, baseline, exact, budget)}
            for budget in (100, 500, 2076)
        ]
    return found


def _tree_values(booster: Any, given: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    import shap

    explainer = shap.TreeExplainer(booster, data=baseline, feature_perturbation="interventional")
    return np.asarray(explainer.shap_values(given, check_additivity=False))[:, None, :]


def run_job(rows: int, budget: int) -> dict[str, float]:
    """Return CPU seconds of a baseline job on a CSV file, and the share of them inside XGBoost's predict.

    Everything counts but the interpreter's start: imports, reading, opening the model, writing.
    """
    import xgboost

    from containers.feature_attribution import main as command

    predict = Timed(xgboost.Booster.inplace_predict, time.thread_time)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(
            xgboost.Booster, "inplace_predict", lambda *given, **options: predict(*given, **options)
        ),
    ):
        train(FEATURES).save_model(f"{folder}/model.json")
        names = ",".join(f"feature_{number}" for number in range(FEATURES))
        np.savetxt(f"{folder}/data.csv", draw(FEATURES, rows, 2), "%.6f", ",", header=names, comments="")
        shap = {"baseline": [[0.0] * FEATURES], "num_samples": budget, "agg_method": "mean_abs"}
        config = {"dataset_type": "text/csv", "methods": {"shap": shap}, "predictor": {}}
        Path(folder, "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
        flags = {
            "dataset-source": f"{folder}/data.csv",
            "dataset-format": '{"csv":{"header":true}}',
            "analysis-config": folder,
            "model": f"{folder}/model.json",
            "output-path": f"{folder}/output",
            "workers": "1",
        }
        started = time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            code = command.main([f"--{name}={value}" for name, value in flags.items()])
        seconds = time.process_time() - started
        assert code == 0
    return {"budget": budget, "rows": rows, "seconds": seconds, "inside": predict.seconds / seconds}


def _errors(
    predict: Predict, given: np.ndarray, baseline: np.ndarray, exact: np.ndarray, budget: int
) -> dict[str, float]:
    own = [explain(predict, given, baseline, num_samples=budget, seed=seed) for seed in range(5)]
    theirs = kernel_explainer(predict, baseline)
    other = [theirs(given, budget)[:, None, :] for _ in range(2)]
    size = np.sqrt((exact**2).mean())
    return {
        "budget": budget,
        "own": np.sqrt(np.mean([(one.local - exact) ** 2 for one in own])) / size,
        "stated": np.sqrt(np.mean([one.standard_error**2 for one in own])) / size,
        "other": np.sqrt(np.mean([(one - exact) ** 2 for one in other])) / size,
    }


def explain_large(rows: int, budget: int, features: int = 50) -> dict[str, float]:
    """Return seconds and peak memory of a table explained window by window, in this process."""
    predict = Timed(train(features, trees=50).inplace_predict)
    given, baseline = draw(features, rows, 4), np.zeros((1, features))
    before, started = _peak_bytes(), time.process_time()
    windows = explain_windows(predict, given, baseline, Sampling(num_samples=budget))
    summary = reduce(aggregate.merge_sums, (aggregate.sums_of(window, "mean_abs") for window in windows))
    seconds = time.process_time() - started
    assert summary.rows == rows
    return {
        "seconds": seconds,
        "inside": predict.seconds / seconds,
        "before": before,
        "peak": _peak_bytes(),
        "model_rows": predict.rows,
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapley", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1000, help="rows at 2,076 coalitions (%(default)s)")
    parser.add_argument("--job-rows", type=int, default=5000, help="rows of whole jobs (%(default)s)")
    parser.add_argument("--large-rows", type=int, default=100_000, help="rows of 50 features (%(default)s)")
    parser.add_argument("--large-budget", type=int, default=200, help="their coalitions (%(default)s)")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections (%(default)s)")
    options = parser.parse_args()
    threadpoolctl.threadpool_limits(1)
    sections = options.only.split(",")
    if "speed" in sections:
        print_speed(compare_speed(options.rows))
    if "job" in sections:
        print_jobs(options.job_rows)
    if "errors" in sections:
        print_errors(compare_errors())
    if "memory" in sections:
        print_memory(options.large_rows, options.large_budget)


def print_speed(lines: list[dict[str, float]]) -> None:
    print("| coalitions | rows/s | KernelExplainer | ratio | goal | inside the model | goal |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for line in lines:
        budget, ratio = int(line["budget"]), line["own"] / line["other"]
        goal = f"{GOAL_INSIDE:.0%}" if budget > 1000 else ""
        print(
            f"| {budget:,} | {line['own']:,.0f} | {line['other']:,.0f} | {ratio:.0f} | {GOALS[budget]:.0f} | "
            f"{line['inside']:.0%} | {goal} |"
        )


def print_errors(lines: list[dict[str, Any]]) -> None:
    print("\n| features | units | coalitions | error | stated | KernelExplainer's error |")
    print("|---:|---|---:|---:|---:|---:|")
    for line in lines:
        print(
            f"| {line['features']} | {line['units']} | {line['budget']:,} | {line['own']:.2%} | "
            f"{line['stated']:.2%} | {line['other']:.2%} |"
        )


def print_jobs(rows: int) -> None:
    print("\n| whole job | coalitions | CPU s | rows/s | inside the model | goal |")
    print("|---|---:|---:|---:|---:|---:|")
    for budget in BUDGETS:
        line = in_own_process(f"run_job({rows}, {budget})")
        rate, goal = rows / line["seconds"], f"{GOAL_INSIDE:.0%}" if budget > 1000 else ""
        print(
            f"| {rows:,} x {FEATURES} CSV | {budget:,} | {line['seconds']:.1f} | {rate:,.0f} | "
            f"{line['inside']:.0%} | {goal} |"
        )


def in_own_process(call: str) -> dict[str, float]:
    """Return what a function of this module gives in a process of its own, whose peak and imports are its."""
    code = (
        f"import json, threadpoolctl; from benchmarks.shapley import {call.partition('(')[0]}; "
        f"threadpoolctl.threadpool_limits(1); print(json.dumps({call}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def print_memory(rows: int, budget: int) -> None:
    line = in_own_process(f"explain_large({rows}, {budget})")
    print("\n| rows x features | coalitions | CPU s | model rows/s | inside the model | peak | before |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {rows:,} x 50 | {budget} | {line['seconds']:.0f} | {line['model_rows'] / line['seconds']:,.0f} | "
        f"{line['inside']:.0%} | {line['peak'] / 1e6:,.0f} MB | {line['before'] / 1e6:,.0f} MB |"
    )


if __name__ == "__main__":
    main()
