"""What holds for every image: its labels, its size, what is in it and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from image_runner import DOCKER, IMAGES, LOCKED_DOWN, NAMES, SOMEBODY, call, run_image

import contract

BYTES_AT_MOST = {
    "data-quality": 550_000_000,
    "model-quality": 550_000_000,
    "bias": 600_000_000,
    "feature-attribution": 900_000_000,
}
COMMANDS = {name: f"monitor-{name}" for name in NAMES}
# What each image computes with, slimmed down: a line of Python that prints True.
LIBRARIES = {
    "bias": (
        "import jmespath, numpy, scipy.spatial as s;"
        "print(s.cKDTree(numpy.eye(3)).query(numpy.eye(3), workers=-1)[1].tolist() == [0, 1, 2]"
        " and jmespath.search('a[*].b', {'a': [{'b': 1}]}) == [1])"
    ),
    "feature-attribution": (
        "import boto3, lightgbm, numpy, onnxruntime, shap, sklearn.linear_model as l, xgboost;"
        "x = numpy.random.default_rng(0).random((64, 3)); y = (x[:, 0] > 0.5).astype(int);"
        # LightGBM asks for an OpenMP library of the system, which a slim image has not.
        "g = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(x, y);"
        "b = xgboost.train({'objective': 'binary:logistic'}, xgboost.DMatrix(x, y), 3);"
        "print((g.predict(x) == y).mean() > 0.9"
        " and shap.TreeExplainer(b).shap_values(x).shape == (64, 3)"
        " and l.LinearRegression().fit(x, x[:, 0]).coef_.argmax() == 0"
        " and 'CPUExecutionProvider' in onnxruntime.get_available_providers()"
        " and 'sagemaker-runtime' in boto3.Session().get_available_services())"
    ),
}


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


def python(image: str, script: str) -> str:
    """Run a script with an image's Python, as somebody without privileges; return what it prints."""
    command = ["--user", SOMEBODY, "--entrypoint", "python3", image, "-c", script]
    result = call(DOCKER, "run", "--rm", *LOCKED_DOWN, *command)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_version_is_the_packages(tmp_path: Path, name: str) -> None:
    run = run_image(tmp_path, "--version", image=IMAGES[name])
    assert (run.exit_code, run.stdout) == (0, f"{COMMANDS[name]} {contract.__version__}\n")


def test_help_names_the_variables(tmp_path: Path, any_image: str) -> None:
    run = run_image(tmp_path, "--help", image=any_image)
    assert run.exit_code == 0
    assert "--dataset-source" in run.stdout


def test_image_is_small(name: str) -> None:
    container = call(DOCKER, "create", IMAGES[name], check=True).stdout.strip()
    try:
        size = call(
            "sh", "-c", f"{DOCKER} export {container} | wc --bytes", check=True
        ).stdout  # everything a node must unpack, the base included
    finally:
        call(DOCKER, "rm", container)
    assert int(size) <= BYTES_AT_MOST[name]


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
    assert python(any_image, script) == "None []"


def test_what_is_left_of_the_libraries_still_loads(any_image: str) -> None:
    script = (
        "import numpy, numpy.testing, orjson, pandas, xxhash, pyarrow as pa, pyarrow.fs;"
        "from pyarrow import compute, csv, dataset, json, orc, parquet;"
        "print(pandas.Series(['a', 'b', 'a']).value_counts()['a'], compute.sum(pa.array([1, 2])))"
    )
    assert python(any_image, script) == "2 3"


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_is_left_of_its_own_libraries_still_computes(name: str) -> None:
    assert python(IMAGES[name], LIBRARIES[name]) == "True"


def test_onnx_runtime_reports_to_nobody() -> None:
    # It keeps a device identifier and sends events unless told not to; it says so where it cannot write.
    command = ("--entrypoint", "python3", IMAGES["feature-attribution"], "-c", "import onnxruntime")
    result = call(DOCKER, "run", "--rm", *LOCKED_DOWN, "--user", SOMEBODY, *command)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert "ORT_DISABLE_TELEMETRY=1" in configuration(IMAGES["feature-attribution"])["Env"]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"feature-attribution"}))
def test_no_image_carries_what_others_compute_with(name: str) -> None:
    script = (
        "import importlib.util as u; print([n for n in ('shap', 'xgboost', 'sklearn') if u.find_spec(n)])"
    )
    assert python(IMAGES[name], script) == "[]"


def test_standard_library_and_packages_are_compiled(any_image: str) -> None:
    # A read-only root would make every start compile them anew.
    script = (
        "import json, importlib.util as u, os, orjson, pyarrow, contract.settings, job_runner.job;"
        "print([m.__file__ for m in (json, pyarrow, contract.settings, job_runner.job)"
        " if not os.path.exists(u.cache_from_source(m.__file__))])"
    )
    assert python(any_image, script) == "[]"
