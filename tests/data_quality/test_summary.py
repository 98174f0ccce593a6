import math
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzers.data_quality.column_summary import ColumnSummary
from analyzers.data_quality.describe import describe
from analyzers.data_quality.documents import statistics_to_json
from analyzers.data_quality.sketches import weighted_values
from analyzers.data_quality.summary import (
    DatasetSummary,
    SummaryOptions,
    _at_least_distinct,
    begin_passes,
    merge,
    summarize,
)
from analyzers.data_quality.text import CellKind
from contract import json_layout

SMALL = SummaryOptions(max_categories=3)
OPTIONS = [
    SummaryOptions(text_hash=text_hash, arrival_order=arrival_order, max_categories=3)
    for text_hash in (False, True)
    for arrival_order in (False, True)
]

NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [0.0, -0.0, 1.0, 2.5, 1e308, -1e308]
)
TEXTS = st.sampled_from(
    ["", "1", "1.0", "-2", "+5", "- 5", " 7", "1e3", "1e999", "true", "false", "NaN", ".5", "5.", "a", "ä€"]
)
ARROW_INTEGERS = {
    pa.int8(): 7,
    pa.int16(): 15,
    pa.int32(): 31,
    pa.int64(): 63,
    pa.uint8(): 8,
    pa.uint16(): 16,
    pa.uint32(): 32,
    pa.uint64(): 64,
}


@st.composite
def arrays(draw, rows: int):
    """A column of any type the convention allows, sometimes sliced."""
    kind = draw(st.sampled_from(["float", "float32", "integer", "boolean", "null", "text", "dictionary"]))
    cells = {
        "float": NUMBERS,
        "float32": st.floats(width=32),
        "boolean": st.booleans(),
        "null": st.none(),
        "text": TEXTS,
        "dictionary": TEXTS,
    }
    if kind == "integer":
        arrow_type, bits = draw(st.sampled_from(sorted(ARROW_INTEGERS.items(), key=str)))
        low = 0 if pa.types.is_unsigned_integer(arrow_type) else -(2**bits)
        values = st.integers(low, 2**bits - 1) | st.integers(0, 3)
    else:
        arrow_type = {
            "float": pa.float64(),
            "float32": pa.float32(),
            "boolean": pa.bool_(),
            "null": pa.null(),
            "text": draw(st.sampled_from([pa.string(), pa.large_string()])),
            "dictionary": pa.dictionary(
                draw(st.sampled_from([pa.int8(), pa.int32(), pa.int64()])), pa.string()
            ),
        }[kind]
        values = cells[kind]
    skipped = draw(st.integers(0, 2))
    items = draw(st.lists(values | st.none(), min_size=rows + skipped, max_size=rows + skipped))
    return pa.array(items, arrow_type)[skipped:]


@st.composite
def batches(draw):
    rows = draw(st.integers(0, 12))
    names = draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
    columns = [draw(arrays(rows)) for _ in names]
    if not columns:
        return pa.RecordBatch.from_pylist([{"z": None}] * rows, schema=pa.schema({"z": pa.null()}))
    return pa.RecordBatch.from_arrays(columns, names=names)


def finite(value):
    return value is not None and math.isfinite(value)


def assert_same(left: DatasetSummary, right: DatasetSummary) -> None:
    assert left.row_count == right.row_count
    assert list(left.columns) == list(right.columns)
    for name, column in left.columns.items():
        assert_same_column(column, right.columns[name])


def assert_same_column(left: ColumnSummary, right: ColumnSummary) -> None:
    assert left.cells.tolist() == right.cells.tolist()
    assert np.array_equal(left.distinct.registers, right.distinct.registers)
    assert left.values == right.values
    assert left.moments.count == right.moments.count
    assert left.moments.minimum == right.moments.minimum
    assert left.moments.maximum == right.moments.maximum
    assert left.all_numbers().weight == right.all_numbers().weight == left.moments.count
    scale = max(abs(left.moments.minimum), abs(left.moments.maximum)) if left.moments.count else 0
    if scale < 1e150:
        assert left.moments.total == pytest.approx(right.moments.total, abs=1e-9 * left.moments.count * scale)
        assert left.moments.squares == pytest.approx(right.moments.squares, abs=1e-9 * scale**2)


def copy(summary: DatasetSummary) -> DatasetSummary:
    return pickle.loads(pickle.dumps(summary))


@settings(max_examples=150)
@given(st.lists(batches(), max_size=5), st.sampled_from(OPTIONS), st.data())
def test_merge_is_associative_and_equals_one_pass(parts, options, data):
    whole = summarize(parts, options)
    summaries = [summarize([part], options) for part in parts]
    forward = DatasetSummary()
    for summary in summaries:
        forward = merge(forward, copy(summary))
    while len(summaries) > 1:
        place = data.draw(st.integers(0, len(summaries) - 2))
        summaries[place : place + 2] = [merge(summaries[place], summaries[place + 1])]
    assert_same(forward, whole)
    if summaries:
        assert_same(summaries[0], whole)
        assert_same(merge(copy(whole), DatasetSummary()), whole)


@given(
    batches(),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=4),
    st.sampled_from(OPTIONS),
)
def test_passes_that_take_turns_are_as_each_alone(batch, cuts, options):
    parts = [batch.slice(start, length) for start, length in cuts]
    begin = begin_passes(options)
    passes = [begin() for _ in parts]
    for one, part in zip(passes, parts, strict=True):
        one.add(part)
    for part, one in zip(parts, passes, strict=True):
        together = one.finish()
        apart = pa.RecordBatch.from_pylist(part.to_pylist(), part.schema)
        assert_same(together, summarize([apart], options))
        alone = summarize([part], options)
        assert written(together) == written(alone)


def written(summary: DatasetSummary) -> bytes:
    return json_layout.dumps(statistics_to_json(describe(summary, rules="sound"), True))


@given(st.lists(NUMBERS | st.sampled_from([math.nan, -math.nan]), max_size=300))
def test_values_that_differ_for_sure_are_never_too_many(values):
    array = np.array(values, dtype=np.float64)
    assert _at_least_distinct(array) <= np.unique(array).size
    random = np.random.default_rng(len(values)).normal(size=4096)
    assert 3_800 < _at_least_distinct(random) <= 4_096
    assert 3_800 < _at_least_distinct(np.arange(4_096)) <= 4_096


@settings(max_examples=150)
@given(st.lists(batches(), max_size=4), st.sampled_from(OPTIONS), st.sampled_from(["sound", "sagemaker"]))
def test_statistics_are_strict_json_whatever_the_data(parts, options, rules):
    statistics = describe(summarize(parts, options), rules=rules)
    document = json_layout.loads(json_layout.dumps(statistics_to_json(statistics)), "statistics.json")
    assert document["dataset"]["item_count"] == sum(part.num_rows for part in parts)
    for feature in statistics.features:
        assert feature.num_present + feature.num_missing == statistics.item_count
        assert sum(feature.data_types.values()) == feature.num_present


@given(st.lists(batches(), max_size=4), st.sampled_from(OPTIONS))
def test_order_of_batches_changes_no_count(parts, options):
    forward, backward = summarize(parts, options), summarize(parts[::-1], options)
    assert forward.row_count == backward.row_count
    assert set(forward.columns) == set(backward.columns)
    for name, column in forward.columns.items():
        assert_same_column(column, backward.columns[name])


@pytest.mark.parametrize("text_hash", [False, True])
@pytest.mark.parametrize("arrival_order", [False, True])
@pytest.mark.parametrize("distinct", [3, 900, 9000, 0])
@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "int16", "uint64", "text"])
def test_large_columns_agree_with_numpy(kind, distinct, arrival_order, text_hash):
    generator = np.random.default_rng(distinct)
    rows = 100_000
    values = generator.integers(0, distinct or 30_000, size=rows).astype(np.float64)
    if kind.startswith("float") or kind == "text":
        values = (values if distinct else generator.normal(size=rows)) * 0.25
    values = values.astype("float64" if kind == "text" else kind)
    missing = generator.random(rows) < 0.02
    cells = [repr(float(value)) for value in values] if kind == "text" else values
    table = pa.table({"x": pa.array(cells, mask=missing)})
    options = SummaryOptions(text_hash=text_hash, arrival_order=arrival_order, max_categories=1000)
    summary = summarize(table.to_batches(max_chunksize=65_536), options)
    column, kept = summary.columns["x"], values[~missing].astype(np.float64)

    assert column.missing == missing.sum()
    assert column.moments.count == kept.size
    assert column.moments.mean == pytest.approx(kept.mean(), rel=1e-9, abs=1e-9)
    assert column.moments.standard_deviation == pytest.approx(kept.std(), rel=1e-9)
    assert (column.moments.minimum, column.moments.maximum) == (kept.min(), kept.max())
    unique = np.unique(kept)
    assert column.values.overflowed == (unique.size > 2000)
    assert column.distinct.estimate() == pytest.approx(unique.size, rel=0.25, abs=1)
    integral_valued = int(np.count_nonzero(kept == np.floor(kept)))
    if "int" in kind:
        assert column.cells[CellKind.INTEGRAL] == kept.size
    else:
        assert column.cells[CellKind.INTEGRAL_VALUED] == integral_valued
        assert column.cells[CellKind.FRACTIONAL] == kept.size - integral_valued
    items, weights = weighted_values(column.all_numbers().levels)
    assert weights.sum() == kept.size
    shares = np.searchsorted(np.sort(kept), items, side="right") / kept.size
    estimated = np.cumsum(weights)[np.searchsorted(items, items, side="right") - 1] / kept.size
    assert np.abs(shares - estimated).max() < 0.02


def test_one_and_one_point_zero_are_one_value_unless_told_apart():
    batch = pa.record_batch({"x": ["1", "1.0", "2"]})
    sound, text = (summarize([batch], SummaryOptions(text_hash=flag)).columns["x"] for flag in (False, True))
    assert (sound.distinct.estimate(), text.distinct.estimate()) == (2, 3)


def test_zeros_of_either_sign_are_one_value():
    for arrival_order in (False, True):
        options = SummaryOptions(arrival_order=arrival_order, max_categories=1000)
        summary = summarize([pa.record_batch({"x": [0.0, -0.0]})], options)
        assert summary.columns["x"].distinct.estimate() == 1
        assert summary.columns["x"].values.floats == {0.0: 2}


def test_integers_beyond_float64_stay_apart():
    ids = np.arange(5000, dtype=np.int64) + 2**60
    column = summarize([pa.record_batch({"id": ids})], SMALL).columns["id"]
    assert column.distinct.estimate() == pytest.approx(5000, rel=0.25)


def test_absent_columns_count_as_missing():
    parts = [pa.record_batch({"a": [1, 2]}), pa.record_batch({"b": ["x", None, "y"]})]
    summary = summarize(parts, SMALL)
    assert {name: column.missing for name, column in summary.columns.items()} == {"a": 3, "b": 3}


def test_positional_columns_are_known_as_such():
    schema = pa.schema({"_c0": pa.int64()}, metadata={b"positional": b"true"})
    positional = summarize([pa.record_batch([[1]], schema=schema)], SMALL)
    assert positional.positional
    assert merge(DatasetSummary(), positional).positional
    assert not summarize([pa.record_batch({"a": [1]})], SMALL).positional


def test_a_type_outside_the_convention_is_our_fault():
    with pytest.raises(TypeError, match="'day' has the Arrow type date32"):
        summarize([pa.record_batch({"day": pa.array([1], pa.date32())})], SMALL)


def test_a_dictionary_may_change_between_batches():
    parts = [
        pa.record_batch({"x": pa.array(texts, pa.dictionary(pa.int32(), pa.string()))})
        for texts in (["a", "b"], ["b", "a"], ["b", "c", None, ""])
    ]
    column = summarize(parts, SMALL).columns["x"]
    assert column.values.texts == {"a": 2, "b": 3, "c": 1}
    assert column.missing == 2


def test_summaries_stay_small_however_many_rows():
    generator = np.random.default_rng(0)
    batch = pa.record_batch(
        {
            "number": generator.normal(size=65_536),
            "text": pa.array([f"id-{n}" for n in range(65_536)]),
            "mixed": pa.array([str(n / 7) for n in range(65_536)]),
        }
    )
    once = len(pickle.dumps(summarize([batch], SummaryOptions(arrival_order=False))))
    often = len(pickle.dumps(summarize([batch] * 8, SummaryOptions(arrival_order=False))))
    assert often < 1.3 * once < 200_000
