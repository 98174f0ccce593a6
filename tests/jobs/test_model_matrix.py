"""Libraries x data x file or endpoint: a job's figures are the library's own, or it names the column."""

from __future__ import annotations

import itertools
import json
import math
import pickle
import re
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jobs.attribution_runs import run, table
from models.model_matrix import BY_NAME, HAS_CATBOOST, KINDS, LIBRARIES, Trained, broken, drawn, trained
from models.model_server import serving
from run_jobs import run_job
from sklearn.linear_model import RidgeClassifier

from containers.bias import main as bias

# Where the column that a refusal must name is absent or has another name.
REFUSED = {"renamed": "x2", "fewer": "x2"}
ROWS = 7


def shapley(model: Trained, frame: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Return each row's values by the formula, from all coalitions; the first row stands for absence."""
    masks = np.array(list(itertools.product([False, True], repeat=len(names))))
    places = masks[None] * np.arange(len(frame))[:, None, None]
    mixed = {name: frame[name].to_numpy()[places[:, :, at].ravel()] for at, name in enumerate(names)}
    scores = model.answer(pd.DataFrame(mixed)).reshape(len(frame), len(masks))
    sizes, count = masks.sum(axis=1), len(names)
    weights = np.array([1 / math.comb(count - 1, size) / count for size in range(count)])
    values = np.zeros((len(frame), count))
    for at in range(count):
        without = np.flatnonzero(~masks[:, at])
        gains = scores[:, without + (1 << (count - 1 - at))] - scores[:, without]
        values[:, at] = gains @ weights[sizes[without]]
    return values


@pytest.mark.parametrize("where", ["file", "endpoint"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_cell(tmp_path: Path, library: str, kind: str, where: str) -> None:
    model = trained(library, kind, tmp_path)
    frame = broken(drawn(kind, ROWS, 2), kind)
    labelled = frame.assign(late=[0, 1] * (ROWS // 2) + [0])
    labelled.to_csv(tmp_path / "data.csv", index=False)
    predictor = model.predictor if where == "file" else BY_NAME
    config = {"dataset_type": "text/csv", "label": "late", "predictor": predictor}
    row = json.loads(frame.head(1).to_json(orient="records"))[0]
    shap = {"baseline": [list(row.values())], "save_local_shap_values": True}
    groups = {
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "x3", "value_or_threshold": [0]}],
        "methods": {"post_training_bias": {"methods": ["DPPL", "AD"]}},
    }
    with ExitStack() as stack:
        place = model.path if where == "file" else stack.enter_context(serving(model.serve)).url
        explained = run(tmp_path, tmp_path / "data.csv", {**config, "methods": {"shap": shap}}, place)
        (tmp_path / "analysis_config.json").write_text(json.dumps({**config, **groups}))
        settings = {"dataset_format": None, "analysis_config": tmp_path, "model": place}
        measured = run_job(
            tmp_path, tmp_path / "data.csv", command=bias.main, output_path=tmp_path / "bias", **settings
        )
    if library == "catboost" and where == "file" and not HAS_CATBOOST:
        assert (explained.exit_code, measured.exit_code) == (2, 2)
        assert "catboost is not in the image" in explained.message
        return
    if explained.exit_code == 2:
        named = REFUSED.get(kind) or "colour"
        for result in (explained, measured):
            assert result.exit_code == 2, result.message
            assert re.search(rf"'{named}\b", result.message), result.message
        assert kind in REFUSED or (kind, library) == ("missing", "catboost"), explained.message
        return
    assert kind not in REFUSED
    assert (explained.exit_code, measured.exit_code) == (0, 0), explained.message + measured.message
    header, *rows = table(explained, "out.csv")
    names = [name for name in frame.columns if name != "spare"]
    expected = shapley(model, frame, names)
    found = dict(zip(header, np.array(rows, dtype=float).T, strict=True))
    # Of the two probabilities of two classes, the last is that of the positive one.
    label = "label1" if "x1_label1" in found else "label0"
    for at, name in enumerate(names):
        np.testing.assert_allclose(found[f"{name}_{label}"], expected[:, at], rtol=0, atol=1e-6)
    if kind == "more":
        assert np.abs(found[f"spare_{label}"]).max() <= (
            0 if where == "file" and not model.predictor else 1e-12
        )
    group, positive = frame.x3 > 0, model.answer(frame) > 0.5
    (facet,) = measured.document("analysis.json")["post_training_bias_metrics"]["facets"]["x3"]
    values = {metric["name"]: metric["value"] for metric in facet["metrics"]}
    correct = positive == (labelled.late == 1)
    assert values["DPPL"] == pytest.approx(positive[~group].mean() - positive[group].mean(), abs=1e-9)
    assert values["AD"] == pytest.approx(correct[~group].mean() - correct[group].mean(), abs=1e-9)


@pytest.mark.parametrize("classes", [["low", "high"], [1, 2], [0, 1]])
def test_labels_of_a_model_without_scores(tmp_path: Path, classes: list[object]) -> None:
    frame = pd.DataFrame(np.random.default_rng(3).normal(size=(400, 3)), columns=["x1", "x2", "x3"])
    answers = np.where(frame.x1 + frame.x3 > 0, classes[1], classes[0])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(RidgeClassifier().fit(frame, answers)))
    frame.assign(late=answers).to_csv(tmp_path / "data.csv", index=False)
    config = {
        "dataset_type": "text/csv",
        "label": "late",
        "label_values_or_threshold": [classes[1]],
        "facet": [{"name_or_index": "x3", "value_or_threshold": [0]}],
        "methods": {"post_training_bias": {"methods": ["AD", "DPPL"]}},
    }
    (tmp_path / "analysis_config.json").write_text(json.dumps(config))
    settings = {"analysis_config": tmp_path, "model": tmp_path / "model.pkl", "dataset_format": None}
    settings |= {"allow_pickled_model": "Enabled", "output_path": tmp_path / "bias"}
    result = run_job(tmp_path, tmp_path / "data.csv", command=bias.main, **settings)
    assert result.exit_code == 0, result.message
    (facet,) = result.document("analysis.json")["post_training_bias_metrics"]["facets"]["x3"]
    values = {metric["name"]: metric["value"] for metric in facet["metrics"]}
    positive = pickle.loads((tmp_path / "model.pkl").read_bytes()).predict(frame) == classes[1]
    group = frame.x3 > 0
    assert values["DPPL"] == pytest.approx(positive[~group].mean() - positive[group].mean(), abs=1e-9)
