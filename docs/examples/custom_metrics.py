"""custom-metrics: metrics of one's own, each a mean over rows or a ratio of two sums.

Write a function for each metric and name it in METRICS: it gets the rows as a pandas data frame and returns
a value per row, or two for a ratio. Baseline, 95 % interval, limit, page, history and trend come for nothing.
An expert changes a limit in constraints.json: {"metrics": {"order_value": {"most_change": 0.05, ...}}}.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from contract import api
from contract.errors import DocumentError
from job_runner.console import run_command

CHECK = "custom_metric_check"


# Your metrics


def order_value(rows: pd.DataFrame) -> pd.Series:
    """Return values whose mean is watched; missing ones do not count."""
    return rows["price"] * rows["quantity"]


def return_rate(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return numerator and denominator of each row: the ratio of their sums is watched."""
    return rows["returned"], rows["quantity"]


METRICS: dict[str, Callable[[pd.DataFrame], Any]] = {"order_value": order_value, "return_rate": return_rate}
# Relative to the baseline: a smaller change is no violation, however sure.
MOST_CHANGE = 0.02
# Chances of a false alarm, of all metrics together.
FALSE_ALARMS = 0.003

# What all metrics have in common


@dataclass(frozen=True)
class CustomMetrics(api.Analyzer):
    """Sums of numerator, denominator and their products: enough for a ratio and its standard error."""

    share: float = 1.0

    def empty(self) -> dict[str, np.ndarray]:
        return {"": np.zeros(1)} | {name: np.zeros(6) for name in METRICS}

    def summarize(self, batches: Iterable[Any]) -> dict[str, np.ndarray]:
        summary = self.empty()
        for batch in batches:
            rows = batch.to_pandas()
            summary[""] += len(rows)
            for name, metric in METRICS.items():
                summary[name] += _sums(metric(rows))
        return summary

    def merge(self, left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: left[name] + right[name] for name in left}

    def row_count(self, summary: dict[str, np.ndarray]) -> int:
        return int(summary[""][0])

    def describe(self, summary: dict[str, np.ndarray]) -> dict[str, Any]:
        return {"metrics": {name: _ratio(summary[name]) for name in METRICS}}

    def suggest(self, statistics: Any, baseline: Any) -> dict[str, Any]:
        old = baseline.constraints["metrics"] if baseline and baseline.constraints else {}
        return {
            "metrics": {
                name: {"most_change": old.get(name, {}).get("most_change", MOST_CHANGE), **found}
                for name, found in statistics["metrics"].items()
            }
        }

    def check(self, statistics: Any, baseline: Any) -> api.Decision:
        asked = (baseline.constraints or {"metrics": {}})["metrics"]
        compared = [
            _compare(name, statistics["metrics"].get(name), was, self.share * FALSE_ALARMS / len(asked))
            for name, was in asked.items()
        ]
        violations = [
            api.Violation(CHECK, one.text, metric_name=one.subject)
            for one in compared
            if one.state is api.State.VIOLATED
        ]
        return api.Decision(api.Violations(violations), comparisons=tuple(compared))

    def with_error_share(self, share: float) -> CustomMetrics:
        return CustomMetrics(share)

    def metrics(self, statistics: Any, baseline: Any, decision: Any) -> list[api.Metric]:
        return [
            api.Metric(
                name,
                found["value"],
                interval=(
                    found["value"] - 1.96 * found["standard_error"],
                    found["value"] + 1.96 * found["standard_error"],
                ),
            )
            for name, found in statistics["metrics"].items()
            if found["rows"] > 1
        ]


def _sums(values: Any) -> np.ndarray:
    top, bottom = values if isinstance(values, tuple) else (values, None)
    top = np.asarray(top, float)
    bottom = np.ones(len(top)) if bottom is None else np.asarray(bottom, float)
    there = np.isfinite(top) & np.isfinite(bottom)
    top, bottom = top[there], bottom[there]
    return np.array([len(top), top.sum(), bottom.sum(), top @ top, bottom @ bottom, top @ bottom])


def _ratio(sums: np.ndarray) -> dict[str, float]:
    """Return a ratio of sums and its standard error by the delta method; 0 of 0 rows is nothing."""
    rows, top, bottom, tops, bottoms, both = sums.tolist()
    if rows < 2 or bottom == 0:
        return {"rows": int(rows), "value": 0.0, "standard_error": 0.0}
    value = top / bottom
    squares = tops - 2 * value * both + value * value * bottoms
    error = math.sqrt(max(0.0, squares) * rows / (rows - 1)) / abs(bottom)
    return {"rows": int(rows), "value": value, "standard_error": error}


def _compare(name: str, now: dict[str, float] | None, was: dict[str, float], chance: float) -> api.Comparison:
    if now is None or min(now["rows"], was["rows"]) < 2:
        why = f"{name} has fewer than two rows in the window or at the baseline"
        return api.Comparison(name, CHECK, api.State.UNDECIDED, reason=why, lost=True)
    change = now["value"] - was["value"]
    noise = math.hypot(now["standard_error"], was["standard_error"])
    # Beyond the limit, and by more than chance: the part of the change above the limit is tested.
    beyond = abs(change) - was["most_change"] * abs(was["value"])
    sure = math.erfc(beyond / noise / math.sqrt(2)) if noise else float(beyond <= 0)
    state = api.State.VIOLATED if beyond > 0 and sure < chance else api.State.HOLDS
    text = (
        f"{name} is {now['value']:.4g} of {now['rows']:,} rows; it was {was['value']:.4g} of {was['rows']:,} "
        f"at the baseline (limit: {was['most_change']:.0%} of that; chance {max(sure, 1e-9):.2g})."
    )
    return api.Comparison(name, CHECK, state, text, value=now["value"], expected=was["value"])


def _read_constraints(value: dict[str, Any], where: str) -> dict[str, Any]:
    for name, entry in value.get("metrics", {}).items():
        if name not in METRICS:
            raise DocumentError(f"{where}: metrics.{name} is none of {', '.join(METRICS)}; mend the name.")
        if not isinstance(entry.get("most_change"), int | float) or not 0 <= entry["most_change"] <= 1:
            raise DocumentError(f"{where}: metrics.{name}.most_change is not a number from 0 to 1.")
    return value


MONITOR = api.Monitor(
    program="custom-metrics",
    description="Compare metrics of one's own with their baseline.",
    title="Metrics of our own",
    make_analyzer=lambda settings, plan: CustomMetrics(),
    load_documents=lambda: api.DocumentSet(read_constraints=_read_constraints),
    load_replay=lambda: api.Replay(
        make_checker=lambda rules, checking, statistics: CustomMetrics(),
        has_written=lambda document: "metrics" in document,
        takes=lambda document: "metrics" in document,
    ),
)
main = partial(run_command, MONITOR)

if __name__ == "__main__":
    sys.exit(main())
