"""Strict JSON in the layout of the original files.

The originals are written by Jackson's default pretty printer on the JVM: two-space indent, a space
on both sides of the colon, ``[ {`` … ``}, {`` … ``} ]`` for lists, no newline at the end, and floats
as ``Double.toString`` prints them (``1.4402689218907343E10``, ``3.8E7``, ``0.0``). Keeping that layout
means that `diff` against an old baseline shows real differences only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson

from contract.errors import DocumentError


def java_double(value: float) -> str:
    """Return `value` as ``java.lang.Double.toString`` would, with the shortest digits that round-trip.

    Raises
    ------
    ValueError
        For NaN and the infinities, which strict JSON cannot hold.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as strict JSON")
    text = repr(float(value))
    sign, text = ("-", text[1:]) if text[0] == "-" else ("", text)
    mantissa, _, exponent_text = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    if (
        not exponent_text
        and len(whole) <= 7
        and (whole != "0" or value == 0 or not fraction.startswith("000"))
    ):
        return sign + text  # 1e-3 <= |value| < 1e7 (or zero): Java prints it as Python does
    digits = whole + ("" if fraction == "0" else fraction)
    exponent = int(exponent_text or 0) + len(whole) - 1
    stripped = digits.lstrip("0")
    exponent -= len(digits) - len(stripped)
    digits = stripped.rstrip("0") or "0"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def dumps(value: Any) -> bytes:
    """Serialise dicts, lists, strings, numbers, booleans, None and 1-D float arrays, as UTF-8."""
    out: list[str] = []
    _write(value, "", out)
    return "".join(out).encode()


def _write(value: Any, indent: str, out: list[str]) -> None:
    if isinstance(value, dict):
        if not value:
            out.append("{ }")
            return
        inner = indent + "  "
        lead = "{\n"
        for key, member in value.items():
            out.append(f"{lead}{inner}{_scalar(str(key))} : ")
            _write(member, inner, out)
            lead = ",\n"
        out.append(f"\n{indent}}}")
    elif isinstance(value, np.ndarray) or (isinstance(value, list) and value and isinstance(value[0], float)):
        _write_floats(value, out)
    elif isinstance(value, list | tuple):
        lead = "[ "
        for member in value:
            out.append(lead)
            _write(member, indent, out)
            lead = ", "
        out.append(" ]" if value else "[ ]")
    else:
        out.append(_scalar(value))


def _write_floats(values: Any, out: list[str]) -> None:
    items = values.tolist() if isinstance(values, np.ndarray) else values
    out.append("[ " + ", ".join([_scalar(item) for item in items]) + " ]" if items else "[ ]")


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return java_double(value)
    if isinstance(value, np.generic):
        return _scalar(value.item())
    return orjson.dumps(value).decode()


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
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DocumentError(
            f"{where} is not valid JSON ({error}); give the file a baseline job wrote, or mend that place."
        ) from None
    if not isinstance(value, dict):
        raise DocumentError(f"{where} holds a JSON {type(value).__name__} where an object was expected.")
    return value
