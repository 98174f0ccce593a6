import datetime
import decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import DatasetError
from readers.flatten import flatten_batch, rows_to_batch


def _batch(kind, values, name="a"):
    return pa.RecordBatch.from_arrays([pa.array(values, kind)], names=[name])


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.date32(), [datetime.date(2026, 5, 6), None], ["2026-05-06", None]),
        (pa.time64("us"), [datetime.time(1, 2, 3, 40)], ["01:02:03.00004"]),
        (pa.time32("s"), [datetime.time(1, 2, 30)], ["01:02:30"]),
        (pa.timestamp("s"), [datetime.datetime(2026, 5, 6, 7, 8, 10)], ["2026-05-06T07:08:10"]),
        (pa.timestamp("us"), [datetime.datetime(2026, 5, 6, 7, 8, 10)], ["2026-05-06T07:08:10"]),
        (
            pa.timestamp("ms", "Europe/Paris"),
            [datetime.datetime(2026, 5, 6, 7, 8, 9, 120000, tzinfo=datetime.UTC), None],
            ["2026-05-06T07:08:09.12Z", None],
        ),
        (pa.decimal128(6, 2), [decimal.Decimal("12.50"), None], [12.5, None]),
        (pa.decimal128(38, 0), [decimal.Decimal("12"), None], [12, None]),
        (pa.decimal128(38, 0), [decimal.Decimal(2**63)], [2**63]),
        (pa.decimal128(38, 0), [decimal.Decimal(2**64)], [2.0**64]),
        (pa.duration("ms"), [datetime.timedelta(seconds=1.5)], [1.5]),
        (pa.binary(), [b"text", b"\xff\x00", None], ["text", "ff00", None]),
        (pa.binary(2), [b"ab", b"\xff\xfe"], ["ab", "fffe"]),
        (pa.binary_view(), [b"ab", None], ["ab", None]),
        (pa.string_view(), ["ab", None], ["ab", None]),
        (pa.month_day_nano_interval(), [None], [None]),
    ],
)
def test_values_of_other_kinds(kind, values, expected):
    flat = flatten_batch(_batch(kind, values))
    assert flat.to_pydict() == {"a": expected}
    assert flat.schema.types[0] in (pa.string(), pa.float64(), pa.int64(), pa.uint64())


@given(st.lists(st.decimals(-9999, 9999, places=2, allow_nan=False), min_size=1))
def test_decimals_become_the_nearest_float(values):
    flat = flatten_batch(_batch(pa.decimal128(6, 2), values))
    assert flat.to_pydict() == {"a": [float(value) for value in values]}


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int8()),
        pa.large_list(pa.int8()),
        pa.list_view(pa.int8()),
        pa.large_list_view(pa.int8()),
        pa.list_(pa.int8(), 2),
    ],
)
def test_lists_get_numbered_columns(kind):
    batch = _batch(kind, [[9, 9], [1, 2], None, [3, 4]])
    assert flatten_batch(batch).to_pydict() == {"a.0": [9, 1, None, 3], "a.1": [9, 2, None, 4]}
    assert flatten_batch(batch.slice(1)).to_pydict() == {"a.0": [1, None, 3], "a.1": [2, None, 4]}


def test_ragged_lists_are_padded():
    flat = flatten_batch(_batch(pa.list_(pa.string()), [["x"], [], ["y", None, "z"]]))
    assert flat.to_pydict() == {"a.0": ["x", None, "y"], "a.1": [None, None, None], "a.2": [None, None, "z"]}


def test_maps_and_structs_get_dotted_names():
    flat = flatten_batch(_batch(pa.map_(pa.string(), pa.int32()), [[("k", 1), ("l", 2)], None, [("l", 3)]]))
    assert flat.to_pydict() == {"a.k": [1, None, None], "a.l": [2, None, 3]}
    struct = pa.struct([("x", pa.list_(pa.struct([("y", pa.bool_())])))])
    assert flatten_batch(_batch(struct, [{"x": [{"y": True}]}, None])).to_pydict() == {
        "a.x.0.y": [True, None]
    }


def test_dictionaries():
    encoded = pa.array(["p", None, "q"]).dictionary_encode()
    unusual = encoded.cast(pa.dictionary(pa.uint8(), pa.large_string()))
    numbers = pa.array([1, 2, 1]).dictionary_encode()
    flat = flatten_batch(pa.RecordBatch.from_arrays([encoded, unusual, numbers], names=["a", "b", "c"]))
    assert flat.schema.types == [pa.dictionary(pa.int32(), pa.string())] * 2 + [pa.int64()]
    assert flat.to_pydict() == {"a": ["p", None, "q"], "b": ["p", None, "q"], "c": [1, 2, 1]}


def test_flat_batches_pass_untouched():
    batch = pa.RecordBatch.from_pydict({"a": [1], "b": ["x"]}, metadata={"k": "v"})
    assert flatten_batch(batch) is batch


def test_metadata_is_kept():
    batch = _batch(pa.date32(), [None]).replace_schema_metadata({"k": "v"})
    assert flatten_batch(batch).schema.metadata == {b"k": b"v"}


def test_clashing_names_are_named():
    batch = pa.RecordBatch.from_pylist([{"a.b": 1, "a": {"b": 2}}])
    with pytest.raises(DatasetError, match=r"'a\.b' and 'a' both become the column 'a\.b'"):
        flatten_batch(batch)
    with pytest.raises(DatasetError) as caught:
        flatten_batch(pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    assert (caught.value.code, caught.value.field) == ("tables.twice", "a")
    with pytest.raises(DatasetError, match=r"both become the column 'a\.b'"):
        rows_to_batch([{"a.b": 1, "a": {"b": 2}}])


def test_columns_that_vanish_keep_the_rows():
    assert flatten_batch(_batch(pa.list_(pa.int8()), [[], None])).num_rows == 2
    assert rows_to_batch([{}, {}]).num_rows == 2


def test_python_rows_find_their_types():
    rows = [
        {"int": 1, "mixed": 1, "both": 1, "flag": True, "flags": True, "huge": 1},
        {"int": None, "mixed": "x", "both": 0.5, "flag": None, "flags": 2, "huge": 2**64, "late": None},
        {"mixed": 2.0},
    ]
    assert rows_to_batch(rows).to_pydict() == {
        "int": [1, None, None],
        "mixed": ["1", "x", "2.0"],
        "both": [1.0, 0.5, None],
        "flag": [True, None, None],
        "flags": ["true", "2", None],
        "huge": [1.0, 2.0**64, None],
        "late": [None, None, None],
    }


def test_text_only_rows_keep_how_numbers_are_written():
    batch = rows_to_batch([{"a": 1, "b": 0.0, "c": True, "d": "x", "e": float("nan")}], text_only=True)
    assert batch.to_pydict() == {"a": ["1"], "b": ["0.0"], "c": ["true"], "d": ["x"], "e": [None]}


def test_objects_beyond_json_name_their_column():
    with pytest.raises(DatasetError, match=r"holds a value of type object") as caught:
        rows_to_batch([{"a": object()}])
    assert (caught.value.code, caught.value.field) == ("tables.value", "a")


_scalars = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), _values), max_size=5))
def test_rows_flatten_as_arrow_does(rows):
    try:
        expected = flatten_batch(pa.RecordBatch.from_struct_array(pa.array(rows)))
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        return  # values of several kinds: only Python rows may mix them
    if not rows:
        return
    found = rows_to_batch(rows)
    assert {k: v for k, v in found.to_pydict().items() if any(x is not None for x in v)} == {
        k: v for k, v in expected.to_pydict().items() if any(x is not None for x in v)
    }
