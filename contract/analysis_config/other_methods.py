"""What a configuration asks for that is another job's."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from contract.analysis_config.members import AnalysisConfig


def log_other_methods(config: AnalysisConfig, names: Iterable[str], log: logging.Logger) -> None:
    """Log which members of ``methods``, of those named, the configuration has.

    Parameters
    ----------
    config
        As read.
    names
        The members that are not for this job.
    log
        The job's.
    """
    ignored = [name for name in names if getattr(config.methods, name, None) is not None]
    if ignored:
        log.info("methods.%s of the configuration is not for this job", " and methods.".join(ignored))
