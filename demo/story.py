"""The story: which flights were learned from, which are monitored, and where everything is written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from contract.errors import OutputError
from demo.captures import ANSWER, write_captures, write_labels
from demo.flights import (
    FEATURES,
    LABEL,
    asked_between,
    load_tables,
    make_flights,
    split_at_random,
    split_training,
)
from demo.model import DelayModel, train, with_predictions

ENDPOINT = "flight-delay"
VARIANT = "AllTraffic"
SEED = 2013

# All times are UTC without a zone, as in the frames; a day in New York starts at 04:00 in summer time.
TRAINED_UNTIL = datetime(2013, 4, 1, 4)
HELD_OUT_SHARE = 1 / 12

VALIDATION_SHARE = 1 / 4
EXPLAINED_FLIGHTS = 3_000
LABELS_COME_AFTER = pd.Timedelta(days=1)

_MARKER = ".written-by-demo"
_FOLDERS = (
    "attribution-baseline",
    "baseline",
    "bias-baseline",
    "captures",
    "labels",
    "live",
    "merged",
    "model-baseline",
    "reports",
    "year",
)


@dataclass(frozen=True)
class Window:
    """A span of time whose captures are monitored; `start` is in, `end` is out (UTC)."""

    name: str
    title: str
    start: datetime
    end: datetime


# Fifty-two weeks from the Monday before New Year, by the clock of New York.
YEAR_ZONE = "America/New_York"
YEAR_START, YEAR_END = datetime(2012, 12, 31), datetime(2013, 12, 30)

TRAINING = "January to March"
CONTROL = Window(
    "control",
    "control",
    datetime(2013, 4, 1, 4),
    datetime(2013, 4, 2, 4),
)
APRIL = Window(
    "april",
    "21 to 27 April",
    datetime(2013, 4, 21, 4),
    datetime(2013, 4, 28, 4),
)
JULY = Window(
    "july",
    "8 to 14 July",
    datetime(2013, 7, 8, 4),
    datetime(2013, 7, 15, 4),
)


@dataclass(frozen=True)
class Data:
    """What the story is about.

    Attributes
    ----------
    training
        The flights that data quality compares with, validation included.
    validation
        Those of them that the model did not see: the baseline of model quality.
    control, april, july
        What the endpoint was asked about in three windows. Like `validation`, they have the columns that
        `demo.model.with_predictions` adds.
    year
        All flights but those of `training`, when they were; with these columns too.
    model
        What the endpoint answers with.
    """

    training: pd.DataFrame
    validation: pd.DataFrame
    control: pd.DataFrame
    april: pd.DataFrame
    july: pd.DataFrame
    year: pd.DataFrame
    model: DelayModel

    @property
    def explained(self) -> pd.DataFrame:
        """Return the flights whose explanations are the baseline: some of `validation`, drawn at random."""
        flights = min(EXPLAINED_FLIGHTS, len(self.validation))
        return self.validation.sample(flights, random_state=SEED).sort_index()

    def of(self, window: Window) -> pd.DataFrame:
        """Return the flights of a window."""
        return {CONTROL.name: self.control, APRIL.name: self.april, JULY.name: self.july}[window.name]


@dataclass(frozen=True)
class Layout:
    """Where the demo leaves its files."""

    directory: Path

    @property
    def training(self) -> Path:
        """Return the training data."""
        return self.baseline / "data" / "training.csv"

    @property
    def baseline(self) -> Path:
        """Return the directory with the baseline's statistics and constraints."""
        return self.directory / "baseline"

    @property
    def validation(self) -> Path:
        """Return the validation data: features, the model's answers and labels."""
        return self.model_baseline / "data" / "validation.csv"

    @property
    def model_baseline(self) -> Path:
        """Return the directory with the model's statistics and constraints at the baseline."""
        return self.directory / "model-baseline"

    @property
    def captures(self) -> Path:
        """Return the directory with the endpoint's captures."""
        return self.directory / "captures"

    @property
    def labels(self) -> Path:
        """Return the directory with the labels that came later."""
        return self.directory / "labels"

    @property
    def merged(self) -> Path:
        """Return the directory with the captures that have a label."""
        return self.directory / "merged"

    def report(self, window: Window) -> Path:
        """Return the directory with the data-quality report of one window."""
        return self.directory / "reports" / window.name

    def estimate(self, window: Window) -> Path:
        """Return the directory with the model-quality report of one window without labels."""
        return self.directory / "reports" / f"{window.name}-model-estimated"

    def measurement(self, window: Window) -> Path:
        """Return the directory with the model-quality report of one window with labels."""
        return self.directory / "reports" / f"{window.name}-model"

    @property
    def bias_configuration(self) -> Path:
        """Return the directory with the analysis configuration of the bias jobs."""
        return self.bias_baseline / "config"

    @property
    def bias_baseline(self) -> Path:
        """Return the directory with the bias at the baseline."""
        return self.directory / "bias-baseline"

    def bias(self, window: Window) -> Path:
        """Return the directory with the bias report of one window with labels."""
        return self.directory / "reports" / f"{window.name}-bias"

    @property
    def model(self) -> Path:
        """Return the model as it is deployed."""
        return self.attribution_baseline / "model" / "model.tar.gz"

    @property
    def explained(self) -> Path:
        """Return the flights whose explanations are the baseline."""
        return self.attribution_baseline / "data" / "flights.csv"

    @property
    def attribution_configuration(self) -> Path:
        """Return the directory with the analysis configuration of the feature-attribution jobs."""
        return self.attribution_baseline / "config"

    @property
    def attribution_baseline(self) -> Path:
        """Return the directory with the attributions at the baseline."""
        return self.directory / "attribution-baseline"

    def attribution(self, window: Window) -> Path:
        """Return the directory with the feature-attribution report of one window."""
        return self.directory / "reports" / f"{window.name}-attribution"

    @property
    def live_captures(self) -> Path:
        """Return the directory with the captures of the service that the demo runs itself."""
        return self.directory / "live" / "captures"

    @property
    def flights_of_the_year(self) -> Path:
        """Return the table of the year: times, features, the model's answers and labels."""
        return self.directory / "year" / "flights.parquet"

    @property
    def years(self) -> dict[str, Path]:
        """Return the monitors that look at the whole year, and the baseline of each."""
        return {"data-quality": self.baseline, "model-quality": self.model_baseline}

    def year_of(self, monitor: str) -> Path:
        """Return the directory with a folder per week of the year."""
        return self.directory / "year" / monitor

    @property
    def history(self) -> Path:
        """Return the directory with the records of the year's runs."""
        return self.directory / "year" / "history"

    @property
    def overview(self) -> Path:
        """Return the directory with the pages over them."""
        return self.directory / "year" / "overview"

    def log(self, name: str) -> Path:
        """Return the log of one job."""
        return self.directory / f"{name}.log"


def make_data() -> Data:
    """Return the flights of the story and what the model says of them, the same in every run.

    The control are flights of the training months that were drawn at random and kept out of training;
    they are sent to the endpoint on the day the model goes live. Their distribution is that of the
    training data by construction, so there is nothing to find in them. The model is trained on three
    quarters of the training data; the last quarter, drawn at random as well, validates it.
    """
    flights = make_flights(load_tables())
    training, held_out = split_training(flights, TRAINED_UNTIL, HELD_OUT_SHARE, SEED)
    learned_from, validation = split_at_random(training, VALIDATION_SHARE, SEED)
    model = train(learned_from)
    return Data(
        training=training,
        validation=with_predictions(model, validation),
        control=with_predictions(model, _replayed(held_out, CONTROL)),
        april=with_predictions(model, asked_between(flights, APRIL.start, APRIL.end)),
        july=with_predictions(model, asked_between(flights, JULY.start, JULY.end)),
        year=with_predictions(model, flights[~flights["flight_id"].isin(training["flight_id"])]),
        model=model,
    )


def _replayed(flights: pd.DataFrame, window: Window) -> pd.DataFrame:
    step = (window.end - window.start) / len(flights)
    times = pd.date_range(window.start, periods=len(flights), freq=pd.Timedelta(step)).floor("s")
    return flights.assign(asked_at=times)


def prepare_directory(layout: Layout) -> None:
    """Empty the demo's directory of an earlier run, and of nothing else.

    Raises
    ------
    OutputError
        When the directory holds files the demo did not write, or cannot be written.
    """
    directory = layout.directory
    marker = directory / _MARKER
    try:
        if directory.exists() and not marker.exists() and any(directory.iterdir()):
            raise OutputError(
                f"{directory} holds files that are not the demo's: choose an empty or new directory."
            )
        for folder in _FOLDERS:
            shutil.rmtree(directory / folder, ignore_errors=True)
            (directory / folder).mkdir(parents=True)
        marker.touch()
    except OSError as error:
        raise OutputError(
            f"{error.filename or directory} cannot be written ({error.strerror}): choose another directory."
        ) from error


def write_data(data: Data, layout: Layout) -> int:
    """Write training data, validation data and the captures of all windows.

    Validation data have their columns in the order of captures: the model's answer, features, label.

    Returns
    -------
    int
        The number of files with captures.
    """
    columns = {layout.training: FEATURES, layout.validation: (*ANSWER, *FEATURES, LABEL)}
    for path, flights in ((layout.training, data.training), (layout.validation, data.validation)):
        path.parent.mkdir(parents=True, exist_ok=True)
        flights[list(columns[path])].to_csv(path, index=False, lineterminator="\n")
    return sum(
        write_captures(data.of(window), layout.captures, endpoint=ENDPOINT, variant=VARIANT, seed=seed)
        for seed, window in enumerate((CONTROL, APRIL, JULY), start=SEED)
    )


def write_late_labels(data: Data, layout: Layout) -> int:
    """Write the labels of all windows as they come in, a day after each question; return their number."""
    return sum(
        write_labels(data.of(window), layout.labels, delay=LABELS_COME_AFTER, seed=seed)
        for seed, window in enumerate((CONTROL, APRIL, JULY), start=SEED)
    )


def write_year(data: Data, layout: Layout) -> int:
    """Write the table of the year, as a service logs it; return the number of flights in it."""
    times = data.year["asked_at"].dt.tz_localize("UTC")
    is_in = (times >= pd.Timestamp(YEAR_START, tz=YEAR_ZONE)) & (times < pd.Timestamp(YEAR_END, tz=YEAR_ZONE))
    table = data.year.assign(asked_at=times)[["flight_id", "asked_at", *ANSWER, *FEATURES, LABEL]][is_in]
    # Whoever reads it meanwhile sees the whole of it.
    unfinished = layout.flights_of_the_year.with_suffix(".unfinished")
    table.to_parquet(unfinished, index=False)
    unfinished.replace(layout.flights_of_the_year)
    return len(table)
