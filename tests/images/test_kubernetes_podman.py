"""The example Jobs' pods, run by Podman as they are written, claims and image apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from attribution_data import CONFIG, Predict, draw, write_requests
from bias_data import GROUP, MONITOR_CONFIG, WORSE, accuracy_difference, metric, write_bias_window
from captured_predictions import predict, write_captures, write_labels
from fixtures import ROOT
from image_data import write_window
from image_runner import CSV_WITH_HEADER, ImageRun, shared_folder
from pods import Podman

JOBS = ROOT / "orchestrators" / "kubernetes"
REPORTS = [
    "comparisons.json",
    "constraint_violations.json",
    "constraints.json",
    "report.html",
    "statistics.json",
]


def pod(name: str, image: str, volumes: dict[str, Path], variables: dict[str, str]) -> dict[str, Any]:
    """Return a Job's pod with directories for its claims and these variables besides its own."""
    job = yaml.safe_load((JOBS / f"{name}-job.yaml").read_text(encoding="utf-8"))
    template = job["spec"]["template"]
    specification = template["spec"]
    claims = {volume["name"] for volume in specification["volumes"] if "persistentVolumeClaim" in volume}
    assert claims == set(volumes)
    specification["volumes"] = [
        {"name": volume["name"], "hostPath": {"path": str(volumes[volume["name"]]), "type": "Directory"}}
        if volume["name"] in volumes
        else volume
        for volume in specification["volumes"]
    ]
    for container in [*specification.get("initContainers", []), *specification["containers"]]:
        container["image"] = image
        container["imagePullPolicy"] = "Never"
    (container,) = specification["containers"]
    merged = {entry["name"]: entry["value"] for entry in container["env"]} | variables
    container["env"] = [{"name": variable, "value": value} for variable, value in merged.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": name},
        "spec": specification,
    }


def config_map(name: str, files: dict[str, str]) -> dict[str, Any]:
    """Return a ConfigMap that holds these files."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": files}


def play(
    podman: Podman,
    folder: Path,
    name: str,
    volumes: dict[str, Path],
    *config_maps: dict[str, Any],
    **variables: str,
) -> list[str]:
    """Run the pod of a Job to its end, which must be a good one; return the names of its reports."""
    manifest = folder / "pod.yaml"
    documents = [*config_maps, pod(name, podman.image(name), volumes, variables)]
    manifest.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    played = podman("play", "kube", manifest)
    container = f"{name}-{name}"
    try:
        log = podman("logs", container)
        assert played.returncode == 0, played.stdout + played.stderr + log.stderr
        exit_code = podman("wait", container).stdout.strip()
        log = podman("logs", container)
        assert exit_code == "0", log.stdout + log.stderr
        inspected = podman(
            "inspect", "--format", "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}}", container
        )
    finally:
        podman("play", "kube", "--down", manifest)
        podman("volume", "prune", "--force")
    assert inspected.stdout.strip() == "10001:10001 true"
    return sorted(file.name for file in volumes["reports"].iterdir())


def test_pod_of_the_data_quality_job(tmp_path: Path, podman: Podman, baseline: ImageRun) -> None:
    volumes = {
        "captures": write_window(tmp_path / "captures"),
        "baseline": baseline.output,
        "reports": shared_folder(tmp_path / "reports"),
    }
    assert play(podman, tmp_path, "data-quality", volumes, dataset_format=CSV_WITH_HEADER) == REPORTS


def test_pod_of_the_model_quality_job_joins_labels_first(
    tmp_path: Path, podman: Podman, model_baseline: ImageRun
) -> None:
    predictions = predict(1_500, seed=2, wrong=0.5)
    volumes = {
        "captures": write_captures(tmp_path / "captures", predictions),
        "labels": write_labels(tmp_path / "labels", predictions.labels),
        "baseline": model_baseline.output,
        "reports": shared_folder(tmp_path / "reports"),
    }
    assert play(podman, tmp_path, "model-quality", volumes) == REPORTS
    statistics = json.loads((tmp_path / "reports" / "statistics.json").read_text(encoding="utf-8"))
    accuracy = statistics["binary_classification_metrics"]["accuracy"]["value"]
    assert accuracy == pytest.approx(predictions.accuracy, abs=1e-12)


def test_pod_of_the_bias_job_reads_its_configuration_from_a_config_map(
    tmp_path: Path, podman: Podman, bias_baseline: ImageRun
) -> None:
    volumes = {
        **write_bias_window(tmp_path),
        "baseline": bias_baseline.output,
        "reports": shared_folder(tmp_path / "reports"),
    }
    configuration = config_map("bias-analysis", {"analysis_config.json": json.dumps(MONITOR_CONFIG)})
    reports = play(podman, tmp_path, "bias", volumes, configuration)
    assert reports == ["analysis.json", *REPORTS]
    analysis = json.loads((tmp_path / "reports" / "analysis.json").read_text(encoding="utf-8"))
    assert metric(analysis, "AD")["value"] == pytest.approx(accuracy_difference(WORSE), abs=1e-12)
    found = json.loads((tmp_path / "reports" / "constraint_violations.json").read_text(encoding="utf-8"))
    assert ("AD", GROUP) in [(entry["metric_name"], entry["facet_value"]) for entry in found["violations"]]


def test_pod_of_the_feature_attribution_job_asks_the_model_it_is_given(
    tmp_path: Path, podman: Podman, explained: ImageRun, boosted_trees: tuple[Path, Predict]
) -> None:
    model, ask = boosted_trees
    rows = draw(3)
    volumes = {
        "captures": write_requests(tmp_path / "captures", rows, ask(rows)),
        "model": model,
        "baseline": explained.output,
        "reports": shared_folder(tmp_path / "reports"),
    }
    configuration = config_map("feature-attribution-analysis", {"analysis_config.json": json.dumps(CONFIG)})
    reports = play(podman, tmp_path, "feature-attribution", volumes, configuration)
    assert reports == sorted(["analysis.json", "explanations_shap", *REPORTS])
    found = json.loads((tmp_path / "reports" / "constraint_violations.json").read_text(encoding="utf-8"))
    assert found["violations"] == []
