"""Captures and labels of the demo: SageMaker's layout and record shapes, the same in every run."""

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from fixtures import fixture

pytest.importorskip("pandas")

from demo.captures import write_captures, write_labels
from demo.flights import FEATURES

HOUR = re.compile(r"\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jsonl")


@pytest.fixture
def flights() -> pd.DataFrame:
    """Return 100 calls over 25 hours, with missing numbers and a comma inside a text."""
    count = 100
    columns = {name: [float(i) if i % 3 else None for i in range(count)] for name in FEATURES}
    columns["carrier"] = [["UA", "B6, Inc."][i % 2] for i in range(count)]
    times = pd.date_range("2013-03-31 23:30", periods=count, freq="15min")
    answers = {"predicted_late": [i % 2 for i in range(count)], "probability": [0.25] * count}
    labels = pd.Series([None if i % 10 == 0 else i % 2 for i in range(count)], dtype="Int8")
    others = {"asked_at": times, "flight_id": [f"UA{i}" for i in range(count)], "is_late": labels}
    return pd.DataFrame({**columns, **others, **answers})


def _write(flights: pd.DataFrame, directory: Path, seed: int = 7) -> dict[str, str]:
    count = write_captures(flights, directory, endpoint="flight-delay", variant="AllTraffic", seed=seed)
    files = _read(directory)
    assert count == len(files)
    return files


def _read(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in sorted(directory.rglob("*.jsonl"))}


def _records(files: dict[str, str]) -> list[dict]:
    return [json.loads(line) for text in files.values() for line in text.splitlines()]


def test_files_are_where_an_endpoint_puts_them(flights: pd.DataFrame, tmp_path: Path) -> None:
    files = _write(flights, tmp_path)
    for path, text in files.items():
        assert path.startswith("flight-delay/AllTraffic/")
        assert HOUR.fullmatch(path.removeprefix("flight-delay/AllTraffic/")), path
        year, month, day, hour, name = Path(path).parts[-5:]
        times = [json.loads(line)["eventMetadata"]["inferenceTime"] for line in text.splitlines()]
        assert all(time.startswith(f"{year}-{month}-{day}T{hour}:") for time in times)
        assert times[0].endswith(f":{name[:2]}:{name[3:5]}Z")


def test_records_have_the_shape_of_a_recorded_one(flights: pd.DataFrame, tmp_path: Path) -> None:
    recorded = json.loads(fixture("model_monitor/sdk/captured-data.jsonl").read_text().splitlines()[0])
    for record in _records(_write(flights, tmp_path)):
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
    answers = [record["captureData"]["endpointOutput"]["data"] for record in records]
    assert answers == [f"{i % 2},0.25" for i in range(len(flights))]


def test_the_same_seed_gives_the_same_files(flights: pd.DataFrame, tmp_path: Path) -> None:
    first = _write(flights, tmp_path / "first")
    assert _write(flights, tmp_path / "second") == first
    assert _write(flights, tmp_path / "third", seed=8) != first
    identifiers = {record["eventMetadata"]["eventId"] for record in _records(first)}
    assert len(identifiers) == len(flights)


def test_labels_come_later_and_only_where_there_is_one(flights: pd.DataFrame, tmp_path: Path) -> None:
    count = write_labels(flights, tmp_path, delay=pd.Timedelta(days=1), seed=7)
    files = _read(tmp_path)
    found = {}
    for path, text in files.items():
        assert HOUR.fullmatch(path), path
        for line in text.splitlines():
            record = json.loads(line)
            found[record["eventMetadata"]["eventId"]] = (record["groundTruthData"]["data"], path[:13])
    labelled = flights[flights["is_late"].notna()]
    hours = (labelled["asked_at"] + pd.Timedelta(days=1)).dt.strftime("%Y/%m/%d/%H")
    labels = labelled["is_late"].astype(str)
    assert count == len(labelled) == 90
    assert found == dict(zip(labelled["flight_id"], zip(labels, hours, strict=True), strict=True))


def test_label_records_have_the_shape_of_a_recorded_one(flights: pd.DataFrame, tmp_path: Path) -> None:
    line = fixture("model_monitor/sdk/actuals.jsonl").read_text().splitlines()[0]
    recorded = json.loads(line % "0" if "%s" in line else line)
    write_labels(flights, tmp_path, delay=pd.Timedelta(days=1), seed=7)
    for record in _records(_read(tmp_path)):
        assert record.keys() == recorded.keys()
        assert record["groundTruthData"].keys() == recorded["groundTruthData"].keys()
