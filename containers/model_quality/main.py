"""The console command ``monitor-model-quality``."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from contract.api import Monitor
from contract.settings import Settings
from job_runner.console import run_command

if TYPE_CHECKING:
    from contract.api import AnyAnalyzer, DocumentSet
    from readers.dataset import Plan


def _make_analyzer(settings: Settings, plan: Plan) -> AnyAnalyzer:
    from analyzers.model_quality.analyzer import ModelQualityAnalyzer

    return ModelQualityAnalyzer(
        rules=settings.rules,
        problem_type=settings.problem_type,
        inference_attribute=settings.inference_attribute,
        probability_attribute=settings.probability_attribute,
        probability_threshold=settings.probability_threshold,
        ground_truth_attribute=settings.ground_truth_attribute,
        positive_label=settings.positive_label,
    )


def _documents() -> DocumentSet[Any, Any]:
    from analyzers.model_quality.documents import MODEL_QUALITY

    return MODEL_QUALITY


MONITOR = Monitor(
    program="monitor-model-quality",
    description="Measure how good predictions are, and report where they are worse than at the baseline.",
    analysis_types=("MODEL_QUALITY",),
    load_documents=_documents,
    make_analyzer=_make_analyzer,
)
main = partial(run_command, MONITOR)


if __name__ == "__main__":
    sys.exit(main())
