"""The documents of data-quality jobs, as a set."""

import functools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson

from analyzers.data_quality.sketches import weighted_values
from analyzers.shared.rules import Checked
from contract import schema
from contract.api import Baseline, Declared, DocumentSet
from contract.errors import DocumentError
from contract.schema import REQUIRED, JsonObject, Kept, Level, count, member, nested, number, numbers, of_kind

# ``statistics.json``: what the data looked like.
#
# The shape is that of the original containers; spec section 3.2 lists every member. Beyond it, the sound
# rules write per feature ``data_types`` (how many cells were integral, fractional, boolean, text) and
# ``sample`` (what rows in order of arrival show), and ``correlations``: a later run decides from this file
# alone.


InferredType = Literal["Integral", "Fractional", "String", "Unknown"]
INFERRED_TYPES: tuple[InferredType, ...] = ("Integral", "Fractional", "String", "Unknown")


# How members are read and written that are not just of one kind.


def _integers(members: JsonObject, key: str) -> list[int]:
    return [int(number) for number in numbers(members, key) or ()]


def _name(members: JsonObject, key: str) -> str:
    name: str = members.get(key, str)
    members.path = f"{members.path} ({name})"
    return name


_type = schema.checked(lambda value: value in INFERRED_TYPES, f"one of {', '.join(INFERRED_TYPES)}")


def _write_buckets(buckets: list[Any]) -> list[dict[str, Any]]:
    return [dict(vars(bucket)) for bucket in buckets]


def _levels(members: JsonObject, key: str) -> list[npt.NDArray[np.float64]]:
    try:
        return [np.asarray(level, dtype=np.float64).reshape(-1) for level in members.get(key, list)]
    except (TypeError, ValueError):
        members.note(key, "data_quality_documents.levels")
        return []


def _repeated(members: JsonObject, key: str) -> list[tuple[Any, int]]:
    repeated = members.get(key, list, [])
    pairs = [pair for pair in repeated if isinstance(pair, list) and len(pair) == 2]
    known = [pair for pair in pairs if isinstance(pair[0], str | int | float)]
    found = [(value, int(rows)) for value, rows in known if type(rows) in (int, float)]
    if len(found) < len(repeated):
        members.note(key, "data_quality_documents.pairs")
    return found


def _sample(members: JsonObject) -> "SampleStatistics":
    sample = schema.read_document(SampleStatistics, members)
    kept = tail_ranks(sample.rows).size
    if (sample.low or sample.high) and {len(sample.low), len(sample.high)} != {kept}:
        lengths = {"low": len(sample.low), "high": len(sample.high)}
        members.note("low", "data_quality_documents.tails", kept=kept, rows=sample.rows, **lengths)
    return sample


def _correlations(members: JsonObject) -> "Correlations":
    found = schema.read_document(Correlations, members)
    if len(found.pairs) != len(found.features) * (len(found.features) - 1) // 2:
        members.note("pairs", "data_quality_documents.correlations")
    if len(found.variances) not in (0, len(found.pairs)):
        members.note("variances", "data_quality_documents.correlations")
    return found


def _counts(members: JsonObject) -> dict[str, int]:
    return {name: members.count(name, 0) for name in members.members}


def _domains(members: JsonObject, key: str) -> list[str] | None:
    domains: list[str] | None = members.get(key, list, None)
    if not all(isinstance(text, str) for text in domains or ()):
        members.wrong(key, 'a list of texts, such as ["a", "b"]')
    return domains


@functools.lru_cache(maxsize=1024)
def tail_ranks(rows: int) -> npt.NDArray[np.int64]:
    """Return the ranks, from either end, at which values are kept: 1 to 10, then in steps of a tenth."""
    ranks, rank = [], 1
    while rank <= max(1, rows // 4):
        ranks.append(rank)
        rank = max(rank + 1, int(rank * 1.1))
    return np.array(ranks, dtype=np.int64)


@dataclass
class NumericBucket:
    """One of ten equal-width buckets; `count` is sketch weight in ``[lower, upper)``, the last closed."""

    lower_bound: float = member(JsonObject.number, REQUIRED)
    upper_bound: float = member(JsonObject.number, REQUIRED)
    count: float = member(JsonObject.number, REQUIRED)


@dataclass
class QuantileSketch:
    """A KLL sketch as stored: item weight at level h is ``2**h``."""

    c: float = member(number, 0.64, inside="parameters")
    k: float = member(number, 2048.0, inside="parameters")
    levels: list[npt.NDArray[np.float64]] = member(_levels, [], key="data")

    # By identity, for what is worked out of a baseline's once and serves many windows.
    __hash__ = object.__hash__

    @functools.cached_property
    def weighted(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return the items in ascending order, with their weights."""
        return weighted_values(self.levels)


@dataclass
class CategoryBucket:
    """How often a category occurs."""

    value: str = member(of_kind(str), REQUIRED)
    count: int = member(count, REQUIRED)


@dataclass
class NumericalStatistics(Kept):
    """Statistics of an Integral or Fractional feature. `std_dev` is the population standard deviation."""

    num_present: int = member(count, 0, inside="common")
    num_missing: int = member(count, 0, inside="common")
    mean: float | None = member(number)
    sum: float | None = member(number)
    std_dev: float | None = member(number)
    min: float | None = member(number)
    max: float | None = member(number)
    approximate_num_distinct_values: int | None = member(count)
    completeness: float | None = member(number)
    buckets: list[NumericBucket] | None = member(
        schema.objects_of(NumericBucket), inside="distribution.kll", write=_write_buckets
    )
    sketch: QuantileSketch | None = member(schema.object_of(QuantileSketch), inside="distribution.kll")


@dataclass
class StringStatistics(Kept):
    """Statistics of a String or Unknown feature; `categories` is None above the cardinality limit."""

    num_present: int = member(count, 0, inside="common")
    num_missing: int = member(count, 0, inside="common")
    distinct_count: float | None = member(number)
    completeness: float | None = member(number)
    categories: list[CategoryBucket] | None = member(
        schema.objects_of(CategoryBucket),
        key="buckets",
        inside="distribution.categorical",
        write=_write_buckets,
    )


@dataclass
class SampleStatistics:
    """What a sample of rows in order of arrival shows of a feature; `docs/soundness.md` defines the figures.

    Attributes
    ----------
    rows
        With a value.
    design_effect, missing_design_effect
        By how much dependence of rows widens the spread of a share of values, and of missing cells.
    blocks
        How many blocks `design_effect` was estimated from; 0 where there were too few rows.
    low, high
        The smallest and the largest values at growing ranks, of numbers, and of dates in seconds since 1970.
    repeated, next_repeated
        The most frequent values with their rows, and the rows of the most frequent value not listed.
    fresh
        Rows whose value occurs in one tenth of the sample only, of text.
    known, known_rows
        Hashes of some values and their rows, of text.
    traits, next_trait
        What texts have in common with their rows, and the rows of the most frequent word not listed.
    """

    rows: int = member(count, 0)
    design_effect: float = member(schema.effect, 1.0)
    missing_design_effect: float = member(schema.effect, 1.0)
    blocks: int = member(count, 0)
    low: list[float] = member(numbers, [], written="if any")
    high: list[float] = member(numbers, [], written="if any")
    repeated: list[tuple[Any, int]] = member(_repeated, [], written="if any")
    next_repeated: int = member(count, 0)
    fresh: int | None = member(of_kind(int))
    known: list[int] = member(_integers, [], written="if any")
    known_rows: list[int] = member(_integers, [], written="if any")
    traits: list[tuple[Any, int]] = member(_repeated, [], written="if any")
    next_trait: int = member(count, 0, written="if any")

    # By identity, as of a sketch.
    __hash__ = object.__hash__


@dataclass
class Correlations:
    """Rank correlations of all pairs of numeric `features`: (0, 1), (0, 2), ..., (1, 2), ...

    `variances` has the variance of each times the rows; older files have none.
    """

    features: list[str] = member(of_kind(list), REQUIRED)
    rows: int = member(count, REQUIRED)
    pairs: list[float] = member(numbers, [])
    variances: list[float] = member(numbers, [], written="if any")


@dataclass
class FeatureStatistics(Kept):
    """One feature; exactly one of `numerical` and `string` is set.

    `data_types` counts the non-missing cells by class (``Integral``, ``IntegralValued`` for numbers such
    as 3.0 in a fractional column, ``Fractional``, ``Boolean``, ``String``).
    """

    name: str = member(_name, REQUIRED)
    inferred_type: InferredType = member(_type, REQUIRED)
    numerical: NumericalStatistics | None = member(
        schema.object_of(NumericalStatistics), key="numerical_statistics"
    )
    string: StringStatistics | None = member(schema.object_of(StringStatistics), key="string_statistics")
    data_types: dict[str, int] | None = member(nested(_counts), ours=True)
    sample: SampleStatistics | None = member(nested(_sample), ours=True)

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
    def rows(self) -> int:
        """Return the number of cells, with a value or without one."""
        return self.num_present + self.num_missing

    @property
    def completeness(self) -> float:
        """Return the share of cells with a value; 1.0 for no cells at all."""
        return self.num_present / self.rows if self.rows else 1.0


@dataclass
class Statistics(Kept):
    """The whole document.

    `positional` says that the columns came without names (a CSV without header), so a comparison goes
    by position. It is not written.
    """

    item_count: int = member(count, 0, inside="dataset")
    features: list[FeatureStatistics] = member(schema.objects_of(FeatureStatistics), [])
    positional: bool = False
    correlations: Correlations | None = member(nested(_correlations), ours=True)
    where: str = "statistics.json"

    # By identity, as of a sketch.
    __hash__ = object.__hash__


def read_statistics(value: dict[str, Any], where: str) -> Statistics:
    """Build the document from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    if not isinstance(value.get("features"), list):
        raise DocumentError.of("data_quality_documents.no_statistics", file=where)
    if schema.features_have(value, "num_constraints", "string_constraints"):
        raise DocumentError.of("data_quality_documents.constraints_for_statistics", file=where)
    with schema.gathered(value, where) as members:
        members.number("version", 0.0)
        return schema.read_document(Statistics, members, where=where)


def statistics_to_json(document: Statistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the document as JSON values, in the key order of the original files.

    Parameters
    ----------
    document
        The document.
    with_extensions
        Whether to write members the originals do not have (``data_types``, ``sample``, ``correlations``).
    """
    return schema.write_document(document, with_ours=with_extensions, version=0.0)


# ``constraints.json``: what is expected of later data, written by a baseline job, edited by people.
#
# `docs/constraints.md` has every member. Files of 2019 used ``enable_comparisons`` (a boolean) and
# ``min_domain_mass``; they are read as ``perform_comparison`` and ``domain_content_threshold``, and
# ``comparion_method``, as AWS's page has it, as ``comparison_method``. All are kept as they are when written
# again. Names that are nearly known are refused, all at once, with the right name; others are kept and named.


OVERRIDES = "monitoringConfigOverrides"
_STRING_OVERRIDES = "monitoring_config_overrides"
_BOTH = (OVERRIDES, _STRING_OVERRIDES)


_enabled = schema.choice(("Enabled", "Disabled"))
_drift_method = schema.choice(("LInfinity", "ChiSquared"))
_any_method = schema.choice(("Robust", "Simple", "linf_Robust", "linf_Simple"))


def _switch(members: JsonObject, key: str) -> bool | None:
    if isinstance(value := members.raw(key), bool):
        return value
    said = _enabled(members, key)
    return None if said is None else said == "Enabled"


def _comparison_method(members: JsonObject, key: str) -> str:
    return (_any_method(members, key) or "Robust").removeprefix("linf_")


def _distance(members: JsonObject, key: str) -> float | None:
    found = members.checked(key, lambda value: type(value) in (int, float) and value >= 0.0, _A_DISTANCE)
    return None if found is None else float(found)


_A_DISTANCE = "a number such as 0.1"
DOMAIN_THRESHOLD = "domain_content_threshold"


@dataclass(frozen=True)
class MonitoringConfig:
    """The thresholds and switches that apply to one feature, after its overrides."""

    evaluate_constraints: bool = member(_switch, True)
    emit_metrics: bool = member(_switch, True)
    datatype_check_threshold: float = member(schema.share, 1.0)
    domain_content_threshold: float = member(schema.share, 1.0)
    perform_comparison: bool = member(_switch, True)
    comparison_threshold: float = member(_distance, 0.1)
    comparison_method: str = member(_comparison_method, "Robust")
    categorical_comparison_threshold: float | None = member(_distance, None)
    categorical_drift_method: str = member(_drift_method, "LInfinity")
    share_comparison_threshold: float = member(_distance, 0.1)
    correlation_comparison_threshold: float = member(_distance, 0.2)

    def share_threshold(self, *, text: bool) -> float:
        """Return how far any share of rows may drift, as Cohen's h.

        Who allows a larger distance than usual allows a share of one half to move by that much. The limit of
        missing cells and unknown values, which are no drift, is `share_comparison_threshold` itself.
        """
        threshold = self.categorical_threshold if text else self.comparison_threshold
        usual = MonitoringConfig.comparison_threshold
        allowed = 2.0 * math.asin(min(1.0, threshold)) if threshold > usual else 0.0
        return max(self.share_comparison_threshold, allowed)

    @property
    def categorical_threshold(self) -> float:
        """Return the drift threshold of text features, which falls back to the numeric one."""
        threshold = self.categorical_comparison_threshold
        return self.comparison_threshold if threshold is None else threshold


@dataclass
class FeatureConstraints(Kept):
    """What is expected of one feature. `domains` is None when any text is allowed.

    `overrides` replaces keys of ``monitoring_config`` for this feature, flat or nested as there. The extras
    hold what is kept as it was written, overrides in another spelling or place among it.
    """

    name: str = member(_name, REQUIRED)
    inferred_type: InferredType = member(_type, REQUIRED)
    completeness: float | None = member(number)
    is_non_negative: bool | None = member(of_kind(bool), inside="num_constraints")
    domains: list[str] | None = member(_domains, inside="string_constraints")
    string_overrides: dict[str, Any] = member(
        of_kind(dict), {}, key=_STRING_OVERRIDES, inside="string_constraints", written="if any"
    )
    overrides: dict[str, Any] = member(of_kind(dict), {}, key=OVERRIDES, written="if any")
    numeric_extra: dict[str, Any] = field(default_factory=dict)
    string_extra: dict[str, Any] = field(default_factory=dict)

    @property
    def minimum(self) -> float | None:
        """Return the smallest value that an expert allows."""
        return self.numeric_extra.get("minimum")

    @property
    def maximum(self) -> float | None:
        """Return the largest value that an expert allows."""
        return self.numeric_extra.get("maximum")

    @property
    def all_overrides(self) -> dict[str, Any]:
        """Return the overrides from wherever AWS's page, its SDK or users put them; those outside win."""
        places = (
            self.string_overrides,
            self.string_extra.get(OVERRIDES),
            *(self.numeric_extra.get(name) for name in _BOTH),
            self.extra.get(_STRING_OVERRIDES),
            self.overrides,
        )
        found: dict[str, Any] = {}
        for place in places:
            found |= _flatten(place) if place and isinstance(place, dict) else {}
        return found


@dataclass
class Constraints(Checked):
    """The whole document; `monitoring_config` holds the JSON as read or suggested.

    `unused` names the members that have no effect.
    """

    features: list[FeatureConstraints]
    monitoring_config: dict[str, Any] = member(of_kind(dict), {}, written="if any")
    known_configs: dict[bytes, MonitoringConfig] = field(default_factory=dict, init=False, compare=False)

    def config(self, feature: FeatureConstraints | None = None) -> MonitoringConfig:
        """Return the configuration in force, for the whole document or for one feature.

        Raises
        ------
        DocumentError
            Naming the file, the feature and the key, when a value is unusable.
        """
        # The same for most features, and for every window.
        overrides = {} if feature is None else feature.all_overrides
        about = orjson.dumps([self.monitoring_config, overrides and feature and feature.name, overrides])
        if about not in self.known_configs:
            mistakes = schema.Mistakes(self.where)
            config = self.read_config(feature, mistakes)
            mistakes.stop_if_any(DocumentError)
            self.known_configs[about] = config
        return self.known_configs[about]

    def read_config(self, feature: FeatureConstraints | None, mistakes: schema.Mistakes) -> MonitoringConfig:
        """Return the configuration in force, and note what is unusable in it."""
        where, overrides = "monitoring_config", {} if feature is None else feature.all_overrides
        if overrides and feature is not None:
            where = f"feature {feature.name!r}.{OVERRIDES}"
            if "comparison_threshold" in overrides and "categorical_comparison_threshold" not in overrides:
                # One threshold given for one feature means that feature, text or number.
                overrides["categorical_comparison_threshold"] = overrides["comparison_threshold"]
        members = JsonObject(_flatten(self.monitoring_config) | overrides, where, mistakes)
        mistakes.names_known = True  # they were looked at when the file was read
        config = schema.read_document(MonitoringConfig, members)
        # The statistic of chi-squared has no upper end; those of the others are theirs.
        most = math.inf if config.categorical_drift_method == "ChiSquared" else 1.0
        ends = {"comparison_threshold": most, "categorical_comparison_threshold": most}
        ends |= {"share_comparison_threshold": 3.15, "correlation_comparison_threshold": 2.0}
        for name, end in ends.items():
            if (getattr(config, name) or 0.0) > end:
                members.wrong(name, f"a number from 0 to {end:g}, such as 0.1")
        return config


def _flatten(config: dict[str, Any]) -> dict[str, Any]:
    members = {key: value for key, value in config.items() if key != "distribution_constraints"}
    nested = config.get("distribution_constraints")
    if isinstance(nested, dict):
        members.update(nested)
    return {_ALIASES.get(key, key): value for key, value in members.items()}


_ALIASES = {
    "enable_comparisons": "perform_comparison",
    "min_domain_mass": "domain_content_threshold",
    "comparion_method": "comparison_method",
}

_CONFIG_NAMES: dict[str, Level | None] = dict.fromkeys((*vars(MonitoringConfig()), *_ALIASES))
_CONFIG = f"monitoring_config, or {OVERRIDES} of a feature"
_IN_CONFIG = Level(_CONFIG, {**_CONFIG_NAMES, "distribution_constraints": Level(_CONFIG, _CONFIG_NAMES)})
_OVERRIDDEN: dict[str, Level | None] = dict.fromkeys(_BOTH, _IN_CONFIG)
_NUMBERS, _TEXTS = "num_constraints", "string_constraints"
_FEATURE = schema.level_of(
    FeatureConstraints,
    "a feature",
    num_constraints=Level(_NUMBERS, dict.fromkeys(("is_non_negative", "minimum", "maximum")) | _OVERRIDDEN),
    string_constraints=Level(_TEXTS, {"domains": None, **_OVERRIDDEN}),
    **_OVERRIDDEN,
)
FILE = Level("the file", {"version": None, "features": _FEATURE, "monitoring_config": _IN_CONFIG})


def read_constraints(value: dict[str, Any], where: str) -> Constraints:
    """Build the document from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    if not isinstance(value.get("features"), list):
        raise DocumentError.of("data_quality_documents.no_constraints", file=where)
    if schema.features_have(value, "numerical_statistics", "string_statistics"):
        raise DocumentError.of("data_quality_documents.statistics_for_constraints", file=where)
    with schema.gathered(value, where) as members:
        mistakes = members.mistakes
        unused = schema.unused_members(value, FILE, mistakes)
        members.number("version", 0.0)
        features = [_read_feature(each, mistakes, unused) for each in members.children("features")]
        others = {"features": features, "unused": unused, "where": where}
        document = schema.read_document(Constraints, members, **others)
        names = Counter(feature.name for feature in features)
        for name, times in names.items():
            if times > 1:
                mistakes.add("data_quality_documents.feature_twice", field=f"feature {name!r}", count=times)
        _refuse_twice(document.monitoring_config, "monitoring_config", mistakes)
        whole = document.read_config(None, mistakes)
        are_own = [DOMAIN_THRESHOLD in each.all_overrides for each in features if each.domains is not None]
        if whole.domain_content_threshold < 1.0 and are_own and all(are_own):
            unused.append(f"monitoring_config.{DOMAIN_THRESHOLD}, as each feature with domains has its own")
        # Of a feature only what its own overrides add, as the rest was said of the whole.
        for feature in features if not mistakes.found else ():
            document.read_config(feature, mistakes)
    return document


def _refuse_twice(config: dict[str, Any], where: str, mistakes: schema.Mistakes) -> None:
    nested = config.get("distribution_constraints")
    for name in config:
        if isinstance(nested, dict) and name in nested:
            mistakes.add("data_quality_documents.said_twice", field=f"{where}.{name}")


def _read_feature(members: JsonObject, mistakes: schema.Mistakes, unused: list[str]) -> FeatureConstraints:
    """Return the constraints of one feature, and note what is wrong or without effect in them."""
    feature = schema.read_document(FeatureConstraints, members)
    numeric, string = members.within(_NUMBERS), members.within(_TEXTS)
    feature.numeric_extra = {key: each for key, each in numeric.members.items() if key != "is_non_negative"}
    own = ("domains", _STRING_OVERRIDES)
    feature.string_extra = {key: each for key, each in string.members.items() if key not in own}
    here = f"feature {feature.name!r}"
    # A text NaN is no number; it would switch the check off.
    share = math.nan if members.raw("completeness") == "NaN" else feature.completeness
    if share is not None and not 0.0 <= share <= 1.0:
        mistakes.add("data_quality_documents.completeness", field=here, share=share)
    least, most = (numeric.number(bound, None) for bound in ("minimum", "maximum"))
    if least is not None and most is not None and least > most:
        mistakes.add("data_quality_documents.bounds", field=here, least=least, most=most)
    empty = [key for holder in (members, numeric) for key, each in holder.members.items() if each is None]
    unused += [f"{here}.{key}, which is null" for key in empty]
    if feature.inferred_type == "String" and numeric.members:
        unused.append(f"{here}.{_NUMBERS}")
    for holder in (members, numeric, string):
        for spelling in _BOTH:
            _refuse_twice(holder.get(spelling, dict, {}), f"{here}.{spelling}", mistakes)
    return feature


def constraints_to_json(document: Constraints) -> dict[str, Any]:
    """Return the document as JSON values, in the key order of the original files."""
    features = [_constraints_of_to_json(feature) for feature in document.features]
    return schema.write_document(document, version=0.0, features=features)


def _constraints_of_to_json(feature: FeatureConstraints) -> dict[str, Any]:
    written = schema.write_document(feature)
    for name, extra in ((_NUMBERS, feature.numeric_extra), (_TEXTS, feature.string_extra)):
        if extra or name in feature.order:
            written[name] = written.get(name, {}) | extra
    own = {key: written[key] for key in _FEATURE.members if key in written}
    return schema.in_order(own, written, feature.order)


DataQualityBaseline = Baseline[Statistics, Constraints]


def _column_names(baseline: DataQualityBaseline) -> tuple[str, ...] | None:
    document = baseline.constraints or baseline.statistics
    return tuple(feature.name for feature in document.features) if document else None


def _declared(baseline: DataQualityBaseline) -> Mapping[str, Declared]:
    statistics = {each.name: each for each in baseline.statistics.features} if baseline.statistics else {}
    found: dict[str, Declared] = {}
    for feature in baseline.constraints.features if baseline.constraints else statistics.values():
        known = statistics.get(feature.name)
        if feature.inferred_type in ("Integral", "Fractional"):
            numbers, span = known.numerical if known else None, None
            if numbers is not None and numbers.min is not None and numbers.max is not None:
                span = numbers.min, numbers.max
            found[feature.name] = Declared("number", span=span)
        elif feature.inferred_type == "String":
            domains = feature.domains if isinstance(feature, FeatureConstraints) else None
            if domains is None and known and known.string and known.string.categories:
                domains = [category.value for category in known.string.categories]
            found[feature.name] = _text(domains, known)
    return found


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
    column_types=lambda constraints: {each.name: each.inferred_type for each in constraints.features},
    declared=_declared,
)
