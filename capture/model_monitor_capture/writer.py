"""Capture records, and the thread that writes them into files: no request ever waits for the disk.

A file is unfinished while it is written (``.name.jsonl.open``, its lock held) and appears whole, under its
name, when its hour ends, when it is large or old enough, and when the writer closes. What a killed writer
left unfinished is cut at its last whole line and completed by the next writer in the folder.
"""

import atexit
import base64
import contextlib
import fcntl
import functools
import itertools
import json
import logging
import mmap
import os
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

# One capture record: what is captured of a call, and how it is written down.


NO_CAPTURE_HEADER = "X-Model-Monitor-No-Capture"
ID_HEADER = "X-Amzn-SageMaker-Inference-Id"


@dataclass(frozen=True)
class Selection:
    """Which calls are captured.

    Parameters
    ----------
    share
        Share of calls, 0 to 1. The id decides, so a request and its label are in or out together.
    max_payload
        Bytes of a request or an answer; a call with a larger one is left out and counted.
    skip_content_types
        Beginnings of content types to leave out, such as ``image/``.
    paths
        Paths of the service whose calls are captured; empty for all.
    """

    share: float = 1.0
    max_payload: int = 1 << 20
    skip_content_types: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}; it is a share of calls, from 0 to 1")
        if self.max_payload < 1:
            raise ValueError(f"max_payload is {self.max_payload}; it is a number of bytes, 1 or more")
        for name in ("skip_content_types", "paths"):
            _require_several(name, getattr(self, name))
        if wrong := [path for path in self.paths if not path.startswith("/")]:
            raise ValueError(f"paths has {wrong[0]!r}; a path begins with /")
        if wrong := [kind for kind in self.skip_content_types if "*" in kind]:
            raise ValueError(f"skip_content_types has {wrong[0]!r}; write the beginning, such as 'image/'")

    def takes_id(self, call_id: str) -> bool:
        """Return whether the call with this id is in the sample."""
        if self.share >= 1:
            return True
        from hashlib import blake2b

        return int.from_bytes(blake2b(call_id.encode(), digest_size=8).digest(), "big") < self.share * 2**64

    def takes_type(self, content_type: str | None) -> bool:
        """Return whether payloads of this content type are captured."""
        skipped = tuple(kind.lower() for kind in self.skip_content_types)
        return not (content_type or "").lower().startswith(skipped)

    def takes_path(self, path: str) -> bool:
        """Return whether calls of this path are captured."""
        return not self.paths or path in self.paths


@dataclass(frozen=True)
class Masking:
    """What never reaches a file: JSON members by name at any depth, CSV cells by zero-based position.

    A request is not kept where only the other kind has something named: nobody said what to hide in it.
    """

    members: Collection[str] = ()
    cells: Collection[int] = ()

    def __post_init__(self) -> None:
        _require_several("members", self.members)
        if not all(isinstance(place, int) and place >= 0 for place in self.cells):
            raise ValueError(f"cells is {self.cells!r}; it holds positions, counted from 0")

    def leaves_open(self, encoding: str) -> bool:
        """Return whether only the other kind of payload has something to mask."""
        named, other = (self.members, self.cells) if encoding == "JSON" else (self.cells, self.members)
        return bool(other) and not named

    def masked(self, text: str, encoding: str) -> str | None:
        """Return the payload without what is masked; None where masking cannot be applied."""
        if encoding == "JSON" and self.members:
            try:
                lines = [json.dumps(self._without(value, "")) for value in _values(text)]
            except (ValueError, RecursionError):
                return None
            return "\n".join(lines)
        if encoding == "CSV" and self.cells:
            import csv
            import io

            out = io.StringIO()
            try:
                for row in csv.reader(io.StringIO(text), strict=True):
                    if len(row) <= max(self.cells) and _OTHER_SEPARATORS.intersection("".join(row)):
                        return None  # its cells are others
                    cells = ["" if place in self.cells else cell for place, cell in enumerate(row)]
                    csv.writer(out, lineterminator="\n").writerow(cells)
            except csv.Error:
                return None
            return out.getvalue()
        return text if encoding != "BASE64" or not (self.members or self.cells) else None

    def _without(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {name: self._hidden(entry, f"{path}.{name}") for name, entry in value.items()}
        return [self._without(entry, path) for entry in value] if isinstance(value, list) else value

    def _hidden(self, value: Any, path: str) -> Any:
        is_named = any(path.endswith(f".{member}") for member in self.members)
        return None if is_named else self._without(value, path)


def _require_several(name: str, value: object) -> None:
    if isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, one text; write ({value!r},)")


def _values(text: str) -> list[Any]:
    """Return what a payload holds: one value, or one a line where it is JSON Lines."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


LAST = 10_413_792_000  # the year 2300, in seconds since 1970


def new_id() -> str:
    """Return a random UUID."""
    return str(uuid4())


def payload(data: bytes, content_type: str | None, mode: str, masking: Masking) -> dict[str, Any] | None:
    """Return one side of a record, None where masking forbids to keep it.

    JSON and CSV are told by the content type and kept as text; anything else becomes BASE64.
    """
    kind = (content_type or "").lower().split(";")[0].strip()
    encoding, text = "BASE64", ""
    if kind.endswith(("/json", "+json", "/jsonlines", "/x-jsonlines", "/x-ndjson", "/jsonl", "/csv")):
        with contextlib.suppress(UnicodeDecodeError):
            text = data.decode("utf-8")
            encoding = "CSV" if kind.endswith("/csv") else "JSON"
    kept = masking.masked(text, encoding)
    if kept is None or (mode == "INPUT" and masking.leaves_open(encoding)):
        return None
    if encoding == "BASE64":
        kept = base64.b64encode(data).decode()
    return {"observedContentType": content_type, "mode": mode, "data": kept, "encoding": encoding}


def line_of(
    parts: dict[str, dict[str, Any]], inference_id: str | None, event_id: str, seconds: float
) -> bytes:
    """Return the record's line, in the layout of SageMaker's capture files.

    Parameters
    ----------
    parts
        What `payload` returned, by the names that captures have for request and answer.
    inference_id
        The caller's id; labels join by it, else by `event_id`.
    seconds
        Time of the call, seconds since 1970 in UTC.
    """
    metadata: dict[str, Any] = {"eventId": event_id}
    if inference_id is not None:
        metadata["inferenceId"] = inference_id
    metadata["inferenceTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    record = {"captureData": parts, "eventMetadata": metadata, "eventVersion": "0"}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


# The writer and its files.


_OPEN = ".open"
_OTHER_SEPARATORS = frozenset(";\t|")
# Where locks do not work, a file that nobody has written for so long belongs to nobody.
_ABANDONED_SECONDS = 2 * 3600.0
# How long the first record waits for others: a thread that wakes for each would slow the service down.
_GATHER_SECONDS = 0.05
_UPLOAD_SECONDS = 5.0
# How long the file of an hour that is over waits for calls that began in it.
_LATE_SECONDS = 10.0
# Files of as many hours are written side by side, as when logs of the past are captured.
_MOST_OPEN = 200
_COUNTED = ("captured", "dropped", "paused", "failed", "too_large", "masked", "encoded", "unread")
_log = logging.getLogger("model_monitor_capture")
_writers: weakref.WeakSet["CaptureWriter"] = weakref.WeakSet()


class CaptureWriter:
    """Writes captures below ``folder/endpoint/variant/yyyy/mm/dd/hh``.

    Parameters
    ----------
    folder
        Where captures go; made when absent. A volume that is lost takes its captures along.
    endpoint, variant
        Names of the service and of the model in it: two folders of the path.
    selection, masking
        What is captured, and what of it never reaches a file.
    queue_bytes
        Bytes that wait for the disk at most. Beyond that records are dropped and counted.
    file_bytes, file_seconds
        Size and age at which a file is finished before its hour ends.
    disk_share
        Used share of the disk above which capture pauses.
    upload
        ``s3://bucket/prefix``: finished files go there in the background, and from the disk.

    Notes
    -----
    ``counts`` tells what became of calls: ``captured``, ``dropped`` (the queue was full), ``paused`` (the
    disk was), ``failed`` (the disk refused), ``too_large``, ``masked`` (masking could not be applied),
    ``encoded`` (gzip, say, hides request or answer) and ``unread`` (the service did not read all of it).
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        endpoint: str = "service",
        variant: str = "AllTraffic",
        *,
        selection: Selection | None = None,
        masking: Masking | None = None,
        queue_bytes: int = 32 << 20,
        file_bytes: int = 64 << 20,
        file_seconds: float = 3600.0,
        disk_share: float = 0.75,
        upload: str | None = None,
    ) -> None:
        for name, value in (("endpoint", endpoint), ("variant", variant)):
            if not value or "/" in value or value.startswith("."):
                raise ValueError(f"{name} is {value!r}; it is the name of a folder")
        limits = {"queue_bytes": queue_bytes, "file_bytes": file_bytes, "file_seconds": file_seconds}
        for name, limit in limits.items():
            if limit <= 0:
                raise ValueError(f"{name} is {limit}; it must be more than 0")
        if not 0 < disk_share <= 1:
            raise ValueError(f"disk_share is {disk_share}; it is a share of the disk, up to 1")
        if upload is not None and (not upload.startswith("s3://") or upload[5:6] in ("", "/")):
            raise ValueError(f"upload is {upload!r}; it is s3://bucket/prefix")
        self.folder = Path(folder)
        self.selection = selection or Selection()
        self.counts = dict.fromkeys(_COUNTED, 0)
        self._base = self.folder / endpoint / variant
        self._masking = masking or Masking()
        self._limits = (queue_bytes, file_bytes, file_seconds, disk_share)
        self._upload = upload
        self._begin()
        _writers.add(self)
        _finish_at_exit()

    def _begin(self) -> None:
        """Start empty, in a new process too: what waits belongs to the process that captured it."""
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._files: dict[int, _OpenFile] = {}  # by hour, the one written last at the end
        self._paused = self._failing = False

    def capture(
        self,
        request: bytes | str,
        response: bytes | str | None = None,
        *,
        request_type: str | None = "application/json",
        response_type: str | None = "application/json",
        inference_id: str | None = None,
        event_id: str | None = None,
        seconds: float | None = None,
    ) -> str | None:
        """Capture one call; returns at once, whatever the disk does.

        Parameters
        ----------
        request, response
            Payloads as they went over the wire.
        request_type, response_type
            Their content types.
        inference_id
            The caller's id for this call; labels name it.
        event_id
            An id of the call's own, random unless given.
        seconds
            When it was, seconds since 1970 in UTC; now unless given.

        Returns
        -------
        The id that a label must name; None where the call is not captured.
        """
        if seconds is not None and seconds >= LAST:
            raise ValueError(f"seconds is {seconds}, long after today; it is seconds since 1970")
        event_id = event_id or new_id()
        inference_id = None if inference_id in (None, "") else str(inference_id)
        known = inference_id or event_id
        is_taken = self.selection.takes_id(known) and self.selection.takes_type(request_type)
        if not (is_taken and self.selection.takes_type(response_type)):
            return None
        parts: dict[str, dict[str, Any]] = {}
        for data, kind, mode in ((request, request_type, "INPUT"), (response, response_type, "OUTPUT")):
            if data is None:
                continue
            if not isinstance(data, str | bytes | bytearray):
                raise TypeError(f"a payload is {type(data).__name__}; give its bytes or text, as it was sent")
            raw = data.encode() if isinstance(data, str) else data
            if len(raw) > self.selection.max_payload:
                self.counts["too_large"] += 1
                return None
            if (part := payload(raw, kind, mode, self._masking)) is None:
                self.counts["masked"] += 1
                _warn_once("A call is left out: masking needs JSON or CSV, by Content-Type, to look into it.")
                return None
            first, cells = raw.partition(b"\n")[0], self._masking.cells
            if cells and mode == "OUTPUT" and part["encoding"] == "CSV" and min(cells) <= first.count(b","):
                _warn_once("Masking(cells=...) empties cells of CSV answers, too, predictions among them.")
            parts["endpointInput" if mode == "INPUT" else "endpointOutput"] = part
        seconds = time.time() if seconds is None else seconds
        return known if self._put(seconds, line_of(parts, inference_id, event_id, seconds)) else None

    def _put(self, seconds: float, line: bytes) -> bool:
        with self._lock:
            is_over = self._closed and not _is_terminating
            if is_over or self._paused or self._waiting_bytes + len(line) > self._limits[0]:
                self.counts["paused" if self._paused else "dropped"] += 1
                return False
            is_first = not self._waiting
            self._waiting.append((seconds, line))
            self._waiting_bytes += len(line)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="capture-writer", daemon=True)
                self._thread.start()
        if is_first:
            self._wake.set()
        return True

    def close(self, timeout: float = 30.0) -> None:
        """Write what waits, finish the file and stop; later calls are counted as dropped."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join(timeout)

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        """Write what came since `close`; who captures from here on waits for the process to end."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._write(self._waiting)
                self._finish([*self._files.values()])
            yield

    def _run(self) -> None:
        self._complete_abandoned()
        uploader = Uploader(self.folder, self._upload) if self._upload else None
        checked = 0.0
        while True:
            if not self._closed:
                if self._wake.wait(1.0):
                    time.sleep(_GATHER_SECONDS)
                self._wake.clear()
            if time.monotonic() - checked >= 1.0:
                checked = time.monotonic()
                self._look_at_disk()
                now, oldest = time.time(), self._limits[2]
                if over := [file for file in self._files.values() if file.is_over(now, oldest)]:
                    self._finish(over)
                    self._complete_abandoned()
            with self._lock:
                batch, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
                ends = self._closed
            if batch:
                self._write(batch)
            if ends and not batch:
                break
        self._finish([*self._files.values()])
        if uploader is not None:
            uploader.close()

    def _write(self, batch: deque[tuple[float, bytes]]) -> None:
        """Write what waits, hour by hour: calls that end as an hour does come with those of the next."""
        by_hour = sorted(batch, key=lambda call: _hour_of(call[0]))
        for hour, group in itertools.groupby(by_hour, lambda call: _hour_of(call[0])):
            calls = list(group)
            try:
                file = self._files.pop(hour, None) or _OpenFile(self._base, calls[0][0])
                self._files[hour] = file
                file.append(b"".join(line for _, line in calls))
                self.counts["captured"] += len(calls)
                if file.size >= self._limits[1]:
                    self._finish([file])
                self._finish([*self._files.values()][:-_MOST_OPEN])
                self._failing = False
            except OSError as error:
                if not self._failing:
                    _log.error("Captures cannot be written below %s: %s.", self._base, error)
                self._failing = True
                self.counts["failed"] += len(calls)
        batch.clear()

    def _finish(self, files: Collection["_OpenFile"]) -> None:
        for file in files:
            del self._files[file.hour]
            with contextlib.suppress(OSError):
                file.finish()

    def _look_at_disk(self) -> None:
        try:
            disk = os.statvfs(self.folder)
        except OSError:
            return
        used_blocks = disk.f_blocks - disk.f_bfree
        used = used_blocks / max(used_blocks + disk.f_bavail, 1)  # as `df` says it, without what is reserved
        paused = used > self._limits[3]
        if paused != self._paused:
            state = "pauses" if paused else "goes on"
            _log.warning("Capture %s: %.0f %% of the disk of %s are used.", state, 100 * used, self.folder)
            with self._lock:
                self._paused = paused

    def _complete_abandoned(self) -> None:
        """Complete what killed writers left in the folder of this endpoint."""
        with contextlib.suppress(OSError):
            for path in sorted(self._base.rglob(f".*{_OPEN}")):
                with contextlib.suppress(OSError):
                    complete_if_abandoned(path)


def _hour_of(seconds: float) -> int:
    return int(seconds // 3600)


class _OpenFile:
    """An unfinished file of one hour, with its lock held."""

    def __init__(self, base: Path, seconds: float) -> None:
        self.hour = _hour_of(seconds)
        folder = base / time.strftime("%Y/%m/%d/%H", time.gmtime(seconds))
        folder.mkdir(parents=True, exist_ok=True)
        moment = f"{time.strftime('%M-%S', time.gmtime(seconds))}-{int(seconds * 1000) % 1000:03d}"
        self._final = folder / f"{moment}-{new_id()}.jsonl"
        self._path = folder / f".{self._final.name}{_OPEN}"
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.size = 0
        self._began = self._written = time.monotonic()

    def is_over(self, now: float, oldest: float) -> bool:
        """Return whether its hour is over and no call of it came lately, or it is old enough."""
        elapsed = time.monotonic()
        is_past = now // 3600 > self.hour and elapsed - self._written >= _LATE_SECONDS
        return is_past or elapsed - self._began >= oldest

    def append(self, data: bytes) -> None:
        """Append whole lines; what a full disk took of them is cut off again."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        self.size += len(data)
        self._written = time.monotonic()

    def finish(self) -> None:
        """Let the file appear under its name, or vanish when nothing is in it."""
        try:
            if self.size:
                self._path.rename(self._final)
            else:
                self._path.unlink()
        finally:
            os.close(self._descriptor)

    def forget(self) -> None:
        """Leave the file to the process that writes it: a copy of its descriptor would keep its lock."""
        os.close(self._descriptor)


class Uploader:
    """Looks for finished files every few seconds; what fails is tried again, for as long as it takes.

    Parameters
    ----------
    folder
        Where captures are written. Paths below it become keys.
    target
        ``s3://bucket/prefix``.
    """

    def __init__(self, folder: Path, target: str) -> None:
        bucket, _, prefix = target.removeprefix("s3://").partition("/")
        self._folder, self._bucket, self._prefix = folder, bucket, prefix.strip("/")
        self._client: Any = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture-upload", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 20.0) -> None:
        """Upload what is there, once more, and stop. What stays on the disk goes with the next start."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        wait = _UPLOAD_SECONDS
        while not self._stop.wait(wait):
            wait = _UPLOAD_SECONDS if self._upload_all() else min(2 * wait, 60.0)
        self._upload_all()

    def _upload_all(self) -> bool:
        for path in sorted(self._folder.rglob("[!.]*.jsonl")):
            try:
                self._upload(path)
            except FileNotFoundError:
                continue  # another worker of this service was faster
            except Exception as error:
                _log.warning("Captures stay on the disk for now, %s takes none: %s", self._bucket, error)
                return False
        return True

    def _upload(self, path: Path) -> None:
        if self._client is None:
            import boto3
            from botocore.config import Config

            patience = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 2})
            self._client = boto3.client("s3", config=patience)
        with path.open("rb") as stream, contextlib.suppress(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            key = "/".join(part for part in (self._prefix, str(path.relative_to(self._folder))) if part)
            # One request: the object is there whole or not at all.
            self._client.put_object(Bucket=self._bucket, Key=key.replace(os.sep, "/"), Body=stream)
            path.unlink(missing_ok=True)


def complete_if_abandoned(path: Path) -> None:
    """Complete an unfinished file that nobody writes: cut it at its last whole line, and let it appear."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        least = 0.0
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            least = _ABANDONED_SECONDS
        found = os.fstat(descriptor)
        end, age = found.st_size, time.time() - found.st_mtime
        # A writer that has just made its file has not locked it yet.
        if age < (least or (0.0 if end else 60.0)) or not path.exists():
            return
        if end:
            with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
                end = content.rfind(b"\n") + 1
        if end:
            os.ftruncate(descriptor, end)
            path.rename(path.with_name(path.name[1 : -len(_OPEN)]))
        else:
            path.unlink()
    finally:
        os.close(descriptor)


@functools.cache
def _warn_once(text: str) -> None:
    _log.warning("%s", text)


def _close_all() -> None:
    for writer in list(_writers):
        writer.close()


def _on_termination(number: int, frame: object) -> None:
    def end() -> None:
        global _is_terminating
        _is_terminating = True  # calls that are answered until the end are kept
        _close_all()
        with contextlib.ExitStack() as stack:
            for writer in list(_writers):
                stack.enter_context(writer.ended())
            os.kill(os.getpid(), number)

    # In a thread, because the code that was interrupted may hold a lock that closing needs.
    signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=end).start()


def _begin_in_child() -> None:
    for writer in list(_writers):
        for file in writer._files.values():
            file.forget()
        writer._begin()


_at_exit = False
_is_terminating = False


def _finish_at_exit() -> None:
    """Write what waits when the process ends; SIGTERM ends it unless somebody handles that signal."""
    global _at_exit
    if not _at_exit:
        _at_exit = True
        atexit.register(_close_all)
        os.register_at_fork(after_in_child=_begin_in_child)
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_termination)
