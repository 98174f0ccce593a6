"""The table of everything a user can set: one row per variable of the container contract.

`contract.settings` reads them; ``docs/settings.md`` lists them, and a test holds the two together.
"""

from __future__ import annotations

from contract.variables import analysis, predictions, process, results
from contract.variables.process import DEFAULT_MESSAGE_FILE
from contract.variables.variable import Variable

__all__ = ["DEFAULT_MESSAGE_FILE", "VARIABLES", "VARIABLE_BY_NAME", "Variable"]

VARIABLES: tuple[Variable, ...] = (
    *analysis.VARIABLES,
    *predictions.VARIABLES,
    *results.VARIABLES,
    *process.VARIABLES,
)

VARIABLE_BY_NAME: dict[str, Variable] = {
    name: variable for variable in VARIABLES for name in (variable.name, *variable.aliases)
}
