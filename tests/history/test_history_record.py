"""Records: what is written is read, whatever the schema, and mistakes name their place."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.api import Metric, Violation
from contract.errors import DocumentError
from reporting.history.folder import parse_records
from reporting.history.record import SCHEMA, Alert, Compared, Run, RunFinding, read_run, run_to_json

OLDER = Path(__file__).parent / "records" / "schema_1.jsonl"

texts = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
instants = st.datetimes(
    min_value=datetime(1970, 1, 1), max_value=datetime(2999, 1, 1), timezones=st.just(UTC)
)
runs = st.builds(
    Run,
    run=texts,
    monitor=texts,
    version=texts,
    rules=st.sampled_from(["sound", "sagemaker"]),
    started=instants,
    finished=instants,
    seconds=st.integers(0, 10**6).map(lambda milliseconds: milliseconds / 1000),
    dataset_source=texts,
    output_path=texts,
    exit_code=st.integers(0, 255),
    message=texts,
    endpoint=st.none() | texts,
    schedule=st.none() | texts,
    window=st.none() | st.tuples(instants, instants),
    rows=st.none() | st.integers(0, 10**12),
    labelled=st.none() | st.integers(0, 10**12),
    unlabelled=st.none() | st.integers(0, 10**12),
    notes=st.integers(0, 100),
    violations=st.none()
    | st.lists(
        st.builds(
            Violation,
            texts,
            texts,
            feature_name=st.none() | texts,
            metric_name=st.none() | texts,
            extra=st.just({}) | st.just({"facet": "sex", "segment": {"origin": None}}),
        ),
        max_size=3,
    ).map(tuple),
    metrics=st.lists(
        st.builds(
            Metric,
            texts,
            value=st.none() | numbers,
            dimensions=st.dictionaries(texts, texts, max_size=2),
            interval=st.none() | st.tuples(numbers, numbers),
        ),
        max_size=3,
    ).map(tuple),
    findings=st.lists(
        st.builds(
            RunFinding,
            texts,
            distance=st.none() | numbers,
            violated=st.booleans(),
            shift=st.none() | st.tuples(numbers, numbers),
        ),
        max_size=3,
    ),
    alert=st.none()
    | st.builds(
        Alert, st.just("2/3"), st.integers(0, 3), st.integers(0, 3), due=st.booleans(), problem=texts
    ),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    compared=st.builds(Compared, constraints=st.none() | texts, statistics_path=st.none() | texts),
    checking=st.just({}) | st.just({"positional": True, "segment_by": ["origin"]}),
    statistics=st.none() | texts,
)


@given(runs)
def test_a_record_written_and_read_is_the_same(run: Run) -> None:
    assert read_run(json.loads(json.dumps(run_to_json(run), allow_nan=False)), "record") == run


def test_records_of_the_older_schema_are_read() -> None:
    first, quiet, drifted = parse_records(OLDER.read_bytes(), str(OLDER))
    assert all(json.loads(line)["schema"] == 1 for line in OLDER.read_text().splitlines())
    assert (first.violations, quiet.violations) == (None, ())
    assert [violation.feature_name for violation in drifted.violations or ()] == ["income"]
    values = {metric.name: metric.value for metric in drifted.metrics}
    assert values["feature_baseline_drift_income"] == 0.73
    assert drifted.findings[0] == RunFinding("income", 0.73, True)
    assert run_to_json(drifted)["schema"] == SCHEMA


def test_members_of_a_newer_schema_are_left_as_they_are() -> None:
    newer = {**run_to_json(parse_records(OLDER.read_bytes(), "")[2]), "schema": SCHEMA + 1, "mood": "good"}
    run = read_run(newer, "record")
    assert run.extra == {"mood": "good"}
    assert run_to_json(run)["mood"] == "good"
    # A name nearly known is a mistake in a record of ours only.
    metrics = [{"name": "recall", "value": 0.5, "values": [0.5]}]
    assert read_run({**newer, "metrics": metrics, "decide": 1}, "record").metrics[0].value == 0.5


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "runs.jsonl, line 1, is not valid JSON"),
        ("[]", "runs.jsonl, line 1: the file must be an object"),
        ("{}", "runs.jsonl, line 1: schema is missing"),
        ('{"schema": 0}', "schema is 0, which no version has written"),
        ('{"schema": 2, "run": 7}', "runs.jsonl, line 1: 7 members are wrong: .1. run must be text"),
    ],
)
def test_mistakes_name_their_place(line: str, says: str) -> None:
    with pytest.raises(DocumentError, match=says.replace("[", r"\[").replace("{", r"\{")):
        parse_records(line.encode(), "runs.jsonl")


def test_a_time_that_is_none_is_named() -> None:
    members = run_to_json(replace(parse_records(OLDER.read_bytes(), "")[0], extra={"started": "noon"}))
    with pytest.raises(DocumentError) as error:
        read_run(members, "record")
    assert (error.value.file, error.value.field) == ("record", "started")


def test_an_interval_that_is_none_is_named() -> None:
    metrics = [{"name": "recall", "value": 0.5, "interval": [None, 1]}]
    members = {**run_to_json(parse_records(OLDER.read_bytes(), "")[0]), "metrics": metrics}
    with pytest.raises(DocumentError) as error:
        read_run(members, "record")
    assert (error.value.file, error.value.field) == ("record", "metrics[0].interval")


def test_label_coverage() -> None:
    run = parse_records(OLDER.read_bytes(), "")[0]
    assert run.label_coverage is None
    assert replace(run, labelled=30, unlabelled=90).label_coverage == 0.25
    assert replace(run, labelled=0, unlabelled=0).label_coverage is None
