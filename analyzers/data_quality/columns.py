"""Which column of a window belongs to which feature of the baseline."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from analyzers.data_quality import documents
from analyzers.data_quality.documents import Constraints, FeatureConstraints, FeatureStatistics, Statistics
from contract.api import CheckType, Comparison, Finding, State, Violation
from contract.errors import wording
from contract.schema import nearest
from contract.wording import listing

# What the statistics of one feature say about its cells: their classes and their categories.


FRACTIONAL = ("Fractional", "IntegralValued", "NonFinite", "NegativeInfinite")
NUMBERS = ("Integral", "IntegralValued", "Fractional")

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


def number_count(feature: FeatureStatistics) -> int:
    """Return how many cells hold a finite number."""
    return sum(count for name, count in class_counts(feature).items() if name in NUMBERS)


def category_counts(feature: FeatureStatistics) -> dict[str, int] | None:
    """Return the rows of each category; None when the feature lists none."""
    if feature.string is None or feature.string.categories is None:
        return None
    counts = {category.value: category.count for category in feature.string.categories}
    missing = counts.get(_NULL_CATEGORY)
    if missing is not None and missing == feature.num_missing:
        del counts[_NULL_CATEGORY]
    return counts


_SUMMARIES = {CheckType.MISSING_COLUMN: "Missing columns", CheckType.EXTRA_COLUMN: "Extra columns"}
_MOST_LISTED = 20
# A column that a window lacks with a smaller chance than this is missing.
_LEAST_CHANCE = 0.001
_MOST_COMPARED = 100_000


class FeaturePair(NamedTuple):
    """A feature of the baseline and its column in the window."""

    expected: FeatureConstraints
    config: documents.MonitoringConfig
    current: FeatureStatistics
    baseline: FeatureStatistics | None

    @property
    def name(self) -> str:
        """Return the baseline's name, which is the one people know."""
        return self.expected.name


def pair_features(
    statistics: Statistics, constraints: Constraints, baseline: Statistics | None
) -> list[FeaturePair]:
    """Match columns with the features to check: by position when the columns have no names, else by name.

    Features without a column are left out; so is every feature when there are no names and the numbers of
    columns differ.

    Raises
    ------
    DocumentError
        When a feature's overrides are unusable.
    """
    expected = constraints.features
    current: list[FeatureStatistics | None]
    if statistics.positional:
        if len(statistics.features) != len(expected):
            return []
        current = list(statistics.features)
    else:
        by_name = {feature.name: feature for feature in statistics.features}
        current = [by_name.get(feature.name) for feature in expected]
    known = {feature.name: feature for feature in baseline.features} if baseline else {}
    return [
        FeaturePair(feature, config, column, known.get(feature.name))
        for feature, column in zip(expected, current, strict=True)
        if column is not None and (config := constraints.config(feature)).evaluate_constraints
    ]


class Found(NamedTuple):
    """How a check of a limit ended, in a sentence and in figures."""

    text: str
    value: float
    expected: float
    p_value: float | None = None
    state: State = State.VIOLATED


def comparisons(
    constraints: Constraints,
    pairs: Iterable[FeaturePair],
    violations: Iterable[Violation],
    drifts: Mapping[str, Finding],
    limits: Mapping[tuple[str, CheckType], Found] | None = None,
    *,
    changed: Collection[str] = (),
    with_ranges: bool = False,
) -> tuple[Comparison, ...]:
    """Return every comparison that the constraints ask for, with how it ended.

    Parameters
    ----------
    constraints, pairs
        What is asked for, and the features that were compared.
    violations
        What was found.
    drifts
        Drift that was measured, by feature.
    limits
        How checks of limits ended, by feature and check.
    changed
        Features that moved beyond chance, within the limit or not.
    with_ranges
        Whether ranges were looked at, which the originals never do.
    """
    violated = {(one.feature_name, one.constraint_check_type): one for one in violations}
    by_name = {pair.name: pair for pair in pairs}
    found = []
    for feature in constraints.features:
        pair = by_name.get(feature.name)
        config = pair.config if pair else constraints.config(feature)
        if not config.evaluate_constraints:
            continue
        sides = (pair.current, pair.baseline) if pair else (None, None)
        asked = {
            CheckType.DATA_TYPE: feature.inferred_type in _TYPED,
            CheckType.COMPLETENESS: feature.completeness is not None,
            CheckType.CATEGORICAL_VALUES: feature.domains is not None,
            CheckType.BASELINE_DRIFT: config.perform_comparison and not (pair and has_unknown_dates(pair)),
            CheckType.RANGE: with_ranges
            and feature.inferred_type in ("Integral", "Fractional")
            and (feature.is_non_negative or (feature.minimum, feature.maximum) != (None, None)),
        }
        for check in (check for check, is_asked in asked.items() if is_asked):
            drift = drifts.get(feature.name) if check is CheckType.BASELINE_DRIFT else None
            violation = violated.get((feature.name, check))
            limit = (limits or {}).get((feature.name, check))
            moved = State.CHANGED if drift and feature.name in changed else State.HOLDS
            moved = limit.state if limit else moved
            told = drift if limit is None or moved is State.HOLDS else limit
            reason, lost = ("", False) if violation else _obstacle(pair, check, drift, moved)
            state = State.VIOLATED if violation else State.UNDECIDED if reason else moved
            is_of_all = check is CheckType.COMPLETENESS
            value, expected, p_value = None, None, None
            if limit is not None:
                value, expected, p_value = limit.value, limit.expected, limit.p_value
            if limit is None and pair and is_of_all:
                value, expected = pair.current.completeness, feature.completeness
            rows = [None if side is None else side.rows if is_of_all else side.num_present for side in sides]
            text = violation.description if violation else told.text if told else ""
            figures: dict[str, Any] = {"value": value, "expected": expected, "p_value": p_value}
            figures |= {"rows": rows[0], "baseline_rows": rows[1]}
            if limit is not None and state is State.UNDECIDED:
                figures |= {"effect": abs(limit.value - limit.expected), "limit": 0.0}
            if drift:
                figures |= {"effect": drift.distance, "limit": drift.limit, "noise": drift.noise}
            found.append(Comparison(feature.name, check, state, text, reason=reason, lost=lost, **figures))
    return tuple(found)


def unanswered(constraints: Constraints, reason: str, *, with_ranges: bool) -> tuple[Comparison, ...]:
    """Return every comparison that the constraints ask for, not decided for a reason."""
    every = comparisons(constraints, (), (), {}, with_ranges=with_ranges)
    return tuple(replace(one, reason=reason) for one in every)


def holds_dates(feature: FeatureStatistics | None) -> bool:
    """Return whether a feature is dates, which have a range and an age, and are new every day."""
    return feature is not None and feature.string is not None and "dates" in feature.string.extra


def has_unknown_dates(pair: FeaturePair) -> bool:
    """Return whether a feature is dates, and a side has none, or is of an older version."""
    if not holds_dates(pair.baseline):
        return False
    sides = [side.sample if side else None for side in (pair.baseline, pair.current)]
    return not (holds_dates(pair.current) and all(sample and sample.low for sample in sides))


def distinct_count(feature: FeatureStatistics) -> float:
    """Return how many values are different, as far as is known."""
    if feature.numerical is not None:
        return float(feature.numerical.approximate_num_distinct_values or 0)
    return feature.string.distinct_count or 0.0 if feature.string is not None else 0.0


FEW_ROWS = "there are too few rows to tell so large a change from chance"


def _obstacle(
    pair: FeaturePair | None, check: CheckType, drift: Finding | None, moved: State
) -> tuple[str, bool]:
    """Return why a check cannot be decided, and whether only the window is to blame; empty where it can."""
    if pair is None:
        return "the window lacks columns, or names to match them by", True
    is_far = drift is not None and drift.limit is not None and (drift.distance or 0.0) > drift.limit
    if is_far or moved is State.UNDECIDED:
        return FEW_ROWS, False
    if check is CheckType.COMPLETENESS or drift is not None or moved is State.CHANGED:
        return "", False
    known = pair.baseline
    if check is CheckType.BASELINE_DRIFT and known is None:
        return wording("drift.no_statistics"), False
    if not pair.current.num_present:
        return "some columns hold no value in the window", known is None or known.num_present > 0
    if check is not CheckType.BASELINE_DRIFT:
        return "", False
    before, now = (side.numerical if side else None for side in (known, pair.current))
    kept = known is not None and bool((before and before.sketch) or category_counts(known))
    reason = "some columns have too many distinct values for their distribution to be kept"
    if (before is None) != (now is None):
        reason = "some columns are numbers on one side only"
    elif now is not None:
        reason = "some columns hold no finite number"
    return reason, kept


_TYPED = ("Integral", "Fractional", "String")


def counts_text(statistics: Statistics, constraints: Constraints) -> str:
    """Return the ending that the originals give every column violation."""
    current, expected = len(statistics.features), len(constraints.features)
    return wording("expected_columns.counts", current=current, expected=expected)


def compare_counts(statistics: Statistics, constraints: Constraints, *, explain: bool) -> list[Violation]:
    """Compare numbers of columns only, as the originals do; under sound rules with what to do."""
    current, expected = len(statistics.features), len(constraints.features)
    if current == expected:
        return []
    is_more, difference = current > expected, abs(current - expected)
    kind = CheckType.EXTRA_COLUMN if is_more else CheckType.MISSING_COLUMN
    name = _SUMMARIES[kind]
    text = f"There are {name.lower()} in current dataset."
    if explain:
        surplus = f"{difference} {'more' if is_more else 'fewer'} column{'s' * (difference > 1)}"
        text = wording("expected_columns.more" if is_more else "expected_columns.fewer", surplus=surplus)
    return [Violation(kind, f"{text} {counts_text(statistics, constraints)}", name)]


def compare_columns(statistics: Statistics, constraints: Constraints) -> list[Violation]:
    """Compare the columns by name, or by number when they came without names."""
    if statistics.positional:
        return compare_counts(statistics, constraints, explain=True)
    current = [feature.name for feature in statistics.features]
    expected = [feature.name for feature in constraints.features]
    # A feature the user switched off may be absent; it is still no extra column.
    wanted = [one for one in constraints.features if constraints.config(one).evaluate_constraints]
    rows = statistics.item_count
    required = [one.name for one in wanted if not _may_be_absent(one.completeness, rows)]
    current_names, expected_names = set(current), set(expected)
    missing = [name for name in required if name not in current_names]
    extra = [name for name in current if name not in expected_names]
    ending, violations = counts_text(statistics, constraints), []
    for kind, names, others, text, hint in (
        (CheckType.MISSING_COLUMN, missing, extra, "of the baseline is not in the data", "is it now called"),
        (CheckType.EXTRA_COLUMN, extra, missing, "is not in the baseline", "did you mean"),
    ):
        for name in names[:_MOST_LISTED]:
            close = _closest(name, others)
            meant = f"; {hint} {close!r}?" if close else "."
            violations.append(Violation(kind, f"Column {name!r} {text}{meant} {ending}", name))
        if rest := names[_MOST_LISTED:]:
            description = f"{len(rest)} further columns: {listing(rest)}. {ending}"
            violations.append(Violation(kind, description, _SUMMARIES[kind]))
    return violations


def _may_be_absent(completeness: float | None, rows: int) -> bool:
    """Return whether so many rows may all lack a value by chance: JSON then has no such member at all."""
    return completeness is not None and (1.0 - completeness) ** rows >= _LEAST_CHANCE


def _closest(name: str, others: list[str]) -> str | None:
    folded = name.strip().casefold()
    alike = next((other for other in others if other.strip().casefold() == folded), None)
    return alike or (nearest(name, others, 0.75) if len(others) * len(name) <= _MOST_COMPARED else None)
