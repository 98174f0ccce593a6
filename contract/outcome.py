"""How a job ends: the message file and the exit code."""

import logging
from pathlib import Path

from contract.masking import mask
from contract.settings import DEFAULT_MESSAGE_FILE

EXIT_COMPLETED = 0
EXIT_VIOLATIONS = 3
EXIT_NOT_DELIVERED = 4
EXIT_UNDECIDED = 5
MESSAGE_BYTES = 1024

_log = logging.getLogger(__name__)


def shorten(text: str, limit: int = MESSAGE_BYTES) -> str:
    """Return `text` cut to `limit` bytes of UTF-8, on a character boundary, on one line, without secrets."""
    text = mask(" ".join(text.split()))
    data = text.encode("utf-8", errors="replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", errors="ignore") + "..."


def write_message(path: str, text: str) -> None:
    """Write the outcome; a place that cannot be written is logged, since the outcome itself stands.

    Outside of SageMaker the default place seldom exists, which nobody needs to be told.
    """
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shorten(text), encoding="utf-8")
    except OSError as error:
        level = logging.DEBUG if path == DEFAULT_MESSAGE_FILE else logging.WARNING
        _log.log(level, "The outcome could not be written to %s (%s).", path, error.strerror)
