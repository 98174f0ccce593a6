"""Forms of rows that servers and libraries write, beside those of the recorded cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reading_inputs import CAPTURES, DAY, HEADER, LINES, captured, checks, features, reading, write
from run_jobs import baseline_of, run_job

from containers.model_quality.main import main as monitor_model_quality

Rows = list[list[float]]
SIZES = {"one": [1] * 12, "as many": [2] * 12, "any": [1, 3, 2, 4, 1, 5, 2, 2]}
REQUESTS: dict[str, Callable[[Rows], Any]] = {
    "CSV": lambda rows: "\n".join(f"{a},{b}" for a, b in rows),
    "watsonx": lambda rows: {"input_data": [{"fields": ["a", "b"], "values": rows}]},
    "H2O": lambda rows: {"fields": ["a", "b"], "rows": rows},
    "columns within": lambda rows: {"x": {"a": [a for a, _ in rows], "b": [b for _, b in rows]}, "k": 1},
}
ANSWERS: dict[str, tuple[Callable[[list[float]], Any], str]] = {
    "wrapped list": (lambda p: {"result": {"predictions": p}}, "result.predictions"),
    "wrapped objects": (lambda p: {"data": {"predictions": [{"p": x} for x in p], "model": "m"}}, "p"),
    "watsonx": (lambda p: {"predictions": [{"fields": ["p", "q"], "values": [[x, [0.5]] for x in p]}]}, "p"),
    "H2O": (lambda p: {"fields": ["p"], "score": [[x] for x in p]}, "p"),
    "wrapped lists": (lambda p: {"result": {"label": [1 for _ in p], "score": {"p": p}}}, "result.score.p"),
    "series": (lambda p: {str(place): x for place, x in enumerate(p)}, "0"),
}


def calls_of(sizes: list[int], request: Callable[[Rows], Any], answer: Callable[[list[float]], Any]) -> str:
    lines, row = [], 0
    for number, size in enumerate(sizes):
        rows = [[float(row + at), 0.5 * (row + at) ** 2] for at in range(size)]
        lines.append(captured(request(rows), answer([a + b for a, b in rows]), number))
        row += size
    return "".join(lines)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("request_form", REQUESTS)
def test_each_row_has_its_own_answer(
    tmp_path: Path, request_form: str, answer: str, sizes: list[int]
) -> None:
    respond, name = ANSWERS[answer]
    if answer == "wrapped lists" and sizes == SIZES["one"]:
        name += ".0"  # nothing tells a column of one row from a list
    source = write(tmp_path / "a.jsonl", calls_of(sizes, REQUESTS[request_form], respond))
    labels, row = [], 0
    for number, size in enumerate(sizes):
        sums = [x + 0.5 * x * x for x in range(row, row + size)]
        data = {"data": "\n".join(map(str, sums)), "encoding": "CSV"}
        labels.append({"groundTruthData": data, "eventMetadata": {"eventId": f"e{number}"}})
        row += size
    settings: dict[str, str] = {}
    if request_form == "columns within" and sizes == SIZES["as many"]:
        said = reading(run_job(tmp_path / "1", source, dataset_format=CAPTURES))["decided_by"]
        settings = {"rows": said.partition("rows=")[2]} if "rows=" in said else {}
    result = run_job(
        tmp_path,
        source,
        command=monitor_model_quality,
        dataset_format=CAPTURES,
        **settings,
        problem_type="Regression",
        inference_attribute=name,
        ground_truth_source=write(
            tmp_path / "labels/a.jsonl", "".join(json.dumps(label) + "\n" for label in labels)
        ).parent,
    )
    assert result.exit_code == 0, result.message
    document = result.document("statistics.json")
    assert document["dataset"]["item_count"] == sum(sizes)
    assert document["regression_metrics"]["rmse"]["value"] == pytest.approx(0, abs=1e-9)


FAILURES = {"html": "<html>502</html>", "object": {"error": "busy"}, "text": "Internal Server Error"}
BATCHES: dict[str, Callable[[Rows], Any]] = {
    "instances": lambda rows: {"instances": rows},
    "objects": lambda rows: {"instances": [{"a": a, "b": b} for a, b in rows]},
    "columns": lambda rows: {"a": [a for a, _ in rows], "b": [b for _, b in rows]},
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("answer", [lambda p: {"predictions": p}, lambda p: p], ids=["predictions", "list"])
@pytest.mark.parametrize("request_form", BATCHES)
@pytest.mark.parametrize("sizes", [[4] * 60, [1, 3, 2, 4, 1, 5] * 10], ids=["alike", "any"])
def test_some_failed_calls_do_not_make_one_row_of_the_batches_of_the_others(
    tmp_path: Path, sizes: list[int], request_form: str, answer: Callable[[list[float]], Any], failure: str
) -> None:
    lines = calls_of(sizes, BATCHES[request_form], answer).splitlines(keepends=True)
    for number in (13, 27, 45):
        request = json.loads(json.loads(lines[number])["captureData"]["endpointInput"]["data"])
        lines[number] = captured(request, FAILURES[failure], number)
    source = write(tmp_path / "a.jsonl", "".join(lines))
    result = run_job(tmp_path, source, dataset_format=CAPTURES)
    assert "in 3 of 60 calls one side has a single row" in reading(result)["decided_by"]
    assert result.document("statistics.json")["dataset"]["item_count"] == sum(sizes)


@pytest.mark.parametrize("sizes", [SIZES["as many"], SIZES["any"]])
def test_answers_that_hold_rows_in_an_unknown_form_are_refused(tmp_path: Path, sizes: list[int]) -> None:
    def answer(p: list[float]) -> Any:
        return {"results": [[1] * len(p)], "scores": [p]}

    source = write(tmp_path / "a.jsonl", calls_of(sizes, REQUESTS["CSV"], answer))
    result = run_job(tmp_path, source, dataset_format=CAPTURES)
    assert result.exit_code == 2
    assert "endpointOutput" in result.message
    assert "rows" in result.message
    said = run_job(tmp_path, source, dataset_format=CAPTURES, rows="row")
    assert said.document("statistics.json")["dataset"]["item_count"] == sum(sizes)


def test_requests_of_one_line_with_a_cell_for_each_row_are_rows(tmp_path: Path) -> None:
    def line(rows: Rows) -> str:
        return ",".join(str(a) for a, _ in rows)

    source = write(tmp_path / "a.jsonl", calls_of(SIZES["any"], line, lambda p: "\n".join(str(x) for x in p)))
    result = run_job(tmp_path, source, dataset_format=CAPTURES)
    assert len(features(result)) == 2
    assert result.document("statistics.json")["dataset"]["item_count"] == sum(SIZES["any"])


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("answer", [lambda p: p, lambda p: {"predictions": p}, lambda p: {"p": p}])
def test_lists_of_varying_length_are_rows(
    tmp_path: Path, answer: Callable[[list[float]], Any], alone: bool
) -> None:
    def values(rows: Rows) -> Any:
        return rows[0][0] if alone and len(rows) == 1 else [a for a, _ in rows]

    result = run_job(
        tmp_path,
        write(tmp_path / "a.jsonl", calls_of(SIZES["any"], values, answer)),
        dataset_format=CAPTURES,
    )
    assert len(features(result)) == 2
    assert result.document("statistics.json")["dataset"]["item_count"] == sum(SIZES["any"])


def test_another_reading_of_single_rows_is_said_until_a_baseline_tells(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.jsonl", "".join(captured({"f": [1, 2]}, {"p": [3, 4]}, at) for at in range(20))
    )
    result = run_job(tmp_path / "1", source, dataset_format=CAPTURES)
    assert "rows=request=list,response=list" in reading(result)["decided_by"]
    window = run_job(tmp_path / "2", source, dataset_format=CAPTURES, **baseline_of(result))
    assert "rows=" not in reading(window)["decided_by"]
    line = write(tmp_path / "b.jsonl", "".join(captured("1,2", "3,4", at) for at in range(20)))
    assert "rows=" not in reading(run_job(tmp_path / "3", line, dataset_format=CAPTURES))["decided_by"]


def test_one_answer_for_all_rows_of_a_request_is_repeated(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.jsonl",
        calls_of(SIZES["any"], REQUESTS["CSV"], lambda p: {"score": p[0], "about": {"names": ["x", "y"]}}),
    )
    result = run_job(tmp_path, source, dataset_format=CAPTURES)
    assert result.document("statistics.json")["dataset"]["item_count"] == sum(SIZES["any"])


def test_a_window_without_an_optional_member_keeps_the_answer_in_its_column(tmp_path: Path) -> None:
    calls = [{"a": at % 7} | ({"o": 5.5} if at % 50 == 9 else {}) for at in range(1000)]
    texts = [captured(call, str(at % 3), at) for at, call in enumerate(calls)]
    before = run_job(tmp_path / "1", write(tmp_path / "b/a.jsonl", "".join(texts)), dataset_format=CAPTURES)
    assert list(features(before)) == ["_c0", "a", "o"]
    without = "".join(text for text in texts[:60] if "5.5" not in text)
    window = run_job(
        tmp_path / "2",
        write(tmp_path / "w/a.jsonl", without),
        dataset_format=CAPTURES,
        **baseline_of(before),
    )
    assert checks(window) == []
    assert list(features(window)) == ["_c0", "a"]


def test_names_that_are_left_over_are_said(tmp_path: Path) -> None:
    training = write(
        tmp_path / "t.jsonl", "".join(json.dumps({"p": at % 3, "a": at % 7}) + "\n" for at in range(90))
    )
    before = run_job(tmp_path / "1", training, dataset_format=LINES)
    source = write(
        tmp_path / "a.jsonl", "".join(captured({"a": at % 7}, str(at % 3), at) for at in range(90))
    )
    window = run_job(tmp_path / "2", source, dataset_format=CAPTURES, **baseline_of(before))
    assert list(features(window)) == ["p", "a"]
    assert reading(window)["columns"] == ["columns take the baseline's names by position: _c0 is p"]


# --- tables in JSON

KEYS = [f"id{number}" for number in range(30)]


@pytest.mark.parametrize(
    "document",
    [
        {
            "columns": ["a"],
            "index": [0, 1],
            "data": [[1], [2]],
            "index_names": [None],
            "column_names": [None],
        },
        {"name": "a", "index": [0, 1], "data": [1, 2]},
    ],
)
def test_tables_as_pandas_writes_them(tmp_path: Path, document: Any) -> None:
    result = run_job(tmp_path, write(tmp_path / "a.json", json.dumps(document)), dataset_format=LINES)
    assert list(features(result)) == ["a"]
    assert reading(result)["rows"] == ["a.json is a table of 2 rows as pandas writes it"]


@pytest.mark.parametrize(
    "document",
    [
        {str(number): number / 7 for number in range(30)},
        {"a": dict.fromkeys(KEYS, 1), "b": dict.fromkeys(KEYS, 2)},
        {key: {"a": 1, "b": 2} for key in KEYS},
    ],
)
def test_an_object_whose_members_may_be_rows_is_refused(tmp_path: Path, document: Any) -> None:
    source = write(tmp_path / "a.json", json.dumps(document))
    result = run_job(tmp_path / "1", source, dataset_format=LINES)
    assert result.exit_code == 2
    assert f"{source} is one object with {len(document)} members" in result.message
    rows = write(tmp_path / "rows.jsonl", 2 * f"{json.dumps(document)}\n")
    baseline = run_job(tmp_path / "2", rows, dataset_format=LINES)
    window = run_job(tmp_path / "3", source, dataset_format=LINES, **baseline_of(baseline))
    assert window.document("statistics.json")["dataset"]["item_count"] == 1


def test_one_wide_row_is_a_row(tmp_path: Path) -> None:
    for place, record in enumerate([{"request": dict.fromkeys(KEYS, 1)}, {f"x{key}": 1.5 for key in KEYS}]):
        source = write(tmp_path / f"{place}.json", json.dumps(record))
        assert len(features(run_job(tmp_path / f"{place}", source, dataset_format=LINES))) == len(KEYS)


@pytest.mark.parametrize(
    "line", [{"columns": ["a"], "data": [[1], [2]]}, {"a": {"0": 1, "1": 2}, "b": {"0": 3, "1": 4}}]
)
def test_a_table_on_each_line_is_refused(tmp_path: Path, line: Any) -> None:
    source = write(tmp_path / "a.jsonl", 3 * f"{json.dumps(line)}\n")
    result = run_job(tmp_path, source, dataset_format=LINES)
    assert result.exit_code == 2
    assert f"{source} holds a whole table on each line" in result.message


@pytest.mark.parametrize(
    ("record", "lists"),
    [
        ({"request": [[1, 2], [3, 4]], "tags": ["x", "y"]}, ["request"]),
        ({"request": {"inputs": [1, 2]}, "log": [{"a": 1}, {"a": 2}]}, ["log", "request.inputs"]),
        ({"v": {"1": {"a": 2}}, "tags": ["x", "y"], "one": [[1, 2]]}, []),
    ],
)
def test_lists_that_may_be_rows_are_said(tmp_path: Path, record: Any, lists: list[str]) -> None:
    source = write(tmp_path / "a.jsonl", 9 * f"{json.dumps(record)}\n")
    said = reading(run_job(tmp_path, source, dataset_format=LINES)).get("forms", [])
    assert sorted(sentence.partition(" is a list")[0] for sentence in said) == lists


@pytest.mark.parametrize("form", ["csv", "json"])
def test_batch_transform_in_small_letters(tmp_path: Path, form: str) -> None:
    rows = [(at, f"{at:08d}-0000-4000-8000-000000000000", "2026-03-02T10:00:00Z") for at in range(30)]
    names = ("a", "sagemakerinferenceid", "sagemakerinferencetime")
    if form == "csv":
        lines = [",".join(map(str, row)) for row in (names, *rows)]
    else:
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    source = write(tmp_path / f"a.{form}", "\n".join(lines))
    result = run_job(tmp_path, source, dataset_format=HEADER if form == "csv" else LINES, **DAY)
    assert list(features(result)) == ["a"]
    assert features(result)["a"]["numerical_statistics"]["common"]["num_present"] == len(rows)
