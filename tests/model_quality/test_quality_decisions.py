"""Constraints, decisions by both sets of rules, and estimates for rows without labels."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pytest
from quality_tables import (
    batch,
    binary_analyzer,
    binary_batch,
    measure,
    multiclass_analyzer,
    regression_analyzer,
)
from refusals import refused
from scipy.stats import beta
from sentences import said

from analyzers.model_quality.analyzer import ModelQualityAnalyzer
from analyzers.model_quality.check import _chance_of_meeting
from analyzers.model_quality.documents import (
    MODEL_QUALITY,
    MetricConstraint,
    QualityBaseline,
    QualityStatistics,
    read_constraints,
    read_statistics,
)
from analyzers.model_quality.intervals import area_interval
from analyzers.model_quality.metrics import isotonic
from contract import json_layout
from contract.api import Baseline, Decision, State
from contract.errors import DocumentError


def baseline_of(analyzer: ModelQualityAnalyzer, table: pa.RecordBatch) -> QualityBaseline:
    """Return the baseline as a later job reads it from its files."""
    statistics = measure(analyzer, table)
    sound = analyzer.rules == "sound"
    written = json_layout.dumps(MODEL_QUALITY.write_statistics(statistics, sound))
    constraints = json_layout.dumps(MODEL_QUALITY.write_constraints(analyzer.suggest(statistics, None)))
    return Baseline(
        read_statistics(json_layout.loads(written, "statistics.json"), "statistics.json"),
        read_constraints(json_layout.loads(constraints, "constraints.json"), "constraints.json"),
    )


def turned(table: pa.RecordBatch, share: float, generator: np.random.Generator) -> pa.RecordBatch:
    """Return the table with a share of its labels turned round."""
    labels = np.asarray(table.column("label"))
    labels = np.where(generator.random(labels.size) < share, 1 - labels, labels)
    return batch(label=labels, prediction=table.column("prediction"), score=table.column("score"))


def test_sound_rules_hold_without_change_and_find_five_points() -> None:
    generator = np.random.default_rng(1)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    alarms = found = 0
    for _ in range(8):
        window = binary_batch(generator, 5000)
        alarms += bool(analyzer.check(measure(analyzer, window), baseline).violations.violations)
        worse = measure(analyzer, turned(window, 0.08, generator))
        violations = analyzer.check(worse, baseline).violations.violations
        found += "accuracy" in {violation.metric_name for violation in violations}
    assert alarms <= 1
    assert found == 8


def test_sagemaker_rules_alarm_at_any_value_that_is_worse() -> None:
    generator = np.random.default_rng(2)
    analyzer = binary_analyzer(rules="sagemaker")
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    window = measure(analyzer, turned(binary_batch(generator, 5000), 0.2, generator))
    violations = analyzer.check(window, baseline).violations.violations
    assert [violation.metric_name for violation in violations] == [
        "auc", "precision", "truePositiveRate", "f1", "accuracy", "falsePositiveRate", "trueNegativeRate",
        "falseNegativeRate", "recall", "f2", "f0_5",
    ]  # fmt: skip
    first = violations[0]
    auc = window.metrics["auc"]
    threshold = json_layout.java_double(baseline.constraints.metrics["auc"].threshold)
    assert first.constraint_check_type == "LessThanThreshold"
    assert first.description == (
        f"Metric auc with {json_layout.java_double(auc.value)} +/- "
        f"{json_layout.java_double(auc.standard_deviation)} was LessThanThreshold '{threshold}'"
    )
    assert violations[5].constraint_check_type == "GreaterThanThreshold"


def test_a_threshold_that_somebody_set_is_exact_and_stays() -> None:
    generator = np.random.default_rng(3)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    constraints = baseline.constraints
    constraints.metrics = {
        "accuracy": MetricConstraint(0.5, "LessThanThreshold", {"additional_properties": None}),
        "log_loss": MetricConstraint(0.01, "GreaterThanThreshold"),
        "auc": constraints.metrics["auc"],
    }
    window = measure(analyzer, binary_batch(generator, 5000))
    violations = analyzer.check(window, baseline).violations.violations
    assert [violation.metric_name for violation in violations] == ["log_loss"]
    suggested = analyzer.suggest(window, baseline).metrics
    assert suggested["accuracy"] == constraints.metrics["accuracy"]
    assert suggested["log_loss"].threshold == 0.01
    assert suggested["auc"].threshold == window.value("auc")
    assert set(suggested) == {"accuracy", "log_loss", "auc"}


def test_a_constraint_on_no_metric_is_refused() -> None:
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(np.random.default_rng(4), 500))
    baseline.constraints.metrics["acuracy"] = MetricConstraint(0.9, "LessThanThreshold")
    with pytest.raises(DocumentError, match="did you mean 'accuracy'"):
        analyzer.check(measure(analyzer, binary_batch(np.random.default_rng(5), 500)), baseline)


@pytest.mark.parametrize("name", ["accuracy", "false_positive_rate", "log_loss", "average_precision"])
def test_a_comparison_operator_turned_round_is_refused(name: str) -> None:
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(np.random.default_rng(4), 500))
    assert baseline.constraints is not None
    right, wrong = "LessThanThreshold", "GreaterThanThreshold"
    if name in ("false_positive_rate", "log_loss"):
        right, wrong = wrong, right
    window = measure(analyzer, binary_batch(np.random.default_rng(5), 500))
    baseline.constraints.metrics[name] = MetricConstraint(0.5, right)
    analyzer.check(window, baseline)
    baseline.constraints.metrics[name] = MetricConstraint(0.5, wrong)
    with pytest.raises(DocumentError) as refused:
        analyzer.check(window, baseline)
    assert refused.value.code == "quality_documents.operator"
    assert f"of {name} is {wrong}" in str(refused.value)
    assert f"set it to {right}" in str(refused.value)


def test_a_baseline_of_another_problem_is_refused() -> None:
    baseline = baseline_of(binary_analyzer(), binary_batch(np.random.default_rng(4), 500))
    analyzer = regression_analyzer()
    with pytest.raises(DocumentError) as refused:
        analyzer.check(measure(analyzer, batch(label=[1.0, 2.0], prediction=[1.0, 2.5])), baseline)
    assert refused.value.code == "quality_documents.problem_type"


def test_a_small_window_says_how_many_rows_it_would_need() -> None:
    generator = np.random.default_rng(6)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 20_000))
    decision = analyzer.check(measure(analyzer, binary_batch(generator, 100)), baseline)
    assert any("The window has 100 labelled rows" in note and "recall (" in note for note in decision.notes)
    decision = analyzer.check(measure(analyzer, binary_batch(generator, 20_000)), baseline)
    assert not any("need more" in note for note in decision.notes)


def test_constraints_alone_are_exact() -> None:
    generator = np.random.default_rng(7)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    window = measure(analyzer, turned(binary_batch(generator, 5000), 0.1, generator))
    decision = analyzer.check(window, Baseline(None, baseline.constraints))
    assert decision.violations.violations
    assert any("thresholds are taken as exact" in note for note in decision.notes)


def test_statistics_that_tell_no_rows_are_not_called_statistics_of_none() -> None:
    """Some files of the originals have no `dataset`."""
    generator = np.random.default_rng(7)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    assert baseline.statistics is not None
    baseline.statistics.item_count = 0
    window = measure(analyzer, turned(binary_batch(generator, 5000), 0.2, generator))
    described = [one.description for one in analyzer.check(window, baseline).violations.violations]
    assert described
    assert not any("over 0" in text for text in described)


def test_no_number_of_rows_is_promised_where_the_baseline_is_too_small() -> None:
    """The originals write no spread of few rows, but their confusion matrix tells how few they were."""
    generator = np.random.default_rng(7)
    analyzer = binary_analyzer()
    before = batch(label=[0, 0, 1, 1], prediction=[0, 0, 1, 1], score=[0.1, 0.2, 0.8, 0.9])
    baseline = baseline_of(analyzer, before)
    assert baseline.statistics is not None
    for metric in baseline.statistics.metrics.values():
        metric.standard_deviation = metric.interval = None
    decision = analyzer.check(measure(analyzer, binary_batch(generator, 5000)), baseline)
    [why] = {one.reason for one in decision.comparisons if one.subject == "accuracy"}
    assert why.endswith("the baseline is too small for any to do so")


def test_a_smaller_share_of_the_budget_asks_for_more() -> None:
    generator = np.random.default_rng(8)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    window = measure(analyzer, turned(binary_batch(generator, 600), 0.05, generator))
    counts = [
        len(analyzer.with_error_share(share).check(window, baseline).violations.violations)
        for share in (1.0, 0.1, 1e-3)
    ]
    assert counts == sorted(counts, reverse=True)


def test_the_share_of_one_of_many_segments_suffices_for_a_collapse() -> None:
    generator = np.random.default_rng(15)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    window = measure(analyzer, turned(binary_batch(generator, 2000), 0.3, generator))
    decision = analyzer.with_error_share(0.5 / 50).check(window, baseline)
    assert "accuracy" in {violation.metric_name for violation in decision.violations.violations}


@pytest.mark.parametrize("segments", [1, 50, 5_000])
@pytest.mark.parametrize("rows", [100, 1_000, 10_000])
def test_a_share_that_fell_to_nothing_is_found_however_many_segments_there_are(
    rows: int, segments: int
) -> None:
    generator = np.random.default_rng(16)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    table = binary_batch(generator, rows)
    never = batch(label=table.column("label"), prediction=np.zeros(rows, int), score=table.column("score"))
    decision = analyzer.with_error_share(0.5 / segments).check(measure(analyzer, never), baseline)
    found = next(one for one in decision.comparisons if one.subject == "recall")
    assert (found.state, found.value) == (State.VIOLATED, 0.0)
    assert (found.p_value or 0.0) < 1e-6


@pytest.mark.parametrize("hits", [0, 1, 40])
@pytest.mark.parametrize("others", [2, 300, 900])
def test_a_bound_of_chance_is_no_less_than_the_chance(hits: int, others: int) -> None:
    generator = np.random.default_rng(17)
    window, before = beta(hits + 0.5, 60.5), beta(others + 0.5, 1_000.5 - others)
    draws = [side.rvs(20_000, random_state=generator) for side in (window, before)]
    steps = np.linspace(0.0, 1.0, 100_001)[1:-1]
    low = window if window.mean() < before.mean() else before
    high = before if low is window else window
    chance = np.trapezoid(high.pdf(steps) * low.sf(steps), steps)
    assert _chance_of_meeting(*draws) > 0.95 * chance
    assert _chance_of_meeting(draws[0], np.array(before.mean())) > 0.95 * min(
        window.sf(before.mean()), window.cdf(before.mean())
    )


@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_other_problems_hold_without_change_and_find_one(problem: str) -> None:
    generator = np.random.default_rng(9)
    analyzer = multiclass_analyzer() if problem == "multiclass" else regression_analyzer()

    def table(worse: float) -> pa.RecordBatch:
        if problem == "multiclass":
            labels = generator.integers(0, 4, 4000)
            right = generator.random(4000) < 0.8 - worse
            return batch(label=labels, prediction=np.where(right, labels, generator.integers(0, 4, 4000)))
        labels = generator.normal(10.0, 3.0, 4000)
        return batch(label=labels, prediction=labels + (1.0 + worse) * generator.normal(size=4000))

    baseline = baseline_of(analyzer, table(0.0))
    assert not analyzer.check(measure(analyzer, table(0.0)), baseline).violations.violations
    assert analyzer.check(measure(analyzer, table(0.15)), baseline).violations.violations


def test_every_metric_is_published_by_its_name() -> None:
    statistics = measure(binary_analyzer(rules="sagemaker"), binary_batch(np.random.default_rng(10), 300))
    published = {metric.name for metric in binary_analyzer().metrics(statistics, None, None)}
    assert published >= {
        "f0_5_best_constant_classifier", "auc", "precision", "accuracy_best_constant_classifier",
        "true_positive_rate", "f1", "false_negative_rate", "recall_best_constant_classifier", "f2",
    }  # fmt: skip


def test_estimates_meet_what_the_labels_say_later() -> None:
    generator = np.random.default_rng(11)
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(generator, 5000))
    # The mix changes, so accuracy does; what a score means does not.
    labelled = binary_batch(generator, 20_000)
    scores = np.asarray(labelled.column("score"))
    kept = (scores < 0.1) | (scores > 0.6) | (generator.random(scores.size) < 0.3)
    labelled = labelled.filter(pa.array(kept))
    unlabelled = batch(
        label=pa.nulls(labelled.num_rows),
        prediction=labelled.column("prediction"),
        score=labelled.column("score"),
    )
    measured = measure(analyzer, labelled)
    window = analyzer.estimate(measure(analyzer, unlabelled), baseline)
    assert window.metrics == {}
    assert window.estimated["item_count"] == labelled.num_rows
    assert "no concept drift" in window.estimated["assumption"]
    for name in ("accuracy", "precision", "recall", "f1", "auc"):
        estimated = window.estimated["metrics"][name]["value"]
        assert estimated == pytest.approx(measured.value(name), abs=0.02), name
    decision = analyzer.check(window, baseline)
    assert not decision.violations.violations
    assert any("Estimated, not measured" in note for note in decision.notes)
    published = {metric.name for metric in analyzer.metrics(window, baseline, decision)}
    assert published == {f"estimated_{name}" for name in ("accuracy", "precision", "recall", "f1", "auc")}


def test_estimates_of_several_classes_come_from_confidence() -> None:
    generator = np.random.default_rng(12)
    analyzer = multiclass_analyzer(probability_attribute="confidence")

    def table(rows: int) -> pa.RecordBatch:
        confidence = generator.uniform(0.4, 1.0, rows)
        labels = generator.integers(0, 3, rows)
        wrong = (labels + 1) % 3
        right = generator.random(rows) < confidence**2
        return batch(label=labels, prediction=np.where(right, labels, wrong), confidence=confidence)

    baseline = baseline_of(analyzer, table(20_000))
    window = table(20_000)
    truth = measure(analyzer, window).value("accuracy")
    blank = window.set_column(0, "label", pa.nulls(window.num_rows))
    estimated = analyzer.estimate(measure(analyzer, blank), baseline).estimated
    assert estimated["metrics"]["accuracy"]["value"] == pytest.approx(truth, abs=0.02)


def test_no_estimate_without_a_sound_baseline() -> None:
    table = binary_batch(np.random.default_rng(13), 500)
    blank = table.set_column(0, "label", pa.nulls(500))
    for rules in ("sound", "sagemaker"):
        analyzer = binary_analyzer(rules=rules)
        baseline = baseline_of(binary_analyzer(rules="sagemaker"), table)
        assert analyzer.estimate(measure(analyzer, blank), baseline).estimated is None


@pytest.mark.parametrize("seed", range(10))
def test_isotonic_regression_equals_scikit_learn(seed: int) -> None:
    from sklearn.isotonic import isotonic_regression

    generator = np.random.default_rng(seed)
    rates, weights = generator.random(30), generator.integers(1, 9, 30).astype(float)
    expected = isotonic_regression(rates, sample_weight=weights)
    assert isotonic(rates, weights) == pytest.approx(expected)


def test_intervals_hold_the_value_and_stay_in_range() -> None:
    for rows in (1, 2, 5, 50, 500):
        statistics = measure(binary_analyzer(), binary_batch(np.random.default_rng(rows), rows, distance=6.0))
        for name, metric in statistics.metrics.items():
            if metric.interval is not None:
                low, high = metric.interval
                assert low <= metric.value <= high, name
                assert low >= 0.0, name
    low, high = area_interval(1.0, 0.0, 10, 50)
    assert 0.8 < low < 1.0
    assert high == 1.0


def test_intervals_hold_the_truth_about_95_times_in_100() -> None:
    generator = np.random.default_rng(14)
    truth = measure(binary_analyzer(), binary_batch(generator, 400_000)).metrics
    held = dict.fromkeys(("accuracy", "recall", "precision", "f1", "auc", "log_loss"), 0)
    windows = 30
    for _ in range(windows):
        metrics = measure(binary_analyzer(), binary_batch(generator, 300)).metrics
        for name in held:
            low, high = metrics[name].interval
            held[name] += low <= truth[name].value <= high
    assert sum(held.values()) / (len(held) * windows) == pytest.approx(0.95, abs=0.04)


# --- changes that nobody would act on, and rows that come together


def _right_and_wrong(rows: int, accuracy: float, length: int = 1, seed: int = 0) -> pa.RecordBatch:
    generator = np.random.default_rng(seed)
    labels = np.repeat(generator.integers(0, 2, rows // length), length)
    right = np.repeat(generator.random(rows // length) < accuracy, length)
    return batch(label=labels, prediction=np.where(right, labels, 1 - labels))


def _decided(before: pa.RecordBatch, now: pa.RecordBatch) -> tuple[QualityStatistics, Decision]:
    analyzer = binary_analyzer(probability_attribute=None)
    window = measure(analyzer, now)
    return window, analyzer.check(window, baseline_of(analyzer, before))


def test_a_million_rows_do_not_alarm_for_what_nobody_would_act_on() -> None:
    baseline = _right_and_wrong(1_000_000, 0.806, seed=1)
    _, decision = _decided(baseline, _right_and_wrong(1_000_000, 0.803, seed=2))
    assert not decision.violations.violations
    states = {comparison.subject: comparison.state for comparison in decision.comparisons}
    assert states["accuracy"] is State.CHANGED
    _, decision = _decided(baseline, _right_and_wrong(1_000_000, 0.78, seed=3))
    assert "accuracy" in {violation.metric_name for violation in decision.violations.violations}


def test_rows_that_come_together_widen_intervals_and_raise_no_alarm() -> None:
    baseline = _right_and_wrong(5_000, 0.8, length=10, seed=4)
    for seed in range(5, 15):
        statistics, decision = _decided(baseline, _right_and_wrong(5_000, 0.8, length=10, seed=seed))
        assert not decision.violations.violations
        assert statistics.design_effect == pytest.approx(10.0, rel=1.0)
        low, high = statistics.metrics["accuracy"].interval
        assert (high - low) / 2.0 == pytest.approx(1.96 * np.sqrt(0.16 / 500), rel=0.6)
        assert any("depend on each other" in note for note in statistics.notes)


@pytest.mark.parametrize("count", ["NaN", "Infinity", -1, 1e300])
def test_cells_of_a_confusion_matrix_must_be_counts(count: object) -> None:
    members = {"confusion_matrix": {"0": {"0": count}}}
    with pytest.raises(DocumentError, match=r"^s\.json.*confusion_matrix\.0\.0 must be a count"):
        read_statistics({"binary_classification_metrics": members}, "s.json")


def set_threshold(accuracy: float, rows: int, right: int) -> Decision:
    """Decide a window with so many right answers against a threshold that somebody set."""
    label = np.arange(rows) % 2
    prediction = np.where(np.arange(rows) < right, label, 1 - label)
    analyzer = binary_analyzer(probability_attribute=None)
    window = measure(analyzer, batch(label=label, prediction=prediction))
    constraints = analyzer.suggest(window, None)
    constraints.metrics = {"accuracy": MetricConstraint(accuracy, "LessThanThreshold")}
    return analyzer.check(window, Baseline(None, constraints))


@pytest.mark.parametrize(
    ("rows", "right", "state"),
    [
        (75, 53, State.UNDECIDED),
        (75, 57, State.HOLDS),
        (75, 62, State.HOLDS),
        (75, 40, State.VIOLATED),
        (750, 510, State.VIOLATED),
    ],
)
def test_a_metric_worse_by_as_much_as_matters_is_not_said_to_hold(
    rows: int, right: int, state: State
) -> None:
    decision = set_threshold(0.8, rows, right)
    (comparison,) = [one for one in decision.comparisons if one.subject == "accuracy"]
    assert comparison.state is state
    assert bool(comparison.reason) == (state is State.UNDECIDED)
    if state is State.UNDECIDED:
        needed = int(comparison.reason.split("about ")[1].split(" ")[0].replace(",", ""))
        assert 80 <= needed <= 250
        more = round(needed * 1.3)
        again = set_threshold(0.8, more, round(more * right / rows))
        assert again.comparisons[0].state is State.VIOLATED


def test_what_seldom_becomes_worse_by_chance_does_not_hold() -> None:
    states = {right: set_threshold(0.99, 600, right).comparisons[0].state for right in (592, 589, 578)}
    assert list(states.values()) == [State.HOLDS, State.UNDECIDED, State.VIOLATED]


def test_the_smallest_change_that_counts_is_a_member_of_the_constraints() -> None:
    analyzer = binary_analyzer(probability_attribute=None)
    baseline = baseline_of(analyzer, _right_and_wrong(200_000, 0.81, seed=1))
    window = measure(analyzer, _right_and_wrong(200_000, 0.802, seed=2))
    assert baseline.constraints is not None
    states = {}
    for least in (None, 0.001, 0.2):
        config = {} if least is None else {"share_comparison_threshold": least}
        baseline.constraints.extra["monitoring_config"] = config
        decision = analyzer.check(window, baseline)
        states[least] = next(one.state for one in decision.comparisons if one.subject == "accuracy")
    assert states == {None: State.CHANGED, 0.001: State.VIOLATED, 0.2: State.CHANGED}


@pytest.mark.parametrize("value", [-0.1, "much", True])
def test_a_smallest_change_that_is_no_size_is_refused(value: object) -> None:
    analyzer = binary_analyzer(probability_attribute=None)
    baseline = baseline_of(analyzer, _right_and_wrong(500, 0.8, seed=1))
    assert baseline.constraints is not None
    baseline.constraints.extra["monitoring_config"] = {"error_comparison_threshold": value}
    with pytest.raises(DocumentError, match="error_comparison_threshold"):
        analyzer.check(measure(analyzer, _right_and_wrong(500, 0.8, seed=2)), baseline)


def test_labels_coded_anew_are_refused_of_two_and_said_of_more() -> None:
    labels = np.arange(400) % 2
    baseline = baseline_of(
        analyzer := binary_analyzer(), batch(label=labels, prediction=labels, score=labels * 0.8 + 0.1)
    )
    with refused(DocumentError, "quality_documents.recoded"):
        analyzer.check(
            measure(analyzer, batch(label=labels + 1, prediction=labels + 1, score=labels * 0.8 + 0.1)),
            baseline,
        )
    classes = np.arange(400) % 3
    baseline = baseline_of(analyzer := multiclass_analyzer(), batch(label=classes, prediction=classes))
    decision = analyzer.check(measure(analyzer, batch(label=classes + 1, prediction=classes + 1)), baseline)
    assert "label '0' is gone, and '3' is new" in " ".join(decision.notes)


def test_a_baseline_at_another_threshold_of_scores_is_refused() -> None:
    table = binary_batch(np.random.default_rng(14), 500)
    of_scores = {"inference_attribute": None}
    baseline = baseline_of(binary_analyzer(**of_scores), table)
    for settings, is_refused in (({}, False), ({"probability_threshold": 0.55}, True)):
        analyzer = binary_analyzer(**of_scores, **settings)
        with refused(DocumentError, "quality_documents.threshold") if is_refused else nullcontext():
            analyzer.check(measure(analyzer, table), baseline)
    # Where predictions say what is positive, the threshold plays no part.
    analyzer = binary_analyzer(probability_threshold=0.55)
    analyzer.check(measure(analyzer, table), baseline)
    assert measure(analyzer, table).probability_threshold is None


def test_classes_without_a_column_of_probabilities_leave_its_metrics_undecided() -> None:
    analyzer = multiclass_analyzer(probability_attribute="p")
    labels = ["cat", "dog", "emu"] * 200

    def described(emu: str) -> pa.RecordBatch:
        names = ["cat", "dog", "emu"]
        given = {name: [0.6 if label == name else 0.2 for label in labels] for name in names}
        columns = {f"p.{emu if name == 'emu' else name}": given[name] for name in names}
        return batch(label=labels, prediction=labels, **columns)

    baseline = baseline_of(analyzer, described("emu"))
    for emu, state in (("emu", State.HOLDS), ("Emu", State.UNDECIDED)):
        statistics = measure(analyzer, described(emu))
        assert statistics.unknown_class_count == (200 if emu == "Emu" else 0)
        found = {one.subject: one.state for one in analyzer.check(statistics, baseline).comparisons}
        assert found["log_loss"] == found["brier_score"] == state
        assert found["accuracy"] == State.HOLDS
        assert ("'emu'" in " ".join(statistics.notes)) is (emu == "Emu")
    # As it was at the baseline.
    assert not any(
        "without a column" in one.reason
        for one in analyzer.check(statistics, baseline_of(analyzer, described("Emu"))).comparisons
    )


@pytest.mark.parametrize(
    ("labels", "predictions", "reason"),
    [
        ([0, 0], [0, 1], "no label in the window is '1'"),
        ([1, 1], [0, 1], "every label in the window is '1'"),
        ([0, 1], [0, 0], "no prediction in the window is '1'"),
    ],
)
def test_why_a_window_does_not_define_metrics_is_said(
    labels: list[int], predictions: list[int], reason: str
) -> None:
    analyzer = binary_analyzer(probability_attribute=None)
    usual = batch(label=[0, 1, 0, 1] * 50, prediction=[0, 1, 1, 0] * 50)
    window = measure(analyzer, batch(label=labels * 100, prediction=predictions * 100))
    decision = analyzer.check(window, baseline_of(analyzer, usual))
    assert reason in decision.why_undecided
    assert not any("the negative label" in note for note in decision.notes)


def test_windows_of_a_few_rows_do_not_alarm_by_chance() -> None:
    generator = np.random.default_rng(4)
    analyzer, alarms = binary_analyzer(), 0
    baseline = baseline_of(analyzer, binary_batch(generator, 20_000, distance=1.0))
    for _ in range(150):
        window = measure(analyzer, binary_batch(generator, 10, distance=1.0))
        alarms += bool(analyzer.check(window, baseline).violations.violations)
    assert alarms <= 2  # auc alone alarmed in 4 % of them
    analyzer = regression_analyzer()

    def priced(rows: int) -> pa.RecordBatch:
        labels = generator.lognormal(8.0, 1.0, rows)
        return batch(label=labels, prediction=labels * generator.lognormal(0.0, 0.1, rows))

    baseline = baseline_of(analyzer, priced(20_000))
    found = [analyzer.check(measure(analyzer, priced(15)), baseline) for _ in range(300)]
    assert sum(bool(decision.violations.violations) for decision in found) <= 3


def test_constraints_of_another_baseline_job_are_noted() -> None:
    generator = np.random.default_rng(6)
    analyzer = binary_analyzer()
    one, other = (baseline_of(analyzer, binary_batch(generator, 2_000)) for _ in range(2))
    window = measure(analyzer, binary_batch(generator, 500))
    for constraints, expected in ((other.constraints, True), (one.constraints, False)):
        decision = analyzer.check(window, Baseline(one.statistics, constraints))
        assert said(decision.notes, "baseline_files.other_job") is expected


@pytest.mark.parametrize(
    ("name", "threshold"), [("accuracy", -0.1), ("accuracy", 1.5), ("log_loss", -1.0), ("accuracy", math.nan)]
)
def test_a_threshold_that_no_value_can_be_beyond_is_refused(name: str, threshold: float) -> None:
    analyzer = binary_analyzer()
    baseline = baseline_of(analyzer, binary_batch(np.random.default_rng(4), 500))
    assert baseline.constraints is not None
    known = baseline.constraints.metrics[name]
    baseline.constraints.metrics[name] = MetricConstraint(threshold, known.operator)
    window = measure(analyzer, binary_batch(np.random.default_rng(5), 500))
    with refused(DocumentError, "quality_documents.range", field=name):
        analyzer.check(window, baseline)


def _wrong_of(rows: int, wrong: int) -> pa.RecordBatch:
    """Return rows of four classes, so many of them predicted wrong, spread evenly."""
    labels, is_wrong = np.arange(rows) % 4, np.zeros(rows, bool)
    is_wrong[np.linspace(0, rows - 1, wrong).astype(int)] = True
    return batch(label=labels, prediction=np.where(is_wrong, (labels + 1) % 4, labels))


@pytest.mark.parametrize(
    ("before", "now", "is_violated"),
    [
        ((10_000, 0), (100, 100), True),
        ((10_000, 0), (500, 25), True),
        ((10_000, 10), (500, 25), True),
        # As Fisher's exact test has it, by chance in 8 and 4 of 10 windows.
        ((107, 0), (15_672, 38), False),
        ((587, 0), (2_912, 5), False),
    ],
)
def test_a_share_at_the_end_of_its_range_is_told_from_chance_by_rows(
    before: tuple[int, int], now: tuple[int, int], is_violated: bool
) -> None:
    analyzer = multiclass_analyzer()
    baseline = baseline_of(analyzer, _wrong_of(*before))
    decision = analyzer.check(measure(analyzer, _wrong_of(*now)), baseline)
    violated = {violation.metric_name for violation in decision.violations.violations}
    assert ("accuracy" in violated, "weighted_precision" in violated) == (is_violated, is_violated)


@pytest.mark.parametrize("seed", range(30))
def test_no_weighted_metric_of_a_perfect_model_is_above_one(seed: int) -> None:
    generator, analyzer = np.random.default_rng(seed), multiclass_analyzer()
    labels = generator.choice(9, 300, p=generator.dirichlet(np.ones(9)))
    baseline = baseline_of(analyzer, batch(label=labels, prediction=labels))
    assert max(value.value or 0.0 for value in baseline.statistics.metrics.values()) == 1.0
    assert not analyzer.check(baseline.statistics, baseline).violations.violations


def test_losses_of_a_rare_class_that_a_small_baseline_missed_do_not_alarm() -> None:
    analyzer, rows = binary_analyzer(), np.arange(2_000)
    scores = 0.001 + 0.002 * (rows % 7 == 0)
    window = batch(label=(rows % 200 == 100) * 1, prediction=0 * rows, score=scores)
    baseline = baseline_of(analyzer, window.slice(0, 100))
    violated = analyzer.check(measure(analyzer, window), baseline).violations.violations
    assert not [one for one in violated if one.metric_name in {"log_loss", "brier_score"}]
