"""The payloads of one captured request or response as rows, exactly and one at a time.

A row is either a list of cells without names (CSV, JSON arrays of scalars), each a text or None, or a
mapping from names to JSON values (JSON objects).
"""

from __future__ import annotations

import base64
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from pyarrow import types

from contract.errors import DatasetError
from readers.flatten import flatten_batch, refuse_deep_nesting, refuse_leading_null
from readers.python_rows import scalar_text, without_surrogates

Row = list[str | None] | dict[str, Any]


class UndecodableError(ValueError):
    """A payload is neither text in its encoding nor anything that can be recognised."""


@dataclass(slots=True)
class Payload:
    """The rows of one payload.

    Parameters
    ----------
    rows
        At least one.
    whole
        Set for an object whose only member is a list, such as ``{"instances": [...]}``: the object as one
        row. `rows` then holds the elements of the list. `settle` decides which of the two it is.
    row_like
        For such an object, whether all elements are objects or all are lists, not scalars.
    """

    rows: list[Row]
    whole: dict[str, Any] | None = None
    row_like: bool = False


def loads(text: str | bytes) -> Any:
    """Parse JSON as found in the wild: also ``NaN``, ``Infinity`` and lone surrogates, as Python writes them.

    Raises
    ------
    ValueError
        When it is no JSON at all, or no UTF-8.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return _repaired(json.loads(text))
        except RecursionError:
            raise ValueError("nested too deeply") from None


def parse_payload(part: Any) -> Payload | None:
    """Return the rows of one part of a capture record, such as its ``endpointInput``.

    Parameters
    ----------
    part
        The mapping with ``data``, ``encoding`` and ``observedContentType``.

    Returns
    -------
    None when nothing was captured.

    Raises
    ------
    UndecodableError
        When ``data`` cannot be made sense of.
    """
    data = part.get("data") if isinstance(part, dict) else None
    if data is None:
        return None
    encoding = str(part.get("encoding") or "").upper()
    content_type = str(part.get("observedContentType") or "").lower()
    if not isinstance(data, str):
        return _json_payload(data)
    if encoding == "CSV":
        return csv_payload(data)
    if encoding == "JSON":
        return _json_text(data)
    return _sniffed(_decoded(data) if encoding == "BASE64" else data, content_type)


def csv_payload(text: str) -> Payload:
    """Return the rows of CSV text; empty cells are None."""
    # A payload is one cell at worst, however long; Python's limit guards against something else.
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(io.StringIO(without_surrogates(text).rstrip("\r\n"), newline=""))
    return Payload([[cell or None for cell in row] or [None] for row in rows] or [[None]])


def settle(payloads: Sequence[Payload | None]) -> list[list[Row] | None]:
    """Return the rows of the request and of its response, deciding what lists in them mean.

    An object whose only member is a list stands for several rows when every other payload of the record
    has as many rows: ``{"instances": [a, b]}`` and ``{"predictions": [0.1, 0.9]}`` are two rows. Alone, it
    does when the elements are objects or lists. Otherwise it is one row, a list being a nested value.

    Parameters
    ----------
    payloads
        Everything captured of one record, whether or not it is wanted: the decision must not depend on
        what is looked at.

    Returns
    -------
    The rows of each payload, None where it is None.
    """
    return [
        None
        if payload is None
        else payload.rows
        if payload.whole is None or _stands_for_rows(payload, payloads)
        else [payload.whole]
        for payload in payloads
    ]


def json_cells(values: list[Any]) -> Row:
    """Return a JSON array as a row: cells when all are scalars, else names by position."""
    if any(isinstance(value, dict | list) for value in values):
        return {f"_c{position}": value for position, value in enumerate(values)}
    return [scalar_text("", value) for value in values]


def common_count(counts: Counter[int]) -> int:
    """Return the most common count, the first seen among equals, 0 for none."""
    return max(counts, key=counts.__getitem__, default=0)


def _stands_for_rows(payload: Payload, payloads: Sequence[Payload | None]) -> bool:
    others = [other for other in payloads if other is not None and other is not payload]
    count = len(payload.rows)
    if not others:
        return payload.row_like
    if any(len(other.rows) != count for other in others):
        return False
    return count > 1 or payload.row_like or all(other.whole is not None for other in others)


def _json_text(text: str) -> Payload | None:
    try:
        return _json_payload(loads(text))
    except ValueError:
        pass
    lines = [line for line in text.split("\n") if line.strip()]
    try:
        rows = [_json_row(loads(line)) for line in lines]
    except ValueError:
        raise UndecodableError("is no JSON") from None
    if not rows:
        return None
    return Payload(rows)


def _json_payload(value: Any) -> Payload | None:
    if value is None:
        return None
    if isinstance(value, dict) and len(value) == 1:
        [(name, member)] = value.items()
        if isinstance(member, list) and member:
            rows: list[Row] = [item if isinstance(item, dict) else {name: item} for item in member]
            return Payload(rows, value, _same_shape(member))
    if isinstance(value, list) and _same_shape(value):
        return Payload([_json_row(item) for item in value])
    return Payload([_json_row(value)])


def _same_shape(items: list[Any]) -> bool:
    return bool(items) and (
        all(isinstance(item, dict) for item in items) or all(isinstance(item, list) for item in items)
    )


def _json_row(value: Any) -> Row:
    if isinstance(value, dict):
        return value
    return json_cells(value if isinstance(value, list) else [value])


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=False).decode()
    except ValueError:
        raise UndecodableError("is BASE64 of something that is no text") from None


def _sniffed(text: str, content_type: str) -> Payload | None:
    if "json" in content_type:
        return _json_text(text)
    if "csv" not in content_type and text.lstrip()[:1] in ("{", "["):
        try:
            return _json_text(text)
        except UndecodableError:
            pass  # prose may begin with a bracket
    return csv_payload(text)


def _repaired(value: Any) -> Any:
    """Replace halves of surrogate pairs in every text."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value


# JSON payloads of many records as columns, in bulk.


Counts = npt.NDArray[np.int64]


class NotBulkError(Exception):
    """A block must be read record by record."""


@dataclass(frozen=True)
class Columns:
    """One payload of every record in a block.

    Parameters
    ----------
    counts
        Rows by record, 0 where there is no payload.
    lines
        CSV: the rows as text.
    batch
        JSON: the rows as flat columns.
    is_cells
        Whether the columns of `batch` have no names of their own.
    lists
        JSON objects whose only member is a list: that list by record, null where there is no payload. It
        is not decided yet whether its elements are rows; `batch` holds one row per object.
    list_name
        The name of that member.
    """

    counts: Counts
    lines: pa.StringArray | None = None
    batch: pa.RecordBatch | None = None
    is_cells: bool = False
    lists: pa.ListArray | None = None
    list_name: str = ""

    @property
    def is_named(self) -> bool:
        """Return whether the columns have names of their own."""
        return self.batch is not None and not self.is_cells

    def take(self, positions: Counts) -> Columns:
        """Return the rows at `positions`, missing where negative."""
        held = self.lines if self.lines is not None else self.batch
        if held is None or np.array_equal(positions, np.arange(_rows(held))):
            return self
        index = pa.array(positions, mask=positions < 0)
        if self.lines is not None:
            return replace(self, lines=self.lines.take(index))
        return replace(self, batch=held.take(index))


def read_json(buffer: pa.Buffer, schema: pa.Schema | None = None, others: str = "infer") -> pa.RecordBatch:
    """Read JSON objects, one after the other.

    Raises
    ------
    NotBulkError
        When they are malformed or do not fit into columns.
    """
    try:
        refuse_leading_null(buffer)
        if schema is None:
            refuse_deep_nesting(buffer)
        table = pyarrow.json.read_json(
            pa.BufferReader(buffer),
            # One block, so that no object straddles two.
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=buffer.size + 1),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others),
        )
        [batch] = table.combine_chunks().to_batches()
        # Arrow (seen in 26.0) loses nulls at the beginning of a column's first list.
        batch.validate()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise NotBulkError(str(error)) from error
    return batch


def json_columns(data: pa.StringArray) -> Columns:
    """Return JSON payloads as columns; null is no payload.

    Raises
    ------
    NotBulkError
        When the payloads differ in kind, or one is no JSON.
    """
    return _columns_of(json_values(data))


def json_values(data: pa.StringArray) -> pa.Array:
    """Return JSON payloads parsed, one value for each; null is no payload.

    Raises
    ------
    NotBulkError
        When the payloads differ in kind, or one is no JSON.
    """
    # Wrapped, every payload is the one member of an object, whatever it is.
    wrapped = pc.binary_join_element_wise(
        '{"p":', data, "}\n", "", null_handling="replace", null_replacement="null"
    )
    text = _text_buffer(wrapped)
    batch = read_json(text)
    if batch.num_rows != len(data) or batch.schema.names != ["p"]:
        raise NotBulkError("a payload holds several values")
    found = batch.schema.types[0]
    wanted = _times_as_text(found)
    if wanted != found:
        batch = read_json(text, pa.schema([("p", wanted)]))
    return batch.column(0)


def settle_columns(payloads: Mapping[str, Columns]) -> dict[str, Columns]:
    """Decide what single lists in JSON objects mean, by the rule of `payloads.settle`.

    Parameters
    ----------
    payloads
        Everything captured, by name.

    Raises
    ------
    NotBulkError
        When the decision differs between the records of the block.
    """
    rows = {name: _row_counts(columns) for name, columns in payloads.items()}
    settled = dict(payloads)
    for name, columns in payloads.items():
        if columns.lists is None:
            continue
        present = columns.counts > 0
        others = {other: count for other, count in rows.items() if other != name}
        unwraps = _stands_for_rows_payload_columns(columns, rows.get(name, columns.counts), others, payloads)[
            present
        ]
        if unwraps.all():
            settled[name] = _unwrapped(columns)
        elif unwraps.any():
            raise NotBulkError("lists mean rows in some records only")
        else:
            settled[name] = replace(columns, lists=None)
    return settled


def text_bytes(array: pa.StringArray) -> bytes:
    """Return the texts of an array, one after the other."""
    content: bytes = _text_buffer(array).to_pybytes()
    return content


def _text_buffer(array: pa.StringArray) -> pa.Buffer:
    _, offsets, data = array.buffers()
    if len(array) == 0 or data is None:
        return pa.py_buffer(b"")
    edges = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return data.slice(int(edges[0]), int(edges[-1] - edges[0]))


def _rows(held: pa.Array | pa.RecordBatch) -> int:
    return held.num_rows if isinstance(held, pa.RecordBatch) else len(held)


def _columns_of(values: pa.Array) -> Columns:
    kind = values.type
    present = values.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    if types.is_null(kind):
        return Columns(present)
    if types.is_struct(kind):
        columns = Columns(present, batch=_named(values.drop_null()))
        if kind.num_fields == 1 and types.is_list(kind[0].type):
            return replace(columns, lists=_filled(values.flatten()[0], present), list_name=kind[0].name)
        _require_no_lone_list(values)
        return columns
    if types.is_list(kind):
        lists = _filled(values, present)
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        if types.is_struct(kind.value_type):
            return Columns(lengths.astype(np.int64), batch=_named(_complete(pc.list_flatten(lists))))
        if types.is_list(kind.value_type):
            inner = _complete(pc.list_flatten(lists))
            return Columns(lengths.astype(np.int64), batch=_cells(inner), is_cells=True)
        return Columns(present, batch=_cells(lists.drop_null()), is_cells=True)
    if types.is_integer(kind) or types.is_floating(kind):
        single = pa.RecordBatch.from_arrays([values.drop_null()], names=["0"])
        return Columns(present, batch=single, is_cells=True)
    raise NotBulkError("payloads are text")


def _require_no_lone_list(objects: pa.StructArray) -> None:
    """Make sure that no object may be one list by itself, which can mean rows, while others hold more."""
    lists = [types.is_list(field.type) for field in objects.type]
    if not any(lists):
        return
    filled = [member.is_valid().to_numpy(zero_copy_only=False) for member in objects.flatten()]
    lone = np.sum(filled, axis=0) == 1
    if any((lone & valid).any() for is_list, valid in zip(lists, filled, strict=True) if is_list):
        raise NotBulkError("an object may be one list by itself")


def _named(objects: pa.StructArray) -> pa.RecordBatch:
    if objects.type.num_fields == 0:
        raise NotBulkError("objects without members")
    return _flat(pa.RecordBatch.from_arrays(objects.flatten(), names=[field.name for field in objects.type]))


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    try:
        return flatten_batch(batch)
    except DatasetError as error:
        raise NotBulkError(error.message) from error


def _cells(lists: pa.ListArray) -> pa.RecordBatch:
    """Return lists of numbers, all of one length, as columns."""
    element = lists.type.value_type
    lengths = pc.list_value_length(lists)
    if not (types.is_integer(element) or types.is_floating(element)) or len(pc.unique(lengths)) != 1:
        raise NotBulkError("arrays differ, or hold more than numbers")
    return _flat(pa.RecordBatch.from_arrays([lists], names=[""]))


def _filled(lists: pa.ListArray, present: Counts) -> pa.ListArray:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    if (lengths[present > 0] == 0).any():
        raise NotBulkError("a list is empty")
    return lists


def _complete(elements: pa.Array) -> pa.Array:
    if elements.null_count:
        raise NotBulkError("a row is null")
    return elements


def _row_counts(columns: Columns) -> Counts:
    if columns.lists is None:
        return columns.counts
    lengths: Counts = pc.fill_null(pc.list_value_length(columns.lists), 0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64)


def _stands_for_rows_payload_columns(
    columns: Columns, count: Counts, others: Mapping[str, Counts], payloads: Mapping[str, Columns]
) -> npt.NDArray[np.bool_]:
    element = columns.lists.type.value_type if columns.lists is not None else pa.null()
    row_like = types.is_struct(element) or types.is_list(element)
    alone = np.ones(len(count), np.bool_)
    equal = np.ones(len(count), np.bool_)
    all_lists = np.ones(len(count), np.bool_)
    for name, other in others.items():
        there = other > 0
        alone &= ~there
        equal &= ~there | (other == count)
        all_lists &= ~there | (payloads[name].lists is not None)
    decisions: npt.NDArray[np.bool_] = np.where(alone, row_like, equal & ((count > 1) | row_like | all_lists))
    return decisions


def _unwrapped(columns: Columns) -> Columns:
    elements = pc.list_flatten(columns.lists)
    if types.is_struct(elements.type):
        batch = _named(_complete(elements))
    else:
        if types.is_list(elements.type):
            _complete(elements)
        batch = _flat(pa.RecordBatch.from_arrays([elements], names=[columns.list_name]))
    return Columns(_row_counts(columns), batch=batch)


def _times_as_text(kind: pa.DataType) -> pa.DataType:
    """Return the type with text in place of the times that Arrow sees in it."""
    if types.is_temporal(kind):
        return pa.string()
    if types.is_list(kind):
        return pa.list_(_times_as_text(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([(field.name, _times_as_text(field.type)) for field in kind])
    return kind
