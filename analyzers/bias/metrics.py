"""The metrics of bias by name: their formulas, and why a table leaves one undefined.

Their tables, ``confusion`` and ``strata``, are those of `analyzers.bias.formulas`. Descriptions and reasons
are those that Clarify prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from analyzers.bias import formulas
from analyzers.bias.formulas import Floats, facet_sizes, observed_counts

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
        BiasMetric("CI", "Class Imbalance (CI)", "pre", "confusion", formulas.class_imbalance, _CLASS),
        BiasMetric(
            "DPL",
            "Difference in Positive Proportions in Labels (DPL)",
            "pre",
            "confusion",
            formulas.label_proportions,
            _PROPORTIONS,
        ),
        BiasMetric(
            "KL",
            "Kullback-Liebler Divergence (KL)",
            "pre",
            "confusion",
            _of_labels(formulas.kullback_leibler),
            _no_common_category,
        ),
        BiasMetric(
            "JS",
            "Jensen-Shannon Divergence (JS)",
            "pre",
            "confusion",
            _of_labels(formulas.jensen_shannon),
            _no_common_category,
        ),
        BiasMetric(
            "LP", "L-p Norm (LP)", "pre", "confusion", _of_labels(formulas.lp_norm), _no_common_category
        ),
        BiasMetric(
            "TVD",
            "Total Variation Distance (TVD)",
            "pre",
            "confusion",
            _of_labels(formulas.total_variation),
            _no_common_category,
        ),
        BiasMetric(
            "KS",
            "Kolmogorov-Smirnov Distance (KS)",
            "pre",
            "confusion",
            _of_labels(formulas.kolmogorov_smirnov),
            _no_common_category,
        ),
        BiasMetric(
            "CDDL",
            "Conditional Demographic Disparity in Labels (CDDL)",
            "pre",
            "strata",
            formulas.conditional_disparity,
            _one_sided_strata,
        ),
        BiasMetric(
            "DPPL",
            "Difference in Positive Proportions in Predicted Labels (DPPL)",
            "post",
            "confusion",
            formulas.predicted_proportions,
            _PROPORTIONS,
        ),
        BiasMetric("DI", "Disparate Impact (DI)", "post", "confusion", formulas.disparate_impact, _IMPACT),
        BiasMetric(
            "DCA",
            "Difference in Conditional Acceptance (DCA)",
            "post",
            "confusion",
            formulas.conditional_acceptance,
            _facet_set("DCO: "),
        ),
        BiasMetric(
            "DCR",
            "Difference in Conditional Rejection (DCR)",
            "post",
            "confusion",
            formulas.conditional_rejection,
            _facet_set("DCO: "),
        ),
        BiasMetric(
            "RD",
            "Recall Difference (RD)",
            "post",
            "confusion",
            formulas.recall_difference,
            _facet_set("DLA: "),
        ),
        BiasMetric(
            "SD",
            "Specificity Difference (SD)",
            "post",
            "confusion",
            formulas.specificity_difference,
            _facet_set("DLA: "),
        ),
        BiasMetric(
            "DAR",
            "Difference in Acceptance Rates (DAR)",
            "post",
            "confusion",
            formulas.acceptance_rates,
            _facet_set("DLR: "),
        ),
        BiasMetric(
            "DRR",
            "Difference in Rejection Rates (DRR)",
            "post",
            "confusion",
            formulas.rejection_rates,
            _facet_set("DLR: "),
        ),
        BiasMetric(
            "AD",
            "Accuracy Difference (AD)",
            "post",
            "confusion",
            formulas.accuracy_difference,
            _facet_set(""),
        ),
        BiasMetric(
            "CDDPL",
            "Conditional Demographic Disparity in Predicted Labels (CDDPL)",
            "post",
            "strata",
            formulas.conditional_disparity,
            _one_sided_strata,
        ),
        BiasMetric(
            "TE", "Treatment Equality (TE)", "post", "confusion", formulas.treatment_equality, _facet_set("")
        ),
        BiasMetric("FT", "Flip Test (FT)", "post", "neighbours", _no_counts, _facet_set("")),
        BiasMetric(
            "GE", "Generalized Entropy (GE)", "post", "confusion", formulas.generalized_entropy, _no_benefit
        ),
    )
}
