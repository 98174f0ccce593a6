"""How the model's endpoint answers, in the functions of the SageMaker inference toolkit.

This file goes into ``model.tar.gz`` beside the model. Like the script of any endpoint, it stands alone.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

_THRESHOLD = 0.5


def model_fn(model_dir: str) -> dict[str, Any]:
    """Return scikit-learn's classifier, the features' names, and the values of each text feature it knows."""
    path = Path(model_dir) / "model.pkl"
    model: dict[str, Any] = pickle.loads(path.read_bytes())  # noqa: S301 - this script's own model
    return model


def transform_fn(model: dict[str, Any], body: str, content_type: str, accept: str) -> str:
    """Return ``label,probability`` for each line of CSV, which holds the features without their names."""
    inputs = _read(body, model["features"], model["values"])
    probability = model["classifier"].predict_proba(inputs)[:, 1].round(6)
    answer = pa.table({"label": (probability >= _THRESHOLD).astype(int), "probability": probability})
    text = io.BytesIO()
    csv.write_csv(answer, text, csv.WriteOptions(include_header=False))
    return text.getvalue().decode()


def _read(body: str, features: list[str], values: dict[str, list[str]]) -> npt.NDArray[np.float64]:
    """Return the numbers, and texts by their place among those known; what is missing or unknown is NaN."""
    kinds = {name: pa.string() if name in values else pa.float64() for name in features}
    table = csv.read_csv(
        io.BytesIO(body.encode()),
        read_options=csv.ReadOptions(column_names=features, use_threads=False),
        convert_options=csv.ConvertOptions(column_types=kinds, null_values=[""], strings_can_be_null=True),
    )
    columns = [
        pc.index_in(table[name], pa.array(values[name])) if name in values else table[name]
        for name in features
    ]
    return np.column_stack([column.cast(pa.float64()).to_numpy() for column in columns])
