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
from contract.datasets.plan import Split
from contract.errors import ConfigurationError

_MOST_PARCELS = 2

_lock = threading.Lock()
_opened: OrderedDict[str, Parcel] = OrderedDict()


@dataclass(frozen=True)
class Conditions:
    """What must hold on every host."""

    evidence: Evidence
    version: str = contract.__version__


@dataclass(frozen=True)
class Parcel:
    """What every worker needs once per job: together, so that what the splits share travels once."""

    analyzer: AnyAnalyzer
    splits: tuple[Split, ...]
    conditions: Conditions


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
    opened = _open(token, parcel)
    return pack(engine.summarize_split(opened.analyzer, opened.splits[number]))


def compare_host(conditions: bytes) -> str:
    """Make sure that this host meets packed `Conditions`; return its name.

    Raises
    ------
    InputError
        When it sees other files than the leader, or runs another version of this program.
    """
    host = socket.gethostname()
    _require(unpack(conditions), host)
    return host


def _open(token: str, parcel: bytes) -> Parcel:
    with _lock:
        if token not in _opened:
            opened: Parcel = unpack(parcel)
            _require(opened.conditions, socket.gethostname())
            _opened[token] = opened
            while len(_opened) > _MOST_PARCELS:
                _opened.popitem(last=False)
        return _opened[token]


def _require(conditions: Conditions, host: str) -> None:
    if conditions.version != contract.__version__:
        raise ConfigurationError(
            f"Host {host} runs version {contract.__version__} of model-monitor-containers and the leader "
            f"{conditions.version}; give all hosts the same image."
        )
    verify(conditions.evidence, host)
