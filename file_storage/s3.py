"""What storage does on S3, or on what speaks its protocol; nothing of it is loaded before it is needed.

The standard credential chain applies. ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` name another
server, ``AWS_REGION`` or ``AWS_DEFAULT_REGION`` the region, ``AWS_CA_BUNDLE`` a file of certificates.
Functions raise OSError; `file_storage.storage`, which everybody else uses, names the path.
"""

import errno
import functools
import importlib.util
import io
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

SCHEME = "s3://"
# The least size of a part of several: what is not larger is one request.
_ONE_REQUEST = 5 << 20
_PART_SIZE = 16 << 20

_unclosed: list[pa.NativeFile] = []
_encryption: dict[str, str] = {}


@functools.cache
def file_system() -> Any:
    """Return the connection, an `S3FileSystem` of Arrow's, made once."""
    from pyarrow.fs import S3FileSystem

    scheme, host = _server() or (None, None)
    return S3FileSystem(
        # A small object is then put in one request, which every server understands.
        allow_delayed_open=True,
        scheme=scheme,
        endpoint_override=host,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None,
        tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE") or None,
    )


def _server() -> tuple[str, str] | None:
    """Return scheme and host of a server other than Amazon's, None without one."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return None
    # Such servers often refuse the checksums that clients would add to uploads.
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    scheme, separator, host = endpoint.partition("://")
    return (scheme, host.rstrip("/")) if separator else ("https", endpoint.rstrip("/"))


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
    if not {"", ".", ".."}.isdisjoint(found.split("/")[1:]):
        raise OSError(errno.EINVAL, "a part of it between slashes is empty, . or ..; take it out")
    return found


def bucket(path: str) -> str:
    """Return the bucket of a path."""
    return key(path).partition("/")[0]


def has_bucket(path: str) -> bool:
    """Return whether the bucket of a path exists."""
    return _exists(bucket(path))


def is_file(path: str) -> bool:
    """Return whether there is an object at `path`."""
    return bool(file_system().get_file_info(key(path)).is_file)


def listed(source: str) -> Iterator[tuple[str, int]] | None:
    """Return path and size in bytes of all objects at or below `source`, None when there is nothing."""
    from pyarrow.fs import FileSelector

    info = file_system().get_file_info(key(source))
    if info.type.name == "NotFound":
        return None
    is_object = info.is_file and not source.endswith("/")
    if is_object and info.size:
        return iter([(source, info.size)])
    # An empty object may stand for a folder, as some programs write them.
    found = file_system().get_file_info(FileSelector(key(source), recursive=True, allow_not_found=True))
    if is_object and not found:
        return iter([(source, 0)])
    return ((SCHEME + entry.path, entry.size) for entry in found if entry.is_file)


def open_random(path: str) -> pa.NativeFile:
    """Open an object for reading anywhere in it."""
    return file_system().open_input_file(key(path))


def encrypt_with(kms_key: str | None) -> None:
    """Have every object that is made from now on encrypted with a key of AWS KMS; None: as the bucket says.

    Parameters
    ----------
    kms_key
        Id, alias or ARN of the key.
    """
    _encryption.clear()
    if kms_key:
        _encryption.update(ServerSideEncryption="aws:kms", SSEKMSKeyId=kms_key)


def upload(path: str, content: bytes | Path, stop: threading.Event) -> None:
    """Make an object of `content`, bytes as they are whatever its name; it appears whole or not at all.

    Parameters
    ----------
    content
        Bytes, or a local file that has them.
    stop
        Set by another thread, it ends the upload.
    """
    has_boto = importlib.util.find_spec("boto3") is not None
    if _encryption and not has_boto:
        raise OSError(errno.ENOTSUP, "output_kms_key needs boto3, which is not installed")
    with _Stoppable(io.BytesIO(content) if isinstance(content, bytes) else content.open("rb", 0)) as stream:
        stream.stop = stop
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        if has_boto and (_encryption or size > _ONE_REQUEST):
            _write_by_boto(path, stream)
        else:
            _write_by_arrow(path, stream)


class _Stoppable(io.BufferedReader):
    """A stream that fails once `stop` is set."""

    stop: threading.Event

    def read(self, size: int | None = -1, /) -> bytes:
        if self.stop.is_set():
            raise OSError(errno.ECANCELED, "stopped before it was complete")
        return super().read(size)


def _write_by_arrow(path: str, content: io.BufferedReader) -> None:
    """Write through Arrow: a small object in one request; a large one that fails leaves its parts behind."""
    stream = file_system().open_output_stream(key(path), compression=None)
    # Whatever becomes of a stream of Arrow's, closing it makes its object appear. One that fails is never
    # closed: it stays here until Arrow has shut S3 down.
    _unclosed.append(stream)
    while part := content.read(_PART_SIZE):
        stream.write(part)
    stream.close()
    _unclosed.remove(stream)


def _write_by_boto(path: str, content: io.BufferedReader) -> None:
    """Upload through boto3, which aborts what fails and can name a key; a small object in one request."""
    from boto3.s3.transfer import TransferConfig
    from botocore.exceptions import BotoCoreError, ClientError

    limits = {"multipart_threshold": _ONE_REQUEST + 1, "multipart_chunksize": _PART_SIZE}
    bucket_name, _, name = key(path).partition("/")
    try:
        transfer = TransferConfig(**limits, use_threads=False)
        client().upload_fileobj(content, bucket_name, name, ExtraArgs=_encryption, Config=transfer)
    except (BotoCoreError, ClientError) as error:
        told = error.response.get("Error", {}) if isinstance(error, ClientError) else {}
        raise OSError(errno.EIO, told.get("Message") or str(error)) from error


@functools.cache
def client() -> Any:
    """Return boto3's connection, made once."""
    server = _server()
    url = f"{server[0]}://{server[1]}" if server else None
    return boto_client("s3", server=url, retries={"mode": "standard", "total_max_attempts": 5})


# boto3 makes clients one at a time.
_making = threading.Lock()


def boto_client(service: str, *, server: str | None = None, **config: Any) -> Any:
    """Return boto3's client of a service, by its standard chain of credentials.

    Parameters
    ----------
    service
        As boto3 names it; the region is ``AWS_REGION``'s, which boto3 leaves to other libraries.
    server
        Address of one that is not Amazon's, where boto3's own variables do not tell.
    config
        Of ``botocore.config.Config``.
    """
    import boto3
    from botocore.config import Config

    with _making:
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
        return session.client(service, endpoint_url=server, config=Config(**config))


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
    return bool(file_system().get_file_info(key).type.name != "NotFound")
