"""The page of bias jobs: every metric of every group, with its interval."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from contract.api import Violation
from contract.page import (
    Body,
    Card,
    Cell,
    Chart,
    Row,
    Section,
    Source,
    Table,
    as_number,
    count,
    number,
    percent,
    sentence,
    several,
    short,
)
from reporting.report.charts import (
    estimate,
    interval_text,
    intervals,
    segment_section,
    segment_text,
    value_cells,
)

_STAGES = (("pre_training", "The data"), ("post_training", "The model's answers"))
_REQUIREMENT = re.compile(
    r"\s*Metric value (?P<value>\S+) doesn't meet the baseline constraint requirement (?P<limit>.+?)\s*$"
)
_CHANCE = re.compile(r"\(Chance would do this [^)]*\)")
# Those whose value is a ratio or has no upper end; the rest are differences of shares.
_UNBOUNDED = ("DI", "TE", "DCA", "DCR", "KL")
# The order in which people ask: plain shares, then others; those of the same counts, and the one that knows
# no groups, come last.
_SHARES = ("DPPL", "DI", "AD", "RD", "DPL", "DRR", "DAR", "SD")
_FIRST = (*_SHARES, "DCA", "DCR", "CDDPL", "CDDL", "TE", "CI", "FT")
_MOST_SENTENCES = 4
_ADVICE = (
    "look at the groups' counts below first: few rows move these numbers a lot. If the gap is real, find "
    "which feature carries it (feature attribution), and talk to whoever answers for the decision before "
    "retraining."
)

Key = tuple[str, str]
Metrics = Mapping[str, Mapping[str, Any]]


def body(source: Source) -> Body:
    """Return what the page shows of a bias run."""
    now, then = _groups(source.statistics), _groups(source.baseline_statistics)
    then = then or _groups_of_constraints(source.baseline_constraints)
    violated: dict[Key, set[str]] = {}
    for violation in source.violations:
        if not segment_text(violation):
            violated.setdefault(_key(violation), set()).add(violation.metric_name or "")
    sections = [
        *(
            _group_section(key, group, then.get(key, {}), violated.get(key, set()), source)
            for key, group in now.items()
        ),
        *_model_section(source),
        *segment_section(source),
    ]
    dataset = source.statistics.get("dataset", {})
    facts = [("Groups", count(len(now))), ("Label", short(str(dataset.get("label", "–"))))]
    return Body(
        _cards(source, now, then), sections, facts, [str(note) for note in source.statistics.get("notes", ())]
    )


def _groups(statistics: Mapping[str, Any]) -> dict[Key, Mapping[str, Any]]:
    return {
        (facet["facet"], str(facet["value_or_threshold"])): facet for facet in statistics.get("facets", ())
    }


def _groups_of_constraints(constraints: Mapping[str, Any]) -> dict[Key, Mapping[str, Any]]:
    """Return the groups as a baseline without statistics has them: Clarify's shape."""
    groups: dict[Key, Any] = {}
    for stage, _ in _STAGES:
        facets = (constraints.get(f"{stage}_bias_metrics") or {}).get("facets") or {}
        for name, entries in facets.items():
            for entry in entries:
                key = (name, str(entry.get("value_or_threshold")))
                groups.setdefault(key, {})[stage] = entry.get("metrics", [])
    return groups


def _key(violation: Violation) -> Key:
    return str(violation.extra.get("facet", "")), str(violation.extra.get("facet_value", ""))


def _group_text(key: Key) -> str:
    return f"{short(key[0], 60)} = {short(key[1], 60)}"


def _metrics(group: Mapping[str, Any], *stages: str) -> Metrics:
    return {metric["name"]: metric for stage in stages for metric in group.get(stage) or ()}


def _estimate(metrics: Metrics, name: str) -> list[float | None] | None:
    metric = metrics.get(name)
    return estimate(metric.get("value"), metric.get("confidence_interval")) if metric else None


def _group_section(
    key: Key, group: Mapping[str, Any], before: Mapping[str, Any], violated: set[str], source: Source
) -> Section:
    charts, tables = [], []
    for stage, title in _STAGES:
        now, then = _metrics(group, stage), _metrics(before, stage)
        if not now:
            continue
        bounded = [name for name in now if name not in _UNBOUNDED]
        if chart := _chart(f"{title}, {_group_text(key)}", bounded, now, then):
            charts.append(chart)
        tables.append(
            Table(
                f"{title}, {_group_text(key)}: one row per metric; its name opens a chart.",
                ["metric", "meaning", "baseline", "now", "95 % interval", "verdict"],
                [
                    Row(
                        [*_cells(name, now, then), source.verdict(f"{name} of {key[0]} {key[1]}")],
                        _chart(name, [name], now, then),
                        name in violated,
                    )
                    for name in now
                ],
                frozenset({2, 3}),
            )
        )
    return Section(_group_text(key), _counts_text(key, group), charts=charts, tables=tables)


def _cells(name: str, now: Metrics, then: Metrics) -> list[Cell]:
    found, meaning = _estimate(now, name), _meaning(name, now)
    if found is None and now[name].get("error"):
        # In a column of numbers, a sentence would push the columns behind it off the page.
        meaning = f"{meaning}: {now[name]['error']}"
    cells = value_cells(_estimate(then, name), found)
    return [Cell(name), Cell(short(meaning, 240)), *cells, Cell(interval_text(found))]


def _chart(title: str, names: list[str], now: Metrics, then: Metrics) -> Chart | None:
    chart = intervals(title, ((name, _estimate(then, name), _estimate(now, name), None) for name in names))
    return chart | {"zero": True} if chart else None


def _counts_text(key: Key, group: Mapping[str, Any]) -> str:
    counts = group.get("counts")
    if not counts:
        return ""
    rows = [sum(sum(observed) for observed in side) for side in counts]
    text = f"{count(rows[1])} rows are in the group {_group_text(key)}, {count(rows[0])} are not."
    positives = [sum(side[1]) for side in counts]
    predicted = [side[0][1] + side[1][1] for side in counts]
    for name, found in (("Positive labels", positives), ("Positive predictions", predicted)):
        if any(found) and all(rows):
            shares = [percent(found[side] / rows[side]) for side in (1, 0)]
            text += f" {name}: {shares[0]} of the group, {shares[1]} of the others."
    return text


def _model_section(source: Source) -> list[Section]:
    then, now = (_metrics(side, "model_metrics") for side in (source.baseline_statistics, source.statistics))
    rows = [
        Row(
            [
                Cell(name),
                *value_cells(*([as_number(side.get(name, {}).get("value"))] for side in (then, now))),
            ]
        )
        for name in now
    ]
    if not rows:
        return []
    table = Table("The whole model.", ["metric", "baseline", "now"], rows, frozenset({1, 2}))
    return [Section("All rows", tables=[table])]


def _cards(
    source: Source, now: Mapping[Key, Mapping[str, Any]], then: Mapping[Key, Mapping[str, Any]]
) -> list[Card]:
    """Return one card per group: the same gap shows in many metrics."""
    groups: dict[tuple[Key, str], list[Violation]] = {}
    for violation in source.violations:
        groups.setdefault((_key(violation), segment_text(violation)), []).append(violation)
    stages = [stage for stage, _ in _STAGES]
    cards = []
    for (key, where), found in groups.items():
        # The documents are of all rows, so that they say nothing of a segment.
        sides = [{} if where else _metrics(side.get(key, {}), *stages) for side in (now, then)]
        cards.append(_card(key, where, found, *sides))
    return sorted(cards, key=lambda card: -card.weight)


def _card(key: Key, where: str, found: list[Violation], now: Metrics, then: Metrics) -> Card:
    rank = {name: place for place, name in enumerate(_FIRST)}
    by_name = {violation.metric_name or "": violation for violation in found}
    names = sorted(
        (violation.metric_name or "" for violation in found),
        key=lambda name: (rank.get(name, len(rank)), -_growth(name, now, then)),
    )
    bounded = [name for name in names if name not in _UNBOUNDED] or names
    title = _group_text(key) + (f" in {where}" if where else "")
    meaning = _meaning(names[0], now)
    meaning = names[0] if meaning == "" else f"{short(meaning)} ({names[0]})"
    others = f" and {several(len(names) - 1, 'more metric')}" if len(names) > 1 else ""
    growth = max((_growth(name, now, then) for name in names), default=0.0)
    return Card(
        title=f"{title}: {meaning}{others}",
        sentences=list(_sentences([by_name[name] for name in names], then)),
        advice=_ADVICE,
        weight=growth * (0.5 if where else 1.0),
        violations=found,
        chart=_chart(f"Metrics that violate, {title}", bounded, now, then),
    )


def _growth(name: str, now: Metrics, then: Metrics) -> float:
    found, was = _estimate(now, name), _estimate(then, name)
    if name in _UNBOUNDED or not found or not was or found[0] is None or was[0] is None:
        return 0.0
    return abs(found[0]) - abs(was[0])


def _meaning(name: str, metrics: Metrics) -> str:
    return str(metrics.get(name, {}).get("description", "")).removesuffix(f"({name})").strip()


def _sentences(found: list[Violation], then: Metrics) -> Iterator[str]:
    """Yield what is said of the metrics, each fact once: several metrics are of the same counts."""
    said: set[str] = set()
    for violation in found:
        match = _REQUIREMENT.search(violation.description)
        text = violation.description[: match.start()].strip() if match else violation.description
        # The same counts make several metrics, each with a probability of its own.
        if (fact := _CHANCE.sub("", text)) in said:
            continue
        said.add(fact)
        if len(said) > _MOST_SENTENCES:
            break
        numbers = ""
        if match:
            name = violation.metric_name or ""
            was = _estimate(then, name)
            before = f"was {number(was[0])} and is" if was else f"allowed {_number(match['limit'])}, is"
            numbers = f" {name} {before} {_number(match['value'])}."
        yield (sentence(short(text, 600)) + numbers).strip()


def _number(text: str) -> str:
    try:
        return number(float(text))
    except ValueError:
        return short(text)
