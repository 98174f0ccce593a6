"""Errors as a test expects them: by their kind and code, not by their sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from contract.errors import MonitorError


@contextmanager
def refused[Refusal: MonitorError](
    kind: type[Refusal], code: str, *, field: str | None = None
) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """Expect an error of this kind whose sentence has `code`, about `field` where that is given."""
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    assert error.code == code, f"{error.code}: {error.message}"
    assert field is None or error.field == field, f"{error.field}: {error.message}"
