"""Approximate distinct counts: HyperLogLog (Flajolet et al. 2007; Heule et al. 2013 for the corrections).

512 registers, as the originals use, give a relative standard deviation of 0.05. A hash is split as in
Spark's ``HyperLogLogPlusPlus``: its top nine bits choose the register, the zeros that lead the rest plus
one are the rank (spec section 3.2, "Distinct counts").
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analyzers.shared.cells import Floats, Hashes

_INDEX_BITS = 9
REGISTERS = 1 << _INDEX_BITS
_LINEAR_COUNTING_LIMIT = 400
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)

_FIRST = 4 * REGISTERS

_FIRST_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SECOND_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_INDEX_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)  # of MurmurHash3's finaliser
_INDEX_FOLD = np.uint64(29)
_HALF = np.uint64(32)
_INDEX_SHIFT = np.uint64(64 - _INDEX_BITS)
_RANK_SHIFT = np.uint64(_INDEX_BITS)
_INDEX_MASK = np.uint64(((1 << _INDEX_BITS) - 1) << (64 - _INDEX_BITS))
# By register: the hash bits after the index must be below this to raise it.
_RAISING = np.array([*(1 << bits for bits in range(64 - _INDEX_BITS, -1, -1)), 0], dtype=np.uint64)
_SENTINEL = np.uint64(1 << (_INDEX_BITS - 1))


@dataclass(slots=True)
class HyperLogLog:
    """The registers, uint8, shape (512,): the highest rank seen in each."""

    registers: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(REGISTERS, dtype=np.uint8))

    def add_hashes(self, hashes: Hashes) -> None:
        """Take in 64-bit hashes, uint64, shape (n,)."""
        if not hashes.size:
            return
        indices = (hashes >> _INDEX_SHIFT).astype(np.intp)
        # Most values were seen before or rank low; sort them out before the slower part.
        news = np.flatnonzero((hashes & ~_INDEX_MASK) < _RAISING[self.registers][indices])
        rest = (hashes[news] << _RANK_SHIFT) | _SENTINEL
        np.maximum.at(self.registers, indices[news], _leading_zeros(rest) + np.uint8(1))

    def add_bits(self, bits: Hashes, scratch: Hashes) -> None:
        """Hash 64-bit patterns and take them in.

        The rank comes from a cheap two-round mix; only patterns whose rank can still raise the lowest
        register are mixed further for the register's index, which soon is one in thousands.

        Parameters
        ----------
        bits
            One pattern per value, uint64, shape (n,); equal values must have equal patterns.
        scratch
            Two rows of memory to work in, uint64, shape (2, at least n).
        """
        # The first values raise nearly every register, and then sort out most of those that follow.
        if bits.size > 4 * _FIRST and not self.registers.any():
            self.add_bits(bits[:_FIRST], scratch)
            self.add_bits(bits[_FIRST : 4 * _FIRST], scratch)
            bits = bits[4 * _FIRST :]
        mixed, other = scratch[0, : bits.size], scratch[1, : bits.size]
        _mix(bits, mixed, other)
        lowest = int(self.registers.min())
        if lowest:
            raising = mixed < np.uint64(1 << (64 - lowest))
            kept = np.count_nonzero(raising)
            mixed, other = np.compress(raising, mixed, out=other[:kept]), mixed[:kept]
        self.add_hashes(_finish(mixed, other))

    def merge(self, other: "HyperLogLog") -> None:
        """Take in what `other` has seen."""
        np.maximum(self.registers, other.registers, out=self.registers)

    def estimate(self) -> int:
        """Return the estimated number of distinct values, rounded.

        Linear counting up to 400, then the raw estimate less its expected bias.
        """
        empty = int(np.count_nonzero(self.registers == 0))
        if empty:
            linear = REGISTERS * math.log(REGISTERS / empty)
            if linear <= _LINEAR_COUNTING_LIMIT:
                return _round(linear)
        raw = _ALPHA * REGISTERS * REGISTERS / float(np.exp2(-self.registers.astype(np.float64)).sum())
        if raw >= 5 * REGISTERS:
            return _round(raw)
        expected, cardinalities = _expected_raw_estimates()
        return _round(float(np.interp(raw, expected, cardinalities)))


def hash_bits(bits: Hashes) -> Hashes:
    """Return the hashes that `HyperLogLog.add_bits` takes in for these patterns.

    Those of floats are their bits, where none of them is a negative zero.
    """
    mixed, other = np.empty_like(bits), np.empty_like(bits)
    _mix(bits, mixed, other)
    return _finish(mixed, other)


def _mix(bits: Hashes, mixed: Hashes, other: Hashes) -> None:
    """Fill `mixed`, whose leading zeros decide the rank, using the memory of `other`."""
    np.multiply(bits, _FIRST_MULTIPLIER, out=mixed)
    np.right_shift(mixed, _HALF, out=other)
    np.bitwise_xor(mixed, other, out=mixed)
    np.multiply(mixed, _SECOND_MULTIPLIER, out=mixed)


def _finish(mixed: Hashes, other: Hashes) -> Hashes:
    """Put nine independent bits, the index, above those of the rank; reuses the memory of both."""
    np.right_shift(mixed, _INDEX_FOLD, out=other)
    np.bitwise_xor(mixed, other, out=other)
    np.multiply(other, _INDEX_MULTIPLIER, out=other)
    np.bitwise_and(other, _INDEX_MASK, out=other)
    np.right_shift(mixed, _RANK_SHIFT, out=mixed)
    return np.bitwise_or(other, mixed, out=other)


def _leading_zeros(words: Hashes) -> npt.NDArray[np.uint8]:
    # NumPy has no bit scan; the exponent of the word as a float tells its highest bit. Clearing bits below
    # it first keeps the conversion from rounding up to the next power of two.
    _, exponents = np.frexp((words & ~(words >> np.uint64(1))).astype(np.float64))
    return (64 - exponents).astype(np.uint8)


def _round(value: float) -> int:
    return math.floor(value + 0.5)


@lru_cache(maxsize=1)
def _expected_raw_estimates() -> tuple[Floats, Floats]:
    """Return the raw estimate to expect at cardinalities up to 6 times the number of registers.

    With ``n`` distinct values a register is at most ``k`` with probability ``exp(-n / 512 / 2**k)``
    (Poisson approximation). From the mean and variance of ``2**-register`` follows the expectation of
    the raw estimate, a harmonic mean, to second order.
    """
    cardinalities = np.arange(0.0, 6 * REGISTERS + 1, 8.0)
    ranks = np.arange(0, 40)
    at_most = np.exp(-cardinalities[:, np.newaxis] / REGISTERS * np.exp2(-ranks))
    probabilities = np.diff(at_most, axis=1, prepend=0.0)
    mean = probabilities @ np.exp2(-ranks)
    variance = probabilities @ np.exp2(-2 * ranks) - mean**2
    expected = _ALPHA * REGISTERS / mean * (1 + variance / mean**2 / REGISTERS)
    return expected, cardinalities
