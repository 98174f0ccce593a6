"""Charts as data: a few numbers each, which the page draws when they come into view.

Shares are rounded to four decimals: finer than a pixel, and a page with 500 features stays small.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.api import Violation
from contract.page import Cell, Chart, Row, Section, Source, Table, as_number, count, number, short

FloatArray = npt.NDArray[np.float64]
# Distinct values ascending, and the weight of all before each and of all.
Weighted = tuple[FloatArray, FloatArray]

_FARTHEST = np.finfo(np.float64).max / 4
BINS = 24
MOST_BARS = 12
MOST_NEW = 5
MOST_POINTS = 120
_LABEL = 48


def distribution(current: Mapping[str, Any] | None, baseline: Mapping[str, Any] | None) -> Chart | None:
    """Return a feature's distribution in the window over that at the baseline.

    Parameters
    ----------
    current, baseline
        Members of ``features`` in ``statistics.json``; None where a side does not have the feature.

    Returns
    -------
    None where neither side kept a distribution.
    """
    features = (current, baseline)
    sides = [_numbers(current), _kept(baseline)]
    known = [side for side in sides if side is not None]
    if not known:
        counts = [_categories(feature) for feature in features]
        return categories(*counts) if any(counts) else None
    if len(known) == 1 and (kept := _buckets(features[sides.index(None)])) is not None:
        # The other side has buckets only, which then serve both.
        edges, shares = kept
        return _histogram(edges, [shares if side is None else _binned(side, edges) for side in sides])
    distinct = np.concatenate([values for values, _ in known])
    if max(values.size for values, _ in known) <= MOST_BARS:
        # Without counts NumPy would load numpy.ma, which takes a twentieth of a small job's time.
        distinct, _ = np.unique(distinct, return_counts=True)
    if distinct.size <= MOST_BARS:
        now, then = (
            None if side is None else _placed(side, np.searchsorted(distinct, side[0]), distinct.size)
            for side in sides
        )
        labels = [number(value, 6) for value in distinct.tolist()]
        return {"kind": "bars", "labels": labels, "now": _shares(now), "then": _shares(then)}
    edges = _edges(known, distinct)
    return _histogram(edges, [None if side is None else _binned(side, edges) for side in sides])


def _numbers(feature: Mapping[str, Any] | None) -> Weighted | None:
    """Return distinct values and their weights, ascending, from the sketch; None without one."""
    levels = (_kll(feature).get("sketch") or {}).get("data")
    if not levels:
        return None
    values = [np.asarray(level, dtype=np.float64).reshape(-1) for level in levels]
    weights = np.repeat(2.0 ** np.arange(len(values)), [level.size for level in values])
    every = np.concatenate(values)
    order = np.argsort(every)
    order = order[np.isfinite(every)[order]]
    if not order.size:
        return None
    every = every[order]
    starts = np.flatnonzero(np.append(True, every[1:] != every[:-1]))
    summed = np.append(0.0, np.cumsum(weights[order]))
    return every[starts], summed[np.append(starts, order.size)]


def _kept(baseline: Mapping[str, Any] | None) -> Weighted | None:
    """Return the same of a baseline, which the pages of many windows show: it is worked out once."""
    known = _of_baselines.get(id(baseline))
    if known is None or known[0] is not baseline:
        if len(_of_baselines) >= _MOST_KEPT:
            _of_baselines.clear()
        known = _of_baselines[id(baseline)] = baseline, _numbers(baseline)
    return known[1]


_MOST_KEPT = 1024
# By identity, with the object itself, so that no other has it meanwhile.
_of_baselines: dict[int, tuple[Mapping[str, Any] | None, Weighted | None]] = {}


def _kll(feature: Mapping[str, Any] | None) -> Any:
    numerical = (feature or {}).get("numerical_statistics") or {}
    return numerical.get("distribution", {}).get("kll", {})


def _buckets(feature: Mapping[str, Any] | None) -> tuple[FloatArray, FloatArray] | None:
    """Return the edges of the buckets and the share in each; None without them."""
    buckets = _kll(feature).get("buckets")
    if not buckets:
        return None
    edges = np.array([buckets[0]["lower_bound"], *(bucket["upper_bound"] for bucket in buckets)], float)
    counts = np.array([bucket["count"] for bucket in buckets], float)
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all() and counts.sum() > 0):
        return None
    return edges, counts / counts.sum()


def _edges(sides: Sequence[Weighted], distinct: FloatArray) -> FloatArray:
    """Return bins over the bulk of both sides; a long tail counts in the outermost ones."""
    # Half of what a float holds, so that the distance between both ends is a number as well.
    low, high = np.clip([distinct.min(), distinct.max()], -_FARTHEST, _FARTHEST)
    ends = [np.searchsorted(summed[1:] / summed[-1], (0.005, 0.995)) for _, summed in sides]
    inner = np.concatenate([values[some] for (values, _), some in zip(sides, ends, strict=True)])
    if max(inner) - min(inner) < (high - low) / 3.0 and max(inner) > min(inner):
        low, high = np.clip([min(inner), max(inner)], -_FARTHEST, _FARTHEST)
    if high - low < BINS and all((some == np.round(some)).all() for some in (distinct[:64], distinct)):
        return np.arange(math.floor(low) - 0.5, math.ceil(high) + 1.0)
    return np.linspace(low, high, BINS + 1)


def _binned(side: Weighted, edges: FloatArray) -> FloatArray:
    ends = np.concatenate([[0], np.searchsorted(side[0], edges[1:-1]), [side[0].size]])
    weights = np.diff(side[1][ends])
    return np.asarray(weights / weights.sum())


def _placed(side: Weighted, places: npt.NDArray[np.intp], most: int) -> FloatArray:
    """Return the share of each of `most` places."""
    counts = np.bincount(places, weights=np.diff(side[1]), minlength=most)
    return counts / counts.sum()


def _histogram(edges: FloatArray, sides: Sequence[FloatArray | None]) -> Chart:
    spread = float(edges[-1] - edges[0])
    shown = [_rounded(edge, spread) for edge in edges.tolist()]
    return {"kind": "histogram", "edges": shown, "now": _shares(sides[0]), "then": _shares(sides[1])}


def _rounded(value: float, spread: float) -> float:
    """Round to a thousandth of the spread: what an axis shows."""
    decimals = 3 - math.floor(math.log10(spread)) if spread > 0 and math.isfinite(spread) else 6
    return round(value, decimals) + 0.0 if -300 < decimals < 300 else value


def _shares(values: FloatArray | None) -> list[float] | None:
    return None if values is None else [round(float(value), 4) for value in values]


def _categories(feature: Mapping[str, Any] | None) -> dict[str, int]:
    text = (feature or {}).get("string_statistics") or {}
    buckets = text.get("distribution", {}).get("categorical", {}).get("buckets") or ()
    return {bucket["value"]: bucket["count"] for bucket in buckets}


def categories(current: Mapping[str, int], baseline: Mapping[str, int]) -> Chart:
    """Return the shares of the most frequent categories on either side, the rest as one bar."""
    totals = [sum(side.values()) or 1 for side in (current, baseline)]
    shares = {
        name: (current.get(name, 0) / totals[0], baseline.get(name, 0) / totals[1])
        for name in {**baseline, **current}
    }
    order = sorted(shares, key=lambda name: (-max(shares[name]), name))
    fresh = [name for name in order if baseline and name not in baseline][:MOST_NEW]
    kept = order[:MOST_BARS]
    # What the baseline never had is what a check of values is about, however rare.
    late = [name for name in fresh if name not in kept]
    kept = [*kept[: MOST_BARS - len(late)], *late]
    shown = set(kept)
    rest = [name for name in order if name not in shown]
    labels = [short(name, _LABEL) or "(empty)" for name in kept]
    bars = [shares[name] for name in kept]
    if rest:
        labels.append(f"{len(rest):,} others")
        bars.append((sum(shares[name][0] for name in rest), sum(shares[name][1] for name in rest)))
    return {
        "kind": "bars",
        "labels": labels,
        "now": [round(share, 4) for share, _ in bars] if current else None,
        "then": [round(share, 4) for _, share in bars] if baseline else None,
        "new": [place for place, name in enumerate(kept) if baseline and name not in baseline],
    }


# Value, low and high end of its interval.
Estimate = list[float | None]


def intervals(
    title: str,
    items: Iterable[tuple[str, Estimate | None, Estimate | None, float | None]],
    *,
    shares: bool = False,
) -> Chart | None:
    """Return values with their intervals, then and now, one line each; None where neither side has any.

    Parameters
    ----------
    title
        What they measure.
    items
        Label, estimate at the baseline and now, limit; those that neither side has are left out.
    shares
        Whether they are shares, and read as percent.
    """
    found = [
        {"label": label, "then": then, "now": now, "limit": limit}
        for label, then, now, limit in items
        if then or now
    ]
    return {"kind": "intervals", "title": title, "items": found, "percent": shares} if found else None


def estimate(value: Any, interval: Any = None) -> Estimate | None:
    """Return a value and its interval; None where the value is undefined."""
    point = as_number(value)
    if point is None:
        return None
    low, high = interval if isinstance(interval, list | tuple) and len(interval) == 2 else (None, None)
    bounds = (point, as_number(low), as_number(high))
    return [None if bound is None else float(f"{bound:.6g}") for bound in bounds]


def value_cells(*estimates: Estimate | None, text: Callable[[Any], str] = number) -> list[Cell]:
    """Return the cells of values, such as then and now, with a dash where there is none."""
    return [Cell(text(value), value) for value in (found[0] if found else None for found in estimates)]


def interval_text(found: Estimate | None, text: Callable[[Any], str] = number) -> str:
    """Return an interval as people read it, a dash where there is none."""
    return f"{text(found[1])} to {text(found[2])}" if found and found[1] is not None else "–"


def curve(
    title: str,
    axes: tuple[str, str],
    current: tuple[Sequence[float], Sequence[float]] | None,
    baseline: tuple[Sequence[float], Sequence[float]] | None,
    *,
    diagonal: bool = False,
) -> Chart | None:
    """Return a curve in the unit square, then and now, thinned to what can be seen."""
    if not (current or baseline):
        return None
    return {
        "kind": "curve",
        "title": title,
        "axes": list(axes),
        "now": _thinned(current),
        "then": _thinned(baseline),
        "diagonal": diagonal,
    }


def _thinned(points: tuple[Sequence[float], Sequence[float]] | None) -> list[list[float]] | None:
    if not points or not len(points[0]):
        return None
    across, up = (np.asarray(side, dtype=np.float64) for side in points)
    # Evenly along the path: curves are steep in places and flat in others.
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(across)) + np.abs(np.diff(up)))])
    places = np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], MOST_POINTS)))
    return [[round(float(side[place]), 4) for side in (across, up)] for place in places]


# Segments on the page: who is affected most.


def segment_text(violation: Violation) -> str:
    """Return the segment a violation is about as people read it, empty for all rows."""
    values = violation.extra.get("segment")
    return values_text(values) if isinstance(values, Mapping) else ""


def values_text(values: Mapping[str, Any]) -> str:
    """Return a segment as people read it."""
    return ", ".join(
        f"{short(name, 60)} missing" if value is None else f"{short(name, 60)} = {short(str(value), 60)}"
        for name, value in values.items()
    )


def segment_table(
    source: Source, columns: Sequence[str], cells: Callable[[str, Mapping[str, Any]], list[Cell]]
) -> Table:
    """Return the table of segments, each with its violations; that nothing was decided of one is not none.

    Parameters
    ----------
    columns, cells
        What stands between: their names, and what they hold by the segment's text and statistics.
    """
    found = Counter(text for violation in source.violations if (text := segment_text(violation)))
    comparisons = source.decision.comparisons if source.decision else ()
    decided = {values_text(one.segment) for one in comparisons if one.segment and one.is_decided}
    rows = []
    for entry in source.statistics.get("segments") or ():
        text = values_text(entry["segment"])
        violations = found[text]
        unknown = Cell("not decided" if source.decision else "–")
        last = Cell(count(violations), violations) if violations or text in decided else unknown
        rows.append(Row([Cell(text), *cells(text, entry), last], violated=violations > 0))
    columns = ["segment", *columns, "violations"]
    numeric = frozenset(range(1, len(columns)))
    return Table("One row per segment.", columns, rows, numeric, searchable=len(rows) > 10)


def segment_section(source: Source) -> list[Section]:
    """Return the section that lists the segments with their rows and violations; none without segments."""
    if not source.statistics.get("segments"):
        return []
    known = source.baseline_statistics.get("segments") or ()
    before = {values_text(entry["segment"]): entry["item_count"] for entry in known}

    def cells(text: str, entry: Mapping[str, Any]) -> list[Cell]:
        was, size = before.get(text), entry["item_count"]
        return [Cell("–" if was is None else count(was), was), Cell(count(size), size)]

    table = segment_table(source, ["rows, baseline", "rows, now"], cells)
    return [Section("Segments", "The same analysis for each part of the rows.", tables=[table])]
