"""Pairs of numeric features whose rank correlation changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analyzers.data_quality.columns import FeaturePair
from analyzers.data_quality.documents import Statistics
from analyzers.data_quality.sample_statistics import CORRELATION_BLOCK
from analyzers.data_quality.shares import dependence
from contract.json_layout import java_double
from contract.wording import number

# A rank correlation varies a little more than Pearson's (Fieller, Hartley & Pearson 1957).
_RANK_VARIANCE = 1.06
_LARGEST = 0.999
_MOST_LISTED = 20


@dataclass(frozen=True)
class CorrelationChange:
    """The change of one pair."""

    first: str
    second: str
    before: float
    now: float
    limit: float
    violated: bool

    @property
    def pair(self) -> str:
        """Return the names of both."""
        return f"{self.first}, {self.second}"

    @property
    def effect(self) -> float:
        """Return by how much the correlation changed."""
        return abs(self.now - self.before)

    @property
    def text(self) -> str:
        """Return a sentence."""
        verb = "exceeds" if self.violated else "does not violate"
        return (
            f"Rank correlation of {self.first!r} and {self.second!r} {number(self.before)} -> "
            f"{number(self.now)} (columns swapped, or one no longer follows the other?). Baseline drift "
            f"distance: {java_double(round(self.effect, 3))} {verb} threshold: {java_double(self.limit)}"
        )


def changed_correlations(
    pairs: list[FeaturePair], baseline: Statistics | None, statistics: Statistics, alpha: float
) -> list[CorrelationChange] | None:
    """Return the change of each pair of numeric features, the largest excess first.

    Fisher's z of the correlations, with the rows of each side divided by the larger design effect of the two
    features, at `alpha` over all pairs together. None where a side has no correlations.
    """
    if baseline is None or baseline.correlations is None or statistics.correlations is None:
        return None
    compared = [pair for pair in pairs if pair.config.perform_comparison]
    sides = []
    for document, features in (
        (baseline, [pair.baseline for pair in compared]),
        (statistics, [pair.current for pair in compared]),
    ):
        known = document.correlations
        assert known is not None  # noqa: S101 - for mypy: returned above
        matrix = np.zeros((len(known.features), len(known.features)))
        matrix[np.triu_indices(len(known.features), 1)] = known.pairs
        places = {name: place for place, name in enumerate(known.features)}
        found = [places.get(feature.name, -1) if feature else -1 for feature in features]
        present = np.array([feature.completeness if feature else 0.0 for feature in features])
        sides.append((matrix + matrix.T, np.array(found), present, known.rows))
    both = np.flatnonzero((sides[0][1] >= 0) & (sides[1][1] >= 0))
    if both.size < 2:
        return None
    first, second = np.triu_indices(both.size, 1)
    dependences = [dependence(compared[place]) for place in both]
    values, variance = [], np.zeros(first.size)
    for side, (matrix, places_of, present, rows) in enumerate(sides):
        chosen = places_of[both]
        values.append(np.clip(matrix[np.ix_(chosen, chosen)][first, second], -_LARGEST, _LARGEST))
        effects = np.array([found.now if side else found.before for found in dependences])
        effect = np.maximum(effects[first], effects[second])
        complete = rows * present[both][first] * present[both][second]
        # Ranks within blocks leave out what differs between blocks.
        independent = complete / effect - rows / CORRELATION_BLOCK - 3.0
        variance += _RANK_VARIANCE / np.maximum(independent, 1e-9)
    least = max(found.least_evidence(alpha / first.size) for found in dependences)
    deviation = np.abs(np.arctanh(values[1]) - np.arctanh(values[0])) / np.sqrt(variance)
    change = np.abs(values[1] - values[0])
    limits = np.array([compared[place].config.correlation_comparison_threshold for place in both])
    limit = np.maximum(limits[first], limits[second])
    violated = (change > limit) & (deviation**2 / 2.0 > least)
    order = np.lexsort((-change, ~violated))
    names = [compared[place].name for place in both]
    return [
        CorrelationChange(
            names[first[place]],
            names[second[place]],
            float(values[0][place]),
            float(values[1][place]),
            float(limit[place]),
            bool(violated[place]),
        )
        for place in order[: max(_MOST_LISTED, int(violated.sum()))]
    ]
