"""What became worse, of all rows and of each segment, in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from contract.documents.violations import Violation
from contract.report.model_side import (
    Side,
    interval_text,
    metric_chart,
    ordered,
    segments_of,
    text_of,
    title_of,
)
from contract.report.segments import segment_text
from contract.report.view import Card, Source
from contract.report.words import count, several, short

# The same number under another name, or its complement.
_SAME_AS_RECALL = ("true_positive_rate", "false_negative_rate")
_CHANCE = re.compile(r"chance explains with a probability of at most (\S+?)\.?$")
_ADVICE = (
    "look at which rows go wrong (segments, where there are any, say where), check that labels and features "
    "still mean what they did, then retrain with newer data."
)


def cards(source: Source, now: Side, then: Side, limits: Mapping[str, tuple[float, str]]) -> list[Card]:
    """Return one card for all rows and one per segment: the same fall shows in many metrics."""
    groups: dict[str, list[Violation]] = {}
    for violation in source.violations:
        groups.setdefault(segment_text(violation), []).append(violation)
    current, before = segments_of(source.statistics), segments_of(source.baseline_statistics)
    total = sum(amount for _, amount in current.values()) or 1
    found = []
    for where, group in groups.items():
        if not where:
            found.append(_card("All rows", group, now, then, limits, 1.0))
        elif where in current and where in before:
            side, amount = current[where]
            was = before[where][0]
            found.append(_card(where, group, side, was, _own_limits(limits, was), amount / total))
        else:
            found.append(_card(where, group, Side({}), Side({}), {}, 0.0))
    return sorted(found, key=lambda card: -card.weight)


def _own_limits(limits: Mapping[str, tuple[float, str]], was: Side) -> dict[str, tuple[float, str]]:
    """Return what is expected of a segment: what it was at the baseline."""
    return {
        name: (value, side) for name, (_, side) in limits.items() if (value := was.value(name)) is not None
    }


def _card(
    where: str,
    group: list[Violation],
    now: Side,
    then: Side,
    limits: Mapping[str, tuple[float, str]],
    share: float,
) -> Card:
    by_name = {violation.metric_name or "": violation for violation in group}
    names = ordered(by_name)
    if "recall" in names:
        names = [name for name in names if name not in _SAME_AS_RECALL]
    sentences = [_sentence(name, by_name[name], now, then, limits) for name in names[:4]]
    if len(names) > 4:
        others = ", ".join(title_of(name) for name in names[4:])
        sentences.append(f"{several(len(names) - 4, 'more metric')} worse: {others}.")
    if sure := _sure(by_name.values()):
        sentences.append(sure)
    changes = [_change(name, now, then) for name in names]
    return Card(
        title=_title(where, names, now, then),
        sentences=sentences,
        advice=_ADVICE,
        weight=100.0 if where == "All rows" else share * sum(changes) / max(1, len(changes)),
        violations=group,
        chart=metric_chart(names[:8], now, then, limits),
    )


def _change(name: str, now: Side, then: Side) -> float:
    before, after = then.value(name), now.value(name)
    if before is None or after is None:
        return 0.0
    return min(10.0, abs(after - before) / max(abs(before), 1e-9))


def _title(where: str, names: list[str], now: Side, then: Side) -> str:
    name = names[0]
    before, after = then.value(name), now.value(name)
    if before is None or after is None:
        return f"{where}: {title_of(name)}"
    return f"{where}: {title_of(name)} {text_of(name, before)} → {text_of(name, after)}"


def _sentence(
    name: str, violation: Violation, now: Side, then: Side, limits: Mapping[str, tuple[float, str]]
) -> str:
    found, before, limit = now.estimate(name), then.value(name), limits.get(name)
    if found is None or limit is None:
        return short(violation.description, 600)
    title = title_of(name)
    text = f"{title[0].upper()}{title[1:]} is {text_of(name, found[0])}"
    if found[1] is not None:
        text += f" (95 % interval {interval_text(name, found)})"
    if before is not None:
        text += f"; at the baseline it was {text_of(name, before)}"
    if before is None or text_of(name, before) != text_of(name, limit[0]):
        text += f"; expected is {limit[1]} {text_of(name, limit[0])}"
    return f"{text}."


def _sure(violations: Iterable[Violation]) -> str:
    """Say how sure a scope's violations are, by the least certain of them."""
    said = [_CHANCE.search(violation.description) for violation in violations]
    try:
        probabilities = [float(match[1]) for match in said if match]
    except ValueError:
        return ""
    if not probabilities:
        return ""
    if max(probabilities) <= 1e-6:
        return "Chance does not explain this: less than one in a million."
    return f"Chance would do this at most once in {count(round(1.0 / max(probabilities)))} windows."
