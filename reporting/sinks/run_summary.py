"""What sinks are told about one completed run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.api import Decision, Metric, Violation
from contract.masking import mask
from contract.window import Window

if TYPE_CHECKING:
    from contract.api import Monitor
    from contract.settings import Settings


@dataclass(frozen=True)
class RunSummary:
    """One completed run.

    Parameters
    ----------
    monitor
        Its name in records, such as ``data-quality``.
    violations
        None when nothing was compared.
    decided, undecided
        How many comparisons have an answer and how many have none; None when nothing was compared.
    seconds
        How long the run took until its files were written.
    digest
        Of what was found: equal for two runs that found the same in the same data, so that trying a job
        again does not tell of its violations as if they were new.
    """

    monitor: str
    endpoint: str | None
    schedule: str | None
    window: Window | None
    dataset_source: str
    output_path: str
    rows: int
    seconds: float
    finished: datetime
    metric_time: datetime | None
    metrics: tuple[Metric, ...]
    violations: tuple[Violation, ...] | None
    digest: str
    decided: int | None = None
    undecided: int | None = None
    model: str | None = None

    @property
    def instant(self) -> datetime:
        """Return the time that its metrics are about."""
        return self.metric_time or (self.window.start if self.window else self.finished)

    @property
    def labels(self) -> dict[str, str]:
        """Return which monitor, endpoint and schedule it is about, as far as the settings name them."""
        about = {"monitor": self.monitor, "endpoint": self.endpoint, "schedule": self.schedule}
        return {name: text for name, text in about.items() if text}


def report_of(
    settings: Settings,
    monitor: Monitor,
    rows: int,
    seconds: float,
    metrics: Iterable[Metric],
    decision: Decision | None,
    documents: Mapping[str, bytes],
) -> RunSummary:
    """Return the report of a run that ends now.

    Parameters
    ----------
    monitor
        What kind of job it was.
    seconds
        Since its start.
    documents
        The files it wrote, by name.
    """
    return RunSummary(
        monitor=monitor.name,
        endpoint=settings.sagemaker_endpoint_name,
        schedule=settings.sagemaker_monitoring_schedule_name,
        window=settings.window,
        dataset_source=for_others(settings.dataset_source),
        output_path=for_others(settings.output_path),
        rows=rows,
        seconds=seconds,
        finished=datetime.now(UTC),
        metric_time=settings.metric_time,
        metrics=tuple(metrics),
        violations=tuple(decision.violations.violations) if decision else None,
        digest=digest_of(settings, monitor.program, documents),
        decided=len(decision.comparisons) - len(decision.undecided) if decision else None,
        undecided=len(decision.undecided) if decision else None,
        model=settings.model_name,
    )


def digest_of(settings: Settings, program: str, documents: Mapping[str, bytes]) -> str:
    """Return 32 hexadecimal digits that stand for what a run found, and about what.

    Parameters
    ----------
    documents
        The files the run wrote, by name.
    """
    window = settings.window
    about = (
        program,
        settings.sagemaker_endpoint_name or "",
        settings.sagemaker_monitoring_schedule_name or "",
        window.start.isoformat() if window else "",
        window.end.isoformat() if window else "",
    )
    found = hashlib.sha256()
    for part in (*(text.encode() for text in about), *(documents[name] for name in sorted(documents))):
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()[:32]


def for_others(location: str) -> str:
    """Return a path as records and events have it."""
    # Who gets an event works in another folder.
    return mask(location) if "://" in location else str(Path(location).absolute())


def metric_entry(metric: Metric, report: RunSummary, timestamp: Any) -> dict[str, Any]:
    """Return a metric as CloudWatch names its parts, its own dimensions after those of the run."""
    about = {"Endpoint": report.endpoint, "MonitoringSchedule": report.schedule}
    dimensions = {**about, **metric.dimensions}
    has_several = metric.statistic_values is not None
    return {
        "MetricName": metric.name,
        "Timestamp": timestamp,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items() if value],
        **({"StatisticValues": metric.statistic_values} if has_several else {"Value": metric.value}),
        **({"Unit": metric.unit} if metric.unit is not None else {}),
    }
