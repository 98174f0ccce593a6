"""The summary's algebra: however rows are divided, the statistics are those of all rows in one batch."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzers.bias import summary
from analyzers.bias.analyzer import BiasAnalyzer
from analyzers.bias.documents import BiasStatistics, statistics_to_json
from analyzers.bias.summary import BiasRequest, FacetRequest

_FACET = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))
_ROW = st.tuples(
    _FACET,
    st.one_of(st.none(), st.integers(-3, 60)),
    st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0, 0.5])),
    st.one_of(st.none(), st.integers(0, 2)),
    st.integers(0, 3),
)
_NAMES = ("city", "age", "label", "predicted", "stratum")
_TYPES = (pa.string(), pa.int64(), pa.float64(), pa.int64(), pa.int64())
_REQUEST = BiasRequest(
    label="label",
    label_values=(1,),
    facets=(
        FacetRequest(("city",)),
        FacetRequest(("age",), (40,)),
        FacetRequest(("city", "age"), (("a", 40), ("b", 40))),
    ),
    group_variable="stratum",
    predicted_label="predicted",
)


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_NAMES)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, _TYPES, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(_NAMES))


def _written(statistics: BiasStatistics) -> Any:
    return statistics_to_json(statistics)


@given(
    rows=st.lists(_ROW, min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), min_size=2, max_size=2),
    rules=st.sampled_from(["sound", "sagemaker"]),
    most=st.sampled_from([3, 1_000]),
)
def test_merging_parts_gives_what_one_pass_gives(
    rows: list[tuple[Any, ...]], cuts: list[int], rules: Any, most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # With few values kept, columns collapse in some part, in a merge, or not at all.
        for limit in ("MOST_LABELS", "MOST_FACET_VALUES", "MOST_STRATA"):
            patch.setattr(summary, limit, max(most, 2))
        analyzer = BiasAnalyzer(rules, _REQUEST)
        first, second = sorted(min(cut, len(rows)) for cut in cuts)
        parts = [rows[:first], rows[first:second], rows[second:]]
        a, b, c = (analyzer.summarize([_batch(part)]) for part in parts)
        whole = _written(analyzer.describe(analyzer.summarize([_batch(rows)])))
        left = analyzer.merge(analyzer.merge(pickle.loads(pickle.dumps(a)), b), c)
        right = analyzer.merge(a, analyzer.merge(b, c))
        assert _written(analyzer.describe(left)) == whole
        assert _written(analyzer.describe(right)) == whole
        in_batches = analyzer.summarize([_batch(part) for part in parts])
        assert _written(analyzer.describe(in_batches)) == whole


@given(rows=st.lists(_ROW, min_size=1, max_size=60), seed=st.integers(0, 100))
def test_the_order_of_rows_changes_no_count(rows: list[tuple[Any, ...]], seed: int) -> None:
    request = replace(_REQUEST, features=("age",))
    analyzer = BiasAnalyzer("sound", request)
    shuffled = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    found = [analyzer.describe(analyzer.summarize([_batch(each)])) for each in (rows, shuffled)]
    first, second = (
        {(facet.facet, facet.value_or_threshold): facet.counts for facet in statistics.facets}
        for statistics in found
    )
    assert first == second


def test_nothing_is_the_identity() -> None:
    analyzer = BiasAnalyzer("sound", _REQUEST)
    some = analyzer.summarize([_batch([("a", 1, 1.0, 1, 0), ("b", 50, 0.0, 1, 1)])])
    expected = _written(analyzer.describe(some))
    assert _written(analyzer.describe(analyzer.merge(analyzer.empty(), some))) == expected
    assert _written(analyzer.describe(analyzer.merge(some, analyzer.empty()))) == expected
    assert analyzer.row_count(analyzer.empty()) == 0
    assert analyzer.describe(analyzer.empty()).facets == []


def _columns(kind: str, size: int) -> dict[str, Any]:
    generator = np.random.default_rng(5)
    sex = generator.integers(0, 2, size)
    label = generator.integers(0, 2, size)
    predicted = generator.integers(0, 2, size)
    ages = generator.integers(0, 80, size)
    if kind == "text":
        return {
            "sex": [str(each) for each in sex],
            "label": [["no", "yes"][each] for each in label],
            "predicted": [["no", "yes"][each] for each in predicted],
            "age": [str(each) for each in ages],
        }
    if kind == "dictionary":
        texts = _columns("text", size)
        return {name: pa.array(values).dictionary_encode() for name, values in texts.items()}
    if kind == "float":
        return {"sex": sex * 1.0, "label": label * 1.0, "predicted": predicted * 1.0, "age": ages * 1.0}
    if kind == "bool":
        return {"sex": sex == 1, "label": label == 1, "predicted": predicted == 1, "age": ages}
    return {"sex": sex, "label": label, "predicted": predicted, "age": ages}


@pytest.mark.parametrize("kind", ["integer", "float", "text", "dictionary", "bool"])
def test_the_type_of_a_column_changes_nothing_under_sound_rules(kind: str) -> None:
    positive = "yes" if kind in ("text", "dictionary") else 1
    batch = pa.RecordBatch.from_pydict(_columns(kind, 600))
    request = BiasRequest(
        "label",
        (positive,),
        (FacetRequest(("sex",), (0,)), FacetRequest(("age",), (40,))),
        predicted_label="predicted",
    )
    plain = BiasRequest(
        "label",
        (1,),
        (FacetRequest(("sex",), (0,)), FacetRequest(("age",), (40,))),
        predicted_label="predicted",
    )
    reference = BiasAnalyzer("sound", plain)
    expected = reference.describe(reference.summarize([pa.RecordBatch.from_pydict(_columns("integer", 600))]))
    analyzer = BiasAnalyzer("sound", request)
    found = analyzer.describe(analyzer.summarize([batch]))
    for one, other in zip(expected.facets, found.facets, strict=True):
        assert one.counts == other.counts
        assert one.value_or_threshold.split(",")[0] == other.value_or_threshold.split(",")[0].replace(
            "40.0", "40"
        )


def test_scores_above_the_threshold_are_positive() -> None:
    batch = pa.RecordBatch.from_pydict(
        {"g": ["a", "a", "b", "b"], "y": [1, 0, 1, 0], "score": [0.5, 0.51, None, 0.1]}
    )
    request = BiasRequest("y", (1,), (FacetRequest(("g",), ("a",)),), probability="score")
    statistics = _describe(request, batch)
    # The row without a score is left out, but not before training; 0.5 is not above 0.5.
    assert statistics.facets[0].counts == [[[1, 0], [0, 0]], [[0, 1], [1, 0]]]
    assert statistics.facets[0].unpredicted == [[[0, 0], [1, 0]], [[0, 0], [0, 0]]]
    assert any(note.startswith("1 row lacks a prediction") for note in statistics.notes)


def _describe(request: BiasRequest, batch: pa.RecordBatch, rules: Any = "sound") -> BiasStatistics:
    analyzer = BiasAnalyzer(rules, request)
    return analyzer.describe(analyzer.summarize([batch]))


def test_many_rows_are_sampled_for_the_flip_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "MOST_ROWS", 1_000)
    generator = np.random.default_rng(1)
    size = 3_000
    group, predicted = generator.integers(0, 2, size), generator.integers(0, 2, size)
    batch = pa.RecordBatch.from_pydict(
        {"g": group, "y": predicted, "p": predicted, "x": generator.normal(size=size)}
    )
    request = BiasRequest("y", (1,), (FacetRequest(("g",), (0,)),), predicted_label="p")
    analyzer = BiasAnalyzer("sound", request)
    parts = [analyzer.summarize([batch.slice(start, 500)]) for start in range(0, size, 500)]
    merged = parts[0]
    for part in parts[1:]:
        merged = analyzer.merge(merged, part)
    statistics = analyzer.describe(merged)
    (note,) = statistics.notes
    assert "(FT) looks at 1,000 of 3,000 rows" in note
    again = _written(analyzer.describe(analyzer.summarize([batch])))
    assert again == _written(analyzer.describe(analyzer.summarize([batch])))


def test_group_variables_with_too_many_values_give_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "MOST_STRATA", 10)
    batch = pa.RecordBatch.from_pydict({"g": [0, 1] * 20, "y": [0, 1] * 20, "id": list(range(40))})
    request = BiasRequest("y", (1,), (FacetRequest(("g",), (0,)),), group_variable="id", post_training=None)
    metric = _describe(request, batch).facets[0].metric("CDDL")
    assert metric is not None
    assert metric.value is None
    assert metric.error is not None
    assert metric.error.startswith("Group variable 'id' has more than")


def test_tables_stay_within_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "MOST_TABLE_CELLS", 500)
    generator = np.random.default_rng(2)
    batch = pa.RecordBatch.from_pydict(
        {"age": generator.integers(0, 300, 2_000), "y": generator.integers(0, 2, 2_000)}
    )
    request = BiasRequest("y", (1,), (FacetRequest(("age",), (150,)),), post_training=None)
    analyzer = BiasAnalyzer("sound", request)
    one = analyzer.summarize([batch])
    assert all(table.size <= 500 for table in one.tables)
    merged = analyzer.merge(one, analyzer.summarize([batch]))
    older = int((np.array(batch["age"]) > 150).sum())
    assert np.sum(analyzer.describe(merged).facets[0].counts[1]) == 2 * older
