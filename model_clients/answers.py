"""What an endpoint answers, as scores or labels: CSV, JSON Lines or JSON.

``predictor.probability`` and ``predictor.label`` say where they are: the zero-based column in CSV, a
JMESPath expression in JSON, over each line in JSON Lines and over the whole document in JSON. Without
`probability`, `label` locates the scores; without both, the answer itself is the scores.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import csv

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError
from contract.wording import as_float, one_line, several
from model_clients.model import Scores

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
    find_scores = locator(probability, "predictor.probability")
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
            raise AnswerError(
                f"has {several(len(columns), 'column')}, but {field} is {place}, counted from zero"
            )
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
        # One line with a value for each record.
        table = pa.table([pa.array([column[0].as_py() for column in table.columns])], ["f0"])
    return [
        column.to_numpy()
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        else column.to_pylist()
        for column in table.columns
    ]


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
                raise AnswerError(
                    f"holds nothing at {field} {expression!r}; it {_describe(document, is_lines)}"
                )
        elif isinstance(document, dict) or (
            isinstance(document, list) and any(isinstance(value, dict) for value in document)
        ):
            raise AnswerError(
                f"{_describe(document, is_lines)}, and predictor.probability does not say which to take; "
                "give its JMESPath"
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
            reason = one_line(error, 200)
            raise AnswerError(f"does not suit {field} {expression!r}: {reason}") from error

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
    odd = next((value for value in values if isinstance(value, list | dict)), None)
    if odd is not None:
        raise AnswerError(f"holds {odd!r} where a label should be")
    if any(value is None or value != value for value in values):
        raise AnswerError("holds null where a label should be")
    return values
