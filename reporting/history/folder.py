"""The files of a history: each written once and whole, so that any number of writers go on side by side."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa

from contract.errors import DatasetError, DocumentError
from file_storage import storage

RUNS = "runs"
STATISTICS = "statistics"
BASELINES = "baselines"
# In the names of files that many runs share.
COMPACTED = "-runs-"

# What is decompressed lies in memory.
_MOST_BYTES = 1 << 30


def compress(content: bytes) -> bytes:
    """Return gzip's form of `content`; the same content gives the same bytes."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def pack(content: bytes) -> bytes:
    """Return a document as it is kept: Zstandard, as statistics of many features are large."""
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


def join(folder: str, *names: str) -> str:
    """Return the path of something below a folder, local or on S3."""
    return "/".join([folder.rstrip("/"), *names])


def list_runs(history: str) -> list[str]:
    """Return the paths of all files of records, the oldest first; none where nothing was ever appended.

    Raises
    ------
    DatasetError
        When there is nothing at `history`, or it cannot be listed.
    """
    runs = join(history, RUNS)
    if storage.is_s3(history):
        try:
            return [file.path for file in storage.list_files(runs)]
        except DatasetError:
            storage.list_files(history, "history_path")  # says what is wrong, if anything is
            return []
    if not Path(runs).is_dir():
        storage.list_files(history, "history_path")
        return []
    with storage.reading(history, "history_path "):
        # Names only: a file may go any moment, when its records are put elsewhere.
        names = sorted(os.listdir(runs))  # noqa: PTH208 - several times faster, and many windows list it each
    return [join(runs, name) for name in names if not name.startswith(".")]


def read_if_there(path: str) -> bytes | None:
    """Return the content of a file, decompressed; None when it is not, or no longer, there.

    Raises
    ------
    DatasetError
        When it is there and cannot be read.
    DocumentError
        When it is not whole.
    """
    try:
        content = storage.read_if_there(path)
    except DatasetError:
        if storage.is_s3(path) or Path(path).exists():
            raise
        return None  # it went between being found and being opened
    if content is None:
        return None
    codec = storage.compression(path, content)
    if codec is None:
        return content
    with DocumentError.instead_of("history_file.damaged", OSError, file=path):
        unpacked: bytes = pa.CompressedInputStream(pa.BufferReader(content), codec).read(_MOST_BYTES + 1)
    if len(unpacked) > _MOST_BYTES:
        raise DocumentError.of("history_file.too_large", file=path, gigabytes=_MOST_BYTES >> 30)
    return unpacked


def remove_abandoned(history: str) -> None:
    """Remove what writers that were killed left half-written; S3 never shows such."""
    if not storage.is_s3(history):
        for name in (RUNS, STATISTICS, BASELINES):
            if Path(history, name).is_dir():
                storage.remove_abandoned(join(history, name))
