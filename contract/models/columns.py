"""Columns on their way to a model: by name or by position, with their types kept."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import DTypeLike, NDArray

from contract.errors import ModelError
from contract.wording import several


def plain(table: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch as it is sent: dictionaries as text, floats as float64, NaN and infinity as null."""
    columns = [_plain_column(column) for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, names=table.schema.names)


def _plain_column(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.float64())
        finite = pc.is_finite(column)
        if not pc.all(finite).as_py():
            return pc.if_else(finite, column, pa.scalar(None, pa.float64()))
    return column


def select(
    table: pa.RecordBatch, names: Sequence[str] | None, count: int | None, where: str
) -> pa.RecordBatch:
    """Return the model's columns in the model's order.

    Parameters
    ----------
    table
        The rows.
    names
        Of the model's features; None or made-up ones when it knows none.
    count
        How many features the model has; None when it does not say.
    where
        The model, for messages.

    Raises
    ------
    ModelError
        When the columns are neither the model's by name nor as many.
    """
    if names and set(names) <= set(table.schema.names):
        return table if list(names) == table.schema.names else table.select(list(names))
    expected = len(names) if names else count
    if expected is None or expected == table.num_columns:
        return table
    hint = ""
    if names and (absent := [name for name in names if name not in table.schema.names]):
        close = difflib.get_close_matches(absent[0], table.schema.names, 1)
        hint = f": it lacks {absent[0]!r}" + (f" (is that {close[0]!r}?)" if close else "")
    raise ModelError(
        f"{where} takes {several(expected, 'feature')}, but the data has "
        f"{several(table.num_columns, 'column')}{hint}; give exactly the columns the model "
        "was trained on (excluded_columns leaves out others)."
    )


def numeric_matrix(table: pa.RecordBatch, dtype: DTypeLike, where: str) -> NDArray[Any]:
    """Return the rows as numbers, shape (rows, columns), missing values as NaN.

    Raises
    ------
    ModelError
        When a column holds text.
    """
    matrix = np.empty((table.num_rows, table.num_columns), dtype=dtype)
    for number, (name, column) in enumerate(zip(table.schema.names, table.columns, strict=True)):
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            if column.null_count < len(column):
                raise ModelError(
                    f"column {name!r} is text, but {where} takes numbers only; encode it as in training, or "
                    "give the whole pipeline as an endpoint, an ONNX file or an inference.py."
                )
            column = pa.nulls(len(column), pa.float64())
        matrix[:, number] = column.to_numpy(zero_copy_only=False)
    return matrix
