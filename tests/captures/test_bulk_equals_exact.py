"""The bulk path may refuse a block, but must never read it differently."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from capture_data import part, read_columns, record, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract.errors import DatasetError
from readers.captures import columns, envelope
from readers.lanes import NotBulkError

_cells = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False).map(repr),
    st.sampled_from(
        ["", "a", "true", '""', '"a,b"', '"x""y"', 'i"n', " 1", "é", "0x1F", "007", "1e5", "NaN"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters='\x00"\r\n,'), max_size=4),
)


def _lines(cells, least=1, most=3):
    return st.lists(cells, min_size=least, max_size=most).map(",".join)


_newlines = st.sampled_from(["", "\n", "\r\n"])
_csv = st.tuples(_lines(_cells), _newlines).map("".join)
_csv_even = st.tuples(_lines(_cells, 2, 2), _newlines).map("".join)
_csv_rows = st.lists(_lines(_cells, 2, 2), min_size=1, max_size=3).map("\n".join)

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "2026-05-06", "2026-05-06T01:02:03Z", "7", "é\u2028"]),
)
_numbers = st.integers(-5, 5) | st.floats(-5, 5)
_names = st.sampled_from(["a", "b", "c"])
_flat_objects = st.fixed_dictionaries(
    {"a": _numbers, "b": st.sampled_from(["x", "y"])}, optional={"c": _scalars}
)
_objects = st.dictionaries(
    _names, st.recursive(_scalars, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
)
_row_lists = st.one_of(
    st.lists(_flat_objects, min_size=1, max_size=3),
    st.lists(st.lists(_numbers, min_size=2, max_size=2), min_size=1, max_size=3),
    st.lists(_numbers, min_size=0, max_size=3),
    st.lists(st.sampled_from(["x", "1"]), max_size=2),
)
_batch = _row_lists.map(lambda rows: {"predictions": rows})
_json_kinds = [_flat_objects, _objects, _row_lists, _batch, _numbers]


@st.composite
def _captures(draw):
    """Draw records of one endpoint: payloads of one kind each way, mostly."""
    kinds = [_csv, _csv_even, _csv_even, _csv_rows, *_json_kinds]
    output, request = draw(st.sampled_from(kinds)), draw(st.sampled_from(kinds))
    missing = draw(st.sampled_from([0.0, 0.3]))
    records = []
    for _ in range(draw(st.integers(1, 6))):
        sides = [
            None if draw(st.floats(0, 1)) < missing else _part(draw(payload)) for payload in (output, request)
        ]
        records.append(record(*sides))
    return records


def _part(payload):
    return part(payload) if isinstance(payload, str) else part(json.dumps(payload), "JSON")


def _refuse(*_, **__):
    raise NotBulkError("not now")


def _comparable(columns):
    """Leave out columns without any value: which of them show is no difference."""
    plain = {
        name: [None if value != value else value for value in values]  # NaN is missing too
        for name, values in columns.items()
    }
    return {name: values for name, values in plain.items() if any(value is not None for value in values)}


# Members of a list's elements in different orders.
_REORDERED = [record(part('{"predictions": [{"a": 0, "b": "x"}, {"b": "x", "a": 0}]}', "JSON"), "0")]
# One list by itself, as rows are written, beside an object with another member.
_LONE_LIST = [
    record(part('{"a": null}', "JSON"), part('{"a": [[false]]}', "JSON")),
    record(part("{}", "JSON"), part('{"b": null}', "JSON")),
]


@example(_REORDERED, False, ("endpointInput", "endpointOutput"))
@example(_LONE_LIST, False, ("endpointInput", "endpointOutput"))
@settings(max_examples=150)
@given(
    _captures(),
    st.booleans(),
    st.sampled_from([("endpointInput", "endpointOutput"), ("endpointInput",), ("endpointOutput",)]),
)
def test_bulk_equals_exact(records, text_only, indices):
    if text_only and len({p["encoding"] for r in records for p in r["captureData"].values()}) > 1:
        return  # refused by those rules
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write(Path(folder) / "a.jsonl", records)
        try:
            bulk = read_columns(path, text_only=text_only, indices=indices)
        except DatasetError as error:
            if "another number of rows" in error.message:
                return  # refused, since both sides contradict each other
            raise
        patch.setattr(columns, "_csv_rows", _refuse)
        patch.setattr(columns, "json_array", _refuse)
        patch.setattr(envelope, "read_json", _refuse)
        exact = read_columns(path, text_only=text_only, indices=indices)
    assert list(_comparable(bulk)) == list(_comparable(exact))
    assert _comparable(bulk) == _comparable(exact)


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
    monkeypatch.setattr(columns.Decoder, "_rows", refuse)
    assert read_columns(path, indices=indices)
