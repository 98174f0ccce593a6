"""What a feature-attribution analysis is asked for, by names of columns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from analyzers.feature_attribution.aggregate import Aggregation, Explanation
from analyzers.feature_attribution.kernel import Sampling
from analyzers.feature_attribution.solve import Floats

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
    unused
        The features that the model does not take: their values are exactly 0.
    most_rows
        Explained at most, for a trial; None for all.
    notes
        On how the request came about, for the statistics.
    model
        Its address or file, for a trial's report.
    """

    features: tuple[str, ...]
    baseline: pa.RecordBatch
    sampling: Sampling = field(default_factory=Sampling)
    agg_method: Aggregation = "mean_abs"
    reported: tuple[str, ...] = ()
    label_headers: tuple[str, ...] = ()
    keep_local: bool = False
    join_column: str | None = None
    unused: tuple[str, ...] = ()
    most_rows: int | None = None
    notes: tuple[str, ...] = ()
    model: str = "the model"

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
