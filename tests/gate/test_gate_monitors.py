"""The gate and the metrics of the other monitors, each with what its baseline consists of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from attributed_people import csv_endpoint, people, table_config
from attributed_people import write_csv as write_people
from captured_predictions import predict, write_table
from models.model_server import serving
from run_jobs import Result, run_job

from containers.bias.main import main as monitor_bias
from containers.feature_attribution.main import main as monitor_feature_attribution
from containers.model_quality.main import main as monitor_model_quality


def first_and_second(folder: Path, first: Path, second: Path, **variables: Any) -> tuple[Result, Result, str]:
    """Register a baseline and check against it; return both runs, and the metrics of the second."""
    baseline = folder / "baseline"
    settings = {
        **variables,
        "baseline_constraints": baseline,
        "baseline_statistics": baseline,
        "register_new_baseline": baseline,
        "metrics_sinks": f"prometheus-textfile:{folder}/m.prom",
    }
    results = []
    for name, source, skip in (("first", first, "Enabled"), ("second", second, "Disabled")):
        (folder / name).mkdir()
        results.append(run_job(folder / name, source, skip_check=skip, **settings))
        assert results[-1].exit_code == 0, results[-1].message
    return results[0], results[1], (folder / "m.prom").read_text(encoding="utf-8")


def kept_names(folder: Path) -> set[str]:
    (kept,) = (folder / "baseline" / "previous").iterdir()
    return {str(file.relative_to(kept)) for file in kept.rglob("*") if file.is_file()}


def test_model_quality(tmp_path: Path) -> None:
    first = write_table(tmp_path / "first.csv", predict(3000, seed=1))
    second = write_table(tmp_path / "second.csv", predict(3000, seed=2))
    _, result, metrics = first_and_second(
        tmp_path,
        first,
        second,
        command=monitor_model_quality,
        problem_type="BinaryClassification",
        inference_attribute="prediction",
        probability_attribute="probability",
        ground_truth_attribute="label",
    )
    assert result.violations == []
    assert kept_names(tmp_path) == {"statistics.json", "constraints.json"}
    measured = result.document("statistics.json")["binary_classification_metrics"]["auc"]["value"]
    assert f'model_monitor_quality{{monitor="model-quality",metric="auc"}} {measured!r}\n' in metrics


def test_bias(tmp_path: Path) -> None:
    def write(path: Path, seed: int) -> Path:
        rng = np.random.default_rng(seed)
        rows = (f"{rng.integers(2)},{rng.integers(2)}" for _ in range(2000))
        path.write_text("sex,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
        return path

    config = {
        "dataset_type": "text/csv",
        "label": "label",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sex", "value_or_threshold": [0]}],
        "methods": {"pre_training_bias": {"methods": ["DPL", "CI"]}},
    }
    (tmp_path / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    _, result, metrics = first_and_second(
        tmp_path,
        write(tmp_path / "first.csv", 1),
        write(tmp_path / "second.csv", 2),
        command=monitor_bias,
        analysis_config=tmp_path / "analysis_config.json",
    )
    assert result.violations == []
    assert kept_names(tmp_path) == {"statistics.json", "constraints.json", "analysis.json"}
    assert 'model_monitor_bias{monitor="bias",metric="DPL",bias_stage="Pre-training",label="label"' in metrics


def test_feature_attribution(tmp_path: Path) -> None:
    (tmp_path / "analysis_config.json").write_text(json.dumps(table_config()), encoding="utf-8")
    with serving(csv_endpoint) as server:
        _, result, metrics = first_and_second(
            tmp_path,
            write_people(tmp_path / "first.csv", people(200, seed=1).rows),
            write_people(tmp_path / "second.csv", people(200, seed=2).rows),
            command=monitor_feature_attribution,
            dataset_format=None,
            analysis_config=tmp_path / "analysis_config.json",
            model=server.url,
        )
    assert result.violations == []
    kept = kept_names(tmp_path)
    assert {"statistics.json", "constraints.json", "analysis.json"} <= kept
    assert "explanations_shap/out.csv" not in kept
    assert 'model_monitor_attribution{monitor="feature-attribution",feature="' in metrics


def test_a_baseline_of_before_a_check_passes_the_gate_and_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "analysis_config.json").write_text(json.dumps(table_config()), encoding="utf-8")
    with serving(csv_endpoint) as server:
        settings: dict[str, Any] = {
            "command": monitor_feature_attribution,
            "dataset_format": None,
            "analysis_config": tmp_path / "analysis_config.json",
            "model": server.url,
        }
        first = run_job(tmp_path, write_people(tmp_path / "first.csv", people(200, seed=1).rows), **settings)
        baseline = tmp_path / "old"
        baseline.mkdir()
        for name in ("statistics.json", "constraints.json"):
            document = first.document(name)
            for label in document["explanations"]["kernel_shap"].values():
                for member in ("directions", "direction_errors", "direction_threshold"):
                    label.pop(member, None)
            (baseline / name).write_text(json.dumps(document), encoding="utf-8")
        (tmp_path / "second").mkdir()
        result = run_job(
            tmp_path / "second",
            write_people(tmp_path / "second.csv", people(200, seed=2).rows),
            baseline_constraints=baseline,
            baseline_statistics=baseline,
            fail_on_violations="Enabled",
            **settings,
        )
    assert (result.exit_code, result.violations) == (0, []), result.message
    (undecided,) = [
        one for one in result.document("comparisons.json")["comparisons"] if one["state"] == "not_decided"
    ]
    assert undecided["check"] == "feature_attribution_direction_check"
    assert "make it anew" in undecided["reason"]
