"""What runs on the workers: functions that Dask calls by name, with values that were pickled here.

Summaries are pickled by hand: Dask would hand out arrays that cannot be written to, and merging writes
into the memory of a summary.
"""

from __future__ import annotations

import pickle
import socket
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import contract
from contract import engine
from contract.analyzer import AnyAnalyzer
from contract.cluster.evidence import Evidence, verify
from contract.errors import ConfigurationError

_MOST_PARCELS = 2

_lock = threading.Lock()
_opened: OrderedDict[str, AnyAnalyzer] = OrderedDict()


@dataclass(frozen=True)
class Parcel:
    """What every worker needs once per job."""

    analyzer: AnyAnalyzer
    evidence: Evidence
    version: str = contract.__version__


def pack(value: object) -> bytes:
    """Return a value as bytes that `unpack` reads on another host."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def unpack(content: bytes) -> Any:
    """Return what `pack` was given. A cluster runs what its members send: they trust each other."""
    return pickle.loads(content)  # noqa: S301 - see the docstring


def hold(parcel: bytes) -> bytes:
    """Return the parcel: as a task's result, Dask carries it to each worker once."""
    return parcel


def summarize_piece(token: str, parcel: bytes, split: bytes) -> bytes:
    """Return the packed summary of a packed split.

    Parameters
    ----------
    token
        Unique to the parcel, so that it is opened once per process.
    parcel
        A packed `Parcel`.
    split
        A packed `Split`.
    """
    analyzer = _open(token, parcel)
    return pack(engine.summarize_split(analyzer, unpack(split)))


def compare_host(parcel: bytes) -> str:
    """Make sure that this host sees the leader's files; return its name.

    Raises
    ------
    InputError
        When it does not, or runs another version of this program.
    """
    _checked(parcel)
    return socket.gethostname()


def _open(token: str, parcel: bytes) -> AnyAnalyzer:
    with _lock:
        if token not in _opened:
            _opened[token] = _checked(parcel).analyzer
            while len(_opened) > _MOST_PARCELS:
                _opened.popitem(last=False)
        return _opened[token]


def _checked(parcel: bytes) -> Parcel:
    opened: Parcel = unpack(parcel)
    host = socket.gethostname()
    if opened.version != contract.__version__:
        raise ConfigurationError(
            f"Host {host} runs version {contract.__version__} of model-monitor-containers and the leader "
            f"{opened.version}; give all hosts the same image."
        )
    verify(opened.evidence, host)
    return opened
