"""Models as ONNX files, run by ONNX Runtime.

One input of shape (rows, features) takes all columns; otherwise there is one input per column, by name or by
position. Scores are the output that ``predictor.probability`` names (or counts); by default the last one that
holds floats, which for classifiers converted from scikit-learn are the probabilities of the classes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.analysis_config import Locator, PredictorConfig
from contract.errors import ConfigurationError, ModelError
from model_clients.local import LocalModel, crash_of, first_line, varied_rows
from model_clients.model import require, tensor_values

_KINDS = (np.float16, np.int64, np.int32, np.int8, np.uint8)
_TYPES: dict[str, type[Any]] = {f"tensor({kind.__name__})": kind for kind in _KINDS}
_TYPES |= {"tensor(float)": np.float32, "tensor(double)": np.float64}
_TYPES |= {"tensor(bool)": np.bool_, "tensor(string)": np.str_}
# Seconds of one call: more than any that comes to an end, for graphs may loop as their data tells them.
LONGEST_RUN = 600.0
_TRIAL_ROWS = 64
_LABELS = ("tensor(int64)", "tensor(string)")
_SCORES = ("tensor(float)", "tensor(double)", "tensor(float16)", "seq(map(")


def open_onnx(source: str | bytes, where: str, predictor: PredictorConfig, threads: int) -> LocalModel:
    """Return the model of an ONNX file.

    Parameters
    ----------
    source
        Local path, or the file's bytes.
    where
        The file, for messages.
    predictor
        Which outputs hold scores and labels.

    Raises
    ------
    ModelError
        When the file is damaged, harmful, or holds an input that rows of columns cannot fill.
    """

    def attempt() -> None:
        copy = _session(source, where, threads=1)
        copy.run(None, {tensor.name: _trial_values(tensor) for tensor in copy.get_inputs()})

    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    require("onnxruntime", "onnxruntime", where)
    if reason := crash_of(attempt, len(content)):
        raise ModelError.of("onnx.harmful", file=where, reason=reason)
    session = _session(source, where, threads)
    inputs = session.get_inputs()
    outputs = session.get_outputs()
    if not outputs:
        raise ModelError.of("onnx.damaged", file=where, problem="it has no outputs")
    floats = [output.name for output in outputs if output.type.startswith(_SCORES)]
    score_output = str(floats[-1] if floats else outputs[-1].name)
    if predictor.probability is not None:
        score_output = _named(outputs, predictor.probability, "predictor.probability", where)
    others = [one.name for one in outputs if one.type in _LABELS and one.name != score_output]
    label_output = str(others[0]) if others else None
    if predictor.label is not None:
        label_output = _named(outputs, predictor.label, "predictor.label", where)
    is_matrix = len(inputs) == 1 and len(inputs[0].shape) == 2 and inputs[0].shape[1] != 1
    width = inputs[0].shape[1] if is_matrix else len(inputs)

    def run(table: pa.RecordBatch, output: str) -> Any:
        parts = [table] if is_matrix else [table.select([name]) for name in table.schema.names]
        feeds = {}
        for tensor, columns in zip(inputs, parts, strict=True):
            values = tensor_values(columns, _TYPES[tensor.type], where)
            feeds[tensor.name] = values if len(tensor.shape) == 2 else values[:, 0]
        return _run_batches(session, feeds, output, inputs[0].shape[0], table.num_rows)

    model = LocalModel(where, "onnx", session, lambda table: run(table, score_output))
    if label_output:
        model.label = lambda table: run(table, label_output)
    model.classes = onnx_classes(content)
    if any(one.name == score_output and one.type.startswith("seq(map(") for one in outputs):
        model.classes = sorted(model.classes)
    model.names = None if is_matrix else [tensor.name for tensor in inputs]
    model.count = width if isinstance(width, int) else None
    return model


def _session(source: str | bytes, where: str, threads: int) -> Any:
    runtime = require("onnxruntime", "onnxruntime", where)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # ONNX Runtime has a class of its own for every status.
    with ModelError.instead_of("onnx.damaged", Exception, problem=first_line, file=where):
        session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    if odd := [tensor for tensor in session.get_inputs() if tensor.type not in _TYPES]:
        raise ModelError.of("onnx.input_type", file=where, input=odd[0].name, type=odd[0].type)
    return session


def _named(outputs: Sequence[Any], locator: Locator, field: str, where: str) -> str:
    names = [str(output.name) for output in outputs]
    if isinstance(locator, int) and 0 <= locator < len(names):
        return names[locator]
    if locator in names:
        return str(locator)
    listed = ", ".join(names)
    raise ConfigurationError.of("onnx.output", file=where, field=field, locator=locator, outputs=listed)


def _trial_values(tensor: Any) -> NDArray[Any]:
    sizes = [size if isinstance(size, int) and size > 0 else 1 for size in tensor.shape]
    if sizes and not isinstance(tensor.shape[0], int):
        sizes[0] = _TRIAL_ROWS
    kind = _TYPES[tensor.type]
    if kind is np.str_:
        return np.full(sizes, "a", dtype=object)
    values = np.resize(varied_rows(4), sizes)
    return values.astype(kind) if issubclass(kind, np.floating) else np.nan_to_num(values).astype(kind)


def _run_batches(
    session: Any, feeds: dict[str, NDArray[Any]], output: str, fixed: object, rows: int
) -> NDArray[Any]:
    """Run all rows at once, or in the batches of fixed size that the model was exported for."""
    if not isinstance(fixed, int) or fixed < 1 or fixed == rows:
        return _run(session, feeds, output)
    parts = []
    for start in range(0, rows, fixed):
        # Copies of the last row fill the last batch.
        places = np.minimum(np.arange(start, start + fixed), rows - 1)
        part = _run(session, {name: values[places] for name, values in feeds.items()}, output)
        parts.append(part[: rows - start])
    return np.concatenate(parts)


def _run(session: Any, feeds: dict[str, NDArray[Any]], output: str) -> NDArray[Any]:
    from onnxruntime import RunOptions

    options = RunOptions()
    options.log_severity_level = 4
    watch = threading.Timer(LONGEST_RUN, setattr, (options, "terminate", True))
    watch.daemon = True
    watch.start()
    try:
        values = session.run([output], feeds, options)[0]
    finally:
        watch.cancel()
    if isinstance(values, list) and values and isinstance(values[0], dict):
        # scikit-learn's converter writes one map of class to probability per row, classes ascending.
        classes = list(values[0])
        return np.array([[row[name] for name in classes] for row in values])
    return np.asarray(values)


def onnx_classes(content: bytes) -> list[str | int]:
    """Return the classes of a classifier in the order of its scores; none where the file has none.

    Converters write them into the node that gives the scores: field 5 of nodes, which are field 1 of the
    graph, which is field 7; in it texts are field 9, whole numbers 8. The last such node counts.
    """
    classes: list[str | int] = []
    for graph in _members(memoryview(content), 7):
        for node in _members(graph, 1):
            for attribute in _members(node, 5):
                if bytes(next(_members(attribute, 1), b"")).startswith(b"classlabels_"):
                    classes = [bytes(text).decode() for text in _members(attribute, 9)]
                    classes += [value - (value >> 63 << 64) for value in _members(attribute, 8)]
    return classes


def _members(message: memoryview, field: int) -> Iterator[Any]:
    """Yield a repeated field of a message of Protocol Buffers: whole numbers, or views of bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while message[at] > 127:
            at, value, shift = at + 1, value | (message[at] & 127) << shift, shift + 7
        at += 1
        return value | message[at - 1] << shift

    while at < len(message):
        found, kind = divmod(number(), 8)
        if kind == 0:
            value: Any = number()
        else:
            size = number() if kind == 2 else {1: 8, 5: 4}[kind]
            at, value = at + size, message[at : at + size]
        if found == field:
            yield value
