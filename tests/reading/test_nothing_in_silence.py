"""Inputs that can be read in two ways: each reading is said, or the job is refused."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from reading_inputs import (
    CAPTURES,
    DAY,
    HEADER,
    HEADERLESS,
    LINES,
    captured,
    checks,
    common,
    csv_table,
    features,
    json_lines,
    reading,
    write,
)
from run_jobs import baseline_of, run_job

from containers.model_quality.main import main as monitor_model_quality

MERGED = '{"sagemakerMergeJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'

# --- quotes that are left open


@pytest.mark.parametrize(
    ("text", "line", "dataset_format"),
    [
        ('a,"b\n1,2\n', 1, HEADER),
        ('\n\n1,"b\n1,2\n', 3, HEADERLESS),
        ('a;"b\n1;2\n', 1, HEADER),
        ('a\t"b\n1\t2\n', 1, HEADER),
        ('a,b\n1,"2\n', 2, HEADER),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_quote_that_is_left_open_is_named(
    tmp_path: Path, text: str, line: int, dataset_format: str, packed: bool
) -> None:
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    result = run_job(tmp_path, path, dataset_format=dataset_format)
    assert result.exit_code == 2
    assert f"{path} line {line} has a quote that is not closed" in result.message


def test_a_quote_left_open_in_the_header_of_a_later_file(tmp_path: Path) -> None:
    csv_table(tmp_path / "d/a.csv", "a,b", [[1, 2]])
    later = write(tmp_path / "d/b.csv", 'a,"b\n1,2\n')
    assert f"{later} line 1 has a quote" in run_job(tmp_path, tmp_path / "d").message


# --- records of several forms

WRAPPED: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"features": {"a": 1, "b": 2}}),
    ([1, 2], {"instances": [[1, 2]]}),
    ({"a": 1, "b": 2}, {"instances": [{"c": 1, "d": 2}]}),
    ({"a": 1, "b": 2}, {"features": [1, 2]}),
    ("1,2", {"a": 1, "b": 2}),
    ({"a": 1, "b": 2}, {"x": 1, "y": 2}),
]


@pytest.mark.parametrize(("one", "other"), WRAPPED)
@pytest.mark.parametrize("order", ["mixed", "halves", "files"])
def test_calls_of_two_forms_are_said(tmp_path: Path, one: Any, other: Any, order: str) -> None:
    forms = [number % 2 if order == "mixed" else number // 30 for number in range(60)]
    lines = [captured(other if form else one, number=number) for number, form in enumerate(forms)]
    if order == "files":
        write(tmp_path / "d/1.jsonl", "".join(lines[:30]))
        write(tmp_path / "d/2.jsonl", "".join(lines[30:]))
    else:
        write(tmp_path / "d/1.jsonl", "".join(lines))
    said = reading(run_job(tmp_path, tmp_path / "d", dataset_format=CAPTURES))["forms"]
    assert said[0].startswith("records have several forms: 30 have ")


def test_lines_of_two_forms_are_said(tmp_path: Path) -> None:
    flat = {"a": 1, "b": 2}
    mixed = [{"features": flat} if number % 2 else flat for number in range(60)]
    said = reading(run_job(tmp_path / "1", json_lines(tmp_path / "a.jsonl", mixed), dataset_format=LINES))
    assert len(said["forms"]) == 1
    json_lines(tmp_path / "d/a.jsonl", [flat] * 30)
    json_lines(tmp_path / "d/b.jsonl", [{"features": flat}] * 30)
    assert reading(run_job(tmp_path / "2", tmp_path / "d", dataset_format=LINES))["forms"]


def test_large_files_of_two_forms_are_said(tmp_path: Path) -> None:
    flat = {"a": 1.5, "b": "some text of a record"}
    json_lines(tmp_path / "d/a.jsonl", [flat] * 50_000)
    json_lines(tmp_path / "d/b.jsonl", [{"features": flat}] * 50_000)
    assert reading(run_job(tmp_path, tmp_path / "d", dataset_format=LINES))["forms"]


def test_members_that_come_and_go_are_no_forms(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    records = [
        {"a": number} | {name: 1 for name in "bcdef" if random.random() < 0.2} for number in range(400)
    ]
    result = run_job(tmp_path, json_lines(tmp_path / "a.jsonl", records), dataset_format=LINES)
    assert "forms" not in reading(result)


@pytest.mark.parametrize("other", [{"x": 1}, [1, 2]])
@pytest.mark.parametrize("capture", [False, True])
def test_a_member_that_is_a_value_and_an_object_is_said(tmp_path: Path, other: Any, capture: bool) -> None:
    records = [{"a": other if number == 7 else number, "b": 1} for number in range(60)]
    if capture:
        source = write(tmp_path / "a.jsonl", "".join(captured(record) for record in records))
    else:
        source = json_lines(tmp_path / "a.jsonl", records)
    result = run_job(tmp_path, source, dataset_format=CAPTURES if capture else LINES)
    assert "a is a value in some records, and an object or a list in 1 others" in reading(result)["forms"]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"b":2,"a":3}',
        '{"a": 1, "b": 2, "a": 3}',
        '{"b" :2,"a":1,"a":":"}',
        '{"b":{"a":1,"a":2}}',
        '{"b":[{"a":1,"a":2}]}',
    ],
)
@pytest.mark.parametrize("form", ["lines", "document", "payload"])
def test_a_member_given_twice_is_said(tmp_path: Path, text: str, form: str) -> None:
    others = ['{"a":5,"b":6}'] * 20
    if form == "payload":
        lines = [captured({}).replace('"{}"', json.dumps(each)) for each in (*others, text)]
        source = write(tmp_path / "a.jsonl", "".join(lines))
    elif form == "document":
        source = write(tmp_path / "a.json", f"[{','.join((*others, text))}]")
    else:
        source = write(tmp_path / "a.jsonl", "\n".join((*others, text)))
    result = run_job(tmp_path, source, dataset_format=CAPTURES if form == "payload" else LINES)
    assert "objects name their member a twice, and the last value counts" in reading(result)["forms"]


def test_texts_that_look_like_members_are_none(tmp_path: Path) -> None:
    records = [{"a": 'x":', "b": {"c": '":":'}, 'd"': number} for number in range(30)]
    text = "".join(json.dumps(record, indent=None) + "\n" for record in records)
    result = run_job(
        tmp_path, write(tmp_path / "a.jsonl", text + '{"a": [1], "b": 1}\n'), dataset_format=LINES
    )
    assert not any("twice" in sentence for sentence in reading(result).get("forms", []))


def test_members_that_files_of_json_lack_are_said(tmp_path: Path) -> None:
    rows = [{"a": number, "b": {"c": "x"}} for number in range(30)]
    files = {
        "1.jsonl": [row | {"often": 1} for row in rows],
        "2.jsonl": [row | ({"often": 1} if row["a"] else {}) for row in rows],
        "3.jsonl": [{"a": row["a"]} for row in rows],
        "4.jsonl": [{"a": 1, "once": 1}],
    }
    (tmp_path / "d").mkdir()
    for name, records in files.items():
        write(tmp_path / "d" / name, "".join(json.dumps(record) + "\n" for record in records))
    write(tmp_path / "d/5.json", json.dumps(rows))
    result = run_job(tmp_path, tmp_path / "d", dataset_format=LINES)
    assert reading(result)["columns"] == ["files without a column b.c, where it counts as missing: 1"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_columns_that_large_files_lack_are_said(tmp_path: Path, form: str) -> None:
    (tmp_path / "d").mkdir()
    random = np.random.default_rng(1)
    for number, names in enumerate(["abc", "ab", "abc"]):
        table = pa.table({name: random.random(150_000) for name in names})
        if form == "csv":
            pyarrow.csv.write_csv(table, tmp_path / f"d/{number}.csv")
        else:
            pq.write_table(table, tmp_path / f"d/{number}.parquet", row_group_size=20_000)
    result = run_job(tmp_path, tmp_path / "d", dataset_format=HEADER if form == "csv" else "parquet")
    assert reading(result)["columns"] == ["files without a column c, where it counts as missing: 1"]


# --- rows outside of the window


@pytest.mark.parametrize(
    "spelling",
    [
        "2026-03-02 10:00:00 UTC",
        "2026-03-02 10:00:00.123 GMT",
        "2026-03-02T10:00:00z",
        "20260302T100000Z",
        "2026-03-02 10:00:00,123",
        "2026-03-02T10:00:00.123456789Z",
        "2026-03-02 10:00:00+00",
        "2026-03-02 10:00:00 +0000 UTC",
        " 2026-03-02T10:00:00Z ",
    ],
)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_times_as_services_write_them(tmp_path: Path, spelling: str, form: str) -> None:
    times = [spelling.replace("03-02", f"03-0{day}").replace("0302", f"030{day}") for day in (1, 2, 2, 3)]
    if form == "csv":
        source = csv_table(tmp_path / "a.csv", "t,a", [[f'"{time}"', 1] for time in times])
    else:
        source = json_lines(tmp_path / "a.jsonl", [{"t": time, "a": 1} for time in times])
    dataset_format = HEADER if form == "csv" else LINES
    result = run_job(tmp_path, source, dataset_format=dataset_format, time_attribute="t", **DAY)
    assert common(features(result)["a"])["num_present"] == 2
    zoneless = [said for said in reading(result)["window"] if "no time zone" in said]
    assert len(zoneless) == ("," in spelling)


@pytest.mark.parametrize("spelling", ["2026-03-02 10:00:00 EST", "03/02/2026 10:00", "2026-03-02 10:00 PM"])
def test_other_times_are_refused(tmp_path: Path, spelling: str) -> None:
    source = json_lines(tmp_path / "a.jsonl", 3 * [{"t": spelling, "a": 1}])
    result = run_job(tmp_path, source, dataset_format=LINES, time_attribute="t", **DAY)
    assert result.exit_code == 2
    assert spelling in result.message


def test_rows_outside_of_the_window_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{year}-03-02T10:00:00Z,{number}\n" for year in (2025, 2026) for number in range(30))
    source = write(tmp_path / "a.csv", "t,a\n" + rows)
    window = {
        "start_time": "2026-03-02",
        "end_time": "2026-03-03",
        "time_attribute": "t",
        "log_level": "INFO",
    }
    result = run_job(tmp_path, source, **window)
    assert result.document("statistics.json")["dataset"]["item_count"] == 30
    assert "30 rows or calls were read and left out" in capsys.readouterr().err


# --- ids that occur again


@pytest.mark.parametrize("dataset_format", [CAPTURES, MERGED])
def test_calls_with_the_id_of_an_earlier_one_are_said(tmp_path: Path, dataset_format: str) -> None:
    lines = [captured({"a": number}, number=number // 2) for number in range(40)]
    result = run_job(tmp_path, write(tmp_path / "a.jsonl", "".join(lines)), dataset_format=dataset_format)
    said = "20 of the first 40 calls have the eventId of an earlier one; each of them counts"
    assert reading(result)["calls"] == [said]


def test_copied_captures_are_said(tmp_path: Path) -> None:
    text = "".join(captured({"a": number}, number=number) for number in range(40))
    write(tmp_path / "d/a.jsonl", text)
    write(tmp_path / "d/copy of a.jsonl", text)
    said = reading(run_job(tmp_path, tmp_path / "d", dataset_format=CAPTURES))
    assert said["files"] == ["copy of a.jsonl begins as a.jsonl and is as long; both are read"]
    assert said["calls"][0].startswith("40 of the first 80 calls")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_rows_with_the_id_of_an_earlier_one_are_said(tmp_path: Path, form: str) -> None:
    rows = [{"id": f"r{number % 30}", "x": number} for number in range(40)]
    if form == "csv":
        source = csv_table(tmp_path / "a.csv", "id,x", [list(row.values()) for row in rows])
    else:
        source = json_lines(tmp_path / "a.jsonl", rows)
    form = HEADER if form == "csv" else LINES
    result = run_job(tmp_path, source, dataset_format=form, id_attribute="id")
    assert reading(result)["ids"] == ["at least 10 rows have the id of an earlier one; each of them counts"]


@pytest.mark.parametrize(("zone", "says"), [("", True), ("Z", False), ("+02:00", False)])
def test_times_of_calls_without_a_zone_are_said(tmp_path: Path, zone: str, says: bool) -> None:
    lines = [captured({"a": hour}, inferenceTime=f"2026-03-02T{hour:02}:00:00{zone}") for hour in range(20)]
    source = write(tmp_path / "a.jsonl", "".join(lines))
    said = reading(run_job(tmp_path, source, dataset_format=CAPTURES, **DAY)).get("window", [])
    assert said == ["times in inferenceTime name no time zone and are taken as UTC"] * says


def test_ids_and_times_of_batch_transform_in_the_first_cells(tmp_path: Path) -> None:
    uuid = "{:08x}-536e-45df-80b2-d002cc92d33d"
    rows = [[uuid.format(at), f"2026-03-0{2 + at // 30}T00:05:00Z", at, at % 2] for at in range(60)]
    source = csv_table(tmp_path / "data.csv.out", "", rows)
    result = run_job(tmp_path, source, dataset_format=HEADERLESS, **DAY)
    assert {name: common(found)["num_present"] for name, found in features(result).items()} == {
        "_c0": 30,
        "_c1": 30,
    }
    assert reading(result)["ids"] == ["id and time are those that batch transform adds, and no features"]


# --- cells


def column(tmp_path: Path, cells: list[Any], **settings: Any) -> dict[str, list[str]]:
    rows = [[cell, number] for number, cell in enumerate(cells)]
    return reading(run_job(tmp_path, csv_table(tmp_path / "a.csv", "x,n", rows), **settings))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{} kg", "x is text, as its numbers have units (kg)"),
        ("{}ms", "x is text, as its numbers have units (ms)"),
        ("{}.5 °C", "x is text, as its numbers have units (°C)"),
        ("−{}", "x is text, as its numbers have signs"),
        ("{}-Mar-26", "x is text, as its dates can be read in two ways"),
        ("{} March 2026", "x is text, as its dates can be read in two ways"),
        ('"Mar {}, 2026"', "x is text, as its dates can be read in two ways"),
    ],
)
def test_numbers_and_dates_that_are_text_are_said(tmp_path: Path, text: str, says: str) -> None:
    assert column(tmp_path / "1", [text.format(number % 28 + 1) for number in range(200)])["types"][
        0
    ].startswith(says)


@pytest.mark.parametrize("text", ["{}A{}", "seat {}", "{}{}"])
def test_codes_have_no_units(tmp_path: Path, text: str) -> None:
    cells = [text.format(number % 28 + 1, "ABCDEF"[number % 6]) for number in range(200)]
    assert "types" not in column(tmp_path, cells)


@pytest.mark.parametrize("odd", ["50 kg", "−7", "$5", "12%"])
@pytest.mark.parametrize(("every", "says"), [(20, "count as text"), (4, "x is text, as ")])
def test_a_few_numbers_that_are_text_are_said(tmp_path: Path, odd: str, every: int, says: str) -> None:
    [first, *_] = column(tmp_path, [odd if number % every == 0 else number for number in range(400)])["types"]
    assert says in first


def test_dates_in_two_forms_are_said(tmp_path: Path) -> None:
    cells = ["02-Mar-26" if number % 20 == 0 else f"2026-03-{number % 28 + 1:02}" for number in range(400)]
    assert "20 of 400 cells of x are no dates, and count as missing" in column(tmp_path / "a", cells)["types"]
    cells[::7] = ["02-Mar-26"] * len(cells[::7])
    said = "x is text, as only 81.2% of its first cells are dates, unlike '02-Mar-26'"
    assert column(tmp_path / "b", cells)["types"] == [said]


BOOLEANS = [number % 3 > 0 for number in range(300)]


@pytest.mark.parametrize("order", [0, 1])
def test_booleans_in_one_file_and_digits_in_another(tmp_path: Path, order: int) -> None:
    csv_table(tmp_path / f"d/{order}.csv", "f,n", [[flag, at] for at, flag in enumerate(BOOLEANS)])
    csv_table(tmp_path / f"d/{1 - order}.csv", "f,n", [[int(flag), at] for at, flag in enumerate(BOOLEANS)])
    result = run_job(tmp_path, tmp_path / "d")
    [said] = reading(result)["types"]
    feature = features(result)["f"]
    if order:
        assert said == "some cells of f are true or false, and count as 1 and 0"
        assert feature["numerical_statistics"]["mean"] == pytest.approx(2 / 3)
    else:
        assert said == "some cells of f are 1 or 0, and count as true and false"
        assert feature["string_statistics"]["distinct_count"] == 2


@pytest.mark.parametrize("form", ["csv", "json"])
def test_texts_where_the_baseline_has_numbers_are_said(tmp_path: Path, form: str) -> None:
    numbers = [number % 7 for number in range(300)]
    texts = [f"{number:04d}" if form == "csv" else str(number) for number in numbers]
    (tmp_path / "base").mkdir()
    for name, cells in (("then", numbers), ("now", texts)):
        if form == "csv":
            csv_table(tmp_path / name / "d.csv", "f,n", [[cell, at] for at, cell in enumerate(cells)])
        else:
            json_lines(tmp_path / name / "d.jsonl", [{"f": cell, "n": at} for at, cell in enumerate(cells)])
    told = {} if form == "csv" else {"dataset_format": LINES}
    baseline = run_job(tmp_path / "base", tmp_path / "then", **told)
    result = run_job(tmp_path, tmp_path / "now", **baseline_of(baseline), **told)
    assert features(result)["f"]["inferred_type"] == "Integral"
    padded = "f is numbers, as the baseline says, so zeros at their beginning are left out"
    written = "f is numbers, though they are written as text"
    assert reading(result)["types"] == [padded if form == "csv" else written]


def test_digits_where_the_baseline_has_booleans_are_said(tmp_path: Path) -> None:
    csv_table(tmp_path / "then.csv", "f,n", [[str(flag).upper(), at] for at, flag in enumerate(BOOLEANS)])
    csv_table(tmp_path / "now.csv", "f,n", [[int(flag), at] for at, flag in enumerate(BOOLEANS)])
    (tmp_path / "base").mkdir()
    baseline = run_job(tmp_path / "base", tmp_path / "then.csv")
    result = run_job(tmp_path, tmp_path / "now.csv", **baseline_of(baseline))
    assert result.exit_code == 0
    assert "some cells of f are 1 or 0, and count as true and false" in reading(result)["types"]


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_booleans_and_digits_in_typed_files(tmp_path: Path, form: str) -> None:
    (tmp_path / "d").mkdir()
    for number, cells in enumerate([BOOLEANS, [int(flag) for flag in BOOLEANS]]):
        if form == "json":
            json_lines(tmp_path / f"d/{number}.jsonl", [{"f": cell} for cell in cells])
        else:
            pq.write_table(pa.table({"f": cells}), tmp_path / f"d/{number}.parquet")
    result = run_job(tmp_path, tmp_path / "d", dataset_format=LINES if form == "json" else "parquet")
    assert reading(result)["types"] == ["some cells of f are 1 or 0, and count as true and false"]
    assert features(result)["f"]["string_statistics"]["distinct_count"] == 2


def test_a_missing_value_that_is_a_number(tmp_path: Path) -> None:
    rows = [[-999 if at % 10 == 0 else at, -999.0 if at % 5 == 0 else at / 2] for at in range(1, 401)]
    result = run_job(tmp_path, csv_table(tmp_path / "a.csv", "x,y", rows), missing_values="-999")
    found = features(result)
    assert (common(found["x"])["num_missing"], common(found["y"])["num_missing"]) == (40, 80)
    assert found["x"]["numerical_statistics"]["min"] == 1.0
    assert "40 of 400 cells of x hold '-999' and count as missing" in reading(result)["missing"]


def test_a_missing_value_that_nothing_holds_is_said(tmp_path: Path) -> None:
    said = column(tmp_path, [*range(99), "NA"], missing_values="NA,absent")["missing"]
    assert any("'absent'" in sentence for sentence in said)
    assert not any("lists 'NA'" in sentence for sentence in said)


# --- folders and positions


def in_folders(folder: Path, values: tuple[str, ...] = ("eu", "us")) -> Path:
    for number, value in enumerate(values):
        csv_table(folder / f"d/region={value}/a.csv", "x,y", [[at, number] for at in range(20)])
    return folder / "d"


def test_folders_become_columns_where_asked(tmp_path: Path) -> None:
    source = in_folders(tmp_path)
    baseline = run_job(tmp_path / "b", source, folder_columns="region")
    assert features(baseline)["region"]["string_statistics"]["distinct_count"] == 2
    assert reading(baseline)["columns"] == ["folders give the columns region"]
    result = run_job(
        tmp_path / "w", source, folder_columns="region", segment_by="region", **baseline_of(baseline)
    )
    assert checks(result) == []
    assert (result.output / "segments.json").exists() or "segments" in result.document("statistics.json")
    numbers = run_job(tmp_path / "n", in_folders(tmp_path / "n", ("1", "2")), folder_columns="region")
    assert features(numbers)["region"]["inferred_type"] == "Integral"


def test_folders_without_a_value_and_with_signs(tmp_path: Path) -> None:
    source = in_folders(tmp_path, ("__HIVE_DEFAULT_PARTITION__", "a%20b"))
    feature = features(run_job(tmp_path, source, folder_columns="region"))["region"]
    assert common(feature) == {"num_present": 20, "num_missing": 20}
    buckets = feature["string_statistics"]["distribution"]["categorical"]["buckets"]
    assert [bucket["value"] for bucket in buckets] == ["a b"]


def test_folders_that_cannot_be_columns_are_refused(tmp_path: Path) -> None:
    source = in_folders(tmp_path)
    absent = run_job(tmp_path / "1", source, folder_columns="city")
    assert (absent.exit_code, "no folder city=..." in absent.message) == (2, True)
    misspelt = run_job(tmp_path / "4", source, folder_columns="regoin")
    assert (misspelt.exit_code, "did you mean region?" in misspelt.message) == (2, True)
    twice = run_job(tmp_path / "2", source, folder_columns="region,x")
    assert twice.exit_code == 2
    csv_table(source / "region=eu/a.csv", "x,region", [[1, 2]] * 9)
    both = run_job(tmp_path / "3", source, folder_columns="region")
    assert (both.exit_code, "region is a column of the files and a folder" in both.message) == (2, True)


@pytest.mark.parametrize("rows", [300, 200_000])
def test_the_position_of_answers_is_honoured(tmp_path: Path, rows: int) -> None:
    random = np.random.default_rng(6)
    ages, pays = random.integers(20, 60, rows), random.integers(1000, 2000, rows)
    cells = list(zip(ages, pays, (random.random(rows) / 9).round(4), strict=True))
    baseline = run_job(tmp_path / "b", csv_table(tmp_path / "b.csv", "age,pay,score", cells))
    turned = csv_table(tmp_path / "w.csv", "", [[score, age, pay] for age, pay, score in cells])
    told = '{"csv":{"header":false,"output_columns_position":"%s"}}'
    result = run_job(tmp_path / "s", turned, dataset_format=told % "START", **baseline_of(baseline))
    assert checks(result) == []
    assert features(result)["score"]["numerical_statistics"]["max"] < 1.0
    assert reading(result)["columns"][0].startswith(
        "output_columns_position is START: columns begin with score"
    )
    refused = run_job(tmp_path / "e", turned, dataset_format=told % "END", **baseline_of(baseline))
    assert refused.exit_code == 2
    same = csv_table(tmp_path / "same.csv", "", cells)
    for position in ("START", "END"):
        found = run_job(tmp_path / "o", same, dataset_format=told % position, **baseline_of(baseline))
        assert checks(found) == []


def test_payloads_that_are_no_text_are_said(tmp_path: Path) -> None:
    image = {"data": base64.b64encode(b"\x89PNG\xff\xfe").decode(), "encoding": "BASE64"}
    answer = {"data": "0.5", "encoding": "CSV"}
    call = {
        "captureData": {"endpointInput": image, "endpointOutput": answer},
        "eventMetadata": {"eventId": "e"},
    }
    source = json_lines(tmp_path / "d/a.jsonl", [call] * 50)
    result = run_job(tmp_path, source, dataset_format=CAPTURES)
    assert list(features(result)) == ["_c0"]
    [sentence] = reading(result)["payloads"]
    assert sentence.startswith("payloads that could not be decoded count as missing: 50, the first at")


FORM = '--b\r\nContent-Disposition: form-data; name="t"\r\n\r\nhello, you\r\n--b--'


@pytest.mark.parametrize(
    ("text", "content_type", "said"),
    [
        (FORM, "multipart/form-data; boundary=b", "multipart/form-data"),
        ('I liked it, "really".\nIt was good', "text/plain", "text/plain"),
        ("1 1:0.5,3:2", "text/libsvm", "text/libsvm"),
        ("7,red", "text/plain", None),
    ],
)
def test_payloads_that_are_no_table_are_one_cell(
    tmp_path: Path, text: str, content_type: str, said: str | None
) -> None:
    data = base64.b64encode(text.encode()).decode()
    asked = {"data": data, "encoding": "BASE64", "observedContentType": content_type}
    parts = {"endpointInput": asked, "endpointOutput": {"data": "0.5", "encoding": "CSV"}}
    lines = [{"captureData": parts, "eventMetadata": {"eventId": f"e{number}"}} for number in range(50)]
    result = run_job(tmp_path, json_lines(tmp_path / "d/a.jsonl", lines), dataset_format=CAPTURES)
    assert result.document("statistics.json")["dataset"]["item_count"] == 50
    sentences = reading(result).get("payloads", [])
    if said is None:
        assert (list(features(result)), sentences) == (["_c0", "_c1", "_c2"], [])
        return
    assert sentences == [f"50 payloads of the type {said} are no table, and are one cell each"]
    domain = features(result)["_c1"]["string_statistics"]["distribution"]["categorical"]["buckets"]
    assert [bucket["value"] for bucket in domain] == [text]


# --- small inputs with two readings, in every format that has them


def in_every_format(folder: Path, cells: list[Any]) -> dict[str, tuple[Path, str]]:
    """Write a column ``x`` (of captures the second) as CSV, JSON Lines, Parquet and payloads of CSV."""
    quoted = [f'"{cell}"' if "," in str(cell) else str(cell) for cell in cells]
    pq.write_table(pa.table({"x": cells, "n": list(range(len(cells)))}), folder / "a.parquet")
    calls = (captured(f"{cell},{at}", number=at) for at, cell in enumerate(quoted))
    return {
        "csv": (csv_table(folder / "a.csv", "x,n", [[cell, at] for at, cell in enumerate(quoted)]), HEADER),
        "json": (
            json_lines(folder / "a.jsonl", [{"x": cell, "n": at} for at, cell in enumerate(cells)]),
            LINES,
        ),
        "parquet": (folder / "a.parquet", "parquet"),
        "captures": (write(folder / "c/a.jsonl", "".join(calls)), CAPTURES),
    }


TWO_READINGS = {
    "thousands": (
        lambda at: f"{1 + at % 9}.{101 + at * 7 % 899}",
        "read with a decimal point",
    ),
    "commas": (lambda at: f"{1 + at % 9},{101 + at * 7 % 899}", "is text, as its numbers have signs"),
    "both": (lambda at: f"{1 + at % 9}.{101 + at % 800},5", "is text, as its numbers have signs"),
    "underscores": (lambda at: f"1_{100 + at}", "is text, as its numbers have signs"),
    "hexadecimal": (lambda at: f"{at:#x}", "is text, as its numbers have signs"),
    "sign behind": (lambda at: f"{at + 1}-", "is text, as its numbers have signs"),
    "single quotes": (lambda at: f"'{at}'", "is text, as its numbers have signs"),
    "days": (lambda at: f"2026{at % 12 + 1:02}{at % 28 + 1:02}", "which could be dates"),
    "percent": (lambda at: f"{at}%", "is text, as its numbers have signs"),
    "days first": (lambda at: f"{at % 28 + 1:02}/{at % 12 + 1:02}/2026", "can be read in two ways"),
    "codes": (lambda at: f"{at:04}", "is text, because digits with leading zeros are codes"),
}


@pytest.mark.parametrize("kind", TWO_READINGS)
def test_cells_with_two_readings_are_said_in_every_format(tmp_path: Path, kind: str) -> None:
    write_cell, said = TWO_READINGS[kind]
    for form, (source, dataset_format) in in_every_format(
        tmp_path, [write_cell(at) for at in range(90)]
    ).items():
        result = run_job(tmp_path / form, source, dataset_format=dataset_format)
        [sentence] = reading(result)["types"]
        assert said in sentence, form


@pytest.mark.parametrize(
    "write_cell",
    [
        lambda at: f"{0 if at % 9 == 0 else 3}.{101 + at * 7 % 899}",  # 0.123 has no thousands
        lambda at: f"{1 + at % 9}.{10 + at % 90}",
        lambda at: f"{20_260_000 + at * 37}",
        lambda at: f"{20_260_300 + at}",
    ],
)
def test_numbers_with_one_reading_say_nothing(tmp_path: Path, write_cell: Any) -> None:
    for form in ("csv", "captures"):
        source, dataset_format = in_every_format(tmp_path, [write_cell(at) for at in range(90)])[form]
        assert "types" not in reading(run_job(tmp_path / form, source, dataset_format=dataset_format))


def test_typed_numbers_have_no_second_reading(tmp_path: Path) -> None:
    cells = [float(f"{1 + at % 9}.{101 + at * 7 % 899}") for at in range(90)]
    for form in ("json", "parquet"):
        source, dataset_format = in_every_format(tmp_path, cells)[form]
        assert "types" not in reading(run_job(tmp_path / form, source, dataset_format=dataset_format))


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_numbers_written_as_text_in_typed_files_are_said(tmp_path: Path, form: str) -> None:
    source, dataset_format = in_every_format(tmp_path, [str(at) for at in range(90)])[form]
    result = run_job(tmp_path, source, dataset_format=dataset_format)
    assert reading(result)["types"] == ["x is numbers, though they are written as text"]
    assert features(result)["x"]["inferred_type"] == "Integral"


@pytest.mark.parametrize("names", ["age,Age", "age, age"])
def test_names_that_differ_in_letter_case_or_blanks_are_said(tmp_path: Path, names: str) -> None:
    said = reading(
        run_job(tmp_path, csv_table(tmp_path / "a.csv", names, [[at, at % 7] for at in range(60)]))
    )
    assert said["columns"] == [
        "{} and {} differ in letter case or blanks only, and are two columns".format(*names.split(","))
    ]


ROWS = "".join(f"{at},w{at % 3}\n" for at in range(60))


@pytest.mark.parametrize(
    ("text", "line", "fix"),
    [
        ("a,b\n" + ROWS + "a,b\n" + ROWS, 62, "remove the line"),
        ("Report\na,b\n" + ROWS, 2, "leave out titles"),
        ("# by us\na,b\n" + ROWS, 2, "leave out titles, comments"),
        ("a,b\n" + ROWS + "# 60 rows\n", 62, "leave out titles, comments"),
        ("a,b\n" + ROWS.replace("\n", ",\n"), 2, "separators at the end of lines"),
        ("a,b,\n" + ROWS, 2, "separators at the end of lines"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_lines_that_are_no_rows_are_refused(
    tmp_path: Path, text: str, line: int, fix: str, packed: bool
) -> None:
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    result = run_job(tmp_path, path)
    assert result.exit_code == 2
    assert f"{path} line {line} " in result.message
    assert fix in result.message


@pytest.mark.parametrize(
    ("mark", "said"), [(":", "':'"), ("~", "'~'"), ("^", "'^'"), ("\x01", "control characters")]
)
@pytest.mark.parametrize("header", [True, False])
def test_marks_that_are_no_separators_are_said(tmp_path: Path, mark: str, said: str, header: bool) -> None:
    rows = [[f"{at}{mark}w{at % 3}"] for at in range(60)]
    source = csv_table(tmp_path / "a.csv", f"a{mark}b" if header else "", rows)
    result = run_job(tmp_path, source, dataset_format=HEADER if header else HEADERLESS)
    assert reading(result)["separator"] == [f"lines hold 2 words between {said}, and are one cell each"]


def test_blanks_between_cells_are_said(tmp_path: Path) -> None:
    result = run_job(
        tmp_path, csv_table(tmp_path / "a.csv", "a b", [[f"{at} w{at % 3}"] for at in range(60)])
    )
    assert reading(result)["separator"] == ["lines hold 2 words between blanks, and are one cell each"]
    names = [["Ann"], ["Ann Mary"]]
    one = run_job(tmp_path, csv_table(tmp_path / "b.csv", "full name", names * 30))
    assert "separator" not in reading(one)


def label_table(folder: Path, ids: list[Any], **settings: Any) -> Any:
    labels = csv_table(folder / "labels.csv", "id,label", [[key, at % 2] for at, key in enumerate(ids)])
    return settings | {
        "command": monitor_model_quality,
        "problem_type": "BinaryClassification",
        "inference_attribute": "pred",
        "id_attribute": "id",
        "ground_truth_source": labels,
    }


IDS = list(range(1, 61))


@pytest.mark.parametrize(
    ("ids", "labelled"),
    [
        (IDS, IDS),
        ([f"{key}.0" for key in IDS], IDS),
        (IDS, [f"{key}.0" for key in IDS]),
        ([f" {key}" for key in IDS], [f"{key} " for key in IDS]),
        ([10**19 + key for key in IDS], [10**19 + key for key in IDS]),
        ([f"{key:05}" for key in IDS], [f"{key:05}" for key in IDS]),
        ([f"{key}e1" for key in IDS], [f"{key}e1" for key in IDS]),
        ([key if key % 2 else f"k{key}" for key in IDS], [key if key % 2 else f"k{key}" for key in IDS]),
    ],
)
@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_ids_are_texts_however_they_are_written(
    tmp_path: Path, ids: list[Any], labelled: list[Any], form: str
) -> None:
    is_long = max(map(len, map(str, ids))) > 18  # beyond what numbers of JSON and Parquet hold
    ids = [str(key) for key in ids] if is_long and form != "csv" else ids
    rows = [{"id": key, "pred": at % 2} for at, key in enumerate(ids)]
    if form == "csv":
        source = csv_table(tmp_path / "a.csv", "id,pred", [list(row.values()) for row in rows])
    elif form == "json":
        source = json_lines(tmp_path / "a.jsonl", rows)
    else:
        source = tmp_path / "a.parquet"
        keys = list(map(str, ids)) if len(set(map(type, ids))) > 1 else ids
        pq.write_table(pa.table({"id": keys, "pred": [row["pred"] for row in rows]}), source)
    form = {"csv": HEADER, "json": LINES, "parquet": "parquet"}[form]
    result = run_job(tmp_path, source, dataset_format=form, **label_table(tmp_path, labelled))
    assert reading(result)["labels"] == ["60 of 60 rows have a label"]
    assert result.document("statistics.json")["binary_classification_metrics"]["accuracy"]["value"] == 1.0


@pytest.mark.parametrize("ids", [[f"{key:05}" for key in IDS], [f"ID{key}" for key in IDS]])
def test_other_ids_are_other_ids(tmp_path: Path, ids: list[Any]) -> None:
    source = csv_table(tmp_path / "a.csv", "id,pred", [[key, key % 2] for key in IDS])
    result = run_job(tmp_path, source, **label_table(tmp_path, ids))
    assert (result.exit_code, "No row has a label" in result.message) == (2, True)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (FORM, "multipart"),
        ("<r><a>1</a></r>", "XML or HTML"),
        ("I liked it, really. It was good, and cheap.", "prose"),
        ("1 1:0.5 3:2", "LIBSVM"),
        (base64.b64encode(b"57,120.5").decode(), "BASE64"),
        ("Portland", None),
        ("[0.25]", "JSON"),
        ("red,Main Street in Oslo,NO", None),
        ("7,red,1.5", None),
    ],
)
def test_payloads_called_csv_that_look_like_something_else(
    tmp_path: Path, text: str, what: str | None
) -> None:
    lines = "".join(captured(text, number=at) for at in range(50))
    said = reading(run_job(tmp_path, write(tmp_path / "d/a.jsonl", lines), dataset_format=CAPTURES))
    assert "header" not in said
    assert [str(what) in sentence for sentence in said.get("payloads", [])] == [True] * (what is not None)


ZIP = b"PK\x03\x04" + bytes(300)
TAR = bytes(257) + b"ustar\x0000" + bytes(300)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (ZIP, "ZIP"),
        (TAR, "tar"),
        (gzip.compress(TAR, mtime=0), "tar"),
        (b"\xfd7zXZ\x00\x00", "xz"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0), "gzip"),
        (bz2.compress(b"a,b\n1,2\n"), "bzip2"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"Obj\x01\x04", "Avro"),
        (b"ARROW1\x00\x00", "Arrow"),
    ],
)
@pytest.mark.parametrize("form", [HEADER, LINES, '{"parquet":{}}', CAPTURES])
def test_files_of_formats_that_are_not_read_are_named(
    tmp_path: Path, content: bytes, found: str, form: str
) -> None:
    source = write(tmp_path / "d/data.csv", content)
    result = run_job(tmp_path, source, dataset_format=form)
    assert result.exit_code == 2
    assert f"data.csv is of the format {found}; unpack it, or write" in result.message


@pytest.mark.parametrize("form", [HEADER, LINES])
@pytest.mark.parametrize("place", ["d", "d/out"])
def test_a_job_does_not_read_what_it_has_written(tmp_path: Path, form: str, place: str) -> None:
    text = "a,b\n1,x\n2,y\n" if form == HEADER else '{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n'
    write(tmp_path / "d/data.csv", text)
    for _ in range(2):
        result = run_job(tmp_path, tmp_path / "d", dataset_format=form, output_path=tmp_path / place)
        assert result.exit_code == 0, result.message
        assert json.loads((tmp_path / place / "statistics.json").read_text())["dataset"]["item_count"] == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('INFO {"a": 1, "b": 2}\n', "line 1 is not JSON"),
        (json.dumps(json.dumps({"a": 1, "b": 2})) + "\n", "line 1 is not a JSON object"),
        ('[1, "x"]\n[2, "y"]\n', "if each line is a row, write it as an object that names its values"),
    ],
)
def test_lines_that_are_nearly_json_are_not_taken_for_csv(tmp_path: Path, text: str, says: str) -> None:
    result = run_job(tmp_path, write(tmp_path / "d/a.jsonl", text * 3), dataset_format=LINES)
    assert result.exit_code == 2
    assert says in result.message


@pytest.mark.parametrize("text", ['{"a":1}', "[1,2]"])
@pytest.mark.parametrize("place", ["cell", "member", "payload"])
def test_json_as_text_is_said(tmp_path: Path, text: str, place: str) -> None:
    if place == "payload":
        content, form = "".join(captured({"x": text}, number=at) for at in range(20)), CAPTURES
    elif place == "member":
        content, form = f"{json.dumps({'x': text})}\n" * 20, LINES
    else:
        content, form = "x,n\n" + '"{}",1\n'.format(text.replace('"', '""')) * 20, HEADER
    said = reading(run_job(tmp_path, write(tmp_path / "d/a.txt", content), dataset_format=form))
    assert any("x is text that holds JSON, such as" in sentence for sentence in said["types"])


@pytest.mark.parametrize("text", ["%%%", "MTgs OQ", "MTgs-Q=="])
def test_damaged_base64_is_not_decoded(tmp_path: Path, text: str) -> None:
    calls = [json.loads(captured("18,9", number=at)) for at in range(20)]
    calls[7]["captureData"]["endpointInput"] |= {"data": text, "encoding": "BASE64"}
    result = run_job(tmp_path, json_lines(tmp_path / "a.jsonl", calls), dataset_format=CAPTURES)
    assert any("could not be decoded count as missing: 1" in said for said in reading(result)["payloads"])


@pytest.mark.parametrize("late", ["1", "0.5,0.5", {"score": 1}])
def test_answers_that_come_later_do_not_move_the_columns_of_requests(tmp_path: Path, late: Any) -> None:
    calls = [json.loads(captured(f"{at % 70},{at / 7}", late, number=at)) for at in range(1_200)]
    for call in calls[:1_100]:
        del call["captureData"]["endpointOutput"]
    result = run_job(tmp_path, json_lines(tmp_path / "a.jsonl", calls), dataset_format=CAPTURES)
    if isinstance(late, str):
        assert result.exit_code == 2
        assert "line 1101 has an endpointOutput, which the first calls lack" in result.message
    else:
        assert {name: common(one)["num_present"] for name, one in features(result).items()} == {
            "_c0": 1_200,
            "_c1": 1_200,
            "score": 100,
        }


@pytest.mark.parametrize(
    ("first", "later", "what"),
    [
        (range(90), [f"{at}k" for at in range(90)], "text"),
        (range(90), [f"{at:05}" for at in range(90)], "codes"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.parametrize("turned", [False, True])
def test_files_whose_columns_are_of_other_kinds_are_said(
    tmp_path: Path, form: str, turned: bool, first: Any, later: Any, what: str
) -> None:
    for name, values in zip("ba" if turned else "ab", (first, later), strict=True):
        path = tmp_path / "d" / f"{name}.{form}"
        if form == "csv":
            csv_table(path, "x,n", [[value, 1] for value in values])
        elif form == "json":
            json_lines(path, [{"x": value} for value in values])
        else:
            path.parent.mkdir(exist_ok=True)
            pq.write_table(pa.table({"x": list(values)}), path)
    form = {"csv": HEADER, "json": LINES, "parquet": '{"parquet":{}}'}[form]
    said = reading(run_job(tmp_path, tmp_path / "d", dataset_format=form))["types"]
    if turned and form == HEADER:
        assert [sentence.startswith("x is text, ") for sentence in said] == [True]
    else:
        assert f"cells of x that are {'numbers' if turned else what}, unlike the first ones: 90" in said
