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
shows (at most 1 KB), so it must stand alone.
"""

from __future__ import annotations

from contract.masking import mask


class MonitorError(Exception):
    """A job that cannot complete.

    Parameters
    ----------
    message
        One sentence naming what is wrong, where, and how to mend it.
    details
        Longer material for the log only, such as the traceback of a user's script.
    file
        The document that is at fault, empty where it is none.
    mistakes
        What is wrong in it: for each mistake a clause that begins with the member's path.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, details: str | None = None, file: str = "", mistakes: tuple[str, ...] = ()
    ) -> None:
        self.message = mask(message)
        self.details = None if details is None else mask(details)
        self.file = file
        self.mistakes = tuple(map(mask, mistakes))
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process and machine boundaries; keep the members when pickled.
        return type(self), (self.message,), self.__dict__


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
