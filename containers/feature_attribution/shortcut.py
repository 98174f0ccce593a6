"""Exact values without coalitions, of linear models and boosted trees, where these are the same numbers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analyzers.feature_attribution.aggregate import Explanation
from analyzers.feature_attribution.exact import linear_shapley, tree_shapley
from analyzers.feature_attribution.kernel import LOGIT_CLIP, Sampling
from analyzers.feature_attribution.request import Ask, Shortcut
from model_clients.local import LinearModel
from model_clients.model import Model

# Loading shap takes as long as asking trees about several million rows.
MODEL_ROWS_WORTH_IT = 5_000_000
_TOLERANCE = 1e-4
# Log-odds beyond it are clipped, which is not linear.
_LARGEST_LOGIT = float(np.log1p(-LOGIT_CLIP) - np.log(LOGIT_CLIP))

type Matrix = NDArray[np.float64]

_log = logging.getLogger("monitor.feature_attribution")


def open_shortcut(
    model: Model, ask: Ask, sampling: Sampling, features: tuple[str, ...], rows: int | None
) -> Shortcut | None:
    """Return the shortcut for a linear model, or for boosted trees that are asked about many rows.

    None for everything else: coalitions are asked.

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
    if isinstance(native, LinearModel):
        linear = native.link == ("logistic" if sampling.use_logit else "identity")
        return _Linear(native, ask, sampling.use_logit) if linear else None
    if native is None or not getattr(model, "numeric_trees", False):
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

        def predict(matrix: Matrix) -> Matrix:
            return self.ask(pa.RecordBatch.from_arrays([pa.array(column) for column in matrix.T], names))

        matrix = _matrix(rows)
        answers = predict(matrix)
        found = tree_shapley(self.native, predict, matrix, _matrix(baseline), use_logit=self.use_logit)
        if found is None or not _adds_up(found, answers, self.use_logit):
            _log.info("TreeExplainer does not give the values of this model, so coalitions are asked")
            self._useless = True
            return None
        return replace(found, model_rows=found.model_rows + len(answers))


@dataclass(frozen=True)
class _Linear:
    """A model whose answers, or their log-odds, are weighted sums."""

    model: LinearModel
    ask: Ask
    use_logit: bool

    def __call__(self, rows: pa.RecordBatch, baseline: pa.RecordBatch) -> Explanation | None:
        """Return the values of some rows, None where they are not to be had in closed form."""
        if not (_is_numeric(rows) and _is_numeric(baseline)):
            return None
        if self.use_logit and baseline.num_rows > 1:
            return None  # log-odds of a mean are no mean of log-odds
        answers = np.concatenate((self.ask(baseline), self.ask(rows)))
        found = linear_shapley(self.model.weights.T, self.model.bias, _matrix(rows), _matrix(baseline))
        if self.use_logit and _largest_size(found) >= _LARGEST_LOGIT:
            return None
        if not _adds_up(found, answers[baseline.num_rows :], self.use_logit):
            return None
        return replace(found, model_rows=len(answers))


def _largest_size(found: Explanation) -> float:
    """Return how far from zero the sums of coalitions get at most."""
    highest = found.expected + np.maximum(found.local, 0.0).sum(axis=2)
    lowest = found.expected + np.minimum(found.local, 0.0).sum(axis=2)
    return float(max(highest.max(initial=0.0), -lowest.min(initial=0.0)))


def _adds_up(found: Explanation, answers: Matrix, use_logit: bool) -> bool:
    """Return whether the values add up to what the model answers."""
    sums = found.predictions
    if use_logit:
        sums = 1.0 / (1.0 + np.exp(-sums))
    return sums.shape == answers.shape and np.allclose(sums, answers, rtol=_TOLERANCE, atol=_TOLERANCE)


def _is_numeric(rows: pa.RecordBatch) -> bool:
    return all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in rows.schema.types)


def _matrix(rows: pa.RecordBatch) -> Matrix:
    """Return the rows as numbers, missing values as NaN."""
    columns = [
        np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False)) for column in rows.columns
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((rows.num_rows, 0))
