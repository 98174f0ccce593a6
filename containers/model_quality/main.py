"""The console command ``monitor-model-quality``."""

from collections.abc import Mapping
from functools import partial
from pkgutil import resolve_name
from typing import Any

from contract.api import AnyAnalyzer, Arranged, Dataset, Monitor, Plan, Replay, Rules, Settings
from job_runner.console import run_command


def _arrange(settings: Settings, request: Dataset) -> Arranged:
    # What somebody or the baseline lists is a label; "NaN" in a baseline is a metric.
    listed = {text.lower() for text in request.cells.listed} - {"nan"} if request.cells else set()
    return request, partial(_make_analyzer, frozenset(listed))


def _make_analyzer(listed: frozenset[str], settings: Settings, plan: Plan) -> AnyAnalyzer:
    from analyzers.model_quality.analyzer import ModelQualityAnalyzer
    from analyzers.shared.cells import NO_LABEL

    return ModelQualityAnalyzer(
        rules=settings.rules,
        problem_type=settings.problem_type,
        inference_attribute=settings.inference_attribute,
        probability_attribute=settings.probability_attribute,
        probability_threshold=settings.probability_threshold,
        ground_truth_attribute=settings.ground_truth_attribute,
        positive_label=settings.positive_label,
        cluster_by=settings.cluster_by,
        no_labels=NO_LABEL - listed if settings.missing_values is None else frozenset({""}),
    )


_PROBLEMS = ("regression", "binary_classification", "multiclass_classification")


def _replay() -> Replay:
    from analyzers.model_quality.analyzer import ModelQualityAnalyzer

    def make_checker(rules: Rules, checking: Mapping[str, Any], statistics: Any) -> AnyAnalyzer:
        return ModelQualityAnalyzer(
            rules=rules,
            problem_type=statistics.problem_type,
            inference_attribute="0",  # columns play no part any more
            positive_label=statistics.positive_label or checking.get("positive_label"),
        )

    return Replay(
        make_checker=make_checker,
        has_written=lambda document: any(f"{problem}_metrics" in document for problem in _PROBLEMS),
        takes=lambda document: any(f"{problem}_constraints" in document for problem in _PROBLEMS),
    )


MONITOR = Monitor(
    program="monitor-model-quality",
    description="Measure how good predictions are, and report where they are worse than at the baseline.",
    analysis_types=("MODEL_QUALITY",),
    title="Model quality",
    lead="The model answers worse than it did at the baseline.",
    offers=frozenset(
        {"analysis", "table", "script", "segments", "predictions", "labels", "problem", "clusters"}
    ),
    load_documents=partial(resolve_name, "analyzers.model_quality.documents:MODEL_QUALITY"),
    arrange=_arrange,
    load_body=partial(resolve_name, "containers.model_quality.page:body"),
    load_replay=_replay,
)
main = partial(run_command, MONITOR)
