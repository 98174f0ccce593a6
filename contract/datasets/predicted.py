"""A column of predictions that a model is asked for while the rows are read."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from contract.datasets.request import Split
from contract.errors import DatasetError

if TYPE_CHECKING:
    from contract.models.protocol import Model


@dataclass(frozen=True)
class Prediction:
    """What to ask a model.

    Parameters
    ----------
    name
        Of the column that is added.
    features
        The columns that the model takes, in its order.
    as_label
        Whether the predicted label is wanted, rather than the score.
    model
        It is closed when nothing refers to this any more.
    """

    name: str
    features: tuple[str, ...]
    as_label: bool
    model: Model = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        # A job that fails forgets the model anywhere on its way; its connections are closed all the same.
        weakref.finalize(self, self.model.close)

    def column(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the prediction for each row.

        Raises
        ------
        ModelError
            When the model cannot be asked.
        DatasetError
            When the rows lack a feature.
        """
        absent = [name for name in self.features if name not in batch.schema.names]
        if absent:
            raise DatasetError(
                f"the data lacks {absent[0]!r} in some rows, which the model takes; add the column."
            )
        table = batch.select(list(self.features))
        if self.as_label:
            return self.model.predict_labels(table)
        return pa.array(np.ascontiguousarray(self.model.predict(table)[:, 0]))


@dataclass(frozen=True)
class PredictedSplit:
    """A split with a further column of predictions."""

    split: Split
    prediction: Prediction

    @property
    def label(self) -> str:
        """Return the file and the range in it."""
        return self.split.label

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order."""
        for batch in self.split.batches():
            if batch.num_rows:
                yield batch.append_column(self.prediction.name, self.prediction.column(batch))
