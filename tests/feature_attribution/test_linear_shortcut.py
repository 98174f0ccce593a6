"""Linear models take the closed form exactly where coalitions would give the same numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from shapley_models import explain

from analyzers.feature_attribution.kernel import Sampling
from analyzers.feature_attribution.summary import Shortcut
from containers.feature_attribution.shortcut import open_shortcut
from model_clients.local import LinearModel, LocalModel
from model_clients.model import numeric_matrix

NAMES = ("a", "b", "c", "d")
RANDOM = np.random.default_rng(6)


def local(model: LinearModel) -> LocalModel:
    def score(table: pa.RecordBatch) -> object:
        return model.score(numeric_matrix(table, np.float64, "file"))

    return LocalModel("file", "linear", model, score, (local, (model,)), count=4)


def linear(
    link: Literal["identity", "logistic", "softmax"], outputs: int = 1, size: float = 1.0
) -> LocalModel:
    weights = RANDOM.normal(size=(4, outputs)) * size
    return local(LinearModel(weights, RANDOM.normal(size=outputs), link))


def batch(rows: int) -> pa.RecordBatch:
    columns = [pa.array(RANDOM.integers(-3, 9, rows)), *map(pa.array, RANDOM.normal(size=(3, rows)))]
    return pa.RecordBatch.from_arrays(columns, names=list(NAMES))


def shortcut_of(model: LocalModel, use_logit: bool) -> Shortcut | None:
    return open_shortcut(model, model.predict, Sampling(100, use_logit), NAMES, 10)


@pytest.mark.parametrize(
    ("link", "outputs", "baselines", "use_logit"),
    [("identity", 1, 1, False), ("identity", 3, 5, False), ("logistic", 1, 1, True)],
)
def test_the_closed_form_is_what_enumeration_gives(
    link: Literal["identity", "logistic"], outputs: int, baselines: int, use_logit: bool
) -> None:
    model = linear(link, outputs)
    rows, reference = batch(40), batch(baselines)
    shortcut = shortcut_of(model, use_logit)
    assert shortcut is not None
    found = shortcut(rows, reference)
    assert found is not None
    asked = explain(model.predict, rows, reference, use_logit=use_logit)
    np.testing.assert_allclose(found.local, asked.local, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.expected, asked.expected, rtol=0, atol=1e-8)
    assert found.model_rows == 40 + baselines < asked.model_rows


def test_answers_that_are_no_weighted_sums_are_left_to_coalitions() -> None:
    assert shortcut_of(linear("logistic"), use_logit=False) is None
    assert shortcut_of(linear("softmax", 3), use_logit=False) is None
    assert shortcut_of(linear("softmax", 3), use_logit=True) is None
    assert shortcut_of(linear("identity"), use_logit=True) is None
    several = shortcut_of(linear("logistic"), use_logit=True)
    assert several is not None
    assert several(batch(5), batch(2)) is None
    clipped = shortcut_of(linear("logistic", size=100.0), use_logit=True)
    assert clipped is not None
    assert clipped(batch(5), batch(1)) is None
    text = batch(5).set_column(1, "b", pa.array(["x"] * 5))
    assert several(text, batch(1)) is None


def test_a_model_that_answers_otherwise_is_asked() -> None:
    model = linear("identity")
    model.score = lambda table: np.zeros(table.num_rows)
    shortcut = shortcut_of(model, use_logit=False)
    assert shortcut is not None
    assert shortcut(batch(5), batch(1)) is None
