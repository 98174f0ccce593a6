"""How often decisions on drift of attributions are wrong: false alarms without a change, changes found.

Draws a baseline and windows, asks a model about them as a job does, and counts what both rule sets decide.
`docs/feature_attribution.md` holds the tables of a full run.

    python -m benchmarks.simulate_attribution [--windows N] [--seed S]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from analyzers.feature_attribution.analyzer import FeatureAttributionAnalyzer
from analyzers.feature_attribution.documents import AttributionStatistics
from analyzers.feature_attribution.kernel import Sampling
from analyzers.feature_attribution.summary import AttributionRequest
from contract.api import Baseline

FEATURES = 14
NAMES = tuple(f"f{number:02d}" for number in range(FEATURES))
BASELINE_ROWS = 2_000
WINDOW_ROWS = (100, 500, 2_000)
NUM_SAMPLES = (30, 100)
WINDOWS = 200
RULES = ("sound", "sagemaker")

# Weights that fall off geometrically, as those of most models do: the last features are next to nothing.
_WEIGHTS = 1.2 * 0.75 ** np.arange(FEATURES)

type Rows = np.ndarray[Any, np.dtype[np.float64]]


def score(rows: Rows) -> Rows:
    """Return a probability: additive terms, two interactions, and a step."""
    terms = rows @ _WEIGHTS + 0.8 * rows[:, 1] * rows[:, 2] + 0.5 * (rows[:, 3] > 0.5) * rows[:, 4]
    return np.asarray(1.0 / (1.0 + np.exp(-terms)))


def few_features(rows: Rows) -> Rows:
    """Return a number that only three features have to do with: the order of the others is pure noise."""
    return np.asarray(rows[:, 0] + 0.5 * rows[:, 1] + 0.3 * rows[:, 2] * rows[:, 1])


def equal_features(rows: Rows) -> Rows:
    """Return a number to which all features contribute alike: the order of all of them is noise."""
    return np.asarray(np.tanh(rows.sum(axis=1) / np.sqrt(FEATURES)))


def rare_features(rows: Rows) -> Rows:
    """Return a number that features change in a fiftieth of the rows each, some by much."""
    return np.asarray(np.where(rows > 2.05, np.exp(rows), 0.0).sum(axis=1))


MODELS: dict[str, Callable[[Rows], Rows]] = {
    "falling weights": score,
    "three of fourteen": few_features,
    "all alike": equal_features,
    "rarely at all": rare_features,
}


@dataclass(frozen=True)
class Change:
    """What happens to a window: the model it is asked about, and the rows."""

    model: Callable[[Callable[[Rows], Rows]], Callable[[Rows], Rows]] = lambda model: model
    rows: Callable[[Rows], Rows] = lambda rows: rows


def _other_features(model: Callable[[Rows], Rows]) -> Callable[[Rows], Rows]:
    # The model relies on the last features as it did on the first.
    return lambda rows: model(rows[:, ::-1])


def _hundredth(model: Callable[[Rows], Rows]) -> Callable[[Rows], Rows]:
    return lambda rows: model(rows) / 100.0


def _constant_first(rows: Rows) -> Rows:
    rows = rows.copy()
    rows[:, 0] = 0.0
    return rows


CHANGES = {
    "none": Change(),
    "relies on other features": Change(model=_other_features),
    "first feature is constant": Change(rows=_constant_first),
    "all attributions a hundredth": Change(model=_hundredth),
}


def explained(
    model: Callable[[Rows], Rows], rows: Rows, num_samples: int, seed: int
) -> tuple[FeatureAttributionAnalyzer, AttributionStatistics]:
    """Return a job's analyzer and what it found in these rows."""

    def ask(table: pa.RecordBatch) -> Rows:
        matrix = np.stack([column.to_numpy(zero_copy_only=False) for column in table.columns], axis=1)
        return model(matrix)[:, None]

    baseline = pa.record_batch([pa.array([0.1])] * FEATURES, names=list(NAMES))
    request = AttributionRequest(NAMES, baseline, Sampling(num_samples, seed=seed))
    analyzer = FeatureAttributionAnalyzer("sound", request=request, ask=ask)
    batch = pa.record_batch([pa.array(column) for column in rows.T], names=list(NAMES))
    return analyzer, analyzer.describe(analyzer.summarize([batch]))


def violations(rules: str, window: AttributionStatistics, constraints: Any) -> set[str]:
    """Return the kinds of violations that a set of rules finds."""
    from analyzers.feature_attribution.analyzer import AttributionChecker

    decision = AttributionChecker(rules).check(window, Baseline(None, constraints))  # type: ignore[arg-type]  # one of RULES
    return {violation.constraint_check_type for violation in decision.violations.violations}


def rates(name: str, change: str, rows: int, num_samples: int, windows: int, seed: int) -> dict[str, float]:
    """Return the share of windows with a violation, by rules; every tenth has a baseline of its own."""
    found = dict.fromkeys(RULES, 0)
    generator = np.random.default_rng([seed, rows, num_samples])
    for number in range(windows):
        if number % 10 == 0:
            analyzer, statistics = explained(
                MODELS[name], generator.normal(size=(BASELINE_ROWS, FEATURES)), num_samples, number
            )
            constraints = analyzer.suggest(statistics, None)
        moved = CHANGES[change]
        drawn = moved.rows(generator.normal(size=(rows, FEATURES)))
        _, window = explained(moved.model(MODELS[name]), drawn, num_samples, 10_000 + number)
        for rules in RULES:
            found[rules] += bool(violations(rules, window, constraints))
    return {rules: count / windows for rules, count in found.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=WINDOWS, help="windows of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print("| change | model | rows | num_samples | sound | sagemaker |")
    print("|---|---|---|---|---|---|", flush=True)
    started = time.monotonic()
    for change in CHANGES:
        for name in MODELS:
            if change != "none" and name in ("all alike", "rarely at all"):
                continue  # features that are alike cannot trade places
            for rows in WINDOW_ROWS:
                for num_samples in NUM_SAMPLES:
                    # What changed is found at once; what did not needs many windows.
                    windows = options.windows if change == "none" else max(1, options.windows // 5)
                    share = rates(name, change, rows, num_samples, windows, options.seed)
                    cells = " | ".join(f"{100.0 * share[rules]:.1f} %" for rules in RULES)
                    print(f"| {change} | {name} | {rows} | {num_samples} | {cells} |", flush=True)
    print(f"{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
