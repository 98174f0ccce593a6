"""What this host is to a job that several hosts run: the leader, a worker, or a client of a cluster."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from contract.errors import ConfigurationError
from contract.settings import Settings

RESOURCE_CONFIG = Path("/opt/ml/config/resourceconfig.json")
COMPLETION_INDEX = "JOB_COMPLETION_INDEX"
PORT = 8786


class Role(NamedTuple):
    """The part of one host.

    Parameters
    ----------
    kind
        ``leader`` runs the scheduler, works, decides and writes; ``worker`` summarizes splits;
        ``client`` leads a job on a cluster that exists already.
    name
        Of this host, for messages.
    address
        Of the scheduler: ``host:port``, or a URL that Dask understands.
    hosts
        The names of all hosts; empty where nobody knows them.
    seconds_to_wait
        How long hosts wait for each other.
    threads
        Splits that this host reads at once; None for its processors.
    """

    kind: Literal["leader", "worker", "client"]
    name: str
    address: str
    hosts: tuple[str, ...] = ()
    seconds_to_wait: float = 60.0
    threads: int | None = None


def find_role(
    settings: Settings, environment: Mapping[str, str], resource_config: Path = RESOURCE_CONFIG
) -> Role | None:
    """Return what this host is to the job; None when the job has one host.

    A cluster named by ``dask_scheduler_address`` comes first, then an Indexed Job of Kubernetes
    (``cluster_leader_address`` and ``JOB_COMPLETION_INDEX``), then the instances of a SageMaker job.

    Parameters
    ----------
    settings
        Of the job.
    environment
        Of the process: Kubernetes tells a pod its index there.
    resource_config
        Where SageMaker lists the instances.

    Raises
    ------
    ConfigurationError
        When an address, the index or SageMaker's file cannot be understood, or a size has no leader.
    """
    wait, threads = settings.cluster_wait, settings.workers
    if address := settings.dask_scheduler_address:
        _require_port("dask_scheduler_address", address)
        return Role("client", "client", address, (), wait, threads)
    if address := settings.cluster_leader_address:
        address = address if ":" in address else f"{address}:{PORT}"
        _require_port("cluster_leader_address", address)
        index = environment.get(COMPLETION_INDEX, "")
        if not index.isdecimal():
            raise ConfigurationError.of("cluster.no_index", field=COMPLETION_INDEX, text=index)
        hosts = tuple(f"pod {number}" for number in range(settings.cluster_size or 0))
        leader, name = "pod 0", f"pod {int(index)}"
    elif instances := _instances(resource_config):
        name, hosts = instances
        leader, address = hosts[0], f"{hosts[0]}:{PORT}"
    elif (settings.cluster_size or 1) > 1:
        raise ConfigurationError.of("cluster.size_alone", field="cluster_size", size=settings.cluster_size)
    else:
        return None
    return Role("leader" if name == leader else "worker", name, address, hosts, wait, threads)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of an address that `find_role` accepted."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    return host.strip("[]"), int(port)


def _require_port(variable: str, address: str) -> None:
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or "@" in host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigurationError.of("setting.host_and_port", field=variable, text=address, port=PORT)


def _instances(path: Path) -> tuple[str, tuple[str, ...]] | None:
    """Return this instance and all of them in order, None for a job with one instance."""
    with ConfigurationError.instead_of("cluster.instances_unreadable", OSError, ValueError, file=path):
        if not path.exists():
            return None
        config: Any = json.loads(path.read_bytes())
    hosts = config.get("hosts") if isinstance(config, dict) else None
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise ConfigurationError.of("cluster.no_instances", file=path)
    current = config.get("current_host")
    if len(hosts) < 2:
        return None
    if current not in hosts:
        listed = ", ".join(hosts)
        raise ConfigurationError.of("cluster.no_instance", file=path, instance=current, instances=listed)
    # Every instance must name the same leader, whatever the order of the list.
    return str(current), tuple(sorted(hosts))
