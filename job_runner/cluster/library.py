"""Dask as this program uses it: no dashboard, no files, no log of its own; its security settings are kept."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from typing import Any

from contract.errors import ConfigurationError
from file_storage.temporary import find_scratch_folder

_SETTINGS: dict[str, Any] = {
    # Pages about the cluster's inner life, open to everyone who reaches the port.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # A worker that answers no longer is given up; its splits go to others.
    "distributed.scheduler.worker-ttl": "120 s",
    "distributed.comm.timeouts.connect": "20 s",
    # Summaries are small, and an analyzer with a model is large on purpose.
    "distributed.admin.large-graph-warning-threshold": "10 GB",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
}
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

    dask.config.set(_SETTINGS)
    # Dask asks for one in several places, and finds none where the root is read-only.
    tempfile.tempdir = find_scratch_folder("a cluster")
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
