"""What the model-quality reports say: read from the files alone, as any tool could."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH = 100
_METRICS = "binary_classification_metrics"


@dataclass(frozen=True)
class Performance:
    """The files of one model-quality job.

    Attributes
    ----------
    rows
        Number of rows with a label.
    metrics
        Each metric's entry in ``statistics.json``, by name; empty without labels.
    estimated
        Estimates for rows without a label, by metric.
    segments
        Metrics again, by value of the column that makes segments.
    violations
        The entries of ``constraint_violations.json``; none in a baseline.
    """

    rows: int
    metrics: dict[str, dict[str, Any]]
    estimated: dict[str, float]
    segments: dict[str, dict[str, dict[str, Any]]]
    violations: list[dict[str, Any]]

    @property
    def worse(self) -> list[str]:
        """Return the metrics of all rows that violate their constraint."""
        return [entry["metric_name"] for entry in self.violations if "segment" not in entry]

    @property
    def violated_segments(self) -> list[str]:
        """Return the segments with violations, in the order of the report: the worst first."""
        values = [_value(entry["segment"]) for entry in self.violations if "segment" in entry]
        return list(dict.fromkeys(values))


def read_performance(directory: Path) -> Performance:
    """Return the report that a model-quality job left in `directory`."""
    statistics = _read(directory / "statistics.json")
    violations = directory / "constraint_violations.json"
    return Performance(
        rows=statistics["dataset"]["item_count"],
        metrics=statistics[_METRICS],
        estimated={
            name: entry["value"] for name, entry in statistics.get("estimated", {}).get("metrics", {}).items()
        },
        segments={_value(segment["segment"]): segment[_METRICS] for segment in statistics["segments"]},
        violations=_read(violations)["violations"] if violations.exists() else [],
    )


def read_coverage(directory: Path) -> tuple[int, int]:
    """Return how many captures a merge found, and how many of them got a label."""
    report = _read(directory / "_merge_report.json")
    return report["captures"], report["joined"]


def describe_accuracy(
    baseline: Performance, windows: Sequence[tuple[str, Performance, Performance]], before: str
) -> Iterator[str]:
    """Yield a table of accuracy: estimated without labels and measured with them.

    Parameters
    ----------
    baseline
        Its accuracy is the first row.
    windows
        Title, estimate and measurement of each.
    before
        Title of the baseline.
    """
    yield f"  {'accuracy':<18}{'estimated, no labels':>22}{'measured (95 % interval)':>32}   metrics worse"
    yield f"  {before:<18}{'':>22}{_measured(baseline):>32}"
    for title, estimate, measurement in windows:
        estimated = f"{estimate.estimated['accuracy']:.1%}"
        worse = len(measurement.worse) or "none"
        yield f"  {title:<18}{estimated:>22}{_measured(measurement):>32}   {worse}"


def describe_fall(baseline: Performance, window: Performance, column: str) -> Iterator[str]:
    """Yield the lines that say which metrics are worse, and in which segments of `column` most."""
    listed = [
        f"{name} {baseline.metrics[name]['value']:.2f} -> {window.metrics[name]['value']:.2f}"
        for name in window.worse
    ]
    yield from _wrapped("worse: ", listed)
    lost = {
        value: baseline.segments[value]["accuracy"]["value"] - window.segments[value]["accuracy"]["value"]
        for value in window.violated_segments
    }
    yield f"  accuracy by {column}, where it fell, most first"
    for value in sorted(lost, key=lambda value: -lost[value]):
        accuracies = [part.segments[value]["accuracy"]["value"] for part in (baseline, window)]
        yield f"    {value:<6}{accuracies[0]:>8.1%} -> {accuracies[1]:.1%}   {'#' * round(100 * lost[value])}"


def describe_estimate(estimate: Performance, title: str) -> str:
    """Return the line that says what is estimated of a window without labels."""
    listed = ", ".join(f"{name} {value:.2f}" for name, value in estimate.estimated.items())
    return f"   estimated, {title}: {listed}"


def _wrapped(head: str, items: Sequence[str]) -> list[str]:
    """Break a list into lines between its items, never within one."""
    unbroken = ", ".join(item.replace(" ", "\N{NO-BREAK SPACE}") for item in items)
    lines = textwrap.wrap(head + unbroken, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _measured(performance: Performance) -> str:
    accuracy = performance.metrics["accuracy"]
    low, high = accuracy["confidence_interval"]
    return f"{accuracy['value']:.1%} ({100 * low:.1f} to {high:.1%})"


def _value(segment: Mapping[str, str | None]) -> str:
    return ", ".join(value or "missing" for value in segment.values())


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
