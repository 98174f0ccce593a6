"""The JSON documents of all monitors: members declared once, to read and to write.

Those of bias and explanations have a layout and numbers of their own: the originals are written by Python's
``json`` with an indent of four spaces and no newline at the end. Infinities are the texts ``"Infinity"`` and
``"-Infinity"``, which strict JSON can hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of
from typing import Any, Literal

from contract.errors import DocumentError
from contract.schema import Fields, in_order

VERSION = "1.0"

_SPECIAL = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def dumps(value: Any) -> str:
    """Return JSON values as text in the layout of the original files."""
    return json.dumps(value, indent=4, allow_nan=False)


def number_to_json(value: float | None) -> float | str | None:
    """Return a number as JSON holds it: infinities as text, what is undefined as null."""
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def read_number(fields: Fields, key: str) -> float | None:
    """Return a number, an infinity given as text, or None for null and NaN.

    Raises
    ------
    DocumentError
        Naming file and path, for any other text.
    """
    member: float | str | None = fields.get(key, (int, float, str), None)
    if not isinstance(member, str):
        return member  # integers stay integers, so that they are written as they were read
    if member not in _SPECIAL:
        raise DocumentError.of("members.number", file=fields.where, field=key, value=member)
    value = _SPECIAL[member]
    return None if math.isnan(value) else value


def read_range(fields: Fields, key: str) -> tuple[float, float] | None:
    """Return two numbers, the lower end first; None where they are absent.

    Raises
    ------
    DocumentError
        Naming file and path, for anything else.
    """
    member = fields.get(key, list, None)
    if member is None:
        return None
    where = f"{fields.where}.{key}"
    ends = [read_number(Fields({"end": end}, where), "end") for end in member]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        raise DocumentError.of("members.range", file=where, value=member)
    return ends[0], ends[1]


def range_to_json(ends: tuple[float, float]) -> list[float | str | None]:
    """Return two numbers as JSON holds them."""
    return [number_to_json(end) for end in ends]


# Members of a JSON object and the attributes of the dataclass that hold them.

Read = Callable[[Fields, str], Any]


def _as_it_is(value: Any) -> Any:
    return value


def member(kinds: type | tuple[type, ...], *default: Any) -> Read:
    """Return a reader of members of these kinds; without a default they must be there."""
    return lambda fields, key: fields.get(key, kinds, *default)


def nested(read: Callable[[Fields], Any]) -> Read:
    """Return a reader of an object, None where it is absent."""
    return lambda fields, key: None if (members := fields.child(key)) is None else read(members)


def read_numbers(fields: Fields, key: str) -> list[float]:
    """Return a list of numbers, empty where it is absent.

    Raises
    ------
    DocumentError
        Naming file and path, for anything else in it.
    """
    numbers: list[float] = fields.get(key, list, [])
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise DocumentError.of("members.numbers", file=fields.where, field=key)
    return numbers


@dataclass(frozen=True)
class Member:
    """One member of a JSON object.

    Parameters
    ----------
    key
        In the file.
    read, write
        From the file to the attribute, and back.
    attribute
        The attribute; of the same name as `key` when empty.
    written
        ``if known``: unless it is None. ``if any``: unless it is empty or zero.
    """

    key: str
    read: Read
    write: Callable[[Any], Any] = _as_it_is
    attribute: str = ""
    written: Literal["always", "if known", "if any"] = "if known"


def stored(
    read: Read,
    write: Callable[[Any], Any] = _as_it_is,
    key: str = "",
    *,
    written: Literal["always", "if known", "if any"] = "if known",
    part: str = "",
    **default: Any,
) -> Any:
    """Return a field of a dataclass that is a member, see `Member`, of the document or of an object in it."""
    return field(metadata={"member": Member(key, read, write, "", written), "part": part}, **default)


def members_of(kind: type, part: str = "") -> tuple[Member, ...]:
    """Return the members that the fields of a dataclass are, in their order."""
    declared = [one for one in fields_of(kind) if one.metadata.get("part") == part]
    return tuple(
        replace(one.metadata["member"], key=one.metadata["member"].key or one.name, attribute=one.name)
        for one in declared
    )


def read_texts(fields: Fields, key: str) -> list[str]:
    """Return a list of texts, empty where it is absent."""
    return [str(text) for text in fields.get(key, list, [])]


def read_members(members: Iterable[Member], fields: Fields) -> dict[str, Any]:
    """Return the attributes that the members of an object are."""
    return {each.attribute or each.key: each.read(fields, each.key) for each in members}


def read_document[Document](
    kind: Callable[..., Document], members: Iterable[Member], fields: Fields, **further: Any
) -> Document:
    """Return a dataclass made of an object; what is unknown is kept in its ``extra``."""
    known = read_members(members, fields) | further
    return kind(**known, extra=fields.extra(), order=fields.order())


def write_members(members: Iterable[Member], document: Any) -> dict[str, Any]:
    """Return the JSON members that attributes are."""
    written = {}
    for each in members:
        value = getattr(document, each.attribute or each.key)
        if each.written == "always" or (value is not None and (value or each.written == "if known")):
            written[each.key] = each.write(value)
    return written


def write_document(members: Iterable[Member], document: Any) -> dict[str, Any]:
    """Return a dataclass as a JSON object, with what was unknown, in the order of the file it came from."""
    return in_order(write_members(members, document), document.extra, document.order)


def read_list(kind: Callable[..., Any], members: Iterable[Member], *default: list[Any]) -> Read:
    """Return a reader of a list of objects."""
    return lambda fields, key: [read_document(kind, members, each) for each in fields.children(key, *default)]


def write_list(members: Iterable[Member]) -> Callable[[Iterable[Any]], list[Any]]:
    """Return a writer of a list of objects."""
    return lambda documents: [write_document(members, each) for each in documents]
