"""Running a job on several hosts: one leads and writes, the others work for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from contract.cluster import library
from contract.cluster.role import Role
from contract.outcome import EXIT_COMPLETED

if TYPE_CHECKING:
    from contract.cluster.leader import Cluster

_log = logging.getLogger("monitor")


def run_on_several_hosts(role: Role, run: Callable[[Cluster | None], tuple[int, str]]) -> tuple[int, str]:
    """Play this host's part; return exit code and message.

    Parameters
    ----------
    role
        Of this host.
    run
        The job as the leader runs it, given the cluster; None where Dask is not installed, and the leader
        of hosts that SageMaker or Kubernetes started does everything.

    Raises
    ------
    MonitorError
        When the job cannot complete, or a worker loses its leader.
    """
    if role.kind != "client" and not library.is_installed():
        if role.kind == "worker":
            return EXIT_COMPLETED, f"Not needed: Dask is not installed, so {role.address} works alone."
        _log.warning("Dask is not installed, so this host works alone; the others have nothing to do")
        return run(None)
    if role.kind == "worker":
        from contract.cluster.worker import work

        message = work(role)
        _log.info("%s", message)
        return EXIT_COMPLETED, message
    from contract.cluster.leader import open_cluster

    with open_cluster(role) as cluster:
        return run(cluster)
