"""The documents of data-quality jobs, as a set."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analyzers.shared.analysis_json import (
    Member,
    Read,
    member,
    nested,
    read_document,
    read_list,
    read_members,
    read_numbers,
    write_list,
    write_members,
)
from contract.api import Baseline, Declared, DocumentSet
from contract.errors import DocumentError
from contract.schema import Fields, Mistakes, features_have, in_order

# ``statistics.json``: what the data looked like.
#
# The shape is that of the original containers; spec section 3.2 lists every member. Beyond it, the sound
# rules write per feature ``data_types`` (how many cells were integral, fractional, boolean, text) and
# ``sample`` (what rows in order of arrival show), and ``correlations``: a later run decides from this file
# alone.


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
        The smallest and the largest values at growing ranks, of numbers.
    repeated, next_repeated
        The most frequent values with their rows, and the rows of the most frequent value not listed.
    fresh
        Rows whose value occurs in one tenth of the sample only, of text.
    known, known_rows
        Hashes of some values and their rows, of text.
    """

    rows: int
    design_effect: float = 1.0
    missing_design_effect: float = 1.0
    blocks: int = 0
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    repeated: list[tuple[Any, int]] = field(default_factory=list)
    next_repeated: int = 0
    fresh: int | None = None
    known: list[int] = field(default_factory=list)
    known_rows: list[int] = field(default_factory=list)


@dataclass
class Correlations:
    """Rank correlations of all pairs of numeric `features`: (0, 1), (0, 2), ..., (1, 2), ..."""

    features: list[str]
    rows: int
    pairs: list[float]


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
    sample: SampleStatistics | None = None
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
    def rows(self) -> int:
        """Return the number of cells, with a value or without one."""
        return self.num_present + self.num_missing

    @property
    def completeness(self) -> float:
        """Return the share of cells with a value; 1.0 for no cells at all."""
        return self.num_present / self.rows if self.rows else 1.0


@dataclass
class Statistics:
    """The whole document.

    `positional` says that the columns came without names (a CSV without header), so a comparison goes
    by position. It is not written.
    """

    item_count: int
    features: list[FeatureStatistics]
    positional: bool = False
    correlations: Correlations | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "statistics.json"


def _count(fields: Fields, key: str) -> int:
    return fields.count(key, 0)


def _number(fields: Fields, key: str) -> float | None:
    return fields.number(key, None)


def _read_whole(fields: Fields, key: str) -> int | None:
    value = fields.get(key, (int, float), None)
    return None if value is None else int(value)


def _effect(fields: Fields, key: str) -> float:
    return max(1.0, fields.number(key, 1.0))


def _integers(fields: Fields, key: str) -> list[int]:
    return [int(number) for number in read_numbers(fields, key)]


def _within(fields: Fields, *path: str) -> Fields:
    """Return an object inside of others, an empty one where it is absent."""
    for key in path:
        fields = fields.child(key) or Fields({}, fields.where)
    return fields


def _read_name(fields: Fields, key: str) -> str:
    name: str = fields.get(key, str)
    fields.where = f"{fields.where} ({name})"
    return name


def _read_type(fields: Fields, key: str) -> InferredType:
    inferred: InferredType = fields.get(key, str)
    if inferred not in INFERRED_TYPES:
        raise DocumentError(f"{fields.where}.{key} is {inferred!r}; known are {', '.join(INFERRED_TYPES)}.")
    return inferred


def _read_buckets(kind: Callable[..., Any], members: tuple[Member, ...]) -> Read:
    def read(fields: Fields, key: str) -> list[Any] | None:
        if fields.get(key, list, None) is None:
            return None
        return [kind(**read_members(members, bucket)) for bucket in fields.children(key)]

    return read


def _write_buckets(buckets: list[Any]) -> list[dict[str, Any]]:
    return [dict(vars(bucket)) for bucket in buckets]


def _read_sketch(sketch: Fields) -> QuantileSketch:
    parameters = _within(sketch, "parameters")
    levels = sketch.get("data", list)
    try:
        arrays = [np.asarray(level, dtype=np.float64).reshape(-1) for level in levels]
    except (TypeError, ValueError):
        raise DocumentError(f"{sketch.where}.data must be lists of numbers, one per level.") from None
    return QuantileSketch(parameters.number("c", 0.64), parameters.number("k", 2048.0), arrays)


def _sketch_to_json(sketch: QuantileSketch) -> dict[str, Any]:
    return {"parameters": {"c": sketch.c, "k": sketch.k}, "data": list(sketch.levels)}


@functools.lru_cache(maxsize=1024)
def tail_ranks(rows: int) -> npt.NDArray[np.int64]:
    """Return the ranks, from either end, at which values are kept: 1 to 10, then in steps of a tenth."""
    ranks, rank = [], 1
    while rank <= max(1, rows // 4):
        ranks.append(rank)
        rank = max(rank + 1, int(rank * 1.1))
    return np.array(ranks, dtype=np.int64)


def _read_repeated(fields: Fields, key: str) -> list[tuple[Any, int]]:
    repeated = fields.get(key, list, [])
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in repeated):
        raise DocumentError(f"{fields.where}.{key} must be a list of pairs: a value and its rows.")
    return [(value, int(rows)) for value, rows in repeated]


def _read_sample(members: Fields) -> SampleStatistics:
    sample = SampleStatistics(**read_members(_SAMPLE, members))
    kept = tail_ranks(sample.rows).size
    if (sample.low or sample.high) and {len(sample.low), len(sample.high)} != {kept}:
        raise DocumentError(
            f"{members.where}.low and .high must each have the {kept} numbers kept of {sample.rows} rows, "
            f"but have {len(sample.low)} and {len(sample.high)}; give the file a baseline job wrote, or "
            "remove that sample."
        )
    return sample


def _read_correlations(members: Fields) -> Correlations:
    found = Correlations(**read_members(_CORRELATIONS, members))
    if len(found.pairs) != len(found.features) * (len(found.features) - 1) // 2:
        raise DocumentError(f"{members.where}.pairs must have one number for each pair of its features.")
    return found


def _read_data_types(counts: Fields) -> dict[str, int]:
    return {name: counts.count(name, 0) for name in counts.order()}


# The members of each object of the file, in the order in which they are written.
_COMMON = (Member("num_present", _count), Member("num_missing", _count))
_NUMERICAL = (
    *(Member(key, _number) for key in ("mean", "sum", "std_dev", "min", "max")),
    Member("approximate_num_distinct_values", _read_whole),
    Member("completeness", _number),
)
_NUMERIC_BUCKET = tuple(Member(key, Fields.number) for key in ("lower_bound", "upper_bound", "count"))
_KLL = (
    Member("buckets", _read_buckets(NumericBucket, _NUMERIC_BUCKET), _write_buckets),
    Member("sketch", nested(_read_sketch), _sketch_to_json),
)
_STRING = (Member("distinct_count", _number), Member("completeness", _number))
_CATEGORY = (Member("value", member(str)), Member("count", Fields.count))
_CATEGORICAL = (Member("buckets", _read_buckets(CategoryBucket, _CATEGORY), _write_buckets, "categories"),)
_SAMPLE = (
    Member("rows", _count),
    Member("design_effect", _effect),
    Member("missing_design_effect", _effect),
    Member("blocks", _count),
    Member("low", read_numbers, written="if any"),
    Member("high", read_numbers, written="if any"),
    Member("repeated", _read_repeated, written="if any"),
    Member("next_repeated", _count),
    Member("fresh", member(int, None)),
    Member("known", _integers, written="if any"),
    Member("known_rows", _integers, written="if any"),
)
_CORRELATIONS = (
    Member("features", member(list)),
    Member("rows", Fields.count),
    Member("pairs", read_numbers, written="always"),
)


def _values(
    key: str, kind: Callable[..., Any], attribute: str, members: tuple[Member, ...], sketch: str, kept: Any
) -> Member:
    """Return the member with the statistics of one kind, whose distribution holds the members `kept`."""

    def read(values: Fields) -> Any:
        further = read_members(_COMMON, _within(values, "common"))
        further |= read_members(kept, _within(values, "distribution", sketch))
        return read_document(kind, members, values, **further)

    def write(values: Any) -> dict[str, Any]:
        written = {"common": write_members(_COMMON, values), **write_members(members, values)}
        if distribution := write_members(kept, values):
            written["distribution"] = {sketch: distribution}
        return in_order(written, values.extra, values.order)

    return Member(key, nested(read), write, attribute)


_ORIGINAL_FEATURE = (
    Member("name", _read_name),
    Member("inferred_type", _read_type),
    _values("numerical_statistics", NumericalStatistics, "numerical", _NUMERICAL, "kll", _KLL),
    _values("string_statistics", StringStatistics, "string", _STRING, "categorical", _CATEGORICAL),
)
_FEATURE = (
    *_ORIGINAL_FEATURE,
    Member("data_types", nested(_read_data_types)),
    Member("sample", nested(_read_sample), functools.partial(write_members, _SAMPLE)),
)
_ORIGINAL_STATISTICS = (
    Member("features", read_list(FeatureStatistics, _FEATURE), write_list(_ORIGINAL_FEATURE)),
)
_STATISTICS = (
    Member("features", read_list(FeatureStatistics, _FEATURE), write_list(_FEATURE)),
    Member("correlations", nested(_read_correlations), functools.partial(write_members, _CORRELATIONS)),
)


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
    rows = _count(_within(fields, "dataset"), "item_count")
    return read_document(Statistics, _STATISTICS, fields, item_count=rows, where=where)


def statistics_to_json(document: Statistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the document as JSON values, in the key order of the original files.

    Parameters
    ----------
    document
        The document.
    with_extensions
        Whether to write members the originals do not have (``data_types``, ``sample``, ``correlations``).
    """
    members = write_members(_STATISTICS if with_extensions else _ORIGINAL_STATISTICS, document)
    head = {"version": 0.0, "dataset": {"item_count": document.item_count}}
    return in_order(head | members, document.extra, document.order)


# ``constraints.json``: what is expected of later data, written by a baseline job, edited by people.
#
# `docs/constraints.md` has every member. Files of 2019 used ``enable_comparisons`` (a boolean) and
# ``min_domain_mass``; they are read as ``perform_comparison`` and ``domain_content_threshold``, and
# ``comparion_method``, as AWS's page has it, as ``comparison_method``. All are kept as they are when
# written
# again. Names that are nearly known are refused, all at once, with the right name; others are kept and
# named.


OVERRIDES = "monitoringConfigOverrides"
_STRING_OVERRIDES = "monitoring_config_overrides"
_BOTH = (OVERRIDES, _STRING_OVERRIDES)


def _switch(value: Any) -> bool:
    return value if isinstance(value, bool) else _one_of("Enabled", "Disabled")(value) == "Enabled"


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = value.removeprefix("linf_").casefold() if isinstance(value, str) else None
        for name in allowed:
            if text == name.casefold():
                return name
        raise ValueError(" or ".join(allowed))

    return read


def _up_to(most: float, expected: str) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= most:
            raise ValueError(expected)
        return float(value)

    return read


_share = _up_to(1.0, "a number from 0 to 1, such as 0.95")
_distance = _up_to(math.inf, "a number such as 0.1")


def _setting(default: Any, read: Callable[[Any], Any]) -> Any:
    return field(default=default, metadata={"read": read})


@dataclass(frozen=True)
class MonitoringConfig:
    """The thresholds and switches that apply to one feature, after its overrides, and how each is read."""

    evaluate_constraints: bool = _setting(True, _switch)
    emit_metrics: bool = _setting(True, _switch)
    datatype_check_threshold: float = _setting(1.0, _share)
    domain_content_threshold: float = _setting(1.0, _share)
    perform_comparison: bool = _setting(True, _switch)
    comparison_threshold: float = _setting(0.1, _distance)
    comparison_method: str = _setting("Robust", _one_of("Robust", "Simple"))
    categorical_comparison_threshold: float | None = _setting(None, _distance)
    categorical_drift_method: str = _setting("LInfinity", _one_of("LInfinity", "ChiSquared"))
    share_comparison_threshold: float = _setting(0.1, _distance)
    correlation_comparison_threshold: float = _setting(0.2, _distance)

    def share_threshold(self, *, text: bool) -> float:
        """Return by how much any share of rows may change, as Cohen's h.

        Who allows a larger distance than usual allows a share of one half to move by that much.
        """
        threshold = self.categorical_threshold if text else self.comparison_threshold
        usual = MonitoringConfig().comparison_threshold
        allowed = 2.0 * math.asin(min(1.0, threshold)) if threshold > usual else 0.0
        return max(self.share_comparison_threshold, allowed)

    @property
    def categorical_threshold(self) -> float:
        """Return the drift threshold of text features, which falls back to the numeric one."""
        threshold = self.categorical_comparison_threshold
        return self.comparison_threshold if threshold is None else threshold


@dataclass
class FeatureConstraints:
    """What is expected of one feature. `domains` is None when any text is allowed.

    `overrides` replaces keys of ``monitoring_config`` for this feature, flat or nested as there. The extras
    hold what is kept as it was written, overrides in another spelling or place among it.
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
        return {
            key: value
            for place in places
            if isinstance(place, dict)
            for key, value in _flatten(place).items()
        }


@dataclass
class Constraints:
    """The whole document; `monitoring_config` holds the JSON as read or suggested.

    `unused` names the members that have no effect.
    """

    features: list[FeatureConstraints]
    monitoring_config: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list, compare=False)
    order: tuple[str, ...] = ()
    where: str = "constraints.json"

    def config(self, feature: FeatureConstraints | None = None) -> MonitoringConfig:
        """Return the configuration in force, for the whole document or for one feature.

        Raises
        ------
        DocumentError
            Naming the file, the feature and the key, when a value is unusable.
        """
        mistakes = Mistakes(self.where)
        config = self.read_config(feature, mistakes)
        mistakes.stop_if_any(DocumentError)
        return config

    def read_config(self, feature: FeatureConstraints | None, mistakes: Mistakes) -> MonitoringConfig:
        """Return the configuration in force, and note what is unusable in it."""
        where, overrides = "monitoring_config", {} if feature is None else feature.all_overrides
        if overrides and feature is not None:
            where = f"{OVERRIDES} of feature {feature.name!r} over monitoring_config"
            if "comparison_threshold" in overrides and "categorical_comparison_threshold" not in overrides:
                # One threshold given for one feature means that feature, text or number.
                overrides["categorical_comparison_threshold"] = overrides["comparison_threshold"]
        given: dict[str, Any] = {}
        for name, value in (_flatten(self.monitoring_config) | overrides).items():
            if name in _MEMBERS and value is not None:
                try:
                    given[name] = _MEMBERS[name](value)
                except ValueError as error:
                    mistakes.add(f"{where}: {name} is {value!r}; use {error}")
        # The statistic of chi-squared has no upper end; distances and p-values have.
        if given.get("categorical_drift_method") != "ChiSquared":
            mistakes.add(
                *(
                    f"{where}: {name} is {given[name]:g}; use a number from 0 to 1, such as 0.1"
                    for name in ("comparison_threshold", "categorical_comparison_threshold")
                    if given.get(name, 0.0) > 1.0
                )
            )
        return MonitoringConfig(**given)


def _flatten(config: dict[str, Any]) -> dict[str, Any]:
    members = {key: value for key, value in config.items() if key != "distribution_constraints"}
    nested = config.get("distribution_constraints")
    if isinstance(nested, dict):
        members.update(nested)
    return {_ALIASES.get(key, key): value for key, value in members.items()}


# Members of monitoring_config and of overrides, flat or within distribution_constraints.
_MEMBERS: dict[str, Callable[[Any], Any]] = {
    each.name: each.metadata["read"] for each in dataclasses.fields(MonitoringConfig)
}
_ALIASES = {
    "enable_comparisons": "perform_comparison",
    "min_domain_mass": "domain_content_threshold",
    "comparion_method": "comparison_method",
}

# Where each member may stand, by level; the last of a level's words says so in a message.
_FILE, _ONE, _NUMBERS, _TEXTS = "the file", "a feature", "num_constraints", "string_constraints"
_CONFIG = f"monitoring_config, or {OVERRIDES} of a feature"
_LEVELS: dict[str, tuple[str, ...]] = {
    _FILE: ("version", "features", "monitoring_config"),
    _ONE: ("name", "inferred_type", "completeness", "num_constraints", "string_constraints", *_BOTH),
    _NUMBERS: ("is_non_negative", "minimum", "maximum", *_BOTH),
    _TEXTS: ("domains", *_BOTH),
    _CONFIG: (*_MEMBERS, *_ALIASES, "distribution_constraints"),
}
_NEAR = 0.8
# Names that begin so are the user's own.
_OWN = "x-"


def _look_for_unknown(value: Any, level: str, where: str, mistakes: Mistakes, unused: list[str]) -> None:
    """Note members that have no effect where they stand: near misses as mistakes, the rest as unused."""
    homes = {name: home for home, names in reversed(_LEVELS.items()) for name in names}
    for name in value if isinstance(value, dict) else ():
        if name in _LEVELS[level] or name.startswith(_OWN):
            continue
        if name in homes:
            mistakes.add(f"{where}.{name} has no effect there; it belongs into {homes[name]}")
            continue
        # Of two spellings the first is shown, and what belongs here before what belongs elsewhere.
        plain = {_plain(known): known for known in reversed((*_LEVELS[level], *homes))}
        plain |= {"min": "minimum", "max": "maximum"}
        close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=_NEAR)
        if not close:
            unused.append(f"{where}.{name}".removeprefix("."))
            continue
        meant = plain[close[0]]
        place = "" if meant in _LEVELS[level] else f" in {homes[meant]}"
        mistakes.add(f"{where}.{name} is unknown; did you mean {meant}{place}?".removeprefix("."))


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


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
    mistakes = Mistakes(where)
    unused: list[str] = []
    fields = Fields(value, where)
    fields.number("version", 0.0)
    features = [_read_constraints_of(member, mistakes, unused) for member in fields.children("features")]
    further = {"features": features, "unused": unused, "where": where}
    document = read_document(Constraints, _CONSTRAINTS, fields, **further)
    names = Counter(feature.name for feature in features)
    mistakes.add(
        *(f"feature {name!r} is there {count} times; keep one" for name, count in names.items() if count > 1)
    )
    _look_for_unknown(value, _FILE, "", mistakes, unused)
    _look_in_config(document.monitoring_config, "monitoring_config", mistakes, unused)
    document.read_config(None, mistakes)
    # Of a feature only what its own overrides add, as the rest was said of the whole.
    for feature in features if not mistakes.texts else ():
        document.read_config(feature, mistakes)
    mistakes.stop_if_any(DocumentError)
    return document


def _look_in_config(value: Any, where: str, mistakes: Mistakes, unused: list[str]) -> None:
    _look_for_unknown(value, _CONFIG, where, mistakes, unused)
    if isinstance(value, dict):
        nested = value.get("distribution_constraints")
        _look_for_unknown(nested, _CONFIG, f"{where}.distribution_constraints", mistakes, unused)
        twice = [name for name in value if isinstance(nested, dict) and name in nested]
        mistakes.add(*(f"{where}.{name} is in distribution_constraints too, which wins" for name in twice))


def _read_domains(fields: Fields, key: str) -> list[str] | None:
    domains: list[str] | None = fields.get(key, list, None)
    if not all(isinstance(text, str) for text in domains or ()):
        raise DocumentError(f'{fields.where}.{key} must be a list of texts, such as ["a", "b"].')
    return domains


_CONSTRAINTS = (Member("monitoring_config", member(dict, {}), written="if any"),)
_EXPECTED = (Member("name", _read_name), Member("inferred_type", _read_type), Member("completeness", _number))
_OVERRIDES = (Member(OVERRIDES, member(dict, {}), attribute="overrides", written="if any"),)
_SIGN = (Member("is_non_negative", member(bool, None)),)
_DOMAINS = (
    Member("domains", _read_domains),
    Member(_STRING_OVERRIDES, member(dict, {}), attribute="string_overrides", written="if any"),
)


def _read_constraints_of(fields: Fields, mistakes: Mistakes, unused: list[str]) -> FeatureConstraints:
    """Return the constraints of one feature, and note what is wrong or without effect in them."""
    known = read_members((*_EXPECTED, *_OVERRIDES), fields)
    numeric, string = (_within(fields, name) for name in (_NUMBERS, _TEXTS))
    known |= read_members(_SIGN, numeric) | read_members(_DOMAINS, string)
    known |= {"numeric_extra": numeric.extra(), "string_extra": string.extra()}
    feature = read_document(FeatureConstraints, (), fields, **known)
    here = f"feature {feature.name!r}"
    # A text NaN is no number; it would switch the check off.
    share = math.nan if fields.value.get("completeness") == "NaN" else feature.completeness
    if share is not None and not 0.0 <= share <= 1.0:
        mistakes.add(f"{here}: completeness is {share:g}; use a share from 0 to 1, such as 0.95")
    least, most = (numeric.number(bound, None) for bound in ("minimum", "maximum"))
    if least is not None and most is not None and least > most:
        mistakes.add(f"{here}: minimum {least:g} is above maximum {most:g}; exchange them")
    if feature.inferred_type == "String" and numeric.value:
        unused.append(f"{here}.{_NUMBERS}")
    _look_for_unknown(numeric.value, _NUMBERS, f"{here}.{_NUMBERS}", mistakes, unused)
    _look_for_unknown(string.value, _TEXTS, f"{here}.{_TEXTS}", mistakes, unused)
    _look_for_unknown(fields.value, _ONE, here, mistakes, unused)
    for holder in (fields, numeric, string):
        for spelling in _BOTH:
            _look_in_config(holder.get(spelling, dict, {}), f"{here}.{spelling}", mistakes, unused)
    return feature


def constraints_to_json(document: Constraints) -> dict[str, Any]:
    """Return the document as JSON values, in the key order of the original files."""
    members = {
        "version": 0.0,
        "features": [_constraints_of_to_json(feature) for feature in document.features],
        **write_members(_CONSTRAINTS, document),
    }
    return in_order(members, document.extra, document.order)


def _constraints_of_to_json(feature: FeatureConstraints) -> dict[str, Any]:
    inner = {
        _NUMBERS: write_members(_SIGN, feature) | feature.numeric_extra,
        _TEXTS: write_members(_DOMAINS, feature) | feature.string_extra,
    }
    members = {
        **write_members(_EXPECTED, feature),
        **{name: value for name, value in inner.items() if value or name in feature.order},
        **write_members(_OVERRIDES, feature),
    }
    return in_order(members, feature.extra, feature.order)


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
