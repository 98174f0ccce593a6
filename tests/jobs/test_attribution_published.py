"""Feature-attribution jobs on real models, beside what the originals published for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attributed_people import table_config
from fixtures import fixture
from jobs.attribution_runs import attributions, kinds, run


def adult() -> tuple[dict[str, Any], dict[str, Any], Path]:
    reference = json.loads(
        fixture("clarify/adult_json/exact_shapley_reference.json").read_text(encoding="utf-8")
    )
    config = {
        "dataset_type": "application/json",
        "headers": [*reference["model"]["features"], "Target"],
        "label": "instances[*].label",
        "features": "instances[*].features",
        "methods": {"shap": {"baseline": [reference["baseline_row"]], "num_samples": 100}},
        "predictor": {},
    }
    return reference, config, fixture("clarify/adult_json/ll-adult-prediction-model.tar.gz")


def test_the_linear_learner_is_explained_better_than_in_the_published_results(tmp_path: Path) -> None:
    reference, config, model = adult()
    result = run(tmp_path, fixture("clarify/adult_json/validation-dataset.json"), config, model)
    ours = np.array([*attributions(result).values()])
    exact = np.array([*reference["validation"]["global_exact"]["mean_abs"].values()])
    published = [np.array([*run.values()]) for run in reference["aws_global_mean_abs_validation"].values()]
    label = result.document("statistics.json")["explanations"]["kernel_shap"]["label0"]
    noise = np.array([*label["noise_floors"].values()])  # what sizes near zero gain from it
    assert (np.abs(ours - exact) <= 4 * np.array([*label["sampling_errors"].values()]) + noise).all()
    for theirs in published:
        assert np.sqrt(np.mean((ours - exact) ** 2)) < np.sqrt(np.mean((theirs - exact) ** 2))
        # The noise of theirs is at most that of their least feature, whose exact value is next to none.
        assert np.abs(ours - theirs).max() < 2 * theirs.min()
    assert label["expected_value"] == pytest.approx(reference["expected_value"], abs=1e-9)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_the_published_baseline_with_a_score_as_label_is_compared(tmp_path: Path, rules: str) -> None:
    _, config, model = adult()
    del config["label"], config["headers"][-1]
    constraints = fixture("clarify/aws_notebook_outputs/shap_baseline_adult_json_batch.json")
    result = run(
        tmp_path,
        fixture("clarify/adult_json/test-dataset.json"),
        config,
        model,
        rules=rules,
        baseline_constraints=constraints,
    )
    assert result.exit_code == 0, result.message
    assert result.violations == []


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_the_published_drift_of_the_weather_model_is_found(tmp_path: Path, rules: str) -> None:
    header, *rows = fixture("clarify/weather_csv/t_file.csv").read_text(encoding="utf-8").splitlines()
    means = np.array([row.split(",") for row in rows], dtype=float).mean(axis=0)[1:]
    live = tmp_path / "live.csv"
    live.write_text("\n".join([header, *rows[:49]]) + "\n", encoding="utf-8")
    config = table_config(baseline=[means.tolist()], num_samples=50)
    config["label"] = "value"
    result = run(
        tmp_path,
        live,
        config,
        fixture("clarify/weather_csv/xgboost_model.json"),
        rules=rules,
        baseline_constraints=fixture("clarify/weather_csv/aws_explainability_baseline_analysis.json"),
    )
    found = [item for item in result.violations if item["metric_name"] == "shap"]
    drift = float(found[0]["description"].split()[3])
    assert found[0]["description"].startswith(f"Feature attribution drift {drift!r} exceeds threshold 0.9")
    assert drift == pytest.approx(0.887, abs=0.01)
    # Sizes are a hundred times those of the published baseline, which NDCG does not see.
    assert ("feature_attribution_magnitude_check" in kinds(result)) == (rules == "sound")
