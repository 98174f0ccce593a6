"""SageMaker endpoints through boto3, and the Open Inference Protocol, against real local servers."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from model_server import QUICK, Answer, Request, Server, csv_sums, json_answer, serving

from contract.analysis_config import PredictorConfig
from contract.errors import ModelError
from model_clients.opening import open_model

ROWS = np.random.default_rng(5).normal(size=(600, 3))
TABLE = pa.RecordBatch.from_arrays([pa.array(column) for column in ROWS.T], ["a", "b", "c"])


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server in the place of SageMaker's, whose behaviour a test may replace."""
    behaviour = {"post": csv_sums}
    with serving(lambda request: behaviour["post"](request)) as server:
        server.behaviour = behaviour  # type: ignore[attr-defined] # for the test to change
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        yield server


def refusal(kind: str, message: str, status: int, **more: object) -> Answer:
    body = json.dumps({"Message": message, **more})
    return Answer(body, status, {"x-amzn-errortype": kind, "Content-Type": "application/json"})


def test_a_sagemaker_endpoint(amazon: Server) -> None:
    predictor = PredictorConfig(endpoint_name="churn", target_model="north.tar.gz", custom_attributes="id=7")
    model = open_model(None, predictor, policy=QUICK)
    assert np.allclose(model.predict(TABLE)[:, 0], ROWS.sum(axis=1))
    assert model.where == "SageMaker endpoint churn"
    request = amazon.requests[0]
    assert request.path == "/endpoints/churn/invocations"
    assert request.headers["X-Amzn-SageMaker-Target-Model"] == "north.tar.gz"
    assert request.headers["X-Amzn-SageMaker-Custom-Attributes"] == "id=7"
    assert request.headers["Content-Type"] == "text/csv"
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict(TABLE), model.predict(TABLE))
    model.close()
    copy.close()


@pytest.mark.parametrize(
    "passing",
    [
        refusal("ThrottlingException", "Rate exceeded", 400),
        refusal("ServiceUnavailable", "try again", 503),
        refusal("ModelError", "worker died", 424, OriginalStatusCode=500, OriginalMessage="worker died"),
        Answer(hang_up=True),
    ],
)
def test_passing_failures_of_sagemaker_are_repeated(amazon: Server, passing: Answer) -> None:
    amazon.behaviour["post"] = lambda request: csv_sums(request) if request.number else passing
    model = open_model(None, PredictorConfig(endpoint_name="churn"), policy=QUICK)
    assert np.allclose(model.predict(TABLE.slice(0, 5))[:, 0], ROWS[:5].sum(axis=1))
    model.close()


@pytest.mark.parametrize(
    ("lasting", "complaint"),
    [
        (
            refusal("ValidationError", "Endpoint churn of account 1 not found.", 400),
            "answered status 404 .*not found",
        ),
        (
            refusal("AccessDeniedException", "not authorized", 403),
            "answered status 403 .*not authorized.*permissions",
        ),
        (
            refusal("ModelError", "m", 424, OriginalStatusCode=400, OriginalMessage="could not parse 'x'"),
            "answered status 400 for row 0 .*could not parse",
        ),
    ],
)
def test_lasting_refusals_of_sagemaker_are_told(amazon: Server, lasting: Answer, complaint: str) -> None:
    amazon.behaviour["post"] = lambda request: lasting
    model = open_model(None, PredictorConfig(endpoint_name="churn"), policy=QUICK)
    with pytest.raises(ModelError, match=f"SageMaker endpoint churn {complaint}"):
        model.predict(TABLE.slice(0, 1))
    model.close()


def test_sagemaker_without_credentials(amazon: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    model = open_model(None, PredictorConfig(endpoint_name="churn"), policy=QUICK)
    with pytest.raises(
        ModelError, match="cannot be asked: Unable to locate credentials; give the job a region"
    ):
        model.predict(TABLE)
    model.close()


MATRIX = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]}
COLUMNS = {"inputs": [{"name": name, "datatype": "FP64", "shape": [-1, 1]} for name in ("b", "a", "c")]}


def describing(description: object) -> object:
    def get(request: Request) -> Answer:
        return Answer() if request.path.endswith("/ready") else json_answer(description)

    return get


def infer(request: Request) -> Answer:
    """Answer sums that weigh the columns, so that their order shows."""
    tensors = json.loads(request.body)["inputs"]
    rows = tensors[0]["shape"][0]
    if len(tensors) == 1:
        values = np.array(tensors[0]["data"], float).reshape(rows, -1)
    else:
        named = {tensor["name"]: tensor["data"] for tensor in tensors}
        values = np.stack([named[name] for name in "abc"], axis=1)
    scores = values @ [1.0, 10.0, 100.0]
    label = {"name": "label", "datatype": "INT64", "shape": [rows], "data": (scores > 0).astype(int).tolist()}
    return json_answer(
        {"outputs": [label, {"name": "p", "datatype": "FP64", "shape": [rows, 1], "data": scores.tolist()}]}
    )


@pytest.mark.parametrize("description", [MATRIX, COLUMNS, {}])
def test_the_open_inference_protocol(description: object) -> None:
    with serving(infer, describing(description)) as server:  # type: ignore[arg-type] # built above
        model = open_model(f"{server.address}/v2/models/churn", PredictorConfig(label="label"), policy=QUICK)
        expected = ROWS @ [1.0, 10.0, 100.0]
        # The server names outputs; without a name, the last one with floats holds the scores.
        assert np.allclose(model.predict(TABLE)[:, 0], expected)
        assert model.predict_labels(TABLE).to_pylist() == (expected > 0).astype(int).tolist()
        assert server.requests[0].path == "/v2/models/churn/infer"
        model.close()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Answer("[]"), "is not an answer of the Open Inference Protocol"),
        (json_answer({"outputs": []}), "holds no outputs"),
        (
            json_answer({"outputs": [{"name": "p", "datatype": "FP32", "shape": [1], "data": [1]}]}),
            "holds 1 predic",
        ),
        (
            json_answer({"outputs": [{"name": "p", "datatype": "FP32", "shape": [2], "data": [1]}]}),
            "holds 1 value ",
        ),
        (
            json_answer({"outputs": [{"name": "p", "shape": [2], "data": ["a", "b"]}]}),
            "holds no numbers in output 'p'",
        ),
    ],
)
def test_answers_that_are_not_of_the_protocol(answer: Answer, complaint: str) -> None:
    with serving(lambda request: answer, describing(MATRIX)) as server:  # type: ignore[arg-type] # see above
        model = open_model(f"{server.address}/v2/models/churn", policy=QUICK)
        with pytest.raises(ModelError, match=complaint):
            model.predict(TABLE.slice(0, 2))
        model.close()


def test_a_model_that_the_server_does_not_have() -> None:
    with (
        serving(infer, lambda request: Answer('{"error":"no such model"}', 404)) as server,
        pytest.raises(ModelError, match=r"models/chorn is not there: status 404, .*no such model"),
    ):
        open_model(f"{server.address}/v2/models/chorn", policy=QUICK)


def test_another_number_of_features() -> None:
    with serving(infer, describing(MATRIX)) as server:  # type: ignore[arg-type] # see above
        model = open_model(f"{server.address}/v2/models/churn", policy=QUICK)
        with pytest.raises(ModelError, match="takes 3 features, but the data has 2 columns"):
            model.predict(TABLE.select(["a", "b"]))
        model.close()
