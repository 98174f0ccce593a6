"""The CloudFormation template that starts a SageMaker pipeline: valid, deployed, its rule takes our event."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from fixtures import ROOT
from reports import report

from contract.sink_addresses import parse_sinks
from reporting.sinks import delivery
from reporting.sinks.publishing import Sinks

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto")
TEMPLATE = ROOT / "orchestrators" / "retraining" / "eventbridge-pipeline.yaml"


def test_the_template_follows_the_schema_of_its_resources() -> None:
    program = Path(sys.executable).parent / "cfn-lint"
    if not program.exists():
        pytest.skip("cfn-lint is not installed")
    done = subprocess.run(
        [program, "--non-zero-exit-code", "informational", TEMPLATE], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with moto.mock_aws():
        boto3.client("cloudformation").create_stack(
            StackName="drift-retraining",
            TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[
                {"ParameterKey": "PipelineName", "ParameterValue": "flights-retraining"},
                {"ParameterKey": "EndpointName", "ParameterValue": "flights"},
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        yield boto3.client("events")


def entry_of(endpoint: str) -> dict[str, Any]:
    """Return what the sink puts on the bus."""
    answer = {"FailedEntryCount": 0, "Entries": [{}]}
    with mock.patch.object(delivery, "call", return_value=answer) as call:
        Sinks((), parse_sinks("event_sinks", "eventbridge:model-monitor"), {}, 5.0).deliver(
            report(endpoint=endpoint)
        )
    entry: dict[str, Any] = call.call_args.args[2]["Entries"][0]
    return entry


# moto deploys everything but the queue's policy.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy:UserWarning")
def test_the_rule_takes_our_events_and_hands_over_what_is_in_them(stack: Any) -> None:
    (rule,) = stack.list_rules(EventBusName="model-monitor")["Rules"]
    (target,) = stack.list_targets_by_rule(Rule=rule["Name"], EventBusName="model-monitor")["Targets"]
    assert target["Arn"].endswith(":pipeline/flights-retraining")
    entry = entry_of("flights")
    detail = json.loads(entry["Detail"])
    for parameter in target["SageMakerPipelineParameters"]["PipelineParameterList"]:
        assert detail[parameter["Value"].removeprefix("$.detail.")]
    pattern = json.loads(rule["EventPattern"])
    assert entry["EventBusName"] == rule["EventBusName"]
    assert matches(pattern, {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": detail})
    other = json.loads(entry_of("other")["Detail"])
    assert not matches(
        pattern, {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": other}
    )


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return whether an event has one of the listed values in every place the pattern names."""
    return all(
        name in event
        and (matches(wanted, event[name]) if isinstance(wanted, dict) else event[name] in wanted)
        for name, wanted in pattern.items()
    )
