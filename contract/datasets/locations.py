"""Where nested records hold their columns, and making columns of what is found there.

A record may hold one row or many. Its features are a list of cells, or an object whose members name them;
several rows are a list of these. Labels and predictions are one value, or a list of as many as there are
rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contract.datasets.rows import column_of, rows_to_batch
from contract.errors import DatasetError
from contract.wording import several

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


@dataclass(frozen=True)
class Location:
    """Where one further column of a record is found.

    Parameters
    ----------
    name
        What the column is called.
    path
        JMESPath; in CSV the zero-based position as text. None takes all there is, which must be one value.
    side
        Captures only: the part of the record it is looked for in.
    variable
        The setting or member that holds the path, for messages.
    classes
        When a list of scores is found for each row: what they are scores of. The column holds the class with
        the largest.
    """

    name: str
    path: str | None
    side: str = ""
    variable: str = ""
    classes: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Locations:
    """Where a dataset's records hold their columns.

    Parameters
    ----------
    features
        JMESPath of the features; None takes the whole request of a capture, and of JSON files none.
    others
        Columns that follow the features, in this order.
    headers
        Names of the features; without them, or where their number differs, they are called ``column_0``,
        ``column_1`` and so on.
    document
        Whether a JSON file is one document whose paths lead to lists, rather than one record per line.
    variable
        The setting or member that holds `features`, for messages.
    """

    features: str | None
    others: tuple[Location, ...] = ()
    headers: tuple[str, ...] = ()
    document: bool = False
    variable: str = "features"


class RecordRows:
    """Rows gathered from records: features, and the columns beside them."""

    def __init__(self, locations: Locations) -> None:
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
