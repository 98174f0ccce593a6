"""The errors a job can end with, each carrying its exit code.

The tree::

    MonitorError                exit 1  our fault
    └── InputError              exit 2  the user's input or configuration is at fault
        ├── ConfigurationError  a setting is missing, misspelt or malformed
        ├── DatasetError        the data cannot be read
        ├── DocumentError       a statistics or constraints file cannot be used
        ├── ScriptError         a user's script failed or returned something unusable
        ├── ModelError          the model cannot be opened or asked, or answers what cannot be used
        └── OutputError         results cannot be written where the settings ask

A message is one sentence that names the file, the field and the fix. It is what the message file
shows (at most 1 KB), so it must stand alone. The sentences stand in ``sentences.toml``, each under its
code; the code says which one, and its members are what the braces in it are filled with.
"""

import functools
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from contract.masking import mask
from contract.wording import one_line


class Mistake(NamedTuple):
    """One of several things that are wrong.

    Parameters
    ----------
    code
        Which sentence of ``sentences.toml`` says it.
    field
        The setting or the path of the member that is at fault, empty where it is none.
    text
        That sentence, a clause as a rule, without a full stop.
    """

    code: str
    field: str
    text: str


class MonitorError(Exception):
    """A job that cannot complete.

    Parameters
    ----------
    message
        One sentence naming what is wrong, where, and how to mend it.
    details
        Longer material for the log only, such as the traceback of a user's script.
    file
        The file or folder that is at fault, empty where it is none.
    mistakes
        All that is wrong in it, where that was gathered.
    code
        Which sentence of ``sentences.toml`` it is, of several the first; empty for a sentence of its own.
    field
        The setting, column or member that is at fault, empty where it is none.
    fix
        The part of the message that says how to mend it.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        details: str | None = None,
        file: str = "",
        mistakes: tuple[Mistake, ...] = (),
        code: str = "",
        field: str = "",
        fix: str = "",
    ) -> None:
        self.message = mask(message)
        self.details = None if details is None else mask(details)
        self.file = file
        self.mistakes = tuple(mistake._replace(text=mask(mistake.text)) for mistake in mistakes)
        self.code, self.field, self.fix = code, field, mask(fix)
        super().__init__(self.message)

    @classmethod
    def of(cls, code: str, details: str | None = None, **members: Any) -> Self:
        """Return the error whose sentence has `code`; `members` fill its braces."""
        what, fix = _sentence(code)
        what, fix = what.format_map(members), fix.format_map(members)
        file, field = str(members.get("file", "")), str(members.get("field", ""))
        return cls(f"{what}{fix}", details=details, file=file, code=code, field=field, fix=fix.lstrip(";,. "))

    @classmethod
    @contextmanager
    def instead_of(cls, code: str, *kinds: type[BaseException], **members: Any) -> Iterator[None]:
        """Raise the error whose sentence has `code` where the block raises one of `kinds`.

        Members that are functions get that; ``problem`` and ``error`` are its text unless given. A
        MonitorError goes on, unless its very kind is among them.
        """
        try:
            yield
        except kinds as error:
            if isinstance(error, MonitorError) and type(error) not in kinds:
                raise
            told = {"problem": _problem, "error": str, **members}
            made = {name: value(error) if callable(value) else value for name, value in told.items()}
            raise cls.of(code, **made) from error

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process and machine boundaries; keep the members when pickled.
        return type(self), (self.message,), self.__dict__


def _problem(error: BaseException) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return one_line(getattr(error, "strerror", None) or error)  # without the path that follows in OSError


class InputError(MonitorError):
    """The user's input or configuration is at fault."""

    exit_code = 2


class ConfigurationError(InputError):
    """A setting is missing, misspelt or malformed."""


class DatasetError(InputError):
    """The data cannot be read."""


class DocumentError(InputError):
    """A statistics or constraints file cannot be used."""


class ScriptError(InputError):
    """A user's script failed or returned something unusable."""


class ModelError(InputError):
    """The model cannot be opened or asked, or answers what cannot be used."""


class OutputError(InputError):
    """Results cannot be written where the settings ask."""


class Stopped(BaseException):
    """A signal ends the job: unwind, so that partial files are removed. Scripts do not get hold of it."""


class Overtime(Stopped):
    """A script took too long; the text says which."""


def wording(code: str, **members: Any) -> str:
    """Return the sentence, or clause, that has `code`, for a log line, a note or a part of an error."""
    return "".join(_sentence(code)).format_map(members)


@functools.cache
def topic(name: str) -> dict[str, str]:
    """Return all texts of a topic by their names, for tables of them."""
    return {code: "".join(text) for code, text in _sentences(name).items()}


def _sentence(code: str) -> tuple[str, str]:
    room, _, name = code.partition(".")
    return _sentences(room)[name]


@functools.cache
def _sentences(room: str) -> dict[str, tuple[str, str]]:
    """Return what is wrong and how to mend it, by name, of one topic: a job needs few of them."""
    texts = tomllib.loads(_topics()[room])
    return {name: (text, "") if isinstance(text, str) else tuple(text) for name, text in texts.items()}


@functools.cache
def _topics() -> dict[str, str]:
    """Return the part of ``sentences.toml`` below each heading, not parsed yet."""
    text = Path(__file__).with_name("sentences.toml").read_text("utf-8")
    _, *parts = re.split(r"^\[(\w+)\]$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))
