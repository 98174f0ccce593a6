"""Writing captures as a SageMaker endpoint does: JSON Lines in one folder per hour."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from demo.flights import FEATURES


def write_captures(
    flights: pd.DataFrame,
    directory: Path,
    *,
    endpoint: str,
    variant: str,
    seed: int,
    predictions: Sequence[float] | None = None,
) -> int:
    """Write one capture record per flight, with the features as a CSV payload without names.

    Parameters
    ----------
    flights
        In order of `asked_at`, as `demo.flights.make_flights` returns them.
    directory
        Files go to ``<directory>/<endpoint>/<variant>/yyyy/mm/dd/hh/MM-SS-mmm-<uuid>.jsonl``, one per
        hour (UTC).
    seed
        Makes the identifiers; the same flights and seed give the same files.
    predictions
        The model's answers, one per flight, captured as ``endpointOutput``; None captures input only.

    Returns
    -------
    int
        The number of files written.
    """
    identifiers = random.Random(seed)  # noqa: S311 - reproducible identifiers, nothing secret
    answers = [None] * len(flights) if predictions is None else [f"{answer:.6f}" for answer in predictions]
    rows = zip(flights["asked_at"], flights["flight_id"], _payloads(flights), answers, strict=True)
    files = 0
    for hour, calls in groupby(rows, key=lambda row: row[0].floor("h")):
        folder = directory / endpoint / variant / f"{hour:%Y/%m/%d/%H}"
        folder.mkdir(parents=True, exist_ok=True)
        moments, records = zip(*_records(calls, identifiers), strict=True)
        milliseconds = identifiers.randrange(1000)
        name = f"{moments[0]:%M-%S}-{milliseconds:03}-{_identifier(identifiers)}.jsonl"
        (folder / name).write_bytes(b"\n".join(records) + b"\n")
        files += 1
    return files


def _payloads(flights: pd.DataFrame) -> list[str]:
    text: str = flights[list(FEATURES)].to_csv(index=False, header=False, lineterminator="\n")
    return text.splitlines()


def _records(calls: Iterable[tuple[Any, ...]], identifiers: random.Random) -> list[tuple[datetime, bytes]]:
    records = []
    for asked_at, flight_id, payload, answer in calls:
        captured = {"endpointInput": _side("INPUT", payload)}
        if answer is not None:
            captured["endpointOutput"] = _side("OUTPUT", answer)
        record = {
            "captureData": captured,
            "eventMetadata": {
                "eventId": _identifier(identifiers),
                "inferenceId": flight_id,
                "inferenceTime": f"{asked_at:%Y-%m-%dT%H:%M:%SZ}",
            },
            "eventVersion": "0",
        }
        records.append((asked_at, orjson.dumps(record)))
    return records


def _side(mode: str, payload: str) -> dict[str, str]:
    return {"observedContentType": "text/csv", "mode": mode, "data": payload, "encoding": "CSV"}


def _identifier(identifiers: random.Random) -> str:
    return str(uuid.UUID(int=identifiers.getrandbits(128), version=4))
