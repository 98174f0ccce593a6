"""The promises of docs/bias_decisions.md on a reduced run of the simulation."""

from __future__ import annotations

import numpy as np
import pytest
from bias_tables import check
from scipy import stats

from analyzers.bias.analyzer import suggest
from benchmarks import simulate_bias
from benchmarks.simulate_bias import (
    ALLOWED_RATE,
    POPULATIONS,
    Cell,
    Population,
    best_power,
    coverage,
    describe,
    describe_rows,
    draw_counts,
    simulate,
)
from contract.api import Baseline

BY_NAME = {population.name: population for population in POPULATIONS}


@pytest.mark.parametrize("name", ["30 % positive, fair", "30 % positive, 5 strata"])
@pytest.mark.parametrize("rows", [500, 2_000, 20_000])
def test_windows_without_change_raise_nothing(name: str, rows: int) -> None:
    rates = simulate(Cell(BY_NAME[name], 20_000, rows, 40, seed=rows))
    # One of 40 is what the budget allows; more would be a rate of several per cent.
    assert rates["sound"].alarmed <= 1
    assert rates["sagemaker"].alarmed > 30


@pytest.mark.parametrize("name", ["50 % positive, fair", "30 % positive, fair"])
def test_half_the_selection_rate_is_found(name: str) -> None:
    rates = simulate(Cell(BY_NAME[name], 20_000, 5_000, 12, seed=7, changed=True))
    assert rates["sound"].alarmed == 12


def test_metrics_that_have_not_changed_stay_quiet_beside_others() -> None:
    before = BY_NAME["30 % positive, fair"]
    cells = before.cells.copy()
    # Half of the minority's positive labels are negative; the predictions are the same.
    taken = cells[1, ..., 1, :] / 2.0
    cells[1, ..., 1, :] -= taken
    cells[1, ..., 0, :] += taken
    generator = np.random.default_rng(5)
    quiet, found = 0, 0
    for _ in range(30):
        known = describe(before, draw_counts(before, 20_000, generator))
        window = describe(
            Population("labels", cells), draw_counts(Population("labels", cells), 5_000, generator)
        )
        decision = check(window, Baseline(known, suggest(known, None)), rules="sound")
        names = {violation.metric_name for violation in decision.violations.violations}
        found += "DPL" in names
        quiet += not names & {"DPPL", "DI", "CI"}
    assert found == 30
    # One of 30 is rare where one of 200 is due; more would be a rate of several per cent.
    assert quiet >= 29


def test_the_best_single_test_knows_no_more_than_a_known_rate_says() -> None:
    scarce = BY_NAME["10 % positive, fair"]
    shares = [best_power(scarce, rows, 5_000, 4_000, seed=3) for rows in (2_000, 20_000, 20_000_000)]
    assert sorted(shares) == shares
    # Beside so large a baseline: of 500 rows, 10 % against 5 %.
    counts = np.arange(100)
    fewer, as_many = stats.binom.cdf(counts - 1, 500, 0.1), stats.binom.pmf(counts, 500, 0.1)
    rejected = np.clip((ALLOWED_RATE - fewer) / as_many, 0.0, 1.0)
    known = float(np.sum(rejected * stats.binom.pmf(counts, 500, 0.05)))
    assert shares[-1] == pytest.approx(known, abs=0.01)


def test_the_best_single_test_alarms_as_often_as_it_may() -> None:
    class Unchanged(Population):
        def changed(self) -> Population:
            return self

    same = Unchanged("same", BY_NAME["10 % positive, fair"].cells)
    assert best_power(same, 2_000, 5_000, 40_000, seed=3) == pytest.approx(ALLOWED_RATE, rel=0.1)


@pytest.mark.parametrize("name", ["10 % positive, fair", "30 % positive, 60 strata"])
def test_intervals_hold_the_truth(name: str) -> None:
    shares = coverage(BY_NAME[name], 2_000, 60, seed=11)
    assert len(shares) >= 18
    assert min(shares.values()) >= 0.85


@pytest.mark.parametrize("population", POPULATIONS[3:], ids=lambda population: population.name)
def test_tables_say_what_rows_say(population: Population) -> None:
    counts = draw_counts(population, 1_000, np.random.default_rng(3))
    of_tables, of_rows = describe(population, counts), describe_rows(population, counts)
    assert len(of_tables.facets) == len(of_rows.facets)
    for ours, theirs in zip(of_tables.facets, of_rows.facets, strict=True):
        assert (ours.facet, ours.value_or_threshold) == (theirs.facet, theirs.value_or_threshold)
        assert ours.counts == theirs.counts
        occupied = [stratum for stratum in ours.strata_observed or [] if np.any(stratum)]
        assert sorted(occupied) == sorted(theirs.strata_observed or [])
        for metric in [*(ours.pre or []), *(ours.post or [])]:
            other = theirs.metric(metric.name)
            assert other is not None
            assert metric.value == pytest.approx(other.value, rel=1e-9, abs=1e-12)


def test_the_change_halves_what_the_minority_gets() -> None:
    population = BY_NAME["30 % positive, 5 facet values"]
    before, after = (one.cells.sum(axis=(1, 2, 3)) for one in (population, population.changed()))
    assert after[1, 1] == pytest.approx(before[1, 1] / 2.0)
    assert after.sum(axis=1) == pytest.approx(before.sum(axis=1))
    assert after[0] == pytest.approx(before[0])


def test_the_tables_print(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate_bias, "POPULATIONS", POPULATIONS[:1])
    simulate_bias.run(windows=2, seed=1, processes=1)
    printed = capsys.readouterr().out
    assert "| 50 % positive, fair | 2,000 | 500 |" in printed
    assert "Coverage of 95 % intervals" in printed
