"""The page of model-quality jobs: how good the answers were, then and now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.report.charts import curve, estimate, intervals
from contract.report.model_cards import cards
from contract.report.model_side import (
    BEST_CONSTANT,
    FIRST,
    PR,
    ROC,
    SHARES,
    Side,
    interval_text,
    limits_of,
    metric_chart,
    ordered,
    segments_of,
    text_of,
    title_of,
    value_cell,
)
from contract.report.segments import decided_segments, segment_text, violation_counts, violations_cell
from contract.report.view import Body, Cell, Chart, Row, Section, Source, Table
from contract.report.words import count, percent, short

Points = tuple[list[float], list[float]]
# Metrics and rows of each segment, by its text.
Segments = dict[str, tuple[Side, int]]

_LARGEST_MATRIX = 20
_SEGMENT_METRICS = 3
_MOST_IN_CHART = 15


def body(source: Source) -> Body:
    """Return what the page shows of a model-quality run."""
    now, then = Side(source.statistics), Side(source.baseline_statistics)
    limits = limits_of(source.baseline_constraints)
    sections = [
        *_metric_section(now, then, limits, source),
        *_curve_section(now, then),
        *_matrix_section(now, then),
        *_estimated_section(source.statistics, then),
        *_segment_section(source),
    ]
    return Body(cards(source, now, then, limits), sections, _facts(source.statistics))


def _facts(statistics: Mapping[str, Any]) -> list[tuple[str, str]]:
    dataset = statistics.get("dataset", {})
    labelled, unlabelled = dataset.get("item_count", 0), dataset.get("unlabelled_count", 0)
    total = labelled + unlabelled
    if not total:
        return []
    return [("Rows with a label", f"{count(labelled)} of {count(total)} ({percent(labelled / total)})")]


def _metric_section(
    now: Side, then: Side, limits: Mapping[str, tuple[float, str]], source: Source
) -> list[Section]:
    names = [name for name in {**now.metrics, **then.metrics} if not name.endswith(BEST_CONSTANT)]
    if not names:
        return []
    violated = {violation.metric_name for violation in source.violations if not segment_text(violation)}
    rows = []
    for name in ordered(dict.fromkeys(names)):
        before, after, limit = then.estimate(name), now.estimate(name), limits.get(name)
        cells = [
            Cell(title_of(name)),
            value_cell(name, before),
            value_cell(name, after),
            Cell(interval_text(name, after)),
            Cell(f"{limit[1]} {text_of(name, limit[0])}" if limit else "–"),
            source.verdict(name),
        ]
        rows.append(Row(cells, metric_chart([name], now, then, limits), name in violated))
    table = Table(
        "One row per metric; its name opens a chart.",
        ["metric", "baseline", "now", "95 % interval", "expected", "verdict"],
        rows,
        frozenset({1, 2}),
    )
    shares = [name for name in ordered(dict.fromkeys(names)) if SHARES.match(name) or name == "auc"]
    charts = [metric_chart(shares, now, then, limits)] if shares else []
    return [
        Section(
            "Metrics",
            "Points with their 95 % intervals; the red line is what the constraints allow.",
            charts=[chart for chart in charts if chart],
            tables=[table],
        )
    ]


def _curve_section(now: Side, then: Side) -> list[Section]:
    charts = [
        _curve(now, then, ROC, "false_positive_rates", "true_positive_rates", "ROC curve", True),
        _curve(now, then, PR, "recalls", "precisions", "Precision and recall", False),
        _calibration(now, then),
    ]
    shown = [chart for chart in charts if chart]
    return [Section("Curves", charts=shown)] if shown else []


def _curve(
    now: Side, then: Side, name: str, across: str, up: str, title: str, diagonal: bool
) -> Chart | None:
    points: list[Points | None] = [
        (side.curves[name][across], side.curves[name][up]) if name in side.curves else None
        for side in (now, then)
    ]
    axes = (across.rstrip("s").replace("_", " "), up.rstrip("s").replace("_", " "))
    return curve(title, axes, points[0], points[1], diagonal=diagonal)


def _calibration(now: Side, then: Side) -> Chart | None:
    points: list[Points | None] = []
    for side in (now, then):
        known = side.document.get("score_calibration") or {}
        scores, rates = known.get("scores"), known.get("positive_rates")
        inside = scores and rates and all(0.0 <= score <= 1.0 for score in scores)
        points.append((list(scores), list(rates)) if scores and rates and inside else None)
    chart = curve("Calibration", ("score", "share of positives"), points[0], points[1], diagonal=True)
    if chart:
        chart["diagonalName"] = "perfectly calibrated"
    return chart


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
    items, rows = [], []
    for name, member in (estimated.get("metrics") or {}).items():
        found = estimate(member.get("value"), member.get("confidence_interval"))
        if found is None:
            continue
        items.append({"label": title_of(name), "then": then.estimate(name), "now": found, "limit": None})
        rows.append(
            Row(
                [
                    Cell(title_of(name)),
                    value_cell(name, then.estimate(name)),
                    value_cell(name, found),
                ]
            )
        )
    if not items:
        return []
    table = Table(
        f"Estimates for {count(estimated.get('item_count', 0))} rows without a label.",
        ["metric", "baseline, measured", "now, estimated"],
        rows,
        frozenset({1, 2}),
    )
    chart = intervals("Estimated before labels", items)
    chart["nowName"] = "this window, estimated"
    return [Section("Estimated", str(estimated.get("assumption", "")), charts=[chart], tables=[table])]


def _segment_section(source: Source) -> list[Section]:
    now, then = segments_of(source.statistics), segments_of(source.baseline_statistics)
    if not now:
        return []
    every = {name: None for side, _ in now.values() for name in side.metrics}
    names = [name for name in FIRST if name in every][:_SEGMENT_METRICS]
    charts = [chart for name in names if (chart := _segment_chart(name, now, then))]
    table = _segment_table(names, now, then, source)
    return [Section("Segments", "The same metrics for each part of the rows.", charts=charts, tables=[table])]


def _segment_chart(name: str, now: Segments, then: Segments) -> Chart | None:
    items = [
        {
            "label": text,
            "now": side.estimate(name),
            "then": then[text][0].estimate(name) if text in then else None,
            "limit": None,
        }
        for text, (side, _) in list(now.items())[:_MOST_IN_CHART]
    ]
    items = [item for item in items if item["now"] or item["then"]]
    if not items:
        return None
    title = f"{title_of(name)[0].upper()}{title_of(name)[1:]} by segment"
    return intervals(title, items, shares=bool(SHARES.match(name)))


def _segment_table(names: list[str], now: Segments, then: Segments, source: Source) -> Table:
    found = violation_counts(source)
    nothing, decided = Side({}), decided_segments(source)
    rows = []
    for text, (side, amount) in now.items():
        before = then[text][0] if text in then else nothing
        cells = [Cell(text), Cell(count(amount), amount)]
        for name in names:
            cells += [value_cell(name, before.estimate(name)), value_cell(name, side.estimate(name))]
        violations = found.get(text, 0)
        cells.append(violations_cell(violations, text in decided))
        rows.append(Row(cells, violated=violations > 0))
    columns = ["segment", "rows"]
    for name in names:
        columns += [f"{title_of(name)}, baseline", f"{title_of(name)}, now"]
    columns.append("violations")
    return Table(
        "One row per segment.",
        columns,
        rows,
        frozenset(range(1, len(columns))),
        searchable=len(rows) > 10,
    )
