"""Local Shapley values with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analyzers.feature_attribution.solve import RESIDUALS, Floats


@dataclass(frozen=True)
class Explanation:
    """Shapley values of rows, in the units of the model's answers (log-odds with ``use_logit``).

    Parameters
    ----------
    local
        Shape (rows, outputs, features); over features they add up to ``predictions - expected``.
    expected
        The model's mean answer on the baseline rows, shape (outputs,).
    predictions
        The model's answers on the rows, shape (rows, outputs).
    coalitions
        Coalitions asked for every row, 0 where nothing but the row itself had to be asked, shape (rows,).
    design
        Rows with the same number share coalitions, so that their errors are correlated; -1 where values
        are exact. Shape (rows,).
    residuals
        Standardized left-out residuals, shape (rows, outputs, RESIDUALS); 0 where values are exact.
    spread
        Standard error of a value for residuals of size one, shape (rows, features); 0 where exact, NaN where
        fewer pairs of coalitions were asked than there are features.
    model_rows
        Rows that the model was asked for.
    """

    local: Floats
    expected: Floats
    predictions: Floats
    coalitions: NDArray[np.int64]
    design: NDArray[np.int64]
    residuals: Floats
    spread: Floats
    model_rows: int

    @property
    def standard_error(self) -> Floats:
        """Standard error of every local value from the choice of coalitions, shape of ``local``."""
        scale = np.sqrt(np.mean(self.residuals**2, axis=2))
        return scale[:, :, None] * self.spread[:, None, :]


def exact_explanation(local: Floats, expected: Floats, model_rows: int = 0) -> Explanation:
    """Return values that were not estimated from coalitions, such as those of a shortcut.

    Parameters
    ----------
    local
        Shape (rows, outputs, features).
    expected
        Shape (outputs,).
    model_rows
        Rows that the model was asked for.
    """
    rows, outputs, features = local.shape
    return Explanation(
        local=local,
        expected=expected,
        predictions=expected + local.sum(axis=2),
        coalitions=np.zeros(rows, dtype=np.int64),
        design=np.full(rows, -1, dtype=np.int64),
        residuals=np.zeros((rows, outputs, RESIDUALS)),
        spread=np.zeros((rows, features)),
        model_rows=model_rows,
    )


def concatenate(parts: Sequence[Explanation]) -> Explanation:
    """Return explanations of consecutive rows by the same model and baseline as one."""
    return Explanation(
        local=np.concatenate([part.local for part in parts]),
        expected=parts[0].expected,
        predictions=np.concatenate([part.predictions for part in parts]),
        coalitions=np.concatenate([part.coalitions for part in parts]),
        design=np.concatenate([part.design for part in parts]),
        residuals=np.concatenate([part.residuals for part in parts]),
        spread=np.concatenate([part.spread for part in parts]),
        model_rows=sum(part.model_rows for part in parts),
    )
