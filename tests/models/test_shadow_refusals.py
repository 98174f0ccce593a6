"""What SageMaker refuses when an endpoint is to be started or deleted, told in a sentence with the fix."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from model_server import QUICK

from contract.analysis_config import PredictorConfig
from contract.errors import ModelError
from model_clients import temporary_endpoint
from model_clients.opening import open_model

boto3 = pytest.importorskip("boto3")
stub = pytest.importorskip("botocore.stub")

REGION = "eu-central-1"
LOANS = PredictorConfig(model_name="loans", instance_type="ml.m5.large", initial_instance_count=2)


def denied(action: str) -> dict[str, Any]:
    message = (
        f"User: arn:aws:sts::1:assumed-role/r is not authorized to perform: sagemaker:{action} on resource"
    )
    return {
        "service_error_code": "AccessDeniedException",
        "service_message": message,
        "http_status_code": 400,
    }


LIMIT = "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances"


class Service:
    """A client whose answers are told beforehand, in order; whatever else is asked fails the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = boto3.client(
            "sagemaker", region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret"
        )
        self.stubber = stub.Stubber(self.client)
        self.stubber.activate()
        monkeypatch.setattr(temporary_endpoint, "connect", lambda predictor: self.client)
        monkeypatch.setattr(temporary_endpoint, "_FIRST_PAUSE", 0.001)
        monkeypatch.setattr(temporary_endpoint, "_DELETION_PAUSE", 0.001)

    def gives(self, operation: str, **answer: Any) -> None:
        arns = {
            "create_endpoint_config": {
                "EndpointConfigArn": "arn:aws:sagemaker:eu-central-1:1:endpoint-config/c"
            },
            "create_endpoint": {"EndpointArn": "arn:aws:sagemaker:eu-central-1:1:endpoint/endpoint"},
        }
        self.stubber.add_response(operation, answer or arns.get(operation, {}))

    def refuses(self, operation: str, code: str = "ValidationException", text: str = "", **more: Any) -> None:
        more = {"service_error_code": code, "service_message": text} | more
        self.stubber.add_client_error(operation, **more)

    def stands(self, status: str, **more: Any) -> None:
        now = "2026-05-06T22:00:00Z"
        self.gives(
            "describe_endpoint",
            EndpointName="endpoint",
            EndpointArn="arn:aws:sagemaker:eu-central-1:1:endpoint/endpoint",
            EndpointStatus=status,
            CreationTime=now,
            LastModifiedTime=now,
            **more,
        )

    def complaint(self, predictor: PredictorConfig = LOANS) -> ModelError:
        with pytest.raises(ModelError) as caught:
            open_model(None, predictor, policy=QUICK)
        self.stubber.assert_no_pending_responses()
        return caught.value


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return Service(monkeypatch)


def test_permissions_that_are_missing(scripted: Service) -> None:
    scripted.refuses("create_endpoint_config", **denied("CreateEndpointConfig"))
    error = scripted.complaint()
    assert error.code == "temporary_endpoint.denied"
    assert "sagemaker:CreateEndpointConfig" in error.message


def test_a_quota(scripted: Service) -> None:
    scripted.gives("create_endpoint_config")
    scripted.refuses("create_endpoint", "ResourceLimitExceeded", LIMIT)
    # The endpoint was refused, so there is only its configuration to delete.
    scripted.gives("delete_endpoint_config")
    error = scripted.complaint()
    assert error.code == "temporary_endpoint.quota"
    assert LIMIT in error.message


def test_an_unknown_model_whose_neighbours_may_not_be_listed(scripted: Service) -> None:
    scripted.refuses(
        "create_endpoint_config", text='Could not find model "arn:aws:sagemaker:e:1:model/loans".'
    )
    scripted.refuses("list_models", **denied("ListModels"))
    error = scripted.complaint()
    assert error.code == "temporary_endpoint.no_model"
    assert "did you mean" not in error.message


def test_an_instance_type_that_there_is_not(scripted: Service) -> None:
    text = "Value 'ml.m5.larg' at 'productionVariants.1.member.instanceType' failed to satisfy constraint"
    scripted.refuses("create_endpoint_config", text=text)
    predictor = PredictorConfig(model_name="loans", instance_type="ml.m5.larg")
    error = scripted.complaint(predictor)
    assert error.code == "temporary_endpoint.instance_type"
    assert "(did you mean ml.m5.large?)" in error.message


def test_whatever_else_is_refused(scripted: Service) -> None:
    scripted.refuses("create_endpoint_config", "ValidationException", "Elastic\nInference is no more.")
    error = scripted.complaint()
    assert error.code == "temporary_endpoint.refused"
    assert "ValidationException: Elastic Inference is no more; " in error.message


def test_tags_are_left_out_where_they_may_not_be_given(scripted: Service) -> None:
    scripted.refuses("create_endpoint_config", **denied("AddTags"))
    scripted.gives("create_endpoint_config")
    scripted.refuses("create_endpoint", **denied("AddTags"))
    scripted.gives("create_endpoint")
    scripted.stands("InService")
    scripted.gives("delete_endpoint")
    scripted.gives("delete_endpoint_config")
    open_model(None, LOANS, policy=QUICK).close()
    scripted.stubber.assert_no_pending_responses()


def test_a_creation_that_went_through_unnoticed(scripted: Service) -> None:
    scripted.gives("create_endpoint_config")
    scripted.refuses("create_endpoint", text="Cannot create already existing endpoint")
    scripted.stands("InService")
    scripted.gives("delete_endpoint")
    scripted.gives("delete_endpoint_config")
    open_model(None, LOANS, policy=QUICK).close()
    scripted.stubber.assert_no_pending_responses()


def test_a_failure_while_it_was_created(scripted: Service) -> None:
    scripted.gives("create_endpoint_config")
    scripted.gives("create_endpoint")
    scripted.stands("Creating")
    scripted.stands("Failed", FailureReason="The container did not pass the ping health check.")
    scripted.gives("delete_endpoint")
    scripted.gives("delete_endpoint_config")
    complaint = scripted.complaint().message
    assert re.match(
        r"SageMaker endpoint (\S+), started for predictor.model_name 'loans', ended as Failed after \d+ s: "
        r"The container did not pass the ping health check; mend the model \(the endpoint's log group is "
        r"/aws/sagemaker/Endpoints/\1\), or set model",
        complaint,
    )


def test_a_status_that_may_not_be_asked_for(scripted: Service) -> None:
    scripted.gives("create_endpoint_config")
    scripted.gives("create_endpoint")
    scripted.refuses("describe_endpoint", **denied("DescribeEndpoint"))
    scripted.refuses("delete_endpoint", text='Could not find endpoint "e".')  # somebody else did it
    scripted.refuses("delete_endpoint_config", **denied("DeleteEndpointConfig"))
    assert "lacks sagemaker:DescribeEndpoint" in scripted.complaint().message


def test_deletion_that_is_denied_costs_a_warning(scripted: Service, caplog: pytest.LogCaptureFixture) -> None:
    scripted.gives("create_endpoint_config")
    scripted.gives("create_endpoint")
    scripted.stands("InService")
    scripted.refuses("delete_endpoint", **denied("DeleteEndpoint"))
    open_model(None, LOANS, policy=QUICK).close()
    scripted.stubber.assert_no_pending_responses()
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "could not be deleted" in warning
    assert "and goes on costing money; run: aws sagemaker delete-endpoint" in warning


def test_outages_pass(scripted: Service) -> None:
    scripted.gives("create_endpoint_config")
    scripted.gives("create_endpoint")
    scripted.refuses("describe_endpoint", "ThrottlingException", "Rate exceeded", http_status_code=400)
    scripted.refuses("describe_endpoint", "InternalFailure", http_status_code=500)
    scripted.stands("InService")
    scripted.refuses("delete_endpoint", "ServiceUnavailable", http_status_code=503)
    scripted.gives("delete_endpoint")
    scripted.gives("delete_endpoint_config")
    open_model(None, LOANS, policy=QUICK).close()
    scripted.stubber.assert_no_pending_responses()


def test_what_may_have_been_made_is_deleted(scripted: Service) -> None:
    scripted.gives("create_endpoint_config")
    scripted.refuses("create_endpoint", "InternalFailure", "Sorry.", http_status_code=500)
    scripted.gives("delete_endpoint")
    scripted.gives("delete_endpoint_config")
    assert "InternalFailure: Sorry; " in scripted.complaint().message


def test_without_credentials(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", REGION)
    with pytest.raises(ModelError, match="Unable to locate credentials; give the job a region"):
        open_model(None, LOANS, policy=QUICK)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_signal_ends_the_wait_for_the_deletion(
    scripted: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.gives("create_endpoint_config")
    scripted.gives("create_endpoint")
    scripted.refuses("describe_endpoint", **denied("DescribeEndpoint"))
    for _ in range(2):
        scripted.refuses("delete_endpoint", text='Cannot update in-progress endpoint "e".')
    monkeypatch.setattr(temporary_endpoint, "_DELETION_PAUSE", 0)
    monkeypatch.setattr(temporary_endpoint.time, "sleep", lambda pause: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        open_model(None, LOANS, policy=QUICK)
    scripted.stubber.assert_no_pending_responses()
    assert "and goes on costing money" in caplog.text


def test_without_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(ModelError, match=r"You must specify a region; give the job a region \(AWS_REGION\)"):
        open_model(None, LOANS, policy=QUICK)
