"""An oracle for the readers: plain Python, one record after the other, no columns before the end.

It is given how the rows of calls stand (that is decided elsewhere), and reads one block of records.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
from collections import Counter
from typing import Any

_INTEGER = re.compile(r"-?\d+")
_FLOAT = re.compile(r"-?\d+(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE)
_TABLES = ("dataframe_split", "dataframe_records")

# A row is a list of cells, texts or None, or a dict of JSON values.


def captures(
    records: list[dict[str, Any]], sides: tuple[str, ...], shapes: dict[str, str]
) -> dict[str, list[Any]]:
    """Return the columns of capture records."""
    records = [{"captureData": dict(record["captureData"])} for record in records]
    headers = [_leave_out_header([record["captureData"] for record in records], side) for side in sides]
    calls = [
        [payload_rows(record["captureData"].get(side), shapes.get(side, "row")) for side in sides]
        for record in records
    ]
    widths, names, shown = [], [], []
    for side in range(len(sides)):
        rows = [row for call in calls for row in call[side] or []]
        flat_names = list(columns_of([row for row in rows if isinstance(row, dict)]))
        counts = Counter(len(row) for row in rows if isinstance(row, list))
        names.append(flat_names)
        is_named = 2 * sum(isinstance(row, dict) for row in rows) >= len(rows)
        shown.append(flat_names if is_named else [])
        widths.append(len(shown[side]) or max(counts, key=lambda count: counts[count], default=0))
    table: list[dict[str, Any]] = []
    cells: list[dict[int, str | None]] = []
    for call in calls:
        for number in range(max([1, *(len(rows) for rows in call if rows is not None)])):
            row: dict[str, Any] = {}
            line: dict[int, str | None] = {}
            position = 0
            for side, rows in enumerate(call):
                one = (
                    None
                    if rows is None
                    else rows[0]
                    if len(rows) == 1
                    else rows[number]
                    if number < len(rows)
                    else None
                )
                if isinstance(one, list):
                    most = len(one) if side == len(sides) - 1 else widths[side]
                    line |= {position + at: cell for at, cell in enumerate(one[:most])}
                else:
                    row |= {(side, name): value for name, value in (one or {}).items()}
                position += widths[side]
            table.append(row)
            cells.append(line)
    found = _named(table, cells, sides, widths, names, shown)
    return _titled(found, headers, sides, widths, names, shown)


def _titled(found, headers, sides, widths, names, shown):
    """Return the columns under the names that headers of payloads give them."""
    titles: dict[str, str] = {}
    later: set[str] = set()
    named_later: set[str] = set()
    for side in reversed(range(len(sides))):
        start = sum(widths[:side])
        raw = [f"{sides[side]}.{name}" if name in named_later else name for name in shown[side]]
        raw = raw or [f"_c{at}" for at in range(start, start + widths[side])]
        is_titled = not shown[side] and len(headers[side]) == widths[side]
        known = [title or one for one, title in zip(raw, headers[side] if is_titled else raw, strict=True)]
        titles |= {
            one: f"{sides[side]}.{title}" if title in later else title
            for one, title in zip(raw, known, strict=True)
        }
        later |= set(known)
        named_later |= set(names[side])
    return {titles.get(name, name): values for name, values in found.items()}


def _leave_out_header(calls: list[dict[str, Any]], side: str) -> list[str]:
    """Cut off the line of names that nearly all CSV payloads begin with, two at least, and return them."""
    texts = {number: text_and_encoding(call[side]) for number, call in enumerate(calls) if call.get(side)}
    texts = {number: text for number, text in texts.items() if text is not None and text != ("null", "JSON")}
    tables = {}
    for number, (text, encoding) in texts.items():
        if (
            encoding == "CSV"
            and len(rows := list(csv.reader(io.StringIO(text.rstrip("\r\n"), newline="")))) > 1
        ):
            tables[number] = (text.split("\n")[0].rstrip("\r"), rows)
    every = [
        list(csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""))) or [[""]]
        for text, encoding in texts.values()
        if encoding == "CSV"
    ]
    for line, count in Counter(first for first, _ in tables.values()).most_common(1):
        names = next(rows[0] for first, rows in tables.values() if first == line)
        cells = [[cell or None for cell in row] or [None] for rows in every for row in rows]
        cells = [row for row in cells if len(row) == len(names)]
        below = [row for row in cells if row != [name or None for name in names]]
        named = len(set(names)) == len(names) and all(names[1:] or names) and not any(map(_is_number, names))
        named = named and line.count('"') % 2 == 0 and "\r" not in line.rstrip("\r")  # names hold no line end
        numeric = any(
            all(cell and _is_number(cell) for cell in column) for column in zip(*below, strict=True)
        )
        usual, sure = count >= 0.9 * len(texts), count >= 10
        only = {
            number
            for number, (text, encoding) in texts.items()
            if encoding == "CSV" and text.rstrip("\r\n") == line
        }
        alone = numeric and len(cells) - len(below) == count + len(only)
        sure_first = sure and not any(names in rows[1:] for _, rows in tables.values())
        if count >= 2 and named and ((usual and (numeric or sure_first)) or (sure and alone)):
            for number in {number for number, (first, _) in tables.items() if first == line} | only:
                text = texts[number][0].removeprefix(line).removeprefix("\r").removeprefix("\n")
                calls[number][side] = {"data": text, "encoding": "CSV"}
            return names
    return []


def _is_number(cell: str) -> bool:
    try:
        return float(cell) is not None
    except ValueError:
        return False


def _named(table, cells, sides, widths, names, shown):
    """Return columns in order: each side's names, or its positions; whatever else comes last."""
    found: dict[str, list[Any]] = {}
    order: list[str] = []
    for side in range(len(sides)):
        later = {name for others in names[side + 1 :] for name in others}
        columns = columns_of(
            [{name: value for (at, name), value in row.items() if at == side} for row in table]
        )
        for name, values in columns.items():
            found[f"{sides[side]}.{name}" if name in later else name] = values
        start = sum(widths[:side])
        order += [f"{sides[side]}.{name}" if name in later else name for name in shown[side]] or [
            f"_c{at}" for at in range(start, start + widths[side])
        ]
    for position in sorted({position for line in cells for position in line}):
        found[f"_c{position}"] = typed([line.get(position) for line in cells])
    return {name: found[name] for name in dict.fromkeys([*order, *found]) if name in found}


def json_lines(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the columns of JSON Lines."""
    return columns_of(records)


def text_and_encoding(part: dict[str, Any]) -> tuple[str, str] | None:
    """Return a payload as text, CSV or JSON; None where there is none."""
    if part.get("data") is None:
        return None
    if part["encoding"] != "BASE64":
        return part["data"], part["encoding"]
    text = base64.b64decode(part["data"]).decode()
    return text, "JSON" if text.lstrip()[:1] in ("{", "[") else "CSV"


def payload_rows(part: dict[str, Any] | None, shape: str) -> list[Any] | None:
    """Return the rows of one payload, None where there is none or it cannot be decoded."""
    if part is None or (found := text_and_encoding(part)) is None:
        return None
    text, encoding = found
    if encoding == "CSV":
        rows = [
            [cell or None for cell in row] or [None]
            for row in csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""))
        ]
        rows = rows or [[None]]
        return [[cell] for cell in rows[0]] if shape == "list" and len(rows) == 1 else rows
    return value_rows(json.loads(text), shape)


def value_rows(value: Any, shape: str) -> list[Any] | None:
    """Return the rows of a JSON value."""
    if value is None:
        return None
    if shape == "columns" and isinstance(value, dict) and len(value) > 1:
        is_flat = not any(isinstance(member, list | dict) for member in value.values())
        if is_flat and list(value) == [str(at) for at in range(len(value))]:
            return [{"0": member} for member in value.values()]
    if isinstance(value, dict) and shape != "row":
        lists = lists_of(value)
        top = {name: member for name, member in lists.items() if "." not in name}
        named = list(top or lists)
        if len(named) == 1 and lists[named[0]]:
            others = without(value, named[0].split("."))
            path = named[0].split(".")
            rows = [
                item
                if isinstance(item, dict)
                else placed(value, path, item)
                if path[1:]
                else {named[0]: item}
                for item in lists[named[0]]
            ]
            if shape == "list" or len(lists) == 1:
                return [{**row, **{name: others[name] for name in others if name not in row}} for row in rows]
        sizes = [len(each) for each in lists.values()]
        usual = max(sizes, key=sizes.count, default=0)
        if len(sizes) > 1 and shape == "columns" and usual:
            return [picked(value, usual, at) for at in range(usual)]
    if isinstance(value, list) and value:
        kinds = {type(item) for item in value}
        if kinds == {dict} or kinds == {list}:
            rows = [row(item) for item in value]
            if any(isinstance(each, dict) for each in rows):
                rows = [
                    each if isinstance(each, dict) else {f"_c{at}": item for at, item in enumerate(each)}
                    for each in rows
                ]
            return rows
        if shape != "row" and not kinds & {dict, list}:
            return [row([item]) for item in value]
    return [row(value)]


def lists_of(value: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the lists in an object that are in no other list, by dotted name."""
    found: dict[str, list[Any]] = {}
    for name, member in value.items():
        if isinstance(member, list):
            found[name] = member
        elif isinstance(member, dict):
            found |= {f"{name}.{inner}": each for inner, each in lists_of(member).items()}
    return found


def without(value: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Return an object without what is at a path, and without objects that are empty then."""
    rest = dict(value)
    inner = rest.pop(path[0]) if len(path) == 1 else without(rest[path[0]], path[1:])
    if len(path) > 1 and inner:
        rest[path[0]] = inner
    elif len(path) > 1:
        del rest[path[0]]
    return rest


def placed(value: dict[str, Any], path: list[str], item: Any) -> dict[str, Any]:
    """Return an object with something else at a path."""
    changed = dict(value)
    changed[path[0]] = placed(value[path[0]], path[1:], item) if path[1:] else item
    return changed


def picked(value: Any, size: int, at: int) -> Any:
    """Return a value with one element of each list of that size."""
    if isinstance(value, dict):
        return {name: picked(member, size, at) for name, member in value.items()}
    return value[at] if isinstance(value, list) and len(value) == size else value


def row(value: Any) -> Any:
    """Return one row: an object, or the texts of cells; cells that are nested go by their position."""
    if isinstance(value, dict):
        return value
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) for item in items):
        return {f"_c{at}": item for at, item in enumerate(items)}
    return [text_of(item) for item in items]


def text_of(value: Any) -> str | None:
    """Return a scalar as it would be written, None for none."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return None if isinstance(value, float) and math.isnan(value) else repr(value)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the scalars in a JSON value by dotted name."""
    if isinstance(value, dict | list):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        found: dict[str, Any] = {}
        for key, member in members:
            found |= flat(member, f"{name}.{key}" if name else str(key))
        return found
    return {name: value}


def columns_of(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return rows of JSON values as flat columns: of numbers, or of text where kinds differ."""
    flats = [flat(each) for each in rows]
    # What is below a member stands where the member was seen first, as null or as a scalar too.
    places: dict[str, int] = {}
    for name in (name for each in flats for name in each):
        for prefix in _prefixes(name):
            places.setdefault(prefix, len(places))
    names = sorted(
        {name for each in flats for name in each},
        key=lambda name: [places[prefix] for prefix in _prefixes(name)],
    )
    columns = {}
    for name in names:
        values = [each.get(name) for each in flats]
        if all(value is None for value in values) and any(other.startswith(f"{name}.") for other in names):
            continue  # null where others are nested
        kinds = {type(value) for value in values} - {type(None)}
        if len(kinds) > 1 and not kinds <= {int, float}:
            values = [text_of(value) for value in values]
        columns[name] = values
    return columns


def _prefixes(name: str) -> list[str]:
    members = name.split(".")
    return [".".join(members[:count]) for count in range(1, len(members) + 1)]


def typed(cells: list[str | None]) -> list[Any]:
    """Return a column of CSV cells: integers, floats, or text."""
    present = [cell for cell in cells if cell is not None]
    if all(_INTEGER.fullmatch(cell) and -(2**63) <= int(cell) < 2**63 for cell in present):
        return [None if cell is None else int(cell) for cell in cells]
    if all(_FLOAT.fullmatch(cell) for cell in present):
        return [None if cell is None else float(cell) for cell in cells]
    return cells
