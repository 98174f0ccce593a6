"""Statistics documents built from plain values, exactly and without the analyzer's summaries."""

from collections import Counter

import numpy as np

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from analyzers.data_quality.documents import (
    CategoryBucket,
    FeatureStatistics,
    NumericalStatistics,
    QuantileSketch,
    Statistics,
    StringStatistics,
)
from analyzers.data_quality.limits import suggest
from contract.api import Baseline

ROWS = 5_000


def check(window, baseline, *, rules="sound"):
    return DataQualityAnalyzer(rules).check(window, baseline)


def numeric(name, values, *, missing=0, integral=False, levels=None, data_types=None):
    values = np.asarray(values, dtype=np.float64)
    sketch = QuantileSketch(0.64, 2048.0, levels if levels is not None else [values])
    total = len(values) + missing
    kind = "Integral" if integral else "Fractional"
    return FeatureStatistics(
        name,
        kind,
        numerical=NumericalStatistics(
            num_present=len(values),
            num_missing=missing,
            mean=float(values.mean()) if len(values) else None,
            sum=float(values.sum()),
            std_dev=float(values.std()) if len(values) else None,
            min=float(values.min()) if len(values) else None,
            max=float(values.max()) if len(values) else None,
            approximate_num_distinct_values=len(np.unique(values)),
            completeness=len(values) / total if total else 1.0,
            buckets=None,
            sketch=sketch,
        ),
        data_types=data_types or {kind: len(values)},
    )


def text(name, values, *, missing=0, listed=True, data_types=None):
    counts = values if isinstance(values, dict) else Counter(values)
    present = sum(counts.values())
    return FeatureStatistics(
        name,
        "String",
        string=StringStatistics(
            num_present=present,
            num_missing=missing,
            distinct_count=float(len(counts)),
            completeness=present / (present + missing) if present + missing else 1.0,
            categories=[CategoryBucket(value, count) for value, count in counts.items()] if listed else None,
        ),
        data_types=data_types or {"String": present},
    )


def unknown(name, missing):
    return FeatureStatistics(
        name,
        "Unknown",
        string=StringStatistics(0, missing, 0.0, 0.0, None),
        data_types={},
    )


def document(*features, positional=False):
    rows = features[0].num_present + features[0].num_missing if features else 0
    return Statistics(rows, list(features), positional=positional)


def baseline_of(*features):
    statistics = document(*features)
    return Baseline(statistics, suggest(statistics))


def listed(decision):
    return [
        (violation.feature_name, violation.constraint_check_type)
        for violation in decision.violations.violations
    ]


def only(decision):
    (violation,) = decision.violations.violations
    return violation


def normal(shift=0.0, rows=ROWS, seed=0):
    return np.random.default_rng(seed).normal(shift, 1.0, rows)
