"""Model files of every kind: which kind one is, what it needs, and the recorded Linear Learner."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures import ROOT, fixture
from models.model_files import ROWS, linear_onnx, table
from refusals import refused

from contract.errors import ModelError
from model_clients import local
from model_clients.local import LocalModel
from model_clients.opening import open_model


def test_linear_learner_scores_as_recorded() -> None:
    model = open_model(str(fixture("clarify/adult_json/ll-adult-prediction-model.tar.gz")))
    reference = json.loads(fixture("clarify/adult_json/exact_shapley_reference.json").read_text())["model"]
    native = model.native
    assert np.array_equal(native.weights[:, 0], reference["weights"])
    assert native.bias[0] == reference["bias"]
    assert native.threshold == reference["threshold"]
    records = json.loads(fixture("clarify/adult_json/test-dataset.json").read_text())["instances"]
    rows = np.array([record["features"] for record in records], dtype=float)
    scores = model.predict(table(rows, reference["features"]))
    expected = 1 / (1 + np.exp(-(rows @ reference["weights"] + reference["bias"])))
    assert np.allclose(scores[:, 0], expected, rtol=1e-12)
    assert model.predict_labels(table(rows, reference["features"])).to_pylist() == list(
        (expected > reference["threshold"]).astype(int)
    )


class Doubling:
    """A model with the one method that is asked for."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return 2.0 * rows[:, 0]


class Classifier:
    """A classifier with scikit-learn's members, and an answer of its own choice."""

    def __init__(self, classes: object, answer: object, scores: object = None) -> None:
        self.classes_ = classes
        self.answer = answer
        if scores is not None:
            self.predict_proba = lambda rows: scores

    def predict(self, rows: np.ndarray) -> object:
        return self.answer


def opened(path: Path, *args: object, **kinds: object) -> LocalModel:
    path.write_bytes(b"a pickle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pickle, "loads", lambda content: Classifier(*args, **kinds))
        return local.open_pickled(path.read_bytes(), "model.pkl", allowed=True)


def test_scores_of_several_outputs_stay_with_their_rows(tmp_path: Path) -> None:
    two, three = np.random.default_rng(1).random((300, 2)), np.random.default_rng(2).random((300, 3))
    outputs = [np.array([0, 1]), np.array(["a", "b", "c"])]
    model = opened(tmp_path / "model.pkl", outputs, np.zeros((300, 2)), scores=[two, three])
    assert np.array_equal(model.predict(table()), np.hstack([two, three]))
    with refused(ModelError, "model_answer.shape"):
        model.predict_labels(table())
    model = opened(tmp_path / "model.pkl", [0, 1], None, scores=two.T)
    with refused(ModelError, "model_answer.shape"):
        model.predict(table())


@pytest.mark.parametrize(("classes", "label"), [(["high", "low"], "'low'"), ([1, 2], "2")])
def test_labels_alone_are_no_scores(tmp_path: Path, classes: list[object], label: str) -> None:
    answer = np.resize(classes[::-1], 300)
    model = opened(tmp_path / "model.pkl", classes, answer)
    assert model.only_labels
    assert model.predict_labels(table()).to_pylist() == answer.tolist()
    with refused(ModelError, "model_answer.only_labels") as caught:
        model.predict(table())
    assert f" {label}," in str(caught.value)
    # Two classes of 0 and 1 have a shape that is told elsewhere.
    assert set(opened(tmp_path / "model.pkl", [0, 1], np.resize([0, 1], 300)).predict(table()).flat) == {0, 1}


def test_pickles_need_consent(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps(Doubling()))
    with pytest.raises(
        ModelError, match=r"is pickled, and loading it would run any code .* allow_pickled_model=Enabled"
    ):
        open_model(str(path))
    model = open_model(str(path), allow_pickled_model=True)
    assert np.array_equal(model.predict(table())[:, 0], 2.0 * ROWS[:, 0])
    path.write_bytes(pickle.dumps(Doubling())[:-5])
    with pytest.raises(ModelError, match="cannot be unpickled"):
        open_model(str(path), allow_pickled_model=True)
    path.write_bytes(pickle.dumps({"weights": [1.0]}))
    with pytest.raises(ModelError, match="holds a dict, which has neither predict_proba nor predict"):
        open_model(str(path), allow_pickled_model=True)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it begins with nothing: it is empty"),
        (b"hello", r"it begins with b'hello'\); give an ONNX file"),
        (b"binf\x00\x00", "old binary format"),
        (b"{}", "is not a whole XGBoost model"),
        (b"tree\nversion=v4\n", "is not a whole LightGBM model"),
        (b"PK\x03\x04rubbish", "is not a Linear Learner model"),
    ],
)
def test_files_of_no_known_kind(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=complaint):
        open_model(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("model.json", "model.onnx", "model.tar.gz"):
        with pytest.raises(ModelError, match=r"is no file; the nearest folder .* of a server with http://"):
            open_model(str(tmp_path / name))
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:8080/invocations is no file"):
        open_model("127.0.0.1:8080/invocations")
    with pytest.raises(ModelError, match="is no file"):
        open_model(str(tmp_path))


def test_a_library_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = linear_onnx(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        ModelError, match=r"needs onnxruntime, .* install model-monitor-containers\[feature-attribution\]"
    ):
        open_model(path)


def test_no_library_is_loaded_before_it_is_needed() -> None:
    program = "import sys, model_clients; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert not loaded & {
        "boto3",
        "botocore",
        "jmespath",
        "lightgbm",
        "onnxruntime",
        "pandas",
        "scipy",
        "xgboost",
    }


def test_catboosts_own_format_is_refused_with_the_way(tmp_path: Path) -> None:
    (tmp_path / "model.cbm").write_bytes(b"CBM1" + bytes(100))
    with pytest.raises(ModelError, match=r"CatBoost's own format.*build an image with catboost"):
        open_model(str(tmp_path / "model.cbm"))
