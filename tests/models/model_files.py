"""Rows, and model files to score them with."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import onnx
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
