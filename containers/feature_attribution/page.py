"""The page of feature-attribution jobs: what the answers come from, then and now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from containers.metrics import Metrics, Scope
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
    short,
)

_MOST_BARS = 15
_MOST_CURVES = 30
# Half the width of a 95 % interval, in standard errors.
_TWO_SIDED = 1.96
_ADVICE = (
    "see whether the features that gained or lost have drifted (data quality), and whether the answers are "
    "still right (model quality); if a feature broke, repair it before retraining."
)


def body(source: Source) -> Body:
    """Return what the page shows of a feature-attribution run."""
    now = _labels(source.statistics)
    then = _labels(source.baseline_constraints) or _labels(source.baseline_statistics)
    scopes = {label: Scope(_metrics(now[label]), _metrics(then.get(label, {}))) for label in now}
    charts = {label: _label_chart(label, scope) for label, scope in scopes.items()}
    violated = {
        (str(violation.extra.get("label", "")), violation.feature_name)
        for violation in source.violations
        if violation.feature_name
    }
    sections = [_section(label, scope, charts[label], violated, source) for label, scope in scopes.items()]
    sections += _dependence(source.constraints)
    return Body(_cards(source, charts), sections, _facts(source.statistics))


def _dependence(constraints: Mapping[str, Any]) -> list[Section]:
    """Return the section of partial dependence: one chart for each feature and label."""
    drawn = []
    for one in (constraints.get("explanations") or {}).get("pdp") or ():
        for label, means in zip(one.get("label_headers", ()), one.get("model_predictions", ()), strict=True):
            title = f"Mean answer by {short(one['feature_name'], 48)}, {short(label, 48)}"
            pairs = zip(one["feature_values"], means, strict=True)
            if one["data_type"] == "numerical":
                points = [{"name": number(value), "value": mean, "violated": False} for value, mean in pairs]
                drawn.append({"kind": "trend", "title": title, "axis": "value", "points": points})
            else:
                items = [{"label": short(str(value), 48), "now": [mean, None, None]} for value, mean in pairs]
                drawn.append({"kind": "intervals", "title": title, "items": items[:_MOST_BARS]})
    text = (
        "The model's mean answer where all rows have the same value of one feature, and their own of others."
    )
    return [Section("Partial dependence", text, charts=drawn[:_MOST_CURVES])] if drawn else []


def _labels(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    methods: Mapping[str, Any] = (document.get("explanations") or {}).get("kernel_shap") or {}
    return {name: member for name, member in methods.items() if isinstance(member, Mapping)}


def _facts(statistics: Mapping[str, Any]) -> list[tuple[str, str]]:
    explained = statistics.get("explained") or {}
    if not explained:
        return []
    text = f"{count(explained.get('rows', 0))} of {count(explained.get('rows_read', 0))}"
    if explained.get("partial"):
        text += " (partial: time ran out)"
    return [("Rows explained", text)]


def _metrics(label: Mapping[str, Any]) -> Metrics:
    """Return the values of a label with their intervals, by feature."""
    errors = label.get("standard_errors") or {}
    found = {}
    for name, entry in (label.get("global_shap_values") or {}).items():
        value, error = as_number(entry), as_number(errors.get(name))
        if value is not None:
            width = None if error is None else _TWO_SIDED * error
            interval = None if width is None else (value - width, value + width)
            found[name] = {"value": value, "confidence_interval": interval}
    return found


def _chart(title: str, names: Sequence[str], scope: Scope) -> Chart:
    """Return bars from zero, then and now, with whiskers."""
    pairs = [(short(name, 48), *scope.estimates(name)) for name in names]
    items = [{"label": label, "now": now, "then": then} for label, then, now in pairs]
    return {"kind": "magnitudes", "title": title, "items": items}


def _label_chart(label: str, scope: Scope) -> Chart:
    names = sorted(
        {**scope.now, **scope.then}, key=lambda name: -max(value or 0.0 for value in scope.values(name))
    )
    more = f", the {_MOST_BARS} largest of {count(len(names))}" if len(names) > _MOST_BARS else ""
    return _chart(f"Attribution for {short(label, 60)}{more}", names[:_MOST_BARS], scope)


def _ranks(values: Mapping[str, float]) -> dict[str, int]:
    return {name: place for place, name in enumerate(sorted(values, key=lambda name: -values[name]), start=1)}


def _section(
    label: str, scope: Scope, chart: Chart, violated: set[tuple[str, str]], source: Source
) -> Section:
    before, current = ({name: side[name]["value"] for name in side} for side in (scope.then, scope.now))
    ranks, ranks_before = _ranks(current), _ranks(before)
    total = sum(current.values())
    rows = []
    for name in ranks:
        value, was = current[name], before.get(name)
        is_violated = (label, name) in violated
        cells = [
            Cell(short(name)),
            Cell(str(ranks_before.get(name, "–")), ranks_before.get(name)),
            Cell(str(ranks[name]), ranks[name]),
            Cell(number(was), was),
            Cell(number(value), value),
            Cell(percent(value / total), value / total) if total else Cell("–"),
            Cell(f"{number(value / was, 3)} ×", value / was) if was else Cell("–"),
            Cell("violates", state="violated") if is_violated else Cell("–"),
        ]
        rows.append(Row(cells, _chart(short(name), [name], scope), is_violated))
    table = Table(
        f"One row per feature, for {short(label, 60)}; its name opens a chart.",
        ["feature", "rank, baseline", "rank, now", "baseline", "now", "share, now", "change", "verdict"],
        rows,
        frozenset({1, 2, 3, 4, 5, 6}),
        searchable=True,
    )
    title = f"Attributions for {short(label, 60)}"
    return Section(title, _score_text(label, source), charts=[chart], tables=[table])


def _score_text(label: str, source: Source) -> str:
    finding = source.findings().get(label)
    text = (
        "How far each feature moves the model's answer, on average, up or down; whiskers are 95 % intervals."
    )
    return f"{text} Order compared with the baseline: {sentence(finding.text)}" if finding else text


def _cards(source: Source, charts: Mapping[str, Chart]) -> list[Card]:
    cards = []
    for violation in source.violations:
        label, feature = str(violation.extra.get("label", "")), violation.feature_name
        cards.append(
            Card(
                title=short(feature) if feature else f"Attributions for {short(label, 60)}",
                sentences=[sentence(short(violation.description, 800))],
                advice=_ADVICE,
                # The order of all features says more than the size of one.
                weight=1.0 if feature else 2.0,
                violations=[violation],
                chart=charts.get(label) or next(iter(charts.values()), None),
            )
        )
    return sorted(cards, key=lambda card: -card.weight)
