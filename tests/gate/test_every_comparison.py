"""Every comparison that a constraints file asks for has an answer or a reason, in the other three monitors.

``tests/data_quality/test_comparisons.py`` says the same of data quality. What a file asks for is read off its
JSON here, by somebody else than the program.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_quality.quality_tables import (
    batch,
    binary_analyzer,
    measure,
    multiclass_analyzer,
    regression_analyzer,
)

from analyzers.bias import documents as bias
from analyzers.bias.analyzer import BiasAnalyzer
from analyzers.bias.summary import BiasRequest, FacetRequest
from analyzers.feature_attribution import documents as attribution
from analyzers.feature_attribution.analyzer import AttributionChecker
from analyzers.model_quality import documents as quality
from contract.api import PRESENCE_CHECK, Baseline, Decision, State
from contract.errors import DatasetError, DocumentError

RULES = st.sampled_from(["sound", "sagemaker"])


def require_answers(decision: Decision, asked: list[tuple[str, str]], checks: set[str], rules: str) -> None:
    """Make sure that every comparison asked for is there once, with an answer or a reason."""
    found = [
        (one.subject, str(one.check)) for one in decision.comparisons if str(one.check) != PRESENCE_CHECK
    ]
    assert sorted(one for one in found if one[1] in checks) == sorted(asked)
    decided = len(decision.comparisons) - len(decision.undecided)
    for one in decision.comparisons:
        assert bool(one.reason) == (one.state is State.UNDECIDED), one
        assert one.state is State.UNDECIDED or not one.lost
    # GE is of all rows: one violation stands for the comparisons of all groups.
    violated = [one.subject for one in decision.comparisons if one.state is State.VIOLATED]
    violated = [subject for subject in violated if not subject.startswith("GE of ")] + [
        subject for subject in violated if subject.startswith("GE of ")
    ][: 1 if rules == "sound" else None]
    assert len(violated) == len(decision.violations.violations)
    assert decision.is_empty == (decided == 0 and not violated)


def column(rng: np.random.Generator, kind: str, rows: int) -> list[Any]:
    """Return cells of 0 and 1, of one value, with holes, or none at all."""
    cells = rng.integers(0, 2, rows).tolist()
    if kind == "constant":
        return [0] * rows
    if kind == "empty":
        return [None] * rows
    return [None if kind == "holes" and rng.random() < 0.3 else cell for cell in cells]


KINDS = st.sampled_from(["plain", "constant", "holes", "empty"])
ROWS = st.sampled_from([0, 1, 2, 40, 600])


@st.composite
def tables(draw: st.DrawFn, rows: int | None = None) -> pa.RecordBatch:
    count = draw(ROWS) if rows is None else rows
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    names = ("label", "prediction", "sex", "age")
    cells = {name: column(rng, "plain" if rows else draw(KINDS), count) for name in names}
    return pa.RecordBatch.from_pydict({name: pa.array(each, pa.int64()) for name, each in cells.items()})


METRIC_EDITS = st.dictionaries(
    st.sampled_from(["recall", "accuracy", "auc", "mae", "r2", "weighted_f1", "precision"]),
    st.sampled_from([None, 0.0, 0.99]),
    max_size=3,
)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@given(before=tables(rows=400), now=tables(), rules=RULES, edits=METRIC_EDITS, with_statistics=st.booleans())
def test_model_quality(
    kind: str, before: Any, now: Any, rules: Any, edits: dict[str, Any], with_statistics: bool
) -> None:
    make = {"binary": binary_analyzer, "multiclass": multiclass_analyzer, "regression": regression_analyzer}
    analyzer = make[kind](rules=rules, probability_attribute=None)
    baseline = measure(analyzer, before)
    document = quality.constraints_to_json(analyzer.suggest(baseline, None))
    (metrics,) = (member for name, member in document.items() if name.endswith("_constraints"))
    for name, edit in edits.items():
        if name in metrics:
            metrics[name] = {**metrics[name], "threshold": edit} if edit is not None else None
    constraints = quality.read_constraints(json.loads(json.dumps(document)), "constraints.json")
    known = Baseline(baseline if with_statistics else None, constraints)
    asked = [(name, one["comparison_operator"]) for name, one in metrics.items() if one is not None]
    decision = analyzer.check(measure(analyzer, now), known)
    require_answers(decision, asked, {"LessThanThreshold", "GreaterThanThreshold"}, rules)
    unanswered = analyzer.unanswered(known, "there are no rows")
    assert sorted((one.subject, str(one.check)) for one in unanswered) == sorted(asked)


BIAS_EDITS = st.dictionaries(
    st.sampled_from(["DPL", "DI", "RD", "GE", "CDDL", "FT", "AD"]),
    st.sampled_from([{"allowed": [-1.0, 0.5]}, {"threshold": 0.1}, {"value": None}]),
    max_size=4,
)


@given(before=tables(rows=400), now=tables(), rules=RULES, edits=BIAS_EDITS, with_statistics=st.booleans())
def test_bias(before: Any, now: Any, rules: Any, edits: dict[str, Any], with_statistics: bool) -> None:
    facets = (FacetRequest(("sex",), (0,)), FacetRequest(("age",), (0,)))
    analyzer = BiasAnalyzer(rules, BiasRequest("label", (1,), facets, predicted_label="prediction"))
    baseline = analyzer.describe(analyzer.summarize([before]))
    document = bias.constraints_to_json(analyzer.suggest(baseline, None))
    asked, without = [], []
    for stage in ("post_training_bias_metrics", "pre_training_bias_metrics"):
        for name, groups in document[stage]["facets"].items():
            for group in groups:
                for metric in group["metrics"]:
                    metric.update(edits.get(metric["name"], {}))
                    members = ("value",) if rules == "sagemaker" else ("value", "allowed", "threshold")
                    has_limit = any(metric.get(member) is not None for member in members)
                    subject = f"{metric['name']} of {name} {group['value_or_threshold']}"
                    (asked if has_limit else without).append((subject, "bias_drift_check"))
    constraints = bias.read_constraints(json.loads(json.dumps(document)), "constraints.json")
    known = Baseline(baseline if with_statistics else None, constraints)
    statistics = analyzer.estimate(analyzer.describe(analyzer.summarize([now])), known)
    # What has a value now and had none at the baseline is said to be undecided.
    defined = {
        f"{metric.name} of {facet.facet} {facet.value_or_threshold}"
        for facet in statistics.facets
        for _, metrics in facet.stages()
        for metric in metrics
        if metric.value is not None
    }
    decision = analyzer.check(statistics, known)
    since = [one for one in without if one[0] in defined]
    require_answers(decision, asked + since, {"bias_drift_check"}, rules)
    assert {one[0] for one in since} <= {one.subject for one in decision.undecided if not one.lost}
    unanswered = analyzer.unanswered(known, "there are no rows")
    assert sorted((one.subject, str(one.check)) for one in unanswered) == sorted(asked)


VALUES = st.dictionaries(
    st.sampled_from("abcde"),
    st.one_of(st.none(), st.floats(0.0, 9.0), st.just(0.0)),
    min_size=1,
)


@given(
    before=st.dictionaries(st.sampled_from(["yes", "no"]), VALUES, min_size=1),
    now=st.dictionaries(st.sampled_from(["yes", "no"]), VALUES),
    rules=RULES,
    rows=st.sampled_from([1, 2, 500]),
    error=st.sampled_from([0.0, 0.1]),
    factor=st.sampled_from([None, 0, 3.0]),
)
def test_attribution(before: Any, now: Any, rules: Any, rows: int, error: float, factor: Any) -> None:
    def side(labels: dict[str, Any]) -> dict[str, attribution.LabelAttributions]:
        return {
            name: attribution.LabelAttributions(
                values, 0.5, standard_errors=dict.fromkeys(values, error) if error else {}
            )
            for name, values in labels.items()
        }

    document = attribution.constraints_to_json(attribution.AttributionConstraints(side(before)))
    for member in document["explanations"]["kernel_shap"].values():
        member |= {} if factor is None else {"magnitude_threshold": factor}
    constraints = attribution.read_constraints(json.loads(json.dumps(document)), "constraints.json")
    checker, known = AttributionChecker(rules), Baseline(None, constraints)
    statistics = attribution.AttributionStatistics(
        side(now), attribution.Explained(rows, rows), attribution.SamplingDesign(rows=rows)
    )
    renamed = dict(zip(before, now, strict=True)) if len(before) == len(now) == 1 else {}
    both = [(before[name], now[renamed.get(name, name)]) for name in before if renamed.get(name, name) in now]
    if now and not (both and all(then.keys() & found.keys() for then, found in both)):
        with pytest.raises(DocumentError) as refused:
            checker.check(statistics, known)
        assert refused.value.code in ("attributions.other_labels", "attributions.other_features")
        return
    decision = checker.check(statistics, known)
    subjects = {(one.subject, str(one.check)) for one in decision.comparisons}
    for name, values in before.items():
        label = renamed.get(name, name)
        asked = {(label, "feature_attribution_drift_check")}
        if rules == "sound" and factor != 0:
            total = sum(value or 0.0 for value in values.values())
            asked |= {(f"{label} total", "feature_attribution_magnitude_check")}
            asked |= {
                (feature, "feature_attribution_magnitude_check")
                for feature, value in values.items()
                if total and (value or 0.0) > 0.1001 * total
            }
        assert asked <= subjects
    for one in decision.comparisons:
        assert bool(one.reason) == (one.state is State.UNDECIDED), one
    if rows == 1 and now and rules == "sound":
        assert decision.is_empty
        assert not decision.violations.violations


@pytest.mark.parametrize(
    ("read", "document", "place", "misspelt", "meant"),
    [
        (
            quality.read_constraints,
            {
                "regression_constraints": {
                    "mae": {"threshold": 1.0, "comparison_operator": "GreaterThanThreshold"}
                }
            },
            ("regression_constraints", "mae"),
            "treshold",
            "threshold",
        ),
        (
            quality.read_constraints,
            {"regression_constraints": {}},
            (),
            "monitoringConfig",
            "monitoring_config",
        ),
        (
            quality.read_constraints,
            {"regression_constraints": {}, "monitoring_config": {}},
            ("monitoring_config",),
            "evaluate_constraint",
            "evaluate_constraints",
        ),
        (
            bias.read_constraints,
            {
                "pre_training_bias_metrics": {
                    "label": "y",
                    "facets": {
                        "sex": [{"value_or_threshold": "0", "metrics": [{"name": "DPL", "value": 0.1}]}]
                    },
                }
            },
            ("pre_training_bias_metrics", "facets", "sex", 0, "metrics", 0),
            "alowed",
            "allowed",
        ),
        (
            attribution.read_constraints,
            {"explanations": {"kernel_shap": {"yes": {"global_shap_values": {"a": 1.0}}}}},
            ("explanations", "kernel_shap", "yes"),
            "drift_treshold",
            "drift_threshold",
        ),
    ],
)
def test_members_without_effect_are_refused_or_named(
    read: Any, document: dict[str, Any], place: tuple[Any, ...], misspelt: str, meant: str
) -> None:
    def edited(**members: Any) -> dict[str, Any]:
        copy = json.loads(json.dumps(document))
        holder = copy
        for step in place:
            holder = holder[step]
        holder |= members
        return copy

    read(edited(), "constraints.json")
    with pytest.raises(DocumentError, match=f"did you mean {meant}") as refused:
        read(edited(**{misspelt: 0.3}), "constraints.json")
    assert misspelt in refused.value.message
    kept = read(edited(**{"owner": "us", "x-ticket": 3}), "constraints.json")
    assert [one.endswith("owner") for one in kept.unused] == [True]


@pytest.mark.parametrize("rules", ["sound"])
@pytest.mark.parametrize(
    ("labels", "predictions", "refused"),
    [
        ([0, 1, 0, 1], ["maybe"] * 4, True),
        (["yes", "no", "yes", "no"], ["approved", "denied"] * 2, True),
        (["yes", "yes", "yes", "yes"], ["no"] * 4, False),
        ([0, 0, 0, 0], [1, 1, 1, 1], False),
    ],
)
def test_predictions_of_another_vocabulary_in_bias(
    rules: Any, labels: list[Any], predictions: list[Any], refused: bool
) -> None:
    positive = 1 if 0 in labels else "yes"
    request = BiasRequest("label", (positive,), (FacetRequest(("sex",), (0,)),), predicted_label="prediction")
    analyzer = BiasAnalyzer(rules, request)
    table = batch(label=labels * 10, prediction=predictions * 10, sex=[0, 0, 1, 1] * 10)
    statistics = analyzer.describe(analyzer.summarize([table]))
    if not refused:
        analyzer.suggest(statistics, Baseline())
        return
    with pytest.raises(DatasetError) as error:
        analyzer.suggest(statistics, Baseline())
    assert (error.value.code, error.value.field) == ("bias_groups.vocabulary", "predicted_label")
