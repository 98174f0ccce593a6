"""Captures of every kind, mixed as they come, are read as the plain reader reads them."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from pathlib import Path

import plain_reader
import pytest
from capture_data import part, read_columns, record, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contract.dataset_format import DatasetFormat
from contract.errors import DatasetError
from readers.captures.columns import Decoder
from readers.dataset import Dataset
from readers.plan import plan_dataset

SIDES = ("endpointOutput", "endpointInput")

_cells = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.floats(-1e6, 1e6).map(repr),
    st.sampled_from(["", "a", "true", '"a,b"', '"x""y"', 'i"n', "é", '"two\nlines"']),
)


def _lines(least, most):
    return st.lists(_cells, min_size=least, max_size=most).map(",".join)


_newlines = st.sampled_from(["", "\n", "\r\n"])
_csv = st.tuples(_lines(1, 3), _newlines).map("".join)
_csv_even = st.tuples(_lines(2, 2), _newlines).map("".join)
_csv_rows = st.lists(_lines(2, 2), min_size=1, max_size=3).map("\n".join)

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "2026-05-06", "2026-05-06T01:02:03Z", "7", "é\u2028"]),
)
_numbers = st.integers(-5, 5) | st.floats(-5, 5)
_flat_objects = st.fixed_dictionaries(
    {"a": _numbers, "b": st.sampled_from(["x", "y"])}, optional={"c": _scalars}
)
_objects = st.fixed_dictionaries(
    {"a": _scalars},
    optional={
        "c": st.fixed_dictionaries(
            # Not empty: an object without members gives no column, so its place among the others is open.
            {"x": _scalars},
            optional={"y": st.lists(_scalars, min_size=1, max_size=3)},
        ),
        "l": st.lists(_numbers, min_size=1, max_size=3),
    },
)
_row_lists = st.one_of(
    st.lists(_flat_objects, min_size=1, max_size=3),
    st.lists(st.lists(_numbers, min_size=2, max_size=2), min_size=1, max_size=3),
    st.lists(_numbers, min_size=1, max_size=3),
    st.lists(st.sampled_from(["x", "1"]), min_size=1, max_size=2),
)
_kinds = [
    _csv,
    _csv_even,
    _csv_rows,
    _flat_objects,
    _objects,
    _row_lists,
    _row_lists.map(lambda rows: {"predictions": rows}),
    st.tuples(_row_lists, _scalars).map(lambda both: {"model": both[1], "predictions": both[0]}),
    st.fixed_dictionaries({"p": _row_lists, "m": _scalars, "q": st.lists(_numbers, min_size=1, max_size=3)}),
    _numbers,
]


def _part(payload, encoded):
    text, kind = (payload, "CSV") if isinstance(payload, str) else (json.dumps(payload), "JSON")
    return part(base64.b64encode(text.encode()).decode(), "BASE64") if encoded else part(text, kind)


@st.composite
def captured(draw):
    """Draw records of one endpoint: payloads of one kind each way, with odd ones among them."""
    usual = [draw(st.sampled_from(_kinds)) for _ in SIDES]
    missing, odd = draw(st.sampled_from([0.0, 0.3])), draw(st.sampled_from([0.0, 0.2]))
    records = []
    for _ in range(draw(st.integers(1, 6))):
        parts = []
        for kind in usual:
            payload = draw(draw(st.sampled_from(_kinds)) if draw(st.floats(0, 1)) < odd else kind)
            gone = draw(st.floats(0, 1)) < missing
            parts.append(None if gone else _part(payload, encoded=draw(st.floats(0, 1)) < odd))
        records.append(record(*parts))
    return records


def _comparable(columns):
    """Leave out columns without any value, and how a number is written in a column of text."""
    return {
        name: [_plain(value) for value in values] for name, values in columns.items() if _has_values(values)
    }


def _has_values(values):
    return any(value is not None for value in values)


def _plain(value):
    try:
        return str(float(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def _order(columns):
    """Return members in order; what differs in depth, or from element to element, has no order of its own.

    Nor have cells where other records have names.
    """
    members = [name for name in columns if not name.startswith("_c")]
    names = [name for name in members or columns if _has_values(columns[name])]
    short = [re.sub(r"\.\d+(\..*)?$", "", name.removeprefix("endpointOutput.")) for name in names]
    # A member that is a list in one record and an object in another is one.
    return list(
        dict.fromkeys(next((one for one in short if name.startswith(f"{one}.")), name) for name in short)
    )


@example([record("1\n2", "a,b\n1,2\n3,4"), record("1\n2", "a,b\n5,6\n7,8")])
@example([record("1\n2", "a,b\n1,2\n3,4"), record("1\n2", "a,b\n5,x\n7,8"), record("1", "3,4")])
@example([record("1", "a,true\nx,2"), record("1", part(base64.b64encode(b"a,true\ny,2").decode(), "BASE64"))])
@example([record("1\n2\n3", "a\rb\n1")] * 2)
@example([record("1\n2", '"two\nlines",a\n0,0'), record("1\n2", '"two\nlines",0\n0,0')])
@example([record(part('{"predictions": [{"a": 0, "b": "x"}, {"b": "x", "a": 0}]}', "JSON"), "0")])
@example([record("a", part('{"a": [[false]]}', "JSON")), record("a", part('{"b": null}', "JSON"))])
@example(
    [  # a line of CSV among objects that are written column by column is one row
        record("0", "0"),
        record("0,0\n0,0", {"predictions": [{"a": 0, "b": "x"}] * 2}),
        record("0", "0,0"),
    ]
)
@example([record("0", {"a": 0, "c": None, "b": "x"}), record("0", {"a": None, "c": {"x": False}})])
@example([record("0", {"a": None, "c": {"x": False}}), record([{"a": 0, "c": False}], {"a": 0, "c": None})])
@example([record({"a": None}, "0"), record({"a": None}, "0,0"), record("0", "0")])
@example([record("0", part('[{"a": 0, "b": "x"}, {"a": 0, "b": "x", "c": null}]', "JSON"))])
@example([record({"a": 1, "b": 2}, {"a": 0}), record('"a,b"', "1"), record("1,1", "1")])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(captured())
def test_captures_are_read_as_the_plain_reader_reads_them(records):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.jsonl", records)
        try:
            request = Dataset(str(path), DatasetFormat("sagemakerCaptureJson"))
            plan_dataset(request)
        except DatasetError as error:
            if error.code in ("captures.uneven", "captures.rows_within"):
                return  # refused, since both sides contradict each other
            raise
        found = read_columns(path)
    expected = plain_reader.captures(records, SIDES, dict(request.said.call_rows.shapes))
    assert _order(found) == _order(expected)
    assert _comparable(found) == _comparable(expected)


@pytest.mark.parametrize(
    "payloads",
    [
        ("0.5", "1,2,a"),
        ("0.5\n0.25\n", '1,"x, y"\n2,z'),
        ("0.5", None),
        ({"score": 0.5}, {"a": 1, "b": {"c": ["x", "2026-05-06"]}}),
        ({"predictions": [1, 2]}, {"instances": [[1, 2], [3, 4]]}),
        ({"predictions": [1]}, {"instances": [{"a": 1}]}),
        ([0.5, 0.5], "1,2"),
        ([[0.5, 0.5]], {"a": 1}),
        (0.5, "1,2"),
        ("1", {"a": 1}),
    ],
)
@pytest.mark.parametrize("indices", [("endpointInput", "endpointOutput"), ("endpointOutput",)])
def test_common_shapes_are_read_in_bulk(tmp_path, payloads, indices, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("read record by record")

    path = write(tmp_path / "a.jsonl", [record(*payloads)] * 3)
    monkeypatch.setattr(Decoder, "_rows", refuse)
    assert read_columns(path, indices=indices)
