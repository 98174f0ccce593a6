"""What a user of the SageMaker SDK does, in the SDK's local mode. Run with the SDK's own environment.

Usage: sdk_driver.py DATA_QUALITY_IMAGE MODEL_QUALITY_IMAGE FOLDER. FOLDER holds `baseline/data.csv` and
`window/data.csv`, and under `model/` a baseline, captures and labels; what the SDK's classes read from the
outputs is written to `answers.json` beside them. S3 is where AWS_ENDPOINT_URL points.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3

try:  # version 3
    from sagemaker.core import shapes
    from sagemaker.core.local.local_session import LocalSession
    from sagemaker.core.model_monitor import (
        Constraints,
        ConstraintViolations,
        DatasetFormat,
        DefaultModelMonitor,
        ModelQualityMonitor,
        Statistics,
    )
    from sagemaker.core.processing import Processor

    def ProcessingInput(source: str, path: str, name: str) -> shapes.ProcessingInput:
        place = shapes.ProcessingS3Input(
            s3_uri=source, local_path=path, s3_data_type="S3Prefix", s3_input_mode="File"
        )
        return shapes.ProcessingInput(input_name=name, s3_input=place)

    def ProcessingOutput(path: str, target: str, name: str) -> shapes.ProcessingOutput:
        place = shapes.ProcessingS3Output(s3_uri=target, local_path=path, s3_upload_mode="EndOfJob")
        return shapes.ProcessingOutput(output_name=name, s3_output=place)

except ImportError:
    from sagemaker.local import LocalSession
    from sagemaker.model_monitor import (
        Constraints,
        ConstraintViolations,
        DatasetFormat,
        DefaultModelMonitor,
        ModelQualityMonitor,
        Statistics,
    )
    from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor

ROLE = "arn:aws:iam::123456789012:role/monitor"
BUCKET = "monitor-tests"
OUTPUT = "/opt/ml/processing/output"
# What the service tells every execution of a schedule.
EXECUTION = {
    "publish_cloudwatch_metrics": "Enabled",
    "sagemaker_endpoint_name": "endpoint",
    "sagemaker_monitoring_schedule_name": "schedule",
    "start_time": "2026-05-06T22:00:00Z",
    "end_time": "2026-05-06T23:00:00Z",
}


def main(data_quality: str, model_quality: str, folder: Path) -> None:
    boto3.client("s3").create_bucket(Bucket=BUCKET)  # version 2 may have made it
    session = LocalSession(default_bucket=BUCKET)
    answers = suggest_baseline(data_quality, folder, session) | monitor(data_quality, folder, session)
    answers |= suggest_model_baseline(model_quality, folder / "model", session)
    answers |= monitor_model(model_quality, folder / "model", session)
    for prefix in ("baseline", "model-baseline"):
        switch_off(session, BUCKET, prefix, folder / "documents")
    answers["switched_off"] = [
        *monitor(data_quality, folder, session)["violations"],
        *monitor_model(model_quality, folder / "model", session)["model_violations"],
    ]
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def suggest_baseline(image: str, folder: Path, session: LocalSession) -> dict:
    # The monitor class as users know it, with nothing but the image exchanged.
    monitor = DefaultModelMonitor(role=ROLE, instance_type="local", sagemaker_session=session)
    monitor.image_uri = image
    monitor.suggest_baseline(
        baseline_dataset=str(folder / "baseline" / "data.csv"),
        dataset_format=DatasetFormat.csv(header=True),
        output_s3_uri=f"s3://{BUCKET}/baseline",
        wait=True,
        logs=False,
    )
    statistics, constraints = read_baseline(session, "baseline", folder / "documents")
    return {
        "item_count": statistics["dataset"]["item_count"],
        "statistics": [feature["name"] for feature in statistics["features"]],
        "constraints": [feature["name"] for feature in constraints["features"]],
    }


def monitor(image: str, folder: Path, session: LocalSession) -> dict:
    # A scheduled execution's inputs and variables; a schedule itself exists in the cloud only.
    baseline = "/opt/ml/processing/baseline"
    processor = Processor(
        role=ROLE,
        image_uri=image,
        instance_count=1,
        instance_type="local",
        sagemaker_session=session,
        env={
            "dataset_source": "/opt/ml/processing/input/endpoint",
            "dataset_format": json.dumps(DatasetFormat.csv(header=True)),
            "baseline_constraints": f"{baseline}/constraints/constraints.json",
            "baseline_statistics": f"{baseline}/stats/statistics.json",
            "output_path": OUTPUT,
            **EXECUTION,
        },
    )
    processor.run(
        inputs=[
            ProcessingInput(f"{folder}/window", "/opt/ml/processing/input/endpoint", "endpoint_input_1"),
            ProcessingInput(
                f"s3://{BUCKET}/baseline/constraints.json", f"{baseline}/constraints", "constraints"
            ),
            ProcessingInput(f"s3://{BUCKET}/baseline/statistics.json", f"{baseline}/stats", "baseline"),
        ],
        outputs=[ProcessingOutput(OUTPUT, f"s3://{BUCKET}/reports", "result")],
        logs=False,
    )
    violations = read_violations(session, BUCKET, "reports", folder / "documents")
    return {
        "violations": [
            [violation["feature_name"], violation["constraint_check_type"]] for violation in violations
        ]
    }


def suggest_model_baseline(image: str, folder: Path, session: LocalSession) -> dict:
    monitor = ModelQualityMonitor(role=ROLE, instance_type="local", sagemaker_session=session)
    monitor.image_uri = image
    monitor.suggest_baseline(
        baseline_dataset=str(folder / "baseline" / "data.csv"),
        dataset_format=DatasetFormat.csv(header=True),
        problem_type="BinaryClassification",
        inference_attribute="prediction",
        probability_attribute="probability",
        ground_truth_attribute="label",
        output_s3_uri=f"s3://{BUCKET}/model-baseline",
        wait=True,
        logs=False,
    )
    statistics, constraints = read_baseline(session, "model-baseline", folder / "documents")
    return {
        "model_accuracy": statistics["binary_classification_metrics"]["accuracy"]["value"],
        "model_constraints": list(constraints["binary_classification_constraints"]),
    }


def monitor_model(image: str, folder: Path, session: LocalSession) -> dict:
    # The variables of a scheduled execution, and the labels beside the captures: no merge job in between.
    baseline, inputs = "/opt/ml/processing/baseline", "/opt/ml/processing/input"
    processor = Processor(
        role=ROLE,
        image_uri=image,
        instance_count=1,
        instance_type="local",
        sagemaker_session=session,
        env={
            "analysis_type": "MODEL_QUALITY",
            "dataset_source": f"{inputs}/endpoint",
            "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}',
            "ground_truth_source": f"{inputs}/groundtruth",
            "problem_type": "BinaryClassification",
            "inference_attribute": "0",
            "probability_attribute": "1",
            "baseline_constraints": f"{baseline}/constraints/constraints.json",
            "baseline_statistics": f"{baseline}/stats/statistics.json",
            "output_path": OUTPUT,
            **EXECUTION,
        },
    )
    documents = f"s3://{BUCKET}/model-baseline"
    processor.run(
        inputs=[
            ProcessingInput(f"{folder}/captures", f"{inputs}/endpoint", "endpoint_input_1"),
            ProcessingInput(f"{folder}/labels", f"{inputs}/groundtruth", "ground_truth_input"),
            ProcessingInput(f"{documents}/constraints.json", f"{baseline}/constraints", "constraints"),
            ProcessingInput(f"{documents}/statistics.json", f"{baseline}/stats", "baseline"),
        ],
        outputs=[ProcessingOutput(OUTPUT, f"s3://{BUCKET}/model-reports", "result")],
        logs=False,
    )
    violations = read_violations(session, BUCKET, "model-reports", folder / "documents")
    return {
        "model_violations": [
            [violation["metric_name"], violation["constraint_check_type"]] for violation in violations
        ]
    }


def read_baseline(session: LocalSession, prefix: str, folder: Path) -> tuple[dict, dict]:
    """Return statistics and constraints as the SDK reads them."""
    download(session, BUCKET, prefix, folder)
    statistics = Statistics.from_file_path(str(folder / "statistics.json"), sagemaker_session=session)
    constraints = Constraints.from_file_path(str(folder / "constraints.json"), sagemaker_session=session)
    return statistics.body_dict, constraints.body_dict


def switch_off(session: LocalSession, bucket: str, prefix: str, folder: Path) -> None:
    """Have the SDK switch a baseline's constraints off, and put them back."""
    download(session, bucket, prefix, folder)
    file = folder / "constraints.json"
    constraints = Constraints.from_file_path(str(file), sagemaker_session=session)
    constraints.set_monitoring(False)
    text = json.dumps(constraints.body_dict)
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/constraints.json", Body=text.encode())


def read_violations(session: LocalSession, bucket: str, prefix: str, folder: Path) -> list[dict]:
    """Return violations as the SDK reads them."""
    download(session, bucket, prefix, folder)
    file = str(folder / "constraint_violations.json")
    return ConstraintViolations.from_file_path(file, sagemaker_session=session).body_dict["violations"]


def download(session: LocalSession, bucket: str, prefix: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for key in session.list_s3_files(bucket, prefix):
        session.s3_client.download_file(bucket, key, str(folder / Path(key).name))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
