"""Requests of the scheduler, run by Docker as a Processing job is: image, entry point, environment, root."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from bucket_of_all import BUCKET, DATA_QUALITY, DAY, MONITORS, arrange
from fixtures import ROOT
from image_runner import DOCKER, IMAGES
from imported_schedules import descriptions, import_schedule
from orchestrators.test_sagemaker_stack import Loader, resolved
from s3_server import ACCESS, SECRET
from schedule_world import HOUR, START, START_A_DAY_LATER, options, reports, start

STACK = ROOT / "orchestrators" / "sagemaker" / "monitors.yaml"
SCHEDULES = dict(
    zip(
        MONITORS,
        ("DataQualitySchedule", "ModelQualitySchedule", "BiasSchedule", "FeatureAttributionSchedule"),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def buckets(s3_server: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder whose folders are buckets, filled."""
    arrange(s3_server[0], tmp_path_factory.mktemp("scratch"))
    return s3_server[0]


def process(request: dict[str, Any], address: str, image: str, **variables: str) -> None:
    """Run what a request asks for; it must complete and give nothing away."""
    credentials = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [DOCKER, "run", "--rm", "--network", "host"]
    for name, value in {**request["Environment"], **credentials, **variables}.items():
        command += ["--env", f"{name}={value}"]
    entrypoint = request["AppSpecification"].get("ContainerEntrypoint")
    if entrypoint:
        command += ["--entrypoint", entrypoint[0]]
    ran = subprocess.run([*command, image], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert SECRET not in ran.stdout + ran.stderr


def violations(folder: Path) -> list[Any]:
    return json.loads((folder / "constraint_violations.json").read_text(encoding="utf-8"))["violations"]


@pytest.mark.parametrize("monitor", MONITORS)
def test_requests_of_imported_schedules(monitor: str, buckets: Path, s3_server: tuple[Path, str]) -> None:
    text = import_schedule("--to", "sagemaker", *options(monitor), *descriptions(monitor))
    properties = yaml.load(text, Loader)["Resources"]["Schedule"]["Properties"]
    request = json.loads(properties["Target"]["Input"]["Fn::Sub"])
    process(request, s3_server[1], IMAGES[monitor], start_time=start(monitor))
    assert violations(reports(buckets, monitor))


@pytest.mark.parametrize("monitor", MONITORS)
def test_requests_of_the_stack(monitor: str, buckets: Path, s3_server: tuple[Path, str]) -> None:
    template = yaml.load(STACK.read_text(encoding="utf-8"), Loader)
    values = {
        **{name: str(part.get("Default", "")) for name, part in template["Parameters"].items()},
        "Bucket": BUCKET,
        "Endpoint": "churn",
        "JobRole.Arn": "",
        "SchedulerRole.Arn": "",
        "AWS::Partition": "aws",
    }
    properties = resolved(template["Resources"][SCHEDULES[monitor]]["Properties"], values)
    request = json.loads(properties["Target"]["Input"])
    folder = "loans" if monitor == "feature-attribution" else "captures"
    changed = {"dataset_source": f"s3://{BUCKET}/{folder}"}
    if monitor == "data-quality":
        script = f"s3://{BUCKET}/{DATA_QUALITY['record_preprocessor_script']}"
        changed |= {**DATA_QUALITY, "record_preprocessor_script": script}
    begins = START_A_DAY_LATER if monitor in ("model-quality", "bias") else START
    process(request, s3_server[1], IMAGES[monitor], start_time=begins, **changed)
    assert violations(buckets / BUCKET / "reports" / monitor / (HOUR if monitor == "data-quality" else DAY))
