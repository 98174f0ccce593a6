"""The feature columns of record batches, as a stream from which any number of rows can be taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from analyzers.feature_attribution.rows import plain_values


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
