"""Clarify's rules against what smclarify made of the same tables: 102 generated cases and its own tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fixtures import fixture
from smclarify_cases import (
    assert_equal,
    batch_of,
    batch_of_case,
    number,
    recorded_calls,
    request_of_case,
    shared_cases,
    statistics_of,
)

from analyzers.bias.documents import BiasStatistics
from analyzers.bias.groups import kind_of_column
from analyzers.bias.metrics import METRICS
from analyzers.bias.summary import (
    ALL_POST,
    ALL_PRE,
    BiasRequest,
    ColumnPlan,
    ColumnSummary,
    FacetRequest,
    SummaryPlan,
    summarize,
)

_STAGES = (("pre_training_bias", "pre"), ("post_training_bias", "post"))
# Mistakes that only calls in Python can make, not a configuration.
_CALLERS_MISTAKES = (
    "stage_type should be",
    "predicted_label_column has to be provided",
    "Positive predicted label values or threshold should be empty",
)


def test_every_generated_case_is_reproduced() -> None:
    cases = shared_cases()
    assert len(cases) == 102
    for case in cases:
        if _has_own_values(case):
            expected = {key: one for key, one in case["expected"].items() if key != "post_training_bias"}
            case = {**case, "expected": expected}
        _hold_to_case(case)


def test_predictions_with_values_of_their_own_are_refused() -> None:
    [case] = [case for case in shared_cases() if _has_own_values(case)]
    [_, (stage, _)] = _STAGES
    message = case["expected"][stage]["error"]["message"]
    assert message.startswith(_CALLERS_MISTAKES)
    # Only a call in Python can give them: a configuration has one list for labels and predictions.


def _has_own_values(case: dict[str, Any]) -> bool:
    predicted = case["config"]["predicted_label"] or {}
    return predicted.get("values") not in (None, case["config"]["label"]["values"])


def _hold_to_case(case: dict[str, Any]) -> None:
    expected = case["expected"]
    if "unknown_metric" in case["tags"]:
        # A configuration refuses it before there is an analyzer; the message lists the metrics there are.
        for key, stage in _STAGES:
            known = [name for name, metric in METRICS.items() if metric.stage == stage]
            assert expected[key]["error"]["message"].endswith(f"registered metrics{known}")
        return
    statistics = statistics_of(batch_of_case(case), request_of_case(case))
    for key, stage in _STAGES:
        if key in expected:
            _hold_stage(expected[key], statistics, stage, tied=bool(case["ft_neighbour_tie"]))
    _hold_basic(expected, statistics)
    text = expected["label_value_or_threshold"].get("result")
    if text is not None:
        assert statistics.label_value_or_threshold == text, case["id"]


def _hold_stage(
    expected: dict[str, Any], statistics: BiasStatistics, stage: str, *, tied: bool = False
) -> None:
    if expected.get("error"):
        assert expected["error"]["message"] in statistics.problems.values()
        return
    facets = expected["result"]
    assert [facet["value_or_threshold"] for facet in facets] == [
        facet.value_or_threshold for facet in statistics.facets
    ]
    for recorded, facet in zip(facets, statistics.facets, strict=True):
        metrics = facet.pre if stage == "pre" else facet.post
        assert metrics is not None
        for one, metric in zip(recorded["metrics"], metrics, strict=True):
            if not (tied and one["name"] == "FT"):
                assert_equal(one, metric)


def _hold_basic(expected: dict[str, Any], statistics: BiasStatistics) -> None:
    performance = expected.get("model_performance", {}).get("result")
    if performance is not None and statistics.facets:
        _hold_performance(performance, statistics)
    basic = expected.get("post_training_basic_stats", expected["pre_training_basic_stats"]).get("result")
    for recorded, facet in zip(basic or (), statistics.facets, strict=bool(basic)):
        _hold_statistics(recorded["metrics"], facet.basic_statistics)


def _hold_statistics(recorded: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    for one, other in zip(recorded, found, strict=True):
        assert (one["name"], one["description"]) == (other["name"], other["description"])
        assert other["value"] == pytest.approx(one["value"], rel=1e-9, abs=1e-12, nan_ok=True)


def _hold_performance(recorded: dict[str, Any], statistics: BiasStatistics) -> None:
    for one, metric in zip(recorded["model_performance_metrics"], statistics.model_metrics, strict=True):
        assert_equal(one, metric)
    expected = recorded.get("confusion_matrix")
    found = statistics.confusion_matrix
    if expected is None:
        assert found is None
    elif "error" not in expected:  # the original cannot sort labels that are missing
        assert {row: dict(sorted(columns.items())) for row, columns in (found or {}).items()} == expected


# --- the calls that smclarify's own tests make ------------------------------------------------------------


def test_every_recorded_report_is_reproduced() -> None:
    calls = recorded_calls("report_calls")
    assert len(calls) == 46
    held = 0
    for call in calls:
        message = (call["error"] or {}).get("message", "")
        if not message.startswith(_CALLERS_MISTAKES):
            _REPORTS[call["function"]](call)
            held += 1
    assert held >= 42


def _series(argument: dict[str, Any]) -> tuple[list[Any], str]:
    return argument["series"], argument["dtype"]


def _columns(arguments: dict[str, Any]) -> tuple[dict[str, tuple[list[Any], str]], dict[str, Any]]:
    """Return the data of a recorded call, and the names its request needs."""
    frame = arguments["df"]
    columns = {name: (values, frame["dtypes"][name]) for name, values in frame["frame"].items()}
    names: dict[str, Any] = {"features": tuple(columns)}
    for role in ("label_column", "predicted_label_column"):
        if arguments.get(role):
            column = arguments[role]["LabelColumn"]
            names[role] = column["name"]
            columns[column["name"]] = _series(column["series"])
    if arguments.get("group_variable"):
        names["group_variable"] = "the group variable"
        columns["the group variable"] = _series(arguments["group_variable"])
    return columns, names


def _request(arguments: dict[str, Any], names: dict[str, Any], **changes: Any) -> BiasRequest:
    facet = arguments["facet_column"]["FacetColumn"]
    stage = arguments.get("stage_type")
    metrics = arguments.get("metrics")
    asked = None if metrics in (None, ["all"]) else tuple(metrics)
    # Without predictions, what is wrong with facet and label is said of either stage.
    post = stage == "post_training" and "predicted_label_column" in names
    values = {
        "label": names["label_column"],
        "label_values": tuple(arguments["label_column"]["LabelColumn"]["positive_label_values"] or ()),
        "facets": (FacetRequest((facet["name"],), tuple(facet["sensitive_values"] or ())),),
        "group_variable": names.get("group_variable"),
        "predicted_label": names.get("predicted_label_column") if post else None,
        "pre_training": None if post else asked or ALL_PRE,
        "post_training": (asked or ALL_POST) if post else None,
        "features": names["features"],
        **changes,
    }
    return BiasRequest(**values)


def _hold_report(call: dict[str, Any]) -> None:
    columns, names = _columns(call["args"])
    statistics = statistics_of(batch_of(columns), _request(call["args"], names))
    stage = "post" if call["args"]["stage_type"] == "post_training" else "pre"
    _hold_stage({"result": call["result"], "error": call["error"]}, statistics, stage)


def _hold_basic_statistics(call: dict[str, Any]) -> None:
    columns, names = _columns(call["args"])
    statistics = statistics_of(batch_of(columns), _request(call["args"], names))
    for recorded, facet in zip(call["result"], statistics.facets, strict=True):
        assert recorded["value_or_threshold"] == facet.value_or_threshold
        _hold_statistics(recorded["metrics"], facet.basic_statistics)


def _hold_model_report(call: dict[str, Any]) -> None:
    columns, names = _columns(call["args"])
    facet = {"facet_column": {"FacetColumn": {"name": "x", "sensitive_values": columns["x"][0][:1]}}}
    arguments = {**call["args"], **facet, "stage_type": "post_training"}
    statistics = statistics_of(batch_of(columns), _request(arguments, names))
    _hold_performance(call["result"], statistics)


def _hold_text(call: dict[str, Any]) -> None:
    values, dtype = _series(call["args"]["label_series"])
    positive = tuple(call["args"]["positive_values"])
    request = BiasRequest("y", positive, (FacetRequest(("y",), positive),), post_training=None)
    statistics = statistics_of(batch_of({"y": (values, dtype)}), request)
    assert statistics.label_value_or_threshold == call["result"]


_REPORTS = {
    "bias_report": _hold_report,
    "bias_basic_stats": _hold_basic_statistics,
    "model_performance_report": _hold_model_report,
    "label_value_or_threshold": _hold_text,
}


def test_every_recorded_typing_is_reproduced() -> None:
    for call in recorded_calls("calls"):
        if call["metric"] != "series_datatype":
            continue
        values, dtype = _series(call["args"]["series"])
        listed = call["args"]["values"] or []
        column = _summarized(batch_of({"y": (values, dtype)}))
        assert f"DataType.{kind_of_column(column, len(listed)).upper()}" == call["result"]


def _summarized(batch: pa.RecordBatch) -> ColumnSummary:
    request = BiasRequest("y", (1,), (FacetRequest(("y",)),), post_training=None)
    plan = SummaryPlan(request, rules="sagemaker")
    return summarize([batch], plan).columns["y"]


def test_the_five_percent_rule_counts_distinct_values_that_are_not_kept() -> None:
    # 3,000 distinct whole numbers are more than are kept; of 40,000 rows they are 7.5 %, of 80,000 3.75 %.
    for copies, expected in ((13, "continuous"), (27, "categorical")):
        column = _summarized(pa.RecordBatch.from_pydict({"y": list(range(3_000)) * copies}))
        assert column.collapsed
        assert column.distinct_count() == 3_000
        assert kind_of_column(column, 1) == expected


def test_credit_of_a_real_job_is_read_as_its_log_says() -> None:
    # The log of that job: age has a uniqueness of 0.053, is continuous, and the interval is (40, 75].
    lines = fixture("clarify/credit_risk/SouthGermanCredit.asc").read_text(encoding="ascii").splitlines()
    names, rows = lines[0].split(), np.array([line.split() for line in lines[1:]], dtype=np.int64)
    columns = dict(zip(names, rows.T, strict=True))
    request = BiasRequest(
        "kredit", (1,), (FacetRequest(("alter",), (40,)),), group_variable="famges", post_training=None
    )
    batch = pa.RecordBatch.from_pydict(columns)
    (facet,) = statistics_of(batch, request).facets
    assert facet.value_or_threshold == "(40, 75]"
    older, good, strata = columns["alter"] > 40, columns["kredit"] == 1, columns["famges"]
    expected = {
        "CI": ((~older).sum() - older.sum()) / 1_000,
        "DPL": good[~older].mean() - good[older].mean(),
        "CDDL": sum(
            (strata == one).mean()
            * (older[(strata == one) & ~good].mean() - older[(strata == one) & good].mean())
            for one in np.unique(strata)
        ),
    }
    for name, value in expected.items():
        metric = facet.metric(name)
        assert metric is not None
        assert metric.value == pytest.approx(value, rel=1e-12)


def test_infinities_are_recorded_as_text() -> None:
    assert number("-Infinity") == -math.inf
    assert ColumnPlan("y", 1).thresholds == ()
