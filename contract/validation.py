"""The dry run: check settings, baseline, scripts and the first rows, and write nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from contract.datasets.plan import plan_dataset
from contract.errors import DatasetError
from contract.job import MakeAnalyzer, dataset_request, read_baseline
from contract.scripts import load_postprocessor, load_preprocessor
from contract.settings import Settings


def validate(settings: Settings, make_analyzer: MakeAnalyzer) -> Iterator[str]:
    """Yield one line per thing found in order.

    Raises
    ------
    InputError
        At the first thing that would fail the job.
    """
    yield "settings can be read"
    baseline = read_baseline(settings)
    if baseline is not None:
        constraints, statistics = baseline.constraints, baseline.statistics
        if constraints:
            yield f"baseline_constraints has {len(constraints.features)} features"
        if statistics:
            yield f"baseline_statistics has {len(statistics.features)} features, {statistics.item_count} rows"
    preprocessor = None
    if settings.record_preprocessor_script:
        preprocessor = load_preprocessor(settings.record_preprocessor_script)
        yield f"record_preprocessor_script can be loaded ({preprocessor.kind})"
    if settings.post_analytics_processor_script:
        load_postprocessor(settings.post_analytics_processor_script)
        yield "post_analytics_processor_script can be loaded"
    plan = plan_dataset(dataset_request(settings, baseline, preprocessor))
    yield f"dataset_source has {plan.total_bytes} bytes to read in {len(plan.splits)} splits"
    if not plan.splits:
        if not settings.is_monitoring:
            raise DatasetError(f"dataset_source {settings.dataset_source} holds no data for a baseline.")
        return
    analyzer = make_analyzer(settings, plan)
    first = list(itertools.islice(plan.splits[0].batches(), 1))
    described = analyzer.describe(analyzer.summarize(first))
    columns = ", ".join(f"{feature.name} ({feature.inferred_type})" for feature in described.features[:8])
    more = f" and {len(described.features) - 8} more" if len(described.features) > 8 else ""
    yield f"the first {described.item_count} rows have columns {columns}{more}"
