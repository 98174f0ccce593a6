"""From a summary to the statistics document (spec section 3.2 has every member's rule)."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from analyzers.data_quality import documents
from analyzers.data_quality.column_summary import ColumnSummary
from analyzers.data_quality.sample_statistics import sample_statistics
from analyzers.data_quality.sketches import SHRINKING_FACTOR, SKETCH_SIZE, bucket_counts
from analyzers.data_quality.summary import DatasetSummary
from analyzers.data_quality.text import CellKind
from analyzers.shared.cells import distinct_of
from analyzers.shared.rules import Rules, category_order
from contract.json_layout import java_double

# Up to how many distinct values a text feature is listed value by value. The originals decide by the
# estimate of distinct values, up to Deequ's default; the sound rules by their exact number, and by more of
# them, which makes better drift checks.
MOST_CATEGORIES: dict[Rules, int] = {"sagemaker": 120, "sound": 1000}
_BUCKETS = 10
# Share of cells up to which a column of numbers may hold something else.
_NO_NUMBERS = 0.1
_DATA_TYPES = {
    "Integral": CellKind.INTEGRAL,
    "IntegralValued": CellKind.INTEGRAL_VALUED,
    "Fractional": CellKind.FRACTIONAL,
    "Boolean": CellKind.BOOLEAN,
    "String": CellKind.STRING,
    "NonFinite": CellKind.NON_FINITE,
    "NegativeInfinite": CellKind.NEGATIVE_INFINITE,
}


def describe(summary: DatasetSummary, *, rules: Rules, as_of: datetime | None = None) -> documents.Statistics:
    """Turn a summary into the statistics document.

    Numbers are never NaN or infinite: a member that float64 cannot hold is left out. Under ``sound``
    rules distinct counts are exact while values are counted; under ``sagemaker`` they are estimates.

    Parameters
    ----------
    summary
        The summary of the whole dataset.
    rules
        ``sound`` or ``sagemaker``.
    as_of
        When dates are looked at, for their age; None leaves it out.
    """
    features = [_feature(name, column, rules, as_of) for name, column in summary.columns.items()]
    statistics = documents.Statistics(summary.row_count, features, positional=summary.positional)
    if rules == "sound" and summary.sample.rows:
        numeric = {feature.name: feature.numerical is not None for feature in features}
        samples, statistics.correlations = sample_statistics(summary.sample, numeric)
        for feature in features:
            feature.sample = samples.get(feature.name)
    return statistics


def inferred_type(column: ColumnSummary, rules: Rules = "sagemaker") -> documents.InferredType:
    """Return the type of a column from the kinds of its cells (spec section 3.5).

    Text wins over numbers, and so do booleans beside numbers; one cell written or stored as a fractional
    number makes the column fractional, even when its value is integral. Under sound rules a column of nine
    numbers in ten cells is numbers, and the rest a share of its own; codes are text.
    """
    cells = column.cells.tolist()
    if column.present == 0:
        return "Unknown"
    others = cells[CellKind.STRING] + cells[CellKind.BOOLEAN]
    bearable = 0.0 if rules == "sagemaker" else _NO_NUMBERS * column.present
    if cells[CellKind.CODE] or cells[CellKind.DATE] or others > bearable:
        return "String"
    return "Integral" if cells[CellKind.INTEGRAL] == column.present - others else "Fractional"


def _feature(
    name: str, column: ColumnSummary, rules: Rules, as_of: datetime | None
) -> documents.FeatureStatistics:
    kind = inferred_type(column, rules)
    cells = column.cells.tolist()
    classes = {label: cells[cell] for label, cell in _DATA_TYPES.items()}
    classes["String"] += cells[CellKind.CODE] + cells[CellKind.DATE]
    feature = documents.FeatureStatistics(name, kind, data_types=classes)
    if kind in ("Integral", "Fractional"):
        feature.numerical = _numerical(column, rules)
    else:
        feature.string = _string(name, column, rules)
        if column.present and column.cells[CellKind.DATE] == column.present:
            feature.string.extra = {"dates": _dates(column, as_of)}
    return feature


def _dates(column: ColumnSummary, as_of: datetime | None) -> dict[str, object]:
    """Return the first and the last of a column of dates, and how many days old the last is."""
    ends = (column.moments.minimum, column.moments.maximum)
    first, last = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=end) for end in ends)
    found: dict[str, object] = {"min": f"{first:%Y-%m-%dT%H:%M:%SZ}", "max": f"{last:%Y-%m-%dT%H:%M:%SZ}"}
    if as_of is not None:
        found["age_in_days"] = (as_of - last) / timedelta(days=1)
    return found


def _numerical(column: ColumnSummary, rules: Rules) -> documents.NumericalStatistics:
    moments, levels = column.moments, column.all_numbers().levels
    sketch = documents.QuantileSketch(SHRINKING_FACTOR, float(SKETCH_SIZE), levels)
    found = moments.count > 0
    distinct = column.distinct.estimate()
    if rules == "sound" and not column.values.overflowed:
        numbers, _ = column.values.numbers()
        infinities = sum(end in column.values.floats for end in (-math.inf, math.inf))
        distinct = distinct_of(numbers).size + infinities
    return documents.NumericalStatistics(
        num_present=column.present,
        num_missing=column.missing,
        mean=moments.mean,
        sum=moments.sum,
        std_dev=moments.standard_deviation,
        min=moments.minimum if found else None,
        max=moments.maximum if found else None,
        approximate_num_distinct_values=distinct,
        completeness=column.completeness,
        buckets=_buckets(sketch, moments.minimum, moments.maximum, rules) if found else None,
        sketch=sketch if found else None,
    )


def _buckets(
    sketch: documents.QuantileSketch, low: float, high: float, rules: Rules
) -> list[documents.NumericBucket]:
    """Return ten buckets of equal width, their bounds in the originals' order of operations."""
    if rules == "sagemaker":
        # The originals start the search for the extremes at the limits of a 32-bit integer.
        low, high = min(low, 2.0**31 - 1), max(high, -(2.0**31))
    bounds = [low + (high - low) * i / _BUCKETS for i in range(_BUCKETS + 1)]
    if not math.isfinite((high - low) * _BUCKETS):
        bounds = [low * (1 - i / _BUCKETS) + high * (i / _BUCKETS) for i in range(_BUCKETS + 1)]
    counts = bucket_counts(*sketch.weighted, np.array(bounds))
    return [
        documents.NumericBucket(lower, upper, float(count))
        for (lower, upper), count in zip(pairwise(bounds), counts.tolist(), strict=True)
    ]


def _string(name: str, column: ColumnSummary, rules: Rules) -> documents.StringStatistics:
    estimate = column.distinct.estimate()
    counts = None if column.values.overflowed else _categories(column)
    distinct = len(counts) if counts is not None and rules == "sound" else estimate
    listed = counts if column.present and distinct <= MOST_CATEGORIES[rules] else None
    shown = None if listed is None else [(value, listed[value]) for value in category_order(name, listed)]
    return documents.StringStatistics(
        num_present=column.present,
        num_missing=column.missing,
        distinct_count=float(distinct),
        completeness=column.completeness,
        categories=None if shown is None else [documents.CategoryBucket(*pair) for pair in shown],
    )


def _categories(column: ColumnSummary) -> dict[str, int]:
    """Return how often each value occurs, numbers written as text: ``3``, ``3.0``, ``Infinity``."""
    counts = Counter(column.values.texts)
    for integer, count in column.values.integers.items():
        counts[str(integer)] += count
    for number, count in column.values.floats.items():
        text = java_double(number) if math.isfinite(number) else "Infinity" if number > 0 else "-Infinity"
        counts[text] += count
    return counts
