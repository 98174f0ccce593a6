"""One thing a user can set: its name, its help, and how its text is read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from contract.dataset_format import parse_dataset_format, parse_rows
from contract.errors import ConfigurationError
from contract.sink_addresses import parse_sinks
from contract.window import parse_duration, read_instant, read_zone

# What a command offers. Shared variables say which of these they need, never which command.
Offer = Literal[
    "analysis",  # it is a monitor: every one offers this
    "table",  # rows of a format that has to be named
    "script",  # a user's script may change the rows
    "segments",  # rows can be divided into segments
    "predictions",  # columns of predictions and labels
    "labels",  # labels can come from elsewhere
    "configuration",  # analysis_config.json, and a model to ask
    "problem",  # the kind of model is told by problem_type
    "distributions",  # drift of single columns
    "attributions",  # rows are explained
    "joining",  # captures and labels are joined, and nothing else
]
Kind = (
    Literal["text", "switch", "choice", "count", "share", "seconds"]
    | Literal["instant", "zone", "names", "texts", "sinks", "format", "rows"]
)


@dataclass(frozen=True)
class Variable:
    """One thing a user can set.

    Parameters
    ----------
    name, aliases
        Of the environment variable; the flag is the name with hyphens.
    help, example
        For ``--help`` and messages.
    kind, choices
        How the text is read.
    needs
        What a command must offer to have it; empty for every command.
    default
        What stands for a text that is not given. `defaults` has those of commands that offer something.
    required
        Whether it must be set where there is no default; `required_with` asks that only of commands that
        offer something.
    ignored
        Accepted, because the originals' jobs carry it, and changes nothing.
    """

    name: str
    help: str
    kind: Kind = "text"
    default: str | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    required: bool = False
    required_with: Offer | None = None
    ignored: bool = False
    example: str = ""
    needs: Offer | None = None
    defaults: tuple[tuple[Offer, str], ...] = ()

    @property
    def flag(self) -> str:
        """Return the flag of the console command."""
        return "--" + self.name.replace("_", "-")

    def read(self, text: str | None) -> Any:
        """Return the value that a text means; None for no text.

        Raises
        ------
        ConfigurationError
            Naming the variable and how to write it.
        """
        return None if text is None else _READERS[self.kind](self, text)


def _switch(variable: Variable, text: str) -> bool:
    words = {"enabled": True, "true": True, "1": True, "yes": True}
    words |= {"disabled": False, "false": False, "0": False, "no": False}
    if text.casefold() not in words:
        raise ConfigurationError.of("setting.switch", field=variable.name, text=text)
    return words[text.casefold()]


def _choice(variable: Variable, text: str) -> str:
    choices = {choice.casefold(): choice for choice in variable.choices}
    if text.casefold() not in choices:
        known = " or ".join(variable.choices)
        raise ConfigurationError.of("setting.choice", field=variable.name, text=text, known=known)
    return choices[text.casefold()]


def _count(variable: Variable, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError.of("setting.count", field=variable.name, text=text)
    return int(text)


def _share(variable: Variable, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 <= number <= 1.0:
        raise ConfigurationError.of("setting.share", field=variable.name, text=text, example=variable.example)
    return number


def _seconds(variable: Variable, text: str) -> float:
    example = variable.example or variable.default or ""
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_duration(variable.name, text, example).total_seconds()
    if not 0.0 < seconds < math.inf:
        raise ConfigurationError.of("setting.seconds", field=variable.name, text=text, example=example)
    return seconds


def _names(variable: Variable, text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _texts(variable: Variable, text: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return _names(variable, text)
    try:
        parts = json.loads(text)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ConfigurationError.of("setting.texts", field=variable.name, text=text)
    return tuple(parts)


_READERS: dict[Kind, Callable[[Variable, str], Any]] = {
    "text": lambda _, text: text,
    "switch": _switch,
    "choice": _choice,
    "count": _count,
    "share": _share,
    "seconds": _seconds,
    "instant": lambda variable, text: read_instant(variable.name, text),
    "zone": lambda variable, text: read_zone(variable.name, text),
    "names": _names,
    "texts": _texts,
    "sinks": lambda variable, text: parse_sinks(variable.name, text),
    "format": lambda _, text: parse_dataset_format(text),
    "rows": lambda _, text: parse_rows(text),
}
