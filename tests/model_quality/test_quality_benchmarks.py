"""The simulation and the benchmark run, and say what they should, on few rows."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.model_quality import compare
from benchmarks.simulate_model_quality import MODELS, simulate_coverage, simulate_decisions


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_sound_rules_alarm_less_and_find_the_change(model) -> None:
    rates = simulate_decisions(model, 5_000, 4, 2, np.random.default_rng(1))
    assert rates["sound"].alarmed <= 1
    assert rates["sagemaker"].alarmed >= rates["sound"].alarmed
    assert rates["sound"].found == 2


def test_coverage_is_counted_per_metric() -> None:
    shares = simulate_coverage(MODELS[0], 200, 3, {"auc": 0.856, "accuracy": 2.0}, np.random.default_rng(1))
    assert shares["accuracy"] == 0.0
    assert set(shares) == {"auc", "accuracy"}


def test_the_benchmark_compares_equal_metrics() -> None:
    result = compare(5_000)
    assert result["largest_difference"] < 1e-12
    assert result["rows"] == 5_000
