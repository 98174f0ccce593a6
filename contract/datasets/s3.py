"""What storage does on S3, or on what speaks its protocol; nothing of it is loaded before it is needed.

The standard credential chain applies. ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` name another
server, ``AWS_REGION`` or ``AWS_DEFAULT_REGION`` the region, ``AWS_CA_BUNDLE`` a file of certificates.
Functions raise OSError; `contract.datasets.storage`, which everybody else uses, names the path.
"""

from __future__ import annotations

import errno
import functools
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

SCHEME = "s3://"


@functools.cache
def file_system() -> S3FileSystem:
    """Return the connection, made once."""
    from pyarrow.fs import S3FileSystem

    # With delayed opening a small object is put in one request, which every server understands.
    options: dict[str, Any] = {"allow_delayed_open": True}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        scheme, separator, host = endpoint.partition("://")
        options["endpoint_override"] = (host if separator else endpoint).rstrip("/")
        options["scheme"] = scheme if separator else "https"
        # Servers other than Amazon's often refuse the checksums that the client would add to uploads.
        os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        options["region"] = region
    authorities = os.environ.get("AWS_CA_BUNDLE")
    if authorities:
        options["tls_ca_file_path"] = authorities
    return S3FileSystem(**options)


def key(path: str) -> str:
    """Return bucket and key of a path.

    Raises
    ------
    OSError
        When it has keys, or an empty part, which Arrow and servers understand differently.
    """
    found = path[len(SCHEME) :].rstrip("/")
    if re.match("(?!arn:)[^/]*:.*@|[^/]*@", found):
        raise OSError(
            errno.EINVAL, "keys do not belong there; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        )
    if "//" in found:
        raise OSError(errno.EINVAL, "two slashes stand next to each other; take one out")
    return found


def bucket(path: str) -> str:
    """Return the bucket of a path."""
    return key(path).partition("/")[0]


def has_bucket(path: str) -> bool:
    """Return whether the bucket of a path exists."""
    return _exists(bucket(path))


def is_file(path: str) -> bool:
    """Return whether there is an object at `path`."""
    from pyarrow.fs import FileType

    return bool(file_system().get_file_info(key(path)).type == FileType.File)


def listed(source: str) -> Iterator[tuple[str, int]] | None:
    """Return path and size in bytes of all objects at or below `source`, None when there is nothing."""
    from pyarrow.fs import FileSelector, FileType

    info = file_system().get_file_info(key(source))
    if info.type == FileType.NotFound:
        return None
    if info.type == FileType.File and not source.endswith("/"):
        return iter([(source, info.size)])
    found = file_system().get_file_info(FileSelector(key(source), recursive=True))
    return ((SCHEME + entry.path, entry.size) for entry in found if entry.type == FileType.File)


def open_random(path: str) -> pa.NativeFile:
    """Open an object for reading anywhere in it."""
    return file_system().open_input_file(key(path))


def open_output(path: str) -> pa.NativeFile:
    """Open an object for writing, bytes as they are whatever its name; it appears when it is closed."""
    return file_system().open_output_stream(key(path), compression=None)


def remove(path: str) -> None:
    """Remove an object, if it is there."""
    if not _exists(key(path)):
        return
    try:
        file_system().delete_file(key(path))
    except OSError:
        # Arrow then writes an object for the folder, which not every server lets it.
        if _exists(key(path)):
            raise


def _exists(key: str) -> bool:
    from pyarrow.fs import FileType

    return bool(file_system().get_file_info(key).type != FileType.NotFound)
