"""What the statistics of one feature say about its cells: their classes and their categories."""

from __future__ import annotations

from contract.documents.statistics import FeatureStatistics

INTEGRAL = "Integral"
FRACTIONAL = ("Fractional", "IntegralValued", "NonFinite")

# Deequ's histogram counts missing cells under this text.
_NULL_CATEGORY = "NullValue"


def class_counts(feature: FeatureStatistics) -> dict[str, int]:
    """Return how many cells with a value are of each class.

    Files of the originals hold no such counts; all cells are then taken to be of the inferred type, which is
    what that type guarantees of numeric columns.
    """
    if feature.data_types is not None:
        return feature.data_types
    return {feature.inferred_type: feature.num_present}


def category_counts(feature: FeatureStatistics) -> dict[str, int] | None:
    """Return the rows of each category; None when the feature lists none."""
    if feature.string is None or feature.string.categories is None:
        return None
    counts = {category.value: category.count for category in feature.string.categories}
    missing = counts.get(_NULL_CATEGORY)
    if missing is not None and missing == feature.num_missing:
        del counts[_NULL_CATEGORY]
    return counts
