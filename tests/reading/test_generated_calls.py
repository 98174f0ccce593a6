"""Calls of generated shapes: each monitor reads the rows that were written, or the job is refused.

2,000 datasets, drawn from shape of the request, shape of the response, encoding, rows of a call and monitor.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs.attribution_runs import attributions
from jobs.attribution_runs import run as attribute
from models.model_server import Answer, Request, serving
from reading_inputs import write
from run_jobs import run_job

from containers.bias.main import main as monitor_bias
from containers.model_quality.main import main as monitor_model_quality

Rows = list[list[float]]
BOTH = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
REQUESTS = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}'
MONITORS = ("data quality", "model quality", "bias", "attribution")


def objects(rows: Rows) -> list[dict[str, float]]:
    return [{"a": a, "b": b} for a, b in rows]


def tensors(rows: Rows) -> Any:
    named = zip("ab", zip(*rows, strict=True), strict=True)
    return {
        "inputs": [
            {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": list(cells)}
            for name, cells in named
        ]
    }


def split(rows: Rows) -> Any:
    return {"columns": ["a", "b"], "index": list(range(len(rows))), "data": rows}


def by_column(rows: Rows) -> Any:
    return dict(zip("ab", map(list, zip(*rows, strict=True)), strict=True))


def text(rows: Rows) -> str:
    return "\n".join(",".join(map(str, row)) for row in rows)


@dataclass(frozen=True)
class Form:
    """How rows are written, and the path of the features in it; None where the whole request has them."""

    write: Callable[[Any], Any]
    path: str | None = None
    one_row: bool = False


# A text is CSV or lines of JSON, anything else one JSON value.
REQUEST_FORMS: dict[str, Form] = {
    "CSV": Form(text),
    "CSV with line end": Form(lambda rows: text(rows) + "\r\n"),
    "object": Form(lambda rows: objects(rows)[0], one_row=True),
    "list of a row": Form(lambda rows: rows[0], one_row=True),
    "features of a row": Form(lambda rows: {"features": rows[0]}, "features", one_row=True),
    "list of lists": Form(lambda rows: rows),
    "list of objects": Form(objects),
    "instances of lists": Form(lambda rows: {"instances": rows}, "instances"),
    "instances of objects": Form(lambda rows: {"instances": objects(rows)}, "instances"),
    "dataframe_records": Form(lambda rows: {"dataframe_records": objects(rows)}),
    "dataframe_split": Form(lambda rows: {"dataframe_split": split(rows)}),
    "split": Form(split),
    "by column": Form(by_column),
    "inputs by column": Form(lambda rows: {"inputs": by_column(rows)}),
    "tensors": Form(tensors),
    "lines": Form(lambda rows: "\n".join(map(json.dumps, objects(rows)))),
}
RESPONSE_FORMS: dict[str, tuple[Callable[[list[float]], Any], str]] = {
    "lines of CSV": (lambda p: "\n".join(map(str, p)), "0"),
    "a line of CSV": (lambda p: ",".join(map(str, p)), "0"),
    "list": (lambda p: p, "0"),
    "list of lists": (lambda p: [[x] for x in p], "0"),
    "predictions": (lambda p: {"predictions": p}, "predictions"),
    "predictions of lists": (lambda p: {"predictions": [[x] for x in p]}, "predictions.0"),
    "predictions of objects": (lambda p: {"predictions": [{"p": x} for x in p]}, "p"),
    "by column": (lambda p: {"p": p}, "p"),
    "lines of JSON": (lambda p: "\n".join(json.dumps({"p": x}) for x in p), "p"),
}


def part(value: Any, form: str, *, encoded: bool, spaced: bool) -> dict[str, str]:
    written = value if isinstance(value, str) else json.dumps(value, indent=1 if spaced else None)
    if encoded:
        return {"data": base64.b64encode(written.encode()).decode(), "encoding": "BASE64"}
    return {"data": written, "encoding": "CSV" if isinstance(value, str) and "CSV" in form else "JSON"}


def calls_of(random: np.random.Generator, *, one_row: bool) -> list[Rows]:
    """Draw rows by call: one each, as many each, or as it comes."""
    sizes = {"one": [1] * 40, "three": [3] * 20, "any": random.integers(1, 6, 25).tolist()}
    chosen = sizes["one" if one_row else str(random.choice(list(sizes)))]
    return [[[float(x) for x in random.integers(1, 1000, 2) / 8] for _ in range(size)] for size in chosen]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    def add(request: Request) -> Answer:
        if b"[" in request.body:
            return Answer("cells are no numbers", status=400)
        return Answer("".join(f"{sum(map(float, row))!r}\n" for row in request.rows()))

    with serving(add) as server:
        yield server.url


@pytest.mark.parametrize(
    "seed", [*range(16), *(pytest.param(n, marks=pytest.mark.long) for n in range(16, 2000))]
)
def test_rows_are_those_written_or_refused(tmp_path: Path, endpoint: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    monitor = MONITORS[seed % len(MONITORS)]
    request_name, response_name = (
        str(random.choice(list(REQUEST_FORMS))),
        str(random.choice(list(RESPONSE_FORMS))),
    )
    form, (respond, prediction) = REQUEST_FORMS[request_name], RESPONSE_FORMS[response_name]
    calls = calls_of(random, one_row=form.one_row)
    how = {"encoded": bool(random.random() < 0.3), "spaced": bool(random.random() < 0.3)}
    lines, labels = [], []
    for number, rows in enumerate(calls):
        answers = [a + b for a, b in rows]
        parts = {
            "endpointInput": part(form.write(rows), request_name, **how),
            "endpointOutput": part(respond(answers), response_name, **how),
        }
        about = {"eventId": f"e{number}", "inferenceTime": "2026-03-02T10:00:00Z"}
        lines.append({"captureData": parts, "eventMetadata": about})
        wanted = [x if monitor == "model quality" else int(x > 120) for x in answers]
        labels.append({"groundTruthData": {"data": wanted, "encoding": "JSON"}, "eventMetadata": about})
    source = write(tmp_path / "d/a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    truth = write(tmp_path / "l/a.jsonl", "".join(json.dumps(line) + "\n" for line in labels)).parent
    table = np.array([row for rows in calls for row in rows])
    what = f"{monitor}, {request_name}, {response_name}, {how}, {sorted({len(rows) for rows in calls})}"
    if monitor == "data quality":
        result = run_job(tmp_path, source, dataset_format=BOTH)
    elif monitor == "model quality":
        result = run_job(
            tmp_path,
            source,
            command=monitor_model_quality,
            dataset_format=BOTH,
            problem_type="Regression",
            inference_attribute=prediction,
            ground_truth_source=truth,
        )
    elif monitor == "bias":
        facet = {"name_or_index": "a", "value_or_threshold": [60]}
        config = {
            "headers": ["a", "b"],
            "label": "@",
            "label_values_or_threshold": [1],
            "facet": [facet],
            "methods": {"pre_training_bias": {"methods": ["DPL"]}},
        } | ({"features": form.path} if form.path else {})
        where = write(tmp_path / "analysis_config.json", json.dumps(config))
        result = run_job(
            tmp_path,
            source,
            command=monitor_bias,
            dataset_format=REQUESTS,
            analysis_config=where,
            ground_truth_source=truth,
        )
    else:
        config = {
            "headers": ["a", "b"],
            "methods": {"shap": {"baseline": [[0, 0]]}},
            "predictor": {"content_type": "text/csv"},
        } | ({"features": form.path} if form.path else {})
        result = attribute(tmp_path / "j", source, config, endpoint, dataset_format=REQUESTS)
    assert result.exit_code in (0, 2), f"{what}: {result.message}"
    if result.exit_code == 2:
        assert "rows" in result.message or "column" in result.message, f"{what}: {result.message}"
        return
    if monitor == "data quality":
        document = result.document("statistics.json")
        assert document["dataset"]["item_count"] == len(table), what
        means = sorted(found["numerical_statistics"]["mean"] for found in document["features"])
        assert means == pytest.approx(sorted([*table.mean(axis=0), table.sum(axis=1).mean()])), what
    elif monitor == "model quality":
        document = result.document("statistics.json")
        assert document["dataset"]["item_count"] == len(table), what
        assert document["regression_metrics"]["rmse"]["value"] == pytest.approx(0, abs=1e-9), what
    elif monitor == "bias":
        metrics = result.document("analysis.json")["pre_training_bias_metrics"]["facets"]["a"][0]["metrics"]
        favoured, positive = table[:, 0] > 60, table.sum(axis=1) > 120
        assert metrics[0]["value"] == pytest.approx(positive[~favoured].mean() - positive[favoured].mean()), (
            what
        )
    else:
        assert result.document("statistics.json")["explained"]["rows"] == len(table), what
        expected = dict(zip("ab", table.mean(axis=0), strict=True))
        assert attributions(result) == pytest.approx(expected, abs=1e-6), what
