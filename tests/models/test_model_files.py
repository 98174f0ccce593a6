"""Model files: the scores of their own libraries, and what damaged or foreign files say."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
from fixtures import ROOT, fixture
from onnx import TensorProto, helper, numpy_helper

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError, ModelError, ScriptError
from contract.models import open_model

NAMES = ["age", "income", "visits", "delay"]
RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(300, 4))


def table(values: np.ndarray = ROWS, names: list[str] = NAMES) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(column) for column in values.T], names=names)


@pytest.fixture(scope="module")
def boosters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    import lightgbm
    import xgboost

    folder = tmp_path_factory.mktemp("boosters")
    labels = (ROWS[:, 0] + ROWS[:, 1] ** 2 > 0.5).astype(int)
    classes = np.digitize(ROWS[:, 0], [-0.5, 0.5])
    quiet = {"verbosity": -1, "num_leaves": 5, "min_data_in_leaf": 5, "num_threads": 1}
    kinds = np.column_stack([RANDOM.integers(0, 6, 300), ROWS[:, 1]])
    trained = {
        "binary.json": xgboost.train(
            {"objective": "binary:logistic", "nthread": 1},
            xgboost.DMatrix(ROWS, labels, feature_names=NAMES),
            5,
        ),
        "classes.ubj": xgboost.train(
            {"objective": "multi:softprob", "num_class": 3, "nthread": 1}, xgboost.DMatrix(ROWS, classes), 3
        ),
        "binary.txt": lightgbm.train(
            quiet | {"objective": "binary"}, lightgbm.Dataset(ROWS, labels, feature_name=NAMES), 6
        ),
        "classes.txt": lightgbm.train(
            quiet | {"objective": "multiclass", "num_class": 3}, lightgbm.Dataset(ROWS, classes), 3
        ),
        "kinds.txt": lightgbm.train(
            quiet | {"objective": "regression", "min_data_per_group": 5},
            lightgbm.Dataset(kinds, kinds[:, 0] % 2 + ROWS[:, 1], categorical_feature=[0]),
            4,
        ),
    }
    for name, model in trained.items():
        model.save_model(folder / name)
    return {"folder": folder, "kinds": kinds, **trained}


def test_xgboost_scores(boosters: dict[str, Any]) -> None:
    import xgboost

    model = open_model(str(boosters["folder"] / "binary.json"))
    expected = boosters["binary.json"].predict(xgboost.DMatrix(ROWS, feature_names=NAMES))
    assert np.array_equal(model.predict(table())[:, 0], expected.astype(np.float64))
    # By name, whatever the order and whatever else there is.
    shuffled = table().select(["delay", "age", "visits", "income"]).append_column("id", pa.array(range(300)))
    assert np.array_equal(model.predict(shuffled), model.predict(table()))
    classes = open_model(
        str(boosters["folder"] / "classes.ubj"), PredictorConfig(label_headers=("a", "b", "c"))
    )
    expected = boosters["classes.ubj"].predict(xgboost.DMatrix(ROWS))
    assert np.array_equal(classes.predict(table()), expected.astype(np.float64))
    assert classes.predict_labels(table()).to_pylist() == [
        "abc"[largest] for largest in expected.argmax(axis=1)
    ]


def test_lightgbm_scores(boosters: dict[str, Any]) -> None:
    for name, rows in (("binary.txt", ROWS), ("classes.txt", ROWS), ("kinds.txt", boosters["kinds"])):
        model = open_model(str(boosters["folder"] / name))
        names = NAMES[: rows.shape[1]]
        expected = boosters[name].predict(rows).reshape(len(rows), -1)
        assert np.array_equal(model.predict(table(rows, names)), expected)
    assert open_model(str(boosters["folder"] / "classes.txt")).predict_labels(table()).type == pa.int64()


def test_missing_values_go_as_missing(boosters: dict[str, Any]) -> None:
    rows = ROWS.copy()
    rows[::3, 1] = np.nan
    nulls = table(rows).set_column(1, "income", pa.array(rows[:, 1], from_pandas=True))
    for name in ("binary.json", "binary.txt"):
        model = open_model(str(boosters["folder"] / name))
        assert np.array_equal(model.predict(nulls), model.predict(table(rows)))
    assert np.array_equal(model.predict(table(rows))[:, 0], boosters["binary.txt"].predict(rows))


def test_early_stopping_is_respected(tmp_path: Path) -> None:
    import xgboost

    data = xgboost.DMatrix(ROWS, RANDOM.normal(size=300))
    booster = xgboost.train(
        {"nthread": 1},
        data,
        40,
        evals=[(data, "seen"), (xgboost.DMatrix(ROWS, RANDOM.normal(size=300)), "unseen")],
        early_stopping_rounds=3,
        verbose_eval=False,
    )
    booster.save_model(tmp_path / "model.json")
    assert booster.best_iteration + 1 < booster.num_boosted_rounds()
    expected = booster.inplace_predict(ROWS, iteration_range=(0, booster.best_iteration + 1))
    assert np.allclose(open_model(str(tmp_path / "model.json")).predict(table())[:, 0], expected, atol=1e-7)


def test_the_recorded_model_scores_as_it_did() -> None:
    model = open_model(str(fixture("clarify/weather_csv/xgboost_model.json")))
    rows = np.genfromtxt(fixture("clarify/weather_csv/t_file.csv"), delimiter=",", skip_header=1, max_rows=1)
    scores = model.predict(table(rows[np.newaxis, 1:], [f"f{number}" for number in range(16)]))
    assert scores[0, 0] == -4.902510643005371


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


@pytest.mark.parametrize("name", ["binary.json", "classes.ubj", "binary.txt"])
def test_a_file_cut_off(
    boosters: dict[str, Any], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries crash on some of these, or never return."""
    monkeypatch.setattr("contract.models.trial.LEAST_SECONDS", 3.0)
    content = (boosters["folder"] / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"is not a whole .* model \(.*\); save it again") as caught:
        open_model(str(path))
    assert "\n" not in caught.value.message


def test_damage_that_ends_the_process_of_the_library(boosters: dict[str, Any], tmp_path: Path) -> None:
    content = (boosters["folder"] / "binary.txt").read_bytes()
    path = tmp_path / "model.txt"
    path.write_bytes(content.replace(b"threshold=", b"threshold=x", 1))
    with pytest.raises(
        ModelError,
        match=r"is not a whole LightGBM model \(it makes its library end with SIG.*\); save it again",
    ):
        open_model(str(path))


@pytest.mark.parametrize(
    ("name", "kind"), [("binary.json", "names"), ("classes.ubj", "none"), ("binary.txt", "names")]
)
def test_another_number_of_features(boosters: dict[str, Any], name: str, kind: str) -> None:
    model = open_model(str(boosters["folder"] / name))
    hint = "it lacks 'delay'" if kind == "names" else "give exactly"
    with pytest.raises(ModelError, match=rf"takes 4 features, but the data has 3 columns.*{hint}"):
        model.predict(table().select(NAMES[:3]))
    with pytest.raises(ModelError, match=r"takes 4 features, but the data has 5 columns"):
        model.predict(table(np.ones((2, 5)), list("abcde")))


def test_text_for_a_model_of_numbers(boosters: dict[str, Any]) -> None:
    model = open_model(str(boosters["folder"] / "binary.json"))
    texts = table().set_column(1, "income", pa.array(["high"] * 300))
    with pytest.raises(ModelError, match=r"column 'income' is text, but .* takes numbers only; encode it"):
        model.predict(texts)


def linear_onnx(
    path: Path, weights: np.ndarray, *, columns: bool = False, batch: int | str = "n", text: bool = False
) -> str:
    """Write a network that multiplies rows with weights; by columns, one input each."""
    count = len(weights)
    constants = [numpy_helper.from_array(weights.astype(np.float32), "w")]
    if columns:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 1]) for name in NAMES[:count]
        ]
        nodes = [helper.make_node("Concat", NAMES[:count], ["x"], axis=1)]
    else:
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, count])]
        nodes = []
    nodes += [
        helper.make_node("MatMul", ["x", "w"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, [batch]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, weights.shape[1]]),
    ]
    graph = helper.make_graph(nodes, "linear", inputs, outputs, constants)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return str(path)


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("batch", ["n", 1, 64])
def test_onnx_scores(tmp_path: Path, columns: bool, batch: int | str) -> None:
    weights = RANDOM.normal(size=(4, 3))
    model = open_model(linear_onnx(tmp_path / "model.onnx", weights, columns=columns, batch=batch))
    expected = ROWS.astype(np.float32) @ weights.astype(np.float32)
    assert np.allclose(model.predict(table()), expected, atol=1e-5)
    assert model.predict_labels(table()).to_pylist() == expected.argmax(axis=1).tolist()
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict(table()), model.predict(table()))


def test_onnx_outputs_are_chosen(tmp_path: Path) -> None:
    path = linear_onnx(tmp_path / "model.onnx", RANDOM.normal(size=(4, 3)))
    assert open_model(path, PredictorConfig(probability="label")).predict(table()).shape == (300, 1)
    assert open_model(path, PredictorConfig(probability=1)).predict(table()).shape == (300, 3)
    with pytest.raises(
        ConfigurationError, match=r"predictor.probability is 'prob', but the outputs .* label, scores"
    ):
        open_model(path, PredictorConfig(probability="prob"))


def test_damaged_onnx(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    linear_onnx(path, RANDOM.normal(size=(4, 3)))
    content = path.read_bytes()
    for damaged in (b"", b"rubbish", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"model\.onnx is not a whole ONNX model \(.*; export it again"):
            open_model(str(path))


def test_onnx_with_another_number_of_features(tmp_path: Path) -> None:
    model = open_model(linear_onnx(tmp_path / "model.onnx", RANDOM.normal(size=(4, 3))))
    with pytest.raises(ModelError, match="takes 4 features, but the data has 3 columns"):
        model.predict(table().select(NAMES[:3]))


def test_scores_that_are_no_numbers(tmp_path: Path) -> None:
    model = open_model(linear_onnx(tmp_path / "model.onnx", np.full((4, 1), np.nan)))
    with pytest.raises(ModelError, match=r"model\.onnx answered no score .* for 300 of 300 rows"):
        model.predict(table())


def packed(path: Path, members: dict[str, bytes | Path]) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            content = content.read_bytes() if isinstance(content, Path) else content
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def test_an_archive_with_a_model_file(boosters: dict[str, Any], tmp_path: Path) -> None:
    members = {"xgboost-model": boosters["folder"] / "binary.json", "README.txt": b"hi", "config.json": b"{}"}
    model = open_model(packed(tmp_path / "model.tar.gz", members))
    assert np.array_equal(
        model.predict(table()), open_model(str(boosters["folder"] / "binary.json")).predict(table())
    )
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict(table()), model.predict(table()))


HANDLER = """
import json, pathlib
import numpy as np

def model_fn(model_dir):
    return json.loads((pathlib.Path(model_dir) / "weights.json").read_text())

def predict_fn(data, model, context):
    return data @ np.array(model)
"""
TRANSFORM = """
import json
import os

def model_fn(model_dir):
    return 2.0

def transform_fn(model, body, content_type, accept):
    assert content_type == "application/jsonlines", content_type
    rows = [json.loads(line)["features"] for line in body.splitlines()]
    return "\\n".join(json.dumps({"score": model * row[0], "word": row[1]}) for row in rows), accept
"""


def test_an_archive_with_a_script(tmp_path: Path) -> None:
    weights = [0.5, -1.0, 2.0, 0.25]
    members = {"code/inference.py": HANDLER.encode(), "weights.json": json.dumps(weights).encode()}
    model = open_model(packed(tmp_path / "model.tar.gz", members))
    assert np.allclose(model.predict(table())[:, 0], ROWS @ weights, rtol=1e-12)
    assert model.predict(table().slice(0, 1)).shape == (1, 1)
    document = PredictorConfig(
        content_type="application/json", content_template="$records", record_template="$features"
    )
    other = open_model(str(tmp_path / "model.tar.gz"), document)
    assert np.allclose(other.predict(table())[:, 0], ROWS @ weights, rtol=1e-12)
    model.close()
    other.close()


def test_a_script_that_transforms(tmp_path: Path) -> None:
    predictor = PredictorConfig(
        content_type="application/jsonlines",
        content_template='{"features":$features}',
        probability="score",
        label="word",
    )
    model = open_model(packed(tmp_path / "model.tar.gz", {"inference.py": TRANSFORM.encode()}), predictor)
    rows = pa.record_batch({"n": [1, 2, 3], "s": ["a", "b", "c"]})
    assert model.predict(rows).tolist() == [[2.0], [4.0], [6.0]]
    assert model.predict_labels(rows).to_pylist() == ["a", "b", "c"]
    model.close()


@pytest.mark.parametrize(
    ("source", "kind", "complaint"),
    [
        ("def predict_fn(data, model): ...", ModelError, r"defines no model_fn\(model_dir\); add it"),
        ("def model_fn(d): return 1 / 0", ScriptError, "model_fn in .*line 1 failed with ZeroDivisionError"),
        ("import no_such_package", ScriptError, "No module named 'no_such_package'"),
        (
            "def model_fn(d): return 1\ndef predict_fn(data, m): return data.sums()",
            ScriptError,
            "predict_fn in .*line 2",
        ),
        (
            "def model_fn(d): ...\ndef transform_fn(*a): ...\ndef input_fn(*a): ...",
            ModelError,
            "keep either it or",
        ),
    ],
)
def test_scripts_that_fail(tmp_path: Path, source: str, kind: type[Exception], complaint: str) -> None:
    path = packed(tmp_path / "model.tar.gz", {"code/inference.py": source.encode()})
    with pytest.raises(kind, match=complaint):
        open_model(path).predict(table())


def test_archives_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with pytest.raises(ModelError, match=r"holds no model \(README\.md\); pack one"):
        open_model(packed(path, {"README.md": b"hello"}))
    with pytest.raises(ModelError, match=r"holds several model files \(a\.ubj, b\.onnx\)"):
        open_model(packed(path, {"a.ubj": b"{}", "b.onnx": b""}))
    with pytest.raises(ModelError, match=r"leads out of the archive .*; pack it anew"):
        open_model(packed(path, {"../../evil.json": b"{}"}))
    path.write_bytes(b"\x1f\x8brubbish")
    with pytest.raises(ModelError, match=r"cannot be (unpacked|read)"):
        open_model(str(path))
    content = Path(packed(path, {"model.ubj": bytes(RANDOM.bytes(50_000))})).read_bytes()
    path.write_bytes(content[:20_000])
    with pytest.raises(ModelError, match=r"cannot be (unpacked|read)"):
        open_model(str(path))


def test_archives_beyond_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.models.archive.MOST_BYTES", 1_000_000)
    with pytest.raises(ModelError, match="holds more than"):
        open_model(packed(tmp_path / "model.tar.gz", {"model.json": bytes(2_000_000)}))


class Doubling:
    """A model with the one method that is asked for."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return 2.0 * rows[:, 0]


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
        with pytest.raises(ModelError, match="cannot be read: No such file"):
            open_model(str(tmp_path / name))


def test_a_library_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = linear_onnx(tmp_path / "model.onnx", RANDOM.normal(size=(4, 3)))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        ModelError, match=r"needs onnxruntime, .* install model-monitor-containers\[feature-attribution\]"
    ):
        open_model(path)


def test_no_library_is_loaded_before_it_is_needed() -> None:
    program = "import sys, contract.models; print(*sys.modules)"
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
