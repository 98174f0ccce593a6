"""The feature-attribution analyzer: summaries merge, batches do not matter, time can run out."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import says

from analyzers.feature_attribution.analyzer import FeatureAttributionAnalyzer
from analyzers.feature_attribution.documents import (
    AttributionStatistics,
    constraints_to_json,
    read_constraints,
)
from analyzers.feature_attribution.kernel import WINDOW_ROWS, Sampling
from analyzers.feature_attribution.rows import FeatureStream, common_type
from analyzers.feature_attribution.summary import AttributionRequest, Budget
from contract.api import Baseline

FEATURES = ("age", "colour", "income", "never")
WEIGHTS = {"red": 2.0, "green": -1.0, None: 0.5}


def ask(table: pa.RecordBatch) -> np.ndarray:
    """Score with main effects, an interaction, and text."""
    age, income = (
        np.nan_to_num(table.column(name).to_numpy(zero_copy_only=False)) for name in ("age", "income")
    )
    colour = np.array([WEIGHTS[value] for value in table.column("colour").to_pylist()])
    return np.stack([0.3 * age + colour + age * income, -income], axis=1)


def draw(rows: int, seed: int = 0) -> pa.RecordBatch:
    generator = np.random.default_rng(seed)
    return pa.record_batch(
        {
            "age": generator.normal(size=rows),
            "colour": pa.array([[*WEIGHTS][i] for i in generator.integers(0, 3, rows)]).dictionary_encode(),
            "income": generator.normal(size=rows),
            "never": generator.normal(size=rows),
            "key": np.arange(rows),
        }
    )


BASELINE = pa.record_batch({"age": [0.0], "colour": ["green"], "income": [0.0], "never": [0.0]})


def analyzer(budget: Budget | None = None, **request: Any) -> FeatureAttributionAnalyzer:
    return FeatureAttributionAnalyzer(
        "sound",
        request=AttributionRequest(FEATURES, BASELINE, **request),
        ask=ask,
        budget=budget or Budget(),
    )


def exact(rows: pa.RecordBatch) -> np.ndarray:
    """Return Shapley's values of the first output, written out: an interaction is shared by halves."""
    age, income = (rows.column(name).to_numpy() for name in ("age", "income"))
    colour = np.array([WEIGHTS[value] + 1.0 for value in rows.column("colour").to_pylist()])
    return np.stack([0.3 * age + age * income / 2, colour, age * income / 2, 0.0 * age], axis=1)


def values(statistics: AttributionStatistics, label: str = "label0") -> np.ndarray:
    return np.array([*statistics.labels[label].values.values()])


@pytest.mark.parametrize("method", ["mean_abs", "median", "mean_sq"])
def test_global_values_are_those_of_the_formula(method: Any) -> None:
    rows = draw(500)
    job = analyzer(agg_method=method)
    statistics = job.describe(job.summarize([rows]))
    local = exact(rows)
    wanted = {"mean_abs": np.abs(local).mean(0), "median": np.median(local, 0), "mean_sq": (local**2).mean(0)}
    np.testing.assert_allclose(values(statistics), wanted[method], atol=1e-9)
    assert statistics.labels["label0"].expected_value == pytest.approx(-1.0)
    assert statistics.explained.rows == 500
    assert list(statistics.labels) == ["label0", "label1"]


def test_standard_errors_are_those_of_means() -> None:
    rows = draw(400)
    job = analyzer()
    label = job.describe(job.summarize([rows])).labels["label0"]
    sizes = np.abs(exact(rows))
    np.testing.assert_allclose(
        [*label.standard_errors.values()], sizes.std(axis=0, ddof=1) / np.sqrt(400), atol=1e-12
    )
    assert label.total == pytest.approx(sizes.sum(axis=1).mean())
    assert label.total_standard_error == pytest.approx(sizes.sum(axis=1).std(ddof=1) / 20)


def test_a_model_that_does_not_answer_alike_twice_is_noted() -> None:
    calls = itertools.count()
    job = replace(analyzer(), ask=lambda table: ask(table) + 0.1 * next(calls))
    notes = job.describe(job.merge(job.summarize([draw(20)]), job.summarize([draw(5, seed=1)]))).notes
    (note,) = [note for note in notes if "when asked again" in note]
    assert says(note, "attributions.not_alike", then="-1")
    assert "and -0." in note
    steady = analyzer()
    assert not any("asked again" in note for note in steady.describe(steady.summarize([draw(20)])).notes)


@given(st.lists(st.integers(1, 120), max_size=6))
def test_batches_do_not_matter(cuts: list[int]) -> None:
    rows = draw(120)
    sampled = {"sampling": Sampling(num_samples=6), "keep_local": True, "join_column": "key"}
    job = analyzer(**sampled)
    whole = job.describe(job.summarize([rows]))
    ends = sorted({0, 120, *cuts})
    parts = [rows.slice(start, stop - start) for start, stop in itertools.pairwise(ends)]
    cut = job.describe(job.summarize(parts))
    assert whole.local_values is not None
    assert whole.local_values.equals(cut.local_values)


def test_merging_splits_gives_the_sums_over_all_and_is_associative() -> None:
    job = analyzer(keep_local=True)
    parts = [job.summarize([draw(50, seed)]) for seed in range(3)]
    copies = copy.deepcopy(parts)  # merging may reuse the memory of the left one
    left = job.merge(job.merge(copies[0], copies[1]), copies[2])
    right = job.merge(parts[0], job.merge(parts[1], parts[2]))
    whole = np.abs(np.concatenate([exact(draw(50, seed)) for seed in range(3)])).mean(0)
    for merged in (left, right, job.merge(job.empty(), left), job.merge(left, job.empty())):
        statistics = job.describe(pickle.loads(pickle.dumps(merged)))
        np.testing.assert_allclose(values(statistics), whole, atol=1e-9)
        assert statistics.local_values is not None
        assert statistics.local_values.num_rows == 150
    assert job.row_count(left) == 150


def test_splits_draw_coalitions_of_their_own_whichever_is_first() -> None:
    job = analyzer(sampling=Sampling(num_samples=2), keep_local=True)
    parts = [job.summarize([draw(40, seed)]) for seed in (0, 1)]
    again = [job.summarize([draw(40, seed)]) for seed in (1, 0)][::-1]
    for one, other in zip(parts, again, strict=True):
        np.testing.assert_array_equal(one.local[0], other.local[0])


def test_local_values_have_features_fastest_then_labels_then_the_key() -> None:
    job = analyzer(keep_local=True, join_column="key", label_headers=("yes", "no"))
    statistics = job.describe(job.summarize([draw(30)]))
    table = statistics.local_values
    assert table is not None
    assert table.column_names == [f"{name}_{label}" for label in ("yes", "no") for name in FEATURES] + ["key"]
    assert table.column("key").to_pylist() == list(range(30))
    sums = sum(table.column(f"{name}_yes").to_numpy() for name in FEATURES)
    np.testing.assert_allclose(sums, ask(draw(30).select(list(FEATURES)))[:, 0] + 1.0, atol=1e-9)


def test_some_features_can_be_reported_with_the_values_they_have_among_all() -> None:
    rows = draw(200)
    job = analyzer(reported=("income", "age"))
    statistics = job.describe(job.summarize([rows]))
    assert [*statistics.labels["label0"].values] == ["income", "age"]
    np.testing.assert_allclose(values(statistics), np.abs(exact(rows))[:, [2, 0]].mean(0), atol=1e-9)


def test_wrong_numbers_of_label_headers_are_told() -> None:
    job = analyzer(label_headers=("only",))
    statistics = job.describe(job.summarize([draw(5)]))
    assert list(statistics.labels) == ["label0", "label1"]
    assert "predictor.label_headers names 1 label, but the model gives 2 scores" in statistics.notes[0]


def test_scores_without_names_are_told() -> None:
    job = analyzer()
    statistics = job.describe(job.summarize([draw(5)]))
    assert statistics.notes[0].startswith("The model answers with 2 scores a row; name them by")


def test_errors_that_cannot_be_told_are_of_any_size() -> None:
    job = analyzer(sampling=Sampling(num_samples=4))
    statistics = job.describe(job.summarize([draw(100)]))
    assert any("num_samples is too small" in note for note in statistics.notes)
    label = statistics.labels["label0"]
    assert set(label.standard_errors.values()) == {np.inf}
    written = json.dumps(constraints_to_json(job.suggest(statistics, None)), allow_nan=False)
    constraints = read_constraints(json.loads(written), "constraints.json")
    assert constraints.labels["label0"].standard_errors == label.standard_errors
    swapped = replace(label, values=dict(zip(label.values, reversed(label.values.values()), strict=True)))
    window = replace(statistics, labels={**statistics.labels, "label0": swapped})
    assert job.check(window, Baseline(None, constraints)).violations.violations == []


class Ticking(Budget):
    """Time that is over when some rows have been explained."""

    def __init__(self, rows: int) -> None:
        super().__init__(seconds=3600.0)
        self._rows = rows

    @property
    def is_over(self) -> bool:
        return self.explained >= self._rows


def test_time_that_runs_out_leaves_a_valid_result() -> None:
    job = analyzer(Ticking(3), label_headers=("label0", "label1"))
    statistics = job.describe(job.summarize([draw(300), draw(300)]))
    assert statistics.explained.partial
    assert 3 <= statistics.explained.rows < 600
    assert statistics.explained.rows_read == 600
    rows = statistics.explained.rows
    np.testing.assert_allclose(values(statistics), np.abs(exact(draw(300).slice(0, rows))).mean(0), atol=1e-9)
    (note,) = statistics.notes
    assert says(note, "attributions.out_of_time", rows=rows, all_rows=600)


def test_something_is_explained_however_short_the_time() -> None:
    job = analyzer(Budget(seconds=-1.0))
    statistics = job.describe(job.summarize([draw(100)]))
    assert 1 <= statistics.explained.rows < 100
    assert statistics.explained.partial


def test_a_trial_takes_one_row() -> None:
    job = analyzer(most_rows=1)
    statistics = job.describe(job.summarize([draw(100)]))
    assert (statistics.explained.rows, statistics.explained.partial) == (1, False)


def test_no_rows_have_no_labels() -> None:
    job = analyzer()
    assert job.describe(job.summarize([])).labels == {}
    assert job.describe(job.empty()).labels == {}


def test_rows_equal_to_the_baseline_have_the_value_0() -> None:
    job = analyzer(sampling=Sampling(num_samples=4), label_headers=("label0", "label1"))
    rows = pa.record_batch({name: BASELINE.column(name).take(pa.array([0] * 9)) for name in FEATURES})
    statistics = job.describe(job.summarize([rows]))
    assert not values(statistics).any()
    (note,) = statistics.notes
    assert note.startswith("Every feature has the value 0")


@given(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.integers(1, 9))
def test_streams_give_all_rows_in_order(lengths: list[int], count: int) -> None:
    batches, start = [], 0
    for length in lengths:
        batches.append(pa.record_batch({"a": pa.array(range(start, start + length), pa.int64())}))
        start += length
    stream = FeatureStream(batches, ["a", "absent"], pa.record_batch({"a": [1.5], "absent": [0]}))
    taken = []
    while (rows := stream.take(count)) is not None:
        assert rows.num_rows <= count
        assert [field.type for field in rows.schema] == [pa.float64(), pa.int64()]
        assert rows.column("absent").null_count == rows.num_rows
        taken += rows.column("a").to_pylist()
    assert taken == list(range(start))
    assert stream.rows_read == start


@pytest.mark.parametrize(
    ("kinds", "baseline", "wanted"),
    [
        ([pa.int64(), pa.int8()], None, pa.int64()),
        ([pa.int64(), pa.float64()], None, pa.float64()),
        ([pa.int64()], pa.float64(), pa.float64()),
        ([pa.int64(), pa.string()], None, pa.string()),
        ([pa.null()], pa.string(), pa.string()),
        ([pa.null(), pa.bool_()], None, pa.bool_()),
        ([pa.bool_(), pa.int64()], None, pa.string()),
        ([pa.dictionary(pa.int32(), pa.string())], pa.int64(), pa.string()),
        ([], None, pa.null()),
    ],
)
def test_types_that_hold_all_values(kinds: Any, baseline: Any, wanted: Any) -> None:
    assert common_type(kinds, baseline) == wanted


def test_windows_are_explained_one_by_one() -> None:
    seen: list[int] = []

    def watching(table: pa.RecordBatch) -> np.ndarray:
        seen.append(table.num_rows)
        return ask(table)

    request = AttributionRequest(FEATURES, BASELINE, sampling=Sampling(num_samples=4))
    job = FeatureAttributionAnalyzer("sound", request=request, ask=watching)
    summary = job.summarize([draw(3 * WINDOW_ROWS)])
    assert summary.rows == 3 * WINDOW_ROWS
    assert summary.model_rows >= sum(seen) - 3


@pytest.mark.parametrize(("age", "told"), [(0.0, False), (45.0, True), (-45.0, True)])
def test_a_baseline_far_from_the_rows_is_told(age: float, told: bool) -> None:
    baseline = BASELINE.set_column(0, "age", pa.array([age]))
    request = AttributionRequest(FEATURES, baseline)
    one = FeatureAttributionAnalyzer("sound", request=request, ask=ask, budget=Budget())
    halves = [one.summarize([rows]) for rows in (draw(40), draw(40, seed=1))]
    for merged in (one.merge(*copy.deepcopy(halves)), one.merge(halves[1], halves[0])):
        notes = [note for note in one.describe(merged).notes if "SHAP baseline gives" in note]
        assert bool(notes) is told
        assert all(f"gives 'age' {age:g}, but the rows" in note for note in notes)


def test_of_a_feature_whose_values_went_missing_nothing_holds() -> None:
    job = analyzer()

    def described(lacking: dict[str, int]) -> AttributionStatistics:
        rows = draw(400)
        for name, count in lacking.items():
            at, column = rows.schema.get_field_index(name), rows.column(name)
            column = column.dictionary_decode() if name == "colour" else column
            gone = pa.concat_arrays([pa.nulls(count, column.type), column.slice(count)])
            rows = rows.set_column(at, name, gone)
        return job.describe(job.summarize([rows]))

    def states(window: AttributionStatistics, before: AttributionStatistics) -> dict[tuple[str, str], str]:
        decision = job.check(window, Baseline(before, job.suggest(before, None)))
        return {
            (one.subject, one.check.split("_")[2]): str(one.state)
            for one in decision.comparisons
            if one.subject in ("age", "colour", "label0")
        }

    usual, without = described({"colour": 10}), described({"colour": 400, "never": 400})
    assert without.design.missing["colour"] == 400
    assert read_constraints(constraints_to_json(job.suggest(without, None)), "x").design == without.design
    found = states(without, usual)
    assert found["age", "magnitude"] == "holds"
    assert {found["colour", "magnitude"], found["label0", "drift"]} <= {"violated", "not_decided"}
    # As it was at the baseline, or of a feature that no attribution came from.
    assert set(states(without, without).values()) == {"holds"}
    assert set(states(described({"colour": 10, "never": 400}), usual).values()) == {"holds"}
