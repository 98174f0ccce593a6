"""Blocks of captures whose columns are found by plain paths, without a step per record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.datasets.capture import times_in_window
from contract.datasets.capture_bulk import Extracted, extract
from contract.datasets.capture_lines import LineBlock
from contract.datasets.ground_truth_columns import LABEL, RecordLabels, label_columns
from contract.datasets.ground_truth_index import LabelIndex
from contract.datasets.json_path import PlainPath
from contract.datasets.located_bulk import BulkPaths, bulk_batch, values_at
from contract.datasets.locations import GROUND_TRUTH, PARTS, REQUEST, Locations, typed_text
from contract.datasets.payload_columns import Counts, NotBulkError, json_values
from contract.datasets.window import Window

_SIDES = tuple(dict.fromkeys(side for sides in PARTS.values() for side in sides))

Kinds = Mapping[str, pa.DataType]


@dataclass(frozen=True)
class BulkCaptures:
    """How blocks of captures are read at once."""

    locations: Locations
    paths: BulkPaths
    window: Window | None
    index: LabelIndex | None

    def read(self, block: LineBlock, learn: Callable[[], Kinds]) -> tuple[pa.RecordBatch | None, int, int]:
        """Return the rows of a block, how many records have labels, and in how many one was found.

        Parameters
        ----------
        block
            Whole lines.
        learn
            Returns the types of features as the first records have them.

        Raises
        ------
        NotBulkError
            When the records have to be read one by one.
        """
        extracted = extract(
            block.data,
            _SIDES,
            with_times=self.window is not None,
            with_labels=True,
            with_ids=self.index is not None,
        )
        if self.window is not None:
            mask = times_in_window(extracted.times, self.window, block)
            extracted = extracted.filter(pa.array(mask))
        labels = extracted.labels or RecordLabels(pa.array([], pa.string()), pa.array([], pa.string()))
        if self.index is not None and extracted.ids is not None:
            labels = labels.updated(extracted.ids, self.index)
        if not len(labels.data):
            return None, 0, 0
        features, counts = values_at(_part(extracted, REQUEST), self.paths.features)
        others = self._others(extracted, labels, counts)
        batch = bulk_batch(features, counts, others, self.locations, learn())
        labelled = len(labels.data) - labels.data.null_count
        found = sum(
            len(others[other.name][0]) - others[other.name][0].null_count
            for other in self.locations.others
            if other.side == GROUND_TRUTH
        )
        return batch, labelled, found

    def _others(
        self, extracted: Extracted, labels: RecordLabels, counts: Counts
    ) -> dict[str, tuple[pa.Array, Counts]]:
        parts: dict[str, pa.Array] = {}
        columns = {}
        for other, path in zip(self.locations.others, self.paths.others, strict=True):
            if other.side == GROUND_TRUTH:
                columns[other.name] = _labels(labels, path, counts)
                continue
            if path is None:
                raise NotBulkError("a response without a path")
            if other.side not in parts:
                parts[other.side] = _part(extracted, other.side)
            columns[other.name] = values_at(parts[other.side], path)
        return columns


def _part(extracted: Extracted, part: str) -> pa.Array:
    """Return the parsed payloads of the request or the response, which every record must have as JSON."""
    for side in PARTS[part]:
        data = extracted.data[side]
        if data.null_count == len(data):
            continue
        if data.null_count or pc.unique(extracted.encodings[side]).to_pylist() != ["JSON"]:
            break
        return json_values(data)
    raise NotBulkError(f"a {part} that is no JSON")


def _labels(labels: RecordLabels, path: PlainPath | None, counts: Counts) -> tuple[pa.Array, Counts]:
    """Return one label for each row; missing where a record has none."""
    present = labels.data.is_valid()
    if labels.data.null_count == len(labels.data):
        return pa.nulls(int(counts.sum())), counts
    encodings = set(pc.unique(labels.encodings.filter(present)).to_pylist())
    if encodings <= {"CSV", None}:
        columns, unlike = label_columns(labels, counts)
        if len(unlike) or list(columns) != [LABEL]:
            raise NotBulkError("labels of several cells, or of another number than rows")
        return typed_text(columns[LABEL]), counts
    if encodings != {"JSON"} or path is None:
        raise NotBulkError("labels of several encodings, or without a path")
    values, found = values_at(json_values(labels.data.drop_null()), path)
    valid = present.to_numpy(zero_copy_only=False)
    if not np.array_equal(found, counts[valid]):
        raise NotBulkError("another number of labels than rows")
    if valid.all():
        return values, counts
    rows = np.repeat(valid, counts)
    where = np.cumsum(rows) - 1
    return values.take(pa.array(where, mask=~rows)), counts
