"""Reports as jobs make them, for tests of what sinks are sent."""

from datetime import UTC, datetime
from typing import Any

from contract.api import Metric, Violation
from reporting.history.record import Run

GAUGE, AGE = "model_monitor_feature", {"feature": "age"}
START, END = datetime(2026, 5, 6, 21, tzinfo=UTC), datetime(2026, 5, 6, 22, tzinfo=UTC)


def violation(feature: str = "income", description: str = "moved") -> Violation:
    return Violation("baseline_drift_check", description, feature_name=feature)


def report(**changes: Any) -> Run:
    members: dict[str, Any] = {
        "run": "one",
        "version": "1.0",
        "rules": "sound",
        "started": START,
        "exit_code": 0,
        "monitor": "data-quality",
        "endpoint": "flights",
        "schedule": "hourly",
        "window": (START, END),
        "dataset_source": "s3://bucket/captures",
        "output_path": "s3://bucket/reports",
        "rows": 100,
        "seconds": 1.5,
        "finished": END,
        "metric_time": None,
        "metrics": (
            Metric("feature_non_null_age", 0.75, gauge=f"{GAUGE}_completeness", labels=AGE),
            Metric("feature_baseline_drift_age", 0.25, gauge=f"{GAUGE}_drift", labels=AGE),
            Metric(
                "feature_data_age",
                statistic_values={"SampleCount": 75.0, "Sum": 3000.0, "Minimum": 18.0, "Maximum": 90.0},
                gauge=GAUGE,
                labels=AGE,
            ),
        ),
        "violations": (violation(),),
        "digest": "0" * 32,
        **changes,
    }
    return Run(**members)
