"""What a user of the SDK's Clarify classes does to explain a model. Run with the SDK's own environment.

Usage: sdk_explain_driver.py FEATURE_ATTRIBUTION_IMAGE MODEL_ADDRESS FOLDER. FOLDER holds `data/data.csv` and
`captures`, as `attribution_data.py` writes them; what the SDK's classes read from the outputs is written to
`answers.json` beside them. S3 is where AWS_ENDPOINT_URL points.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from sdk_driver import (
    EXECUTION,
    OUTPUT,
    ROLE,
    ProcessingInput,
    ProcessingOutput,
    read_violations,
    switch_off,
)

try:  # version 3
    from sagemaker.core.clarify import DataConfig, ModelConfig, SageMakerClarifyProcessor, SHAPConfig
    from sagemaker.core.local.local_session import LocalSession
    from sagemaker.core.model_monitor import Constraints
    from sagemaker.core.processing import Processor
    from sagemaker.core.s3 import S3Downloader
except ImportError:
    from sagemaker.clarify import DataConfig, ModelConfig, SageMakerClarifyProcessor, SHAPConfig
    from sagemaker.local import LocalSession
    from sagemaker.model_monitor import Constraints
    from sagemaker.processing import Processor
    from sagemaker.s3 import S3Downloader

BUCKET = "explain-tests"
INPUT = "/opt/ml/processing/input"


def main(image: str, address: str, folder: Path) -> None:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    session = LocalSession(default_bucket=BUCKET)
    # `model` comes first: the server that runs already is asked, and no endpoint started for the model named.
    processor = SageMakerClarifyProcessor(
        role=ROLE, instance_count=1, instance_type="local", sagemaker_session=session, env={"model": address}
    )
    processor.image_uri = image
    processor.run_explainability(
        data_config=DataConfig(
            s3_data_input_path=str(folder / "data" / "data.csv"),
            s3_output_path=f"s3://{BUCKET}/explained",
            s3_analysis_config_output_path=f"s3://{BUCKET}/config",
            headers=["age", "income", "debt"],
            dataset_type="text/csv",
        ),
        model_config=ModelConfig(
            model_name="risk",
            instance_type="ml.c5.xlarge",
            instance_count=1,
            content_type="text/csv",
            accept_type="text/csv",
        ),
        explainability_config=SHAPConfig(
            baseline=[[50.0, 40.0, 10.0]], num_samples=100, agg_method="mean_abs", seed=1
        ),
        logs=False,
    )
    analysis = Constraints.from_s3_uri(f"s3://{BUCKET}/explained/analysis.json", sagemaker_session=session)
    local = f"s3://{BUCKET}/explained/explanations_shap/out.csv"
    answers = {
        "analysis": analysis.body_dict,
        "local": S3Downloader.read_file(local, sagemaker_session=session),
        "violations": watch(image, address, folder, "analysis.json", session),
    }
    switch_off(session, BUCKET, "explained", folder / "documents")
    answers["switched_off"] = watch(image, address, folder, "constraints.json", session)
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def watch(image: str, address: str, folder: Path, document: str, session: LocalSession) -> list[str]:
    # A scheduled execution's inputs; a schedule itself exists in the cloud only.
    baseline = "/opt/ml/processing/baseline/constraints"
    processor = Processor(
        role=ROLE,
        image_uri=image,
        instance_count=1,
        instance_type="local",
        sagemaker_session=session,
        env={
            "model": address,
            "dataset_source": f"{INPUT}/endpoint",
            "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}',
            "baseline_constraints": f"{baseline}/{document}",
            **EXECUTION,
        },
    )
    configuration = f"s3://{BUCKET}/config/analysis_config.json"
    processor.run(
        inputs=[
            ProcessingInput(configuration, f"{INPUT}/config", "analysis_config"),
            ProcessingInput(str(folder / "captures"), f"{INPUT}/endpoint", "endpoint_input_1"),
            ProcessingInput(f"s3://{BUCKET}/explained/{document}", baseline, "constraints"),
        ],
        outputs=[ProcessingOutput(OUTPUT, f"s3://{BUCKET}/reports", "result")],
        logs=False,
    )
    violations = read_violations(session, BUCKET, "reports", folder / "documents")
    return [entry["constraint_check_type"] for entry in violations]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
