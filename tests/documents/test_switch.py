"""The SDK's set_monitoring, on the constraints of every monitor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from captured_predictions import predict, write_table
from images.attribution_data import CONFIG, draw, train, write_rows
from run_jobs import run_job
from schedule_world import BIAS_BASELINE, PREDICTIONS

from containers.bias.main import main as monitor_bias
from containers.data_quality.main import main as monitor_data_quality
from containers.feature_attribution.main import main as monitor_feature_attribution
from containers.model_quality.main import main as monitor_model_quality

QUALITY = {"problem_type": "BinaryClassification", "ground_truth_attribute": "label", **PREDICTIONS}


def set_monitoring(document: dict[str, Any], enable: bool, feature_name: str | None = None) -> None:
    """Change constraints as the SDK's Constraints.set_monitoring does, in versions 2 and 3."""
    flag = "Enabled" if enable else "Disabled"
    if feature_name is None:
        document["monitoring_config"]["evaluate_constraints"] = flag
        return
    (feature,) = (entry for entry in document["features"] if entry["name"] == feature_name)
    feature.setdefault("monitoring_config_overrides", {})["evaluate_constraints"] = flag


def settings(monitor: str, folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    """Return a baseline, a window that is much worse, and what a job needs besides."""
    if monitor == "feature-attribution":
        pytest.importorskip("xgboost")
        model, _ = train(folder / "model")
        (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        given = {
            "command": monitor_feature_attribution,
            "dataset_format": None,
            "analysis_config": folder / "config.json",
            "model": model / "model.json",
        }
        rows = draw(2)
        return write_rows(folder / "before", rows), write_rows(folder / "after", rows), given
    before = write_table(folder / "before" / "data.csv", predict(2_000, seed=1)).parent
    after = write_table(folder / "after" / "data.csv", predict(2_000, seed=2, wrong=0.6)).parent
    if monitor == "bias":
        (folder / "config.json").write_text(json.dumps(BIAS_BASELINE), encoding="utf-8")
        return (
            before,
            after,
            {
                "command": monitor_bias,
                "dataset_format": None,
                "analysis_config": folder / "config.json",
            },
        )
    if monitor == "model-quality":
        return before, after, {"command": monitor_model_quality, **QUALITY}
    return before, after, {"command": monitor_data_quality}


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
@pytest.mark.parametrize("monitor", ["data-quality", "model-quality", "bias", "feature-attribution"])
def test_a_file_that_is_switched_off_checks_nothing(monitor: str, rules: str, tmp_path: Path) -> None:
    before, after, given = settings(monitor, tmp_path)
    made = run_job(tmp_path / "baseline", before, rules=rules, **given)
    assert made.exit_code == 0, made.message
    file = tmp_path / "baseline" / "output" / "constraints.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    set_monitoring(document, False)
    file.write_text(json.dumps(document), encoding="utf-8")
    for gate, code in (("Disabled", 0), ("Enabled", 5)):
        found = run_job(
            tmp_path / f"window-{gate}",
            after,
            rules=rules,
            baseline_constraints=file,
            fail_on_violations=gate,
            **given,
        )
        assert found.exit_code == code, found.message
        assert "evaluate_constraints is Disabled" in found.message
    set_monitoring(document, True)
    file.write_text(json.dumps(document), encoding="utf-8")
    found = run_job(tmp_path / "again", after, rules=rules, baseline_constraints=file, **given)
    assert "evaluate_constraints" not in found.message
    document["monitoring_config"]["evaluate_constraints"] = "Sometimes"
    file.write_text(json.dumps(document), encoding="utf-8")
    found = run_job(tmp_path / "wrong", after, rules=rules, baseline_constraints=file, **given)
    assert found.exit_code == 2
    assert "evaluate_constraints" in found.message
