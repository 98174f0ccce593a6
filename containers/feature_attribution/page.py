"""The page of feature-attribution jobs: what the answers come from, then and now."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from containers.metrics import Metrics, Scope, table
from contract import page
from contract.errors import wording

_MOST_BARS = 15
_MOST_CURVES = 30
# Half the width of a 95 % interval, in standard errors.
_TWO_SIDED = 1.96


def body(source: page.Source) -> page.Body:
    """Return what the page shows of a feature-attribution run."""
    now = _labels(source.statistics)
    then = _labels(source.baseline_constraints) or _labels(source.baseline_statistics)
    scopes = {label: Scope(_metrics(now[label]), _metrics(then.get(label, {}))) for label in now}
    # The name of the only answer of a model says nothing.
    names = {label: f" for {page.short(label, 60)}" if len(now) > 1 else "" for label in now}
    charts = {label: _label_chart(names[label], scope) for label, scope in scopes.items()}
    sections = [_section(label, names[label], scopes[label], charts[label], source) for label in now]
    sections += _dependence(source.constraints)
    return page.Body([*_cards(source, charts, names)], sections, _facts(source.statistics))


def _dependence(constraints: Mapping[str, Any]) -> list[page.Section]:
    """Return the section of partial dependence: one chart for each feature and label."""
    drawn = []
    for one in (constraints.get("explanations") or {}).get("pdp") or ():
        for label, means in zip(one.get("label_headers", ()), one.get("model_predictions", ()), strict=True):
            title = f"Mean answer by {page.short(one['feature_name'], 48)}, {page.short(label, 48)}"
            pairs = zip(one["feature_values"], means, strict=True)
            if one["data_type"] == "numerical":
                points = [{"name": page.number(at), "value": mean, "violated": False} for at, mean in pairs]
                drawn.append({"kind": "trend", "title": title, "axis": "value", "points": points})
            else:
                items = [{"label": page.short(str(at), 48), "now": [mean, None, None]} for at, mean in pairs]
                drawn.append({"kind": "intervals", "title": title, "items": items[:_MOST_BARS]})
    text = wording("page_text.dependence")
    return [page.Section("Partial dependence", text, charts=drawn[:_MOST_CURVES])] if drawn else []


def _labels(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    methods: Mapping[str, Any] = (document.get("explanations") or {}).get("kernel_shap") or {}
    return {name: member for name, member in methods.items() if isinstance(member, Mapping)}


def _facts(statistics: Mapping[str, Any]) -> list[tuple[str, str]]:
    explained = statistics.get("explained") or {}
    if not explained:
        return []
    text = f"{page.count(explained.get('rows', 0))} of {page.count(explained.get('rows_read', 0))}"
    if explained.get("partial"):
        text += " (partial: time ran out)"
    return [("Rows explained", text)]


def _metrics(label: Mapping[str, Any]) -> Metrics:
    """Return the values of a label with their intervals, by feature."""
    found = {}
    for name, entry in (label.get("global_shap_values") or {}).items():
        value, error = page.as_number(entry), page.as_number((label.get("standard_errors") or {}).get(name))
        if value is not None:
            interval = None if error is None else (value - _TWO_SIDED * error, value + _TWO_SIDED * error)
            found[name] = {"value": value, "confidence_interval": interval}
    return found


def _chart(title: str, names: Sequence[str], scope: Scope) -> page.Chart:
    """Return bars from zero, then and now, with whiskers."""
    pairs = [(page.short(name, 48), *scope.estimates(name)) for name in names]
    items = [{"label": label, "now": now, "then": then} for label, then, now in pairs]
    return {"kind": "magnitudes", "title": title, "items": items}


def _label_chart(of_label: str, scope: Scope) -> page.Chart:
    every = {**scope.now, **scope.then}
    names = sorted(every, key=lambda name: -max(value or 0.0 for value in scope.values(name)))
    more = f", the {_MOST_BARS} largest of {page.count(len(names))}" if len(names) > _MOST_BARS else ""
    return _chart(f"Attribution{of_label}{more}", names[:_MOST_BARS], scope)


def _ranks(values: Mapping[str, float]) -> dict[str, int]:
    return {name: place for place, name in enumerate(sorted(values, key=lambda name: -values[name]), start=1)}


def _section(label: str, of_label: str, scope: Scope, chart: page.Chart, source: page.Source) -> page.Section:
    violated = {one.feature_name for one in source.violations if str(one.extra.get("label", "")) == label}
    before, current = ({name: side[name]["value"] for name in side} for side in (scope.then, scope.now))
    ranks, ranks_before = _ranks(current), _ranks(before)
    total = sum(current.values())
    texts = page.alike([*map(before.get, ranks), *map(current.get, ranks)])
    rows = []
    for place, name in enumerate(ranks):
        value, was = current[name], before.get(name)
        cells = [
            page.Cell(page.short(name)),
            page.Cell(str(ranks_before.get(name, "–")), ranks_before.get(name)),
            page.Cell(str(ranks[name]), ranks[name]),
            page.Cell(texts[place], was),
            page.Cell(texts[place + len(ranks)], value),
            page.Cell(page.percent(value / total), value / total) if total else page.Cell("–"),
            page.Cell(f"{page.number(value / was, 3)} ×", value / was) if was else page.Cell("–"),
            page.Cell("violates", state="violated") if name in violated else page.Cell("–"),
        ]
        rows.append(page.Row(cells, _chart(page.short(name), [name], scope), name in violated))
    text = wording("page_text.attributions")
    if finding := source.findings().get(label):
        text += f" Order compared with the baseline: {_spelt_out(finding.text)}"
    return page.Section(f"Attributions{of_label}", text, [chart], [table("attributions", rows, of=of_label)])


def _spelt_out(text: str) -> str:
    return page.sentence(text).replace("NDCG", wording("page_text.ndcg"), 1)


def _cards(
    source: page.Source, charts: Mapping[str, page.Chart], names: Mapping[str, str]
) -> Iterator[page.Card]:
    """Yield one card per feature, and one for all features together, of each label."""
    groups = source.grouped(lambda one: (str(one.extra.get("label", "")), one.feature_name))
    for (label, feature), group in groups.items():
        title = f"{page.short(feature) if feature else 'All features'}{names.get(label, '')}"
        sentences = [_spelt_out(page.short(one.description, 800)) for one in group]
        # The order of all features says more than the size of one.
        weight = 1.0 if feature else 2.0
        chart = charts.get(label) or next(iter(charts.values()), None)
        yield page.Card(title, sentences, wording("page_advice.attributions"), weight, group, chart)
