"""A processing job on one instance and on two, in the SDK's local mode. Run with the SDK's own environment.

Usage: sdk_cluster_driver.py DATA_QUALITY_IMAGE FOLDER. FOLDER holds `data`; the documents of both jobs go to
`documents-1` and `documents-2` beside it. S3 is where AWS_ENDPOINT_URL points.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from sagemaker.local import LocalSession
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor
from sdk_driver import OUTPUT, ROLE, download

BUCKET = "cluster-tests"


def main(image: str, folder: Path) -> None:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    session = LocalSession(default_bucket=BUCKET)
    for instances in (1, 2):
        processor = Processor(
            role=ROLE,
            image_uri=image,
            instance_count=instances,
            instance_type="local",
            sagemaker_session=session,
            env={
                "dataset_source": "/opt/ml/processing/input/data",
                "dataset_format": '{"parquet":{}}',
                "output_path": OUTPUT,
            },
        )
        processor.run(
            inputs=[ProcessingInput(f"{folder}/data", "/opt/ml/processing/input/data", "data")],
            outputs=[ProcessingOutput(OUTPUT, f"s3://{BUCKET}/{instances}", "result")],
            logs=False,
        )
        download(session, BUCKET, f"{instances}/", folder / f"documents-{instances}")
    (folder / "answers.json").write_text(json.dumps({"completed": True}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
