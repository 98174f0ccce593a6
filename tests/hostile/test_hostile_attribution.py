"""Models and configurations that cannot be used: the whole sentence that a user reads."""

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

from containers.feature_attribution import configuration
from containers.feature_attribution import main as command


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


def assert_sentence(result: Result, sentence: str) -> None:
    assert result.exit_code == 2
    assert result.message == sentence
    assert result.files == []


# Endpoints


def test_an_endpoint_that_is_down(tmp_path: Path, data: Path) -> None:
    with serving(csv_endpoint) as server:
        url = server.url
    assert_sentence(
        run(tmp_path, data, table_config(), url),
        f"model {url} is not ready after 3 attempts: connection refused; check host and port, and that the "
        "endpoint is running.",
    )


_MEND = (
    "; let the model answer plain numbers for each row, or say how it answers by accept_type, label and "
    "probability of the predictor."
)


@pytest.mark.parametrize(
    ("post", "complaint"),
    [
        (
            lambda request: Answer("<html>oops</html>"),
            (
                " was asked about row 0 of the batch, and its answer holds '<html>oops</html>' where a "
                "number should be; it begins '<html>oops</html>'" + _MEND
            ),
        ),
        (
            lambda request: Answer("1\n2\n"),
            (
                " was asked about row 0 of the batch, and its answer holds 2 predictions for 1 record; it "
                "begins '1 2'" + _MEND
            ),
        ),
        (
            lambda request: Answer("too big", 413),
            " answered status 413 for row 0 of the batch: 'too big'; even one record is too large for it.",
        ),
        (
            lambda request: Answer("slow down", 429),
            (
                " answered status 429 for row 0 of the batch after 3 attempts in 0 s: 'slow down'; it is "
                "overloaded; give it more instances, or lower the concurrency."
            ),
        ),
        (
            lambda request: Answer("busy", 503),
            (
                " answered status 503 for row 0 of the batch after 3 attempts in 0 s: 'busy'; it is "
                "overloaded or starting; give it more instances or time."
            ),
        ),
        (
            lambda request: Answer("nan\n" * len(request.rows())),
            (
                " answered no score (null or NaN) for 1 of 1 rows, first for row 0 of the batch; the model "
                "must give a finite number for every row, those with missing values included."
            ),
        ),
        (
            lambda request: Answer(hang_up=True),
            (
                " did not answer for row 0 of the batch after 3 attempts in 0 s: it closed the connection "
                "before its answer was complete; check that the endpoint runs, can be reached from here and "
                "is not overloaded."
            ),
        ),
    ],
    ids=["garbage", "another number of rows", "413", "429", "503", "NaN", "hangs up"],
)
def test_endpoints_that_misbehave(tmp_path: Path, data: Path, post: Behaviour, complaint: str) -> None:
    with serving(post) as server:
        result = run(tmp_path, data, table_config(), server.url)
    # How long three attempts take is the machine's business.
    assert re.sub(r"attempts in \d+ s", "attempts in 0 s", result.message) == server.url + complaint
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
    assert_sentence(
        run(tmp_path, numbers, table_config(baseline=[[1, 2]]), trees),
        f"{trees} takes 3 features, but the data has 2 columns ('age', 'income'); give exactly "
        "the columns the model was trained on (excluded_columns leaves out others).",
    )


def test_text_for_a_model_that_takes_numbers(tmp_path: Path, data: Path, trees: Path) -> None:
    assert_sentence(
        run(tmp_path, data, table_config(), trees),
        f"column 'colour' is text, but {trees} takes numbers only; encode it as in training, or give the "
        "whole pipeline as an endpoint, an ONNX file or an inference.py.",
    )


def test_a_damaged_model_file(tmp_path: Path, numbers: Path, trees: Path) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_text(trees.read_text(encoding="utf-8")[:500], encoding="utf-8")
    result = run(tmp_path, numbers, table_config(baseline=[[1, 2]]), damaged)
    assert (result.exit_code, result.files) == (2, [])
    assert result.message.startswith(f"{damaged} is not a whole XGBoost model (")
    assert result.message.endswith("); save it again with save_model('model.json').")


def test_a_model_file_that_is_not_there(tmp_path: Path, numbers: Path) -> None:
    absent = tmp_path / "model.onnx"
    result = run(tmp_path, numbers, table_config(baseline=[[1, 2]]), absent)
    said = f"model {absent} is no file; the nearest folder that exists is {tmp_path}; give the path of"
    assert_sentence(result, f"{said} the model's file, or the address of a server with http://.")


def test_a_pickled_model_without_consent(tmp_path: Path, numbers: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(b"\x80\x04.")
    result = run(tmp_path, numbers, table_config(baseline=[[1, 2]]), file)
    assert (result.exit_code, result.files) == (2, [])
    assert "set allow_pickled_model=Enabled if you trust where it comes from" in result.message


def test_no_model_at_all(tmp_path: Path, data: Path) -> None:
    assert_sentence(
        run(tmp_path, data, table_config(), None),
        "nothing says which model to ask; give model (the address of a model server or a model file), "
        "predictor.endpoint_name or predictor.model_name.",
    )


# Configurations


@pytest.mark.parametrize(
    ("baseline", "sentence"),
    [
        (
            [[1, 2]],
            (
                "{config}: row 0 of methods.shap.baseline has 2 values, but the model takes 3 features "
                "('age', 'colour', 'income'); give one value per feature, in this order, and "
                "leave columns that are none out with exclude_features_attribute."
            ),
        ),
        (
            [{"age": 1}],
            (
                "{config}: row 0 of methods.shap.baseline lacks the features 'colour', 'income'; give one "
                "value per "
                'feature, or a record in the shape of a request, such as {{"features":[...]}}.'
            ),
        ),
        (
            [["old", "green", 1]],
            (
                "methods.shap.baseline: the value for feature 'age' is string, which does not fit the rows' "
                "double (Failed to parse string: 'old' as a scalar of type double); give a value of the "
                "feature's own type."
            ),
        ),
    ],
    ids=["width", "record", "type"],
)
def test_baselines_that_do_not_fit(
    tmp_path: Path, data: Path, endpoint: str, baseline: object, sentence: str
) -> None:
    result = run(tmp_path, data, table_config(baseline=baseline), endpoint)
    assert_sentence(result, sentence.format(config=tmp_path / "analysis_config.json"))


def test_baseline_files_that_do_not_fit(tmp_path: Path, data: Path, endpoint: str) -> None:
    file = write_csv(tmp_path / "rows" / "b.csv", [[1, 2]], ["x", "y"])
    assert_sentence(
        run(tmp_path, data, table_config(baseline=str(file)), endpoint),
        f"{file}: row 0 of methods.shap.baseline has 2 values, but the model takes 3 features ('age', "
        "'colour', 'income'); give one value per feature, in this order, and "
        "leave columns that are none out with exclude_features_attribute.",
    )
    write_csv(file, [])
    assert_sentence(
        run(tmp_path, data, table_config(baseline=str(file)), endpoint),
        f"{file}: methods.shap.baseline holds no row; give one row at least, with one value per feature.",
    )
    file.write_bytes(b"PAR1 and nothing more")
    result = run(tmp_path, data, table_config(baseline=str(file)), endpoint)
    assert result.exit_code == 2
    assert result.message.startswith(f"methods.shap.baseline {file} is damaged Parquet (")
    file.write_bytes(b"\xff\xfe\x00")
    assert_sentence(
        run(tmp_path, data, table_config(baseline=str(file)), endpoint),
        f"methods.shap.baseline {file} is neither UTF-8 text nor Parquet; write it as CSV with one value "
        "per feature.",
    )


def test_every_feature_equal_to_the_baseline(tmp_path: Path, endpoint: str) -> None:
    rows = people(1).rows
    source = write_csv(tmp_path / "data.csv", rows * 30)
    result = run(tmp_path, source, table_config(baseline=rows), endpoint)
    assert result.exit_code == 0, result.message
    found = result.document("analysis.json")["explanations"]["kernel_shap"]["label0"]["global_shap_values"]
    assert found == dict.fromkeys(FEATURES, 0.0)
    assert result.document("statistics.json")["notes"] == [
        "Every feature has the value 0: all rows equal the baseline, or the model ignores them."
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"methods": {"shap": {"features_to_explain": ["agee"]}}},
            (
                "{config}: methods.shap.features_to_explain[0] is 'agee', which is not in the data: did you "
                "mean age?"
            ),
        ),
        (
            {"excluded_columns": [0, 1, 2]},
            (
                "{config}: no column is left to explain; leave some of label, predicted_label and "
                "excluded_columns out, or see that requests are captured and can be decoded."
            ),
        ),
        (
            {"joinsource_name_or_index": "id"},
            (
                "{config}: joinsource_name_or_index is 'id', which is not in the data; its columns are age, "
                "colour, income."
            ),
        ),
        (
            {"methods": {"shap": {"num_clusters": 50}}},
            (
                "methods.shap.num_clusters is 50, but the dataset has 20 distinct rows; give a number from "
                "1 to 20, or give methods.shap.baseline."
            ),
        ),
        (
            {"methods": {"shap": {"num_samples": 1}}},
            (
                "methods.shap.num_samples is 1; coalitions are asked in pairs, give from 2 to 1048576, or "
                "leave it out."
            ),
        ),
        (
            {"methods": 5},
            (
                "{config}: 2 members are wrong: (1) methods must be an object, but is 5; (2) methods.shap is "
                'missing; add for example "methods":{{"shap":{{}}}}.'
            ),
        ),
        (
            {"methods": {}},
            '{config}: methods.shap is missing; add for example "methods":{{"shap":{{}}}}.',
        ),
    ],
    ids=["features_to_explain", "excluded", "joinsource", "clusters", "samples", "no methods", "no shap"],
)
def test_configurations_that_cannot_be_used(
    tmp_path: Path, data: Path, endpoint: str, change: dict[str, Any], sentence: str
) -> None:
    result = run(tmp_path, data, {**table_config(), **change}, endpoint)
    assert_sentence(result, sentence.format(config=tmp_path / "analysis_config.json"))


def test_log_odds_of_what_is_no_probability(tmp_path: Path, data: Path, endpoint: str) -> None:
    result = run(tmp_path, data, table_config(use_logit=True), endpoint)
    assert_sentence(
        result,
        "methods.shap.use_logit needs probabilities, but the model answered scores from 4 to 4; leave "
        "use_logit out.",
    )


def test_settings_of_this_command(tmp_path: Path, data: Path, endpoint: str) -> None:
    result = run(
        tmp_path, data, table_config(), endpoint, max_runtime="soon", attribution_drift_threshold="90"
    )
    assert_sentence(
        result,
        "2 settings are wrong: (1) attribution_drift_threshold is '90'; use a number from 0 to 1, such as "
        "0.9; (2) max_runtime is 'soon', which is no ISO 8601 duration; write for example PT30M.",
    )
    for text in ("-5", "0", "-PT5M"):
        result = run(tmp_path, data, table_config(), endpoint, max_runtime=text)
        assert_sentence(
            result,
            f"max_runtime is {text!r}; use a positive ISO 8601 duration such as PT30M, or seconds.",
        )


def test_the_baseline_of_another_monitor(tmp_path: Path, data: Path, endpoint: str) -> None:
    other = fixture("clarify/aws_notebook_outputs/bias_endpoint_json_baseline_analysis.json")
    result = run(tmp_path, data, table_config(), endpoint, baseline_constraints=other)
    assert_sentence(
        result,
        f"{other} has no 'explanations' with values, so it is not a file of a feature-attribution job; give "
        "baseline_constraints the constraints.json or the analysis.json of a feature-attribution baseline "
        "job.",
    )
