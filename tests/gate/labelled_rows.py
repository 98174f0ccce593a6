"""Rows with a label, a prediction, a group and a number, for jobs that may decide nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Rows = list[list[str]]
HEAD = ["label", "prediction", "sex", "x"]
BIAS = {
    "dataset_type": "text/csv",
    "label": "label",
    "predicted_label": "prediction",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "sex", "value_or_threshold": [0]}],
    "methods": {"pre_training_bias": {"methods": ["DPL"]}, "post_training_bias": {"methods": ["DPPL", "RD"]}},
}


def table(seed: int, rows: int = 600) -> Rows:
    """Return label, prediction, sex and a number."""
    rng = np.random.default_rng(seed)
    label, sex = rng.integers(0, 2, rows), rng.integers(0, 2, rows)
    prediction = np.where(rng.random(rows) < 0.8, label, 1 - label)
    x = rng.normal(50, 9, rows).round(2)
    return [list(map(str, row)) for row in zip(label, prediction, sex, x, strict=True)]


def write(file: Path, rows: Rows) -> Path:
    file.write_text("\n".join(",".join(row) for row in [HEAD, *rows]) + "\n", encoding="utf-8")
    return file


def all_of(column: str, text: str) -> Callable[[Rows], Rows]:
    """Return what gives a column this text in all rows."""
    place = HEAD.index(column)
    return lambda rows: [[*row[:place], text, *row[place + 1 :]] for row in rows]
