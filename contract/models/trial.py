"""A first try at a file in a process of its own.

The libraries of boosters crash or never return on some damaged files. So a copy of this process loads the
file and scores some rows; what happens to it is known before this process does the same.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_SECONDS = 30.0
_SECONDS_PER_BYTE = 1e-6
_LONGEST_PAUSE = 0.05


def harm_of(attempt: Callable[[], Any], size: int) -> str | None:
    """Return what becomes of a process that makes an attempt; None when it comes to an end of its own.

    Parameters
    ----------
    attempt
        What to try; whatever it raises is no harm. It must keep to one thread.
    size
        Of the file in bytes, for the time it may take.
    """
    with warnings.catch_warnings():
        # The copy has one thread, and ends without running anything of the others.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
        process = os.fork()
    if process == 0:
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            faulthandler.disable()  # its file may be another than the standard error
            attempt()
        finally:
            os._exit(0)
    limit = LEAST_SECONDS + _SECONDS_PER_BYTE * size
    end, pause = time.monotonic() + limit, 0.0005
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return f"it is not loaded after {limit:.0f} s"
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    code = os.waitstatus_to_exitcode(status)
    return f"it makes its library end with {signal.Signals(-code).name}" if code < 0 else None


def varied_rows(features: int) -> NDArray[np.float64]:
    """Return rows with values of all sizes and missing ones, so that most branches of trees are walked."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(256, features)) * 10.0 ** random.integers(-3, 7, size=(256, features))
    return np.where(random.random(size=rows.shape) < 0.1, np.nan, rows)
