"""Columns found by JMESPath in the parts of capture records, one record at a time: every rule.

`located_capture_bulk` gives the same columns for blocks without surprises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from contract.datasets.capture_lines import Line
from contract.datasets.json_path import Find, compile_path
from contract.datasets.locations import (
    GROUND_TRUTH,
    PARTS,
    REQUEST,
    RESPONSE,
    FeatureRow,
    Location,
    Locations,
    RecordRows,
    feature_rows,
    typed_text,
)
from contract.datasets.payloads import Payload, UndecodableError, loads, parse_payload
from contract.errors import DatasetError

# Of a few labels, all may well be null.
_ENOUGH_LABELS = 10


@dataclass
class _Part:
    """One part of a record, decoded: JSON values, or rows of CSV."""

    values: list[Any] = field(default_factory=list)
    payload: Payload | None = None
    is_csv: bool = False


class CaptureFinder:
    """The compiled paths of `Locations`, applied to the parts of capture records."""

    def __init__(self, locations: Locations) -> None:
        self._locations = locations
        self._features = (
            None if locations.features is None else _finder(locations.features, locations.variable)
        )
        self._others = [_finder(other.path, other.variable) for other in locations.others]
        self._text: set[str] = set()
        self._labels = self._labelled = 0
        self.undecodable = 0

    def add(
        self, rows: RecordRows, line: Line, record: dict[str, Any], truth: tuple[str, str] | None
    ) -> None:
        """Add the rows of one record."""
        parts = {
            REQUEST: self._part(record, REQUEST),
            RESPONSE: self._part(record, RESPONSE),
            GROUND_TRUTH: self._decoded(truth and {"data": truth[0], "encoding": truth[1]}),
        }
        self._text |= {side for side, part in parts.items() if part.is_csv}
        features = self._feature_rows(parts[REQUEST], _positions_beside(record, self._locations.others))
        if features is None and parts[REQUEST].values:
            raise DatasetError(
                f"{line.path} line {line.line_number()} has nothing at {self._locations.features!r} in its "
                f"request; correct {self._locations.variable}."
            )
        found = [
            _found(parts[other.side], find, other)
            for other, find in zip(self._locations.others, self._others, strict=True)
        ]
        labelled = [
            value is not None
            for other, value in zip(self._locations.others, found, strict=True)
            if other.side == GROUND_TRUTH
        ]
        self.count_labels(parts[GROUND_TRUTH].payload is not None, sum(labelled))
        rows.add(features, found, lambda: f"{line.path} line {line.line_number()}")

    def count_labels(self, labels: int, found: int) -> None:
        """Count records with labels, and those where one was found."""
        self._labels += labels
        self._labelled += found

    def require_labels(self, where: str) -> None:
        """Raise DatasetError when there were labels, and the path of the label led to none of them."""
        for other in self._locations.others:
            if other.side == GROUND_TRUTH and self._labels >= _ENOUGH_LABELS and not self._labelled:
                raise DatasetError(
                    f"{where} has {self._labels} records with {GROUND_TRUTH}, but none has a label at "
                    f"{other.path!r}; set {other.variable} to where the label is, as JMESPath."
                )

    def finish(self, rows: RecordRows) -> pa.RecordBatch:
        """Return the rows as columns; what came as CSV gets the types that its text allows."""
        batch = rows.batch()
        others = {other.name: other.side for other in self._locations.others}
        columns = [
            typed_text(column) if others.get(name, REQUEST) in self._text else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, batch.schema.names) if columns else batch

    def _feature_rows(self, part: _Part, beside: set[int]) -> list[FeatureRow] | None:
        if part.is_csv and part.payload is not None:
            cells = [row for row in part.payload.rows if isinstance(row, list)]
            return [[cell for at, cell in enumerate(row) if at not in beside] for row in cells]
        if self._features is None:
            if part.payload is None:
                return None
            payload = part.payload
            whole = payload.whole is not None and not payload.row_like
            return [payload.whole] if whole else list(payload.rows)  # type: ignore[list-item]  # whole is set
        rows: list[FeatureRow] = []
        for value in part.values:
            found = feature_rows(self._features(value))
            if found is None:
                return None
            rows += found
        return rows if part.values else None

    def _part(self, record: dict[str, Any], side: str) -> _Part:
        captured = record["captureData"]
        return self._decoded(next((captured[name] for name in PARTS[side] if captured.get(name)), None))

    def _decoded(self, part: Any) -> _Part:
        try:
            payload = parse_payload(part)
        except UndecodableError:
            self.undecodable += 1
            return _Part()
        if payload is None:
            return _Part()
        values = json_values_of(part)
        return _Part(values or [], payload, is_csv=values is None)


def _finder(path: str | None, variable: str) -> Find | None:
    return None if path is None or path.isdecimal() else compile_path(path, variable)


def _found(part: _Part, find: Find | None, location: Location) -> Any:
    """Return what a part holds at a location: None, one value, or one for each row."""
    if part.payload is None:
        return None
    if part.is_csv:
        position = int(location.path) if location.path and location.path.isdecimal() else 0
        rows = [row for row in part.payload.rows if isinstance(row, list)]
        if location.side == GROUND_TRUTH and all(len(row) == 1 for row in rows):
            position = 0  # of a label alone, the position may be that of its column in the dataset
        cells = [_at(row, position) for row in rows]
        return cells[0] if len(cells) == 1 else cells
    if find is not None:
        found = [find(value) for value in part.values]
    elif location.path is None:
        found = list(part.values)
    else:
        position = int(location.path)
        found = [_at(value, position) for value in part.values]
    return found[0] if len(found) == 1 else found


def _at(value: Any, position: int) -> Any:
    return value[position] if isinstance(value, list) and len(value) > position else None


def _positions_beside(record: dict[str, Any], others: tuple[Location, ...]) -> set[int]:
    """Return the positions of predictions that share the line with the features, as batch output does."""
    captured = record["captureData"]
    if captured.get("endpointInput") or captured.get("batchTransformInput"):
        return set()
    return {
        int(other.path)
        for other in others
        if other.side == RESPONSE and other.path and other.path.isdecimal()
    }


def json_values_of(part: Any) -> list[Any] | None:
    """Return the JSON values of a part, one for each line when there are several; None when it is no JSON."""
    data = part.get("data")
    if not isinstance(data, str):
        return [data]
    encoding = str(part.get("encoding") or "").upper()
    content_type = str(part.get("observedContentType") or "").lower()
    if encoding == "CSV" or (encoding != "JSON" and "csv" in content_type):
        return None
    text = _text(data, encoding)
    try:
        return [loads(text)]
    except ValueError:
        pass
    try:
        return [loads(line) for line in text.split("\n") if line.strip()]
    except ValueError:
        return None


def _text(data: str, encoding: str) -> str:
    if encoding != "BASE64":
        return data
    import base64

    return base64.b64decode(data, validate=False).decode()
