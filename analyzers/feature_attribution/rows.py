"""Synthetic rows: each column holds the explained row's value or the baseline's.

A mixture of two rows needs no arithmetic, so any type of column can be explained: strings, categories and
missing values as well as numbers. Two rows are alike in a column when their values are the same, missing
being the same as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analyzers.feature_attribution.solve import Masks
from contract.errors import ConfigurationError

type Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Mixture:
    """Rows wanted: every instance with every baseline row under every mask, in this order of nesting.

    Parameters
    ----------
    instances
        Positions of explained rows.
    masks
        Shape (coalitions, columns); True keeps the instance's value.
    """

    instances: Positions
    masks: Masks


class Rows(Protocol):
    """Explained rows and baseline rows of one table type."""

    def differing(self) -> Masks:
        """Return where an instance differs from any baseline row, shape (instances, columns)."""

    def first_alike(self) -> Positions:
        """Return for every instance the position of the first that is identical to it."""

    def instances(self, positions: Positions) -> Any:
        """Return a table of these instances."""

    def baselines(self) -> Any:
        """Return the table of baseline rows."""

    def mixed(self, mixtures: Sequence[Mixture]) -> Any:
        """Return a table of all rows wanted, one mixture after the other."""


def open_rows(instances: Any, baselines: Any) -> Rows:
    """Return the rows of two matrices, float or object, or of two record batches.

    Raises
    ------
    ConfigurationError
        When the baseline does not have the columns of the instances.
    """
    if isinstance(instances, pa.RecordBatch):
        return BatchRows(instances, _fitting(baselines, instances.schema))
    instances, baselines = np.asarray(instances), np.asarray(baselines)
    if baselines.ndim != 2 or baselines.shape[1] != instances.shape[1]:
        raise ConfigurationError(
            f"The SHAP baseline has {baselines.shape[-1] if baselines.ndim else 0} columns, the rows to "
            f"explain have {instances.shape[1]}; give one value per feature, in their order."
        )
    if instances.dtype == object or baselines.dtype == object:
        return MatrixRows(instances.astype(object), baselines.astype(object))
    return MatrixRows(instances.astype(np.float64, copy=False), baselines.astype(np.float64, copy=False))


class MatrixRows:
    """Rows of float64 or object matrices, shape (rows, columns)."""

    def __init__(self, instances: NDArray[Any], baselines: NDArray[Any]) -> None:
        self._instances = instances
        self._baselines = baselines

    def differing(self) -> Masks:
        """Return where an instance differs from any baseline row."""
        different = np.zeros(self._instances.shape, dtype=np.bool_)
        missing = _missing(self._instances)
        for baseline in self._baselines:
            both_missing = missing & _missing(baseline[None])
            different |= (self._instances != baseline).astype(np.bool_) & ~both_missing
        return different

    def first_alike(self) -> Positions:
        """Return the first identical instance of each."""
        if self._instances.dtype == object:
            return _first_alike(np.stack([_codes(column) for column in self._instances.T], axis=1))
        return _first_alike(np.where(np.isnan(self._instances), np.nan, self._instances).view(np.int64))

    def instances(self, positions: Positions) -> NDArray[Any]:
        """Return these instances."""
        return self._instances[positions]

    def baselines(self) -> NDArray[Any]:
        """Return the baseline rows."""
        return self._baselines

    def mixed(self, mixtures: Sequence[Mixture]) -> NDArray[Any]:
        """Return the rows wanted."""
        columns = self._instances.shape[1]
        parts = [
            np.where(
                wanted.masks[None, None],
                self._instances[wanted.instances][:, None, None, :],
                self._baselines[None, :, None, :],
            ).reshape(-1, columns)
            for wanted in mixtures
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class BatchRows:
    """Rows of record batches with the same schema."""

    def __init__(self, instances: pa.RecordBatch, baselines: pa.RecordBatch) -> None:
        self._instances = instances
        self._baselines = baselines
        # Baseline rows come first in every pool of values, then the instances.
        self._pools = [
            pa.concat_arrays([plain_values(baseline), plain_values(instance)])
            for baseline, instance in zip(baselines.columns, instances.columns, strict=True)
        ]
        self._numbers = [
            pool.to_numpy(zero_copy_only=False)
            if pool.null_count == 0 and (pa.types.is_floating(pool.type) or pa.types.is_integer(pool.type))
            else None
            for pool in self._pools
        ]
        self._codes = np.stack([value_codes(pool) for pool in self._pools], axis=1)

    def differing(self) -> Masks:
        """Return where an instance differs from any baseline row."""
        count = self._baselines.num_rows
        instances = self._codes[count:]
        different = np.zeros(instances.shape, dtype=np.bool_)
        for baseline in self._codes[:count]:
            different |= instances != baseline
        return different

    def first_alike(self) -> Positions:
        """Return the first identical instance of each."""
        return _first_alike(self._codes[self._baselines.num_rows :])

    def instances(self, positions: Positions) -> pa.RecordBatch:
        """Return these instances."""
        return self._instances.take(pa.array(positions))

    def baselines(self) -> pa.RecordBatch:
        """Return the baseline rows."""
        return self._baselines

    def mixed(self, mixtures: Sequence[Mixture]) -> pa.RecordBatch:
        """Return the rows wanted."""
        arrays = [
            self._mixed_column(column, mixtures).cast(field.type, safe=False)
            for column, field in enumerate(self._instances.schema)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._instances.schema)

    def _mixed_column(self, column: int, mixtures: Sequence[Mixture]) -> pa.Array:
        count = self._baselines.num_rows
        numbers = self._numbers[column]
        source = np.arange(len(self._pools[column]), dtype=np.int32) if numbers is None else numbers
        parts = []
        for wanted in mixtures:
            kept = source[count + wanted.instances][:, None, None]
            replaced = source[:count][None, :, None]
            parts.append(np.where(wanted.masks[:, column][None, None], kept, replaced).reshape(-1))
        mixed = pa.array(np.concatenate(parts))
        return mixed if numbers is not None else self._pools[column].take(mixed)


def _fitting(baselines: Any, schema: pa.Schema) -> pa.RecordBatch:
    """Return the baseline rows in the schema of the instances."""
    if baselines.num_columns != len(schema):
        raise ConfigurationError(
            f"The SHAP baseline has {baselines.num_columns} columns, the rows to explain have {len(schema)}; "
            "give one value per feature, in their order."
        )
    arrays = []
    for array, field in zip(baselines.columns, schema, strict=True):
        try:
            arrays.append(plain_values(array).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            # Invalid is text that is no number, or 1.5 for a whole one; not implemented, a list for either.
            raise ConfigurationError(
                f"methods.shap.baseline: the value for feature {field.name!r} is {array.type}, which does "
                f"not fit the rows' {field.type} ({error}); give a value of the feature's own type."
            ) from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def plain_values(array: pa.Array) -> pa.Array:
    """Return the values of a dictionary array; other arrays as they are."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def value_codes(array: pa.Array) -> NDArray[np.int64]:
    """Return a number for every value of an array, the same for the same values; missing is a value."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.int64)
    encoded = pc.dictionary_encode(plain_values(array), null_encoding="encode")
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def _missing(values: NDArray[Any]) -> Masks:
    # NaN is the only value unequal to itself; None is equal to None already.
    return np.asarray(values != values, dtype=np.bool_)


def _codes(column: NDArray[Any]) -> NDArray[np.int64]:
    """Return a number for every value, the same for the same values."""
    known: dict[Any, int] = {}
    codes = np.empty(len(column), dtype=np.int64)
    for row, value in enumerate(column.tolist()):
        codes[row] = known.setdefault("\0NaN" if value != value else (type(value), value), len(known))
    return codes


def _first_alike(codes: NDArray[np.int64]) -> Positions:
    if not codes.shape[1]:
        return np.zeros(len(codes), dtype=np.int64)
    rows = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.shape[1] * codes.itemsize))).reshape(-1)
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


# The feature columns of record batches, as a stream from which any number of rows can be taken.


class FeatureStream:
    """Rows of feature columns, in order, whatever batches they came in.

    Parameters
    ----------
    batches
        Of one split. A column that a batch lacks is missing in its rows.
    columns
        To keep, in this order.
    baseline
        Gives columns their type where the data holds nothing or whole numbers only.
    """

    def __init__(
        self, batches: Iterable[pa.RecordBatch], columns: Sequence[str], baseline: pa.RecordBatch
    ) -> None:
        self._batches = iter(batches)
        self._columns = columns
        self._baseline = {field.name: field.type for field in baseline.schema}
        self._waiting: list[pa.RecordBatch] = []
        self.rows_read = 0

    def take(self, count: int) -> pa.RecordBatch | None:
        """Return the next `count` rows, fewer at the end; None when there are none."""
        waiting = sum(batch.num_rows for batch in self._waiting)
        while waiting < count:
            batch = next(self._batches, None)
            if batch is None:
                break
            if batch.num_rows:
                self._waiting.append(batch)
                self.rows_read += batch.num_rows
                waiting += batch.num_rows
        if not waiting:
            return None
        taken: list[pa.RecordBatch] = []
        while count and self._waiting:
            batch = self._waiting.pop(0)
            part = batch.slice(0, count)
            if batch.num_rows > count:
                self._waiting.insert(0, batch.slice(count))
            taken.append(part)
            count -= part.num_rows
        return self._together(taken)

    def skip_rest(self) -> None:
        """Count the rows that are left."""
        self._waiting.clear()
        for batch in self._batches:
            self.rows_read += batch.num_rows

    def _together(self, batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        rows = sum(batch.num_rows for batch in batches)
        arrays = []
        for name in self._columns:
            parts = [
                batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)
                for batch in batches
            ]
            kind = common_type([part.type for part in parts], self._baseline.get(name))
            arrays.append(pa.concat_arrays([_converted(part, kind) for part in parts]))
        if not arrays:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        return pa.RecordBatch.from_arrays(arrays, names=list(self._columns))


def common_type(kinds: Sequence[pa.DataType], baseline: pa.DataType | None = None) -> pa.DataType:
    """Return a type that holds values of all of `kinds`, and the baseline's where that is a number.

    Booleans beside numbers, and anything beside text, become text; so do dictionaries, whose values the
    model is sent.
    """
    plain = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
    found = dict.fromkeys(kind for kind in plain if not pa.types.is_null(kind))
    if not found:
        return baseline if baseline is not None else pa.null()
    if all(_is_number(kind) for kind in found):
        if baseline is not None and _is_number(baseline):
            found[baseline] = None
        return pa.int64() if all(pa.types.is_signed_integer(kind) for kind in found) else pa.float64()
    return next(iter(found)) if len(found) == 1 else pa.string()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _converted(array: pa.Array, kind: pa.DataType) -> pa.Array:
    array = plain_values(array)
    return array if array.type == kind else array.cast(kind, safe=False)
