"""What runs on the workers: functions that Dask calls by name, with values that were pickled here.

Summaries are pickled by hand: Dask would hand out arrays that cannot be written to, and merging writes
into the memory of a summary.
"""

from __future__ import annotations

import hashlib
import pickle
import socket
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contract
from contract.api import AnyAnalyzer
from contract.dataset import Split
from contract.errors import ConfigurationError, DatasetError
from file_storage import storage
from job_runner import engine

# Whether hosts see the same files: what the leader found is looked for on every host that works.


# A share of a dataset, which is what SageMaker gives an instance that asks for it, lacks files everywhere.
_MOST_FILES = 1_000
_MOST_BYTES_COMPARED = 1 << 20


@dataclass(frozen=True)
class Evidence:
    """What must hold on every host: what the leader found at local paths, and the version it runs.

    Parameters
    ----------
    sizes
        Path and size in bytes of files, at most 1,000 per source, evenly chosen.
    digests
        Path and SHA-256 of single small files, such as scripts.
    without_files
        Sources in which the leader found no file.
    """

    sizes: tuple[tuple[str, int], ...] = ()
    digests: tuple[tuple[str, str], ...] = ()
    without_files: tuple[str, ...] = ()
    version: str = contract.__version__


def gather(sources: Iterable[str]) -> Evidence:
    """Return what is found on this host; addresses and what does not exist are left out."""
    sizes: list[tuple[str, int]] = []
    digests: list[tuple[str, str]] = []
    without_files: list[str] = []
    for source in dict.fromkeys(sources):
        if "://" in source or not Path(source).exists():
            continue
        files = storage.list_files(source)
        chosen = files[:: -(-len(files) // _MOST_FILES)] if files else []
        sizes += [(file.path, file.size) for file in chosen]
        if not files:
            without_files.append(source)
        if Path(source).is_file() and files[0].size <= _MOST_BYTES_COMPARED:
            digests.append((source, _digest(source)))
    return Evidence(tuple(sizes), tuple(digests), tuple(without_files))


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

    def other(file: str, found: str) -> DatasetError:
        return DatasetError.of("cluster.other_files", file=file, host=host, found=found)

    if evidence.version != contract.__version__:
        members = {"host": host, "version": contract.__version__, "leaders": evidence.version}
        raise ConfigurationError.of("cluster.other_version", **members)
    for path, size in evidence.sizes:
        try:
            found = Path(path).stat().st_size
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise other(path, f"cannot read {path}, which the leader has: {reason}") from error
        if found < size:
            raise other(path, f"holds {found} bytes in {path}, where the leader holds {size}")
    for path, digest in evidence.digests:
        if _digest(path) != digest:
            raise other(path, f"holds another {path} than the leader")
    for source in evidence.without_files:
        if Path(source).exists() and storage.list_files(source):
            raise other(source, f"holds files in {source}, where the leader has none")


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


_MOST_PARCELS = 2

_lock = threading.Lock()
_opened: OrderedDict[str, Parcel] = OrderedDict()


@dataclass(frozen=True)
class Parcel:
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


def compare_host(evidence: bytes) -> str:
    """Make sure that this host sees what packed `Evidence` holds; return its name.

    Raises
    ------
    InputError
        When it sees other files than the leader, or runs another version of this program.
    """
    host = socket.gethostname()
    verify(unpack(evidence), host)
    return host
