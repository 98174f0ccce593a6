"""Libraries that only some kinds of models need, loaded when such a model is opened."""

from __future__ import annotations

import importlib
from typing import Any

from contract.errors import ModelError


def require(module: str, distribution: str, purpose: str) -> Any:
    """Return a module.

    Parameters
    ----------
    module
        To import.
    distribution
        Its name on the package index, for the message.
    purpose
        The model that needs it, for the message.

    Raises
    ------
    ModelError
        When it is not installed, naming what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ModelError(
            f"{purpose} needs {distribution}, which cannot be loaded here ({error}); use the "
            "feature-attribution "
            "image, or install model-monitor-containers[feature-attribution]."
        ) from error
