"""Fixtures of the image tests."""

from __future__ import annotations

import pytest
from image_data import write_baseline
from image_runner import CSV_WITH_HEADER, DOCKER, IMAGE, ImageRun, call, run_image, unavailable


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.getoption("markexpr") == "image"
    for item in items:
        if item.path.parent.name == "images":
            item.add_marker("image")
            if not chosen:
                item.add_marker(pytest.mark.skip(reason="images are tested by: make test-images"))


@pytest.fixture(scope="session", autouse=True)
def image() -> str:
    """Return the name of the image under test."""
    try:
        found = call(DOCKER, "image", "inspect", IMAGE)
    except FileNotFoundError:
        unavailable(f"there is no command {DOCKER}; install Docker, or name another engine: DOCKER=...")
    if found.returncode:
        unavailable(f"image {IMAGE} was not found ({found.stderr.strip()}); build it: make images")
    return IMAGE


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> ImageRun:
    """Return a baseline job's run, made once."""
    folder = tmp_path_factory.mktemp("baseline")
    return run_image(
        folder,
        mounts={"/data": write_baseline(folder / "data")},
        dataset_source="/data",
        dataset_format=CSV_WITH_HEADER,
        output_path="/output",
        output_message_file="/output/message",
    )
