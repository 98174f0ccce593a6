"""The console command ``monitor-data-quality``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from contract.console import run_command
from contract.monitor import Monitor
from contract.settings import Settings

if TYPE_CHECKING:
    from contract.analyzer import AnyAnalyzer, DocumentSet
    from contract.datasets.plan import Plan


def make_analyzer(settings: Settings, plan: Plan) -> AnyAnalyzer:
    """Return the data-quality analyzer these settings ask for.

    The analyzer is imported here so that mistakes in the settings are reported before anything loads.
    """
    from analyzers.data_quality.analyzer import DataQualityAnalyzer

    return DataQualityAnalyzer(
        rules=settings.rules,
        categorical_drift_method=settings.categorical_drift_method,
        # The originals' distances depend on which values a sketch keeps, so their rules keep their order.
        arrival_order=plan.small or settings.rules == "sagemaker",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    Parameters
    ----------
    arguments
        Command-line arguments; default those of the process.
    """
    return run_command(MONITOR, arguments)


def _documents() -> DocumentSet[Any, Any]:
    from contract.documents.data_quality import DATA_QUALITY

    return DATA_QUALITY


MONITOR = Monitor(
    program="monitor-data-quality",
    description="Profile data, suggest constraints, and report how a window differs from its baseline.",
    analysis_types=("DATA_QUALITY",),
    load_documents=_documents,
    make_analyzer=make_analyzer,
)


if __name__ == "__main__":
    sys.exit(main())
