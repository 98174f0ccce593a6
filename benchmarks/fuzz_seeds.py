"""The valid inputs that hostile ones are made from."""

from __future__ import annotations

import base64
import functools
import io
import json
from typing import Any

from benchmarks.mutations import json_bytes


def table_rows() -> list[dict[str, Any]]:
    """Return the rows that all small valid inputs hold."""
    return [
        {
            "age": 20 + 3 * row,
            "income": 1000.5 * row - 700,
            "city": ("Oslo", "São Paulo", 'say "hi"', "a,b")[row % 4],
            "flag": row % 2,
            "note": None if row % 5 == 0 else f"note {row}",
        }
        for row in range(14)
    ]


@functools.cache
def csv_seeds() -> tuple[bytes, ...]:
    """Return valid CSV files: quoted, with line breaks, CRLF, with a byte order mark, one column."""

    def cell(value: Any) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text

    rows = table_rows()
    lines = [",".join(rows[0])] + [",".join(cell(value) for value in row.values()) for row in rows]
    plain = "\n".join(lines) + "\n"
    return (
        plain.encode(),
        plain.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + plain.encode(),
        plain.replace("note ", '"first\nsecond"').encode(),
        b"x\n" + b"\n".join(b"%d" % number for number in range(20)),
        b"a,b\n1,\n,2\n0x1F,nan\n-inf,1e5\n007,1.0\n",
    )


@functools.cache
def json_seeds() -> tuple[bytes, ...]:
    """Return valid JSON datasets: lines, nested lines, an array, an object with one."""
    rows = table_rows()
    nested = [{"id": row["age"], "in": {"v": [row["flag"], row["income"]], "t": row["note"]}} for row in rows]
    times = [{"at": f"2026-05-0{day}T10:00:00Z", "day": f"2026-05-0{day}"} for day in range(1, 9)]
    return (
        *(b"".join(json.dumps(row).encode() + b"\n" for row in part) for part in (rows, nested, times)),
        json.dumps(nested, indent=1).encode(),
        json.dumps({"instances": rows[:5]}).encode(),
        json.dumps(rows[0]).encode(),
    )


@functools.cache
def parquet_seeds() -> tuple[bytes, ...]:
    """Return valid Parquet files: plain, encoded, nested, decimals and times, with and without checksums."""
    import datetime
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(table_rows())
    moment = datetime.datetime(2026, 5, 6, 10, tzinfo=datetime.UTC)
    nested = pa.table(
        {
            "when": [moment + datetime.timedelta(hours=n) for n in range(9)],
            "day": [moment.date()] * 9,
            "price": [decimal.Decimal(n) / 4 for n in range(9)],
            "list": [list(range(n % 3)) for n in range(9)],
            "struct": [{"a": n, "b": {"c": str(n)}} for n in range(9)],
            "map": pa.array([[("k", n)] for n in range(9)], pa.map_(pa.string(), pa.int32())),
            "raw": [bytes([n, 255 - n]) for n in range(9)],
            "small": pa.array(range(9), pa.uint8()),
            "nothing": pa.nulls(9),
        }
    )
    options: tuple[dict[str, Any], ...] = (
        {},
        {"compression": "gzip", "use_dictionary": False},
        {"compression": "zstd", "data_page_version": "2.0"},
        {"compression": "none", "write_page_checksum": True, "row_group_size": 4},
        {"compression": "none", "column_encoding": "DELTA_BYTE_ARRAY", "use_dictionary": False},
        {"compression": "none", "store_schema": False, "write_page_index": True},
    )
    seeds = []
    for number, option in enumerate(options):
        for each in (table, nested):
            if "column_encoding" in option:
                each = table.select(["city", "note"])
            sink = io.BytesIO()
            pq.write_table(each, sink, **option)
            seeds.append(sink.getvalue())
            if number == 4:
                break
    return tuple(seeds)


def capture_record(number: int, kind: str) -> dict[str, Any]:
    """Return a valid capture record with payloads of that kind: csv, json, lists, base64 or merged."""
    csv_input = ",".join(
        "" if value is None else str(value) for value in (number, 0.5 * number, "x", number % 3)
    )
    if kind == "json":
        request, response = json.dumps({"age": number, "in": {"a": [1, 2]}}), json.dumps({"score": 0.1})
    elif kind == "lists":
        request, response = (
            json.dumps({"instances": [[1, 2], [3, 4]]}),
            json.dumps({"predictions": [0.1, 0.9]}),
        )
    else:
        request, response = csv_input, f"0.{number}"
    encoding = {"csv": "CSV", "merged": "CSV", "base64": "BASE64"}.get(kind, "JSON")
    if kind == "base64":
        request, response = (base64.b64encode(text.encode()).decode() for text in (request, response))
    record: dict[str, Any] = {
        "captureData": {
            name: {"observedContentType": "text/csv", "mode": mode, "data": data, "encoding": encoding}
            for name, mode, data in (
                ("endpointInput", "INPUT", request),
                ("endpointOutput", "OUTPUT", response),
            )
        },
        "eventMetadata": {"eventId": f"e-{number}", "inferenceTime": f"2026-05-06T10:{number:02}:00Z"},
        "eventVersion": "0",
    }
    if kind == "merged":
        record["groundTruthData"] = {"data": str(number % 2), "encoding": "CSV"}
    return record


CAPTURE_KINDS = ("csv", "json", "lists", "base64", "merged")


@functools.cache
def capture_seeds() -> tuple[bytes, ...]:
    """Return valid capture files, one kind of payload each, and one of all kinds."""
    files = [[capture_record(number, kind) for number in range(8)] for kind in CAPTURE_KINDS]
    files.append([capture_record(number, kind) for number, kind in enumerate(CAPTURE_KINDS)])
    return tuple(b"".join(json_bytes(record) + b"\n" for record in records) for records in files)


@functools.cache
def label_seeds() -> tuple[bytes, ...]:
    """Return valid labels for the captures of `capture_seeds`: single, lists, and a human review."""

    def lines(values: list[str], encoding: str) -> bytes:
        records = [
            {
                "groundTruthData": {"data": value, "encoding": encoding},
                "eventMetadata": {"eventId": f"e-{number}"},
                "eventVersion": "0",
            }
            for number, value in enumerate(values)
        ]
        return b"".join(json_bytes(record) + b"\n" for record in records)

    review = {
        "flowDefinitionArn": "arn:aws:sagemaker:eu-west-1:111122223333:flow-definition/review",
        "humanAnswers": [{"answerContent": {"label": 1}, "submissionTime": "2026-05-06T12:00:00Z"}],
        "humanLoopName": "loop-1",
        "inputContent": {"inferenceId": "e-1"},
    }
    return (
        lines([str(number % 2) for number in range(8)], "CSV"),
        lines([json.dumps({"label": number % 2}) for number in range(8)], "JSON"),
        lines(["0\n1" for _ in range(8)], "CSV"),
        json_bytes(review),
    )


def quality_table() -> bytes:
    """Return a valid table of predictions with their labels."""
    lines = ["label,prediction,probability,group"]
    lines += [f"{n % 3 % 2},{n % 2},0.{n * 7 % 100:02},{'ab'[n % 2]}" for n in range(40)]
    return "\n".join(lines).encode() + b"\n"
