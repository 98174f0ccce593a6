"""From statistics to suggested constraints (spec section 3.3).

Sound rules add one thing: where a feature's categories are listed, the share of later values that must be
among them leaves room for the categories a sample of this size must have missed, written as a per-feature
override that a user can tighten to 1.0.
"""

import copy
import json
import math
from dataclasses import replace
from importlib import resources

from analyzers.data_quality import documents
from analyzers.data_quality.documents import Constraints, DataQualityBaseline, FeatureConstraints, Statistics
from analyzers.shared.rules import Rules
from analyzers.shared.significance import poisson_upper_bound

DOMAIN_THRESHOLD = "domain_content_threshold"

_CONFIG = resources.files(__package__).joinpath("monitoring_config.json").read_text("utf-8")
# Chance that the true share of unseen categories is above what the suggestion leaves room for.
_MISSING_MASS_ALPHA = 0.001
_MISSING_MASS_DEVIATIONS = 3.09
_ONCE = 1.5  # of a group of rows that come together: nearer to one than to two
_INDEPENDENT = 1.1


def suggest(
    statistics: Statistics,
    baseline: DataQualityBaseline | None = None,
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
    features = [_suggest_feature(feature, rules) for feature in statistics.features]
    suggested = Constraints(features, monitoring_config=config)
    if rules == "sagemaker" or baseline is None or baseline.constraints is None:
        return suggested
    untouched = suggest(baseline.statistics, rules=rules) if baseline.statistics else None
    return _carry_over(suggested, baseline.constraints, untouched)


def _suggest_feature(feature: documents.FeatureStatistics, rules: Rules) -> FeatureConstraints:
    suggested = FeatureConstraints(feature.name, feature.inferred_type, completeness=feature.completeness)
    if feature.numerical is not None:
        minimum = feature.numerical.min
        suggested.is_non_negative = minimum is None or minimum >= 0.0
    elif feature.string is not None and feature.string.categories is not None:
        categories = feature.string.categories
        suggested.domains = [category.value for category in categories]
        if rules == "sound" and categories:
            threshold = domain_threshold([category.count for category in categories], feature.sample)
            suggested.overrides = {DOMAIN_THRESHOLD: threshold}
    return suggested


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
    extra = copy.deepcopy(previous.extra)
    return Constraints(features, monitoring_config=config, extra=extra, order=previous.order)


def _carry_over_feature(
    suggested: FeatureConstraints, previous: FeatureConstraints, untouched: FeatureConstraints | None
) -> FeatureConstraints:
    """Return the suggestion with what differs between the previous file and its own untouched suggestion.

    Without the previous statistics nobody can tell what an expert changed; additions that no job makes
    (unknown members, overrides, values of a domain) are kept then, numbers are suggested anew.
    """
    overrides, own = copy.deepcopy(previous.overrides), untouched.overrides if untouched else {}
    if DOMAIN_THRESHOLD in own and overrides.get(DOMAIN_THRESHOLD) == own[DOMAIN_THRESHOLD]:
        del overrides[DOMAIN_THRESHOLD]
    kept = ("string_overrides", "extra", "numeric_extra", "string_extra", "order")
    carried = replace(
        suggested,
        domains=_carry_over_domains(suggested, previous, untouched),
        overrides=suggested.overrides | overrides,
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
    return first is second if first is None or second is None else abs(first - second) <= 1e-9


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
    known = set(suggested.domains)
    return suggested.domains + [value for value in added if value not in known]
