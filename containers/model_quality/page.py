"""The page of model-quality jobs: how good the answers were, then and now."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from contract.api import State, Violation
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
    several,
    short,
)
from reporting.report.charts import (
    Estimate,
    curve,
    decided_segments,
    estimate,
    interval_text,
    intervals,
    segment_text,
    value_cells,
    values_text,
    violation_counts,
    violations_cell,
)

# One side of a model-quality comparison: metrics as the documents have them, and as people read them.


MATRIX = "confusion_matrix"
ROC = "receiver_operating_characteristic_curve"
PR = "precision_recall_curve"
BEST_CONSTANT = "_best_constant_classifier"

# Those named first are what most people ask for.
FIRST = (
    "accuracy",
    "f1",
    "recall",
    "precision",
    "auc",
    "rmse",
    "mae",
    "r2",
    "weighted_f1",
    "weighted_recall",
)
_TITLES = {
    "auc": "AUC",
    "mae": "mean absolute error",
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "f0_5": "F0.5",
    "f1": "F1",
    "f2": "F2",
}
SHARES = re.compile(r"^(weighted_)?(accuracy|recall|precision|f\d.*|true_.*|false_.*)$")


def _of_problem(document: Mapping[str, Any], ending: str) -> Mapping[str, Any]:
    """Return the member that each problem type calls by its own name, such as ``regression_metrics``."""
    return next((member for name, member in document.items() if name.endswith(ending)), {})


class Side:
    """One statistics document, of the whole or of a segment."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        members = _of_problem(document, "_metrics")
        self.rows: int = document.get("item_count", 0)
        named = {name: member for name, member in members.items() if isinstance(member, Mapping)}
        self.metrics = {name: member for name, member in named.items() if "value" in member}
        self.matrix: Mapping[str, Mapping[str, int]] = members.get(MATRIX) or {}
        self.curves = {name: members[name] for name in (ROC, PR) if name in members}

    def estimate(self, name: str) -> Estimate | None:
        """Return a metric with its interval, None where it is absent or undefined."""
        metric = self.metrics.get(name)
        return estimate(metric["value"], metric.get("confidence_interval")) if metric else None

    def value(self, name: str) -> float | None:
        """Return a metric's value, None where it is absent or undefined."""
        found = self.metrics.get(name)
        return as_number(found["value"]) if found else None


_NOTHING = Side({})
# What is expected of each metric: its threshold, and on which side of it to be.
Limits = Mapping[str, tuple[float, str]]
_ANY = (None, "")


@dataclass(frozen=True)
class Scope:
    """All rows or a segment: its metrics now and at the baseline, and what is expected of them."""

    now: Side
    then: Side
    limits: Limits

    def chart(self, names: Sequence[str]) -> Chart | None:
        """Return metrics then and now with what is expected of them; None where neither side has one."""
        items = (
            (
                title_of(name),
                self.then.estimate(name),
                self.now.estimate(name),
                self.limits.get(name, _ANY)[0],
            )
            for name in names
        )
        title = title_of(names[0]) if len(names) == 1 else "Metrics"
        return intervals(title, items, shares=all(SHARES.match(name) for name in names))


def limits_of(constraints: Mapping[str, Any]) -> Limits:
    """Return what a constraints document expects of each metric."""
    sides = {"L": "at least", "G": "at most"}
    return {
        name: (entry["threshold"], sides[entry["comparison_operator"][0]])
        for name, entry in _of_problem(constraints, "_constraints").items()
    }


def title_of(name: str) -> str:
    """Return a metric's name as people read it."""
    return _TITLES.get(name, name.replace("_", " "))


def text_of(name: str, value: float | None) -> str:
    """Return a metric's value as people read it: shares as percent."""
    return percent(value) if SHARES.match(name) else number(value)


def ordered(names: Mapping[str, Any]) -> list[str]:
    """Return metrics in the order in which people ask for them."""
    rank = {name: place for place, name in enumerate(FIRST)}
    return sorted(names, key=lambda name: rank.get(name, len(rank)))


def _cells(name: str, *estimates: Estimate | None) -> list[Cell]:
    return value_cells(*estimates, text=partial(text_of, name))


def segments_of(document: Mapping[str, Any]) -> dict[str, Side]:
    """Return each segment's metrics, by its text."""
    return {values_text(entry["segment"]): Side(entry) for entry in document.get("segments") or ()}


# What became worse, of all rows and of each segment, in sentences.


# The same number under another name, or its complement.
_SAME_AS_RECALL = ("true_positive_rate", "false_negative_rate")
_ADVICE = (
    "look at which rows go wrong (segments, where there are any, say where), check that labels and features "
    "still mean what they did, then retrain with newer data."
)


def cards(source: Source, whole: Scope) -> list[Card]:
    """Return one card for all rows and one per segment: the same fall shows in many metrics."""
    groups: dict[str, list[Violation]] = {}
    for violation in source.violations:
        groups.setdefault(segment_text(violation), []).append(violation)
    current, before = segments_of(source.statistics), segments_of(source.baseline_statistics)
    total = sum(side.rows for side in current.values()) or 1
    found = []
    for where, group in groups.items():
        scope, share = whole, 1.0
        if where:
            now, then = current.get(where), before.get(where)
            if now is None or then is None:
                now = then = _NOTHING
            # What is expected of a segment is what it was at the baseline.
            own = {
                name: (value, side)
                for name, (_, side) in whole.limits.items()
                if (value := then.value(name)) is not None
            }
            scope, share = Scope(now, then, own), now.rows / total
        found.append(_card(where, group, scope, share, _sure(source, where)))
    return sorted(found, key=lambda card: -card.weight)


def _card(where: str, group: list[Violation], scope: Scope, share: float, sure: str) -> Card:
    by_name = {violation.metric_name or "": violation for violation in group}
    names = ordered(by_name)
    if "recall" in names:
        names = [name for name in names if name not in _SAME_AS_RECALL]
    sentences = [_sentence(name, by_name[name], scope) for name in names[:4]]
    if len(names) > 4:
        others = ", ".join(title_of(name) for name in names[4:])
        sentences.append(f"{several(len(names) - 4, 'more metric')} worse: {others}.")
    if sure:
        sentences.append(sure)
    title, changes = f"{where or 'All rows'}: {title_of(names[0])}", []
    for name in names:
        before, after = scope.then.value(name), scope.now.value(name)
        if before is None or after is None:
            changes.append(0.0)
            continue
        if name == names[0]:
            title += f" {text_of(name, before)} → {text_of(name, after)}"
        changes.append(min(10.0, abs(after - before) / max(abs(before), 1e-9)))
    return Card(
        title=title,
        sentences=sentences,
        advice=_ADVICE,
        weight=share * sum(changes) / max(1, len(changes)) if where else 100.0,
        violations=group,
        chart=scope.chart(names[:8]),
    )


def _sentence(name: str, violation: Violation, scope: Scope) -> str:
    found, before, limit = scope.now.estimate(name), scope.then.value(name), scope.limits.get(name)
    if found is None or limit is None:
        return short(violation.description, 600)
    title = title_of(name)
    text = f"{title[0].upper()}{title[1:]} is {text_of(name, found[0])}"
    if found[1] is not None:
        text += f" (95 % interval {interval_text(found, partial(text_of, name))})"
    if before is not None:
        text += f"; at the baseline it was {text_of(name, before)}"
    if before is None or text_of(name, before) != text_of(name, limit[0]):
        text += f"; expected is {limit[1]} {text_of(name, limit[0])}"
    return f"{text}."


def _sure(source: Source, where: str) -> str:
    """Say how sure a scope's violations are, by the least certain of them."""
    probabilities = [
        one.p_value
        for one in (source.decision.comparisons if source.decision else ())
        if one.state is State.VIOLATED and one.p_value is not None and values_text(one.segment) == where
    ]
    if not probabilities:
        return ""
    if max(probabilities) <= 1e-6:
        return "Chance does not explain this: less than one in a million."
    return f"Chance would do this at most once in {count(round(1.0 / max(probabilities)))} windows."


Points = tuple[list[float], list[float]]

_LARGEST_MATRIX = 20
_SEGMENT_METRICS = 3
_MOST_IN_CHART = 15


def body(source: Source) -> Body:
    """Return what the page shows of a model-quality run."""
    whole = Scope(
        Side(source.statistics), Side(source.baseline_statistics), limits_of(source.baseline_constraints)
    )
    sections = [
        *_metric_section(whole, source),
        *_curve_section(whole.now, whole.then),
        *_matrix_section(whole.now, whole.then),
        *_estimated_section(source.statistics, whole.then),
        *_segment_section(source),
    ]
    dataset = source.statistics.get("dataset", {})
    labelled, unlabelled = dataset.get("item_count", 0), dataset.get("unlabelled_count", 0)
    facts = []
    if total := labelled + unlabelled:
        said = f"{count(labelled)} of {count(total)} ({percent(labelled / total)})"
        facts.append(("Rows with a label", said))
    return Body(cards(source, whole), sections, facts)


def _metric_section(whole: Scope, source: Source) -> list[Section]:
    found = {**whole.now.metrics, **whole.then.metrics}
    names = ordered({name: None for name in found if not name.endswith(BEST_CONSTANT)})
    if not names:
        return []
    violated = {violation.metric_name for violation in source.violations if not segment_text(violation)}
    rows = []
    for name in names:
        after, limit = whole.now.estimate(name), whole.limits.get(name)
        cells = [
            Cell(title_of(name)),
            *_cells(name, whole.then.estimate(name), after),
            Cell(interval_text(after, partial(text_of, name))),
            Cell(f"{limit[1]} {text_of(name, limit[0])}" if limit else "–"),
            source.verdict(name),
        ]
        rows.append(Row(cells, whole.chart([name]), name in violated))
    table = Table(
        "One row per metric; its name opens a chart.",
        ["metric", "baseline", "now", "95 % interval", "expected", "verdict"],
        rows,
        frozenset({1, 2}),
    )
    shares = [name for name in names if SHARES.match(name) or name == "auc"]
    chart = whole.chart(shares) if shares else None
    text = "Points with their 95 % intervals; the red line is what the constraints allow."
    return [Section("Metrics", text, charts=[chart] if chart else [], tables=[table])]


def _curve_section(now: Side, then: Side) -> list[Section]:
    def drawn(name: str, across: str, up: str, title: str, diagonal: bool) -> Chart | None:
        points = [
            (side.curves[name][across], side.curves[name][up]) if name in side.curves else None
            for side in (now, then)
        ]
        axes = (across.rstrip("s").replace("_", " "), up.rstrip("s").replace("_", " "))
        return curve(title, axes, points[0], points[1], diagonal=diagonal)

    calibration = curve(
        "Calibration", ("score", "share of positives"), _calibration(now), _calibration(then), diagonal=True
    )
    if calibration:
        calibration["diagonalName"] = "perfectly calibrated"
    charts = (
        drawn(ROC, "false_positive_rates", "true_positive_rates", "ROC curve", True),
        drawn(PR, "recalls", "precisions", "Precision and recall", False),
        calibration,
    )
    shown = [chart for chart in charts if chart]
    return [Section("Curves", charts=shown)] if shown else []


def _calibration(side: Side) -> Points | None:
    known = side.document.get("score_calibration") or {}
    scores, rates = known.get("scores"), known.get("positive_rates")
    if not scores or not rates or not all(0.0 <= score <= 1.0 for score in scores):
        return None
    return list(scores), list(rates)


def _matrix_section(now: Side, then: Side) -> list[Section]:
    tables = [
        _matrix(name, side.matrix)
        for name, side in (("Now", now), ("Baseline", then))
        if side.matrix and len(side.matrix) <= _LARGEST_MATRIX
    ]
    if not tables:
        return []
    text = "Rows by actual label (down) and predicted label (across); shares are of the actual label."
    return [Section("Confusion matrix", text, tables=tables)]


def _matrix(name: str, matrix: Mapping[str, Mapping[str, int]]) -> Table:
    labels = list(dict.fromkeys([*matrix, *(label for row in matrix.values() for label in row)]))
    rows = []
    for actual in labels:
        counts = matrix.get(actual, {})
        total = sum(counts.values())
        cells = [Cell(f"actual {short(actual, 40)}")]
        for label in labels:
            rows_of = counts.get(label, 0)
            share = rows_of / total if total else 0.0
            cells.append(Cell(f"{count(rows_of)} ({percent(share)})", rows_of, {"value": round(share, 3)}))
        rows.append(Row(cells))
    columns = ["label", *(f"predicted {short(label, 40)}" for label in labels)]
    return Table(name, columns, rows, frozenset(range(1, len(columns))))


def _estimated_section(statistics: Mapping[str, Any], then: Side) -> list[Section]:
    estimated = statistics.get("estimated")
    if not isinstance(estimated, Mapping):
        return []
    members = (estimated.get("metrics") or {}).items()
    found = {
        name: (then.estimate(name), now)
        for name, member in members
        if (now := estimate(member.get("value"), member.get("confidence_interval")))
    }
    items = ((title_of(name), *sides, None) for name, sides in found.items())
    chart = intervals("Estimated before labels", items)
    if chart is None:
        return []
    table = Table(
        f"Estimates for {count(estimated.get('item_count', 0))} rows without a label.",
        ["metric", "baseline, measured", "now, estimated"],
        [Row([Cell(title_of(name)), *_cells(name, *sides)]) for name, sides in found.items()],
        frozenset({1, 2}),
    )
    chart["nowName"] = "this window, estimated"
    return [Section("Estimated", str(estimated.get("assumption", "")), charts=[chart], tables=[table])]


def _segment_section(source: Source) -> list[Section]:
    now, then = segments_of(source.statistics), segments_of(source.baseline_statistics)
    if not now:
        return []
    names = [name for name in FIRST if any(name in side.metrics for side in now.values())][:_SEGMENT_METRICS]
    charts = [chart for name in names if (chart := _segment_chart(name, now, then))]
    found, decided = violation_counts(source), decided_segments(source)
    rows = []
    for text, side in now.items():
        cells = [Cell(text), Cell(count(side.rows), side.rows)]
        for name in names:
            cells += _cells(name, then.get(text, _NOTHING).estimate(name), side.estimate(name))
        cells.append(violations_cell(found[text], text in decided))
        rows.append(Row(cells, violated=found[text] > 0))
    sides = [f"{title_of(name)}, {side}" for name in names for side in ("baseline", "now")]
    columns = ["segment", "rows", *sides, "violations"]
    numeric = frozenset(range(1, len(columns)))
    table = Table("One row per segment.", columns, rows, numeric, searchable=len(rows) > 10)
    return [Section("Segments", "The same metrics for each part of the rows.", charts=charts, tables=[table])]


def _segment_chart(name: str, now: Mapping[str, Side], then: Mapping[str, Side]) -> Chart | None:
    items = (
        (text, then.get(text, _NOTHING).estimate(name), side.estimate(name), None)
        for text, side in islice(now.items(), _MOST_IN_CHART)
    )
    title = f"{title_of(name)[0].upper()}{title_of(name)[1:]} by segment"
    return intervals(title, items, shares=bool(SHARES.match(name)))
