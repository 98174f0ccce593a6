"""Leading a job on several hosts: splits go out, summaries come back and are merged here in split order.

Nothing waits for workers: the leader starts with its own processors, and hosts join while it works. A worker
that is lost costs the time of its splits, which others read again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import pickle
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from contract.api import AnyAnalyzer
from contract.dataset import Split
from contract.errors import ConfigurationError, MonitorError, wording
from contract.reading import Tally
from contract.wording import several
from job_runner import engine
from job_runner.cluster import library
from job_runner.cluster.remote import (
    Evidence,
    Parcel,
    compare_host,
    gather,
    hold,
    pack,
    summarize_piece,
    unpack,
)
from job_runner.cluster.role import Role, split_address

_CLOSING_SECONDS = 5.0
_POLLING_SECONDS = 0.05
_ASKING_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass
class Cluster:
    """The hosts that a job is divided over.

    Parameters
    ----------
    role
        Of this host.
    client
        Dask's.
    started
        When the leader was ready, on the monotonic clock.
    own_address
        Of the worker in this process, if there is one.
    """

    role: Role
    client: Any
    started: float
    own_address: str | None = None
    _seen: dict[str, str] = field(default_factory=dict, init=False)
    _came: set[str] = field(default_factory=set, init=False)

    def summarize(
        self, analyzer: AnyAnalyzer, splits: tuple[Split, ...], sources: Sequence[str], noticed: Tally
    ) -> Any:
        """Summarize every split somewhere and merge the summaries in split order.

        Parameters
        ----------
        analyzer
            What to compute; it is pickled.
        splits
            The pieces of the dataset; they are pickled.
        sources
            Paths that every host must see as this one does.
        noticed
            Gets what the readers count.

        Raises
        ------
        InputError
            When a host sees other files, or a split cannot be read.
        MonitorError
            When the cluster is lost, or a split takes one worker after the other with it.
        """
        evidence = gather(sources)
        parcel = None
        try:
            parcel = pack(Parcel(analyzer, splits, evidence))
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            _log.warning("This job cannot be divided over hosts, so the leader works alone: %s", error)
        if parcel is None or len(splits) < 2:
            summary = engine.summarize_splits(analyzer, splits, self.role.threads, noticed)
        else:
            summary = self._divide(analyzer, parcel, splits, noticed)
        self._wait_for_hosts()
        self._compare(evidence)
        return summary

    def _divide(self, analyzer: AnyAnalyzer, parcel: bytes, splits: tuple[Split, ...], noticed: Tally) -> Any:
        self._require_workers()
        distributed = library.load()
        token = uuid.uuid4().hex
        held = self.client.submit(hold, parcel, key=f"analyzer-{token}", pure=False)
        numbers = itertools.count()

        def submit(_: Split) -> engine.Pending:
            number = next(numbers)
            key = f"split-{token}-{number}"
            future = self.client.submit(summarize_piece, token, held, number, key=key, pure=False)
            return _Piece(future, self._require_workers)

        try:
            return engine.merged(analyzer, engine.in_order(splits, submit, self._ahead), noticed)
        except distributed.KilledWorker as error:
            raise MonitorError.of("cluster.killed", splits=len(splits), cause=error) from error
        except (distributed.CancelledError, distributed.comm.CommClosedError, OSError) as error:
            cause = f"{type(error).__name__}: {error}"
            raise MonitorError.of("cluster.scheduler_lost", where=self.role.address, cause=cause) from error

    def _ahead(self) -> int:
        """Return how many summaries may wait; log who came and who went."""
        threads: dict[str, int] = self.client.nthreads()
        for address in self._seen.keys() - threads:
            _log.warning("Lost %s; others read its splits again", self._seen.pop(address))
        if new := threads.keys() - self._seen:
            names = library.names_of(self.client)
            for address in new:
                own = address == self.own_address
                self._seen[address] = self.role.name if own else names.get(address, address)
                self._came.add(self._seen[address])
                _log.info("%s reads %s at once", self._seen[address], several(threads[address], "split"))
        return 2 * max(1, sum(threads.values()))

    def _require_workers(self) -> None:
        """Wait until there is a worker, if there is none."""
        deadline = time.monotonic() + self.role.seconds_to_wait
        while not self.client.nthreads():
            if time.monotonic() > deadline:
                raise ConfigurationError.of("cluster.no_worker", role=self.role)
            time.sleep(_POLLING_SECONDS)

    def _wait_for_hosts(self) -> None:
        """Wait for hosts that have not come: they would look for a leader that is gone."""
        deadline = self.started + self.role.seconds_to_wait
        absent = set(self.role.hosts) - {self.role.name} - self._came
        while absent:
            absent -= set(library.names_of(self.client).values())
            if absent and time.monotonic() > deadline:
                _log.warning(wording("cluster.did_without", hosts=", ".join(sorted(absent)), role=self.role))
                return
            time.sleep(_POLLING_SECONDS if absent else 0.0)
        if len(self.role.hosts) > 1:
            _log.info("%d hosts took part: %s", len(self.role.hosts), ", ".join(self.role.hosts))

    def _compare(self, evidence: Evidence) -> None:
        """Make sure that all hosts see the same files, those included that had nothing to read."""
        try:
            hosts = self.client.run(compare_host, pack(evidence), on_error="return")
        except OSError as error:  # a worker left meanwhile
            _log.info("Not all hosts could be compared: %s", error)
            return
        for answer in hosts.values():
            if isinstance(answer, MonitorError):
                raise answer
            if isinstance(answer, BaseException):
                _log.info("A host could not be compared: %s", answer)


@dataclass(frozen=True)
class _Piece:
    """The packed summary of a split, on its way."""

    future: Any
    still_there: Callable[[], None]

    def result(self) -> tuple[Any, Tally]:
        while True:
            try:
                found: tuple[Any, Tally] = unpack(self.future.result(timeout=_ASKING_SECONDS))
                return found
            except TimeoutError:
                if self.future.done():
                    raise
                # Without workers Dask would wait for ever.
                self.still_there()

    def cancel(self) -> None:
        self.future.cancel()


@contextlib.contextmanager
def open_cluster(role: Role) -> Iterator[Cluster]:
    """Form the cluster, or connect with the one there is; when the block ends the workers are let go.

    Parameters
    ----------
    role
        A leader's or a client's.

    Raises
    ------
    ConfigurationError
        When the address cannot be listened on, or no scheduler answers there.
    """
    distributed = library.load()
    security = distributed.Security()
    own_address = None
    with contextlib.ExitStack() as cleanup:
        if role.kind == "client":
            address, wait = library.url(role.address, security), role.seconds_to_wait
            try:
                client = distributed.Client(address, timeout=wait, set_as_default=False, security=security)
            except (OSError, TimeoutError, ValueError) as error:
                raise ConfigurationError.of("cluster.silent", url=address, role=role, cause=error) from error
        else:
            local = _start(distributed, role, security)
            # Tells the workers that they are no longer needed.
            cleanup.callback(local.close, timeout=_CLOSING_SECONDS)
            client = distributed.Client(local, set_as_default=False)
            own_address = local.workers[0].address
        cleanup.callback(client.close, timeout=_CLOSING_SECONDS)
        yield Cluster(role, client, time.monotonic(), own_address)


def _start(distributed: Any, role: Role, security: Any) -> Any:
    """Return a scheduler with a worker, both in this process."""
    host, port = split_address(role.address)
    address = _own_address(host)
    try:
        # Dask would take another port, or leave a socket behind.
        socket.create_server((address, port)).close()
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise ConfigurationError.of("cluster.port", port=port, cause=cause) from error
    return distributed.LocalCluster(
        n_workers=1,
        processes=False,
        threads_per_worker=role.threads or engine.available_processors(),
        name=f"leader-{uuid.uuid4().hex}",
        host=address,
        scheduler_port=port,
        protocol=f"{library.protocol(security)}://",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        security=security,
        silence_logs=False,
        memory_limit=0,
        local_directory=tempfile.gettempdir(),
    )


def _own_address(leader: str) -> str:
    """Return the address of this host that others reach it by.

    The leader's name, where this host can resolve it: a pod may know its service's name later than it
    starts, so the name of the host comes second.
    """
    for name in (leader, socket.gethostname()):
        with contextlib.suppress(OSError):
            for *_, address in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM):
                with contextlib.suppress(OSError), socket.create_server((str(address[0]), 0)):
                    return str(address[0])
    return "0.0.0.0"  # noqa: S104 - the last resort, for hosts that do not know their own name
