"""What a host is to a job that several hosts run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures import ROOT

from containers.data_quality.main import MONITOR
from contract.errors import ConfigurationError
from contract.settings import Settings, read_settings
from job_runner.cluster.role import Role, find_role, split_address

ARGUMENTS = ["--dataset-source", "/data", "--dataset-format", '{"csv":{}}', "--output-path", "/output"]


def settings(**variables: str) -> Settings:
    return read_settings(ARGUMENTS, variables, MONITOR)


def instances(folder: Path, content: Any) -> Path:
    path = folder / "resourceconfig.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_one_host_has_no_role(tmp_path: Path) -> None:
    assert find_role(settings(), {}, tmp_path / "none.json") is None
    alone = instances(tmp_path, {"current_host": "algo-1", "hosts": ["algo-1"]})
    assert find_role(settings(), {"JOB_COMPLETION_INDEX": "1"}, alone) is None


@pytest.mark.parametrize(("host", "kind"), [("algo-1", "leader"), ("algo-2", "worker"), ("algo-3", "worker")])
def test_instances_agree_on_who_leads(host: str, kind: str, tmp_path: Path) -> None:
    # SageMaker's own file has more members.
    config = {"current_host": host, "hosts": ["algo-3", "algo-1", "algo-2"], "network_interface_name": "eth0"}
    role = find_role(settings(workers="3"), {}, instances(tmp_path, config))
    assert role == Role(kind, host, "algo-1:8786", ("algo-1", "algo-2", "algo-3"), 60.0, 3)


@pytest.mark.parametrize(("index", "kind"), [("0", "leader"), ("2", "worker")])
def test_pods_know_their_index(index: str, kind: str) -> None:
    given = settings(cluster_leader_address="drift-0.drift", cluster_size="2", cluster_wait="PT5M")
    role = find_role(given, {"JOB_COMPLETION_INDEX": index})
    assert role == Role(kind, f"pod {index}", "drift-0.drift:8786", ("pod 0", "pod 1"), 300.0, None)


def test_an_existing_cluster_comes_first(tmp_path: Path) -> None:
    config = instances(tmp_path, {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]})
    given = settings(dask_scheduler_address="tls://scheduler.example:8786")
    assert find_role(given, {}, config) == Role("client", "client", "tls://scheduler.example:8786")


@pytest.mark.parametrize(
    ("variables", "index", "code", "field"),
    [
        ({"dask_scheduler_address": "scheduler"}, "0", "setting.host_and_port", "dask_scheduler_address"),
        ({"cluster_leader_address": "drift-0:port"}, "0", "setting.host_and_port", "cluster_leader_address"),
        ({"cluster_leader_address": "drift-0"}, "", "cluster.no_index", "JOB_COMPLETION_INDEX"),
    ],
)
def test_mistakes_name_the_variable(variables: dict[str, str], index: str, code: str, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_role(settings(**variables), {"JOB_COMPLETION_INDEX": index})
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_size_without_a_leader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="each of 2 hosts would do the whole job"):
        find_role(settings(cluster_size="2"), {"JOB_COMPLETION_INDEX": "1"}, tmp_path / "none.json")
    assert find_role(settings(cluster_size="1"), {}, tmp_path / "none.json") is None


@pytest.mark.parametrize(
    "content", ["{", "[]", {"hosts": "algo-1"}, {"hosts": ["algo-1", "algo-2"], "current_host": "algo-7"}]
)
def test_a_damaged_list_of_instances_is_named(content: Any, tmp_path: Path) -> None:
    path = instances(tmp_path, content)
    with pytest.raises(ConfigurationError) as caught:
        find_role(settings(), {}, path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize("wait", ["0", "-1", "soon"])
def test_the_wait_is_a_duration(wait: str) -> None:
    with pytest.raises(ConfigurationError, match="cluster_wait"):
        settings(cluster_wait=wait)


def test_addresses_are_divided() -> None:
    assert split_address("tls://scheduler.example:8786") == ("scheduler.example", 8786)
    assert split_address("[::1]:9") == ("::1", 9)


def test_a_job_on_one_host_never_loads_dask(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,x\n2,y\n", encoding="utf-8")
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from containers.data_quality.main import main
code = main(["--dataset-source", "rows.csv", "--dataset-format", '{{"csv":{{"header":true}}}}',
             "--output-path", "output", "--output-message-file", "message"])
loaded = [name for name in ("dask", "distributed", "tornado", "asyncio", "job_runner.cluster.hosts")
          if name in sys.modules]
sys.exit(code or (str(loaded) if loaded else 0))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
