"""What every model does, and what holds for the predictions of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.errors import ModelError

Scores = NDArray[np.float64]


class Model(Protocol):
    """Something that can be asked for predictions.

    A model may be pickled; the copy opens what it needs again when it is first asked. It may be asked from
    several threads at once.
    """

    @property
    def where(self) -> str:
        """Return what it is as a user would write it: the address of an endpoint, the path of a file."""

    def predict(self, table: pa.RecordBatch) -> Scores:
        """Return the scores, shape (rows, outputs), in the order of the rows, all of them finite.

        Parameters
        ----------
        table
            One column per feature, in the model's order unless the model knows their names. Nulls, and NaN
            among floats, are missing values.

        Raises
        ------
        ModelError
            When the model cannot be asked, or what it answers cannot be used.
        """

    def predict_labels(self, table: pa.RecordBatch) -> pa.Array:
        """Return the predicted labels, one per row: as answered, or the class with the largest score.

        Raises
        ------
        ModelError
            As `predict`, and when it answers one score only, which a threshold must turn into a label.
        """

    def close(self) -> None:
        """Give back connections, memory and temporary files; it must not be asked afterwards."""


def require_finite(scores: Scores, where: str) -> Scores:
    """Return the scores when all are numbers.

    Raises
    ------
    ModelError
        Naming how many rows have no usable score, and the first.
    """
    finite = np.isfinite(scores)
    if finite.all():
        return scores
    rows = np.flatnonzero(~finite.all(axis=1))
    first = scores[rows[0]][~finite[rows[0]]][0]
    shown = "no score (null or NaN)" if np.isnan(first) else f"the score {first}"
    raise ModelError(
        f"{where} answered {shown} for {len(rows)} of {len(scores)} rows, first for row {rows[0]} of the "
        "batch; the model must give a finite number for every row, those with missing values included."
    )


def largest_labels(scores: Scores, label_headers: Sequence[str | int], where: str) -> pa.Array:
    """Return the header of the largest score of each row; its position where there are no headers.

    Parameters
    ----------
    scores
        Shape (rows, classes); the first of equal scores wins.
    label_headers
        One per class, or none.

    Raises
    ------
    ModelError
        When there is one score per row only, or another number of headers.
    """
    outputs = scores.shape[1]
    if outputs == 1:
        raise ModelError(
            f"{where} answers one score per row, which is not a label; give predictor.probability and a "
            "probability_threshold, or predictor.label when the answer is the label itself."
        )
    if label_headers and len(label_headers) != outputs:
        raise ModelError(
            f"predictor.label_headers names {len(label_headers)} classes, but {where} answers {outputs} "
            "scores per row; give one header per score, in their order."
        )
    largest = pa.array(scores.argmax(axis=1))
    if not label_headers:
        return largest
    if all(isinstance(header, int) for header in label_headers):
        return pa.array(label_headers, pa.int64()).take(largest)
    return pa.array([str(header) for header in label_headers], pa.string()).take(largest)
