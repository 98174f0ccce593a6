"""Counting distinct values of a column that has too many to keep."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash

# Distinct values counted exactly when a column has too many to keep.
MOST_COUNTED = 1_000_000

Hashes = npt.NDArray[np.uint64]


class Distinct:
    """Distinct values counted by their hashes, exactly up to `MOST_COUNTED`."""

    def __init__(self) -> None:
        self._chunks: list[Hashes] = []
        self._unmerged = 0
        self.is_more = False

    def add(self, hashes: Hashes) -> None:
        """Add values by their hashes."""
        if self.is_more:
            return
        self._chunks.append(np.unique(hashes))
        self._unmerged += self._chunks[-1].size
        if self._unmerged > MOST_COUNTED // 2:
            self._merge()

    def add_all(self, other: Distinct) -> None:
        """Add the values of another."""
        self.is_more = self.is_more or other.is_more
        for chunk in other._chunks:
            self.add(chunk)

    def count(self) -> int:
        """Return the number of distinct values, `MOST_COUNTED` + 1 for any number beyond it."""
        self._merge()
        return MOST_COUNTED + 1 if self.is_more else sum(chunk.size for chunk in self._chunks)

    def _merge(self) -> None:
        self._chunks = [np.unique(np.concatenate(self._chunks))] if self._chunks else []
        self._unmerged = 0
        if self._chunks and self._chunks[0].size > MOST_COUNTED:
            self.is_more, self._chunks = True, []


def hash_numbers(numbers: npt.NDArray[np.float64]) -> Hashes:
    """Return the bits of numbers, so that equal numbers are one value whatever type they had."""
    return np.unique(numbers + 0.0).view(np.uint64)  # adding zero makes -0.0 and 0.0 the same


def hash_texts(texts: Iterable[str]) -> Hashes:
    """Return 64-bit hashes of texts."""
    return np.array([xxhash.xxh3_64_intdigest(text.encode()) for text in texts], dtype=np.uint64)
