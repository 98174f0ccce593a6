"""Strict JSON in the layout of the original files.

The originals are written by Jackson's default pretty printer on the JVM: two-space indent, a space
on both sides of the colon, ``[ {`` … ``}, {`` … ``} ]`` for lists, no newline at the end, and floats
as ``Double.toString`` prints them (``1.4402689218907343E10``, ``3.8E7``, ``0.0``). Keeping that layout
means that `diff` against an old baseline shows real differences only.
"""

import codecs
import contextlib
import functools
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson

from contract.errors import DocumentError
from contract.schema import require_once

# Java prints numbers as Python does from the first of these up to the second, others with an exponent.
_LEAST_PLAIN, _LEAST_LARGE = 1e-3, 1e7
_MANY = 32
# Bytes of a document that people edit by hand.
_EDITED = 1 << 20


def java_double(value: float) -> str:
    """Return `value` as ``java.lang.Double.toString`` would, with the shortest digits that round-trip.

    Raises
    ------
    ValueError
        For NaN and the infinities, which strict JSON cannot hold.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as strict JSON")
    if value == 0 or _LEAST_PLAIN <= abs(value) < _LEAST_LARGE:
        return repr(float(value))
    return np.format_float_scientific(value, trim="0", exp_digits=1).replace("e", "E").replace("E+", "E")


def dumps(value: Any) -> bytes:
    """Serialise dicts, lists, strings, numbers, booleans, None and 1-D float arrays, as UTF-8."""
    return _text(value, "").encode()


@functools.lru_cache(1024)
def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


# Most of what a document holds, written without a look at anything but its type.
_PLAIN: dict[type, Callable[[Any], str]] = {
    str: _quoted,
    float: java_double,
    int: int.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}


def _text(value: Any, indent: str) -> str:
    if (write := _PLAIN.get(type(value))) is not None:
        return write(value)
    if isinstance(value, dict):
        inner = indent + "  "
        members = [f"{inner}{_quoted(str(key))} : {_text(member, inner)}" for key, member in value.items()]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}" if members else "{ }"
    if isinstance(value, list | tuple | np.ndarray):
        if len(value) >= _MANY and isinstance(value[0], float | int) and (text := _text_of_many(value)):
            return text
        items = value.tolist() if isinstance(value, np.ndarray) else value
        return f"[ {', '.join([_text(item, indent) for item in items])} ]" if items else "[ ]"
    if isinstance(value, np.generic):
        return _text(value.item(), indent)
    return java_double(value) if isinstance(value, float) else orjson.dumps(value).decode()


def _text_of_many(items: Any) -> str:
    """Return a list of integers, or of floats, which nearly all print as in Java; "" for others."""
    kinds = {float} if isinstance(items, np.ndarray) else {*map(type, items)}
    if kinds == {int}:
        return f"[ {orjson.dumps(items).decode()[1:-1].replace(',', ', ')} ]"
    if kinds != {float}:
        return ""
    floats = np.ascontiguousarray(items, np.float64)
    sizes = np.abs(floats)
    odd = np.flatnonzero((sizes != 0.0) & ~((sizes >= _LEAST_PLAIN) & (sizes < _LEAST_LARGE))).tolist()
    if odd:
        floats = floats.copy()
        floats[odd] = np.nan  # which is written as null
    text = orjson.dumps(floats, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].replace(b",", b", ").decode()
    texts = text.split("null") if odd else [text]
    for at, place in enumerate(odd):
        texts[at] += java_double(items[place])
    return f"[ {''.join(texts)} ]"


def loads(data: bytes, where: str) -> dict[str, Any]:
    """Parse a JSON object.

    Parameters
    ----------
    data
        The bytes of the file.
    where
        Its path, for the message.

    Raises
    ------
    DocumentError
        When the bytes are not one JSON object.
    """
    data = data.removeprefix(codecs.BOM_UTF8)  # as some editors write it
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if found := _not_finite(data):
            raise DocumentError.of("json.not_finite", file=where, found=found) from None
        raise DocumentError.of("json.unreadable", file=where, cause=error) from None
    if not isinstance(value, dict):
        raise DocumentError.of("json.no_object", file=where, kind=type(value).__name__)
    if len(data) <= _EDITED:
        with contextlib.suppress(RecursionError, ValueError):
            json.loads(data, object_pairs_hook=functools.partial(require_once, where))
    return value


def _not_finite(data: bytes) -> str | None:
    """Return the path of a member that is NaN or Infinity, and its value; None for any other mistake."""

    def search(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{path} is {json.dumps(value)}"
        is_list = isinstance(value, list)
        for key, member in enumerate(value) if is_list else value.items() if isinstance(value, dict) else ():
            step = f"[{key}]" if is_list else f".{key}"
            yield from search(member, f"{path}{step}".removeprefix("."))

    try:
        return next(search(json.loads(data), ""), None)
    except ValueError:
        return None
