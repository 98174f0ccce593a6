"""What a user of the SDK's Clarify classes does to explain a model. Run with the SDK's own environment.

Usage: sdk_explain_driver.py FEATURE_ATTRIBUTION_IMAGE MODEL_ADDRESS FOLDER. FOLDER holds `data/data.csv`, as
`attribution_data.py` writes it; what the SDK's classes read from the outputs is written to `answers.json`
beside it. S3 is where AWS_ENDPOINT_URL points.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from sagemaker.clarify import DataConfig, ModelConfig, SageMakerClarifyProcessor, SHAPConfig
from sagemaker.local import LocalSession
from sagemaker.model_monitor import Constraints
from sagemaker.s3 import S3Downloader
from sdk_driver import ROLE

BUCKET = "explain-tests"


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
    }
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
