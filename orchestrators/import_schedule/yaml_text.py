"""YAML as people write it, from plain values: enough for manifests, and no library."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# What YAML reads as itself, whichever version: no number, no date, nothing with a colon and a space.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def dump(value: Any, notes: Iterable[str] = ()) -> str:
    """Return a document, its notes as comments above it; texts that could be mistaken are quoted."""
    return comment(notes) + "\n".join(_lines(value)) + "\n"


def comment(notes: Iterable[str]) -> str:
    """Return sentences as lines of comment, ending in a newline."""
    lines = []
    for note in notes:
        lines += textwrap.wrap(note, 108, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines)


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            yield from _entry(f"{_scalar(str(key))}:", member)
    elif isinstance(value, list | tuple) and value:
        for member in value:
            if _is_block(member):
                yield from _entry("-", member)
                continue
            first, *rest = _lines(member)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(name: str, member: Any) -> Iterator[str]:
    if _is_block(member):
        yield f"{name} |"
        yield from (f"  {line}" for line in member.rstrip("\n").split("\n"))
    elif isinstance(member, Mapping | list | tuple) and member:
        yield name
        yield from (f"  {line}" for line in _lines(member))
    else:
        yield f"{name} {_scalar(member)}"


def _is_block(value: Any) -> bool:
    """Return whether a value is lines, which are shown as such."""
    return isinstance(value, str) and value.count("\n") > 1


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.casefold() not in _WORDS:
        return value
    # JSON is YAML; an empty list or object is written so too.
    return json.dumps(value, ensure_ascii=False)
