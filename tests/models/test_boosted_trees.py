"""XGBoost's and LightGBM's files: the scores of their own libraries, and what damaged files say."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fixtures import fixture
from models.model_files import NAMES, ROWS, category_models, own_answers, table
from refusals import refused

from contract.analysis_config import PredictorConfig
from contract.errors import ModelError
from model_clients.model import Policy
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
    message = {
        "names": "takes 4 features by name, but of the data's columns only 3 .* it lacks 'delay'",
        "none": r"takes 4 features, but the data has 3 columns \('age', 'income', 'visits'\); give exactly",
    }
    with pytest.raises(ModelError, match=message[kind]):
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


# Categories that the file names, beside the library's own answers on the same frame.


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("kinds")
    return folder, *category_models(folder)


@pytest.mark.parametrize("name", ["model.txt", "model.json", "model.ubj"])
def test_categories_of_the_file(kinds: tuple[Path, pd.DataFrame, dict[str, Any]], name: str) -> None:
    folder, frame, boosters = kinds
    model = open_model(str(folder / name))
    rows = pa.RecordBatch.from_pandas(frame)
    expected = own_answers(name, boosters[name], frame)
    assert len(set(expected)) > 8
    np.testing.assert_allclose(model.predict(rows)[:, 0], expected, rtol=0, atol=1e-6)
    # A row alone, columns in another order, whole numbers beside missing values.
    np.testing.assert_allclose(model.predict(rows.slice(7, 1))[0, 0], expected[7], rtol=0, atol=1e-6)
    mixed = rows.select(["month", "same", "x", "member", "my colour"])
    np.testing.assert_allclose(model.predict(mixed)[:, 0], expected, rtol=0, atol=1e-6)
    gaps = frame.copy()
    gaps["month"] = gaps.month.where(gaps.x > 0)
    gaps["my colour"] = gaps["my colour"].where(gaps.x < 1, None)
    typed = gaps.astype({"month": "Int64"}) if name != "model.txt" else gaps
    np.testing.assert_allclose(
        model.predict(pa.RecordBatch.from_pandas(gaps))[:, 0],
        own_answers(name, boosters[name], typed),
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ["model.txt", "model.json"])
def test_categories_of_a_pickled_booster(
    kinds: tuple[Path, pd.DataFrame, dict[str, Any]], tmp_path: Path, name: str
) -> None:
    _, frame, boosters = kinds
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(boosters[name]))
    model = open_model(str(tmp_path / "model.pkl"), allow_pickled_model=True)
    answers = model.predict(pa.RecordBatch.from_pandas(frame))[:, 0]
    np.testing.assert_allclose(answers, own_answers(name, boosters[name], frame), rtol=0, atol=1e-6)


def test_categories_that_training_never_saw(
    kinds: tuple[Path, pd.DataFrame, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    folder, frame, boosters = kinds
    frame = frame.head(20).copy()
    frame.loc[3, "my colour"] = "violet"
    rows = pa.RecordBatch.from_pandas(frame)
    answers = open_model(str(folder / "model.txt")).predict(rows)[:, 0]
    np.testing.assert_allclose(answers, own_answers("model.txt", boosters["model.txt"], frame), rtol=1e-12)
    assert "column 'my colour' holds 'violet'" in caplog.text
    with pytest.raises(ModelError, match=r"column 'my colour' holds 'violet', which was no category when"):
        open_model(str(folder / "model.json")).predict(rows)


@pytest.mark.parametrize("change", [str.upper, lambda colour: f"{colour} "])
def test_categories_in_another_spelling_are_refused(
    kinds: tuple[Path, pd.DataFrame, dict[str, Any]], change: Callable[[str], str]
) -> None:
    folder, frame, _ = kinds
    frame = frame.head(20).copy()
    colour = str(frame["my colour"].iloc[3])
    frame.loc[3, "my colour"] = change(colour)
    for name in ("model.txt", "model.json"):
        with refused(ModelError, "model_columns.spelt_category", field="my colour") as caught:
            open_model(str(folder / name)).predict(pa.RecordBatch.from_pandas(frame))
        assert repr(colour) in caught.value.message


@pytest.mark.parametrize("is_category", [True, False])
def test_booleans_in_any_spelling(tmp_path: Path, is_category: bool) -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"x": random.random(400), "flag": random.random(400) < 0.5})
    trained = frame.astype({"flag": "category"}) if is_category else frame
    data = lightgbm.Dataset(trained, (frame.flag ^ (frame.x > 0.7)).astype(int))
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "min_data_per_group": 5}, data, 10)
    booster.save_model(tmp_path / "model.txt")
    model = open_model(str(tmp_path / "model.txt"))
    expected = booster.predict(trained)
    for spelt in (
        frame.flag,
        frame.flag.astype(int),
        frame.flag.astype(str),
        frame.flag.astype(str).str.lower(),
    ):
        rows = pa.RecordBatch.from_pandas(frame.assign(flag=spelt))
        np.testing.assert_allclose(model.predict(rows)[:, 0], expected, rtol=0, atol=1e-9)


def test_the_shared_case_of_months() -> None:
    folder = Path(__file__).parents[3] / "shared/cases/categories_in_the_model"
    if not folder.is_dir():
        pytest.skip("the shared cases are not here")
    expected = json.loads((folder / "expected.json").read_text())
    model = open_model(str(folder / "month.txt"))
    rows = pa.RecordBatch.from_pandas(pd.read_csv(folder / "data.csv")[["month", "x"]])
    scores = model.predict(rows)[:, 0]
    np.testing.assert_allclose(scores[:5], expected["first_predictions"], rtol=0, atol=1e-9)
    late = pd.read_csv(folder / "data.csv").late
    assert ((scores > 0.5) == late).mean() == expected["accuracy_at_0.5"]
    row = pa.RecordBatch.from_pydict(
        dict(zip(["month", "x"], ([v] for v in expected["baseline_row"]), strict=True))
    )
    assert model.predict(row)[0, 0] == pytest.approx(expected["expected_value"], abs=1e-9)


def test_categories_whose_column_cannot_be_told(tmp_path: Path) -> None:
    import lightgbm

    frame = pd.DataFrame({"size": pd.Categorical(["s", "l"] * 50, ["s", "l"], ordered=True), "x": range(100)})
    booster = lightgbm.train({"verbosity": -1}, lightgbm.Dataset(frame, [0, 1] * 50), 2)
    booster.save_model(tmp_path / "model.txt")
    with pytest.raises(ModelError, match=r"holds categories of 1 columns, but has 0 categorical features"):
        open_model(str(tmp_path / "model.txt"))


@pytest.mark.filterwarnings("ignore")  # that gblinear is deprecated
@pytest.mark.parametrize(
    "settings", [{"booster": "gblinear"}, {"objective": "survival:cox"}, {"objective": "rank:pairwise"}]
)
def test_other_boosters_and_objectives(tmp_path: Path, settings: dict[str, str]) -> None:
    import xgboost

    data = xgboost.DMatrix(ROWS, (ROWS[:, 0] > 0).astype(int) + 1, feature_names=NAMES)
    if "rank:pairwise" in settings.values():
        data.set_group([100, 100, 100])
    booster = xgboost.train({"nthread": 1} | settings, data, 4)
    booster.save_model(tmp_path / "model.json")
    answers = open_model(str(tmp_path / "model.json")).predict(table())[:, 0]
    np.testing.assert_allclose(answers, booster.predict(data), rtol=1e-6)


def test_numbers_of_classes_are_no_scores(tmp_path: Path) -> None:
    import xgboost

    classes = np.digitize(ROWS[:, 0] + ROWS[:, 1], np.quantile(ROWS[:, 0] + ROWS[:, 1], [0.3, 0.7]))
    data = xgboost.DMatrix(ROWS, classes, feature_names=NAMES)
    booster = xgboost.train({"nthread": 1, "objective": "multi:softmax", "num_class": 3}, data, 4)
    booster.save_model(tmp_path / "model.json")
    model = open_model(str(tmp_path / "model.json"))
    scores = model.predict(table())
    assert scores.shape == (len(ROWS), 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-6)
    assert len(set(booster.predict(data))) == 3
    assert model.predict_labels(table()).to_pylist() == booster.predict(data).astype(int).tolist()


# Names before positions.


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["age", "income", "visit", "delay"], r"it lacks 'visits' \(is that 'visit'\?\); name the columns"),
        (["Age", "Income", "Visits", "Delay"], r"it lacks 'age' \(is that 'Age'\?\); name the columns"),
        (["delay", "age", "a", "b", "c"], r"only 2 have such names: it lacks 'income'; name the columns"),
    ],
)
def test_columns_that_are_the_features_in_part(
    boosters: dict[str, Any], columns: list[str], message: str
) -> None:
    for name in ("binary.json", "binary.txt"):
        with pytest.raises(ModelError, match=message):
            open_model(str(boosters["folder"] / name)).predict(table(np.ones((2, len(columns))), columns))


def test_what_names_decide_is_said(boosters: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    model = open_model(str(boosters["folder"] / "binary.txt"))
    model.predict(table().append_column("spare", pa.array(range(300))))
    assert "does not use 'spare': no feature has this name" in caplog.text
    by_position = table(ROWS, ["_c0", "_c1", "_c2", "_c3"])
    assert np.array_equal(model.predict(by_position), model.predict(table()))
    assert "columns are taken by their positions: '_c0' as 'age'" in caplog.text


def test_a_model_is_opened_again_after_many_threads_have_asked_it(
    boosters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy of the process that tries the file has none of these threads to wait for."""
    monkeypatch.setattr("model_clients.local.LEAST_SECONDS", 5.0)
    for name in ("binary.txt", "binary.json"):
        for _ in range(2):
            model = open_model(str(boosters["folder"] / name), policy=Policy(threads=2))
            model.predict(table(np.tile(ROWS, (20, 1))))


@pytest.mark.parametrize(
    ("name", "written", "damaged"),
    [
        ("binary.txt", r"left_child=\d+", "left_child=70000"),
        ("binary.txt", r"split_feature=\d+", "split_feature=70000"),
        ("binary.txt", r"feature_infos=\S+", "feature_infos=0:1]"),
        ("binary.json", r'"split_indices":\[\d+', '"split_indices":[65536'),
        ("binary.json", r'"left_children":\[\d+', '"left_children":[65536'),
    ],
)
def test_trees_that_lead_nowhere_are_refused_before_they_are_asked(
    boosters: dict[str, Any], tmp_path: Path, name: str, written: str, damaged: str
) -> None:
    content = (boosters["folder"] / name).read_text(encoding="utf-8")
    assert re.search(written, content)
    path = tmp_path / name
    path.write_text(re.sub(written, damaged, content, count=1), encoding="utf-8")
    with pytest.raises(ModelError, match=r"is not a whole (LightGBM|XGBoost) model") as caught:
        open_model(str(path))
    assert caught.value.file == str(path)
