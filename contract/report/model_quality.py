"""The page of model-quality jobs: how good the answers were, then and now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from contract.documents.violations import Violation
from contract.report.charts import curve, estimate, intervals
from contract.report.segments import segment_text, values_text
from contract.report.view import Body, Card, Cell, Chart, Row, Section, Source, Table
from contract.report.words import as_number, count, number, percent, several, short

Points = tuple[list[float], list[float]]

_METRICS = ("binary_classification_metrics", "multiclass_classification_metrics", "regression_metrics")
_CONSTRAINTS = (
    "binary_classification_constraints",
    "multiclass_classification_constraints",
    "regression_constraints",
)
_MATRIX = "confusion_matrix"
_ROC = "receiver_operating_characteristic_curve"
_PR = "precision_recall_curve"
_BEST_CONSTANT = "_best_constant_classifier"
_LARGEST_MATRIX = 20

# Those named first are what most people ask for.
_FIRST = (
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
# The same number under another name, or its complement.
_SAME_AS_RECALL = ("true_positive_rate", "false_negative_rate")
_SHARES = re.compile(r"^(weighted_)?(accuracy|recall|precision|f\d.*|true_.*|false_.*)$")
_CHANCE = re.compile(r"chance explains with a probability of at most (\S+?)\.?$")
_ADVICE = (
    "look at which rows go wrong (segments, where there are any, say where), check that labels and features "
    "still mean what they did, then retrain with newer data."
)


def body(source: Source) -> Body:
    """Return what the page shows of a model-quality run."""
    now, then = _Side(source.statistics), _Side(source.baseline_statistics)
    limits = _limits(source.baseline_constraints)
    sections = [
        *_metric_section(now, then, limits, source),
        *_curve_section(now, then),
        *_matrix_section(now, then),
        *_estimated_section(source.statistics, then),
        *_segment_section(source),
    ]
    return Body(_cards(source, now, then, limits), sections, _facts(source.statistics))


class _Side:
    """One statistics document, of the whole or of a segment."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        members: Mapping[str, Any] = next((document[name] for name in _METRICS if name in document), {})
        self.metrics = {
            name: member
            for name, member in members.items()
            if isinstance(member, Mapping) and "value" in member
        }
        self.matrix: Mapping[str, Mapping[str, int]] = members.get(_MATRIX) or {}
        self.curves = {name: members[name] for name in (_ROC, _PR) if name in members}

    def estimate(self, name: str) -> list[float | None] | None:
        """Return ``[value, low, high]`` of a metric, None where it is absent or undefined."""
        metric = self.metrics.get(name)
        return estimate(metric["value"], metric.get("confidence_interval")) if metric else None

    def value(self, name: str) -> float | None:
        """Return a metric's value, None where it is absent or undefined."""
        metric = self.metrics.get(name)
        return as_number(metric["value"]) if metric else None


def _limits(constraints: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    members: Mapping[str, Any] = next((constraints[name] for name in _CONSTRAINTS if name in constraints), {})
    return {
        name: (
            entry["threshold"],
            "at least" if entry["comparison_operator"].startswith("Less") else "at most",
        )
        for name, entry in members.items()
    }


def _facts(statistics: Mapping[str, Any]) -> list[tuple[str, str]]:
    dataset = statistics.get("dataset", {})
    labelled, unlabelled = dataset.get("item_count", 0), dataset.get("unlabelled_count", 0)
    total = labelled + unlabelled
    if not total:
        return []
    return [("Rows with a label", f"{count(labelled)} of {count(total)} ({percent(labelled / total)})")]


def title_of(name: str) -> str:
    """Return a metric's name as people read it."""
    known = {
        "auc": "AUC",
        "mae": "mean absolute error",
        "mse": "mean squared error",
        "rmse": "root mean squared error",
        "r2": "R²",
        "f0_5": "F0.5",
        "f1": "F1",
        "f2": "F2",
    }
    return known.get(name, name.replace("_", " "))


def _text(name: str, value: float | None) -> str:
    return percent(value) if _SHARES.match(name) else number(value)


def _ordered(names: Mapping[str, Any]) -> list[str]:
    rank = {name: place for place, name in enumerate(_FIRST)}
    return sorted(names, key=lambda name: rank.get(name, len(rank)))


def _metric_section(
    now: _Side, then: _Side, limits: Mapping[str, tuple[float, str]], source: Source
) -> list[Section]:
    names = [name for name in {**now.metrics, **then.metrics} if not name.endswith(_BEST_CONSTANT)]
    if not names:
        return []
    violated = {v.metric_name for v in source.violations if not segment_text(v)}
    rows = []
    for name in _ordered(dict.fromkeys(names)):
        before, after, limit = then.estimate(name), now.estimate(name), limits.get(name)
        verdict = Cell("not constrained")
        if name in violated:
            verdict = Cell("violates", state="violated")
        elif limit and source.decision:
            verdict = Cell("holds", state="fine")
        cells = [
            Cell(title_of(name)),
            _value_cell(name, before),
            _value_cell(name, after),
            Cell(_interval_text(name, after)),
            Cell(f"{limit[1]} {_text(name, limit[0])}" if limit else "–"),
            verdict,
        ]
        rows.append(Row(cells, _metric_chart([name], now, then, limits), name in violated))
    table = Table(
        "One row per metric; its name opens a chart.",
        ["metric", "baseline", "now", "95 % interval", "expected", "verdict"],
        rows,
        frozenset({1, 2}),
    )
    shares = [name for name in _ordered(dict.fromkeys(names)) if _SHARES.match(name) or name == "auc"]
    charts = [_metric_chart(shares, now, then, limits)] if shares else []
    return [
        Section(
            "Metrics",
            "Points with their 95 % intervals; the red line is what the constraints allow.",
            charts=[chart for chart in charts if chart],
            tables=[table],
        )
    ]


def _value_cell(name: str, found: list[float | None] | None) -> Cell:
    value = found[0] if found else None
    return Cell(_text(name, value), value)


def _interval_text(name: str, found: list[float | None] | None) -> str:
    if not found or found[1] is None:
        return "–"
    return f"{_text(name, found[1])} to {_text(name, found[2])}"


def _metric_chart(
    names: list[str], now: _Side, then: _Side, limits: Mapping[str, tuple[float, str]]
) -> Chart | None:
    items = [
        {
            "label": title_of(name),
            "then": then.estimate(name),
            "now": now.estimate(name),
            "limit": limits[name][0] if name in limits else None,
        }
        for name in names
    ]
    items = [item for item in items if item["then"] or item["now"]]
    if not items:
        return None
    title = title_of(names[0]) if len(names) == 1 else "Metrics"
    return intervals(title, items, shares=all(_SHARES.match(name) for name in names))


def _curve_section(now: _Side, then: _Side) -> list[Section]:
    charts = [
        _curve(now, then, _ROC, "false_positive_rates", "true_positive_rates", "ROC curve", True),
        _curve(now, then, _PR, "recalls", "precisions", "Precision and recall", False),
        _calibration(now, then),
    ]
    shown = [chart for chart in charts if chart]
    return [Section("Curves", charts=shown)] if shown else []


def _curve(
    now: _Side, then: _Side, name: str, across: str, up: str, title: str, diagonal: bool
) -> Chart | None:
    points: list[Points | None] = [
        (side.curves[name][across], side.curves[name][up]) if name in side.curves else None
        for side in (now, then)
    ]
    axes = (across.rstrip("s").replace("_", " "), up.rstrip("s").replace("_", " "))
    return curve(title, axes, points[0], points[1], diagonal=diagonal)


def _calibration(now: _Side, then: _Side) -> Chart | None:
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


def _matrix_section(now: _Side, then: _Side) -> list[Section]:
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
    columns = ["", *(f"predicted {short(label, 40)}" for label in labels)]
    return Table(name, columns, rows, frozenset(range(1, len(columns))))


def _estimated_section(statistics: Mapping[str, Any], then: _Side) -> list[Section]:
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
                    _value_cell(name, then.estimate(name)),
                    _value_cell(name, found),
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


def _segments(document: Mapping[str, Any]) -> dict[str, tuple[_Side, int]]:
    return {
        values_text(entry["segment"]): (_Side(entry), entry["item_count"])
        for entry in document.get("segments") or ()
    }


def _segment_section(source: Source) -> list[Section]:
    now, then = _segments(source.statistics), _segments(source.baseline_statistics)
    if not now:
        return []
    every = {name: None for side, _ in now.values() for name in side.metrics}
    names = [name for name in _FIRST if name in every][:3]
    found: dict[str, int] = {}
    for violation in source.violations:
        found[segment_text(violation)] = found.get(segment_text(violation), 0) + 1
    nothing = _Side({})
    rows, charts = [], []
    for text, (side, amount) in now.items():
        before = then[text][0] if text in then else nothing
        cells = [Cell(text), Cell(count(amount), amount)]
        for name in names:
            cells += [_value_cell(name, before.estimate(name)), _value_cell(name, side.estimate(name))]
        violations = found.get(text, 0)
        cells.append(Cell(count(violations) if source.decision else "–", violations))
        rows.append(Row(cells, violated=violations > 0))
    for name in names:
        items = [
            {
                "label": text,
                "now": side.estimate(name),
                "then": then[text][0].estimate(name) if text in then else None,
                "limit": None,
            }
            for text, (side, _) in list(now.items())[:15]
        ]
        items = [item for item in items if item["now"] or item["then"]]
        if items:
            title = f"{title_of(name)[0].upper()}{title_of(name)[1:]} by segment"
            charts.append(intervals(title, items, shares=bool(_SHARES.match(name))))
    columns = ["segment", "rows"]
    for name in names:
        columns += [f"{title_of(name)}, baseline", f"{title_of(name)}, now"]
    columns.append("violations")
    table = Table(
        "One row per segment.",
        columns,
        rows,
        frozenset(range(1, len(columns))),
        searchable=len(rows) > 10,
    )
    return [Section("Segments", "The same metrics for each part of the rows.", charts=charts, tables=[table])]


def _cards(source: Source, now: _Side, then: _Side, limits: Mapping[str, tuple[float, str]]) -> list[Card]:
    """Return one card for all rows and one per segment: the same fall shows in many metrics."""
    groups: dict[str, list[Violation]] = {}
    for violation in source.violations:
        groups.setdefault(segment_text(violation), []).append(violation)
    current, before = _segments(source.statistics), _segments(source.baseline_statistics)
    total = sum(amount for _, amount in current.values()) or 1
    cards = []
    for where, group in groups.items():
        if not where:
            cards.append(_card("All rows", group, now, then, limits, 1.0))
        elif where in current and where in before:
            side, amount = current[where]
            was = before[where][0]
            own = {
                name: (value, side_of)
                for name, (_, side_of) in limits.items()
                if (value := was.value(name)) is not None
            }
            cards.append(_card(where, group, side, was, own, amount / total))
        else:
            cards.append(_card(where, group, _Side({}), _Side({}), {}, 0.0))
    return sorted(cards, key=lambda card: -card.weight)


def _own_limits(limits: Mapping[str, tuple[float, str]], was: _Side) -> dict[str, tuple[float, str]]:
    """Return what is expected of a segment: what it was at the baseline."""
    return {
        name: (value, side) for name, (_, side) in limits.items() if (value := was.value(name)) is not None
    }


def _card(
    where: str,
    group: list[Violation],
    now: _Side,
    then: _Side,
    limits: Mapping[str, tuple[float, str]],
    share: float,
) -> Card:
    by_name = {violation.metric_name or "": violation for violation in group}
    names = _ordered(by_name)
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
        chart=_metric_chart(names[:8], now, then, limits),
    )


def _change(name: str, now: _Side, then: _Side) -> float:
    before, after = then.value(name), now.value(name)
    if before is None or after is None:
        return 0.0
    return min(10.0, abs(after - before) / max(abs(before), 1e-9))


def _title(where: str, names: list[str], now: _Side, then: _Side) -> str:
    name = names[0]
    before, after = then.value(name), now.value(name)
    if before is None or after is None:
        return f"{where}: {title_of(name)}"
    return f"{where}: {title_of(name)} {_text(name, before)} → {_text(name, after)}"


def _sentence(
    name: str, violation: Violation, now: _Side, then: _Side, limits: Mapping[str, tuple[float, str]]
) -> str:
    found, before, limit = now.estimate(name), then.value(name), limits.get(name)
    if found is None or limit is None:
        return short(violation.description, 600)
    title = title_of(name)
    text = f"{title[0].upper()}{title[1:]} is {_text(name, found[0])}"
    if found[1] is not None:
        text += f" (95 % interval {_interval_text(name, found)})"
    if before is not None:
        text += f"; at the baseline it was {_text(name, before)}"
    if before is None or _text(name, before) != _text(name, limit[0]):
        text += f"; expected is {limit[1]} {_text(name, limit[0])}"
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
