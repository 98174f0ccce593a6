"""Exact values of boosted trees without coalitions, where that is quicker and gives the same numbers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analyzers.feature_attribution.explanation import Explanation
from analyzers.feature_attribution.kernel import Sampling
from analyzers.feature_attribution.request import Ask, Shortcut
from analyzers.feature_attribution.trees import tree_shapley
from contract.models import Model

# Loading shap takes as long as asking trees about several million rows.
MODEL_ROWS_WORTH_IT = 5_000_000
_TOLERANCE = 1e-4

_log = logging.getLogger("monitor.feature_attribution")


def tree_shortcut(
    model: Model, ask: Ask, sampling: Sampling, features: tuple[str, ...], rows: int | None
) -> Shortcut | None:
    """Return the shortcut for boosted trees that are asked about many rows; None for everything else.

    Parameters
    ----------
    model
        As opened.
    ask
        The model as a function.
    sampling
        What would be done without the shortcut.
    features
        The columns, in order.
    rows
        In the dataset; None where nobody knows.
    """
    native, names = getattr(model, "native", None), getattr(model, "names", None)
    if native is None or getattr(model, "kind", None) not in ("xgboost", "lightgbm"):
        return None
    if names and set(names) <= set(features) and list(names) != list(features):
        return None  # it would take the columns in another order
    if rows is not None and rows * 2 * sampling.pairs(len(features), len(features)) < MODEL_ROWS_WORTH_IT:
        return None
    return _Trees(native, ask, sampling.use_logit)


@dataclass
class _Trees:
    native: Any
    ask: Ask
    use_logit: bool
    _useless: bool = field(default=False, init=False)

    def __call__(self, rows: pa.RecordBatch, baseline: pa.RecordBatch) -> Explanation | None:
        """Return the values of some rows, None where TreeExplainer does not give them."""
        if self._useless or not (_is_numeric(rows) and _is_numeric(baseline)):
            return None
        names = rows.schema.names

        def predict(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
            return self.ask(pa.RecordBatch.from_arrays([pa.array(column) for column in matrix.T], names))

        matrix = _matrix(rows)
        found = tree_shapley(self.native, predict, matrix, _matrix(baseline), use_logit=self.use_logit)
        if found is None or not self._adds_up(found, predict(matrix)):
            _log.info("TreeExplainer does not give the values of this model, so coalitions are asked")
            self._useless = True
            return None
        return found

    def _adds_up(self, found: Explanation, answers: NDArray[np.float64]) -> bool:
        sums = found.predictions
        if self.use_logit:
            sums = 1.0 / (1.0 + np.exp(-sums))
        return bool(np.allclose(sums, answers.reshape(sums.shape), rtol=_TOLERANCE, atol=_TOLERANCE))


def _is_numeric(rows: pa.RecordBatch) -> bool:
    return all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in rows.schema.types)


def _matrix(rows: pa.RecordBatch) -> NDArray[np.float64]:
    """Return the rows as numbers, missing values as NaN."""
    columns = [
        np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False)) for column in rows.columns
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((rows.num_rows, 0))
