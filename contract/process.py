"""What a console command arranges in a process of its own, before anything heavy is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def limit_threads() -> None:
    """Keep numerical libraries to one thread each: the splits are the one level of parallelism."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


class _WithoutPandas:
    """A finder that says pandas is not installed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)
        return None


def leave_out_pandas() -> None:
    """Keep Arrow from loading pandas, which it does whenever pandas is installed.

    Only user scripts need it; for a small job it would be half of the time.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _WithoutPandas())
