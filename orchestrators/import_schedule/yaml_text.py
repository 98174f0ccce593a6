"""YAML as people write it, from plain values."""

from __future__ import annotations

import re
from typing import Any

import yaml  # type: ignore[import-untyped] # it has no types of its own

# What every version of YAML reads as itself: no number, no date, nothing with a colon and a space.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
# Characters that some readers take for the end of a line.
_LINES = re.compile("[\r\x85\u2028\u2029\ufeff]")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # PyYAML has no types
    """Writes plain words as they are, several lines as such, and any other text in quotes."""

    def ignore_aliases(self, _: Any) -> bool:
        """Write everything out, however often it occurs."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        """Indent lists below their names."""
        return super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style: str | None = '"'
    if _PLAIN.fullmatch(text) and text.casefold() not in _WORDS:
        style = None
    elif not _LINES.search(text) and (text.count("\n") > 1 or ('"' in text and "\n" not in text)):
        style = "|" if "\n" in text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def dump(value: Any, header: str = "") -> str:
    """Return a document below its comment; texts that could be mistaken are quoted."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=False
    )
    return header + text
