"""Reports of a job that runs again and again: each window's in a folder of its own."""

from datetime import UTC, datetime

import pytest

from containers.data_quality.main import MONITOR
from contract.errors import ConfigurationError
from contract.settings import Settings, read_settings

NOW = datetime(2026, 5, 6, 22, 40, tzinfo=UTC)


def read(**variables: str) -> Settings:
    needed = {"dataset_source": "/in", "dataset_format": '{"parquet":{}}'}
    return read_settings((), {**needed, **variables}, MONITOR, now=NOW)


def test_the_start_of_the_window_names_the_folder() -> None:
    settings = read(output_path="s3://reports/churn/%Y/%m/%d/%H", window="PT1H", start_time_offset="-PT2H")
    assert settings.output_path == "s3://reports/churn/2026/05/06/19"


def test_paths_without_fields_stay_as_they_are() -> None:
    assert read(output_path="/reports/100%", window="PT1H").output_path == "/reports/100%"


def test_without_a_window_there_is_nothing_to_fill_in() -> None:
    with pytest.raises(ConfigurationError, match=r"%Y stands for the start of the window.*set window"):
        read(output_path="/reports/%Y")


def test_a_window_that_cannot_be_read_is_the_one_mistake() -> None:
    with pytest.raises(ConfigurationError, match="window is '1h'") as raised:
        read(output_path="/reports/%Y", window="1h")
    assert "stands for" not in raised.value.message
