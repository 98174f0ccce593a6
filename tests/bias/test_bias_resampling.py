"""Intervals of metrics of bias beside formulas, scipy, and resampled rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bias_tables import FAIR, facet
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analyzers.bias.check import Limit, p_values, tables_of
from analyzers.bias.metrics import METRICS, conditional_disparity
from analyzers.bias.resampling import Tables, disparity, draw, spread, spreads, to_scale

COUNTS = st.lists(st.integers(0, 3_000), min_size=8, max_size=8)
SIGNED = ("CI", "DPL", "DPPL", "RD", "SD", "DAR", "DRR", "AD")


def values_of(tables: Tables) -> dict[str, float]:
    values = {}
    for name, metric in METRICS.items():
        if metric.table == "confusion":
            value = float(metric.function(tables.confusion))
            if not math.isnan(value):
                values[name] = value
    return values


def spreads_of(counts: object, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    tables = tables_of(facet(counts))
    found = spreads(tables, values_of(tables), np.random.default_rng(seed), size=20_000)
    return {name: (one.standard_error, *one.interval) for name, one in found.items()}


@pytest.mark.parametrize("name", ["DPPL", "RD", "SD", "DAR", "DRR", "AD"])
def test_differences_of_shares_have_the_textbook_error(name: str) -> None:
    shares = {
        "DPPL": [(280 + 100, 900), (2100 + 750, 6750)],
        "RD": [(280, 400), (2100, 3000)],
        "SD": [(400, 500), (3000, 3750)],
        "DAR": [(280, 380), (2100, 2850)],
        "DRR": [(400, 520), (3000, 3900)],
        "AD": [(680, 900), (5100, 6750)],
    }[name]
    variance = sum(hits / of * (1 - hits / of) / of for hits, of in shares)
    assert spreads_of(FAIR)[name][0] == pytest.approx(math.sqrt(variance), rel=0.04)


def test_disparate_impact_has_the_error_of_a_log_ratio() -> None:
    error = math.sqrt(1 / 380 - 1 / 900 + 1 / 2850 - 1 / 6750)
    _, low, high = spreads_of(FAIR)["DI"]
    assert math.log(high / low) / (2 * 1.96) == pytest.approx(error, rel=0.04)


def test_class_imbalance_has_a_beta_interval() -> None:
    _, low, high = spreads_of([[[40, 20], [30, 10]], [[9, 1], [5, 5]]])["CI"]
    share = stats.beta(20.5 + 0.5, 100.5 + 0.5).ppf([0.025, 0.975])  # one cell of each outcome
    assert (low, high) == pytest.approx((1 - 2 * share[1], 1 - 2 * share[0]), abs=0.01)


def test_a_group_without_positives_has_the_interval_of_jeffreys() -> None:
    _, low, high = spreads_of([[[50_000, 50_000], [0, 0]], [[60, 0], [0, 0]]])["DI"]
    assert low == 0.0  # the value itself
    assert high == pytest.approx(2.0 * stats.beta(0.5, 60.5).ppf(0.975), rel=0.05)


def test_distances_are_the_size_of_the_difference() -> None:
    found = spreads_of([[[900, 0], [100, 0]], [[80, 0], [20, 0]]])
    _, low, high = found["DPL"]
    assert found["KS"][1:] == pytest.approx((-high, -low), abs=1e-12)
    assert found["TVD"] == pytest.approx(found["KS"])
    assert found["LP"][2] == pytest.approx(math.sqrt(2.0) * found["KS"][2])
    near_zero = spreads_of(FAIR)
    assert near_zero["KS"][1] == 0.0
    assert near_zero["KL"][1] == pytest.approx(0.0, abs=1e-9)


@given(COUNTS, st.integers(0, 3))
def test_every_table_has_sane_intervals(cells: list[int], seed: int) -> None:
    counts = [[cells[:2], cells[2:4]], [cells[4:6], cells[6:]]]
    tables = tables_of(facet(counts))
    values = values_of(tables)
    for name, one in spreads(tables, values, np.random.default_rng(seed), size=1_000).items():
        low, high = one.interval
        assert low <= values[name] <= high
        assert one.standard_error >= 0.0
        assert math.isfinite(one.standard_error)
        if name in SIGNED:
            assert -1.0 <= low <= high <= 1.0


def test_draws_do_not_depend_on_what_else_is_wanted() -> None:
    tables = tables_of(facet(FAIR))
    alone = draw(tables, ["RD"], 100, np.random.default_rng(1))
    together = draw(tables, ["TE", "DPL", "GE", "RD"], 100, np.random.default_rng(1))
    assert np.array_equal(alone["RD"], together["RD"])


def test_scales() -> None:
    assert to_scale("DI", 1.0) == 0.0
    assert to_scale("DI", 0.5) == -to_scale("DI", 2.0)
    assert to_scale("DI", 0.0) == -math.inf
    assert to_scale("KL", 0.04) == pytest.approx(0.2)
    assert to_scale("TE", -3.0) == -3.0
    assert spread("TE", math.nan, np.zeros(1000)) is None
    assert spread("TE", 1.0, np.full(1000, np.nan)) is None


# --- strata ------------------------------------------------------------------------------------------------


def strata_of(generator: np.random.Generator, count: int, rows: int) -> np.ndarray:
    """Return ``counts[stratum, facet, outcome]`` whose strata differ in size, rate and share of the group."""
    sizes = generator.dirichlet(np.full(count, 3.0))
    group = generator.uniform(0.05, 0.6, count)
    accepted = generator.uniform(0.2, 0.6, (count, 2))
    by_facet = np.stack((1 - group, group), axis=1)[..., None] * np.stack((1 - accepted, accepted), axis=-1)
    shares = sizes[:, None, None] * by_facet
    return generator.multinomial(rows, shares.ravel()).reshape(shares.shape).astype(np.float64)


@pytest.mark.parametrize(("count", "rows"), [(1, 500), (4, 1_000), (40, 4_000), (300, 30_000)])
def test_disparity_has_the_spread_of_resampled_rows(count: int, rows: int) -> None:
    generator = np.random.default_rng(count)
    strata = strata_of(generator, count, rows)
    estimate = disparity(strata)
    assert estimate is not None
    rejected, accepted = estimate.shares
    assert rejected - accepted == pytest.approx(float(conditional_disparity(strata)), rel=1e-12)
    resampled = generator.multinomial(rows, strata.ravel() / rows, size=2_000).reshape(-1, *strata.shape)
    theirs = float(np.std(conditional_disparity(resampled.astype(np.float64))))
    ours = float(np.std(estimate.draw(20_000, generator)))
    # Wider by what strata of a few rows do not show; never narrower.
    assert 0.93 * theirs < ours < 1.25 * theirs


def test_disparity_needs_both_outcomes() -> None:
    assert disparity(np.zeros((0, 2, 2))) is None
    assert disparity(np.array([[[5.0, 0.0], [7.0, 0.0]]])) is None
    assert disparity(np.array([[[5.0, 0.0], [7.0, 1.0]]])) is not None


# --- p-values ----------------------------------------------------------------------------------------------


def test_p_values_are_those_of_a_test_of_two_shares() -> None:
    window = tables_of(facet([[[4_000, 6_000], [0, 0]], [[650, 350], [0, 0]]]))
    before = tables_of(facet([[[40_000, 60_000], [0, 0]], [[5_500, 4_500], [0, 0]]]))
    then, now = 0.6 - 0.45, 0.6 - 0.35
    error = math.sqrt(0.24 / 1e4 + 0.35 * 0.65 / 1e3 + 0.24 / 1e5 + 0.45 * 0.55 / 1e4)
    expected = float(stats.norm.sf((now - then) / error))
    found = p_values(window, before, {"DPPL": Limit(then, -then, then, then, own=True)}, 0)["DPPL"]
    assert math.log10(found) == pytest.approx(math.log10(expected), rel=0.15)
    exact = p_values(window, None, {"DPPL": Limit(then, -then, then, then)}, 0)["DPPL"]
    assert exact < found
    within = p_values(window, None, {"DPPL": Limit((-0.3, 0.3), -0.3, 0.3, decided=True)}, 0)["DPPL"]
    assert within > 0.5


def test_no_difference_is_tested_two_sided() -> None:
    window = tables_of(facet([[[50_000, 50_000], [0, 0]], [[450, 550], [0, 0]]]))
    zero = {"DPPL": Limit(0.0, 0.0, 0.0, 0.0)}
    expected = 2.0 * float(stats.norm.sf(0.05 / math.sqrt(0.2475 / 1e3 + 0.25 / 1e5)))
    assert p_values(window, None, zero, 0)["DPPL"] == pytest.approx(expected, rel=0.25)
