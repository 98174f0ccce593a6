"""The methods that decisions are compared with do what is said of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks import simulate, simulate_peers


def frame(rows: int, **changes: Any) -> pd.DataFrame:
    g = np.random.default_rng(rows)
    columns = {"number": g.normal(size=rows), "word": g.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])}
    return pd.DataFrame(columns | changes)


def test_each_method_finds_a_gross_change_and_only_it() -> None:
    baseline, window = frame(10_000), frame(1_000, number=np.random.default_rng(3).normal(2.0, 1.0, 1_000))
    for name, method in simulate_peers.OTHERS.items():
        assert "number" in method(baseline, window), name
    assert simulate_peers.psi(baseline, window) == simulate_peers.ks(baseline, window) == {"number"}


def test_missing_cells_and_new_words_count() -> None:
    baseline = frame(10_000)
    window = frame(1_000, number=np.where(np.arange(1_000) < 300, np.nan, 0.0), word=["z"] * 1_000)
    for name, method in simulate_peers.OTHERS.items():
        assert method(baseline, window) == {"number", "word"}, name


def test_methods_see_the_same_windows() -> None:
    faults = {"missing 2 -> 5 %": simulate.SEE["missing 2 -> 5 %"]}
    found = simulate_peers.flagged(
        faults, {}, (2_000, 500), 2, seed=1, methods=("sound", "sagemaker", "psi"), evidently=None
    )
    assert {method: len(columns) for method, columns in found.items()} == {
        "sound": 2,
        "sagemaker": 2,
        "psi": 2,
    }
