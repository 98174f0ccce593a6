"""Predictions that are missing, infinite, scores, or of another vocabulary than the labels."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from quality_tables import batch, binary_analyzer, measure, multiclass_analyzer, regression_analyzer
from refusals import refused
from scipy.stats import fisher_exact
from sentences import said as is_said
from sentences import says

from contract.api import Baseline, Decision, State
from contract.errors import DatasetError, DocumentError


def rows(count: int, lacking: int, seed: int = 0) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count)
    right = np.where(rng.random(count) < 0.8, label, 1 - label)
    prediction = [None if row < lacking else int(value) for row, value in enumerate(right)]
    return batch(label=label, prediction=pa.array(prediction, pa.int64()))


def decide(before: pa.RecordBatch, now: pa.RecordBatch) -> Decision:
    analyzer = binary_analyzer(probability_attribute=None)
    baseline = measure(analyzer, before)
    return analyzer.check(measure(analyzer, now), Baseline(baseline, analyzer.suggest(baseline, None)))


@pytest.mark.parametrize(
    ("before", "lacking", "state"),
    [
        (0, 0, State.HOLDS),
        (0, 3, State.HOLDS),
        (0, 15, State.CHANGED),
        (0, 60, State.VIOLATED),
        (400, 60, State.HOLDS),
        (400, 400, State.VIOLATED),
    ],
)
def test_the_share_of_missing_predictions(before: int, lacking: int, state: State) -> None:
    decision = decide(rows(8_000, before), rows(2_000, lacking, seed=1))
    (comparison,) = [one for one in decision.comparisons if one.check == "presence_check"]
    assert comparison.state is state
    table = [[lacking, 2_000 - lacking], [before, 8_000 - before]]
    assert comparison.p_value == pytest.approx(fisher_exact(table, "greater").pvalue, rel=1e-6)
    assert (comparison.rows, comparison.baseline_rows) == (2_000, 8_000)
    found = [
        violation for violation in decision.violations.violations if violation.metric_name == "predictions"
    ]
    assert bool(found) == (state is State.VIOLATED)


@pytest.mark.parametrize(("unusable", "state"), [(0, State.HOLDS), (10, State.CHANGED), (60, State.VIOLATED)])
@pytest.mark.parametrize("text", ["12,5", "inf"])
def test_labels_that_are_no_numbers(unusable: int, state: State, text: str) -> None:
    def table(count: int, lacking: int) -> pa.RecordBatch:
        labels = np.random.default_rng(count).normal(100.0, 10.0, count)
        texts = [text if row < lacking else f"{value:.3f}" for row, value in enumerate(labels)]
        return batch(label=texts, prediction=labels + np.tile([1.0, -1.0], count // 2))

    analyzer = regression_analyzer()
    before = measure(analyzer, table(8_000, 0))
    window = measure(analyzer, table(2_000, unusable))
    decision = analyzer.check(window, Baseline(before, analyzer.suggest(before, None)))
    assert [one.state for one in decision.comparisons if one.subject == "predictions"] == [state]
    assert window.unusable_label_count == unusable


@pytest.mark.parametrize(("unscored", "state"), [(0, None), (3, State.HOLDS), (60, State.VIOLATED)])
def test_scores_that_are_gone_are_compared_with_the_baseline(unscored: int, state: State | None) -> None:
    def table(count: int, lacking: int) -> pa.RecordBatch:
        label = np.random.default_rng(count).integers(0, 2, count)
        score = [None if row < lacking else 0.2 + 0.6 * value for row, value in enumerate(label)]
        return batch(label=label, prediction=label, score=pa.array(score, pa.float64()))

    analyzer = binary_analyzer(probability_attribute="score")
    before = measure(analyzer, table(2_000, 0))
    window = measure(analyzer, table(400, unscored))
    decision = analyzer.check(window, Baseline(before, analyzer.suggest(before, None)))
    found = [one.state for one in decision.comparisons if one.subject == "scores"]
    assert found == ([] if state is None else [state])


def classes(count: int, names: str, seed: int) -> pa.RecordBatch:
    label = np.random.default_rng(seed).choice(list(names), count)
    return batch(label=label, prediction=np.where(np.arange(count) % 5, label, names[0]))


@pytest.mark.parametrize(
    ("names", "rows", "gone"), [("abc", 500, False), ("ab", 500, True), ("ab", 6, False)]
)
def test_a_class_that_is_gone_from_the_labels_is_left_open(names: str, rows: int, gone: bool) -> None:
    analyzer = multiclass_analyzer()
    before = measure(analyzer, classes(3_000, "abc", 1))
    window = measure(analyzer, classes(rows, names, 2))
    decision = analyzer.check(window, Baseline(before, analyzer.suggest(before, None)))
    left = [one for one in decision.comparisons if one.subject == "classes"]
    assert [(one.state, one.lost) for one in left] == ([(State.UNDECIDED, True)] if gone else [])
    assert not gone or (says(left[0].reason, "quality_notes.gone") and "'c'" in left[0].reason)
    assert decision.fails_gate == (gone or rows < 30)


@pytest.mark.parametrize("unit", [1000.0, 0.001])
def test_labels_in_another_unit_than_the_baseline(unit: float) -> None:
    rng = np.random.default_rng(0)

    def table(scale: float) -> pa.RecordBatch:
        labels = rng.normal(100.0, 30.0, 1_000)
        return batch(label=labels * scale, prediction=(labels + rng.normal(0.0, 5.0, 1_000)) * scale)

    analyzer = regression_analyzer()
    before = measure(analyzer, table(1.0))
    baseline = Baseline(before, analyzer.suggest(before, None))
    assert not is_said(
        analyzer.check(measure(analyzer, table(1.0)), baseline).notes, "quality_notes.other_unit"
    )
    decision = analyzer.check(measure(analyzer, table(unit)), baseline)
    assert says(decision.notes, "quality_notes.other_unit")
    states = {one.subject: one.state for one in decision.comparisons}
    # An error of a thousandth holds nothing.
    assert {states[name] for name in ("mae", "mse", "rmse")} == {
        State.VIOLATED if unit > 1.0 else State.UNDECIDED
    }
    assert states["r2"] is State.HOLDS
    assert decision.fails_gate or decision.violations.violations


def test_why_metrics_of_probabilities_are_not_decided() -> None:
    analyzer = binary_analyzer()
    label = np.random.default_rng(1).integers(0, 2, 500)
    score = 0.2 + 0.6 * label
    before = measure(analyzer, batch(label=label, prediction=label, score=score))
    window = measure(analyzer, batch(label=label, prediction=label, score=score * 100.0))
    decision = analyzer.check(window, Baseline(before, analyzer.suggest(before, None)))
    reasons = {one.subject: one.reason for one in decision.undecided}
    assert set(reasons) == {"log_loss", "brier_score"}
    assert all("probabilities" in reason for reason in reasons.values())


def test_labels_of_several_cells_need_the_name_of_one() -> None:
    columns = {"prediction": [1, 0], "groundTruthData.0": ["1", "0"], "groundTruthData.1": ["7", "8"]}
    settings = {"ground_truth_attribute": None, "probability_attribute": None}
    with refused(DatasetError, "quality_columns.label_cells", field="ground_truth_attribute"):
        measure(binary_analyzer(**settings), batch(**columns))
    named = binary_analyzer(**{**settings, "ground_truth_attribute": "groundTruthData.0"})
    assert measure(named, batch(**columns)).item_count == 2


def test_infinite_predictions_are_said_to_be_infinite() -> None:
    statistics = measure(
        regression_analyzer(),
        batch(label=[1.0, 2.0, 3.0], prediction=[1.0, np.inf, -np.inf]),
        batch(label=["1", "2"], prediction=["inf", "2"]),
    )
    assert any(note.startswith("3 predictions are infinite") for note in statistics.notes)
    assert statistics.unpredicted_count == 3


@pytest.mark.parametrize(
    ("analyzer", "label", "prediction"),
    [
        (binary_analyzer(probability_attribute=None, positive_label="yes"), ["yes", "no"], [1, 0]),
        (binary_analyzer(probability_attribute=None), [1, 0], ["yes", "no"]),
        (multiclass_analyzer(), ["cat", "dog", "cow"], [0, 1, 2]),
        (multiclass_analyzer(), ["007", "008", "009", "010"], [7, 8, 9, 10]),
        (multiclass_analyzer(), ['["a"]', '["b"]', '["c"]', '["d"]'], ["a", "b", "c", "d"]),
    ],
)
def test_vocabularies_that_have_nothing_in_common_are_refused(analyzer, label, prediction) -> None:
    statistics = measure(analyzer, batch(label=label * 5, prediction=prediction * 5))
    with pytest.raises(DatasetError) as refused:
        analyzer.suggest(statistics, None)
    assert refused.value.code == "quality_labels.vocabulary"
    assert "inference_attribute" in refused.value.fix


@pytest.mark.parametrize("analyzer", [binary_analyzer(probability_attribute=None), multiclass_analyzer()])
def test_wrong_answers_are_no_other_vocabulary(analyzer) -> None:
    statistics = measure(analyzer, batch(label=[1, 1, 1], prediction=[0, 0, 0]))
    analyzer.suggest(statistics, None)


@pytest.mark.parametrize(
    ("label", "prediction"), [(["a", "b"] * 9, ["c", "d"] * 9), (["a"] * 90, ["b", "c"] * 45)]
)
def test_few_rows_or_one_class_may_all_be_answered_wrongly(label, prediction) -> None:
    analyzer = multiclass_analyzer()
    analyzer.suggest(measure(analyzer, batch(label=label, prediction=prediction)), None)


def test_a_score_given_as_a_label_says_so() -> None:
    analyzer = binary_analyzer(probability_attribute=None)
    scores = np.linspace(0.01, 0.99, 50)
    statistics = measure(analyzer, batch(label=[0, 1] * 25, prediction=scores))
    with pytest.raises(DatasetError, match=r"'0\.01'") as refused:
        analyzer.suggest(statistics, None)
    assert (refused.value.code, refused.value.field) == ("quality_labels.scores", "inference_attribute")


@pytest.mark.parametrize(
    ("analyzer", "label", "prediction"),
    [
        (multiclass_analyzer(), ["cat", "dog", "cow"], ["Cat", "Dog", "Cow"]),
        (multiclass_analyzer(), ["cat", "dog", "cow"], ["Cat ", "dog", "cow"]),
        (binary_analyzer(probability_attribute=None, positive_label="Yes"), ["Yes", "No"], ["yes", "No"]),
        (binary_analyzer(probability_attribute=None, positive_label="yes"), ["yes", "no"], ["YES", "NO"]),
        (multiclass_analyzer(), ["caf\u00e9", "bar"], ["cafe\u0301", "bar"]),
    ],
)
def test_labels_and_predictions_in_another_letter_case_are_refused(analyzer, label, prediction) -> None:
    statistics = measure(analyzer, batch(label=label * 5, prediction=prediction * 5))
    with pytest.raises(DatasetError) as refused:
        analyzer.suggest(statistics, None)
    assert refused.value.code == "quality_labels.letter_case"


@pytest.mark.parametrize(
    ("label", "prediction"),
    [
        (["cat ", "dog"], ["cat", " dog"]),
        (["a", "A", "b"], ["a", "B", "b"]),
        ([True, False], ["true", "FALSE"]),
    ],
)
def test_blanks_do_not_count_and_letter_case_may(label, prediction) -> None:
    analyzer = multiclass_analyzer()
    analyzer.suggest(measure(analyzer, batch(label=label * 5, prediction=prediction * 5)), None)


def scored(scores: np.ndarray, *, flipped: bool = False) -> pa.RecordBatch:
    """Return rows whose higher scores have the label 1, or 0 when `flipped`."""
    order = np.argsort(np.argsort(scores)) * 2 >= scores.size
    label = (order != flipped).astype(np.int64)
    return batch(label=label, prediction=label, score=scores)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
@pytest.mark.parametrize(
    ("scores", "why"),
    [
        (np.linspace(3.0, 97.0, 40), "predicted positive"),
        (np.linspace(-9.0, -1.0, 40), "predicted negative"),
        (np.linspace(-3.0, 3.0, 40), "most of them"),
        (np.linspace(0.01, 97.0, 40), "most of them"),
    ],
)
def test_scores_on_another_scale_than_the_threshold_are_refused(scores, why, rules) -> None:
    analyzer = binary_analyzer(inference_attribute=None, rules=rules)
    with pytest.raises(DatasetError, match=why) as refused:
        analyzer.suggest(measure(analyzer, scored(scores)), None)
    assert (refused.value.code, refused.value.field) == ("quality_rows.scale", "probability_attribute")


@pytest.mark.parametrize(
    ("settings", "scores"),
    [
        ({"probability_threshold": 50.0}, np.linspace(3.0, 97.0, 40)),
        ({"probability_threshold": 0.0}, np.linspace(1.0, 9.0, 40)),
        ({"probability_threshold": 0.5}, np.linspace(-3.0, 3.0, 40)),
        ({}, np.linspace(-0.2, 1.2, 40)),
        ({}, np.linspace(0.6, 1.0000001, 40)),
        ({"inference_attribute": "prediction"}, np.linspace(3.0, 97.0, 40)),
    ],
)
def test_scores_on_the_scale_of_the_threshold_are_taken(settings, scores) -> None:
    analyzer = binary_analyzer(**{"inference_attribute": None, **settings})
    analyzer.suggest(measure(analyzer, scored(scores)), None)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_scores_that_rank_labels_backwards_are_noted(rules: str) -> None:
    analyzer = binary_analyzer(inference_attribute=None, rules=rules)
    scores = np.random.default_rng(3).random(200)
    noisy = batch(label=np.random.default_rng(4).integers(0, 2, 200), score=scores)
    for table, is_noted in ((scored(scores, flipped=True), True), (scored(scores), False), (noisy, False)):
        statistics = measure(analyzer, table)
        said = [note for note in statistics.notes if "backwards" in note]
        assert bool(said) is is_noted
        assert all("positive_label" in note and "probability_attribute" in note for note in said)


def test_a_baseline_of_scores_that_rank_backwards_needs_the_positive_label() -> None:
    scores = np.random.default_rng(3).random(200)
    unnamed = binary_analyzer(inference_attribute=None, positive_label=None)
    with pytest.raises(DatasetError) as refused:
        unnamed.suggest(measure(unnamed, scored(scores, flipped=True)), None)
    assert (refused.value.code, refused.value.field) == ("quality_rows.backwards", "positive_label")
    baseline = measure(unnamed, scored(scores))
    for settings in ({"positive_label": "1"}, {"rules": "sagemaker"}):
        named = binary_analyzer(inference_attribute=None, **settings)
        assert named.suggest(measure(named, scored(scores, flipped=True)), None)
    # In a window it is damage.
    known = Baseline(baseline, unnamed.suggest(baseline, None))
    assert unnamed.suggest(measure(unnamed, scored(scores, flipped=True)), known)


def test_the_end_of_a_violation_is_what_parsers_of_the_original_read() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 3_000)
    worse = batch(label=label, prediction=np.where(rng.random(3_000) < 0.6, label, 1 - label))
    violations = decide(rows(5_000, 0), worse).violations.violations
    assert violations
    for violation in violations:
        found = re.search(
            r"Metric (\S+) with (\S+) \+/- (\S+) was (Less|Greater)ThanThreshold '(\S+)'$",
            violation.description,
        )
        assert found
        assert found[1] == violation.metric_name
        assert (float(found[2]) < float(found[5])) == (found[4] == "Less")
        head = violation.description[: found.start()]
        assert re.match(rf"{violation.metric_name} (fell below|rose above) \S+: it is ", head)
        assert "over 3,000 rows, and was" in head
        assert "over 5,000 at the baseline; chance would do this" in head


def _said(statistics, words: str) -> bool:
    return any(words in note for note in statistics.notes)


def test_scores_beyond_probabilities_name_their_threshold() -> None:
    analyzer = binary_analyzer(inference_attribute=None)
    percent = batch(label=[1, 0, 1, 0], score=[98.0, 0.2, 60.0, 4.0])
    assert _said(measure(analyzer, percent), "Scores of 0.5 or more count as predicted positive")
    margins = batch(label=[1, 0], score=[3.0, -1.0])
    assert not _said(
        measure(binary_analyzer(inference_attribute=None, probability_threshold=0.0), margins), "or more"
    )
    labelled = batch(label=[1, 0], score=[98.0, 0.2], prediction=[1, 0])
    assert not _said(measure(binary_analyzer(), labelled), "or more")


def test_scores_of_whichever_label_is_predicted() -> None:
    label = [0, 1] * 20
    score = np.where(label, 0.9, 0.2)
    for scores, said in ((np.maximum(score, 1.0 - score), True), (score, False)):
        assert (
            _said(
                measure(binary_analyzer(), batch(label=label, prediction=label, score=scores)),
                "the predicted label",
            )
            is said
        )


def test_columns_of_probabilities_called_by_other_classes() -> None:
    label = ["cat", "dog", "eel"] * 10
    table = np.where(np.eye(3, dtype=bool)[[0, 1, 2] * 10], 0.8, 0.1).T
    for names, said in (
        (("eel", "dog", "cat"), "another class"),
        (("cat", "dog", "eel"), ""),
        (("0", "1", "2"), "'cat'"),
    ):
        columns = {f"p.{name}": column for name, column in zip(names, table, strict=True)}
        statistics = measure(
            multiclass_analyzer(probability_attribute="p"), batch(label=label, prediction=label, **columns)
        )
        assert _said(statistics, said) is bool(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v, False),
        (lambda v: v / 1_000.0, True),
        (lambda v: v * 1_000.0, True),
        (lambda v: 0.0 * v + 100.0, False),
    ],
)
def test_predictions_in_another_unit(change, said: bool) -> None:
    label = np.random.default_rng(5).normal(100.0, 20.0, 50)
    statistics = measure(regression_analyzer(), batch(label=label, prediction=change(label + 3.0)))
    assert _said(statistics, "write both in one unit") is said


def test_the_positive_label_is_that_of_the_baseline() -> None:
    before, now = (binary_analyzer(probability_attribute=None, positive_label=text) for text in ("0", "1"))
    baseline = measure(before, rows(500, 0))
    known = Baseline(baseline, before.suggest(baseline, None))
    assert before.check(measure(before, rows(400, 0, seed=1)), known).comparisons
    with pytest.raises(DocumentError) as refused:
        now.check(measure(now, rows(400, 0, seed=1)), known)
    assert (refused.value.code, refused.value.field) == ("quality_documents.positive_label", "positive_label")
