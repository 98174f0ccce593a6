"""The documents of data-quality jobs, as a set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from contract.api import Baseline, Declared, DocumentSet
from contract.errors import DocumentError
from contract.schema import Fields, features_have, in_order

# ``statistics.json``: what the data looked like.
#
# The shape is that of the original containers; spec section 3.2 lists every member. Beyond it, the sound
# rules write ``data_types`` per feature (how many cells were integral, fractional, boolean, text), which
# lets a later run check types from this file alone.


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


# ``constraints.json``: what is expected of later data, written by a baseline job, edited by people.
#
# Spec section 3.3 lists every member. Files of 2019 used ``enable_comparisons`` (a boolean) and
# ``min_domain_mass``; they are read as ``perform_comparison`` and ``domain_content_threshold`` and kept
# as they are when written again.


OVERRIDES = "monitoringConfigOverrides"
_STRING_OVERRIDES = "monitoring_config_overrides"


@dataclass(frozen=True)
class MonitoringConfig:
    """The thresholds and switches that apply to one feature, after its overrides."""

    evaluate_constraints: bool = True
    emit_metrics: bool = True
    datatype_check_threshold: float = 1.0
    domain_content_threshold: float = 1.0
    perform_comparison: bool = True
    comparison_threshold: float = 0.1
    comparison_method: str = "Robust"
    categorical_comparison_threshold: float | None = None
    categorical_drift_method: str = "LInfinity"

    @property
    def categorical_threshold(self) -> float:
        """Return the drift threshold of text features, which falls back to the numeric one."""
        threshold = self.categorical_comparison_threshold
        return self.comparison_threshold if threshold is None else threshold


@dataclass
class FeatureConstraints:
    """What is expected of one feature. `domains` is None when any text is allowed.

    `overrides` replaces keys of ``monitoring_config`` for this feature, flat or nested as there.
    """

    name: str
    inferred_type: InferredType
    completeness: float | None = None
    is_non_negative: bool | None = None
    domains: list[str] | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    numeric_extra: dict[str, Any] = field(default_factory=dict)
    string_extra: dict[str, Any] = field(default_factory=dict)
    string_overrides: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass
class Constraints:
    """The whole document; `monitoring_config` holds the JSON as read or suggested."""

    features: list[FeatureConstraints]
    monitoring_config: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "constraints.json"

    def feature(self, name: str) -> FeatureConstraints | None:
        """Return the constraints of that feature, if present."""
        return next((feature for feature in self.features if feature.name == name), None)

    def config(self, feature: FeatureConstraints | None = None) -> MonitoringConfig:
        """Return the configuration in force, for the whole document or for one feature.

        Raises
        ------
        DocumentError
            Naming the file, the feature and the key, when a value is unusable.
        """
        members = _flatten(self.monitoring_config)
        where = f"{self.where}: monitoring_config"
        if feature is not None:
            overrides = {**_flatten(feature.string_overrides), **_flatten(feature.overrides)}
            if overrides:
                where = f"{self.where}: {OVERRIDES} of feature {feature.name!r} over monitoring_config"
                if (
                    "comparison_threshold" in overrides
                    and "categorical_comparison_threshold" not in overrides
                ):
                    # One threshold given for one feature means that feature, text or number.
                    overrides["categorical_comparison_threshold"] = overrides["comparison_threshold"]
            members.update(overrides)
        return _config(members, where)


def _flatten(config: dict[str, Any]) -> dict[str, Any]:
    members = {key: value for key, value in config.items() if key != "distribution_constraints"}
    nested = config.get("distribution_constraints")
    if isinstance(nested, dict):
        members.update(nested)
    return members


def _config(members: dict[str, Any], where: str) -> MonitoringConfig:
    domain_content = members.get("domain_content_threshold", members.get("min_domain_mass", 1.0))
    comparison = members.get("perform_comparison", members.get("enable_comparisons", "Enabled"))
    categorical = members.get("categorical_comparison_threshold")
    return MonitoringConfig(
        evaluate_constraints=_switch(
            members.get("evaluate_constraints", "Enabled"), where, "evaluate_constraints"
        ),
        emit_metrics=_switch(members.get("emit_metrics", "Enabled"), where, "emit_metrics"),
        datatype_check_threshold=_number(
            members.get("datatype_check_threshold", 1.0), where, "datatype_check_threshold"
        ),
        domain_content_threshold=_number(domain_content, where, "domain_content_threshold"),
        perform_comparison=_switch(comparison, where, "perform_comparison"),
        comparison_threshold=_number(members.get("comparison_threshold", 0.1), where, "comparison_threshold"),
        comparison_method=_choice(
            str(members.get("comparison_method", "Robust")).removeprefix("linf_"),
            where,
            "comparison_method",
            ("Robust", "Simple"),
        ),
        categorical_comparison_threshold=None
        if categorical is None
        else _number(categorical, where, "categorical_comparison_threshold"),
        categorical_drift_method=_choice(
            members.get("categorical_drift_method", "LInfinity"),
            where,
            "categorical_drift_method",
            ("LInfinity", "ChiSquared"),
        ),
    )


def _switch(value: Any, where: str, key: str) -> bool:
    if isinstance(value, bool):
        return value
    return _choice(value, where, key, ("Enabled", "Disabled")) == "Enabled"


def _choice(value: Any, where: str, key: str, allowed: tuple[str, ...]) -> str:
    for name in allowed:
        if isinstance(value, str) and value.casefold() == name.casefold():
            return name
    raise DocumentError(f"{where}: {key} is {value!r}; use {' or '.join(allowed)}.")


def _number(value: Any, where: str, key: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise DocumentError(f"{where}: {key} is {value!r}; use a number such as 0.1.")


def read_constraints(value: dict[str, Any], where: str) -> Constraints:
    """Build the document from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    if not isinstance(value.get("features"), list):
        raise DocumentError(
            f"{where} has no 'features' list, so it is not a data-quality constraints file; "
            "give baseline_constraints the constraints.json of a data-quality baseline job."
        )
    if features_have(value, "numerical_statistics", "string_statistics"):
        raise DocumentError(
            f"{where} is a statistics file; give it to baseline_statistics, and baseline_constraints the "
            "constraints.json beside it."
        )
    fields = Fields(value, where)
    fields.number("version", 0.0)
    document = Constraints(
        features=[_read_feature_constraints(member) for member in fields.children("features")],
        monitoring_config=fields.get("monitoring_config", dict, {}),
        extra=fields.extra(),
        order=fields.order(),
        where=where,
    )
    document.config()
    for feature in document.features:
        document.config(feature)
    return document


def _read_feature_constraints(fields: Fields) -> FeatureConstraints:
    name = fields.get("name", str)
    fields.where = f"{fields.where} ({name})"
    inferred = fields.get("inferred_type", str)
    if inferred not in INFERRED_TYPES:
        raise DocumentError(
            f"{fields.where}.inferred_type is {inferred!r}; known are {', '.join(INFERRED_TYPES)}."
        )
    feature = FeatureConstraints(
        name=name, inferred_type=inferred, completeness=fields.number("completeness", None)
    )
    if (numeric := fields.child("num_constraints")) is not None:
        feature.is_non_negative = numeric.get("is_non_negative", bool, None)
        feature.numeric_extra = numeric.extra()
    if (string := fields.child("string_constraints")) is not None:
        domains = string.get("domains", list, None)
        if domains is not None and not all(isinstance(text, str) for text in domains):
            raise DocumentError(f'{string.where}.domains must be a list of texts, such as ["a", "b"].')
        feature.domains = domains
        feature.string_overrides = string.get(_STRING_OVERRIDES, dict, {})
        feature.string_extra = string.extra()
    feature.overrides = fields.get(OVERRIDES, dict, {})
    feature.extra = fields.extra()
    feature.order = fields.order()
    return feature


def constraints_to_json(document: Constraints) -> dict[str, Any]:
    """Return the document as JSON values, in the key order of the original files."""
    members: dict[str, Any] = {
        "version": 0.0,
        "features": [_to_json(feature) for feature in document.features],
    }
    if document.monitoring_config:
        members["monitoring_config"] = document.monitoring_config
    return in_order(members, document.extra, document.order)


def _to_json(feature: FeatureConstraints) -> dict[str, Any]:
    members: dict[str, Any] = {"name": feature.name, "inferred_type": feature.inferred_type}
    if feature.completeness is not None:
        members["completeness"] = feature.completeness
    numeric = dict(feature.numeric_extra)
    if feature.is_non_negative is not None:
        numeric = {"is_non_negative": feature.is_non_negative, **numeric}
    if numeric or "num_constraints" in feature.order:
        members["num_constraints"] = numeric
    string: dict[str, Any] = {}
    if feature.domains is not None:
        string["domains"] = feature.domains
    if feature.string_overrides:
        string[_STRING_OVERRIDES] = feature.string_overrides
    string.update(feature.string_extra)
    if string or "string_constraints" in feature.order:
        members["string_constraints"] = string
    if feature.overrides:
        members[OVERRIDES] = feature.overrides
    return in_order(members, feature.extra, feature.order)


DataQualityBaseline = Baseline[Statistics, Constraints]


def _column_names(baseline: DataQualityBaseline) -> tuple[str, ...] | None:
    document = baseline.constraints or baseline.statistics
    return tuple(feature.name for feature in document.features) if document else None


def _declared(baseline: DataQualityBaseline) -> Mapping[str, Declared]:
    statistics = (
        {feature.name: feature for feature in baseline.statistics.features} if baseline.statistics else {}
    )
    found: dict[str, Declared] = {}
    for feature in baseline.constraints.features if baseline.constraints else statistics.values():
        if feature.inferred_type in ("Integral", "Fractional"):
            found[feature.name] = Declared("number", span=_span(statistics.get(feature.name)))
        elif feature.inferred_type == "String":
            known = statistics.get(feature.name)
            domains = feature.domains if isinstance(feature, FeatureConstraints) else None
            if domains is None and known and known.string and known.string.categories:
                domains = [category.value for category in known.string.categories]
            found[feature.name] = _text(domains, known)
    return found


def _span(known: FeatureStatistics | None) -> tuple[float, float] | None:
    numbers = known.numerical if known is not None else None
    if numbers is None or numbers.min is None or numbers.max is None:
        return None
    return numbers.min, numbers.max


def _text(domains: list[str] | None, known: FeatureStatistics | None) -> Declared:
    if known is not None and known.string is not None and "dates" in known.string.extra:
        return Declared("date")
    words = {word.casefold(): word for word in domains or ()}
    if words and len(words) == len(domains or ()) and words.keys() <= {"true", "false"}:
        true = words.get("true") or ("True" if words["false"][0] == "F" else "true")
        return Declared("boolean", (words.get("false") or ("False" if true[0] == "T" else "false"), true))
    return Declared("text")


DATA_QUALITY = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
    column_names=_column_names,
    declared=_declared,
)
