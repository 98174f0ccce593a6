"""Columns found by paths in nested records: JSON files, and the parts of captures.

A record may hold one row or many. Its features are a list of cells, or an object whose members name them;
several rows are a list of these. Labels and predictions are one value, or a list of as many as there are
rows.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset import ColumnPaths, Location
from contract.dataset_format import Shape
from contract.errors import ConfigurationError, DatasetError
from contract.wording import several
from readers.arrow_json import NotBulkError
from readers.captures.shapes import rows_of_values
from readers.flatten import batch_of, flatten_batch
from readers.lanes import Counts, Table
from readers.python_rows import column_of, rows_to_batch

PREFIX = "column_"

# The parts of a capture record that a column may be found in. A record of a JSON file is one part.
REQUEST = "request"
RESPONSE = "response"
GROUND_TRUTH = "groundTruthData"
RECORD = ""

_PLAIN = (pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.null())
_KEYS_SHOWN = 8
# Of a few labels, all may well be null.
_ENOUGH_LABELS = 10

Find = Callable[[Any], Any]
# One row of features: cells without names, or values by name.
FeatureRow = list[Any] | dict[str, Any]


@dataclass
class RecordPart:
    """One part of a record, decoded: JSON values, or the lines of CSV, whose cells have no paths."""

    values: list[Any] = field(default_factory=list)
    cells: list[list[str | None]] | None = None

    @property
    def is_there(self) -> bool:
        """Return whether anything was captured."""
        return bool(self.values) or self.cells is not None


class Finder:
    """The compiled paths of `ColumnPaths`; `shape` says what rows a whole request has."""

    def __init__(self, locations: ColumnPaths, shape: Shape = "row") -> None:
        self._locations, self._shape = locations, shape
        self._features = _compiled(locations.features, locations.variable)
        self._others = [_compiled(other.path, other.variable) for other in locations.others]
        self._plain_features = None if locations.features is None else plain_path(locations.features)
        self._plain = [None if other.path is None else plain_path(other.path) for other in locations.others]
        self._kinds: dict[str, pa.DataType] | None = None
        self._text: set[str] = set()
        self._labels = self._labelled = 0

    @property
    def is_bulk(self) -> bool:
        """Return whether all paths are plain, so that many records can be read at once."""
        others = zip(self._locations.others, self._plain, strict=True)
        return self._plain_features is not None and not any(
            other.classes or (path is None and other.path is not None and other.side != GROUND_TRUTH)
            for other, path in others
        )

    @property
    def needs_kinds(self) -> bool:
        """Return whether the types of features are not known yet."""
        return self._kinds is None

    def learn(self, records: Iterable[tuple[Mapping[str, RecordPart], Callable[[], str]]]) -> None:
        """Learn types from the first records: in a list of integers and floats, Arrow makes all floats."""
        first = Finder(self._locations, self._shape).one_by_one(records).batch.schema
        self._kinds = dict(zip(first.names, first.types, strict=True))

    def count_labels(self, batch: pa.RecordBatch, labels: int) -> None:
        """Count the rows of some records that have a label, and the records with labels."""
        names = [other.name for other in self._locations.others if other.side == GROUND_TRUTH]
        self._labels += labels
        self._labelled += sum(batch.num_rows - batch.column(name).null_count for name in names)

    def require_labels(self, where: str) -> None:
        """Raise DatasetError when there were labels, and the path of the label led to none of them."""
        for other in self._locations.others:
            if other.side == GROUND_TRUTH and self._labels >= _ENOUGH_LABELS and not self._labelled:
                raise DatasetError.of(
                    "column_paths.no_labels",
                    file=where,
                    count=self._labels,
                    location=other,
                    field=other.variable,
                )

    def together(
        self,
        parts: Mapping[str, pa.Array],
        labels: Callable[[PlainPath | None, Counts], pa.Array] | None = None,
    ) -> Table:
        """Return the rows of many records.

        Parameters
        ----------
        parts
            One JSON value for each record.
        labels
            Returns the labels of captures at a path, for so many rows by record.

        Raises
        ------
        NotBulkError
            When they have to be read one by one.
        """
        if self._plain_features is None:
            raise NotBulkError("paths of more than names")
        features, counts = values_at(parts.get(REQUEST, parts.get(RECORD)), self._plain_features)
        columns = _bulk_features(features, self._locations.headers, self._kinds or {})
        for other, path in zip(self._locations.others, self._plain, strict=True):
            if other.side == GROUND_TRUTH and labels is not None:
                values = labels(path, counts)
            elif path is None:
                raise NotBulkError("a part without a path")
            else:
                values, found = values_at(parts.get(other.side), path)
                if not np.array_equal(found, counts):
                    raise NotBulkError("not one value for each row")
            if values.type not in _PLAIN:
                raise NotBulkError(f"{other.name} is no plain value")
            columns[other.name] = values
        return Table(batch_of(columns, int(counts.sum())), counts, counts[:0])

    def one_by_one(self, records: Iterable[tuple[Mapping[str, RecordPart], Callable[[], str]]]) -> Table:
        """Return the rows of records: their parts, and a function that names each.

        Raises
        ------
        DatasetError
            When a record has no features, or another number of values than rows.
        """
        features: list[FeatureRow] = []
        others: list[list[Any]] = [[] for _ in self._locations.others]
        counts = []
        for parts, place in records:
            rows = self._rows(parts, place)
            found = [
                _found(parts.get(other.side, RecordPart()), find, other)
                for other, find in zip(self._locations.others, self._others, strict=True)
            ]
            if GROUND_TRUTH in parts:
                self._labels += parts[GROUND_TRUTH].is_there
                self._labelled += sum(
                    value is not None
                    for other, value in zip(self._locations.others, found, strict=True)
                    if other.side == GROUND_TRUTH
                )
            if self._locations.document and None in found:
                other = self._locations.others[found.index(None)]
                raise DatasetError.of(
                    "column_paths.nothing",
                    place=place(),
                    path=other.path,
                    there=_keys(parts),
                    field=other.variable,
                )
            self._text |= {side for side, part in parts.items() if part.cells is not None}
            counts.append(self._add(features, others, rows, found, place))
        columns = _feature_columns(features, self._locations.headers) if features else {}
        sides = {other.name: other.side for other in self._locations.others}
        for location, values in zip(self._locations.others, others, strict=True):
            columns[location.name] = _column(location.name, values)
        # What came as CSV gets the types that its text allows.
        columns = {
            name: typed_text(column) if sides.get(name, REQUEST) in self._text else column
            for name, column in columns.items()
        }
        return Table(batch_of(columns, len(features)), np.array(counts, np.int64), np.zeros(0, np.int64))

    def _rows(self, parts: Mapping[str, RecordPart], place: Callable[[], str]) -> list[FeatureRow] | None:
        part = parts.get(REQUEST, parts.get(RECORD, RecordPart()))
        if part.cells is not None:
            beside = {
                int(other.path)
                for other in self._locations.others
                # Predictions share the line with the features, as batch output does.
                if other.side == RESPONSE
                and other.path
                and other.path.isdecimal()
                and parts[RESPONSE] is part
            }
            return [[cell for at, cell in enumerate(row) if at not in beside] for row in part.cells]
        if self._features is None:
            is_whole = part.is_there and RECORD not in parts
            return list(rows_of_values(part.values, self._shape)) if is_whole else None
        rows: list[FeatureRow] = []
        for value in part.values:
            found = feature_rows(self._features(value), document=self._locations.document)
            if found is None:
                there = " in its request" if REQUEST in parts else _keys(parts)
                path, variable = self._locations.features, self._locations.variable
                raise DatasetError.of(
                    "column_paths.nothing", place=place(), path=path, there=there, field=variable
                )
            rows += found
        return rows if part.values else None

    def _add(
        self,
        features: list[FeatureRow],
        others: list[list[Any]],
        rows: list[FeatureRow] | None,
        found: Sequence[Any],
        place: Callable[[], str],
    ) -> int:
        """Add the rows of one record; where it has no features, the other columns say how many there are."""
        chosen = [
            _largest(value, location, place) if location.classes else value
            for value, location in zip(found, self._locations.others, strict=True)
        ]
        lists = [value if isinstance(value, list) else [value] for value in chosen]
        count = max(map(len, lists), default=1) if rows is None else len(rows)
        features += [{}] * count if rows is None else rows
        for location, values, gathered in zip(self._locations.others, lists, others, strict=True):
            if len(values) == count:
                gathered += values
            elif values == [None] or (
                len(values) == 1 and location.variable in ("id_attribute", "time_attribute")
            ):
                gathered += values * count
            else:
                raise DatasetError.of(
                    "column_paths.uneven",
                    place=place(),
                    rows=several(count, "row"),
                    values=several(len(values), "value"),
                    location=location,
                    field=location.variable or "the path",
                )
        return count


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
    is_text = types.is_string(column.type) or types.is_large_string(column.type)
    if not is_text or column.null_count == len(column):
        return column
    for kind in (pa.int64(), pa.float64()):
        with contextlib.suppress(pa.ArrowInvalid):
            return pc.cast(pc.utf8_trim_whitespace(column), kind)
    return column


def _compiled(path: str | None, variable: str) -> Find | None:
    return None if path is None or path.isdecimal() else compile_path(path, variable)


def _found(part: RecordPart, find: Find | None, location: Location) -> Any:
    """Return what a part holds at a location: None, one value, or one for each row."""
    if not part.is_there:
        return None
    if part.cells is not None:
        position = int(location.path) if location.path and location.path.isdecimal() else 0
        if location.side == GROUND_TRUTH and all(len(row) == 1 for row in part.cells):
            position = 0  # of a label alone, the position may be that of its column in the dataset
        cells = [_at(row, position) for row in part.cells]
        return cells[0] if len(cells) == 1 else cells
    if find is not None:
        found = [find(value) for value in part.values]
    elif location.path is None:
        found = list(part.values)
    else:
        found = [_at(value, int(location.path)) for value in part.values]
    return found[0] if len(found) == 1 else found


def _at(value: Any, position: int) -> Any:
    return value[position] if isinstance(value, list) and len(value) > position else None


def _largest(value: Any, location: Location, place: Callable[[], str]) -> Any:
    """Return the class with the largest score, for one row or a list of them."""
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(row, list | None) for row in value):
        return [_largest(row, location, place) for row in value]
    classes = location.classes
    if (
        not isinstance(value, list)
        or len(value) != len(classes)
        or not all(isinstance(score, int | float) for score in value)
    ):
        scores, count = json.dumps(value), len(classes)
        raise DatasetError.of(
            "column_paths.scores", place=place(), scores=scores, location=location, count=count
        )
    return classes[value.index(max(value))]


def _keys(parts: Mapping[str, RecordPart]) -> str:
    """Return what a record has instead, for a message."""
    [record] = parts[RECORD].values
    if isinstance(record, dict) and record:
        names = ", ".join(list(record)[:_KEYS_SHOWN])
        return f" (its members are {names})"
    return ""


def values_at(records: pa.Array | None, path: PlainPath) -> tuple[pa.Array, Counts]:
    """Return what a plain path finds in objects, or in lists of them, and how many values in each record."""
    if records is None:
        raise NotBulkError("a part that not all records have")
    found = _members(records, path.before)
    if not path.projects:
        if types.is_list(found.type) and types.is_struct(found.type.value_type):
            raise NotBulkError("records of several rows")
        return found, np.ones(len(found), np.int64)
    if not types.is_list(found.type) or found.null_count:
        raise NotBulkError("a projection over what is no list")
    counts = pc.list_value_length(found).to_numpy(zero_copy_only=False).astype(np.int64)
    return _members(pc.list_flatten(found), path.after), counts


def _members(values: pa.Array, names: tuple[str, ...]) -> pa.Array:
    for name in names:
        if not types.is_struct(values.type):
            raise NotBulkError(f"{name} of what is no object")
        if values.type.get_field_index(name) < 0:
            return pa.nulls(len(values))
        values = pc.struct_field(values, name)
    return values


def _bulk_features(
    rows: pa.Array, headers: tuple[str, ...], kinds: Mapping[str, pa.DataType]
) -> dict[str, pa.Array]:
    if rows.null_count:
        raise NotBulkError("records without features")
    if types.is_struct(rows.type):
        if not rows.type.num_fields:
            raise NotBulkError("features without members")
        batch = pa.RecordBatch.from_arrays(rows.flatten(), [member.name for member in rows.type])
        try:
            batch = flatten_batch(batch)
        except DatasetError as error:
            raise NotBulkError(error.message) from error
        return dict(zip(batch.schema.names, batch.columns, strict=True))
    if not types.is_list(rows.type) or rows.type.value_type not in _PLAIN:
        raise NotBulkError("features are neither cells nor members")
    widths = pc.unique(pc.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise NotBulkError("rows differ in their number of features")
    width, cells = widths[0], pc.list_flatten(rows)
    dense = not cells.null_count and (types.is_integer(cells.type) or types.is_floating(cells.type))
    table = cells.to_numpy(zero_copy_only=False).reshape(-1, width) if dense else None
    return {
        name: _cell_column(
            pa.array(np.ascontiguousarray(table[:, at]))
            if table is not None
            else cells.take(pa.array(np.arange(at, len(cells), width))),
            kinds.get(name),
        )
        for at, name in enumerate(_names(headers, width))
    }


def _names(headers: tuple[str, ...], width: int) -> tuple[str, ...]:
    return headers if len(headers) == width else tuple(f"{PREFIX}{at}" for at in range(width))


def _cell_column(column: pa.Array, kind: pa.DataType | None) -> pa.Array:
    """Return a column of cells with the type it would have by itself."""
    if types.is_null(column.type) or column.null_count == len(column):
        return pa.nulls(len(column))
    if types.is_floating(column.type) and kind is None:
        raise NotBulkError("whether these are integers is not known")
    if types.is_floating(column.type) and types.is_integer(kind):
        with contextlib.suppress(pa.ArrowInvalid):  # some have a fraction
            return column.cast(kind)
    return column


def _feature_columns(rows: list[FeatureRow], headers: tuple[str, ...]) -> dict[str, pa.Array]:
    if all(isinstance(row, dict) for row in rows):
        batch = rows_to_batch(rows)  # type: ignore[arg-type]  # all are mappings here
        return dict(zip(batch.schema.names, batch.columns, strict=True))
    width = max(len(row) for row in rows)
    cells = [list(row.values()) if isinstance(row, dict) else row for row in rows]
    if any(len(row) < width for row in cells):
        cells = [row + [None] * (width - len(row)) for row in cells]
    names = _names(headers, width)
    return {
        name: _column(name, list(values))
        for name, values in zip(names, zip(*cells, strict=True), strict=True)
    }


def _column(name: str, values: list[Any]) -> pa.Array:
    try:
        # Integers or floats alone, with or without missing ones, need no look at every value.
        column = pa.array(values)
        if column.type in _PLAIN:
            return column
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError, ValueError, TypeError):
        pass
    if any(isinstance(value, list) and len(value) == 1 for value in values):
        # Scores are often written as lists of one value.
        values = list(chain.from_iterable(value if isinstance(value, list) else [value] for value in values))
    nested = next((value for value in values if isinstance(value, list | dict)), None)
    if nested is not None:
        kind = "a list" if isinstance(nested, list) else "an object"
        raise DatasetError.of("column_paths.nested", field=name, kind=kind, value=json.dumps(nested))
    return column_of(name, values)


# JMESPath expressions, compiled once; the plain ones without the cost of the general machinery.
#
# A projection over a list, such as ``instances[*].label``, gives a value for each element here: None where an
# element lacks the member. JMESPath leaves such elements out, after which values and rows no longer match.


_NAME = r'(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\\]+")'
_NAMES = re.compile(rf"{_NAME}(?:\.{_NAME})*")
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
    if _NAMES.fullmatch(text):
        return PlainPath(_steps(text))
    if match := _PROJECTION.fullmatch(text):
        return PlainPath(_steps(match[1] or ""), True, _steps(match[2] or ""))
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
        if path.projects:
            return functools.partial(_projected, path=path)
        return functools.partial(_member, names=path.before)
    # Imported late: few jobs need more than the plain paths.
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        compiled = jmespath.compile(text)
    except JMESPathError as error:
        reason = str(error).partition("\n")[0].rstrip(".:")
        raise ConfigurationError.of(
            "column_paths.no_jmespath", field=variable, path=expression, reason=reason
        ) from None

    def find(value: Any) -> Any:
        try:
            return compiled.search(value)
        except JMESPathError:
            return None  # a function met a value of a kind it does not take

    return find


def _steps(text: str) -> tuple[str, ...]:
    return tuple(step.strip('"') for step in _STEP.findall(text))


def _member(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _projected(value: Any, path: PlainPath) -> list[Any] | None:
    elements = _member(value, path.before)
    return [_member(element, path.after) for element in elements] if isinstance(elements, list) else None
