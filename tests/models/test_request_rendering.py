"""Rows as requests: what a server parses is what the rows were."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError
from model_clients.codec import json_renderer, json_templates, render_csv
from model_clients.endpoints import identical_rows
from model_clients.model import plain

LINES = "application/jsonlines"
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=64)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
COLUMN_KINDS = {
    "int": (INTEGERS, pa.int64()),
    "float": (FLOATS, pa.float64()),
    "text": (TEXTS, pa.string()),
    "bool": (st.booleans(), pa.bool_()),
    "dictionary": (TEXTS, pa.dictionary(pa.int32(), pa.string())),
}


@st.composite
def tables(draw: Any, kinds: tuple[str, ...] = tuple(COLUMN_KINDS)) -> pa.RecordBatch:
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5))
    rows = draw(st.integers(1, 6))
    columns = []
    for kind in chosen:
        values, arrow = COLUMN_KINDS[kind]
        listed = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns.append(
            pa.array(listed, pa.string()).cast(arrow) if kind == "dictionary" else pa.array(listed, arrow)
        )
    return pa.RecordBatch.from_arrays(columns, names=[f"column {number}" for number in range(len(columns))])


def sent(table: pa.RecordBatch) -> list[list[Any]]:
    """Return the values a server should see: NaN and infinity cannot be sent but as missing."""
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [
        [None if isinstance(value, float) and not math.isfinite(value) else value for value in row]
        for row in rows
    ]


def shape(predictor: PredictorConfig) -> Any:
    return json_renderer(*json_templates(predictor, predictor.content_type == LINES))


@given(tables())
def test_json_lines_carry_the_rows(table: pa.RecordBatch) -> None:
    render = shape(PredictorConfig(content_type=LINES, content_template='{"data":{"features":$features}}'))
    lines = render(plain(table)).decode().split("\n")
    assert [json.loads(line)["data"]["features"] for line in lines] == sent(table)


@given(tables())
def test_json_carries_the_rows_and_names(table: pa.RecordBatch) -> None:
    predictor = PredictorConfig(
        content_type="application/json",
        content_template='{"instances":$records,"names":$feature_names}',
        record_template='{"features":$features,"100%":1}',
    )
    document = json.loads(shape(predictor)(plain(table)))
    assert [record["features"] for record in document["instances"]] == sent(table)
    assert document["names"] == table.schema.names


@given(tables())
def test_json_carries_names_with_values(table: pa.RecordBatch) -> None:
    predictor = PredictorConfig(
        content_type="application/json", content_template="$records", record_template="$features_kvp"
    )
    records = json.loads(shape(predictor)(plain(table)))
    assert records == [dict(zip(table.schema.names, row, strict=True)) for row in sent(table)]


@given(tables())
def test_any_structure_can_be_written(table: pa.RecordBatch) -> None:
    name = table.schema.names[-1]
    predictor = PredictorConfig(
        content_type="application/json",
        content_template='{"a":$records}',
        record_template=f'{{"nested":{{"%s":"${{{name}}}"}},"all":$features,"names":$feature_names}}',
    )
    records = json.loads(shape(predictor)(plain(table)))["a"]
    assert [record["nested"]["%s"] for record in records] == [row[-1] for row in sent(table)]
    assert [record["all"] for record in records] == sent(table)


@given(tables(("int", "float", "text", "dictionary")))
def test_csv_carries_the_rows(table: pa.RecordBatch) -> None:
    # A line without any character is no row to most readers.
    assume(table.num_columns > 1 or not sum(value is None for row in sent(table) for value in row))
    rows = list(csv.reader(io.StringIO(render_csv(plain(table)).decode(), newline="")))
    expected = sent(table)
    assert rows == [
        [_cell(cell, value) for cell, value in zip(row, values, strict=True)]
        for row, values in zip(rows, expected, strict=True)
    ]


def _cell(cell: str, value: Any) -> str:
    """Return the cell when it stands for the value, else what should be there."""
    if value is None:
        return ""
    if isinstance(value, float):
        return cell if cell and float(cell) == value else repr(value)
    return str(value)


def test_integers_stay_integers_and_texts_are_quoted() -> None:
    table = pa.record_batch({"n": [1, 2**53 + 1], "x": [0.1, 1.0], "s": ['say "hi"', "a,b"]})
    assert render_csv(table) == b'1,0.1,"say ""hi"""\n9007199254740993,1,"a,b"'
    assert render_csv(table.select(["n", "x"])) == b"1,0.1\n9007199254740993,1.0"
    render = shape(PredictorConfig(content_type=LINES, content_template="$features"))
    assert render(table) == b'[1,0.1,"say \\"hi\\""]\n[9007199254740993,1.0,"a,b"]'


@given(tables())
def test_identical_rows_are_found(table: pa.RecordBatch) -> None:
    table = plain(table.take(pa.array([0, *range(table.num_rows)])))
    found = identical_rows(table)
    assert found is not None
    first, kinds = found
    rows = [tuple(map(repr, row)) for row in sent(table)]
    assert [rows[first[kind]] for kind in kinds] == rows
    assert len(first) == len(set(rows))


def test_different_rows_are_all_sent() -> None:
    assert identical_rows(pa.record_batch({"a": [1, 2], "b": [0.0, -0.0]})) is None
    assert identical_rows(pa.record_batch({"a": pa.array([None, 0]), "b": [1, 1]})) is None


def test_identical_rows_among_many_are_found_when_they_are_worth_it() -> None:
    values = np.arange(40_000) % 20_000
    found = identical_rows(pa.record_batch({"a": values, "b": values / 3.0}))
    assert found is not None
    first, kinds = found
    np.testing.assert_array_equal(first, np.arange(20_000))
    np.testing.assert_array_equal(kinds, values)
    lone_twin = np.append(np.arange(39_999), 0)
    assert identical_rows(pa.record_batch({"a": lone_twin})) is None


@pytest.mark.parametrize(
    ("predictor", "complaint"),
    [
        (
            PredictorConfig(content_type=LINES),
            "predictor.content_template is missing, which requests of type",
        ),
        (PredictorConfig(content_type=LINES, content_template="{}"), r"must hold \$features once"),
        (
            PredictorConfig(content_type=LINES, content_template="[$features,$features]"),
            r"must hold \$features once",
        ),
        (
            PredictorConfig(content_type=LINES, content_template='{"a":$feature}'),
            r"did you mean \$features\?",
        ),
        (PredictorConfig(content_type=LINES, content_template='{"a":$features'), "is not JSON once its"),
        (
            PredictorConfig(content_type=LINES, content_template='{"a":"$features"}'),
            r"has \$features in quotes",
        ),
        (PredictorConfig(content_template='{"a":$records}'), "predictor.record_template is missing"),
        (
            PredictorConfig(content_template="{}", record_template="$features"),
            r"must hold \$records or \$record; requests",
        ),
        (
            PredictorConfig(content_template="[$records,$record]", record_template="$features"),
            "must hold either",
        ),
        (PredictorConfig(content_template="$records", record_template="$feature_names"), "carry no data"),
        (
            PredictorConfig(content_template="$records", record_template="$row"),
            r"\$row, which has no meaning",
        ),
        (PredictorConfig(content_template={"a": "b"}), "is an object, which only time series have"),
    ],
)
def test_templates_that_cannot_work(predictor: PredictorConfig, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        shape(predictor)


def test_a_feature_that_is_not_there_is_named() -> None:
    predictor = PredictorConfig(content_template="$records", record_template='{"a":"${Age}"}')
    with pytest.raises(ConfigurationError, match=r"holds \$\{Age\}, but the features are age, income"):
        shape(predictor)(pa.record_batch({"age": [1], "income": [2]}))
