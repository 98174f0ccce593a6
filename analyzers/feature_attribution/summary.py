"""Explaining the rows of a split in blocks, and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import xxhash

from analyzers.feature_attribution import aggregate
from analyzers.feature_attribution.aggregate import Explanation
from analyzers.feature_attribution.kernel import WINDOW_ROWS, explain_windows
from analyzers.feature_attribution.request import Ask, AttributionRequest, Budget, Shortcut
from analyzers.feature_attribution.rows import FeatureStream
from analyzers.feature_attribution.solve import Floats

# Rows handed on at a time; the windows in it are what fills the memory.
_BLOCK_ROWS = 16 * WINDOW_ROWS
# With limited time, blocks are to take this share of what is left.
_SHARE_OF_TIME = 0.05
_FIRST_ROWS = 4


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
    """

    totals: aggregate.GlobalSummary | None = None
    expected: Floats | None = None
    rows_read: int = 0
    model_rows: int = 0
    partial: bool = False
    local: list[Floats] = field(default_factory=list)
    joined: list[pa.Array] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Return how many rows were explained."""
        return 0 if self.totals is None else self.totals.rows

    def add(self, explanation: Explanation, request: AttributionRequest) -> None:
        """Add the values of a window, in place."""
        window = aggregate.summarize(explanation, request.agg_method)
        self.totals = window if self.totals is None else aggregate.merge(self.totals, window)
        self.expected = explanation.expected
        self.model_rows += explanation.model_rows
        if request.keep_local:
            self.local.append(explanation.local)


def merge(left: AttributionSummary, right: AttributionSummary) -> AttributionSummary:
    """Combine two summaries; associative."""
    if left.totals is None or right.totals is None:
        totals = left.totals or right.totals
    else:
        totals = aggregate.merge(left.totals, right.totals)
    return AttributionSummary(
        totals=totals,
        expected=right.expected if left.expected is None else left.expected,
        rows_read=left.rows_read + right.rows_read,
        model_rows=left.model_rows + right.model_rows,
        partial=left.partial or right.partial,
        local=left.local + right.local,
        joined=left.joined + right.joined,
    )


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
    extra = () if request.join_column is None else (request.join_column,)
    stream = FeatureStream(batches, (*request.features, *extra), request.baseline)
    position: int | None = None
    baseline = _without(request.baseline, request.unused)
    for block in _blocks(stream, request, budget):
        features = _without(block.select(list(request.features)), request.unused)
        if position is None:
            # A multiple of the window's length that depends on the first row only.
            text = repr(features.slice(0, 1).to_pylist())
            position = WINDOW_ROWS * (xxhash.xxh64_intdigest(text.encode()) >> 24)
        exact = None if shortcut is None else shortcut(features, baseline)
        windows = explain_windows(ask, features, baseline, request.sampling, position)
        for explanation in windows if exact is None else [exact]:
            summary.add(_reported(explanation, request), request)
            budget.explained += len(explanation.local)
        position += WINDOW_ROWS * (1 + (block.num_rows - 1) // WINDOW_ROWS)
        if request.join_column is not None and request.keep_local:
            summary.joined.append(block.column(request.join_column))
    if summary.rows < (request.most_rows or summary.rows + 1) and budget.is_over:
        stream.skip_rest()
    summary.rows_read = stream.rows_read
    summary.partial = request.most_rows is None and summary.rows < stream.rows_read
    return summary


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
    while not (budget.is_over and budget.explained):
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


def _reported(explanation: Explanation, request: AttributionRequest) -> Explanation:
    if not request.reported:
        return explanation
    places = np.array([request.features.index(name) for name in request.reported])
    return replace(explanation, local=explanation.local[:, :, places], spread=explanation.spread[:, places])
