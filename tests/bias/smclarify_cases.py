"""Cases recorded from smclarify, as record batches and requests."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
from fixtures import fixture

from analyzers.bias.analyzer import BiasAnalyzer
from analyzers.bias.documents import BiasStatistics, MetricValue
from analyzers.bias.summary import ALL_POST, ALL_PRE, BiasRequest, FacetRequest

_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "object": pa.string()}


def shared_cases() -> list[dict[str, Any]]:
    """Return the generated cases."""
    path = fixture("clarify/smclarify_expected_shared.json")
    cases: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return cases


def recorded_calls(kind: str) -> list[dict[str, Any]]:
    """Return calls recorded while smclarify's own tests ran: ``calls`` or ``report_calls``."""
    path = fixture("clarify/smclarify_testsuite_calls.json")
    calls: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[kind]
    return calls


def batch_of(columns: dict[str, tuple[list[Any], str]]) -> pa.RecordBatch:
    """Return a record batch from values and the pandas types of columns."""
    arrays, fields = [], []
    for name, (values, dtype) in columns.items():
        array = _array(values, dtype)
        metadata = {b"categorical": b"true"} if dtype == "category" else None
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata=metadata))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _array(values: list[Any], dtype: str) -> pa.Array:
    if dtype == "float64":
        values = [math.nan if value is None else float(value) for value in values]
    return pa.array(values, _TYPES.get(dtype))


def batch_of_case(case: dict[str, Any]) -> pa.RecordBatch:
    """Return the data of a generated case."""
    return batch_of({column["name"]: (column["values"], column["dtype"]) for column in case["data"]})


def request_of_case(case: dict[str, Any]) -> BiasRequest:
    """Return what a generated case asks."""
    config = case["config"]
    predicted = config["predicted_label"]
    post = tuple(config.get("post_training_methods") or ALL_POST)
    return BiasRequest(
        label=config["label"]["name"],
        label_values=tuple(config["label"]["values"] or ()),
        facets=(FacetRequest((config["facet"]["name"],), tuple(config["facet"]["values"] or ())),),
        group_variable=config["group_variable"],
        predicted_label=None if predicted is None else predicted["name"],
        pre_training=tuple(config.get("pre_training_methods") or ALL_PRE),
        post_training=None if predicted is None else post,
    )


def statistics_of(batch: pa.RecordBatch, request: BiasRequest) -> BiasStatistics:
    """Return what the analyzer makes of one batch by Clarify's rules."""
    analyzer = BiasAnalyzer("sagemaker", request)
    return analyzer.describe(analyzer.summarize([batch]))


def number(value: float | str | None) -> float | None:
    """Return a number as recorded, infinities given as text."""
    return float(value) if isinstance(value, str) else value


def assert_equal(recorded: dict[str, Any], metric: MetricValue) -> None:
    """Hold a metric to a recorded one."""
    where = f"{recorded['name']}: {recorded} but {metric}"
    assert (recorded["name"], recorded["description"]) == (metric.name, metric.description), where
    assert recorded.get("error") == metric.error, where
    expected = number(recorded["value"])
    if expected is None or metric.value is None or math.isinf(expected):
        assert expected == metric.value, where
    else:
        assert math.isclose(expected, metric.value, rel_tol=1e-9, abs_tol=1e-12), where
