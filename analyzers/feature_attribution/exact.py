"""Shapley values of tree ensembles through shap's TreeExplainer, only where these are the same numbers.

Interventional TreeSHAP (Lundberg and others 2020) computes the very values that enumeration does, in the
units in which trees are added up: the answer of a regression model, the log-odds of a boosted classifier.
Probabilities are no sums of trees, and log-odds of a mean over several baseline rows are no mean of
log-odds; there coalitions have to be asked.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from analyzers.feature_attribution.aggregate import Explanation, exact_explanation
from analyzers.feature_attribution.kernel import LOGIT_CLIP, Predict
from analyzers.feature_attribution.solve import Floats
from contract.errors import ConfigurationError

# Trees answer float32: their sums differ from the answer in the seventh digit.
_TOLERANCE = 1e-5
_CHECKED_ROWS = 64


def tree_shapley(
    model: Any, predict: Predict, instances: Any, baselines: Any, *, use_logit: bool
) -> Explanation | None:
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
        explainer = shap.TreeExplainer(
            model, data=reference, feature_perturbation="interventional", model_output="raw"
        )
        checked = _local(explainer, rows[:_CHECKED_ROWS])
        expected = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
    except Exception:
        # shap raises anything at all for models that it does not know; coalitions serve those.
        return None
    if expected.shape != checked.shape[1:2]:
        return None
    answers = _scores(predict(instances[:_CHECKED_ROWS]))
    base = _scores(predict(baselines)).mean(axis=0)
    if not (_same(expected + checked.sum(axis=2), answers, use_logit) and _same(expected, base, use_logit)):
        return None
    local = checked if len(rows) <= _CHECKED_ROWS else _local(explainer, rows)
    return exact_explanation(local, expected, model_rows=len(answers) + len(baselines))


def _local(explainer: Any, rows: Floats) -> Floats:
    """Return values of shape (rows, outputs, features)."""
    values = np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=np.float64)
    return values[:, None, :] if values.ndim == 2 else values.transpose(0, 2, 1)


def _scores(answers: Any) -> Floats:
    scores = np.asarray(answers, dtype=np.float64)
    return scores[:, None] if scores.ndim == 1 else scores


def _same(sums: Floats, answers: Floats, use_logit: bool) -> bool:
    """Whether sums of trees are the model's answers, compared where float32 answers are precise."""
    if sums.shape != answers.shape:
        return False
    if use_logit:
        sums = 1.0 / (1.0 + np.exp(-sums))
        return bool(np.all(np.abs(sums - answers) <= _TOLERANCE + LOGIT_CLIP))
    return bool(np.all(np.abs(sums - answers) <= _TOLERANCE * (1.0 + np.abs(answers))))


# Shapley values of linear models, in closed form.


def linear_shapley(weights: Any, intercept: Any, instances: Any, baselines: Any) -> Explanation:
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

    Raises
    ------
    ConfigurationError
        When the baseline or the weights do not have the columns of the rows.
    """
    matrix = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    rows, reference = np.asarray(instances, dtype=np.float64), np.asarray(baselines, dtype=np.float64)
    if matrix.shape[1] != rows.shape[1] or reference.shape[1] != rows.shape[1]:
        raise ConfigurationError(
            f"The linear model has {matrix.shape[1]} weights and the SHAP baseline {reference.shape[1]} "
            f"columns, but the rows to explain have {rows.shape[1]}; give one per feature, in their order."
        )
    mean = reference.mean(axis=0)
    local = matrix[None] * (rows - mean)[:, None, :]
    return exact_explanation(local, matrix @ mean + np.broadcast_to(intercept, len(matrix)))
