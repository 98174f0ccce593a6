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
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from analyzers.feature_attribution import documents, kernel
from analyzers.feature_attribution.documents import AttributionStatistics, LabelAttributions
from analyzers.feature_attribution.kernel import WINDOW_ROWS, Explanation, Sampling
from analyzers.feature_attribution.rows import FeatureStream, is_number, plain_values
from analyzers.shared.cells import Floats, floats
from analyzers.shared.row_sample import RowSample, cluster_hashes, dependence_note, effect_of_numbers
from contract.errors import ModelError, wording
from contract.wording import listing, number, several

# Global values from local ones, with what coalitions and rows left to chance, in sums that merge.


type Aggregation = Literal["mean_abs", "median", "mean_sq"]

# Mean size of a normal deviate in units of its standard deviation.
_MEAN_SIZE = math.sqrt(2.0 / np.pi)

# So many standard errors from zero, a value's sign is no question.
_FARTHEST = 6.0


# Sums over designs of squared errors, of errors and of 1, by the number of features and of pairs in a design;
# errors are those of sums over a design's rows, and each array has the shape (3, outputs, features).
type DesignErrors = Mapping[tuple[int, int], Floats]


@dataclass(frozen=True)
class GlobalSummary:
    """Sums over explained rows; arrays have the shape (outputs, features) unless said otherwise.

    Parameters
    ----------
    method
        ``mean_abs``, ``median`` or ``mean_sq``.
    rows
        Explained rows.
    sums, squares
        Of what is averaged: sizes of local values, their squares, or (median) the values themselves.
    totals, total_squares
        Of the same added up over features, shape (outputs,).
    design_errors
        Errors of ``sums`` from the choice of coalitions.
    noise
        Sum of what is averaged as pure noise of the local standard errors would show it.
    inflation
        Sum of what the noise of local values adds to their sizes or squares on average.
    directed
        Sums of sizes, of values times the sign of the cell, of the products of these two with each other and
        themselves, and of local standard errors, shape (6, outputs, features).
    local
        Local values, kept for the median only; each of shape (rows, outputs, features).
    """

    method: Aggregation
    rows: int
    sums: Floats
    squares: Floats
    totals: Floats
    total_squares: Floats
    design_errors: DesignErrors
    noise: Floats
    inflation: Floats
    directed: Floats
    local: tuple[Floats, ...] = ()


_ADDED = ("rows", "sums", "squares", "totals", "total_squares", "noise", "inflation", "directed", "local")


@dataclass(frozen=True)
class GlobalValues:
    """Global attributions; arrays have the shape (outputs, features) unless said otherwise.

    Parameters
    ----------
    values
        Mean of absolute local values, plain median of signed ones, or mean of squares.
    coalition_error
        Standard error from the choice of coalitions; 0 where values are exact, NaN where unknown.
    inflation
        Estimate of what the noise of local values adds to ``values``: small values of either sign have larger
        sizes on average than the value they stand for. 0 for the median.
    instance_error
        Standard error from the choice of rows, as draws from many.
    noise_floor
        What a feature without any influence would show for its coalition errors alone; 0 for the median.
    total, total_error
        Of the values of all features together, and its standard error, shape (outputs,).
    direction, direction_error
        Sum of values times the sign of their cells over the sum of sizes: 1 where higher cells always raise
        the answer, -1 where they always lower it; and its standard error.
    """

    values: Floats
    coalition_error: Floats
    inflation: Floats
    instance_error: Floats
    noise_floor: Floats
    total: Floats
    total_error: Floats
    direction: Floats
    direction_error: Floats

    @property
    def standard_error(self) -> Floats:
        """Errors of coalitions and rows and the inflation together.

        What coalitions leave to chance in each row alone is in the scatter of rows too, and counts twice.
        """
        return np.hypot(np.hypot(self.coalition_error, self.inflation), self.instance_error)


def sums_of(explanation: Explanation, method: Aggregation, signs: Floats | None = None) -> GlobalSummary:
    """Return the sums over one window, whose designs no other window uses.

    Parameters
    ----------
    explanation
        Of whole windows, as `kernel.explain_windows` gives them.
    method
        What is averaged.
    signs
        Of the cells, shape (rows, features); None for 1 throughout.
    """
    local, error = explanation.local, explanation.standard_error
    slope: Floats | None
    if method == "mean_abs":
        averaged, slope, noise = np.abs(local), np.sign(local), error * _MEAN_SIZE
        inflation = _mean_size_beyond(np.sqrt(np.maximum(local**2 - error**2, 0.0)), error)
    elif method == "mean_sq":
        averaged, slope, noise = local**2, 2.0 * local, error**2
        inflation = error**2
    else:
        averaged, slope, noise = local, None, np.zeros_like(local)
        inflation = noise
    totals, size = averaged.sum(axis=2), np.abs(local)
    signed = local if signs is None else local * signs[:, None, :]
    return GlobalSummary(
        method=method,
        rows=len(local),
        sums=averaged.sum(axis=0),
        squares=(averaged**2).sum(axis=0),
        totals=totals.sum(axis=0),
        total_squares=(totals**2).sum(axis=0),
        design_errors=_design_errors(explanation, slope),
        noise=noise.sum(axis=0),
        inflation=inflation.sum(axis=0),
        directed=np.stack((size, signed, size**2, size * signed, signed**2, error)).sum(axis=1),
        local=(local,) if method == "median" else (),
    )


def _design_errors(explanation: Explanation, slope: Floats | None) -> DesignErrors:
    """Return the errors of sums over rows whose errors are correlated within designs.

    A design's error is linear in the games it is applied to, so the error of a weighted sum of values is that
    of one value of the weighted sum of games. That holds where all rows differ from the baseline in the same
    features, and is close to it elsewhere. A median hangs on a few neighbours: without weights the errors of
    a design count as one.
    """
    found: DesignErrors = {}
    for design in np.unique(explanation.design[explanation.design >= 0]):
        rows = explanation.design == design
        residuals, spread = explanation.residuals[rows], explanation.spread[rows][:, None, :]
        if slope is None:
            scale = np.sqrt(np.mean(residuals**2, axis=2))
            variance = (scale[:, :, None] * spread).sum(axis=0) ** 2
        else:
            combined = np.einsum("nof,nor->ofr", slope[rows] * spread, residuals)
            variance = np.mean(combined**2, axis=2)
        first = int(np.argmax(rows))
        kind = int(np.count_nonzero(explanation.spread[first])), int(explanation.coalitions[first]) // 2
        errors = np.stack((variance, np.sqrt(variance), np.ones_like(variance)))
        found = _added(found, {kind: errors})
    return found


def _added(one: DesignErrors, other: DesignErrors) -> DesignErrors:
    return {**one, **{kind: one[kind] + errors if kind in one else errors for kind, errors in other.items()}}


def _coalition_error(summary: GlobalSummary) -> Floats:
    """Return the standard error of the sums: what designs share of their errors does not average out."""
    variance, common = np.zeros_like(summary.sums), np.zeros_like(summary.sums)
    several = sum(float(designs.max()) for _, _, designs in summary.design_errors.values()) > 1.0
    for (players, pairs), (squares, sizes, _) in sorted(summary.design_errors.items()):
        shared = kernel.shared_error(players, pairs) if several else 0.0
        variance += (1.0 - shared) * squares
        common += np.sqrt(shared) * sizes
    return np.hypot(np.sqrt(variance), common)


def _mean_size_beyond(size: Floats, error: Floats) -> Floats:
    """Return how much larger the mean size of a normal deviate is than the size of its mean.

    That mean size is the folded normal distribution's (Leone, Nelson & Nottingham 1961).
    """
    ratio = np.divide(size, error, out=np.full_like(size, _FARTHEST), where=error > 0.0)
    return np.asarray(error * np.interp(ratio, *_beyond_table()), dtype=np.float64)


@lru_cache(maxsize=1)
def _beyond_table() -> tuple[Floats, Floats]:
    """Return sizes of the mean of a normal deviate of spread one, and how much larger its mean size is."""
    means = np.linspace(0.0, _FARTHEST, 1025)
    below = np.array([math.erfc(mean / math.sqrt(2.0)) for mean in means.tolist()])
    return means, _MEAN_SIZE * np.exp(-(means**2) / 2.0) - means * below


def merge_sums(one: GlobalSummary, other: GlobalSummary) -> GlobalSummary:
    """Return the sums over the rows of both."""
    if not one.rows or not other.rows:
        return one if one.rows else other
    added = {name: getattr(one, name) + getattr(other, name) for name in _ADDED}
    return replace(one, **added, design_errors=_added(one.design_errors, other.design_errors))


def global_values(summary: GlobalSummary, effect: float = 1.0) -> GlobalValues:
    """Return the global values of at least one row; `effect` rows tell as much as an independent one.

    Notes
    -----
    Errors of means are ``s / sqrt(rows)`` with the sample standard deviation, 0 for a single row. The error
    of a median is half the distance between the order statistics half a root of ``rows`` before and after,
    which is one standard error of its rank (Woodruff 1952).
    """
    rows = summary.rows
    values = summary.sums / rows
    instance_error = _error_of_mean(summary.sums, summary.squares, rows)
    total = summary.totals / rows
    total_instance = _error_of_mean(summary.totals, summary.total_squares, rows)
    coalition_error = _coalition_error(summary) / rows
    total_coalition = np.sqrt((coalition_error**2).sum(axis=1))
    if summary.method == "median":
        ordered = np.sort(np.concatenate(summary.local), axis=0)
        values = np.median(ordered, axis=0)
        reach = np.sqrt(rows) / 2.0
        low = int(np.floor(max(0.0, (rows - 1) / 2.0 - reach)))
        high = int(np.ceil(min(rows - 1.0, (rows - 1) / 2.0 + reach)))
        instance_error = (ordered[high] - ordered[low]) / 2.0
        total = np.abs(values).sum(axis=1)
        total_instance = np.sqrt((instance_error**2).sum(axis=1))
    # What the model ignores is worth nothing, which sums of floats miss by their last digits.
    values = np.where(np.abs(values) > 1e-13 * np.abs(values).sum(axis=1, keepdims=True), values, 0.0)
    instance_error, total_instance = np.sqrt(effect) * instance_error, np.sqrt(effect) * total_instance
    sizes, signed, squares, products, signed_squares, errors = summary.directed
    with np.errstate(divide="ignore", invalid="ignore"):
        direction = np.nan_to_num(signed / sizes)
        scatter = np.maximum(signed_squares - 2.0 * direction * products + direction**2 * squares, 0.0)
        # No fewer than two values more on the other side, of those that matter.
        of_rows = effect * (scatter + 4.0 * effect * squares**2 / sizes**2)
        # Coalitions are the same in many rows, so that what they leave to chance does not average out.
        direction_error = np.sqrt(of_rows + errors**2) / sizes
    return GlobalValues(
        direction=direction,
        direction_error=direction_error,
        values=values,
        coalition_error=coalition_error,
        inflation=summary.inflation / rows,
        instance_error=instance_error,
        noise_floor=summary.noise / rows,
        total=total,
        total_error=np.hypot(np.hypot(total_instance, total_coalition), summary.inflation.sum(axis=1) / rows),
    )


def _error_of_mean(sums: Floats, squares: Floats, rows: int) -> Floats:
    if rows < 2:
        return np.zeros_like(sums)
    # Sums of squares lose digits where values hardly vary; their difference is then no less than zero.
    variance = np.maximum(squares - sums**2 / rows, 0.0) / (rows - 1)
    return np.asarray(np.sqrt(variance / rows), dtype=np.float64)


# Explaining the rows of a split in blocks, and what is kept of them.


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

    totals: GlobalSummary | None = None
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
        window = sums_of(explanation, request.agg_method, signs)
        self.totals = window if self.totals is None else merge_sums(self.totals, window)
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
        left.totals = right.totals if left.totals is None else merge_sums(left.totals, right.totals)
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
        windows = kernel.explain_windows(ask, features, baseline, request.sampling, position)
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
            again = kernel.expected_of(ask, features, baseline, request.sampling)
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
        effect = effect_of_numbers(summary.sample).effect
        values = global_values(summary.totals, effect)
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


class Dependence(NamedTuple):
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
