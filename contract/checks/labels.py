"""Which share of the captured rows has a label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from contract.datasets.ground_truth_columns import LABEL
from contract.datasets.plan import plan_dataset
from contract.datasets.request import DatasetRequest
from contract.errors import DatasetError
from contract.settings import Settings

_CAPTURES = ("sagemakerCaptureJson", "sagemakerMergeJson")
# Enough to tell a share to a per cent, read in a few seconds.
_MOST_ROWS = 100_000
# What captures whose columns a configuration locates call their label.
_LOCATED = "label"


def expects_labels(settings: Settings, request: DatasetRequest) -> bool:
    """Return whether the rows are captures that get their labels from elsewhere."""
    attribute = settings.ground_truth_attribute
    elsewhere = attribute is None or attribute.startswith(LABEL) or request.locations is not None
    wanted = request.labels or request.ground_truth_source is not None
    return request.format.kind in _CAPTURES and wanted and elsewhere


def require_labels(request: DatasetRequest) -> Iterator[str]:
    """Yield a line with the share of rows that have a label.

    Raises
    ------
    DatasetError
        When no row has one, with the likely causes.
    """
    rows = labelled = 0
    for split in plan_dataset(replace(request, prediction=None, segments=())).splits:
        for batch in split.batches():
            rows += batch.num_rows
            labelled += _labelled(batch)
        if rows >= _MOST_ROWS:
            break
    if not rows:
        return
    seen = f"the first {rows}" if rows >= _MOST_ROWS else str(rows)
    if labelled:
        yield f"{labelled / rows:.0%} of {seen} captured rows have a label ({labelled})"
        return
    if request.ground_truth_source is None:
        raise DatasetError(
            f"none of {seen} captured rows has a label, and ground_truth_source is not set; set it to the "
            "folder with the labels, or run merge-ground-truth before and read what it writes."
        )
    raise DatasetError(
        f"none of {seen} captured rows has a label in {request.ground_truth_source}; either ids differ "
        "(eventMetadata.eventId of a label must be the inferenceId that was sent with the call, else the "
        "capture's eventId), or labels of this window have not arrived yet (look further back with "
        "start_time_offset and end_time_offset, such as -P1D), or they are of another endpoint."
    )


def _labelled(batch: pa.RecordBatch) -> int:
    present = [
        column.is_valid().to_numpy(zero_copy_only=False)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if name in (_LOCATED, LABEL) or name.startswith(f"{LABEL}.")
    ]
    if not present:
        return 0
    together = present[0]
    for more in present[1:]:
        together = together | more
    return int(together.sum())
