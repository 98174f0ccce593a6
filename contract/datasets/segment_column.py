"""A column that says which segment each row belongs to, by values or intervals of another column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.datasets.request import Split

REST = "__default__"
_NUMBER = r"([+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf))"
_INTERVAL = re.compile(rf"\s*([\[(])\s*{_NUMBER}\s*,\s*{_NUMBER}\s*([\])])\s*", re.IGNORECASE)


@dataclass(frozen=True)
class SegmentColumn:
    """How rows are divided.

    Parameters
    ----------
    name
        Of the column that is added.
    source
        The column whose values decide.
    segments
        Each is a list of values, or of intervals as text: ``[1, 4]`` holds 1 and 4, ``(1, 4)`` neither. A row
        belongs to the first that has its value.
    labels
        What the segments are called, and last the rest of the rows.
    """

    name: str
    source: str
    segments: tuple[tuple[str | int, ...], ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class DividedSplit:
    """A split with further columns that tell the segments of its rows."""

    split: Split
    columns: tuple[SegmentColumn, ...]

    @property
    def label(self) -> str:
        """Return the file and the range in it."""
        return self.split.label

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order."""
        for batch in self.split.batches():
            divided = batch
            for column in self.columns:
                divided = divided.append_column(column.name, segments_of(batch, column))
            yield divided


def segments_of(batch: pa.RecordBatch, column: SegmentColumn) -> pa.DictionaryArray:
    """Return the label of each row's segment.

    Parameters
    ----------
    batch
        Rows; where the source column is missing, all belong to the rest.
    """
    codes = np.full(batch.num_rows, len(column.segments), np.int32)
    if column.source in batch.schema.names:
        values = batch.column(column.source)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        # The first of several that hold a value wins, so it is written last.
        for number in reversed(range(len(column.segments))):
            for member in column.segments[number]:
                codes[_holds(values, member)] = number
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(column.labels, pa.string()))


def is_interval(text: str | int) -> bool:
    """Return whether a member of a segment is an interval."""
    return isinstance(text, str) and _INTERVAL.fullmatch(text) is not None


def _holds(values: pa.Array, member: str | int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if numeric:
        # Beyond 2**53 Arrow refuses to compare integers with floats unless told that digits may go.
        values = values.cast(pa.float64(), safe=False)
    match = _INTERVAL.fullmatch(member) if isinstance(member, str) else None
    if match is not None and numeric:
        low = (pc.greater_equal if match[1] == "[" else pc.greater)(values, float(match[2]))
        high = (pc.less_equal if match[4] == "]" else pc.less)(values, float(match[3]))
        inside = pc.and_(low, high)
    elif numeric:
        try:
            inside = pc.equal(values, float(member))
        except ValueError:
            return np.zeros(len(values), bool)
    else:
        inside = pc.equal(values.cast(pa.string()), str(member))
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = pc.fill_null(inside, False).to_numpy(
        zero_copy_only=False
    )
    return found
