"""Baseline documents that are damaged, edited by hand, old, or not ours."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from fixtures import fixture
from refusals import refused
from run_jobs import Result, baseline_of, run_job
from sentences import says

from analyzers.model_quality import documents
from contract.errors import DocumentError

COMMON = ("features", 0, "numerical_statistics", "common")
DOTTED = "features[0] (a).numerical_statistics"
SECOND = "features[1] (b)"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    source = tmp_path / "data.csv"
    source.write_text("a,b\n" + "".join(f"{i},x{i % 3}\n" for i in range(100)))
    return source


@pytest.fixture
def baseline(tmp_path: Path, table: Path) -> Result:
    return run_job(tmp_path / "b", table, output_path=tmp_path / "baseline")


def edited(baseline: Result, name: str, *path: Any, value: Any) -> Path:
    """Write a baseline document with one member changed; `path` leads to it."""
    document = baseline.document(name)
    holder: Any = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    file = baseline.output / f"edited_{name}"
    file.write_text(json.dumps(document))
    return file


def test_constraints_in_the_shape_of_2019(tmp_path: Path, table: Path, baseline: Result) -> None:
    document = baseline.document("constraints.json")
    document["monitoring_config"] = {
        "evaluate_constraints": "Enabled",
        "emit_metrics": "Enabled",
        "datatype_check_threshold": 0.1,
        "min_domain_mass": 0.9,
        "distribution_constraints": {"enable_comparisons": True, "comparison_threshold": 0.1},
    }
    document["features"][1] = {
        "name": "b",
        "inferred_type": "String",
        "completeness": 1.0,
        "string_constraints": {"domains": ["x0"]},
    }
    old = tmp_path / "constraints.json"
    old.write_text(json.dumps(document))
    result = run_job(tmp_path, table, baseline_constraints=old)
    assert result.exit_code == 0
    [violation] = result.violations
    assert violation["constraint_check_type"] == "categorical_values_check"
    assert violation["description"].startswith("Only 34 % of values are known, 90 % are expected:")


def test_real_constraints_of_2019(tmp_path: Path, table: Path) -> None:
    folder = fixture("model_monitor/sdk/constraints.json").parent
    result = run_job(tmp_path, table, baseline_constraints=folder / "constraints.json")
    assert result.exit_code == 0


def test_constraints_of_another_tool(tmp_path: Path, table: Path) -> None:
    other = tmp_path / "suite.json"
    other.write_text('{"expectation_suite_name": "taxi", "expectations": []}')
    result = run_job(tmp_path, table, baseline_constraints=other)
    assert result.exit_code == 2
    assert says(result.message, "data_quality_documents.no_constraints", file=other)


def test_statistics_where_constraints_belong(tmp_path: Path, table: Path, baseline: Result) -> None:
    statistics = baseline.output / "statistics.json"
    result = run_job(tmp_path, table, baseline_constraints=statistics)
    assert result.exit_code == 2
    assert says(result.message, "data_quality_documents.statistics_for_constraints", file=statistics)


def test_constraints_where_statistics_belong(tmp_path: Path, table: Path, baseline: Result) -> None:
    constraints = baseline.output / "constraints.json"
    result = run_job(tmp_path, table, baseline_statistics=constraints)
    assert result.exit_code == 2
    assert says(result.message, "data_quality_documents.constraints_for_statistics", file=constraints)


@pytest.mark.parametrize("variable", ["baseline_constraints", "baseline_statistics"])
@pytest.mark.parametrize("data", [b"", b'{"version": 0.0, "feat', b"\xff{}", b"\0"])
def test_documents_that_are_no_json(tmp_path: Path, table: Path, variable: str, data: bytes) -> None:
    document = tmp_path / "document.json"
    document.write_bytes(data)
    result = run_job(tmp_path, table, **{variable: document})
    assert result.exit_code == 2
    with pytest.raises(orjson.JSONDecodeError) as problem:
        orjson.loads(data)
    assert says(result.message, "json.unreadable", file=document, cause=problem.value)


@pytest.mark.parametrize("variable", ["baseline_constraints", "baseline_statistics"])
def test_a_document_with_nan(tmp_path: Path, table: Path, variable: str) -> None:
    document = tmp_path / "document.json"
    document.write_text('{"features": NaN}')
    result = run_job(tmp_path, table, **{variable: document})
    assert result.exit_code == 2
    assert says(result.message, "json.not_finite", file=document, found="features is NaN")


def test_a_document_that_is_a_list(tmp_path: Path, table: Path) -> None:
    document = tmp_path / "document.json"
    document.write_text("[]")
    result = run_job(tmp_path, table, baseline_constraints=document)
    assert result.exit_code == 2
    assert says(result.message, "json.no_object", file=document, kind="list")


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("features", 0, "name"), None, "features[0].name"),
        (("features", 0, "name"), 7, "features[0].name"),
        (("features", 0, "inferred_type"), "Integer", "features[0] (a).inferred_type"),
        (("features", 1), "b", "features[1]"),
        (("features", 1, "string_constraints", "domains"), ["x", 1], f"{SECOND}.string_constraints.domains"),
        (
            ("features", 0, "num_constraints", "is_non_negative"),
            "yes",
            "features[0] (a).num_constraints.is_non_negative",
        ),
    ],
)
def test_constraints_with_a_wrong_member(
    tmp_path: Path, table: Path, baseline: Result, path: tuple[Any, ...], value: Any, place: str
) -> None:
    document = edited(baseline, "constraints.json", *path, value=value)
    result = run_job(tmp_path, table, baseline_constraints=document)
    assert result.exit_code == 2
    assert re.match(rf"{re.escape(f'{document}: {place}')} (must be|is missing)", result.message)


def test_a_threshold_that_is_text(tmp_path: Path, table: Path, baseline: Result) -> None:
    document = edited(
        baseline, "constraints.json", "monitoring_config", "datatype_check_threshold", value="high"
    )
    result = run_job(tmp_path, table, baseline_constraints=document)
    assert result.exit_code == 2
    assert result.message.startswith(f"{document}: monitoring_config.datatype_check_threshold must be ")


def test_a_huge_threshold_is_refused(tmp_path: Path, table: Path, baseline: Result) -> None:
    document = edited(
        *(baseline, "constraints.json", "monitoring_config", "distribution_constraints"),
        value={"comparison_threshold": 1e300, "perform_comparison": "Enabled"},
    )
    variables = {**baseline_of(baseline), "baseline_constraints": document}
    result = run_job(tmp_path, table, **variables)
    assert result.exit_code == 2
    assert "comparison_threshold must be a number from 0 to 1, such as 0.1" in result.message


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ((*COMMON, "num_present"), -5, f"{DOTTED}.common.num_present"),
        ((*COMMON, "num_missing"), 1e300, f"{DOTTED}.common.num_missing"),
        (
            ("features", 0, "numerical_statistics", "distribution", "kll", "sketch", "data"),
            [["x"]],
            f"{DOTTED}.distribution.kll.sketch.data",
        ),
        (("features", 1, "data_types", "String"), [], f"{SECOND}.data_types.String"),
        (("dataset", "item_count"), "many", "dataset.item_count"),
    ],
)
def test_statistics_with_a_wrong_member(
    tmp_path: Path, table: Path, baseline: Result, path: tuple[Any, ...], value: Any, place: str
) -> None:
    document = edited(baseline, "statistics.json", *path, value=value)
    result = run_job(tmp_path, table, baseline_statistics=document)
    assert result.exit_code == 2
    assert re.match(rf"{re.escape(f'{document}: {place}')} (must be|is missing)", result.message)


def test_documents_that_expand(tmp_path: Path, table: Path, baseline: Result) -> None:
    path = tmp_path / "constraints.json"
    path.write_bytes(gzip.compress(b" " * (65 << 20), compresslevel=1))
    result = run_job(tmp_path, table, **{**baseline_of(baseline), "baseline_constraints": path})
    assert result.exit_code == 2
    assert says(result.message, "stored_file.decompressed", file=path, megabytes=64)


def test_curves_of_unequal_length() -> None:
    curve = {"false_positive_rates": [0.0, 1.0], "true_positive_rates": [0.0, 0.5, 1.0]}
    metrics = {"receiver_operating_characteristic_curve": curve}
    document = {"version": 0.0, "dataset": {"item_count": 2}, "binary_classification_metrics": metrics}
    field = "binary_classification_metrics.receiver_operating_characteristic_curve"
    with refused(DocumentError, "quality_documents.points", field=field) as caught:
        documents.read_statistics(document, "statistics.json")
    assert caught.value.file == "statistics.json"
