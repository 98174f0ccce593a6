"""Small inputs that went wrong once, in every monitor that they touch; each stands for a whole kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures import ROOT
from jobs.attribution_runs import attributions
from jobs.attribution_runs import run as attribute
from models.model_server import Answer, Request, serving
from reading_inputs import CAPTURES, HEADERLESS, LINES, checks, features, reading, write
from run_jobs import Result, baseline_of, run_job

from containers.bias.main import main as monitor_bias
from containers.model_quality.main import main as monitor_model_quality

CASES = ROOT.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not beside the checkout")
REQUESTS = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}'


def summed(request: Request) -> Answer:
    return Answer("".join(f"{sum(map(float, row))!r}\n" for row in request.rows()))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving(summed) as server:
        yield server.url


def records(source: Path) -> list[dict[str, Any]]:
    files = sorted(path for path in source.rglob("*") if path.is_file())
    return [json.loads(line) for file in files for line in file.read_text().splitlines() if line]


def label_calls(folder: Path, labels: dict[str, list[Any]]) -> Path:
    """Write the labels of calls, one line of CSV for each row."""
    lines = [
        {
            "groundTruthData": {"data": "\n".join(map(str, each)), "encoding": "CSV"},
            "eventMetadata": {"eventId": key},
        }
        for key, each in labels.items()
    ]
    write(folder / "2026/01/01/00/labels.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    return folder


def rows_of(result: Result) -> int:
    assert result.exit_code == 0, result.message
    return result.document("statistics.json")["dataset"]["item_count"]


def quality(folder: Path, source: Path, **settings: Any) -> Result:
    return run_job(folder, source, command=monitor_model_quality, **settings)


def answered(folder: Path, source: Path, name: str) -> Path:
    """Return a copy of a file with one more column, ``p``, that holds the same as the column `name`."""
    head, *lines = source.read_text().splitlines()
    if source.suffix == ".csv":
        at = head.split(",").index(name)
        lines = [f"{head},p", *(f"{line},{line.split(',')[at]}" for line in lines)]
    else:
        records = [json.loads(line) for line in (head, *lines)]
        lines = [json.dumps(one | ({"p": one[name]} if name in one else {})) for one in records]
    return write(folder / source.name, "".join(f"{line}\n" for line in lines))


def bias(folder: Path, source: Path | None, config: dict[str, Any], **settings: Any) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    path = write(folder / "analysis_config.json", json.dumps(config))
    return run_job(folder, source, command=monitor_bias, analysis_config=path, **settings)


def pre_training(result: Result, facet: str, metric: str) -> float:
    assert result.exit_code == 0, result.message
    found = result.document("analysis.json")["pre_training_bias_metrics"]["facets"][facet][0]["metrics"]
    return next(one["value"] for one in found if one["name"] == metric)


# --- flat_batches: one line of answers for several rows


def lines_of(data: str) -> list[list[float]]:
    return [[float(cell) for cell in line.split(",")] for line in data.split("\n")]


@pytest.fixture(scope="module")
def batches() -> dict[str, list[list[float]]]:
    found = records(CASES / "flat_batches")
    return {
        one["eventMetadata"]["eventId"]: lines_of(one["captureData"]["endpointInput"]["data"])
        for one in found
    }


def test_flat_batches_in_data_quality(tmp_path: Path) -> None:
    result = run_job(tmp_path, CASES / "flat_batches", dataset_format=CAPTURES)
    assert rows_of(result) == 60
    means = [found["numerical_statistics"]["mean"] for found in features(result).values()]
    assert len(means) == 3
    assert means[0] == pytest.approx(means[1] + means[2])


def test_flat_batches_in_model_quality(tmp_path: Path, batches: dict[str, list[list[float]]]) -> None:
    labels = {key: [round(sum(row), 3) for row in rows] for key, rows in batches.items()}
    result = quality(
        tmp_path,
        CASES / "flat_batches",
        dataset_format=CAPTURES,
        problem_type="Regression",
        inference_attribute="0",
        ground_truth_source=label_calls(tmp_path / "labels", labels),
    )
    assert rows_of(result) == 60
    assert result.document("statistics.json")["regression_metrics"]["rmse"]["value"] == pytest.approx(
        0, abs=1e-9
    )


def test_flat_batches_in_bias(tmp_path: Path, batches: dict[str, list[list[float]]]) -> None:
    rows = [row for each in batches.values() for row in each]
    cut = float(np.median([sum(row) for row in rows]))
    labels = {key: [int(sum(row) > cut) for row in each] for key, each in batches.items()}
    config = {
        "headers": ["a", "b"],
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "a", "value_or_threshold": [0.5]}],
        "label": "groundTruthData",
        "methods": {"pre_training_bias": {"methods": "all"}},
    }
    result = bias(
        tmp_path,
        CASES / "flat_batches",
        config,
        dataset_format=REQUESTS,
        ground_truth_source=label_calls(tmp_path / "labels", labels),
    )
    favoured = np.array([row[0] > 0.5 for row in rows])
    positive = np.array([sum(row) > cut for row in rows])
    expected = positive[~favoured].mean() - positive[favoured].mean()
    assert pre_training(result, "a", "DPL") == pytest.approx(expected)


def test_flat_batches_in_attribution(
    tmp_path: Path, batches: dict[str, list[list[float]]], endpoint: str
) -> None:
    config = {
        "headers": ["a", "b"],
        "methods": {"shap": {"baseline": [[0.0, 0.0]]}},
        "predictor": {"content_type": "text/csv"},
    }
    result = attribute(tmp_path, CASES / "flat_batches", config, endpoint, dataset_format=REQUESTS)
    rows = np.array([row for each in batches.values() for row in each])
    assert len(rows) == 60
    assert result.document("statistics.json")["explained"]["rows"] == 60
    assert attributions(result) == pytest.approx(dict(zip("ab", rows.mean(axis=0), strict=True)), abs=1e-6)


# --- one_row_two_lists and columns_in_captures


def test_one_row_of_two_lists(tmp_path: Path, endpoint: str) -> None:
    source = CASES / "one_row_two_lists"
    result = run_job(tmp_path / "1", source, dataset_format=CAPTURES)
    assert (rows_of(result), len(features(result))) == (60, 4)
    labels = label_calls(tmp_path / "labels", {f"e{number}": [number % 2] for number in range(60)})
    scored = quality(
        tmp_path / "2",
        source,
        dataset_format=CAPTURES,
        problem_type="BinaryClassification",
        probability_attribute="probabilities.1",
        ground_truth_source=labels,
    )
    assert rows_of(scored) == 60
    config = {"headers": ["age", "x"], "methods": {"shap": {"baseline": [[0, 0]]}}, "features": "features"}
    config |= {"predictor": {"content_type": "text/csv"}}
    explained = attribute(tmp_path / "3", source, config, endpoint, dataset_format=REQUESTS)
    ages = [json.loads(one["captureData"]["endpointInput"]["data"])["features"][0] for one in records(source)]
    assert attributions(explained)["age"] == pytest.approx(np.mean(ages))


def test_a_table_written_column_by_column(tmp_path: Path) -> None:
    source = CASES / "columns_in_captures"
    result = run_job(tmp_path / "1", source, dataset_format=CAPTURES)
    assert (rows_of(result), list(features(result))) == (60, ["value", "longitude", "latitude"])
    tables = [json.loads(one["captureData"]["endpointInput"]["data"]) for one in records(source)]
    labels = {
        f"e{number}": [round(x * y, 2) for x, y in zip(table["longitude"], table["latitude"], strict=True)]
        for number, table in enumerate(tables)
    }
    scored = quality(
        tmp_path / "2",
        source,
        dataset_format=CAPTURES,
        problem_type="Regression",
        inference_attribute="value",
        ground_truth_source=label_calls(tmp_path / "labels", labels),
    )
    assert rows_of(scored) == 60
    assert scored.document("statistics.json")["regression_metrics"]["rmse"]["value"] < 0.01


# --- tables


def test_a_data_frame_as_pandas_writes_it(tmp_path: Path) -> None:
    result = run_job(tmp_path, CASES / "pandas_to_json", dataset_format=LINES)
    assert (rows_of(result), len(features(result))) == (200, 2)
    assert reading(result)["rows"] == ["table.json is a table of 200 rows as pandas writes it"]


def test_semicolons(tmp_path: Path) -> None:
    result = run_job(tmp_path / "1", CASES / "semicolons")
    assert list(features(result)) == ["age", "income", "city"]
    assert reading(result)["separator"] == ["semicolons stand between cells"]
    scored = quality(
        tmp_path / "2",
        CASES / "semicolons",
        problem_type="Regression",
        inference_attribute="age",
        ground_truth_attribute="income",
    )
    assert rows_of(scored) == rows_of(result)


def test_a_header_in_the_first_file_only(tmp_path: Path) -> None:
    source = CASES / "header_in_first_file_only"
    names = {"problem_type": "Regression", "inference_attribute": "0", "ground_truth_attribute": "1"}
    results = [run_job(tmp_path / "1", source), quality(tmp_path / "2", source, **names)]
    for result in results:
        assert result.exit_code == 2
        assert "part-1.csv" in result.message


def test_booleans(tmp_path: Path) -> None:
    baseline = run_job(tmp_path / "b", CASES / "booleans/baseline.csv")
    window = CASES / "booleans/window.jsonl"
    assert checks(run_job(tmp_path / "w", window, dataset_format=LINES, **baseline_of(baseline))) == []
    flags = [json.loads(line)["f"] for line in window.read_text().splitlines()]
    digits = write(tmp_path / "d.jsonl", "".join(json.dumps({"f": int(f), "y": 0.5}) + "\n" for f in flags))
    found = checks(run_job(tmp_path / "d", digits, dataset_format=LINES, **baseline_of(baseline)))
    assert [one for one in found if one[0] == "f"] == []


def test_na_among_numbers(tmp_path: Path) -> None:
    folder = CASES / "na_among_numbers"
    baseline = run_job(tmp_path / "b", folder / "baseline.csv")
    assert features(baseline)["x"]["inferred_type"] == "Fractional"
    assert reading(baseline)["missing"] == ["46 of 2000 cells of x hold 'NA' and count as missing"]
    shifted = run_job(tmp_path / "s", folder / "shifted.csv", **baseline_of(baseline))
    assert checks(shifted) == [("x", "baseline_drift_check")]
    missing = run_job(tmp_path / "m", folder / "missing.csv", **baseline_of(baseline))
    assert checks(missing) == [("x", "completeness_check")]
    assert reading(missing)["missing"] == ["785 of 2000 cells of x hold 'NA' and count as missing"]


def test_an_optional_member(tmp_path: Path) -> None:
    folder = CASES / "optional_member"
    baseline = run_job(tmp_path / "b", folder / "baseline.jsonl", dataset_format=LINES)
    for number in range(1, 6):
        window = folder / f"window-{number}.jsonl"
        result = run_job(tmp_path / f"{number}", window, dataset_format=LINES, **baseline_of(baseline))
        assert checks(result) == []


def test_members_that_are_null_at_first_keep_their_place(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def answer(request: Request) -> Answer:
        rows = [json.loads(line) for line in request.body.splitlines()]
        asked.extend(row["features"] if "features" in row else list(row.values()) for row in rows)
        return Answer("".join('{"score": 0.5}\n' for _ in rows))

    with serving(answer) as server:
        config = {
            "dataset_type": "application/jsonlines",
            "features": "features",
            "label": "label",
            "label_values_or_threshold": [1],
            "facet": [{"name_or_index": "age", "value_or_threshold": [25]}],
            "methods": {"post_training_bias": {"methods": "all"}},
            "predictor": {
                "content_type": "application/jsonlines",
                "accept_type": "application/jsonlines",
                "content_template": '{"features":$features}',
                "probability": "score",
            },
        }
        result = bias(tmp_path, CASES / "null_member_order", config, dataset_format=None, model=server.url)
    assert result.exit_code == 0, result.message
    assert all(isinstance(row[2], int) for row in asked)
    assert asked[0][0] == "2020-01-01"


def test_headers_in_another_order(tmp_path: Path) -> None:
    folder = CASES / "headers_in_another_order"
    config = json.loads((folder / "analysis_config.json").read_text())
    result = bias(tmp_path, folder / "data.csv", config, dataset_format=None)
    assert pre_training(result, "sex", "DPL") == pytest.approx(-0.0478, abs=5e-5)
    assert rows_of(result) == 120


def test_decimals_are_the_numbers_they_are_written_as(tmp_path: Path) -> None:
    table = pq.read_table(CASES / "decimals.parquet")
    names = {field.name for field in table.schema if pa.types.is_decimal(field.type)}
    [score] = names
    others = [name for name in table.column_names if name != score]
    config = {
        "dataset_type": "application/x-parquet",
        "label": others[0],
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": score, "value_or_threshold": [4.6]}],
        "methods": {"pre_training_bias": {"methods": ["CI"]}},
    }
    result = bias(tmp_path, CASES / "decimals.parquet", config, dataset_format=None)
    assert pre_training(result, score, "CI") == pytest.approx(-0.1)


# --- ids, times, batch transform

WINDOW = {"start_time": "2026-03-02T00:00:00Z", "end_time": "2026-03-04T00:00:00Z"}
DAY = WINDOW | {"end_time": "2026-03-03T00:00:00Z"}


def test_a_services_own_log(tmp_path: Path) -> None:
    log, labels = CASES / "own_log/log.jsonl", CASES / "own_log/labels.csv"
    keys = {"id_attribute": "request_id", "time_attribute": "time", "dataset_format": LINES}
    result = run_job(tmp_path / "1", log, **keys, **DAY)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    inside = [row for row in rows if row["time"].startswith("2026-03-02")]
    assert rows_of(result) == len(inside)
    assert list(features(result)) == ["request.age", "request.branch", "response.score", "response.approved"]
    scored = quality(
        tmp_path / "2",
        log,
        problem_type="BinaryClassification",
        inference_attribute="response.approved",
        ground_truth_source=labels,
        **keys,
    )
    assert reading(scored)["labels"] == ["400 of 400 rows have a label"]
    config = {
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "request.branch", "value_or_threshold": ["north"]}],
        "methods": {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}},
    }
    judged = bias(
        tmp_path / "3",
        log,
        config | {"predicted_label": "response.approved", "label": "groundTruthData"},
        ground_truth_source=labels,
        **keys,
    )
    truth = dict(line.split(",") for line in labels.read_text().splitlines()[1:])
    by_branch = {
        branch: [int(truth[row["request_id"]]) for row in rows if row["request"]["branch"] == branch]
        for branch in ("north", "south")
    }
    expected = np.mean(by_branch["south"]) - np.mean(by_branch["north"])
    assert pre_training(judged, "request.branch", "DPL") == pytest.approx(expected)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_what_batch_transform_writes(tmp_path: Path, form: str) -> None:
    source = CASES / "batch_transform" / form
    dataset_format = HEADERLESS if form == "csv" else LINES
    result = run_job(tmp_path / "1", source, dataset_format=dataset_format)
    assert rows_of(result) == 60
    assert not any("Inference" in name for name in features(result))
    if form == "json":
        assert any("manifest.json" in sentence for sentence in reading(result)["files"])
    scored = quality(
        tmp_path / "2",
        source,
        dataset_format=dataset_format,
        problem_type="BinaryClassification",
        inference_attribute="0" if form == "csv" else "SageMakerOutput.predicted_label",
        ground_truth_source=CASES / "batch_transform/labels",
    )
    assert reading(scored)["labels"] == ["60 of 60 rows have a label"]


# --- the same inputs in the monitors that the tests above leave out


def table_bias(folder: Path, source: Path, facet: str, value: Any, label: str, **settings: Any) -> Result:
    """Measure the bias of a table before training; labels above 0 are positive."""
    config = {
        "label": label,
        "label_values_or_threshold": [0],
        "facet": [{"name_or_index": facet, "value_or_threshold": [value]}],
        "methods": {"pre_training_bias": {"methods": "all"}},
    }
    return bias(folder, source, config, **settings)


def imbalance(group: int, others: int) -> float:
    return (others - group) / (others + group)


def test_semicolons_in_bias(tmp_path: Path) -> None:
    source = CASES / "semicolons/table.csv"
    ages = [int(line.partition(";")[0]) for line in source.read_text().splitlines()[1:]]
    above = sum(age > 40 for age in ages)
    result = table_bias(tmp_path, source, "age", 40, "income")
    assert pre_training(result, "age", "CI") == pytest.approx(imbalance(above, len(ages) - above))
    assert reading(result)["separator"] == ["semicolons stand between cells"]


def test_a_header_in_the_first_file_only_in_bias_and_attribution(tmp_path: Path, endpoint: str) -> None:
    source = CASES / "header_in_first_file_only"
    config = {"methods": {"shap": {"baseline": [[0, 0]]}}, "predictor": {"content_type": "text/csv"}}
    explained = attribute(tmp_path / "2", source, config, endpoint, dataset_format='{"csv":{"header":true}}')
    for result in (table_bias(tmp_path / "1", source, "a", 5, "b"), explained):
        assert result.exit_code == 2
        assert "part-1.csv" in result.message


@pytest.mark.parametrize("form", ["csv", "json"])
def test_booleans_are_groups_and_labels_in_every_spelling(tmp_path: Path, form: str) -> None:
    source = CASES / "booleans" / {"csv": "baseline.csv", "json": "window.jsonl"}[form]
    dataset_format = {"csv": '{"csv":{"header":true}}', "json": LINES}[form]
    lines = source.read_text().splitlines()
    true = sum("true" in line.casefold() for line in lines)
    rows = len(lines) - (form == "csv")
    for number, value in enumerate(("True", True, "true", 1)):
        result = table_bias(tmp_path / f"{number}", source, "f", value, "y", dataset_format=dataset_format)
        assert pre_training(result, "f", "CI") == pytest.approx(imbalance(true, rows - true))
    scored = quality(
        tmp_path / "q",
        answered(tmp_path, source, "f"),
        dataset_format=dataset_format,
        problem_type="BinaryClassification",
        inference_attribute="p",
        ground_truth_attribute="f",
    )
    metrics = scored.document("statistics.json")["binary_classification_metrics"]
    assert metrics["accuracy"]["value"] == 1.0
    assert sum(metrics["confusion_matrix"]["1"].values()) == true


@pytest.mark.parametrize("name", ["baseline", "missing"])
def test_na_among_numbers_in_quality_and_bias(tmp_path: Path, name: str) -> None:
    source = CASES / f"na_among_numbers/{name}.csv"
    cells = [line.split(",")[0] for line in source.read_text().splitlines()[1:]]
    settings = {"problem_type": "Regression", "inference_attribute": "p", "ground_truth_attribute": "x"}
    scored = quality(tmp_path / "1", answered(tmp_path, source, "x"), **settings)
    assert rows_of(scored) == len(cells) - cells.count("NA")
    assert scored.document("statistics.json")["regression_metrics"]["mae"]["value"] == 0.0
    result = table_bias(tmp_path / "2", source, "x", 50, "y")
    numbers = [float(cell) for cell in cells if cell != "NA"]
    above = sum(number > 50 for number in numbers)
    assert pre_training(result, "x", "CI") == pytest.approx(imbalance(above, len(numbers) - above))


def test_an_optional_member_in_quality(tmp_path: Path) -> None:
    folder = CASES / "optional_member"
    settings = {
        "dataset_format": LINES,
        "problem_type": "Regression",
        "inference_attribute": "p",
        "ground_truth_attribute": "a",
    }
    for file in ("baseline", "window-1"):
        source = answered(tmp_path, folder / f"{file}.jsonl", "a")
        rows = source.read_text().splitlines()
        assert rows_of(quality(tmp_path / file, source, **settings)) == len(rows)


def test_lists_of_one_row_and_columns_in_bias(tmp_path: Path) -> None:
    ages = [
        json.loads(one["captureData"]["endpointInput"]["data"])["features"][0]
        for one in records(CASES / "one_row_two_lists")
    ]
    tables = [
        json.loads(one["captureData"]["endpointInput"]["data"])
        for one in records(CASES / "columns_in_captures")
    ]
    for name, values, headers, paths in (
        ("one_row_two_lists", ages, ["age", "x"], {"features_attribute": "features"}),
        ("columns_in_captures", [x for table in tables for x in table["longitude"]], None, {}),
    ):
        facet = headers[0] if headers else "longitude"
        count = len(records(CASES / name))
        labels = {f"e{number}": [number % 2] * (len(values) // count) for number in range(count)}
        middle = float(np.median(values))
        config = {
            "label": "groundTruthData",
            "label_values_or_threshold": [1],
            "facet": [{"name_or_index": facet, "value_or_threshold": [middle]}],
            "methods": {"pre_training_bias": {"methods": "all"}},
        } | ({"headers": headers} if headers else {})
        result = bias(
            tmp_path / name,
            CASES / name,
            config,
            dataset_format=REQUESTS,
            ground_truth_source=label_calls(tmp_path / name / "labels", labels),
            **paths,
        )
        above = sum(value > middle for value in values)
        assert pre_training(result, facet, "CI") == pytest.approx(imbalance(above, len(values) - above))


def test_batch_transform_in_bias(tmp_path: Path) -> None:
    source = CASES / "batch_transform/json"
    ages = [json.loads(line)["features"][0] for line in (source / "data.jsonl.out").read_text().splitlines()]
    config = {
        "label": "groundTruthData",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "features.0", "value_or_threshold": [50]}],
        "methods": {"pre_training_bias": {"methods": "all"}},
    }
    labels = CASES / "batch_transform/labels"
    result = bias(tmp_path, source, config, dataset_format=LINES, ground_truth_source=labels)
    above = sum(age > 50 for age in ages)
    assert pre_training(result, "features.0", "CI") == pytest.approx(imbalance(above, len(ages) - above))


def test_misspelt_constraints(tmp_path: Path) -> None:
    [file] = (CASES / "misspelt_constraints").iterdir()
    baseline = run_job(tmp_path / "b", CASES / "na_among_numbers/baseline.csv")
    path = baseline.output / "constraints.json"
    document = json.loads(path.read_text())
    document["features"][0] |= json.loads(file.read_text())
    path.write_text(json.dumps(document))
    result = run_job(tmp_path / "w", CASES / "na_among_numbers/shifted.csv", **baseline_of(baseline))
    assert result.exit_code == 2
    for meant in ("comparison_threshold", "completeness"):
        assert f"did you mean {meant}" in result.message


def test_every_row_of_the_index_has_a_test() -> None:
    rows = [
        line.split("`")[1].rstrip("/")
        for line in (CASES / "INDEX.md").read_text().splitlines()
        if "| `" in line
    ]
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows) > 15
    assert [row for row in rows if row not in tests] == []
