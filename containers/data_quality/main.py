"""The console command ``monitor-data-quality``."""

import re
from collections.abc import Mapping
from functools import partial
from pkgutil import resolve_name
from typing import Any

from contract.api import AnyAnalyzer, Monitor, Plan, Replay, Settings
from job_runner.console import run_command


def _make_analyzer(settings: Settings, plan: Plan) -> AnyAnalyzer:
    from analyzers.data_quality.analyzer import DataQualityAnalyzer

    return DataQualityAnalyzer(
        rules=settings.rules,
        categorical_drift_method=settings.categorical_drift_method,
        # The originals' distances depend on which values a sketch keeps, so their rules keep their order.
        as_of=settings.window.end if settings.window else None,
        arrival_order=plan.small or settings.rules == "sagemaker",
        cluster_by=settings.cluster_by,
    )


def _replay() -> Replay:
    from analyzers.data_quality.analyzer import DataQualityAnalyzer

    def recall(statistics: Any, checking: Mapping[str, Any]) -> None:
        # The file does not say whether columns came without names.
        names = [feature.name for feature in statistics.features]
        unnamed = bool(names) and all(re.fullmatch(r"_c\d+", name) for name in names)
        statistics.positional = bool(checking.get("positional", unnamed))

    def has_features(document: Mapping[str, Any]) -> bool:
        return "features" in document

    return Replay(
        make_checker=lambda rules, checking, statistics: DataQualityAnalyzer(rules=rules),
        has_written=has_features,
        takes=has_features,
        recall=recall,
    )


MONITOR = Monitor(
    program="monitor-data-quality",
    description="Profile data, suggest constraints, and report how a window differs from its baseline.",
    analysis_types=("DATA_QUALITY",),
    title="Data quality",
    lead="What the model is given is no longer what it was trained on.",
    offers=frozenset({"analysis", "table", "script", "segments", "distributions", "clusters"}),
    load_documents=partial(resolve_name, "analyzers.data_quality.documents:DATA_QUALITY"),
    make_analyzer=_make_analyzer,
    load_body=partial(resolve_name, "containers.data_quality.page:body"),
    load_replay=_replay,
)
main = partial(run_command, MONITOR)
