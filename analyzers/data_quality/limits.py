"""The limits a constraints file sets: how they are suggested, and how they are checked under sound rules.

Suggestions are made from statistics (spec section 3.3). Sound rules add one thing: where a feature's
categories are listed, the share of later values that must be among them leaves room for the categories a
sample of this size must have missed, written as a per-feature override that a user can tighten to 1.0.

Checks are of types, completeness and known values. Each returns what it found and whether that lies below its
limit by more than chance explains; None where there is nothing to test.
"""

import copy
import functools
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from analyzers.data_quality import columns, documents
from analyzers.data_quality.documents import Constraints, FeatureConstraints, MonitoringConfig, Statistics
from analyzers.data_quality.drift import Dependence, dependence, effect_size, evidence
from analyzers.data_quality.text import read_texts
from analyzers.shared.cells import as_float32, as_number
from analyzers.shared.rules import Rules
from analyzers.shared.significance import OPEN, binomial_tail, poisson_upper_bound
from contract.api import CheckType, State
from contract.dataset import is_nameless
from contract.errors import wording
from contract.json_layout import java_double
from contract.wording import chance, counted, number, percent

# Suggested constraints.

_DOMAIN_THRESHOLD = documents.DOMAIN_THRESHOLD
_TYPE_THRESHOLD = "datatype_check_threshold"
_MOSTLY_DIFFERENT = 0.9

_CONFIG = Path(__file__).with_name("monitoring_config.json").read_text("utf-8")
# Chance that the true share of unseen categories is above what the suggestion leaves room for.
_MISSING_MASS_ALPHA = 0.001
_MISSING_MASS_DEVIATIONS = 3.09
_ONCE = 1.5  # of a group of rows that come together: nearer to one than to two
_INDEPENDENT = 1.1


def suggest(
    statistics: Statistics,
    baseline: documents.DataQualityBaseline | None = None,
    *,
    rules: Rules = "sound",
    categorical_drift_method: str | None = None,
) -> Constraints:
    """Suggest constraints from statistics.

    Parameters
    ----------
    statistics
        What the data looked like.
    baseline
        In a monitoring job, the documents the window is compared with. Under sound rules everything an expert
        changed or added in its constraints is carried over, so that adopting the new file loses nothing.
    rules
        Under ``sagemaker`` the suggestion is exactly that of the originals.
    categorical_drift_method
        ``LInfinity`` or ``ChiSquared``, written into ``monitoring_config``; None for the default.
    """
    config = json.loads(_CONFIG)
    if categorical_drift_method:
        config["distribution_constraints"]["categorical_drift_method"] = categorical_drift_method
    if rules == "sound":
        ours = {"share_comparison_threshold": 0.1, "correlation_comparison_threshold": 0.2}
        config["distribution_constraints"] |= ours
    has_names = not statistics.positional
    features = [_suggest_feature(feature, rules, has_names=has_names) for feature in statistics.features]
    suggested = Constraints(features, monitoring_config=config)
    if rules == "sagemaker" or baseline is None or baseline.constraints is None:
        return suggested
    untouched = _untouched(baseline.statistics) if baseline.statistics else None
    return _carry_over(suggested, baseline.constraints, untouched)


_untouched = functools.lru_cache(8)(suggest)  # of a baseline, which many windows are compared with


def _suggest_feature(
    feature: documents.FeatureStatistics, rules: Rules, *, has_names: bool
) -> FeatureConstraints:
    suggested = FeatureConstraints(feature.name, feature.inferred_type, completeness=feature.completeness)
    if feature.numerical is not None:
        minimum = feature.numerical.min
        suggested.is_non_negative = minimum is None or minimum >= 0.0
        if rules == "sound" and has_names and _is_index(feature):
            suggested.overrides = {"perform_comparison": "Disabled"}
    elif feature.string is not None and feature.string.categories is not None:
        categories = feature.string.categories
        suggested.domains = [category.value for category in categories]
        if rules == "sound" and categories:
            threshold = domain_threshold([category.count for category in categories], feature.sample)
            suggested.overrides = {_DOMAIN_THRESHOLD: threshold}
    return suggested


def _is_index(feature: documents.FeatureStatistics) -> bool:
    """Return whether a column numbers the rows, as a data frame's index does: later rows go on counting."""
    numbers = feature.numerical
    if numbers is None or feature.inferred_type != "Integral" or not is_nameless(feature.name):
        return False
    return 1 < numbers.num_present <= (numbers.approximate_num_distinct_values or 0) / _MOSTLY_DIFFERENT


def domain_threshold(counts: list[int], sample: documents.SampleStatistics | None = None) -> float:
    """Return the share of later values that must be among the categories seen.

    One less an upper bound on the missing mass, the total share of categories that the sample did not meet.
    Good & Turing estimate it by ``f1 / n`` (f1 categories seen once among n rows; Good 1953) with variance
    ``(f1 + 2 f2) / n**2`` (f2 seen twice; Robbins 1968, Esty 1983). The bound is the larger of the normal one
    and the exact Poisson one for f1, which for f1 = 0 is ``6.9 / n``: as much as a sample can hide with a
    chance of one in a thousand.

    Parameters
    ----------
    counts
        Rows of each category.
    sample
        Its design effect says how many rows come together. Rows of values met in one tenth of the rows only
        count as met once.
    """
    rows = sum(counts)
    effect = sample.design_effect if sample else 1.0
    once = sum(count for count in counts if count < _ONCE * effect) / effect
    pairs = sum(count for count in counts if _ONCE * effect <= count < (1.0 + _ONCE) * effect)
    twice = pairs / (2.0 * effect)
    if sample and sample.fresh and sample.rows == rows and effect > _INDEPENDENT:
        once = max(once, sample.fresh / effect)
    exact = poisson_upper_bound(math.ceil(once), _MISSING_MASS_ALPHA)
    bound = effect * max(exact, once + _MISSING_MASS_DEVIATIONS * math.sqrt(once + 2.0 * twice))
    mass = min(1.0, bound / rows) if rows else 1.0
    # Two significant digits, rounded to the lenient side: an honest bound has no more.
    digits = 1 - math.floor(math.log10(mass))
    return max(0.0, round(1.0 - math.ceil(round(mass * 10.0**digits, 6)) / 10.0**digits, digits))


def _carry_over(suggested: Constraints, previous: Constraints, untouched: Constraints | None) -> Constraints:
    before = {feature.name: feature for feature in previous.features}
    original = {feature.name: feature for feature in untouched.features} if untouched else {}
    features = [
        _carry_over_feature(one, before[one.name], original.get(one.name)) if one.name in before else one
        for one in suggested.features
    ]
    config = copy.deepcopy(previous.monitoring_config) or suggested.monitoring_config
    return Constraints(features, config, extra=copy.deepcopy(previous.extra), order=previous.order)


def _carry_over_feature(
    suggested: FeatureConstraints, previous: FeatureConstraints, untouched: FeatureConstraints | None
) -> FeatureConstraints:
    """Return the suggestion with what differs between the previous file and its own untouched suggestion.

    Without the previous statistics nobody can tell what an expert changed; additions that no job makes
    (unknown members, overrides, values of a domain) are kept then, numbers are suggested anew.
    """
    overrides, own = copy.deepcopy(previous.overrides), untouched.overrides if untouched else {}
    # What an expert has taken out stays out.
    anew = {name: one for name, one in suggested.overrides.items() if name in overrides or name not in own}
    if _DOMAIN_THRESHOLD in own and overrides.get(_DOMAIN_THRESHOLD) == own[_DOMAIN_THRESHOLD]:
        del overrides[_DOMAIN_THRESHOLD]
    kept = ("string_overrides", "extra", "numeric_extra", "string_extra", "order")
    carried = replace(
        suggested,
        domains=_carry_over_domains(suggested, previous, untouched),
        overrides=anew | overrides,
        **{name: copy.deepcopy(getattr(previous, name)) for name in kept},
    )
    if untouched is None:
        return carried
    if previous.inferred_type != untouched.inferred_type:
        carried.inferred_type = previous.inferred_type
    if not _close(previous.completeness, untouched.completeness):
        carried.completeness = previous.completeness
    if previous.is_non_negative != untouched.is_non_negative and suggested.is_non_negative is not None:
        carried.is_non_negative = previous.is_non_negative
    return carried


def _close(first: float | None, second: float | None) -> bool:
    return first is second if first is None or second is None else abs(first - second) <= _SAME


def _carry_over_domains(
    suggested: FeatureConstraints, previous: FeatureConstraints, untouched: FeatureConstraints | None
) -> list[str] | None:
    if previous.domains is None:
        # Somebody may have removed the domain on purpose; any text is allowed then, and stays so.
        removed = untouched is not None and untouched.domains is not None
        return None if removed else suggested.domains
    own = set(untouched.domains or ()) if untouched else set()
    added = [value for value in previous.domains if value not in own]
    if suggested.domains is None:
        return list(previous.domains) if added else None
    return list(dict.fromkeys(suggested.domains + added))


# Checks of limits.


# Classes of a cell that satisfy each expected type; anything can be text, and Unknown accepts anything.
CLASSES = {"Integral": ("Integral", "IntegralValued"), "Fractional": columns.NUMBERS}

# HyperLogLog's count is off by more than a fifth once in 10,000 columns.
_DISTINCT_COUNT_MARGIN = 0.8
_SAME = 1e-9  # figures of a file that was written and read
# Below this share of known values a domain is no closed list, so its length proves nothing.
_CLOSED_DOMAIN = 0.9
# From which share on a column of text has become numbers, where there were fewer than this.
_ALL_NUMBERS, _FEW_NUMBERS = 0.9, 0.5
_WORST_FIRST = (State.VIOLATED, State.UNDECIDED, State.CHANGED, State.HOLDS)


def check_type(pair: columns.FeaturePair, alpha: float) -> columns.Found | None:
    """Report a share of cells of the expected type significantly below the threshold."""
    expected = pair.expected.inferred_type
    present = pair.current.num_present
    if expected == "String" and present:
        return _check_no_numbers(pair, alpha)
    if expected not in CLASSES or not present:
        return None
    wrong = _wrong_kinds(pair.current, expected)
    mismatches = sum(wrong.values())
    threshold = pair.config.datatype_check_threshold
    ratio = 1.0 - mismatches / present
    then, now, known = "", (mismatches, present), pair.baseline
    # A type that the baseline does not have is somebody's decision, so that its limit is exact.
    edited = known is not None and known.inferred_type not in (expected, "Unknown")
    before = _wrong_kinds(known, expected) if known is not None else {}
    total = sum(before.values())
    asked = threshold < 1.0 or _TYPE_THRESHOLD in pair.expected.all_overrides
    if known is None or not known.num_present or edited or ratio >= threshold or (asked and not total):
        p_value, state = _tail(now, 1.0 - threshold, dependence(pair), 1.0 if edited else alpha)
    else:
        rows = known.num_present
        then = wording("limits.types_before", found=_listed(before) or "none", rows=rows)
        # Each kind by itself too: as many texts as there were infinities are news.
        grown = [(was, wrong[kind]) for kind, was in before.items() if wrong.get(kind)]
        sides = [((was, rows), (is_now, present)) for was, is_now in sorted({(total, mismatches), *grown})]
        ends = [_growth(*each, dependence(pair), alpha / len(sides), pair.config) for each in sides]
        p_value, state = min(ends, key=lambda end: (_WORST_FIRST.index(end[1]), end[0]))
    found = _listed(wrong)
    text = wording("limits.other_types", present=present, found=found, then=then, sure=chance(p_value))
    if state is State.VIOLATED:
        text = f"{unmet_type(expected, threshold, ratio)} {text}"
    return columns.Found(text, ratio, threshold, p_value, state)


def has_other_types(pair: columns.FeaturePair) -> bool:
    """Return whether a side has cells of another type than expected; else no check of types can alarm."""
    expected, sides = pair.expected.inferred_type, (pair.baseline, pair.current)
    return expected in CLASSES and any(sum(_wrong_kinds(one, expected).values()) for one in sides if one)


def unmet_type(expected: str, threshold: float, ratio: float) -> str:
    """Return the originals' sentence on cells of another type."""
    match, observed = (java_double(share * 100) for share in (threshold, ratio))
    return wording("limits.type", expected=expected, match=match, observed=observed)


def _check_no_numbers(pair: columns.FeaturePair, alpha: float) -> columns.Found | None:
    """Report a column of text that has become numbers."""
    present, numbers = pair.current.num_present, columns.number_count(pair.current)
    known = pair.baseline
    if known is None or not known.num_present or numbers < _ALL_NUMBERS * present:
        return None
    if (usual := _usual_numbers(known)) is None or usual > _FEW_NUMBERS:
        return None
    p_value = binomial_tail(numbers, present, max(usual, 1.0 / known.num_present))
    state = _ended(p_value, alpha)
    counts = {"present": present, "numbers": numbers, "known": known.num_present}
    text = wording("limits.numbers", usual=percent(usual), sure=chance(p_value), **counts)
    return columns.Found(text, 1.0 - numbers / present, 1.0 - usual, p_value, state)


def _usual_numbers(known: documents.FeatureStatistics) -> float | None:
    """Return the share of numbers in a baseline's text; None where a file of the originals does not tell."""
    if known.data_types is not None:
        return columns.number_count(known) / known.num_present
    counts = columns.category_counts(known)
    if counts is None:
        return None
    cells = read_texts(pa.array(list(counts), pa.string()), hash_as_text=True)
    numeric = np.isfinite(cells.numbers)
    return float(np.fromiter(counts.values(), np.float64, len(counts))[numeric].sum() / known.num_present)


def _wrong_kinds(feature: documents.FeatureStatistics, expected: str) -> dict[str, int]:
    counts = columns.class_counts(feature)
    return {name: count for name, count in counts.items() if name not in CLASSES[expected]}


def _listed(kinds: dict[str, int]) -> str:
    named = {"NonFinite": "infinite", "NegativeInfinite": "minus infinite"}
    return ", ".join(f"{count:,} {named.get(kind, kind)}" for kind, count in kinds.items() if count)


def check_completeness(pair: columns.FeaturePair, alpha: float) -> columns.Found | None:
    """Report a share of values significantly below the expected one."""
    expected, observed = pair.expected.completeness, pair.current.completeness
    if expected is None or not pair.current.rows:
        return None
    missing, rows = pair.current.num_missing, pair.current.rows
    sampled = sampled_completeness(pair)
    found = dependence(pair, of_missing=True)
    then = f"about {number(round(rows * (1.0 - expected), 1))} were to be expected"
    if sampled is not None:
        before = (sampled.num_missing, sampled.rows)
        then = f"{before[0]:,} of {before[1]:,} were at the baseline"
        p_value, state = _growth(before, (missing, rows), found, alpha, pair.config)
    else:
        p_value, state = _tail((missing, rows), 1.0 - expected, found, alpha)
    shares = {"observed": percent(observed), "expected": percent(expected), "sure": chance(p_value)}
    text = wording("limits.missing", missing=missing, rows=rows, then=then, **shares)
    return columns.Found(text, observed, expected, p_value, state)


def smallest_completeness_p_value(pair: columns.FeaturePair) -> float:
    """Return the smallest p-value the check can give, with as many missing cells on both sides together.

    1.0 where nothing can be wrong by chance. Tarone's correction for many discrete tests needs it.
    """
    expected, rows = pair.expected.completeness, pair.current.rows
    if expected is None or not rows:
        return 1.0
    sampled = sampled_completeness(pair)
    if sampled is None:
        return 0.0 if expected < 1.0 else 1.0
    missing = pair.current.num_missing + sampled.num_missing
    if not missing:
        return 1.0
    most = min(missing, rows)
    found = dependence(pair, of_missing=True)
    return math.exp(-_evidence((missing - most, sampled.rows), (most, rows), found))


def _growth(
    before: tuple[int, int], now: tuple[int, int], found: Dependence, alpha: float, config: MonitoringConfig
) -> tuple[float, State]:
    """Return the p-value of a growing share, given as (rows with it, all rows), and how that ends."""
    shares = before[0] / before[1], now[0] / now[1]
    if shares[1] <= shares[0]:
        return 1.0, State.HOLDS
    effect = float(effect_size(*shares))
    p_value = math.exp(-_evidence(before, now, found)) if effect > 0.0 else 1.0
    state = _ended(p_value, math.exp(-found.least_evidence(2.0 * alpha)))
    if effect > config.share_comparison_threshold:
        return p_value, state
    return p_value, State.CHANGED if state is State.VIOLATED else State.HOLDS


def _ended(p_value: float, alpha: float) -> State:
    """Return how a share beyond its limit ends."""
    if p_value < alpha:
        return State.VIOLATED
    return State.UNDECIDED if p_value < OPEN * alpha else State.HOLDS


def _evidence(before: tuple[int, int], now: tuple[int, int], found: Dependence) -> float:
    return float(evidence(before[0], now[0], (before[1], now[1]), (found.before, found.now)))


def _tail(now: tuple[int, int], share: float, found: Dependence, alpha: float) -> tuple[float, State]:
    """Return the binomial tail of as many rows as these tell as much as, and how that ends."""
    marked, rows = (math.ceil(count / found.now) for count in now)
    p_value = binomial_tail(marked, rows, share)
    return p_value, _ended(p_value, alpha) if now[0] > share * now[1] else State.HOLDS


def sampled_completeness(pair: columns.FeaturePair) -> documents.FeatureStatistics | None:
    """Return the baseline when the limit is what its sample showed, so that its own noise counts as well."""
    known = pair.baseline
    is_own = known and known.rows and _close(known.completeness, pair.expected.completeness)
    return known if is_own else None


def check_categories(pair: columns.FeaturePair, alpha: float) -> columns.Found | None:
    """Report a share of known values significantly below the threshold."""
    domains = pair.expected.domains
    if domains is None or not pair.current.num_present:
        return None
    threshold, is_sampled = _known_share(pair, domains)
    unseen = unseen_values(pair, domains)
    if unseen is None:
        return _check_count(pair, domains, threshold)
    present = pair.current.num_present
    outside = sum(unseen.values())
    ratio = 1.0 - outside / present
    p_value, state = _tail((outside, present), 1.0 - threshold, dependence(pair), alpha)
    change = float(effect_size(1.0 - threshold, 1.0 - ratio))
    if is_sampled and change <= pair.config.share_comparison_threshold:
        state = State.CHANGED if state is State.VIOLATED else State.HOLDS
    # A list that somebody edited is not what those rows had.
    is_own = pair.baseline and set(columns.category_counts(pair.baseline) or ()) == set(domains)
    of_rows = f" of {pair.baseline.num_present:,} rows" if pair.baseline and is_own else ""
    shares = {"observed": percent(ratio), "expected": percent(threshold), "sure": chance(p_value)}
    counts = {"outside": outside, "present": present, "domains": len(domains), "rows": of_rows}
    alike = {text.strip().casefold() for text in domains}
    spelt = sum(rows for value, rows in unseen.items() if value.strip().casefold() in alike)
    hint = wording("limits.spelt", spelt=spelt) if spelt else ""
    text = wording("limits.unknown", unseen=counted(unseen.items()), hint=hint, **counts, **shares)
    return columns.Found(text, ratio, threshold, p_value, state)


def _known_share(pair: columns.FeaturePair, domains: list[str]) -> tuple[float, bool]:
    """Return the share of values that must be known, and whether it is what a sample showed.

    A domain that is what the baseline's sample showed, in a file without an override for the feature (as the
    originals wrote them), gets the room that `suggest` leaves. A domain that an expert edited is complete.
    """
    known, threshold = pair.baseline, pair.config.domain_content_threshold
    sampled = columns.category_counts(known) if known is not None else None
    if known is None or not sampled or set(sampled) != set(domains):
        return threshold, False
    room = domain_threshold(list(sampled.values()), known.sample)
    if threshold < 1.0 or _DOMAIN_THRESHOLD in pair.expected.all_overrides:
        return threshold, abs(threshold - room) <= _SAME
    return room, True


def unseen_values(pair: columns.FeaturePair, domains: list[str]) -> dict[str, int] | None:
    """Return the rows of each value outside the domain; None when the window lists no values."""
    numbers = pair.current.numerical
    if numbers is None:
        counts, known = columns.category_counts(pair.current), set(domains)
        return None if counts is None else {value: n for value, n in counts.items() if value not in known}
    if numbers.sketch is None:
        return None
    # The baseline was text and the window holds numbers only: compare as numbers, because "07" was read as 7.
    parsed = {float(as_float32(value)) for text in domains if (value := as_number(text)) is not None}
    unseen = Counter[str]()
    for value, weight in zip(*map(np.ndarray.tolist, numbers.sketch.weighted), strict=True):
        if float(as_float32(value)) not in parsed:
            unseen[number(value)] += int(weight)
    return unseen


def _check_count(pair: columns.FeaturePair, domains: list[str], threshold: float) -> columns.Found | None:
    text = pair.current.string
    distinct = (text.distinct_count or 0.0) if text is not None else 0.0
    if threshold < _CLOSED_DOMAIN or distinct * _DISTINCT_COUNT_MARGIN <= len(domains):
        return None
    seen, known = number(round(distinct)), len(domains)
    told = wording("limits.many_values", distinct=seen, domains=known, expected=percent(threshold))
    return columns.Found(told, distinct, known)


def check_range(pair: columns.FeaturePair, alpha: float) -> columns.Found | None:
    """Report values outside of the range: any, where an expert set it; else more than chance explains.

    ``is_non_negative`` is suggested from a sample, which may have missed what is rare. A minimum or maximum
    is never suggested, so somebody decided it, as they did a sign that the baseline's values do not have.
    """
    numbers, expected = pair.current.numerical, pair.expected
    if numbers is None or numbers.min is None or numbers.max is None:
        return None
    for sign, bound, side, limit, value in (
        (-1.0, expected.minimum, "smallest", "minimum", numbers.min),
        (1.0, expected.maximum, "largest", "maximum", numbers.max),
    ):
        if bound is not None and as_float32(sign * value) > as_float32(sign * bound):
            text = f"The {side} value is {number(value)}, beyond the {limit} of {number(bound)}."
            return columns.Found(text, value, bound)
    if not expected.is_non_negative:
        return None
    if numbers.min >= 0.0:
        return columns.Found("", numbers.min, 0.0, 1.0, State.HOLDS)
    known = pair.baseline.numerical if pair.baseline else None
    p_value, negative, state = None, 1, State.VIOLATED
    if numbers.sketch is not None:
        values, weights = numbers.sketch.weighted
        negative = max(1, int(weights[values < 0.0].sum()))
    present = pair.current.num_present
    sentence = f"{negative} of {present} values are negative, down to {number(numbers.min)}"
    if known is not None and known.min is not None and known.min >= 0.0:
        before = known.num_present
        p_value = math.exp(-_evidence((0, before), (negative, present), dependence(pair)))
        state = _ended(p_value, alpha)
        sentence += f"; none of {before} were at the baseline ({chance(p_value)})"
    return columns.Found(f"{sentence}.", numbers.min, 0.0, p_value, state)


# Every check, with the code of its violations and the family of comparisons whose false alarms it shares.
LIMITS = (
    (CheckType.DATA_TYPE, check_type, "values"),
    (CheckType.COMPLETENESS, check_completeness, "completeness"),
    (CheckType.CATEGORICAL_VALUES, check_categories, "values"),
    (CheckType.RANGE, check_range, "ranges"),
)
