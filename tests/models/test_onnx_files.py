"""ONNX files: what the network computes, and what damaged or unfit ones say."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from models.model_files import NAMES, ROWS, WEIGHTS, linear_onnx, table

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError, ModelError
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


def test_onnx_with_another_number_of_features(tmp_path: Path) -> None:
    model = open_model(linear_onnx(tmp_path / "model.onnx"))
    with pytest.raises(ModelError, match="takes 4 features, but the data has 3 columns"):
        model.predict(table().select(NAMES[:3]))


def test_scores_that_are_no_numbers(tmp_path: Path) -> None:
    model = open_model(linear_onnx(tmp_path / "model.onnx", np.full((4, 1), np.nan)))
    with pytest.raises(ModelError, match=r"model\.onnx answered no score .* for 300 of 300 rows"):
        model.predict(table())
