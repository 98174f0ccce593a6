"""The page of bias jobs: every metric of every group, with its interval."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from containers.metrics import Entry, Metrics, Scope, table
from contract import page
from contract.api import Violation
from contract.errors import topic, wording
from contract.wording import as_float
from reporting.report import charts

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

Key = tuple[str, str]


def body(source: page.Source) -> page.Body:
    """Return what the page shows of a bias run."""
    now, then = _groups(source.statistics), _groups(source.baseline_statistics)
    then = then or _groups_of_constraints(source.baseline_constraints)
    sections = [_group_section(key, group, then.get(key, {}), source) for key, group in now.items()]
    sections += [*_model_section(source), *charts.segment_section(source)]
    dataset = source.statistics.get("dataset", {})
    facts = [("Groups", page.count(len(now))), ("Label", page.short(str(dataset.get("label", "–"))))]
    notes = [*map(str, source.statistics.get("notes", ()))]
    if sections:
        used = (one for group in now.values() for stage, _ in _STAGES for one in group.get(stage) or ())
        sections[0].text = f"{sections[0].text} {_spelt_out(one['name'] for one in used)}".strip()
    return page.Body([*_cards(source, now, then)], sections, facts, notes)


def _spelt_out(names: Iterable[str]) -> str:
    found, titles = set(names), topic("bias_titles")
    return page.sentence(", ".join(f"{name} is {titles[name]}" for name in titles if name in found))


def _groups(statistics: Entry) -> dict[Key, Entry]:
    return {(one["facet"], str(one["value_or_threshold"])): one for one in statistics.get("facets", ())}


def _groups_of_constraints(constraints: Entry) -> dict[Key, Entry]:
    """Return the groups as a baseline without statistics has them: Clarify's shape."""
    groups: dict[Key, Any] = {}
    for stage, _ in _STAGES:
        facets = (constraints.get(f"{stage}_bias_metrics") or {}).get("facets") or {}
        for name, entry in ((name, entry) for name, entries in facets.items() for entry in entries):
            key = (name, str(entry.get("value_or_threshold")))
            groups.setdefault(key, {})[stage] = entry.get("metrics", [])
    return groups


def _key(violation: Violation) -> Key:
    return str(violation.extra.get("facet", "")), str(violation.extra.get("facet_value", ""))


def _group_text(key: Key) -> str:
    return f"{page.short(key[0], 60)} = {page.short(key[1], 60)}"


def _scope(now: Entry, then: Entry, *members: str) -> Scope:
    def metrics(side: Entry) -> Metrics:
        return {one["name"]: one for name in members for one in side.get(name) or ()}

    return Scope(metrics(now), metrics(then))


def _group_section(key: Key, group: Entry, before: Entry, source: page.Source) -> page.Section:
    drawn, tables = [], []
    for stage, title in _STAGES:
        scope = _scope(group, before, stage)
        if not scope.now:
            continue
        title = f"{title}, {_group_text(key)}"
        if chart := _chart(title, [name for name in scope.now if name not in _UNBOUNDED], scope):
            drawn.append(chart)
        rows = []
        for name in scope.now:
            texts = [name, page.short(_meaning(name, scope, scope.now[name].get("error")), 240)]
            verdict = source.verdict(f"{name} of {key[0]} {key[1]}")
            rows.append(scope.row(name, texts, [verdict], _chart(name, [name], scope), text=_as_share))
        tables.append(table("groups", rows, title=title))
    return page.Section(_group_text(key), _counts_text(key, group), charts=drawn, tables=tables)


def _as_share(value: float | None) -> str:
    return page.alike([value, 0.5], 1e-9)[0]


def _chart(title: str, names: list[str], scope: Scope) -> page.Chart | None:
    chart = scope.chart(title, names)
    return chart | {"zero": True} if chart else None


def _counts_text(key: Key, group: Entry) -> str:
    counts = group.get("counts")
    if not counts:
        return ""
    rows = [sum(sum(observed) for observed in side) for side in counts]
    text = f"{page.count(rows[1])} rows are in the group {_group_text(key)}, {page.count(rows[0])} are not."
    positives = [sum(side[1]) for side in counts]
    predicted = [side[0][1] + side[1][1] for side in counts]
    for name, found in (("Positive labels", positives), ("Positive predictions", predicted)):
        if any(found) and all(rows):
            shares = [page.percent(found[side] / rows[side]) for side in (1, 0)]
            text += f" {name}: {shares[0]} of the group, {shares[1]} of the others."
    return text


def _model_section(source: page.Source) -> list[page.Section]:
    scope = _scope(source.statistics, source.baseline_statistics, "model_metrics")
    rows = [page.Row([page.Cell(name), *charts.value_cells(*scope.estimates(name))]) for name in scope.now]
    return [page.Section("All rows", tables=[table("model", rows)])] if rows else []


def _cards(source: page.Source, now: Mapping[Key, Entry], then: Mapping[Key, Entry]) -> Iterator[page.Card]:
    """Yield one card per group: the same gap shows in many metrics."""
    groups = source.grouped(lambda violation: (_key(violation), charts.segment_text(violation)))
    for (key, where), found in groups.items():
        # The documents are of all rows, so that they say nothing of a segment.
        current, before = ({}, {}) if where else (now.get(key, {}), then.get(key, {}))
        yield _card(key, where, found, _scope(current, before, *dict(_STAGES)))


def _card(key: Key, where: str, found: list[Violation], scope: Scope) -> page.Card:
    rank = {name: place for place, name in enumerate(_FIRST)}
    by_name = {violation.metric_name or "": violation for violation in found}
    names = sorted(by_name, key=lambda name: (rank.get(name, len(rank)), -_growth(name, scope)))
    bounded = [name for name in names if name not in _UNBOUNDED] or names
    title = _group_text(key) + (f" in {where}" if where else "")
    meaning = _meaning(names[0], scope)
    meaning = f"{page.short(meaning)} ({names[0]})" if meaning else names[0]
    others = f" and {page.several(len(names) - 1, 'more metric')}" if len(names) > 1 else ""
    said = *_sentences([by_name[name] for name in names], scope), _spelt_out(names[1:])
    sentences = [*filter(None, said)]
    weight = max((_growth(name, scope) for name in names), default=0.0) * (0.5 if where else 1.0)
    chart = _chart(f"Metrics that violate, {title}", bounded, scope)
    title = f"{title}: {meaning}{others}"
    return page.Card(title, sentences, wording("page_advice.bias"), weight, found, chart)


def _growth(name: str, scope: Scope) -> float:
    then, now = scope.values(name)
    return 0.0 if name in _UNBOUNDED or then is None or now is None else abs(now) - abs(then)


def _meaning(name: str, scope: Scope, error: str | None = None) -> str:
    meaning = str(scope.now.get(name, {}).get("description", "")).removesuffix(f"({name})").strip()
    # In a column of numbers, a sentence would push the columns behind it off the page.
    return f"{meaning}: {error}" if error and scope.values(name)[1] is None else meaning


def _sentences(found: list[Violation], scope: Scope) -> Iterator[str]:
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
            was, _ = scope.values(name)
            before = f"allowed {_number(match['limit'])}, is"
            if was is not None:
                before = f"was {page.number(was)} and is"
            numbers = f" {name} {before} {_number(match['value'])}."
        yield (page.sentence(page.short(text, 600)) + numbers).strip()


def _number(text: str) -> str:
    value = as_float(text)
    return page.short(text) if value is None else page.number(value)
