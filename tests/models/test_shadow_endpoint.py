"""Endpoints that are started for a model and deleted again, on a server that speaks SageMaker's protocol."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from model_server import QUICK
from sentences import says
from shadow_account import REGION, Account, account_of, sagemaker

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError, ModelError, wording
from contract.outcome import NotTriedError
from model_clients import temporary_endpoint
from model_clients.model import Policy
from model_clients.opening import open_model

LOANS = PredictorConfig(model_name="loans", instance_type="ml.m5.large", initial_instance_count=2)
ROWS = np.random.default_rng(8).normal(size=(60, 3))
TABLE = pa.RecordBatch.from_arrays([pa.array(column) for column in ROWS.T], ["a", "b", "c"])


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with sagemaker() as address:
        yield address


@pytest.fixture
def account(service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with account_of(service, monkeypatch) as opened:
        yield opened


def test_an_endpoint_is_started_asked_and_deleted(account: Account) -> None:
    predictor = PredictorConfig(
        model_name="loans",
        instance_type="ml.m5.large",
        initial_instance_count=2,
        accelerator_type="ml.eia2.medium",
        endpoint_name_prefix="audit",
        target_model="north.tar.gz",
        custom_attributes="id=7",
    )
    model = open_model(None, predictor, policy=QUICK)
    (name,) = account.endpoints
    assert re.fullmatch(r"audit-loans-\d{14}-[0-9a-f]{8}", name)
    assert model.where == f"SageMaker endpoint {name}"
    (config,) = account.backend.endpoint_configs.values()
    assert config.endpoint_config_name == name.replace("-loans-", "-config-")
    (variant,) = config.production_variants
    assert variant == {
        "VariantName": "AllTraffic",
        "ModelName": "loans",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 1.0,
        "AcceleratorType": "ml.eia2.medium",
    }
    tags = {tag["Key"]: tag["Value"] for tag in account.backend.endpoints[name].tags}
    assert tags["created-by"].startswith("model-monitor-containers ")
    assert tags["created-for"] == "one job on model loans"

    assert np.allclose(model.predict(TABLE)[:, 0], ROWS.sum(axis=1))
    request = account.runtime.requests[0]
    assert request.path == f"/endpoints/{name}/invocations"
    assert request.headers["X-Amzn-SageMaker-Target-Model"] == "north.tar.gz"
    assert request.headers["X-Amzn-SageMaker-Custom-Attributes"] == "id=7"
    model.close()
    assert account.left == []
    model.close()  # once is enough, and twice does no harm


def test_names_keep_to_what_sagemaker_allows(account: Account) -> None:
    name = "a-model-with-a-long-name-" * 2 + "end"
    account.client.create_model(ModelName=name, ExecutionRoleArn="arn:aws:iam::123456789012:role/monitor")
    predictor = PredictorConfig(model_name=name, instance_type="ml.m5.large", endpoint_name_prefix="p" * 23)
    model = open_model(None, predictor, policy=QUICK)
    assert all(re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", made) for made in account.left)
    assert len(account.left) == 2
    model.close()


def test_a_copy_asks_the_endpoint_and_leaves_it(account: Account) -> None:
    model = open_model(None, LOANS, policy=QUICK)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.where == model.where
    assert np.array_equal(copy.predict(TABLE), model.predict(TABLE))
    copy.close()
    assert len(account.left) == 2
    assert len(account.endpoints) == 1
    model.close()
    assert account.left == []


def test_a_running_endpoint_comes_first(account: Account) -> None:
    predictor = PredictorConfig(endpoint_name="running", model_name="loans", instance_type="ml.m5.large")
    model = open_model(None, predictor, policy=QUICK)
    assert model.where == "SageMaker endpoint running"
    assert account.left == []
    model.close()


@pytest.mark.parametrize(
    ("predictor", "complaint"),
    [
        (
            PredictorConfig(model_name="loans"),
            "on which instances; give predictor.instance_type, such as ml.m5.large, or set model",
        ),
        (
            PredictorConfig(model_name="loans", instance_type="ml.m5.large", content_type="application/json"),
            "content_template",
        ),
    ],
)
def test_mistakes_show_before_anything_starts(
    account: Account, predictor: PredictorConfig, complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(complaint)):
        open_model(None, predictor, policy=QUICK)
    assert account.left == []


def test_an_unknown_model(account: Account) -> None:
    predictor = PredictorConfig(model_name="loan", instance_type="ml.m5.large")
    with pytest.raises(ModelError) as caught:
        open_model(None, predictor, policy=QUICK)
    assert caught.value.code == "temporary_endpoint.no_model"
    assert "in eu-central-1 (did you mean loans?)" in caught.value.message
    assert account.left == []


def test_the_wait_ends_and_the_endpoint_is_deleted_as_soon_as_sagemaker_does_that(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account.never_ready(monkeypatch, refused=3)
    monkeypatch.setattr(temporary_endpoint, "_REPORT_SECONDS", 0.0)
    monkeypatch.setattr(temporary_endpoint, "_FIRST_PAUSE", 0.01)
    caplog.set_level(logging.INFO)
    policy = Policy(start_limit=0.05)
    with pytest.raises(ModelError, match=r"is still Creating after \d+ s, .* raise max_runtime"):
        open_model(None, LOANS, policy=policy)
    assert account.left == []
    assert re.search(r"SageMaker endpoint sm-clarify-loans-\S+ is Creating after \d+ s", caplog.text)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "still being created, and SageMaker deletes none before that is done" in warnings[0]


def test_an_endpoint_that_cannot_be_deleted_is_named(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account.never_ready(monkeypatch, refused=10**9)
    monkeypatch.setattr(temporary_endpoint, "_DELETION_SECONDS", 0.0)
    with pytest.raises(ModelError, match="is still Creating"):
        open_model(None, LOANS, policy=Policy(start_limit=0.0))
    (name,) = account.endpoints
    config = name.replace("-loans-", "-config-")
    command = wording("temporary_endpoint.by_hand", region=REGION, name=name, config=config)
    endpoint = f"SageMaker endpoint {name}"
    assert says(caplog.text, "temporary_endpoint.left", endpoint=endpoint, command=command)
    # Without its configuration an endpoint that is being created gets stuck.
    assert list(account.backend.endpoint_configs) == [config]


def test_an_endpoint_that_is_not_to_be_started(account: Account) -> None:
    model = open_model(None, LOANS, start=False)
    with pytest.raises(NotTriedError) as caught:
        model.predict(TABLE)
    assert caught.value.found == "predictor.model_name loans is a SageMaker model of this account"
    assert "(2 x ml.m5.large), which takes minutes, is billed until the job ends" in str(caught.value)
    unknown = open_model(None, PredictorConfig(model_name="loams", instance_type="ml.m5.large"), start=False)
    with pytest.raises(ModelError, match=r"did you mean loans\?"):
        unknown.predict_labels(TABLE)
    assert account.left == []
