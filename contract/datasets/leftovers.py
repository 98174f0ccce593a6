"""Files and folders that are not whole yet, and what killed jobs left of them in an output folder."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_PARTIAL = re.compile(r"\..+\.(\d+)\.partial")
_STAGING = re.compile(r"\.staging\.(\d+)")


def partial_path(directory: str, name: str) -> Path:
    """Return where a file is written until it is whole: in `directory`, whatever folder `name` lies in."""
    return Path(directory) / f".{name.replace('/', '_')}.{os.getpid()}.partial"


def remove_partial_files(directory: str) -> None:
    """Remove partial files of processes that are no more; in a container, all have the same number."""
    for file in Path(directory).iterdir():
        match = _PARTIAL.fullmatch(file.name)
        if match and not _is_another_process(int(match[1])):
            file.unlink(missing_ok=True)


def remove_staging_folders(directory: str) -> None:
    """Remove folders of unfinished files of processes that are no more."""
    for folder in Path(directory).iterdir():
        match = _STAGING.fullmatch(folder.name)
        if match and not _is_another_process(int(match[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_another_process(number: int) -> bool:
    if number == os.getpid():
        return False
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # of another user
    return True
