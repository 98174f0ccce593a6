"""Models and configurations that cannot be used: what a user reads, by its code and members."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attributed_people import FEATURES, csv_endpoint, people, table_config, write_csv
from fixtures import fixture
from models.model_server import QUICK, Answer, Behaviour, Request, serving
from run_jobs import Result, run_job
from sentences import says

from containers.feature_attribution import configuration
from containers.feature_attribution import main as command
from contract.errors import wording


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give endpoints that misbehave up soon."""
    monkeypatch.setattr(configuration, "Policy", lambda threads: replace(QUICK, timeout=0.3))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving(csv_endpoint) as server:
        yield server.url


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "data.csv", people(20).rows)


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    rows = [[row[0], row[2]] for row in people(20).rows]
    return write_csv(tmp_path / "numbers.csv", rows, ["age", "income"])


def run(folder: Path, source: Path, config: object, model: object, **variables: Any) -> Result:
    (folder / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    settings = {"dataset_format": None, "analysis_config": folder, "model": model, **variables}
    return run_job(folder, source, command=command.main, **settings)


def assert_refused(result: Result, code: str, **members: Any) -> None:
    assert result.exit_code == 2
    assert says(result.message, code, **members)
    assert result.files == []


# Endpoints


def test_an_endpoint_that_is_down(tmp_path: Path, data: Path) -> None:
    with serving(csv_endpoint) as server:
        url = server.url
    result = run(tmp_path, data, table_config(), url)
    refusal = {"model": url, "attempts": 3, "problem": "connection refused"}
    assert_refused(result, "model_endpoint.not_ready", **refusal)


TRIES = " after 3 attempts in 0 s"


def advice(status: int) -> str:
    return wording(f"endpoint_advice.status_{status}")


@pytest.mark.parametrize(
    ("post", "code", "members"),
    [
        (
            lambda request: Answer("<html>oops</html>"),
            "model_answer.unusable",
            {"problem": "holds '<html>oops</html>' where a number should be", "begin": "'<html>oops</html>'"},
        ),
        (
            lambda request: Answer("1\n2\n"),
            "model_answer.unusable",
            {"problem": "holds 2 predictions for 1 record", "begin": "'1 2'"},
        ),
        (
            lambda request: Answer("too big", 413),
            "model_endpoint.refused",
            {"status": 413, "tries": "", "answer": "'too big'", "advice": advice(413)},
        ),
        (
            lambda request: Answer("slow down", 429),
            "model_endpoint.refused",
            {"status": 429, "tries": TRIES, "answer": "'slow down'", "advice": advice(429)},
        ),
        (
            lambda request: Answer("busy", 503),
            "model_endpoint.refused",
            {"status": 503, "tries": TRIES, "answer": "'busy'", "advice": advice(503)},
        ),
        (
            lambda request: Answer("nan\n" * len(request.rows())),
            "model_answer.not_finite",
            {"shown": "no score (null or NaN)", "count": 1, "rows": 1, "first": 0},
        ),
        (
            lambda request: Answer(hang_up=True),
            "model_endpoint.no_answer",
            {"tries": TRIES, "problem": "it closed the connection before its answer was complete"},
        ),
    ],
    ids=["garbage", "another number of rows", "413", "429", "503", "NaN", "hangs up"],
)
def test_endpoints_that_misbehave(
    tmp_path: Path, data: Path, post: Behaviour, code: str, members: dict[str, Any]
) -> None:
    with serving(post) as server:
        result = run(tmp_path, data, table_config(), server.url)
    # How long three attempts take is the machine's business.
    message = re.sub(r"attempts in \d+ s", "attempts in 0 s", result.message)
    piece = {} if code == "model_answer.not_finite" else {"piece": "row 0"}
    assert says(message, code, model=server.url, **piece, **members)
    assert (result.exit_code, result.files) == (2, [])


def test_an_endpoint_that_is_slow(tmp_path: Path, data: Path) -> None:
    def never(request: Request) -> Answer:
        server.released.wait()
        return Answer(hang_up=True)

    with serving(never) as server:
        result = run(tmp_path, data, table_config(), server.url)
    assert result.exit_code == 2
    assert result.message.startswith(
        f"{server.url} did not answer for row 0 of the batch after 3 attempts in "
    )
    assert result.files == []


@pytest.mark.parametrize("status", [413, 429, 503])
def test_endpoints_that_misbehave_in_passing(tmp_path: Path, data: Path, status: int) -> None:
    def post(request: Request) -> Answer:
        if status == 413:
            return Answer("too big", 413) if len(request.rows()) > 2 else csv_endpoint(request)
        return Answer("busy", status, {"Retry-After": "0"}) if request.number % 2 else csv_endpoint(request)

    with serving(post) as server:
        result = run(tmp_path, data, table_config(), server.url)
    assert result.exit_code == 0, result.message
    found = result.document("analysis.json")["explanations"]["kernel_shap"]["label0"]["global_shap_values"]
    assert found == pytest.approx(people(20).global_values, abs=1e-9)


# Model files


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import xgboost

    rows = np.random.default_rng(0).normal(size=(50, 3))
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, rows.sum(axis=1), nthread=1), 2)
    file = tmp_path_factory.mktemp("trees") / "model.json"
    booster.save_model(file)
    return file


def test_a_model_with_other_features(tmp_path: Path, numbers: Path, trees: Path) -> None:
    result = run(tmp_path, numbers, table_config(baseline=[[1, 2]]), trees)
    counts = {"features": "3 features", "columns": "2 columns ('age', 'income')", "hint": ""}
    assert_refused(result, "model_columns.count", model=trees, **counts)


def test_text_for_a_model_that_takes_numbers(tmp_path: Path, data: Path, trees: Path) -> None:
    result = run(tmp_path, data, table_config(), trees)
    assert_refused(result, "model_columns.text", field="colour", model=trees)


def test_a_damaged_model_file(tmp_path: Path, numbers: Path, trees: Path) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_text(trees.read_text(encoding="utf-8")[:500], encoding="utf-8")
    result = run(tmp_path, numbers, table_config(baseline=[[1, 2]]), damaged)
    assert_refused(result, "model_file.damaged", file=damaged, library="XGBoost", name="model.json")


def test_a_model_file_that_is_not_there(tmp_path: Path, numbers: Path) -> None:
    absent = tmp_path / "model.onnx"
    result = run(tmp_path, numbers, table_config(baseline=[[1, 2]]), absent)
    nearby = f"; the nearest folder that exists is {tmp_path}"
    assert_refused(result, "model.no_file", file=absent, hint=nearby)
    result = run(tmp_path, numbers, table_config(baseline=[[1, 2]]), tmp_path)
    assert_refused(result, "model.no_file", file=tmp_path, hint=", but a folder")


def test_a_pickled_model_without_consent(tmp_path: Path, numbers: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(b"\x80\x04.")
    result = run(tmp_path, numbers, table_config(baseline=[[1, 2]]), file)
    assert (result.exit_code, result.files) == (2, [])
    assert "set allow_pickled_model=Enabled if you trust where it comes from" in result.message


def test_no_model_at_all(tmp_path: Path, data: Path) -> None:
    assert_refused(run(tmp_path, data, table_config(), None), "model_address.none")


# Configurations


@pytest.mark.parametrize(
    ("baseline", "code", "members"),
    [
        (
            [[1, 2]],
            "shap_rows.width",
            {"row": 0, "found": 2, "wanted": 3, "names": "'age', 'colour', 'income'"},
        ),
        ([{"age": 1}], "shap_rows.features", {"row": 0, "absent": "'colour', 'income'"}),
        (
            [["old", "green", 1]],
            "shap_baseline.type",
            {"feature": "age", "found": "string", "expected": "double"},
        ),
    ],
    ids=["width", "record", "type"],
)
def test_baselines_that_do_not_fit(
    tmp_path: Path, data: Path, endpoint: str, baseline: object, code: str, members: dict[str, Any]
) -> None:
    result = run(tmp_path, data, table_config(baseline=baseline), endpoint)
    file = {} if code == "shap_baseline.type" else {"file": tmp_path / "analysis_config.json"}
    assert_refused(result, code, field="methods.shap.baseline", **file, **members)


def test_baseline_files_that_do_not_fit(tmp_path: Path, data: Path, endpoint: str) -> None:
    file = write_csv(tmp_path / "rows" / "b.csv", [[1, 2]], ["x", "y"])
    about = {"file": file, "field": "methods.shap.baseline"}
    width = {"row": 0, "found": 2, "wanted": 3, "names": "'age', 'colour', 'income'"}
    result = run(tmp_path, data, table_config(baseline=str(file)), endpoint)
    assert_refused(result, "shap_rows.header", **about, names="'x', 'y'", absent="'age', 'colour', 'income'")
    file.write_text("1,2\n")
    result = run(tmp_path, data, table_config(baseline=str(file)), endpoint)
    assert_refused(result, "shap_rows.width", **about, **width)
    write_csv(file, [])
    result = run(tmp_path, data, table_config(baseline=str(file)), endpoint)
    assert_refused(result, "shap_rows.none", **about)
    file.write_bytes(b"PAR1 and nothing more")
    result = run(tmp_path, data, table_config(baseline=str(file)), endpoint)
    assert_refused(result, "shap_rows.parquet", **about)
    file.write_bytes(b"\xff\xfe\x00")
    result = run(tmp_path, data, table_config(baseline=str(file)), endpoint)
    assert_refused(result, "shap_rows.encoding", **about)


def test_every_feature_equal_to_the_baseline(tmp_path: Path, endpoint: str) -> None:
    rows = people(1).rows
    source = write_csv(tmp_path / "data.csv", rows * 30)
    result = run(tmp_path, source, table_config(baseline=rows), endpoint)
    assert result.exit_code == 0, result.message
    found = result.document("analysis.json")["explanations"]["kernel_shap"]["label0"]["global_shap_values"]
    assert found == dict.fromkeys(FEATURES, 0.0)
    (note,) = result.document("statistics.json")["notes"]
    assert note.startswith("Every feature has the value 0")


@pytest.mark.parametrize(
    ("change", "code", "members"),
    [
        (
            {"methods": {"shap": {"features_to_explain": ["agee"]}}},
            "column.absent",
            {"field": "methods.shap.features_to_explain[0]", "column": "agee", "hint": ": did you mean age?"},
        ),
        ({"excluded_columns": [0, 1, 2]}, "shap_rows.no_column", {}),
        (
            {"joinsource_name_or_index": "id"},
            "column.absent",
            {"field": "joinsource_name_or_index", "column": "id"}
            | {"hint": "; its columns are age, colour, income"},
        ),
        (
            {"methods": {"shap": {"num_clusters": 50}}},
            "shap_baseline.clusters",
            {"field": "methods.shap.num_clusters", "given": 50, "rows": 20},
        ),
        (
            {"methods": {"shap": {"num_samples": 1}}},
            "shapley.num_samples",
            {"field": "methods.shap.num_samples", "given": 1, "most": 1_048_576},
        ),
        ({"methods": 5}, "members.no_object", {"place": "methods", "value": 5}),
        ({"methods": {}}, "members.required", {"field": "methods.shap", "example": '"methods":{"shap":{}}'}),
    ],
    ids=["features_to_explain", "excluded", "joinsource", "clusters", "samples", "no methods", "no shap"],
)
def test_configurations_that_cannot_be_used(
    tmp_path: Path, data: Path, endpoint: str, change: dict[str, Any], code: str, members: dict[str, Any]
) -> None:
    result = run(tmp_path, data, {**table_config(), **change}, endpoint)
    assert_refused(result, code, **members)
    # What the analysis itself refuses names its field only.
    of_file = not code.startswith(("shapley.", "shap_baseline."))
    assert result.message.startswith(f"{tmp_path / 'analysis_config.json'}: ") is of_file
    if code == "members.no_object":
        assert "2 members are wrong" in result.message
        assert says(result.message, "members.required", field="methods.shap")


def test_log_odds_of_what_is_no_probability(tmp_path: Path, data: Path, endpoint: str) -> None:
    result = run(tmp_path, data, table_config(use_logit=True), endpoint)
    field = "methods.shap.use_logit"
    assert_refused(result, "shapley.no_probabilities", field=field, low=4, high=4)


def test_settings_of_this_command(tmp_path: Path, data: Path, endpoint: str) -> None:
    result = run(
        tmp_path, data, table_config(), endpoint, max_runtime="soon", attribution_drift_threshold="90"
    )
    assert result.message.startswith("2 settings are wrong")
    share = {"field": "attribution_drift_threshold", "text": "90", "example": 0.9}
    assert_refused(result, "setting.share", **share)
    time = {"field": "max_runtime", "text": "soon", "hint": "write for example PT30M"}
    assert_refused(result, "setting.duration", **time)
    for text in ("-5", "0", "-PT5M"):
        result = run(tmp_path, data, table_config(), endpoint, max_runtime=text)
        assert_refused(result, "setting.seconds", field="max_runtime", text=text, example="PT30M")


def test_the_baseline_of_another_monitor(tmp_path: Path, data: Path, endpoint: str) -> None:
    other = fixture("clarify/aws_notebook_outputs/bias_endpoint_json_baseline_analysis.json")
    result = run(tmp_path, data, table_config(), endpoint, baseline_constraints=other)
    assert_refused(result, "attributions.wrong_file", file=other, field="explanations")
