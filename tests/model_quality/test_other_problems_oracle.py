"""Multiclass and regression metrics against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from fixtures import fixture
from quality_tables import batch, measure, multiclass_analyzer, regression_analyzer
from sklearn import metrics as oracle

from analyzers.model_quality.documents import MODEL_QUALITY
from contract import json_layout

LABELS = np.array(["cat", "dog", "bird", "fish", "newt"])


@pytest.mark.parametrize("seed", range(60))
def test_multiclass_metrics_equal_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows, classes = int(generator.integers(1, 300)), int(generator.integers(1, 6))
    labels = LABELS[generator.integers(0, classes, rows)]
    # Some classes are never predicted, others never occur.
    predictions = np.where(generator.random(rows) < 0.6, labels, LABELS[generator.integers(1, 5, rows)])
    predictions[predictions == "bird"] = "dog"
    statistics = measure(multiclass_analyzer(), batch(label=labels.tolist(), prediction=predictions.tolist()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns where a metric is undefined
        options = {"average": "weighted", "zero_division": 0}
        expected = {
            "accuracy": oracle.accuracy_score(labels, predictions),
            "weighted_recall": oracle.recall_score(labels, predictions, **options),
            "weighted_precision": oracle.precision_score(labels, predictions, **options),
            "weighted_f0_5": oracle.fbeta_score(labels, predictions, beta=0.5, **options),
            "weighted_f1": oracle.fbeta_score(labels, predictions, beta=1.0, **options),
            "weighted_f2": oracle.fbeta_score(labels, predictions, beta=2.0, **options),
        }
        names, counts = np.unique(labels, return_counts=True)
        constant = np.full(rows, names[np.argmax(counts)])
        for name, beta in (("f0_5", 0.5), ("f1", 1.0), ("f2", 2.0)):
            expected[f"weighted_{name}_best_constant_classifier"] = oracle.fbeta_score(
                labels, constant, beta=beta, **options
            )
        expected["weighted_precision_best_constant_classifier"] = oracle.precision_score(
            labels, constant, **options
        )
        matrix = oracle.confusion_matrix(labels, predictions)
    for name, value in expected.items():
        assert statistics.value(name) == pytest.approx(value, rel=1e-12, abs=1e-12), name
    found = [list(row.values()) for row in statistics.confusion_matrix.values()]
    assert found == matrix.tolist()


def test_probabilities_of_several_classes() -> None:
    generator = np.random.default_rng(1)
    classes, rows = LABELS[:4], 500
    probabilities = generator.dirichlet(np.ones(4), rows)
    places = np.array([generator.choice(4, p=row) for row in probabilities])
    labels = classes[places]
    columns = {f"p.{name}": probabilities[:, place].tolist() for place, name in enumerate(classes)}
    table = batch(label=labels.tolist(), prediction=classes[probabilities.argmax(axis=1)].tolist(), **columns)
    order = np.argsort(classes)
    for attribute in ("p", ",".join(columns)):
        statistics = measure(multiclass_analyzer(probability_attribute=attribute), table)
        expected = {
            "log_loss": oracle.log_loss(labels, probabilities[:, order]),
            "brier_score": oracle.brier_score_loss(
                labels, probabilities[:, order], labels=classes[order], scale_by_half=False
            ),
            "top_2_accuracy": oracle.top_k_accuracy_score(labels, probabilities[:, order], k=2),
            "top_3_accuracy": oracle.top_k_accuracy_score(labels, probabilities[:, order], k=3),
        }
        for name, value in expected.items():
            assert statistics.value(name) == pytest.approx(value, rel=1e-12), name
        assert statistics.value("top_5_accuracy") is None
        # The labels were drawn from the probabilities, so these are calibrated.
        assert statistics.value("expected_calibration_error") < 0.08


@pytest.mark.parametrize("first", ["very_low", "low"])
def test_classes_are_told_by_what_all_names_begin_with(first: str) -> None:
    # Whichever column comes first: the part that they share ends at a separator that all of them have.
    names = dict.fromkeys((first, "very_low", "low", "high"))
    labels = ["very_low", "low", "high", "low"]
    columns = {f"p_{name}": [0.8 if name == label else 0.1 for label in labels] for name in names}
    analyzer = multiclass_analyzer(probability_attribute=",".join(columns))
    statistics = measure(analyzer, batch(label=labels, prediction=labels, **columns))
    assert statistics.value("log_loss") == pytest.approx(-np.log(0.8))
    assert statistics.value("top_2_accuracy") == 1.0
    assert not [note for note in statistics.notes if "p_" in note]


@pytest.mark.parametrize("seed", range(40))
def test_regression_metrics_equal_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows = int(generator.integers(2, 6000))
    labels = generator.normal(float(generator.choice([0.0, 50.0, 1e6])), 3.0, rows)
    predictions = labels + generator.standard_t(3.0, rows)
    if seed % 4 == 0:
        labels[: rows // 2] = 0.0
    statistics = measure(regression_analyzer(), batch(label=labels.tolist(), prediction=predictions.tolist()))
    nonzero = labels != 0.0
    expected = {
        "mae": oracle.mean_absolute_error(labels, predictions),
        "mse": oracle.mean_squared_error(labels, predictions),
        "rmse": oracle.root_mean_squared_error(labels, predictions),
        "mape": oracle.mean_absolute_percentage_error(labels[nonzero], predictions[nonzero]),
    }
    for quantile in (0.1, 0.5, 0.9):
        name = f"pinball_loss_{quantile}".replace(".", "_")
        expected[name] = oracle.mean_pinball_loss(labels, predictions, alpha=quantile)
    for name, value in expected.items():
        assert statistics.value(name) == pytest.approx(value, rel=1e-12), name
    assert statistics.value("r2") == pytest.approx(oracle.r2_score(labels, predictions), rel=1e-9, abs=1e-9)


def test_the_regression_file_has_the_shape_of_the_originals() -> None:
    path = fixture("model_monitor/sdk/model_quality_statistics_regression.json")
    sample = json_layout.loads(path.read_bytes(), str(path))
    generator = np.random.default_rng(2)
    labels = generator.normal(size=627)
    table = batch(label=labels.tolist(), prediction=(labels + generator.normal(size=627)).tolist())
    statistics = measure(regression_analyzer(rules="sagemaker"), table)
    written = MODEL_QUALITY.write_statistics(statistics, False)

    def shape(value: object) -> object:
        return (
            {name: shape(member) for name, member in value.items()}
            if isinstance(value, dict)
            else type(value)
        )

    assert json_layout.dumps(shape_texts(shape(written))) == json_layout.dumps(shape_texts(shape(sample)))


def shape_texts(value: object) -> object:
    if isinstance(value, dict):
        return {name: shape_texts(member) for name, member in value.items()}
    return str(value)


def test_the_recorded_regression_window_is_judged_as_the_service_did() -> None:
    path = fixture("model_monitor/mq_regression/service_output.json")
    recorded = json_layout.loads(path.read_bytes(), str(path))
    baseline = MODEL_QUALITY.read_constraints(recorded["constraints"], "constraints.json")
    window = MODEL_QUALITY.read_statistics(recorded["statistics"], "statistics.json")
    worse = recorded["violations"][0]
    window.item_count = 1000
    window.metrics = {"r2": window.metrics["r2"]}
    window.metrics["r2"].value = -53.790146743270654
    window.metrics["r2"].standard_deviation = 4.829550001308316
    from contract.api import Baseline

    decision = regression_analyzer(rules="sagemaker").check(window, Baseline(None, baseline))
    (violation,) = decision.violations.violations
    assert violation.description == worse["description"]
    assert violation.metric_name == worse["metric_name"]
    assert violation.constraint_check_type == worse["constraint_check_type"]
