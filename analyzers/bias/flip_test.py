"""The flip test (FT): do the nearest rows outside the group get the same prediction?

For every row of the group d, its k nearest rows among the others vote on a prediction by the features alone.
FT is the share of d whose prediction is positive where the vote is negative, less the share where it is the
other way round. Distances are Euclidean on unscaled features; k is 5, or 1 with fewer than ten other rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzers.bias.cells import Floats
from analyzers.bias.neighbours import Indices, compares_all, distinct_rows, nearest
from analyzers.bias.selection import Flags

_VOTERS = 5
_FEWEST_FOR_VOTERS = 10
# Pairs of rows compared at most where every row is compared with every other: half a minute or so.
MOST_PAIRS = 4_000_000_000


@dataclass(frozen=True)
class Flips:
    """What the flip test found.

    Parameters
    ----------
    to_negative, to_positive
        Rows of d that the others' vote would turn to negative, to positive.
    rows
        Of d that were asked about.
    """

    to_negative: int
    to_positive: int
    rows: int

    @property
    def value(self) -> float:
        """Return FT."""
        return (self.to_negative - self.to_positive) / self.rows


def flip_test(
    features: Floats, in_group: Flags, predicted: Flags, *, seed: int = 0, most_pairs: int = MOST_PAIRS
) -> Flips:
    """Return how many predictions of the group its nearest others would flip.

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
    points, voters = _without_copies(others, answers, k)
    queries, copies = distinct_rows(group)
    if len(points) * len(queries) > most_pairs and compares_all(points, k):
        asked = _sampled(len(queries), most_pairs // len(points), seed)
        kept = np.isin(copies, asked)
        queries, copies = queries[asked], np.searchsorted(asked, copies[kept])
        own = own[kept]
    votes = _votes(voters, nearest(points, queries, min(k, len(points))), k)
    vote = votes[copies]
    return Flips(int((own & ~vote).sum()), int((~own & vote).sum()), len(own))


def _sampled(count: int, size: int, seed: int) -> Indices:
    return np.sort(np.random.default_rng(seed).choice(count, max(1, size), replace=False))


@dataclass(frozen=True)
class _Voters:
    """For each distinct point: the rows it stands for, at most k, and the positives among its first r."""

    counts: Indices
    positives: Indices


def _without_copies(others: Floats, answers: Flags, k: int) -> tuple[Floats, _Voters]:
    """Return distinct points, and the first k rows of each as voters."""
    points, inverse = distinct_rows(others)
    if len(points) == len(others):
        own = np.column_stack((np.zeros_like(inverse), np.tile(answers[:, None], k)))
        return points, _Voters(np.ones_like(inverse), own.astype(np.int64))
    order = np.argsort(inverse, kind="stable")
    point_of = inverse[order]
    starts = np.searchsorted(point_of, np.arange(len(points)))
    rank = np.arange(len(order)) - starts[point_of]
    first = rank < k
    positives = np.zeros((len(points), k + 1), dtype=np.int64)
    positives[point_of[first], rank[first] + 1] = answers[order][first]
    counts = np.minimum(np.bincount(point_of, minlength=len(points)), k)
    return points, _Voters(counts, np.cumsum(positives, axis=1))


def _votes(voters: _Voters, places: Indices, k: int) -> Flags:
    """Return whether most of the k nearest rows are positive; copies of a point are as many rows."""
    left = np.full(len(places), k)
    positives = np.zeros(len(places), dtype=np.int64)
    for column in range(places.shape[1]):
        point = places[:, column]
        taken = np.minimum(voters.counts[point], left)
        positives += voters.positives[point, taken]
        left -= taken
    return 2 * positives > k
