"""One pass over the dataset before the model is asked: how many rows there are, and some of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from analyzers.feature_attribution.stream import FeatureStream
from contract.datasets.plan import Plan, plan_dataset
from contract.datasets.request import DatasetRequest, NotSplittable

# Rows that clusters are made from, and what is read at a time.
SAMPLED_ROWS = 20_000
_BLOCK_ROWS = 65_536
# Larger datasets are not read an extra time only to tell how long is left.
MOST_BYTES_COUNTED = 256 << 20


def count_rows(plan: Plan, request: DatasetRequest) -> int | None:
    """Return the number of rows, None where finding out would take long or run a user's script twice."""
    if plan.total_bytes > MOST_BYTES_COUNTED or request.preprocessor is not None:
        return None
    try:
        rows: int = sum(batch.num_rows for batch in _batches(plan))
    except NotSplittable:
        return None
    return rows


def sample_rows(plan: Plan, request: DatasetRequest, features: tuple[str, ...], seed: int) -> pa.RecordBatch:
    """Return at most `SAMPLED_ROWS` rows, each with the same chance, in the order of the data.

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
    """
    try:
        return _sample(_batches(plan), features, seed)
    except NotSplittable:
        whole = plan_dataset(request, whole_files=True)
        return _sample(_batches(whole), features, seed)


def _sample(batches: Iterator[pa.RecordBatch], features: tuple[str, ...], seed: int) -> pa.RecordBatch:
    generator = np.random.default_rng([seed, 1])
    empty = pa.RecordBatch.from_arrays([pa.nulls(0) for _ in features], names=list(features))
    kept: list[pa.RecordBatch] = []
    keys = np.zeros(0)
    stream = FeatureStream(batches, features, empty)
    while (block := stream.take(_BLOCK_ROWS)) is not None:
        kept.append(block)
        keys = np.concatenate((keys, generator.random(block.num_rows)))
        if len(keys) > SAMPLED_ROWS:
            # The rows with the smallest keys are a sample whatever comes later.
            chosen = np.sort(np.argpartition(keys, SAMPLED_ROWS)[:SAMPLED_ROWS])
            kept = [_joined(kept, features, empty).take(pa.array(chosen))]
            keys = keys[chosen]
    return _joined(kept, features, empty)


def _joined(
    batches: list[pa.RecordBatch], features: tuple[str, ...], empty: pa.RecordBatch
) -> pa.RecordBatch:
    rows = sum(batch.num_rows for batch in batches)
    joined = FeatureStream(batches, features, empty).take(max(1, rows))
    return empty if joined is None else joined


def _batches(plan: Plan) -> Iterator[pa.RecordBatch]:
    for split in plan.splits:
        yield from split.batches()
