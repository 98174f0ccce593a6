"""Synthetic rows: each column holds the explained row's value or the baseline's.

A mixture of two rows needs no arithmetic, so any type of column can be explained: strings, categories and
missing values as well as numbers. Two rows are alike in a column when their values are the same, missing
being the same as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


class Rows:
    """Explained rows and baseline rows, record batches with the same columns.

    Raises
    ------
    ConfigurationError
        When the baseline does not have the columns of the instances.
    """

    def __init__(self, instances: pa.RecordBatch, baselines: pa.RecordBatch) -> None:
        self._instances = instances
        self._baselines = baselines = _fitting(baselines, instances.schema)
        # Baseline rows come first in every pool of values, then the instances.
        self._pools = [
            pa.concat_arrays([plain_values(baseline), plain_values(instance)])
            for baseline, instance in zip(baselines.columns, instances.columns, strict=True)
        ]
        self._numbers = [
            pool.to_numpy(zero_copy_only=False) if pool.null_count == 0 and _is_number(pool.type) else None
            for pool in self._pools
        ]
        self._codes = np.stack([value_codes(pool) for pool in self._pools], axis=1)

    def differing(self) -> Masks:
        """Return where an instance differs from any baseline row, shape (instances, columns)."""
        count = self._baselines.num_rows
        instances = self._codes[count:]
        different = np.zeros(instances.shape, dtype=np.bool_)
        for baseline in self._codes[:count]:
            different |= instances != baseline
        return different

    def first_alike(self) -> Positions:
        """Return for every instance the position of the first that is identical to it."""
        codes = np.ascontiguousarray(self._codes[self._baselines.num_rows :])
        if not codes.shape[1]:
            return np.zeros(len(codes), dtype=np.int64)
        whole = codes.view(np.dtype((np.void, codes.shape[1] * codes.itemsize))).reshape(-1)
        _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
        return first[inverse].astype(np.int64)

    def instances(self, positions: Positions) -> pa.RecordBatch:
        """Return a table of these instances."""
        return self._instances.take(pa.array(positions))

    def baselines(self) -> pa.RecordBatch:
        """Return the table of baseline rows."""
        return self._baselines

    def mixed(self, mixtures: Sequence[Mixture]) -> pa.RecordBatch:
        """Return a table of all rows wanted, one mixture after the other."""
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


def _fitting(baselines: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
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
        while waiting < count and (batch := next(self._batches, None)) is not None:
            if batch.num_rows:
                self._waiting.append(batch)
                self.rows_read += batch.num_rows
                waiting += batch.num_rows
        if not waiting:
            return None
        taken: list[pa.RecordBatch] = []
        while count and self._waiting:
            batch = self._waiting.pop(0)
            if batch.num_rows > count:
                self._waiting.insert(0, batch.slice(count))
            taken.append(batch.slice(0, count))
            count -= taken[-1].num_rows
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
            parts = [plain_values(part) for part in parts]
            arrays.append(pa.concat_arrays([part.cast(kind, safe=False) for part in parts]))
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
