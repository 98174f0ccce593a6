"""Which rows a call has: single payloads as rows, and their shape, decided once for a dataset.

A row is either a list of cells without names (CSV, JSON arrays of scalars), each a text or None, or a
mapping from names to JSON values.
"""

import base64
import contextlib
import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, product
from math import prod
from operator import itemgetter
from typing import Any

from contract.dataset import CallRows, notice
from contract.dataset_format import SHAPES, Shape
from contract.errors import DatasetError
from contract.wording import as_float, several
from readers.flatten import loads, scalar_text, without_surrogates

Row = list[str | None] | dict[str, Any]

# What a payload is: nothing, CSV or JSON.
NONE, CSV, JSON = 0, 1, 2

# Members under which servers take and give batches.
BATCH_MEMBERS = ("instances", "predictions", "inputs", "outputs")
FRAMES = ("dataframe_split", "dataframe_records", "input_data")
# What pandas writes beside the columns and the rows of a data frame.
_ABOUT_FRAMES = ("index", "index_names", "column_names")

_PAIRS = (("endpointOutput", "endpointInput"), ("batchTransformOutput", "batchTransformInput"))
PEERS = dict(peers for pair in _PAIRS for peers in (pair[::-1], pair))
# Of more calls than this share, no reading may contradict itself.
MOST_CONTRADICTIONS = 0.01
# A first line of names is a header where so many calls, and nearly all, begin with it. Where no column
# below is numbers, it takes more of them.
_LEAST_HEADERS, _SURE_HEADERS, _SHARE_OF_HEADERS = 2, 10, 0.9
# From so many rows on it is no chance that as many are within one row of the other side.
_LEAST_ROWS = 6
# On a reading that so many contradict, no evidence can be built.
_MOST_MISTAKEN = 0.5


# Types of payloads that are no table; text may be CSV all the same, and is where a cell is a number.
_NO_TABLE = re.compile(
    r"(?i)(multipart|image|audio|video)/[\w.+-]+|text/event-stream|(text|application)/x?-?libsvm|(?P<text>text/(plain|html))"
)


def decode(text: str, encoding: str | None, content_type: str | None) -> tuple[str, int]:
    """Return the text of a payload, and whether it is CSV or JSON.

    Raises
    ------
    ValueError
        When it cannot be made sense of.
    """
    encoding = (encoding or "").upper()
    if encoding in ("CSV", "JSON"):
        return text, CSV if encoding == "CSV" else JSON
    if encoding == "BASE64":
        text = base64.b64decode("".join(text.split()), validate=True).decode("utf-8-sig")
    if "json" in (content_type or "").lower():
        return text, JSON
    # Servers often name the type that they expected, not the one they got.
    if text.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(ValueError):  # prose may begin with a bracket
            json_values(text)
            return text, JSON
        return text, CSV
    found = _NO_TABLE.match(content_type or "")
    if found and not (found["text"] and any(map(_numbers_in, csv_rows(text)))):
        notice("reading.one_cell", type=found[0])
        text = '"{}"'.format(text.replace('"', '""'))
    return text, CSV


def json_values(text: str) -> list[Any]:
    """Return the JSON value of a text, or one for each line.

    Raises
    ------
    ValueError
        When it is no JSON.
    """
    try:
        return [loads(text)]
    except ValueError:
        return [loads(line) for line in text.split("\n") if line.strip()]


def csv_rows(text: str) -> list[list[str | None]]:
    """Return the rows of CSV text; empty cells are None."""
    # A payload is one cell at worst, however long; Python's limit guards against something else.
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(io.StringIO(without_surrogates(text).rstrip("\r\n"), newline=""))
    return [[cell or None for cell in row] or [None] for row in rows] or [[None]]


@dataclass(frozen=True)
class Payload:
    """A payload, parsed: the values of JSON, or the lines of CSV, of which the text of the first is kept."""

    kind: int
    values: list[Any]
    first_line: str = ""
    known: dict[Shape, list[Row]] = field(default_factory=dict, compare=False)

    def rows(self, shape: Shape) -> list[Row]:
        """Return its rows: where rows are elements of a list, a line of CSV alone has one in each cell."""
        if self.kind == JSON:
            if shape not in self.known:
                self.known[shape] = rows_of_values(self.values, shape)
            return self.known[shape]
        if shape == "list" and len(self.values) == 1:
            return [[cell] for cell in self.values[0]]
        return list(self.values)


NOTHING = Payload(NONE, [])


def parsed(text: str | None, kind: int) -> Payload:
    """Return the payload of a text.

    Raises
    ------
    ValueError
        When it is no JSON, or tensors whose values do not fit their shapes.
    """
    if text is None or kind == NONE:
        return NOTHING
    if kind == CSV:
        return Payload(kind, csv_rows(text), text.partition("\n")[0].rstrip("\r"))
    values = [value for value in json_values(text) if value is not None]
    tables = [table_rows(value) for value in values]
    # Tables have the same rows by every shape.
    rows = _of_one_kind([row for table in tables for row in table or ()]) if None not in tables else []
    return Payload(kind, values, known=dict.fromkeys(SHAPES, rows) if rows else {})


def rows_of_values(values: list[Any], shape: Shape) -> list[Row]:
    """Return the rows of the JSON values in a payload."""
    return _of_one_kind([row for value in values for row in value_rows(value, shape)])


def _of_one_kind(rows: list[Row]) -> list[Row]:
    if any(isinstance(row, dict) for row in rows) and any(isinstance(row, list) for row in rows):
        return [row if isinstance(row, dict) else _by_position(row) for row in rows]
    return rows


def value_rows(value: Any, shape: Shape) -> list[Row]:
    """Return the rows of one JSON value."""
    if isinstance(value, dict) and {dict, list}.isdisjoint(map(type, value.values())):
        is_column = shape == "columns" and is_series(value)
        return [{"0": cell} for cell in value.values()] if is_column else [value]
    if (table := table_rows(value)) is not None:
        return list(table)
    if isinstance(value, dict):
        if shape == "columns" and (by_column := column_rows(value) or _columns_within(value)):
            return list(by_column)
        if shape != "row" and (found := rows_within(value)) is not None:
            path, items = found
            # What stands beside the rows belongs to each of them.
            beside = _without(value, path)
            around = value if path[1:] else {}
            rows = [item if isinstance(item, dict) else _placed(around, path, item) for item in items]
            return [{**row, **beside, **row} for row in rows] if beside else list(rows)
        return [value]
    if isinstance(value, list):
        is_flat = not any(isinstance(item, dict | list) for item in value)
        if is_row_like(value) or (shape != "row" and value and is_flat):
            return [_json_row(item) for item in value]
    return [_json_row(value)]


def rows_within(value: Any) -> tuple[tuple[str, ...], list[Any]] | None:
    """Return the only list of an object and its path; None where there is none, several, or it is empty.

    Where no member is a list, those within members count.
    """
    lists = [(path, found) for path, found in _lists_within(value) if path]
    lists = [one for one in lists if len(one[0]) == 1] or lists
    return lists[0] if len(lists) == 1 and lists[0][1] else None


def _lists_within(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Yield the lists in an object, at whatever depth, that are in no other list, each with its path."""
    if isinstance(value, list):
        yield path, value
    for name, member in value.items() if isinstance(value, dict) else ():
        yield from _lists_within(member, *path, name)


def _placed(value: dict[str, Any], path: Sequence[str], item: Any) -> dict[str, Any]:
    """Return an object with something else at a path."""
    return {**value, path[0]: _placed(value[path[0]], path[1:], item) if path[1:] else item}


def _without(value: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return an object without what is at a path."""
    rest = {name: member for name, member in value.items() if name != path[0]}
    inner = _without(value[path[0]], path[1:]) if path[1:] else {}
    return {**rest, path[0]: inner} if inner else rest


def is_batch(name: str) -> bool:
    """Return whether a flat column is a batch, or an element of one, which is no name of a column."""
    member, _, position = name.partition(".")
    return member in BATCH_MEMBERS and (not position or position.isdecimal())


def is_row_like(items: list[Any]) -> bool:
    """Return whether elements can only be rows: all are objects, or all are lists."""
    return {type(item) for item in items} in ({dict}, {list})


def is_series(value: dict[str, Any]) -> bool:
    """Return whether an object can be a column as pandas writes it, by place and without a name."""
    is_flat = {dict, list}.isdisjoint(map(type, value.values()))
    return len(value) > 1 and is_flat and list(value) == [str(place) for place in range(len(value))]


def is_columns(value: Any) -> bool:
    """Return whether an object can be a table written column by column: lists of scalars of one length."""
    lists = list(value.values()) if isinstance(value, dict) else []
    are_filled = all(isinstance(each, list) and each for each in lists) and len(set(map(len, lists))) == 1
    return are_filled and not any(isinstance(item, dict | list) for each in lists for item in each)


def table_rows(value: Any) -> list[Row] | None:
    """Return the rows of a table in a form that libraries write and nothing else has, None for others.

    These are pandas' orients ``split`` and ``table``, ``fields`` and their values as H2O and watsonx have
    them, MLflow's ``dataframe_split`` and ``dataframe_records``, TensorFlow's ``inputs`` by name, Seldon's
    ``data``, and the tensors of the open inference protocol.
    """
    if not isinstance(value, dict) or not value:
        return None
    [only, *others] = value.values()
    is_wrapped = not others and isinstance(only, list) and len(only) == 1
    if (rows := titled_rows(only[0] if is_wrapped else value)) is not None:
        return rows
    for name in FRAMES:
        if isinstance(value.get(name), list | dict):
            return value_rows(value[name], "row")
    data = value.get("data")
    if isinstance(data, dict) and (rows := _seldon_rows(data)) is not None:
        return rows
    schema = value.get("schema")
    if isinstance(schema, dict) and isinstance(data, list) and value.keys() == {"schema", "data"}:
        keys = schema.get("primaryKey") or ()
        if data and all(isinstance(row, dict) for row in data):
            return [{name: cell for name, cell in row.items() if name not in keys} for row in data]
    for name in ("inputs", "outputs"):
        inner = value.get(name)
        if is_columns(inner):
            return column_rows(inner)
        if isinstance(inner, list) and inner and all(_is_tensor(tensor) for tensor in inner):
            return _tensor_rows(inner)
    return None


def titled_rows(value: Any) -> list[Row] | None:
    """Return the rows of an object with the names of columns and one list of rows, None where it is none.

    A series of pandas has one name and one list of cells.
    """
    members = dict(value) if isinstance(value, dict) else {}
    if members.keys() == {"name", "index", "data"} and isinstance(value["data"], list):
        return [{str(value["name"]): cell} for cell in value["data"]]
    names = members.pop("columns", None) or members.pop("fields", None)
    cells = [member for name, member in members.items() if name not in _ABOUT_FRAMES]
    if not isinstance(names, list) or len(cells) != 1 or not isinstance(cells[0], list):
        return None
    titles = ["_".join(map(str, name)) if isinstance(name, list) else str(name) for name in names]
    are_rows = all(isinstance(row, list) and len(row) == len(titles) for row in cells[0])
    return [dict(zip(titles, row, strict=True)) for row in cells[0]] if are_rows else None


def column_rows(value: Any) -> list[Row] | None:
    """Return the rows of an object that is written column by column, None where it cannot be one.

    Its members are lists of one length, or it is as pandas' orients ``columns`` and ``index`` are.
    """
    if is_columns(value):
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    members = list(value.values()) if isinstance(value, dict) else []
    first = members[0] if members else None
    if not first or not all(isinstance(member, dict) and member.keys() == first.keys() for member in members):
        return None
    if all(label.isdecimal() for label in first):
        return [{name: member[label] for name, member in value.items()} for label in first]
    return members if len(value) > 1 and all(label.isdecimal() for label in value) else None


def _columns_within(value: dict[str, Any]) -> list[Row]:
    """Return the rows of an object whose lists of the usual length are columns; none of one with one list."""
    lengths = [len(found) for _, found in _lists_within(value)]
    [(length, _)] = Counter(lengths).most_common(1) if len(lengths) > 1 else [(0, 0)]
    return [_row_at(place, length, value) for place in range(length)]


def _row_at(place: int, length: int, value: Any) -> Any:
    """Return a value with an element in place of each list of this length that is in no other list."""
    if isinstance(value, dict):
        return {name: _row_at(place, length, member) for name, member in value.items()}
    return value[place] if isinstance(value, list) and len(value) == length else value


def _is_tensor(tensor: Any) -> bool:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        return False
    shape, cells = tensor.get("shape", []), tensor.get("data")
    are_lists = bool(shape) and isinstance(shape, list) and isinstance(cells, list)
    return are_lists and all(isinstance(size, int) and size > 0 for size in shape)


def _tensor_rows(tensors: list[dict[str, Any]]) -> list[Row]:
    columns: dict[str, list[Any]] = {}
    longest = max(tensor["shape"][0] for tensor in tensors)
    for tensor in tensors:
        cells, count = tensor["data"], tensor["shape"][0]
        while any(isinstance(cell, list) for cell in cells):
            cells = list(chain.from_iterable(cell if isinstance(cell, list) else [cell] for cell in cells))
        if len(cells) != prod(tensor["shape"]) or count not in (1, longest):
            raise ValueError("tensors have another number of values than their shapes say")
        width = len(cells) // count
        parts = [cells[start : start + width] for start in range(0, len(cells), width)]
        columns[tensor["name"]] = [part[0] for part in parts] if width == 1 else parts
    # One row belongs to all of the others.
    every = (parts if len(parts) == longest else parts * longest for parts in columns.values())
    return [dict(zip(columns, row, strict=True)) for row in zip(*every, strict=True)]


def _seldon_rows(data: dict[str, Any]) -> list[Row] | None:
    rows, tensor, names = data.get("ndarray"), data.get("tensor"), data.get("names") or []
    if isinstance(tensor, dict):
        tensor = {"name": "", "shape": tensor.get("shape"), "data": tensor.get("values")}
        cells: list[Any] = _tensor_rows([tensor]) if _is_tensor(tensor) else []
        rows = [row[""] for row in cells]
    if not isinstance(rows, list) or not rows:
        return None
    is_named = all(isinstance(row, list) and len(row) == len(names) for row in rows)
    return [dict(zip(names, row, strict=True)) if is_named else _json_row(row) for row in rows]


def _json_row(value: Any) -> Row:
    if isinstance(value, dict):
        return value
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) for item in values):
        return _by_position(values)
    return [scalar_text("", item) for item in values]


def _by_position(values: list[Any]) -> dict[str, Any]:
    return {f"_c{position}": value for position, value in enumerate(values)}


# The shape of a dataset's payloads, from both sides of the first calls.


@dataclass(frozen=True)
class Call:
    """A call: its payloads by name, where it was found, and its id."""

    payloads: Mapping[str, Payload]
    place: Callable[[], str]
    identifier: str = ""


def repeated_header(side: str, calls: Sequence[Call]) -> str | None:
    """Return the line of names that the CSV payloads of a side begin with, None where they have none."""
    payloads = [call.payloads[side] for call in calls if side in call.payloads]
    texts = [payload for payload in payloads if payload.kind == CSV]
    lines = Counter(payload.first_line for payload in texts if len(payload.values) > 1)
    line, count = lines.most_common(1)[0] if lines else ("", 0)
    is_usual, is_sure = count >= _SHARE_OF_HEADERS * len(payloads), count >= _SURE_HEADERS
    if count < _LEAST_HEADERS or not (is_usual or is_sure):
        return None
    names, *more = csv_rows(line)
    # The index of a data frame, which comes first, has no name.
    is_record = not more and not line.count('"') % 2 and line[:2] != "--"
    if not is_record or len(set(names)) < len(names) or not all(names[1:] or names) or _numbers_in(names):
        return None
    rows = [row for payload in texts for row in payload.values if len(row) == len(names)]
    others = [row for row in rows if row != names]
    has_numbers = any(_numbers_in(column) == len(column) for column in zip(*others, strict=True))
    # Where some callers send names and others do not, these stand above numbers, and nowhere else.
    is_apart = len(rows) - len(others) == sum(payload.first_line == line for payload in texts)
    is_first = is_sure and not any(names in payload.values[1:] for payload in texts)
    return line if (has_numbers and (is_usual or is_apart)) or (is_usual and is_first) else None


def _numbers_in(cells: Sequence[str | None]) -> int:
    """Return how many cells are numbers."""
    return sum(as_float(cell) is not None for cell in cells)


def decide(
    calls: Sequence[Call],
    given: Mapping[str, Shape] | None,
    fits_baseline: Callable[[Mapping[str, Shape]], bool],
) -> CallRows:
    """Decide how the rows of a dataset's calls stand in their payloads.

    Parameters
    ----------
    calls
        The first ones.
    given
        What the setting `rows` says, None where it is not set.
    fits_baseline
        Whether there is a baseline, and the columns that shapes give are its columns.

    Raises
    ------
    DatasetError
        When more than 1 % of the calls contradict every reading.
    """
    sides = [side for side in PEERS if any(side in call.payloads for call in calls)]
    if given is not None:
        return _call_rows({side: given[side] for side in sides}, calls, "the setting rows")
    shapes: dict[str, Shape] = {}
    why = set()
    for pair in _PAIRS:
        there = [side for side in pair if side in sides]
        if there:
            both = [call for call in calls if call.payloads.keys() & there]
            chosen, reason = _choose(there, both, fits_baseline)
            shapes |= chosen
            why.add(reason)
    return _call_rows(shapes, calls, " and ".join(sorted(why)) or "nothing")


def too_many(contradicting: int, calls: int, place: str) -> DatasetError:
    """Return the error for calls whose sides do not have the same number of rows."""
    return DatasetError.of("captures.uneven", count=contradicting, calls=several(calls, "call"), place=place)


def _call_rows(shapes: Mapping[str, Shape], calls: Sequence[Call], why: str) -> CallRows:
    told = [call.payloads.items() for call in calls]
    counts = [[len(one.rows(shapes.get(side, "row"))) for side, one in payloads] for payloads in told]
    # One row belongs to all of the others.
    wrong = [call for call, count in zip(calls, counts, strict=True) if len({*count} - {0, 1}) > 1]
    if len(wrong) > MOST_CONTRADICTIONS * len(calls):
        raise too_many(len(wrong), len(calls), wrong[0].place())
    several_rows = sum(max(count, default=0) > 1 for count in counts)
    return CallRows(shapes, len(calls), several_rows, why)


def _choose(
    pair: Sequence[str], calls: Sequence[Call], fits_baseline: Callable[[Mapping[str, Shape]], bool]
) -> tuple[dict[str, Shape], str]:
    """Return the shapes of request and response on which most calls agree, and why."""
    both = [call for call in calls if all(side in call.payloads for side in pair)] if len(pair) > 1 else []
    natural = {side: _natural(side, calls, pair) for side in pair}
    found = {side: [call.payloads[side] for call in both] for side in pair}
    rows = {side: {shape: [len(one.rows(shape)) for one in found[side]] for shape in SHAPES} for side in pair}
    # Of CSV, answers alone are written as cells of one line, unless requests have a cell a row as well.
    texts = {side for side in pair if all(one.kind == CSV for one in found[side])}
    is_text = [side.endswith("Input") and natural[side] == "row" and side in texts for side in pair]

    def counts_of(chosen: Mapping[str, Shape]) -> list[tuple[int, ...]]:
        return list(zip(*(rows[side][chosen[side]] for side in pair), strict=True))

    readings: list[tuple[float, int, dict[str, Shape]]] = []
    for shapes in product(*(("row",) if only_rows else SHAPES for only_rows in is_text)):
        chosen = dict(zip(pair, shapes, strict=True))
        wrong = sum(len(set(count)) > 1 for count in counts_of(chosen)) / max(1, len(both))
        # The request's own shape decides where those of both sides contradict each other.
        liked = sum((2 if side.endswith("Input") else 1) * (chosen[side] == natural[side]) for side in pair)
        readings.append((wrong if both else float(chosen != natural), -liked, chosen))
    agreeing = sorted((one for one in readings if one[0] <= MOST_CONTRADICTIONS), key=itemgetter(1))
    if not agreeing:
        # Where most calls agree on a reading, the others are mistakes, which are counted under it.
        wrong, _, chosen = min(readings, key=itemgetter(0, 1))
        own = next((share for share, _, shapes_of in readings if shapes_of == natural), 1.0)
        if wrong <= _MOST_MISTAKEN and wrong < own:
            return chosen, "the numbers of rows on both sides"
        for side, peer in zip(pair, reversed(pair), strict=True):
            counts = zip(both, rows[side][natural[side]], rows[peer][natural[peer]], strict=True)
            _require_read(side, [(call, count) for call, own, count in counts if own == 1 < count])
        return natural, "the shape of the payloads, whose numbers of rows differ"
    best, *others = (chosen for _, _, chosen in agreeing)
    is_single = {*chain.from_iterable(counts_of(best))} == {1}
    about = ""
    if is_single and natural not in (best, *others):
        # One row on each side is no evidence where most calls with several rows agree on these.
        for _, _, chosen in sorted(readings, key=itemgetter(0, 1)):
            if single := _single_rows(counts_of(chosen)):
                best, others, is_single = chosen, [best, *others], False
                about = f"; in {single} of {len(both)} calls one side has a single row, for all of the other"
                break
    for other in others if not fits_baseline(best) else ():
        # Shapes that make no difference to any call are one reading.
        if _differs(other, natural, calls) and fits_baseline(other):
            return other, "the baseline's columns"
    why = "the shape of the payloads" if best == natural else "the numbers of rows on both sides"
    why += about
    if is_single and not fits_baseline(best):
        fitting = (one for one in others if min(chain.from_iterable(counts_of(one))) > 1)
        for other in islice(fitting, 1):
            names = {side: "request" if side.endswith("Input") else "response" for side in pair}
            told = ",".join(f"{names[side]}={shape}" for side, shape in sorted(other.items()))
            why += f"; as several rows they fit each other, too: rows={told}"
    return best, why


def _single_rows(counts: Sequence[tuple[int, ...]]) -> int:
    """Return in how many calls one side has a row at most, such as an error, where most agree on several."""
    several = [count for count in counts if max(count) > 1]
    alike = sum(len(set(count)) == 1 for count in several)
    single = sum(min(count) <= 1 for count in several)
    is_usual = len(several) - alike - single <= MOST_CONTRADICTIONS * len(counts)
    return single if is_usual and single <= _MOST_MISTAKEN * len(several) else 0


def _require_read(side: str, calls: Sequence[tuple[Call, int]]) -> None:
    """Refuse payloads of one row that hold a list as long as the other side has rows."""
    varies = len({count for _, count in calls}) > 1
    # Lines of CSV have as many cells as there are features, unless their number varies.
    payloads = [call.payloads[side] for call, _ in calls]
    held = [
        payload.values if varies or payload.kind == JSON else [*chain.from_iterable(payload.values)]
        for payload in payloads
    ]
    lengths = [_lengths(values, objects=varies) for values in held]
    are_held = all(count in some for (_, count), some in zip(calls, lengths, strict=True))
    if are_held and sum(count for _, count in calls) >= _LEAST_ROWS:
        call, count = calls[0]
        raise DatasetError.of("captures.rows_within", field=side, count=count, place=call.place())


def _lengths(values: Iterable[Any], *, objects: bool) -> set[int]:
    """Return how long the lists are, or the objects as well, that values hold at any depth.

    Numbers in one text, such as ``3 11 3``, ``3;11;3`` and ``[3 11 3]``, are a list as well.
    """
    held = [value for value in values if isinstance(value, dict | list)]
    lengths = {len(value) for value in held if objects or isinstance(value, list)}
    texts = [re.split(r"[;|\s]+", value.strip("[] ")) for value in values if isinstance(value, str)]
    lengths |= {len(numbers) for numbers in texts if _numbers_in(numbers) == len(numbers)}
    inner = (value.values() if isinstance(value, dict) else value for value in held)
    return lengths.union(*(_lengths(each, objects=objects) for each in inner))


def _differs(shapes: Mapping[str, Shape], natural: Mapping[str, Shape], calls: Sequence[Call]) -> bool:
    """Return whether another reading changes anything, as far as the first calls show."""
    first = [one for call in calls[:20] for one in call.payloads.items()]
    return any(one.rows(shapes.get(side, "row")) != one.rows(natural.get(side, "row")) for side, one in first)


def _natural(side: str, calls: Sequence[Call], pair: Sequence[str]) -> Shape:
    """Return the shape that a payload's own form suggests."""
    payloads = [call.payloads[side] for call in calls if side in call.payloads]
    values = [payload.values[0] for payload in payloads if payload.kind != CSV and len(payload.values) == 1]
    if not values:
        lines = [payload.values for payload in payloads]
        varies = all(len(rows) == 1 for rows in lines) and len({len(rows[0]) for rows in lines}) > 1
        return "list" if varies and len(pair) > 1 and side.endswith("Input") else "row"
    found = [(value, within) for value in values if (within := rows_within(value)) is not None]
    lists = [(not _without(value, path), path[-1], items) for value, (path, items) in found]
    # A value by itself is a batch of one where others are lists.
    others = [value for value in values if not isinstance(value, dict)]
    alone_ones = [value if isinstance(value, list) else [value] for value in others]
    flat = [items for items in alone_ones if not any(isinstance(item, dict | list) for item in items)]
    lists += [(True, "", items) for items in flat if items]
    if 2 * len(lists) > len(values):
        lengths = {len(items) for _, _, items in lists}
        named = all(name in BATCH_MEMBERS for _, name, _ in lists)
        alone = all(is_alone for is_alone, _, _ in lists)
        row_like = all(is_row_like(items) for _, _, items in lists)
        if (row_like and (named or alone)) or (len(pair) > 1 and (named or len(lengths) > 1)):
            return "list"
        # One element on both sides: a batch of one.
        sides = [peer for peer in pair if peer != side]
        peers = [call.payloads[peer] for call in calls for peer in sides if peer in call.payloads]
        alike = peers and all(peer.values and rows_within(peer.values[0]) is not None for peer in peers)
        return "list" if alone and lengths == {1} and alike else "row"
    tables = [len(rows) for value in values if (rows := column_rows(value)) is not None]
    # Alone, lists of one length may as well be parts of one row.
    by_column = len(set(tables)) > 1 or (len(pair) > 1 and max(tables, default=0) > 1)
    if by_column and 2 * len(tables) > len(values):
        return "columns"
    counts = [len(_columns_within(value)) for value in values if isinstance(value, dict)]
    varies = len(pair) > 1 and len({*counts} - {0}) > 1
    return "columns" if varies and 2 * sum(map(bool, counts)) > len(values) else "row"
