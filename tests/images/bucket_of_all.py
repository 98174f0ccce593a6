"""One place with everything in it, as the manifests under orchestrators/ expect it: a bucket, or a volume."""

from __future__ import annotations

import shutil
from pathlib import Path

from schedule_world import HOUR, write_world

BUCKET = "my-bucket"
DAY = HOUR.rpartition("/")[0]
# Data quality reads what the model answered too, and its columns get their names from a script.
DATA_QUALITY = {
    "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}',
    "record_preprocessor_script": "code/preprocessor.py",
}
MONITORS = ("data-quality", "model-quality", "bias", "feature-attribution")


def arrange(buckets: Path, scratch: Path) -> Path:
    """Fill the buckets of `schedule_world`, and one more that has all of it; return that one's folder."""
    write_world(buckets, scratch)
    here = buckets / BUCKET
    models = buckets / "models" / "churn"
    shutil.copytree(buckets / "captures" / "live" / "churn", here / "captures")
    shutil.copytree(buckets / "captures" / "loans", here / "loans")
    shutil.copytree(buckets / "labels" / "churn", here / "labels")
    for monitor in MONITORS:
        shutil.copytree(models / monitor, here / "baseline" / monitor)
    for monitor, name in (("bias", "bias"), ("feature-attribution", "explainability")):
        target = here / "analysis" / monitor
        target.mkdir(parents=True)
        shutil.copy(models / name / "analysis_config.json", target)
    (here / "model").mkdir()
    shutil.copy(models / "model.json", here / "model")
    shutil.copytree(models / "code", here / "code")
    for path in (here, *here.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o644)
    return here
