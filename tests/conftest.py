"""Shared test configuration."""

from hypothesis import settings

# No test asserts a time: machines that run tests are shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["s3_server"]
