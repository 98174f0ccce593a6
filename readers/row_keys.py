"""The id and the time of each row of a table or log: rows of the window, joined with their labels.

Both are no features: they are used, and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset import TRANSFORM_ID, TRANSFORM_TIME, WINDOW, Dataset, RowKeys, notice
from contract.errors import DatasetError
from contract.schema import hint
from contract.window import ZONED, Window, microseconds
from contract.wording import as_float, some_of
from readers.cell_types import instants_of
from readers.dataset import UNREAD, window_places

if TYPE_CHECKING:
    from readers.labels import LabelIndex

# An id and a time, as batch transform writes them.
_PAIR = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*")
_SHOWN = 12
_MOST_WITHOUT = 0.01
# Microseconds in what a number since 1970 counts: seconds, else milliseconds, and so on, by its size.
_UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (np.inf, 1e-3))
_DAY = 24 * 60 * 60 * 1_000_000
# Beyond these years, numbers count something else than time since 1970, such as 20260302 or Excel's days.
_FIRST, _LAST = 3_653 * _DAY, 120_530 * _DAY
_DATE_LENGTH = len("2026-03-02")
_LOOKED_AT = 1_000
_SOME = 20


def keyed_rows(
    batches: Iterator[pa.RecordBatch], request: Dataset, keys: RowKeys, index: LabelIndex | None, label: str
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a window without id and time, with their labels as the last column.

    Columns of the baseline stay: it was made without naming them as id or time.

    Raises
    ------
    DatasetError
        When a column is not there, or holds no times.
    """
    window, known = request.window, request.cells.declared if request.cells else request.column_names or ()
    rows = without = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        identifier = _place(batch, keys.identifier, "id_attribute")
        time = _place(batch, keys.time, "time_attribute")
        found = batch
        if window is not None and time is not None:
            instants = _instants(batch.column(time), keys.time or "", label)
            known_times = batch.column(time).filter(instants.is_valid())
            _require_whole_days(known_times, instants, window, keys.time or "", label)
            rows, without = rows + batch.num_rows, without + instants.null_count
            places = window_places(instants.fill_null(UNREAD).to_numpy(), window)
            notice("outside", batch.num_rows - instants.null_count - int((places >= 0).sum()))
            found, places = batch.filter(pa.array(places >= 0)), places[places >= 0]
        ids = None if identifier is None else found.column(identifier).cast(pa.string())
        if ids is not None:
            again = len(ids) - ids.null_count - pc.count_distinct(ids).as_py()
            notice("reading.again", again, field=keys.identifier)
        names = enumerate(batch.schema.names)
        found = found.select([name for at, name in names if name in known or at not in (identifier, time)])
        if index is not None and ids is not None:
            from readers.captures.label_columns import with_label_columns
            from readers.labels import id_texts, labels_of

            labels = labels_of(index, id_texts(ids))
            notice("reading.labelled", count=len(labels) - labels.null_count)
            found, _ = with_label_columns(found, labels, np.ones(len(ids), np.int64))
        if window is not None and window.edges and time is not None:
            found = found.append_column(WINDOW, pa.array(places))
        yield found
    notice("reading.untimed", without, field=keys.time)
    if without > _MOST_WITHOUT * rows:
        raise DatasetError.of("windowed_rows.untimed", file=label, count=without, rows=rows, field=keys.time)


def transform_keys(names: Sequence[str], records: Sequence[Sequence[str]]) -> RowKeys | None:
    """Return where batch transform has put id and time, None where the rows are none of its.

    Parameters
    ----------
    names
        Of the columns.
    records
        The first cells of CSV without a header; none for other data.
    """
    # Warehouses write names in small letters.
    found = {name.lower(): name for name in names}
    if (identifier := found.get(TRANSFORM_ID.lower())) is not None:
        return RowKeys(identifier, found.get(TRANSFORM_TIME.lower()))
    for at in (-2, 0):
        pairs = ["\n".join(row[at:][:2]) for row in records]
        if pairs and all(map(_PAIR.fullmatch, pairs)):
            return RowKeys(TRANSFORM_ID, TRANSFORM_TIME, added_at=at)
    return None


def _place(batch: pa.RecordBatch, attribute: str | None, setting: str) -> int | None:
    if attribute is None:
        return None
    names = batch.schema.names
    dotted = attribute.removeprefix("$").strip(".")
    for name in (attribute, dotted, f"_c{attribute}"):
        if name in names:
            return int(names.index(name))
    if attribute.isdecimal() and int(attribute) < len(names):
        return int(attribute)
    told = {"columns": some_of(names, _SHOWN), "hint": hint(attribute, names)}
    raise DatasetError.of("tables.no_attribute", field=setting, attribute=attribute, **told)


def _instants(column: pa.Array, attribute: str, label: str) -> pa.Array:
    """Return microseconds since 1970."""
    if types.is_integer(column.type) or types.is_floating(column.type):
        numbers = column.cast(pa.float64(), safe=False)
        values = numbers.to_numpy(zero_copy_only=False)
        factors = np.select([np.abs(values) < limit for limit, _ in _UNITS], [unit for _, unit in _UNITS])
        found = pc.round(pa.array(values * factors, from_pandas=True))
        middle = pc.approximate_median(found).as_py()
        if middle and not _FIRST <= middle < _LAST:
            example = f"{numbers.drop_null()[0].as_py():.15g}"
            raise DatasetError.of("windowed_rows.no_time", file=label, example=example, field=attribute)
        return found.cast(pa.int64(), safe=False)
    found = instants_of(column)
    odd = column.filter(pc.and_(column.is_valid(), found.is_null())).cast(pa.string()).to_pylist()
    if len(odd) > 1 + _MOST_WITHOUT * len(column):
        # Among numbers since 1970, it is the text that is odd.
        some = column.cast(pa.string()).drop_null().to_pylist() if as_float(odd[0]) is not None else odd
        example = next((text for text in some if text and as_float(text) is None), odd[0])[:40]
        raise DatasetError.of("windowed_rows.no_time", file=label, example=example, field=attribute)
    return found.cast(pa.int64())


def _require_whole_days(
    column: pa.Array, instants: pa.Array, window: Window, attribute: str, label: str
) -> None:
    """Make sure that dates without a time of day are not asked for part of a day; say what has no zone."""
    first = column.slice(0, _LOOKED_AT)
    first = first.dictionary_decode() if types.is_dictionary(first.type) else first
    is_text = types.is_string(first.type) or types.is_large_string(first.type)
    is_short = is_text and (pc.max(pc.utf8_length(first)).as_py() or 0) <= _DATE_LENGTH
    if types.is_timestamp(first.type):
        is_zoned = first.type.tz is not None
    else:
        is_zoned = not is_text or is_short or pc.min(pc.match_substring_regex(first, ZONED)).as_py()
    if not is_zoned:
        notice("reading.zoneless", field=attribute)
    times = instants.drop_null().to_numpy()
    edges = [microseconds(edge) for edge in (window.start, window.end, *window.edges)]
    is_dates = len(times) >= (1 if is_short else _SOME) and not (times % _DAY).any()
    if is_dates and any(edge % _DAY for edge in edges):
        raise DatasetError.of("windowed_rows.part_of_day", file=label, field=attribute)
