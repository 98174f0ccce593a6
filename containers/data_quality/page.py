"""The page of data-quality jobs: every feature, then and now."""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from analyzers.data_quality.check_sound import FALSE_ALARM_RATES
from analyzers.data_quality.documents import read_constraints
from analyzers.shared.significance import rows_to_tell
from containers.metrics import TABLES, Entry, table
from contract import page
from contract.api import CheckType, Finding, Violation
from contract.errors import topic, wording
from contract.wording import as_float, listing
from reporting.report.charts import distribution, segment_section, segment_text

_WEIGHT_OF_DISTANCE = 50.0

# What the original's parsers read from the end of a description; the page says it in a sentence of its own.
_DISTANCE = re.compile(r"\s*Baseline drift distance: (?P<distance>\S+) exceeds threshold: (?P<limit>\S+)\s*$")

Features = dict[str, Entry]


def body(source: page.Source) -> page.Body:
    """Return what the page shows of a data-quality run."""
    now, then = _features(source.statistics), _features(source.baseline_statistics)
    # Each made once, so that a card and its row share one.
    chart = cache(lambda name: distribution(now.get(name), then.get(name)))
    facts = [("Features", f"{len(now):,}")]
    if source.decision is None:
        rows = [page.Row(cells, chart(name)) for name, cells in _review(source, now)]
        review = page.Section("Features", wording("page_text.review"), tables=[table("review", rows)])
        return page.Body([], [review, *segment_section(source)], facts)
    findings = source.findings()
    rows = []
    for name in {**now, **then}:
        cells = [*_cells(name, now.get(name), then.get(name), findings.get(name)), source.verdict(name)]
        rows.append(page.Row(cells, chart(name), cells[-1].state == "violated"))
    rows.sort(key=lambda row: (not row.violated, -(row.cells[3].sort or -1.0)))
    features = page.Section("Features", wording("page_text.drift"), tables=[table("features", rows)])
    return page.Body([*_cards(source, chart)], [features, *segment_section(source)], facts)


def _review(source: page.Source, now: Features) -> Iterator[tuple[str, list[page.Cell]]]:
    """Yield what later windows of each feature are held to, for a look before they are."""
    constraints = read_constraints(dict(source.constraints), "constraints.json")
    for one in constraints.features:
        feature, config = now.get(one.name, {}), constraints.config(one)
        found, is_number = _summary(feature), one.inferred_type in ("Integral", "Fractional")
        least = 0.0 if one.is_non_negative and one.minimum is None else one.minimum
        allowed, ends = listing(one.domains or ()), {"from": least, "up to": one.maximum}
        if is_number:
            allowed = " ".join(f"{word} {page.number(end)}" for word, end in ends.items() if end is not None)
        limit = config.comparison_threshold if is_number else config.categorical_threshold
        rows, lacking = None, "–"
        if is_number and config.perform_comparison and found["present"]:
            effect = (feature.get("sample") or {}).get("design_effect", 1.0)
            rate = FALSE_ALARM_RATES["drift"] / len(constraints.features)
            enough = rows_to_tell(limit, found["present"] / effect, rate)
            rows, lacking = enough and math.ceil(enough * effect), "baseline too small"
        cells = [
            page.Cell(page.short(one.name)),
            page.Cell(one.inferred_type),
            page.Cell("", state="spark"),
            page.Cell(page.alike([found["mean"]], found["noise"])[0], found["mean"]),
            page.Cell(page.percent(found["missing"]), found["missing"]),
            page.Cell(page.percent(one.completeness), one.completeness),
            page.Cell(page.short(allowed) or "any"),
            page.Cell(page.number(limit) if config.perform_comparison else "off", limit),
            page.Cell(page.count(rows) if rows else lacking, rows),
        ]
        yield one.name, cells


def _features(statistics: Entry) -> Features:
    return {feature["name"]: feature for feature in statistics.get("features", ())}


def _cells(name: str, now: Entry | None, then: Entry | None, finding: Finding | None) -> list[page.Cell]:
    before, after = _summary(then), _summary(now)
    means = [before["mean"], after["mean"]]
    kind = (now or then or {}).get("inferred_type", "")
    if now and then and then.get("inferred_type") != kind:
        kind = f"{then.get('inferred_type')} → {kind}"
    return [
        page.Cell(page.short(name)),
        page.Cell(kind),
        page.Cell("", state="spark"),
        _distance_cell(finding),
        *(page.Cell(page.percent(side["missing"]), side["missing"]) for side in (before, after)),
        *map(page.Cell, page.alike(means, max(before["noise"], after["noise"])), means),
    ]


def _summary(feature: Entry | None) -> dict[str, Any]:
    numerical = (feature or {}).get("numerical_statistics") or {}
    common = (numerical or (feature or {}).get("string_statistics") or {}).get("common", {})
    present, missing = common.get("num_present", 0), common.get("num_missing", 0)
    total = present + missing
    mean, deviation = (page.as_number(numerical.get(name)) for name in ("mean", "std_dev"))
    found = {"present": present, "missing": missing / total if total else None, "mean": mean}
    return {**found, "noise": 1e-9 * (deviation or 0.0)}


def _distance_cell(finding: Finding | None) -> page.Cell:
    if finding is None or finding.distance is None:
        return page.Cell("–")
    ends = {"value": finding.distance, "limit": finding.limit, "noise-share": finding.noise}
    gauge = {name: round(min(1.0, end), 3) for name, end in ends.items() if end is not None}
    return page.Cell(f"{finding.distance:.3f}", round(finding.distance, 6), gauge)


def _cards(source: page.Source, chart: Callable[[str], page.Chart | None]) -> Iterator[page.Card]:
    """Yield one card per feature, of all rows or of a segment."""
    groups = source.grouped(lambda one: (one.feature_name or one.metric_name or "", segment_text(one)))
    findings, weights = source.findings(), TABLES["weights"]
    for (name, where), group in groups.items():
        # How much each violation matters, and the check that says what to do.
        distance = findings[name].distance if name in findings and not where else None
        drift = weights[CheckType.BASELINE_DRIFT] + _WEIGHT_OF_DISTANCE * (distance or 0.0)
        weighed = {**weights, CheckType.BASELINE_DRIFT: drift}
        known = [one.constraint_check_type for one in group if one.constraint_check_type in weights]
        check = max(known or [CheckType.BASELINE_DRIFT], key=weighed.__getitem__)
        title, weight, drawn = page.short(name), weighed[check], chart(name)
        if where:  # a segment is a part of what its whole says
            title, weight, drawn = f"{title} in {where}", 0.5 * weight, None
        yield page.Card(title, [*_sentences(group)], topic("page_advice")[check], weight, group, drawn)


def _sentences(group: Iterable[Violation]) -> Iterable[str]:
    for violation in group:
        said = _DISTANCE.search(violation.description)
        if said is None:
            yield page.sentence(page.short(violation.description, 600))
            continue
        text, moved = violation.description[: said.start()].strip(), ""
        for pattern, words in TABLES["in words"]["moved"]:
            text = re.sub(pattern, words, text)
        distance, limit = as_float(said["distance"]), as_float(said["limit"])
        if distance is not None and limit is not None:
            moved = f" Drift distance {page.number(distance, 3)}, allowed {page.number(limit, 3)}."
        yield f"{page.sentence(page.short(text, 600))}{moved}".strip()
