"""Make the data of the benchmarks: a table of 20 columns as Parquet and CSV, and endpoint captures of it.

Every file is written in chunks of one row group, each with its own seed, so memory stays bounded.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.contenders import MONTHS_START

SEED = 20130101
CHUNK_ROWS = 1 << 20  # pyarrow's default row group
LARGE_FILE_RECORDS = 100_000  # about 80 MB
SMALL_FILE_RECORDS = 250
CAPTURE_START = datetime(2026, 3, 2, 8, tzinfo=UTC)
CAPTURE_WINDOW = timedelta(hours=4)
MONTHS_HOURS = 90 * 24
MONTHS_COLUMNS = ["normal_0", "lognormal_1", "uniform_2", "small_count", "plan", "month"]

CATEGORIES = {"plan": 3, "month": 12, "state": 50, "carrier": 200}
MISSING_SHARE = 0.02

# The columns that divide a table of segments, and what else it holds.
SEGMENTS = {"five": 5, "fifty": 50}
SEGMENTED_FEATURES = [
    *("normal_0", "lognormal_1", "uniform_2", "normal_3"),
    *("small_count", "customer_id", "month", "carrier"),
]


def table_chunk(number: int, rows: int) -> pa.Table:
    """Return chunk `number` of the table: 12 floats, 4 integers and 4 strings."""
    random = np.random.default_rng([SEED, number])
    columns: dict[str, pa.Array] = {}
    for index in range(4):
        columns[f"normal_{index}"] = _float(random, random.normal(10 * index, 1 + index, rows), index)
        columns[f"lognormal_{index}"] = _float(random, random.lognormal(index / 2, 1, rows), index)
        columns[f"uniform_{index}"] = _float(random, random.uniform(0, 10**index, rows), index)
    columns["binary"] = pa.array(random.integers(0, 2, rows))
    columns["small_count"] = pa.array(random.poisson(3, rows))
    columns["long_tailed_count"] = pa.array(random.geometric(0.02, rows))
    columns["customer_id"] = pa.array(random.integers(10**9, 10**12, rows))
    for name, size in CATEGORIES.items():
        values = pa.array([f"{name}_{category:03d}" for category in range(size)])
        shares = 1 / np.arange(1.0, size + 1)
        codes = random.choice(size, rows, p=shares / shares.sum()).astype(np.int32)
        # Stored as plain strings: a dictionary type in the file would spare every reader its work.
        columns[name] = pa.DictionaryArray.from_arrays(codes, values).cast(pa.string())
    return pa.table(columns)


def _float(random: np.random.Generator, values: np.ndarray, index: int) -> pa.Array:
    has_missing = index % 2 == 1
    return pa.array(values, mask=random.random(len(values)) < MISSING_SHARE if has_missing else None)


def table_chunks(rows: int) -> Iterator[pa.Table]:
    """Yield the table of `rows` rows, one row group at a time."""
    for number, start in enumerate(range(0, rows, CHUNK_ROWS)):
        yield table_chunk(number, min(CHUNK_ROWS, rows - start))


def write_parquet(path: Path, rows: int) -> None:
    """Write the table with pyarrow's defaults: snappy, row groups of 1,048,576 rows."""
    with pq.ParquetWriter(path, table_chunk(0, 1).schema) as writer:
        for chunk in table_chunks(rows):
            writer.write_table(chunk, row_group_size=CHUNK_ROWS)


def write_segmented(path: Path, rows: int) -> None:
    """Write ten columns as Parquet; two of them divide the rows into 5 and 50 parts, about as large."""
    writer = None
    for number, chunk in enumerate(table_chunks(rows)):
        random = np.random.default_rng([SEED, number, 1])
        table = chunk.select(SEGMENTED_FEATURES)
        for name, parts in SEGMENTS.items():
            values = pa.array([f"{name}_{part:02d}" for part in range(parts)])
            codes = pa.array(random.integers(0, parts, len(table), dtype=np.int32))
            table = table.append_column(name, values.take(codes))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=CHUNK_ROWS)
    if writer is not None:
        writer.close()


def write_csv(path: Path, rows: int) -> None:
    """Write the table as CSV with a header; missing values are empty fields, nothing is quoted."""
    options = pa.csv.WriteOptions(quoting_style="none", quoting_header="none")
    with pa.csv.CSVWriter(path, table_chunk(0, 1).schema, write_options=options) as writer:
        for chunk in table_chunks(rows):
            writer.write_table(chunk)


def write_captures(
    path: Path, rows: int, records_per_file: int = LARGE_FILE_RECORDS, *, as_json: bool = False
) -> None:
    """Write endpoint captures: one row of 19 inputs and 1 output each, in SageMaker's file layout.

    They are CSV, or lists of numbers and text in JSON, where what is missing is null.
    """
    random = np.random.default_rng([SEED, 1 << 32])
    step = CAPTURE_WINDOW / rows
    written = 0
    for chunk in table_chunks(rows):
        payloads = _payloads(chunk.drop_columns("customer_id"))
        for start in range(0, len(payloads), records_per_file):
            part = payloads[start : start + records_per_file]
            times = [CAPTURE_START + step * (written + offset) for offset in range(len(part))]
            _write_capture_file(path, part, times, random, as_json=as_json)
            written += len(part)


def write_months(path: Path, rows: int) -> None:
    """Write endpoint captures of 90 days, a file an hour: 6 inputs and 1 output each."""
    random = np.random.default_rng([SEED, 1 << 33])
    payloads = itertools.chain.from_iterable(
        _payloads(chunk.select(MONTHS_COLUMNS)) for chunk in table_chunks(rows)
    )
    for hour in range(MONTHS_HOURS):
        count = rows * (hour + 1) // MONTHS_HOURS - rows * hour // MONTHS_HOURS
        first = MONTHS_START + timedelta(hours=hour)
        times = [first + timedelta(hours=number / count) for number in range(count)]
        if times:
            _write_capture_file(path, list(itertools.islice(payloads, count)), times, random)


def _payloads(table: pa.Table) -> list[str]:
    sink = pa.BufferOutputStream()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    pa.csv.write_csv(table, sink, write_options=options)
    text: bytes = sink.getvalue().to_pybytes()
    return text.decode("ascii").splitlines()


def _write_capture_file(
    folder: Path,
    payloads: list[str],
    times: list[datetime],
    random: np.random.Generator,
    *,
    as_json: bool = False,
) -> None:
    ids = _identifiers(random, len(payloads) + 1)
    outputs = random.beta(2, 5, len(payloads)).tolist()
    first = times[0]
    name = f"{first:%M-%S}-{first.microsecond // 1000:03d}-{ids.pop()}.jsonl"
    path = folder / "churn-endpoint" / "AllTraffic" / f"{first:%Y/%m/%d/%H}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for payload, output, identifier, time in zip(payloads, outputs, ids, times, strict=True):
            record = _capture_record(payload, str(output), identifier, time)
            if as_json:
                for side, name in (("endpointInput", "instances"), ("endpointOutput", "predictions")):
                    record["captureData"][side] |= _as_json(record["captureData"][side]["data"], name)
            file.write(orjson.dumps(record) + b"\n")


def _as_json(line: str, name: str) -> dict[str, str]:
    cells = [cell if cell[:1].isalpha() else orjson.loads(cell or "null") for cell in line.split(",")]
    data = orjson.dumps({name: [cells]}).decode()
    return {"observedContentType": "application/json", "data": data, "encoding": "JSON"}


def _capture_record(payload: str, output: str, identifier: str, time: datetime) -> dict[str, Any]:
    return {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": payload,
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "text/csv; charset=utf-8",
                "mode": "OUTPUT",
                "data": output,
                "encoding": "CSV",
            },
        },
        "eventMetadata": {"eventId": identifier, "inferenceTime": f"{time:%Y-%m-%dT%H:%M:%SZ}"},
        "eventVersion": "0",
    }


def _identifiers(random: np.random.Generator, count: int) -> list[str]:
    texts = (random.bytes(16).hex() for _ in range(count))
    return [f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}" for text in texts]


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "segmented": write_segmented,
    "captures": write_captures,
    "small-captures": partial(write_captures, records_per_file=SMALL_FILE_RECORDS),
    "json-captures": partial(write_captures, as_json=True),
    "months": write_months,
}


def main() -> None:
    """Write one dataset; it appears under its name when it is complete."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("kind", choices=sorted(WRITERS))
    parser.add_argument("path", type=Path)
    parser.add_argument("rows", type=int)
    arguments = parser.parse_args()
    unfinished = arguments.path.with_name(arguments.path.name + ".partial")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    WRITERS[arguments.kind](unfinished, arguments.rows)
    unfinished.rename(arguments.path)


if __name__ == "__main__":
    main()
