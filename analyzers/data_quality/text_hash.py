"""xxHash64 with seed 42 over many texts or 8-byte words at once (specification by Y. Collet).

The originals hash with the same function (Spark's ``xxhash64``), so equal texts meet in equal registers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]

SEED = 42
_BLOCK = 8192  # texts hashed side by side; what is in between fits the processor's second-level cache
_STRIPE = 32
_LONGEST = 8 * _STRIPE
_PRIME_1 = np.uint64(0x9E3779B185EBCA87)
_PRIME_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_3 = np.uint64(0x165667B19E3779F9)
_PRIME_4 = np.uint64(0x85EBCA77C2B2AE63)
_PRIME_5 = np.uint64(0x27D4EB2F165667C5)


def hash_texts(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> Hashes:
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
    _hash_longest(padded, starts, lengths, hashes)
    return hashes


def _hash_block(
    padded: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> Hashes:
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


def _where(condition: npt.NDArray[np.bool_]) -> Iterator[slice | npt.NDArray[np.intp]]:
    """Yield the rows that fulfil `condition`, as a slice when all do, nothing when none does."""
    rows = np.flatnonzero(condition)
    if rows.size:
        yield slice(None) if rows.size == condition.size else rows


def _hash_stripes(words: Hashes, starts: npt.NDArray[np.int64], stripes: npt.NDArray[np.int64]) -> Hashes:
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


def _hash_longest(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    hashes: Hashes,
) -> None:
    """Hash texts too long to be worth hashing side by side, one at a time."""
    memory = memoryview(data)
    for row in np.flatnonzero(lengths > _LONGEST).tolist():
        start = int(starts[row])
        hashes[row] = xxhash.xxh64_intdigest(memory[start : start + int(lengths[row])], SEED)


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
