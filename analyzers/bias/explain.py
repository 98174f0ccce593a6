"""What a metric of bias says in words: which group, against which others, and how many it concerns.

Every sentence is made from counts of rows, and leaves open what they are: people, loans or flights.
"""

import math
from collections.abc import Iterable

import numpy as np

from analyzers.bias.documents import FacetStatistics, MetricValue
from analyzers.bias.metrics import METRICS, RATES, RATIOS
from analyzers.bias.resampling import disparity
from analyzers.shared.cells import Floats
from contract.errors import wording
from contract.wording import number, percent

FOUR_FIFTHS = 0.8


def group_text(facet: FacetStatistics) -> str:
    """Return the group in words: ``Sex = 0``, ``Age in (40, 75]``."""
    is_interval = facet.value_or_threshold.startswith("(")
    return f"{facet.facet} {'in' if is_interval else '='} {facet.value_or_threshold}"


def requirement_text(value: float, requirement: float | tuple[float, float]) -> str:
    """Return Clarify's sentence on a violation, numbers as Python prints them."""
    ends = requirement if isinstance(requirement, tuple) else (requirement,)
    required = f"[{', '.join(map(_exact, ends))}]" if len(ends) > 1 else _exact(ends[0])
    return f"Metric value {_exact(value)} doesn't meet the baseline constraint requirement {required}"


def _exact(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


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
    if METRICS[metric.name].stage == "pre":
        counts = counts + np.asarray(facet.unpredicted or 0.0)
    rate = RATES.get(_SAME_RATE.get(metric.name, metric.name))
    if rate is not None:
        words = _ratio_text if metric.name in RATIOS else _share_text
        return words(group_text(facet), rate.hits(counts), rate.of(counts), *rate.words)
    match metric.name:
        case "CI":
            rest, group = counts.sum(axis=(1, 2))
            share = percent(group / (rest + group)) if rest + group else "none"
            return f"{_count(group)} of {_count(rest + group)} ({share}) have {group_text(facet)}."
        case "CDDL":
            return _strata_text(facet, facet.strata_observed, "labels")
        case "CDDPL":
            return _strata_text(facet, facet.strata_predicted, "predictions")
        case "GE":
            rows = counts.sum(axis=0)
            if not rows.any():
                return ""
            members = {"rows": rows.sum(), "positive": rows[0, 1], "negative": rows[1, 0]}
            return wording("bias_meaning.entropy", **members)
        case _:
            return _flip_text(facet, metric, counts[1].sum())


def impact_findings(facets: Iterable[FacetStatistics]) -> dict[str, str]:
    """Return a sentence on every group that crosses the four-fifths line, by the group in words.

    The line (29 CFR 1607.4 D) is drawn at 0.8, and at 1.25 for the rest. It counts as crossed
    when the whole 95 % interval of DI is beyond it: chance does not explain that.
    """
    found = {}
    for facet in facets:
        metric = facet.metric("DI")
        if metric is None or metric.value is None or metric.confidence_interval is None:
            continue
        low, high = metric.confidence_interval
        if high < FOUR_FIFTHS or low > 1.0 / FOUR_FIFTHS:
            beyond = "below 0.8" if high < FOUR_FIFTHS else "above 1.25"
            text, meaning = group_text(facet), explain(facet, metric)
            said = {"group": text, "low": low, "high": high, "beyond": beyond, "meaning": meaning}
            found[text] = wording("bias_notes.four_fifths", **said)
    return found


# Metrics that are made of the rate of another.
_SAME_RATE = {**dict.fromkeys(("KL", "JS", "KS", "LP", "TVD"), "DPL"), "DI": "DPPL"}


def _share_text(group: str, hits: Floats, of: Floats, who: str, outcome: str) -> str:
    if not of.all():
        return f"There are no {who} {'among all others' if of[1] else f'with {group}'}."
    rate = hits[0] / of[0]
    more = round(abs(of[1] * rate - hits[1]))
    direction = "more" if of[1] * rate > hits[1] else "fewer"
    own, others = (percent(round(share, 4)) for share in (hits[1] / of[1], rate))
    members = {"hits": hits, "others": of[0], "group": group, "outcome": outcome, "own": own, "share": others}
    counted = _count(of[1]) if who == "rows" else f"{_count(of[1])} {who}"
    expected = f"{_count(more)} {direction}" if more else "as many"
    return wording("bias_meaning.share", of=counted, expected=expected, **members)


def _ratio_text(group: str, first: Floats, second: Floats, these: str, those: str) -> str:
    pairs = zip(first, second, strict=True)
    per = [f"{number(round(a / b, 3))} to 1" if b else "none of the latter" for a, b in pairs]
    members = {"first": first, "second": second, "these": these, "those": those, "per": per}
    return wording("bias_meaning.ratio", group=group, **members)


def _strata_text(facet: FacetStatistics, strata: list[list[list[int]]] | None, what: str) -> str:
    estimate = disparity(np.asarray(strata, dtype=np.float64)) if strata else None
    if estimate is None:
        return ""
    rejected, accepted = (percent(round(share, 4)) for share in estimate.shares)
    shares = {"rejected": rejected, "accepted": accepted}
    return wording("bias_meaning.strata", what=what, group=group_text(facet), **shares)


def _flip_text(facet: FacetStatistics, metric: MetricValue, size: float) -> str:
    if metric.name != "FT" or metric.value is None or math.isinf(metric.value):
        return ""
    flips = round(abs(metric.value) * size)
    better = "positive" if metric.value > 0 else "negative"
    members = {"rows": size, "group": group_text(facet), "flips": flips, "better": better}
    return wording("bias_meaning.flips", **members)


def _count(value: float) -> str:
    return f"{round(value):,}"
