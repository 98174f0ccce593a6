"""Rows as the bytes of a request, without Python code per value wherever they are numbers.

Integers stay integers, floats have the shortest digits that give the same float64, texts are JSON strings
or quoted CSV cells, booleans are ``true`` and ``false``. A missing value is ``null`` in JSON and an empty
cell in CSV.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import csv

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError
from contract.schema import nearest

# The shape of JSON requests: ``content_template`` and ``record_template``.
#
# A template is JSON with placeholders where values stand: ``$records`` (all records as a list), ``$record``
# (one record per request), ``$features`` (a list of values), ``$features_kvp`` (an object of name to
# value),
# ``$feature_names``, and ``"${Name}"`` with its quotes, one for each feature.


# In a group, so that splitting keeps it.
_PLACEHOLDER = re.compile(r'("\$\{[^"}]+\}"|\$\{[^}]+\}|\$[A-Za-z_]+)')
# A template cut at its placeholders: texts and placeholders in turn. They have no dollar sign and no quotes;
# those of single features are in braces, such as ``{Age}``.
Template = tuple[str, ...]


def placeholders_of(template: Template) -> tuple[str, ...]:
    """Return the placeholders in their order."""
    return template[1::2]


def _filled(template: Template, values: dict[str, bytes]) -> bytes:
    """Return the text with every placeholder replaced by JSON."""
    return b"".join(values[part] if at % 2 else part.encode() for at, part in enumerate(template))


def json_templates(predictor: PredictorConfig, is_lines: bool) -> tuple[Template | None, Template]:
    """Return the templates of a whole request, None for JSON Lines, and of one record.

    Raises
    ------
    ConfigurationError
        When a template is missing, is no JSON, or holds other placeholders than it may.
    """
    content = predictor.content_template
    example = "'{\"features\":$features}'" if is_lines else "'{\"instances\":$records}'"
    told = {"field": "predictor.content_template", "example": example}
    if isinstance(content, dict):
        raise ConfigurationError.of("request_template.object", **told)
    if content is None:
        kind = "application/jsonlines" if is_lines else "application/json"
        raise ConfigurationError.of("request_template.no_content", **told, kind=kind)
    if is_lines:
        return None, _parse(content, "predictor.content_template", ("features",))
    outer = _parse(content, "predictor.content_template", ("records", "record", "feature_names"))
    if ("records" in placeholders_of(outer)) == ("record" in placeholders_of(outer)):
        raise ConfigurationError.of("request_template.records", **told, text=content)
    if predictor.record_template is None:
        raise ConfigurationError.of("request_template.no_record", field="predictor.record_template")
    return outer, _parse(predictor.record_template, "predictor.record_template", ())


def _parse(text: str, field: str, allowed: tuple[str, ...]) -> Template:
    """Cut a template; an empty `allowed` stands for those of a record."""
    parts = enumerate(_PLACEHOLDER.split(text))
    template = tuple(part.strip('"').removeprefix("$") if at % 2 else part for at, part in parts)
    placeholders = placeholders_of(template)
    known = allowed or ("features", "features_kvp", "feature_names")
    for placeholder in placeholders:
        if placeholder not in known and not (not allowed and placeholder.startswith("{")):
            close = nearest(placeholder.strip("{}"), known)
            hint = f"did you mean ${close}?" if close else f"it takes ${', $'.join(known)}."
            told = {"field": field, "placeholder": placeholder, "hint": hint}
            raise ConfigurationError.of("request_template.placeholder", **told)
    if set(placeholders) <= {"feature_names"} or (allowed == ("features",) and placeholders != allowed):
        wanted = f"${' or $'.join(known[:2])}{' once' if len(known) == 1 else ''}"
        raise ConfigurationError.of("request_template.no_data", field=field, text=text, wanted=wanted)
    told = {"field": field, "text": text}
    with ConfigurationError.instead_of("request_template.no_json", orjson.JSONDecodeError, **told):
        orjson.loads(_filled(template, dict.fromkeys(placeholders, b"0")))
    return template


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


def json_renderer(content: Template | None, record: Template) -> Render:
    """Return what renders rows by the templates of `json_templates`."""

    def render(table: pa.RecordBatch) -> bytes:
        if content is None:
            return _records(table, record, b"\n")
        names = orjson.dumps(table.schema.names)
        records = _records(table, record, b",")
        values = {"records": b"[%b]" % records, "record": records, "feature_names": names}
        return _filled(content, values)

    return render


def _records(table: pa.RecordBatch, template: Template, separator: bytes) -> bytes:
    if placeholders_of(template) == ("features",):
        before, after = template[0].encode(), template[2].encode()
        if _is_numeric(table):
            between = b"]" + after + separator + before + b"["
            return before + _number_rows(table)[1:-1].replace(b"],[", between) + after
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        return separator.join([before + orjson.dumps(row) + after for row in rows])
    return _filled_records(table, template, separator)


def _filled_records(table: pa.RecordBatch, template: Template, separator: bytes) -> bytes:
    """Fill a template in row by row, each with the values already rendered."""
    rendered = dict(zip(table.schema.names, (_values(column) for column in table.columns), strict=True))
    pattern = [_escaped(template[0].encode())]
    columns: list[list[bytes]] = []
    for placeholder, text in zip(placeholders_of(template), template[2::2], strict=True):
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
            if (name := placeholder[1:-1]) not in rendered:
                told = {"placeholder": placeholder, "features": ", ".join(rendered)}
                raise ConfigurationError.of("request_template.feature", **told)
            columns.append(rendered[name])
        pattern.append(_escaped(text.encode()))
    whole = b"".join(pattern)
    return separator.join([whole % row for row in zip(*columns, strict=True)])


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


_NO_TEXTS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)


def _is_text(kind: pa.DataType) -> bool:
    return not any(fits(kind) for fits in _NO_TEXTS)


def _escaped(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")
