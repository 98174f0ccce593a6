"""Files too large to hold in memory: written where nobody looks, before `storage` puts them in place."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from contract.datasets import storage
from contract.datasets.leftovers import unfinished
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
