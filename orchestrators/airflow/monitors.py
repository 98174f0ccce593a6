"""All four monitors as one DAG: merge labels, then the analyses, then the action; containers of Docker.

Copy this file into Airflow's folder of DAGs (Airflow 3, provider `docker`) and fill in three values in the
environment of its workers: MODEL_MONITOR_IMAGES, where the images are; MODEL_MONITOR_DATA, where the data is,
s3://BUCKET or a folder of the machine with the containers (captures, labels, baseline, analysis, model in it;
reports are written); MODEL_MONITOR_ACTION_URL, which is told of violations (left out: nobody is).
"""

from __future__ import annotations

import json
import os
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException
from docker.types import Mount

IMAGES = os.environ.get("MODEL_MONITOR_IMAGES", "model-monitor")
TAG = os.environ.get("MODEL_MONITOR_TAG", "0.1.0")
DATA = os.environ.get("MODEL_MONITOR_DATA", "s3://my-bucket")
# What the model predicts, and the columns of the training data that model quality needs.
PROBLEM_TYPE = os.environ.get("MODEL_MONITOR_PROBLEM", "BinaryClassification")
COLUMNS = {
    "ground_truth_attribute": os.environ.get("MODEL_MONITOR_LABEL", "label"),
    "inference_attribute": os.environ.get("MODEL_MONITOR_PREDICTION", "prediction"),
    "probability_attribute": os.environ.get("MODEL_MONITOR_PROBABILITY", "probability"),
}
ACTION_URL = os.environ.get("MODEL_MONITOR_ACTION_URL", "")

# A folder is mounted where the containers look for it; S3 is reached with the workers' own credentials.
ROOT = DATA if DATA.startswith("s3://") else "/data"
MOUNTS = [] if DATA.startswith("s3://") else [Mount("/data", DATA, type="bind")]
CREDENTIALS = {name: text for name, text in os.environ.items() if name.startswith("AWS_")}

VIOLATIONS = 3

# The day before; of monitors that need labels, the day before that.
WINDOW = {"window": "P1D"}
LABELLED = {**WINDOW, "start_time_offset": "-P1D", "end_time_offset": "-P1D"}
# Columns of the model's output, counted from zero: the predicted label, then its probability.
PREDICTIONS = {"inference_attribute": "0", "probability_attribute": "1"}


class Monitor(DockerOperator):
    """A container of this project, as nobody's user.

    Its variables are taken as they are written, braces and percent signs are no templates. Exit code 3 is a
    result, not a failure: the task then returns "violations".
    """

    template_fields = ()

    def __init__(self, *, image: str, command: str, variables: dict[str, str], **options: Any) -> None:
        super().__init__(
            image=f"{IMAGES}/{image}:{TAG}",
            entrypoint=[command],
            environment=variables,
            private_environment=CREDENTIALS,
            docker_url=os.environ.get("DOCKER_HOST", "unix://var/run/docker.sock"),
            network_mode=os.environ.get("MODEL_MONITOR_NETWORK", "bridge"),
            mounts=MOUNTS,
            mount_tmp_dir=False,
            user="10001:10001",
            mem_limit="2g",
            auto_remove="force",
            skip_on_exit_code=VIOLATIONS,
            **options,
        )

    def execute(self, context: Any) -> str:
        """Run it; return what it found."""
        try:
            super().execute(context)
        except AirflowSkipException:
            return "violations"
        return "no violations"


def analysis(monitor: str, variables: dict[str, str]) -> Monitor:
    """Return the task of a monitor: its variables, its baseline, its report."""
    return Monitor(
        task_id=monitor,
        image=monitor,
        command=f"monitor-{monitor}",
        variables={
            **variables,
            "baseline_constraints": f"{ROOT}/baseline/{monitor}/constraints.json",
            "baseline_statistics": f"{ROOT}/baseline/{monitor}/statistics.json",
            "output_path": f"{ROOT}/reports/{monitor}/%Y/%m/%d",
            "fail_on_violations": "Enabled",
        },
    )


def records(kind: str, *parts: str) -> str:
    """Return the dataset_format of captures, merged with labels or not."""
    return json.dumps({kind: {"captureIndexNames": list(parts)}})


@task(trigger_rule=TriggerRule.ALL_DONE)
def action(monitors: list[str], **context: Any) -> list[str]:
    """Tell the address which monitors found violations, once all are through; return them."""
    results = {name: context["ti"].xcom_pull(task_ids=name) for name in monitors}
    found = [name for name, result in results.items() if result == "violations"]
    if found and ACTION_URL:
        body = json.dumps({"event": "model-monitor.violations", "monitors": found}).encode()
        request = urllib.request.Request(  # noqa: S310 - the operator's own address
            ACTION_URL, body, {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - the operator's own address
    return found


with DAG(
    "model-monitor",
    schedule="20 1 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    tags=["model-monitor"],
):
    merge = Monitor(
        task_id="merge-ground-truth",
        image="model-quality",
        command="merge-ground-truth",
        variables={
            **LABELLED,
            "dataset_source": f"{ROOT}/captures",
            "ground_truth_source": f"{ROOT}/labels",
            "output_path": f"{ROOT}/merged",
        },
    )
    data_quality = analysis(
        "data-quality",
        {
            **WINDOW,
            "dataset_source": f"{ROOT}/captures",
            "dataset_format": records("sagemakerCaptureJson", "endpointInput"),
        },
    )
    model_quality = analysis(
        "model-quality",
        {
            **LABELLED,
            **PREDICTIONS,
            "dataset_source": f"{ROOT}/merged",
            "dataset_format": records("sagemakerMergeJson", "endpointOutput"),
            "problem_type": PROBLEM_TYPE,
        },
    )
    bias = analysis(
        "bias",
        {
            **LABELLED,
            **PREDICTIONS,
            "dataset_source": f"{ROOT}/merged",
            "dataset_format": records("sagemakerMergeJson", "endpointOutput", "endpointInput"),
            "analysis_config": f"{ROOT}/analysis/bias",
        },
    )
    feature_attribution = analysis(
        "feature-attribution",
        {
            **WINDOW,
            "dataset_source": f"{ROOT}/captures",
            "dataset_format": records("sagemakerCaptureJson", "endpointInput"),
            "analysis_config": f"{ROOT}/analysis/feature-attribution",
            "model": f"{ROOT}/model/model.json",
            "max_runtime": "PT30M",
        },
    )
    analyses = [data_quality, model_quality, bias, feature_attribution]
    merge >> [model_quality, bias]
    analyses >> action([monitor.task_id for monitor in analyses])

# The baselines, each when you trigger it: from training data with the names of its columns in the first line.
TRAINING = {
    "data-quality": {"dataset_format": '{"csv":{"header":true}}'},
    "model-quality": {"dataset_format": '{"csv":{"header":true}}', "problem_type": PROBLEM_TYPE, **COLUMNS},
    "bias": {"analysis_config": f"{ROOT}/analysis/baseline/bias"},
    "feature-attribution": {
        "analysis_config": f"{ROOT}/analysis/baseline/feature-attribution",
        "model": f"{ROOT}/model/model.json",
    },
}

for name, variables in TRAINING.items():
    with DAG(
        f"model-monitor-baseline-{name}",
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=4),
        tags=["model-monitor"],
    ):
        Monitor(
            task_id=name,
            image=name,
            command=f"monitor-{name}",
            variables={
                "dataset_source": f"{ROOT}/training",
                **variables,
                "output_path": f"{ROOT}/baseline/{name}",
            },
        )
