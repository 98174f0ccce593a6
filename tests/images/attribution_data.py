"""A model, and what jobs that explain it read; the exact Shapley values of its answers by enumeration."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FEATURES = ("age", "income", "debt")
REFERENCE = [50.0, 40.0, 10.0]
ROWS = 200
CONFIG: dict[str, Any] = {
    "version": "1.0",
    "dataset_type": "text/csv",
    "headers": list(FEATURES),
    "methods": {
        "shap": {
            "baseline": [REFERENCE],
            "num_samples": 100,
            "agg_method": "mean_abs",
            "use_logit": False,
            "save_local_shap_values": True,
            "seed": 1,
        },
        "report": {"name": "report", "title": "Analysis Report"},
    },
    "predictor": {"content_type": "text/csv", "accept_type": "text/csv"},
}

Predict = Callable[[np.ndarray], np.ndarray]


def draw(seed: int, *, steady: tuple[str, ...] = ()) -> np.ndarray:
    """Draw rows of all features; those in `steady` are what they are in the reference row."""
    rng = np.random.default_rng(seed)
    rows = np.column_stack(
        [rng.integers(18, 90, ROWS), rng.normal(40, 8, ROWS).round(2), rng.exponential(10, ROWS).round(2)]
    )
    for name in steady:
        rows[:, FEATURES.index(name)] = REFERENCE[FEATURES.index(name)]
    return rows


def train(folder: Path) -> tuple[Path, Predict]:
    """Train boosted trees; return the folder with ``model.json``, and the model as a function."""
    xgboost = pytest.importorskip("xgboost")
    rows = draw(1)
    labels = rows[:, 1] - rows[:, 2] + 0.1 * rows[:, 0] > 33
    options = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
    booster = xgboost.train(options, xgboost.DMatrix(rows, labels), 20)
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.json")
    (folder / "model.json").chmod(0o644)
    folder.chmod(0o755)
    return folder, lambda table: booster.predict(xgboost.DMatrix(table)).astype(float)


def exact(predict: Predict, rows: np.ndarray) -> np.ndarray:
    """Return the Shapley values of `rows` against the reference row: every coalition is asked for."""
    features = range(len(FEATURES))
    values = {}
    for size in range(len(FEATURES) + 1):
        for coalition in combinations(features, size):
            table = np.tile(REFERENCE, (len(rows), 1))
            table[:, coalition] = rows[:, coalition]
            values[coalition] = predict(table)
    found = np.zeros(rows.shape)
    for feature in features:
        for coalition, value in values.items():
            if feature not in coalition:
                weight = 1 / (len(FEATURES) * comb(len(FEATURES) - 1, len(coalition)))
                joined = tuple(sorted((*coalition, feature)))
                found[:, feature] += weight * (values[joined] - value)
    return found


@contextmanager
def served(predict: Predict, host: str) -> Iterator[str]:
    """Serve a model as SageMaker's containers do, CSV in and out; give the address of its invocations."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            rows = np.loadtxt(io.BytesIO(body), delimiter=",", ndmin=2)
            self.answer("".join(f"{score!r}\n" for score in predict(rows).tolist()).encode())

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/csv")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/invocations"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_rows(folder: Path, rows: np.ndarray) -> Path:
    """Write `folder`/data.csv without names, as Clarify wants it beside headers; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(repr, row)) for row in rows.tolist()]
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "data.csv").chmod(0o644)
    folder.chmod(0o755)
    return folder


def write_requests(folder: Path, rows: np.ndarray, scores: np.ndarray) -> Path:
    """Write captures of a model's requests and answers; return the folder."""
    hour = folder / "endpoint" / "AllTraffic" / "2026" / "05" / "06" / "22"
    hour.mkdir(parents=True)
    lines = [
        json.dumps(
            {
                "captureData": {
                    "endpointInput": _payload("INPUT", ",".join(map(repr, row))),
                    "endpointOutput": _payload("OUTPUT", repr(score)),
                },
                "eventMetadata": {"eventId": f"event-{at}", "inferenceTime": "2026-05-06T22:15:00Z"},
                "eventVersion": "0",
            }
        )
        for at, (row, score) in enumerate(zip(rows.tolist(), scores.tolist(), strict=True))
    ]
    (hour / "15-00-000-captures.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def _payload(mode: str, data: str) -> dict[str, str]:
    return {"observedContentType": "text/csv", "mode": mode, "data": data, "encoding": "CSV"}
