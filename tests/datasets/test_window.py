from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import ConfigurationError
from contract.window import Window, folder_hour, folder_overlaps, parse_duration, resolve_window

NOW = datetime(2026, 5, 6, 22, 17, 33, 5, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def resolve(start=None, end=None, window=None, start_offset=None, end_offset=None):
    return resolve_window(start, end, window, start_offset, end_offset, NOW)


def test_nothing_asked_for_is_no_window():
    assert resolve() is None


def test_offsets_move_the_window_as_documented():
    # A run at 2020-01-09T13:00 with -P8D and -P1D looks at the week before the last day.
    window = resolve("2020-01-09T13:00:00Z", "2020-01-09T13:00:00Z", None, "-P8D", "-P1D")
    assert window == Window(at("2020-01-01T13:00:00Z"), at("2020-01-08T13:00:00Z"))


@pytest.mark.parametrize(
    ("length", "start", "end"),
    [
        ("PT1H", "2026-05-06T21:00:00Z", "2026-05-06T22:00:00Z"),
        ("PT3H", "2026-05-06T19:00:00Z", "2026-05-06T22:00:00Z"),
        ("P1D", "2026-05-05T00:00:00Z", "2026-05-06T00:00:00Z"),
        ("P1W", "2026-04-29T00:00:00Z", "2026-05-06T00:00:00Z"),
        ("P1DT2H", "2026-05-05T20:00:00Z", "2026-05-06T22:00:00Z"),
        ("PT90M", "2026-05-06T20:47:00Z", "2026-05-06T22:17:00Z"),
    ],
)
def test_a_length_alone_is_the_last_full_stretch(length, start, end):
    assert resolve(window=length) == Window(at(start), at(end))


def test_a_length_completes_one_time():
    expected = Window(at("2026-05-06T20:00:00Z"), at("2026-05-06T21:00:00Z"))
    assert resolve(start="2026-05-06T20:00:00Z", window="PT1H") == expected
    assert resolve(end="2026-05-06T23:00:00+02:00", window="PT1H") == expected


def test_times_without_offset_are_utc():
    window = resolve("2026-05-06T20:00:00", "2026-05-06T21:00:00")
    assert window.start == at("2026-05-06T20:00:00Z")
    assert window.start.tzinfo is UTC


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"start": "yesterday", "end": "2026-05-06T21:00:00Z"}, ["start_time", "2026-05-06T22:00:00Z"]),
        ({"start": "2026-05-06T21:00:00Z"}, ["start_time is set, but end_time is not"]),
        ({"end": "2026-05-06T21:00:00Z"}, ["end_time is set, but start_time is not"]),
        ({"start": "2026-05-06T21:00:00Z", "end": "2026-05-06T20:00:00Z"}, ["not after its start"]),
        ({"start_offset": "-P1D"}, ["start_time_offset", "no window to move"]),
        ({"window": "-PT1H"}, ["window", "positive"]),
        ({"window": "1h"}, ["window", "PT1H"]),
        ({"window": "PT2D"}, ["did you mean P2D?"]),
        ({"window": "P6H"}, ["did you mean PT6H?"]),
        ({"window": "P1M"}, ["count days"]),
        ({"window": "PT"}, ["no ISO 8601 duration"]),
        ({"window": "P99999999D"}, ["beyond the years"]),
        ({"window": "PT1H", "start_offset": "-P99999999999999D"}, ["beyond the years"]),
        ({"window": "PT1H", "start_offset": "-PT2D"}, ["start_time_offset", "did you mean -P2D?"]),
        (
            {"start": "2026-05-06T20:00:00Z", "end": "2026-05-06T23:00:00Z", "window": "PT1H"},
            ["leave window out"],
        ),
    ],
)
def test_mistakes_name_the_variable_and_the_fix(arguments, parts):
    with pytest.raises(ConfigurationError) as caught:
        resolve(**arguments)
    for part in parts:
        assert part in caught.value.message


@given(
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(1, 99),
)
def test_durations_add_up(sign, days, hours, minutes, seconds):
    text = f"{sign}P{days}DT{hours}H{minutes}M{seconds}S"
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration("window", text, "PT1H") == (-expected if sign == "-" else expected)


def test_folders_tell_the_hour():
    path = "/data/endpoint/AllTraffic/2026/05/06/21/17-33-001-uuid.jsonl"
    assert folder_hour(path) == at("2026-05-06T21:00:00Z")
    assert folder_hour("s3://bucket/2025/01/01/00/x/2026/05/06/21/a.jsonl") == at("2026-05-06T21:00:00Z")
    assert folder_hour("/data/2026/13/99/21/a.jsonl") is None
    assert folder_hour("/data/2026/05/06/a.jsonl") is None


def test_folders_outside_the_window_do_not_overlap():
    window = Window(at("2026-05-06T20:30:00Z"), at("2026-05-06T22:00:00Z"))

    def overlaps(hour, **options):
        return folder_overlaps(f"/data/2026/05/06/{hour}/a.csv", window, **options)

    assert [hour for hour in range(10, 24) if overlaps(hour)] == [20, 21]
    assert [hour for hour in range(10, 24) if overlaps(hour, slack=timedelta(hours=1))] == [19, 20, 21, 22]
    assert folder_overlaps("/data/a.csv", window)
    assert folder_overlaps("/data/2026/05/06/10/a.csv", None)
