"""Computing something with different numbers of BLAS threads."""

from __future__ import annotations

import os
import subprocess
import sys


def printed_by_threads(script: str) -> set[str]:
    """Return the different texts that a script prints with one BLAS thread and with two."""
    return {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
