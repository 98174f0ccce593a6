"""Groups of a window with the limits that their metrics are held to, and notes on those left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from analyzers.bias.check_sagemaker import pairs, undecided_comparison, why_no_value
from analyzers.bias.comparison import Limit, decided_strata, limit_of, rows_lacking, tables_of
from analyzers.bias.explain import group_text
from analyzers.bias.metrics import WITHOUT_LABELS
from analyzers.bias.pairing import paired_statistics
from analyzers.bias.resampling import DISTANCES, Tables
from contract.analyzer import Comparison
from contract.documents.bias import BiasConstraints, BiasStatistics, FacetStatistics, MetricValue

# Strata that lack an outcome are left out; with more of the rows in them, too little is left.
_MOST_LEFT_OUT = 0.1
# Facets of many values have many small groups.
_MOST_NOTES = 10
_NO_INTERVAL = "FT has no interval, so it needs an allowed range or threshold of yours"


@dataclass
class Held:
    """One group of a window: its counts, the baseline's, and per metric its value and limit."""

    facet: FacetStatistics
    window: Tables
    before: Tables | None
    known: FacetStatistics | None
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)

    def test_of(self, name: str) -> tuple[object, ...]:
        """Return what makes comparisons one test: the same rows, whichever side is called d, and question."""
        if name == "GE":
            return (name,)
        first, second = self.window.confusion
        limit = self.limits[name]
        question = "DPL" if name in DISTANCES and not limit.decided else name
        asked = limit.requirement if limit.decided else None
        return (frozenset((first.tobytes(), second.tobytes())), question, asked)


def hold(
    statistics: BiasStatistics, constraints: BiasConstraints, baseline: BiasStatistics | None
) -> tuple[list[Held], list[str], list[Comparison]]:
    """Return every group with what can be decided; what cannot, as notes and as comparisons."""
    groups: dict[int, Held] = {}
    undefined: dict[str, list[str]] = {}
    notes, undecided = [], []
    for _, facet, metric, constraint in pairs(statistics, constraints):
        group = groups.get(id(facet))
        if group is None:
            group = groups[id(facet)] = _group(facet, baseline)
        before = None if group.known is None else group.known.metric(metric.name)
        limit = limit_of(constraint, before)
        if not statistics.has_labels and metric.name not in WITHOUT_LABELS:
            undecided.append(undecided_comparison(facet, metric.name, "no row has a label", lost=True))
            continue
        if metric.value is None and limit is None and constraint.value is None:
            continue  # as at the baseline
        if metric.value is None or limit is None:
            undefined.setdefault(group_text(facet), []).append(metric.name)
            lost = metric.value is None
            reason = f"the baseline has no finite value of {metric.name}"
            if lost:
                reason = why_no_value(facet, metric)
            undecided.append(undecided_comparison(facet, metric.name, reason, lost))
            continue
        group.metrics[metric.name] = metric
        group.limits[metric.name] = limit
    if not statistics.has_labels:
        notes.append("No row has a label, so only metrics that need none were checked.")
    notes += [
        f"{text}: not checked, as the window has no value or the baseline no finite one: {', '.join(names)}."
        for text, names in undefined.items()
    ]
    if any("FT" in group.limits and not group.limits["FT"].decided for group in groups.values()):
        notes.append("FT has no interval, so it is only held to an allowed range or threshold that you set.")
    left_out = []
    for group in groups.values():
        asked = list(group.limits)
        left_out += (said := _leave_out(group))
        reason = said[0].rstrip(".") if len(said) == 1 else "groups have too few rows"
        undecided += [
            undecided_comparison(group.facet, name, _NO_INTERVAL if name == "FT" else reason)
            for name in asked
            if name not in group.limits
        ]
    notes += left_out[:_MOST_NOTES]
    if len(left_out) > _MOST_NOTES:
        notes.append(f"The same is true of {len(left_out) - _MOST_NOTES:,} more cases.")
    return list(groups.values()), notes, undecided


def _group(facet: FacetStatistics, baseline: BiasStatistics | None) -> Held:
    known = paired_statistics(baseline, facet.facet, facet.value_or_threshold)
    before = None if known is None else decided_strata(tables_of(known))
    return Held(facet, decided_strata(tables_of(facet)), before, known)


def _leave_out(group: Held) -> list[str]:
    """Take metrics that cannot be decided off a group; return notes on them."""
    small: dict[int, list[str]] = {}
    small_before, strata = [], []
    for name, limit in list(group.limits.items()):
        needed = rows_lacking(name, group.window)
        if name == "FT":
            if limit.decided:
                continue
        elif needed is not None:
            small.setdefault(needed, []).append(name)
        elif limit.own and group.before is not None and rows_lacking(name, group.before) is not None:
            small_before.append(name)
        elif _left_out(group, name) > _MOST_LEFT_OUT:
            strata.append(name)
        else:
            continue
        del group.limits[name]
    return [
        f"{group_text(group.facet)}: {text}" for text in _left_out_texts(group, small, small_before, strata)
    ]


def _left_out_texts(
    group: Held, small: dict[int, list[str]], small_before: list[str], strata: list[str]
) -> list[str]:
    texts = []
    if small:
        rows = int(group.window.confusion.sum())
        needs = "; ".join(f"{', '.join(names)} (about {rows:,})" for rows, names in sorted(small.items()))
        texts.append(f"of {rows:,} rows too few are of the group to decide metrics that need more: {needs}.")
    if small_before:
        texts.append(f"the baseline has too few rows of the group to decide {', '.join(small_before)}.")
    if strata:
        texts.append(
            f"too many groups of the group variable have only one outcome to decide {', '.join(strata)}."
        )
    return texts


def _left_out(group: Held, name: str) -> float:
    """Return the share of rows in strata that lack an outcome."""
    every = tables_of(group.facet)
    whole, kept = {
        "CDDL": (every.label_strata, group.window.label_strata),
        "CDDPL": (every.prediction_strata, group.window.prediction_strata),
    }.get(name, (None, None))
    if whole is None or kept is None or not whole.sum():
        return 0.0
    return 1.0 - float(kept.sum() / whole.sum())
