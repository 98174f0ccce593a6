"""What the metrics of a group cost together as tests, beside plain draws and limits that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bias_tables import FAIR, baseline_of, facet, statistics

from analyzers.bias.check import (
    _JOINT_DRAWS,
    FALSE_ALARM_RATE,
    Held,
    MetricTest,
    _compare,
    _moves,
    _share_alarming_first,
    _tests,
    _violated,
    effective_weight,
    hold,
)
from analyzers.bias.documents import BiasStatistics
from analyzers.bias.resampling import DISTANCES

WINDOW = [[[1500, 375], [450, 1050]], [[220, 40], [70, 120]]]
LEVEL = 1e-4


def held(window: BiasStatistics, before: BiasStatistics, **options: Any) -> list[Held]:
    baseline = baseline_of(before, **options)
    assert baseline.constraints is not None
    return hold(window, baseline.constraints, baseline.statistics)[0]


def group(before: Any = FAIR, **options: Any) -> Held:
    return held(statistics(facet(WINDOW)), statistics(facet(before)), **options)[0]


@pytest.mark.parametrize("position", [0.0, 0.7, -0.7, 6.0, -6.0])
@pytest.mark.parametrize("correlation", [-0.95, 0.0, 0.6, 0.99])
def test_the_union_is_as_probable_as_in_plain_draws(correlation: float, position: float) -> None:
    generator = np.random.default_rng(2)
    covariance = [[1.0, correlation, 0.0], [correlation, 1.0, 0.0], [0.0, 0.0, 1.0]]
    levels = np.array([0.04, 0.02, 0.01])
    # The second metric's baseline is away from no bias, so that it grows in one direction.
    positions = np.array([0.0, position, 0.0])
    few = generator.multivariate_normal(np.zeros(3), covariance, _JOINT_DRAWS).T
    scores, _ = _moves(few, np.zeros_like(few))
    found = levels.sum() * _share_alarming_first(scores, positions, levels, generator)

    many = generator.multivariate_normal(np.zeros(3), covariance, 400_000)
    toward = many * np.where(positions < 0.0, -1.0, 1.0)
    size = np.abs(toward + np.abs(positions)) - np.abs(positions)
    quantile = np.quantile(np.abs(many), 1.0 - levels)[np.arange(3)]
    alarms = np.abs(many) > quantile
    if abs(position) > 1.0:
        alarms[:, 1] = (toward[:, 1] > np.quantile(toward[:, 1], 1.0 - levels[1])) & (size[:, 1] > 0.0)
    assert found == pytest.approx(float(alarms.any(axis=1).mean()), rel=0.06)


def test_metrics_of_one_number_cost_what_one_does() -> None:
    one = group()
    assert effective_weight(one, {"DPL": 1.0, "KL": 1.0, "JS": 1.0}, LEVEL, 0) == pytest.approx(1.0, abs=0.1)
    assert effective_weight(one, {"DPPL": 20.0, "DI": 20.0}, LEVEL, 0) < 26.0
    # Who is in the group has nothing to do with who is right.
    assert effective_weight(one, {"CI": 1.0, "AD": 1.0}, LEVEL, 0) == pytest.approx(2.0, abs=0.05)


def test_all_metrics_cost_less_than_their_sum_and_no_less_than_one() -> None:
    one = group()
    weights = {name: 1.0 for name in one.limits if name not in DISTANCES}
    together = effective_weight(one, weights, LEVEL, 0)
    assert 1.0 < together < 0.9 * len(weights)
    assert together == effective_weight(one, weights, LEVEL, 0)
    fewer = effective_weight(one, dict.fromkeys(list(weights)[1:], 1.0), LEVEL, 0)
    assert fewer < together + 0.1


def test_limits_that_are_not_of_counts_cost_their_full_weight() -> None:
    weights = {"DPL": 1.0, "KL": 1.0}
    assert effective_weight(group(with_statistics=False), weights, LEVEL, 0) == 2.0
    decided = group(KL={"threshold": 0.1})
    assert effective_weight(decided, weights, LEVEL, 0) == 2.0


def test_an_empty_cell_costs_something_finite() -> None:
    no_false_positives = [FAIR[0], [[500, 0], [120, 280]]]
    one = group(no_false_positives)
    weights = dict.fromkeys(one.limits, 1.0)
    assert 1.0 < effective_weight(one, weights, LEVEL, 0) < len(weights)


def test_one_number_in_two_groups_is_one_test() -> None:
    mirrored = [WINDOW[1], WINDOW[0]]
    window = statistics(facet(WINDOW), facet(mirrored, group="1"))
    before = statistics(facet(FAIR), facet([FAIR[1], FAIR[0]], group="1"))
    ((_, weights),) = _tests(held(window, before), set())
    assert len(DISTANCES.keys() & weights) == 0
    assert sum(weights.values()) == len(weights) + 2 * 19.0


def test_what_is_left_has_the_whole_rate() -> None:
    groups = held(statistics(facet(WINDOW)), statistics(facet(FAIR)), with_statistics=False)
    ((_, weights),) = _tests(groups, set())
    total = sum(weights.values())
    # More than the first step gives to one of the others, less than the second, without DI, does.
    between = FALSE_ALARM_RATE / (total - 10.0)

    def found(disparate_impact: float) -> set[str]:
        p_values = {"DI": disparate_impact, "AD": between}
        comparisons: list[MetricTest] = [
            replace(one, p_value=p_values.get(one.metric.name, 1.0), limit=replace(one.limit, decided=True))
            for one in _compare(groups[0], 0)
        ]
        violated, _ = _violated(groups, comparisons, FALSE_ALARM_RATE, 0)
        return {one.metric.name for one in violated}

    assert found(0.0) == {"DI", "AD"}
    assert found(1.0) == set()
