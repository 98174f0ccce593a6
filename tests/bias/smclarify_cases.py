"""Cases recorded from smclarify, as record batches and requests."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
from fixtures import fixture

from analyzers.bias.request import ALL_POST, ALL_PRE, BiasRequest, FacetRequest

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
    arrays = {
        name: pa.array(_values(values, dtype), _type(values, dtype))
        for name, (values, dtype) in columns.items()
    }
    return pa.RecordBatch.from_pydict(arrays)


def _type(values: list[Any], dtype: str) -> pa.DataType:
    if dtype == "category":
        return None if all(not isinstance(value, str) for value in values) else pa.string()
    return _TYPES[dtype]


def _values(values: list[Any], dtype: str) -> list[Any]:
    if dtype == "float64":
        return [math.nan if value is None else float(value) for value in values]
    return values


def batch_of_case(case: dict[str, Any]) -> pa.RecordBatch:
    """Return the data of a generated case."""
    return batch_of({column["name"]: (column["values"], column["dtype"]) for column in case["data"]})


def request_of_case(case: dict[str, Any]) -> BiasRequest:
    """Return what a generated case asks."""
    config = case["config"]
    predicted = config["predicted_label"]
    return BiasRequest(
        label=config["label"]["name"],
        label_values=tuple(config["label"]["values"] or ()),
        facets=(FacetRequest((config["facet"]["name"],), tuple(config["facet"]["values"] or ())),),
        group_variable=config["group_variable"],
        predicted_label=None if predicted is None else predicted["name"],
        pre_training=tuple(config.get("pre_training_methods") or ALL_PRE),
        post_training=None if predicted is None else tuple(config.get("post_training_methods") or ALL_POST),
    )
