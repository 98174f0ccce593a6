"""``statistics.json``: what the data looked like.

The shape is that of the original containers; spec section 3.2 lists every member. Beyond it, the sound
rules write ``data_types`` per feature (how many cells were integral, fractional, boolean, text), which
lets a later run check types from this file alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from contract.documents.fields import Fields, features_have, in_order
from contract.errors import DocumentError

InferredType = Literal["Integral", "Fractional", "String", "Unknown"]
INFERRED_TYPES: tuple[InferredType, ...] = ("Integral", "Fractional", "String", "Unknown")


@dataclass
class NumericBucket:
    """One of ten equal-width buckets; `count` is sketch weight in ``[lower, upper)``, the last closed."""

    lower_bound: float
    upper_bound: float
    count: float


@dataclass
class QuantileSketch:
    """A KLL sketch as stored: item weight at level h is ``2**h``."""

    c: float
    k: float
    levels: list[npt.NDArray[np.float64]]


@dataclass
class CategoryBucket:
    """How often a category occurs."""

    value: str
    count: int


@dataclass
class NumericalStatistics:
    """Statistics of an Integral or Fractional feature. `std_dev` is the population standard deviation."""

    num_present: int
    num_missing: int
    mean: float | None
    sum: float | None
    std_dev: float | None
    min: float | None
    max: float | None
    approximate_num_distinct_values: int | None
    completeness: float | None
    buckets: list[NumericBucket] | None
    sketch: QuantileSketch | None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass
class StringStatistics:
    """Statistics of a String or Unknown feature; `categories` is None above the cardinality limit."""

    num_present: int
    num_missing: int
    distinct_count: float | None
    completeness: float | None
    categories: list[CategoryBucket] | None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass
class FeatureStatistics:
    """One feature; exactly one of `numerical` and `string` is set.

    `data_types` counts the non-missing cells by class (``Integral``, ``IntegralValued`` for numbers such
    as 3.0 in a fractional column, ``Fractional``, ``Boolean``, ``String``).
    """

    name: str
    inferred_type: InferredType
    numerical: NumericalStatistics | None = None
    string: StringStatistics | None = None
    data_types: dict[str, int] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    @property
    def num_present(self) -> int:
        """Return the number of cells with a value."""
        common = self.numerical or self.string
        return common.num_present if common else 0

    @property
    def num_missing(self) -> int:
        """Return the number of cells without one."""
        common = self.numerical or self.string
        return common.num_missing if common else 0

    @property
    def completeness(self) -> float:
        """Return the share of cells with a value; 1.0 for no cells at all."""
        total = self.num_present + self.num_missing
        return self.num_present / total if total else 1.0


@dataclass
class Statistics:
    """The whole document.

    `positional` says that the columns came without names (a CSV without header), so a comparison goes
    by position. It is not written.
    """

    item_count: int
    features: list[FeatureStatistics]
    positional: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "statistics.json"

    def feature(self, name: str) -> FeatureStatistics | None:
        """Return the feature of that name, if present."""
        return next((feature for feature in self.features if feature.name == name), None)


def read_statistics(value: dict[str, Any], where: str) -> Statistics:
    """Build the document from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    fields = Fields(value, where)
    if "features" not in value:
        raise DocumentError(
            f"{where} has no 'features' list, so it is not a data-quality statistics file; "
            "give baseline_statistics the statistics.json of a data-quality baseline job."
        )
    if features_have(value, "num_constraints", "string_constraints"):
        raise DocumentError(
            f"{where} is a constraints file; give it to baseline_constraints, and baseline_statistics the "
            "statistics.json beside it."
        )
    fields.number("version", 0.0)
    dataset = fields.child("dataset")
    features = [_read_feature(member) for member in fields.children("features")]
    return Statistics(
        item_count=dataset.count("item_count", 0) if dataset else 0,
        features=features,
        extra=fields.extra(),
        order=fields.order(),
        where=where,
    )


def _read_feature(fields: Fields) -> FeatureStatistics:
    name = fields.get("name", str)
    fields.where = f"{fields.where} ({name})"
    inferred = fields.get("inferred_type", str)
    if inferred not in INFERRED_TYPES:
        raise DocumentError(
            f"{fields.where}.inferred_type is {inferred!r}; known are {', '.join(INFERRED_TYPES)}."
        )
    numerical = fields.child("numerical_statistics")
    string = fields.child("string_statistics")
    return FeatureStatistics(
        name=name,
        inferred_type=inferred,
        numerical=_read_numerical(numerical) if numerical else None,
        string=_read_string(string) if string else None,
        data_types=_read_data_types(fields.child("data_types")),
        extra=fields.extra(),
        order=fields.order(),
    )


def _read_data_types(fields: Fields | None) -> dict[str, int] | None:
    return None if fields is None else {name: fields.count(name, 0) for name in fields.order()}


def _read_common(fields: Fields) -> tuple[int, int]:
    common = fields.child("common")
    return (common.count("num_present", 0), common.count("num_missing", 0)) if common else (0, 0)


def _read_numerical(fields: Fields) -> NumericalStatistics:
    present, missing = _read_common(fields)
    distribution = fields.child("distribution")
    kll = distribution.child("kll") if distribution else None
    distinct = fields.get("approximate_num_distinct_values", (int, float), None)
    return NumericalStatistics(
        num_present=present,
        num_missing=missing,
        mean=fields.number("mean", None),
        sum=fields.number("sum", None),
        std_dev=fields.number("std_dev", None),
        min=fields.number("min", None),
        max=fields.number("max", None),
        approximate_num_distinct_values=None if distinct is None else int(distinct),
        completeness=fields.number("completeness", None),
        buckets=_read_buckets(kll) if kll else None,
        sketch=_read_sketch(kll) if kll else None,
        extra=fields.extra(),
        order=fields.order(),
    )


def _read_buckets(kll: Fields) -> list[NumericBucket] | None:
    if kll.get("buckets", list, None) is None:
        return None
    return [
        NumericBucket(member.number("lower_bound"), member.number("upper_bound"), member.number("count"))
        for member in kll.children("buckets")
    ]


def _read_sketch(kll: Fields) -> QuantileSketch | None:
    sketch = kll.child("sketch")
    if sketch is None:
        return None
    parameters = sketch.child("parameters")
    levels = sketch.get("data", list)
    try:
        arrays = [np.asarray(level, dtype=np.float64).reshape(-1) for level in levels]
    except (TypeError, ValueError):
        raise DocumentError(f"{sketch.where}.data must be lists of numbers, one per level.") from None
    return QuantileSketch(
        c=parameters.number("c", 0.64) if parameters else 0.64,
        k=parameters.number("k", 2048.0) if parameters else 2048.0,
        levels=arrays,
    )


def _read_string(fields: Fields) -> StringStatistics:
    present, missing = _read_common(fields)
    distribution = fields.child("distribution")
    categorical = distribution.child("categorical") if distribution else None
    categories = None
    if categorical is not None and categorical.get("buckets", list, None) is not None:
        categories = [
            CategoryBucket(member.get("value", str), member.count("count"))
            for member in categorical.children("buckets")
        ]
    return StringStatistics(
        num_present=present,
        num_missing=missing,
        distinct_count=fields.number("distinct_count", None),
        completeness=fields.number("completeness", None),
        categories=categories,
        extra=fields.extra(),
        order=fields.order(),
    )


def statistics_to_json(document: Statistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the document as JSON values, in the key order of the original files.

    Parameters
    ----------
    document
        The document.
    with_extensions
        Whether to write members the originals do not have (``data_types``).
    """
    features = [_feature_to_json(feature, with_extensions) for feature in document.features]
    members = {"version": 0.0, "dataset": {"item_count": document.item_count}, "features": features}
    return in_order(members, document.extra, document.order)


def _feature_to_json(feature: FeatureStatistics, with_extensions: bool) -> dict[str, Any]:
    members: dict[str, Any] = {"name": feature.name, "inferred_type": feature.inferred_type}
    if feature.numerical is not None:
        members["numerical_statistics"] = _numerical_to_json(feature.numerical)
    if feature.string is not None:
        members["string_statistics"] = _string_to_json(feature.string)
    if feature.data_types is not None and with_extensions:
        members["data_types"] = feature.data_types
    return in_order(members, feature.extra, feature.order)


def _numerical_to_json(numbers: NumericalStatistics) -> dict[str, Any]:
    members: dict[str, Any] = {
        "common": {"num_present": numbers.num_present, "num_missing": numbers.num_missing},
        "mean": numbers.mean,
        "sum": numbers.sum,
        "std_dev": numbers.std_dev,
        "min": numbers.min,
        "max": numbers.max,
        "approximate_num_distinct_values": numbers.approximate_num_distinct_values,
        "completeness": numbers.completeness,
    }
    members = {key: member for key, member in members.items() if member is not None}
    kll: dict[str, Any] = {}
    if numbers.buckets is not None:
        kll["buckets"] = [
            {"lower_bound": b.lower_bound, "upper_bound": b.upper_bound, "count": b.count}
            for b in numbers.buckets
        ]
    if numbers.sketch is not None:
        sketch = numbers.sketch
        kll["sketch"] = {"parameters": {"c": sketch.c, "k": sketch.k}, "data": list(sketch.levels)}
    if kll:
        members["distribution"] = {"kll": kll}
    return in_order(members, numbers.extra, numbers.order)


def _string_to_json(text: StringStatistics) -> dict[str, Any]:
    members: dict[str, Any] = {
        "common": {"num_present": text.num_present, "num_missing": text.num_missing},
        "distinct_count": text.distinct_count,
        "completeness": text.completeness,
    }
    members = {key: member for key, member in members.items() if member is not None}
    if text.categories is not None:
        buckets = [{"value": bucket.value, "count": bucket.count} for bucket in text.categories]
        members["distribution"] = {"categorical": {"buckets": buckets}}
    return in_order(members, text.extra, text.order)
