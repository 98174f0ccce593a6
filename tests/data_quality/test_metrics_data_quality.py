"""Published values, by the originals' names."""

import numpy as np
from hand_made import document, numeric, text, unknown

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from analyzers.data_quality.limits import suggest
from contract.api import Baseline

ANALYZER = DataQualityAnalyzer()


def names(published):
    return [metric.name for metric in published]


def test_a_baseline_job_publishes_data_and_completeness():
    statistics = document(numeric("x", [1.0, 2.0, 6.0], missing=1), text("y", ["a"] * 4), unknown("z", 4))
    published = ANALYZER.metrics(statistics, None, None)
    assert names(published) == [
        "feature_data_x",
        "feature_non_null_x",
        "feature_non_null_y",
        "feature_non_null_z",
    ]
    assert published[0].statistic_values == {"SampleCount": 3.0, "Sum": 9.0, "Minimum": 1.0, "Maximum": 6.0}
    assert published[0].value is None
    assert [metric.value for metric in published[1:]] == [0.75, 1.0, 0.0]


def test_a_monitoring_job_publishes_distances_under_the_baselines_names():
    baseline = document(numeric("x", np.arange(1000.0)), text("y", {"a": 600, "b": 400}))
    constraints = suggest(baseline)
    window = document(numeric("_c0", np.arange(500.0)), text("_c1", {"a": 300, "b": 200}), positional=True)
    documents = Baseline(baseline, constraints)
    published = {
        metric.name: metric
        for metric in ANALYZER.metrics(window, documents, ANALYZER.check(window, documents))
    }
    assert published["feature_baseline_drift_x"].value == 0.5
    assert published["feature_baseline_drift_y"].value == 0.0
    assert "feature_data_x" in published
    constraints.features[0].overrides = {"emit_metrics": "Disabled"}
    assert names(ANALYZER.metrics(window, documents, None)) == ["feature_non_null_y"]
    constraints.monitoring_config["emit_metrics"] = "Disabled"
    assert ANALYZER.metrics(window, documents, None) == []
