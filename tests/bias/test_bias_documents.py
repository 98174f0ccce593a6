"""Clarify's files and ours are read and written without loss."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st
from sentences import says

from analyzers.bias.analyzer import BiasAnalyzer
from analyzers.bias.documents import (
    BIAS,
    BiasStatistics,
    analysis_to_json,
    constraints_to_json,
    read_constraints,
    read_statistics,
    statistics_to_json,
)
from analyzers.bias.summary import BiasRequest, FacetRequest
from analyzers.shared import analysis_json
from contract.errors import DocumentError

_CLARIFY_FILES = (
    "analysis_outputs/fraud_bias_1_analysis.json",
    "analysis_outputs/fraud_bias_2_analysis.json",
    "analysis_outputs/model_card_clarify_bias.json",
    "aws_notebook_outputs/bias_batch_json_baseline_analysis.json",
    "aws_notebook_outputs/bias_endpoint_json_baseline_analysis.json",
    "sdk_pipeline/clarify_check_step__data_bias__bad_cases__analysis.json",
    "sdk_pipeline/clarify_check_step__data_bias__good_cases__analysis.json",
    "weather_csv/aws_bias_baseline_analysis.json",
)
# Those of them that are as Clarify wrote them, not printed anew.
_AS_WRITTEN = (*_CLARIFY_FILES[:2], *_CLARIFY_FILES[6:])


@pytest.mark.parametrize("path", _CLARIFY_FILES)
def test_clarifys_baselines_are_read_without_loss(path: str) -> None:
    text = fixture(f"clarify/{path}").read_text(encoding="utf-8")
    document = read_constraints(json.loads(text), path)
    written = analysis_to_json(document)
    assert json.dumps(written) == json.dumps(json.loads(text))
    assert constraints_to_json(document) == written
    if path in _AS_WRITTEN:
        assert analysis_json.dumps(written) == text


def test_infinities_and_errors_of_a_real_baseline() -> None:
    path = fixture("clarify/weather_csv/aws_bias_baseline_analysis.json")
    document = read_constraints(json.loads(path.read_bytes()), "analysis.json")
    assert document.post is not None
    (facet,) = document.post.facets["city"]
    values = {metric.name: metric.value for metric in facet.metrics}
    assert (values["DI"], values["TE"]) == (float("inf"), float("-inf"))
    assert values["CDDPL"] is None
    error = facet.metric("CDDPL")
    assert error is not None
    assert error.error == "Group variable is empty or not provided"


def _statistics(rows: list[tuple[int, int, int]]) -> tuple[BiasAnalyzer, BiasStatistics]:
    columns = {name: [row[place] for row in rows] for place, name in enumerate(("g", "y", "p"))}
    request = BiasRequest("y", (1,), (FacetRequest(("g",)),), group_variable="g", predicted_label="p")
    analyzer = BiasAnalyzer("sound", request)
    return analyzer, analyzer.describe(analyzer.summarize([pa.RecordBatch.from_pydict(columns)]))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=80))
def test_our_documents_read_and_written_again_are_the_same(rows: list[tuple[int, int, int]]) -> None:
    analyzer, statistics = _statistics([*rows, (0, 1, 1), (1, 0, 1)])
    written = statistics_to_json(statistics)
    strict = json.loads(json.dumps(written, allow_nan=False))
    assert statistics_to_json(read_statistics(strict, "statistics.json")) == written
    constraints = analyzer.suggest(statistics, None)
    text = json.dumps(constraints_to_json(constraints), allow_nan=False)
    assert json.dumps(constraints_to_json(read_constraints(json.loads(text), "constraints.json"))) == text


def test_analysis_json_has_only_the_members_of_clarify() -> None:
    analyzer, statistics = _statistics([(0, 1, 1), (1, 0, 1), (0, 0, 1), (1, 1, 0)] * 20)
    constraints = analyzer.suggest(statistics, None)
    files = BIAS.further_files(statistics, constraints)
    assert list(files) == ["analysis.json"]
    document = json.loads(files["analysis.json"])
    assert list(document) == ["version", "post_training_bias_metrics", "pre_training_bias_metrics"]
    for stage in list(document)[1:]:
        assert list(document[stage]) == ["label", "facets", "label_value_or_threshold"]
        for facet in document[stage]["facets"]["g"]:
            assert list(facet) == ["value_or_threshold", "metrics"]
            for metric in facet["metrics"]:
                assert list(metric) in (
                    ["name", "description", "value"],
                    ["name", "description", "value", "error"],
                )
    metrics = constraints_to_json(constraints)["pre_training_bias_metrics"]["facets"]["g"][0]["metrics"]
    assert "confidence_interval" in next(metric for metric in metrics if metric["name"] == "DPL")


def test_what_a_user_allows_is_kept() -> None:
    path = fixture("clarify/aws_notebook_outputs/bias_endpoint_json_baseline_analysis.json")
    value = json.loads(path.read_bytes())
    metrics = value["post_training_bias_metrics"]["facets"]["Sex"][0]["metrics"]
    metrics[0] |= {"allowed": [-0.2, 0.2], "note": "agreed in May"}
    metrics[1] |= {"threshold": 0.3}
    document = read_constraints(value, "constraints.json")
    assert document.post is not None
    first, second = document.post.facets["Sex"][0].metrics[:2]
    assert first.allowed == (-0.2, 0.2)
    assert second.threshold == 0.3
    assert constraints_to_json(document) == value


@pytest.mark.parametrize(
    "change",
    [
        {"value": "much"},
        {"allowed": [0.2, -0.2]},
        {"allowed": [0.2]},
        {"name": 3},
        {"threshold": 0, "name": "DI"},
        {"threshold": -0.1},
        {"threshold": 0.1, "allowed": [-0.1, 0.1]},
    ],
)
def test_mistakes_in_constraints_are_named(change: dict[str, Any]) -> None:
    metric = {"name": "DPL", "description": "", "value": 0.1, **change}
    stage = {"label": "y", "facets": {"g": [{"value_or_threshold": "0", "metrics": [metric]}]}}
    with pytest.raises(DocumentError) as error:
        read_constraints({"pre_training_bias_metrics": stage}, "constraints.json")
    assert error.value.file == "constraints.json"
    assert error.value.field == f"pre_training_bias_metrics.facets.g[0].metrics[0].{next(iter(change))}"


def test_a_metric_that_is_listed_twice_or_misspelt_is_named() -> None:
    names = ("DPL", "CI", "DPL", "DPLL")
    metrics = [{"name": name, "value": 0.1} for name in names]
    stage = {"label": "y", "facets": {"g": [{"value_or_threshold": "0", "metrics": metrics}]}}
    with pytest.raises(DocumentError) as error:
        read_constraints({"pre_training_bias_metrics": stage}, "constraints.json")
    assert says(error.value.message, "bias_documents.metric_again", name="DPL")
    assert says(error.value.message, "bias_documents.metric", name="DPLL")


def test_files_of_other_monitors_are_told_apart() -> None:
    with pytest.raises(DocumentError) as refused:
        read_constraints({"features": []}, "constraints.json")
    assert (refused.value.code, refused.value.file) == ("bias_documents.constraints", "constraints.json")
    with pytest.raises(DocumentError) as refused:
        read_statistics({"dataset": {"item_count": 1}}, "statistics.json")
    assert (refused.value.code, refused.value.file) == ("bias_documents.statistics", "statistics.json")
    _, statistics = _statistics([(0, 1, 1), (1, 0, 0)])
    written = statistics_to_json(statistics)
    for counts in ([[1]], [[[1, 2], [3, -4]], [[0, 0], [0, 0]]], [[[True, 0], [0, 0]], [[0, 0], [0, 0]]]):
        written["facets"][0]["counts"] = counts
        with pytest.raises(DocumentError, match=r"facets\[0\].counts must be counts"):
            read_statistics(written, "statistics.json")
    written["facets"][0] |= {"counts": [[[0, 0], [0, 0]]] * 2, "strata_observed": [[1]]}
    with pytest.raises(DocumentError, match="strata_observed must be counts"):
        read_statistics(written, "statistics.json")
