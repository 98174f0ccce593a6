"""Files, local or on S3: listed, opened, decompressed and written, with errors that name the path.

Paths that start with ``s3://`` go to S3 or what speaks its protocol (see `file_storage.s3`). Data is
streamed, never copied to disk.
"""

import contextlib
import errno
import fcntl
import functools
import heapq
import logging
import os
import random
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from contract.errors import ConfigurationError, DatasetError, DocumentError, InputError, OutputError
from contract.schema import nearest
from contract.wording import several
from file_storage import cleanup, s3

# What went wrong with a file, in the words of an error message.


def nearby(path: str) -> str:
    """Say which part of a path exists, or which neighbour looks like it."""
    missing = Path(path)
    if missing.is_dir():
        return ", but a folder"
    while not missing.parent.exists():
        missing = missing.parent
    if not missing.parent.is_dir():
        return ""
    with contextlib.suppress(OSError):
        if close := nearest(missing.name, (entry.name for entry in missing.parent.iterdir())):
            return f" (did you mean {missing.parent / close}?)"
    return f"; the nearest folder that exists is {missing.parent.absolute()}"


def cause_of(problem: OSError) -> str:
    """Return the cause, without the path and the numbers that libraries add to it."""
    text = problem.strerror or str(problem)
    aws = re.search(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))? during \w+ operation: (.*)", text, re.DOTALL)
    if aws:
        detail = "" if aws[3].startswith("No response body") else f" ({aws[3]})"
        text = f"{aws[1].replace('_', ' ').lower()}{detail}"
        if aws[1] == "UNKNOWN" and aws[2]:
            text = (
                f"the server answered status {aws[2]}{detail}, as it may where there are no valid credentials"
            )
    else:
        # Arrow repeats the path and appends the number of the error.
        text = text.partition("Detail: ")[2] or text
        text = re.sub(r"^\[errno \d+\]\s*", "", text)
    return " ".join(text.split()).rstrip(".")[:300] or type(problem).__name__


# Files and folders that are not whole yet: held by whoever writes them, removed when nobody does any more.
#
# Jobs in containers all have the same process number, so names are random and owners hold a lock (``flock``).
# Where a lock says nothing, on network file systems and of other machines, only age tells who is gone.


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
    path: Path | None = None
    descriptor: int | None = None

    def undo(_: cleanup.IsUrged) -> None:
        if path is not None:
            _remove(path)
        if descriptor is not None:
            os.close(descriptor)

    remove = cleanup.at_end(undo)  # before there is anything: a signal may end this job at any line
    try:
        while path is None or not path.exists():  # another job may remove it before it is held
            if descriptor is not None:
                os.close(descriptor)
                descriptor = None
            random = f"{_machine()}-{secrets.token_hex(8)}"
            path = Path(directory) / f".{name.replace('/', '_')}.{random}.partial"
            if is_folder:
                path.mkdir(mode=0o700)
            else:
                path.touch(exist_ok=False)
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY)
                with contextlib.suppress(OSError):  # no locks here
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield path
    finally:
        remove()


def remove_abandoned(directory: str) -> None:
    """Remove the unfinished files and folders of jobs that are no more."""
    for path in Path(directory).iterdir():
        if match := _UNFINISHED.fullmatch(path.name):
            with contextlib.suppress(OSError):  # its writer has completed it meanwhile
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    if _is_abandoned(path, descriptor, match[1]):
                        _remove(path)
                finally:
                    os.close(descriptor)


def _is_abandoned(path: Path, descriptor: int, machine: str) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if machine == _machine() and _locks_count(path.parent):
            return True
    except BlockingIOError:
        return False
    except OSError:
        pass  # no locks here
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


def _locks_count(directory: Path) -> bool:
    """Return whether a lock that is free in `directory` is free for all jobs of this machine."""
    device = directory.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            mount, _, system = line.partition(" - ")
            if mount.split()[2] == number:
                return system.split()[0] in _LOCKS_COUNT
    return False


# Of a document, script or model, which is held in memory.
MOST_DECOMPRESSED = 64 << 20

_DATED_FOLDER = re.compile(r"/\d{4}/\d{2}(/\d{2})*/?$")
_MAGIC = ((b"\x1f\x8b", "gzip", ""), (b"BZh", "bz2", ".bz2"), (b"\x28\xb5\x2f\xfd", "zstd", ".zst"))

_MOST_UPLOADS, _MOST_SYNCED = 8, 4
# Hidden, so that it is never read as data.
_MARK = ".writing"
_MOST_ROUNDS = 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceFile:
    """A file of the dataset: its path as a user would write it, its size in bytes as stored."""

    path: str
    size: int


def list_files(source: str, variable: str = "dataset_source") -> list[SourceFile]:
    """Return the data files at `source`, nested folders included, in path order.

    Hidden files and folders, names that start with an underscore (``_SUCCESS``, ``_temporary``) and
    ``.crc`` files are left out, as the originals' engine does. A `source` that is itself a file is
    always taken.

    Parameters
    ----------
    source
        Local file or folder, or ``s3://bucket/prefix``.
    variable
        The setting it comes from, for messages.

    Raises
    ------
    DatasetError
        When there is nothing at `source`, or it cannot be listed. On S3, where an empty folder does not
        exist, a dated folder (``.../2026/05/06/22``) without objects is an empty dataset.
    """
    with reading(source, f"{variable} "):
        files = _list_s3(source, variable) if is_s3(source) else _list_local(source, variable)
    return sorted(files, key=lambda file: file.path)


def size_of(files: Sequence[SourceFile]) -> str:
    """Return how much there is to read, for people."""
    return f"{several(sum(file.size for file in files), 'byte')} to read in {several(len(files), 'file')}"


def is_s3(path: str) -> bool:
    """Return whether a path leads to S3."""
    return path.startswith(s3.SCHEME)


def open_random(path: str, error: type[InputError] = DatasetError) -> pa.NativeFile:
    """Open a file for reading anywhere in it, as stored.

    Raises
    ------
    InputError
        Of the class `error`, naming the path and the cause.
    """
    with reading(path, error=error):
        return s3.open_random(path) if is_s3(path) else pa.OSFile(path, "rb")


def open_input(path: str, error: type[InputError] = DatasetError) -> pa.NativeFile:
    """Open a file as a stream, decompressed when it is compressed (see `compression`).

    Raises
    ------
    InputError
        Of the class `error`, naming the path and the cause.
    """
    with reading(path, error=error):
        file = open_random(path, error)
        codec = compression(path, file.read(8))
        file.seek(0)
        return pa.CompressedInputStream(file, codec) if codec else file


def lines_before(path: str, offset: int) -> int:
    """Return how many lines end before a byte of the (decompressed) file; for messages about errors."""
    lines = 0
    with reading(path), open_input(path) as stream:
        while offset > 0 and (chunk := stream.read(min(offset, _CHUNK))):
            lines += chunk.count(b"\n")
            offset -= len(chunk)
    return lines


def compression(path: str, first_bytes: bytes) -> str | None:
    """Return how a file is compressed, None when it is not.

    gzip shows in the first bytes whatever the name says; bz2 and zstd must have both the first bytes
    and the ending (``.bz2``, ``.zst``), since text may start like them.
    """
    found = (codec for magic, codec, end in _MAGIC if first_bytes.startswith(magic) and path.endswith(end))
    return next(found, None)


def is_compressed(path: str) -> bool:
    """Return whether a file is compressed as `compression` says.

    Raises
    ------
    DatasetError
        Naming the path and the cause.
    """
    with reading(path), open_random(path) as file:
        return compression(path, file.read(8)) is not None


def read_bytes(path: str, error: type[InputError] = DatasetError) -> bytes:
    """Return the content of a file, decompressed.

    Raises
    ------
    InputError
        Of the class `error`, naming the path and the cause; also for a compressed file that holds more than
        `MOST_DECOMPRESSED` bytes.
    """
    with reading(path, error=error), open_input(path, error) as stream:
        is_stored = not isinstance(stream, pa.CompressedInputStream)
        content: bytes = stream.read(None if is_stored else MOST_DECOMPRESSED + 1)
    if not is_stored and len(content) > MOST_DECOMPRESSED:
        raise error.of("stored_file.decompressed", file=path, megabytes=MOST_DECOMPRESSED >> 20)
    return content


def _is_file(path: str) -> bool:
    return s3.is_file(path) if is_s3(path) else Path(path).is_file()


def is_there(path: str) -> bool:
    """Return whether a file exists; one that cannot be asked for counts as absent."""
    with contextlib.suppress(OSError):
        return _is_file(path)
    return False


def read_if_there(path: str, error: type[InputError] = DatasetError) -> bytes | None:
    """Return the content of a file as stored, None when there is no such file.

    Raises
    ------
    InputError
        Of the class `error`, naming the path and the cause.
    """
    with reading(path, error=error), contextlib.suppress(FileNotFoundError):  # it may go at any moment
        if _is_file(path):
            with s3.open_random(path) if is_s3(path) else pa.OSFile(path, "rb") as file:
                return bytes(file.read())
    return None


def resolve_document(path: str, names: Sequence[str], variable: str) -> str:
    """Return the path of a document that a setting names directly or by its folder.

    Parameters
    ----------
    path
        File, or folder that holds a file called by one of `names`.
    names
        Such as ``statistics.json``, in order of preference.
    variable
        The setting, for messages.

    Raises
    ------
    DocumentError
        When there is no such file; names one that looks like it.
    """
    on_s3 = is_s3(path)
    beneath = [f"{path.rstrip('/')}/{name}" if on_s3 else str(Path(path) / name) for name in names]
    with reading(path, f"{variable} ", DocumentError):
        for candidate in (path.rstrip("/") if on_s3 else path, *beneath):
            if _is_file(candidate):
                return candidate
        if on_s3:
            others = " or ".join(beneath)
            raise DocumentError.of("stored_file.no_document", file=path, field=variable, others=others)
        if not Path(path).exists():
            raise DocumentError.of("stored_file.missing", file=path, field=variable, nearby=nearby(path))
        if not Path(path).is_dir():
            raise DocumentError.of("stored_file.pipe", file=path, field=variable)
        found = sorted(entry.name for entry in Path(path).iterdir() if entry.suffix == ".json")
    hint = f", which holds {', '.join(found[:5])}" if found else ""
    told = {"field": variable, "names": " or ".join(names), "hint": hint}
    raise DocumentError.of("stored_file.folder", file=path, **told)


def prepare_output(directory: str, variable: str = "output_path") -> None:
    """Create an output folder and make sure that it can be written, before any work is done.

    What jobs that were killed while writing have left there is removed.

    Parameters
    ----------
    directory
        Local folder or ``s3://bucket/prefix``.
    variable
        The setting it comes from, for messages.

    Raises
    ------
    OutputError
        Naming the folder and the cause.
    """
    with writing(directory, f"{variable} "):
        if is_s3(directory):
            if not s3.has_bucket(directory):
                bucket = s3.bucket(directory)
                raise OutputError.of("stored_file.no_bucket", file=directory, field=variable, bucket=bucket)
            return
        Path(directory).mkdir(parents=True, exist_ok=True)
        remove_abandoned(directory)
        with unfinished(directory, "probe"):
            pass


def write_file(path: str, content: bytes) -> None:
    """Write a file that appears whole or not at all, whoever else writes to its folder.

    Parameters
    ----------
    path
        Local or ``s3://``; folders above it are created.

    Raises
    ------
    OutputError
        Naming the path and the cause; nothing half-written is left behind.
    """
    with writing(path):
        if is_s3(path):
            _upload({path: content})
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(str(target.parent), target.name) as partial:
            _write_durably({partial: content})
            partial.replace(target)


@contextlib.contextmanager
def alone(directory: str) -> Iterator[None]:
    """Keep other jobs from writing into a local folder while the block runs; S3 has nothing like it.

    Without effect where the file system has no locks. The same thread may come again.

    Raises
    ------
    OutputError
        When the folder cannot be made or written.
    """
    held: set[str] = _held.__dict__.setdefault("folders", set())
    real = os.path.realpath(directory)
    if is_s3(directory) or real in held:
        yield
        return
    path = Path(directory) / _LOCK
    with writing(directory):
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with contextlib.ExitStack() as stack:
                lock = stack.enter_context(path.open("ab"))
                with contextlib.suppress(OSError):
                    fcntl.flock(lock, fcntl.LOCK_EX)
                with contextlib.suppress(FileNotFoundError):  # whoever held it has removed it
                    if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                        stack.pop_all()
                        break
    held.add(real)
    try:
        yield
    finally:
        held.remove(real)
        path.unlink(missing_ok=True)
        lock.close()


def write_files_atomically(
    directory: str, files: Mapping[str, bytes | Path], outdated: Collection[str] = ()
) -> None:
    """Write files so that each appears whole or not at all, and locally none before all are written.

    Of jobs that write the same files at the same time, the later one's stand, all of them.

    Parameters
    ----------
    directory
        Local folder (created when absent) or ``s3://bucket/prefix``.
    files
        By file name, or by path below `directory` with ``/``: their content, or a file of a
        `staging_folder` that has it and is moved.
    outdated
        Names or paths of files that would contradict these: those that are there go first.

    Raises
    ------
    OutputError
        Naming the folder and the cause; nothing half-written is left behind.
    """
    with writing(directory):
        if is_s3(directory):
            _upload_set(directory.rstrip("/"), files, outdated)
            return
        Path(directory).mkdir(parents=True, exist_ok=True)
        remove_abandoned(directory)
        with contextlib.ExitStack() as stack:
            whole: dict[str, Path] = {}
            new: dict[Path, bytes] = {}
            for name, content in files.items():
                if "/" in name:
                    (Path(directory) / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    whole[name] = content
                else:
                    whole[name] = stack.enter_context(unfinished(directory, name))
                    new[whole[name]] = content
            _write_durably(new)
            if len(files) + len(outdated) > 1:
                stack.enter_context(alone(directory))
            _remove_outdated(directory, outdated)
            for name, file in whole.items():
                file.replace(Path(directory) / name)


def _upload_set(directory: str, files: Mapping[str, bytes | Path], outdated: Collection[str]) -> None:
    """Upload files so that those of the job that ends last stand, all of them.

    S3 has no locks. Each job leaves its mark, uploads, and looks whether the mark is still its own: if not,
    somebody else began meanwhile, and it does all of it again. So of jobs side by side, the last to find its
    own mark had no other's files among its own.
    """
    items = {f"{directory}/{name}": content for name, content in files.items()}
    if len(files) + len(outdated) < 2:
        _remove_outdated(directory, outdated)
        _upload(items)
        return
    place, mark = f"{directory}/{_MARK}", secrets.token_bytes(8)
    for number in range(_MOST_ROUNDS):
        _upload({place: mark})
        _remove_outdated(directory, outdated)
        _upload(items)
        try:
            with s3.open_random(place) as file:
                is_own = file.read() == mark
        except FileNotFoundError:
            is_own = False
        except OSError as error:
            _log.debug("Who else writes to %s cannot be seen: %s", directory, error)
            return
        if is_own:
            _remove_outdated(directory, [_MARK])
            return
        time.sleep(random.uniform(0, 0.1 * 2 ** min(number, 8)))  # noqa: S311 - so that they part
    raise OutputError.of("stored_file.contended", file=directory)


def _upload(items: Mapping[str, bytes | Path]) -> None:
    """Upload several at a time, in threads that no signal interrupts, and abort all when one fails."""
    stop = threading.Event()
    with ThreadPoolExecutor(_MOST_UPLOADS, thread_name_prefix="upload") as executor:
        try:
            uploads = [executor.submit(s3.upload, path, content, stop) for path, content in items.items()]
            for upload in uploads:
                upload.result()
        except BaseException:
            stop.set()
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _remove_outdated(directory: str, names: Collection[str]) -> None:
    for name in names:
        try:
            remove_file(f"{directory.rstrip('/')}/{name}")
        except OutputError as error:
            # Who may write objects may not always remove them; what is new counts for more.
            _log.warning("A file of an earlier run stays beside newer ones: %s", error.message)


def remove_file(path: str) -> None:
    """Remove a file; one that is not there is no mistake.

    Raises
    ------
    OutputError
        Naming the path and the cause.
    """
    with writing(path):
        if is_s3(path):
            s3.remove(path)
        else:
            Path(path).unlink(missing_ok=True)


@contextlib.contextmanager
def reading(
    path: str, role: str = "", error: type[InputError] = DatasetError, *, is_written: bool = False
) -> Iterator[None]:
    """Turn what storage raises inside the block into an error that names the path and the cause.

    Parameters
    ----------
    path
        What is being read, or written.
    role
        Stands before the path in messages, such as ``"dataset_source "``.
    error
        The class to raise.
    """
    try:
        yield
    except OSError as cause:
        if cause.errno == errno.ENOMEM:
            raise MemoryError from cause
        told = {"file": path, "role": role, "cause": cause_of(cause), "field": role.strip()}
        if is_s3(path):
            of_address = cause.errno == errno.EINVAL  # whose cause has the fix
            told["done"] = "written" if is_written else "read"
            raise error.of("stored_file.address" if of_address else "stored_file.object", **told) from cause
        raise error.of(
            "stored_file.unwritable" if is_written else "stored_file.unreadable", **told
        ) from cause


def writing(path: str, role: str = "") -> contextlib.AbstractContextManager[None]:
    """Turn what storage raises inside the block into an OutputError that names the path and the cause."""
    return reading(path, role, OutputError, is_written=True)


def _list_local(source: str, variable: str) -> list[SourceFile]:
    root = Path(source)
    if root.is_file():
        return [SourceFile(source, root.stat().st_size)]
    if not root.exists():
        raise DatasetError.of("stored_file.missing", file=source, field=variable, nearby=nearby(source))
    if not root.is_dir():
        raise DatasetError.of("stored_file.pipe_once", file=source, field=variable)
    files = _walk(source.rstrip("/") or "/")
    for file in files:
        if not file.path.isascii() and file.path.encode(errors="ignore").decode() != file.path:
            raise DatasetError.of("stored_file.name", field=variable, name=file.path)
    return files


def _walk(folder: str) -> list[SourceFile]:
    """Return the files below a folder, each once however many links lead to it."""
    found: dict[str, SourceFile] = {}
    folders, links, seen = [(folder, os.path.realpath(folder))], list[str](), set[str]()
    while folders or links:
        if not folders:
            # Links last, in order of their names: what is there without one is named without it.
            path = heapq.heappop(links)
            real = os.path.realpath(path)
            if os.path.isfile(path):  # noqa: PTH113 - beside realpath, which pathlib makes twice as slow
                found.setdefault(real, SourceFile(path, os.stat(path).st_size))  # noqa: PTH116 - twice as fast
            elif os.path.isdir(path):  # noqa: PTH112 - twice as fast
                folders.append((path, real))
            continue
        path, real = folders.pop()
        if real in seen:
            continue
        seen.add(real)
        with os.scandir(path) as entries:
            for entry in entries:
                if _is_bookkeeping(entry.name):
                    continue
                if entry.is_symlink():
                    heapq.heappush(links, entry.path)
                elif entry.is_dir():
                    folders.append((entry.path, f"{real}/{entry.name}"))
                elif entry.is_file():
                    found.setdefault(f"{real}/{entry.name}", SourceFile(entry.path, entry.stat().st_size))
    return list(found.values())


def _is_bookkeeping(name: str) -> bool:
    return name.startswith((".", "_")) or name.endswith(".crc")


def _list_s3(source: str, variable: str) -> list[SourceFile]:
    found = s3.listed(source)
    if found is None:
        if _DATED_FOLDER.search(source) and s3.has_bucket(source):
            return []
        raise DatasetError.of("stored_file.no_prefix", file=source, field=variable)
    beneath = len(source.rstrip("/"))
    files = [SourceFile(path, size) for path, size in found]
    return [file for file in files if not any(map(_is_bookkeeping, file.path[beneath:].split("/")))]


def _write_durably(contents: Mapping[Path, bytes]) -> None:
    """Write files and wait for the disk: side by side, as one after the other each waits for its own turn."""
    with contextlib.ExitStack() as stack:
        numbers = []
        for path, content in contents.items():
            file = stack.enter_context(path.open("wb"))
            file.write(content)
            file.flush()
            numbers.append(file.fileno())
        executor = stack.enter_context(ThreadPoolExecutor(_MOST_SYNCED, thread_name_prefix="sync"))
        list(executor.map(os.fsync, numbers))


# Temporary folders; in containers with a read-only root there may be none.
#
# Each is locked as long as its process lives, so that a later job can tell what a killed one has left.


_LEAST_BYTES = 1 << 16


@contextlib.contextmanager
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


@contextlib.contextmanager
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
        if is_s3(output_path):
            folder = stack.enter_context(scratch_folder("staging-", "writing to S3"))
        else:
            with writing(output_path, "output_path "):
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
        with writing(str(first)), first.open("ab") as whole:
            for part in others:
                with part.open("rb") as stream:
                    shutil.copyfileobj(stream, whole, _CHUNK)
                part.unlink()
    return first
