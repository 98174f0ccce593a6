"""The metrics of bias by name: their formulas, and why a table leaves one undefined.

Their tables, ``confusion`` and ``strata``, are those of `analyzers.bias.metrics`. Descriptions and reasons
are those that Clarify prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

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


Floats = npt.NDArray[np.float64]


def quotient(numerator: Floats | np.float64, denominator: Floats | np.float64) -> Floats:
    """Return numerator / denominator; 0 for 0 / 0, infinite with the numerator's sign for others by 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where((denominator == 0) & (numerator == 0), 0.0, numerator / denominator))


def difference(left: Floats, right: Floats) -> Floats:
    """Return left - right, 0 where both are the same infinity."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.isinf(left) & (left == right), 0.0, left - right))


# --- pre-training -----------------------------------------------------------------------------------------


def class_imbalance(counts: Floats) -> Floats:
    """CI: (na - nd) / n."""
    size = facet_sizes(counts)
    return _where_both(counts, quotient(size[..., 0] - size[..., 1], size.sum(axis=-1)))


def label_proportions(counts: Floats) -> Floats:
    """DPL: share of positive labels in a minus that in d."""
    positive = observed_counts(counts)[..., 1]
    shares = quotient(positive, facet_sizes(counts))
    return _where_both(counts, shares[..., 0] - shares[..., 1])


def kullback_leibler(outcomes: Floats) -> Floats:
    """KL: sum of Pa ln(Pa / Pd) over the categories that occur in both facets.

    Parameters
    ----------
    outcomes
        ``counts[..., facet, category]``.
    """
    first, second, common = _distributions(outcomes)
    return _over_common(_relative_entropy(first, second, common), common)


def jensen_shannon(outcomes: Floats) -> Floats:
    """JS: half of KL(Pa, P) + KL(Pd, P), P the mean of Pa and Pd, over the categories in both facets."""
    first, second, common = _distributions(outcomes)
    # As a difference of entropies, which is the same and gives Clarify's digits.
    middle = _entropy(0.5 * (first + second), common)
    each = _entropy(first, common) + _entropy(second, common)
    return _over_common(middle - 0.5 * each, common)


def lp_norm(outcomes: Floats) -> Floats:
    """LP: Euclidean norm of Pa - Pd over the categories in both facets."""
    first, second, common = _distributions(outcomes)
    squares = np.where(common, (first - second) ** 2, 0.0)
    return _over_common(np.sqrt(squares.sum(axis=-1)), common)


def total_variation(outcomes: Floats) -> Floats:
    """TVD: half the sum of the absolute values of Pa - Pd over the categories in both facets."""
    first, second, common = _distributions(outcomes)
    return _over_common(0.5 * np.where(common, np.abs(first - second), 0.0).sum(axis=-1), common)


def kolmogorov_smirnov(outcomes: Floats) -> Floats:
    """KS: largest difference of a category in both facets, not of the cumulative distributions."""
    first, second, common = _distributions(outcomes)
    return _over_common(np.where(common, np.abs(first - second), 0.0).max(axis=-1, initial=0.0), common)


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


# --- post-training ----------------------------------------------------------------------------------------


def predicted_proportions(counts: Floats) -> Floats:
    """DPPL: share of positive predictions in a minus that in d."""
    shares = _acceptance(counts)
    return _where_both(counts, shares[..., 0] - shares[..., 1])


def disparate_impact(counts: Floats) -> Floats:
    """DI: share of positive predictions in d divided by that in a; 1 is parity."""
    shares = _acceptance(counts)
    return _where_both(counts, quotient(shares[..., 1], shares[..., 0]))


def conditional_acceptance(counts: Floats) -> Floats:
    """DCA: observed positives per predicted positive, a minus d."""
    ratio = quotient(observed_counts(counts)[..., 1], _predicted(counts)[..., 1])
    return _where_both(counts, difference(ratio[..., 0], ratio[..., 1]))


def conditional_rejection(counts: Floats) -> Floats:
    """DCR: observed negatives per predicted negative, d minus a."""
    ratio = quotient(observed_counts(counts)[..., 0], _predicted(counts)[..., 0])
    return _where_both(counts, difference(ratio[..., 1], ratio[..., 0]))


def recall_difference(counts: Floats) -> Floats:
    """RD: recall in a minus that in d."""
    recall = quotient(counts[..., 1, 1], observed_counts(counts)[..., 1])
    return _where_both(counts, recall[..., 0] - recall[..., 1])


def specificity_difference(counts: Floats) -> Floats:
    """SD: specificity in d minus that in a."""
    specificity = quotient(counts[..., 0, 0], observed_counts(counts)[..., 0])
    return _where_both(counts, specificity[..., 1] - specificity[..., 0])


def acceptance_rates(counts: Floats) -> Floats:
    """DAR: precision in a minus that in d."""
    precision = quotient(counts[..., 1, 1], _predicted(counts)[..., 1])
    return _where_both(counts, precision[..., 0] - precision[..., 1])


def rejection_rates(counts: Floats) -> Floats:
    """DRR: negative predictive value in d minus that in a."""
    value = quotient(counts[..., 0, 0], _predicted(counts)[..., 0])
    return _where_both(counts, value[..., 1] - value[..., 0])


def accuracy_difference(counts: Floats) -> Floats:
    """AD: accuracy in a minus that in d."""
    accuracy = quotient(counts[..., 0, 0] + counts[..., 1, 1], facet_sizes(counts))
    return _where_both(counts, accuracy[..., 0] - accuracy[..., 1])


def treatment_equality(counts: Floats) -> Floats:
    """TE: false negatives per false positive, d minus a."""
    ratio = quotient(counts[..., 1, 0], counts[..., 0, 1])
    return _where_both(counts, difference(ratio[..., 1], ratio[..., 0]))


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


# --- parts ------------------------------------------------------------------------------------------------


def facet_sizes(counts: Floats) -> Floats:
    """Return ``counts[..., facet]``."""
    return np.asarray(counts.sum(axis=(-2, -1)))


def observed_counts(counts: Floats) -> Floats:
    """Return ``counts[..., facet, observed]``."""
    return np.asarray(counts.sum(axis=-1))


def _predicted(counts: Floats) -> Floats:
    """Return ``counts[..., facet, predicted]``."""
    return np.asarray(counts.sum(axis=-2))


def _acceptance(counts: Floats) -> Floats:
    return quotient(_predicted(counts)[..., 1], facet_sizes(counts))


def _where_both(counts: Floats, values: Floats) -> Floats:
    """Return `values` where both facets have rows, NaN elsewhere."""
    return np.where((facet_sizes(counts) > 0).all(axis=-1), values, np.nan)


def _distributions(outcomes: Floats) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    shares = quotient(outcomes, outcomes.sum(axis=-1, keepdims=True))
    first, second = shares[..., 0, :], shares[..., 1, :]
    return first, second, (first > 0) & (second > 0)


def _relative_entropy(first: Floats, second: Floats, common: npt.NDArray[np.bool_]) -> Floats:
    ratio = np.divide(first, second, out=np.ones_like(first), where=common)
    return np.asarray(np.where(common, first * np.log(ratio), 0.0).sum(axis=-1))


def _entropy(shares: Floats, common: npt.NDArray[np.bool_]) -> Floats:
    logarithms = np.log(shares, out=np.zeros_like(shares), where=common)
    return np.asarray(-np.where(common, shares * logarithms, 0.0).sum(axis=-1))


def _over_common(values: Floats, common: npt.NDArray[np.bool_]) -> Floats:
    return np.where(common.any(axis=-1), values, np.nan)


Stage = Literal["pre", "post"]
Table = Literal["confusion", "strata", "neighbours"]

_NO_COMMON = "No instance of common facet found, dataset may be too small"
# These and the flip test are about predictions, or about nothing but rows.
WITHOUT_LABELS = frozenset(("CI", "DPPL", "DI", "CDDPL", "FT"))
NO_GROUP_VARIABLE = "Group variable is empty or not provided"


@dataclass(frozen=True)
class BiasMetric:
    """One metric of bias.

    Parameters
    ----------
    name
        As configured, such as ``DPL``.
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

    name: str
    description: str
    stage: Stage
    table: Table
    function: Callable[[Floats], Floats]
    problem: Callable[[Floats], str | None]

    @property
    def needs_labels(self) -> bool:
        """Return whether the metric is about labels; others need nothing, or predictions only."""
        return self.name not in WITHOUT_LABELS


def _of_labels(function: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Return a metric of label distributions as a function of confusion tables."""

    def of_confusion(counts: Floats) -> Floats:
        return function(observed_counts(counts))

    return of_confusion


def _no_counts(counts: Floats) -> Floats:
    raise TypeError("the flip test is no function of counts")


# --- why a metric is undefined ----------------------------------------------------------------------------


def _empty_facet(empty_d: str, empty_a: str) -> Callable[[Floats], str | None]:
    def problem(counts: Floats) -> str | None:
        rest, sensitive = facet_sizes(counts)
        if sensitive == 0:
            return empty_d
        return empty_a if rest == 0 else None

    return problem


def _facet_set(prefix: str) -> Callable[[Floats], str | None]:
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

METRICS: dict[str, BiasMetric] = {
    metric.name: metric
    for metric in (
        BiasMetric("CI", "Class Imbalance (CI)", "pre", "confusion", class_imbalance, _CLASS),
        BiasMetric(
            "DPL",
            "Difference in Positive Proportions in Labels (DPL)",
            "pre",
            "confusion",
            label_proportions,
            _PROPORTIONS,
        ),
        BiasMetric(
            "KL",
            "Kullback-Liebler Divergence (KL)",
            "pre",
            "confusion",
            _of_labels(kullback_leibler),
            _no_common_category,
        ),
        BiasMetric(
            "JS",
            "Jensen-Shannon Divergence (JS)",
            "pre",
            "confusion",
            _of_labels(jensen_shannon),
            _no_common_category,
        ),
        BiasMetric("LP", "L-p Norm (LP)", "pre", "confusion", _of_labels(lp_norm), _no_common_category),
        BiasMetric(
            "TVD",
            "Total Variation Distance (TVD)",
            "pre",
            "confusion",
            _of_labels(total_variation),
            _no_common_category,
        ),
        BiasMetric(
            "KS",
            "Kolmogorov-Smirnov Distance (KS)",
            "pre",
            "confusion",
            _of_labels(kolmogorov_smirnov),
            _no_common_category,
        ),
        BiasMetric(
            "CDDL",
            "Conditional Demographic Disparity in Labels (CDDL)",
            "pre",
            "strata",
            conditional_disparity,
            _one_sided_strata,
        ),
        BiasMetric(
            "DPPL",
            "Difference in Positive Proportions in Predicted Labels (DPPL)",
            "post",
            "confusion",
            predicted_proportions,
            _PROPORTIONS,
        ),
        BiasMetric("DI", "Disparate Impact (DI)", "post", "confusion", disparate_impact, _IMPACT),
        BiasMetric(
            "DCA",
            "Difference in Conditional Acceptance (DCA)",
            "post",
            "confusion",
            conditional_acceptance,
            _facet_set("DCO: "),
        ),
        BiasMetric(
            "DCR",
            "Difference in Conditional Rejection (DCR)",
            "post",
            "confusion",
            conditional_rejection,
            _facet_set("DCO: "),
        ),
        BiasMetric(
            "RD",
            "Recall Difference (RD)",
            "post",
            "confusion",
            recall_difference,
            _facet_set("DLA: "),
        ),
        BiasMetric(
            "SD",
            "Specificity Difference (SD)",
            "post",
            "confusion",
            specificity_difference,
            _facet_set("DLA: "),
        ),
        BiasMetric(
            "DAR",
            "Difference in Acceptance Rates (DAR)",
            "post",
            "confusion",
            acceptance_rates,
            _facet_set("DLR: "),
        ),
        BiasMetric(
            "DRR",
            "Difference in Rejection Rates (DRR)",
            "post",
            "confusion",
            rejection_rates,
            _facet_set("DLR: "),
        ),
        BiasMetric(
            "AD",
            "Accuracy Difference (AD)",
            "post",
            "confusion",
            accuracy_difference,
            _facet_set(""),
        ),
        BiasMetric(
            "CDDPL",
            "Conditional Demographic Disparity in Predicted Labels (CDDPL)",
            "post",
            "strata",
            conditional_disparity,
            _one_sided_strata,
        ),
        BiasMetric("TE", "Treatment Equality (TE)", "post", "confusion", treatment_equality, _facet_set("")),
        BiasMetric("FT", "Flip Test (FT)", "post", "neighbours", _no_counts, _facet_set("")),
        BiasMetric("GE", "Generalized Entropy (GE)", "post", "confusion", generalized_entropy, _no_benefit),
    )
}
