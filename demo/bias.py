"""What the bias reports say: read from the files alone, as any tool could."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.flights import FEATURES, LABEL

WIDTH = 100
FACET = "origin"
GROUP = "LGA"
# What the table shows, and in which words.
SHOWN = {"DPL": "late flights", "AD": "accuracy"}

_STAGES = ("post_training_bias_metrics", "pre_training_bias_metrics")

# As SageMaker Clarify takes it. The flip test (FT) is left out: it needs numbers, and some features are text.
CONFIGURATION: dict[str, Any] = {
    "version": "1.0",
    "dataset_type": "text/csv",
    "headers": [*FEATURES, LABEL],
    "label": LABEL,
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": FACET, "value_or_threshold": [GROUP]}],
    "group_variable": "carrier",
    "methods": {
        "pre_training_bias": {"methods": "all"},
        "post_training_bias": {
            "methods": ["AD", "CDDPL", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "GE", "RD", "SD", "TE"]
        },
    },
}


@dataclass(frozen=True)
class Bias:
    """The files of one bias job.

    Attributes
    ----------
    rows
        Number of rows read.
    metrics
        Each metric's entry in ``constraints.json``, by name.
    violations
        The entries of ``constraint_violations.json``; none in a baseline.
    undecided
        Metrics that ``comparisons.json`` calls not decided, each with the reason; none in a baseline.
    """

    rows: int
    metrics: dict[str, dict[str, Any]]
    violations: list[dict[str, str]]
    undecided: dict[str, str]

    @property
    def violated(self) -> list[str]:
        """Return the names of the metrics that violate their constraint."""
        return [entry["metric_name"] for entry in self.violations]


def write_configuration(folder: Path) -> None:
    """Write ``analysis_config.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(CONFIGURATION, indent=2)
    (folder / "analysis_config.json").write_text(text + "\n", encoding="utf-8")


def read_bias(directory: Path) -> Bias:
    """Return the report that a bias job left in `directory`."""
    constraints = _read(directory / "constraints.json")
    violations = directory / "constraint_violations.json"
    comparisons = directory / "comparisons.json"
    made = _read(comparisons)["comparisons"] if comparisons.exists() else []
    return Bias(
        rows=_read(directory / "statistics.json")["dataset"]["item_count"],
        metrics={
            metric["name"]: metric
            for stage in _STAGES
            for group in constraints[stage]["facets"][FACET]
            for metric in group["metrics"]
        },
        violations=_read(violations)["violations"] if violations.exists() else [],
        undecided={
            one["subject"].partition(" ")[0]: one["reason"] for one in made if one["state"] == "not_decided"
        },
    )


def describe_bias(baseline: Bias, windows: Sequence[tuple[str, Bias]], before: str) -> Iterator[str]:
    """Yield a table of what the group lacks against all others: one column per metric in `SHOWN`.

    Parameters
    ----------
    baseline
        The first row.
    windows
        Title and report of each.
    before
        Title of the baseline.
    """
    heads = "".join(f"{words + ', others less ' + GROUP:>32}" for words in SHOWN.values())
    yield f"  {'':<18}{heads}   metrics worse"
    yield f"  {before:<18}{_shown(baseline)}"
    for title, window in windows:
        yield f"  {title:<18}{_shown(window)}   {len(window.violated) or 'none'}"


def explain_violation(window: Bias, name: str) -> list[str]:
    """Return the lines with what the report says of one violation."""
    (text,) = [entry["description"] for entry in window.violations if entry["metric_name"] == name]
    return _wrapped(f"{name}: {text}")


def explain_undecided(window: Bias, name: str) -> list[str]:
    """Return the lines with what the report says of a metric that the window does not decide."""
    return _wrapped(f"{name} is not decided. {window.undecided[name]}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _shown(bias: Bias) -> str:
    return "".join(f"{_with_interval(bias.metrics[name]):>32}" for name in SHOWN)


def _with_interval(metric: dict[str, Any]) -> str:
    low, high = metric["confidence_interval"]
    return f"{metric['value']:+.1%} ({100 * low:+.1f} to {high:+.1%})"


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
