"""Columns found by paths in nested records: JSON files, and the parts of captures.

A record may hold one row or many. Its features are a list of cells, or an object whose members name them;
several rows are a list of these. Labels and predictions are one value, or a list of as many as there are
rows.
"""

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset import GROUND_TRUTH, ColumnPaths, Location
from contract.dataset_format import Shape
from contract.errors import ConfigurationError, DatasetError, wording
from contract.wording import several
from readers.captures.shapes import CSV, NOTHING, Payload, rows_of_values
from readers.cell_types import typed_text
from readers.flatten import batch_of, column_of, columns_of, flatten_batch, rows_to_batch
from readers.lanes import Counts, NotBulkError, Table, like_first, require_alike, require_exact

PREFIX = "column_"

# The parts of a capture record that a column may be found in. A record of a JSON file is one part.
REQUEST = "request"
RESPONSE = "response"
RECORD = ""

_PLAIN = (pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.null())
_KEYS_SHOWN = 8
# Of a few labels, all may well be null.
_ENOUGH_LABELS = 10

Find = Callable[[Any], Any]
# One row of features: cells without names, or values by name.
FeatureRow = list[Any] | dict[str, Any]
# The parts of a record, and what names the record.
Record = tuple[Mapping[str, Payload], Callable[[], str]]


class Finder:
    """The compiled paths of `ColumnPaths`; `shape` says what rows a whole request has.

    `is_bulk` says whether many records can be read at once, `kinds` what types the first features have.
    """

    def __init__(self, locations: ColumnPaths, shape: Shape = "row") -> None:
        self._locations, self._shape = locations, shape
        self._features = _compiled(locations.features, locations.variable)
        self._others = [(other, _compiled(other.path, other.variable)) for other in locations.others]
        self._labels = self._labelled = 0
        self.kinds: dict[str, pa.DataType] | None = None
        finds = [find for one, find in self._others if one.path is not None and one.side != GROUND_TRUTH]
        has_classes = any(other.classes for other, _ in self._others)
        self.is_bulk = not has_classes and all(isinstance(f, PlainPath) for f in (self._features, *finds))

    def learn(self, records: Iterable[Record]) -> None:
        """Learn types from the first records: in a list of integers and floats, Arrow makes all floats."""
        first = self.one_by_one(records).batch.schema
        self.kinds = dict(zip(first.names, first.types, strict=True))

    def count_labels(self, batch: pa.RecordBatch, labels: int) -> None:
        """Count the rows of some records that have a label, and the records with labels."""
        names = [other.name for other, _ in self._others if other.side == GROUND_TRUTH]
        self._labels += labels
        self._labelled += sum(batch.num_rows - batch.column(name).null_count for name in names)

    def require_labels(self, where: str) -> None:
        """Raise DatasetError when there were labels, and the path of the label led to none of them."""
        for other, _ in self._others:
            if other.side == GROUND_TRUTH and self._labels >= _ENOUGH_LABELS and not self._labelled:
                said: dict[str, Any] = {"count": self._labels, "location": other, "field": other.variable}
                raise DatasetError.of("column_paths.no_labels", file=where, **said)

    def together(
        self, parts: Mapping[str, pa.Array], labels: Callable[[Find | None, Counts], pa.Array] | None = None
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
        features, counts = values_at(parts.get(REQUEST, parts.get(RECORD)), self._features)
        columns = _bulk_features(features, self._locations.headers, self.kinds or {})
        for other, path in self._others:
            if other.side == GROUND_TRUTH and labels is not None:
                values = labels(path, counts)
            else:
                values, found = values_at(parts.get(other.side), path)
                require_alike(np.array_equal(found, counts), "not one value for each row")
            require_alike(values.type in _PLAIN, f"{other.name} is no plain value")
            columns[other.name] = values
        return Table(batch_of(columns, int(counts.sum())), counts, counts[:0])

    def one_by_one(self, records: Iterable[Record]) -> Table:
        """Return the rows of records.

        Raises
        ------
        DatasetError
            When a record has no features, or another number of values than rows.
        """
        features: list[FeatureRow] = []
        others, counts = self._others, []
        gathered: list[list[Any]] = [[] for _ in others]
        text: set[str] = set()
        for parts, place in records:
            rows = self._rows(parts, place)
            found = [_found(parts.get(other.side, NOTHING), find, other, place) for other, find in others]
            if self._locations.document and None in found:
                other, _ = others[found.index(None)]
                raise _nothing(other.path, other.variable, _keys(parts), place)
            lists = [value if isinstance(value, list) else [value] for value in found]
            # Where a record has no features, the other columns say how many rows there are.
            count = max(map(len, lists), default=1) if rows is None else len(rows)
            counts.append(count)
            features += [{}] * count if rows is None else rows
            for (location, _), values, column in zip(others, lists, gathered, strict=True):
                column += _of_rows(values, count, location, place)
            text |= {side for side, part in parts.items() if part.kind == CSV}
        columns = _feature_columns(features, self._locations.headers) if features else {}
        sides = {other.name: other.side for other, _ in others}
        columns |= {name: _column(name, values) for name, values in zip(sides, gathered, strict=True)}
        # What came as CSV gets the types that its text allows.
        columns |= {name: typed_text(columns[name]) for name in columns if sides.get(name, REQUEST) in text}
        return Table(batch_of(columns, len(features)), np.array(counts, np.int64), np.zeros(0, np.int64))

    def _rows(self, parts: Mapping[str, Payload], place: Callable[[], str]) -> list[FeatureRow] | None:
        part = parts[RECORD] if RECORD in parts else parts[REQUEST]
        if part.kind == CSV:
            # Predictions may share the line with the features, as batch output does.
            shared = [o.path for o, _ in self._others if o.side == RESPONSE and parts.get(RESPONSE) is part]
            beside = {int(path) for path in shared if path and path.isdecimal()}
            return [[cell for at, cell in enumerate(row) if at not in beside] for row in part.values]
        if not part.values or (self._features is None and RECORD in parts):
            return None
        if self._features is None:
            return list(rows_of_values(part.values, self._shape))
        rows: list[FeatureRow] = []
        for value in part.values:
            found = feature_rows(self._features(value), document=self._locations.document)
            if found is None:
                there = " in its request" if REQUEST in parts else _keys(parts)
                raise _nothing(self._locations.features, self._locations.variable, there, place)
            rows += found
        return rows


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


def _compiled(path: str | None, variable: str) -> Find | None:
    return None if path is None or path.isdecimal() else compile_path(path, variable)


def _nothing(path: str | None, variable: str, there: str, place: Callable[[], str]) -> DatasetError:
    return DatasetError.of("column_paths.nothing", place=place(), path=path, there=there, field=variable)


def _found(part: Payload, find: Find | None, location: Location, place: Callable[[], str]) -> Any:
    """Return what a part holds at a location: None, one value, or one for each row."""
    position = int(location.path) if location.path and location.path.isdecimal() else 0
    if location.side == GROUND_TRUTH and part.kind == CSV:
        if all(len(row) == 1 for row in part.values):
            position = 0  # of a label alone, the position may be that of its column in the dataset
        elif location.path is None or not location.path.isdecimal():
            raise DatasetError.of("column_paths.label_cells", place=place(), field=location.variable)
    if part.kind != CSV and find is not None:
        found = [find(value) for value in part.values]
        if location.side == GROUND_TRUTH:  # a label that is a value by itself has no members to find
            pairs = zip(part.values, found, strict=True)
            found = [value if one is None and _is_plain(value) else one for value, one in pairs]
    elif part.kind != CSV and location.path is None:
        found = list(part.values)
    else:
        lists = [value if isinstance(value, list) else [] for value in part.values]
        found = [cells[position] if len(cells) > position else None for cells in lists]
    value = found[0] if len(found) == 1 else found or None
    return _largest(value, location, place) if location.classes else value


def _is_plain(value: Any) -> bool:
    return not any(isinstance(one, dict | list) for one in (value if isinstance(value, list) else [value]))


def _of_rows(values: list[Any], count: int, location: Location, place: Callable[[], str]) -> list[Any]:
    """Return values of a record, one for each of its rows."""
    if len(values) == count:
        return values
    of_all_rows = len(values) == 1 and location.variable in ("id_attribute", "time_attribute")
    if values == [None] or of_all_rows:
        return values * count
    counts = {"rows": several(count, "row"), "values": several(len(values), "value")}
    scores = wording("column_paths.one_score", path=location.path) if location.name == "probability" else ""
    about: dict[str, Any] = {"location": location, "field": location.variable or "the path", "scores": scores}
    raise DatasetError.of("column_paths.uneven", place=place(), **counts, **about)


def _largest(value: Any, location: Location, place: Callable[[], str]) -> Any:
    """Return the class with the largest score, for one row or a list of them; None without all scores."""
    scores, classes = value if isinstance(value, list) else [value], location.classes
    if all(score is None for score in scores):
        return None
    if any(isinstance(row, list) for row in scores):
        return [_largest(row, location, place) for row in scores]
    if len(scores) != len(classes) or not all(isinstance(score, int | float | None) for score in scores):
        about: dict[str, Any] = {"scores": json.dumps(value), "count": len(classes)}
        raise DatasetError.of("column_paths.scores", place=place(), location=location, **about)
    if any(score is None or math.isnan(score) for score in scores):
        return None
    return classes[scores.index(max(scores))]


def _keys(parts: Mapping[str, Payload]) -> str:
    """Return what a record has instead, for a message."""
    [record] = parts[RECORD].values
    names = ", ".join(list(record)[:_KEYS_SHOWN]) if isinstance(record, dict) else ""
    return f" (its members are {names})" if names else ""


def values_at(records: pa.Array | None, path: Find | None) -> tuple[pa.Array, Counts]:
    """Return what a plain path finds in objects, or in lists of them, and how many values in each record."""
    if records is None or not isinstance(path, PlainPath):
        raise NotBulkError("a part that not all records have, or that has no plain path")
    found = _members(records, path.before)
    if not path.projects:
        several_rows = types.is_list(found.type) and types.is_struct(found.type.value_type)
        require_alike(not several_rows, "records of several rows")
        return found, np.ones(len(found), np.int64)
    require_alike(types.is_list(found.type) and not found.null_count, "a projection over what is no list")
    counts = pc.list_value_length(found).to_numpy(zero_copy_only=False).astype(np.int64)
    return _members(pc.list_flatten(found), path.after), counts


def _members(values: pa.Array, names: tuple[str, ...]) -> pa.Array:
    for name in names:
        require_alike(types.is_struct(values.type), f"{name} of what is no object")
        if values.type.get_field_index(name) < 0:
            return pa.nulls(len(values))
        values = pc.struct_field(values, name)
    return values


def _bulk_features(
    rows: pa.Array, headers: tuple[str, ...], kinds: Mapping[str, pa.DataType]
) -> dict[str, pa.Array]:
    require_alike(not rows.null_count, "records without features")
    if types.is_struct(rows.type):
        require_alike(rows.type.num_fields, "features without members")
        return columns_of(flatten_batch(pa.RecordBatch.from_struct_array(rows)))
    is_cells = types.is_list(rows.type) and rows.type.value_type in _PLAIN
    require_alike(is_cells, "features are neither cells nor members")
    width, *others = pc.unique(pc.list_value_length(rows)).to_pylist() or [0]
    require_alike(width and not others, "rows differ in their number of features")
    cells = pc.list_flatten(rows)
    require_exact(cells)
    is_dense = not cells.null_count and (types.is_integer(cells.type) or types.is_floating(cells.type))
    # Much faster than element by element.
    table = np.ascontiguousarray(cells.to_numpy().reshape(-1, width).T) if is_dense else None
    columns = [pc.list_element(rows, at) if table is None else pa.array(table[at]) for at in range(width)]
    found: dict[str, pa.Array] = {}
    for name, column in zip(_names(headers, width), columns, strict=True):
        # Each has the type it would have by itself.
        kind, is_empty = kinds.get(name), column.null_count == len(column)
        require_alike(is_empty or kind or not types.is_floating(column.type), "these may be integers")
        found[name] = pa.nulls(len(column)) if is_empty else like_first(column, kind)
    return found


def _names(headers: tuple[str, ...], width: int) -> tuple[str, ...]:
    return headers if len(headers) == width else tuple(f"{PREFIX}{at}" for at in range(width))


def _feature_columns(rows: list[FeatureRow], headers: tuple[str, ...]) -> dict[str, pa.Array]:
    if all(isinstance(row, dict) for row in rows):
        return columns_of(rows_to_batch(rows))  # type: ignore[arg-type]  # all are mappings here
    widths = Counter(map(len, rows)).most_common()
    if len(widths) > 1:
        (usual, _), (other, count) = widths[:2]
        shown = next(list(row) for row in rows if len(row) == other)
        raise DatasetError.of("column_paths.widths", usual=usual, other=other, count=count, first=shown)
    columns = list(zip(*(row.values() if isinstance(row, dict) else row for row in rows), strict=True))
    names = _names(headers, len(columns))
    return {name: _column(name, list(values)) for name, values in zip(names, columns, strict=True)}


def _column(name: str, values: list[Any]) -> pa.Array:
    if {list, dict}.isdisjoint(map(type, values)):
        return column_of(name, values)
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
_NAMES = rf"{_NAME}(?:\.{_NAME})*"
_PLAIN_PATH = re.compile(rf"(?=.)({_NAMES})?(?:(\[\*?\])(?:\.({_NAMES}))?)?")
_STEP = re.compile(_NAME)


@dataclass(frozen=True)
class PlainPath:
    """An expression of member names only, or such a projection over one list; finds what it leads to.

    Parameters
    ----------
    before, after
        Names of members on the way to the list, and from its elements on; all are in `before` where there is
        no list.
    """

    before: tuple[str, ...]
    projects: bool = False
    after: tuple[str, ...] = ()

    def __call__(self, value: Any) -> Any:
        """Return what the path finds in a value: None for nothing, and a list when it projects."""
        found = _member(value, self.before)
        if not self.projects:
            return found
        return [_member(element, self.after) for element in found] if isinstance(found, list) else None


def compile_path(expression: str, variable: str) -> Find:
    """Return a function from a JSON value to what the expression finds in it, None where it finds nothing.

    Parameters
    ----------
    expression
        JMESPath; of a plain one the function is a `PlainPath`.
    variable
        The setting or member that holds it, for messages.

    Raises
    ------
    ConfigurationError
        When it is no JMESPath.
    """
    text = expression.strip()
    if match := _PLAIN_PATH.fullmatch(text):
        return PlainPath(_steps(match[1]), match[2] is not None, _steps(match[3]))
    # Imported late: few jobs need more than the plain paths.
    import jmespath
    from jmespath.exceptions import JMESPathError

    told: dict[str, Any] = {"field": variable, "path": expression}
    told["reason"] = lambda error: str(error).partition("\n")[0].rstrip(".:")
    with ConfigurationError.instead_of("column_paths.no_jmespath", JMESPathError, **told):
        compiled = jmespath.compile(text)

    def find(value: Any) -> Any:
        with contextlib.suppress(JMESPathError):  # a function may meet a value of a kind it does not take
            return compiled.search(value)
        return None

    return find


def _steps(text: str | None) -> tuple[str, ...]:
    return tuple(step.strip('"') for step in _STEP.findall(text or ""))


def _member(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
