"""Explaining the rows of a split in blocks, and what is kept of them; partial dependence of the dataset.

Partial dependence is the mean answer of the model where one feature has the same value in all rows. Of a
value ``v`` it is the mean over rows of ``f(row with the feature set to v)`` (Friedman 2001), which
scikit-learn calls the method ``brute``. Members are those that Clarify wrote.
"""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from analyzers.feature_attribution import aggregate, documents
from analyzers.feature_attribution.aggregate import Aggregation, GlobalValues
from analyzers.feature_attribution.documents import AttributionStatistics, LabelAttributions
from analyzers.feature_attribution.kernel import (
    WINDOW_ROWS,
    Explanation,
    Sampling,
    expected_of,
    explain_windows,
)
from analyzers.feature_attribution.rows import FeatureStream, is_number, plain_values
from analyzers.shared.cells import Floats, floats
from analyzers.shared.row_sample import RowSample, cluster_hashes, dependence_note, effect_of_numbers
from contract.errors import ModelError, wording
from contract.wording import listing, number, several

Ask = Callable[[pa.RecordBatch], Floats]
# Rows and baseline rows in; exact values out, or None where coalitions have to be asked.
Shortcut = Callable[[pa.RecordBatch, pa.RecordBatch], Explanation | None]


@dataclass(frozen=True)
class AttributionRequest:
    """What to explain, and how.

    Parameters
    ----------
    features
        The columns the model takes, in its order.
    baseline
        Rows that stand for absent features, with these columns.
    sampling
        How coalitions are chosen.
    agg_method
        How the values of single rows make a global one: mean of sizes, median, or mean of squares.
    reported
        The features whose values are reported; all when empty. They are the same as if all were.
    label_headers
        Names of the model's outputs; ``label0``, ``label1`` and so on where their number differs.
    keep_local
        Whether values of single rows are written.
    join_column
        Column that is copied beside them.
    cluster_by
        Columns that tell which rows belong together.
    unused
        The features that the model does not take: their values are exactly 0.
    most_rows
        Explained at most, for a trial; None for all.
    notes
        On how the request came about, for the statistics.
    model
        Its address or file, for a trial's report.
    explain
        Whether rows are explained; where not, they are counted.
    """

    features: tuple[str, ...]
    baseline: pa.RecordBatch
    sampling: Sampling = field(default_factory=Sampling)
    agg_method: Aggregation = "mean_abs"
    reported: tuple[str, ...] = ()
    label_headers: tuple[str, ...] = ()
    keep_local: bool = False
    join_column: str | None = None
    cluster_by: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    most_rows: int | None = None
    notes: tuple[str, ...] = ()
    model: str = "the model"
    explain: bool = True

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the features whose values are reported, in order."""
        return self.reported or self.features

    def label_names(self, outputs: int) -> tuple[str, ...]:
        """Return the names of the model's outputs."""
        if len(self.label_headers) == outputs:
            return self.label_headers
        return tuple(f"label{number}" for number in range(outputs))


class Budget:
    """The time there is, and the work done, shared by all splits of a job."""

    def __init__(self, seconds: float | None = None) -> None:
        self._started = time.monotonic()
        self._seconds = math.inf if seconds is None else seconds
        self.explained = 0

    def __reduce__(self) -> tuple[object, ...]:
        # Another host has another clock, and as much time as there is left.
        return (Budget, (self.left if self.is_limited else None,))

    @property
    def is_limited(self) -> bool:
        """Return whether the time may run out."""
        return self._seconds < math.inf

    @property
    def is_over(self) -> bool:
        """Return whether the time has run out."""
        return self.left <= 0.0

    @property
    def left(self) -> float:
        """Return the seconds left."""
        return self._seconds - self.spent

    @property
    def spent(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._started


# Rows handed on at a time; the windows in it are what fills the memory.
_BLOCK_ROWS = 16 * WINDOW_ROWS
# With limited time, blocks are to take this share of what is left.
_SHARE_OF_TIME = 0.05
_FIRST_ROWS = 4

_FEWEST_ROWS_OF_A_RANGE = 30
_FEWEST_ROWS_OF_HARD = 10
_SAME = 1e-4  # of an answer, or of a row's attributions
_FAR = 0.25  # of the range of the rows, beyond it


@dataclass
class AttributionSummary:
    """Sums over explained rows, merged in the order of the data.

    Parameters
    ----------
    totals
        None before the first row.
    expected
        The model's mean answer on the baseline rows, shape (outputs,).
    rows_read
        Explained or not.
    model_rows
        Asked for.
    partial
        Whether the time ran out.
    local
        Values of single rows, each of shape (rows, outputs, features), when they are to be kept.
    joined
        The column that is copied beside them.
    ranges
        Least and greatest number of each feature, in the rows explained.
    sample
        Sizes of the values of single rows, in order, for how rows depend on each other.
    is_hard
        Whether every answer was 0 or 1.
    missing
        By feature, how many of the rows explained have no value of it.
    again
        The mean answer on the baseline rows asked for a second time, where it is another.
    """

    totals: aggregate.GlobalSummary | None = None
    expected: Floats | None = None
    rows_read: int = 0
    model_rows: int = 0
    partial: bool = False
    local: list[Floats] = field(default_factory=list)
    joined: list[pa.Array] = field(default_factory=list)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    sample: RowSample = field(default_factory=RowSample)
    is_hard: bool = True
    missing: Counter[str] = field(default_factory=Counter)
    again: Floats | None = None

    @property
    def rows(self) -> int:
        """Return how many rows were explained."""
        return 0 if self.totals is None else self.totals.rows

    def add(self, explanation: Explanation, request: AttributionRequest, signs: Floats) -> None:
        """Add the values of a window, in place; `signs` tell which side of the baseline its cells are on."""
        window = aggregate.summarize(explanation, request.agg_method, signs)
        self.totals = window if self.totals is None else aggregate.merge(self.totals, window)
        self.expected = explanation.expected
        self.model_rows += explanation.model_rows
        self.is_hard &= bool(np.isin(explanation.predictions, (0.0, 1.0)).all())
        if request.keep_local:
            self.local.append(explanation.local)

    def widen(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Take in the ranges of other rows, in place."""
        for name, (low, high) in ranges.items():
            known = self.ranges.get(name, (low, high))
            self.ranges[name] = min(low, known[0]), max(high, known[1])


def merge(left: AttributionSummary, right: AttributionSummary) -> AttributionSummary:
    """Combine two summaries; associative. Reuses the memory of `left`."""
    if right.totals is not None:
        left.totals = right.totals if left.totals is None else aggregate.merge(left.totals, right.totals)
    left.expected = right.expected if left.expected is None else left.expected
    left.rows_read += right.rows_read
    left.model_rows += right.model_rows
    left.partial |= right.partial
    left.is_hard &= right.is_hard
    left.again = right.again if left.again is None else left.again
    left.local += right.local
    left.joined += right.joined
    left.widen(right.ranges)
    left.missing += right.missing
    left.sample.merge(right.sample)
    return left


def summarize(
    batches: Iterable[pa.RecordBatch],
    request: AttributionRequest,
    ask: Ask,
    budget: Budget,
    shortcut: Shortcut | None = None,
) -> AttributionSummary:
    """Explain the rows of one split, in order, until there are no more or the time is over.

    Parameters
    ----------
    batches
        Of the split.
    request
        What to explain.
    ask
        The model.
    budget
        The time there is.
    shortcut
        Asked first for the exact values of a block.

    Notes
    -----
    Coalitions are drawn anew for every window of rows. A window's draw depends on the seed, on its place in
    the split, and on the split's first row, so that no two splits share their draws whichever is read first.
    """
    summary = AttributionSummary()
    extra = (*request.cluster_by, *filter(None, [request.join_column]))
    stream = FeatureStream(batches, (*request.features, *extra), request.baseline)
    position: int | None = None
    seed = 0
    exact: Explanation | None = None
    baseline = _without(request.baseline, request.unused)
    places = np.array([request.features.index(name) for name in request.reported], dtype=np.int64)
    for block in _blocks(stream, request, budget):
        features = _without(block.select(list(request.features)), request.unused)
        summary.widen(_ranges(features))
        for name in set(request.features) - set(request.unused):
            if lacking := pc.sum(pc.is_null(features.column(name), nan_is_null=True)).as_py():
                summary.missing[name] += lacking
        if position is None:
            # A multiple of the window's length that depends on the first row only.
            text = repr(features.slice(0, 1).to_pylist())
            seed = xxhash.xxh64_intdigest(text.encode()) >> 24
            position = WINDOW_ROWS * seed
        exact = None if shortcut is None else shortcut(features, baseline)
        windows = explain_windows(ask, features, baseline, request.sampling, position)
        signs, start, sizes = _signs(features, baseline, request.shown), 0, []
        try:
            for explanation in windows if exact is None else [exact]:
                if request.reported:
                    local, spread = explanation.local[:, :, places], explanation.spread[:, places]
                    explanation = replace(explanation, local=local, spread=spread)
                count = len(explanation.local)
                summary.add(explanation, request, signs[start : start + count])
                start, budget.explained = start + count, budget.explained + count
                each = np.abs(explanation.local)
                # Many features would seldom all look independent by chance, so their sum alone is looked at.
                sizes.append(each.reshape(count, -1) if request.cluster_by else each.sum(axis=2))
        except ModelError as error:
            nulls = [name for name in request.features if baseline.column(name).null_count]
            if not nulls or request.unused:
                raise
            said = {"names": listing(nulls), "cause": error.message.rstrip(".")}
            raise ModelError.of("attributions.nulls", field="methods.shap.baseline", **said) from error
        kept = {str(at): column for at, column in enumerate(np.concatenate(sizes).T)}
        clusters = cluster_hashes(block, request.cluster_by)
        rows = pa.RecordBatch.from_pydict(kept)
        summary.sample.add(rows, seed, summary.sample.rows_seen, is_new=True, clusters=clusters)
        position += WINDOW_ROWS * (1 + (block.num_rows - 1) // WINDOW_ROWS)
        if request.join_column is not None and request.keep_local:
            summary.joined.append(block.column(request.join_column))
    if summary.expected is not None and exact is None and not budget.is_over:
        near = _SAME * float(np.abs(sizes[-1]).max(initial=0.0))
        # What has been explained is not lost to a model that fails now.
        with contextlib.suppress(ModelError):
            again = expected_of(ask, features, baseline, request.sampling)
            is_alike = np.isclose(again, summary.expected, rtol=_SAME, atol=near).all()
            summary.again = None if is_alike else again
    if not request.explain or (summary.rows < (request.most_rows or summary.rows + 1) and budget.is_over):
        stream.skip_rest()
    summary.rows_read = stream.rows_read
    summary.partial = request.explain and request.most_rows is None and summary.rows < stream.rows_read
    return summary


def _signs(rows: pa.RecordBatch, baseline: pa.RecordBatch, features: tuple[str, ...]) -> Floats:
    """Return whether cells lie above (1) or below (-1) the baseline's mean, shape (rows, features).

    1 throughout for features that are no numbers.
    """
    signs = np.ones((rows.num_rows, len(features)))
    for place, name in enumerate(features):
        column, known = rows.column(name), baseline.column(name)
        if is_number(column.type) and is_number(known.type):
            reference = pc.mean(known).as_py()
            signs[:, place] = np.nan_to_num(np.sign(floats(column) - (reference or 0.0)))
    return signs


def _ranges(rows: pa.RecordBatch) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest number of each column of numbers."""
    numeric = [name for name in rows.schema.names if is_number(rows.column(name).type)]
    found = {name: pc.min_max(rows.column(name)).as_py() for name in numeric}
    return {name: (each["min"], each["max"]) for name, each in found.items() if each["min"] is not None}


def _far_baseline(summary: AttributionSummary, baseline: pa.RecordBatch) -> Iterator[str]:
    """Yield which features have no baseline value near the rows: another unit, scale or order."""
    given = _ranges(baseline) if summary.rows >= _FEWEST_ROWS_OF_A_RANGE else {}
    for name, (least, greatest) in given.items():
        low, high = summary.ranges.get(name, (least, greatest))
        if max(low - greatest, least - high) > _FAR * (high - low) > 0.0:
            text = number(least) if least == greatest else f"{number(least)} to {number(greatest)}"
            ends = {"low": number(low), "high": number(high)}
            yield wording("attributions.far_baseline", feature=name, given=text, **ends)


def _without(rows: pa.RecordBatch, unused: tuple[str, ...]) -> pa.RecordBatch:
    """Return the rows with nothing in these columns, so that they never differ from the baseline."""
    for name in unused:
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.nulls(rows.num_rows))
    return rows


def _blocks(stream: FeatureStream, request: AttributionRequest, budget: Budget) -> Iterator[pa.RecordBatch]:
    """Yield rows; ever more at a time when time is limited, so that it is not exceeded by much."""
    count = _FIRST_ROWS if budget.is_limited else _BLOCK_ROWS
    left = request.most_rows
    # However short the time, something is explained.
    while request.explain and not (budget.is_over and budget.explained):
        block = stream.take(count if left is None else min(count, left))
        if block is None:
            return
        before = budget.spent
        yield block
        if left is not None and (left := left - block.num_rows) <= 0:
            return
        if budget.is_limited:
            pace = max(budget.spent - before, 1e-6) / block.num_rows
            affordable = int(_SHARE_OF_TIME * budget.left / pace)
            count = max(1, min(_BLOCK_ROWS, 4 * count, affordable))


def describe(
    summary: AttributionSummary, request: AttributionRequest, seconds: float
) -> AttributionStatistics:
    """Return the statistics.

    Parameters
    ----------
    summary
        Of all splits.
    request
        What was asked for.
    seconds
        Spent on explaining.
    """
    labels: dict[str, LabelAttributions] = {}
    notes = list(request.notes)
    if summary.totals is not None and summary.expected is not None:
        effect, _ = effect_of_numbers(summary.sample)
        values = aggregate.describe(summary.totals, effect)
        if effect > 1.0:
            notes.append(dependence_note(summary.rows, effect))
        names = request.label_names(len(summary.expected))
        expected = summary.expected.tolist()
        labels = {name: _label(values, at, expected[at], request.shown) for at, name in enumerate(names)}
        notes += [*_notes(values, request, len(names)), *_far_baseline(summary, request.baseline)]
        if summary.is_hard and summary.rows >= _FEWEST_ROWS_OF_HARD and not request.sampling.use_logit:
            notes.append(wording("attributions.hard"))
        if summary.again is not None and summary.expected is not None:
            then, now = (number(float(one[0])) for one in (summary.expected, summary.again))
            notes.append(wording("attributions.not_alike", then=then, now=now))
    if summary.partial:
        notes.append(wording("attributions.out_of_time", rows=summary.rows, all_rows=summary.rows_read))
    counts = (summary.rows, summary.rows_read, summary.model_rows)
    explained = documents.Explained(*counts, seconds, summary.partial)
    drawn, rows = request.sampling, (request.baseline.num_rows, summary.rows)
    how = (request.agg_method, drawn.use_logit, drawn.num_samples, drawn.seed)
    missing = {name: float(summary.missing[name]) for name in request.features if summary.missing[name]}
    design = documents.SamplingDesign(*how, *rows, missing, list(request.reported) or None)
    said = tuple(dict.fromkeys(notes))
    table = _local_table(summary, request) if request.keep_local and labels else None
    found = AttributionStatistics(labels, explained, design, said, local_values=table)
    return replace(found, baseline_rows=request.baseline)


def _label(
    values: GlobalValues, number: int, expected: float, features: tuple[str, ...]
) -> LabelAttributions:
    def by_name(numbers: Floats, unknown: float = np.inf) -> dict[str, float]:
        # An error that cannot be told may be of any size.
        return dict(zip(features, np.nan_to_num(numbers[number], nan=unknown).tolist(), strict=True))

    floors = by_name(values.noise_floor, unknown=0.0)
    return LabelAttributions(
        values=dict(zip(features, values.values[number].tolist(), strict=True)),
        expected_value=expected,
        standard_errors=by_name(values.standard_error),
        total=float(values.total[number]),
        total_standard_error=float(np.nan_to_num(values.total_error[number], nan=np.inf)),
        sampling_errors=by_name(values.coalition_error),
        # Values that are exact have none.
        noise_floors=floors if any(floors.values()) else {},
        directions=by_name(values.direction, unknown=0.0),
        direction_errors=by_name(values.direction_error),
    )


def _notes(values: GlobalValues, request: AttributionRequest, outputs: int) -> list[str]:
    notes = []
    if request.label_headers and len(request.label_headers) != outputs:
        names, scores = several(len(request.label_headers), "label"), several(outputs, "score")
        notes.append(wording("attributions.label_headers", names=names, scores=scores))
    elif outputs > 1 and not request.label_headers:
        notes.append(wording("attributions.several", outputs=outputs))
    if not np.isfinite(values.coalition_error).all():
        notes.append(wording("attributions.few_samples"))
    if not np.any(values.total):
        notes.append("Every feature has the value 0: all rows equal the baseline, or the model ignores them.")
    return notes


def _local_table(summary: AttributionSummary, request: AttributionRequest) -> pa.Table:
    """Return the values of single rows: features fastest, then labels, then the column copied beside them."""
    local = np.concatenate(summary.local)
    features = request.shown
    names: list[str] = []
    columns: list[pa.Array] = []
    for output, label in enumerate(request.label_names(local.shape[1])):
        names += [f"{feature}_{label}" for feature in features]
        columns += [pa.array(np.ascontiguousarray(local[:, output, place])) for place in range(len(features))]
    if request.join_column is not None:
        names.append(request.join_column)
        parts = summary.joined
        if len({part.type for part in parts}) > 1:
            parts = [part.cast(pa.string()) for part in parts]
        columns.append(pa.chunked_array(parts))
    return pa.table(columns, names=names)


# Partial dependence.


# Means over so many rows are within two hundredths of a standard deviation.
MOST_ROWS = 4_096
MOST_CATEGORIES = 100
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Dependence:
    """``methods.pdp``, for the data at hand.

    Parameters
    ----------
    rows
        Of the dataset; means are over these.
    grid_resolution
        Into how many buckets the range of a number is divided.
    features
        Whose dependence is wanted; none for the `top_k` with the largest attributions.
    """

    rows: pa.RecordBatch
    grid_resolution: int = 15
    features: tuple[str, ...] = ()
    top_k: int = 10


def partial_dependence(
    wanted: Dependence,
    request: AttributionRequest,
    labels: dict[str, LabelAttributions],
    ask: Ask,
    budget: Budget,
) -> list[dict[str, Any]]:
    """Return one object per feature: its values, the share of rows near each, the mean answers per label.

    A feature that the model cannot be asked about, or for which no time is left, has the member ``error``.
    """
    found: list[dict[str, Any]] = []
    failure = ""
    for name in wanted.features or _largest(labels, wanted.top_k):
        column = plain_values(wanted.rows.column(name))
        kind = "numerical" if is_number(column.type) else "categorical"
        entry: dict[str, Any] = {"feature_name": name, "data_type": kind}
        found.append(entry)
        if budget.is_over:
            failure = wording("attributions.no_time_for_dependence")
        values, shares = grid(column, wanted.grid_resolution)
        if failure or not len(values):
            entry["error"] = failure or wording("attributions.no_value_for_dependence")
            continue
        try:
            means = _mean_answers(wanted.rows, name, values, ask)
        except ModelError as error:
            entry["error"] = error.message
            # A server that is gone would be waited for again.
            failure = error.message if error.code.startswith("model_endpoint.") else ""
            continue
        entry["feature_values"] = values.to_pylist()
        entry["data_distribution"] = shares.tolist()
        entry["model_predictions"] = means.T.tolist()
        entry["label_headers"] = list(request.label_names(means.shape[1]))
    return found


def grid(column: pa.Array, resolution: int) -> tuple[pa.Array, Floats]:
    """Return the values that a feature is set to, and the share of its values at, or in the bucket of, each.

    Of numbers these are the centres of buckets of equal width, whole where all numbers are; the numbers
    themselves where they are no more than buckets. Of anything else they are the most frequent categories.
    """
    if pa.types.is_floating(column.type):
        column = column.filter(pc.is_finite(column))
    column = column.drop_null()
    counted = column.value_counts()
    values, counts = counted.field("values"), counted.field("counts").to_numpy()
    if not is_number(column.type):
        names = values.cast(pa.string()).to_pylist()
        order = sorted(range(len(names)), key=lambda place: (-counts[place], names[place]))[:MOST_CATEGORIES]
        values, counts = values.take(pa.array(order, pa.int64())), counts[order]
    elif len(values) <= resolution:
        ascending = pc.sort_indices(values)
        values, counts = values.take(ascending), counts[ascending.to_numpy()]
    else:
        counts, edges = np.histogram(floats(column), resolution)
        centres = (edges[:-1] + edges[1:]) / 2.0
        is_whole = pa.types.is_integer(column.type)
        values = pa.array(np.floor(centres + 0.5) if is_whole else centres).cast(column.type)
    return values, counts / max(1, len(column))


def _mean_answers(rows: pa.RecordBatch, name: str, values: pa.Array, ask: Ask) -> Floats:
    """Return the mean answers, shape (values, outputs)."""
    place, count = rows.schema.get_field_index(name), rows.num_rows
    step = max(1, _ROWS_AT_ONCE // count)
    means = []
    for start in range(0, len(values), step):
        some = values.slice(start, step)
        repeated = rows.take(pa.array(np.tile(np.arange(count), len(some))))
        column = some.take(pa.array(np.repeat(np.arange(len(some)), count)))
        answers = np.asarray(ask(repeated.set_column(place, name, column)))
        means.append(answers.reshape(len(some), count, -1).mean(axis=1))
    return np.concatenate(means)


def _largest(labels: dict[str, LabelAttributions], count: int) -> Sequence[str]:
    """Return the features with the largest sizes over all labels, largest first."""
    sizes: dict[str, float] = {}
    for label in labels.values():
        for name, value in label.values.items():
            sizes[name] = sizes.get(name, 0.0) + abs(value or 0.0)
    return sorted(sizes, key=lambda name: -sizes[name])[:count]
