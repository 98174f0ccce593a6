"""What a column is, is one decision in the whole dataset, whatever the type and the size of its files."""

from __future__ import annotations

import datetime
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading_inputs import (
    CAPTURES,
    HEADER,
    LINES,
    captured,
    checks,
    common,
    csv_table,
    features,
    reading,
    write,
)
from run_jobs import Result, baseline_of, run_job
from sentences import says

from containers.bias.main import main as monitor_bias
from containers.model_quality.main import main as monitor_model_quality
from contract.dataset import MARKERS
from readers.flatten import flatten_batch
from readers.splitting import SMALL

# Rows of one column of random numbers that make a file a split of its own.
MANY = SMALL // 8


def parquet_files(folder: Path, columns: Sequence[Any]) -> Path:
    """Write a file for each column, each a split of its own."""
    folder.mkdir()
    generator = np.random.default_rng(1)
    for number, column in enumerate(columns):
        table = pa.table({"x": column, "filler": generator.normal(size=len(column))})
        pq.write_table(table, folder / f"{number}.parquet")
    return folder


def repeated(*values: Any) -> pa.Array:
    return pa.array(list(values) * (MANY // len(values)))


DAYS = [datetime.date(2026, 3, day) for day in (1, 2)]
CASES = {
    "text among numbers": (repeated(1, 2), repeated("a", "b"), "text"),
    "codes among numbers": (repeated(1, 2), repeated("01", "02"), "codes"),
    "numbers among text": (repeated("a", "b"), repeated(1, 2), "numbers"),
    "numbers among booleans": (repeated(True, False), repeated(4, 5), "numbers"),
    "text among booleans": (repeated(True, False), repeated("yes", "no"), "text"),
    "booleans among text": (repeated("a", "b"), repeated(True, False), "booleans"),
    "numbers among dates": (repeated(*DAYS), repeated(20260301, 20260302), "numbers"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_of_another_type_between_others_is_said(tmp_path: Path, case: str) -> None:
    usual, other, what = CASES[case]
    result = run_job(tmp_path, parquet_files(tmp_path / "d", [usual, other, usual]), dataset_format="parquet")
    said = f"cells of x that are {what}, unlike the first ones: {len(other)}"
    assert said in reading(result)["types"]


def test_few_texts_in_many_cells_are_said_among_numbers(tmp_path: Path) -> None:
    lines = [*range(400), *map(str, range(400)), *[f"x{number % 3}" for number in range(400)]]
    for number in range(3):
        text = "".join(json.dumps({"x": x}) + "\n" for x in lines[400 * number : 400 * number + 400])
        write(tmp_path / f"d/{number}.jsonl", text)
    result = run_job(tmp_path, tmp_path / "d", dataset_format=LINES)
    assert "cells of x that are text, unlike the first ones: 400" in reading(result)["types"]


def test_booleans_after_numbers_are_said(tmp_path: Path) -> None:
    files = parquet_files(tmp_path / "d", [repeated(1, 0), repeated(True, False), repeated(1, 0)])
    result = run_job(tmp_path, files, dataset_format="parquet")
    assert reading(result)["types"] == ["some cells of x are true or false, and count as 1 and 0"]


@pytest.mark.parametrize(
    "spelling", ["{} ", "\t{}", "\u00a0{}", "{}.", ".{}", "+.{}", "{}.e1", "+Infinity", "-inf"]
)
def test_one_text_among_numbers_makes_no_text_of_the_others(tmp_path: Path, spelling: str) -> None:
    rows = [[spelling.format(n) if n % 2 else n, n] for n in range(100)]
    source = csv_table(tmp_path / "d.csv", "x,y", [*rows, ["bad", 1]])
    feature = features(run_job(tmp_path, source, dataset_format=HEADER))["x"]
    assert feature["inferred_type"] in ("Integral", "Fractional")


def test_infinite_numbers_may_be_listed_as_missing(tmp_path: Path) -> None:
    source = csv_table(tmp_path / "d.csv", "x", [[x] for x in (*range(90), *["inf"] * 10)])
    result = run_job(tmp_path, source, dataset_format=HEADER, missing_values="inf")
    assert common(features(result)["x"])["num_missing"] == 10


@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("rows", [100, MANY])
def test_numbers_listed_as_missing_are_missing_in_files_of_any_size(
    tmp_path: Path, rows: int, kind: pa.DataType
) -> None:
    marker = -999 if pa.types.is_integer(kind) else -99.9
    column = pa.array([marker, *range(1, 10)] * (rows // 10), kind)
    files = parquet_files(tmp_path / "d", [column, column])
    feature = features(run_job(tmp_path, files, dataset_format="parquet", missing_values=f"{marker}"))["x"]
    assert common(feature)["num_missing"] == 2 * (rows // 10)
    assert feature["numerical_statistics"]["mean"] == 5.0


def test_numbers_after_an_empty_beginning_can_be_listed_as_missing(tmp_path: Path) -> None:
    column = pa.array([None] * 5000 + [-999, 1] * 50, pa.int64())
    files = parquet_files(tmp_path / "d", [column])
    result = run_job(tmp_path, files, dataset_format="parquet", missing_values="-999")
    assert common(features(result)["x"])["num_present"] == 50


@pytest.mark.parametrize("form", ["lines", "document"])
def test_compressed_lines_and_documents_are_decided_together(tmp_path: Path, form: str) -> None:
    generator = np.random.default_rng(1)
    (tmp_path / "d").mkdir()
    for number, code in enumerate(("7", "007", "7")):
        rows = [{"code": code, "filler": float(one)} for one in generator.random(300_000)]
        lines = "\n".join(map(json.dumps, rows)) if form == "lines" else json.dumps(rows)
        (tmp_path / f"d/{number}.json.gz").write_bytes(gzip.compress(lines.encode(), 1))
    result = run_job(tmp_path, tmp_path / "d", dataset_format=LINES)
    assert "cells of code that are codes, unlike the first ones: 300000" in reading(result)["types"]


def test_booleans_that_are_text_among_others_are_said(tmp_path: Path) -> None:
    table = csv_table(tmp_path / "a.csv", "x", [[("True", "false", "unknown")[at % 3]] for at in range(300)])
    [sentence] = reading(run_job(tmp_path, table))["types"]
    assert says(f"types: {sentence}", "reading.mostly", field="x", what="booleans", example="unknown")


def test_booleans_beside_text_keep_one_spelling(tmp_path: Path) -> None:
    cells = ["True", "false", "TRUE", "False"] * 2000
    csv_table(tmp_path / "b.csv", "x,y", [[cell, 1] for cell in cells])
    baseline = run_job(tmp_path / "b", tmp_path / "b.csv")
    odd = csv_table(tmp_path / "w.csv", "x,y", [[cell, 1] for cell in (*cells, "perhaps")])
    result = run_job(tmp_path / "w", odd, **baseline_of(baseline))
    assert features(result)["x"]["string_statistics"]["distinct_count"] == 3.0
    assert result.violations == []
    alone = run_job(tmp_path / "a", odd)
    assert reading(alone)["types"] == ["cells of x that are text, unlike the first ones: 1"]


# Floats of 16 and 32 bits.


@given(
    st.lists(st.floats(width=16) | st.decimals(-900, 900, places=2).map(float), max_size=50),
    st.sampled_from([np.float16, np.float32]),
)
def test_short_floats_are_the_decimals_that_they_are_written_as(values, kind):
    narrow = np.array(values).astype(kind)
    [found] = flatten_batch(pa.record_batch({"x": pa.array(narrow)})).columns
    assert found.type == pa.float64()
    found = found.to_numpy()
    assert np.array_equal(found.astype(kind), narrow, equal_nan=True)  # the same floats
    exact = narrow.astype(np.float64)
    shortest = np.array([float(str(value)) for value in narrow])
    # Larger ones are whole, and the shortest text of such a float may be another whole number.
    is_short = (np.round(shortest, 7) == shortest) & (np.abs(exact) < 2048)
    assert np.array_equal(found[is_short], shortest[is_short])


def test_a_script_may_return_the_record_of_any_type(tmp_path: Path) -> None:
    columns = {
        "short": pa.array([0.7, 0.1] * 50, pa.float32()),
        "wait": pa.array([datetime.timedelta(seconds=1.5)] * 100),
        "id": pa.array([bytes(16)] * 100, pa.uuid()),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    script = write(tmp_path / "s.py", "def preprocess_handler(record):\n    return record\n")
    plain, scripted = (
        features(run_job(tmp_path / name, tmp_path / "a.parquet", dataset_format="parquet", **settings))
        for name, settings in {"1": {}, "2": {"record_preprocessor_script": script}}.items()
    )
    assert {name: common(feature) for name, feature in plain.items()} == {
        name: common(scripted[name]) for name in plain
    }
    for name in ("short", "wait"):
        assert plain[name]["numerical_statistics"]["max"] == scripted[name]["numerical_statistics"]["max"]


@pytest.mark.parametrize("digits", [6, 7, 9])
def test_times_of_any_precision_are_dates(tmp_path: Path, digits: int) -> None:
    cells = [f"2026-03-02T10:00:00.{at:0{digits}d}" for at in range(100)]
    table = csv_table(tmp_path / "a.csv", "x,y", [[cell, 1] for cell in cells])
    assert says(
        [f"types: {one}" for one in reading(run_job(tmp_path, table))["types"]], "reading.dates", field="x"
    )


def test_dates_in_no_calendar_among_others_are_missing(tmp_path: Path) -> None:
    days = [f"2026-03-{1 + at % 28:02d}" for at in range(2000)]
    baseline = run_job(tmp_path / "b", csv_table(tmp_path / "b.csv", "x,y", [[day, 1] for day in days]))
    odd = {"zero": "0000-00-00", "short month": "2026-02-30", "another form": "02/03/2026"}
    for number, cell in enumerate(odd.values()):
        cells = [cell if at % 12 == 0 else day for at, day in enumerate(days)]
        window = csv_table(tmp_path / f"{number}.csv", "x,y", [[one, 1] for one in cells])
        result = run_job(tmp_path / f"{number}", window, **baseline_of(baseline))
        assert checks(result) == [("x", "completeness_check")]
        assert "167 of 2000 cells of x are no dates, and count as missing" in reading(result)["types"]


@pytest.mark.parametrize("odd", ["NaT", "soon", "0000-00-00", "7", "2026-03-02T25:00:00"])
@pytest.mark.parametrize("at", [0, 5999])
def test_one_cell_among_dates_is_missing_wherever_it_stands(tmp_path: Path, odd: str, at: int) -> None:
    cells = [f"2026-03-{1 + number % 28:02d}" for number in range(6000)]
    cells[at] = odd
    result = run_job(tmp_path, csv_table(tmp_path / "a.csv", "x,y", [[cell, 1] for cell in cells]))
    assert common(features(result)["x"]) == {"num_present": 5999, "num_missing": 1}
    said = "missing" if odd in MARKERS else "types"
    assert any(one.startswith("1 of 6000 cells of x") for one in reading(result)[said])


@pytest.mark.parametrize(
    "odd", ["nan", "NaN", "inf", "12E5", "1.5", "99.0", "9" * 20, "+7", "5", " 7", "-3", "NA"]
)
@pytest.mark.parametrize("form", ["csv", "json", "captures"])
def test_codes_stay_text_beside_whatever_other_numbers(tmp_path: Path, odd: str, form: str) -> None:
    cells = [f"{number:05d}" for number in range(0, 90_000, 300)] + [odd]
    if form == "csv":
        source = csv_table(tmp_path / "a.csv", "x,y", [[cell, 1] for cell in cells])
        settings = {}
    elif form == "json":
        source = write(
            tmp_path / "a.jsonl", "".join(json.dumps({"x": cell, "y": 1}) + "\n" for cell in cells)
        )
        settings = {"dataset_format": LINES}
    else:
        source = write(tmp_path / "a.jsonl", "".join(captured(f"{cell},1") for cell in cells))
        settings = {"dataset_format": CAPTURES}
    found = features(run_job(tmp_path, source, **settings))
    assert "String" in {feature["inferred_type"] for feature in found.values()}


def test_codes_of_twenty_digits_are_text(tmp_path: Path) -> None:
    rows = [[f"{number:020d}", number / 7, f"2026-03-02 0{number % 10}:00:00"] for number in range(300)]
    found = features(run_job(tmp_path, csv_table(tmp_path / "a.csv", "x,y,t", rows)))
    assert (found["x"]["inferred_type"], found["y"]["inferred_type"]) == ("String", "Fractional")


def test_labels_that_are_codes_stay_text_in_bias(tmp_path: Path) -> None:
    groups, labels = ["a", "b", "a", "b", "b"], ["01", "02", "02", "01", "01"]
    calls, truth = [], []
    for number in range(300):
        group, label = groups[number % 5], labels[number % 5]
        calls.append(captured({"g": group, "x": number}, {"out": label}, number))
        data = {"data": label, "encoding": "CSV"}
        truth.append(json.dumps({"groundTruthData": data, "eventMetadata": {"eventId": f"e{number}"}}) + "\n")
    config = {
        "label": "groundTruthData",
        "predictor": {"label": "out"},
        "label_values_or_threshold": ["01"],
        "facet": [{"name_or_index": "g", "value_or_threshold": ["b"]}],
        "methods": {"pre_training_bias": {"methods": ["DPL"]}},
    }
    write(tmp_path / "config/analysis_config.json", json.dumps(config))
    result = run_job(
        tmp_path,
        write(tmp_path / "calls/a.jsonl", "".join(calls)),
        command=monitor_bias,
        dataset_format=CAPTURES,
        analysis_config=tmp_path / "config",
        inference_attribute="out",
        ground_truth_source=write(tmp_path / "labels/a.jsonl", "".join(truth)).parent,
    )
    assert result.exit_code == 0, result.message
    [facet] = result.document("analysis.json")["pre_training_bias_metrics"]["facets"]["g"]
    assert facet["metrics"][0]["value"] == pytest.approx(1 / 2 - 2 / 3)


def test_decimals_with_leading_zeros_are_numbers(tmp_path: Path) -> None:
    rows = [[f"{number / 8:08.3f}", f"{number}"] for number in range(300)]
    assert (
        features(run_job(tmp_path, csv_table(tmp_path / "a.csv", "x,y", rows)))["x"]["inferred_type"]
        == "Fractional"
    )


def test_a_later_code_among_numbers_is_counted_once(tmp_path: Path) -> None:
    rows = [[number, 1] for number in range(6000)]
    rows[5000][0] = "007"
    result = run_job(tmp_path, csv_table(tmp_path / "a.csv", "x,y", rows))
    assert "cells of x that are codes, unlike the first ones: 1" in reading(result)["types"]


def test_missing_short_floats_stay_missing():
    batch = pa.record_batch({"x": pa.array([0.5, 0.7, None, float("nan")], pa.float32()).slice(1)})
    first, second, third = flatten_batch(batch)["x"].to_pylist()
    assert (first, second) == (0.7, None)
    assert np.isnan(third)


def tables(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return one table of tenths in files of several types."""
    generator = np.random.default_rng(1)
    columns = {name: np.round(generator.integers(0, 11, 500) / 10, 1) for name in ("part", "score", "width")}
    label = (generator.random(500) < 0.3 + 0.4 * columns["part"]).astype(np.int64)
    rows = list(zip(*columns.values(), label, strict=True))
    found = {"csv": (csv_table(folder / "a.csv", "part,score,width,label", rows), '{"csv":{"header":true}}')}
    for kind in (np.float64, np.float32, np.float16):
        path = folder / f"{kind.__name__}.parquet"
        pq.write_table(pa.table({**{n: c.astype(kind) for n, c in columns.items()}, "label": label}), path)
        found[kind.__name__] = (path, '{"parquet":{}}')
    return found


def figures(result: Result, document: str, *path: str) -> Any:
    assert result.exit_code == 0, result.message
    value = result.document(document)
    for name in path:
        value = value[name]
    return value


def test_a_threshold_divides_scores_of_any_width_alike(tmp_path: Path) -> None:
    settings = {
        "command": monitor_model_quality,
        "problem_type": "BinaryClassification",
        "probability_attribute": "score",
        "ground_truth_attribute": "label",
        "probability_threshold_attribute": "0.7",
    }
    where = ("statistics.json", "binary_classification_metrics", "confusion_matrix")
    found = [
        figures(run_job(tmp_path / kind, path, dataset_format=form, **settings), *where)
        for kind, (path, form) in tables(tmp_path).items()
    ]
    assert all(each == found[0] for each in found)


@pytest.mark.parametrize("values", [[0.6], [0.1, 0.3]])
def test_groups_are_the_same_rows_whatever_the_width_of_their_column(tmp_path: Path, values: Any) -> None:
    config = {
        "label": "label",
        "label_values_or_threshold": [1],
        "probability_threshold": 0.7,
        "facet": [{"name_or_index": "part", "value_or_threshold": values}],
        "methods": {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": ["DI"]}},
    }
    where = write(tmp_path / "analysis_config.json", json.dumps(config))
    settings = {"command": monitor_bias, "analysis_config": where, "probability_attribute": "score"}
    found = [
        figures(run_job(tmp_path / kind, path, dataset_format=form, **settings), "analysis.json")
        for kind, (path, form) in tables(tmp_path).items()
    ]
    assert all(each == found[0] for each in found)


def test_segments_are_the_same_whatever_the_width_of_their_column(tmp_path: Path) -> None:
    found = []
    for kind, (path, form) in tables(tmp_path).items():
        result = run_job(tmp_path / kind, path, dataset_format=form, segment_by="part")
        segments = figures(result, "statistics.json", "segments")
        found.append([(segment["segment"], segment["item_count"]) for segment in segments])
    assert all(each == found[0] for each in found)
