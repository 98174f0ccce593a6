"""The console command ``monitor-feature-attribution``."""

from __future__ import annotations

from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from contract.api import MakeAnalyzer, Monitor
from contract.settings import Rules, Settings
from job_runner.console import run_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.api import Dataset, Replay


def _arrange(settings: Settings, request: Dataset) -> tuple[Dataset, MakeAnalyzer]:
    from containers.feature_attribution.configuration import arrange

    return arrange(settings, request)


def _replay() -> Replay:
    from analyzers.feature_attribution.analyzer import AttributionChecker
    from contract.api import Replay

    def make_checker(rules: Rules, checking: Mapping[str, Any], statistics: Any) -> AttributionChecker:
        drift_limit = checking.get("attribution_drift_threshold")
        return AttributionChecker(rules, drift_limit, statistics.design.seed or 0)

    def explains(document: Mapping[str, Any]) -> bool:
        return "kernel_shap" in (document.get("explanations") or {})

    return Replay(make_checker=make_checker, has_written=explains, takes=explains)


MONITOR = Monitor(
    program="monitor-feature-attribution",
    description="Explain what a model's predictions come from, and report where that is no longer as it was.",
    analysis_types=("MODEL_EXPLAINABILITY", "EXPLAINABILITY"),
    title="Feature attribution",
    lead="The model's answers come from other features than they did.",
    offers=frozenset({"analysis", "configuration", "script", "attributions", "clusters"}),
    load_documents=partial(resolve_name, "analyzers.feature_attribution.documents:ATTRIBUTION"),
    arrange=_arrange,
    load_body=partial(resolve_name, "containers.feature_attribution.page:body"),
    load_replay=_replay,
)
main = partial(run_command, MONITOR)
