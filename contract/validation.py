"""The dry run: check settings, baseline, scripts and the first rows, and write nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from contract import metrics
from contract.datasets.plan import DatasetRequest, plan_dataset
from contract.errors import DatasetError
from contract.job import column_names, dataset_request, load_documents, make_analyzer, read_baseline
from contract.monitor import Monitor
from contract.scripts import load_postprocessor, load_preprocessor
from contract.settings import Settings

_COLUMNS_SHOWN = 8


@runtime_checkable
class Trying(Protocol):
    """An analyzer that uses more than the data, and has something to say of how that went."""

    def tried(self, statistics: Any) -> tuple[str, ...]:
        """Return a line for each thing that was found in order, from the statistics of a trial."""


def validate(settings: Settings, monitor: Monitor) -> Iterator[str]:
    """Yield one line per thing found in order.

    Raises
    ------
    InputError
        At the first thing that would fail the job.
    """
    yield "settings can be read"
    sinks = metrics.open_sinks(settings)
    if sinks is not None:
        yield f"sinks are set up, and will be asked when the job is done: {sinks.describe()}"
    settings = monitor.adjusted(settings)
    files = load_documents(settings, monitor)
    baseline = read_baseline(settings, files)
    if baseline is not None:
        yield "the baseline can be read"
    preprocessor = None
    if settings.record_preprocessor_script:
        preprocessor = load_preprocessor(settings.record_preprocessor_script)
        yield f"record_preprocessor_script can be loaded ({preprocessor.kind})"
    if settings.post_analytics_processor_script:
        load_postprocessor(settings.post_analytics_processor_script)
        yield "post_analytics_processor_script can be loaded"
    request = dataset_request(settings, column_names(baseline, files), preprocessor)
    request, make = monitor.arranged(settings, request)
    if monitor.arrange is not None:
        yield f"the analysis configuration at {settings.analysis_config} can be used"
    plan = plan_dataset(request)
    yield f"{_source(request, settings)} has {plan.total_bytes} bytes to read in {len(plan.splits)} splits"
    if not plan.splits:
        if not settings.is_monitoring:
            raise DatasetError(f"{_source(request, settings)} holds no data for a baseline.")
        return
    analyzer = make_analyzer(settings, make, plan)
    first = next(iter(plan.splits[0].batches()), None)
    if first is None:
        yield "the first split has no rows in the window"
        return
    statistics = analyzer.describe(analyzer.summarize([first]))
    if isinstance(analyzer, Trying):
        yield from analyzer.tried(statistics)
    columns = ", ".join(
        f"{field.name} ({_kind(field.type)})" for field in list(first.schema)[:_COLUMNS_SHOWN]
    )
    more = first.num_columns - _COLUMNS_SHOWN
    yield f"the first {first.num_rows} rows have columns {columns}" + (
        f" and {more} more" if more > 0 else ""
    )


def _source(request: DatasetRequest, settings: Settings) -> str:
    if request.source == settings.dataset_source:
        return "dataset_source"
    return f"dataset_uri {request.source}"


def _kind(type_: pa.DataType) -> str:
    return "text" if pa.types.is_dictionary(type_) else str(type_).replace("string", "text")
