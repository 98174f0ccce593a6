"""Models that run in this process, from a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from contract.models.columns import plain, select
from contract.models.protocol import Scores, largest_labels, require_finite

Kind = Literal["onnx", "xgboost", "lightgbm", "linear", "pickled"]


@dataclass
class LocalModel:
    """A model that runs in this process.

    Parameters
    ----------
    where
        Its file.
    kind
        What reads it.
    native
        The library's own object, for explanations that need more than scores: a ``Booster``, an
        ``InferenceSession``, a `LinearModel`.
    score
        Gives scores, shape (rows,) or (rows, outputs).
    label
        Gives labels, when the model has them as an answer of its own.
    label_headers
        Names of the classes.
    names, count
        The features' names, when the model knows them, and their number, when it says.
    reopen
        A function and its arguments that make the same model in another process.
    release
        Called once by `close`.
    """

    where: str
    kind: Kind
    native: Any
    score: Callable[[pa.RecordBatch], Any]
    reopen: tuple[Callable[..., Any], tuple[Any, ...]]
    label: Callable[[pa.RecordBatch], Any] | None = None
    label_headers: Sequence[str | int] = ()
    names: Sequence[str] | None = None
    count: int | None = None
    release: Callable[[], None] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return self.reopen

    def predict(self, table: pa.RecordBatch) -> Scores:
        """Return the scores; see `Model.predict`."""
        scores = np.asarray(self.score(self._columns(table)), dtype=np.float64)
        rows = table.num_rows
        return require_finite(scores.reshape(rows, -1) if rows else np.empty((0, 1)), self.where)

    def predict_labels(self, table: pa.RecordBatch) -> pa.Array:
        """Return the labels; see `Model.predict_labels`."""
        if self.label is None or self.label_headers:
            return largest_labels(self.predict(table), self.label_headers, self.where)
        return pa.array(np.asarray(self.label(self._columns(table))).reshape(table.num_rows))

    def close(self) -> None:
        """Let go of the library's object."""
        self.native = None
        if self.release is not None:
            self.release()
            self.release = None

    def _columns(self, table: pa.RecordBatch) -> pa.RecordBatch:
        return plain(select(table, self.names, self.count, self.where))


def first_line(error: Exception) -> str:
    """Return what a library's exception says, without its stack trace and source lines."""
    text = str(error).strip().split("Stack trace:")[0].strip()
    line = text.split("\n")[0]
    # XGBoost begins with the time and the place in its own source.
    if line.startswith("["):
        line = line.partition("] ")[2].partition(": ")[2] or line
    return " ".join(line.split()).rstrip(".")[:200] or type(error).__name__
