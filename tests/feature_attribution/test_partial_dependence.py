"""Partial dependence: scikit-learn's values, Clarify's members, and what is said where it cannot be made."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from attributed_people import BASELINE, FEATURES, csv_endpoint, people, score, table_config, write_csv
from fixtures import fixture
from jobs.attribution_runs import attributions, run
from models.model_server import Answer, Request, serving
from sentences import says
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
from sklearn.inspection import partial_dependence as sklearn_dependence
from sklearn.linear_model import LogisticRegression

from analyzers.feature_attribution.summary import (
    AttributionRequest,
    Budget,
    Dependence,
    grid,
    partial_dependence,
)
from contract.errors import ModelError

FRAME = pd.DataFrame(
    {
        "age": np.random.default_rng(1).normal(40, 12, 500),
        "visits": np.random.default_rng(2).integers(0, 60, 500),
        "member": np.random.default_rng(3).integers(0, 2, 500),
    }
)
CLASSES = (FRAME.age / 20 + FRAME.member > 2.5).astype(int) + (FRAME.visits > 40)


def made(ask: Any, frame: pd.DataFrame = FRAME, **wanted: Any) -> list[dict[str, Any]]:
    rows = pa.RecordBatch.from_pandas(frame, preserve_index=False)
    request = AttributionRequest(tuple(frame.columns), rows.slice(0, 1))
    dependence = Dependence(rows, features=tuple(frame.columns), **wanted)
    return partial_dependence(dependence, request, {}, ask, Budget())


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (LogisticRegression(max_iter=10_000), "predict_proba"),
        (GradientBoostingClassifier(n_estimators=5), "predict_proba"),
        (RandomForestRegressor(n_estimators=5, random_state=0), "predict"),
    ],
)
def test_values_are_scikit_learns(model: Any, method: str) -> None:
    model.fit(FRAME, CLASSES)
    for one in made(lambda table: getattr(model, method)(table.to_pandas()), grid_resolution=7):
        name = one["feature_name"]
        expected = sklearn_dependence(
            model, FRAME.astype(float), [name], kind="average", method="brute",
            response_method=method if method == "predict_proba" else "auto",
            custom_values={name: np.array(one["feature_values"], dtype=float)},
        )  # fmt: skip
        np.testing.assert_allclose(one["model_predictions"], expected["average"], rtol=0, atol=1e-9)
        assert one["data_type"] == "numerical"
        assert sum(one["data_distribution"]) == pytest.approx(1.0)
        assert one["label_headers"] == [f"label{number}" for number in range(len(expected["average"]))]


def test_grids_are_clarifys_buckets() -> None:
    """The published result divides ages of 19 to 75 into fifteen buckets and gives their centres."""
    path = fixture("clarify/sdk_model_card/clarify_explanability.json")
    age, animal = json.loads(path.read_text())["explanations"]["pdp"][:2]
    values, shares = grid(pa.array([19.0, 75.0, *np.linspace(19, 75, 200)]), 15)
    np.testing.assert_allclose(values.to_pylist()[:4], age["feature_values"], atol=1e-4)
    assert len(values) == 15
    assert shares.sum() == pytest.approx(1.0)
    one = made(lambda table: np.ones(table.num_rows), FRAME.assign(kind="a"))[-1]
    assert set(one) == set(animal)


@pytest.mark.parametrize(
    ("column", "values", "shares"),
    [
        (pa.array([3, 1, 3, None]), [1, 3], [1 / 3, 2 / 3]),
        (pa.array([0.5, float("nan"), float("inf")]), [0.5], [1.0]),
        (pa.array(["b", "a", "b", None]), ["b", "a"], [2 / 3, 1 / 3]),
        (pa.array([True, False, True]), [True, False], [2 / 3, 1 / 3]),
        (pa.array(range(0, 100, 10)), [11, 34, 56, 79], [0.3, 0.2, 0.2, 0.3]),
        (pa.array([None], pa.float64()), [], []),
        (pa.nulls(2), [], []),
    ],
)
def test_grids(column: pa.Array, values: list[Any], shares: list[float]) -> None:
    found, near = grid(column, 4)
    assert found.to_pylist() == values
    assert [type(value) for value in found.to_pylist()] == [type(value) for value in values]
    assert near.tolist() == pytest.approx(shares)


def test_many_categories_are_the_most_frequent() -> None:
    values, shares = grid(pa.array([f"c{n % 300}" for n in range(1_000)]), 15)
    assert len(values) == 100
    assert shares.sum() == pytest.approx(0.4)


def test_what_cannot_be_asked_is_said_and_the_rest_is_made() -> None:
    def ask(table: pa.RecordBatch) -> np.ndarray:
        if set(table.column("visits").to_pylist()) != set(FRAME.visits):
            raise ModelError.of("model_answer.failed", model="m", kind="", problem="no visits")
        return np.asarray(table.column("age"))

    age, visits, member = made(ask)
    assert (set(visits), set(age)) == ({"feature_name", "data_type", "error"}, set(member))


def test_a_server_that_is_gone_is_not_waited_for_again() -> None:
    asked = []

    def ask(table: pa.RecordBatch) -> np.ndarray:
        asked.append(table)
        raise ModelError.of("model_endpoint.no_answer", model="m", piece="row 0", tries="", problem="gone")

    assert all("error" in one for one in made(ask))
    assert len(asked) == 1


def test_no_time_is_left() -> None:
    budget = Budget(1e-9)
    time.sleep(0.001)
    rows = pa.RecordBatch.from_pandas(FRAME, preserve_index=False)
    request = AttributionRequest(tuple(FRAME.columns), rows)
    (one,) = partial_dependence(Dependence(rows, features=("age",)), request, {}, lambda table: table, budget)
    assert one["error"].startswith("max_runtime was over")


# Whole jobs with the configurations that the SDK's classes write.

SHAP = {"baseline": [BASELINE], "num_samples": 100, "agg_method": "mean_abs", "use_logit": False,
        "save_local_shap_values": True}  # fmt: skip
REPORT = {"name": "report", "title": "Analysis Report"}


def configuration(**methods: Any) -> dict[str, Any]:
    return {"dataset_type": "text/csv", "headers": list(FEATURES), "methods": {**methods, "report": REPORT},
            "predictor": {"accept_type": "text/csv", "content_type": "text/csv"}}  # fmt: skip


@pytest.mark.parametrize(
    ("methods", "features"),
    [
        ({"shap": SHAP}, []),
        ({"pdp": {"features": ["colour", 0], "grid_resolution": 5}}, ["age", "colour"]),
        ({"shap": SHAP, "pdp": {"grid_resolution": 15, "top_k_features": 2}}, ["colour", "age"]),
    ],
    ids=["SHAPConfig", "PDPConfig", "both"],
)
def test_each_kind_of_the_sdk(tmp_path: Path, methods: dict[str, Any], features: list[str]) -> None:
    data = people(120)
    with serving(csv_endpoint) as server:
        result = run(
            tmp_path, write_csv(tmp_path / "data.csv", data.rows), configuration(**methods), server.url
        )
    assert result.exit_code == 0, result.message
    explanations = result.document("analysis.json")["explanations"]
    assert ("kernel_shap" in explanations) == ("shap" in methods)
    if "shap" in methods:
        assert attributions(result) == pytest.approx(data.global_values, abs=1e-9)
    found = {one["feature_name"]: one for one in explanations.get("pdp", [])}
    assert list(found) == features
    page = (result.output / "report.html").read_text()
    assert ("Partial dependence" in page) == bool(features)
    if features:
        # The model is a sum: its dependence on one feature is that term and the mean of the others.
        colour = found["colour"]
        means = dict(zip(colour["feature_values"], colour["model_predictions"][0], strict=True))
        assert means["red"] - means["blue"] == pytest.approx(3.0)
        age = found["age"]
        slopes = np.diff(age["model_predictions"][0]) / np.diff(age["feature_values"])
        np.testing.assert_allclose(slopes, 0.1, atol=1e-9)


# What run_explainability of sagemaker 2.257.7 wrote; the model it names is asked at another address here.
OF_THE_SDK = json.loads((Path(__file__).parent / "sdk_configurations.json").read_text(encoding="utf-8"))
NOT_FOR_TABLES = {"text", "image", "time series"}


def risk_endpoint(request: Request) -> Answer:
    return Answer("".join(f"{1 / (1 + math.exp(-score(row) / 4))!r}\n" for row in request.rows()))


@pytest.mark.parametrize("name", sorted(OF_THE_SDK.keys() - NOT_FOR_TABLES))
def test_the_sdks_own_configurations_run_unchanged(tmp_path: Path, name: str) -> None:
    config, data = OF_THE_SDK[name], people(120)
    shap, pdp = (config["methods"].get(key) for key in ("shap", "pdp"))
    is_logit = bool(shap and shap["use_logit"])
    source = tmp_path / "data.csv"
    lines = [",".join(map(str, [*row, at % 2])) for at, row in enumerate(data.rows)]
    source.write_text("\n".join(lines), encoding="utf-8")
    with serving(risk_endpoint if is_logit else csv_endpoint) as server:
        result = run(tmp_path, source, config, server.url)
    assert result.exit_code == 0, result.message
    explanations = result.document("analysis.json")["explanations"]
    assert set(explanations) == {key for key, one in (("kernel_shap", shap), ("pdp", pdp)) if one}
    local = data.local_values / (4 if is_logit else 1)
    by_method = {
        "mean_abs": np.abs(local).mean(0),
        "mean_sq": (local**2).mean(0),
        "median": np.median(local, 0),
    }
    if shap:
        assert (result.output / "explanations_shap/out.csv").exists() == shap["save_local_shap_values"]
        expected = dict(zip(FEATURES, by_method[shap.get("agg_method", "mean_abs")].tolist(), strict=True))
        assert len(attributions(result)) == (2 if "features_to_explain" in shap else 3)
        if "num_clusters" not in shap and "baseline" in shap:
            assert attributions(result) == pytest.approx(expected, abs=1e-9)
    if pdp:
        found = {one["feature_name"]: one for one in explanations["pdp"]}
        assert list(found) == pdp.get("features", list(found)[: pdp["top_k_features"]])
        assert len(found["age"]["feature_values"]) == pdp["grid_resolution"]
        slopes = np.diff(found["age"]["model_predictions"][0]) / np.diff(found["age"]["feature_values"])
        np.testing.assert_allclose(slopes, 0.1, atol=1e-9)


@pytest.mark.parametrize("name", sorted(NOT_FOR_TABLES))
def test_the_sdks_other_configurations_are_refused(tmp_path: Path, name: str) -> None:
    source = write_csv(tmp_path / "data.csv", people(20).rows)
    result = run(tmp_path, source, OF_THE_SDK[name], "http://localhost:1/invocations")
    assert result.exit_code == 2
    assert f"{name}" in result.message
    assert "only tabular data is analysed" in result.message


def test_a_trial_of_partial_dependence_alone_asks_for_a_row(tmp_path: Path) -> None:
    config = configuration(pdp={"features": ["age"], "grid_resolution": 5})
    source = write_csv(tmp_path / "data.csv", people(20).rows)
    with serving(csv_endpoint) as server:
        result = run(tmp_path, source, config, server.url, validate_only="Enabled")
    assert result.exit_code == 0, result.message


def test_features_are_needed_without_attributions(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "data.csv", people(20).rows)
    result = run(
        tmp_path, source, configuration(pdp={"grid_resolution": 5}), "http://localhost:1/invocations"
    )
    assert result.exit_code == 2
    assert "methods.pdp.features is missing" in result.message
    config = {**table_config(), "methods": {"pdp": {"grid_resolution": 5, "features": ["agee"]}}}
    result = run(tmp_path, source, config, "http://localhost:1/invocations")
    column = {"field": "methods.pdp.features[0]", "column": "agee", "hint": ": did you mean age?"}
    assert says(result.message, "column.absent", **column)


@pytest.mark.parametrize(
    ("member", "value", "kind"),
    [
        ("methods", {"shap": {"text_config": {"granularity": "token", "language": "en"}}}, "text"),
        ("methods", {"shap": {"image_config": {"model_type": "IMAGE_CLASSIFICATION"}}}, "images"),
        ("methods", {"asymmetric_shapley_value": {"direction": "chronological"}}, "time series"),
        ("dataset_type", "application/x-image", "images"),
    ],
)
def test_what_is_not_for_tables_is_refused(tmp_path: Path, member: str, value: Any, kind: str) -> None:
    source = write_csv(tmp_path / "data.csv", people(20).rows)
    result = run(tmp_path, source, {**table_config(), member: value}, "http://localhost:1/invocations")
    assert result.exit_code == 2
    assert kind in result.message
