"""Shared test configuration."""

import logging
import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

CI = bool(os.environ.get("CI"))
# No test asserts a time: machines that run tests are shared.
# On CI the same examples decide on every change; everywhere else new ones are drawn each time.
settings.register_profile("short", max_examples=100, deadline=None, derandomize=CI)
# The long run (make test-long) draws with the seed it prints.
settings.register_profile("long", max_examples=2000, deadline=None, derandomize=False)
settings.load_profile("short")
# Who runs the tests decides on these two: root is refused nothing, and anyone else may not mount.
SKIPS_OF_CI = ("root may ", "mounting a file system needs rights")

# Shells start what runs in the background with Ctrl-C ignored, which all processes below inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["s3_server"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the property tests; none draws fewer examples than the profile says."""
    profile = settings()
    for item in items:
        test = getattr(item, "obj", None)
        if is_hypothesis_test(test):
            item.add_marker("property")
            test = getattr(test, "__func__", test)
            # There is no public way to change what a test says of itself.
            own = test._hypothesis_internal_use_settings
            test._hypothesis_internal_use_settings = settings(
                own,
                max_examples=max(own.max_examples, profile.max_examples),
                suppress_health_check=[*own.suppress_health_check, HealthCheck.too_slow],
            )


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: what they hold may come from a clock, and workers must agree on names."""
    return argname if isinstance(val, bytes) else None


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """On CI everything a test needs is there, so that a skip is a failure."""
    if not CI or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if not reason.removeprefix("Skipped: ").startswith(SKIPS_OF_CI):
        report.outcome = "failed"
        report.longrepr = f"skipped on CI, where nothing may be missing: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.fixture(autouse=True)
def plain_logging() -> None:
    """Start every test with Python's default logging: jobs run in this process configure it."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    # pytest's own handlers are of subclasses; the job's is a plain one.
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
