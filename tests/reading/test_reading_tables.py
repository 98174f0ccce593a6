"""Tables that can be read in two ways: each is read as its evidence says, and says so, or is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_reading import read
from reading_inputs import (
    DAY,
    HEADER,
    HEADERLESS,
    LINES,
    checks,
    common,
    csv_table,
    features,
    reading,
    write,
)
from refusals import refused
from run_jobs import Result, baseline_of, run_job

from containers.bias.main import main as monitor_bias
from containers.model_quality.main import main as monitor_model_quality
from contract.dataset import Said
from contract.errors import DatasetError
from file_storage.storage import SourceFile
from readers.file_kind import data_files

# --- missing values


def numbers_with(marker: str, share: float, centre: float, seed: int, rows: int = 2000) -> list[list[str]]:
    random = np.random.default_rng(seed)
    missing = random.random(rows) < share
    values = random.normal(centre, 8.0, rows)
    return [
        [marker if gone else f"{value:.3f}", f"{random.random():.3f}"]
        for gone, value in zip(missing, values, strict=True)
    ]


@pytest.mark.parametrize("marker", ["NA", "N/A", "NULL", "null", "None", "?", "-", "nan"])
def test_markers_among_numbers_are_missing_values(tmp_path: Path, marker: str) -> None:
    rows = numbers_with(marker, 0.02, 50.0, 1)
    gone = sum(row[0] == marker for row in rows)
    baseline = run_job(tmp_path / "b", csv_table(tmp_path / "b.csv", "x,y", rows), dataset_format=HEADER)
    assert features(baseline)["x"]["inferred_type"] == "Fractional"
    assert common(features(baseline)["x"]) == {"num_present": 2000 - gone, "num_missing": gone}
    if marker != "nan":  # which Arrow reads as a number that is none
        assert reading(baseline)["missing"] == [
            f"{gone} of 2000 cells of x hold {marker!r} and count as missing"
        ]
    shifted = csv_table(tmp_path / "s.csv", "x,y", numbers_with(marker, 0.02, 90.0, 2))
    assert checks(run_job(tmp_path / "s", shifted, **baseline_of(baseline))) == [
        ("x", "baseline_drift_check")
    ]
    missing = csv_table(tmp_path / "m.csv", "x,y", numbers_with(marker, 0.4, 50.0, 3))
    assert checks(run_job(tmp_path / "m", missing, **baseline_of(baseline))) == [("x", "completeness_check")]


def test_the_markers_can_be_listed(tmp_path: Path) -> None:
    rows = [["-999" if at % 50 == 0 else str(at), "NA" if at % 25 == 0 else "x"] for at in range(1000)]
    table = csv_table(tmp_path / "a.csv", "x,y", rows)
    listed = features(run_job(tmp_path / "1", table, missing_values='["-999"]'))
    assert common(listed["x"]) == {"num_present": 980, "num_missing": 20}
    assert common(listed["y"])["num_missing"] == 0
    texts = [["absent" if at % 50 == 0 else str(at)] for at in range(1000)]
    table = csv_table(tmp_path / "b.csv", "x", texts)
    assert common(features(run_job(tmp_path / "2", table, missing_values="absent"))["x"]) == {
        "num_present": 980,
        "num_missing": 20,
    }


def test_a_marker_in_text_is_a_value(tmp_path: Path) -> None:
    countries = csv_table(
        tmp_path / "a.csv", "country,n", [[["NA", "DE", "FR"][i % 3], i] for i in range(300)]
    )
    feature = features(run_job(tmp_path / "1", countries))["country"]
    assert common(feature) == {"num_present": 300, "num_missing": 0}
    # As a segment it is missing, since nobody lists it.
    segments = run_job(tmp_path / "2", countries, segment_by="country")
    assert reading(segments)["missing"] == ["100 of 300 cells of country hold 'NA' and count as missing"]


def test_a_facet_may_be_called_like_a_marker(tmp_path: Path) -> None:
    rows = [[["NA", "DE", "?"][i % 3], i % 2, (i // 2) % 2] for i in range(300)]
    table = csv_table(tmp_path / "a.csv", "country,hired,pred", rows)
    config = {
        "dataset_type": "text/csv",
        "label": "hired",
        "label_values_or_threshold": [1],
        "predicted_label": "pred",
        "facet": [{"name_or_index": "country", "value_or_threshold": ["NA"]}],
        "methods": {"pre_training_bias": {"methods": "all"}},
    }
    where = write(tmp_path / "analysis_config.json", json.dumps(config))
    result = run_job(tmp_path, table, command=monitor_bias, analysis_config=where)
    assert reading(result)["missing"] == ["100 of 300 cells of country hold '?' and count as missing"]
    facet = result.document("analysis.json")["pre_training_bias_metrics"]["facets"]["country"][0]
    assert facet["value_or_threshold"] == "NA"


# --- types


def test_booleans_are_one_value_in_every_spelling(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    truth = random.random((4, 1000)) < 0.4
    spelt = [["true", "false"], ["True", "False"], ["TRUE", "FALSE"]]
    tables = [
        csv_table(tmp_path / f"{n}.csv", "f,y", [[words[0] if t else words[1], n] for t in truth[n]])
        for n, words in enumerate(spelt)
    ]
    lines = [json.dumps({"f": bool(t), "y": 1}) for t in truth[3]]
    digits = csv_table(tmp_path / "d.csv", "f,y", [[int(t), 1] for t in truth[3]])
    windows = [*((table, HEADER) for table in tables), (write(tmp_path / "w.jsonl", "\n".join(lines)), LINES)]
    for table in tables:
        baseline = run_job(tmp_path / table.stem, table, dataset_format=HEADER)
        for number, (window, form) in enumerate([*windows, (digits, HEADER)]):
            result = run_job(tmp_path / f"w{number}", window, dataset_format=form, **baseline_of(baseline))
            assert ("f", "data_type_check") not in checks(result)
            assert [found for found in checks(result) if found[0] == "f"] == []


def test_text_spelt_by_the_originals_stays_their_text(tmp_path: Path) -> None:
    """A baseline whose booleans are written True and False, and one column of digits that is text."""
    rows = [["True" if i % 3 else "False", str(i % 4)] for i in range(300)]
    baseline = run_job(tmp_path / "b", csv_table(tmp_path / "b.csv", "f,code", rows), rules="sagemaker")
    constraints = baseline.document("constraints.json")
    constraints["features"][1] = {
        "name": "code",
        "inferred_type": "String",
        "completeness": 1.0,
        "string_constraints": {"domains": ["0", "1", "2", "3"]},
    }
    path = write(tmp_path / "constraints.json", json.dumps(constraints))
    lines = "\n".join(json.dumps({"f": bool(i % 3), "code": i % 4}) for i in range(300))
    window = write(tmp_path / "w.jsonl", lines)
    result = run_job(tmp_path / "w", window, dataset_format=LINES, baseline_constraints=path)
    assert checks(result) == []
    assert features(result)["code"]["inferred_type"] == "Integral"  # cells of its text are whole numbers
    moved = write(tmp_path / "m.jsonl", lines.replace('"code": 3', '"code": 7'))
    result = run_job(tmp_path / "m", moved, dataset_format=LINES, baseline_constraints=path)
    assert checks(result) == [("code", "categorical_values_check")]


def test_codes_with_leading_zeros_are_text(tmp_path: Path) -> None:
    rows = [[f"{i * 37 % 99999:05d}", i] for i in range(500)]
    result = run_job(tmp_path, csv_table(tmp_path / "a.csv", "zip,n", rows))
    assert features(result)["zip"]["inferred_type"] == "String"
    assert features(result)["n"]["inferred_type"] == "Integral"
    assert reading(result)["types"] == ["zip is text, because digits with leading zeros are codes"]


@pytest.mark.parametrize(
    "pattern",
    [
        "{:.1f}%",
        "${:.2f}",
        "1,{:03.0f}.50",
        "1.{:03.0f},50",
        "{:.0f},5",
        "1 {:03.0f}",
        "EUR {:.0f}",
        "({:.2f})",
    ],
)
def test_numbers_with_signs_are_text_and_said_to_be(tmp_path: Path, pattern: str) -> None:
    rows = [[json.dumps(pattern.format(i * 37 % 800 + 100)), i] for i in range(500)]
    source = write(tmp_path / "a.csv", "price,n\n" + "".join(f"{price},{n}\n" for price, n in rows))
    (said,) = reading(run_job(tmp_path, source))["types"]
    assert said.startswith("price is text, as its numbers have signs or separators")


@pytest.mark.parametrize(
    "pattern",
    ["{day:02}/{month:02}/2026", "{month}-{day}-26", "2026/{month}/{day}", "{day}.{month}.2026 10:00"],
)
def test_dates_of_other_forms_are_text_and_said_to_be(tmp_path: Path, pattern: str) -> None:
    rows = [[pattern.format(day=i % 28 + 1, month=i % 12 + 1), i] for i in range(500)]
    (said,) = reading(run_job(tmp_path, csv_table(tmp_path / "a.csv", "day,n", rows)))["types"]
    assert said.startswith("day is text, as its dates can be read in two ways")


@pytest.mark.parametrize(
    "pattern", ["id {}", "10.0.{}.1", "+49 30 {}", "{}-{}", "A{}", "{}:30", "{} kg of 3"]
)
def test_other_texts_with_digits_say_nothing(tmp_path: Path, pattern: str) -> None:
    rows = [[pattern.format(i * 37 % 800 + 100, i), i] for i in range(500)]
    assert "types" not in reading(run_job(tmp_path, csv_table(tmp_path / "a.csv", "t,n", rows)))


def test_nine_numbers_in_ten_make_a_column_of_numbers(tmp_path: Path) -> None:
    numbers = np.random.default_rng(4).permutation(2000)
    rows = [["broken" if number % 20 == 0 else number] for number in numbers]
    baseline = run_job(tmp_path / "b", csv_table(tmp_path / "b.csv", "x", rows))
    assert features(baseline)["x"]["inferred_type"] == "Integral"
    assert reading(baseline)["types"] == [
        "cells of x such as 'broken' count as text",
        "x is numbers, as 95.0% of its first cells are",
    ]
    again = run_job(tmp_path / "a", csv_table(tmp_path / "a.csv", "x", rows[::-1]), **baseline_of(baseline))
    assert checks(again) == []
    worse = [["broken" if number % 5 == 0 else number] for number in numbers]
    result = run_job(tmp_path / "w", csv_table(tmp_path / "w.csv", "x", worse), **baseline_of(baseline))
    assert ("x", "data_type_check") in checks(result)


def test_text_that_becomes_numbers_is_a_violation_and_numbers_that_become_text(tmp_path: Path) -> None:
    rows = [[f"id-{i * 7919 % 5000}", i % 50] for i in range(5000)]
    baseline = run_job(tmp_path / "b", csv_table(tmp_path / "b.csv", "name,n", rows))
    turned = [[i * 7919 % 5000, f"id-{i % 50}"] for i in range(5000)]
    result = run_job(tmp_path / "w", csv_table(tmp_path / "w.csv", "name,n", turned), **baseline_of(baseline))
    assert {("name", "data_type_check"), ("n", "data_type_check")} <= set(checks(result))


def test_dates_have_a_range_and_an_age_and_no_domain(tmp_path: Path) -> None:
    rows = [[f"2026-03-{1 + i % 2:02d}T{i % 24:02d}:30:00Z", i] for i in range(480)]
    table = csv_table(tmp_path / "2026/03/02/a.csv", "when,n", rows)
    result = run_job(tmp_path, table.parents[3], **DAY)
    feature = features(result)["when"]
    assert feature["string_statistics"]["dates"] == {
        "min": "2026-03-01T00:30:00Z",
        "max": "2026-03-02T23:30:00Z",
        "age_in_days": pytest.approx(0.5 / 24),
    }
    [constraint] = [
        found for found in result.document("constraints.json")["features"] if found["name"] == "when"
    ]
    assert "domains" not in constraint.get("string_constraints", {})
    later = [[text.replace("2026-03", "2026-04"), n] for text, n in rows]
    window = csv_table(tmp_path / "w.csv", "when,n", later)
    assert checks(run_job(tmp_path / "w", window, **baseline_of(result))) == []


def test_decimals_are_the_numbers_they_are_written_as(tmp_path: Path) -> None:
    import decimal

    cents = [decimal.Decimal(cent).scaleb(-2) for cent in range(2000)]
    whole = [decimal.Decimal(i) for i in range(2000)]
    table = pa.table(
        {"price": pa.array(cents, pa.decimal128(6, 2)), "count": pa.array(whole, pa.decimal128(38, 0))}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    result = run_job(tmp_path, tmp_path / "a.parquet", dataset_format="parquet")
    assert features(result)["count"]["inferred_type"] == "Integral"
    sketch = features(result)["price"]["numerical_statistics"]["distribution"]["kll"]["sketch"]["data"]
    assert set(map(float, np.concatenate(sketch))) <= {cent / 100 for cent in range(2000)}


# --- headers, separators, escapes


def test_a_header_in_the_first_file_only(tmp_path: Path) -> None:
    rows = [[i % 9, f"{i / 7:.3f}"] for i in range(100)]
    csv_table(tmp_path / "d/part-0.csv", "a,b", rows)
    second = csv_table(tmp_path / "d/part-1.csv", "", rows)
    result = run_job(tmp_path, tmp_path / "d", dataset_format=HEADER)
    assert result.exit_code == 2
    assert str(second) in result.message
    assert '{"csv":{"header":false}}' in result.message
    assert result.files == []
    headerless = run_job(tmp_path, tmp_path / "d", dataset_format=HEADERLESS)
    assert headerless.exit_code == 2
    assert "part-0.csv" in headerless.message


def test_a_line_for_excel_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "sep=;\na;b\n" + "".join(f"{i};{i % 7}\n" for i in range(50)))
    result = run_job(tmp_path, path)
    assert result.exit_code == 2
    assert f"{path} begins with a line for Excel" in result.message


@pytest.mark.parametrize(
    ("names", "row", "cell"),
    [
        ("a,b", '{i}, "Oslo"', ' "Oslo"'),
        ("a,b,c", '{i}, "Oslo, X", {i}', ' "Oslo, X"'),
        ("a;b;c", '{i}; "Oslo" ;{i}', ' "Oslo"'),
        ("a,b", '"{i}, ""x""", {i}', None),
        ("a\tb\tc", '{i}\t["a", "b", "c"]\t{i}', None),  # between tabs, commas are text
        ("a,b,c", '"Oslo, ",{i},"x"', None),
    ],
)
def test_blanks_before_quotes_are_refused(tmp_path: Path, names: str, row: str, cell: str | None) -> None:
    path = write(tmp_path / "a.csv", "\n".join([names, *(row.format(i=i) for i in range(50))]))
    result = run_job(tmp_path, path)
    assert result.exit_code == (2 if cell else 0), result.message
    assert cell is None or repr(cell) in result.message


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_columns_of_some_files_and_indexes_are_said(tmp_path: Path, form: str) -> None:
    index = "" if form == "csv" else "__index_level_0__"
    (tmp_path / "d").mkdir()
    for number, names in enumerate([["a", "b", index], ["b", "a", index], ["a", index]]):
        rows = {name: [i % 9 for i in range(50)] for name in names}
        if form == "csv":
            csv_table(tmp_path / f"d/{number}.csv", ",".join(names), list(zip(*rows.values(), strict=True)))
        else:
            pq.write_table(pa.table(rows), tmp_path / f"d/{number}.parquet")
    result = run_job(tmp_path, tmp_path / "d", dataset_format=HEADER if form == "csv" else "parquet")
    said = reading(result)["columns"]
    assert "files without a column b, where it counts as missing: 1" in said
    assert any(sentence.startswith(f"{index or '_c2'} has no name of its own") for sentence in said)


def test_digits_are_a_header_where_they_count_up(tmp_path: Path) -> None:
    rows = [[i % 9, f"{i / 7:.3f}", i] for i in range(100)]
    counted = csv_table(tmp_path / "a.csv", "0,1,2", rows)
    assert list(features(run_job(tmp_path / "1", counted, dataset_format=HEADER))) == ["0", "1", "2"]
    assert run_job(tmp_path / "2", counted, dataset_format=HEADERLESS).exit_code == 2
    values = csv_table(tmp_path / "b.csv", "", rows)
    assert run_job(tmp_path / "3", values, dataset_format=HEADER).exit_code == 2


def test_tables_of_text_alone(tmp_path: Path) -> None:
    rows = [[["red", "green"][i % 2], ["north", "south", "west"][i % 3]] for i in range(60)]
    named = csv_table(tmp_path / "a.csv", "colour,branch", rows)
    assert features(run_job(tmp_path / "1", named, dataset_format=HEADER)).keys() == {"colour", "branch"}
    refused = run_job(tmp_path / "2", named, dataset_format=HEADERLESS)
    assert (refused.exit_code, "look like names" in refused.message) == (2, True)
    plain = csv_table(tmp_path / "b.csv", "", rows)
    assert len(features(run_job(tmp_path / "3", plain, dataset_format=HEADERLESS))) == 2
    refused = run_job(tmp_path / "4", plain, dataset_format=HEADER)
    assert (refused.exit_code, "look like values" in refused.message) == (2, True)


BIAS = {
    "dataset_type": "text/csv",
    "headers": ["sex", "hired", "pred"],
    "label": "hired",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "sex", "value_or_threshold": ["F"]}],
    "predicted_label": "pred",
    "methods": {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}},
}


def dpl(result: Result) -> float:
    assert result.exit_code == 0, result.message
    metrics = result.document("analysis.json")["pre_training_bias_metrics"]["facets"]["sex"][0]["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "DPL")


def test_given_headers_are_matched_by_name(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    rows = [["FM"[random.integers(2)], random.integers(2), random.integers(2)] for _ in range(120)]
    config = write(tmp_path / "analysis_config.json", json.dumps(BIAS))
    hired = {sex: [row[2] for row in rows if row[0] == sex] for sex in "FM"}
    expected = float(np.mean(hired["M"]) - np.mean(hired["F"]))
    for number, names in enumerate(["sex,pred,hired", " Sex,PRED , hired"]):
        table = csv_table(tmp_path / f"{number}.csv", names, rows)
        settings = {"command": monitor_bias, "analysis_config": config, "dataset_format": None}
        result = run_job(tmp_path / str(number), table, **settings)
        assert dpl(result) == pytest.approx(expected)
        assert result.document("statistics.json")["dataset"]["item_count"] == 120
        assert reading(result)["header"] == ["the first line has the names that are given, in another order"]
    wrong = csv_table(tmp_path / "w.csv", "sex,pred,salary", rows)
    refused = run_job(
        tmp_path / "w", wrong, command=monitor_bias, analysis_config=config, dataset_format=None
    )
    assert refused.exit_code == 2
    assert "'salary'" in refused.message


@pytest.mark.parametrize(("separator", "said"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_separators_are_told_and_said(tmp_path: Path, separator: str, said: str) -> None:
    rows = [[20 + i % 50, f"{i * 1.25:.2f}", ["Porto", "Ovar, PT"][i % 2]] for i in range(100)]
    names = separator.join(["age", "income", "city"])
    result = run_job(tmp_path, csv_table(tmp_path / "a.csv", names, rows, separator))
    assert {name: found["inferred_type"] for name, found in features(result).items()} == {
        "age": "Integral",
        "income": "Fractional",
        "city": "String",
    }
    cities = features(result)["city"]["string_statistics"]["distribution"]["categorical"]["buckets"]
    assert {bucket["value"] for bucket in cities} == {"Porto", "Ovar, PT"}
    assert reading(result)["separator"] == [f"{said} stand between cells"]


def test_decimal_commas_are_refused(tmp_path: Path) -> None:
    rows = [[f"{i},5", f"{i + 1},25"] for i in range(20)]
    result = run_job(tmp_path, csv_table(tmp_path / "a.csv", "a;b", rows, ";"))
    assert result.exit_code == 2
    assert "write the numbers as 1234.5" in result.message
    headerless = csv_table(tmp_path / "b.csv", "", rows, ";")
    result = run_job(tmp_path, headerless, dataset_format=HEADERLESS)
    assert result.exit_code == 2
    assert '"separator"' in result.message


def test_quotes_escaped_with_a_backslash(tmp_path: Path) -> None:
    text = 'note,n\n"say \\"hi\\", please",1\n"a \\\\ b",2\nplain,3\n'
    result = run_job(tmp_path, write(tmp_path / "a.csv", text))
    values = features(result)["note"]["string_statistics"]["distribution"]["categorical"]["buckets"]
    assert {bucket["value"] for bucket in values} == {'say "hi", please', "a \\ b", "plain"}
    assert reading(result)["quotes"] == ["quotes within cells are written with a backslash"]


def test_marks_before_utf8_anywhere(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    table = write(tmp_path / "a.csv", mark + b"a,b\n1,x\n" + mark + b"2,y\n")
    assert features(run_job(tmp_path / "1", table))["a"]["inferred_type"] == "Integral"
    lines = write(tmp_path / "b.jsonl", mark + b'{"a":1}\n' + mark + b'{"a":2}\n')
    assert common(features(run_job(tmp_path / "2", lines, dataset_format=LINES))["a"])["num_present"] == 2


# --- files


def test_what_is_no_data_is_passed_over_and_named(tmp_path: Path) -> None:
    csv_table(tmp_path / "d/a.csv", "a,b", [[1, 2], [3, 4]])
    csv_table(tmp_path / "d/b.csv", "a,b", [[5, 6]])
    write(tmp_path / "d/README.md", "# what this is, and more\n")
    write(tmp_path / "d/schema.json", '{"a": "int"}')
    write(tmp_path / "d/_SUCCESS", "")
    result = run_job(tmp_path, tmp_path / "d")
    assert common(features(result)["a"])["num_present"] == 3
    assert reading(result)["files"] == ["passed over what is no data: README.md, schema.json"]


@pytest.mark.parametrize("beside", [True, False])
def test_a_manifest_of_files_elsewhere_is_refused(tmp_path: Path, beside: bool) -> None:
    manifest = write(tmp_path / "d/jan.manifest", '[{"prefix": "s3://bucket/out/"}, "gone.csv"]')
    if beside:  # another table is not what was named
        csv_table(tmp_path / "d/other.csv", "x", [[1]])
    with refused(DatasetError, "data_files.manifest"):
        read(manifest if beside else tmp_path / "d")


def test_many_files_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def is_same(one: SourceFile, other: SourceFile) -> bool:
        nonlocal compared
        compared += 1
        return one.path == other.path

    monkeypatch.setattr(SourceFile, "__eq__", is_same)
    files = [SourceFile(f"/data/{number:05}.jsonl", 1) for number in range(5000)]
    assert data_files(files, "json", Said()) == files
    assert compared < 3 * len(files)


def test_json_lines_are_no_csv(tmp_path: Path) -> None:
    result = run_job(tmp_path, write(tmp_path / "a.jsonl", '{"a":1,"b":2}\n' * 9))
    assert result.exit_code == 2
    assert '{"json":{"lines":true}}' in result.message


# --- shapes of JSON


@pytest.mark.parametrize(
    "document",
    [
        {"x": {str(i): i / 4 for i in range(50)}, "y": {str(i): "ab"[i % 2] for i in range(50)}},
        {str(i): {"x": i / 4, "y": "ab"[i % 2]} for i in range(50)},
        {"x": [i / 4 for i in range(50)], "y": ["ab"[i % 2] for i in range(50)]},
        {"columns": ["x", "y"], "index": list(range(50)), "data": [[i / 4, "ab"[i % 2]] for i in range(50)]},
        [{"x": i / 4, "y": "ab"[i % 2]} for i in range(50)],
    ],
    ids=["columns", "index", "lists", "split", "records"],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_tables_as_pandas_writes_them(tmp_path: Path, document: Any, indent: int | None) -> None:
    path = write(tmp_path / "a.json", json.dumps(document, indent=indent))
    result = run_job(tmp_path, path, dataset_format=LINES)
    assert {name: found["inferred_type"] for name, found in features(result).items()} == {
        "x": "Fractional",
        "y": "String",
    }
    assert result.document("statistics.json")["dataset"]["item_count"] == 50
    if isinstance(document, dict):
        assert reading(result)["rows"] == ["a.json is a table of 50 rows as pandas writes it"]


def test_records_without_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", "".join(json.dumps({"a": i, "b": "x"}) for i in range(40)))
    result = run_job(tmp_path, path, dataset_format=LINES)
    assert common(features(result)["a"])["num_present"] == 40
    assert reading(result)["lines"] == ["39 records follow another one on the same line"]


# --- ids, times, windows


def log(folder: Path, form: str, days: int = 3) -> tuple[Path, str]:
    """Write a service's log with an id and a time, one row an hour."""
    rows = [
        {
            "request_id": f"r{i}",
            "time": f"2026-03-{1 + i // 24:02d}T{i % 24:02d}:00:00Z",
            "x": i,
            "approved": i % 2,
        }
        for i in range(24 * days)
    ]
    if form == "csv":
        cells = [list(row.values()) for row in rows]
        return csv_table(folder / "log.csv", ",".join(rows[0]), cells), HEADER
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "log.parquet")
        return folder / "log.parquet", "parquet"
    nested = [{**row, "x": {"deep": row["x"]}} for row in rows]
    return write(folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in nested)), LINES


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_any_log_is_selected_by_time_and_joined_by_id(tmp_path: Path, form: str) -> None:
    path, dataset_format = log(tmp_path, form)
    keys = {"id_attribute": "request_id", "time_attribute": "time", "dataset_format": dataset_format}
    result = run_job(tmp_path / "1", path, **keys, **DAY)
    x = "x.deep" if form == "json" else "x"
    assert list(features(result)) == [x, "approved"]
    numbers = features(result)[x]["numerical_statistics"]
    assert (numbers["common"]["num_present"], numbers["min"], numbers["max"]) == (24, 24.0, 47.0)
    labels = csv_table(tmp_path / "labels.csv", "request_id,label", [[f"r{i}", i % 2] for i in range(60)])
    quality = run_job(
        tmp_path / "2",
        path,
        command=monitor_model_quality,
        problem_type="BinaryClassification",
        inference_attribute="approved",
        ground_truth_source=labels,
        **keys,
    )
    assert quality.document("statistics.json")["dataset"]["item_count"] == 60
    assert reading(quality)["labels"] == ["60 of 72 rows have a label"]
    metrics = quality.document("statistics.json")["binary_classification_metrics"]
    assert metrics["accuracy"]["value"] == 1.0
    untold = run_job(tmp_path / "3", path, dataset_format=dataset_format, **DAY)
    assert untold.exit_code == 2
    assert "time_attribute" in untold.message
    misspelt = run_job(tmp_path / "4", path, **(keys | {"id_attribute": "requestid"}), **DAY)
    assert misspelt.exit_code == 2
    assert "did you mean 'request_id'?" in misspelt.message


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_a_time_that_the_baseline_has_stays_a_column(tmp_path: Path, rules: str) -> None:
    path, form = log(tmp_path, "csv")
    known = run_job(tmp_path / "1", path, dataset_format=form, rules=rules)
    told = {"dataset_format": form, "time_attribute": "time", "rules": rules}
    result = run_job(tmp_path / "2", path, **told, **DAY, **baseline_of(known))
    assert "time" in features(result)
    assert not any("column" in one["constraint_check_type"] for one in result.violations)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000])
def test_times_in_numbers_since_1970(tmp_path: Path, unit: int) -> None:
    start = 1772323200  # 2026-03-01
    rows = [[(start + 3600 * hour) * unit, hour] for hour in range(72)]
    table = csv_table(tmp_path / "a.csv", "ts,x", rows)
    result = run_job(tmp_path, table, time_attribute="ts", **DAY)
    assert features(result)["x"]["numerical_statistics"]["min"] == 24.0
    assert common(features(result)["x"])["num_present"] == 24


@pytest.mark.parametrize(
    "paths",
    [
        ["2026/03/01/a.csv", "2026/03/02/a.csv"],
        ["2026/03/02/23/a.csv", "2026/03/02/01/a.csv", "2026/03/03/00/a.csv"],
        ["dt=2026-03-01/a.csv", "dt=2026-03-02/a.csv"],
        ["year=2026/month=3/day=1/a.csv", "year=2026/month=03/day=02/hour=4/a.csv"],
        ["log-20260301.csv", "log-20260302.csv", "log-2026-03-02.1.csv"],
    ],
)
def test_windows_select_by_dates_in_paths(tmp_path: Path, paths: list[str]) -> None:
    inside = ("2026/03/02", "2026-03-02", "20260302", "day=02")
    for path in paths:
        csv_table(tmp_path / "d" / path, "x,y", [[int(any(part in path for part in inside)), 1]] * 5)
    result = run_job(tmp_path, tmp_path / "d", **DAY)
    expected = 5 * sum(any(part in path for part in inside) for path in paths)
    assert features(result)["x"]["numerical_statistics"]["min"] == 1.0
    assert common(features(result)["x"])["num_present"] == expected
    hour = {"start_time": "2026-03-02T04:00:00Z", "end_time": "2026-03-02T05:00:00Z"}
    if any("/03/02/a" in path or "dt=" in path for path in paths):
        assert "time_attribute" in run_job(tmp_path, tmp_path / "d", **hour).message


def test_numbers_of_two_units_in_one_column_of_times(tmp_path: Path) -> None:
    rows = [[(1772323200 + 3600 * hour) * (1_000 if hour % 2 else 1), hour] for hour in range(72)]
    table = csv_table(tmp_path / "a.csv", "ts,x", rows)
    result = run_job(tmp_path, table, time_attribute="ts", **DAY)
    assert common(features(result)["x"])["num_present"] == 24


@pytest.mark.parametrize("written", ["20260302", "20260302100000", "202603021000", "46083.5"])
def test_numbers_that_count_no_time_since_1970_end_the_job(tmp_path: Path, written: str) -> None:
    table = csv_table(tmp_path / "a.csv", "when,x", [[written, i] for i in range(9)])
    result = run_job(tmp_path, table, time_attribute="when", **DAY)
    assert result.exit_code == 2
    assert f"holds '{written}' in 'when'" in result.message


@pytest.mark.parametrize("written", ["2026-03-02T{:02d}:00:00Z", "17724096{:02d}"])
@pytest.mark.parametrize("odd", ["soon", "2026-03-02T23:59:60Z", "02/03/2026"])
def test_a_few_rows_without_a_readable_time_are_left_out_and_more_are_named(
    tmp_path: Path, written: str, odd: str
) -> None:
    rows = [[written.format(i % 24), i] for i in range(300)]
    few = csv_table(tmp_path / "few.csv", "when,x", [*rows, [odd, 1], [odd, 2]])
    result = run_job(tmp_path / "1", few, time_attribute="when", **DAY)
    if "{:02d}:" in written:
        assert common(features(result)["x"])["num_present"] == 300
        said = result.document("statistics.json")["reading"]["window"]
        assert said[-1] == "2 rows have no readable time in when and are left out"
    many = csv_table(tmp_path / "many.csv", "when,x", [*rows, *([[odd, 1]] * 30)])
    result = run_job(tmp_path / "2", many, time_attribute="when", **DAY)
    assert result.exit_code == 2
    assert f"holds '{odd}' in 'when'" in result.message


@pytest.mark.parametrize("form", ["text", "date", "timestamp"])
def test_dates_without_a_time_are_not_asked_for_an_hour(tmp_path: Path, form: str) -> None:
    dates = [f"2026-03-{1 + i // 24:02d}" for i in range(72)]
    column = pa.array(dates)
    if form != "text":
        column = column.cast(pa.date32() if form == "date" else pa.timestamp("us"))
    pq.write_table(pa.table({"when": column, "x": list(range(72))}), tmp_path / "a.parquet")
    keys = {"time_attribute": "when", "dataset_format": "parquet"}
    day = run_job(tmp_path / "1", tmp_path / "a.parquet", **keys, **DAY)
    assert common(features(day)["x"])["num_present"] == 24
    hour = {"start_time": "2026-03-02T00:00:00Z", "end_time": "2026-03-02T01:00:00Z"}
    result = run_job(tmp_path / "2", tmp_path / "a.parquet", **keys, **hour)
    assert result.exit_code == 2
    assert "window of whole days" in result.message


@pytest.mark.parametrize(("zone", "says"), [("", True), ("Z", False), ("+01:00", False)])
def test_times_without_a_zone_are_said_to_be_utc(tmp_path: Path, zone: str, says: bool) -> None:
    rows = [[f"2026-03-02T{hour:02d}:30:00{zone}", hour] for hour in range(24)]
    table = csv_table(tmp_path / "a.csv", "when,x", rows)
    result = run_job(tmp_path, table, time_attribute="when", **DAY)
    said = "times in when name no time zone and are taken as UTC"
    assert (said in reading(result)["window"]) is says


def test_times_that_cannot_be_read_end_the_job(tmp_path: Path) -> None:
    table = csv_table(tmp_path / "a.csv", "when,x", [["03/02/2026 10:00", i] for i in range(9)])
    result = run_job(tmp_path, table, time_attribute="when", **DAY)
    assert result.exit_code == 2
    assert "ISO 8601" in result.message


@pytest.mark.parametrize("names", [["a.csv", "a copy.csv"], ["a.csv", "a.csv.gz"], ["a.csv", "b.csv"]])
def test_files_that_are_there_twice_are_said(tmp_path: Path, names: list[str]) -> None:
    text = "x,y\n" + "".join(f"{i},{i % 7}\n" for i in range(1000))
    others = text.replace("999,5\n", "999,6\n").replace("1,1\n", "1,2\n", 1)
    write(tmp_path / "d" / names[0], text)
    if names[1].endswith(".gz"):
        (tmp_path / "d" / names[1]).write_bytes(gzip.compress(text.encode()))
    else:
        write(tmp_path / "d" / names[1], others if names[1] == "b.csv" else text)
    result = run_job(tmp_path, tmp_path / "d")
    said = reading(result).get("files", [])
    assert len(said) == (names[1] != "b.csv")
    assert all(sentence.endswith("both are read") for sentence in said)
    assert result.document("statistics.json")["dataset"]["item_count"] == 2000


def test_folders_that_tell_values_of_a_column_are_said(tmp_path: Path) -> None:
    for region in ("eu", "us"):
        for day in (1, 2):
            folder = tmp_path / "d" / f"dt=2026-03-0{day}" / f"region={region}"
            csv_table(folder / "a.csv", "x,y", [[i, i % 7] for i in range(20)])
    result = run_job(tmp_path, tmp_path / "d")
    said = ["folders give region the values eu, us, which are not read as a column"]
    assert reading(result)["columns"] == said


# --- batch transform


def transform(folder: Path, form: str) -> tuple[Path, str, list[str]]:
    ids = [f"{i:08x}-536e-45df-80b2-d002cc92d33d" for i in range(60)]
    if form == "csv":
        rows = [[i % 2, i / 60, i, ids[i], "2026-01-01T00:05:00Z"] for i in range(60)]
        csv_table(folder / "out/data.csv.out", "", rows)
        return folder / "out", HEADERLESS, ids
    rows = [
        {
            "SageMakerInferenceId": ids[i],
            "SageMakerInferenceTime": "2026-01-01T00:05:00Z",
            "SageMakerOutput": {"predicted_label": i % 2, "score": i / 60},
            "features": [i, 0],
        }
        for i in range(60)
    ]
    write(folder / "out/data.jsonl.out", "".join(json.dumps(row) + "\n" for row in rows))
    write(folder / "out/manifest.json", '[{"prefix": "s3://bucket/out/"}, "data.jsonl.out"]')
    return folder / "out", LINES, ids


@pytest.mark.parametrize("form", ["csv", "json"])
def test_what_batch_transform_writes(tmp_path: Path, form: str) -> None:
    source, dataset_format, ids = transform(tmp_path, form)
    names = list(features(run_job(tmp_path / "1", source, dataset_format=dataset_format)))
    predicted = "SageMakerOutput.predicted_label"
    assert names == (
        ["_c0", "_c1", "_c2"]
        if form == "csv"
        else [predicted, "SageMakerOutput.score", "features.0", "features.1"]
    )
    labels = [
        {"groundTruthData": {"data": str(i % 2), "encoding": "CSV"}, "eventMetadata": {"eventId": ids[i]}}
        for i in range(60)
    ]
    write(tmp_path / "labels/a.jsonl", "".join(json.dumps(label) + "\n" for label in labels))
    quality = run_job(
        tmp_path / "2",
        source,
        command=monitor_model_quality,
        dataset_format=dataset_format,
        problem_type="BinaryClassification",
        inference_attribute="0" if form == "csv" else predicted,
        ground_truth_source=tmp_path / "labels",
    )
    assert reading(quality)["labels"] == ["60 of 60 rows have a label"]
    assert quality.document("statistics.json")["binary_classification_metrics"]["accuracy"]["value"] == 1.0


# --- order of columns


def test_columns_in_another_order_than_the_baselines(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    rows = [[random.integers(20, 60), ["a", "b"][i % 2], random.integers(900, 999)] for i in range(300)]
    baseline = run_job(tmp_path / "b", csv_table(tmp_path / "b.csv", "age,branch,pay", rows))
    swapped = csv_table(tmp_path / "w.csv", "", [[row[1], row[0], row[2]] for row in rows])
    result = run_job(tmp_path / "w", swapped, dataset_format=HEADERLESS, **baseline_of(baseline))
    assert result.exit_code == 2
    assert "by position" in result.message


def test_an_answer_first_where_the_baselines_target_is_last(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    rows = [[random.integers(20, 60), random.integers(1000, 2000), random.random() / 9] for _ in range(300)]
    baseline = run_job(tmp_path / "b", csv_table(tmp_path / "b.csv", "age,pay,score", rows))
    turned = csv_table(tmp_path / "w.csv", "", [[row[2], row[0], row[1]] for row in rows])
    result = run_job(tmp_path / "w", turned, dataset_format=HEADERLESS, **baseline_of(baseline))
    assert result.exit_code == 2
    assert "score" in result.message
    same = csv_table(tmp_path / "s.csv", "", rows)
    assert checks(run_job(tmp_path / "s", same, dataset_format=HEADERLESS, **baseline_of(baseline))) == []


def test_columns_to_leave_out_that_are_misspelt(tmp_path: Path) -> None:
    table = csv_table(tmp_path / "a.csv", "customer_id,x", [[i, i] for i in range(9)])
    result = run_job(tmp_path / "1", table, exclude_features_attribute="customer_ids")
    assert (result.exit_code, "did you mean customer_id?" in result.message) == (2, True)
    gone = run_job(tmp_path / "2", table, exclude_features_attribute="weather,customer_id")
    assert "weather" in reading(gone)["columns"][0]


# --- readings that must not pass in silence


def dates(folder: Path, written: str) -> Path:
    days = [(f"{1 + row % 28:02}", f"{1 + row % 12:02}") for row in range(400)]
    rows = [(written.format(day=day, month=month), row) for row, (day, month) in enumerate(days)]
    return csv_table(folder / "data.csv", "day,amount", rows)


def test_dates_in_another_form_than_the_baseline_are_refused(tmp_path):
    baseline = run_job(tmp_path / "a", dates(tmp_path / "a", "2026-{month}-{day}"), dataset_format=HEADER)
    same = run_job(tmp_path / "b", dates(tmp_path / "b", "2026-{month}-{day}"), **baseline_of(baseline))
    assert same.exit_code == 0
    other = run_job(tmp_path / "c", dates(tmp_path / "c", "{day}/{month}/2026"), **baseline_of(baseline))
    assert other.exit_code == 2
    assert "day is dates" in other.message
    assert "'01/01/2026'" in other.message


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_a_file_with_another_separator_is_refused_by_name(tmp_path, odd):
    for number in range(3):
        separator = ";" if number == odd else ","
        rows = [(row, f"x{row % 3}", row / 2) for row in range(50)]
        names = separator.join("abc")
        csv_table(tmp_path / "data" / f"{number}.csv", names, rows, separator)
    result = run_job(tmp_path, tmp_path / "data", dataset_format=HEADER)
    assert result.exit_code == 2
    assert "semicolons" in result.message
    assert "commas" in result.message
    assert ".csv" in result.message


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_position_beyond_the_columns_cannot_be_left_out(tmp_path, kind):
    source = csv_table(tmp_path / "data.csv", "a,b", [(row, row % 3) for row in range(50)])
    if kind == "parquet":
        source = tmp_path / "data.parquet"
        pq.write_table(pa.table({"a": range(50), "b": range(50)}), source)
    result = run_job(tmp_path, source, dataset_format=kind, exclude_features_attribute="17")
    assert result.exit_code == 2
    assert "exclude_features_attribute names the column 17" in result.message
    assert "2 columns" in result.message


def test_a_name_that_is_no_column_is_said(tmp_path):
    source = csv_table(tmp_path / "data.csv", "a,b", [(row, row % 3) for row in range(50)])
    result = run_job(tmp_path, source, dataset_format=HEADER, exclude_features_attribute="b,c")
    assert [sentence for sentence in reading(result)["columns"] if " c," in sentence]
    assert list(features(result)) == ["a"]


@pytest.mark.parametrize("indent", [None, 1])
def test_lists_of_objects_in_one_document(tmp_path: Path, indent: int | None) -> None:
    rows = [{"x": i, "y": i % 7} for i in range(50)]
    page = write(tmp_path / "page.json", json.dumps({"items": rows, "next": None}, indent=indent))
    result = run_job(tmp_path / "1", page, dataset_format=LINES)
    assert list(features(result)) == ["x", "y"]
    assert reading(result)["rows"] == ["the 50 rows of page.json are its member items"]
    both = write(tmp_path / "both.json", json.dumps({"train": rows, "test": rows}, indent=indent))
    refused = run_job(tmp_path / "2", both, dataset_format=LINES)
    assert refused.exit_code == 2
    assert "lists of objects (train, test)" in refused.message
    # A few objects in a list may be part of a row.
    order = write(tmp_path / "order.json", json.dumps({"items": rows[:2], "total": 3}))
    assert "items.0.x" in features(run_job(tmp_path / "3", order, dataset_format=LINES))


ROWS = [{"a": row, "b": f"x{row % 3}"} for row in range(50)]


@pytest.mark.parametrize(
    "document",
    [
        {"schema": {"fields": [{"name": "index"}], "primaryKey": ["index"]}, "data": ROWS},
        {"rows": ROWS, "meta": {"made": "today", "by": [1, 2]}},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_rows_beside_a_description_are_rows(tmp_path, document, indent):
    source = write(tmp_path / "data.json", json.dumps(document, indent=indent))
    result = run_job(tmp_path, source, dataset_format="json")
    assert list(features(result)) == ["a", "b"]
    assert common(features(result)["a"])["num_present"] == len(ROWS)
    assert "data.json" in reading(result)["rows"][0]


@pytest.mark.parametrize("indent", [None, 1])
def test_columns_of_different_lengths_are_refused(tmp_path, indent):
    document = {"a": list(range(50)), "b": list(range(49))}
    source = write(tmp_path / "data.json", json.dumps(document, indent=indent))
    result = run_job(tmp_path, source, dataset_format="json")
    assert result.exit_code == 2
    assert "lists of different lengths (a 50, b 49)" in result.message


@pytest.mark.parametrize("header", [True, False])
def test_a_column_of_the_baseline_stays_where_it_is_named_as_the_time(tmp_path, header):
    rows = [(f"2026-03-02T{row % 24:02}:00:00Z", row % 7, row / 2) for row in range(400)]
    source = csv_table(tmp_path / "data.csv", "ts,a,b" if header else "", rows)
    form = HEADER if header else HEADERLESS
    baseline = run_job(tmp_path / "a", source, dataset_format=form)
    result = run_job(
        tmp_path / "b",
        source,
        dataset_format=form,
        time_attribute="ts" if header else "0",
        **DAY,
        **baseline_of(baseline),
    )
    assert checks(result) == []
    assert len(features(result)) == 3
