"""What a text cell is: missing, a number, a boolean, or text. Each distinct text is looked at once.

The classes are those of spec section 3.5:

========== =================================================================================
missing    null or empty
integral   optional sign, optional single space, digits
fractional the same with a decimal part, an exponent, or both
boolean    ``true`` or ``false``
code       digits with a leading zero, such as ``007``; the originals take it for integral
string     anything else, such as ``.5``, ``5.``, ``NaN``, ``1,000``
========== =================================================================================
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from analyzers.data_quality.sketches import hash_bits
from analyzers.shared.cells import Codes, Flags, Floats, Hashes, arrow_of

# xxHash64 with seed 42 over many texts or 8-byte words at once (specification by Y. Collet).
#
# The originals hash with the same function (Spark's ``xxhash64``), so equal texts meet in equal registers.


Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.intp]

SEED = 42
_BLOCK = 8192  # texts hashed side by side; what is in between fits the processor's second-level cache
_STRIPE = 32
_LONGEST = 8 * _STRIPE
_PRIME_1 = np.uint64(0x9E3779B185EBCA87)
_PRIME_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_3 = np.uint64(0x165667B19E3779F9)
_PRIME_4 = np.uint64(0x85EBCA77C2B2AE63)
_PRIME_5 = np.uint64(0x27D4EB2F165667C5)


def hash_texts(data: Bytes, starts: Codes, lengths: Codes) -> Hashes:
    """Return xxHash64 of each text.

    Parameters
    ----------
    data
        UTF-8 bytes of all texts, uint8.
    starts, lengths
        Where each text begins in `data` and how many bytes it has, shape (n,).

    Returns
    -------
    Hashes, uint64, shape (n,).
    """
    padded = np.concatenate((data, np.zeros(8, dtype=np.uint8)))
    hashes = np.empty(lengths.size, dtype=np.uint64)
    for start in range(0, lengths.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        hashes[block] = _hash_block(padded, starts[block], lengths[block])
    # Texts too long to be worth hashing side by side, one at a time.
    memory = memoryview(padded)
    for row in np.flatnonzero(lengths > _LONGEST).tolist():
        start = int(starts[row])
        hashes[row] = xxhash.xxh64_intdigest(memory[start : start + int(lengths[row])], SEED)
    return hashes


def _hash_block(padded: Bytes, starts: Codes, lengths: Codes) -> Hashes:
    words = np.ndarray((padded.size - 7,), dtype="<u8", buffer=padded, strides=(1,))
    halves = np.ndarray((padded.size - 3,), dtype="<u4", buffer=padded, strides=(1,))
    hashes = np.full(lengths.size, np.uint64(SEED) + _PRIME_5)
    for rows in _where((lengths >= _STRIPE) & (lengths <= _LONGEST)):
        hashes[rows] = _hash_stripes(words, starts[rows], lengths[rows] // _STRIPE)
    hashes += lengths.astype(np.uint64)
    places, rest = starts + (lengths & -_STRIPE), lengths & (_STRIPE - 1)
    for lane in range(3):
        for rows in _where(rest >= 8 * (lane + 1)):
            word = words[places[rows] + 8 * lane]
            hashes[rows] = _rotate(hashes[rows] ^ _round(word), 27) * _PRIME_1 + _PRIME_4
    places += rest & -8
    for rows in _where(rest & 4 > 0):
        half = halves[places[rows]].astype(np.uint64)
        hashes[rows] = _rotate(hashes[rows] ^ (half * _PRIME_1), 23) * _PRIME_2 + _PRIME_3
    places += rest & 4
    for byte in range(3):
        for rows in _where(rest & 3 > byte):
            value = padded[places[rows] + byte].astype(np.uint64)
            hashes[rows] = _rotate(hashes[rows] ^ (value * _PRIME_5), 11) * _PRIME_1
    return _avalanche(hashes)


def _where(condition: Flags) -> Iterator[slice | Rows]:
    """Yield the rows that fulfil `condition`, as a slice when all do, nothing when none does."""
    rows = np.flatnonzero(condition)
    if rows.size:
        yield slice(None) if rows.size == condition.size else rows


def _hash_stripes(words: Hashes, starts: Codes, stripes: Codes) -> Hashes:
    """Return the state after the 32-byte stripes of texts that have at least one."""
    with np.errstate(over="ignore"):
        initial = (
            np.uint64(SEED) + _PRIME_1 + _PRIME_2,
            np.uint64(SEED) + _PRIME_2,
            np.uint64(SEED),
            np.uint64(SEED) - _PRIME_1,
        )
    lanes = [np.full(starts.size, value) for value in initial]
    for stripe in range(int(stripes.max())):
        for rows in _where(stripes > stripe):
            places = starts[rows] + _STRIPE * stripe
            for lane, state in enumerate(lanes):
                word = words[places + 8 * lane]
                state[rows] = _rotate(state[rows] + word * _PRIME_2, 31) * _PRIME_1
    hashes = _rotate(lanes[0], 1) + _rotate(lanes[1], 7) + _rotate(lanes[2], 12) + _rotate(lanes[3], 18)
    for state in lanes:
        hashes = (hashes ^ _round(state)) * _PRIME_1 + _PRIME_4
    return hashes


def hash_words(words: Hashes) -> Hashes:
    """Return xxHash64 of each 8-byte little-endian word, as Spark hashes longs and doubles."""
    hashes = (np.uint64(SEED) + _PRIME_5 + np.uint64(8)) ^ _round(words)
    return _avalanche(_rotate(hashes, 27) * _PRIME_1 + _PRIME_4)


def _round(words: Hashes) -> Hashes:
    return _rotate(words * _PRIME_2, 31) * _PRIME_1


def _rotate(words: Hashes, bits: int) -> Hashes:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))


def _avalanche(hashes: Hashes) -> Hashes:
    hashes = hashes ^ (hashes >> np.uint64(33))
    hashes = hashes * _PRIME_2
    hashes = hashes ^ (hashes >> np.uint64(29))
    hashes = hashes * _PRIME_3
    return hashes ^ (hashes >> np.uint64(32))


_INTEGRAL = r"^[+-]? ?[0-9]+$"
_CODE = r"^[+-]? ?0[0-9]+$"
_NUMBER = r"^[+-]? ?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


class CellKind(IntEnum):
    """The class of a cell; the kinds are disjoint."""

    MISSING = 0
    INTEGRAL = 1
    INTEGRAL_VALUED = 2  # written or stored as a fractional number, such as 3.0
    FRACTIONAL = 3
    BOOLEAN = 4
    STRING = 5
    NON_FINITE = 6  # infinity, or a number beyond float64
    CODE = 7
    DATE = 8  # an instant; readers tell them from text
    NEGATIVE_INFINITE = 9  # minus infinity, or a number below float64


class TextCells(NamedTuple):
    """What texts are.

    Attributes
    ----------
    kinds
        `CellKind` of each text, uint8, shape (n,).
    numbers
        Its value as float64, shape (n,); NaN where it is no finite number.
    hashes
        Its 64-bit hash for distinct counts, uint64, shape (n,).
    """

    kinds: Bytes
    numbers: Floats
    hashes: Hashes


def read_texts(texts: pa.Array, *, hash_as_text: bool) -> TextCells:
    """Classify, parse and hash texts.

    Parameters
    ----------
    texts
        An Arrow array of type string or large_string.
    hash_as_text
        Whether numbers are hashed as the text they came as, like the originals, so that ``1`` and ``1.0``
        are two values; otherwise as float64, so that they are one.
    """
    data, starts, lengths = bytes_of(texts)
    if data.size > _FEW_BYTES or texts.null_count:
        return _read(texts, data, starts, lengths, hash_as_text)
    # Batch after batch, and window after window, a column of text has the same few values.
    about = (data.tobytes(), lengths.tobytes(), hash_as_text)
    cells = _known.get(about) or _read(texts, data, starts, lengths, hash_as_text)
    if len(_known) < _MOST_KNOWN:
        _known[about] = cells
    return cells


_FEW_BYTES, _MOST_KNOWN = 1024, 1024
_known: dict[tuple[bytes, bytes, bool], TextCells] = {}


def _read(texts: pa.Array, data: Bytes, starts: Codes, lengths: Codes, hash_as_text: bool) -> TextCells:
    kinds = np.full(len(texts), CellKind.STRING, dtype=np.uint8)
    kinds[lengths == 0] = CellKind.MISSING
    if texts.null_count:
        kinds[texts.is_null().to_numpy(zero_copy_only=False)] = CellKind.MISSING
    numbers = np.full(len(texts), np.nan)
    hashes = hash_texts(data, starts, lengths)
    rows = np.flatnonzero(kinds == CellKind.STRING)
    if rows.size:
        first = data[starts[rows]]
        last = data[starts[rows] + lengths[rows] - 1]
        _mark_booleans(texts, rows[(first == ord("t")) | (first == ord("f"))], lengths, kinds)
        begins = _is_digit(first) | (first == ord("-")) | (first == ord("+")) | (first == ord(" "))
        _mark_numbers(texts, rows[begins & _is_digit(last)], kinds, numbers)
        if not hash_as_text:
            # Digits with a leading zero are no numbers.
            numeric = np.flatnonzero(~np.isnan(numbers))
            found = pc.match_substring_regex(texts.take(arrow_of(numeric)), _CODE)
            codes = numeric[found.to_numpy(zero_copy_only=False)]
            kinds[codes], numbers[codes] = CellKind.CODE, np.nan
            numeric = np.flatnonzero(~np.isnan(numbers))
            hashes[numeric] = hash_bits((numbers[numeric] + 0.0).view(np.uint64))
    return TextCells(kinds, numbers, hashes)


def bytes_of(texts: pa.Array) -> tuple[Bytes, Codes, Codes]:
    """Return the UTF-8 bytes, and where each text starts and how long it is."""
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    if not len(texts) or offsets is None:
        return np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    bounds = np.frombuffer(offsets, dtype=width)[texts.offset :][: len(texts) + 1].astype(np.int64)
    first = int(bounds[0])
    used = b"" if data is None else memoryview(data)[first : int(bounds[-1])]
    return np.frombuffer(used, dtype=np.uint8), bounds[:-1] - first, np.diff(bounds)


def _is_digit(characters: Bytes) -> Flags:
    return (characters >= ord("0")) & (characters <= ord("9"))


def _mark_booleans(texts: pa.Array, rows: Rows, lengths: Codes, kinds: Bytes) -> None:
    rows = rows[lengths[rows] <= len("false")]
    if rows.size:
        words = texts.take(arrow_of(rows))
        is_boolean = pc.is_in(words, pa.array(["true", "false"], words.type))
        kinds[rows[is_boolean.to_numpy(zero_copy_only=False)]] = CellKind.BOOLEAN


def _mark_numbers(texts: pa.Array, rows: Rows, kinds: Bytes, numbers: Floats) -> None:
    """Settle the candidates `rows`: texts that begin like a number and end in a digit."""
    if not rows.size:
        return
    candidates = texts if rows.size == len(texts) else texts.take(arrow_of(rows))
    is_number = pc.match_substring_regex(candidates, _NUMBER)
    if is_number.true_count < len(rows):
        keep = is_number.to_numpy(zero_copy_only=False)
        rows, candidates = rows[keep], candidates.filter(is_number)
    if not rows.size:
        return
    values = _parse(candidates)
    integral = pc.match_substring_regex(candidates, _INTEGRAL).to_numpy(zero_copy_only=False)
    finite = np.isfinite(values)
    whole, fraction = np.uint8(CellKind.INTEGRAL_VALUED), np.uint8(CellKind.FRACTIONAL)
    kinds[rows] = np.where(np.floor(values) == values, whole, fraction)
    kinds[rows[integral]] = CellKind.INTEGRAL
    kinds[rows[values == np.inf]] = CellKind.NON_FINITE
    kinds[rows[values == -np.inf]] = CellKind.NEGATIVE_INFINITE
    numbers[rows[finite]] = values[finite]


def _parse(texts: pa.Array) -> Floats:
    """Return the values of number texts; beyond float64 they are infinite."""
    data, _, _ = bytes_of(texts)
    if np.any((data == ord("+")) | (data == ord(" "))):
        texts = pc.replace_substring_regex(pc.replace_substring(texts, " ", ""), r"^\+", "")
    parsed: Floats = pc.cast(texts, pa.float64()).to_numpy()
    return parsed
