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


def flagged(method: str, baseline: pd.DataFrame, window: pd.DataFrame) -> set[str]:
    return next(iter(simulate_peers.others(method, baseline, [window])))


def test_each_method_finds_a_gross_change_and_only_it() -> None:
    baseline, window = frame(10_000), frame(1_000, number=np.random.default_rng(3).normal(2.0, 1.0, 1_000))
    found = {method: flagged(method, baseline, window) for method in ("psi", "ks", "chunks")}
    assert found["psi"] == found["ks"] == {"number"}
    assert "number" in found["chunks"]


def test_missing_cells_and_new_words_count() -> None:
    baseline = frame(10_000)
    window = frame(1_000, number=np.where(np.arange(1_000) < 300, np.nan, 0.0), word=["z"] * 1_000)
    for method in ("psi", "ks", "chunks"):
        assert flagged(method, baseline, window) == {"number", "word"}, method


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


def test_rare_categories_do_not_make_a_test_alarm() -> None:
    g = np.random.default_rng(7)
    baseline, window = (pd.DataFrame({"word": g.zipf(1.3, rows).astype(str)}) for rows in (20_000, 5_000))
    assert flagged("ks", baseline, window) == set()
