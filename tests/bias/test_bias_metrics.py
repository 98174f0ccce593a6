"""The formulas against every recorded metric call, the guide's worked examples, and their own symmetries."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from smclarify_cases import batch_of, number, recorded_calls, statistics_of

from analyzers.bias import metrics
from analyzers.bias.describe import basic_statistics, label_confusion, model_metrics
from analyzers.bias.flip_test import flip_test
from analyzers.bias.groups import cells_of
from analyzers.bias.metrics import METRICS, NO_GROUP_VARIABLE, Floats
from analyzers.bias.summary import ALL_POST, ALL_PRE, BiasRequest, FacetRequest, SummaryPlan, summarize

_OF_DISTRIBUTIONS: dict[str, Callable[[Floats], Floats]] = {
    "KL": metrics.kullback_leibler,
    "JS": metrics.jensen_shannon,
    "LP": metrics.lp_norm,
    "KS": metrics.kolmogorov_smirnov,
}
# How the ten metrics of the whole model are called in smclarify's code.
_MODEL = {
    "accuracy": "Accuracy",
    "PPL": "Proportion of Positive Predictions in Labels",
    "PNL": "Proportion of Negative Predictions in Labels",
    "recall": "True Positive Rate / Recall",
    "specificity": "True Negative Rate / Specificity",
    "precision": "Acceptance Rate / Precision",
    "rejection_rate": "Rejection Rate",
    "conditional_acceptance": "Conditional Acceptance",
    "conditional_rejection": "Conditional Rejection",
    "f1_score": "F1 Score",
}
_BASIC = ("proportion", "observed_label_distribution", "confusion_matrix")


def _series(call: dict[str, Any], *names: str) -> Any:
    for name in names:
        if name in call["args"]:
            return np.array(call["args"][name]["series"])
    return None


def _confusion(facet: Any, observed: Any, predicted: Any) -> Floats:
    counts = np.zeros((2, 2, 2))
    length = next(len(each) for each in (facet, observed, predicted) if each is not None)
    places = [
        np.zeros(length, dtype=int) if each is None else each.astype(int)
        for each in (facet, observed, predicted)
    ]
    np.add.at(counts, tuple(places), 1)
    return counts


def _table(call: dict[str, Any]) -> Floats:
    return _confusion(
        _series(call, "sensitive_facet_index"),
        _series(call, "positive_label_index"),
        _series(call, "positive_predicted_label_index"),
    )


def _strata(call: dict[str, Any]) -> Floats:
    groups = _series(call, "group_variable")
    counts = np.zeros((groups.max() + 1, 2, 2))
    facet = _series(call, "sensitive_facet_index").astype(int)
    np.add.at(counts, (groups, facet, _series(call, "positive_label_index").astype(int)), 1)
    return counts


def _distributions(call: dict[str, Any]) -> Floats:
    labels, facet = _series(call, "label"), _series(call, "sensitive_facet_index").astype(int)
    categories, places = np.unique(labels, return_inverse=True)
    counts = np.zeros((2, len(categories)))
    np.add.at(counts, (facet, places), 1)
    return counts


def _value(call: dict[str, Any]) -> tuple[float, str | None]:
    name = call["metric"]
    if name in _OF_DISTRIBUTIONS:
        counts = _distributions(call)
        value = float(_OF_DISTRIBUTIONS[name](counts))
        binary = np.zeros((2, 2, 2))
        binary[:, : counts.shape[1], 0] = counts[:, :2]
        return value, METRICS[name].problem(binary) if math.isnan(value) else None
    table = _strata(call) if METRICS[name].table == "strata" else _table(call)
    return float(METRICS[name].function(table)), METRICS[name].problem(table)


def test_every_recorded_metric_call_is_reproduced() -> None:
    calls = [call for call in recorded_calls("calls") if call["metric"] in METRICS and call["metric"] != "FT"]
    assert len(calls) >= 50
    for call in calls:
        value, problem = _value(call)
        assert problem == (call["error"] or {}).get("message"), call["metric"]
        if problem is None:
            assert value == pytest.approx(number(call["result"]), rel=1e-9, abs=1e-12), call["metric"]
        else:
            assert math.isnan(value)


def test_every_recorded_flip_test_is_reproduced() -> None:
    calls = [call for call in recorded_calls("calls") if call["metric"] == "FT" and not call["error"]]
    for call in calls:
        features = np.column_stack(list(call["args"]["df"]["frame"].values())).astype(float)
        inside = _series(call, "sensitive_facet_index")
        found, _ = flip_test(features, inside, _series(call, "positive_predicted_label_index"))
        assert found == pytest.approx(call["result"], rel=1e-9)


def test_every_recorded_basic_statistic_is_reproduced() -> None:
    for call in recorded_calls("calls"):
        if call["metric"] in _BASIC:
            found = basic_statistics(_table(call), with_predictions=True)
            values = {each["name"]: each["value"] for each in found}
            assert values[call["metric"]] == pytest.approx(call["result"], rel=1e-9)
        if call["metric"] in _MODEL:
            outcomes = {name: float(call["args"].get(name, 0)) for name in ("TN", "FP", "FN", "TP")}
            table = np.array([[outcomes["TN"], outcomes["FP"]], [outcomes["FN"], outcomes["TP"]]])
            named = {metric.name: metric.value for metric in model_metrics(table)}
            assert named[_MODEL[call["metric"]]] == pytest.approx(call["result"], rel=1e-9)


def test_the_recorded_flip_test_of_text_is_refused() -> None:
    [call] = [call for call in recorded_calls("calls") if call["metric"] == "FT" and call["error"]]
    columns = {name: (cells, "object" if "a" in cells else "int64") for name, cells in _frame(call).items()}
    for name in ("sensitive_facet_index", "positive_predicted_label_index"):
        columns[name] = (_series(call, name).astype(int).tolist(), "int64")
    columns["label"] = columns["positive_predicted_label_index"]
    request = BiasRequest(
        "label",
        (1,),
        (FacetRequest(("sensitive_facet_index",), (1,)),),
        predicted_label="positive_predicted_label_index",
        post_training=("FT",),
    )
    # More rows, so that 0/1 columns are categories by Clarify's rules.
    many = {name: (cells * 3, dtype) for name, (cells, dtype) in columns.items()}
    [facet] = statistics_of(batch_of(many), request).facets
    metric = facet.metric("FT")
    assert metric is not None
    assert (metric.value, metric.error) == (None, call["error"]["message"])


def _frame(call: dict[str, Any]) -> dict[str, list[Any]]:
    frame: dict[str, list[Any]] = call["args"]["df"]["frame"]
    return frame


def test_every_recorded_matrix_of_categories_is_reproduced() -> None:
    calls = [call for call in recorded_calls("calls") if call["metric"] == "multicategory_confusion_matrix"]
    assert len(calls) == 4
    for call in calls:
        names = {"y": "label_series", "p": "predicted_label_series"}
        columns = {name: call["args"][series]["series"] for name, series in names.items()}
        plan = SummaryPlan(
            BiasRequest("y", (1,), (FacetRequest(("y",), (1,)),), predicted_label="p", post_training=()),
            rules="sagemaker",
        )
        summary = summarize([pa.RecordBatch.from_pydict(columns)], plan)
        label, prediction = ((name, summary.columns[name]) for name in names)
        assert label_confusion(cells_of(summary, plan, 0), label, prediction) == call["result"]


# --- the guide's worked examples --------------------------------------------------------------------------


def _side(given: dict[str, float]) -> list[list[float]]:
    """Return ``[observed][predicted]`` of one facet from whatever an example tells of it."""
    tp = given.get("TP", min(given.get("observed_positive", 0), given.get("predicted_positive", 0)))
    tn = given.get("TN", min(given.get("observed_negative", 0), given.get("predicted_negative", 0)))
    fp = given.get("FP", given.get("predicted_positive", tp) - tp)
    fn = given.get("FN", given.get("predicted_negative", tn) - tn)
    fn += max(0, given.get("observed_positive", tp) - tp)
    fp += max(0, given.get("observed_negative", tn) - tn)
    return [[tn, fp], [fn, tp]]


def test_the_worked_examples_of_the_guide() -> None:
    path = fixture("clarify/docs_worked_examples.json")
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    held = 0
    for case in cases:
        name = case["metric"]
        if "a" in case:
            value = float(METRICS[name].function(np.array([_side(case["a"]), _side(case["d"])])))
        elif "Pa" in case:
            value = float(_OF_DISTRIBUTIONS[name](np.array([case["Pa"], case["Pd"]])))
        elif name == "DI":
            shares = np.array([[1.0 - case["q_a"], case["q_a"]], [1.0 - case["q_d"], case["q_d"]]])
            value = float(METRICS[name].function(shares[:, None, :]))
        else:
            continue  # NDCG belongs to feature attribution
        assert value == pytest.approx(case["exact"], rel=1e-9), case
        held += 1
    assert held == 13


# --- properties -------------------------------------------------------------------------------------------

_TABLES = hnp.arrays(np.float64, (2, 2, 2), elements=st.integers(0, 40).map(float))
_OF_TABLES = [name for name, metric in METRICS.items() if metric.table == "confusion"]
_ANTISYMMETRIC = ("CI", "DPL", "DPPL", "DCA", "DCR", "RD", "SD", "DAR", "DRR", "AD", "TE")


@given(hnp.arrays(np.float64, (3, 4, 2, 2, 2), elements=st.integers(0, 9).map(float)))
def test_many_tables_give_what_each_gives(tables: Floats) -> None:
    for name in _OF_TABLES:
        together = METRICS[name].function(tables)
        alone = np.array([[METRICS[name].function(table) for table in some] for some in tables])
        assert together.shape == alone.shape == (3, 4)
        # Powers of one number and of many (GE) may differ in their last bit.
        np.testing.assert_allclose(together, alone, rtol=1e-13, atol=1e-15)


@given(_TABLES)
def test_a_metric_is_undefined_exactly_where_there_is_a_reason(table: Floats) -> None:
    for name in _OF_TABLES:
        if name == "GE" and table.sum() == 0:
            continue
        assert math.isnan(METRICS[name].function(table)) == (METRICS[name].problem(table) is not None), name


@given(_TABLES)
def test_differences_change_sign_when_the_facets_change_places(table: Floats) -> None:
    for name in _ANTISYMMETRIC:
        np.testing.assert_allclose(METRICS[name].function(table), -METRICS[name].function(table[::-1]))


@given(_TABLES)
def test_of_two_outcomes_the_distances_follow_from_dpl(table: Floats) -> None:
    if METRICS["KS"].problem(table) is None and (table.sum(axis=2) > 0).all():
        difference = abs(float(METRICS["DPL"].function(table)))
        for name, factor in (("KS", 1.0), ("TVD", 1.0), ("LP", math.sqrt(2.0))):
            assert METRICS[name].function(table) == pytest.approx(factor * difference, abs=1e-12)


@given(hnp.arrays(np.float64, (5, 2, 2), elements=st.integers(0, 9).map(float)))
def test_strata_without_rows_do_not_count(strata: Floats) -> None:
    disparity = METRICS["CDDL"].function
    np.testing.assert_allclose(
        disparity(np.concatenate((strata, np.zeros((3, 2, 2))))), disparity(strata), atol=1e-15
    )


def test_all_metrics_are_there_and_none_besides() -> None:
    assert {name for name, metric in METRICS.items() if metric.stage == "pre"} == set(ALL_PRE)
    assert {name for name, metric in METRICS.items() if metric.stage == "post"} == set(ALL_POST)
    assert METRICS["CDDL"].problem(np.zeros((0, 2, 2))) == NO_GROUP_VARIABLE


def test_generalised_entropy_needs_a_benefit() -> None:
    everyone_missed = np.zeros((2, 2, 2))
    everyone_missed[:, 1, 0] = 3.0
    assert METRICS["GE"].problem(everyone_missed) is not None
