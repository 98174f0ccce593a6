"""Shared test configuration."""

import logging
import os
import signal

import pytest
from hypothesis import settings

# No test asserts a time: machines that run tests are shared.
# On CI the same examples decide on every change; everywhere else new ones are drawn each time.
settings.register_profile("untimed", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("untimed")

# Shells start what runs in the background with Ctrl-C ignored, which all processes below inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["s3_server"]


@pytest.fixture(autouse=True)
def plain_logging() -> None:
    """Start every test with Python's default logging: jobs run in this process configure it."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    # pytest's own handlers are of subclasses; the job's is a plain one.
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
