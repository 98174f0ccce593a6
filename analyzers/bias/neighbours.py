"""Exact nearest neighbours among many rows, by whichever search suits the data.

A tree (scipy's k-d tree) is quick while few directions hold most of the variance, as with columns of very
different scale; with many directions of the same weight it looks at nearly every row, and comparing all rows
with all, block by block, is quicker. Both are exact; where distances tie, either row may come first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analyzers.bias.cells import Floats

# From this many directions of equal variance, the tree loses.
_MOST_TREE_DIRECTIONS = 6.0
# Numbers held at once when comparing all with all: 64 MB.
_BLOCK = 1 << 23
_CHUNK = 64
# Chunks and rows looked at beyond the k that must hold the neighbours, against rounding.
_SPARE_CHUNKS = 2
_SPARE = 8

Indices = npt.NDArray[np.int64]


def nearest(points: Floats, queries: Floats, k: int) -> Indices:
    """Return the places in `points` of the k nearest of each query, nearest first, shape (queries, k).

    Parameters
    ----------
    points
        Shape (n, features), n at least k.
    queries
        Shape (m, features).
    k
        How many.
    """
    if points.shape[1] == 0 or len(queries) == 0:
        return np.tile(np.arange(k, dtype=np.int64), (len(queries), 1))
    # Columns of much variance first: distances grow quickly, and neighbouring queries visit the same rows.
    variances = points.var(axis=0)
    order = np.argsort(-variances, kind="stable")
    if _compares_all(len(points), variances, k):
        return _by_blocks(points[:, order], queries[:, order], k)
    return _by_tree(points, queries, k, order)


def distinct_rows(rows: Floats) -> tuple[Floats, Indices]:
    """Return the distinct rows in the order of their first appearance, and which of them each row is.

    Rows are told apart by a hash, which is many times quicker than sorting them, and compared in full to be
    sure.
    """
    hashes = _hashes(rows)
    ordered = np.sort(hashes)
    if (ordered[1:] != ordered[:-1]).all():
        return rows, np.arange(len(rows), dtype=np.int64)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    distinct, places = rows[first[order]], rank[inverse.reshape(-1)]
    if not np.array_equal(distinct[places], rows):
        distinct, places = np.unique(rows, axis=0, return_inverse=True)
    return distinct, places.reshape(-1).astype(np.int64)


def _hashes(rows: Floats) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each row: multiply and shift, column by column, as splitmix64 does."""
    hashes = np.full(len(rows), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in rows.T:
        bits = (column + 0.0).view(np.uint64)  # adding zero makes -0.0 and 0.0 the same
        hashes = (hashes ^ bits) * np.uint64(0xBF58476D1CE4E5B9)
        hashes ^= hashes >> np.uint64(29)
    return hashes


def compares_all(points: Floats, k: int) -> bool:
    """Return whether `nearest` compares every query with every point."""
    return _compares_all(len(points), points.var(axis=0), k)


def _compares_all(points: int, variances: Floats, k: int) -> bool:
    return points > 4 * k * _CHUNK and directions(variances) > _MOST_TREE_DIRECTIONS


def directions(variances: Floats) -> float:
    """Return how many columns of equal variance hold it as these do: ``(sum v)^2 / sum v^2``."""
    squares = float((variances**2).sum())
    return float(variances.sum()) ** 2 / squares if squares > 0.0 else 0.0


def _by_tree(points: Floats, queries: Floats, k: int, order: Indices) -> Indices:
    # Imported here since only this test needs it.
    from scipy.spatial import cKDTree

    rows = np.argsort(points[:, order[0]], kind="stable")
    asked = np.argsort(queries[:, order[0]], kind="stable")
    tree = cKDTree(points[rows[:, None], order], leafsize=16, balanced_tree=False, compact_nodes=False)
    _, found = tree.query(queries[asked[:, None], order], k=k, workers=-1)
    places = np.empty((len(queries), k), dtype=np.int64)
    places[asked] = rows[np.asarray(found).reshape(len(queries), k)]
    return places


def _by_blocks(points: Floats, queries: Floats, k: int) -> Indices:
    """Compare all with all; the k nearest are in the k chunks whose nearest row is nearest."""
    centre = points.mean(axis=0)
    padded = -len(points) % _CHUNK
    shifted = np.vstack((points - centre, np.zeros((padded, points.shape[1]))))
    lengths = (shifted**2).sum(axis=1)
    lengths[len(points) :] = np.inf
    turned = np.ascontiguousarray(-2.0 * shifted.T)
    chunks = min(k + _SPARE_CHUNKS, len(shifted) // _CHUNK)
    places = np.empty((len(queries), k), dtype=np.int64)
    step = max(1, _BLOCK // len(shifted))
    for start in range(0, len(queries), step):
        asked = queries[start : start + step] - centre
        squares = asked @ turned
        squares += lengths
        least = squares.reshape(len(asked), -1, _CHUNK).min(axis=2)
        best = np.argpartition(least, chunks - 1, axis=1)[:, :chunks]
        candidates = (best[:, :, None] * _CHUNK + np.arange(_CHUNK)).reshape(len(asked), -1)
        nearly = np.take_along_axis(squares, candidates, axis=1)
        kept = np.argpartition(nearly, k + _SPARE - 1, axis=1)[:, : k + _SPARE]
        candidates = np.sort(np.take_along_axis(candidates, kept, axis=1), axis=1)
        exact = ((shifted[candidates] - asked[:, None, :]) ** 2).sum(axis=2)
        exact[candidates >= len(points)] = np.inf
        first = np.argsort(exact, axis=1, kind="stable")[:, :k]
        places[start : start + step] = np.take_along_axis(candidates, first, axis=1)
    return places
