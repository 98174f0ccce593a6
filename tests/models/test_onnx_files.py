"""ONNX files: what the network computes, and what damaged or unfit ones say."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
from models.model_files import NAMES, ROWS, WEIGHTS, linear_onnx, table
from onnx import TensorProto, helper, numpy_helper
from refusals import refused

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError, ModelError
from model_clients.model import tensor_values
from model_clients.opening import open_model


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("batch", ["n", 1, 64])
def test_onnx_scores(tmp_path: Path, columns: bool, batch: int | str) -> None:
    model = open_model(linear_onnx(tmp_path / "model.onnx", columns=columns, batch=batch))
    expected = ROWS.astype(np.float32) @ WEIGHTS.astype(np.float32)
    assert np.allclose(model.predict(table()), expected, atol=1e-5)
    assert model.predict_labels(table()).to_pylist() == expected.argmax(axis=1).tolist()
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict(table()), model.predict(table()))


def test_onnx_outputs_are_chosen(tmp_path: Path) -> None:
    path = linear_onnx(tmp_path / "model.onnx")
    assert open_model(path, PredictorConfig(probability="label")).predict(table()).shape == (300, 1)
    assert open_model(path, PredictorConfig(probability=1)).predict(table()).shape == (300, 3)
    with pytest.raises(
        ConfigurationError, match=r"predictor.probability is 'prob', but the outputs .* label, scores"
    ):
        open_model(path, PredictorConfig(probability="prob"))


def test_damaged_onnx(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    linear_onnx(path)
    content = path.read_bytes()
    for damaged in (b"", b"rubbish", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"model\.onnx is not a whole ONNX model \(.*; export it again"):
            open_model(str(path))


def test_onnx_without_outputs(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    linear_onnx(path)
    model = onnx.load(path)
    del model.graph.output[:]
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"model\.onnx is not a whole ONNX model"):
        open_model(str(path))


def test_onnx_with_another_number_of_features(tmp_path: Path) -> None:
    model = open_model(linear_onnx(tmp_path / "model.onnx"))
    with pytest.raises(ModelError, match="takes 4 features, but the data has 3 columns"):
        model.predict(table().select(NAMES[:3]))


@pytest.mark.parametrize(("kind", "value"), [(np.int64, 1.5), (np.int8, 300.0), (np.bool_, 2.0)])
def test_numbers_that_a_type_of_input_would_change_are_refused(kind: type, value: float) -> None:
    table = pa.RecordBatch.from_arrays([pa.array([0.0, 1.0]), pa.array([1.0, value])], names=["a", "b"])
    with refused(ModelError, "model_columns.not_whole", field="b"):
        tensor_values(table, kind, "model.onnx")
    assert tensor_values(table.slice(0, 1), kind, "model.onnx").tolist() == [[0, 1]]


def test_scores_that_are_no_numbers(tmp_path: Path) -> None:
    model = open_model(linear_onnx(tmp_path / "model.onnx", np.full((4, 1), np.nan)))
    with pytest.raises(ModelError, match=r"model\.onnx answered no score .* for 300 of 300 rows"):
        model.predict(table())


def looping_onnx(path: Path, *, only_above: float) -> str:
    """Write a network that loops as long as the greatest value of its rows is above a number."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["still"]), helper.make_node("Identity", ["x"], ["same"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, ["n", 4]),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["rows"], ["greatest"], keepdims=0),
            helper.make_node("Greater", ["greatest", "limit"], ["go"]),
            helper.make_node("Loop", ["", "go", "rows"], ["scores"], body=body),
        ],
        "looping",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(np.array(only_above, np.float32), "limit")],
    )
    return saved(graph, path)


def saved(graph: onnx.GraphProto, path: Path) -> str:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return str(path)


def test_a_network_that_loops_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_clients.local.LEAST_SECONDS", 2.0)
    with pytest.raises(ModelError, match=r"is not a usable ONNX model \(it is not loaded after 2 s"):
        open_model(looping_onnx(tmp_path / "model.onnx", only_above=-9e9))


def test_a_network_that_loops_on_some_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(looping_onnx(tmp_path / "model.onnx", only_above=1e20))
    assert np.allclose(model.predict(table()), ROWS.astype(np.float32))
    monkeypatch.setattr("model_clients.local.LONGEST_RUN", 0.5)
    with pytest.raises(ModelError, match=r"cannot score these rows: .*terminate flag"):
        model.predict(table(np.full((3, 4), 1e30)))


def test_a_network_that_wants_all_memory(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Expand", ["one", "shape"], ["large"]),
            helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
            helper.make_node("Add", ["rows", "sum"], ["scores"]),
        ],
        "large",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(np.ones(1, np.float32), "one"),
            numpy_helper.from_array(np.array([1 << 42], np.int64), "shape"),
        ],
    )
    with pytest.raises(ModelError, match=r"\(it needs more than the [\d.]+ GB of memory that are free\)"):
        open_model(saved(graph, tmp_path / "model.onnx"))


@pytest.mark.parametrize("sequence", [False, True])
def test_outputs_one_upon_the_other_stay_with_their_rows(tmp_path: Path, sequence: bool) -> None:
    """As converters write the probabilities of several targets: (targets, rows, classes)."""
    weights = numpy_helper.from_array(WEIGHTS.T[:2, :, None].astype(np.float32), "w")  # (2, 4, 1)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["scores"])]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [2, "rows", 1])
    if sequence:
        nodes.append(helper.make_node("SplitToSequence", ["scores"], ["parts"], axis=0, keepdims=0))
        kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
        output = helper.make_value_info("parts", kind)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    model = open_model(
        saved(helper.make_graph(nodes, "two", [x], [output], [weights]), tmp_path / "model.onnx")
    )
    for rows in (2, 300):
        expected = ROWS[:rows] @ WEIGHTS[:, :2]
        np.testing.assert_allclose(model.predict(table(ROWS[:rows])), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [["mid", "high", "low"], [7, -1, 3]])
def test_a_file_of_labels_alone(tmp_path: Path, classes: list[Any]) -> None:
    path, expected = classifier(tmp_path, classes)
    graph = onnx.load(path)
    del graph.graph.output[1]
    onnx.save(graph, path)
    model = open_model(path)
    assert model.only_labels
    assert model.predict_labels(table()).to_pylist() == [classes[one] for one in expected.argmax(axis=1)]
    with refused(ModelError, "model_answer.only_labels"):
        model.predict(table())
    named = open_model(path, PredictorConfig(probability="label"))
    assert not named.only_labels
    if isinstance(classes[0], int):
        assert set(named.predict(table()).flat) == set(classes)


def classifier(folder: Path, classes: list[str] | list[int], *, maps: bool = False) -> tuple[str, np.ndarray]:
    """Write what converters make of a linear classifier; return it, and its scores in the classes' order."""
    name = "classlabels_strings" if isinstance(classes[0], str) else "classlabels_ints"
    kind = TensorProto.STRING if isinstance(classes[0], str) else TensorProto.INT64
    linear = helper.make_node(
        "LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", post_transform="SOFTMAX",
        coefficients=WEIGHTS.T.ravel().tolist(), intercepts=[0.0, 0.1, 0.2], **{name: classes},
    )  # fmt: skip
    nodes, output = [linear], helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])
    if maps:
        wide = name if kind == TensorProto.STRING else "classlabels_int64s"
        nodes.append(helper.make_node("ZipMap", ["scores"], ["maps"], domain="ai.onnx.ml", **{wide: classes}))
        each = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        output = helper.make_value_info("maps", helper.make_sequence_type_proto(each))
    graph = helper.make_graph(
        nodes,
        "classes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("label", kind, ["n"]), output],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    path = folder / "classes.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    sums = np.exp(ROWS.astype(np.float32) @ WEIGHTS + [0.0, 0.1, 0.2])
    return str(path), sums / sums.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("classes", [["mid", "high", "low"], [7, -1, 3]])
def test_classes_of_the_file_order_the_labels(tmp_path: Path, classes: list[Any], maps: bool) -> None:
    path, expected = classifier(tmp_path, classes, maps=maps)
    named = [str(name) for name in classes]
    for headers in (tuple(classes), tuple(reversed(classes)), (classes[1], classes[2], classes[0])):
        model = open_model(path, PredictorConfig(label_headers=headers))
        scores = dict(zip(map(str, headers), model.predict(table()).T, strict=True))
        for name, column in zip(named, expected.T, strict=True):
            np.testing.assert_allclose(scores[name], column, atol=1e-6)
        own = [classes[largest] for largest in expected.argmax(axis=1)]
        assert model.predict_labels(table()).to_pylist() == own
    assert open_model(path).predict_labels(table()).to_pylist() == own
    # Other names altogether are names for the positions.
    model = open_model(path, PredictorConfig(label_headers=("a", "b", "c")))
    in_order = expected[:, np.argsort(classes)] if maps else expected
    np.testing.assert_allclose(model.predict(table()), in_order, atol=1e-6)
    for headers in ((classes[0], classes[1], "mild"), tuple(classes[:2]), (*classes, "more")):
        with pytest.raises(ModelError) as caught:
            open_model(path, PredictorConfig(label_headers=headers)).predict(table())
        assert caught.value.code == "model_answer.classes"
