"""What is under orchestrators/: every manifest against its schema, and what they must have in common."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures import ROOT
from imported_schedules import MONITORS, descriptions, import_schedule
from kubernetes_validate import validate

from containers.commands.main import find_monitor
from containers.commands.merge_ground_truth import PROGRAM
from contract import __version__
from contract.settings import VARIABLE_BY_NAME, read_settings

ORCHESTRATORS = ROOT / "orchestrators"
KUBERNETES = ORCHESTRATORS / "kubernetes"
COMMANDS = {monitor: f"monitor-{monitor}" for monitor in MONITORS} | {
    "merge-ground-truth": "merge-ground-truth"
}
VERSION = "1.31"


def kustomized(overlay: str) -> list[dict[str, Any]]:
    program = shutil.which("kustomize") or shutil.which("kubectl")
    if program is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    command = [program, "build" if program.endswith("kustomize") else "kustomize", str(KUBERNETES / overlay)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return list(yaml.safe_load_all(result.stdout))


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pods of CronJobs and Jobs by their names."""
    found = {}
    for document in documents:
        if document["kind"] == "CronJob":
            found[document["metadata"]["name"]] = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        if document["kind"] == "Job":
            found[document["metadata"]["name"]] = document["spec"]["template"]["spec"]
    return found


def variables_of(container: dict[str, Any], documents: list[dict[str, Any]]) -> dict[str, str]:
    maps = {entry["metadata"]["name"]: entry["data"] for entry in documents if entry["kind"] == "ConfigMap"}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]
    return found | {entry["name"]: entry["value"] for entry in container.get("env", [])}


@pytest.mark.parametrize("overlay", ["s3", "volumes"])
def test_overlays_fulfil_the_schemas_of_kubernetes(overlay: str) -> None:
    documents = kustomized(overlay)
    for document in documents:
        validate(document, VERSION, strict=True)
    assert set(pods(documents)) == {*MONITORS, *(f"baseline-{monitor}" for monitor in MONITORS)}


@pytest.mark.parametrize("file", sorted(KUBERNETES.glob("*-job.yaml")), ids=lambda file: file.stem)
def test_single_jobs_fulfil_the_schema_of_kubernetes(file: Path) -> None:
    validate(yaml.safe_load(file.read_text(encoding="utf-8")), VERSION, strict=True)


@pytest.mark.parametrize("overlay", ["s3", "volumes"])
def test_pods_are_nobody_s_and_end_for_good_where_trying_again_is_vain(overlay: str) -> None:
    documents = kustomized(overlay)
    for name, pod in pods(documents).items():
        assert pod["securityContext"]["runAsNonRoot"], name
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}
    for document in documents:
        if document["kind"] in ("CronJob", "Job"):
            is_cron = document["kind"] == "CronJob"
            job = document["spec"]["jobTemplate"]["spec"] if is_cron else document["spec"]
            (rule,) = job["podFailurePolicy"]["rules"]
            assert rule["onExitCodes"] == {"operator": "In", "values": [2, 3, 5]}
            assert job.get("suspend", False) == (document["kind"] == "Job")


@pytest.mark.parametrize("overlay", ["s3", "volumes"])
def test_settings_of_the_overlays_are_settings(overlay: str) -> None:
    documents = kustomized(overlay)
    for pod in pods(documents).values():
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            check_settings(COMMANDS[container["name"]], variables_of(container, documents))


def check_settings(command: str, variables: dict[str, str]) -> None:
    others = {"bucket", *(name for name in variables if name == name.upper())}
    assert set(variables) - others <= set(VARIABLE_BY_NAME), command
    # Raises at anything missing, misspelt or contradictory.
    known = [PROGRAM, *map(find_monitor, MONITORS)]
    program = next(one for one in known if one.program == command)
    settings = read_settings((), variables, program)
    assert "%" not in settings.output_path
    assert settings.is_monitoring == ("baseline_constraints" in variables)


def test_the_bucket_is_named_once(tmp_path: Path) -> None:
    copy = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    where = copy / "s3" / "where.env"
    where.write_text(where.read_text(encoding="utf-8").replace("my-bucket", "another"), encoding="utf-8")
    program = shutil.which("kustomize") or shutil.which("kubectl")
    if program is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    command = [program, "build" if program.endswith("kustomize") else "kustomize", str(copy / "s3")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "s3://another/" in text
    assert "my-bucket" not in text
    assert "BUCKET" not in text


def argo() -> list[dict[str, Any]]:
    imported = [yaml.safe_load(import_schedule("--to", "argo", *descriptions(name))) for name in MONITORS[:3]]
    own = list(yaml.safe_load_all((ORCHESTRATORS / "argo" / "monitors.yaml").read_text(encoding="utf-8")))
    return [*own, *imported]


def test_argo_s_own_models_read_every_member() -> None:
    models = pytest.importorskip("hera.workflows.models")
    for document in argo():
        read = getattr(models, document["kind"]).model_validate(document)
        kept = read.model_dump(by_alias=True, exclude_none=True, mode="json")
        assert lost(document, kept) == []


def lost(written: Any, read: Any, where: str = "") -> list[str]:
    """Return the members that a model passed over because it does not know them."""
    if isinstance(written, dict):
        return [
            entry
            for name, value in written.items()
            for entry in (
                lost(value, read[name], f"{where}.{name}")
                if isinstance(read, dict) and name in read
                else [f"{where}.{name}"]
            )
        ]
    if isinstance(written, list):
        return [
            entry
            for at, value in enumerate(written)
            for entry in (lost(value, read[at], f"{where}[{at}]") if at < len(read) else [f"{where}[{at}]"])
        ]
    return []


def test_argo_s_pods_fulfil_the_schema_of_kubernetes() -> None:
    for document in argo():
        workflow = document["spec"].get("workflowSpec", document["spec"])
        for template in workflow["templates"]:
            if "container" not in template:
                continue
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": template["name"]},
                "spec": {
                    "containers": [{**template["container"], "name": "main"}],
                    "volumes": workflow["volumes"],
                    "securityContext": workflow["securityContext"],
                    "automountServiceAccountToken": workflow["automountServiceAccountToken"],
                },
            }
            validate(pod, VERSION, strict=True)


def test_argo_merges_first_and_acts_last() -> None:
    workflow = argo()[0]["spec"]["workflowSpec"]
    templates = {template["name"]: template for template in workflow["templates"]}
    tasks = {task["name"]: task for task in templates[workflow["entrypoint"]]["dag"]["tasks"]}
    assert set(tasks) == {"merge-ground-truth", "action", *MONITORS}
    for name in ("model-quality", "bias"):
        assert tasks[name]["depends"] == "merge-ground-truth.Succeeded"
    for name in MONITORS:
        assert f"{name}.Succeeded" in tasks["action"]["depends"]
        assert f"'{{{{tasks.{name}.exitCode}}}}' == '3'" in tasks["action"]["when"]
    for name, task in tasks.items():
        if name in COMMANDS:
            container = templates[task["template"]]["container"]
            assert container["command"] == [COMMANDS[name]]
            check_settings(COMMANDS[name], filled_in(variables_of(container, []), workflow))
    for template in argo()[1]["spec"]["templates"]:
        given = filled_in(variables_of(template["container"], []), argo()[1]["spec"])
        check_settings(COMMANDS[template["name"]], given)


def filled_in(variables: dict[str, str], workflow: dict[str, Any]) -> dict[str, str]:
    """Return variables with Argo's parameters put in."""
    values = {entry["name"]: entry["value"] for entry in workflow["arguments"]["parameters"]}
    pattern = r"\{\{workflow\.parameters\.([\w-]+)\}\}"
    return {name: re.sub(pattern, lambda found: values[found[1]], text) for name, text in variables.items()}


def test_compose_services_have_settings_and_an_order() -> None:
    text = (ORCHESTRATORS / "compose" / "compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    baselines = {f"baseline-{monitor}" for monitor in MONITORS}
    assert set(services) == {"labels", "action", *MONITORS, *baselines}
    for name in baselines:
        given = {
            key: re.sub(r"\$\{\w+:-(\w*)\}", r"\1", value)
            for key, value in services[name]["environment"].items()
        }
        check_settings(services[name]["command"][-1], given)
        assert services[name]["profiles"] == ["baseline"]
    for name, service in services.items():
        if name == "action" or name in baselines:
            continue
        command = service["command"][-1]
        given = {
            key: str(value)
            for key, value in service["environment"].items()
            if key == key.lower() and not str(value).startswith("${")
        }
        given = {"problem_type": "Regression", **given} if command == "monitor-model-quality" else given
        check_settings(command, {**given, "window": "PT1H"})
    assert "--after" in services["model-quality"]["command"]
    assert "--on-violations" in services["action"]["command"]


def test_manifests_name_images_by_this_version() -> None:
    for file in ORCHESTRATORS.rglob("*.*"):
        if file.suffix in (".yaml", ".py") and "import_schedule" not in file.parts:
            text = file.read_text(encoding="utf-8")
            assert "latest" not in text, file
            for tag in re.findall(r"image: \S*model-monitor/[a-z-]+:([\d.]+)|newTag: ([\d.]+)", text):
                assert __version__ in tag, file


@pytest.mark.parametrize("file", sorted((ORCHESTRATORS / "airflow").glob("*.py")), ids=lambda file: file.stem)
def test_dags_are_python(file: Path) -> None:
    ast.parse(file.read_text(encoding="utf-8"))
