"""The shared cases of smclarify as jobs over Parquet, CSV and JSON Lines, held member by member."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from run_jobs import Result, run_job
from smclarify_cases import batch_of_case, number, shared_cases

from containers.bias import main as bias

TYPES = {"parquet": "application/x-parquet", "csv": "text/csv", "jsonl": "application/jsonlines"}
PRE, POST = STAGES = ("pre_training_bias", "post_training_bias")
# What a job says of mistakes in a configuration, where smclarify's words are about calls in Python.
OWN_WORDS = {
    "Invalid metric_name": "is no such metric",
    "Facet column missing is not present": "facet[0].name_or_index is 'missing'",
    "Positive label values or thresholds are empty": "label_values_or_threshold is missing",
}
# Predictions with positive values of their own: a configuration has one list for labels and predictions.
NO_CONFIGURATION = "s093"
Members = dict[str, Any]


def members_of(value: Any, path: str = "") -> Members:
    """Return every leaf of a JSON value by its path; an empty object or list is a leaf."""
    if not (isinstance(value, dict | list) and value):
        return {path: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return {name: leaf for key, one in pairs for name, leaf in members_of(one, f"{path}/{key}").items()}


def differences(expected: Members, found: Members) -> list[str]:
    """Return the members that are not the same, or are on one side only."""
    names = [*expected, *(name for name in found if name not in expected)]
    pairs = {name: (expected.get(name, "absent"), found.get(name, "absent")) for name in names}
    return [
        f"{name}: {one!r}, found {other!r}" for name, (one, other) in pairs.items() if not same(one, other)
    ]


def same(one: Any, other: Any) -> bool:
    if type(one) in (int, float) and type(other) in (int, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return type(one) is type(other) and bool(one == other)


def mutated(value: Any) -> Any:
    """Return a value that is a little different."""
    if type(value) in (int, float):
        return -value if math.isinf(value) else value + 1e-6 * (1 + abs(value))
    return "" if value is None else f"{value}."


def comparable(case: dict[str, Any], members: dict[str, Any]) -> Members:
    """Return what can be compared: all but what this function names."""
    for key in STAGES:
        for facet in members.get(key, ()):
            for metric in facet["metrics"]:
                metric["value"] = number(metric["value"])
                if case["ft_neighbour_tie"] and metric["name"] == "FT":
                    del metric["value"]  # which of two neighbours at the same distance is asked is chance
    if case["id"] == NO_CONFIGURATION:
        members.pop("model_performance", None)
    recorded = case["expected"].get("model_performance", {}).get("result", {})
    if "error" in recorded.get("confusion_matrix", {}):
        del members["model_performance"]["confusion_matrix"]  # it cannot sort labels that are missing
    return members_of(members)


def expected_of(case: dict[str, Any]) -> Members:
    """Return what smclarify answered about a case, without its refusals."""
    answers = {key: one["result"] for key, one in case["expected"].items() if one.get("error") is None}
    return comparable(case, json.loads(json.dumps(answers)))


def refusals_of(case: dict[str, Any]) -> dict[str, str]:
    """Return the stages that smclarify refuses, with its words."""
    recorded = {key: case["expected"].get(key, {}).get("error") for key in STAGES}
    return {key: error["message"] for key, error in recorded.items() if error}


def write(case: dict[str, Any], form: str, folder: Path) -> Path:
    batch, path = batch_of_case(case), folder / f"data.{form}"
    columns = {name: pd.Series(batch.column(name).to_pylist(), dtype=object) for name in batch.schema.names}
    if form == "parquet":
        parquet.write_table(pa.Table.from_batches([batch]), path)
    elif form == "csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    else:
        pd.DataFrame(columns).to_json(path, orient="records", lines=True, double_precision=15)
    return path


def run_case(case: dict[str, Any], form: str, folder: Path, stages: list[str]) -> Result:
    """Run the job of a case for some stages."""
    asked = case["config"]
    methods = {key: asked.get(f"{key.removesuffix('_bias')}_methods") or "all" for key in stages}
    config = {
        "dataset_type": TYPES[form],
        "label": asked["label"]["name"],
        "label_values_or_threshold": asked["label"]["values"],
        "predicted_label": asked["predicted_label"]["name"] if POST in stages else None,
        "facet": [{"name_or_index": asked["facet"]["name"], "value_or_threshold": asked["facet"]["values"]}],
        "group_variable": asked["group_variable"],
        "methods": {key: {"methods": names} for key, names in methods.items()},
    }
    folder.mkdir()
    path = folder / "analysis_config.json"
    path.write_text(json.dumps(config))
    settings = {"dataset_format": None, "analysis_config": path, "rules": "sagemaker"}
    return run_job(folder, write(case, form, folder), command=bias.main, **settings)


def found_of(case: dict[str, Any], result: Result, stages: list[str]) -> Members:
    """Return what a job wrote, in the shape in which smclarify's answers are recorded."""
    analysis, statistics = result.document("analysis.json"), result.document("statistics.json")
    dataset, facets = statistics["dataset"], statistics["facets"]
    found: dict[str, Any] = {"label_value_or_threshold": dataset["label_value_or_threshold"]}
    for key in stages:
        measured = analysis[f"{key}_metrics"]
        assert measured["label_value_or_threshold"] == dataset["label_value_or_threshold"]
        (found[key],) = measured["facets"].values()
        found[key.replace("_bias", "_basic_stats")] = [
            {
                "value_or_threshold": one["value_or_threshold"],
                # Before training there are no outcomes.
                "metrics": one["basic_statistics"][: 2 if key == PRE else None],
            }
            for one in facets
        ]
    if POST in stages:
        (tn, fp), (fn, tp) = (
            [sum(group[observed][predicted] for group in facets[0]["counts"]) for predicted in (0, 1)]
            for observed in (0, 1)
        )
        found["model_performance"] = {
            "label": dataset["label"],
            "model_performance_metrics": statistics["model_metrics"],
            "binary_confusion_matrix": [count / dataset["item_count"] for count in (tp, fp, fn, tn)],
        }
        if "confusion_matrix" in statistics:
            found["model_performance"]["confusion_matrix"] = statistics["confusion_matrix"]
    return comparable(case, found)


@pytest.mark.parametrize(
    "form", [form if form == "csv" else pytest.param(form, marks=pytest.mark.long) for form in TYPES]
)
def test_jobs_reproduce_every_member(tmp_path: Path, form: str) -> None:
    answered = compared = refused = 0
    for case in shared_cases():
        refusals = refusals_of(case)
        stages = [key for key in STAGES if key in case["expected"] and key not in refusals]
        if stages:
            result = run_case(case, form, tmp_path / case["id"], stages)
            assert result.exit_code == 0, (case["id"], result.message)
            expected, found = expected_of(case), found_of(case, result, stages)
            assert differences(expected, found) == [], case["id"]
            for name, value in expected.items():
                for wrong in ({**expected, name: mutated(value)}, {**expected, f"{name}/x": 0}):
                    assert len(differences(wrong, found)) == 1, (case["id"], name)
                without = {other: one for other, one in expected.items() if other != name}
                assert len(differences(without, found)) == 1, (case["id"], name)
            answered, compared = answered + 1, compared + len(expected)
        for key, words in refusals.items() if case["id"] != NO_CONFIGURATION else ():
            result = run_case(case, form, tmp_path / f"{case['id']}-{key}", [key])
            expected_words = next((own for one, own in OWN_WORDS.items() if words.startswith(one)), words)
            assert result.exit_code == 2, case["id"]
            assert expected_words in result.message, case["id"]
            refused += 1
    assert (answered, refused) == (96, 25)
    assert compared > 10_000
