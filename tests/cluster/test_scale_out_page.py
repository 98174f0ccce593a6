"""What docs/scale_out.md tells a user to apply is valid, and names variables that exist."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from fixtures import ROOT

from contract.settings import VARIABLE_BY_NAME

PAGE = (ROOT / "docs" / "scale_out.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return list(yaml.safe_load_all(text))


def test_the_manifests_are_valid(manifests: list[dict[str, Any]]) -> None:
    import kubernetes_validate

    assert [manifest["kind"] for manifest in manifests] == ["Service", "Job"]
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_the_pods_find_the_leader_and_know_their_number(manifests: list[dict[str, Any]]) -> None:
    service, job = manifests
    pod = job["spec"]["template"]["spec"]
    environment = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    name = job["metadata"]["name"]
    assert environment["cluster_leader_address"] == f"{name}-0.{service['metadata']['name']}:8786"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert int(environment["cluster_size"]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert set(environment) <= set(VARIABLE_BY_NAME)


def test_every_cluster_variable_is_explained() -> None:
    names = {name for name in VARIABLE_BY_NAME if name.startswith(("cluster_", "dask_"))}
    names.remove("cluster_by")  # clusters of rows
    assert names
    assert not [name for name in names if f"`{name}`" not in PAGE]
