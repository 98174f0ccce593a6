"""Names of columns without names, and the columns that segments add."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import Dataset, SegmentColumn, is_nameless, notice
from contract.errors import DatasetError
from contract.window import Window, microseconds
from contract.wording import as_float, several

# Schema metadata of batches whose column names did not come with the data.
POSITIONAL = {b"positional": b"true"}
# Members of records that are compared, and how many rows with both chance would have given.
_MOST_MEMBERS, _SURELY_TOGETHER = 60, 10
# Earlier than any time.
UNREAD = np.iinfo(np.int64).min


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


def require_kept(path: str, names: list[str], exclude: tuple[str, ...], excluded: set[int]) -> None:
    """Make sure that the columns to leave out by their position are there, and others as well.

    Raises
    ------
    DatasetError
        Naming the position and the number of columns.
    """
    if names and len(excluded) == len(names):
        raise DatasetError.of("tables.none_left", file=path)
    for entry in exclude:
        if entry not in names and entry.isdecimal() and int(entry) >= len(names):
            there = several(len(names), "column")
            raise DatasetError.of("tables.no_position", file=path, field=entry, columns=there)


def say_unexcluded(names: list[str], exclude: tuple[str, ...]) -> None:
    """Count what is to be left out and is no column."""
    for entry in exclude:
        if entry not in names and not re.fullmatch(r"(_c)?\d+", entry):
            notice("reading.unexcluded", field=entry)


def say_odd_columns(files: Sequence[Sequence[str]], *, has_names: bool = False) -> None:
    """Count the files with each column, and say which columns look like the index of a data frame.

    Parameters
    ----------
    files
        The names of the columns of each.
    has_names
        Whether a name such as ``_c0`` stands for an empty one in a header.
    """
    counts = Counter(name for names in files for name in names)
    notice("file", len(files))
    for name, count in counts.items():
        notice("file", count, field=name)
        if is_nameless(name, has_names=has_names):
            notice("reading.index", field=name)


def window_places(instants: npt.NDArray[np.int64], window: Window) -> npt.NDArray[np.int32]:
    """Return in which of the windows that are told apart each instant lies, -1 for none.

    Parameters
    ----------
    instants
        Microseconds since 1970, `UNREAD` where nobody knows.
    """
    edges = [*map(microseconds, (*(window.edges or (window.start,)), window.end))]
    places = np.searchsorted(edges, instants, side="right").astype(np.int32) - 1
    return np.where(places == len(edges) - 1, np.int32(-1), places)


def watched(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield rows of nested records; say where they have several forms, such as some wrapped in a member.

    Two members that are often there, but never in one record, belong to records of two forms. So does a
    member that is a value here, and an object or a list there.
    """
    rows, met = 0, Counter[tuple[str, str]]()
    # Members without others below them, of which each met each other one: nothing is to be said of these.
    settled: set[str] = set()
    for batch in batches:
        yield batch
        rows += batch.num_rows
        if settled.issuperset(batch.schema.names):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                met[name, name] += batch.num_rows - column.null_count
            continue
        there = _members(batch)
        names = sorted(there)[:_MOST_MEMBERS]
        for pair in itertools.combinations_with_replacement(names, 2):
            if pair[0] != pair[1] and met[pair]:
                continue  # how often they meet does not matter
            both = there[pair[0]] & there[pair[1]]
            met[pair] += batch.num_rows if both is True else int(np.count_nonzero(both))
        if len(names) == len(there) and all(met[pair] for pair in itertools.combinations(names, 2)):
            settled = {name for name in names if not name.endswith(".")}
    said: set[str] = set()
    names = sorted({name for pair in met for name in pair})
    for one, other in itertools.combinations(names[:_MOST_MEMBERS], 2):
        count = met[other, other]
        if met[one, other]:
            continue
        if other == f"{one}.":
            notice("reading.mixed", count, field=one)
        elif met[one, one] * count >= _SURELY_TOGETHER * rows and not said & {one, other}:
            said |= {one, other}
            notice("reading.forms", count, field=one.rstrip("."), other=other.rstrip("."))


def _members(batch: pa.RecordBatch) -> dict[str, Any]:
    """Return in which rows each member is, True for all; with a point after its name, what is below it."""
    there: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        first, point, _ = name.partition(".")
        known = there.get(first + point, False)
        if known is not True and column.null_count < batch.num_rows:
            mask = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else True
            there[first + point] = mask | known
    return there


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
    # A baseline that was made without naming id and time has them among its columns.
    is_known = len(request.column_names or ()) == count
    places = request.keys.places(count) if request.keys and not is_known else {}
    if places:
        # Id and time are no columns of the baseline.
        names, excluded = positional_names(count - len(places), replace(request, keys=None))
        for place in sorted(places):
            names.insert(place, places[place])
            excluded = {position + (position >= place) for position in excluded}
        return names, excluded
    generic = [f"_c{position}" for position in range(count)]
    names, excluded = named_by_position(generic, request), excluded_positions(generic, request.exclude)
    return names, excluded | excluded_positions(names if is_known else [], request.exclude)


def named_by_position(columns: list[str], request: Dataset) -> list[str]:
    """Return the baseline's names, in place of those of all columns or of those that are not left out.

    Where neither number of columns is the baseline's, they keep their names.
    """
    excluded, baseline = excluded_positions(columns, request.exclude), request.column_names or ()
    kept = [position for position in range(len(columns)) if position not in excluded]
    places = next((some for some in (range(len(columns)), kept) if len(some) == len(baseline)), ())
    by_position = dict(zip(places, baseline, strict=False))
    return [by_position.get(position, name) for position, name in enumerate(columns)]


# A column that says which segment each row belongs to, by values or intervals of another column.


REST = "__default__"
_NUMBER = r"([+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf))"
_INTERVAL = re.compile(rf"\s*([\[(])\s*{_NUMBER}\s*,\s*{_NUMBER}\s*([\])])\s*", re.IGNORECASE)


def with_segments(batch: pa.RecordBatch, columns: tuple[SegmentColumn, ...]) -> pa.RecordBatch:
    """Return rows with further columns that tell their segments."""
    for column in columns:
        found = segments_of(batch, column)
        if column.labels[-1] == REST:  # nobody gave the rest a name
            rest = int(np.count_nonzero(found.indices.to_numpy() == len(column.segments)))
            notice("reading.rest", rest, field=column.source, rest=REST)
        batch = batch.append_column(column.name, found)
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
    """Return whether a member of a segment is an interval that holds something."""
    match = _INTERVAL.fullmatch(text) if isinstance(text, str) else None
    return match is not None and float(match[2]) <= float(match[3])


def _holds(values: pa.Array, member: str | int) -> npt.NDArray[np.bool_]:
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
        inside = pc.equal(values, as_float(member))  # what is no number equals none
    else:
        inside = pc.equal(values.cast(pa.string()), str(member))
    return np.asarray(pc.fill_null(inside, False).to_numpy(zero_copy_only=False))
