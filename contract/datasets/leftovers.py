"""Files and folders that are not whole yet: held by whoever writes them, removed when nobody does any more.

Jobs in containers all have the same process number, so names are random and owners hold a lock (``flock``).
Where a lock says nothing, on network file systems and of other machines, only age tells who is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_UNFINISHED = re.compile(r"\..+\.([0-9a-f]{8})-[0-9a-f]{16}\.partial")
_LOCK = ".writing.lock"
# Longer than SageMaker lets a job run.
_ABANDONED_SECONDS = 7 * 24 * 3600.0
# Others may keep the locks of each machine, or of each mount, to themselves.
_LOCKS_COUNT = frozenset(("btrfs", "ext2", "ext3", "ext4", "overlay", "ramfs", "tmpfs", "xfs", "zfs"))

_held = threading.local()


@contextlib.contextmanager
def unfinished(directory: str, name: str, *, is_folder: bool = False) -> Iterator[Path]:
    """Yield a new hidden file or folder in `directory` for what is to be `name`; what is left of it goes."""
    while True:
        random = f"{_machine()}-{secrets.token_hex(8)}"
        path = Path(directory) / f".{name.replace('/', '_')}.{random}.partial"
        if is_folder:
            path.mkdir()
        else:
            path.touch(exist_ok=False)
        descriptor = None
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            with contextlib.suppress(OSError):  # no locks here
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            break
        if descriptor is not None:  # another job removed it before it was held
            os.close(descriptor)
    try:
        yield path
    finally:
        _remove(path)
        if descriptor is not None:
            os.close(descriptor)


def remove_abandoned(directory: str) -> None:
    """Remove the unfinished files and folders of jobs that are no more."""
    locks_count: bool | None = None
    for path in Path(directory).iterdir():
        match = _UNFINISHED.fullmatch(path.name)
        if match is None:
            continue
        if locks_count is None:
            locks_count = _locks_count(directory)
        with contextlib.suppress(OSError):  # its writer has completed it meanwhile
            descriptor = os.open(path, os.O_RDONLY)
            try:
                if _is_abandoned(path, descriptor, locks_count and match[1] == _machine()):
                    _remove(path)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def alone_in(directory: str) -> Iterator[None]:
    """Keep other jobs from putting files into `directory`, which exists, while the block runs.

    Without effect where the file system has no locks. The same thread may come again.
    """
    held: set[str] = _held.__dict__.setdefault("folders", set())
    real = os.path.realpath(directory)
    if real in held:
        yield
        return
    path = Path(directory) / _LOCK
    while True:
        lock = path.open("ab")
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                    break
        except BaseException:
            lock.close()
            raise
        lock.close()  # whoever held it has removed it
    held.add(real)
    try:
        yield
    finally:
        held.remove(real)
        path.unlink(missing_ok=True)
        lock.close()


def _is_abandoned(path: Path, descriptor: int, lock_counts: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        lock_counts = False
    if lock_counts:
        return True
    newest = max(entry.stat().st_mtime for entry in (path, *path.rglob("*")))
    return time.time() - newest > _ABANDONED_SECONDS


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@functools.cache
def _machine() -> str:
    """Return what all containers of this machine have in common, until it starts anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return secrets.token_hex(4)


def _locks_count(directory: str) -> bool:
    """Return whether a lock that is free in `directory` is free for all jobs of this machine."""
    device = Path(directory).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            mount, _, system = line.partition(" - ")
            if mount.split()[2] == number:
                return system.split()[0] in _LOCKS_COUNT
    return False
