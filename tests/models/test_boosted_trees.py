"""XGBoost's and LightGBM's files: the scores of their own libraries, and what damaged files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fixtures import fixture
from models.model_files import NAMES, ROWS, table

from contract.analysis_config import PredictorConfig
from contract.errors import ModelError
from model_clients.opening import open_model


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

    labels, other_labels = np.random.default_rng(6).normal(size=(2, 300))
    data = xgboost.DMatrix(ROWS, labels)
    booster = xgboost.train(
        {"nthread": 1},
        data,
        40,
        evals=[(data, "seen"), (xgboost.DMatrix(ROWS, other_labels), "unseen")],
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


@pytest.mark.parametrize("name", ["binary.json", "classes.ubj", "binary.txt"])
def test_a_file_cut_off(
    boosters: dict[str, Any], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries crash on some of these, or never return."""
    monkeypatch.setattr("model_clients.local.LEAST_SECONDS", 3.0)
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


def test_numbers_too_large_for_the_model(boosters: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    boosters["binary.json"].save_model(path)
    rows = ROWS.copy()
    rows[7, 1] = 1e39
    with pytest.raises(
        ModelError, match=r"^column 'income' holds numbers beyond 3\.4e\+38, the largest that "
    ):
        open_model(str(path)).predict(table(rows))
