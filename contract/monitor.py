"""One kind of monitoring, as an image offers it: what the job needs to know and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contract.analyzer import AnyAnalyzer, DocumentSet
    from contract.datasets.plan import DatasetRequest, Plan
    from contract.settings import Settings


MakeAnalyzer = Callable[["Settings", "Plan"], "AnyAnalyzer"]


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
        Makes the analyzer from settings and plan; None where `arrange` says how.
    arrange
        For monitors with a configuration file that says how the data is read: returns what to read, and
        how to make the analyzer, from the settings and what they say alone.
    adjust
        For monitors with a configuration file that adds to the settings: returns them with that.

    Notes
    -----
    The functions are called when the settings are good, so their imports belong inside them: mistakes
    are then reported at once.
    """

    program: str
    description: str
    analysis_types: tuple[str, ...]
    load_documents: Callable[[], DocumentSet[Any, Any]]
    make_analyzer: MakeAnalyzer | None = None
    arrange: Callable[[Settings, DatasetRequest], tuple[DatasetRequest, MakeAnalyzer]] | None = None
    adjust: Callable[[Settings], Settings] | None = None

    def adjusted(self, settings: Settings) -> Settings:
        """Return the settings with what the monitor's configuration adds to them.

        Raises
        ------
        InputError
            When the configuration is at fault.
        """
        return settings if self.adjust is None else self.adjust(settings)

    def arranged(self, settings: Settings, request: DatasetRequest) -> tuple[DatasetRequest, MakeAnalyzer]:
        """Return what to read, and how to make the analyzer.

        Raises
        ------
        InputError
            When the monitor's configuration is at fault.
        TypeError
            When the monitor has neither `arrange` nor `make_analyzer`.
        """
        if self.arrange is not None:
            return self.arrange(settings, request)
        if self.make_analyzer is None:
            raise TypeError(f"{self.program} needs make_analyzer or arrange")
        return request, self.make_analyzer
