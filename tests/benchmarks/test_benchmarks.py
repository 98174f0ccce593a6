"""The benchmark at a tiny size: its data, its tables, a whole run without peers."""

import re

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from benchmarks import floors, generate, months, peers_environment, report
from benchmarks.__main__ import main, parse
from benchmarks.contenders import Contender, Dataset, Section
from benchmarks.measure import Cost

ROWS = 3_000


def test_csv_and_parquet_hold_the_same_table(tmp_path):
    generate.write_parquet(tmp_path / "table.parquet", ROWS)
    generate.write_csv(tmp_path / "table.csv", ROWS)
    table = pq.read_table(tmp_path / "table.parquet")
    assert table.equals(pyarrow.csv.read_csv(tmp_path / "table.csv"))
    kinds = [str(kind) for kind in table.schema.types]
    assert (kinds.count("double"), kinds.count("int64"), kinds.count("string")) == (12, 4, 4)
    assert 0 < table["normal_1"].null_count < 0.04 * ROWS


def test_long_tables_are_written_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "CHUNK_ROWS", 1_000)
    generate.write_parquet(tmp_path / "table.parquet", 2_500)
    file = pq.ParquetFile(tmp_path / "table.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(3)] == [1_000, 1_000, 500]
    first, second = (file.read_row_group(group) for group in range(2))
    assert not first.equals(second)


@pytest.mark.parametrize(("records_per_file", "files"), [(1_000, 3), (100, 30)])
def test_captures_have_the_layout_and_rows_of_an_endpoint(tmp_path, records_per_file, files):
    generate.write_captures(tmp_path, ROWS, records_per_file)
    paths = sorted(tmp_path.rglob("*.jsonl"))
    layout = (
        r"[\w-]+/AllTraffic/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    )
    assert len(paths) == files
    assert all(re.fullmatch(layout + ".jsonl", str(path.relative_to(tmp_path))) for path in paths)
    records = [orjson.loads(line) for path in paths for line in path.read_bytes().splitlines()]
    payloads = "\n".join(record["captureData"]["endpointInput"]["data"] for record in records)
    options = pyarrow.csv.ReadOptions(autogenerate_column_names=True)
    read = pyarrow.csv.read_csv(pa.py_buffer(payloads.encode()), read_options=options)
    written = pa.concat_tables(generate.table_chunks(ROWS)).drop_columns("customer_id")
    assert read.columns == written.columns
    assert len({record["eventMetadata"]["eventId"] for record in records}) == ROWS


def test_captures_of_months_lie_in_the_folders_of_their_hours(tmp_path):
    generate.write_months(tmp_path, ROWS)
    paths = sorted(tmp_path.rglob("*.jsonl"))
    assert len(paths) == generate.MONTHS_HOURS
    records = {path: [orjson.loads(line) for line in path.read_bytes().splitlines()] for path in paths}
    assert sum(map(len, records.values())) == ROWS
    for path, lines in records.items():
        hour = "/".join(path.parts[-5:-1])
        times = [line["eventMetadata"]["inferenceTime"] for line in lines]
        assert {time[:13].replace("-", "/").replace("T", "/") for time in times} == {hour}


@pytest.mark.long
def test_many_windows_are_measured_beside_one_and_survive_kills(tmp_path, capsys):
    given = ["--rows", str(ROWS), "--window", "P10D", "--data", str(tmp_path)]
    assert months.main(given) == 0
    assert "windows of P10D" in capsys.readouterr().out
    assert months.main([*given, "--kills", "3"]) == 0
    # 9 windows of five files, their records and statistics, and the baseline's two documents.
    assert "65 files compared: 0 problems" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["parquet", "csv", "captures"])
def test_floors_read_every_row(tmp_path, kind):
    path = Dataset(kind, ROWS).path(tmp_path)
    generate.WRITERS[kind](path, ROWS)
    assert floors.FLOORS[kind](path) == ROWS


def test_ratios_and_verdicts():
    dataset = Dataset("csv", ROWS)
    ours, fast, slow, broken = (
        Contender(name, (), dataset, goal)
        for name, goal in (("ours", None), ("fast", 2.5), ("slow", 1 / 15), ("broken", 1.0))
    )
    section = Section("Some rows", (ours, fast, slow, broken))
    results = [
        report.Result(ours, (Cost(2.0, 3.0, 10**8),)),
        report.Result(fast, (Cost(1.0, 1.0, 10**8),)),
        report.Result(slow, (Cost(20.0, 40.0, 10**9),)),
        report.Result(broken, (), "exit code 1"),
    ]
    lines = report.section_table(section, results).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert cells[2:] == [
        ["ours", "2.00", "3.00", "100", "1", "", ""],
        ["fast", "1.00", "1.00", "100", "1", "2.00", "at most 2.50: met"],
        ["slow", "20.00", "40.00", "1,000", "1", "0.10", "at most 1/15: missed"],
        ["broken", "-", "-", "-", "0", "-", "exit code 1"],
    ]
    assert len({len(line) for line in lines if line.startswith("|")}) == 1


def test_a_whole_run_without_peers(tmp_path, capsys):
    arguments = ["--rows", str(ROWS), "--repeat", "1", "--peers", "none", "--data", str(tmp_path / "data")]
    page = tmp_path / "benchmarks.md"
    assert main([*arguments, "--write", str(page)]) == 0
    printed = capsys.readouterr().out
    for process in ("monitor-data-quality", "merely iterating", "merely streaming", "orjson.loads"):
        assert process in printed
    text = page.read_text(encoding="utf-8")
    assert f"--rows {ROWS}" in text
    assert "numpy" in text
    assert "{{" not in text
    assert printed.count("monitor-data-quality") == text.count("monitor-data-quality, ") + 5


def test_unknown_names_are_told(capsys):
    with pytest.raises(SystemExit):
        parse(["--peers", "duckdb,pandas"])
    assert "pandas: choose from duckdb, polars, pyspark, evidently" in capsys.readouterr().err


def test_peers_are_pinned():
    versions = peers_environment.pinned_versions()
    assert {"duckdb", "polars", "pyspark", "evidently"} <= versions.keys()
    assert all(re.fullmatch(r"[\d.]+", number) for number in versions.values())
