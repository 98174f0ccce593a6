"""The console command ``monitor-data-quality``."""

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
    from analyzers.data_quality.analyzer import DataQualityAnalyzer

    return DataQualityAnalyzer(
        rules=settings.rules,
        categorical_drift_method=settings.categorical_drift_method,
        # The originals' distances depend on which values a sketch keeps, so their rules keep their order.
        as_of=settings.window.end if settings.window else None,
        arrival_order=plan.small or settings.rules == "sagemaker",
    )


def _documents() -> DocumentSet[Any, Any]:
    from analyzers.data_quality.documents import DATA_QUALITY

    return DATA_QUALITY


MONITOR = Monitor(
    program="monitor-data-quality",
    description="Profile data, suggest constraints, and report how a window differs from its baseline.",
    analysis_types=("DATA_QUALITY",),
    load_documents=_documents,
    make_analyzer=_make_analyzer,
)
main = partial(run_command, MONITOR)


if __name__ == "__main__":
    sys.exit(main())
