"""What every model does, and what holds for the predictions of all of them."""

import importlib
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import DTypeLike, NDArray

from contract.errors import ModelError, wording
from contract.schema import nearest
from contract.wording import listing, several

_log = logging.getLogger(__name__)

# How an endpoint is asked: how much at once, how long to wait, when to give up.


@dataclass(frozen=True)
class Policy:
    """How an endpoint is asked.

    Parameters
    ----------
    most_bytes
        Of one request; a request of several rows never exceeds it. SageMaker takes 6 MB.
    usual_bytes
        Of one request, as far as rows are many: larger ones are no faster, and reach time limits sooner.
    most_rows
        Of one request; None for no limit but the bytes.
    concurrency
        Requests under way at once.
    timeout
        Seconds until the answer is whole.
    attempts
        How often one request is sent before it is given up.
    first_pause, longest_pause
        Seconds before the second attempt, doubled each time, and the most; each is shortened at random by
        up to a half so that many clients do not return at once.
    patience
        Seconds without any answer, counted from the first failure, after which no request is repeated.
    start_limit
        Seconds until an endpoint that is started for the job must be in service.
    threads
        Of a model file's library in one call.
    """

    most_bytes: int = 5_800_000
    usual_bytes: int = 1_000_000
    most_rows: int | None = None
    concurrency: int = 8
    timeout: float = 70.0
    attempts: int = 6
    first_pause: float = 0.5
    longest_pause: float = 20.0
    patience: float = 300.0
    start_limit: float = 3600.0
    threads: int = 1

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after attempt number `attempt`, counted from one."""
        full = min(self.longest_pause, self.first_pause * 2.0 ** (attempt - 1))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, keeps no secret


Scores = NDArray[np.float64]


class Model(Protocol):
    """Something that can be asked for predictions.

    A model may be pickled; the copy opens what it needs again when it is first asked. It may be asked from
    several threads at once.
    """

    # What it is as a user would write it: the address of an endpoint, the path of a file.
    where: str
    # Whether it is known to answer labels and no scores.
    only_labels: bool

    def predict(self, table: pa.RecordBatch) -> Scores:
        """Return the scores, shape (rows, outputs), in the order of the rows, all of them finite.

        Parameters
        ----------
        table
            One column per feature, in the model's order unless the model knows their names. Nulls, and NaN
            among floats, are missing values.

        Raises
        ------
        ModelError
            When the model cannot be asked, or what it answers cannot be used.
        """

    def predict_labels(self, table: pa.RecordBatch) -> pa.Array:
        """Return the predicted labels, one per row: as answered, or the class with the largest score.

        Raises
        ------
        ModelError
            As `predict`, and when it answers one score only, which a threshold must turn into a label.
        """

    def close(self) -> None:
        """Give back connections, memory and temporary files; it must not be asked afterwards."""


def require_finite(scores: Scores, where: str) -> Scores:
    """Return the scores when all are numbers.

    Raises
    ------
    ModelError
        Naming how many rows have no usable score, and the first.
    """
    finite = np.isfinite(scores)
    if finite.all():
        return scores
    rows = np.flatnonzero(~finite.all(axis=1))
    first = scores[rows[0]][~finite[rows[0]]][0]
    shown = "no score (null or NaN)" if np.isnan(first) else f"the score {first}"
    counts = {"count": len(rows), "rows": len(scores), "first": rows[0]}
    raise ModelError.of("model_answer.not_finite", **counts, model=where, shown=shown)


def largest_labels(scores: Scores, label_headers: Sequence[str | int], where: str) -> pa.Array:
    """Return the header of the largest score of each row; its position where there are no headers.

    Parameters
    ----------
    scores
        Shape (rows, classes); the first of equal scores wins.
    label_headers
        One per class, or none.

    Raises
    ------
    ModelError
        When there is one score per row only, another number of headers, or what looks like a label beside
        its score.
    """
    outputs = scores.shape[1]
    if outputs == 1:
        raise ModelError.of("model_answer.one_score", model=where)
    if label_headers and len(label_headers) != outputs:
        counts = {"headers": len(label_headers), "outputs": outputs}
        raise ModelError.of("model_answer.label_headers", model=where, **counts)
    require_no_label(scores, where)
    largest = pa.array(scores.argmax(axis=1))
    if not label_headers:
        return largest
    are_numbers = all(isinstance(header, int) for header in label_headers)
    return pa.array(label_headers if are_numbers else list(map(str, label_headers))).take(largest)


def require_no_label(scores: Scores, where: str) -> None:
    """Raise ModelError where two values per row look like a label beside its score."""
    if scores.shape[1] != 2 or not len(scores):
        return
    whole = (scores == np.floor(scores)).all(axis=0)
    if whole[0] != whole[1] and not np.allclose(scores.sum(axis=1), 1.0, rtol=0, atol=1e-3):
        label = int(whole[1])
        pair = {"label": scores[0, label], "score": scores[0, 1 - label]}
        raise ModelError.of("model_answer.label_and_score", model=where, number=label, **pair)


def order_of_classes(
    classes: Sequence[str | int], label_headers: Sequence[str | int], where: str
) -> list[int] | slice:
    """Return which score stands where in the order of `label_headers`, which may be other names altogether.

    Parameters
    ----------
    classes
        In the order of the scores, as the model says.
    label_headers
        As the user says; none for the model's own order.

    Raises
    ------
    ModelError
        When some are classes of the model, and some are not.
    """
    known, given = [category_key(name) for name in classes], [category_key(name) for name in label_headers]
    others = [name for name in given if name not in known]
    if len(others) == len(given):
        return slice(None)
    if others or len(given) != len(known):
        header = others[0] if others else next(name for name in known if name not in given)
        raise ModelError.of("model_answer.classes", model=where, classes=listing(known), header=header)
    return [known.index(name) for name in given]


# Columns on their way to a model: by name or by position, with their types kept.


def plain(table: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch as it is sent: dictionaries as text, floats as float64, NaN and infinity as null."""
    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        elif pa.types.is_floating(column.type):
            column = pc.cast(column, pa.float64())
            finite = pc.is_finite(column)
            if not pc.all(finite).as_py():
                column = pc.if_else(finite, column, pa.scalar(None, pa.float64()))
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=table.schema.names)


def select(
    table: pa.RecordBatch, names: Sequence[str] | None, count: int | None, where: str
) -> pa.RecordBatch:
    """Return the model's columns in the model's order.

    Names come first: either all of the model's are columns, or none is and positions count.

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
        When the columns are neither the model's by name nor as many, or only some are the model's.
    """
    if names:
        # LightGBM writes a space in a name as an underscore.
        columns = {name.replace(" ", "_"): name for name in table.schema.names}
        columns |= {name: name for name in table.schema.names}
        absent = [name for name in names if name not in columns]
        if not absent:
            chosen = [columns[name] for name in names]
            if unused := [name for name in table.schema.names if name not in chosen]:
                _say_once(f"{where} does not use {listing(unused)}: no feature has this name.")
            return table if chosen == table.schema.names else table.select(chosen)
        close = nearest(absent[0].strip(), table.schema.names) or ""
        hint = f": it lacks {absent[0]!r}" + (f" (is that {close!r}?)" if close else "")
        is_spelling = close.strip().casefold() == absent[0].strip().casefold()
        if len(absent) < len(names) or is_spelling:
            known, found = several(len(names), "feature"), len(names) - len(absent)
            raise ModelError.of("model_columns.names", model=where, features=known, found=found, hint=hint)
    expected = len(names) if names else count
    if expected is None or expected == table.num_columns:
        if names and expected:
            name, column = names[0], table.schema.names[0]
            _say_once(wording("model_columns.by_position", model=where, name=name, column=column))
        return table
    listed = f"{several(table.num_columns, 'column')} ({listing(table.schema.names, 12)})"
    counts = {"features": several(expected, "feature"), "columns": listed}
    raise ModelError.of("model_columns.count", model=where, **counts, hint=hint if names else "")


_said: set[str] = set()


def _say_once(text: str, about: str | None = None) -> None:
    """Warn, unless it has been said about the same thing."""
    if (about or text) not in _said:
        _said.add(about or text)
        _log.warning("%s", text)


def category_key(value: object) -> str:
    """Return the text by which a value is looked up among categories: 3, 3.0 and ``"3"`` are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return text.lower() if text.lower() in ("true", "false") else text


def _plain(key: str) -> str:
    """Return a category without letter case, blanks around it and leading zeros."""
    return key.strip().lower().lstrip("0")


# What is true, and what is false, in either spelling.
_TRUTHS = (("true", "1"), ("1", "true"), ("false", "0"), ("0", "false"))
_TRUE_OR_FALSE = {None, "true", "True", "TRUE", "false", "False", "FALSE"}


def category_codes(
    table: pa.RecordBatch, categories: Mapping[int, Sequence[object]], where: str, *, refuse_unseen: bool
) -> pa.RecordBatch:
    """Return the rows with each category as its position among those of training.

    Parameters
    ----------
    table
        The model's columns in the model's order.
    categories
        Those of training, in their order, by the number of the column.
    where
        The model, for messages.
    refuse_unseen
        Whether other values are refused; where not they are missing values, and said once.

    Raises
    ------
    ModelError
        Naming the column, for a value that was not in training, for one that was in another spelling, and for
        categories that look the same.
    """
    for number, known in categories.items():
        name = table.schema.names[number]
        codes = {category_key(value): code for code, value in enumerate(known)}
        if len(codes) < len(known):
            raise ModelError.of("model_columns.twin_categories", model=where, field=name)
        if codes.keys() <= {"true", "false", "1", "0"}:
            codes |= {other: codes[one] for one, other in _TRUTHS if one in codes}
        column = pc.dictionary_encode(table.column(number))
        values = [category_key(value) for value in column.dictionary.to_pylist()]
        if unseen := [value for value in values if value not in codes]:
            why = f"which was no category when {where} was trained ({listing(list(codes))})"
            text = f"column {name!r} holds {unseen[0]!r}, {why}"
            spelt = {_plain(key): key for key in codes}
            if other := next((value for value in unseen if _plain(value) in spelt), None):
                told = {"field": name, "other": other, "known": spelt[_plain(other)]}
                raise ModelError.of("model_columns.spelt_category", model=where, **told)
            if refuse_unseen:
                raise ModelError.of("model_columns.unseen_category", problem=text)
            _say_once(f"{text}; its library takes such as missing values.", f"{where} {name}")
        found = pa.array([codes.get(value) for value in values], pa.float64())
        table = table.set_column(number, name, found.take(column.indices))
    return table


def numeric_matrix(table: pa.RecordBatch, dtype: DTypeLike, where: str) -> NDArray[Any]:
    """Return the rows as numbers, shape (rows, columns), missing values as NaN.

    Raises
    ------
    ModelError
        When a column holds text, or numbers that are too large.
    """
    matrix = np.empty((table.num_rows, table.num_columns), dtype=dtype)
    for number, (name, column) in enumerate(zip(table.schema.names, table.columns, strict=True)):
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if is_text and set(pc.unique(column).to_pylist()) <= _TRUE_OR_FALSE:
            column = pc.equal(pc.ascii_lower(column), "true")
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            if column.null_count < len(column):
                raise ModelError.of("model_columns.text", field=name, model=where)
            column = pa.nulls(len(column), pa.float64())
        with np.errstate(over="ignore"):
            matrix[:, number] = column.to_numpy(zero_copy_only=False)
        if matrix.itemsize < 8 and np.isinf(matrix[:, number]).any():
            most = np.finfo(matrix.dtype).max
            raise ModelError.of("model_columns.too_large", field=name, most=most, model=where)
    return matrix


def tensor_values(table: pa.RecordBatch, kind: type[Any], where: str) -> NDArray[Any]:
    """Return the rows as an array of one type, shape (rows, columns), missing texts as empty ones.

    Raises
    ------
    ModelError
        As `numeric_matrix`, and when the type has no missing values, or not one of the numbers.
    """
    if kind is np.str_:
        texts = [column.cast(pa.string()).fill_null("").to_numpy(False) for column in table.columns]
        return np.stack(texts, axis=1)
    if np.issubdtype(kind, np.floating):
        return numeric_matrix(table, kind, where)
    matrix = numeric_matrix(table, np.float64, where)
    if np.isnan(matrix).any():
        name = table.schema.names[np.isnan(matrix).any(axis=0).argmax()]
        raise ModelError.of("model_columns.missing", field=name, model=where, kind=kind.__name__)
    with np.errstate(invalid="ignore"):
        values: NDArray[Any] = matrix.astype(kind)
    if (changed := values != matrix).any():
        row, column = np.argwhere(changed)[0]
        told = {"field": table.schema.names[column], "value": f"{matrix[row, column]:g}"}
        raise ModelError.of("model_columns.not_whole", model=where, kind=kind.__name__, **told)
    return values


# Libraries that only some kinds of models need, loaded when such a model is opened.


def require(module: str, distribution: str, purpose: str) -> Any:
    """Return a module.

    Parameters
    ----------
    module
        To import.
    distribution
        Its name on the package index, for the message.
    purpose
        The model that needs it, for the message.

    Raises
    ------
    ModelError
        When it is not installed, naming what to install.
    """
    told = {"purpose": purpose, "distribution": distribution}
    with ModelError.instead_of("model_file.no_library", ImportError, **told):
        return importlib.import_module(module)
