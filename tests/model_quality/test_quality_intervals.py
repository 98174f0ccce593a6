"""Intervals: their parts equal SciPy's, and they hold the truth where they are known to be hard."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quality_tables import batch, binary_analyzer, binary_batch, measure, regression_analyzer
from scipy import stats

from analyzers.model_quality.intervals import (
    Spread,
    loss_interval,
    mean_interval,
    precision_interval,
    proportion_interval,
    spread_of_powers,
    spread_of_total,
)
from analyzers.model_quality.metrics import (
    Residuals,
    ScoreHistogram,
    average_precision,
    average_precision_spread,
    regression_spreads,
)
from analyzers.shared.significance import student_quantile
from contract.api import Baseline

Z = stats.norm.ppf(0.975)
VALUES = st.lists(st.floats(0.0, 1e6), min_size=2, max_size=50)


@pytest.mark.parametrize("degrees", [2.0, 3.0, 4.5, 10.0, 200.0, 1e6])
@pytest.mark.parametrize("share", [0.6, 0.9, 0.975, 0.995])
def test_students_quantile(degrees: float, share: float) -> None:
    found = student_quantile(stats.norm.ppf(share), degrees)
    tolerance = 0.05 if degrees < 3.0 else 0.01
    assert found == pytest.approx(stats.t.ppf(share, degrees), rel=tolerance)


@given(st.integers(1, 5000), st.floats(0.0, 1.0))
def test_proportions_are_wilsons(total: int, share: float) -> None:
    hits = round(share * total)
    expected = stats.binomtest(hits, total).proportion_ci(0.95, method="wilson")
    assert proportion_interval(hits, total) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(VALUES)
def test_spreads_are_those_of_the_values(values: list[float]) -> None:
    numbers = np.array(values) / 1e3
    spread = spread_of_total(numbers - numbers.mean(), numbers.size)
    assert spread is not None
    assert spread.error == pytest.approx(stats.sem(numbers), abs=1e-9)
    if numbers.std() > max(1e-6, 1e-3 * numbers.mean()):
        assert spread.skewness == pytest.approx(stats.skew(numbers), abs=1e-6)
        assert spread.kurtosis == pytest.approx(stats.kurtosis(numbers, fisher=False), abs=1e-6)
        powers = np.array([(numbers**power).sum() for power in (1, 2, 3, 4)])
        same = spread_of_powers(numbers.size, powers)
        assert same is not None
        assert same.error == pytest.approx(spread.error, rel=1e-6)
        assert same.skewness == pytest.approx(spread.skewness, abs=1e-3)


@given(VALUES, st.floats(0.01, 100.0))
def test_intervals_hold_the_mean_and_scale_with_it(values: list[float], factor: float) -> None:
    numbers = np.array(values)
    spread = spread_of_total(numbers - numbers.mean(), numbers.size)
    assert spread is not None
    low, high = loss_interval(float(numbers.mean()), spread)
    assert 0.0 <= low <= numbers.mean() <= high
    wider = Spread(spread.count, spread.error * factor, spread.skewness, spread.kurtosis)
    assert loss_interval(float(numbers.mean()) * factor, wider) == pytest.approx(
        (low * factor, high * factor)
    )


def test_a_normal_mean_has_the_usual_interval_and_a_skewed_one_reaches_farther_up() -> None:
    low, high = mean_interval(5.0, Spread(10_000, 0.1, 0.0, 3.0))
    assert (low, high) == pytest.approx((5.0 - Z * 0.1, 5.0 + Z * 0.1), rel=1e-4)
    low, high = mean_interval(5.0, Spread(100, 0.1, 3.0, 15.0))
    assert high - 5.0 > 5.0 - low > 0.0


def test_what_one_row_or_an_overflow_leaves_unknown_has_no_interval() -> None:
    assert spread_of_total(np.zeros(1), 1) is None
    assert spread_of_powers(1, np.ones(4)) is None
    assert spread_of_total(np.array([np.inf, -np.inf]), 2) is None
    one = measure(regression_analyzer(), batch(label=[1.0], prediction=[2.0]))
    assert one.metrics["mae"].value == 1.0
    assert one.metrics["mae"].interval is None
    huge = measure(regression_analyzer(), batch(label=[1e100, 2e100], prediction=[0.0, 0.0]))
    assert huge.metrics["mae"].value == pytest.approx(1.5e100)
    assert huge.metrics["mae"].interval[1] > 1.5e100
    perfect = measure(regression_analyzer(), batch(label=[1.0, 2.0], prediction=[1.0, 2.0]))
    assert perfect.metrics["rmse"].interval == (0.0, 0.0)


@given(st.floats(1e-9, 40.0), st.integers(2, 10_000))
def test_equal_losses_have_no_spread(loss: float, count: int) -> None:
    spread = spread_of_powers(count, count * loss ** np.arange(1.0, 5.0))
    assert spread == Spread(count, 0.0, 0.0, 3.0)
    assert loss_interval(loss, spread) == (loss, loss)


def test_one_row_is_not_decided() -> None:
    analyzer = regression_analyzer()
    generator = np.random.default_rng(1)
    labels = generator.normal(size=500)
    before = measure(analyzer, batch(label=labels, prediction=labels + generator.normal(size=500)))
    window = measure(analyzer, batch(label=[1.0], prediction=[900.0]))
    decision = analyzer.check(window, Baseline(before, analyzer.suggest(before, None)))
    assert not decision.violations.violations
    undecided = {one.subject: one.reason for one in decision.undecided}
    assert all("too few rows" in undecided[name] for name in ("mae", "mse", "rmse"))


@pytest.mark.parametrize("rows", [300, 30_000])
def test_regression_errors_equal_a_bootstrap_of_rows(rows: int) -> None:
    generator = np.random.default_rng(rows)
    labels = generator.normal(10.0, 3.0, rows)
    residuals = Residuals()
    noise = generator.laplace(0.0, 1.0, rows)
    residuals.add(labels, labels - noise)
    spreads = regression_spreads(residuals)
    draws: dict[str, list[float]] = {"mae": [], "mse": [], "r2": [], "mape": []}
    for _ in range(400):
        chosen = generator.integers(0, rows, rows)
        label, error = labels[chosen], noise[chosen]
        draws["mae"].append(np.abs(error).mean())
        draws["mse"].append((error**2).mean())
        draws["r2"].append(math.log((error**2).mean() / label.var()))
        draws["mape"].append(np.abs(error / label).mean())
    for name, drawn in draws.items():
        assert spreads[name].error == pytest.approx(np.std(drawn), rel=0.15), name


def test_average_precision_varies_as_its_bootstrap_does() -> None:
    generator = np.random.default_rng(3)
    scores = np.round(generator.random(600), 2)
    positive = generator.random(600) < scores**2
    histogram = ScoreHistogram()
    histogram.add(scores, positive)
    spread = average_precision_spread(histogram)
    assert spread is not None
    order = np.argsort(scores, kind="stable")
    places = np.unique(scores[order], return_index=True)[1]
    weights = generator.standard_exponential((2000, 600))[:, order]
    sides = [np.add.reduceat(weights * side, places, axis=1) for side in (positive[order], ~positive[order])]
    assert spread.error == pytest.approx(np.std(average_precision(*sides)), rel=0.08)
    assert precision_interval(1.0, spread, 10) == pytest.approx((1.0 - Z / 10, 1.0))


@pytest.mark.parametrize("rows", [200, 5000])
def test_heavy_tailed_errors_are_held_about_95_times_in_100(rows: int) -> None:
    generator = np.random.default_rng(rows)
    truth = {"mse": 5.0 / 3.0, "rmse": math.sqrt(5.0 / 3.0), "mae": stats.t(5).expect(abs)}
    truth["r2"] = 1.0 - truth["mse"] / (9.0 + truth["mse"])
    held, windows = dict.fromkeys(truth, 0), 300
    for _ in range(windows):
        predictions = generator.normal(0.0, 3.0, rows)
        labels = predictions + generator.standard_t(5.0, rows)
        metrics = measure(regression_analyzer(), batch(label=labels, prediction=predictions)).metrics
        for name, value in truth.items():
            low, high = metrics[name].interval
            held[name] += low <= value <= high
    for name, count in held.items():
        assert count / windows == pytest.approx(0.95, abs=0.04), name


def test_a_rare_class_in_few_rows_is_held_about_95_times_in_100() -> None:
    generator = np.random.default_rng(5)
    analyzer = binary_analyzer()
    truth = measure(analyzer, binary_batch(generator, 1_000_000, share=0.05, distance=2.5)).metrics
    held = dict.fromkeys(("true_negative_rate", "precision", "log_loss"), 0)
    counted = dict.fromkeys(held, 0)
    for _ in range(150):
        metrics = measure(analyzer, binary_batch(generator, 200, share=0.05, distance=2.5)).metrics
        for name in held:
            if metrics[name].interval is not None:
                low, high = metrics[name].interval
                held[name] += low <= truth[name].value <= high
                counted[name] += 1
    for name, count in held.items():
        assert count / counted[name] == pytest.approx(0.95, abs=0.04), name


def test_a_note_names_the_metrics_that_a_few_rows_decide() -> None:
    generator = np.random.default_rng(2)
    near_perfect = measure(binary_analyzer(), binary_batch(generator, 1_000, share=0.3, distance=6.0))
    assert any("decide 'log_loss', 'brier_score'" in note for note in near_perfect.notes)
    usual = measure(binary_analyzer(), binary_batch(generator, 1_000, share=0.3, distance=1.5))
    assert not [note for note in usual.notes if "decide" in note or "too wide" in note]
    assert any("accuracy" in note and "too wide" in note for note in near_perfect.notes)
    predictions = generator.normal(0.0, 3.0, 1_000)
    labels = predictions + generator.standard_t(2.0, 1_000)
    heavy = measure(regression_analyzer(), batch(label=labels, prediction=predictions))
    assert any("decide" in note and "'mse', 'rmse'" in note and "'r2'" in note for note in heavy.notes)
