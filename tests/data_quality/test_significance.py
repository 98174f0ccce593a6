"""Tail probabilities against SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from analyzers.shared import significance

sizes = st.integers(1, 5000)


@given(trials=sizes, data=st.data(), rate=st.floats(1e-6, 0.999999))
def test_binomial_tail_is_scipys(trials, data, rate):
    successes = data.draw(st.integers(0, trials + 1))
    expected = stats.binom.sf(successes - 1, trials, rate)
    assert significance.binomial_tail(successes, trials, rate) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(window=sizes, baseline=sizes, data=st.data())
def test_hypergeometric_tail_is_scipys(window, baseline, data):
    marked = data.draw(st.integers(0, window + baseline))
    drawn_marked = data.draw(st.integers(0, window + 1))
    expected = stats.hypergeom.sf(drawn_marked - 1, window + baseline, marked, window)
    actual = significance.hypergeometric_tail(drawn_marked, window, marked, window + baseline)
    assert actual == pytest.approx(expected, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("deviations", [0.5, 3.0, 6.0])
def test_tails_of_large_samples(deviations):
    rows, rate = 10_000_000, 0.02
    count = int(rows * rate + deviations * math.sqrt(rows * rate * (1 - rate)))
    expected = stats.binom.sf(count - 1, rows, rate)
    assert significance.binomial_tail(count, rows, rate) == pytest.approx(expected, rel=1e-5)
    expected = stats.hypergeom.sf(count - 1, 5 * rows, 5 * rows * rate, rows)
    actual = significance.hypergeometric_tail(count, rows, int(5 * rows * rate), 5 * rows)
    assert actual == pytest.approx(expected, rel=1e-4)


@given(shape=st.integers(1, 4000).map(lambda halves: halves / 2), x=st.floats(0.0, 5000.0))
def test_gamma_tail_is_scipys(shape, x):
    assert significance.gamma_tail(shape, x) == pytest.approx(
        special.gammaincc(shape, x), rel=1e-9, abs=1e-13
    )


@given(statistic=st.floats(0.0, 1000.0), degrees=st.integers(1, 300))
def test_chi_squared_tail_is_scipys(statistic, degrees):
    expected = stats.chi2.sf(statistic, degrees)
    actual = significance.chi_squared_tail(statistic, degrees)
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_chi_squared_tail_without_degrees_of_freedom_is_undefined():
    assert math.isnan(significance.chi_squared_tail(3.0, 0))
    assert significance.chi_squared_tail(math.inf, 2) == 0.0


@given(count=st.integers(0, 3000), alpha=st.floats(1e-6, 0.4))
def test_poisson_upper_bound_is_garwoods(count, alpha):
    expected = stats.chi2.isf(alpha, 2 * (count + 1)) / 2
    assert significance.poisson_upper_bound(count, alpha) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("alpha", [0.05, 1e-4])
def test_kolmogorov_band_bounds_scipys_p_value(alpha):
    n, m = 4000, 900
    band = significance.kolmogorov_band(n, m, alpha)
    effective = n * m / (n + m)
    assert stats.kstwobign.sf(band * math.sqrt(effective)) == pytest.approx(alpha, rel=1e-3)


def test_rows_to_tell_inverts_the_band():
    rows = significance.rows_to_tell(0.1, 20_000, 1e-4)
    assert rows is not None
    assert significance.kolmogorov_band(20_000, rows, 1e-4) <= 0.1
    assert significance.kolmogorov_band(20_000, rows - 1, 1e-4) > 0.1
    assert significance.rows_to_tell(0.1, 50, 1e-4) is None


def test_tails_decrease():
    tails = [significance.binomial_tail(k, 1000, 0.3) for k in range(1001)]
    assert np.all(np.diff(tails) <= 1e-15)
