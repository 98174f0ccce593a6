"""Models of several libraries of the same eight features, their own answers, and ways to break data."""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from models.model_files import packed
from models.model_server import Answer, Request
from onnx import TensorProto, helper, numpy_helper

Scores = np.ndarray
KINDS = ("numbers", "codes", "texts", "missing", "reordered", "renamed", "more", "fewer")
LIBRARIES = ("xgboost", "lightgbm", "catboost", "scikit-learn", "onnx")
NUMBERS = ["x1", "x2", "x3", "x4", "visits", "x5"]
CATEGORIES = ["month", "colour"]
HAS_CATBOOST = importlib.util.find_spec("catboost") is not None


def drawn(kind: str, rows: int, seed: int) -> pd.DataFrame:
    """Return rows of the features as a model of that kind of data is trained on."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: random.normal(size=rows).round(3) for name in NUMBERS})
    frame["visits"] = random.integers(0, 9, rows)
    frame["month"] = random.choice([3, 7, 12], rows)
    if kind == "numbers":
        return frame.assign(colour=random.normal(size=rows).round(3))
    if kind == "codes":
        return frame.assign(colour=random.choice([20, 5, 100], rows))
    return frame.assign(colour=random.choice(["red", "green", "blue"], rows))


def broken(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return rows as they come to a job."""
    if kind == "missing":
        frame = frame.copy()
        frame.loc[frame.index[::3], "x1"] = np.nan
        frame.loc[frame.index[1::4], "colour"] = None
        return frame
    if kind == "reordered":
        return frame[frame.columns[::-1]]
    if kind == "renamed":
        return frame.rename(columns={"x2": "X2"})
    if kind == "more":
        return frame.assign(spare=np.arange(len(frame)) * 1.5)
    return frame.drop(columns="x2") if kind == "fewer" else frame


@dataclass
class Trained:
    """A model: its file, what its library answers about a frame, and how the job is told to ask it."""

    path: str
    answer: Callable[[pd.DataFrame], Scores]
    predictor: dict[str, Any]

    def serve(self, request: Request) -> Answer:
        """Answer as a server that looks features up by their names."""
        frame = pd.DataFrame(json.loads(request.body)["instances"])
        try:
            scores = self.answer(frame)
        except KeyError as error:
            return Answer(f"no feature {error}", status=400)
        return Answer(json.dumps({"predictions": scores.tolist()}))


BY_NAME = {
    "content_type": "application/json",
    "accept_type": "application/json",
    "content_template": '{"instances":$records}',
    "record_template": "$features_kvp",
    "probability": "predictions",
}
SCRIPT = """
import json, pathlib, pickle
import numpy as np
import pandas as pd

def model_fn(folder):
    return pickle.loads((pathlib.Path(folder) / "model.pkl").read_bytes())

def input_fn(body, content_type):
    return pd.DataFrame(json.loads(body)["instances"]).fillna(value=np.nan)

def predict_fn(frame, model):
    return model.predict_proba(frame)[:, 1]

def output_fn(scores, accept):
    return json.dumps({"predictions": scores.tolist()})
"""


def trained(library: str, kind: str, folder: Path) -> Trained:
    frame = drawn(kind, 200, 1)
    signal = frame.x1 + 2 * frame.x2 * (frame.month == 7) + (frame.colour == frame.colour.iloc[0]) - frame.x5
    target = (signal > 0).astype(int)
    names, categories = list(frame.columns), [] if kind == "numbers" else CATEGORIES
    make = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost, "onnx": _onnx}
    return make.get(library, _scikit)(frame, target, names, categories, folder)


def _typed(frame: pd.DataFrame, names: list[str], like: pd.DataFrame, categories: list[str]) -> pd.DataFrame:
    frame = frame[names].copy()
    for name in names:
        kind = pd.CategoricalDtype(sorted(set(like[name]))) if name in categories else "float64"
        frame[name] = frame[name].astype(kind)
    return frame


def _xgboost(frame: Any, target: Any, names: list[str], categories: list[str], folder: Path) -> Trained:
    import xgboost

    def data(rows: pd.DataFrame, **labels: Any) -> Any:
        return xgboost.DMatrix(_typed(rows, names, frame, categories), enable_categorical=True, **labels)

    settings = {"objective": "binary:logistic", "nthread": 1, "max_depth": 4}
    booster = xgboost.train(settings, data(frame, label=target), 8)
    booster.save_model(folder / "model.json")
    return Trained(str(folder / "model.json"), lambda rows: booster.predict(data(rows)).astype(float), {})


def _lightgbm(frame: Any, target: Any, names: list[str], categories: list[str], folder: Path) -> Trained:
    import lightgbm

    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_per_group": 5}
    booster = lightgbm.train(settings, lightgbm.Dataset(_typed(frame, names, frame, categories), target), 8)
    booster.save_model(folder / "model.txt")
    answer = lambda rows: np.asarray(booster.predict(_typed(rows, names, frame, categories)))  # noqa: E731
    return Trained(str(folder / "model.txt"), answer, {})


def _catboost(frame: Any, target: Any, names: list[str], categories: list[str], folder: Path) -> Trained:
    path = folder / "model.cbm"
    if not HAS_CATBOOST:
        path.write_bytes(b"CBM1" + bytes(60))
        return Trained(str(path), lambda rows: rows[names].x3.to_numpy() / 8, {})
    import catboost

    def typed(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows[names].copy()
        for name in names:
            texts = rows[name].astype(object).where(rows[name].notna(), "nan")
            whole = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in texts]
            rows[name] = whole if name in categories else rows[name].astype(float)
        return rows

    model = catboost.CatBoostClassifier(iterations=10, depth=4, verbose=False, allow_writing_files=False)
    model.fit(typed(frame), target, cat_features=categories)
    model.save_model(str(path))
    return Trained(str(path), lambda rows: model.predict_proba(typed(rows))[:, 1], {})


def _scikit(frame: Any, target: Any, names: list[str], categories: list[str], folder: Path) -> Trained:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    plain = [name for name in names if name not in categories]
    columns = [("numbers", SimpleImputer(), plain)]
    columns += [("kinds", OneHotEncoder(handle_unknown="ignore"), categories)] if categories else []
    model = make_pipeline(ColumnTransformer(columns), LogisticRegression()).fit(frame, target)
    members: dict[str, bytes | Path] = {
        "code/inference.py": SCRIPT.encode(),
        "model.pkl": pickle.dumps(model),
    }
    answer = lambda rows: model.predict_proba(rows[names].fillna(value=np.nan))[:, 1]  # noqa: E731
    return Trained(packed(folder / "model.tar.gz", members), answer, BY_NAME)


def _onnx(frame: Any, target: Any, names: list[str], categories: list[str], folder: Path) -> Trained:
    """Write a network of one input per feature, imputed or one-hot, added up and squashed."""
    nodes, constants, sums = [], [], []
    kinds: dict[str, Any] = {}
    for place, name in enumerate(names):
        if name not in categories:
            kinds[name], width = TensorProto.FLOAT, 1
            options = {"imputed_value_floats": [0.25], "replaced_value_float": float("nan")}
            nodes.append(helper.make_node("Imputer", [name], [f"{name}.x"], domain="ai.onnx.ml", **options))
        else:
            known = sorted(set(frame[name]))
            is_text = isinstance(known[0], str)
            kinds[name], width = TensorProto.STRING if is_text else TensorProto.INT64, len(known)
            options = {"cats_strings": known} if is_text else {"cats_int64s": [int(value) for value in known]}
            hot = helper.make_node(
                "OneHotEncoder", [name], [f"{name}.h"], domain="ai.onnx.ml", zeros=1, **options
            )
            flat = helper.make_node("Flatten", [f"{name}.h"], [f"{name}.x"])
            nodes += [hot, flat]
        weights = np.random.default_rng(place).normal(size=(width, 1)).astype(np.float32)
        constants.append(numpy_helper.from_array(weights, f"{name}.w"))
        nodes.append(helper.make_node("MatMul", [f"{name}.x", f"{name}.w"], [f"{name}.s"]))
        sums.append(f"{name}.s")
    nodes += [helper.make_node("Sum", sums, ["sum"]), helper.make_node("Sigmoid", ["sum"], ["score"])]
    inputs = [helper.make_tensor_value_info(name, kinds[name], ["n", 1]) for name in names]
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph(nodes, "kinds", inputs, [output], constants)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")

    def answer(rows: pd.DataFrame) -> Scores:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        types = {TensorProto.FLOAT: np.float32, TensorProto.INT64: np.int64, TensorProto.STRING: object}
        feeds = {
            name: (rows[name].fillna("") if kinds[name] == TensorProto.STRING else rows[name])
            .to_numpy()
            .astype(types[kinds[name]])[:, None]
            for name in names
        }
        return session.run(["score"], feeds)[0][:, 0].astype(float)

    return Trained(str(folder / "model.onnx"), answer, {})
