"""Rows as the bytes of a request, without Python code per value wherever they are numbers.

Integers stay integers, floats have the shortest digits that give the same float64, texts are JSON strings
or quoted CSV cells, booleans are ``true`` and ``false``. A missing value is ``null`` in JSON and an empty
cell in CSV.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import csv

from contract.errors import ConfigurationError
from contract.models.templates import JsonShape, Template

Render = Callable[[pa.RecordBatch], bytes]

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_CSV_OPTIONS = csv.WriteOptions(include_header=False)


def render_csv(table: pa.RecordBatch) -> bytes:
    """Return rows as CSV without header, lines separated by a newline; texts are quoted."""
    if _is_numeric(table):
        cells = _number_rows(table)[2:-2].replace(b"],[", b"\n")
        return cells.replace(b"null", b"") if any(column.null_count for column in table.columns) else cells
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, _CSV_OPTIONS)
    content: bytes = sink.getvalue().to_pybytes()
    return content.removesuffix(b"\n")


def json_renderer(shape: JsonShape) -> Render:
    """Return what renders rows in a shape: JSON when it has a `content`, JSON Lines otherwise."""

    def render(table: pa.RecordBatch) -> bytes:
        if shape.content is None:
            return _records(table, shape.record, b"\n")
        names = orjson.dumps(table.schema.names)
        records = _records(table, shape.record, b",")
        return shape.content.fill({"records": b"[%b]" % records, "record": records, "feature_names": names})

    return render


def _records(table: pa.RecordBatch, template: Template, separator: bytes) -> bytes:
    if template.placeholders == ("features",):
        before, after = (text.encode() for text in template.texts)
        if _is_numeric(table):
            between = b"]" + after + separator + before + b"["
            return before + _number_rows(table)[1:-1].replace(b"],[", between) + after
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        return separator.join([before + orjson.dumps(row) + after for row in rows])
    return _filled_records(table, template, separator)


def _filled_records(table: pa.RecordBatch, template: Template, separator: bytes) -> bytes:
    """Fill a template in row by row, each with the values already rendered."""
    rendered = dict(zip(table.schema.names, (_values(column) for column in table.columns), strict=True))
    pattern = [_escaped(template.texts[0].encode())]
    columns: list[list[bytes]] = []
    for placeholder, text in zip(template.placeholders, template.texts[1:], strict=True):
        if placeholder == "feature_names":
            pattern.append(_escaped(orjson.dumps(table.schema.names)))
        elif placeholder == "features":
            pattern.append(b"[" + b",".join([b"%b"] * len(rendered)) + b"]")
            columns += rendered.values()
        elif placeholder == "features_kvp":
            members = [_escaped(orjson.dumps(name)) + b":%b" for name in rendered]
            pattern.append(b"{" + b",".join(members) + b"}")
            columns += rendered.values()
        else:
            pattern.append(b"%b")
            columns.append(_feature(rendered, placeholder[1:-1]))
        pattern.append(_escaped(text.encode()))
    whole = b"".join(pattern)
    return separator.join([whole % row for row in zip(*columns, strict=True)])


def _feature(rendered: dict[str, list[bytes]], name: str) -> list[bytes]:
    if name not in rendered:
        raise ConfigurationError(
            f"predictor.record_template holds ${{{name}}}, but the features are {', '.join(rendered)}; "
            "name them as in headers."
        )
    return rendered[name]


def _values(column: pa.Array) -> list[bytes]:
    """Return each value of a column as JSON."""
    if _is_text(column.type):
        return [orjson.dumps(value) for value in column.to_pylist()]
    return orjson.dumps(column.to_pylist())[1:-1].split(b",")


def _number_rows(table: pa.RecordBatch) -> bytes:
    """Return ``[[1,2],[3,4]]`` for columns of numbers, booleans or nulls."""
    has_nulls = any(column.null_count for column in table.columns)
    kinds = {column.type for column in table.columns}
    are_integers = all(pa.types.is_integer(kind) for kind in kinds) and pa.uint64() not in kinds
    if not has_nulls and (are_integers or kinds == {pa.float64()}):
        matrix = np.stack([column.to_numpy() for column in table.columns], axis=1)
        return orjson.dumps(matrix, option=_NUMPY)
    return orjson.dumps(list(zip(*(column.to_pylist() for column in table.columns), strict=True)))


def _is_numeric(table: pa.RecordBatch) -> bool:
    return table.num_columns > 0 and not any(_is_text(column.type) for column in table.columns)


def _is_text(kind: pa.DataType) -> bool:
    return not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _escaped(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")
