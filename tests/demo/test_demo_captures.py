"""Captures of the demo: SageMaker's layout and record shape, the same in every run."""

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from fixtures import fixture

pytest.importorskip("pandas")

from demo.captures import write_captures
from demo.flights import FEATURES

PATH = re.compile(
    r"flight-delay/AllTraffic/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jsonl"
)


@pytest.fixture
def flights() -> pd.DataFrame:
    """Return 100 calls over 25 hours, with missing numbers and a comma inside a text."""
    count = 100
    columns = {name: [float(i) if i % 3 else None for i in range(count)] for name in FEATURES}
    columns["carrier"] = [["UA", "B6, Inc."][i % 2] for i in range(count)]
    times = pd.date_range("2013-03-31 23:30", periods=count, freq="15min")
    return pd.DataFrame({**columns, "asked_at": times, "flight_id": [f"UA{i}" for i in range(count)]})


def _write(flights: pd.DataFrame, directory: Path, **options: object) -> dict[str, str]:
    settings = {"endpoint": "flight-delay", "variant": "AllTraffic", "seed": 7, **options}
    count = write_captures(flights, directory, **settings)
    files = {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*.jsonl")}
    assert count == len(files)
    return dict(sorted(files.items()))


def _records(files: dict[str, str]) -> list[dict]:
    return [json.loads(line) for text in files.values() for line in text.splitlines()]


def test_files_are_where_an_endpoint_puts_them(flights: pd.DataFrame, tmp_path: Path) -> None:
    files = _write(flights, tmp_path)
    for path, text in files.items():
        assert PATH.fullmatch(path), path
        year, month, day, hour, name = Path(path).parts[-5:]
        times = [json.loads(line)["eventMetadata"]["inferenceTime"] for line in text.splitlines()]
        assert all(time.startswith(f"{year}-{month}-{day}T{hour}:") for time in times)
        assert times[0].endswith(f":{name[:2]}:{name[3:5]}Z")


def test_records_have_the_shape_of_a_recorded_one(flights: pd.DataFrame, tmp_path: Path) -> None:
    recorded = json.loads(fixture("model_monitor/sdk/captured-data.jsonl").read_text().splitlines()[0])
    for record in _records(_write(flights, tmp_path, predictions=[0.25] * len(flights))):
        assert record.keys() == recorded.keys()
        assert record["captureData"].keys() == recorded["captureData"].keys()
        for side in ("endpointInput", "endpointOutput"):
            assert record["captureData"][side].keys() == recorded["captureData"][side].keys()
        assert record["eventMetadata"].keys() == recorded["eventMetadata"].keys() | {"inferenceId"}


def test_payloads_read_back_as_the_features(flights: pd.DataFrame, tmp_path: Path) -> None:
    records = _records(_write(flights, tmp_path))
    text = "\n".join(record["captureData"]["endpointInput"]["data"] for record in records)
    read = pd.read_csv(io.StringIO(text), header=None, names=list(FEATURES))
    pd.testing.assert_frame_equal(read, flights[list(FEATURES)], check_dtype=False)
    assert [record["eventMetadata"]["inferenceId"] for record in records] == list(flights["flight_id"])
    assert all("endpointOutput" not in record["captureData"] for record in records)


def test_the_same_seed_gives_the_same_files(flights: pd.DataFrame, tmp_path: Path) -> None:
    first = _write(flights, tmp_path / "first")
    assert _write(flights, tmp_path / "second") == first
    assert _write(flights, tmp_path / "third", seed=8) != first
    identifiers = {record["eventMetadata"]["eventId"] for record in _records(first)}
    assert len(identifiers) == len(flights)
