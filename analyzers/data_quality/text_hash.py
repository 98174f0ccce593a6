"""xxHash64 with seed 42 over many texts or 8-byte words at once (specification by Y. Collet).

The originals hash with the same function (Spark's ``xxhash64``), so equal texts meet in equal registers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]

SEED = 42
_LONG = 32  # from this many bytes on, the package hashes one text at a time
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
    words = np.ndarray((padded.size - 7,), dtype="<u8", buffer=padded, strides=(1,))
    halves = np.ndarray((padded.size - 3,), dtype="<u4", buffer=padded, strides=(1,))
    hashes = np.uint64(SEED) + _PRIME_5 + lengths.astype(np.uint64)
    short = lengths < _LONG
    for lane in range(3):
        rows = np.flatnonzero(short & (lengths >= 8 * (lane + 1)))
        if rows.size:
            word = words[starts[rows] + 8 * lane]
            hashes[rows] = _rotate(hashes[rows] ^ _round(word), 27) * _PRIME_1 + _PRIME_4
    places = starts + (lengths & ~7)
    rows = np.flatnonzero(short & (lengths & 4 > 0))
    if rows.size:
        half = halves[places[rows]].astype(np.uint64)
        hashes[rows] = _rotate(hashes[rows] ^ (half * _PRIME_1), 23) * _PRIME_2 + _PRIME_3
    places += lengths & 4
    for byte in range(3):
        rows = np.flatnonzero(short & (lengths & 3 > byte))
        if rows.size:
            value = padded[places[rows] + byte].astype(np.uint64)
            hashes[rows] = _rotate(hashes[rows] ^ (value * _PRIME_5), 11) * _PRIME_1
    hashes = _avalanche(hashes)
    long = np.flatnonzero(~short)
    if long.size:
        memory = memoryview(padded)
        ends = starts[long] + lengths[long]
        for row, start, end in zip(long.tolist(), starts[long].tolist(), ends.tolist(), strict=True):
            hashes[row] = xxhash.xxh64_intdigest(memory[start:end], SEED)
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
