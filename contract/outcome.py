"""How a job ends: the message file and the exit code; and how a dry run does: a checklist."""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from contract.errors import InputError, MonitorError
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


# A checklist: checks that go on after one has failed, and a line for what each of them found.


Found = Literal["ok", "FAIL", "skip"]


class Line(NamedTuple):
    """What a check found.

    Parameters
    ----------
    found
        ``ok``; ``FAIL`` for what would fail a job or make it see nothing; ``skip`` for what could not be
        checked.
    text
        What is in order, what is wrong and how to mend it, or why it was not checked.
    """

    found: Found
    text: str


class NotTriedError(Exception):
    """A dry run leaves something out on purpose; no error of a job.

    Parameters
    ----------
    found
        What was found in order on the way; None for nothing.
    left_out
        What was not tried, and why.
    """

    def __init__(self, found: str | None, left_out: str) -> None:
        super().__init__(left_out)
        self.found = found


def attempt(check: Callable[[], Iterable[str]]) -> Iterator[Line]:
    """Yield a line for each thing a check finds in order, and one for what ends it early, if anything."""
    try:
        for text in check():
            yield Line("ok", text)
    except NotTriedError as end:
        if end.found is not None:
            yield Line("ok", end.found)
        yield Line("skip", str(end))
    except MonitorError as error:
        yield Line("FAIL", error.message)


def obtain[T](make: Callable[[], T], say: Callable[[T], str | None]) -> Generator[Line, None, T | None]:
    """Yield a line on what `make` gives, or on the error it raises, and return what it gives.

    Parameters
    ----------
    make
        Gives what later checks need; None when there is nothing to give.
    say
        The line when it succeeds; None for no line.
    """
    try:
        made = make()
    except MonitorError as error:
        yield Line("FAIL", error.message)
        return None
    text = say(made)
    if text is not None:
        yield Line("ok", text)
    return made


def print_checklist(lines: Iterable[Line], stream: TextIO) -> int:
    """Write the lines as they come, and return the exit code: 0, or 2 when anything failed."""
    exit_code = 0
    for line in lines:
        stream.write(f"{line.found:<6}{mask(' '.join(line.text.split()))}\n")
        stream.flush()
        if line.found == "FAIL":
            exit_code = InputError.exit_code
    return exit_code
