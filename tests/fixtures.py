"""Finding the real files the tests compare with."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_FIXTURES = ROOT.parent / "shared" / "fixtures"


def fixture(path: str) -> Path:
    """Return a real file recorded from the original services; skip when this machine has none."""
    file = _FIXTURES / path
    if not file.exists():
        pytest.skip(
            f"recorded file {path} is not on this machine (expected beside the checkout, in shared/fixtures)"
        )
    return file
