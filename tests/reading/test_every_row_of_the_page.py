"""Each row of the tables in docs/reading.md, provoked by an input: what the row says is what happens."""

from __future__ import annotations

import base64
import decimal
import gzip
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading_inputs import CAPTURES, DAY, HEADER, HEADERLESS, LINES, captured, checks, common, features, write
from run_jobs import Result, baseline_of, run_job

from containers.bias.main import main as monitor_bias
from containers.model_quality.main import main as monitor_model_quality
from contract.dataset import MARKERS

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text(encoding="utf-8")
SECTIONS = (
    "## Files",
    "## CSV",
    "## JSON",
    "## Cells",
    "## Ids, times and windows",
    "### Shapes",
    "### Bounds",
)


def rows_of(section: str) -> list[list[str]]:
    """Return what is written, and how it is read, of each row of a section's table."""
    body = re.split(r"\n###? ", PAGE.partition(f"\n{section}\n")[2])[0]
    lines = [line for line in body.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [[row[0], row[-1] if section == "### Bounds" else row[-2]] for row in cells]


ROWS = [row for section in SECTIONS for row in rows_of(section)]


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def table(names: str, *cells: Callable[[int], Any], rows: int = 90, separator: str = ",") -> str:
    """Return CSV; each cell is made from its row's number."""
    lines = [separator.join(str(cell(at)) for cell in cells) for at in range(rows)]
    return "".join(f"{line}\n" for line in ([names] if names else []) + lines)


def number(at: int) -> int:
    return at * 37 % 90


def word(at: int) -> str:
    return f"w{at % 3}"


def objects(rows: int = 90, **members: Callable[[int], Any]) -> list[dict[str, Any]]:
    return [{name: make(at) for name, make in members.items()} for at in range(rows)]


def lines(records: list[Any]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in records)


PLAIN = table("x,w", number, word)
XW = objects(x=number, w=word)


@dataclass(frozen=True)
class Row:
    """What lies in the folder, with which settings, and what comes of it.

    `said` is part of a line of the reading, `refused` part of the error; `then` looks at the result. `before`
    are files of a baseline.
    """

    files: dict[str, str | bytes]
    said: str = ""
    refused: str = ""
    then: Callable[[Result], bool] = lambda result: True
    format: str | None = HEADER
    before: dict[str, str | bytes] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    format_before: str | None = None


def count(rows: int) -> Callable[[Result], bool]:
    return lambda result: result.document("statistics.json")["dataset"]["item_count"] == rows


def named(*names: str) -> Callable[[Result], bool]:
    return lambda result: tuple(features(result)) == names


def kind(expected: str) -> Callable[[Result], bool]:
    return lambda result: features(result)["x"]["inferred_type"] == expected


def one(cell: Callable[[int], Any], **members: Any) -> Row:
    """Return a row about a column ``x`` of CSV."""
    return Row({"a.csv": table("x,n", cell, number)}, **members)


def log(time: Callable[[int], Any], **settings: Any) -> dict[str, Any]:
    return {
        "files": {"a.csv": table("t,x", time, number)},
        "settings": {"time_attribute": "t"} | DAY | settings,
    }


def json_of(document: Any, **members: Any) -> Row:
    return Row({"a.json": json.dumps(document)}, format="json", **members)


QUALITY = {"command": monitor_model_quality, "problem_type": "BinaryClassification"}


def joined(own: Callable[[int], Any], theirs: Callable[[int], Any]) -> Row:
    """Return a row about predictions and labels whose ids are written in two ways, and all of which join."""
    labels = table("id,y", theirs, lambda at: at % 2)
    return Row(
        {"a.csv": table("id,p", own, lambda at: at % 2)},
        "90 of 90 rows have a label",
        settings=QUALITY | {"inference_attribute": "p", "id_attribute": "id", "labels": labels},
    )


UUID = "{:08x}-536e-45df-80b2-d002cc92d33d"
INSIDE = "2026-03-02T10:00:00Z"


def calls(request: Any, response: Any, rows: int, said: str = "", **request_members: str) -> Row:
    """Return a row about captured calls that are all alike: how many rows each has."""
    texts = []
    for at in range(20):
        call = json.loads(captured(request, response, number=at))
        call["captureData"]["endpointInput"] |= request_members
        texts.append(json.dumps(call))
    return Row({"a.jsonl": "\n".join(texts)}, said, then=count(20 * rows), format=CAPTURES)


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


FRAME = {"columns": ["a"], "index": [0, 1], "data": [[1], [2]]}
TENSOR = {"name": "a", "shape": [2], "datatype": "FP64", "data": [1, 2]}
TWO = [{"a": 1}, {"a": 2}]

EXPECTED: dict[str, Row] = {
    # Files
    "names that begin with": Row({"a.csv": PLAIN, "_b.csv": PLAIN, ".c.csv": PLAIN}, then=count(90)),
    "`README`": Row(
        {
            "a.csv": PLAIN,
            "README": "x",
            "b.md": "y",
            "c/statistics.json": "{}",
            "c/explanations_shap/out.csv": PLAIN,
        },
        "passed over what is no data: README, b.md, out.csv, statistics.json",
    ),
    "ZIP and tar": Row({"a.csv": b"PK\x03\x04" + bytes(90)}, refused="is of the format ZIP; unpack it"),
    "files with another ending": Row({"a.csv": PLAIN, "b.csv": PLAIN, "schema.json": "{}"}, "schema.json"),
    "a manifest of batch": Row(
        {"a.csv": PLAIN, "b.csv": PLAIN, "manifest.json": '[{"prefix": "s3://b/o/"}, "a.csv"]'},
        "manifest.json lists the 1 files",
        then=count(90),
    ),
    "any other manifest": Row(
        {"a.csv": PLAIN, "manifest.json": '[{"prefix": "s3://b/o/"}, "gone.csv"]'},
        "manifest.json",
        then=count(90),
    ),
    "all files are of another kind": Row({"a.csv": PLAIN}, refused=HEADER, format=LINES),
    "captures of several endpoints": Row(
        {f"{one}/AllTraffic/2026/03/02/10/a.jsonl": captured("1,2") * 30 for one in ("first", "second")},
        "captures of 2 endpoints or variants",
        format=CAPTURES,
    ),
    "`.gz`": Row({"a.csv.gz": gzip.compress(PLAIN.encode(), mtime=0)}, then=count(90)),
    "`a.csv` beside": Row(
        {"a.csv": PLAIN, "a.csv.gz": gzip.compress(PLAIN.encode(), mtime=0)},
        "beside a file of that name",
        then=count(180),
    ),
    "folders such as": Row(
        {"region=eu/a.csv": PLAIN, "region=us/a.csv": PLAIN},
        "folders give region the values eu, us",
        then=named("x", "w"),
    ),
    # CSV
    "`,` between": Row({"a.csv": PLAIN}, then=named("x", "w")),
    "`;`, tab": Row({"a.csv": table("x;w", number, word, separator=";")}, "semicolons stand between cells"),
    "a first line `sep=;`": Row({"a.csv": "sep=;\nx;w\n1;a\n"}, refused="a line for Excel"),
    "a column that only some": Row({"a.csv": PLAIN, "b.csv": table("x", number)}, "files without a column w"),
    "a column without a name": Row({"a.csv": table(",x", number, number)}, "_c0 has no name of its own"),
    "names that differ": Row(
        {"a.csv": table("x, X", number, number)}, "differ in letter case or blanks only"
    ),
    "the same name twice": Row({"a.csv": table("x,x", number, number)}, refused="two columns called 'x'"),
    "the line with the names again": Row({"a.csv": PLAIN + PLAIN}, refused="line 92 has the names"),
    "a title or comments": Row({"a.csv": "# by us\n" + PLAIN}, refused="a.csv line 2 has 2 cells"),
    "blanks between words": Row({"a.csv": PLAIN.replace(",", " ")}, "lines hold 2 words between blanks"),
    "another separator": Row(
        {"a.csv": PLAIN, "b.csv": PLAIN.replace(",", ";")}, refused="b.csv has semicolons"
    ),
    "decimal commas": Row({"a.csv": "x;y\n" + "1,5;2,5\n" * 9}, refused="as 1234.5"),
    "quotes written twice": Row({"a.csv": 'x\n"say ""hi"""\nother\n'}, then=count(2)),
    "blanks before quotes": Row({"a.csv": 'x,y\n1, "a"\n2, "b"\n'}, refused="a blank before a quote"),
    "a quote that is not closed": Row({"a.csv": 'x,"y\n1,2\n'}, refused="line 1 has a quote"),
    "quotes written with a backslash": Row({"a.csv": 'x,n\n"a \\"b\\", c",1\nd,2\n'}, "with a backslash"),
    "a byte-order mark": Row({"a.csv": b"\xef\xbb\xbfx,w\n1,a\n\xef\xbb\xbf2,b\n"}, then=kind("Integral")),
    "UTF-16": Row({"a.csv": PLAIN.encode("utf-16")}, refused="UTF-16"),
    '`"header":true`': Row({"a.csv": table("", number, number)}, refused='"header":false'),
    '`"header":false`': Row({"a.csv": PLAIN}, refused='"header":true', format=HEADERLESS),
    "digits as names": Row({"a.csv": table("1990,1991", number, number)}, then=named("1990", "1991")),
    "`headers` of": Row(
        {"a.csv": table(" Y,G", lambda at: at % 2, lambda at: at // 2 % 2)},
        "has the names that are given, in another order",
        settings={"bias": ["g", "y"]},
    ),
    "`headers` with none": Row(
        {"a.csv": table("a,b", lambda at: at % 2, lambda at: at % 3 % 2)},
        "headers are other names of the columns, by position: g = a, y = b",
        settings={"bias": ["g", "y"], "told": HEADER},
    ),
    "`headers`, and": Row(
        {"a.csv": table("g,y,other", lambda at: at % 2, lambda at: at // 2 % 2, word)},
        refused="'other'",
        settings={"bias": ["g", "y", "z"]},
    ),
    "no header, and a baseline": Row(
        {"a.csv": table("", number, word)},
        "get those of the baseline, or of headers, by position: x, w",
        before={"b.csv": PLAIN},
        format=HEADERLESS,
        format_before=HEADER,
    ),
    "no header, and numbers and texts": Row(
        {"a.csv": table("", word, number)},
        refused="by position",
        before={"b.csv": PLAIN},
        format=HEADERLESS,
        format_before=HEADER,
    ),
    "no header, and values fit": Row(
        {"a.csv": table("", lambda at: at / 90, number, lambda at: 1000 + at)},
        refused="last column, s, first",
        before={"b.csv": table("a,p,s", number, lambda at: 1000 + at, lambda at: at / 90)},
        format=HEADERLESS,
        format_before=HEADER,
    ),
    # JSON
    "JSON: a member that some": Row(
        {"a.jsonl": '{"x": 1, "w": "a"}\n' * 20, "b.jsonl": '{"x": 1}\n' * 20},
        "files without a column w",
        format=LINES,
    ),
    "one object per line": Row({"a.jsonl": lines(XW)}, format=LINES, then=count(90)),
    "an array of objects": json_of(XW, then=count(90)),
    '`{"x":{"0":1': json_of(
        {"x": {str(at): at for at in range(50)}, "y": {str(at): at % 7 for at in range(50)}},
        said="a table of 50 rows as pandas writes it",
        then=count(50),
    ),
    '`{"0":{"x":1}': json_of(
        {str(at): {"x": at} for at in range(50)}, said="a table of 50 rows as pandas", then=count(50)
    ),
    '`{"columns":': json_of(
        {"columns": ["x"], "index": list(range(50)), "data": [[at] for at in range(50)]},
        said="a table of 50 rows as pandas",
        then=named("x"),
    ),
    '`{"x":[1,2],': json_of({"x": list(range(50)), "y": [1] * 50}, said="a table of 50 rows", then=count(50)),
    '`{"id1":': json_of({f"id{at}": row for at, row in enumerate(XW)}, refused="members that are all alike"),
    "a table of pandas on each": Row(
        {"a.jsonl": 3 * f"{json.dumps(FRAME)}\n"}, refused="a whole table on each line", format=LINES
    ),
    '`{"schema":': json_of({"schema": {}, "data": XW}, said="90 rows", then=named("x", "w")),
    '`{"rows":': json_of({"rows": XW, "meta": {}}, said="90 rows", then=named("x", "w")),
    '`{"x":[1,2,3]': json_of({"x": [1, 2, 3], "y": [4, 5]}, refused="lists of different lengths"),
    '`{"items":': json_of({"items": XW, "next": None}, said="are its member items", then=count(90)),
    '`{"train":': json_of({"train": XW, "test": XW}, refused="lists of objects (train, test)"),
    '`{"hits":': json_of(
        {"took": 3, "hits": {"hits": XW}}, refused="lists of objects (hits.hits), one of 90"
    ),
    "records of several forms": Row(
        {"a.jsonl": lines([one if at % 2 else {"features": one} for at, one in enumerate(XW)])},
        "records have several forms",
        format=LINES,
    ),
    "a list of lists or of objects": Row(
        {"a.jsonl": "".join(f'{{"instances":[{{"a":{at}}},{{"a":1}}]}}\n' for at in range(9))},
        "instances is a list whose elements are columns",
        format=LINES,
        then=named("instances.0.a", "instances.1.a"),
    ),
    "a member that is a value here": Row(
        {"a.jsonl": lines([{"x": at if at % 9 else {"y": at}, "n": 1} for at in range(90)])},
        "x is a value in some records, and an object or a list in 10 others",
        format=LINES,
    ),
    '`{"a":1,"a":2}`': Row({"a.jsonl": '{"a":1,"b":1,"a":2}\n' * 20}, "their member a twice", format=LINES),
    "several objects on a line": Row({"a.jsonl": '{"x":1}{"x":2}' * 9}, "follow another one", format=LINES),
    "`NaN`": Row(
        {"a.jsonl": '{"x":1.5}\n{"x":NaN}\n{"x":Infinity}\n'},
        format=LINES,
        then=lambda result: common(features(result)["x"]) == {"num_present": 2, "num_missing": 1},
    ),
    "nested members": Row(
        {"a.jsonl": lines([{"a": {"b": at}, "c": [at, 1]} for at in range(9)])},
        format=LINES,
        then=named("a.b", "c.0", "c.1"),
    ),
    # Cells
    "whatever the baseline says": Row(
        {"a.csv": table("x,n", number, number)},
        before={"b.csv": table("x,n", lambda at: f"{at * 7:05}", number)},
        then=lambda result: ("x", "data_type_check") in checks(result),
    ),
    "nine numbers in ten": one(
        lambda at: "bad" if at == 7 else at, said="x is numbers, as 98.9% of its first cells are"
    ),
    "numbers and `NA`": one(
        lambda at: MARKERS[at % len(MARKERS)] if at % 30 == 7 else at,
        said="of 90 cells of x hold",
        then=kind("Integral"),
    ),
    "a number that is listed": one(
        lambda at: -999 if at % 9 == 0 else at,
        said="10 of 90 cells of x hold '-999'",
        settings={"missing_values": "-999"},
    ),
    "nothing that `missing_values`": one(
        number, said="missing_values lists 'gone'", settings={"missing_values": "gone"}
    ),
    "the same texts in a column of text": one(
        lambda at: "NA" if at % 9 == 0 else word(at),
        then=lambda result: common(features(result)["x"])["num_missing"] == 0,
    ),
    "the same texts in labels": Row(
        {"a.csv": table("y,p", lambda at: "NA" if at % 9 == 0 else f"{at % 2}", lambda at: at % 2)},
        "10 of 90 cells of y hold 'NA'",
        settings=QUALITY | {"inference_attribute": "p", "ground_truth_attribute": "y"},
        then=count(80),
    ),
    "`true`, `false`": Row(
        {"a.csv": table("x,n", lambda at: at % 2, number)},
        before={"b.csv": table("x,n", lambda at: ["TRUE", "FALSE"][at % 2], number)},
        then=lambda result: checks(result) == [],
    ),
    "booleans beside": one(
        lambda at: "true" if at == 0 else at % 2,
        said="some cells of x are 1 or 0, and count as true and false",
    ),
    "digits with a leading zero": one(lambda at: f"{at:03}", said="digits with leading zeros are codes"),
    "amounts with a currency": one(lambda at: f"${at}", said="its numbers have signs or separators"),
    "numbers that all have three": one(
        lambda at: f"{1 + at % 9}.{101 + at * 7 % 899}", said="read with a decimal point"
    ),
    "whole numbers that could": one(
        lambda at: f"2026{1 + at % 12:02}{1 + at % 28:02}", said="could be dates", then=kind("Integral")
    ),
    "whole numbers from 2^53 on": one(lambda at: 2**53 + at, then=kind("Integral")),
    "numbers that JSON or Parquet": Row(
        {"a.jsonl": lines(objects(x=str))}, "x is numbers, though they are written as text", format=LINES
    ),
    "numbers with an exponent": one(lambda at: f"{1 + at % 9}e2", then=kind("Fractional")),
    "numbers with a unit": one(lambda at: f"{at} kg", said="its numbers have units (kg)"),
    "other text or numbers": Row(
        {"a.csv": table("x", lambda at: ("True", "false", word(at))[(at > 5000) * 2 or at % 2], rows=5091)},
        "cells of x that are text, unlike the first ones: 90",
        then=kind("String"),
    ),
    "lines without anything": Row(
        {"a.csv": table("x", lambda at: "" if at % 9 == 5 else at) + "\n\n"},
        "10 lines hold nothing and are no rows",
        then=count(80),
    ),
    "nine dates in ten": one(
        lambda at: "soon" if at % 20 == 0 else f"2026-03-{1 + at % 28:02d}",
        said="cells of x are no dates, and count as missing",
    ),
    "dates of which more": one(
        lambda at: "0000-00-00" if at % 7 == 0 else f"2026-03-{1 + at % 28:02}", said="such as 2026-02-30 or"
    ),
    "UUID": Row(
        {"a.parquet": parquet(x=pa.array([bytes(15) + bytes([at]) for at in range(90)], pa.uuid()))},
        format="parquet",
        then=lambda result: "00000000-0000-0000-0000-000000000059" in json.dumps(features(result)["x"]),
    ),
    "floats of 16 and 32 bits": Row(
        {"a.parquet": parquet(x=pa.array([0.7] * 90, pa.float32()))},
        format="parquet",
        then=lambda result: features(result)["x"]["numerical_statistics"]["max"] == 0.7,
    ),
    "numbers or booleans in the first files": Row(
        {"a.csv": table("x", number), "b.csv": table("x", lambda at: f"k{number(at)}")},
        "cells of x that are text, unlike the first ones: 90",
        then=kind("String"),
    ),
    "JSON as text": Row(
        {"a.jsonl": lines([{"x": json.dumps(one)} for one in XW])}, "x is text that holds JSON", format=LINES
    ),
    "dates that can be read in two ways": one(
        lambda at: f"{1 + at % 28:02}/{1 + at % 12:02}/2026", said="its dates can be read in two ways"
    ),
    "more than half": one(
        lambda at: at if at % 3 else "bad", said="only 66.7% of its first cells are numbers"
    ),
    "ISO 8601 dates": one(lambda at: f"2026-03-{1 + at % 28:02}", said="x is dates"),
    "dates in another form": Row(
        {"a.csv": table("x,n", lambda at: f"{1 + at % 28:02}/03/2026", number)},
        refused="x is dates as ISO 8601 writes them in the baseline",
        before={"b.csv": table("x,n", lambda at: f"2026-03-{1 + at % 28:02}", number)},
    ),
    "a column in `exclude_features_attribute`": one(
        number, refused="names the column 17", settings={"exclude_features_attribute": "17"}
    ),
    "DECIMAL": Row(
        {"a.parquet": parquet(x=pa.array([decimal.Decimal(at) for at in range(90)], pa.decimal128(38, 0)))},
        format="parquet",
        then=kind("Integral"),
    ),
    "text that was numbers": Row(
        {"a.csv": table("x,n", word, number)},
        before={"b.csv": table("x,n", number, number)},
        then=lambda result: ("x", "data_type_check") in checks(result),
    ),
    # Ids, times and windows
    "a column with the id": joined(lambda at: f"r{at}", lambda at: f"r{at}"),
    "a column with the time": Row(
        said="rows are selected by their time in t", then=named("x"), **log(lambda at: 1772445600 * 1000)
    ),
    "numbers in it": Row(refused="holds '20260302' in 't'", **log(lambda at: 20260302)),
    "dates without a time": Row(
        refused="window of whole days",
        **log(lambda at: "2026-03-02", start_time="2026-03-02T01:00:00Z", end_time="2026-03-02T02:00:00Z"),
    ),
    "times without a time zone": Row(
        said="times in t name no time zone and are taken as UTC", **log(lambda at: INSIDE[:-1])
    ),
    "an id that occurs again": Row(
        {"a.csv": table("id,x", lambda at: at // 2, number)},
        "at least 45 rows have the id of an earlier one",
        settings={"id_attribute": "id"},
    ),
    "ids with leading zeros": joined(lambda at: f"{at:05}", lambda at: f"{at:05}"),
    "ids such as": joined(lambda at: f"{at}.0", lambda at: f" {at}"),
    "such a column that the baseline": Row(
        {"a.csv": table("t,x", lambda at: INSIDE, number)},
        before={"b.csv": table("t,x", lambda at: INSIDE, number)},
        settings={"time_attribute": "t"} | DAY,
        then=named("t", "x"),
    ),
    "`SageMakerInferenceId`": Row(
        {"a.csv": table("", number, UUID.format, lambda at: INSIDE)},
        "id and time are those that batch transform adds",
        format=HEADERLESS,
        then=named("_c0"),
    ),
    "no column for times": Row(
        {"2026/03/02/a.csv": PLAIN, "2026/03/03/b.csv": PLAIN},
        "files are selected by the dates in their paths",
        settings=DAY,
        then=count(90),
    ),
    "a file of a whole day": Row(
        {"dt=2026-03-02/a.csv": PLAIN},
        refused="rows of a whole day",
        settings={"start_time": "2026-03-02T01:00:00Z", "end_time": "2026-03-02T02:00:00Z"},
    ),
    "a window, and nothing": Row({"a.csv": PLAIN}, refused="set time_attribute", settings=DAY),
    "rows and calls outside": Row(
        then=count(45), **log(lambda at: INSIDE if at % 2 else INSIDE.replace("2026", "2025"))
    ),
    "captures written more than": Row(
        {
            "2026/03/02/13/a.jsonl": "".join(
                captured("1", number=at, inferenceTime=f"2026-03-02T{10 + at % 4}:00:00Z") for at in range(40)
            )
        },
        "20 calls are more than an hour older",
        format=CAPTURES,
        settings=DAY,
        then=count(40),
    ),
    "rows without a readable time": Row(
        refused="has 9 of 90 rows without a readable time", **log(lambda at: "" if at % 10 == 0 else INSIDE)
    ),
    "labels in a table": Row(
        {"a.csv": table("key,p", lambda at: f"r{at}", lambda at: at % 2)},
        "90 of 90 rows have a label",
        settings=QUALITY
        | {"inference_attribute": "p", "id_attribute": "key"}
        | {"labels": table("inferenceId,y", lambda at: f"r{at}", lambda at: at % 2)},
    ),
}

EXPECTED |= {
    "CSV": calls("1,2\n3,4", "1\n2", 2),
    "CSV that begins": calls("age,income\n34,5000", "1", 1, "holds names (age,income)"),
    "CSV whose first lines": calls("50;33", "1", 1, "looks like cells between semicolons"),
    "CSV, a response of one line": calls("1\n2\n3", "0.1,0.9,0.4", 3),
    "CSV, a request of one line": calls("31,47", "1\n2", 2),
    "CSV whose rows": calls("1,2,3\n4,5", "1\n2", 2, "have 2 to 3 cells"),
    "JSON object": calls({"a": 1, "b": {"c": 2}}, "1", 1),
    "JSON list of objects": calls(TWO, [[1], [2]], 2),
    "JSON list of values": calls("1\n2", [1, 2], 2),
    "object with one list of objects": calls({"instances": [[1, 2], [3, 4]]}, "1\n2", 2),
    "object with one list of values": calls("1\n2", {"predictions": [0.1, 0.9]}, 2),
    "object with one list beside": calls({"signature_name": "a", "instances": [[1, 2], [3, 4]]}, "1\n2", 2),
    "such lists within": calls("1\n2", {"result": {"predictions": [0.1, 0.9]}}, 2),
    "one row that holds": replace(
        calls("1\n2", {"a": [[1, 0]], "b": [[0.1, 0.9]]}, 2), refused="holds as many of something"
    ),
    "object with several lists": calls({"a": [1, 2], "b": [3, 4]}, "1\n2", 2),
    "pandas, by columns": calls({"a": {"0": 1, "1": 2}, "b": {"0": 3, "1": 4}}, "1\n2", 2),
    "pandas, `split`": calls(FRAME, "1\n2", 2),
    "a series of pandas": calls("1\n2", {"0": 0.1, "1": 0.9}, 2),
    "MLflow": calls({"dataframe_split": FRAME}, "1\n2", 2),
    "TensorFlow, by name": calls({"inputs": {"a": [1, 2]}}, "1\n2", 2),
    "Seldon": calls({"data": {"names": ["a"], "ndarray": [[1], [2]]}}, "1\n2", 2),
    "tensors of the open": calls({"inputs": [TENSOR]}, {"outputs": [TENSOR]}, 2),
    "lines of JSON": calls('{"a":1}\n{"a":2}', "1\n2", 2, encoding="JSON"),
    "BASE64": calls(encoded(json.dumps(TWO)), "1\n2", 2, encoding="BASE64"),
    "multipart, LIBSVM": calls(
        encoded("I liked it, really."),
        "1",
        1,
        "20 payloads of the type text/plain are no table",
        encoding="BASE64",
        observedContentType="text/plain",
    ),
    "only sides that are not asked for": replace(
        (batch := calls("1", "2", 1)),
        files={"a.jsonl": batch.files["a.jsonl"].replace("endpoint", "batchTransform")},
        refused="holds batchTransformInput, batchTransformOutput",
    ),
    "nothing to read on a side": calls({"a": 1}, None, 1, "endpointOutput is asked for, but none of it can"),
    "what cannot be decoded": calls("{not", "1", 1, "payloads that could not be decoded", encoding="JSON"),
}


def after_calls(late: dict[str, Any], calls: int = 300) -> str:
    """Return captures of which the last one has this request; the others are alike."""
    ordinary = [captured({"a": at}, "1", number=at) for at in range(calls)]
    return "".join([*ordinary, captured(late, "1", number=calls)])


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


EXPECTED |= {
    "columns that the first calls": Row(
        {"a.jsonl": after_calls({f"b{at}": at for at in range(150)}, calls=2_500)},
        "payloads with more columns than expected lost the last ones: 1, the first at",
        format=CAPTURES,
        then=count(2_501),
    ),
    "length of a list": Row(
        {"a.jsonl": lines([{"a": 1}, {"a": [0] * 10_001}])},
        refused="field 'a' holds a list of 10001 values",
        format=LINES,
    ),
    "depth of nested values": Row(
        {"a.jsonl": f'{{"a":1}}\n{nested(102)}\n'},
        refused="nests values more than 100 levels deep",
        format=LINES,
    ),
    "a line, decompressed": Row(
        {"a.jsonl.gz": gzip.compress(b'{"a":"' + b" " * (129 << 20) + b'"}\n', 1)},
        refused="more than 64 MB",
        format=LINES,
    ),
    "a call a hundred times as long": Row(
        {"a.jsonl": captured({"a": [{"b": "x" * 20_000}]}, "1", number=999) + after_calls({"a": 1})},
        format=CAPTURES,
        then=lambda result: features(result)["a"]["inferred_type"] == "Integral",
    ),
}


def row_of(beginning: str) -> list[str]:
    """Return the row of the page whose first cell is this, or the one that begins so."""
    exact = [row for row in ROWS if row[0] == beginning]
    [found] = exact or [row for row in ROWS if row[0].startswith(beginning)]
    return found


def test_every_row_has_an_input_and_every_input_a_row() -> None:
    met = [row_of(beginning)[0] for beginning in EXPECTED]
    assert len(set(met)) == len(met)
    assert [row[0] for row in ROWS if row[0] not in met] == []


def run_row(folder: Path, row: Row) -> Result:
    settings, form = dict(row.settings), row.format
    for place, contents in (("now", row.files), ("before", row.before)):
        for name, content in contents.items():
            write(folder / place / name, content)
    if labels := settings.pop("labels", None):
        settings["ground_truth_source"] = write(folder / "labels.csv", labels)
    if headers := settings.pop("bias", None):
        config = {
            "dataset_type": "text/csv",
            "headers": headers,
            "label": "y",
            "label_values_or_threshold": [1],
            "facet": [{"name_or_index": "g", "value_or_threshold": [1]}],
            "methods": {"pre_training_bias": {"methods": "all"}},
        }
        form, settings["command"] = settings.pop("told", None), monitor_bias
        settings["analysis_config"] = write(folder / "analysis_config.json", json.dumps(config))
    if row.before:
        first = row.format_before or form
        settings |= baseline_of(
            run_job(folder, folder / "before", dataset_format=first, output_path=folder / "b")
        )
    return run_job(folder, folder / "now", dataset_format=form, report="Disabled", **settings)


@pytest.mark.parametrize("beginning", EXPECTED)
def test_what_a_row_says_is_what_happens(tmp_path: Path, beginning: str) -> None:
    row = EXPECTED[beginning]
    _, reading = row_of(beginning)
    result = run_row(tmp_path, row)
    if row.refused:
        assert result.exit_code == 2
        assert row.refused in result.message
        assert result.files == []
        assert re.search("refused|end the job|code 2", reading)
        return
    assert result.exit_code == 0, result.message
    document = result.document("statistics.json").get("reading", {})
    said = [sentence for part in document.values() if isinstance(part, list) for sentence in part]
    assert any(row.said in sentence for sentence in said) or not row.said, said
    must_speak = bool(re.search(r"\b(said|says|named)\b", reading))
    assert bool(row.said) >= must_speak, reading
    assert row.then(result)
