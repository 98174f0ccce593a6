"""Temporary folders; in containers with a read-only root there may be none.

Each is locked as long as its process lives, so that a later job can tell what a killed one has left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from contract.errors import ConfigurationError
from file_storage import storage
from file_storage.storage import remove_abandoned, unfinished

_LEAST_BYTES = 1 << 16


@contextmanager
def scratch_folder(prefix: str, purpose: str) -> Iterator[Path]:
    """Yield a new folder for temporary files that is removed at the end.

    Parameters
    ----------
    prefix
        How its name begins.
    purpose
        What for, as the subject of the message.

    Raises
    ------
    ConfigurationError
        When no folder for temporary files can be written, naming the fix.
    """
    with contextlib.ExitStack() as stack:
        with _naming_the_fix(purpose):
            parent = tempfile.gettempdir()
            remove_abandoned(parent)
            folder = stack.enter_context(unfinished(parent, f"model-monitor-{prefix}", is_folder=True))
        yield folder


def find_scratch_folder(purpose: str) -> str:
    """Return a folder that exists and can be written, for what asks for one and stores next to nothing.

    Parameters
    ----------
    purpose
        What for, as the subject of the message.

    Raises
    ------
    ConfigurationError
        When there is none, naming the fix.
    """
    # Containers with a read-only root still have shared memory, which is too small for real work.
    for folder in (os.environ.get("TMPDIR"), "/tmp", "/dev/shm"):  # noqa: S108 - probed, not trusted
        if folder and os.access(folder, os.W_OK):
            return folder
    with _naming_the_fix(purpose):
        return tempfile.gettempdir()


@contextmanager
def _naming_the_fix(purpose: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        for folder in filter(None, (os.environ.get("TMPDIR"), "/tmp")):  # noqa: S108 - only measured
            if Path(folder).is_dir() and shutil.disk_usage(folder).free < _LEAST_BYTES:
                raise ConfigurationError.of("temporary_folder.full", file=folder, purpose=purpose) from error
        raise ConfigurationError.of("temporary_folder.none", purpose=purpose, cause=error.strerror) from error


# Files too large to hold in memory: written where nobody looks, before `storage` puts them in place.


_CHUNK = 4 << 20


@contextlib.contextmanager
def staging_folder(output_path: str) -> Iterator[Path]:
    """Yield a folder for unfinished files that is removed at the end, however that comes.

    It lies within a local `output_path`, hidden, so that finished files need no copying.

    Raises
    ------
    OutputError
        When the folder cannot be made.
    """
    with contextlib.ExitStack() as stack:
        if storage.is_s3(output_path):
            folder = stack.enter_context(scratch_folder("staging-", "writing to S3"))
        else:
            with storage.writing(output_path, "output_path "):
                Path(output_path).mkdir(parents=True, exist_ok=True)
                folder = stack.enter_context(unfinished(output_path, "staging", is_folder=True))
        yield folder


def join_parts(parts: Sequence[Path]) -> Path:
    """Return the first of `parts` after the others were appended to it, in their order, and removed.

    Raises
    ------
    OutputError
        Naming the part and the cause.
    """
    first, *others = parts
    if others:
        with storage.writing(str(first)), first.open("ab") as whole:
            for part in others:
                with part.open("rb") as stream:
                    shutil.copyfileobj(stream, whole, _CHUNK)
                part.unlink()
    return first
