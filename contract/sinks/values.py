"""The values of a run by names that are the same in Prometheus and OpenTelemetry.

CloudWatch's names carry the feature within the name (``feature_data_age``); here the name says what is
measured and a label says of what: ``model_monitor_feature_sum{feature="age"}``. All are gauges.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from contract.analyzer import Metric
from contract.sinks.report import RunReport

HELP: dict[str, str] = {
    "model_monitor_violations": "Violations the last completed run found.",
    "model_monitor_violations_by_check": "Violations the last completed run found, by kind of check.",
    "model_monitor_comparisons_decided": "Comparisons of the last completed run that have an answer.",
    "model_monitor_comparisons_undecided": "Comparisons of the last completed run that have no answer.",
    "model_monitor_rows": "Rows the last completed run read.",
    "model_monitor_duration_seconds": "Seconds the last completed run took until its files were written.",
    "model_monitor_last_success_timestamp_seconds": "When the last run completed, in seconds since 1970.",
    "model_monitor_window_start_timestamp_seconds": "Start of the window of the last completed run.",
    "model_monitor_window_end_timestamp_seconds": "End of the window of the last completed run.",
    "model_monitor_feature_drift": "Distance of a feature from its baseline.",
    "model_monitor_feature_completeness": "Share of rows in which a feature is present.",
    "model_monitor_feature_count": "Numbers of a feature that are present.",
    "model_monitor_feature_sum": "Sum of the numbers of a feature.",
    "model_monitor_feature_min": "Smallest number of a feature.",
    "model_monitor_feature_max": "Largest number of a feature.",
    "model_monitor_quality": "A measure of how good predictions are, from labels.",
    "model_monitor_quality_estimated": "A measure of how good predictions are, estimated without labels.",
    "model_monitor_bias": "A measure of how differently a group is treated.",
    "model_monitor_attribution": "Global SHAP value of a feature.",
    "model_monitor_expected_value": "What the model predicts when all features are absent.",
}

_STATISTICS = {"SampleCount": "count", "Sum": "sum", "Minimum": "min", "Maximum": "max"}
_QUALITY_PREFIX, _BIAS_PREFIX = "estimated_", "bias_metric_"


@dataclass(frozen=True)
class Value:
    """One gauge: its name, a member of `HELP`, its labels, and its value."""

    name: str
    labels: dict[str, str]
    value: float


def values_of(report: RunReport) -> list[Value]:
    """Return everything there is to say about a run, run-level values first.

    Labels of all: ``monitor``, ``endpoint`` and ``schedule``, the latter two where the settings name them.
    """
    common = {"monitor": report.monitor, "endpoint": report.endpoint, "schedule": report.schedule}
    labels = {name: text for name, text in common.items() if text}
    found = [
        *_run_values(report),
        *(value for metric in report.metrics for value in _translated(metric, report)),
    ]
    return [Value(value.name, {**labels, **value.labels}, value.value) for value in found]


def _run_values(report: RunReport) -> Iterator[Value]:
    if report.violations is not None:
        yield Value("model_monitor_violations", {}, float(len(report.violations)))
        checks = Counter(violation.constraint_check_type for violation in report.violations)
        for check in sorted(checks):
            yield Value("model_monitor_violations_by_check", {"check": check}, float(checks[check]))
    if report.decided is not None and report.undecided is not None:
        yield Value("model_monitor_comparisons_decided", {}, float(report.decided))
        yield Value("model_monitor_comparisons_undecided", {}, float(report.undecided))
    yield Value("model_monitor_rows", {}, float(report.rows))
    yield Value("model_monitor_duration_seconds", {}, report.seconds)
    yield Value("model_monitor_last_success_timestamp_seconds", {}, report.finished.timestamp())
    if report.window is not None:
        yield Value("model_monitor_window_start_timestamp_seconds", {}, report.window.start.timestamp())
        yield Value("model_monitor_window_end_timestamp_seconds", {}, report.window.end.timestamp())


def _translated(metric: Metric, report: RunReport) -> Iterator[Value]:
    labels = {_snake_case(name): text for name, text in metric.dimensions.items()}
    kind = labels.pop("value_type", None)
    name = metric.name
    if metric.statistic_values is not None:
        feature = {"feature": name.removeprefix("feature_data_")}
        for statistic, number in metric.statistic_values.items():
            yield Value(f"model_monitor_feature_{_STATISTICS[statistic]}", {**labels, **feature}, number)
        return
    if metric.value is None:
        return
    number = float(metric.value)
    if kind == "GlobalShapValues":
        yield Value("model_monitor_attribution", {"feature": name.removeprefix("feature_"), **labels}, number)
    elif kind == "ExpectedValue":
        yield Value("model_monitor_expected_value", labels, number)
    elif name.startswith(_BIAS_PREFIX):
        yield Value("model_monitor_bias", {"metric": name.removeprefix(_BIAS_PREFIX), **labels}, number)
    elif report.monitor == "data-quality":
        yield _feature_value(name, labels, number)
    elif name.startswith(_QUALITY_PREFIX):
        metric_name = name.removeprefix(_QUALITY_PREFIX)
        yield Value("model_monitor_quality_estimated", {"metric": metric_name, **labels}, number)
    else:
        yield Value("model_monitor_quality", {"metric": name, **labels}, number)


def _feature_value(name: str, labels: dict[str, str], number: float) -> Value:
    drift = "feature_baseline_drift_"
    if name.startswith(drift):
        return Value("model_monitor_feature_drift", {"feature": name.removeprefix(drift), **labels}, number)
    feature = name.removeprefix("feature_non_null_")
    return Value("model_monitor_feature_completeness", {"feature": feature, **labels}, number)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
