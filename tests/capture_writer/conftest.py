"""What the tests of captures share."""

import os
from collections.abc import Iterator
from unittest import mock

import pytest

EMPTY = os.statvfs_result((4096, 4096, 100, 90, 90, 0, 0, 0, 0, 255))


@pytest.fixture(autouse=True)
def disk_with_room() -> Iterator[None]:
    """Capture pauses on a disk that is nearly full; that of whoever runs the tests decides nothing."""
    with mock.patch.object(os, "statvfs", return_value=EMPTY):
        yield
