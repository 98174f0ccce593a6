"""What a metric of bias says in words: which group, against which others, and how many it concerns.

Every sentence is made from counts of rows, and leaves open what they are: people, loans or flights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from analyzers.bias.documents import FacetStatistics, MetricValue
from analyzers.bias.metrics import Floats
from analyzers.bias.resampling import disparity
from contract.wording import number, percent

Groups = tuple[str, str]

FOUR_FIFTHS = 0.8


def group_text(facet: FacetStatistics) -> str:
    """Return the group in words: ``Sex = 0``, ``Age in (40, 75]``."""
    is_interval = facet.value_or_threshold.startswith("(")
    return f"{facet.facet} {'in' if is_interval else '='} {facet.value_or_threshold}"


def requirement_text(value: float, requirement: float | tuple[float, float]) -> str:
    """Return Clarify's sentence on a violation, numbers as Python prints them."""
    required = _required(requirement)
    return f"Metric value {_exact(value)} doesn't meet the baseline constraint requirement {required}"


def explain(facet: FacetStatistics, metric: MetricValue) -> str:
    """Return one or two sentences on what a metric's value means for the group.

    Parameters
    ----------
    facet
        The group's counts.
    metric
        With a value.
    """
    counts = np.asarray(facet.counts, dtype=np.float64)
    names = (f"with {group_text(facet)}", "among all others")
    if metric.name in _SHARES:
        return _shares(names, *_SHARES[metric.name](counts), _OUTCOMES[metric.name])
    if metric.name in _RATIOS:
        return _ratios(names, *_RATIOS[metric.name](counts), *_RATIO_WORDS[metric.name])
    if metric.name == "CI":
        return _imbalance(facet, counts)
    if metric.name in ("CDDL", "CDDPL"):
        return _strata(facet, metric.name)
    if metric.name == "GE":
        return _entropy(counts)
    if metric.name == "FT":
        return _flips(facet, metric, counts)
    return ""


def impact_finding(facet: FacetStatistics, metric: MetricValue) -> str | None:
    """Return a sentence when the four-fifths line is crossed by more than chance explains, else None.

    The line (29 CFR 1607.4 D) is drawn at 0.8, and at 1.25 for the rest. It counts as crossed
    when the whole 95 % interval of DI is beyond it.
    """
    if metric.name != "DI" or metric.value is None or metric.confidence_interval is None:
        return None
    low, high = metric.confidence_interval
    if high >= FOUR_FIFTHS and low <= 1.0 / FOUR_FIFTHS:
        return None
    beyond = "below 0.8" if high < FOUR_FIFTHS else "above 1.25"
    return (
        f"The 95 % interval of DI of {group_text(facet)} is {low:.3g} to {high:.3g}"
        f", {beyond}, the four-fifths line. {explain(facet, metric)}"
    )


def impact_findings(facets: Iterable[FacetStatistics]) -> dict[str, str]:
    """Return `impact_finding` of every group that crosses the line, by the group in words."""
    found = {}
    for facet in facets:
        metric = facet.metric("DI")
        text = None if metric is None else impact_finding(facet, metric)
        if text is not None:
            found[group_text(facet)] = text
    return found


# --- shares: how many of whom ------------------------------------------------------------------------------

Share = tuple[Floats, Floats]


def _of_labels(counts: Floats) -> Share:
    return counts[:, 1, :].sum(axis=-1), counts.sum(axis=(1, 2))


def _of_predictions(counts: Floats) -> Share:
    return counts[:, :, 1].sum(axis=-1), counts.sum(axis=(1, 2))


def _right(counts: Floats) -> Share:
    return counts[:, 0, 0] + counts[:, 1, 1], counts.sum(axis=(1, 2))


def _recalled(counts: Floats) -> Share:
    return counts[:, 1, 1], counts[:, 1, :].sum(axis=-1)


def _rejected_rightly(counts: Floats) -> Share:
    return counts[:, 0, 0], counts[:, 0, :].sum(axis=-1)


def _precise(counts: Floats) -> Share:
    return counts[:, 1, 1], counts[:, :, 1].sum(axis=-1)


def _negative_value(counts: Floats) -> Share:
    return counts[:, 0, 0], counts[:, :, 0].sum(axis=-1)


_SHARES: dict[str, Callable[[Floats], Share]] = {
    **dict.fromkeys(("DPL", "KL", "JS", "KS", "LP", "TVD"), _of_labels),
    **dict.fromkeys(("DPPL", "DI"), _of_predictions),
    "AD": _right,
    "RD": _recalled,
    "SD": _rejected_rightly,
    "DAR": _precise,
    "DRR": _negative_value,
}
# Who is counted, and what happened to those who are.
_OUTCOMES = {
    **dict.fromkeys(("DPL", "KL", "JS", "KS", "LP", "TVD"), ("rows", "have a positive label")),
    **dict.fromkeys(("DPPL", "DI"), ("rows", "are predicted positive")),
    "AD": ("rows", "are predicted rightly"),
    "RD": ("positive labels", "are predicted positive"),
    "SD": ("negative labels", "are predicted negative"),
    "DAR": ("positive predictions", "have a positive label"),
    "DRR": ("negative predictions", "have a negative label"),
}


def _shares(names: Groups, hits: Floats, of: Floats, words: tuple[str, str]) -> str:
    who, outcome = words
    if of[1] == 0:
        return f"There are no {who} {names[0]}."
    if of[0] == 0:
        return f"There are no {who} {names[1]}."
    rate = hits[0] / of[0]
    expected = of[1] * rate - hits[1]
    own, others = (percent(round(share, 4)) for share in (hits[1] / of[1], rate))
    counted = _count(of[1]) if who == "rows" else f"{_count(of[1])} {who}"
    return (
        f"{_count(hits[1])} of {counted} {names[0]} {outcome} ({own}), against {_count(hits[0])} of "
        f"{_count(of[0])} others ({others}); at the others' rate it would be {_more(expected)}."
    )


def _more(expected: float) -> str:
    rounded = round(abs(expected))
    if rounded == 0:
        return "as many"
    return f"{_count(rounded)} {'more' if expected > 0 else 'fewer'}"


# --- ratios: how many per one ------------------------------------------------------------------------------


def _per_predicted_positive(counts: Floats) -> Share:
    return counts[:, 1, :].sum(axis=-1), counts[:, :, 1].sum(axis=-1)


def _per_predicted_negative(counts: Floats) -> Share:
    return counts[:, 0, :].sum(axis=-1), counts[:, :, 0].sum(axis=-1)


def _misses_per_false_alarm(counts: Floats) -> Share:
    return counts[:, 1, 0], counts[:, 0, 1]


_RATIOS: dict[str, Callable[[Floats], Share]] = {
    "DCA": _per_predicted_positive,
    "DCR": _per_predicted_negative,
    "TE": _misses_per_false_alarm,
}
_RATIO_WORDS = {
    "DCA": ("positive labels", "positive predictions"),
    "DCR": ("negative labels", "negative predictions"),
    "TE": ("wrong negative predictions", "wrong positive ones"),
}


def _ratios(names: Groups, first: Floats, second: Floats, these: str, those: str) -> str:
    per = [
        f"{number(round(a / b, 3))} to 1" if b else "none of the latter"
        for a, b in zip(first, second, strict=True)
    ]
    return (
        f"{names[0].replace('with', 'With', 1)} there are {_count(first[1])} {these} to {_count(second[1])} "
        f"{those} ({per[1]}), {names[1]} {_count(first[0])} to {_count(second[0])} ({per[0]})."
    )


# --- the others --------------------------------------------------------------------------------------------


def _imbalance(facet: FacetStatistics, counts: Floats) -> str:
    rest, group = counts.sum(axis=(1, 2))
    total = rest + group
    share = percent(group / total) if total else "none"
    return f"{_count(group)} of {_count(total)} ({share}) have {group_text(facet)}."


def _strata(facet: FacetStatistics, name: str) -> str:
    strata = facet.strata_observed if name == "CDDL" else facet.strata_predicted
    estimate = disparity(np.asarray(strata, dtype=np.float64)) if strata else None
    if estimate is None:
        return ""
    what = "labels" if name == "CDDL" else "predictions"
    rejected, accepted = (percent(round(share, 4)) for share in estimate.shares)
    return (
        f"Of negative {what} {rejected} concern {group_text(facet)}, of positive {what} "
        f"{accepted}, averaged over the groups compared."
    )


def _entropy(counts: Floats) -> str:
    rows = counts.sum(axis=0)
    total = rows.sum()
    if not total:
        return ""
    return (
        f"Of {_count(total)} predictions {_count(rows[0, 1])} are wrongly positive and "
        f"{_count(rows[1, 0])} wrongly negative; groups play no part in this metric."
    )


def _flips(facet: FacetStatistics, metric: MetricValue, counts: Floats) -> str:
    size = counts[1].sum()
    if metric.value is None or math.isinf(metric.value):
        return ""
    flips = round(abs(metric.value) * size)
    better = "positive" if metric.value > 0 else "negative"
    return (
        f"Of {_count(size)} with {group_text(facet)}, {_count(flips)} more are predicted {better} "
        "than if each got what most of its nearest others get."
    )


def _count(value: float) -> str:
    return f"{round(value):,}"


def _exact(value: float) -> str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))


def _required(requirement: float | tuple[float, float]) -> str:
    if isinstance(requirement, tuple):
        return f"[{_exact(requirement[0])}, {_exact(requirement[1])}]"
    return _exact(requirement)
