"""The flip test against a plain search for neighbours, and against two runs of the real service."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st
from sentences import says

from analyzers.bias import flip_test as module
from analyzers.bias import flip_test as neighbours
from analyzers.bias.analyzer import BiasAnalyzer
from analyzers.bias.flip_test import flip_test
from analyzers.bias.metrics import Floats
from analyzers.bias.summary import BiasRequest, FacetRequest

_HEADERS = (
    *("Age", "Workclass", "fnlwgt", "Education", "Education-Num", "Marital Status", "Occupation"),
    *("Relationship", "Ethnic group", "Sex", "Capital Gain", "Capital Loss", "Hours per week", "Country"),
)


def _plain(features: Floats, inside: Any, predicted: Any) -> float:
    """Return FT by comparing every row of the group with every other."""
    others, group = features[~inside], features[inside]
    k = 5 if len(others) >= 10 else 1
    distances = ((group[:, None, :] - others[None, :, :]) ** 2).sum(axis=2)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    votes = predicted[~inside][nearest].mean(axis=1) > 0.5
    own = predicted[inside]
    return float(((own & ~votes).sum() - (~own & votes).sum()) / len(own))


@given(
    seed=st.integers(0, 10_000),
    size=st.integers(2, 400),
    width=st.integers(1, 12),
    scales=st.sampled_from(["same", "different"]),
    copies=st.integers(1, 6),
)
def test_votes_are_those_of_a_plain_search(
    seed: int, size: int, width: int, scales: str, copies: int
) -> None:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(size, width))
    if scales == "different":
        features *= 10.0 ** generator.integers(-3, 6, width)
    inside, predicted = generator.random((2, size)) < 0.4
    inside[0], inside[1] = True, False
    features, inside, predicted = (np.repeat(each, copies, axis=0) for each in (features, inside, predicted))
    assert flip_test(features, inside, predicted)[0] == pytest.approx(_plain(features, inside, predicted))


def test_both_searches_are_exact() -> None:
    generator = np.random.default_rng(3)
    for width in (1, 3, 9):
        points, queries = generator.normal(size=(3_000, width)), generator.normal(size=(200, width))
        expected = np.argsort(((queries[:, None] - points[None]) ** 2).sum(axis=2), axis=1)[:, :5]
        np.testing.assert_array_equal(neighbours._by_tree(points, queries, 5, np.arange(width)), expected)
        np.testing.assert_array_equal(neighbours._by_blocks(points, queries, 5), expected)
        # Far from the origin, squares lose digits; the nearest few are compared without them.
        np.testing.assert_array_equal(neighbours._by_blocks(points + 1e5, queries + 1e5, 5), expected)


def test_columns_of_equal_weight_are_compared_block_by_block() -> None:
    generator = np.random.default_rng(4)
    features = generator.normal(size=(3_000, 12))
    assert neighbours.compares_all(features, 5)
    features[:, 0] *= 1e5
    assert not neighbours.compares_all(features, 5)


@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from([0.0, -0.0, 1.5])), min_size=1, max_size=30))
def test_distinct_rows_keep_the_order_of_the_first(rows: list[tuple[int, float]]) -> None:
    matrix = np.array(rows, dtype=np.float64)
    distinct, places = neighbours.distinct_rows(matrix)
    assert [tuple(row) for row in distinct] == list(dict.fromkeys(rows))
    np.testing.assert_array_equal(distinct[places], matrix)


def test_too_many_pairs_are_sampled_from_the_group() -> None:
    generator = np.random.default_rng(6)
    features = generator.normal(size=(4_000, 12))
    inside, predicted = generator.random((2, 4_000)) < 0.5
    every, rows = flip_test(features, inside, predicted)
    some, asked = flip_test(features, inside, predicted, most_pairs=1_000_000)
    assert rows == int(inside.sum())
    assert 400 <= asked <= 600
    assert some == pytest.approx(every, abs=0.15)
    assert module.MOST_PAIRS > 1_000_000


# --- the real service -------------------------------------------------------------------------------------


def _instances(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [record["features"][place] for record in records] for place, name in enumerate(_HEADERS)}


def _flips(columns: dict[str, list[Any]], copies: int) -> float | None:
    request = BiasRequest("Target", (1,), (FacetRequest(("Sex",), (0,)),), predicted_label="Predicted")
    analyzer = BiasAnalyzer("sagemaker", request)
    batch = pa.RecordBatch.from_pydict(columns)
    metric = analyzer.describe(analyzer.summarize([batch] * copies)).facets[0].metric("FT")
    assert metric is not None
    return None if metric.value is None else float(metric.value)


def test_the_baseline_of_the_service() -> None:
    data = json.loads(fixture("clarify/adult_json/validation-dataset.json").read_bytes())["instances"]
    predictions = json.loads(fixture("clarify/adult_json/validation_predictions.json").read_bytes())
    columns = _instances(data)
    columns["Target"] = [record["label"] for record in data]
    columns["Predicted"] = predictions["predicted_label"]
    assert _flips(columns, 1) == pytest.approx(-0.03333333333333333, rel=1e-12)


def test_copies_of_a_record_outvote_its_neighbours() -> None:
    # The endpoint's monitor saw the same 334 rows ten times: five votes then come from copies of one row.
    path = fixture("clarify/aws_notebook_outputs/bias_endpoint_json_merged_record.json")
    record = json.loads(path.read_bytes())
    data = json.loads(record["captureData"]["endpointInput"]["data"])["instances"]
    output = json.loads(record["captureData"]["endpointOutput"]["data"])["predictions"]
    labels = json.loads(record["groundTruthData"]["data"])["instances"]
    columns = _instances(data)
    columns["Target"] = [each["label"] for each in labels]
    columns["Predicted"] = [int(each["predicted_label"]) for each in output]
    assert _flips(columns, 1) == 0.0
    assert _flips(columns, 10) == pytest.approx(-0.13636363636363635, rel=1e-12)


# --- what it needs ----------------------------------------------------------------------------------------


def _metric(columns: dict[str, list[Any]], rules: Any, **request: Any) -> Any:
    # As text, since Clarify takes whole numbers of so few rows for continuous.
    columns = {**columns, **{name: [["no", "yes"][each] for each in columns[name]] for name in ("y", "p")}}
    asked = BiasRequest("y", ("yes",), (FacetRequest(("g",), ("a",)),), predicted_label="p", **request)
    analyzer = BiasAnalyzer(rules, asked)
    statistics = analyzer.describe(analyzer.summarize([pa.RecordBatch.from_pydict(columns)]))
    return statistics.facets[0].metric("FT"), statistics.notes


def test_text_among_the_features_is_named_under_sound_rules() -> None:
    columns = {"g": ["a", "b"], "y": [0, 1], "p": [0, 1], "colour": ["red", "blue"]}
    for rules, named in (("sagemaker", ""), ("sound", ": 'colour'")):
        error = _metric(columns, rules)[0].error
        assert says(error, "flip_test.not_numeric", named=named)
        assert error.endswith(f"columns{named}")
    assert _metric(columns, "sound", features=())[0].value is not None


def test_rows_with_missing_features_are_left_out_under_sound_rules() -> None:
    columns = {"g": ["a", "b", "a", "b"], "y": [0, 1, 0, 1], "p": [0, 1, 0, 1], "x": [1.0, 2.0, None, 4.0]}
    metric, notes = _metric(columns, "sound")
    assert metric.value == -1.0
    assert any(note.startswith("1 row lacks a value") and "(FT)" in note for note in notes)
    assert _metric(columns, "sagemaker")[0].error.startswith("Input X contains NaN.")
    columns["x"] = [None] * 4
    assert _metric(columns, "sound")[0].error.startswith("The flip test needs rows")


def test_text_that_is_numbers_is_numbers_under_sound_rules() -> None:
    columns = {"g": ["a", "b", "b"], "y": [0, 1, 1], "p": [0, 1, 0], "x": ["1", "5", "2"]}
    assert _metric(columns, "sound")[0].value == 0.0
    assert _metric(columns, "sagemaker")[0].error is not None
