"""Writing captures and labels as SageMaker lays them out: JSON Lines in one folder per hour."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from demo.flights import FEATURES

# What the endpoint answers, in this order: the predicted label and the probability of being late.
ANSWER = ("predicted_late", "probability")


def request_lines(flights: pd.DataFrame) -> list[str]:
    """Return what the endpoint is asked about each flight: a line of CSV without names."""
    return _rows(flights, FEATURES)


def write_captures(flights: pd.DataFrame, directory: Path, *, endpoint: str, variant: str, seed: int) -> int:
    """Write one capture record per flight: the features, and the model's answer, as CSV without names.

    Parameters
    ----------
    flights
        In order of `asked_at`, as `demo.flights.make_flights` returns them, with the columns that
        `demo.model.with_predictions` adds.
    directory
        Files go to ``<directory>/<endpoint>/<variant>/yyyy/mm/dd/hh/MM-SS-mmm-<uuid>.jsonl``, one per
        hour (UTC).
    seed
        Makes the identifiers; the same flights and seed give the same files.

    Returns
    -------
    int
        The number of files written.
    """
    identifiers = random.Random(seed)  # noqa: S311 - reproducible identifiers, nothing secret
    columns = (flights["asked_at"], flights["flight_id"], request_lines(flights), _rows(flights, ANSWER))
    records = (
        (asked_at, _capture(asked_at, flight_id, features, answer, identifiers))
        for asked_at, flight_id, features, answer in zip(*columns, strict=True)
    )
    return _write_by_hour(records, directory / endpoint / variant, identifiers)


def write_labels(flights: pd.DataFrame, directory: Path, *, delay: pd.Timedelta, seed: int) -> int:
    """Write the label of each flight that has one, when it is known: `delay` after `asked_at`.

    Files go to ``<directory>/yyyy/mm/dd/hh/MM-SS-mmm-<uuid>.jsonl``, by the hour (UTC) the label came in.

    Returns
    -------
    int
        The number of labels written.
    """
    identifiers = random.Random(seed)  # noqa: S311 - reproducible identifiers, nothing secret
    labelled = flights[flights["is_late"].notna()]
    columns = (labelled["asked_at"] + delay, labelled["flight_id"], labelled["is_late"])
    records = (
        (known_at, _label(flight_id, is_late)) for known_at, flight_id, is_late in zip(*columns, strict=True)
    )
    _write_by_hour(records, directory, identifiers)
    return len(labelled)


def _rows(flights: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
    text: str = flights[list(names)].to_csv(index=False, header=False, lineterminator="\n")
    return text.splitlines()


def _write_by_hour(
    records: Iterable[tuple[pd.Timestamp, bytes]], directory: Path, identifiers: random.Random
) -> int:
    """Write records that come in order of time to one file per hour; return the number of files."""
    files = 0
    for hour, in_hour in groupby(records, key=lambda record: record[0].floor("h")):
        folder = directory / f"{hour:%Y/%m/%d/%H}"
        folder.mkdir(parents=True, exist_ok=True)
        moments, lines = zip(*in_hour, strict=True)
        milliseconds = identifiers.randrange(1000)
        name = f"{moments[0]:%M-%S}-{milliseconds:03}-{_identifier(identifiers)}.jsonl"
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")
        files += 1
    return files


def _capture(
    asked_at: pd.Timestamp, flight_id: str, features: str, answer: str, identifiers: random.Random
) -> bytes:
    record: dict[str, Any] = {
        "captureData": {"endpointInput": _side("INPUT", features), "endpointOutput": _side("OUTPUT", answer)},
        "eventMetadata": {
            "eventId": _identifier(identifiers),
            "inferenceId": flight_id,
            "inferenceTime": f"{asked_at:%Y-%m-%dT%H:%M:%SZ}",
        },
        "eventVersion": "0",
    }
    return orjson.dumps(record)


def _label(flight_id: str, is_late: int) -> bytes:
    record = {
        "groundTruthData": {"data": str(is_late), "encoding": "CSV"},
        "eventMetadata": {"eventId": flight_id},
        "eventVersion": "0",
    }
    return orjson.dumps(record)


def _side(mode: str, payload: str) -> dict[str, str]:
    return {"observedContentType": "text/csv", "mode": mode, "data": payload, "encoding": "CSV"}


def _identifier(identifiers: random.Random) -> str:
    return str(uuid.UUID(int=identifiers.getrandbits(128), version=4))
