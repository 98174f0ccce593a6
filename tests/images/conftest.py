"""Fixtures of the image tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from attribution_data import CONFIG, Predict, draw, train, write_rows
from bias_data import write_bias_baseline, write_config
from captured_predictions import predict, write_table
from image_data import write_baseline
from image_runner import (
    BIAS,
    CSV_WITH_HEADER,
    DOCKER,
    FEATURE_ATTRIBUTION,
    IMAGES,
    INPUT,
    MODEL_QUALITY,
    REPORTING,
    ImageRun,
    call,
    run_image,
    shared_folder,
)
from pods import Podman
from sdk_local_mode import s3_server, tidied


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.getoption("markexpr") == "image"
    for item in items:
        if item.path.parent.name == "images":
            item.add_marker("image")
            if not chosen:
                item.add_marker(pytest.mark.skip(reason="images are tested by: make test-images"))


@pytest.fixture(scope="session", autouse=True)
def images() -> dict[str, str]:
    """Return the images under test by their short names."""
    for image in IMAGES.values():
        try:
            found = call(DOCKER, "image", "inspect", image)
        except FileNotFoundError:
            pytest.skip(f"there is no command {DOCKER}; install Docker, or name another engine: DOCKER=...")
        if found.returncode:
            pytest.skip(f"image {image} was not found ({found.stderr.strip()}); build it: make images")
    return IMAGES


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> ImageRun:
    """Return a baseline job's run, made once."""
    folder = tmp_path_factory.mktemp("baseline")
    return run_image(
        folder,
        mounts={"/data": write_baseline(folder / "data")},
        dataset_source="/data",
        dataset_format=CSV_WITH_HEADER,
        **REPORTING,
    )


@pytest.fixture(scope="session")
def model_baseline(tmp_path_factory: pytest.TempPathFactory) -> ImageRun:
    """Return a model-quality baseline job's run, made once."""
    folder = tmp_path_factory.mktemp("model-baseline")
    data = shared_folder(folder / "data")
    write_table(data / "data.csv", predict(2_000, seed=1)).chmod(0o644)
    return run_image(
        folder,
        image=MODEL_QUALITY,
        mounts={"/data": data},
        dataset_source="/data",
        dataset_format=CSV_WITH_HEADER,
        problem_type="BinaryClassification",
        inference_attribute="prediction",
        probability_attribute="probability",
        ground_truth_attribute="label",
        **REPORTING,
    )


@pytest.fixture(scope="session")
def bias_baseline(tmp_path_factory: pytest.TempPathFactory) -> ImageRun:
    """Return a bias baseline job's run, made once: Clarify's own paths, no variables, nobody's user."""
    folder = tmp_path_factory.mktemp("bias-baseline")
    return run_image(
        folder,
        image=BIAS,
        mounts={
            f"{INPUT}/config": write_config(folder / "config"),
            f"{INPUT}/data": write_bias_baseline(folder / "data"),
        },
        output_at="/opt/ml/processing/output",
    )


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server that speaks S3."""
    with s3_server(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture(scope="module")
def tidy_docker() -> Iterator[None]:
    """Remove what the SDK's local mode leaves behind."""
    with tidied():
        yield


@pytest.fixture(scope="session")
def boosted_trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Predict]:
    """Return a folder with a model's file, and the model as a function."""
    return train(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory, boosted_trees: tuple[Path, Predict]) -> ImageRun:
    """Return a baseline job's run, made once: Clarify's own paths, and a model file beside them."""
    folder = tmp_path_factory.mktemp("explained")
    return run_image(
        folder,
        image=FEATURE_ATTRIBUTION,
        mounts={
            f"{INPUT}/config": write_config(folder / "config", CONFIG),
            f"{INPUT}/data": write_rows(folder / "data", draw(2)),
            "/model": boosted_trees[0],
        },
        output_at="/opt/ml/processing/output",
        model="/model/model.json",
    )


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Return Podman, which gets its images from Docker."""
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    with tempfile.TemporaryDirectory(prefix="pods-", ignore_cleanup_errors=True) as running:
        podman = Podman(tmp_path_factory.mktemp("podman"), Path(running))
        try:
            yield podman
        finally:
            podman("rmi", "--all", "--force")
