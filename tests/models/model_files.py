"""Rows, and model files to score them with."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
from onnx import TensorProto, helper, numpy_helper

NAMES = ["age", "income", "visits", "delay"]
ROWS = np.random.default_rng(3).normal(size=(300, 4))
# Of a linear model with three outputs.
WEIGHTS = np.random.default_rng(4).normal(size=(4, 3))


def table(values: np.ndarray = ROWS, names: list[str] = NAMES) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(column) for column in values.T], names=names)


def linear_onnx(
    path: Path, weights: np.ndarray = WEIGHTS, *, columns: bool = False, batch: int | str = "n"
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


def packed(path: Path, members: dict[str, bytes | Path]) -> str:
    """Write a tar.gz archive with these members."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            content = content.read_bytes() if isinstance(content, Path) else content
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


CATEGORIES = ["my colour", "same", "month"]


def category_models(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Write models of text, whole and true-or-false categories; return the frame they are of, and them."""
    import lightgbm
    import xgboost

    random, rows = np.random.default_rng(8), 500
    frame = pd.DataFrame(
        {
            "x": random.normal(size=rows).round(3),
            "my colour": random.choice(["red", "green", "blue", "azure"], rows),
            "same": ["one"] * rows,
            "month": random.choice([3, 1, 7, 12], rows),
            "member": random.choice([True, False], rows),
        }
    )
    target = (frame["my colour"] == "blue") + 2.0 * (frame.month == 7) + frame.member * frame.x
    typed = frame.astype(dict.fromkeys(CATEGORIES, "category"))
    boosters: dict[str, Any] = {
        "model.txt": lightgbm.train(
            {"verbosity": -1, "num_threads": 1, "min_data_per_group": 5, "min_data_in_leaf": 5},
            lightgbm.Dataset(typed.astype({"member": "category"}), target),
            6,
        )
    }
    data = xgboost.DMatrix(typed, target, enable_categorical=True)
    boosters["model.json"] = boosters["model.ubj"] = xgboost.train({"nthread": 1, "max_depth": 3}, data, 6)
    for name, booster in boosters.items():
        booster.save_model(folder / name)
    return frame, boosters


def own_answers(name: str, booster: Any, frame: pd.DataFrame) -> np.ndarray:
    """Return what the library itself answers for a frame."""
    import xgboost

    typed = frame.astype(dict.fromkeys(CATEGORIES, "category"))
    if name == "model.txt":
        return np.asarray(booster.predict(typed.astype({"member": "category"})))
    return np.asarray(booster.predict(xgboost.DMatrix(typed, enable_categorical=True)), dtype=np.float64)
