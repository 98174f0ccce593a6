"""Columns found by plain paths in many JSON values at once.

What does not fit raises `NotBulkError`, and the block is read record by record. Both give the same columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.datasets.flatten import flatten_batch
from contract.datasets.json_path import PlainPath, plain_path
from contract.datasets.locations import PREFIX, Locations
from contract.datasets.payload_columns import Counts, NotBulkError
from contract.errors import DatasetError

_PLAIN = (pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.null())


@dataclass(frozen=True)
class BulkPaths:
    """The plain paths of `Locations`."""

    features: PlainPath
    others: tuple[PlainPath | None, ...]


def bulk_paths(locations: Locations) -> BulkPaths | None:
    """Return the paths when all of them are plain; a location without a path stays None."""
    features = None if locations.features is None else plain_path(locations.features)
    others = tuple(None if other.path is None else plain_path(other.path) for other in locations.others)
    if any(other.classes for other in locations.others):
        return None
    plain = all(
        path is not None or other.path is None for path, other in zip(others, locations.others, strict=True)
    )
    return BulkPaths(features, others) if features is not None and plain else None


def values_at(records: pa.Array, path: PlainPath) -> tuple[pa.Array, Counts]:
    """Return what a path finds, and how many values in each record.

    Parameters
    ----------
    records
        Objects, or lists for a projection without names before it.
    """
    found = _members(records, path.before)
    if not path.projects:
        if types.is_list(found.type) and types.is_struct(found.type.value_type):
            raise NotBulkError("records of several rows")
        return found, np.ones(len(found), np.int64)
    if not types.is_list(found.type) or found.null_count:
        raise NotBulkError("a projection over what is no list")
    counts = pc.list_value_length(found).to_numpy(zero_copy_only=False).astype(np.int64)
    return _members(pc.list_flatten(found), path.after), counts


def bulk_batch(
    features: pa.Array,
    counts: Counts,
    others: Mapping[str, tuple[pa.Array, Counts]],
    locations: Locations,
    kinds: Mapping[str, pa.DataType],
) -> pa.RecordBatch:
    """Return rows as columns, the features first.

    Parameters
    ----------
    features
        One list or object for each row.
    counts
        Rows by record.
    others
        Values of the further columns, and how many by record.
    kinds
        Types of features as the first records have them: in a list of integers and floats, Arrow makes all
        of them floats.

    Raises
    ------
    NotBulkError
        When records have to be looked at one by one.
    """
    columns = _feature_columns(features, locations.headers, kinds)
    for name, (values, found) in others.items():
        if not np.array_equal(found, counts) or not _is_plain(values.type):
            raise NotBulkError(f"{name} is not one value for each row")
        columns[name] = values
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def _members(values: pa.Array, names: tuple[str, ...]) -> pa.Array:
    for name in names:
        if not types.is_struct(values.type):
            raise NotBulkError(f"{name} of what is no object")
        if values.type.get_field_index(name) < 0:
            return pa.nulls(len(values))
        values = pc.struct_field(values, name)
    return values


def _feature_columns(
    rows: pa.Array, headers: tuple[str, ...], kinds: Mapping[str, pa.DataType]
) -> dict[str, pa.Array]:
    if rows.null_count:
        raise NotBulkError("records without features")
    if types.is_struct(rows.type):
        if not rows.type.num_fields:
            raise NotBulkError("features without members")
        batch = pa.RecordBatch.from_arrays(rows.flatten(), [field.name for field in rows.type])
        try:
            batch = flatten_batch(batch)
        except DatasetError as error:
            raise NotBulkError(error.message) from error
        return dict(zip(batch.schema.names, batch.columns, strict=True))
    if not types.is_list(rows.type) or not _is_plain(rows.type.value_type):
        raise NotBulkError("features are neither cells nor members")
    widths = pc.unique(pc.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise NotBulkError("rows differ in their number of features")
    width, cells = widths[0], pc.list_flatten(rows)
    names = headers if len(headers) == width else tuple(f"{PREFIX}{at}" for at in range(width))
    table = cells.to_numpy(zero_copy_only=False).reshape(-1, width) if _is_dense(cells) else None
    return {
        name: _cell_column(
            pa.array(np.ascontiguousarray(table[:, at]))
            if table is not None
            else cells.take(pa.array(np.arange(at, len(cells), width))),
            kinds.get(name),
        )
        for at, name in enumerate(names)
    }


def _cell_column(column: pa.Array, kind: pa.DataType | None) -> pa.Array:
    """Return a column of cells with the type it would have by itself."""
    if types.is_null(column.type) or column.null_count == len(column):
        return pa.nulls(len(column))
    if types.is_floating(column.type):
        if kind is None:
            raise NotBulkError("whether these are integers is not known")
        if types.is_integer(kind):
            try:
                return column.cast(kind)
            except pa.ArrowInvalid:
                return column
    return column


def _is_dense(cells: pa.Array) -> bool:
    return not cells.null_count and (types.is_integer(cells.type) or types.is_floating(cells.type))


def _is_plain(kind: pa.DataType) -> bool:
    return kind in _PLAIN
