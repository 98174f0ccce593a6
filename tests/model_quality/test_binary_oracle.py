"""Binary metrics against scikit-learn and against what the original service wrote."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow.csv as csv
import pytest
from fixtures import fixture
from quality_tables import batch, binary_analyzer, binary_batch, measure
from sklearn import metrics as oracle

from analyzers.model_quality.analyzer import ModelQualityAnalyzer
from analyzers.model_quality.documents import (
    MODEL_QUALITY,
    PR_CURVE,
    ROC_CURVE,
    QualityStatistics,
    read_statistics,
)
from contract import json_layout

SERVICE_AUC = 0.9395127993393898


def assert_equal_to_oracle(
    statistics: QualityStatistics, labels: np.ndarray, predictions: np.ndarray, scores: np.ndarray
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns where a metric is undefined
        expected = {
            "accuracy": oracle.accuracy_score(labels, predictions),
            "recall": oracle.recall_score(labels, predictions, zero_division=np.nan),
            "precision": oracle.precision_score(labels, predictions, zero_division=np.nan),
            "true_negative_rate": oracle.recall_score(labels, predictions, pos_label=0, zero_division=np.nan),
            "log_loss": oracle.log_loss(labels, scores, labels=[0, 1]),
            "brier_score": oracle.brier_score_loss(labels, scores, pos_label=1),
        }
        for name, beta in (("f0_5", 0.5), ("f1", 1.0), ("f2", 2.0)):
            expected[name] = oracle.fbeta_score(labels, predictions, beta=beta, zero_division=np.nan)
        majority = np.full(labels.size, int(2 * labels.sum() > labels.size))
        expected["accuracy_best_constant_classifier"] = oracle.accuracy_score(labels, majority)
        if 0 < labels.sum() < labels.size:
            expected["auc"] = oracle.roc_auc_score(labels, scores)
            expected["average_precision"] = oracle.average_precision_score(labels, scores)
        else:
            expected["auc"] = np.nan
    for name, value in expected.items():
        found = statistics.value(name)
        if np.isnan(value):
            assert found is None, name
            assert any(name in note for note in statistics.notes), name
        else:
            assert found == pytest.approx(value, rel=1e-12, abs=1e-12), name
    recall = statistics.value("recall")
    assert statistics.value("true_positive_rate") == recall
    if recall is not None:
        assert statistics.value("false_negative_rate") == pytest.approx(1.0 - recall)


@pytest.mark.parametrize("seed", range(100))
def test_binary_metrics_equal_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows = int(generator.integers(1, 400))
    table = binary_batch(
        generator,
        rows,
        share=float(generator.choice([0.02, 0.3, 0.5, 0.97])),
        distance=float(generator.uniform(0.0, 3.0)),
        digits=int(generator.integers(1, 8)),
    )
    labels, predictions, scores = (
        np.asarray(table.column(name)) for name in ("label", "prediction", "score")
    )
    assert_equal_to_oracle(measure(binary_analyzer(), table), labels, predictions, scores)


def test_curves_equal_scikit_learn() -> None:
    table = binary_batch(np.random.default_rng(1), 500, digits=2)
    labels, scores = np.asarray(table.column("label")), np.asarray(table.column("score"))
    curves = measure(binary_analyzer(), table).curves
    false_rates, true_rates, _ = oracle.roc_curve(labels, scores, drop_intermediate=False)
    assert curves[ROC_CURVE]["false_positive_rates"] == pytest.approx([*false_rates, 1.0])
    assert curves[ROC_CURVE]["true_positive_rates"] == pytest.approx([*true_rates, 1.0])
    precisions, recalls, _ = oracle.precision_recall_curve(labels, scores)
    # scikit-learn ends at precision 1 and recall 0, the originals start at the top score's precision.
    assert curves[PR_CURVE]["precisions"][1:] == pytest.approx(precisions[:-1][::-1])
    assert curves[PR_CURVE]["recalls"][1:] == pytest.approx(recalls[:-1][::-1])
    assert curves[PR_CURVE]["recalls"][0] == 0.0
    assert curves[PR_CURVE]["precisions"][0] == curves[PR_CURVE]["precisions"][1]


def test_curves_are_thinned_as_in_the_originals_and_the_area_is_not() -> None:
    table = binary_batch(np.random.default_rng(2), 20_000, digits=12)
    labels, scores = np.asarray(table.column("label")), np.asarray(table.column("score"))
    distinct = np.unique(scores).size
    sound, sagemaker = (measure(binary_analyzer(rules=rules), table) for rules in ("sound", "sagemaker"))
    assert len(sound.curves[ROC_CURVE]["true_positive_rates"]) == -(-distinct // (distinct // 1000)) + 2
    assert sound.value("auc") == pytest.approx(oracle.roc_auc_score(labels, scores), abs=1e-12)
    assert sagemaker.value("auc") != sound.value("auc")
    assert sagemaker.value("auc") == pytest.approx(sound.value("auc"), abs=1e-4)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_the_recorded_window_has_the_area_of_the_service(rules: str) -> None:
    file = fixture("model_monitor/mq_binary/validation_with_predictions.csv")
    analyzer = binary_analyzer(rules=rules, probability_attribute="probability")
    table = csv.read_csv(file)
    statistics = measure(analyzer, *table.to_batches())
    assert statistics.value("auc") == SERVICE_AUC
    assert statistics.confusion_matrix == {"0": {"0": 173, "1": 0}, "1": {"0": 12, "1": 16}}
    assert statistics.value("accuracy_best_constant_classifier") == pytest.approx(
        0.8606965174129353, abs=1e-15
    )
    frame = table.to_pandas()
    assert statistics.value("recall") == oracle.recall_score(frame.label, frame.prediction)
    constraints = analyzer.suggest(statistics, None)
    # Sound rules constrain log loss and Brier score too.
    assert len(constraints.metrics) == (13 if rules == "sound" else 11)
    for name, constraint in constraints.metrics.items():
        assert constraint.threshold == statistics.value(name)
    assert constraints.metrics["precision"].threshold == 1.0
    assert constraints.metrics["false_positive_rate"].threshold == 0.0
    assert constraints.metrics["false_positive_rate"].operator == "GreaterThanThreshold"


def test_the_file_has_the_shape_of_the_originals() -> None:
    path = fixture("model_monitor/sdk/model_quality_statistics_binary_classification.json")
    sample = json_layout.loads(path.read_bytes(), str(path))["binary_classification_metrics"]
    table = binary_batch(np.random.default_rng(3), 300)
    statistics = measure(binary_analyzer(rules="sagemaker"), table)
    written = MODEL_QUALITY.write_statistics(statistics, False)
    assert list(written) == ["version", "dataset", "binary_classification_metrics"]
    assert list(written["dataset"]) == ["item_count", "evaluation_time"]
    found = written["binary_classification_metrics"]
    assert set(found) == set(sample)
    for name, member in sample.items():
        assert list(found[name]) in (sorted(member, reverse=True), sorted(member)), name
    assert next(iter(found)) == "confusion_matrix"
    assert list(found)[-1] == "f2_best_constant_classifier"


def test_small_windows_have_no_spread_under_the_originals_rules() -> None:
    table = binary_batch(np.random.default_rng(4), 199)
    written = MODEL_QUALITY.write_statistics(measure(binary_analyzer(rules="sagemaker"), table), False)
    members = written["binary_classification_metrics"]
    assert {member["standard_deviation"] for member in members.values() if "value" in member} == {"NaN"}
    larger = binary_batch(np.random.default_rng(4), 200)
    written = MODEL_QUALITY.write_statistics(measure(binary_analyzer(rules="sagemaker"), larger), False)
    assert isinstance(written["binary_classification_metrics"]["auc"]["standard_deviation"], float)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_statistics_survive_writing_and_reading(rules: str) -> None:
    statistics = measure(binary_analyzer(rules=rules), binary_batch(np.random.default_rng(5), 3000))
    written = json_layout.dumps(MODEL_QUALITY.write_statistics(statistics, rules == "sound"))
    read = read_statistics(json_layout.loads(written, "statistics.json"), "statistics.json")
    assert json_layout.dumps(MODEL_QUALITY.write_statistics(read, True)) == written


@pytest.mark.parametrize(
    "path",
    [
        "model_monitor/sdk/model_quality_statistics_binary_classification.json",
        "model_monitor/sdk/model_quality_statistics_regression.json",
    ],
)
def test_recorded_statistics_survive_reading_and_writing(path: str) -> None:
    value = json_layout.loads(fixture(path).read_bytes(), path)
    assert MODEL_QUALITY.write_statistics(read_statistics(value, path), True) == value


def test_scores_alone_predict_from_the_threshold_on() -> None:
    analyzer = ModelQualityAnalyzer(
        problem_type="BinaryClassification",
        probability_attribute="1",
        probability_threshold=0.7,
        ground_truth_attribute="0",
    )
    statistics = measure(analyzer, batch(label=[1, 0, 1, 0], score=[0.7, 0.69, 0.9, 0.8]))
    assert statistics.confusion_matrix == {"0": {"0": 1, "1": 1}, "1": {"0": 0, "1": 2}}


def test_ten_million_rows_would_stay_within_a_millionth() -> None:
    # Compressing 200,000 distinct scores to 20,000 entries costs at least as much as 10M to half a million.
    from analyzers.model_quality.metrics import ScoreHistogram, cumulative

    generator = np.random.default_rng(6)
    labels = generator.random(200_000) < 0.2
    scores = generator.normal(size=labels.size) + 1.5 * labels
    histogram = ScoreHistogram()
    histogram.add(scores, labels)
    exact = oracle.roc_auc_score(labels, scores)
    compressed = histogram.compressed(20_000)
    assert compressed.scores.size <= 20_000
    assert cumulative(compressed, thinned=False).area == pytest.approx(exact, abs=1e-6)
