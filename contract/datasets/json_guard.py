"""Refusing JSON that Arrow's reader dies of, before it does.

Arrow (seen in 26.0) ends the process when the first value of a block is ``null`` instead of an object,
and when values are nested some thousand levels deep.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from contract.datasets.flatten import DEEPEST

_NULL_FIRST = re.compile(rb"(?:\xef\xbb\xbf|[ \t\r\n])*+null")
# A literal at the beginning lets the search skip from line to line.
_NULL_LINES = (re.compile(rb"\n[ \t\r]*+null"), re.compile(rb"\r[ \t\n]*+null"))
_OPENING, _CLOSING, _NEWLINE = ord("{"), ord("}"), ord("\n")
# Sets the one bit in which a bracket differs from the brace of its kind.
_BRACE = 0x20


def refuse_bare_null(data: bytes) -> None:
    """Refuse JSON Lines in which a line begins with ``null``.

    Raises
    ------
    pyarrow.ArrowInvalid
        Where Arrow's reader might crash; other parsers say what is wrong with the line.
    """
    if b"null" in data and (_NULL_FIRST.match(data) or any(line.search(data) for line in _NULL_LINES)):
        raise pa.ArrowInvalid("a line is null")


def refuse_leading_null(data: bytes | pa.Buffer) -> None:
    """Refuse JSON that begins with ``null``: enough where Arrow reads all of `data` as one block.

    Raises
    ------
    pyarrow.ArrowInvalid
        Where Arrow's reader would crash.
    """
    if _NULL_FIRST.match(data):
        raise pa.ArrowInvalid("the first line is null")


def refuse_deep_nesting(data: bytes | pa.Buffer) -> None:
    """Refuse JSON Lines with values nested deeper than `DEEPEST`; brackets inside text count.

    Raises
    ------
    pyarrow.ArrowInvalid
        Where Arrow's reader might crash.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    newlines = text == _NEWLINE
    opens = text | _BRACE == _OPENING
    line_starts = np.count_nonzero(opens[1:] & newlines[:-1])
    if np.count_nonzero(opens) - line_starts < DEEPEST:
        return  # too few brackets besides the one that opens a line
    closes = text | _BRACE == _CLOSING
    places = np.flatnonzero(opens | closes | newlines)
    depth = np.cumsum(opens[places].astype(np.int32) - closes[places])
    last_newline = np.maximum.accumulate(np.where(newlines[places], np.arange(len(places)), -1))
    outside = np.where(last_newline >= 0, depth[last_newline], 0)
    if (depth - outside).max(initial=0) > DEEPEST:
        raise pa.ArrowInvalid(f"values are nested more than {DEEPEST} levels deep")
