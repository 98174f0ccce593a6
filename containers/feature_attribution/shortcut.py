"""Exact values without coalitions, of linear models and boosted trees, where these are the same numbers."""

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from analyzers.feature_attribution import kernel
from analyzers.feature_attribution.rows import is_number
from analyzers.feature_attribution.summary import Ask, Shortcut
from analyzers.shared.cells import Floats, floats
from model_clients.local import LinearModel
from model_clients.model import Model

# Shapley values of tree ensembles through shap's TreeExplainer, only where these are the same numbers.
#
# Interventional TreeSHAP (Lundberg and others 2020) computes the very values that enumeration does, in the
# units in which trees are added up: the answer of a regression model, the log-odds of a boosted classifier.
# Probabilities are no sums of trees, and log-odds of a mean over several baseline rows are no mean of
# log-odds; there coalitions have to be asked.


# Trees answer float32: their sums differ from the answer in the seventh digit.
_TREE_TOLERANCE = 1e-5
_CHECKED_ROWS = 64


def tree_shapley(
    model: Any, predict: kernel.Predict, instances: Any, baselines: Any, *, use_logit: bool
) -> kernel.Explanation | None:
    """Return exact Shapley values, or None where TreeExplainer does not give them.

    Parameters
    ----------
    model
        What ``shap.TreeExplainer`` takes: a booster of XGBoost or LightGBM, a tree model of scikit-learn.
    predict
        The model, asked about such matrices; its answers decide whether the values are in its units.
    instances, baselines
        Float matrices of shape (rows, features).
    use_logit
        Whether values are wanted in log-odds.
    """
    if use_logit and len(baselines) > 1:
        return None
    shap = import_module("shap")  # only jobs that take the shortcut wait for it
    # The boosters compare in float32; values between two of its steps would take the other branch.
    rows = np.asarray(instances, dtype=np.float32).astype(np.float64)
    reference = np.asarray(baselines, dtype=np.float32).astype(np.float64)
    try:
        how = {"feature_perturbation": "interventional", "model_output": "raw"}
        explainer = shap.TreeExplainer(model, data=reference, **how)
        checked = _local(explainer, rows[:_CHECKED_ROWS])
        expected = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    except Exception:
        # shap raises anything at all for models that it does not know; coalitions serve those.
        return None
    if expected.shape != checked.shape[1:2]:
        return None
    answers = _scores(predict(instances[:_CHECKED_ROWS]))
    base = _scores(predict(baselines)).mean(axis=0)
    pairs = ((expected + checked.sum(axis=2), answers), (expected, base))
    if not all(_same(ours, theirs, use_logit, _TREE_TOLERANCE) for ours, theirs in pairs):
        return None
    local = checked if len(rows) <= _CHECKED_ROWS else _local(explainer, rows)
    return kernel.exact_explanation(local, expected, model_rows=len(answers) + len(baselines))


def _local(explainer: Any, rows: Floats) -> Floats:
    """Return values of shape (rows, outputs, features)."""
    values = np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=np.float64)
    return values[:, None, :] if values.ndim == 2 else values.transpose(0, 2, 1)


def _scores(answers: Any) -> Floats:
    scores = np.asarray(answers, dtype=np.float64)
    return scores[:, None] if scores.ndim == 1 else scores


def _same(sums: Floats, answers: Floats, use_logit: bool, tolerance: float) -> bool:
    """Return whether sums of values are the model's answers, compared where float32 answers are precise."""
    if use_logit:
        sums = 1.0 / (1.0 + np.exp(-sums))
    return sums.shape == answers.shape and np.allclose(sums, answers, rtol=tolerance, atol=tolerance)


# Shapley values of linear models, in closed form.


def linear_shapley(weights: Any, intercept: Any, instances: Any, baselines: Any) -> kernel.Explanation:
    """Return ``phi_i = w_i (x_i - b_i)``, ``b`` being the mean of the baseline rows.

    Exact in the units of the linear predictor: the answer itself for regression, log-odds for a logistic
    model with one baseline row.

    Parameters
    ----------
    weights
        Shape (features,) or (outputs, features).
    intercept
        A number, or one per output.
    instances, baselines
        Shape (rows, features).
    """
    matrix = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    rows, reference = np.asarray(instances, dtype=np.float64), np.asarray(baselines, dtype=np.float64)
    mean = reference.mean(axis=0)
    local = matrix[None] * (rows - mean)[:, None, :]
    return kernel.exact_explanation(local, matrix @ mean + np.broadcast_to(intercept, len(matrix)))


# Loading shap takes as long as asking trees about several million rows.
MODEL_ROWS_WORTH_IT = 5_000_000
_TOLERANCE = 1e-4
# Log-odds beyond it are clipped, which is not linear.
_LARGEST_LOGIT = float(np.log1p(-kernel.LOGIT_CLIP) - np.log(kernel.LOGIT_CLIP))


_log = logging.getLogger("monitor.feature_attribution")


def open_shortcut(
    model: Model, ask: Ask, sampling: kernel.Sampling, features: tuple[str, ...], rows: int | None
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
        return partial(_linear, native, ask, sampling.use_logit) if linear else None
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

    def __call__(self, rows: pa.RecordBatch, baseline: pa.RecordBatch) -> kernel.Explanation | None:
        """Return the values of some rows, None where TreeExplainer does not give them."""
        if self._useless or not (_is_numeric(rows) and _is_numeric(baseline)):
            return None
        names = rows.schema.names

        def predict(matrix: Floats) -> Floats:
            return self.ask(pa.RecordBatch.from_arrays([pa.array(column) for column in matrix.T], names))

        matrix = _matrix(rows)
        answers = predict(matrix)
        found = tree_shapley(self.native, predict, matrix, _matrix(baseline), use_logit=self.use_logit)
        if found is None or not _same(found.predictions, answers, self.use_logit, _TOLERANCE):
            _log.info("TreeExplainer does not give the values of this model, so coalitions are asked")
            self._useless = True
            return None
        return replace(found, model_rows=found.model_rows + len(answers))


def _linear(
    model: LinearModel, ask: Ask, use_logit: bool, rows: pa.RecordBatch, baseline: pa.RecordBatch
) -> kernel.Explanation | None:
    """Return the values of some rows of a model whose answers, or their log-odds, are weighted sums.

    None where they are not to be had in closed form.
    """
    if not (_is_numeric(rows) and _is_numeric(baseline)):
        return None
    if use_logit and baseline.num_rows > 1:
        return None  # log-odds of a mean are no mean of log-odds
    answers = np.concatenate((ask(baseline), ask(rows)))
    found = linear_shapley(model.weights.T, model.bias, _matrix(rows), _matrix(baseline))
    # How far from zero the sums of coalitions get.
    highest = found.expected + np.maximum(found.local, 0.0).sum(axis=2)
    lowest = found.expected + np.minimum(found.local, 0.0).sum(axis=2)
    if use_logit and max(highest.max(initial=0.0), -lowest.min(initial=0.0)) >= _LARGEST_LOGIT:
        return None
    if not _same(found.predictions, answers[baseline.num_rows :], use_logit, _TOLERANCE):
        return None
    return replace(found, model_rows=len(answers))


def _is_numeric(rows: pa.RecordBatch) -> bool:
    return all(map(is_number, rows.schema.types))


def _matrix(rows: pa.RecordBatch) -> Floats:
    """Return the rows as numbers, missing values as NaN."""
    columns = [*map(floats, rows.columns)]
    return np.stack(columns, axis=1) if columns else np.zeros((rows.num_rows, 0))
