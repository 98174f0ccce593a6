"""The metrics of bias by name: their formulas, and why a table leaves one undefined.

Their tables, ``confusion`` and ``strata``, are those of `analyzers.bias.metrics`. Descriptions and reasons
are those that Clarify prints.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from analyzers.shared.cells import Flags, Floats
from contract.errors import topic

# The metrics of bias as functions of counts.
#
# Every metric but the flip test is a function of a contingency table, and each function here works on any
# number of leading dimensions: one table gives the value, a thousand resampled tables give its interval.
#
# Two kinds of table occur:
#
# ``confusion``
#     ``counts[..., facet, observed, predicted]``; facet 0 is the rest (a), 1 the sensitive group (d);
# outcome
#     0 is negative, 1 positive. Pre-training metrics sum over the predictions.
# ``strata``
#     ``counts[..., stratum, facet, outcome]``, the outcome observed (CDDL) or predicted (CDDPL).
#
# A quotient by zero is 0 when its numerator is 0, else infinite. Where a metric is undefined its function
# gives NaN. The definitions are those of Clarify; docs/bias.md lists them with ranges and directions.


def quotient(numerator: Floats | np.float64, denominator: Floats | np.float64) -> Floats:
    """Return numerator / denominator; 0 for 0 / 0, infinite with the numerator's sign for others by 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where((denominator == 0) & (numerator == 0), 0.0, numerator / denominator))


def difference(left: Floats, right: Floats) -> Floats:
    """Return left - right, 0 where both are the same infinity."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.isinf(left) & (left == right), 0.0, left - right))


# --- parts ------------------------------------------------------------------------------------------------


def facet_sizes(counts: Floats) -> Floats:
    """Return ``counts[..., facet]``."""
    return np.asarray(counts.sum(axis=(-2, -1)))


def observed_counts(counts: Floats) -> Floats:
    """Return ``counts[..., facet, observed]``."""
    return np.asarray(counts.sum(axis=-1))


def predicted_counts(counts: Floats) -> Floats:
    """Return ``counts[..., facet, predicted]``."""
    return np.asarray(counts.sum(axis=-2))


def _where_both(counts: Floats, values: Floats) -> Floats:
    """Return `values` where both facets have rows, NaN elsewhere."""
    return np.where((facet_sizes(counts) > 0).all(axis=-1), values, np.nan)


# --- rates: so many of so many, or so many for one ---------------------------------------------------------

Count = Callable[[Floats], Floats]


class Rate(NamedTuple):
    """A quotient of two counts of a group.

    Parameters
    ----------
    hits, of
        From ``counts[..., facet, observed, predicted]`` to counts by facet.
    words
        Of a share who is counted and what happened to them; of one of `RATIOS` what both counts are of.
    sign
        1 for the rate in a minus that in d, -1 for the other way round.
    """

    hits: Count
    of: Count
    words: tuple[str, str]
    sign: int = 1

    def difference(self, counts: Floats) -> Floats:
        """Return how far the rates of the facets are apart."""
        rates = quotient(self.hits(counts), self.of(counts))
        first, second = rates[..., 0], rates[..., 1]
        return _where_both(counts, difference(*((first, second) if self.sign > 0 else (second, first))))


def _observed(outcome: int) -> Count:
    return lambda counts: observed_counts(counts)[..., outcome]


def _predicted(outcome: int) -> Count:
    return lambda counts: predicted_counts(counts)[..., outcome]


def _cell(observed: int, predicted: int) -> Count:
    return lambda counts: counts[..., observed, predicted]


def rightly_predicted(counts: Floats) -> Floats:
    """Return how many rows of each facet are predicted rightly."""
    return np.asarray(counts[..., 0, 0] + counts[..., 1, 1])


_RIGHTLY_POSITIVE, _RIGHTLY_NEGATIVE = _cell(1, 1), _cell(0, 0)

RATES = {
    "DPL": Rate(_observed(1), facet_sizes, ("rows", "have a positive label")),
    "DPPL": Rate(_predicted(1), facet_sizes, ("rows", "are predicted positive")),
    # Accuracy, recall, specificity, precision, negative predictive value.
    "AD": Rate(rightly_predicted, facet_sizes, ("rows", "are predicted rightly")),
    "RD": Rate(_RIGHTLY_POSITIVE, _observed(1), ("positive labels", "are predicted positive")),
    "SD": Rate(_RIGHTLY_NEGATIVE, _observed(0), ("negative labels", "are predicted negative"), sign=-1),
    "DAR": Rate(_RIGHTLY_POSITIVE, _predicted(1), ("positive predictions", "have a positive label")),
    "DRR": Rate(_RIGHTLY_NEGATIVE, _predicted(0), ("negative predictions", "have a negative label"), sign=-1),
    "DCA": Rate(_observed(1), _predicted(1), ("positive labels", "positive predictions")),
    "DCR": Rate(_observed(0), _predicted(0), ("negative labels", "negative predictions"), sign=-1),
    "TE": Rate(_cell(1, 0), _cell(0, 1), ("wrong negative predictions", "wrong positive ones"), sign=-1),
}
# The quotients of which `hits` are not among `of`.
RATIOS = frozenset(("DCA", "DCR", "TE"))


# --- the others -------------------------------------------------------------------------------------------


def class_imbalance(counts: Floats) -> Floats:
    """CI: (na - nd) / n."""
    size = facet_sizes(counts)
    return _where_both(counts, quotient(size[..., 0] - size[..., 1], size.sum(axis=-1)))


def disparate_impact(counts: Floats) -> Floats:
    """DI: share of positive predictions in d divided by that in a; 1 is parity."""
    shares = quotient(predicted_counts(counts)[..., 1], facet_sizes(counts))
    return _where_both(counts, quotient(shares[..., 1], shares[..., 0]))


def _of_shares(metric: Callable[[Floats, Floats, Flags], Floats]) -> Callable[[Floats], Floats]:
    """Return a metric of shares in a, in d, and which categories both have, as one of outcomes.

    Outcomes are ``counts[..., facet, category]``; without a category that both facets have it is NaN.
    """

    def of_outcomes(outcomes: Floats) -> Floats:
        shares = quotient(outcomes, outcomes.sum(axis=-1, keepdims=True))
        first, second = shares[..., 0, :], shares[..., 1, :]
        common = (first > 0) & (second > 0)
        return np.where(common.any(axis=-1), metric(first, second, common), np.nan)

    return of_outcomes


@_of_shares
def kullback_leibler(first: Floats, second: Floats, common: Flags) -> Floats:
    """KL: sum of Pa ln(Pa / Pd) over the categories that occur in both facets."""
    ratio = np.divide(first, second, out=np.ones_like(first), where=common)
    return np.asarray(np.where(common, first * np.log(ratio), 0.0).sum(axis=-1))


@_of_shares
def jensen_shannon(first: Floats, second: Floats, common: Flags) -> Floats:
    """JS: half of KL(Pa, P) + KL(Pd, P), P the mean of Pa and Pd, over the categories in both facets."""

    def entropy(shares: Floats) -> Floats:
        logarithms = np.log(shares, out=np.zeros_like(shares), where=common)
        return np.asarray(-np.where(common, shares * logarithms, 0.0).sum(axis=-1))

    # As a difference of entropies, which is the same and gives Clarify's digits.
    return entropy(0.5 * (first + second)) - 0.5 * (entropy(first) + entropy(second))


@_of_shares
def lp_norm(first: Floats, second: Floats, common: Flags) -> Floats:
    """LP: Euclidean norm of Pa - Pd over the categories in both facets."""
    return np.sqrt(np.where(common, (first - second) ** 2, 0.0).sum(axis=-1))


@_of_shares
def total_variation(first: Floats, second: Floats, common: Flags) -> Floats:
    """TVD: half the sum of the absolute values of Pa - Pd over the categories in both facets."""
    return np.asarray(0.5 * np.where(common, np.abs(first - second), 0.0).sum(axis=-1))


@_of_shares
def kolmogorov_smirnov(first: Floats, second: Floats, common: Flags) -> Floats:
    """KS: largest difference of a category in both facets, not of the cumulative distributions."""
    return np.asarray(np.where(common, np.abs(first - second), 0.0).max(axis=-1, initial=0.0))


def conditional_disparity(strata: Floats) -> Floats:
    """CDDL, CDDPL: mean over strata, by size, of d's share of the rejected minus its share of the accepted.

    Parameters
    ----------
    strata
        ``counts[..., stratum, facet, outcome]``.
    """
    outcome = strata.sum(axis=-2)
    shares = quotient(strata[..., 1, :], outcome)
    sizes = outcome.sum(axis=-1)
    disparity = (sizes * (shares[..., 0] - shares[..., 1])).sum(axis=-1)
    totals = outcome.sum(axis=-2)
    return np.where((totals > 0).all(axis=-1), quotient(disparity, sizes.sum(axis=-1)), np.nan)


def generalized_entropy(counts: Floats) -> Floats:
    """GE: spread of the benefits b = predicted - observed + 1 over all rows, alpha = 2; facets play no part.

    ``mean((b / mean(b))^2 - 1) / 2`` (Speicher et al. 2018).
    """
    rows = counts.sum(axis=-3)
    total = rows.sum(axis=(-2, -1))
    false_positive, false_negative = rows[..., 0, 1], rows[..., 1, 0]
    exact = total - false_positive - false_negative
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (exact + 2.0 * false_positive) / total
        # The benefits are 0, 1 and 2.
        once, twice = (1.0 / mean) ** 2 - 1.0, (2.0 / mean) ** 2 - 1.0
        return np.asarray((exact * once + false_positive * twice - false_negative) / total / 2.0)


# --- why a metric is undefined ----------------------------------------------------------------------------

Problem = Callable[[Floats], str | None]
_NO_COMMON = "No instance of common facet found, dataset may be too small"
NO_GROUP_VARIABLE = "Group variable is empty or not provided"


def _empty_facet(empty_d: str, empty_a: str) -> Problem:
    def problem(counts: Floats) -> str | None:
        rest, sensitive = facet_sizes(counts)
        if sensitive == 0:
            return empty_d
        return empty_a if rest == 0 else None

    return problem


def _facet_set(prefix: str) -> Problem:
    return _empty_facet(f"{prefix}Facet set is empty", f"{prefix}Negated Facet set is empty")


def _no_common_category(counts: Floats) -> str | None:
    return None if (observed_counts(counts) > 0).all(axis=0).any() else _NO_COMMON


def _one_sided_strata(strata: Floats) -> str | None:
    if strata.size == 0:
        return NO_GROUP_VARIABLE
    negative, positive = strata.sum(axis=(0, 1))
    if positive == 0:
        return "No positive labels in set"
    return "No negative labels in set" if negative == 0 else None


def _no_benefit(counts: Floats) -> str | None:
    rows = counts.sum(axis=0)
    if rows[1, 0] == rows.sum():
        return "Every row is a false negative, so the mean benefit is zero"
    return None


_CLASS = _empty_facet(
    "CI: facet set is empty. Check that x[facet] has non-zero length.",
    "CI: negated facet set is empty. Check that x[~facet] has non-zero length.",
)
_PROPORTIONS = _empty_facet("Facet set is empty.", "Negative facet set is empty.")
_IMPACT = _empty_facet("Facet set is empty", "Negated facet set is empty")

# --- the table --------------------------------------------------------------------------------------------

Stage = Literal["pre", "post"]
Table = Literal["confusion", "strata", "neighbours"]
# These and the flip test are about predictions, or about nothing but rows.
WITHOUT_LABELS = frozenset(("CI", "DPPL", "DI", "CDDPL", "FT"))


class BiasMetric(NamedTuple):
    """One metric of bias.

    Parameters
    ----------
    description
        As printed in ``analysis.json``.
    stage
        ``pre`` needs labels only, ``post`` predictions too.
    table
        The table `function` takes; ``neighbours`` for the flip test, which is no function of counts.
    function
        From tables to values, over any leading dimensions; NaN where undefined.
    problem
        Why one table leaves the metric undefined, None when it does not.
    """

    description: str
    stage: Stage
    table: Table
    function: Callable[[Floats], Floats]
    problem: Problem


def _of_labels(function: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Return a metric of label distributions as a function of confusion tables."""
    return lambda counts: function(observed_counts(counts))


def _no_counts(counts: Floats) -> Floats:
    raise TypeError("the flip test is no function of counts")


_ACCEPTANCE, _PERFORMANCE, _PRECISION = (_facet_set(f"{prefix}: ") for prefix in ("DCO", "DLA", "DLR"))
_PRE: dict[str, tuple[Callable[[Floats], Floats], Problem]] = {
    "CI": (class_imbalance, _CLASS),
    "DPL": (RATES["DPL"].difference, _PROPORTIONS),
    "KL": (_of_labels(kullback_leibler), _no_common_category),
    "JS": (_of_labels(jensen_shannon), _no_common_category),
    "LP": (_of_labels(lp_norm), _no_common_category),
    "TVD": (_of_labels(total_variation), _no_common_category),
    "KS": (_of_labels(kolmogorov_smirnov), _no_common_category),
    "CDDL": (conditional_disparity, _one_sided_strata),
}
_POST: dict[str, tuple[Callable[[Floats], Floats], Problem]] = {
    "DPPL": (RATES["DPPL"].difference, _PROPORTIONS),
    "DI": (disparate_impact, _IMPACT),
    "DCA": (RATES["DCA"].difference, _ACCEPTANCE),
    "DCR": (RATES["DCR"].difference, _ACCEPTANCE),
    "RD": (RATES["RD"].difference, _PERFORMANCE),
    "SD": (RATES["SD"].difference, _PERFORMANCE),
    "DAR": (RATES["DAR"].difference, _PRECISION),
    "DRR": (RATES["DRR"].difference, _PRECISION),
    "AD": (RATES["AD"].difference, _facet_set("")),
    "CDDPL": (conditional_disparity, _one_sided_strata),
    "TE": (RATES["TE"].difference, _facet_set("")),
    "FT": (_no_counts, _facet_set("")),
    "GE": (generalized_entropy, _no_benefit),
}
_OTHER_TABLES: dict[str, Table] = {"CDDL": "strata", "CDDPL": "strata", "FT": "neighbours"}

METRICS: dict[str, BiasMetric] = {
    name: BiasMetric(
        f"{topic('bias_titles')[name]} ({name})",
        "pre" if name in _PRE else "post",
        _OTHER_TABLES.get(name, "confusion"),
        *how,
    )
    for name, how in (_PRE | _POST).items()
}
