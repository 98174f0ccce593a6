"""Folders for files that outlive no job; in containers with a read-only root there may be none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import ConfigurationError


def make_scratch_folder(prefix: str, purpose: str) -> Path:
    """Make a new folder for temporary files; whoever asks removes it.

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
    with _naming_the_fix(purpose):
        return Path(tempfile.mkdtemp(prefix=prefix))


@contextmanager
def scratch_folder(prefix: str, purpose: str) -> Iterator[Path]:
    """Yield a folder for temporary files that is removed at the end; see `make_scratch_folder`."""
    folder = make_scratch_folder(prefix, purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        raise ConfigurationError(
            f"{purpose} needs a folder for temporary files, and none can be written ({error.strerror}); "
            "mount one at /tmp (docker run --tmpfs /tmp; an emptyDir on Kubernetes) or name one in TMPDIR."
        ) from error
