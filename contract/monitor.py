"""One kind of monitoring, as an image offers it: what the job needs to know and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contract.analyzer import AnyAnalyzer, DocumentSet
    from contract.datasets.plan import Plan
    from contract.settings import Settings


@dataclass(frozen=True)
class Monitor:
    """One kind of monitoring, as an image offers it.

    Parameters
    ----------
    program
        Name of the console command.
    description
        One line for ``--help``.
    analysis_types
        Values of ``analysis_type`` it serves.
    load_documents
        Returns how its files are read and written.
    make_analyzer
        Makes the analyzer from settings and plan.

    Notes
    -----
    Both functions are called when the settings are good, so their imports belong inside them: mistakes
    are then reported at once.
    """

    program: str
    description: str
    analysis_types: tuple[str, ...]
    load_documents: Callable[[], DocumentSet[Any, Any]]
    make_analyzer: Callable[[Settings, Plan], AnyAnalyzer]
