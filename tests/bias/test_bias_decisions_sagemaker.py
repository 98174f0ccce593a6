"""Decisions by the rules of the originals: those recorded of the service."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from bias_tables import check, names, notes, of_values
from fixtures import fixture

from analyzers.bias.analyzer import suggest
from analyzers.bias.documents import BiasBaseline, BiasStatistics, read_constraints
from contract.api import Baseline
from contract.schema import write_document

CASES = ("endpoint_json", "clarify_check_data_bias_good", "clarify_check_data_bias_bad")


def recorded(case: str) -> dict[str, Any]:
    cases = json.loads(fixture("clarify/bias_drift_aws_cases.json").read_text())["cases"]
    return next(one for one in cases if one["name"] == case)


def constraints_json(before: BiasStatistics) -> dict[str, Any]:
    document: dict[str, Any] = {"version": "1.0"}
    for member, stage in (("post_training_bias_metrics", "post"), ("pre_training_bias_metrics", "pre")):
        facets: dict[str, Any] = {}
        for one in before.facets:
            metrics = one.post if stage == "post" else one.pre
            if metrics is not None:
                values = [{"name": m.name, "description": "", "value": m.value} for m in metrics]
                facets.setdefault(one.facet, []).append(
                    {"value_or_threshold": one.value_or_threshold, "metrics": values}
                )
        if facets:
            document[member] = {"label": "Target", "facets": facets, "label_value_or_threshold": "1"}
    return document


@pytest.mark.parametrize("name", CASES)
def test_recorded_decisions_are_reproduced(name: str) -> None:
    case = recorded(name)
    group = case["facet_value"]
    before = of_values(case["baseline"], case["facet"], group)
    window = of_values(case["current_smclarify"], case["facet"], group)
    baseline: BiasBaseline = Baseline(None, read_constraints(constraints_json(before), "analysis.json"))
    decision = check(window, baseline, rules="sagemaker")
    assert names(decision) == case["violated_metrics"]
    if "aws_violations" not in case:
        return
    document = write_document(decision.violations)
    assert document["version"] == case["aws_violations"]["version"]
    number = re.compile(r"-?(?:\d[\d.e-]*|Infinity)")
    for ours, theirs in zip(document["violations"], case["aws_violations"]["violations"], strict=True):
        said, recorded_text = ours.pop("description"), theirs.pop("description")
        assert ours == theirs
        # The service's own sums differ from the reference's in the last digit now and then.
        assert number.sub("#", said) == number.sub("#", recorded_text)
        values, recorded_values = ([float(v) for v in number.findall(t)] for t in (said, recorded_text))
        assert values == pytest.approx(recorded_values, rel=1e-14)


def test_recorded_decisions_of_json_lines() -> None:
    path = "clarify/aws_notebook_outputs/bias_batch_jsonl_violations.json"
    violations = json.loads(fixture(path).read_text())["violations"]
    found = re.compile(r"Metric value (\S+) doesn't meet the baseline constraint requirement (\S+)")
    pairs = {one["metric_name"]: found.fullmatch(one["description"]) for one in violations}
    current, before = ({name: float(m[i]) for name, m in pairs.items() if m} for i in (1, 2))
    baseline: BiasBaseline = Baseline(
        None, read_constraints(constraints_json(of_values({"post": before})), "analysis.json")
    )
    decision = check(of_values({"post": current}), baseline, rules="sagemaker")
    assert write_document(decision.violations) == {"violations": violations, "version": "1.0"}


@pytest.mark.parametrize(
    ("current", "before", "violated"),
    [
        (0.2, 0.1, True),
        (-0.2, 0.1, True),
        (0.1, 0.1, False),
        (-0.1, 0.1, False),
        (float("inf"), 3.0, True),
        (float("-inf"), 3.0, True),
        (float("inf"), float("inf"), False),
        (5.0, float("-inf"), False),
        (None, 0.1, False),
        (0.1, None, False),
    ],
)
def test_sizes_decide_under_sagemaker_rules(current: Any, before: Any, violated: bool) -> None:
    baseline: BiasBaseline = Baseline(None, suggest(of_values({"post": {"TE": before}}), None))
    decision = check(of_values({"post": {"TE": current}}), baseline, rules="sagemaker")
    assert bool(names(decision)) == violated
    assert ("not checked: TE" in notes(decision)) == (current is None or before is None)
