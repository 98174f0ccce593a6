"""JSON that crashes or confuses parsers: as datasets and as payloads of captures."""

import json
from pathlib import Path

import pytest
from run_jobs import run_job
from sentences import says

JSON = '{"json":{"lines":true}}'
CAPTURE = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}'
ROW = b'{"a": 1}\n'


def capture(payload: str) -> bytes:
    part = {"data": payload, "encoding": "JSON"}
    return json.dumps({"captureData": {"endpointInput": part}}).encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"null\n" + ROW, 1),
        (b" null\n" + ROW, 1),
        (b"\xef\xbb\xbfnull\n" + ROW, 1),
        (ROW + b"null", 2),
        (ROW + b"\n\n null\n" + ROW, 4),
        (ROW * 150_000 + b"null\n" + ROW, 150_001),
    ],
)
def test_a_line_that_is_null(tmp_path: Path, data: bytes, line: int) -> None:
    source = tmp_path / "data.jsonl"
    source.write_bytes(data)
    result = run_job(tmp_path, source, dataset_format=JSON)
    assert result.exit_code == 2
    excerpt = data.decode("utf-8-sig").split("\n")[line - 1]
    place = {"place": f"{source} line {line}", "excerpt": excerpt}
    assert says(result.message, "json_files.line", what="is not a JSON object", **place)


def test_a_capture_that_is_null(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_bytes(b"null\n" + capture("[1]"))
    result = run_job(tmp_path, source, dataset_format=CAPTURE)
    assert result.exit_code == 2
    why = {"reason": "it is no JSON object", "excerpt": "null"}
    assert says(result.message, "captures.no_record", file=source, line=1, **why)


@pytest.mark.parametrize("nested", ["[" * 20_000 + "]" * 20_000, '{"b":' * 20_000 + "1" + "}" * 20_000])
def test_values_nested_too_deeply_for_any_parser(tmp_path: Path, nested: str) -> None:
    source = tmp_path / "data.jsonl"
    line = f'{{"a": {nested}}}'
    source.write_text('{"a": 1}\n' + line + "\n")
    result = run_job(tmp_path, source, dataset_format=JSON)
    assert result.exit_code == 2
    place = {"place": f"{source} line 2", "excerpt": line[:80]}
    assert says(result.message, "json_files.line", what="is not JSON (nested too deeply)", **place)


@pytest.mark.parametrize(
    ("dataset_format", "wrap", "problem"),
    [(JSON, str.encode, ""), (CAPTURE, capture, " holds payloads that do not fit into columns")],
)
def test_values_nested_deeply(tmp_path: Path, dataset_format: str, wrap: object, problem: str) -> None:
    source = tmp_path / "data.jsonl"
    assert callable(wrap)
    source.write_bytes(wrap('{"a":' * 200 + "1" + "}" * 200))
    result = run_job(tmp_path, source, dataset_format=dataset_format)
    assert result.exit_code == 2
    name = ".".join("a" * 40)[:40]
    assert result.message.startswith(f"{source}{problem}: ")
    assert says(result.message, "tables.too_deep", field=name, deepest=100)


def test_values_nested_a_hundred_levels_deep_are_read(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_text('{"a":' * 100 + "1" + "}" * 100 + "\n")
    result = run_job(tmp_path, source, dataset_format=JSON)
    assert result.exit_code == 0
    [feature] = result.document("statistics.json")["features"]
    assert feature["name"] == ".".join("a" * 100)


def test_brackets_in_text_are_not_nesting(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_text("".join(json.dumps({"a": "(((" + "[{" * 30, "b": n}) + "\n" for n in range(100)))
    result = run_job(tmp_path, source, dataset_format=JSON)
    assert [f["inferred_type"] for f in result.document("statistics.json")["features"]] == [
        "String",
        "Integral",
    ]


def test_lists_of_nulls(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_text('{"a": [null, null, null], "b": 1}\n' * 4)
    result = run_job(tmp_path, source, dataset_format=JSON)
    assert result.exit_code == 0
    features = result.document("statistics.json")["features"]
    assert [feature["name"] for feature in features] == ["a.0", "a.1", "a.2", "b"]
    assert all(
        feature["string_statistics"]["common"] == {"num_present": 0, "num_missing": 4}
        for feature in features[:3]
    )


def test_halves_of_surrogate_pairs_become_replacement_characters(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_text('{"a\\ud800": "x\\udc00"}\n' * 3)
    result = run_job(tmp_path, source, dataset_format=JSON)
    assert result.exit_code == 0
    [constraints] = result.document("constraints.json")["features"]
    assert constraints["name"] == "a\N{REPLACEMENT CHARACTER}"
    assert constraints["string_constraints"]["domains"] == ["x\N{REPLACEMENT CHARACTER}"]


def test_integers_beyond_every_float(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_text(f'{{"a": {10**400}}}\n{{"a": -{10**400}}}\n{{"a": 1}}\n')
    result = run_job(tmp_path, source, dataset_format=JSON)
    assert result.exit_code == 0
    [feature] = result.document("statistics.json")["features"]
    assert [feature["data_types"][kind] for kind in ("NonFinite", "NegativeInfinite")] == [1, 1]


def test_fields_that_become_one_column(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_text('{"a.b": 1, "a": {"b": 2}}\n')
    result = run_job(tmp_path, source, dataset_format=JSON)
    assert result.exit_code == 2
    assert result.message.startswith(f"{source}: ")
    assert says(result.message, "tables.clash", first="a.b", second="a", field="a.b")
