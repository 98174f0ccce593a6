"""One table written in every shape that servers take and give comes back as that table."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pytest
from capture_data import part, read_columns, record, write
from dataset_reading import heard

from contract.dataset import ColumnPaths, Location
from contract.dataset_format import DatasetFormat, parse_rows
from contract.errors import ConfigurationError, DatasetError
from readers.captures.layout import distinct_names
from readers.dataset import Dataset
from readers.plan import plan_dataset

CASES = Path(__file__).parent / "cases"


def _lines(rows):
    return "\n".join(",".join(map(str, row)) for row in rows)


def _named(rows, names):
    return [dict(zip(names, row, strict=True)) for row in rows]


def _by_column(rows, names):
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def _tensors(rows, names):
    return [
        {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": [row[at] for row in rows]}
        for at, name in enumerate(names)
    ]


# How a request and an answer of several rows are written: text of CSV, or a value of JSON.
REQUESTS = {
    "csv": lambda rows, names: _lines(rows),
    "lists": lambda rows, names: rows,
    "objects": _named,
    "instances": lambda rows, names: {"instances": rows},
    "named instances": lambda rows, names: {"instances": _named(rows, names)},
    "columns": _by_column,
    "inputs by name": lambda rows, names: {"inputs": _by_column(rows, names)},
    "dataframe_split": lambda rows, names: {"dataframe_split": {"columns": list(names), "data": rows}},
    "dataframe_records": lambda rows, names: {"dataframe_records": _named(rows, names)},
    "split": lambda rows, names: {"columns": list(names), "index": list(range(len(rows))), "data": rows},
    "pandas": lambda rows, names: {
        name: {str(at): row[place] for at, row in enumerate(rows)} for place, name in enumerate(names)
    },
    "tensors": lambda rows, names: {"inputs": _tensors(rows, names)},
    "ndarray": lambda rows, names: {"data": {"names": list(names), "ndarray": rows}},
    "tensor": lambda rows, names: {
        "data": {
            "names": list(names),
            "tensor": {"shape": [len(rows), len(names)], "values": [*itertools.chain(*rows)]},
        }
    },
    "instances beside": lambda rows, names: {"beside": "x", "instances": rows},
    "named instances beside": lambda rows, names: {"instances": _named(rows, names), "beside": "x"},
}
ANSWERS = {
    "lines": lambda values: "\n".join(map(str, values)),
    "one line": lambda values: ",".join(map(str, values)),
    "list": list,
    "predictions": lambda values: {"predictions": list(values)},
    "lists": lambda values: [[value] for value in values],
    "objects": lambda values: [{"score": value} for value in values],
    "column": lambda values: {"value": list(values)},
    "tensors": lambda values: {"outputs": _tensors([[value] for value in values], ["score"])},
    "ndarray": lambda values: {"data": {"names": ["score"], "ndarray": [[value] for value in values]}},
    "predictions beside": lambda values: {"beside": {"model": "x"}, "predictions": list(values)},
}
# Rows of the calls, and whether payloads are BASE64.
SIZES = [([1], False), ([3], False), ([1, 3, 1, 2], False), ([1, 3, 1, 2], True)]


def _payload(value, encoded):
    text, kind = (value, "CSV") if isinstance(value, str) else (json.dumps(value), "JSON")
    return part(base64.b64encode(text.encode()).decode(), "BASE64") if encoded else part(text, kind)


def _calls(request, answer, sizes, encoded):
    calls, table = [], []
    for number, size in enumerate(sizes * 6):
        rows = [[20 + number + at, round(0.5 / (1 + number + at), 3)] for at in range(size)]
        scores = [round(a * b, 3) for a, b in rows]
        table += [[score, *row] for score, row in zip(scores, rows, strict=True)]
        calls.append(
            record(
                _payload(ANSWERS[answer](scores), encoded),
                _payload(REQUESTS[request](rows, ("age", "share")), encoded),
            )
        )
    return calls, table


@pytest.mark.parametrize("request_shape", REQUESTS)
def test_every_shape_gives_the_same_table(tmp_path, request_shape):
    for number, (answer, (sizes, encoded)) in enumerate(itertools.product(ANSWERS, SIZES)):
        calls, table = _calls(request_shape, answer, sizes, encoded)
        columns = read_columns(write(tmp_path / f"{number}.jsonl", calls))
        expected = [list(values) for values in zip(*table, strict=True)]
        beside = [columns.pop(name) for name in list(columns) if name.startswith("beside")]
        assert list(columns.values()) == expected, (answer, sizes, encoded)
        assert len(beside) == ("beside" in request_shape) + ("beside" in answer)
        assert all(column == ["x"] * len(table) for column in beside)
        assert [type(value) for value in columns[list(columns)[1]]] == [int] * len(table)


def _table(folder, **options):
    request = Dataset(str(folder), DatasetFormat("sagemakerCaptureJson"), **options)
    plan = plan_dataset(request)
    batches = [batch.replace_schema_metadata(None) for split in plan.splits for batch in split.batches()]
    return pa.Table.from_batches(batches), request.said


@pytest.mark.parametrize(
    ("beside", "more"),
    [
        ({"model": "x"}, {"model": "x"}),
        ({"classes": ["a", "b", "c", "d"]}, {f"classes.{at}": each for at, each in enumerate("abcd")}),
        ({"scores": [[0, 1]] * 3}, {"scores.0": 0, "scores.1": 1}),
    ],
)
@pytest.mark.parametrize("request_shape", ["csv", "instances", "objects"])
def test_lists_as_long_as_the_request_are_columns_whatever_is_beside(tmp_path, request_shape, beside, more):
    calls = []
    for number in range(30):
        rows = [[number, at] for at in range(3)]
        answer = {**beside, "label": [10 * number + at for at in range(3)], "again": [1, 2, 3]}
        calls.append(record(_payload(answer, False), _payload(REQUESTS[request_shape](rows, "ab"), False)))
    columns = read_columns(write(tmp_path / "c.jsonl", calls))
    assert columns.pop("label") == [10 * number + at for number in range(30) for at in range(3)]
    assert columns.pop("again") == [1, 2, 3] * 30
    assert {name: columns.pop(name) for name in more} == {name: [each] * 90 for name, each in more.items()}
    assert [*columns.values()] == [[number for number in range(30) for _ in range(3)], [0, 1, 2] * 30]


def test_one_line_of_answers_for_a_batch():
    table, said = _table(CASES / "flat_batches")
    assert (table.num_rows, table.num_columns) == (60, 3)
    for row in table.to_pylist():
        assert row["_c0"] == pytest.approx(row["_c1"] + row["_c2"], abs=0.002)
    assert said.document(with_sentences=False) == {
        "rows_of_a_call": {"endpointOutput": "list", "endpointInput": "row"},
        "calls_looked_at": 40,
        "calls_of_several_rows": 10,
        "decided_by": "the numbers of rows on both sides",
    }


@pytest.mark.parametrize("encoded", [False, True])
def test_one_line_on_both_sides_is_a_cell_a_row_where_their_number_varies(tmp_path, encoded):
    sizes = [1, 3, 2, 1] * 8
    values = [[10 * number + at for at in range(size)] for number, size in enumerate(sizes)]
    texts = [",".join(map(str, each)) for each in values]
    answers = [",".join(str(value / 2) for value in each) for each in values]
    calls = map(
        record, (_payload(each, encoded) for each in answers), (_payload(each, encoded) for each in texts)
    )
    columns = read_columns(write(tmp_path / "c.jsonl", calls))
    inputs = [*itertools.chain(*values)]
    assert columns == {"_c0": [value / 2 for value in inputs], "_c1": inputs}


@pytest.mark.parametrize("answer", ["0.5", None])
def test_lines_of_fewer_cells_are_said(tmp_path, answer):
    calls = [record(answer and part(answer, "CSV"), part(text, "CSV")) for text in ("1,2,3", "1,2") * 10]
    write(tmp_path / "c.jsonl", calls)
    table, said = _table(tmp_path)
    assert table.num_rows == 20
    assert any("2 to 3 cells" in sentence for sentence in said.lines())


def test_a_list_on_both_sides_is_one_row():
    table, _ = _table(CASES / "one_row_two_lists")
    assert table.num_rows == 60
    assert table.column_names == ["probabilities.0", "probabilities.1", "features.0", "features.1"]
    assert table.schema.field("features.0").type == pa.int64()


def test_a_table_written_column_by_column():
    table, _ = _table(CASES / "columns_in_captures")
    assert (table.num_rows, table.column_names) == (60, ["value", "longitude", "latitude"])
    for row in table.to_pylist():
        assert row["value"] == pytest.approx(row["longitude"] * row["latitude"], abs=0.01)


def test_the_setting_and_the_baseline_decide_what_both_sides_leave_open(tmp_path):
    calls = [record({"q": [0.1, 0.9]}, {"f": [number, 2]}) for number in range(20)]
    path = write(tmp_path / "a.jsonl", calls)
    assert _table(path)[0].shape == (20, 4)
    table, said = _table(path, rows=parse_rows("list"))
    assert (table.shape, said.call_rows.why) == ((40, 2), "the setting rows")
    table, said = _table(path, column_names=("q", "f"))
    assert (table.shape, said.call_rows.why) == ((40, 2), "the baseline's columns")


def test_white_space_changes_nothing(tmp_path):
    calls = [record(part(" [ 0.5 ,\n 0.25 ] ", "JSON"), part("1,2\n3,4\n\n", "CSV"))] * 5
    assert read_columns(write(tmp_path / "a.jsonl", calls)) == {
        "_c0": [0.5, 0.25] * 5,
        "_c1": [1, 3] * 5,
        "_c2": [2, 4] * 5,
    }


def test_rows_that_no_rule_of_the_originals_can_read_are_refused(tmp_path):
    calls = [record("1,2,3", "4\n5\n6")] * 5
    with pytest.raises(DatasetError, match=r"endpointOutput .*rules=sound"):
        read_columns(write(tmp_path / "a.jsonl", calls), text_only=True)


@pytest.mark.parametrize("text", ["rows", "request=columns,answer=list", "request=", "list,,"])
def test_what_the_setting_cannot_be(text):
    with pytest.raises(ConfigurationError, match=r"rows is .*; use auto, row, list, columns"):
        parse_rows(text)


def test_one_odd_record_does_not_change_how_the_others_are_read(tmp_path):
    regular = [record(str(number), {"a": number, "t": "x"}) for number in range(50)]
    odd = record(part(base64.b64encode(b"7").decode(), "BASE64"), {"a": 1.5, "b": [1]})
    for place in (0, 25, 50):
        calls = [*regular[:place], odd, *regular[place:]]
        columns = read_columns(write(Path(tmp_path) / f"{place}.jsonl", calls))
        assert columns["_c0"] == [*range(place), 7, *range(place, 50)]
        assert columns["a"] == [*range(place), 1.5, *range(place, 50)]
        assert columns["b.0"] == [None] * place + [1] + [None] * (50 - place)


@pytest.mark.parametrize(
    ("usual", "damaged"),
    [
        ("1,2", ",".join(map(str, range(100_000)))),
        ([1, 2], list(range(100_000))),
        ({"a": 1, "b": [2]}, {"a": 1, "b": list(range(100_000))}),
        ({"a": 1}, {f"f{number}": number for number in range(100_000)}),
    ],
)
@pytest.mark.parametrize("place", [0, 250])
def test_one_record_of_many_columns_costs_the_others_nothing(tmp_path, usual, damaged, place):
    calls = [record("0.5", usual)] * 500
    calls[place] = record("0.5", damaged)
    with heard() as said:
        columns = read_columns(write(tmp_path / "a.jsonl", calls))
    assert len(columns) < 250
    assert {len(values) for values in columns.values()} == {500}
    [sentence] = said.sentences["payloads"]
    assert sentence.endswith(f"lost the last ones: 1, the first at {tmp_path}/a.jsonl line {place + 1}")


def test_a_line_without_end_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("readers.splitting.LONGEST_LINE", 1 << 20)
    monkeypatch.setattr("readers.splitting.BLOCK_SIZE", 1 << 18)
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as stream:
        stream.write(json.dumps(record("0.5", "1")).encode() + b"\n" + b"x" * (64 << 20))
    with pytest.raises(
        DatasetError, match=r"a\.jsonl\.gz has a line of more than 1 MB, which begins at byte "
    ):
        read_columns(tmp_path)


def test_a_list_longer_than_any_table_is_named(tmp_path):
    lines = [json.dumps({"a": 1, "b": [1]})] * 50 + [json.dumps({"a": 1, "b": [0] * 20_000})]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"a\.jsonl: field 'b' holds a list of 20000 values"):
        list(plan_dataset(Dataset(str(tmp_path), DatasetFormat("json"))).splits[0].batches())


@pytest.mark.parametrize("sizes", [[3], [1, 3], [1, 2, 3]])
@pytest.mark.parametrize("answer", ["3 11 3", "3;11;3", "3|11|3", "3\t11\t3", "[3 11 3]"])
def test_numbers_in_one_text_as_many_as_rows_are_refused(tmp_path, answer, sizes):
    """One row would belong to all of the other side's, each of which then had the answers of all."""
    numbers = answer.replace("11", "3").split("3")
    calls = []
    for size in sizes * 6:
        text = numbers[0] + numbers[1].join("7" * size) + numbers[-1]
        calls.append(record(part(text, "CSV"), part("1,2\n" * size, "CSV")))
    path = write(tmp_path / "calls.jsonl", calls)
    with pytest.raises(DatasetError) as caught:
        _table(path)
    assert caught.value.code == "captures.rows_within"
    table, _ = _table(path, rows=parse_rows("row"))
    assert table.num_rows == sum(sizes) * 6


@pytest.mark.parametrize(("short", "refused"), [(100, True), (5, False)])
def test_answers_that_are_one_short_are_refused_or_counted(tmp_path, short, refused):
    """Of 1000 calls, so many have one answer less than rows; all answers of a call are cells of one line."""
    calls = []
    for number in range(1000):
        size = 3 + number % 4
        rows = "\n".join(f"{number},{row}" for row in range(size))
        answers = ",".join("0.5" for _ in range(size - (number % (1000 // short) == 1)))
        calls.append(record(part(answers, "CSV"), part(rows, "CSV")))
    path = write(tmp_path / "calls.jsonl", calls)
    if refused:
        with pytest.raises(DatasetError, match=r"\d+ of \d+ calls have another number of rows .* line 2"):
            _table(path)
        return
    with heard() as said:
        table, found = _table(path)
    assert found.call_rows.shape("endpointOutput") == "list"
    assert table.num_rows == sum(3 + number % 4 for number in range(1000))
    [sentence] = said.sentences["calls"]
    assert "padded with missing values: 5, the first at" in sentence


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("rows_of_call", [1, 3])
@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("age,income", ["age", "income"]),
        ('"age","in,come"', ["age", "in,come"]),
        ("age,income\r", ["age", "income"]),
        (",income", ["_c1", "income"]),
    ],
)
def test_a_header_in_each_payload_names_columns(tmp_path, header, names, rows_of_call, encoded):
    calls = [[[20 + call + row, 1000 * row] for row in range(rows_of_call)] for call in range(40)]
    answers = [[call + row / 8 for row in range(rows_of_call)] for call in range(40)]
    source = write(
        tmp_path / "c.jsonl",
        (
            # One call in forty has none.
            record(
                _payload(_lines([[value] for value in values]), encoded),
                _payload(_lines(rows) if call == 7 else f"{header}\n{_lines(rows)}", encoded),
            )
            for call, (rows, values) in enumerate(zip(calls, answers, strict=True))
        ),
    )
    table, said = _table(source)
    columns = table.to_pydict()
    assert columns["_c0"] == [value for values in answers for value in values]
    assert columns[names[0]] == [row[0] for rows in calls for row in rows]
    assert columns[names[1]] == [row[1] for rows in calls for row in rows]
    assert "is no row" in str(said.document(with_sentences=True))
    located, _ = _table(source, locations=ColumnPaths(None, (Location("p", "response", "0"),)))
    assert located.to_pydict()["column_0"] == columns[names[0]]


@pytest.mark.parametrize(
    ("baseline", "found"),
    [
        (("label", "age", "income"), ["label", "income", "age"]),  # whatever their order
        (("age", "income"), ["_c0", "income", "age"]),
        (("label", "years", "pay"), ["label", "years", "pay"]),  # by position where no name is known
        (None, ["_c0", "income", "age"]),
    ],
)
def test_columns_are_called_by_the_header_of_their_payload(tmp_path, baseline, found):
    lines = (record("1", f"income,age\n{1000 * n},{n}") for n in range(40))
    table, said = _table(write(tmp_path / "c.jsonl", lines), column_names=baseline)
    assert table.column_names == found
    assert table.column(1).to_pylist() == [1000 * n for n in range(40)]
    assert ("columns" in said.sentences) == ("label" in found)


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("share", [2, 25])
def test_a_header_that_some_callers_send_is_no_row(tmp_path, encoded, share):
    texts = [f"{call},{1000 * call}" for call in range(300)]
    texts = [text if call % share else f"age,income\n{text}" for call, text in enumerate(texts)]
    lines = (record(str(call / 8), _payload(text, encoded)) for call, text in enumerate(texts))
    table, said = _table(write(tmp_path / "c.jsonl", lines))
    assert table.column("age").to_pylist() == list(range(300))
    assert f"{300 // share} of the 300 payloads" in str(said.document(with_sentences=True))


@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize("empty", ["x,y", "x,y\n", "x,y\r\n"])
@pytest.mark.parametrize("at", [3, 1500])
def test_names_alone_are_a_batch_of_no_rows(tmp_path, share, empty, at):
    texts = [f"{call},1\n{call},2" for call in range(2000)]
    ends = ["\r\n" if call % 5 else "\n" for call in range(2000)]
    texts = [text if call % share else f"x,y{ends[call]}{text}" for call, text in enumerate(texts)]
    texts.insert(at, empty)
    table, _ = _table(write(tmp_path / "c.jsonl", (record("1", text) for text in texts)))
    rows = [number for number in range(2000) for _ in range(2)]
    assert table.column("x").to_pylist() == [*rows[: 2 * at], None, *rows[2 * at :]]


def test_a_first_row_that_comes_again_below_is_no_header(tmp_path):
    texts = (f"yes,no\n{'yes,no' if call % 3 else 'no,no'}" for call in range(40))
    assert _table(write(tmp_path / "c.jsonl", (record("1", text) for text in texts)))[0].num_rows == 80


@pytest.mark.parametrize("rows", [["NA", "{n}"], ["NA", "{n}", "NA"], ["a,b", "x,{n}", "a,b"]])
def test_texts_above_numbers_that_stand_elsewhere_too_are_rows(tmp_path, rows):
    calls = [rows if n % 3 else [*rows[1:], *rows[:1]] for n in range(40)]
    texts = ("\n".join(call).replace("{n}", str(n)) for n, call in enumerate(calls))
    table, _ = _table(write(tmp_path / "c.jsonl", (record("1", text) for text in texts)))
    assert table.num_rows == 40 * len(rows)


@pytest.mark.parametrize(
    "lines",
    [
        ["1,2", "3,4"],  # numbers are no names
        ["a,a", "3,4"],  # neither is one text twice
        ["{n}x,b", "3,4"],  # nor what differs from call to call
    ],
)
def test_other_first_lines_are_rows(tmp_path, lines):
    text = "\n".join(lines)
    source = write(tmp_path / "c.jsonl", (record("1\n2", text.replace("{n}", str(n))) for n in range(40)))
    table, said = _table(source)
    assert table.num_rows == 80
    assert "is no row" not in str(said.document(with_sentences=True))


def test_few_calls_of_text_have_no_header(tmp_path):
    source = write(tmp_path / "c.jsonl", (record("1\n2", f"red,round\nblue,flat{n}") for n in range(3)))
    assert _table(source)[0].num_rows == 6
    source = write(tmp_path / "d.jsonl", (record("1", f"colour,shape\nblue,flat{n}") for n in range(30)))
    assert _table(source)[0].num_rows == 30


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("{n};2;red", "cells between semicolons"),
        ("{n}\t2", "cells between tabs"),
        ("1:{n} 2:0.5", "LIBSVM"),
        ("[[{n}, 2]]", "JSON"),
        ("{n},a;b", None),
        ("{n}", None),
    ],
)
def test_payloads_called_csv_that_look_like_something_else_are_said(tmp_path, row, what):
    source = write(tmp_path / "c.jsonl", (record("0.5", row.replace("{n}", str(n))) for n in range(40)))
    said = _table(source)[1].sentences.get("payloads")
    shown = row.replace("{n}", "0")
    expected = [f"endpointInput is read as CSV, but looks like {what}, such as {shown!r}"]
    assert said == (expected if what else None)


def test_a_name_belongs_to_the_payload_that_had_it_first():
    own = (frozenset({"score", "kind"}), frozenset({"a", "score"}))
    late = distinct_names(
        ("endpointOutput", "endpointInput"), [["score", "kind"], ["a", "kind", "score"]], own
    )
    assert late == [["endpointOutput.score", "kind"], ["a", "endpointInput.kind", "score"]]
    assert distinct_names(("endpointOutput", "endpointInput"), [["kind"], ["kind"]]) == [
        ["endpointOutput.kind"],
        ["kind"],
    ]


@pytest.mark.parametrize("at", [0, 20, 39])
def test_a_call_of_objects_among_cells_does_not_rename_the_others(tmp_path, at):
    calls = [record(f"{call / 8}", f"{call},{1000 * call}") for call in range(40)]
    calls[at] = record({"score": at / 8}, {"income": 1000 * at, "age": at})
    source = write(tmp_path / "c.jsonl", calls)
    table, _ = _table(source, column_names=("score", "age", "income"))
    columns = {
        "score": [n / 8 for n in range(40)],
        "age": [*range(40)],
        "income": [n * 1000 for n in range(40)],
    }
    assert table.to_pydict() == columns
    table, _ = _table(source)
    assert table.column("_c1").null_count == 1
    assert table.column("age").null_count == 39


def test_an_answer_that_is_an_error_does_not_move_the_columns_of_requests(tmp_path):
    calls = [record(f"{call / 8}", f"{call},{1000 * call}") for call in range(40)]
    calls[0] = record({"error": "busy"}, "0,0")
    table, _ = _table(write(tmp_path / "c.jsonl", calls), column_names=("score", "age", "income"))
    assert table.column("age").to_pylist() == [*range(40)]
    assert table.column("score").null_count == 1


def _tensor_calls(tmp_path, *tensors, seldon=None):
    request = {"data": {"tensor": seldon}} if seldon else {"inputs": list(tensors)}
    answer = [{"name": "p", "shape": [2], "datatype": "FP64", "data": [0.1, 0.2]}]
    return write(tmp_path / "c.jsonl", [record({"outputs": answer}, request)] * 20)


def test_one_value_of_a_tensor_belongs_to_all_rows(tmp_path):
    heat = {"name": "heat", "shape": [1], "datatype": "FP64", "data": [0.7]}
    age = {"name": "age", "shape": [2, 1], "datatype": "FP64", "data": [[31], [47]]}
    table, _ = _table(_tensor_calls(tmp_path, age, heat))
    assert table.select(["age", "heat"]).to_pylist()[:2] == [
        {"age": 31, "heat": 0.7},
        {"age": 47, "heat": 0.7},
    ]


@pytest.mark.parametrize(("cells", "rows"), [([1, 2, 3], 2), ([1], 2), ([1], 10**9)])
def test_tensors_with_another_number_of_values_are_not_read(tmp_path, cells, rows):
    short = {"name": "age", "shape": [rows], "datatype": "FP64", "data": cells}
    with heard() as said:
        table, _ = _table(_tensor_calls(tmp_path, short))
    assert table.column_names == ["p"]
    assert "could not be decoded count as missing: 20" in str(said.sentences["payloads"])
    seldon = {"shape": [rows, 1], "values": cells}
    assert _table(_tensor_calls(tmp_path, seldon=seldon))[0].column_names == ["p"]


def test_a_file_of_tensors_with_another_number_of_values_is_refused(tmp_path):
    tensor = {"name": "age", "shape": [2], "datatype": "FP64", "data": [1, 2, 3]}
    for name, indent in (("line.json", None), ("pretty.json", 1)):
        (tmp_path / name).write_text(json.dumps({"inputs": [tensor]}, indent=indent))
        request = Dataset(str(tmp_path / name), DatasetFormat("json"))
        with pytest.raises(DatasetError, match="than their shapes say"):
            list(itertools.chain.from_iterable(split.batches() for split in plan_dataset(request).splits))


def test_tensors_that_differ_in_rows_are_not_read(tmp_path):
    tensors = [{"name": f"x{n}", "shape": [n], "datatype": "FP64", "data": [1] * n} for n in (2, 3)]
    assert _table(_tensor_calls(tmp_path, *tensors))[0].column_names == ["p"]


def test_text_in_base64_may_begin_with_a_byte_order_mark(tmp_path):
    texts = ("\ufeff0.5", "\ufeff31,47")
    answer, request = (part(base64.b64encode(text.encode()).decode(), "BASE64") for text in texts)
    table, _ = _table(write(tmp_path / "c.jsonl", [record(answer, request)] * 20))
    assert table.to_pylist()[0] == {"_c0": 0.5, "_c1": 31, "_c2": 47}


@pytest.mark.parametrize("encoding", ["BASE64", "CSV"])
def test_streamed_answers_are_said(tmp_path, encoding):
    text = 'data: {"token":"a"}\n\ndata: [DONE]\n\n'
    text = base64.b64encode(text.encode()).decode() if encoding == "BASE64" else text
    answer = part(text, encoding, observedContentType="text/event-stream")
    with heard() as noticed:
        table, said = _table(write(tmp_path / "c.jsonl", [record(answer, "31,47")] * 20))
    if encoding == "BASE64":
        assert table.num_rows == 20
        assert "text/event-stream" in str(noticed.sentences["payloads"])
    else:
        assert "a stream of events" in str(said.sentences["payloads"])
