"""Running a job on several hosts: one leads and writes, the others work for it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from contract.errors import MonitorError, wording
from contract.outcome import EXIT_COMPLETED
from job_runner import engine
from job_runner.cluster import library
from job_runner.cluster.role import Role, split_address

if TYPE_CHECKING:
    from job_runner.cluster.leader import Cluster

# Working for a leader: connect, summarize what is sent, leave when the leader is done.


# Where the first container that ends stops all others, as in the SDK's local mode, that must be the leader's.
_SECONDS_AFTER_THE_LEADER = 3.0
_POLLING_SECONDS = 0.1
_SCHEDULER_CLOSED = "scheduler-close"

_log_worker = logging.getLogger(__name__)


def work(role: Role) -> str:
    """Work until the leader is done; return how it went, as a sentence.

    Parameters
    ----------
    role
        A worker's.

    Raises
    ------
    MonitorError
        When the leader was lost in the middle of its job.
    """
    # Before the leader is there, since it will not wait.
    library.load()
    importlib.import_module("job_runner.cluster.remote")
    if not _reached(role):
        # The leader decides and writes: its job is whole without this host.
        return wording("cluster.no_leader", role=role)
    ended = _serve(role)
    if ended != _SCHEDULER_CLOSED:
        raise MonitorError.of("cluster.leader_lost", role=role, cause=ended)
    time.sleep(_SECONDS_AFTER_THE_LEADER)
    return f"Completed: {role.name} worked for the leader at {role.address}, which has the results."


def _reached(role: Role) -> bool:
    """Wait until the leader listens; return whether it does."""
    deadline = time.monotonic() + role.seconds_to_wait
    host, port = split_address(role.address)
    _log_worker.info("Waiting for the leader at %s", role.address)
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5.0):
            return True
        time.sleep(_POLLING_SECONDS)
    return False


def _serve(role: Role) -> str:
    """Run a Dask worker; return why it ended."""
    ended: list[str] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(_working(role, ended))
        except Exception as error:  # whatever ends the thread, the main thread tells
            failed.append(error)

    # The main thread stays free for signals, which an event loop may swallow.
    thread = threading.Thread(target=run, name="worker", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=_POLLING_SECONDS)
    if ended:
        return ended[0]
    return f"{type(failed[0]).__name__}: {failed[0]}" if failed else "no reason given"


async def _working(role: Role, ended: list[str]) -> None:
    import distributed

    class Following(distributed.Worker):  # type: ignore[misc] # Dask's classes are untyped here
        """A worker that says why it was closed."""

        async def close(self, *arguments: Any, reason: str = "worker-close", **options: Any) -> Any:
            ended.append(reason)
            return await super().close(*arguments, reason=reason, **options)

    security = distributed.Security()
    async with Following(
        library.url(role.address, security),
        nthreads=role.threads or engine.available_processors(),
        name=f"{role.name}{library.NAME_SEPARATOR}{uuid.uuid4().hex}",
        local_directory=tempfile.gettempdir(),
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        dashboard=False,
        security=security,
        death_timeout=role.seconds_to_wait,
    ) as worker:
        _log_worker.info("%s works for the leader at %s", role.name, role.address)
        await worker.finished()


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
        message = work(role)
        _log.info("%s", message)
        return EXIT_COMPLETED, message
    from job_runner.cluster.leader import open_cluster

    with open_cluster(role) as cluster:
        return run(cluster)
