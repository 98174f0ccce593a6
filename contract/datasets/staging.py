"""Files too large to hold in memory: written where nobody looks, then put in place whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from contract.datasets import storage
from contract.scratch import scratch_folder

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
    if storage.is_s3(output_path):
        with scratch_folder("staging-", "writing to S3") as folder:
            yield folder
        return
    folder = Path(output_path) / f".staging.{os.getpid()}"
    try:
        with storage.writing(output_path, "output_path "):
            folder.mkdir(parents=True, exist_ok=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(parts: Sequence[Path], target: str) -> None:
    """Make one file of `parts`, in their order, appear at `target`, local or on S3; they are gone afterwards.

    Raises
    ------
    OutputError
        Naming the target and the cause.
    """
    first, *others = parts
    with storage.writing(target):
        if others:
            with first.open("ab") as whole:
                for part in others:
                    with part.open("rb") as stream:
                        shutil.copyfileobj(stream, whole, _CHUNK)
                    part.unlink()
        if storage.is_s3(target):
            with first.open("rb") as stream, storage.open_output(target) as upload:
                while chunk := stream.read(_CHUNK):
                    upload.write(chunk)
            first.unlink()
            return
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        first.replace(target)
