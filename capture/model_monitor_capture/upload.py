"""Uploads finished capture files to S3 in the background, and removes them from the disk."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import Any

_log = logging.getLogger("model_monitor_capture")


class Uploader:
    """Looks for finished files every few seconds; what fails is tried again, for as long as it takes.

    Parameters
    ----------
    folder
        Where captures are written. Paths below it become keys.
    target
        ``s3://bucket/prefix``.
    """

    def __init__(self, folder: Path, target: str, every: float = 5.0) -> None:
        bucket, _, prefix = target.removeprefix("s3://").partition("/")
        if not target.startswith("s3://") or not bucket:
            raise ValueError(f"upload is {target!r}; it is s3://bucket/prefix")
        self._folder, self._bucket, self._prefix = folder, bucket, prefix.strip("/")
        self._every = every
        self._client: Any = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture-upload", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 20.0) -> None:
        """Upload what is there, once more, and stop. What stays on the disk goes with the next start."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        wait = self._every
        while not self._stop.wait(wait):
            wait = self._every if self._upload_all() else min(2 * wait, 60.0)
        self._upload_all()

    def _upload_all(self) -> bool:
        for path in sorted(self._folder.rglob("*.jsonl")):
            if path.name.startswith("."):
                continue
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
