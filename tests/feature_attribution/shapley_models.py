"""Models, and Shapley's formula written out, for the tests of Shapley values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import permutations
from math import comb
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from analyzers.feature_attribution import kernel
from analyzers.feature_attribution.kernel import Explanation, Sampling


def enumerated(
    predict: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, baseline: np.ndarray
) -> np.ndarray:
    """Return ``phi_i = sum over S without i of |S|! (M - |S| - 1)! / M! (v(S with i) - v(S))`` of rows."""
    features = rows.shape[1]
    codes = np.arange(2**features)
    masks = (codes[:, None] >> np.arange(features) & 1).astype(bool)
    weights = 1.0 / np.array([features * comb(features - 1, size) for size in range(features)])
    found = np.empty(rows.shape)
    for number, row in enumerate(rows):
        values = np.asarray(predict(np.where(masks, row, baseline)), dtype=np.float64).reshape(-1)
        for feature in range(features):
            without = codes[~masks[:, feature]]
            gained = values[without + 2**feature] - values[without]
            found[number, feature] = (weights[masks[without].sum(axis=1)] * gained).sum()
    return found


def permuted(value: Callable[[np.ndarray], float], players: int) -> np.ndarray:
    """Return the mean contribution of each player over all orders in which players can arrive."""
    found = np.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        present = np.zeros(players, dtype=bool)
        before = value(present)
        for player in order:
            present[player] = True
            after = value(present)
            found[player] += after - before
            before = after
    return found / len(orders)


def draw(features: int, rows: int = 1500, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, features))


def outcomes(rows: np.ndarray) -> np.ndarray:
    """Return classes with a main effect, two interactions and a step."""
    score = rows[:, 0] + rows[:, 1] * rows[:, 2] + np.sin(2 * rows[:, 3]) + rows[:, 4] * (rows[:, 5] > 0)
    return (score + 0.5 * rows[:, 6:].sum(axis=1) / np.sqrt(rows.shape[1] - 6) > 0).astype(np.int64)


def logistic(features: int) -> Callable[[np.ndarray], np.ndarray]:
    weights = np.random.default_rng(1).normal(size=features) * 1.5 * np.exp(-np.arange(features) / 5)
    return lambda rows: 1 / (1 + np.exp(-(np.asarray(rows, dtype=np.float64) @ weights - 0.5)))


@lru_cache
def xgboost_trees(features: int) -> Any:
    xgboost = pytest.importorskip("xgboost")
    rows = draw(features)
    return xgboost.train(
        {"objective": "binary:logistic", "max_depth": 4, "nthread": 1, "eta": 0.15},
        xgboost.DMatrix(rows, outcomes(rows)),
        60,
    )


@lru_cache
def lightgbm_trees(features: int) -> Any:
    lightgbm = pytest.importorskip("lightgbm")
    rows = draw(features)
    options = {"objective": "binary", "num_threads": 1, "verbose": -1, "num_leaves": 15}
    return lightgbm.train(options, lightgbm.Dataset(rows, outcomes(rows)), 40)


def onnx_network(features: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a network of one hidden layer in double precision, run by onnxruntime."""
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    generator = np.random.default_rng(2)
    weights = {
        "w1": generator.normal(size=(features, 24)) * 2 / np.sqrt(features),
        "b1": generator.normal(size=24) / 4,
        "w2": generator.normal(size=(24, 1)) / 3,
    }
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["rows", "w1"], ["h1"]),
            helper.make_node("Add", ["h1", "b1"], ["h2"]),
            helper.make_node("Relu", ["h2"], ["h3"]),
            helper.make_node("MatMul", ["h3", "w2"], ["h4"]),
            helper.make_node("Sigmoid", ["h4"], ["score"]),
        ],
        "network",
        [helper.make_tensor_value_info("rows", double, [None, features])],
        [helper.make_tensor_value_info("score", double, [None, 1])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return lambda rows: session.run(None, {"rows": np.ascontiguousarray(rows)})[0]


def model(kind: str, features: int) -> Callable[[np.ndarray], np.ndarray]:
    if kind == "logistic":
        return logistic(features)
    if kind == "network":
        return onnx_network(features)
    if kind == "lightgbm":
        return lightgbm_trees(features).predict  # type: ignore[no-any-return] # lightgbm's predict has no one type
    booster = xgboost_trees(features)
    if kind == "xgboost margin":
        return lambda rows: booster.inplace_predict(rows, predict_type="margin")
    return lambda rows: booster.inplace_predict(rows)


def as_batch(matrix: np.ndarray) -> pa.RecordBatch:
    columns = np.asarray(matrix, dtype=np.float64).T
    return pa.RecordBatch.from_arrays(list(map(pa.array, columns)), [f"f{n}" for n in range(len(columns))])


def of_matrices(predict: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.RecordBatch], np.ndarray]:
    """Return a model of matrices as one of record batches."""
    return lambda batch: predict(np.stack([column.to_numpy() for column in batch.columns], axis=1))


def explain_windows(
    predict: Any, instances: Any, baselines: Any, sampling: Sampling, first_position: int = 0
) -> Iterator[Explanation]:
    """Return the windows of rows explained, matrices or record batches."""
    if isinstance(instances, np.ndarray):
        predict, instances, baselines = of_matrices(predict), as_batch(instances), as_batch(baselines)
    return kernel.explain_windows(predict, instances, baselines, sampling, first_position)


def concatenate(parts: Sequence[Explanation]) -> Explanation:
    names = ("local", "predictions", "coalitions", "design", "residuals", "spread")
    together = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **together, model_rows=sum(part.model_rows for part in parts))


def explain(
    predict: Any, instances: Any, baselines: Any, first_position: int = 0, **sampling: Any
) -> Explanation:
    """Return all windows as one."""
    windows = explain_windows(predict, instances, baselines, Sampling(**sampling), first_position)
    return concatenate(list(windows))
