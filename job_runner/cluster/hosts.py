"""A job on several hosts: one leads, decides and writes, the others summarize splits for it, by Dask.

Nothing of Dask is imported before it is needed, and what runs on the workers is found by name here.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import logging
import pickle
import socket
import tempfile
import threading
import time
import tomllib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import contract
from contract.api import AnyAnalyzer, Split
from contract.dataset import Tally
from contract.errors import ConfigurationError, DatasetError, MonitorError, wording
from contract.outcome import EXIT_COMPLETED
from contract.wording import several
from file_storage import storage
from job_runner import engine
from job_runner.cluster.role import Role, split_address

_LOGGERS = ("asyncio", "distributed", "distributed.client", "bokeh", "tornado", "tornado.application")


def is_installed() -> bool:
    """Return whether Dask is there, without loading it."""
    return importlib.util.find_spec("distributed") is not None


def load() -> Any:
    """Load Dask and return the module ``distributed``.

    What ``DASK_...`` variables and Dask's own files say about TLS and timeouts stays as it is, except for
    what would open a port or write a file of its own.

    Raises
    ------
    ConfigurationError
        When it is not installed, or there is no folder that it could write to.
    """
    if not is_installed():
        raise ConfigurationError.of("cluster.no_dask")
    import dask
    import distributed

    dask.config.set(tomllib.loads(Path(__file__).with_name("dask.toml").read_text("utf-8")))
    # Dask asks for one in several places, and finds none where the root is read-only.
    tempfile.tempdir = storage.find_scratch_folder("a cluster")
    # What Dask logs goes to this program's log, which shows it when everything is to be shown.
    show = logging.getLogger().level <= logging.DEBUG
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.INFO if show else logging.CRITICAL + 1)
    return distributed


def protocol(security: Any) -> str:
    """Return ``tls`` when Dask's settings name certificates, else ``tcp``."""
    return "tls" if security.require_encryption or security.tls_ca_file else "tcp"


def url(address: str, security: Any) -> str:
    """Return an address with its protocol."""
    return address if "://" in address else f"{protocol(security)}://{address}"


# A worker that comes again has the same host name, but Dask wants another name.
NAME_SEPARATOR = "|"


def names_of(client: Any) -> dict[str, str]:
    """Return the names of the workers' hosts by the addresses of the workers."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {address: str(worker["name"]).partition(NAME_SEPARATOR)[0] for address, worker in workers.items()}


# Whether hosts see the same files: what the leader found is looked for on every host that works.


# A share of a dataset, which is what SageMaker gives an instance that asks for it, lacks files everywhere.
_MOST_FILES = 1_000
_MOST_BYTES_COMPARED = 1 << 20


@dataclass(frozen=True)
class Evidence:
    """What must hold on every host: what the leader found at local paths, and the version it runs.

    `files` are at most 1,000 per source, evenly chosen, with their size in bytes and, of single small files
    such as scripts, their SHA-256, which is empty for others. None stands for a source without any file.
    """

    files: Mapping[str, tuple[int, str] | None] = field(default_factory=dict)
    version: str = contract.__version__


def gather(sources: Iterable[str]) -> Evidence:
    """Return what is found on this host; addresses and what does not exist are left out."""
    found: dict[str, tuple[int, str] | None] = {}
    for source in sources:
        if "://" in source or not Path(source).exists():
            continue
        files = storage.list_files(source)
        if not files:
            found[source] = None
        for file in files[:: max(1, -(-len(files) // _MOST_FILES))]:
            if file.path == source and file.size <= _MOST_BYTES_COMPARED:
                found[source] = file.size, _digest(source)
            else:
                found.setdefault(file.path, (file.size, ""))
    return Evidence(found)


def verify(evidence: Evidence, host: str) -> None:
    """Make sure that this host sees what the leader saw, by the same version; files may have come later.

    Parameters
    ----------
    evidence
        Of the leader.
    host
        Name of this host, for the message.

    Raises
    ------
    InputError
        Naming the host, the path and what to do.
    """
    if evidence.version != contract.__version__:
        members = {"host": host, "version": contract.__version__, "leaders": evidence.version}
        raise ConfigurationError.of("cluster.other_version", **members)
    for path, known in evidence.files.items():
        if found := _difference(path, known):
            raise DatasetError.of("cluster.other_files", file=path, host=host, found=found)


def _difference(path: str, known: tuple[int, str] | None) -> str:
    """Return what is unlike here, empty for nothing."""
    if known is None:
        has_files = Path(path).exists() and storage.list_files(path)
        return f"holds files in {path}, where the leader has none" if has_files else ""
    try:
        size, digest = Path(path).stat().st_size, _digest(path) if known[1] else ""
    except OSError as error:
        return f"cannot read {path}, which the leader has: {(error.strerror or str(error)).lower()}"
    if size < known[0]:
        return f"holds {size} bytes in {path}, where the leader holds {known[0]}"
    return "" if digest == known[1] else f"holds another {path} than the leader"


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# What runs on the workers: functions that Dask calls by name, with values that were pickled here.
#
# Summaries are pickled by hand: Dask would hand out arrays that cannot be written to, and merging writes
# into the memory of a summary.


_MOST_PARCELS = 2

_lock = threading.Lock()
_opened: "OrderedDict[str, Parcel]" = OrderedDict()


class Parcel(NamedTuple):
    """What every worker needs once per job: together, so that what the splits share travels once."""

    analyzer: AnyAnalyzer
    splits: tuple[Split, ...]
    evidence: Evidence


def pack(value: object) -> bytes:
    """Return a value as bytes that `unpack` reads on another host."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def unpack(content: bytes) -> Any:
    """Return what `pack` was given. A cluster runs what its members send: they trust each other."""
    return pickle.loads(content)  # noqa: S301 - see the docstring


def hold(parcel: bytes) -> bytes:
    """Return the parcel: as a task's result, Dask carries it to each worker once."""
    return parcel


def summarize_piece(token: str, parcel: bytes, number: int) -> bytes:
    """Return the packed summary of a split.

    Parameters
    ----------
    token
        Unique to the parcel, so that it is opened once per process.
    parcel
        A packed `Parcel`.
    number
        Of the split in the parcel.
    """
    with _lock:
        if token not in _opened:
            opened: Parcel = unpack(parcel)
            verify(opened.evidence, socket.gethostname())
            _opened[token] = opened
            while len(_opened) > _MOST_PARCELS:
                _opened.popitem(last=False)  # which closes the models that it asked
        opened = _opened[token]
    return pack(engine.summarize_split(opened.analyzer, opened.splits[number]))


def compare_host(evidence: bytes) -> None:
    """Make sure that this host sees what packed `Evidence` holds.

    Raises
    ------
    InputError
        When it sees other files than the leader, or runs another version of this program.
    """
    verify(unpack(evidence), socket.gethostname())


# Leading a job on several hosts: splits go out, summaries come back and are merged here in split order.
#
# Nothing waits for workers: the leader starts with its own processors, and hosts join while it works. A
# worker that is lost costs the time of its splits, which others read again.


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
        distributed = load()
        token = uuid.uuid4().hex
        held = self.client.submit(hold, parcel, key=f"analyzer-{token}", pure=False)

        def submit(number: int) -> engine.Pending:
            key = f"split-{token}-{number}"
            future = self.client.submit(summarize_piece, token, held, number, key=key, pure=False)
            return _Piece(future, self._require_workers)

        lost = (distributed.CancelledError, distributed.comm.CommClosedError, OSError)
        with (
            MonitorError.instead_of("cluster.killed", distributed.KilledWorker, splits=len(splits)),
            MonitorError.instead_of("cluster.scheduler_lost", *lost, where=self.role.address, problem=repr),
        ):
            return engine.merged(analyzer, engine.in_order(range(len(splits)), submit, self._ahead), noticed)

    def _ahead(self) -> int:
        """Return how many summaries may wait; log who came and who went."""
        threads: dict[str, int] = self.client.nthreads()
        for address in self._seen.keys() - threads:
            _log.warning("Lost %s; others read its splits again", self._seen.pop(address))
        if new := threads.keys() - self._seen:
            names = names_of(self.client)
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
            absent -= set(names_of(self.client).values())
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


class _Piece(NamedTuple):
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
    distributed = load()
    security = distributed.Security()
    own_address = None
    with contextlib.ExitStack() as cleanup:
        if role.kind == "client":
            address, wait = url(role.address, security), role.seconds_to_wait
            with ConfigurationError.instead_of("cluster.silent", OSError, ValueError, url=address, role=role):
                client = distributed.Client(address, timeout=wait, set_as_default=False, security=security)
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
    # Dask would take another port, or leave a socket behind.
    with ConfigurationError.instead_of("cluster.port", OSError, RuntimeError, port=port):
        socket.create_server((address, port)).close()
        return distributed.LocalCluster(
            n_workers=1,
            processes=False,
            threads_per_worker=role.threads or engine.available_processors(),
            name=f"leader-{uuid.uuid4().hex}",
            host=address,
            scheduler_port=port,
            protocol=f"{protocol(security)}://",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=False,
            **_options(security),
        )


def _options(security: Any) -> dict[str, Any]:
    """Return what every host is told: its pages are for itself, and nothing of Dask's limits its memory."""
    options = {"local_directory": tempfile.gettempdir(), "memory_limit": 0}
    return {**options, "dashboard_address": "127.0.0.1:0", "security": security}


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


# Working for a leader: connect, summarize what is sent, leave when the leader is done.


# Where the first container that ends stops all others, as in the SDK's local mode, that must be the leader's.
_SECONDS_AFTER_THE_LEADER = 3.0
_SCHEDULER_CLOSED = "scheduler-close"


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
    load()
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
    _log.info("Waiting for the leader at %s", role.address)
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5.0):
            return True
        time.sleep(_POLLING_SECONDS)
    return False


def _serve(role: Role) -> str:
    """Run a Dask worker; return why it ended."""
    ended: list[str] = []

    def run() -> None:
        try:
            asyncio.run(_working(role, ended))
        except Exception as error:  # whatever ends the thread, the main thread tells
            ended.append(f"{type(error).__name__}: {error}")

    # The main thread stays free for signals, which an event loop may swallow.
    thread = threading.Thread(target=run, name="worker", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=_POLLING_SECONDS)
    return ended[0] if ended else "no reason given"


async def _working(role: Role, ended: list[str]) -> None:
    import distributed

    class Following(distributed.Worker):  # type: ignore[misc] # Dask's classes are untyped here
        """A worker that says why it was closed."""

        async def close(self, *arguments: Any, reason: str = "worker-close", **options: Any) -> Any:
            ended.append(reason)
            return await super().close(*arguments, reason=reason, **options)

    security = distributed.Security()
    async with Following(
        url(role.address, security),
        nthreads=role.threads or engine.available_processors(),
        name=f"{role.name}{NAME_SEPARATOR}{uuid.uuid4().hex}",
        dashboard=False,
        death_timeout=role.seconds_to_wait,
        **_options(security),
    ) as worker:
        _log.info("%s works for the leader at %s", role.name, role.address)
        await worker.finished()


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
    if role.kind != "client" and not is_installed():
        if role.kind == "worker":
            return EXIT_COMPLETED, f"Not needed: Dask is not installed, so {role.address} works alone."
        _log.warning("Dask is not installed, so this host works alone; the others have nothing to do")
        return run(None)
    if role.kind == "worker":
        message = work(role)
        _log.info("%s", message)
        return EXIT_COMPLETED, message
    with open_cluster(role) as cluster:
        return run(cluster)
