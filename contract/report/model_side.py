"""One side of a model-quality comparison: metrics as the documents have them, and as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from contract.report.charts import estimate, intervals
from contract.report.segments import values_text
from contract.report.view import Cell, Chart
from contract.report.words import as_number, number, percent

_METRICS = ("binary_classification_metrics", "multiclass_classification_metrics", "regression_metrics")
_CONSTRAINTS = (
    "binary_classification_constraints",
    "multiclass_classification_constraints",
    "regression_constraints",
)
MATRIX = "confusion_matrix"
ROC = "receiver_operating_characteristic_curve"
PR = "precision_recall_curve"
BEST_CONSTANT = "_best_constant_classifier"

# Those named first are what most people ask for.
FIRST = (
    "accuracy",
    "f1",
    "recall",
    "precision",
    "auc",
    "rmse",
    "mae",
    "r2",
    "weighted_f1",
    "weighted_recall",
)
SHARES = re.compile(r"^(weighted_)?(accuracy|recall|precision|f\d.*|true_.*|false_.*)$")


class Side:
    """One statistics document, of the whole or of a segment."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        members: Mapping[str, Any] = next((document[name] for name in _METRICS if name in document), {})
        self.metrics = {
            name: member
            for name, member in members.items()
            if isinstance(member, Mapping) and "value" in member
        }
        self.matrix: Mapping[str, Mapping[str, int]] = members.get(MATRIX) or {}
        self.curves = {name: members[name] for name in (ROC, PR) if name in members}

    def estimate(self, name: str) -> list[float | None] | None:
        """Return ``[value, low, high]`` of a metric, None where it is absent or undefined."""
        metric = self.metrics.get(name)
        return estimate(metric["value"], metric.get("confidence_interval")) if metric else None

    def value(self, name: str) -> float | None:
        """Return a metric's value, None where it is absent or undefined."""
        metric = self.metrics.get(name)
        return as_number(metric["value"]) if metric else None


def limits_of(constraints: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Return what is expected of each metric: its threshold, and on which side of it to be."""
    members: Mapping[str, Any] = next((constraints[name] for name in _CONSTRAINTS if name in constraints), {})
    return {
        name: (
            entry["threshold"],
            "at least" if entry["comparison_operator"].startswith("Less") else "at most",
        )
        for name, entry in members.items()
    }


def title_of(name: str) -> str:
    """Return a metric's name as people read it."""
    known = {
        "auc": "AUC",
        "mae": "mean absolute error",
        "mse": "mean squared error",
        "rmse": "root mean squared error",
        "r2": "R²",
        "f0_5": "F0.5",
        "f1": "F1",
        "f2": "F2",
    }
    return known.get(name, name.replace("_", " "))


def text_of(name: str, value: float | None) -> str:
    """Return a metric's value as people read it: shares as percent."""
    return percent(value) if SHARES.match(name) else number(value)


def ordered(names: Mapping[str, Any]) -> list[str]:
    """Return metrics in the order in which people ask for them."""
    rank = {name: place for place, name in enumerate(FIRST)}
    return sorted(names, key=lambda name: rank.get(name, len(rank)))


def value_cell(name: str, found: list[float | None] | None) -> Cell:
    """Return the cell of a metric's value."""
    value = found[0] if found else None
    return Cell(text_of(name, value), value)


def interval_text(name: str, found: list[float | None] | None) -> str:
    """Return a metric's interval as people read it, a dash where there is none."""
    if not found or found[1] is None:
        return "–"
    return f"{text_of(name, found[1])} to {text_of(name, found[2])}"


def metric_chart(
    names: list[str], now: Side, then: Side, limits: Mapping[str, tuple[float, str]]
) -> Chart | None:
    """Return metrics then and now with what is expected of them; None where neither side has one."""
    items = [
        {
            "label": title_of(name),
            "then": then.estimate(name),
            "now": now.estimate(name),
            "limit": limits[name][0] if name in limits else None,
        }
        for name in names
    ]
    items = [item for item in items if item["then"] or item["now"]]
    if not items:
        return None
    title = title_of(names[0]) if len(names) == 1 else "Metrics"
    return intervals(title, items, shares=all(SHARES.match(name) for name in names))


def segments_of(document: Mapping[str, Any]) -> dict[str, tuple[Side, int]]:
    """Return each segment's metrics and rows, by its text."""
    return {
        values_text(entry["segment"]): (Side(entry), entry["item_count"])
        for entry in document.get("segments") or ()
    }
