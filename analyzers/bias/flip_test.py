"""The flip test (FT): do the nearest rows outside the group get the same prediction?

For every row of the group d, its k nearest rows among the others vote on a prediction by the features alone.
FT is the share of d whose prediction is positive where the vote is negative, less the share where it is the
other way round. Distances are Euclidean on unscaled features; k is 5, or 1 with fewer than ten other rows.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from analyzers.bias.groups import Group, Reading, count_in_words, rows_lacking
from analyzers.bias.summary import RowSample
from analyzers.shared.cells import Codes, Flags, Floats
from contract.errors import wording
from contract.wording import listing

# Exact nearest neighbours among many rows, by whichever search suits the data.
#
# A tree (scipy's k-d tree) is quick while few directions hold most of the variance, as with columns of very
# different scale; with many directions of the same weight it looks at nearly every row, and comparing all
# rows with all, block by block, is quicker. Both are exact; where distances tie, either row may come first.


# From this many directions of equal variance, the tree loses.
_MOST_TREE_DIRECTIONS = 6.0
# Numbers held at once when comparing all with all: 64 MB.
_BLOCK = 1 << 23
_CHUNK = 64
# Chunks and rows looked at beyond the k that must hold the neighbours, against rounding.
_SPARE_CHUNKS = 2
_SPARE = 8


def nearest(points: Floats, queries: Floats, k: int) -> Codes:
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
    order = np.argsort(-points.var(axis=0), kind="stable")
    if compares_all(points, k):
        return _by_blocks(points[:, order], queries[:, order], k)
    return _by_tree(points, queries, k, order)


def distinct_rows(rows: Floats) -> tuple[Floats, Codes]:
    """Return the distinct rows in the order of their first appearance, and which of them each row is."""
    # Arrow tells them apart by their bytes; adding zero makes -0.0 and 0.0 the same.
    kind, content = pa.binary(rows.shape[1] * rows.itemsize), np.ascontiguousarray(rows + 0.0)
    cells = pa.FixedSizeBinaryArray.from_buffers(kind, len(rows), [None, pa.py_buffer(content)])
    places = cells.dictionary_encode().indices.to_numpy().astype(np.int64)
    _, first = np.unique(places, return_index=True)
    return rows[first], places


def compares_all(points: Floats, k: int) -> bool:
    """Return whether `nearest` compares every query with every point."""
    variances = points.var(axis=0)
    squares = float((variances**2).sum())
    # As many columns of equal variance would hold it as these do.
    directions = float(variances.sum()) ** 2 / squares if squares > 0.0 else 0.0
    return len(points) > 4 * k * _CHUNK and directions > _MOST_TREE_DIRECTIONS


def _by_tree(points: Floats, queries: Floats, k: int, order: Codes) -> Codes:
    # Imported here since only this test needs it.
    from scipy.spatial import cKDTree

    rows = np.argsort(points[:, order[0]], kind="stable")
    asked = np.argsort(queries[:, order[0]], kind="stable")
    tree = cKDTree(points[rows[:, None], order], leafsize=16, balanced_tree=False, compact_nodes=False)
    _, found = tree.query(queries[asked[:, None], order], k=k, workers=-1)
    places = np.empty((len(queries), k), dtype=np.int64)
    places[asked] = rows[np.asarray(found).reshape(len(queries), k)]
    return places


def _by_blocks(points: Floats, queries: Floats, k: int) -> Codes:
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


_VOTERS = 5
_FEWEST_FOR_VOTERS = 10
# Pairs of rows compared at most where every row is compared with every other: half a minute or so.
MOST_PAIRS = 4_000_000_000


def flip_test(
    features: Floats, in_group: Flags, predicted: Flags, *, seed: int = 0, most_pairs: int = MOST_PAIRS
) -> tuple[float, int]:
    """Return FT, and how many rows of d were asked about.

    Parameters
    ----------
    features
        Shape (rows, features), without NaN.
    in_group
        Which rows are in d; some are and some are not.
    predicted
        Which rows are predicted positive.
    seed
        Of the sample of d, taken when there are too many pairs to compare.
    most_pairs
        How many pairs are too many.
    """
    others, group = features[~in_group], features[in_group]
    answers, own = predicted[~in_group], predicted[in_group]
    k = _VOTERS if len(others) >= _FEWEST_FOR_VOTERS else 1
    points, counts, positives = _without_copies(others, answers, k)
    queries, copies = distinct_rows(group)
    if len(points) * len(queries) > most_pairs and compares_all(points, k):
        size = max(1, most_pairs // len(points))
        asked = np.sort(np.random.default_rng(seed).choice(len(queries), size, replace=False))
        kept = np.isin(copies, asked)
        queries, copies = queries[asked], np.searchsorted(asked, copies[kept])
        own = own[kept]
    votes = _votes(counts, positives, nearest(points, queries, min(k, len(points))), k)
    vote = votes[copies]
    # To negative less to positive, as the vote would turn them.
    return (int((own & ~vote).sum()) - int((~own & vote).sum())) / len(own), len(own)


def _without_copies(others: Floats, answers: Flags, k: int) -> tuple[Floats, Codes, Codes]:
    """Return distinct points; of each the rows it stands for, at most k, and the positives in its first r."""
    points, inverse = distinct_rows(others)
    order = np.argsort(inverse, kind="stable")
    point_of = inverse[order]
    starts = np.searchsorted(point_of, np.arange(len(points)))
    rank = np.arange(len(order)) - starts[point_of]
    first = rank < k
    positives = np.zeros((len(points), k + 1), dtype=np.int64)
    positives[point_of[first], rank[first] + 1] = answers[order][first]
    return points, np.minimum(np.bincount(point_of, minlength=len(points)), k), np.cumsum(positives, axis=1)


def _votes(counts: Codes, positives_of: Codes, places: Codes, k: int) -> Flags:
    """Return whether most of the k nearest rows are positive; copies of a point are as many rows."""
    left = np.full(len(places), k)
    positives = np.zeros(len(places), dtype=np.int64)
    for column in range(places.shape[1]):
        point = places[:, column]
        taken = np.minimum(counts[point], left)
        positives += positives_of[point, taken]
        left -= taken
    return 2 * positives > k


# The flip test of one group, from the rows that were kept.


@dataclass(frozen=True)
class Flip:
    """The value of FT, or why there is none."""

    value: float | None
    problem: str | None = None
    notes: list[str] = field(default_factory=list)


def flip_of(sample: RowSample, group: Group, prediction: str, reading: Reading, seed: int) -> Flip:
    """Return the flip test of a group that has rows, as have the others.

    Parameters
    ----------
    sample
        The rows.
    group
        Whose columns are left out of the features.
    prediction
        Column of predictions.
    reading
        Which predictions are positive; under sound rules rows that lack something are left out.
    seed
        Of the sample taken of many rows.
    """
    names = sample.names or ()
    text = [name for name in names if name in sample.not_numeric and name not in group.columns]
    if text:
        named = f": {listing(text)}" if reading.leave_out else ""
        return Flip(None, wording("flip_test.not_numeric", named=named))
    features = sample.matrix(np.array([name not in group.columns for name in names], dtype=np.bool_))
    kept = {column: sample.places_of(column) for column in (*group.columns, prediction)}
    with np.errstate(invalid="ignore"):
        usable = ~np.isnan(features @ np.zeros(features.shape[1]))  # infinite times zero is NaN, too
    notes = []
    if reading.leave_out:
        for places in kept.values():
            usable &= places > 0
        if not usable.all():
            features = features[usable]
            kept = {column: places[usable] for column, places in kept.items()}
            notes.append(f"{rows_lacking(int((~usable).sum()), 'a value')} of the flip test (FT).")
    elif not usable.all():
        # What scikit-learn says of it, with whose neighbours Clarify votes.
        return Flip(None, wording("flip_test.missing" if np.isnan(features).any() else "flip_test.infinite"))
    inside = group.contains(kept)
    if reading.predictions is None or not inside.any() or inside.all():
        return Flip(None, wording("flip_test.no_rows"), notes)
    value, asked = flip_test(features, inside, reading.predictions.chosen[kept[prediction]], seed=seed)
    if sample.rows_seen > sample.rows:
        notes.append(f"The flip test (FT) looks at {sample.rows:,} of {count_in_words(sample.rows_seen)}.")
    if asked < (size := int(inside.sum())):
        notes.append(f"The flip test (FT) asks about {asked:,} of {size:,} rows of a group.")
    return Flip(value, None, notes)
