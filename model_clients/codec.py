"""How rows become the bytes of requests, and answers become scores or labels: CSV, JSON Lines or JSON.

Requests are made without Python code per value wherever they are numbers. Integers stay integers, floats have
the shortest digits that give the same float64, texts are JSON strings or quoted CSV cells, booleans are
``true`` and ``false``. A missing value is ``null`` in JSON and an empty cell in CSV.

``predictor.probability`` and ``predictor.label`` say where answers have scores and labels: the zero-based
column in CSV; a JMESPath expression over each line in JSON Lines, and over the whole document in JSON.
Without `probability`, `label` locates the scores; without both, the answer itself is the scores.
"""

import functools
import io
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import csv

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError
from contract.schema import nearest
from contract.wording import as_float, one_line, several
from model_clients.model import Scores

# The shape of JSON requests: ``content_template`` and ``record_template``.
#
# A template is JSON with placeholders where values stand: ``$records`` (all records as a list), ``$record``
# (one record per request), ``$features`` (a list of values), ``$features_kvp`` (an object of name to value),
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
        return None, _template(content, "predictor.content_template", ("features",))
    outer = _template(content, "predictor.content_template", ("records", "record", "feature_names"))
    if ("records" in placeholders_of(outer)) == ("record" in placeholders_of(outer)):
        raise ConfigurationError.of("request_template.records", **told, text=content)
    if predictor.record_template is None:
        raise ConfigurationError.of("request_template.no_record", field="predictor.record_template")
    return outer, _template(predictor.record_template, "predictor.record_template", ())


def _template(text: str, field: str, allowed: tuple[str, ...]) -> Template:
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
    # Single features have quotes of their own, which are gone here.
    for before, placeholder, after in zip(template[:-1:2], placeholders, template[2::2], strict=True):
        if before.endswith('"') and after.startswith('"'):
            raise ConfigurationError.of("request_template.quoted", field=field, placeholder=placeholder)
    if set(placeholders) <= {"feature_names"} or (allowed == ("features",) and placeholders != allowed):
        wanted = f"${' or $'.join(known[:2])}{' once' if len(known) == 1 else ''}"
        raise ConfigurationError.of("request_template.no_data", field=field, text=text, wanted=wanted)
    told = {"field": field, "text": text}
    with ConfigurationError.instead_of("request_template.no_json", orjson.JSONDecodeError, **told):
        orjson.loads(_filled(template, dict.fromkeys(placeholders, b"0")))
    return template


Render = Callable[[pa.RecordBatch], bytes]

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
        return orjson.dumps(matrix, option=orjson.OPT_SERIALIZE_NUMPY)
    return orjson.dumps(list(zip(*(column.to_pylist() for column in table.columns), strict=True)))


def _is_numeric(table: pa.RecordBatch) -> bool:
    return table.num_columns > 0 and not any(_is_text(column.type) for column in table.columns)


_NO_TEXTS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)


def _is_text(kind: pa.DataType) -> bool:
    return not any(fits(kind) for fits in _NO_TEXTS)


def _escaped(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")


# Answers as scores or labels.


_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PROJECTION = re.compile(r"\[\*\]|\[\]|\[\?|\.\*|\[-?\d*:")
_MOST_MEMBERS = 8


class AnswerError(Exception):
    """An answer that cannot be used; the text says why, without address and rows."""


# From the bytes of an answer and the number of rows asked about to scores, shape (rows, outputs), and to
# labels, one per row. They raise AnswerError.
ReadScores = Callable[[bytes, int], Scores]
ReadLabels = Callable[[bytes, int], list[Any]]


def answer_readers(predictor: PredictorConfig, accept_type: str) -> tuple[ReadScores, ReadLabels | None]:
    """Return what reads scores and labels from a predictor's answers; None where it names no label.

    Raises
    ------
    ConfigurationError
        When `label` or `probability` does not fit the type of the answers.
    """
    probability = predictor.probability if predictor.probability is not None else predictor.label
    json_locator = functools.partial(_json_locator, is_lines=accept_type == "application/jsonlines")
    locator = _csv_locator if accept_type == "text/csv" else json_locator
    named = "label" if predictor.probability is None and predictor.label is not None else "probability"
    find_scores = locator(probability, f"predictor.{named}")
    find_labels = locator(predictor.label, "predictor.label")

    def scores(body: bytes, rows: int) -> Scores:
        return _as_scores(_require_rows(find_scores(body, rows), rows))

    def labels(body: bytes, rows: int) -> list[Any]:
        return _as_labels(_require_rows(find_labels(body, rows), rows))

    return scores, None if predictor.label is None else labels


def _csv_locator(column: str | int | None, field: str) -> Callable[[bytes, int], Any]:
    if isinstance(column, str) and not column.strip().isdigit():
        raise ConfigurationError.of("model_answer.column_name", field=field, column=column)
    place = None if column is None else int(column)

    def find(body: bytes, rows: int) -> Any:
        columns = _read_csv(body, rows)
        if place is None:
            one = len(columns) == 1
            return columns[0] if one else np.stack([_as_scores(column)[:, 0] for column in columns], axis=1)
        if place >= len(columns):
            there = several(len(columns), "column")
            raise AnswerError(f"has {there}, but {field} is {place}, counted from zero")
        return columns[place]

    return find


def _read_csv(body: bytes, rows: int) -> list[Any]:
    """Return the columns of an answer: arrays of numbers, lists of texts."""
    if not body.strip():
        raise AnswerError("is empty")
    try:
        table = csv.read_csv(
            io.BytesIO(body + b"\n"),
            csv.ReadOptions(autogenerate_column_names=True, use_threads=False, block_size=len(body) + 1),
            csv.ParseOptions(newlines_in_values=True),
        )
    except pa.ArrowInvalid as error:
        raise AnswerError(f"is not CSV ({error})") from error
    if table.num_rows == 1 and rows > 1 and table.num_columns == rows:
        # One line with a value for each record, each of a type of its own.
        return [[column[0].as_py() for column in table.columns]]
    are_numbers = (pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in table.schema.types)
    columns = zip(table.columns, are_numbers, strict=True)
    return [column.to_numpy() if is_number else column.to_pylist() for column, is_number in columns]


def _json_locator(expression: str | int | None, field: str, is_lines: bool) -> Callable[[bytes, int], Any]:
    if isinstance(expression, int):
        raise ConfigurationError.of("model_answer.column_position", field=field, position=expression)
    walk = None
    if expression is not None:
        walk = _walker(expression) if _DOTTED.fullmatch(expression) else _compile(expression, field)
    # An expression that does not go through records finds the one score, or the scores, of one record.
    may_be_lone = not is_lines and not (expression and _PROJECTION.search(expression))

    def find(body: bytes, rows: int) -> Any:
        found = document = _parse(body, is_lines)
        if walk is not None:
            found = [walk(line) for line in document] if is_lines else walk(document)
            if found is None or (is_lines and any(value is None for value in found)):
                there = _describe(document, is_lines)
                raise AnswerError(f"holds nothing at {field} {expression!r}; it {there}")
        elif isinstance(document, dict) or (
            isinstance(document, list) and any(isinstance(value, dict) for value in document)
        ):
            there = _describe(document, is_lines)
            raise AnswerError(
                f"{there}, and predictor.probability does not say which to take; give its JMESPath"
            )
        return [found] if rows == 1 and may_be_lone and _is_lone(found) else found

    return find


def _walker(expression: str) -> Callable[[Any], Any]:
    """Return what a dotted path finds, several times faster than JMESPath does."""
    names = expression.split(".")

    def walk(value: Any) -> Any:
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return walk


def _compile(expression: str, field: str) -> Callable[[Any], Any]:
    import jmespath
    from jmespath.exceptions import JMESPathError

    told = {"field": field, "expression": expression}
    with ConfigurationError.instead_of("model_answer.no_jmespath", JMESPathError, **told):
        search: Callable[[Any], Any] = jmespath.compile(expression).search

    def find(document: Any) -> Any:
        try:
            return search(document)
        except JMESPathError as error:
            raise AnswerError(f"does not suit {field} {expression!r}: {one_line(error, 200)}") from error

    return find


def _parse(body: bytes, is_lines: bool) -> Any:
    """Return an answer's document, or the list of its lines'."""
    try:
        if not is_lines:
            return orjson.loads(body)
        lines = [line for line in body.split(b"\n") if line.strip()]
        if not lines:
            raise AnswerError("is empty")
        return orjson.loads(b"[%b]" % b",".join(lines))
    except orjson.JSONDecodeError as error:
        raise AnswerError(f"is not JSON{' Lines' if is_lines else ''} ({error})") from error


def _describe(document: Any, is_lines: bool) -> str:
    value = document[0] if is_lines and document else document
    if isinstance(value, dict):
        names = ", ".join(repr(name) for name in list(value)[:_MOST_MEMBERS])
        return f"has {'the members ' + names if names else 'no members'}"
    return f"is a {'list' if isinstance(value, list) else type(value).__name__}"


def _require_rows(found: Any, rows: int) -> Any:
    """Return what was found when it has one entry per row."""
    if not isinstance(found, list | np.ndarray):
        raise AnswerError(f"holds a single value for {several(rows, 'record')}")
    if len(found) != rows:
        raise AnswerError(f"holds {several(len(found), 'prediction')} for {several(rows, 'record')}")
    return found


def _is_lone(found: Any) -> bool:
    return not isinstance(found, list) or (
        len(found) > 1 and not any(isinstance(value, list) for value in found)
    )


def _as_scores(found: Any) -> Scores:
    """Return scores of shape (rows, outputs); null becomes NaN."""
    if isinstance(found, np.ndarray) and found.dtype != object:
        scores = found.astype(np.float64, copy=False)
    else:
        values = list(found)
        try:
            values = [orjson.loads(value) if _is_list_text(value) else value for value in values]
            scores = np.array(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            leaves = (value for value in _leaves(values) if value is not None)
            odd = next((value for value in leaves if as_float(value) is None), None)
            if odd is None:
                raise AnswerError("holds lists of different lengths where scores should be") from error
            raise AnswerError(f"holds {odd!r} where a number should be") from error
    if scores.ndim == 1:
        scores = scores[:, np.newaxis]
    if scores.ndim == 3 and 1 in scores.shape[1:]:
        scores = scores.reshape(len(scores), -1)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise AnswerError("holds neither a number nor a list of numbers for each record")
    return scores


def _is_list_text(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("[") and value.endswith("]")


def _leaves(values: Sequence[Any]) -> list[Any]:
    return [leaf for value in values for leaf in (_leaves(value) if isinstance(value, list) else [value])]


def _as_labels(found: Any) -> list[Any]:
    values: list[Any] = found.tolist() if isinstance(found, np.ndarray) else list(found)
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    odd = next((value for value in values if isinstance(value, list | dict | bytes)), None)
    if odd is not None:
        raise AnswerError(f"holds {odd!r} where a label should be")
    if any(value is None or value != value for value in values):
        raise AnswerError("holds null where a label should be")
    return values


class Codec(NamedTuple):
    """How rows become requests and answers become scores.

    Parameters
    ----------
    content_type, accept_type
        MIME types.
    scores, labels
        See `answer_readers`.
    is_single
        Whether a request holds one record.
    """

    content_type: str
    accept_type: str
    render: Render
    scores: ReadScores
    labels: ReadLabels | None
    is_single: bool = False


def make_codec(predictor: PredictorConfig) -> Codec:
    """Return how a predictor is talked to; CSV both ways unless it says otherwise.

    Raises
    ------
    ConfigurationError
        When templates or locations do not suit the content types.
    """
    for name, text in passed_on(predictor).items():
        if not re.fullmatch(r"[\t -~]*", text):
            field = f"predictor.{name.replace('-', '_').lower()}"
            raise ConfigurationError.of("model_request.header", field=field, text=text)
    content_type = predictor.content_type or "text/csv"
    accept_type = predictor.accept_type or content_type
    readers = answer_readers(predictor, accept_type)
    if content_type == "text/csv":
        return Codec(content_type, accept_type, render_csv, *readers)
    content, record = json_templates(predictor, is_lines=content_type == "application/jsonlines")
    is_single = content is not None and "record" in placeholders_of(content)
    return Codec(content_type, accept_type, json_renderer(content, record), *readers, is_single)


def passed_on(predictor: PredictorConfig) -> dict[str, str]:
    """Return what the predictor has sent along with every request, by the end of its header's name."""
    sent = {"Custom-Attributes": predictor.custom_attributes, "Target-Model": predictor.target_model}
    return {name: text for name, text in sent.items() if text is not None}
