"""What to read and what reading gives: the types that the plan, the readers and the job share."""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset_format import DatasetFormat, Shape
from contract.errors import DatasetError
from contract.window import Window
from readers.labels.sources import LabelPlaces
from readers.reading import Said

if TYPE_CHECKING:
    from file_storage.scripts import Preprocessor
    from model_clients.model import Model
    from readers.captures.reading import Reading
    from readers.cell_types import CellRules
    from readers.csv_dialect import Dialect
    from readers.paths import Locations
    from readers.row_keys import RowKeys


# Schema metadata of batches whose column names did not come with the data.
POSITIONAL = {b"positional": b"true"}


@dataclass(frozen=True)
class Dataset:
    """What to read, and how.

    Parameters
    ----------
    source
        Local file or directory, or ``s3://bucket/prefix``.
    format
        How to read the files.
    text_only
        CSV cells stay text, for rules that infer types from the text.
    window
        Leave out what lies outside; None reads everything.
    column_names
        The baseline's feature names, for data that comes without names.
    exclude
        Columns to leave out: names, or zero-based positions as text.
    preprocessor
        The user's script, if any.
    labels
        Captures only: whether the labels that records carry become columns, after all others.
    ground_truth_source
        Captures only: file or folder with labels, joined with the records by id; implies `labels`.
    label_places
        Where labels are found in answers of human reviewers, and in tables.
    typed_labels
        Whether labels whose text is a number become numbers.
    repeated_names
        CSV without a header only: whether files may nevertheless begin with a line that repeats
        `column_names`; it is then left out.
    locations
        JSON and captures only: where nested records hold their columns.
    beside
        Further datasets whose rows continue those of this one, row by row.
    prediction
        What to ask a model for each row.
    segments
        Columns to add that tell the segments of the rows.
    rows
        Captures only: how the rows of a call stand in its payloads, by payload; None where the first calls
        decide.
    cells
        How cells are understood; None leaves them as the readers give them.
    dialect
        CSV only: how it is written, once that is decided.
    keys
        Where rows hold their id and time; both are left out of what is analysed.
    said
        What has been decided of how to read; shared by all requests made from this one.
    """

    source: str
    format: DatasetFormat
    text_only: bool = False
    window: Window | None = None
    column_names: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    preprocessor: Preprocessor | None = None
    labels: bool = False
    ground_truth_source: str | None = None
    label_places: LabelPlaces | None = None
    typed_labels: bool = False
    repeated_names: bool = False
    locations: Locations | None = None
    beside: tuple[Dataset, ...] = ()
    prediction: Prediction | None = None
    segments: tuple[SegmentColumn, ...] = ()
    rows: Mapping[str, Shape] | None = None
    cells: CellRules | None = None
    dialect: Dialect | None = None
    keys: RowKeys | None = None
    said: Said = field(default_factory=Said, compare=False, repr=False)


class Split(Protocol):
    """A piece of the dataset that one worker reads; picklable."""

    @property
    def label(self) -> str:
        """Return the file, and the range in it, for messages and progress."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, about 65,536 at a time."""


@runtime_checkable
class ReadsCalls(Protocol):
    """A split of captures, whose calls may have several rows."""

    @property
    def reading(self) -> Reading:
        """Return how these are read."""


# From rows to rows, such as those with a further column; picklable.
Transform = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class TransformedSplit:
    """A split whose rows pass through transforms, one after the other."""

    split: Split
    transforms: tuple[Transform, ...]

    @property
    def label(self) -> str:
        """Return the file and the range in it."""
        return self.split.label

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order."""
        for batch in self.split.batches():
            if batch.num_rows:
                yield functools.reduce(lambda rows, transform: transform(rows), self.transforms, batch)


def transformed(splits: tuple[Split, ...], transform: Transform) -> tuple[Split, ...]:
    """Return splits whose rows pass through one transform more."""
    return tuple(
        TransformedSplit(split.split, (*split.transforms, transform))
        if isinstance(split, TransformedSplit)
        else TransformedSplit(split, (transform,))
        for split in splits
    )


@dataclass(frozen=True)
class Plan:
    """A dataset divided into splits.

    Parameters
    ----------
    splits
        In the order of the data; none when there is no file to read.
    total_bytes
        Size of the files as stored.
    small
        True for less than 4 MB, which is always one split.
    reading
        Captures only: how the rows of calls stand in their payloads.
    """

    splits: tuple[Split, ...]
    total_bytes: int
    small: bool
    reading: Reading | None = None


class NotSplittable(Exception):  # noqa: N818 - a request to plan anew, not an error a user sees
    """Raised while reading: the file cannot be cut at line ends, plan again with ``whole_files=True``."""


def reading_of(splits: tuple[Split, ...]) -> Reading | None:
    """Return how splits of captures read the rows of a call, None for other data."""
    for split in splits:
        if isinstance(split, ReadsCalls):
            return split.reading
        if isinstance(split, TransformedSplit):
            return reading_of((split.split,))
    return None


def excluded_positions(names: list[str], exclude: tuple[str, ...]) -> set[int]:
    """Return the positions of the columns to leave out.

    Parameters
    ----------
    names
        Column names in order.
    exclude
        Names, or zero-based positions as text; a name that exists wins over a position. What is not
        there is ignored: columns may come and go between files.
    """
    positions = {name: position for position, name in enumerate(names)}
    excluded = {positions[entry] for entry in exclude if entry in positions}
    numbers = [int(entry) for entry in exclude if entry not in positions and entry.isdecimal()]
    return excluded | {number for number in numbers if number < len(names)}


def positional_names(count: int, request: Dataset) -> tuple[list[str], set[int]]:
    """Name the columns of data without names, and return the positions to leave out.

    The baseline's names are taken when their number equals `count`, before or after the excluded
    columns are left out; otherwise columns are called ``_c0``, ``_c1``, ...

    Parameters
    ----------
    count
        Number of columns in the data.
    request
        With `column_names` and `exclude`.

    Returns
    -------
    All `count` names, and the positions to leave out.
    """
    places = request.keys.places(count) if request.keys else {}
    if places:
        # Id and time are no columns of the baseline.
        names, excluded = positional_names(count - len(places), replace(request, keys=None))
        for place in sorted(places):
            names.insert(place, places[place])
            excluded = {position + (position >= place) for position in excluded}
        return names, excluded
    generic = [f"_c{position}" for position in range(count)]
    baseline = request.column_names
    if baseline is not None and len(baseline) == count:
        names = list(baseline)
        return names, excluded_positions(names, request.exclude) | excluded_positions(
            generic, request.exclude
        )
    excluded = excluded_positions(generic, request.exclude)
    kept = [position for position in range(count) if position not in excluded]
    if baseline is not None and len(baseline) == len(kept):
        for position, name in zip(kept, baseline, strict=True):
            generic[position] = name
    return generic, excluded


# A column that says which segment each row belongs to, by values or intervals of another column.


REST = "__default__"
_NUMBER = r"([+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf))"
_INTERVAL = re.compile(rf"\s*([\[(])\s*{_NUMBER}\s*,\s*{_NUMBER}\s*([\])])\s*", re.IGNORECASE)


@dataclass(frozen=True)
class SegmentColumn:
    """How rows are divided.

    Parameters
    ----------
    name
        Of the column that is added.
    source
        The column whose values decide.
    segments
        Each is a list of values, or of intervals as text: ``[1, 4]`` holds 1 and 4, ``(1, 4)`` neither. A row
        belongs to the first that has its value.
    labels
        What the segments are called, and last the rest of the rows.
    """

    name: str
    source: str
    segments: tuple[tuple[str | int, ...], ...]
    labels: tuple[str, ...]


def with_segments(batch: pa.RecordBatch, columns: tuple[SegmentColumn, ...]) -> pa.RecordBatch:
    """Return rows with further columns that tell their segments."""
    for column in columns:
        batch = batch.append_column(column.name, segments_of(batch, column))
    return batch


def segments_of(batch: pa.RecordBatch, column: SegmentColumn) -> pa.DictionaryArray:
    """Return the label of each row's segment.

    Parameters
    ----------
    batch
        Rows; where the source column is missing, all belong to the rest.
    """
    codes = np.full(batch.num_rows, len(column.segments), np.int32)
    if column.source in batch.schema.names:
        values = batch.column(column.source)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        # The first of several that hold a value wins, so it is written last.
        for number in reversed(range(len(column.segments))):
            for member in column.segments[number]:
                codes[_holds(values, member)] = number
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(column.labels, pa.string()))


def is_interval(text: str | int) -> bool:
    """Return whether a member of a segment is an interval."""
    return isinstance(text, str) and _INTERVAL.fullmatch(text) is not None


def _holds(values: pa.Array, member: str | int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if numeric:
        # Beyond 2**53 Arrow refuses to compare integers with floats unless told that digits may go.
        values = values.cast(pa.float64(), safe=False)
    match = _INTERVAL.fullmatch(member) if isinstance(member, str) else None
    if match is not None and numeric:
        low = (pc.greater_equal if match[1] == "[" else pc.greater)(values, float(match[2]))
        high = (pc.less_equal if match[4] == "]" else pc.less)(values, float(match[3]))
        inside = pc.and_(low, high)
    elif numeric:
        try:
            inside = pc.equal(values, float(member))
        except ValueError:
            return np.zeros(len(values), bool)
    else:
        inside = pc.equal(values.cast(pa.string()), str(member))
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = pc.fill_null(inside, False).to_numpy(
        zero_copy_only=False
    )
    return found


# A column of predictions that a model is asked for while the rows are read.


@dataclass(frozen=True)
class Prediction:
    """What to ask a model.

    Parameters
    ----------
    name
        Of the column that is added.
    features
        The columns that the model takes, in its order.
    as_label
        Whether the predicted label is wanted, rather than the score.
    model
        It is closed when nothing refers to this any more.
    """

    name: str
    features: tuple[str, ...]
    as_label: bool
    model: Model = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        # A job that fails forgets the model anywhere on its way; its connections are closed all the same.
        weakref.finalize(self, self.model.close)

    def column(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the prediction for each row.

        Raises
        ------
        ModelError
            When the model cannot be asked.
        DatasetError
            When the rows lack a feature.
        """
        absent = [name for name in self.features if name not in batch.schema.names]
        if absent:
            raise DatasetError(
                f"the data lacks {absent[0]!r} in some rows, which the model takes; add the column."
            )
        table = batch.select(list(self.features))
        if self.as_label:
            return self.model.predict_labels(table)
        return pa.array(np.ascontiguousarray(self.model.predict(table)[:, 0]))

    def append(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows with the column of predictions."""
        return batch.append_column(self.name, self.column(batch))
