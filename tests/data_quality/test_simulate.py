"""The promise of the sound rules, held on a reduced run with a fixed seed."""

import pytest

from benchmarks.simulate import CHANGES, FEATURES, simulate, table


@pytest.fixture(scope="module")
def rates():
    return simulate(windows=20, changed_windows=4, seed=20261122)


@pytest.mark.parametrize("rows", [500, 5_000])
def test_windows_without_drift_are_clean(rates, rows):
    assert rates["sound", rows].windows == 20
    assert rates["sound", rows].false_alarm_rate < 0.01
    # What the sound rules are for: the originals' alarm in nearly every window of the same data.
    assert rates["sagemaker", rows].false_alarm_rate > 0.5


@pytest.mark.parametrize("change", [change.name for change in CHANGES])
def test_planted_changes_are_found(rates, change):
    assert rates["sound", 5_000].power(change) == 1.0


def test_table_holds_every_rate(rates):
    text = table(rates)
    assert len(FEATURES) == 20
    assert all(change.name in text for change in CHANGES)
    assert "sound, 5,000 rows" in text
