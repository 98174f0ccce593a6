"""What the schedules in tests/orchestrators/schedules speak of, as buckets full of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from captured_predictions import predict, write_captures, write_labels, write_table
from images.attribution_data import CONFIG, draw, train, write_requests, write_rows
from run_jobs import run_job

from containers.bias.main import main as monitor_bias
from containers.data_quality.main import main as monitor_data_quality
from containers.feature_attribution.main import main as monitor_feature_attribution
from containers.model_quality.main import main as monitor_model_quality

# Added to the variables of a manifest, whose windows follow the clock: the hour of the captures, and a day
# later where a manifest looks a day back.
START = "2026-05-06T22:00:00Z"
START_A_DAY_LATER = "2026-05-07T22:00:00Z"
LOANS = ("--captures", "s3://captures/loans", "--model", "s3://models/churn/model.json")
# Where reports are found: the start of the window.
HOUR = "2026/05/06/22"
SCRIPT = """\
def preprocess_handler(inference_record):
    predicted, score = inference_record.endpoint_output.data.split(",")
    return {"predicted": int(predicted), "score": float(score), "group": inference_record.endpoint_input.data}
"""
BIAS: dict[str, Any] = {
    "headers": ["group", "label"],
    "label": "label",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "group", "value_or_threshold": ["a"]}],
}
BIAS_BASELINE: dict[str, Any] = {
    "version": "1.0",
    "dataset_type": "text/csv",
    **BIAS,
    "headers": ["label", "prediction", "probability", "group"],
    "predicted_label": "prediction",
    "methods": {"post_training_bias": {"methods": "all"}},
}
PREDICTIONS = {"inference_attribute": "prediction", "probability_attribute": "probability"}


def options(monitor: str) -> tuple[str, ...]:
    """Return what import-schedule must be told besides the descriptions."""
    return LOANS if monitor == "feature-attribution" else ()


def start(monitor: str) -> str:
    """Return the start_time that puts a monitor's window on the captures."""
    return START_A_DAY_LATER if monitor in ("model-quality", "bias") else START


def reports(buckets: Path, monitor: str) -> Path:
    """Return the folder of a monitor's reports."""
    return buckets / "reports" / "churn" / f"churn-{monitor}-schedule" / HOUR


def write_world(buckets: Path, scratch: Path) -> None:
    """Make the buckets with everything in them; the window is much worse than the baselines."""
    for name in ("captures", "labels", "models", "reports"):
        (buckets / name).mkdir(parents=True, exist_ok=True)
    window = predict(1_500, seed=2, wrong=0.6)
    write_captures(buckets / "captures" / "live" / "churn", window)
    write_labels(buckets / "labels" / "churn", window.labels)
    models = buckets / "models" / "churn"
    (models / "code").mkdir(parents=True)
    (models / "code" / "preprocessor.py").write_text(SCRIPT, encoding="utf-8")
    _baselines_of_predictions(models, scratch)
    _baseline_of_explanations(buckets, models, scratch)


def _baselines_of_predictions(models: Path, scratch: Path) -> None:
    before = predict(3_000, seed=1)
    run_job(
        scratch / "data-quality",
        # Scores were lower then, which data quality is to find.
        write_captures(scratch / "captures", replace(before, scores=[score / 2 for score in before.scores])),
        command=monitor_data_quality,
        dataset_format='{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}',
        record_preprocessor_script=models / "code" / "preprocessor.py",
        output_path=models / "data-quality",
    )
    table = write_table(scratch / "table" / "data.csv", before).parent
    run_job(
        scratch / "model-quality",
        table,
        command=monitor_model_quality,
        problem_type="BinaryClassification",
        ground_truth_attribute="label",
        output_path=models / "model-quality",
        **PREDICTIONS,
    )
    _write_config(scratch / "bias", BIAS_BASELINE)
    run_job(
        scratch / "bias",
        table,
        command=monitor_bias,
        dataset_format=None,
        analysis_config=scratch / "bias",
        output_path=models / "bias",
    )
    _write_config(models / "bias", BIAS)


def _baseline_of_explanations(buckets: Path, models: Path, scratch: Path) -> None:
    folder, ask = train(scratch / "model")
    (models / "model.json").write_bytes((folder / "model.json").read_bytes())
    _write_config(scratch / "explanations", CONFIG)
    run_job(
        scratch / "explanations",
        write_rows(scratch / "rows", draw(2)),
        command=monitor_feature_attribution,
        dataset_format=None,
        analysis_config=scratch / "explanations",
        model=models / "model.json",
        output_path=models / "feature-attribution",
    )
    _write_config(models / "explainability", CONFIG)
    # Incomes no longer vary, so the model relies on other features.
    rows = draw(3, steady=("income",))
    write_requests(buckets / "captures" / "loans", rows, ask(rows))


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
