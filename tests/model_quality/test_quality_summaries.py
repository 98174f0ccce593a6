"""Summaries add up, and cells mean the same whatever their type."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quality_tables import (
    batch,
    binary_analyzer,
    binary_batch,
    measure,
    multiclass_analyzer,
    regression_analyzer,
)

from analyzers.model_quality.analyzer import ModelQualityAnalyzer
from analyzers.model_quality.documents import MODEL_QUALITY
from analyzers.shared.cells import NO_LABEL, label_of, read_labels, read_numbers
from contract.errors import ConfigurationError, DatasetError


def points(statistics: object) -> dict[str, object]:
    written = MODEL_QUALITY.write_statistics(statistics, False)
    (members,) = [member for name, member in written.items() if name.endswith("_metrics")]
    return {name: member.get("value", member) for name, member in members.items()}


def assert_same(left: dict[str, object], right: dict[str, object]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        if isinstance(value, float):
            assert value == pytest.approx(right[name], rel=1e-9, abs=1e-12), name
        else:
            assert value == right[name], name


def table_and_analyzer(problem: str, rows: int) -> tuple[pa.RecordBatch, ModelQualityAnalyzer]:
    generator = np.random.default_rng(rows)
    if problem == "binary":
        return binary_batch(generator, rows, digits=3), binary_analyzer()
    if problem == "multiclass":
        labels, predictions = generator.integers(0, 4, (2, rows))
        return batch(label=labels.tolist(), prediction=predictions.tolist()), multiclass_analyzer()
    labels, noise = generator.normal(10.0, 3.0, rows), generator.normal(size=rows)
    return batch(label=labels.tolist(), prediction=(labels + noise).tolist()), regression_analyzer()


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
@given(cuts=st.lists(st.integers(0, 500), min_size=2, max_size=4))
def test_merging_equals_one_pass(problem: str, cuts: list[int]) -> None:
    table, analyzer = table_and_analyzer(problem, 500)
    borders = sorted([0, *cuts, 500])
    parts = [table.slice(start, stop - start) for start, stop in pairwise(borders)]
    whole = points(measure(analyzer, table))

    def summaries() -> list[object]:
        return [pickle.loads(pickle.dumps(analyzer.summarize([part]))) for part in parts]

    left = analyzer.empty()
    for summary in summaries():
        left = analyzer.merge(left, summary)
    right = analyzer.empty()
    for summary in reversed(summaries()):
        right = analyzer.merge(summary, right)
    assert_same(points(analyzer.describe(left)), whole)
    assert_same(points(analyzer.describe(right)), whole)
    assert_same(points(measure(analyzer, *parts)), whole)
    assert analyzer.row_count(left) == 500


def test_the_same_rows_give_the_same_spread_every_time() -> None:
    table = binary_batch(np.random.default_rng(1), 400)
    first, second = (measure(binary_analyzer(), table).metrics for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("1", "1"), ("1.0", "1"), (" 1", "1"), ("1e0", "1"), ("-0", "0"), ("0.50", "0.5"), ("007", "007"),
        ("True", "true"), ("FALSE", "false"), (" cat ", "cat"), ("1_000", "1_000"), ("nan", "nan"),
        ("12345678901234567890", "12345678901234567890"), ("inf", "inf"),
    ],
)  # fmt: skip
def test_labels_are_normalised(text: str, label: str) -> None:
    assert label_of(text, binary=False) == label
    assert label_of(label, binary=False) == label


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, 0, None, 1]),
        pa.array([1, 0, None, 1], pa.uint8()),
        pa.array([1.0, 0.0, float("nan"), 1.0]),
        pa.array([1.0, 0.0, None, 1.0], pa.float32()),
        pa.array(["1", "0", None, "1.0"]),
        pa.array([" 1", "0.0", "", "1e0"], pa.large_string()),
        pa.array([True, False, None, True]),
        pa.array(["True", "false", "NaN", "TRUE"]),
        pa.array(["1", "0", None, "1.0"]).dictionary_encode(),
        pa.array(["x", "1", "0", None, "1.0"]).dictionary_encode().slice(1),
    ],
)
def test_labels_mean_the_same_in_every_type(array: pa.Array) -> None:
    cells, _ = read_labels(array, binary=True, none=NO_LABEL)
    assert [[None, *cells.values][code] for code in cells.codes] == ["1", "0", None, "1"]
    numbers = read_numbers(array)
    assert numbers.values == pytest.approx(np.array([1.0, 0.0, np.nan, 1.0]), nan_ok=True)
    assert numbers.unusable == 0


def test_what_is_no_number_is_counted() -> None:
    cells = read_numbers(pa.array(["0.5", "high", None, "high", "-inf", "1e-3", "NA", "1_000", "True"]))
    assert cells.unusable == 3
    assert cells.example == "high"
    numbers = [0.5, np.nan, None, np.nan, -np.inf, 1e-3, np.nan, np.nan, 1.0]
    assert cells.values == pytest.approx(np.array(numbers, dtype=np.float64), nan_ok=True)
    assert read_numbers(pa.array([1, 0, None]).dictionary_encode()).values[0] == 1.0


def test_missing_cells_are_kept_apart_and_said() -> None:
    table = batch(
        label=[1, 0, None, 1, 0, None],
        prediction=[1, 0, 1, None, 0, 0],
        score=[0.9, 0.1, 0.8, 0.7, None, 0.2],
    )
    statistics = measure(binary_analyzer(), table)
    assert statistics.item_count == 3
    assert statistics.unlabelled_count == 2
    text = " ".join(statistics.notes)
    for words in ("2 of 6 rows have no label", "1 labelled rows have no prediction", "1 rows have no score"):
        assert words in text


def test_one_class_windows_are_no_crash_and_no_silent_zero() -> None:
    statistics = measure(
        binary_analyzer(), batch(label=[0, 0, 0], prediction=[0, 1, 0], score=[0.1, 0.9, 0.3])
    )
    assert statistics.value("recall") is None
    assert statistics.value("auc") is None
    assert statistics.value("precision") == 0.0
    assert statistics.value("accuracy") == pytest.approx(2 / 3)
    text = " ".join(statistics.notes)
    assert "no curves and no auc" in text
    assert "recall" in text


def test_constant_labels_leave_r2_undefined() -> None:
    table = batch(label=[2.0, 2.0], prediction=[1.0, 3.0])
    assert measure(regression_analyzer(), table).value("r2") is None
    written = MODEL_QUALITY.write_statistics(measure(regression_analyzer(rules="sagemaker"), table), False)
    assert written["regression_metrics"]["r2"] == {"value": "NaN", "standard_deviation": "NaN"}


def test_scores_outside_zero_to_one_still_rank() -> None:
    table = batch(label=[1, 0, 1, 0], prediction=[1, 0, 1, 0], score=[3.0, -1.0, 2.0, 0.5])
    statistics = measure(binary_analyzer(), table)
    assert statistics.value("auc") == 1.0
    assert statistics.value("log_loss") is None
    assert any("outside 0 to 1" in note for note in statistics.notes)


@pytest.mark.parametrize("labels", [["0", "1", "0"], ["0", "0", "0"]])
def test_a_positive_label_that_no_row_has_is_named(labels: list[str]) -> None:
    table = batch(label=labels, score=[0.2, 0.9, 0.6])
    analyzer = binary_analyzer(inference_attribute=None, positive_label="yes")
    statistics = measure(analyzer, table)
    with pytest.raises(DatasetError) as refused:
        analyzer.suggest(statistics, None)
    assert (refused.value.code, refused.value.field) == ("quality_labels.positive", "positive_label")


def test_other_labels_than_zero_and_one_want_a_positive_label() -> None:
    table = batch(label=["yes", "no", "no"], prediction=["yes", "no", "yes"], score=[0.9, 0.2, 0.6])
    analyzer = binary_analyzer()
    statistics = measure(analyzer, table)
    with pytest.raises(DatasetError) as refused:
        analyzer.suggest(statistics, None)
    assert (refused.value.code, refused.value.field) == ("quality_labels.positive", "positive_label")
    analyzer = binary_analyzer(positive_label="yes")
    statistics = measure(analyzer, table)
    analyzer.suggest(statistics, None)
    assert statistics.confusion_matrix == {"no": {"no": 1, "yes": 1}, "yes": {"no": 0, "yes": 1}}
    assert statistics.value("recall") == 1.0


def test_three_labels_are_not_binary() -> None:
    table = batch(label=[0, 1, 2], prediction=[0, 1, 1], score=[0.1, 0.9, 0.8])
    analyzer = binary_analyzer()
    with pytest.raises(DatasetError) as refused:
        analyzer.suggest(measure(analyzer, table), None)
    assert (refused.value.code, refused.value.field) == ("quality_labels.binary", "problem_type")


def test_numbers_that_are_no_classes_are_refused() -> None:
    table = batch(label=np.linspace(0, 1, 1500).tolist(), prediction=np.linspace(0, 1, 1500).tolist())
    with pytest.raises(DatasetError) as refused:
        measure(multiclass_analyzer(), table)
    assert refused.value.code == "quality_labels.classes"


def test_text_where_numbers_are_predicted_is_refused() -> None:
    analyzer = regression_analyzer()
    statistics = measure(analyzer, batch(label=["a", "b"], prediction=[1.0, 2.0]))
    with pytest.raises(DatasetError, match="'a'") as refused:
        analyzer.suggest(statistics, None)
    assert (refused.value.code, refused.value.field) == ("quality_rows.no_numbers", "ground_truth_attribute")


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("predicton", "did you mean 'prediction'"),
        ("9", "the last index is 1"),
        ("elsewhere", "its columns are 'label', 'prediction'"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(attribute: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        measure(regression_analyzer(inference_attribute=attribute), batch(label=[1.0], prediction=[1.0]))


def test_columns_by_index_path_and_default() -> None:
    plain = measure(regression_analyzer(), batch(label=[1.0, 2.0], prediction=[1.5, 2.0]))
    for attribute, names in (
        ("0", ("_c0", "groundTruthData")),
        ("$.predictions[0].score", ("predictions.0.score", "groundTruthData")),
        ("$['score']", ("score", "groundTruthData.0")),
    ):
        table = pa.RecordBatch.from_arrays([pa.array([1.5, 2.0]), pa.array(["1", "2"])], names=list(names))
        analyzer = regression_analyzer(inference_attribute=attribute, ground_truth_attribute=None)
        assert measure(analyzer, table).metrics == plain.metrics


def test_names_for_data_without_names_are_refused() -> None:
    table = batch(_c0=[1.0], groundTruthData=[1.0]).replace_schema_metadata({b"positional": b"true"})
    with pytest.raises(DatasetError) as refused:
        measure(regression_analyzer(), table)
    assert refused.value.code == "quality_columns.unnamed"


def test_no_labels_yet_is_a_window_and_no_baseline() -> None:
    analyzer = binary_analyzer(ground_truth_attribute=None)
    statistics = measure(analyzer, batch(prediction=[1, 0], score=[0.9, 0.1]))
    assert statistics.item_count == 0
    assert statistics.unlabelled_count == 2
    assert statistics.metrics == {}
    with pytest.raises(DatasetError) as refused:
        analyzer.suggest(statistics, None)
    assert (refused.value.code, refused.value.field) == ("quality_rows.unjoined", "ground_truth_source")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "problem_type is missing"),
        ({"problem_type": "Regression"}, "inference_attribute is missing"),
        ({"problem_type": "MulticlassClassification", "probability_attribute": "p"}, "inference_attribute"),
        ({"problem_type": "BinaryClassification"}, "probability_attribute"),
    ],
)
def test_missing_settings_are_named(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ModelQualityAnalyzer(**settings)


@pytest.mark.parametrize(
    ("parts", "first"),
    [(("confidence", "label"), "groundTruthData.label"), (("data.y",), "groundTruthData.data.y")],
)
def test_labels_that_are_objects_need_a_path(parts: tuple[str, ...], first: str) -> None:
    columns = {f"groundTruthData.{name}": ["1", "0"] for name in parts}
    table = batch(prediction=[1, 0], **columns)
    with pytest.raises(DatasetError) as refused:
        measure(binary_analyzer(ground_truth_attribute=None, probability_attribute=None), table)
    assert refused.value.code == "quality_columns.label_object"
    assert f"ground_truth_attribute to {first}," in str(refused.value)
    for attribute in (first, first.removeprefix("groundTruthData.")):
        analyzer = binary_analyzer(ground_truth_attribute=attribute, probability_attribute=None)
        assert measure(analyzer, table).item_count == 2


def test_labels_of_the_data_beside_labels_from_elsewhere_are_refused() -> None:
    table = batch(prediction=[1, 0], label=["0", "1"], groundTruthData=["1", "0"])
    with pytest.raises(DatasetError) as refused:
        measure(binary_analyzer(ground_truth_attribute="label", probability_attribute=None), table)
    assert refused.value.code == "quality_columns.two_labels"
    analyzer = binary_analyzer(ground_truth_attribute=None, probability_attribute=None)
    assert measure(analyzer, table).metrics["accuracy"].value == 1.0
