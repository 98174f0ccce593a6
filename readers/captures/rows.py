"""The rows of many payloads of one kind, read in bulk."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset_format import Shape
from readers.arrow_json import JsonFields, parse_json
from readers.captures.shapes import FRAMES, json_values, rows_of_values
from readers.flatten import batch_of, columns_of, json_text, rows_to_batch
from readers.lanes import Counts, NotBulkError, found_in, require_alike, require_exact, rows_of, text_buffer
from readers.like_lines import Lists, cells_of_lists

_LONG = 1 << 19
# So few payloads are not worth a look at the places of their cells, nor are so many forms of them.
_WORTH_IT, _MOST_FORMS = 20, 50
# A number that nobody writes, and those after it.
_SAMPLE = 0x3BAD << 48
QUOTED_CELL = r'"(?:[^"]|"")*"'
_QUOTED_LINE = rf'^(?:{QUOTED_CELL}|[^",]*)(?:,(?:{QUOTED_CELL}|[^",]*))*$'


@dataclass(frozen=True)
class Rows:
    """One payload of every record as rows: lines of CSV, or columns with names, or without (`is_cells`)."""

    counts: Counts
    lines: pa.StringArray = None
    batch: pa.RecordBatch = None
    is_cells: bool = False

    def take(self, positions: Counts) -> "Rows":
        """Return the rows at `positions`, missing where negative."""
        if np.array_equal(positions, np.arange(self.counts.sum())):
            return self
        index = pa.array(positions, mask=positions < 0)
        lines, batch = (held if held is None else held.take(index) for held in (self.lines, self.batch))
        return replace(self, lines=lines, batch=batch)


def json_array(data: pa.StringArray) -> pa.Array:
    """Return JSON payloads parsed, one value for each; null is no payload.

    Raises
    ------
    NotBulkError
        When the payloads differ in kind, or one is no JSON.
    """
    lengths = pc.fill_null(pc.binary_length(data), 0).to_numpy(zero_copy_only=False)
    if len(lengths) and lengths.max() > max(_LONG, 100 * np.sort(lengths)[(len(lengths) - 1) // 2]):
        # Members that one payload alone has would become a column of all.
        raise NotBulkError("a payload is far longer than the others")
    # Wrapped, every payload is the one member of an object, whatever it is.
    nulls = {"null_handling": "replace", "null_replacement": "null"}
    wrapped = pc.binary_join_element_wise('{"p":', data, "}\n", "", **nulls)
    batch = parse_json(text_buffer(wrapped), JsonFields())
    require_alike(batch.num_rows == len(data) and batch.schema.names == ["p"], "several values in a payload")
    return batch.column(0)


def rows_of_csv(data: pa.StringArray, shape: Shape) -> Rows:
    """Return the rows of payloads that are CSV, those of a call as `shape` says.

    Raises
    ------
    NotBulkError
        When cells have quotes that do not stand around them, or may hold what divides cells or lines.
    """
    text, marks = data, found_in(text_buffer(data), b'\r\n",')
    if not marks.isdisjoint((b"\n", b"\r")):
        text = pc.ascii_rtrim(data, "\r\n")
        text = pc.replace_substring(pc.replace_substring(text, "\r\n", "\n"), "\r", "\n")
        marks = found_in(text_buffer(text), b'\n",')
    if shape == "list" and b"," in marks:
        require_alike(b'"' not in marks, "a cell may hold a comma")
        single = pc.invert(pc.match_substring(text, "\n"))
        text = pc.if_else(single, pc.replace_substring(text, ",", "\n"), text)
        marks = found_in(text_buffer(text), b"\n")
    counts, lines = np.ones(len(text), np.int64), text
    if b"\n" in marks:
        counts = 1 + pc.count_substring(text, "\n").to_numpy(zero_copy_only=False).astype(np.int64)
        lines = pc.list_flatten(pc.split_pattern(text, "\n"))
    are_cells = b'"' not in marks or pc.all(pc.match_substring_regex(lines, _QUOTED_LINE)).as_py()
    require_alike(are_cells, "a quote stands within a cell, or a cell holds a line end")
    return Rows(counts, lines=lines)


def rows_of_json(data: pa.StringArray, shape: Shape) -> Rows:
    """Return the rows of payloads that are JSON, those of a call as `shape` says.

    Raises
    ------
    NotBulkError
        When they differ in form, or are in one that has to be read call by call.
    """
    cells, name, others = list[pa.Array](), None, dict[str, pa.Array]()
    try:
        require_alike(len(data) >= _WORTH_IT, "too few payloads")
        # Cells of a list are of one type in Arrow's JSON.
        found = cells_of_lists(data)
        with contextlib.suppress(NotBulkError):
            return _like_samples(found, shape)
        around = pc.binary_join_element_wise(found.before, found.after, str(_SAMPLE)).dictionary_encode()
        values = json_array(around.dictionary).take(around.indices)
        fits = types.is_struct(values.type) and (found.deep == 1) == (shape == "row")
        require_alike(fits, "rows of another kind")
        counts, cells = found.counts, found.cells
    except NotBulkError:
        values = json_array(data)
    require_alike(not values.null_count, "a payload is null")
    if types.is_struct(values.type):
        members = [member.type for member in values.type]
        require_alike(not _may_be_table(values.type), "a payload may be a table")
        if shape == "columns" and len(members) > 1 and all(map(types.is_list, members)):
            return _column_rows(values)
        has_lists = any(map(types.is_list, members))
        is_deep = any(map(types.is_struct, members)) and (shape == "columns" or not has_lists)
        is_series = shape == "columns" and "0" in values.type.names
        is_plain = shape == "row" or not (is_deep or is_series)
        require_alike(is_plain, "a list may be deeper, or a column a series")
        if not cells and (shape == "row" or not has_lists):
            return Rows(np.ones(len(values), np.int64), batch=_named(values))
        others = columns_of(_named(values))
        lists = [one for one in others if types.is_list(others[one].type)]
        require_alike(len(lists) == 1, "an object has several lists")
        name, values = lists[0], others.pop(lists[0])
    element = values.type.value_type if types.is_list(values.type) else None
    if cells:
        are_own = pc.list_flatten(values).equals(pa.repeat(_SAMPLE, len(values)))
        require_alike(are_own, "cells of a list that is deeper")
        rows = pa.RecordBatch.from_arrays(cells, [f"{name}.{place}" for place in range(len(cells))])
    elif element is None or (name is None and shape == "row" and not types.is_nested(element)):
        return Rows(np.ones(len(values), np.int64), batch=_numbers(values), is_cells=True)
    else:
        counts, elements = _filled(values), pc.list_flatten(values)
        if types.is_struct(element):
            rows = _named(elements)
        elif name is None:
            return Rows(counts, batch=_numbers(elements), is_cells=True)
        else:
            require_alike(not (elements.null_count and types.is_list(element)), "a row is null")
            rows = pa.RecordBatch.from_arrays([elements], names=[name])
    require_alike(others.keys().isdisjoint(rows.schema.names), "a row has a member of the object around it")
    record = pa.array(rows_of(counts)[0])
    repeated = {one: column.take(record) for one, column in others.items()}
    return Rows(counts, batch=batch_of(columns_of(rows) | repeated, len(record)))


def _like_samples(lists: Lists, shape: Shape) -> Rows:
    """Return the rows of payloads of a few forms: numbers in the places of cells say where these belong."""
    before, after = lists.before.dictionary_encode(), lists.after.dictionary_encode()
    forms = before.indices.to_numpy().astype(np.int64) * len(after.dictionary) + after.indices.to_numpy()
    _, firsts = np.unique(forms * (lists.counts.max() + 1) + lists.counts, return_index=True)
    require_alike(lists.are_even and len(firsts) <= _MOST_FORMS, "payloads of many forms")
    width, layouts = len(lists.cells), set[tuple[tuple[str, bool, pa.Scalar], ...]]()
    for at in firsts.tolist():
        numbers = _SAMPLE + np.arange(lists.counts[at] * width).reshape(-1, width)
        cells = json_text((numbers if lists.deep > 1 else numbers[0]).tolist())[1:-1]
        layouts.add(_layout_of(f"{lists.before[at]}{cells}{lists.after[at]}", shape, pa.array(numbers[:, 0])))
    require_alike(len(layouts) == 1, "payloads of several forms")
    [layout] = layouts
    places = {place.as_py() for _, is_cell, place in layout if is_cell}
    require_alike(places == {*range(width)}, "cells that are no values")
    total = int(lists.counts.sum())
    columns = {
        name: lists.cells[value.as_py()] if is_cell else pa.repeat(value, total)
        for name, is_cell, value in layout
    }
    return Rows(lists.counts, batch=batch_of(columns, total))


def _layout_of(text: str, shape: Shape, starts: pa.Array) -> tuple[tuple[str, bool, pa.Scalar], ...]:
    """Return by name the place in a row that a column's cells have, or the one value that is no cell.

    Parameters
    ----------
    text
        A payload whose cells are numbers, one after the other.
    starts
        The first number of each row.
    """
    try:
        rows = rows_of_values(json_values(text), shape)
    except ValueError as error:
        raise NotBulkError(str(error)) from error
    named = [row for row in rows if isinstance(row, dict)]
    require_alike(len(named) == len(rows) == len(starts), "rows without names")
    layout = []
    for name, column in columns_of(rows_to_batch(named)).items():
        is_cell = types.is_integer(column.type) and (column[0].as_py() or 0) >= _SAMPLE
        distinct = (pc.subtract(column, starts) if is_cell else column).unique()
        require_alike(len(distinct) == 1, "rows that differ")
        layout.append((name, is_cell, distinct[0]))
    return tuple(layout)


def _may_be_table(kind: pa.StructType) -> bool:
    """Return whether objects have a member by which libraries mark a table."""
    names = {member.name: member.type for member in kind}
    if len(names) == 1 and types.is_list(kind[0].type) and types.is_struct(kind[0].type.value_type):
        names |= {member.name: member.type for member in kind[0].type.value_type}
    tensors = [names[name] for name in ("inputs", "outputs") if name in names]
    elements = [each.value_type if types.is_list(each) else each for each in tensors]
    has_rows = not names.keys().isdisjoint(("columns", "fields", "schema"))
    is_seldon = "data" in names and types.is_struct(names["data"])
    if has_rows or is_seldon or any(map(types.is_struct, elements)) or not names.keys().isdisjoint(FRAMES):
        return True
    return all(map(types.is_struct, names.values()))


def _column_rows(objects: pa.StructArray) -> Rows:
    members = objects.flatten()
    counts = _filled(members[0])
    for member in members:
        is_column = np.array_equal(_filled(member), counts) and not types.is_nested(member.type.value_type)
        require_alike(is_column, "columns differ in length")
    names = [member.name for member in objects.type]
    return Rows(counts, batch=pa.RecordBatch.from_arrays([pc.list_flatten(each) for each in members], names))


def _named(objects: pa.StructArray) -> pa.RecordBatch:
    require_alike(objects.type.num_fields and not objects.null_count, "objects without members")
    return pa.RecordBatch.from_struct_array(objects)


def _numbers(values: pa.Array) -> pa.RecordBatch:
    """Return numbers, or lists of numbers that are all of one length, as columns without names."""
    kind = values.type.value_type if types.is_list(values.type) else values.type
    are_numbers = not values.null_count and (types.is_integer(kind) or types.is_floating(kind))
    require_alike(are_numbers, "cells are more than numbers")
    lengths = pc.unique(pc.list_value_length(values)) if types.is_list(values.type) else [1]
    require_alike(len(lengths) == 1, "arrays differ in length")
    return pa.RecordBatch.from_arrays([values], names=[""])


def widest(columns: Sequence[pa.Array]) -> int:
    """Return the most members of an object, or elements of a list, at any depth.

    Raises
    ------
    NotBulkError
        Where elements may be integers that lack digits.
    """
    most = len(columns)
    for array in columns:
        if types.is_struct(array.type):
            most = max(most, widest(array.flatten()))
        elif types.is_list(array.type):
            longest, elements = pc.max(pc.list_value_length(array)).as_py() or 0, pc.list_flatten(array)
            most = max(most, longest, widest([elements]))
            require_exact(elements)
    return most


def _filled(lists: pa.ListArray) -> Counts:
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    counts: Counts = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    require_alike((counts > 0).all(), "a list is empty")
    return counts
