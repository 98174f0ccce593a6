"""One hour against whole days, held on a reduced run: quiet where windows are known, and not blind."""

import pytest

from benchmarks.simulate_seasons import of_features, of_model


@pytest.mark.long
def test_hours_that_follow_a_season_are_quiet_and_changes_in_them_are_found():
    without, known = of_features(weeks=1, rows=200, seed=20261129, shuffled=True)
    windows = known[0]["windows"]
    assert without[0]["any"] > windows / 2
    assert known[0]["any"] <= 1, known[0]
    for fault in ("load, by hour: mean + 2 sd", "age: mean + 1 sd", "kind: 30 % of a new one"):
        assert known[1][fault] >= 0.9 * known[1][f"{fault}|"], fault


def test_a_model_worse_at_some_hours_is_known_and_one_worse_at_all_hours_found():
    _, known = of_model(weeks=1, rows=200, seed=20261129)
    assert known["0.0"] <= 1
    assert known["0.2"] >= 0.9 * known["0.2|"]
