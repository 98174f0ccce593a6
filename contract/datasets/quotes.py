"""Where CSV records end: line ends that are not inside a quoted field.

A quote opens a field only as its first character (RFC 4180); inside, two quotes stand for one. Any
other quote, such as that of ``5" pipe``, is an ordinary character.
"""

from __future__ import annotations

import re

import numpy as np

from contract.errors import DatasetError

# A quoted field longer than this is a quote that somebody forgot to close.
LONGEST_FIELD = 64 << 20

# Written so that it begins with a plain character, which is searched for much faster.
_OPENING = re.compile(rb'"(?<![^,\r\n]")')
_REST_OF_FIELD = re.compile(rb'(?:[^"]|"")*+"')
_LINE_END = re.compile(rb"\r\n?|\n")
_QUOTE, _NEWLINE = ord('"'), ord("\n")
_MAY_ADJOIN = np.zeros(256, dtype=bool)
_MAY_ADJOIN[list(b',\r\n"')] = True


def lines_are_records(data: bytes) -> bool:
    """Return whether no line end of a block is inside a quoted field.

    Parameters
    ----------
    data
        Whole lines that begin outside quotes.
    """
    if b'"' not in data:
        return True
    text = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    newlines = np.flatnonzero(text == _NEWLINE)
    quotes_before = np.append(np.searchsorted(quotes, newlines), len(quotes))
    quotes_in_line = np.diff(quotes_before, prepend=0)
    odd_lines = np.flatnonzero(quotes_in_line % 2)
    if not len(odd_lines) and not len(_stray_quotes(text, quotes)):
        return True
    # Counting does not decide lines with odd or stray quotes: they are read one by one.
    line = np.searchsorted(newlines, quotes)
    in_line = np.arange(len(quotes)) - np.append(0, quotes_before)[line]
    stray_lines = line[_stray_quotes(text, quotes, in_line)]
    starts, ends = np.append(0, newlines + 1), np.append(newlines + 1, len(data))
    return not any(
        _ends_inside_field(data[starts[line] : ends[line]])
        for line in np.union1d(odd_lines, stray_lines).tolist()
    )


def last_record_end(data: bytes, path: str = "The data") -> int:
    """Return where the last whole record ends, 0 when there is none.

    Parameters
    ----------
    data
        The beginning of some records; begins outside quotes, may end anywhere.
    path
        The file, for the message.

    Raises
    ------
    DatasetError
        When a quoted field seems never to end.
    """
    end = data.rfind(b"\n") + 1
    if lines_are_records(data[:end]):
        return end
    end, unclosed = _scan(data)
    if unclosed is not None and len(data) - unclosed > LONGEST_FIELD:
        excerpt = data[unclosed : unclosed + 80].decode(errors="replace")
        raise DatasetError(
            f"{path} has a quote that is not closed within {LONGEST_FIELD >> 20} MB: {excerpt!r}; close it, "
            "or write it twice in a quoted cell if it is text."
        )
    return end


def unclosed_field(data: bytes) -> int | None:
    """Return where a quoted field opens that does not end, None when there is none.

    Parameters
    ----------
    data
        Records that begin outside quotes, up to the end of the file.
    """
    # Closed fields hold an even number of quotes; this spares most files the second look.
    return _scan(data)[1] if data.count(b'"') % 2 else None


def first_record_end(data: bytes) -> int:
    """Return where the first record ends, after its line end; 0 when `data` does not hold all of it."""
    position = 0
    while True:
        opening = _OPENING.search(data, position)
        line_end = _LINE_END.search(data, position, opening.start() if opening else len(data))
        if line_end:
            return line_end.end()
        closing = _REST_OF_FIELD.match(data, opening.end()) if opening else None
        if closing is None:
            return 0
        position = closing.end()


def _stray_quotes(text: np.ndarray, quotes: np.ndarray, ordinal: np.ndarray | None = None) -> np.ndarray:
    """Return which quotes neither open a field, nor close one, nor are doubled inside one.

    Parameters
    ----------
    text
        All bytes of some whole lines.
    quotes
        Positions of the quotes in it.
    ordinal
        Which quote each is within its line, from 0; by default, within the text.

    Returns
    -------
    Indices into `quotes`. Even ones ought to open a field and odd ones to close it, so before the
    former and after the latter must be a delimiter, or the other half of a doubled quote.
    """
    if ordinal is None:
        # Every line holds an even number, so counting through the text comes to the same.
        opens, closes = slice(0, None, 2), slice(1, None, 2)
        indices = np.arange(len(quotes))
        opening, closing = indices[opens], indices[closes]
    else:
        opening, closing = np.flatnonzero(ordinal % 2 == 0), np.flatnonzero(ordinal % 2 == 1)
    # Before the first byte comes a line end, and so does the last byte, at index -1, in whole lines.
    before = text[quotes[opening] - 1]
    after = text[np.minimum(quotes[closing] + 1, len(text) - 1)]
    return np.union1d(opening[~_MAY_ADJOIN[before]], closing[~_MAY_ADJOIN[after]])


def _scan(data: bytes) -> tuple[int, int | None]:
    """Read field by field: return where the last record ends, and where a field opens that is not closed."""
    position = end = 0
    while opening := _OPENING.search(data, position):
        end = data.rfind(b"\n", position, opening.start()) + 1 or end
        closing = _REST_OF_FIELD.match(data, opening.end())
        if closing is None:
            return end, opening.start()
        position = closing.end()
    return data.rfind(b"\n", position) + 1 or end, None


def _ends_inside_field(data: bytes) -> bool:
    return _scan(data)[1] is not None
