import gzip
import itertools
import json
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

import pandas as pd
import pyarrow as pa
import pytest
from dataset_reading import first_batch, plan, read, request, rows
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import DatasetError
from readers import splitting
from readers.json_files import read_json_files
from readers.splitting import FileRange, FileSplit

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=6) | st.sampled_from(["2024-01-01", "2024-01-01T00:00:00Z", "12:30:00", "7"])
records = st.lists(
    st.fixed_dictionaries(
        {"number": numbers, "text": texts},
        optional={
            "flag": st.booleans(),
            "nested": st.fixed_dictionaries({"deep": texts}),
            "list": st.lists(st.integers(0, 9), min_size=2, max_size=2),
        },
    ),
    min_size=1,
    max_size=15,
)


def flat(record):
    """Return what a record's columns hold, missing ones left out."""
    row = {}
    for key, value in record.items():
        if isinstance(value, dict):
            row |= {f"{key}.{member}": content for member, content in value.items()}
        elif isinstance(value, list):
            row |= {f"{key}.{position}": content for position, content in enumerate(value)}
        else:
            row[key] = value
    return row


def present(got):
    return [{key: value for key, value in row.items() if value is not None} for row in got]


def write_lines(path, values):
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))
    return path


@given(records, st.lists(st.floats(0, 1), max_size=4), st.integers(1, 200))
def test_byte_ranges_together_are_the_whole(values, cuts, block_size):
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(splitting, "BLOCK_SIZE", block_size):
        path = write_lines(Path(folder) / "data.jsonl", values)
        size = path.stat().st_size
        bounds = [0, *sorted(int(cut * size) for cut in cuts), size]
        wanted = request(path, "json")
        got = rows(
            FileSplit((FileRange(str(path), start, end),), partial(read_json_files, request=wanted))
            for start, end in itertools.pairwise(bounds)
            if start < end
        )
        assert present(got) == [flat(value) for value in values]


@given(records)
def test_lines_arrays_and_wrapped_arrays_hold_the_same(values):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.json"
        expected = [flat(value) for value in values]
        for document in (values, {"instances": values}, {"version": "1", "rows": values}):
            path.write_text(json.dumps(document, indent=1))
            assert present(read(path, "json")) == expected
        path.write_text(json.dumps({"instances": values}) + "\n")
        assert present(read(path, "json")) == expected
        path.write_bytes(gzip.compress("".join(json.dumps(value) + "\n" for value in values).encode()))
        assert present(read(path, "json")) == expected


def test_real_files_are_read():
    lines = fixture("model_monitor/jsonlines/validation-dataset.jsonl")
    got = read(lines, "json")
    records = [flat(json.loads(line)) for line in lines.read_text().splitlines()]
    assert present(got) == records
    document = fixture("model_monitor/jsonlines/validation-dataset.json")
    assert len(read(document, '{"json":{"line":false}}')) == len(pd.read_json(document))


def test_times_stay_text_and_columns_keep_their_order(tmp_path):
    path = write_lines(
        tmp_path / "a.jsonl",
        [
            {
                "z": 1,
                "when": "2024-01-01T00:00:00Z",
                "in": {"when": "2024-01-01", "never": None},
                "a": [["12:00:00"]],
            }
        ]
        * 3,
    )
    with mock.patch.object(splitting, "BLOCK_SIZE", 150):
        batches = list(plan(path, "json").splits[0].batches())
    assert len(batches) > 1
    row = {
        "z": 1,
        "when": "2024-01-01T00:00:00Z",
        "in.when": "2024-01-01",
        "in.never": None,
        "a.0.0": "12:00:00",
    }
    assert [list(batch.schema.names) for batch in batches] == [list(row)] * len(batches)
    assert [got for batch in batches for got in batch.to_pylist()] == [row] * 3


def test_members_that_are_null_throughout_keep_their_place(tmp_path):
    """Beside a date, the file is read twice; columns asked for by position must not be swapped."""
    values = [
        {
            "f": {"day": "2020-01-01", "income": None, "age": age},
            "l": [{"day": "2020-01-01", "n": None, "z": 1}],
        }
        for age in (20, 21)
    ]
    path = write_lines(tmp_path / "a.jsonl", values)
    with mock.patch.object(splitting, "BLOCK_SIZE", 64):
        batches = [batch for split in plan(path, "json").splits for batch in split.batches()]
    for batch in batches:
        assert batch.schema.names == ["f.day", "f.income", "f.age", "l.0.day", "l.0.n", "l.0.z"]


def test_fields_of_several_kinds_become_text(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"a": 1, "b": 1}, {"a": "x", "b": 2.5}, {"a": True, "b": None}])
    assert [row["a"] for row in read(path, "json")] == ["1", "x", "true"]
    assert [row["b"] for row in read(path, "json")] == [1, 2.5, None]


def test_what_python_writes_and_what_is_repeated_is_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"a": NaN, "b": Infinity}\n{"a": 1, "a": 2, "b": -1e3}\n\n  \n{"a": 18446744073709551616}\n'
    )
    got = read(path, "json")
    assert [row["a"] for row in got][1:] == [2, 2.0**64]
    assert [row.get("b") for row in got] == [float("inf"), -1000, None]


def test_the_originals_order_is_alphabetical(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"b": 1, "a": 2}] * 2)
    assert first_batch(path, "json").schema.names == ["b", "a"]
    assert first_batch(path, "json", text_only=True).schema.names == ["a", "b"]
    assert first_batch(path, "json", text_only=True).schema.types == [pa.int64(), pa.int64()]


def test_columns_are_left_out(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"a": 1, "b": {"c": 2, "d": 3}}] * 2)
    assert read(path, "json", exclude=("b.c",)) == [{"a": 1, "b.d": 3}] * 2
    assert read(path, "json", exclude=("0",)) == [{"b.c": 2, "b.d": 3}] * 2


def test_a_large_file_is_cut_unless_it_is_one_document(tmp_path):
    values = [{"number": i, "text": f"text {i % 7}"} for i in range(150_000)]
    path = write_lines(tmp_path / "a.jsonl", values)
    cut = plan(path, "json")
    assert len(cut.splits) > 4
    assert rows(cut.splits) == values
    assert len(plan(path, "json", whole_files=True).splits) == 1
    path.write_text(json.dumps(values))
    assert len(plan(path, "json").splits) == 1
    assert rows(plan(path, "json").splits) == values


def test_little_files_say_what_they_can(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"")
    assert read(path, "json") == []
    path.write_bytes(b"[]")
    assert read(path, "json") == []
    path.write_bytes(b'\xef\xbb\xbf{"a":1}')
    assert read(path, "json") == [{"a": 1}]
    path.write_bytes(b'{"a":\n1}')
    assert read(path, "json") == [{"a": 1}]
    path.write_bytes(b'{"a":1}\r\n{"a":2}\r\n')
    assert read(path, "json") == [{"a": 1}, {"a": 2}]
    path.write_bytes(b"{}\n{}\n")
    assert sum(batch.num_rows for batch in plan(path, "json").splits[0].batches()) == 2
    path.write_bytes(b'{"a":"' + b"x" * (3 << 20) + b'"}\n{"a":"y"}\n')
    assert [len(row["a"]) for row in read(path, "json")] == [3 << 20, 1]


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b'{"a":1}\n\n{"a":\n', ["line 3 is not JSON", "'{\"a\":'"]),
        (b'{"a":1}\n[1,2]\n', ["line 2 is not a JSON object"]),
        (b'{"a":1}\n{"a":"\xff"}\n', ["line 2 is not UTF-8 text"]),
        (b"a,b\n1,2\n", ["looks like CSV", '{"csv":{"header":true}}']),
        (b'{"a":1\n{"a":2}\n', ["line 1 is not JSON"]),
        (b'[{"a":1},\n', ["is not JSON"]),
        (b"[1,2]\n", ["without rows"]),
        (b'[{"a":1},2]\n', ["without rows"]),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, data, parts):
    path = tmp_path / "broken.json"
    path.write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        read(path, "json")
    assert str(path) in caught.value.message
    for part in parts:
        assert part in caught.value.message


def test_lines_are_counted_across_blocks(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text('{"a":1}\n' * 500 + "oops\n" + '{"a":1}\n' * 500)
    with (
        mock.patch.object(splitting, "BLOCK_SIZE", 300),
        pytest.raises(DatasetError, match="line 501 is not JSON"),
    ):
        read(path, "json")
