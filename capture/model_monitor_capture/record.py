"""One capture record: what is captured of a call, and how it is written down."""

import base64
import contextlib
import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

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
    """What never reaches a file: JSON members by name at any depth, CSV cells by zero-based position."""

    members: Collection[str] = ()
    cells: Collection[int] = ()

    def masked(self, text: str, encoding: str) -> str | None:
        """Return the payload without what is masked; None where masking cannot be applied."""
        if encoding == "JSON" and self.members:
            try:
                lines = [json.dumps(self._without(value)) for value in _values(text)]
            except (ValueError, RecursionError):
                return None
            return "\n".join(lines)
        if encoding == "CSV" and self.cells:
            import csv
            import io

            out = io.StringIO()
            try:
                for row in csv.reader(io.StringIO(text), strict=True):
                    cells = ["" if place in self.cells else cell for place, cell in enumerate(row)]
                    csv.writer(out, lineterminator="\n").writerow(cells)
            except csv.Error:
                return None
            return out.getvalue()
        return text if encoding != "BASE64" or not (self.members or self.cells) else None

    def _without(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: None if name in self.members else self._without(entry) for name, entry in value.items()
            }
        return [self._without(entry) for entry in value] if isinstance(value, list) else value


def _values(text: str) -> list[Any]:
    """Return what a payload holds: one value, or one a line where it is JSON Lines."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


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
    if kept is None:
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
