"""What to read and what reading gives: the types that the plan, the readers and the job share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from contract.datasets.format import DatasetFormat
from contract.datasets.label_places import LabelPlaces
from contract.datasets.window import Window

if TYPE_CHECKING:
    from contract.datasets.locations import Locations
    from contract.datasets.predicted import Prediction
    from contract.datasets.segment_column import SegmentColumn
    from contract.scripts import Preprocessor

# Schema metadata of batches whose column names did not come with the data.
POSITIONAL = {b"positional": b"true"}


@dataclass(frozen=True)
class DatasetRequest:
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
    beside: tuple[DatasetRequest, ...] = ()
    prediction: Prediction | None = None
    segments: tuple[SegmentColumn, ...] = ()


class Split(Protocol):
    """A piece of the dataset that one worker reads; picklable."""

    @property
    def label(self) -> str:
        """Return the file, and the range in it, for messages and progress."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, about 65,536 at a time."""


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
    """

    splits: tuple[Split, ...]
    total_bytes: int
    small: bool


class NotSplittable(Exception):  # noqa: N818 - a request to plan anew, not an error a user sees
    """Raised while reading: the file cannot be cut at line ends, plan again with ``whole_files=True``."""


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


def positional_names(count: int, request: DatasetRequest) -> tuple[list[str], set[int]]:
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
