"""Where nested records hold their columns, and making columns of what is found there.

A record may hold one row or many. Its features are a list of cells, or an object whose members name them;
several rows are a list of these. Labels and predictions are one value, or a list of as many as there are
rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset import ColumnPaths as ColumnPaths
from contract.dataset import Location as Location
from contract.errors import ConfigurationError, DatasetError
from contract.wording import several
from readers.captures.payload import Counts, NotBulkError
from readers.flatten import flatten_batch
from readers.python_rows import column_of, rows_to_batch

# JMESPath expressions, compiled once; the plain ones without the cost of the general machinery.
#
# A projection over a list, such as ``instances[*].label``, gives a value for each element here: None where
# an
# element lacks the member. JMESPath leaves such elements out, after which values and rows no longer match.


Find = Callable[[Any], Any]

_NAME = r'(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\\]+")'
_PLAIN_JSON_PATH = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_PROJECTION = re.compile(rf"(?:({_NAME}(?:\.{_NAME})*))?\[(?:\*|)\](?:\.({_NAME}(?:\.{_NAME})*))?")
_STEP = re.compile(_NAME)


@dataclass(frozen=True)
class PlainPath:
    """An expression of member names only, or such a projection over one list.

    Parameters
    ----------
    before, after
        Names of members on the way to the list, and from its elements on; all are in `before` where there is
        no list.
    """

    before: tuple[str, ...]
    projects: bool = False
    after: tuple[str, ...] = ()


def plain_path(expression: str) -> PlainPath | None:
    """Return an expression as the names it consists of, None when it is more than that."""
    text = expression.strip()
    if _PLAIN_JSON_PATH.fullmatch(text):
        return PlainPath(tuple(_steps(text)))
    if match := _PROJECTION.fullmatch(text):
        return PlainPath(tuple(_steps(match[1] or "")), True, tuple(_steps(match[2] or "")))
    return None


def compile_path(expression: str, variable: str) -> Find:
    """Return a function from a JSON value to what the expression finds in it, None where it finds nothing.

    Parameters
    ----------
    expression
        JMESPath.
    variable
        The setting or member that holds it, for messages.

    Raises
    ------
    ConfigurationError
        When it is no JMESPath.
    """
    text = expression.strip()
    if path := plain_path(text):
        return _projection(path.before, path.after) if path.projects else _plain(path.before)
    # Imported late: few jobs need more than the plain paths.
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        compiled = jmespath.compile(text)
    except JMESPathError as error:
        reason = str(error).partition("\n")[0].rstrip(".:")
        raise ConfigurationError(
            f"{variable} is {expression!r}, which is no JMESPath ({reason}); "
            "write for example features, or instances[*].features."
        ) from None

    def find(value: Any) -> Any:
        try:
            return compiled.search(value)
        except JMESPathError:
            return None  # a function met a value of a kind it does not take

    return find


def _steps(text: str) -> list[str]:
    return [step.strip('"') for step in _STEP.findall(text)]


def _plain(steps: Sequence[str]) -> Find:
    if len(steps) == 1:
        [only] = steps

        def find_member(value: Any) -> Any:
            return value.get(only) if isinstance(value, dict) else None

        return find_member

    def find(value: Any) -> Any:
        for step in steps:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    return find


def _projection(before: Sequence[str], after: Sequence[str]) -> Find:
    find_list = _plain(before) if before else _itself
    find_member = _plain(after) if after else _itself

    def find(value: Any) -> Any:
        elements = find_list(value)
        return [find_member(element) for element in elements] if isinstance(elements, list) else None

    return find


def _itself(value: Any) -> Any:
    return value


PREFIX = "column_"

# The parts of a capture record that a column may be found in, and what they are called there: the first that
# a record has.
REQUEST = "request"
RESPONSE = "response"
GROUND_TRUTH = "groundTruthData"
PARTS = {
    REQUEST: ("endpointInput", "batchTransformInput", "batchTransformOutput"),
    RESPONSE: ("endpointOutput", "batchTransformOutput"),
}

_PLAIN = (pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.null())

# One row of features: cells without names, or values by name.
FeatureRow = list[Any] | dict[str, Any]


class RecordRows:
    """Rows gathered from records: features, and the columns beside them."""

    def __init__(self, locations: ColumnPaths) -> None:
        self._locations = locations
        self.features: list[FeatureRow] = []
        self.others: list[list[Any]] = [[] for _ in locations.others]

    def __len__(self) -> int:
        return len(self.features)

    def add(self, features: list[FeatureRow] | None, others: Sequence[Any], place: Callable[[], str]) -> None:
        """Add the rows of one record.

        Parameters
        ----------
        features
            Its rows; None when it has none, and the other columns say how many there are.
        others
            What was found for each further column: None, one value, or a list.
        place
            Names the record, for messages.

        Raises
        ------
        DatasetError
            When there is another number of values than of rows; names both.
        """
        chosen = [
            _largest(value, location, place) if location.classes else value
            for value, location in zip(others, self._locations.others, strict=True)
        ]
        lists = [value if isinstance(value, list) else [value] for value in chosen]
        count = max(map(len, lists), default=1) if features is None else len(features)
        self.features += [{}] * count if features is None else features
        for location, values, gathered in zip(self._locations.others, lists, self.others, strict=True):
            if len(values) == count:
                gathered += values
            elif values == [None]:
                gathered += [None] * count
            else:
                raise DatasetError(
                    f"{place()} has {several(count, 'row')} of features, but "
                    f"{several(len(values), 'value')} of {location.name!r} at "
                    f"{location.path!r}; check {location.variable or 'the path'} and the record."
                )

    def batch(self) -> pa.RecordBatch:
        """Return the rows as columns, the features first.

        Raises
        ------
        DatasetError
            When a value is neither text, number, boolean nor null.
        """
        columns = _feature_columns(self.features, self._locations.headers)
        for location, values in zip(self._locations.others, self.others, strict=True):
            columns[location.name] = _column(location.name, values)
        if not columns:
            return rows_to_batch([{}] * len(self.features))
        return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def _largest(value: Any, location: Location, place: Callable[[], str]) -> Any:
    """Return the class with the largest score, for one row or a list of them."""
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(row, list | None) for row in value):
        return [_largest(row, location, place) for row in value]
    classes = location.classes
    if not isinstance(value, list) or len(value) != len(classes) or not all(map(_is_score, value)):
        raise DatasetError(
            f"{place()} has {json.dumps(value)[:60]} at {location.path!r}, but predictor.label_headers names "
            f"{len(classes)} classes; there must be a list of as many scores for each row."
        )
    return classes[value.index(max(value))]


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float)


def feature_rows(value: Any, *, document: bool = False) -> list[FeatureRow] | None:
    """Return what was found at the path of the features as rows, None when it is nothing.

    Parameters
    ----------
    value
        A list of cells or an object is one row; a list of these is several.
    document
        Whether single cells in a list are rows of one cell each.
    """
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        return None if value is None else [[value]]
    if value and all(isinstance(row, list | dict) for row in value):
        return value
    return [[cell] for cell in value] if document else [value]


def typed_text(column: pa.Array) -> pa.Array:
    """Return a column of text as integers or floats where every cell is one, else as it is."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    if column.null_count == len(column):
        return column
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(pc.utf8_trim_whitespace(column), kind)
        except pa.ArrowInvalid:
            continue
    return column


def _feature_columns(rows: list[FeatureRow], headers: tuple[str, ...]) -> dict[str, pa.Array]:
    if all(isinstance(row, dict) for row in rows):
        batch = rows_to_batch(rows)  # type: ignore[arg-type]  # all are mappings here
        return dict(zip(batch.schema.names, batch.columns, strict=True))
    widths = {len(row) for row in rows}
    width = max(widths)
    if len(widths) > 1 or not all(isinstance(row, list) for row in rows):
        rows = [_as_cells(row, width) for row in rows]
    names = headers if len(headers) == width else tuple(f"{PREFIX}{position}" for position in range(width))
    return {
        name: _column(name, list(cells)) for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }


def _as_cells(row: FeatureRow, width: int) -> list[Any]:
    cells = list(row.values()) if isinstance(row, dict) else row
    return cells + [None] * (width - len(cells))


def _column(name: str, values: list[Any]) -> pa.Array:
    try:
        # Integers or floats alone, with or without missing ones, need no look at every value.
        column = pa.array(values)
        if column.type in _PLAIN:
            return column
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError, ValueError, TypeError):
        pass
    values = _unwrapped(values)
    nested = next((value for value in values if isinstance(value, list | dict)), None)
    if nested is not None:
        kind = "a list" if isinstance(nested, list) else "an object"
        raise DatasetError(
            f"column {name!r} holds {kind} where one value was expected: {json.dumps(nested)[:60]}; "
            "correct its path, or leave out such records."
        )
    return column_of(name, values)


def _unwrapped(values: list[Any]) -> list[Any]:
    """Return lists of one value, as scores are often written, as that value."""
    if any(isinstance(value, list) and len(value) == 1 for value in values):
        return list(chain.from_iterable(value if isinstance(value, list) else [value] for value in values))
    return values


# Columns found by plain paths in many JSON values at once.
#
# What does not fit raises `NotBulkError`, and the block is read record by record. Both give the same
# columns.


@dataclass(frozen=True)
class BulkPaths:
    """The plain paths of `ColumnPaths`."""

    features: PlainPath
    others: tuple[PlainPath | None, ...]


def bulk_paths(locations: ColumnPaths) -> BulkPaths | None:
    """Return the paths when all of them are plain; a location without a path stays None."""
    features = None if locations.features is None else plain_path(locations.features)
    others = tuple(None if other.path is None else plain_path(other.path) for other in locations.others)
    if any(other.classes for other in locations.others):
        return None
    plain = all(
        path is not None or other.path is None for path, other in zip(others, locations.others, strict=True)
    )
    return BulkPaths(features, others) if features is not None and plain else None


def values_at(records: pa.Array, path: PlainPath) -> tuple[pa.Array, Counts]:
    """Return what a path finds, and how many values in each record.

    Parameters
    ----------
    records
        Objects, or lists for a projection without names before it.
    """
    found = _members(records, path.before)
    if not path.projects:
        if types.is_list(found.type) and types.is_struct(found.type.value_type):
            raise NotBulkError("records of several rows")
        return found, np.ones(len(found), np.int64)
    if not types.is_list(found.type) or found.null_count:
        raise NotBulkError("a projection over what is no list")
    counts = pc.list_value_length(found).to_numpy(zero_copy_only=False).astype(np.int64)
    return _members(pc.list_flatten(found), path.after), counts


def bulk_batch(
    features: pa.Array,
    counts: Counts,
    others: Mapping[str, tuple[pa.Array, Counts]],
    locations: ColumnPaths,
    kinds: Mapping[str, pa.DataType],
) -> pa.RecordBatch:
    """Return rows as columns, the features first.

    Parameters
    ----------
    features
        One list or object for each row.
    counts
        Rows by record.
    others
        Values of the further columns, and how many by record.
    kinds
        Types of features as the first records have them: in a list of integers and floats, Arrow makes all
        of them floats.

    Raises
    ------
    NotBulkError
        When records have to be looked at one by one.
    """
    columns = _feature_columns_located_bulk(features, locations.headers, kinds)
    for name, (values, found) in others.items():
        if not np.array_equal(found, counts) or not _is_plain(values.type):
            raise NotBulkError(f"{name} is not one value for each row")
        columns[name] = values
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def _members(values: pa.Array, names: tuple[str, ...]) -> pa.Array:
    for name in names:
        if not types.is_struct(values.type):
            raise NotBulkError(f"{name} of what is no object")
        if values.type.get_field_index(name) < 0:
            return pa.nulls(len(values))
        values = pc.struct_field(values, name)
    return values


def _feature_columns_located_bulk(
    rows: pa.Array, headers: tuple[str, ...], kinds: Mapping[str, pa.DataType]
) -> dict[str, pa.Array]:
    if rows.null_count:
        raise NotBulkError("records without features")
    if types.is_struct(rows.type):
        if not rows.type.num_fields:
            raise NotBulkError("features without members")
        batch = pa.RecordBatch.from_arrays(rows.flatten(), [field.name for field in rows.type])
        try:
            batch = flatten_batch(batch)
        except DatasetError as error:
            raise NotBulkError(error.message) from error
        return dict(zip(batch.schema.names, batch.columns, strict=True))
    if not types.is_list(rows.type) or not _is_plain(rows.type.value_type):
        raise NotBulkError("features are neither cells nor members")
    widths = pc.unique(pc.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise NotBulkError("rows differ in their number of features")
    width, cells = widths[0], pc.list_flatten(rows)
    names = headers if len(headers) == width else tuple(f"{PREFIX}{at}" for at in range(width))
    table = cells.to_numpy(zero_copy_only=False).reshape(-1, width) if _is_dense(cells) else None
    return {
        name: _cell_column(
            pa.array(np.ascontiguousarray(table[:, at]))
            if table is not None
            else cells.take(pa.array(np.arange(at, len(cells), width))),
            kinds.get(name),
        )
        for at, name in enumerate(names)
    }


def _cell_column(column: pa.Array, kind: pa.DataType | None) -> pa.Array:
    """Return a column of cells with the type it would have by itself."""
    if types.is_null(column.type) or column.null_count == len(column):
        return pa.nulls(len(column))
    if types.is_floating(column.type):
        if kind is None:
            raise NotBulkError("whether these are integers is not known")
        if types.is_integer(kind):
            try:
                return column.cast(kind)
            except pa.ArrowInvalid:
                return column
    return column


def _is_dense(cells: pa.Array) -> bool:
    return not cells.null_count and (types.is_integer(cells.type) or types.is_floating(cells.type))


def _is_plain(kind: pa.DataType) -> bool:
    return kind in _PLAIN
