"""JMESPath expressions, compiled once; the plain ones without the cost of the general machinery.

A projection over a list, such as ``instances[*].label``, gives a value for each element here: None where an
element lacks the member. JMESPath leaves such elements out, after which values and rows no longer match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contract.errors import ConfigurationError

Find = Callable[[Any], Any]

_NAME = r'(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\\]+")'
_PLAIN = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_PROJECTION = re.compile(rf"(?:({_NAME}(?:\.{_NAME})*))?\[(?:\*|)\](?:\.({_NAME}(?:\.{_NAME})*))?")
_STEP = re.compile(_NAME)


@dataclass(frozen=True)
class PlainPath:
    """An expression of member names only, or such a projection over one list.

    Parameters
    ----------
    before, after
        Names of members on the way to the list, and from its elements on; all are in `before` where there is
        no list.
    """

    before: tuple[str, ...]
    projects: bool = False
    after: tuple[str, ...] = ()


def plain_path(expression: str) -> PlainPath | None:
    """Return an expression as the names it consists of, None when it is more than that."""
    text = expression.strip()
    if _PLAIN.fullmatch(text):
        return PlainPath(tuple(_steps(text)))
    if match := _PROJECTION.fullmatch(text):
        return PlainPath(tuple(_steps(match[1] or "")), True, tuple(_steps(match[2] or "")))
    return None


def compile_path(expression: str, variable: str) -> Find:
    """Return a function from a JSON value to what the expression finds in it, None where it finds nothing.

    Parameters
    ----------
    expression
        JMESPath.
    variable
        The setting or member that holds it, for messages.

    Raises
    ------
    ConfigurationError
        When it is no JMESPath.
    """
    text = expression.strip()
    if path := plain_path(text):
        return _projection(path.before, path.after) if path.projects else _plain(path.before)
    # Imported late: few jobs need more than the plain paths.
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        compiled = jmespath.compile(text)
    except JMESPathError as error:
        reason = str(error).partition("\n")[0].rstrip(".:")
        raise ConfigurationError(
            f"{variable} is {expression!r}, which is no JMESPath ({reason}); "
            "write for example features, or instances[*].features."
        ) from None

    def find(value: Any) -> Any:
        try:
            return compiled.search(value)
        except JMESPathError:
            return None  # a function met a value of a kind it does not take

    return find


def _steps(text: str) -> list[str]:
    return [step.strip('"') for step in _STEP.findall(text)]


def _plain(steps: Sequence[str]) -> Find:
    if len(steps) == 1:
        [only] = steps

        def find_member(value: Any) -> Any:
            return value.get(only) if isinstance(value, dict) else None

        return find_member

    def find(value: Any) -> Any:
        for step in steps:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    return find


def _projection(before: Sequence[str], after: Sequence[str]) -> Find:
    find_list = _plain(before) if before else _itself
    find_member = _plain(after) if after else _itself

    def find(value: Any) -> Any:
        elements = find_list(value)
        return [find_member(element) for element in elements] if isinstance(elements, list) else None

    return find


def _itself(value: Any) -> Any:
    return value
