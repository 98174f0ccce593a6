"""A model behind an HTTP endpoint whose Shapley values are known, and data for it, for whole jobs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from captures.capture_data import part, record, write
from models.model_server import Answer, Request

FEATURES = ("age", "colour", "income")
COLOURS = {"red": 1.0, "green": 0.0, "blue": -2.0}
BASELINE = [30.0, "green", 2.0]
SLOPES = (0.1, 0.5)
HOUR = "2026/05/06/22"


@dataclass(frozen=True)
class People:
    """Rows of the features."""

    age: list[float]
    colour: list[str]
    income: list[float]

    @property
    def rows(self) -> list[list[Any]]:
        return [list(row) for row in zip(self.age, self.colour, self.income, strict=True)]

    @property
    def local_values(self) -> np.ndarray:
        """Return Shapley's values, shape (rows, features): the model is a sum, so they are its terms."""
        terms = np.array([score_terms(row) for row in self.rows])
        return terms - np.array(score_terms(BASELINE))

    @property
    def global_values(self) -> dict[str, float]:
        return dict(zip(FEATURES, np.abs(self.local_values).mean(axis=0).tolist(), strict=True))


def people(rows: int, *, seed: int = 0, age_spread: float = 10.0, income_spread: float = 1.0) -> People:
    rng = np.random.default_rng(seed)
    return People(
        age=rng.normal(30.0, age_spread, rows).round(1).tolist(),
        colour=rng.choice(list(COLOURS), rows).tolist(),
        income=rng.normal(2.0, income_spread, rows).round(2).tolist(),
    )


def score_terms(row: list[Any]) -> list[float]:
    return [SLOPES[0] * float(row[0]), COLOURS[row[1]], SLOPES[1] * float(row[2])]


def score(row: list[Any]) -> float:
    return sum(score_terms(row))


def csv_endpoint(request: Request) -> Answer:
    """Answer one score per line of CSV."""
    return Answer("".join(f"{score(row)!r}\n" for row in request.rows()))


def json_endpoint(request: Request) -> Answer:
    """Answer ``{"predictions": [{"score": ...}]}`` to ``{"instances": [{"features": [...]}]}``."""
    instances = json.loads(request.body)["instances"]
    scores = [{"score": score(instance["features"])} for instance in instances]
    return Answer(json.dumps({"predictions": scores}))


def write_csv(file: Path, rows: list[list[Any]], header: list[str] | None = None) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header or list(FEATURES), *rows])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.getvalue(), encoding="utf-8")
    return file


def write_captures(folder: Path, data: People, *, as_json: bool = False) -> Path:
    """Write one capture per row: the input as CSV or JSON, and an output that nobody should look at."""
    csv_type, json_type = {"observedContentType": "text/csv"}, {"observedContentType": "application/json"}
    records = [
        record(
            part("0.5", **csv_type),
            part(json.dumps({"instances": [{"features": row}]}), "JSON", **json_type)
            if as_json
            else part(",".join(map(str, row)) + "\n", **csv_type),
            "2026-05-06T22:10:00Z",
        )
        for row in data.rows
    ]
    write(folder / HOUR / "captures.jsonl", records)
    return folder


def table_config(**shap: Any) -> dict[str, Any]:
    """Return an analysis configuration for a table."""
    return {
        "dataset_type": "text/csv",
        "methods": {"shap": {"baseline": [BASELINE], "save_local_shap_values": True, **shap}},
        "predictor": {"content_type": "text/csv"},
    }
