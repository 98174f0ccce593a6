"""What the sound rules must see and must bear, held on a reduced run with a fixed seed."""

import pytest

from benchmarks.simulate import ELEVEN, LARGE_SEE, SEE, bear, bears, eleven, see


@pytest.fixture(scope="module")
def seen():
    return see(windows=3, seed=20261122)


@pytest.mark.parametrize("fault", [*SEE, *LARGE_SEE])
def test_planted_faults_are_found(seen, fault):
    assert seen[fault].found[fault] == seen[fault].windows


def test_columns_beside_the_faults_are_quiet(seen):
    rates = next(iter(seen.values()))
    assert rates.alarmed == 0, rates.alarms


@pytest.mark.parametrize("cell", bears(), ids=lambda cell: cell.name)
def test_nothing_worth_an_alarm_raises_none(cell):
    for rates in bear(cell, windows=4, seed=20261123):
        assert rates.alarmed == 0, rates.alarms


def test_eleven_faults_of_one_window_are_each_reported_and_its_control_is_quiet():
    found, said, control = eleven(windows=3, seed=20261124)
    assert {name: found.found[name] for name in ELEVEN} == dict.fromkeys(ELEVEN, 3)
    assert set(said) == set(ELEVEN)
    assert control.alarmed == 0, control.alarms


def test_the_originals_alarm_where_nothing_changed():
    assert [rates.alarmed for rates in bear(bears()[0], windows=4, seed=1, rules="sagemaker")] == [4, 4]
