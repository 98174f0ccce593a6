"""What a user of the SDK's Clarify classes does, in local mode. Run with the SDK's own environment.

Usage: sdk_clarify_driver.py BIAS_IMAGE FOLDER. FOLDER holds `baseline/data.csv`, `captures` and `labels`, as
`bias_data.py` writes them; what the SDK's classes read from the outputs is written to `answers.json` beside
them. S3 is where AWS_ENDPOINT_URL points.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from sdk_driver import EXECUTION, OUTPUT, ROLE, ProcessingInput, ProcessingOutput, read_violations, switch_off

try:  # version 3
    from sagemaker.core.clarify import (
        BiasConfig,
        DataConfig,
        ModelPredictedLabelConfig,
        SageMakerClarifyProcessor,
    )
    from sagemaker.core.local.local_session import LocalSession
    from sagemaker.core.model_monitor import BiasAnalysisConfig, Constraints, ModelBiasMonitor
    from sagemaker.core.processing import Processor
except ImportError:
    from sagemaker.clarify import (
        BiasConfig,
        DataConfig,
        ModelPredictedLabelConfig,
        SageMakerClarifyProcessor,
    )
    from sagemaker.local import LocalSession
    from sagemaker.model_monitor import BiasAnalysisConfig, Constraints, ModelBiasMonitor
    from sagemaker.processing import Processor

BUCKET = "clarify-tests"
INPUT = "/opt/ml/processing/input"
BIAS = BiasConfig(
    label_values_or_threshold=[1], facet_name="group", facet_values_or_threshold=["a"], group_name="group"
)
CAPTURES = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput","endpointInput"]}}'
# Where a response holds the label and its probability.
PREDICTED = ModelPredictedLabelConfig(label=0, probability=1)


def main(image: str, folder: Path) -> None:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    session = LocalSession(default_bucket=BUCKET)
    answers = {name: run(name, image, folder, session) for name in ("pre", "post", "both")}
    monitor = ModelBiasMonitor(role=ROLE, instance_type="local", sagemaker_session=session)
    monitor.image_uri = image
    suggest_baseline(monitor, folder)
    documents = f"s3://{BUCKET}/baseline"
    suggested = Constraints.from_s3_uri(f"{documents}/analysis.json", sagemaker_session=session)
    answers["suggested"] = suggested.body_dict
    answers["violations"] = watch(monitor, image, folder, f"{documents}/analysis.json", session)
    switch_off(session, BUCKET, "baseline", folder / "documents")
    answers["switched_off"] = watch(monitor, image, folder, f"{documents}/constraints.json", session)
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def data_config(folder: Path, prefix: str) -> DataConfig:
    return DataConfig(
        s3_data_input_path=str(folder / "baseline" / "data.csv"),
        s3_output_path=f"s3://{BUCKET}/{prefix}",
        s3_analysis_config_output_path=f"s3://{BUCKET}/{prefix}-config",
        label="label",
        headers=["label", "prediction", "probability", "group"],
        dataset_type="text/csv",
        predicted_label="prediction",
    )


def run(name: str, image: str, folder: Path, session: LocalSession) -> dict:
    """Run one kind of processing job with nothing but the image exchanged; return its analysis.json."""
    processor = SageMakerClarifyProcessor(
        role=ROLE, instance_count=1, instance_type="local", sagemaker_session=session
    )
    processor.image_uri = image
    data = data_config(folder, name)
    if name == "pre":
        processor.run_pre_training_bias(data, BIAS, methods="all", logs=False)
    elif name == "post":
        processor.run_post_training_bias(
            data, BIAS, model_predicted_label_config=PREDICTED, methods=["AD", "DI", "RD"], logs=False
        )
    else:
        processor.run_bias(data, BIAS, None, PREDICTED, logs=False)
    return Constraints.from_s3_uri(f"s3://{BUCKET}/{name}/analysis.json", sagemaker_session=session).body_dict


def suggest_baseline(monitor: ModelBiasMonitor, folder: Path) -> None:
    data = data_config(folder, "baseline")
    try:
        monitor.suggest_baseline(data, BIAS, None, PREDICTED, wait=True, logs=False)
    except AttributeError as error:
        # Version 3 runs the job, then asks its description for a session that descriptions no longer have.
        if "sagemaker_session" not in str(error):
            raise


def watch(
    monitor: ModelBiasMonitor, image: str, folder: Path, constraints: str, session: LocalSession
) -> list[list[str]]:
    # A scheduled execution's inputs; a schedule itself exists in the cloud only. What the monitor remembers
    # of its baseline job says where predictions are; its headers are those of other files.
    remembered = monitor.latest_baselining_job_config
    analysis = BiasAnalysisConfig(BIAS, headers=["group", "label"], label="label")
    configuration = folder / "analysis_config.json"
    configuration.write_text(json.dumps(analysis._to_dict()), encoding="utf-8")
    processor = Processor(
        role=ROLE,
        image_uri=image,
        instance_count=1,
        instance_type="local",
        sagemaker_session=session,
        env={
            "dataset_source": f"{INPUT}/endpoint",
            "dataset_format": CAPTURES,
            "ground_truth_source": f"{INPUT}/groundtruth",
            "inference_attribute": remembered.inference_attribute,
            "probability_attribute": remembered.probability_attribute,
            "baseline_constraints": f"/opt/ml/processing/baseline/constraints/{Path(constraints).name}",
            **EXECUTION,
        },
    )
    processor.run(
        inputs=[
            ProcessingInput(str(configuration), f"{INPUT}/config", "analysis_config"),
            ProcessingInput(str(folder / "captures"), f"{INPUT}/endpoint", "endpoint_input_1"),
            ProcessingInput(str(folder / "labels"), f"{INPUT}/groundtruth", "ground_truth_input"),
            ProcessingInput(constraints, "/opt/ml/processing/baseline/constraints", "constraints"),
        ],
        outputs=[ProcessingOutput(OUTPUT, f"s3://{BUCKET}/reports", "result")],
        logs=False,
    )
    violations = read_violations(session, BUCKET, "reports", folder / "documents")
    return [[entry["facet_value"], entry["metric_name"]] for entry in violations]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
