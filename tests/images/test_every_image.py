"""What holds for every image: its labels, its size, what is in it and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from image_runner import DOCKER, IMAGES, LOCKED_DOWN, SOMEBODY, call, run_image

import contract

BYTES_AT_MOST = 550_000_000
COMMANDS = {"data-quality": "monitor-data-quality", "model-quality": "monitor-model-quality"}


@pytest.fixture(params=COMMANDS)
def name(request: pytest.FixtureRequest) -> str:
    """Return an image's short name."""
    return request.param


@pytest.fixture
def any_image(name: str) -> str:
    """Return an image."""
    return IMAGES[name]


def configuration(image: str) -> dict:
    return json.loads(call(DOCKER, "image", "inspect", image).stdout)[0]["Config"]


def test_version_is_the_packages(tmp_path: Path, name: str) -> None:
    run = run_image(tmp_path, "--version", image=IMAGES[name])
    assert (run.exit_code, run.stdout) == (0, f"{COMMANDS[name]} {contract.__version__}\n")


def test_help_names_the_variables(tmp_path: Path, any_image: str) -> None:
    run = run_image(tmp_path, "--help", image=any_image)
    assert run.exit_code == 0
    assert "--dataset-source" in run.stdout


def test_image_is_small(any_image: str) -> None:
    container = call(DOCKER, "create", any_image, check=True).stdout.strip()
    try:
        size = call(
            "sh", "-c", f"{DOCKER} export {container} | wc --bytes", check=True
        ).stdout  # everything a node must unpack, the base included
    finally:
        call(DOCKER, "rm", container)
    assert int(size) <= BYTES_AT_MOST


def test_labels_say_what_it_is(name: str) -> None:
    labels = configuration(IMAGES[name])["Labels"]
    assert labels["org.opencontainers.image.title"] == f"model-monitor/{name}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == contract.__version__
    assert labels["org.opencontainers.image.description"]
    assert labels["org.opencontainers.image.revision"]


def test_default_user_can_read_sagemaker_mounts(any_image: str) -> None:
    assert configuration(any_image)["User"] in ("", "root", "0")


def test_no_pip_no_headers_no_tests(any_image: str) -> None:
    script = (
        "import importlib.util as u, pathlib as p, sysconfig as s; site = p.Path(s.get_path('purelib'));"
        "print(u.find_spec('pytest'), [p for n in ('pip', '*/include', '*/tests') for p in site.glob(n)])"
    )
    result = call(DOCKER, "run", "--rm", *LOCKED_DOWN, "--entrypoint", "python3", any_image, "-c", script)
    assert result.stdout.strip() == "None []", result.stderr


def test_what_is_left_of_the_libraries_still_loads(any_image: str) -> None:
    script = (
        "import numpy, numpy.testing, orjson, pandas, xxhash, pyarrow as pa, pyarrow.fs;"
        "from pyarrow import compute, csv, dataset, json, orc, parquet;"
        "print(pandas.Series(['a', 'b', 'a']).value_counts()['a'], compute.sum(pa.array([1, 2])))"
    )
    result = call(
        DOCKER,
        "run",
        "--rm",
        *LOCKED_DOWN,
        "--user",
        SOMEBODY,
        "--entrypoint",
        "python3",
        any_image,
        "-c",
        script,
    )
    assert result.stdout.strip() == "2 3", result.stderr


def test_standard_library_and_packages_are_compiled(any_image: str) -> None:
    # A read-only root would make every start compile them anew.
    script = (
        "import json, importlib.util as u, os, orjson, pyarrow, contract.settings, contract.job;"
        "print([m.__file__ for m in (json, pyarrow, contract.settings, contract.job)"
        " if not os.path.exists(u.cache_from_source(m.__file__))])"
    )
    result = call(DOCKER, "run", "--rm", *LOCKED_DOWN, "--entrypoint", "python3", any_image, "-c", script)
    assert result.stdout.strip() == "[]", result.stderr
