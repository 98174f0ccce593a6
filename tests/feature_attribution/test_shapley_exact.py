"""The exact path: against Shapley's formula written out, and the axioms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import shapley_models
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from sentences import says
from shapley_models import explain

from analyzers.feature_attribution import summary as aggregate
from analyzers.feature_attribution.kernel import enumerate_pairs, exact_design, number_of_pairs
from contract.errors import ConfigurationError


@pytest.mark.parametrize("features", [8, 12, 14])
@pytest.mark.parametrize("kind", ["logistic", "xgboost", "lightgbm", "network"])
def test_enumeration_agrees_with_the_formula(kind: str, features: int) -> None:
    model = shapley_models.model(kind, features)
    rows = shapley_models.draw(features, 4)
    found = explain(model, rows[1:], rows[:1], exact_features=14)
    np.testing.assert_allclose(
        found.local[:, 0], shapley_models.enumerated(model, rows[1:], rows[0]), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(found.local.sum(axis=2), found.predictions - found.expected, atol=1e-12)
    assert found.model_rows == 1 + 3 * (2**features - 1)
    assert not found.standard_error.any()


@given(values=st.lists(st.floats(-100, 100), min_size=32, max_size=32))
def test_any_game_agrees_with_all_orders_of_arrival(values: list[float]) -> None:
    table = np.array(values)
    bits = 2 ** np.arange(5)
    found = explain(lambda rows: table[(rows @ bits).astype(int)], np.ones((1, 5)), np.zeros((1, 5)))
    expected = shapley_models.permuted(lambda present: table[present @ bits], 5)
    np.testing.assert_allclose(found.local[0, 0], expected, atol=1e-10)


@pytest.mark.parametrize("players", range(1, 11))
def test_pairs_are_all_coalitions_once(players: int) -> None:
    masks = enumerate_pairs(players)
    bits = 2 ** np.arange(players)
    codes = set((masks @ bits).tolist()) | set((~masks @ bits).tolist())
    assert len(masks) == number_of_pairs(players)
    assert codes == set(range(1, 2**players - 1))
    assert exact_design(players).projection.shape == (players, 1 + len(masks))


def test_features_equal_to_the_baseline_get_nothing_and_cost_nothing() -> None:
    model = shapley_models.logistic(14)
    rows = shapley_models.draw(14, 5)
    for number, row in enumerate(rows[1:]):
        row[: 8 + number] = rows[0, : 8 + number]
    found = explain(model, rows[1:], rows[:1], num_samples=100)
    np.testing.assert_allclose(
        found.local[:, 0], shapley_models.enumerated(model, rows[1:], rows[0]), atol=1e-12
    )
    assert (found.local[:, 0][rows[1:] == rows[0]] == 0.0).all()
    assert found.coalitions.tolist() == [2**6 - 2, 2**5 - 2, 2**4 - 2, 2**3 - 2]


def test_rows_equal_to_the_baseline_are_explained_by_zeros() -> None:
    rows = shapley_models.draw(6, 1)
    found = explain(shapley_models.logistic(6), rows, rows)
    assert not found.local.any()
    assert found.predictions[0] == found.expected


def test_missing_equals_missing() -> None:
    rows = np.array([[np.nan, 1.0, 2.0], [np.nan, 1.0, np.nan]])
    found = explain(lambda rows: np.nan_to_num(rows, nan=-1).sum(axis=1), rows[:1], rows[1:])
    np.testing.assert_allclose(found.local[0, 0], [0, 0, 3], atol=1e-12)


def test_rows_that_occur_again_are_asked_once() -> None:
    rows = np.repeat(shapley_models.draw(6, 3), 4, axis=0)
    found = explain(shapley_models.logistic(6), rows[4:], rows[:1])
    assert found.model_rows == 1 + 2 * (2**6 - 1)
    np.testing.assert_array_equal(found.local[0], found.local[3])


def test_answers_on_several_baseline_rows_are_averaged() -> None:
    model = shapley_models.logistic(7)
    rows = shapley_models.draw(7, 8)
    found = explain(model, rows[5:], rows[:5])
    each = [shapley_models.enumerated(model, rows[5:], baseline) for baseline in rows[:5]]
    np.testing.assert_allclose(found.local[:, 0], np.mean(each, axis=0), atol=1e-12)
    np.testing.assert_allclose(found.expected, model(rows[:5]).mean())


def test_every_output_is_explained() -> None:
    rows = shapley_models.draw(6, 4)

    def model(rows: np.ndarray) -> np.ndarray:
        scores = np.exp(np.stack([rows[:, 0] * rows[:, 1], rows[:, 2], rows[:, 3] - rows[:, 4]], axis=1))
        return scores / scores.sum(axis=1, keepdims=True)

    found = explain(model, rows[1:], rows[:1])
    assert found.local.shape == (3, 3, 6)
    for output in range(3):
        expected = shapley_models.enumerated(lambda given: model(given)[:, output], rows[1:], rows[0])  # noqa: B023 - called at once
        np.testing.assert_allclose(found.local[:, output], expected, atol=1e-12)


def test_log_odds_of_a_logistic_model_are_linear() -> None:
    weights = np.arange(1.0, 8.0) / 10
    rows = shapley_models.draw(7, 30)
    found = explain(lambda given: 1 / (1 + np.exp(-given @ weights)), rows[1:], rows[:1], use_logit=True)
    np.testing.assert_allclose(found.local[:, 0], weights * (rows[1:] - rows[0]), atol=1e-9)


def test_log_odds_of_certainty_are_finite() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 0.0]])
    found = explain(lambda given: given[:, 0], rows[:1], rows[1:], use_logit=True)
    assert found.local[0, 0, 0] == pytest.approx(2 * np.log(2.0**25 - 1), rel=1e-12)


def test_log_odds_need_probabilities() -> None:
    field = "methods.shap.use_logit"
    with refused(ConfigurationError, "shapley.no_probabilities", field=field) as raised:
        explain(lambda given: given[:, 0] * 3, np.ones((1, 2)), np.zeros((1, 2)), use_logit=True)
    assert says(str(raised.value), "shapley.no_probabilities", field=field, low=3, high=3)


def test_real_linear_learner_is_reproduced() -> None:
    reference = json.loads(fixture("clarify/adult_json/exact_shapley_reference.json").read_text())
    weights, bias = np.array(reference["model"]["weights"]), reference["model"]["bias"]
    rows = _adult("validation-dataset.json")
    found = explain(
        lambda given: 1 / (1 + np.exp(-(given @ weights + bias))),
        rows,
        np.array([reference["baseline_row"]]),
        exact_features=14,
    )
    expected = reference["validation"]
    np.testing.assert_allclose(found.local[:25, 0], expected["local_exact_first_25_rows"], atol=1e-9)
    np.testing.assert_allclose(found.expected, reference["expected_value"], atol=1e-12)
    np.testing.assert_allclose(
        np.abs(found.local[:, 0]).mean(axis=0), list(expected["global_exact"]["mean_abs"].values()), atol=1e-9
    )


def test_published_values_are_met_more_closely_than_by_the_service() -> None:
    """At Clarify's budget of 100 coalitions: three published runs, their scatter, and the exact values."""
    reference = json.loads(fixture("clarify/adult_json/exact_shapley_reference.json").read_text())
    weights, bias = np.array(reference["model"]["weights"]), reference["model"]["bias"]
    exact = np.array(list(reference["validation"]["global_exact"]["mean_abs"].values()))
    published = np.array([list(run.values()) for run in reference["aws_global_mean_abs_validation"].values()])
    found = explain(
        lambda given: 1 / (1 + np.exp(-(given @ weights + bias))),
        _adult("validation-dataset.json"),
        np.array([reference["baseline_row"]]),
        num_samples=100,
    )
    summed = aggregate.global_values(aggregate.sums_of(found, "mean_abs"))
    ours = summed.values[0]
    stated = np.hypot(summed.coalition_error, summed.inflation)[0]
    assert (np.abs(ours - exact) < 4 * stated).all()
    # One run's distance from the exact values: noise of either sign, and what noise adds to absolute values.
    sampling_error = np.sqrt(((published - exact) ** 2).mean(axis=0))
    assert (np.abs(ours - published.mean(axis=0)) <= 2.5 * sampling_error).all()
    assert np.abs(ours - exact).max() < np.abs(published - exact).max(axis=1).min() / 2
    assert np.sqrt(((ours - exact) ** 2).mean()) < np.sqrt(((published - exact) ** 2).mean(axis=1)).min() / 2


def _adult(name: str) -> np.ndarray:
    content: Any = json.loads(fixture(f"clarify/adult_json/{name}").read_text())
    return np.array([record["features"] for record in content["instances"]], dtype=np.float64)
