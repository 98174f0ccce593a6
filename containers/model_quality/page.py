"""The page of model-quality jobs: how good the answers were, then and now."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from analyzers.model_quality.documents import CONFUSION_MATRIX, PR_CURVE, ROC_CURVE
from containers.metrics import Entry, Metrics, Scope, table
from contract import page
from contract.api import State, Violation
from contract.errors import topic, wording
from reporting.report import charts

BEST_CONSTANT = "_best_constant_classifier"

# Those named first are what most people ask for.
_OF_NUMBERS = ("rmse", "mae", "r2")
FIRST = ("accuracy", "f1", "recall", "precision", "auc", *_OF_NUMBERS, "weighted_f1", "weighted_recall")
SHARES = re.compile(r"^(weighted_)?(accuracy|recall|precision|f\d.*|true_.*|false_.*)$")


def _of_problem(document: Entry, ending: str) -> Entry:
    """Return the member that each problem type calls by its own name, such as ``regression_metrics``."""
    return next((member for name, member in document.items() if name.endswith(ending)), {})


def metrics_of(document: Entry) -> Metrics:
    """Return the metrics of a statistics document, of the whole or of a segment."""
    members = _of_problem(document, "_metrics")
    return {name: one for name, one in members.items() if isinstance(one, Mapping) and "value" in one}


def scope_of(now: Entry, then: Entry, limits: dict[str, tuple[float, str]] | None = None) -> Scope:
    """Return the metrics of two statistics documents."""
    return Scope(metrics_of(now), metrics_of(then), limits or {}, title_of)


def _chart(scope: Scope, names: Sequence[str]) -> page.Chart | None:
    title = title_of(names[0]) if len(names) == 1 else "Metrics"
    return scope.chart(title, names, shares=all(SHARES.match(name) for name in names))


def _cells(scope: Scope, name: str) -> list[page.Cell]:
    return charts.value_cells(*scope.estimates(name), text=partial(text_of, name))


def title_of(name: str) -> str:
    """Return a metric's name as people read it."""
    return topic("metric_titles").get(name, name.replace("_", " "))


def text_of(name: str, value: float | None) -> str:
    """Return a metric's value as people read it: shares as percent."""
    return page.percent(value) if SHARES.match(name) else page.number(value)


def ordered(names: Iterable[str]) -> list[str]:
    """Return metrics in the order in which people ask for them."""
    rank = {name: place for place, name in enumerate(FIRST)}
    return sorted(names, key=lambda name: rank.get(name, len(rank)))


def segments_of(document: Entry) -> dict[str, Entry]:
    """Return each segment's statistics, by its text."""
    return {charts.values_text(entry["segment"]): entry for entry in document.get("segments") or ()}


# What became worse, of all rows and of each segment, in sentences.


# The same number under another name, or its complement.
_SAME_AS_RECALL = ("true_positive_rate", "false_negative_rate")


def cards(source: page.Source, whole: Scope) -> Iterator[page.Card]:
    """Yield one card for all rows and one per segment: the same fall shows in many metrics."""
    current, before = segments_of(source.statistics), segments_of(source.baseline_statistics)
    total = sum(side["item_count"] for side in current.values()) or 1
    for where, group in source.grouped(charts.segment_text).items():
        scope, share = whole, 1.0
        if where:
            known = where in current and where in before
            now, then = (side[where] if known else {} for side in (current, before))
            scope, share = scope_of(now, then), now.get("item_count", 0) / total
            # What is expected of a segment is what it was at the baseline.
            for name, (_, side) in whole.limits.items():
                if (value := scope.values(name)[0]) is not None:
                    scope.limits[name] = value, side
        yield _card(where, group, scope, share, _sure(source, where))


def _card(where: str, group: list[Violation], scope: Scope, share: float, sure: str) -> page.Card:
    by_name = {violation.metric_name or "": violation for violation in group}
    names = ordered(by_name)
    if "recall" in names:
        names = [name for name in names if name not in _SAME_AS_RECALL]
    sentences = [_sentence(name, by_name[name], scope) for name in names[:4]]
    if others := ", ".join(map(title_of, names[4:])):
        sentences.append(f"{page.several(len(names) - 4, 'more metric')} worse: {others}.")
    sentences += [sure] if sure else []
    title, changes = f"{where or 'All rows'}: {title_of(names[0])}", []
    for name in names:
        before, after = scope.values(name)
        if before is None or after is None:
            changes.append(0.0)
            continue
        if name == names[0]:
            title += f" {text_of(name, before)} → {text_of(name, after)}"
        changes.append(min(10.0, abs(after - before) / max(abs(before), 1e-9)))
    weight = share * sum(changes) / max(1, len(changes)) if where else 100.0
    advice = wording("page_advice.model_quality")
    return page.Card(title, sentences, advice, weight, group, _chart(scope, names[:8]))


def _sentence(name: str, violation: Violation, scope: Scope) -> str:
    (_, found), (before, _), limit = scope.estimates(name), scope.values(name), scope.limits.get(name)
    if found is None or limit is None:
        return page.short(violation.description, 600)
    title = title_of(name)
    text = f"{title[0].upper()}{title[1:]} is {text_of(name, found[0])}"
    if found[1] is not None:
        text += f" (95 % interval {charts.interval_text(found, partial(text_of, name))})"
    if before is not None:
        text += f"; at the baseline it was {text_of(name, before)}"
    if before is None or text_of(name, before) != text_of(name, limit[0]):
        text += f"; expected is {limit[1]} {text_of(name, limit[0])}"
    return f"{text}."


def _sure(source: page.Source, where: str) -> str:
    """Say how sure a scope's violations are, by the least certain of them."""
    compared = source.decision.comparisons if source.decision else ()
    violated = (one for one in compared if one.state is State.VIOLATED)
    probabilities = [one.p_value for one in violated if charts.values_text(one.segment) == where]
    highest = max((one for one in probabilities if one is not None), default=None)
    if highest is None:
        return ""
    if highest <= 1e-6:
        return "Chance does not explain this: less than one in a million."
    return f"Chance would do this at most once in {page.count(round(1.0 / highest))} windows."


_LARGEST_MATRIX = 20
_SEGMENT_METRICS = 3
_MOST_IN_CHART = 15


def body(source: page.Source) -> page.Body:
    """Return what the page shows of a model-quality run."""
    sides = source.statistics, source.baseline_statistics
    expected = _of_problem(source.baseline_constraints or source.constraints, "_constraints")
    at = {"L": "at least", "G": "at most"}
    limits = {name: (one["threshold"], at[one["comparison_operator"][0]]) for name, one in expected.items()}
    whole = scope_of(*sides, limits)
    sections = [
        *_metric_section(whole, source),
        *_curve_section(*sides),
        *_matrix_section(*sides),
        *_estimated_section(source.statistics, whole),
        *_segment_section(source),
    ]
    dataset = source.statistics.get("dataset", {})
    used = dataset.get("item_count", 0)
    labelled = used + dataset.get("unpredicted_count", 0)
    parts = (
        ("Rows with a label", labelled, labelled + dataset.get("unlabelled_count", 0)),
        ("Of these with a usable prediction", used, labelled),
    )
    facts = [
        (name, f"{page.count(part)} of {page.count(total)} ({page.percent(part / total)})")
        for name, part, total in parts
        if total
    ]
    return page.Body([*cards(source, whole)], sections, facts)


def _metric_section(whole: Scope, source: page.Source) -> list[page.Section]:
    names = ordered(name for name in {**whole.now, **whole.then} if not name.endswith(BEST_CONSTANT))
    if not names:
        return []
    rows = []
    for name in names:
        limit, side = whole.limits.get(name, (None, ""))
        last = [page.Cell(f"{side} {text_of(name, limit)}" if side else "–"), source.verdict(name)]
        rows.append(whole.row(name, [title_of(name)], last, _chart(whole, [name]), partial(text_of, name)))
    shares = [name for name in names if SHARES.match(name) or name == "auc"]
    chart = _chart(whole, shares) if shares else None
    text = "Points with their 95 % intervals; the red line is what the constraints allow."
    text += wording("page_text.auc") if "auc" in names else ""
    return [page.Section("Metrics", text, charts=[chart] if chart else [], tables=[table("metrics", rows)])]


def _curve_section(now: Entry, then: Entry) -> list[page.Section]:
    def drawn(name: str, across: str, up: str, title: str, diagonal: bool) -> page.Chart | None:
        curves = [_of_problem(side, "_metrics").get(name) for side in (now, then)]
        points = [(found[across], found[up]) if found else None for found in curves]
        axes = (across.rstrip("s").replace("_", " "), up.rstrip("s").replace("_", " "))
        return charts.curve(title, axes, points[0], points[1], diagonal=diagonal)

    axes = "score", "share of positives"
    calibration = charts.curve("Calibration", axes, _calibration(now), _calibration(then), diagonal=True)
    if calibration:
        calibration["diagonalName"] = "perfectly calibrated"
    curves = (
        drawn(ROC_CURVE, "false_positive_rates", "true_positive_rates", "ROC curve", True),
        drawn(PR_CURVE, "recalls", "precisions", "Precision and recall", False),
        calibration,
    )
    shown = [chart for chart in curves if chart]
    return [page.Section("Curves", charts=shown)] if shown else []


def _calibration(document: Entry) -> tuple[list[float], list[float]] | None:
    known = document.get("score_calibration") or {}
    scores, rates = known.get("scores"), known.get("positive_rates")
    if not scores or not rates or not all(0.0 <= score <= 1.0 for score in scores):
        return None
    return list(scores), list(rates)


def _matrix_section(now: Entry, then: Entry) -> list[page.Section]:
    matrices = {"Now": now, "Baseline": then}.items()
    found = ((name, _of_problem(side, "_metrics").get(CONFUSION_MATRIX)) for name, side in matrices)
    tables = [_matrix(name, matrix) for name, matrix in found if matrix and len(matrix) <= _LARGEST_MATRIX]
    if not tables:
        return []
    text = "Rows by actual label (down) and predicted label (across); shares are of the actual label."
    return [page.Section("Confusion matrix", text, tables=tables)]


def _matrix(name: str, matrix: Mapping[str, Mapping[str, int]]) -> page.Table:
    labels = list(dict.fromkeys([*matrix, *(label for row in matrix.values() for label in row)]))
    rows = []
    for actual in labels:
        counts = matrix.get(actual, {})
        total = sum(counts.values())
        cells = [page.Cell(f"actual {page.short(actual, 40)}")]
        for label in labels:
            rows_of = counts.get(label, 0)
            share = rows_of / total if total else 0.0
            text = f"{page.count(rows_of)} ({page.percent(share)})"
            cells.append(page.Cell(text, rows_of, {"value": round(share, 3)}))
        rows.append(page.Row(cells))
    columns = ["label", *(f"predicted {page.short(label, 40)}" for label in labels)]
    return page.Table(name, columns, rows, frozenset(range(1, len(columns))))


def _estimated_section(statistics: Entry, whole: Scope) -> list[page.Section]:
    estimated = statistics.get("estimated")
    if not isinstance(estimated, Mapping):
        return []
    scope = Scope(estimated.get("metrics") or {}, whole.then, title_of=title_of)
    names = [name for name in scope.now if scope.estimates(name)[1]]
    chart = scope.chart("Estimated before labels", names)
    if chart is None:
        return []
    chart["nowName"] = "this window, estimated"
    rows = [page.Row([page.Cell(title_of(name)), *_cells(scope, name)]) for name in names]
    tables = [table("estimates", rows, count=page.count(estimated.get("item_count", 0)))]
    return [page.Section("Estimated", str(estimated.get("assumption", "")), charts=[chart], tables=tables)]


def _segment_section(source: page.Source) -> list[page.Section]:
    now, then = segments_of(source.statistics), segments_of(source.baseline_statistics)
    if not now:
        return []
    scopes = {text: scope_of(side, then.get(text, {})) for text, side in now.items()}
    names = [name for name in FIRST if any(name in one.now for one in scopes.values())][:_SEGMENT_METRICS]
    drawn = [chart for name in names if (chart := _segment_chart(name, scopes))]

    def cells(text: str, entry: Entry) -> list[page.Cell]:
        size = entry["item_count"]
        metrics = (cell for name in names for cell in _cells(scopes[text], name))
        return [page.Cell(page.count(size), size), *metrics]

    sides = [f"{title_of(name)}, {side}" for name in names for side in ("baseline", "now")]
    tables = [charts.segment_table(source, ["rows", *sides], cells)]
    return [page.Section("Segments", "The same metrics for each part of the rows.", drawn, tables)]


def _segment_chart(name: str, scopes: Mapping[str, Scope]) -> page.Chart | None:
    items = ((text, *scope.estimates(name), None) for text, scope in islice(scopes.items(), _MOST_IN_CHART))
    title = f"{title_of(name)[0].upper()}{title_of(name)[1:]} by segment"
    return charts.intervals(title, items, shares=bool(SHARES.match(name)))
