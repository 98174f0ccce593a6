"""The sampled path: errors beside shap's KernelExplainer, sums, the errors it states, and what seeds fix."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest
import shapley_models
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from sentences import says
from shapley_models import explain, explain_windows

from analyzers.feature_attribution.kernel import (
    _PAIRS_PER_SYSTEM,
    BLOCK_BYTES,
    MOST_SAMPLES,
    ROWS_PER_DESIGN,
    WINDOW_ROWS,
    Sampling,
    draw_pairs,
    number_of_pairs,
    sampled_design,
)
from contract.errors import ConfigurationError, ModelError

SEEDS = 4


def kernel_explainer(
    model: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, baseline: np.ndarray, budget: int, seed: int
) -> np.ndarray:
    shap = pytest.importorskip("shap")
    logging.getLogger("shap").setLevel(logging.ERROR)
    np.random.seed(seed)  # the only generator that KernelExplainer uses
    explainer = shap.KernelExplainer(
        lambda given: np.asarray(model(given), dtype=float).reshape(-1), baseline
    )
    return np.asarray(explainer.shap_values(rows, nsamples=budget, l1_reg=False, silent=True))


def groups(features: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a sum of small networks on ten features each, whose Shapley values are those of its parts."""
    weights = np.random.default_rng(4).normal(size=(features // 10, 10, 6)) / 2

    def model(rows: np.ndarray) -> np.ndarray:
        parts = [np.tanh(rows[:, 10 * part : 10 * part + 10] @ weights[part]) for part in range(len(weights))]
        return np.sum([np.prod(part[:, :3], axis=1) + part[:, 3:].sum(axis=1) for part in parts], axis=0)

    return model


def exact_of_groups(
    model: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, baseline: np.ndarray
) -> np.ndarray:
    found = np.empty(rows.shape)
    for start in range(0, rows.shape[1], 10):
        part = slice(start, start + 10)

        def one(given: np.ndarray, part: slice = part) -> np.ndarray:
            table = np.repeat(baseline, len(given), axis=0)
            table[:, part] = given
            return model(table)

        found[:, part] = explain(one, rows[:, part], baseline[:, part], exact_features=10).local[:, 0]
    return found


@pytest.mark.parametrize("budget", [100, 500, 2076])
@pytest.mark.parametrize(
    ("kind", "features"),
    [
        ("logistic", 14),
        ("xgboost", 14),
        ("network", 14),
        ("groups", 20),
        ("groups", 40),
        ("xgboost margin", 20),
    ],
)
def test_errors_are_no_larger_than_those_of_kernel_explainer(kind: str, features: int, budget: int) -> None:
    model = groups(features) if kind == "groups" else shapley_models.model(kind, features)
    rows = shapley_models.draw(features, 4 if budget > 1000 else 9)
    if kind == "groups":
        exact = exact_of_groups(model, rows[1:], rows[:1])
    elif kind == "xgboost margin":
        shap = pytest.importorskip("shap")
        explainer = shap.TreeExplainer(shapley_models.xgboost_trees(features), data=rows[:1])
        exact = explainer.shap_values(rows[1:], check_additivity=False)
    else:
        exact = explain(model, rows[1:], rows[:1], exact_features=14).local[:, 0]
    ours, theirs = [], []
    for seed in range(2 if budget > 1000 else SEEDS):
        found = explain(model, rows[1:], rows[:1], num_samples=budget, seed=seed)
        assert (found.coalitions <= budget).all()
        np.testing.assert_allclose(
            found.local.sum(axis=2), found.predictions - found.expected, rtol=0, atol=1e-9
        )
        ours.append(found.local[:, 0] - exact)
        if seed < (2 if budget < 500 else 1):
            theirs.append(kernel_explainer(model, rows[1:], rows[:1], budget, seed) - exact)
    assert np.sqrt(np.mean(np.square(ours))) <= np.sqrt(np.mean(np.square(theirs)))


@pytest.mark.parametrize("features", [14, 20, 40])
def test_models_with_interactions_of_two_features_are_solved_exactly(features: int) -> None:
    generator = np.random.default_rng(5)
    linear, pairs = generator.normal(size=features), generator.normal(size=(features, features))
    rows = shapley_models.draw(features, 3)
    found = explain(
        lambda given: given @ linear + np.einsum("ni,ij,nj->n", given, pairs, given),
        rows[1:],
        rows[:1],
        num_samples=4 * features,
    )
    # Of x' A x: what each pair adds is shared by its two features.
    both = pairs + pairs.T
    moved = rows[1:] - rows[:1]
    exact = moved * (linear + rows[:1] @ both) + moved * (moved @ both) / 2
    np.testing.assert_allclose(found.local[:, 0], exact, atol=1e-6)


@pytest.mark.parametrize(("kind", "budget"), [("xgboost", 100), ("network", 500), ("logistic", 500)])
def test_stated_errors_are_those_found(kind: str, budget: int) -> None:
    model = shapley_models.model(kind, 14)
    rows = shapley_models.draw(14, 7)
    exact = explain(model, rows[1:], rows[:1], exact_features=14).local
    found = [explain(model, rows[1:], rows[:1], num_samples=budget, seed=seed) for seed in range(30)]
    actual = np.sqrt(np.mean([(one.local - exact) ** 2 for one in found]))
    stated = np.sqrt(np.mean([one.standard_error**2 for one in found]))
    assert 0.6 < stated / actual < 1.6


@given(players=st.integers(2, 40), budget=st.integers(1, 300), seed=st.integers(0, 9))
def test_drawn_pairs_are_distinct_and_as_many_as_asked(players: int, budget: int, seed: int) -> None:
    budget = min(budget, number_of_pairs(players) - 1)
    if budget < 1:
        return
    masks, filled = draw_pairs(players, budget, np.random.default_rng(seed))
    both = np.concatenate((masks, ~masks))
    assert masks.shape == (budget, players)
    assert 0 <= filled <= budget
    assert len(np.unique(both, axis=0)) == 2 * budget
    assert both.any(axis=1).all()
    assert not both.all(axis=1).any()


def test_sizes_are_filled_from_the_outside() -> None:
    masks, filled = draw_pairs(14, 1038, np.random.default_rng(0))
    assert filled == 14 + 91
    assert sorted(masks[:filled].sum(axis=1).tolist()) == [1] * 14 + [2] * 91
    assert set(masks[filled:].sum(axis=1).tolist()) == {3, 4, 5, 6, 7}


@pytest.mark.parametrize(
    ("players", "pairs"), [(3, 2), (5, 1), (20, 5), (40, 39), (13, _PAIRS_PER_SYSTEM + 2)]
)
def test_small_and_large_designs_sum_exactly(players: int, pairs: int) -> None:
    design = sampled_design(players, pairs, np.random.default_rng(0))
    sums = design.projection.sum(axis=0)
    np.testing.assert_allclose(sums, np.eye(1, 1 + pairs)[0] * 2, atol=1e-9)
    if pairs < players:
        assert np.isnan(design.spread).all()


def test_values_depend_on_seed_and_position_alone() -> None:
    model = shapley_models.logistic(14)
    rows = shapley_models.draw(14, WINDOW_ROWS + 40)
    whole = explain(model, rows, rows[:1], num_samples=60, seed=3)
    tail = explain(model, rows[WINDOW_ROWS:], rows[:1], num_samples=60, seed=3, first_position=WINDOW_ROWS)
    np.testing.assert_array_equal(whole.local[WINDOW_ROWS:], tail.local)
    np.testing.assert_array_equal(whole.local, explain(model, rows, rows[:1], num_samples=60, seed=3).local)
    assert not np.array_equal(whole.local, explain(model, rows, rows[:1], num_samples=60, seed=4).local)
    assert len(np.unique(whole.design)) == -(-WINDOW_ROWS // ROWS_PER_DESIGN) + 2  # and the baseline row


def test_windows_are_the_whole() -> None:
    model = shapley_models.logistic(13)
    rows = shapley_models.draw(13, WINDOW_ROWS + 5)
    windows = list(explain_windows(model, rows, rows[:1], Sampling(num_samples=40)))
    whole = explain(model, rows, rows[:1], num_samples=40)
    assert [len(window.local) for window in windows] == [WINDOW_ROWS, 5]
    np.testing.assert_array_equal(np.concatenate([window.local for window in windows]), whole.local)
    assert sum(window.model_rows for window in windows) == whole.model_rows


def test_budgets_are_clarifys() -> None:
    assert Sampling().pairs(14, 14) == (2 * 14 + 2048) // 2
    assert Sampling().pairs(14, 12) == number_of_pairs(12)
    assert Sampling().pairs(20, 3) == number_of_pairs(3)
    assert Sampling(num_samples=100).pairs(14, 12) == 50
    assert Sampling(num_samples=101).pairs(14, 12) == 50
    assert Sampling(num_samples=10**6).pairs(14, 14) == number_of_pairs(14)
    assert Sampling(num_samples=100, exact_features=12).pairs(14, 12) == number_of_pairs(12)


@pytest.mark.parametrize("players", [4, 5, 6, 7, 8])
def test_more_coalitions_never_give_far_worse_values(players: int) -> None:
    everything = number_of_pairs(players)
    errors, generator = [], np.random.default_rng(players)
    weights = generator.normal(size=(players, 8))

    def model(rows: np.ndarray) -> np.ndarray:
        return np.tanh(rows @ weights).sum(axis=1)

    rows, baseline = generator.normal(size=(8, players)), np.zeros((1, players))
    exact = explain(model, rows, baseline).local
    for pairs in range(players, everything + 1):
        found = explain(model, rows, baseline, num_samples=2 * pairs)
        error = float(np.abs(found.local - exact).mean() / np.abs(exact).mean())
        assert error < 0.01 + 3.0 * min(errors, default=1.0)
        errors.append(error)
    assert errors[-players] < 1e-9


@pytest.mark.parametrize("num_samples", [1, 0, -5, MOST_SAMPLES + 1])
def test_budgets_below_a_pair_and_beyond_memory_are_refused(num_samples: int) -> None:
    field = "methods.shap.num_samples"
    with refused(ConfigurationError, "shapley.num_samples", field=field) as raised:
        Sampling(num_samples=num_samples)
    assert says(str(raised.value), "shapley.num_samples", field=field, given=num_samples, most=1_048_576)


def test_no_rows_are_explained_by_none() -> None:
    model = shapley_models.logistic(6)
    rows = shapley_models.draw(6, 2)
    found = explain(model, rows[:0], rows)
    assert found.local.shape == (0, 1, 6)
    np.testing.assert_allclose(found.expected, model(rows).mean())
    with pytest.raises(ConfigurationError) as error:
        explain(model, rows, rows[:0])
    assert error.value.code == "shapley.no_baseline"


def test_any_integer_is_a_seed() -> None:
    rows = shapley_models.draw(13, 2)
    found = explain(shapley_models.logistic(13), rows[1:], rows[:1], num_samples=50, seed=-7)
    assert np.isfinite(found.local).all()


def test_synthetic_rows_come_in_bounded_blocks() -> None:
    sizes = []

    def model(given: np.ndarray) -> np.ndarray:
        sizes.append(given.nbytes)
        return given.sum(axis=1)

    rows = shapley_models.draw(30, 301)
    explain(model, rows[1:], rows[:5], num_samples=1000)
    wide = shapley_models.draw(600, 2)
    wide[1, 14:] = wide[0, 14:]
    explain(model, wide[1:], wide[:1], exact_features=14)
    assert max(sizes) <= BLOCK_BYTES


@pytest.mark.parametrize("answer", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(answer: float) -> None:
    def model(given: np.ndarray) -> np.ndarray:
        return np.where(given[:, 0] > 0, answer, 1.0)

    with refused(ModelError, "shapley.not_finite") as raised:
        explain(model, np.ones((2, 3)), np.zeros((1, 3)))
    assert says(str(raised.value), "shapley.not_finite", scores=[answer], row=0, rows=1)


def test_another_number_of_answers_is_refused() -> None:
    with refused(ModelError, "shapley.shape") as raised:
        explain(lambda given: np.zeros(len(given) + 1), np.ones((2, 3)), np.zeros((1, 3)))
    assert says(str(raised.value), "shapley.shape", shape=(2, 1), rows="1 row")
