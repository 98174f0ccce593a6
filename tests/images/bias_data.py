"""What bias jobs of the image tests read: a configuration, a baseline, a window of captures with labels.

The window is worse for one of four groups only: half of that group's labels are tossed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from captured_predictions import Predictions, predict, write_captures, write_labels, write_table

GROUP = "a"
BASELINE = predict(4_000, seed=1)
WORSE = predict(4_000, seed=2, wrong=0.5, wrong_in=(GROUP,))
# As the monitors of the SageMaker SDK write it: nothing of the data's format, nothing of methods.
MONITOR_CONFIG: dict[str, Any] = {
    "headers": ["group", "label"],
    "label": "label",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "group", "value_or_threshold": [GROUP]}],
}
# As a processing job of Clarify gets it.
CONFIG: dict[str, Any] = {
    "version": "1.0",
    "dataset_type": "text/csv",
    **MONITOR_CONFIG,
    "headers": ["label", "prediction", "probability", "group"],
    "predicted_label": "prediction",
    "methods": {
        "pre_training_bias": {"methods": "all"},
        "post_training_bias": {"methods": "all"},
        "report": {"name": "report", "title": "Analysis Report"},
    },
}


def accuracy_difference(predictions: Predictions) -> float:
    """Return AD: the accuracy of all other groups less that of `GROUP`."""
    is_right = np.equal(predictions.predicted, predictions.labels)
    is_group = np.equal(predictions.groups, GROUP)
    return float(is_right[~is_group].mean() - is_right[is_group].mean())


def write_config(folder: Path, config: dict[str, Any] = CONFIG) -> Path:
    """Write `folder`/analysis_config.json, readable by anybody; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "analysis_config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    file.chmod(0o644)
    folder.chmod(0o755)
    return folder


def write_bias_baseline(folder: Path) -> Path:
    """Write `folder`/data.csv, its first line the names of its columns; return the folder."""
    write_table(folder / "data.csv", BASELINE).chmod(0o644)
    folder.chmod(0o755)
    return folder


def write_bias_window(folder: Path) -> dict[str, Path]:
    """Write captures, and labels that came later; return the folders by their names."""
    return {
        "captures": write_captures(folder / "captures", WORSE),
        "labels": write_labels(folder / "labels", WORSE.labels),
    }


def metric(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a metric of `GROUP` from ``analysis.json`` or ``constraints.json``."""
    stages = (document.get(f"{stage}_training_bias_metrics") for stage in ("post", "pre"))
    groups = [group for stage in stages if stage for group in stage["facets"]["group"]]
    assert {group["value_or_threshold"] for group in groups} == {GROUP}
    return next(entry for group in groups for entry in group["metrics"] if entry["name"] == name)
