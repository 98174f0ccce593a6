"""Between record batches and pandas data frames, for scripts that work on whole columns.

pandas is imported here and nowhere else, and only when a script asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import types

from contract.datasets.flatten import flatten_batch
from contract.datasets.rows import column_of, rows_to_batch
from contract.errors import DatasetError, ScriptError


def apply_to_batch(change: Callable[[Any], Any], batch: pa.RecordBatch, script: str) -> pa.RecordBatch:
    """Return what `change` makes of the batch, given to it as a DataFrame.

    Parameters
    ----------
    change
        DataFrame to DataFrame, with any number of rows.
    batch
        Flat columns. Text arrives as objects, whole numbers with missing values as floats.
    script
        Path of the script, for errors.

    Returns
    -------
    Flat columns; the metadata of `batch` when the names are unchanged.

    Raises
    ------
    ScriptError
        When pandas is not installed, or `change` returns something else than a DataFrame with distinct
        column names and representable values.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ScriptError(
            f"{script} defines preprocess_dataframe, which needs pandas; "
            "install model-monitor-containers[dataframe]."
        ) from None
    result = change(_plain_text(batch).to_pandas())
    if not isinstance(result, pd.DataFrame):
        raise ScriptError(
            f"preprocess_dataframe in {script} returned {_type_name(result)}; return a pandas DataFrame."
        )
    try:
        flat = _flat(result, batch, script)
    except DatasetError as error:
        raise ScriptError(f"preprocess_dataframe in {script} returned an unusable value: {error}") from error
    return (
        flat.replace_schema_metadata(batch.schema.metadata)
        if flat.schema.names == batch.schema.names
        else flat
    )


def _flat(result: Any, before: pa.RecordBatch, script: str) -> pa.RecordBatch:
    """Return the columns of a data frame, flat, with the types they had where they still fit."""
    names = [str(name) for name in result.columns]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ScriptError(
            f"preprocess_dataframe in {script} returned the column {repeated!r} twice; rename or drop one."
        )
    if not names:
        return rows_to_batch([{}] * len(result))
    columns = [_column(name, result.iloc[:, position], before) for position, name in enumerate(names)]
    return flatten_batch(pa.RecordBatch.from_arrays(columns, names=names))


def _plain_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return dictionary columns as text: a script expects to compare and change text freely."""
    columns = [
        column.cast(pa.string()) if types.is_dictionary(column.type) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _column(name: str, values: Any, before: pa.RecordBatch) -> pa.Array:
    try:
        array = pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # Objects of several kinds: numbers beside text, lists beside None, ...
        return _mixed(name, values.tolist())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    known = before.schema.get_field_index(name)
    if known >= 0 and types.is_floating(array.type) and types.is_integer(before.schema.types[known]):
        try:
            return array.cast(before.schema.types[known])
        except pa.ArrowInvalid:
            return array  # the script made fractions of it
    return array


def _mixed(name: str, values: list[Any]) -> pa.Array:
    batch = rows_to_batch([{name: value} for value in values])
    if batch.schema.names == [name]:
        return batch.column(0)
    return column_of(name, [None if value is None else str(value) for value in values])


def _type_name(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
