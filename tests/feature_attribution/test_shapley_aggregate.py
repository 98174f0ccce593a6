"""Global values with their errors, and the exact shortcuts."""

from __future__ import annotations

import pickle
from functools import reduce

import numpy as np
import pytest
import shapley_models
from shapley_models import concatenate, explain, explain_windows

from analyzers.feature_attribution import summary as aggregate
from analyzers.feature_attribution.kernel import WINDOW_ROWS, Explanation, Sampling, exact_explanation
from containers.feature_attribution.shortcut import linear_shapley, tree_shapley

METHODS: tuple[aggregate.Aggregation, ...] = ("mean_abs", "median", "mean_sq")


def windows(rows: int = WINDOW_ROWS + 300, budget: int = 40) -> list[Explanation]:
    given = shapley_models.draw(10, max(1, rows))
    model, sampling = shapley_models.logistic(10), Sampling(num_samples=budget)
    return list(explain_windows(model, given[:rows], given[:1], sampling))


@pytest.mark.parametrize("method", METHODS)
def test_values_are_those_of_the_guide(method: aggregate.Aggregation) -> None:
    parts = windows()
    found = aggregate.global_values(
        reduce(aggregate.merge_sums, [aggregate.sums_of(part, method) for part in parts])
    )
    local = concatenate(parts).local
    expected = {
        "mean_abs": np.abs(local).mean(axis=0),
        "median": np.median(local, axis=0),
        "mean_sq": (local**2).mean(axis=0),
    }[method]
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    whole = aggregate.global_values(aggregate.sums_of(concatenate(parts), method))
    np.testing.assert_allclose(whole.coalition_error, found.coalition_error, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_feature_that_the_model_ignores_is_worth_nothing(method: aggregate.Aggregation) -> None:
    given, model = shapley_models.draw(5, 40), shapley_models.logistic(4)
    (part,) = explain_windows(lambda rows: model(rows[:, :4]), given, given[:1], Sampling())
    found = aggregate.global_values(aggregate.sums_of(part, method)).values
    assert found[0, 4] == 0.0
    assert found[0, :4].all()


@pytest.mark.parametrize("method", METHODS)
def test_empty_is_the_identity_and_merging_is_associative(method: aggregate.Aggregation) -> None:
    first, second = (aggregate.sums_of(part, method) for part in windows())
    nothing = aggregate.sums_of(windows(rows=0)[0], method)
    assert nothing.rows == 0
    for one, other in (
        (aggregate.merge_sums(nothing, first), first),
        (aggregate.merge_sums(first, nothing), first),
        (
            aggregate.merge_sums(aggregate.merge_sums(first, second), first),
            aggregate.merge_sums(first, aggregate.merge_sums(second, first)),
        ),
        (pickle.loads(pickle.dumps(second)), second),
    ):
        for left, right in zip(
            vars(aggregate.global_values(one)).values(),
            vars(aggregate.global_values(other)).values(),
            strict=True,
        ):
            np.testing.assert_allclose(left, right, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_stated_coalition_errors_cover_what_seeds_change(method: aggregate.Aggregation) -> None:
    given = shapley_models.draw(14, 120)
    model = shapley_models.logistic(14)
    found = [
        aggregate.global_values(
            aggregate.sums_of(explain(model, given[1:], given[:1], num_samples=100, seed=seed), method)
        )
        for seed in range(25)
    ]
    actual = np.sqrt(np.mean(np.var([one.values for one in found], axis=0)))
    stated = np.sqrt(np.mean([one.coalition_error**2 for one in found]))
    assert 0.5 < stated / actual < 2.5


def test_exact_values_state_what_rows_leave_to_chance() -> None:
    generator = np.random.default_rng(0)
    local = generator.normal(size=(400, 1, 3)) * [1.0, 2.0, 0.0]
    found = aggregate.global_values(aggregate.sums_of(exact_explanation(local, np.zeros(1)), "mean_abs"))
    sizes = np.abs(local[:, 0])
    np.testing.assert_allclose(found.instance_error[0], sizes.std(axis=0, ddof=1) / 20, rtol=1e-9)
    np.testing.assert_allclose(found.total_error[0], sizes.sum(axis=1).std(ddof=1) / 20, rtol=1e-9)
    assert not found.coalition_error.any()
    assert not found.inflation.any()
    np.testing.assert_allclose(found.standard_error, found.instance_error)


def test_error_of_a_median_is_that_of_repeated_draws() -> None:
    generator = np.random.default_rng(1)
    medians, errors = [], []
    for _ in range(200):
        local = generator.normal(size=(201, 1, 1))
        found = aggregate.global_values(aggregate.sums_of(exact_explanation(local, np.zeros(1)), "median"))
        medians.append(found.values[0, 0])
        errors.append(found.instance_error[0, 0])
    assert 0.8 < np.mean(errors) / np.std(medians) < 1.25


def test_features_without_influence_are_no_larger_than_their_floor() -> None:
    weights = np.array([2.0, 1.5, 1.0, 1.0, 1.0, 0.8, 0.8, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0])
    given = shapley_models.draw(14, 200)
    found = explain(lambda rows: 1 / (1 + np.exp(-rows @ weights)), given[1:], given[:1], num_samples=60)
    summed = aggregate.global_values(aggregate.sums_of(found, "mean_abs"))
    # The spread of a feature without influence is its floor; that of a seed's one design is not smooth.
    assert (summed.values[0, 11:] < 2.5 * summed.noise_floor[0, 11:]).all()
    assert (summed.values[0, :11] > 3 * summed.noise_floor[0, :11]).all()
    assert (np.abs(summed.inflation) <= summed.noise_floor).all()


def test_a_single_row_has_no_scatter() -> None:
    found = aggregate.global_values(
        aggregate.sums_of(exact_explanation(np.ones((1, 2, 3)), np.zeros(2)), "mean_abs")
    )
    assert found.values.shape == (2, 3)
    assert not found.instance_error.any()


@pytest.mark.parametrize("baseline_rows", [1, 3])
def test_linear_models_need_no_coalitions(baseline_rows: int) -> None:
    weights = np.array([[1.0, -2.0, 0.5, 0.0], [0.0, 1.0, 1.0, 3.0]])
    given = shapley_models.draw(4, 10)
    found = linear_shapley(weights, [1.0, 2.0], given[3:], given[:baseline_rows])
    asked = explain(lambda rows: rows @ weights.T + [1.0, 2.0], given[3:], given[:baseline_rows])
    np.testing.assert_allclose(found.local, asked.local, atol=1e-12)
    np.testing.assert_allclose(found.expected, asked.expected, atol=1e-12)
    np.testing.assert_allclose(found.predictions, asked.predictions, atol=1e-12)


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_trees_take_the_shortcut_in_log_odds_alone(kind: str) -> None:
    pytest.importorskip("shap")
    booster = shapley_models.xgboost_trees(8) if kind == "xgboost" else shapley_models.lightgbm_trees(8)
    model = booster.inplace_predict if kind == "xgboost" else booster.predict
    given = shapley_models.draw(8, 90)
    found = tree_shapley(booster, model, given[1:], given[:1], use_logit=True)
    asked = explain(model, given[1:], given[:1], use_logit=True)
    assert found is not None
    np.testing.assert_allclose(found.local, asked.local, atol=2e-4)
    np.testing.assert_allclose(found.expected, asked.expected, atol=2e-4)
    assert tree_shapley(booster, model, given[1:], given[:1], use_logit=False) is None
    assert tree_shapley(booster, model, given[1:], given[:2], use_logit=True) is None
    assert tree_shapley("no trees", model, given[1:], given[:1], use_logit=True) is None


def test_stated_errors_of_directions_cover_what_seeds_change() -> None:
    given, model = shapley_models.draw(10, 200), shapley_models.logistic(10)
    found = [
        aggregate.global_values(
            aggregate.sums_of(explain(model, given, given[:1], num_samples=24, seed=seed), "mean_abs")
        )
        for seed in range(20)
    ]
    spread = np.std([one.direction for one in found], axis=0)
    assert (spread <= 1.5 * np.mean([one.direction_error for one in found], axis=0)).all()
