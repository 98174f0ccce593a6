"""The promises of docs/bias_decisions.md on a reduced run of the simulation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import simulate_bias
from benchmarks.simulate_bias import POPULATIONS, coverage, simulate

BY_NAME = {population.name: population for population in POPULATIONS}


@pytest.mark.parametrize("name", ["30 % positive, fair", "30 % positive, 5 strata"])
@pytest.mark.parametrize("rows", [500, 2_000, 20_000])
def test_windows_without_change_raise_nothing(name: str, rows: int) -> None:
    rates = simulate(BY_NAME[name], rows, 20_000, 40, np.random.default_rng(rows))
    # One of 40 is what the budget allows; more would be a rate of several per cent.
    assert rates["sound"].alarmed <= 1
    assert rates["sagemaker"].alarmed > 30


@pytest.mark.parametrize("name", ["50 % positive, fair", "30 % positive, fair"])
def test_half_the_selection_rate_is_found(name: str) -> None:
    rates = simulate(BY_NAME[name], 5_000, 20_000, 12, np.random.default_rng(7), changed=True)
    assert rates["sound"].alarmed == 12


@pytest.mark.parametrize("name", ["10 % positive, fair", "30 % positive, 60 strata"])
def test_intervals_hold_the_truth(name: str) -> None:
    shares = coverage(BY_NAME[name], 2_000, 60, np.random.default_rng(11))
    assert len(shares) >= 18
    assert min(shares.values()) >= 0.85


def test_the_change_halves_what_the_minority_gets() -> None:
    population = BY_NAME["30 % positive, 5 facet values"]
    before, after = (one.cells.sum(axis=(1, 2, 3)) for one in (population, population.changed()))
    assert after[1, 1] == pytest.approx(before[1, 1] / 2.0)
    assert after.sum(axis=1) == pytest.approx(before.sum(axis=1))
    assert after[0] == pytest.approx(before[0])


def test_the_tables_print(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate_bias, "POPULATIONS", POPULATIONS[:1])
    simulate_bias.run(windows=2, seed=1)
    printed = capsys.readouterr().out
    assert "| 50 % positive, fair | 2,000 | 500 |" in printed
    assert "Coverage of 95 % intervals" in printed
