"""What the reports say, in words a newcomer can read: read from the files alone, as any tool could."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.flights import UNITS

WIDTH = 100

Features = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Report:
    """The files of one monitoring job.

    Attributes
    ----------
    rows
        Number of records in the window.
    features
        The ``features`` of ``statistics.json``, by name.
    distances
        Drift distance by feature, from the metric file.
    violations
        The entries of ``constraint_violations.json``.
    undecided
        Features whose drift may be chance, though it is beyond the limit.
    """

    rows: int
    features: Features
    distances: dict[str, float]
    violations: list[dict[str, str]]
    undecided: frozenset[str] = frozenset()

    def violated(self, check: str) -> list[str]:
        """Return the features that fail `check`, largest distance first."""
        names = [
            entry["feature_name"] for entry in self.violations if entry["constraint_check_type"] == check
        ]
        return sorted(names, key=lambda name: -self.distances.get(name, 0.0))

    @property
    def quiet(self) -> list[str]:
        """Return the features without any violation, largest distance first."""
        loud = {entry["feature_name"] for entry in self.violations} | self.undecided
        return sorted(set(self.features) - loud, key=lambda name: (-self.distances.get(name, 0.0), name))


def read_features(directory: Path) -> Features:
    """Return the features of ``statistics.json`` in `directory`, by name."""
    document = json.loads((directory / "statistics.json").read_text(encoding="utf-8"))
    return {feature["name"]: feature for feature in document["features"]}


def read_report(directory: Path) -> Report:
    """Return the report that a monitoring job left in `directory`."""
    prefix = "feature_baseline_drift_"
    lines = (directory / "cloudwatch_metrics.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = [json.loads(line) for line in lines]
    violations = json.loads((directory / "constraint_violations.json").read_text(encoding="utf-8"))
    statistics = json.loads((directory / "statistics.json").read_text(encoding="utf-8"))
    comparisons = json.loads((directory / "comparisons.json").read_text(encoding="utf-8"))["comparisons"]
    return Report(
        rows=statistics["dataset"]["item_count"],
        features={feature["name"]: feature for feature in statistics["features"]},
        distances={
            metric["MetricName"].removeprefix(prefix): metric["Value"]
            for metric in metrics
            if metric["MetricName"].startswith(prefix)
        },
        violations=violations["violations"],
        undecided=frozenset(
            one["subject"]
            for one in comparisons
            if one["check"] == "baseline_drift_check" and one["state"] == "not_decided"
        ),
    )


def describe_changes(baseline: Features, report: Report, before: str, after: str) -> Iterator[str]:
    """Yield the lines that say what moved, from what to what, and how far."""
    drifted = report.violated("baseline_drift_check")
    missing = report.violated("completeness_check")
    if drifted or missing:
        yield f"  {'mean ± deviation':<16}{before:>20}{after:>20}   distance, 0 to 1 (limit 0.1)"
    for name in drifted:
        values = [_typical(features[name], name) for features in (baseline, report.features)]
        distance = report.distances[name]
        yield f"  {name:<16}{values[0]:>20}{values[1]:>20}   {distance:.2f} {'#' * round(20 * distance)}"
    for name in missing:
        values = [f"{_missing_share(features[name]):.1%} missing" for features in (baseline, report.features)]
        yield f"  {name:<16}{values[0]:>20}{values[1]:>20}"
    for name in report.violated("categorical_values_check"):
        yield from _wrapped(_unseen(name, baseline[name], report.features[name], report.rows))
    known = {"baseline_drift_check", "completeness_check", "categorical_values_check"}
    for entry in report.violations:
        if entry["constraint_check_type"] not in known:
            yield from _wrapped(f"{entry['feature_name']}: {entry['description']}")


def describe_quiet(report: Report) -> Iterator[str]:
    """Yield the lines that say what did not move, and what may have."""
    loud = {entry["feature_name"] for entry in report.violations}
    if open_ones := sorted((report.undecided & report.features.keys()) - loud):
        listed = ", ".join(f"{name} {report.distances.get(name, 0.0):.2f}" for name in open_ones)
        yield from _wrapped(f"not decided, as few of the rows are independent: {listed}")
    names = report.quiet
    if not names:
        return
    largest = report.distances.get(names[0])
    note = f" (largest distance {largest:.2f}, {names[0]})" if largest is not None else ""
    yield from _wrapped(f"quiet{note}: {', '.join(names)}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _typical(feature: Mapping[str, Any], name: str) -> str:
    numbers = feature.get("numerical_statistics")
    if numbers is not None:
        return f"{numbers['mean']:,.1f} ± {numbers['std_dev']:,.1f} {UNITS.get(name, '')}".rstrip()
    categories = _categories(feature)
    if not categories:
        return "text"
    top = max(categories, key=lambda value: categories[value])
    return f"{top} {categories[top] / sum(categories.values()):.0%}"


def _missing_share(feature: Mapping[str, Any]) -> float:
    common = (feature.get("numerical_statistics") or feature["string_statistics"])["common"]
    missing, present = common["num_missing"], common["num_present"]
    return float(missing / (missing + present))


def _unseen(name: str, before: Mapping[str, Any], after: Mapping[str, Any], rows: int) -> str:
    known, now = _categories(before), _categories(after)
    unseen = {value: count for value, count in now.items() if value not in known}
    most_first = sorted(unseen, key=lambda value: (-unseen[value], value))
    values = ", ".join(f"{value} {unseen[value]}" for value in most_first)
    share = sum(unseen.values()) / rows
    return f"{name}: {share:.1%} of flights have a value never seen in training ({values})"


def _categories(feature: Mapping[str, Any]) -> dict[str, int]:
    distribution = feature.get("string_statistics", {}).get("distribution", {})
    buckets = distribution.get("categorical", {}).get("buckets", [])
    return {bucket["value"]: bucket["count"] for bucket in buckets}
