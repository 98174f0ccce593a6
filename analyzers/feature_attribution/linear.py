"""Shapley values of linear models, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyzers.feature_attribution.explanation import Explanation, exact_explanation
from contract.errors import ConfigurationError


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
