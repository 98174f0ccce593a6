"""Asking the model, and saying every few seconds how far the job is."""

from __future__ import annotations

import logging
import time
import weakref

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analyzers.feature_attribution.request import Budget
from contract.models import Model

INTERVAL = 10.0

_log = logging.getLogger("monitor.feature_attribution")


class Asking:
    """The model as a function of rows.

    Parameters
    ----------
    model
        To ask.
    budget
        Knows how many rows have been explained.
    rows
        In the dataset; None where nobody knows.
    """

    def __init__(self, model: Model, budget: Budget, rows: int | None) -> None:
        self._model = model
        self._budget = budget
        self._rows = rows
        self._answered = 0
        self._logged = time.monotonic()
        # A job that fails forgets the model anywhere on its way; its connections are closed all the same.
        self._close = weakref.finalize(self, model.close)

    def __reduce__(self) -> tuple[object, ...]:
        # On another host it asks, and says how far it is, for itself.
        return (Asking, (self._model, self._budget, self._rows))

    def __call__(self, table: pa.RecordBatch) -> NDArray[np.float64]:
        """Return the scores of some rows."""
        scores = self._model.predict(table)
        self._answered += table.num_rows
        self.log()
        return scores

    def close(self) -> None:
        """Close the model; it is not asked again."""
        self._close()

    def log(self, underway: int = 0) -> None:
        """Say how far the job is, if it has not been said for a while.

        Parameters
        ----------
        underway
            Rows answered of the call that has not ended yet.
        """
        now = time.monotonic()
        if now - self._logged < INTERVAL:
            return
        self._logged = now
        _log.info("%s", progress(self._answered + underway, self._budget, self._rows))


def progress(answered: int, budget: Budget, rows: int | None) -> str:
    """Return how far the job is as a sentence.

    Parameters
    ----------
    answered
        Rows the model has been asked for.
    budget
        Of the time and the rows.
    rows
        In the dataset; None where nobody knows.
    """
    explained = budget.explained
    rate = answered / max(budget.spent, 1e-9)
    text = f"Explained {explained}" + ("" if rows is None else f" of {rows}") + " rows"
    text += f", asked the model for {answered} ({rate:.0f} a second)"
    left = budget.left
    if rows is not None and explained:
        left = min(left, budget.spent * (rows - explained) / explained)
    return text + (f", about {_duration(left)} left" if left < float("inf") else "")


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"
