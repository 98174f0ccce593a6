"""What is known of one thing that a user can set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Variable:
    """One thing a user can set.

    `kind` is how its text is read; `required` variables have no default, and `required_by` names commands
    that need one which others can do without; `ignored` ones are accepted
    because the originals' jobs carry them, and change nothing. `monitors` are the commands it concerns,
    all of them when empty; `defaults` are those of single commands.
    """

    name: str
    help: str
    kind: Literal["text", "switch", "choice", "count"] = "text"
    default: str | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    required: bool = False
    required_by: tuple[str, ...] = ()
    ignored: bool = False
    example: str = ""
    monitors: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()

    def concerns(self, program: str) -> bool:
        """Return whether a command reads it."""
        return not self.monitors or program in self.monitors

    def is_required(self, program: str) -> bool:
        """Return whether a command cannot do without it."""
        if self.default_for(program) is not None:
            return False
        return program in self.required_by or (self.required and self.concerns(program))

    def default_for(self, program: str) -> str | None:
        """Return what a command takes when it is not set, None for nothing."""
        return dict(self.defaults).get(program, self.default)

    @property
    def flag(self) -> str:
        """Return the flag of the console command."""
        return "--" + self.name.replace("_", "-")
