"""Datasets that are empty, damaged, huge in one direction, or odd: a result, or the place and the fix."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_reading import read
from run_jobs import CSV, Result, baseline_of, run_job
from sentences import says

from benchmarks import fuzz

JSON = '{"json":{"lines":true}}'
CAPTURE = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
RULES = pytest.mark.parametrize("rules", ["sound", "sagemaker"])


def run(folder: Path, name: str, data: bytes, **variables: object) -> tuple[Result, Path]:
    source = folder / name
    source.write_bytes(data)
    return run_job(folder, source, **variables), source


def failure(result: Result) -> str:
    """Return the message of a job that has to fail without writing anything."""
    assert result.exit_code == 2
    assert result.files == []
    return result.message


def features(result: Result) -> dict[str, dict[str, object]]:
    assert result.exit_code == 0, result.message
    return {feature["name"]: feature for feature in result.document("statistics.json")["features"]}


def capture(number: int) -> bytes:
    parts = {name: {"data": f"{number},1", "encoding": "CSV"} for name in ("endpointInput", "endpointOutput")}
    return json.dumps({"captureData": parts}).encode() + b"\n"


@pytest.mark.parametrize("dataset_format", [CSV, JSON, CAPTURE])
def test_an_empty_file(tmp_path: Path, dataset_format: str) -> None:
    result, source = run(tmp_path, "data", b"", dataset_format=dataset_format)
    assert says(failure(result), "rows.none_for_baseline", file=source, found="row")


def test_an_empty_parquet_file(tmp_path: Path) -> None:
    result, source = run(tmp_path, "data.parquet", b"", dataset_format="parquet")
    assert says(failure(result), "parquet.damaged", file=source)
    assert "0 bytes" in result.message


def test_an_empty_folder(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    result = run_job(tmp_path, source)
    assert says(failure(result), "rows.none_for_baseline", file=source, found="file")


def test_a_header_without_rows(tmp_path: Path) -> None:
    result, source = run(tmp_path, "data.csv", b"a,b\n")
    assert says(failure(result), "rows.none_for_baseline", file=source, found="row")


def test_a_header_without_rows_in_a_window_is_a_completed_job(tmp_path: Path) -> None:
    baseline, _ = run(tmp_path, "data.csv", b"a,b\n1,x\n2,y\n", output_path=tmp_path / "baseline")
    result, source = run(tmp_path, "now.csv", b"a,b\n", **baseline_of(baseline))
    assert result.exit_code == 0
    assert says(result.message, "outcome.empty", why=f"there are no rows in {source}")


@pytest.mark.parametrize("dataset_format", [CSV, JSON])
def test_a_truncated_gzip_file(tmp_path: Path, dataset_format: str) -> None:
    row = "{},x\n" if dataset_format == CSV else '{{"a": {}}}\n'
    rows = "".join(row.format(i) for i in range(5000)).encode()
    result, source = run(tmp_path, "data.gz", gzip.compress(rows)[:-100], dataset_format=dataset_format)
    cause = "Truncated compressed stream"
    assert says(failure(result), "stored_file.unreadable", file=source, cause=cause)


def test_a_gzip_file_with_a_damaged_middle(tmp_path: Path) -> None:
    data = bytearray(
        gzip.compress(b"a,b\n" + bytes(np.random.default_rng(1).integers(48, 58, 20_000)), mtime=0)
    )
    data[5000:5010] = b"\xff" * 10
    result, source = run(tmp_path, "data.csv.gz", bytes(data))
    assert failure(result).startswith(f"{source} cannot be read: zlib inflate failed: ")


@pytest.mark.parametrize("cut", [3, 200, 20_000])
def test_a_truncated_parquet_file(tmp_path: Path, cut: int) -> None:
    source = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": np.arange(10_000)}), source)
    result, source = run(tmp_path, "data.parquet", source.read_bytes()[:-cut], dataset_format="parquet")
    assert says(failure(result), "parquet.damaged", file=source)
    assert "(Parquet magic bytes not found" in result.message


def test_parquet_pages_that_do_not_match_their_checksum(tmp_path: Path) -> None:
    source = tmp_path / "data.parquet"
    pq.write_table(
        pa.table({"a": np.arange(1000)}),
        source,
        write_page_checksum=True,
        compression="none",
        use_dictionary=False,
    )
    data = bytearray(source.read_bytes())
    data[4000] ^= 1
    result, source = run(tmp_path, "data.parquet", bytes(data), dataset_format="parquet")
    assert says(failure(result), "stored_file.unreadable", file=source)
    assert "CRC checksum" in result.message
    assert "page_ordinal 0" in result.message


def test_parquet_whose_description_of_a_column_is_damaged() -> None:
    """Read in a process of its own: Arrow ends the process when asked for such a description."""
    tally = fuzz.fuzz("parquet", 8648, 8649, processes=1)
    assert tally.outcomes == {"exit code 2": 1}


def test_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    source = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": ["text", "f\u00fcnf"]}), source, compression="none")
    data = source.read_bytes().replace("fünf".encode(), b"f\xff\xfenf")
    result, source = run(tmp_path, "data.parquet", data, dataset_format="parquet")
    excerpt = "f\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}nf"
    assert says(failure(result), "split.not_utf8", file=source, excerpt=excerpt)


@RULES
def test_half_a_capture_line(tmp_path: Path, rules: str) -> None:
    result, source = run(
        tmp_path, "c.jsonl", capture(1) + capture(2)[:60], dataset_format=CAPTURE, rules=rules
    )
    why = {"reason": "it is not one whole JSON object", "excerpt": capture(2)[:60].decode()}
    assert says(failure(result), "captures.no_record", file=source, line=2, **why)


@RULES
def test_invalid_utf8_in_csv(tmp_path: Path, rules: str) -> None:
    result, source = run(tmp_path, "data.csv", b"a,b\n1,x\n2,\xff\xfe\n3,y\n", rules=rules)
    excerpt = "2,\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert says(failure(result), "data_files.utf8", file=source, line=3, excerpt=excerpt)


def test_invalid_utf8_in_json(tmp_path: Path) -> None:
    result, source = run(tmp_path, "data.jsonl", b'{"a": "x"}\n{"a": "\xff"}\n', dataset_format=JSON)
    assert says(failure(result), "json_files.utf8", place=f"{source} line 2")


def test_invalid_utf8_in_captures(tmp_path: Path) -> None:
    result, source = run(
        tmp_path, "c.jsonl", capture(1) + capture(2).replace(b"2,1", b"\xff,1"), dataset_format=CAPTURE
    )
    reason = "it is not UTF-8 text"
    assert says(failure(result), "captures.no_record", file=source, line=2, reason=reason)


def test_utf16(tmp_path: Path) -> None:
    result, source = run(tmp_path, "data.csv", "a,b\n1,2\n".encode("utf-16"))
    assert says(failure(result), "csv.utf16", file=source)
    result, source = run(tmp_path, "a.jsonl", '{"a":1}\n{"a":2}\n'.encode("utf-16"), dataset_format="json")
    assert says(failure(result), "csv.utf16", file=source)


@RULES
def test_zero_bytes_in_csv(tmp_path: Path, rules: str) -> None:
    result, source = run(tmp_path, "data.csv", b"a,b\n1,x\n2,\0\n3,y\n", rules=rules)
    assert says(failure(result), "csv.zero_byte", file=source, line=3)


def test_zero_bytes_in_json(tmp_path: Path) -> None:
    result, source = run(tmp_path, "data.jsonl", b'{"a": 1}\n\0\0\0\n', dataset_format=JSON)
    assert failure(result).startswith(f"{source} line 2 is not JSON (")
    result, _ = run(tmp_path, "data.jsonl", b'{"a": "x\\u0000y"}\n' * 3, dataset_format=JSON)
    assert result.document("constraints.json")["features"][0]["string_constraints"]["domains"] == ["x\0y"]


@RULES
def test_a_line_of_ten_megabytes(tmp_path: Path, rules: str) -> None:
    cell = b"x" * (10 << 20)
    result, _ = run(tmp_path, "data.csv", b"a,b\n1," + cell + b"\n2,y\n", rules=rules)
    found = features(result)
    assert found["a"]["numerical_statistics"]["common"] == {"num_present": 2, "num_missing": 0}
    assert found["b"]["string_statistics"]["distinct_count"] == 2.0


def test_a_json_line_of_ten_megabytes(tmp_path: Path) -> None:
    line = json.dumps({"a": 1, "b": "x" * (10 << 20)}).encode() + b"\n"
    result, _ = run(tmp_path, "data.jsonl", line + b'{"a": 2, "b": "y"}\n', dataset_format=JSON)
    assert features(result)["b"]["string_statistics"]["distinct_count"] == 2.0


def test_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    result, source = run(tmp_path, "data.csv", b'a,b\n1,"x\n' + b"2,y\n" * 100)
    assert says(failure(result), "csv.unclosed_quote", file=source, line=2, excerpt='1,"x')


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write three rows of five thousand columns in every format."""
    folder = tmp_path_factory.mktemp("wide")
    names = [f"column {number}" for number in range(5000)]
    table = [[row * number for number in range(5000)] for row in range(3)]
    files = {kind: folder / f"data.{kind}" for kind in ("csv", "json", "parquet")}
    files["csv"].write_text("\n".join(",".join(map(str, row)) for row in [names, *table]))
    files["json"].write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in table))
    columns = dict(zip(names, zip(*table, strict=True), strict=True))
    pq.write_table(pa.table({name: list(column) for name, column in columns.items()}), files["parquet"])
    return files


def test_five_thousand_columns(tmp_path: Path, wide: dict[str, Path]) -> None:
    baseline = run_job(tmp_path, wide["csv"], output_path=tmp_path / "baseline")
    found = features(baseline)
    assert list(found) == [f"column {number}" for number in range(5000)]
    assert found["column 4999"]["numerical_statistics"]["max"] == 9998.0
    constraints = {"baseline_constraints": baseline.output / "constraints.json"}
    result = run_job(tmp_path, wide["csv"], **constraints)
    assert result.exit_code == 0
    assert result.violations == []


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_five_thousand_columns_are_read_from_every_format(wide: dict[str, Path], kind: str) -> None:
    assert read(wide[kind], kind) == read(wide["csv"], "csv")


def test_duplicate_column_names_in_csv(tmp_path: Path) -> None:
    result, source = run(tmp_path, "data.csv", b"a,b,a\n1,2,3\n")
    assert says(failure(result), "csv.repeated_name", file=source, field="a")


def test_duplicate_column_names_in_parquet(tmp_path: Path) -> None:
    source = tmp_path / "data.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), source)
    result = run_job(tmp_path, source, dataset_format="parquet")
    assert failure(result).startswith(f"{source}: ")
    assert says(result.message, "tables.twice", field="a")


@RULES
def test_an_all_null_column(tmp_path: Path, rules: str) -> None:
    result, _ = run(tmp_path, "data.csv", b"a,b\n" + b"1,\n" * 5, rules=rules)
    found = features(result)["b"]
    assert found["inferred_type"] in ("Unknown", "String")
    assert found["string_statistics"]["common"] == {"num_present": 0, "num_missing": 5}
    again = run_job(tmp_path, tmp_path / "data.csv", rules=rules, **baseline_of(moved(result)))
    assert again.violations == []


def moved(result: Result) -> Result:
    """Return the result where the next job of the same folder does not overwrite it."""
    kept = result.output.with_name("kept")
    result.output.rename(kept)
    return Result(result.exit_code, result.message, kept)


@RULES
@pytest.mark.parametrize("cell", ["7", "0.5", "x"])
def test_a_constant_column(tmp_path: Path, rules: str, cell: str) -> None:
    data = f"a,b\n{''.join(f'{cell},{i}' + chr(10) for i in range(50))}".encode()
    result, source = run(tmp_path, "data.csv", data, rules=rules)
    found = features(result)["a"]
    if cell == "x":
        [bucket] = found["string_statistics"]["distribution"]["categorical"]["buckets"]
        assert bucket == {"value": "x", "count": 50}
    else:
        statistics = found["numerical_statistics"]
        assert (statistics["min"], statistics["max"], statistics["std_dev"]) == (
            float(cell),
            float(cell),
            0.0,
        )
        assert sum(bucket["count"] for bucket in statistics["distribution"]["kll"]["buckets"]) == 50
    again = run_job(tmp_path, source, rules=rules, **baseline_of(moved(result)))
    assert again.violations == []


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_infinities(tmp_path: Path, kind: str) -> None:
    values = [1.5, float("inf"), float("-inf"), 2.5]
    source = tmp_path / "data"
    if kind == "csv":
        source.write_text("a\n1.5\ninf\n-inf\n2.5\n")
    elif kind == "json":
        source.write_text("".join(json.dumps({"a": value}) + "\n" for value in values))
    else:
        pq.write_table(pa.table({"a": values}), source)
    result = run_job(tmp_path, source, dataset_format=kind)
    [found] = features(result).values()
    assert found["inferred_type"] == "Fractional"
    statistics = found["numerical_statistics"]
    assert (statistics["min"], statistics["max"], statistics["mean"]) == (1.5, 2.5, 2.0)
    assert [found["data_types"][kind] for kind in ("NonFinite", "NegativeInfinite")] == [1, 1]
    again = run_job(tmp_path, source, dataset_format=kind, **baseline_of(moved(result)))
    assert again.violations == []


@RULES
def test_numbers_at_the_limits_of_floats(tmp_path: Path, rules: str) -> None:
    data = b"a\n" + b"1.7976931348623157e308\n-1.7976931348623157e308\n5e-324\n" * 10
    result, source = run(tmp_path, "data.csv", data, rules=rules)
    assert features(result)["a"]["numerical_statistics"]["max"] == 1.7976931348623157e308
    again = run_job(tmp_path, source, rules=rules, **baseline_of(moved(result)))
    assert again.violations == []
