"""Asking the model, and saying every few seconds how far the job is."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analyzers.feature_attribution.rows import FeatureStream
from analyzers.feature_attribution.summary import Budget
from contract.dataset import Dataset, Plan
from model_clients.model import Model
from readers.dataset import NotSplittable
from readers.plan import plan_dataset

# One pass over the dataset before the model is asked: how many rows there are, and some of them.


# Rows that clusters are made from, and what is read at a time.
SAMPLED_ROWS = 20_000
_BLOCK_ROWS = 65_536
# Larger datasets are not read an extra time only to tell how long is left.
MOST_BYTES_COUNTED = 256 << 20


def count_rows(plan: Plan, request: Dataset) -> int | None:
    """Return the number of rows, None where finding out would take long or run a user's script twice."""
    if plan.total_bytes > MOST_BYTES_COUNTED or request.preprocessor is not None:
        return None
    try:
        rows: int = sum(batch.num_rows for batch in _batches(plan))
    except NotSplittable:
        return None
    return rows


def sample_rows(
    plan: Plan, request: Dataset, features: tuple[str, ...], seed: int, most: int | None = None
) -> pa.RecordBatch:
    """Return at most so many rows, `SAMPLED_ROWS` by default, each with the same chance, in their order.

    Parameters
    ----------
    plan
        The dataset.
    request
        What the plan was made of, in case it must be made anew with whole files.
    features
        The columns to keep.
    seed
        Of the choice.
    most
        Rows.
    """
    most = most or SAMPLED_ROWS
    try:
        return _sample(_batches(plan), features, seed, most)
    except NotSplittable:
        whole = plan_dataset(request, whole_files=True)
        return _sample(_batches(whole), features, seed, most)


def _sample(
    batches: Iterator[pa.RecordBatch], features: tuple[str, ...], seed: int, most: int
) -> pa.RecordBatch:
    generator = np.random.default_rng([seed, 1])
    empty = pa.RecordBatch.from_arrays([pa.nulls(0) for _ in features], names=list(features))

    def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        rows = sum(batch.num_rows for batch in batches)
        return FeatureStream(batches, features, empty).take(max(1, rows)) or empty

    kept: list[pa.RecordBatch] = []
    keys = np.zeros(0)
    stream = FeatureStream(batches, features, empty)
    while (block := stream.take(_BLOCK_ROWS)) is not None:
        kept.append(block)
        keys = np.concatenate((keys, generator.random(block.num_rows)))
        if len(keys) > most:
            # The rows with the smallest keys are a sample whatever comes later.
            chosen = np.sort(np.argpartition(keys, most)[:most])
            kept = [joined(kept).take(pa.array(chosen))]
            keys = keys[chosen]
    return joined(kept)


def _batches(plan: Plan) -> Iterator[pa.RecordBatch]:
    for split in plan.splits:
        yield from split.batches()


INTERVAL = 10.0
_FIRST = 1.0

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
    most
        Rows the model may be asked for in all; 0 where nobody knows.
    """

    def __init__(self, model: Model, budget: Budget, rows: int | None, most: int = 0) -> None:
        self._model = model
        self._budget = budget
        self._rows = rows
        self._most = most
        self._answered = 0
        self._logged = time.monotonic() - INTERVAL + _FIRST
        # A job that fails forgets the model anywhere on its way; its connections are closed all the same.
        self._close = weakref.finalize(self, model.close)

    def __reduce__(self) -> tuple[object, ...]:
        # On another host it asks, and says how far it is, for itself.
        return (Asking, (self._model, self._budget, self._rows, self._most))

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
        _log.info("%s", progress(self._answered + underway, self._budget, self._rows, self._most))


def progress(answered: int, budget: Budget, rows: int | None, most: int = 0) -> str:
    """Return how far the job is as a sentence.

    Parameters
    ----------
    answered
        Rows the model has been asked for.
    budget
        Of the time and the rows.
    rows
        In the dataset; None where nobody knows.
    most
        As `Asking` has it.
    """
    explained = budget.explained
    rate = answered / max(budget.spent, 1e-9)
    text = f"Explained {explained}" + ("" if rows is None else f" of {rows}") + " rows"
    text += f", asked the model for {answered} ({rate:.0f} a second)"
    left = budget.left
    if rows is not None and explained:
        left = min(left, budget.spent * (rows - explained) / explained)
    elif most and answered:
        left = min(left, budget.spent * max(0, most - answered) / answered)
    return text + (f", about {_duration(left)} left" if left < float("inf") else "")


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"
