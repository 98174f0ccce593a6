"""Whether hosts see the same files: what the leader found is looked for on every host that works."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from contract.datasets import storage
from contract.errors import DatasetError

# A share of a dataset, which is what SageMaker gives an instance that asks for it, lacks files everywhere.
_MOST_FILES = 1_000
_MOST_BYTES_COMPARED = 1 << 20

_FIX = (
    "give every host the same files (SageMaker: S3DataDistributionType FullyReplicated; Kubernetes: a volume "
    "that all pods mount), or name them by s3://"
)


@dataclass(frozen=True)
class Evidence:
    """What the leader found at local paths.

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
    """Make sure that this host sees what the leader saw; it may see files that came later.

    Parameters
    ----------
    evidence
        Of the leader.
    host
        Name of this host, for the message.

    Raises
    ------
    DatasetError
        Naming the host, the path and what to do.
    """
    for path, size in evidence.sizes:
        try:
            found = Path(path).stat().st_size
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DatasetError(
                f"Host {host} cannot read {path}, which the leader has: {reason}; {_FIX}."
            ) from error
        if found < size:
            raise DatasetError(
                f"Host {host} holds {found} bytes in {path}, where the leader holds {size}; {_FIX}."
            )
    for path, digest in evidence.digests:
        if _digest(path) != digest:
            raise DatasetError(f"Host {host} holds another {path} than the leader; {_FIX}.")
    for source in evidence.without_files:
        if Path(source).exists() and storage.list_files(source):
            raise DatasetError(f"Host {host} holds files in {source}, where the leader has none; {_FIX}.")


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
