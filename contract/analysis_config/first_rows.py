"""The first rows of a dataset, from which its columns are known."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from contract.datasets.plan import plan_dataset
from contract.datasets.request import DatasetRequest, NotSplittable


def first_batch(request: DatasetRequest) -> pa.RecordBatch | None:
    """Return the first rows, of any window and without labels from elsewhere; None when there are none."""
    request = replace(request, window=None, ground_truth_source=None, beside=())
    for whole_files in (False, True):
        try:
            for split in plan_dataset(request, whole_files=whole_files).splits:
                batch = next(split.batches(), None)
                if batch is not None:
                    return batch
            return None
        except NotSplittable:
            continue
    return None


def column_names(request: DatasetRequest) -> tuple[str, ...]:
    """Return the names of a dataset's columns, none when it has no rows."""
    batch = first_batch(request)
    return () if batch is None else tuple(batch.schema.names)
