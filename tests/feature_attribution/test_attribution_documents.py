"""The documents of feature-attribution jobs: Clarify's own read and written without loss."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pytest
from fixtures import fixture

from analyzers.feature_attribution.analyzer import AttributionChecker
from analyzers.feature_attribution.documents import (
    ATTRIBUTION,
    AttributionConstraints,
    AttributionStatistics,
    Explained,
    LabelAttributions,
    SamplingDesign,
    analysis_to_json,
    constraints_to_json,
    read_constraints,
    read_statistics,
    statistics_to_json,
    table_to_csv,
)
from analyzers.shared import analysis_json
from contract import json_layout
from contract.api import Baseline
from contract.errors import DocumentError

WRITTEN = [
    "aws_notebook_outputs/shap_baseline_adult_json_batch.json",
    "aws_notebook_outputs/shap_baseline_adult_jsonlines_batch.json",
    "aws_notebook_outputs/shap_baseline_adult_jsonlines_endpoint.json",
    "weather_csv/aws_explainability_baseline_analysis.json",
    "analysis_outputs/fraud_explainability_analysis.json",
]


@pytest.mark.parametrize("name", WRITTEN)
def test_clarifys_files_are_written_as_they_were_read(name: str) -> None:
    text = fixture(f"clarify/{name}").read_text(encoding="utf-8")
    document = read_constraints(json.loads(text), name)
    assert analysis_json.dumps(analysis_to_json(document)) == text.strip()
    assert constraints_to_json(document) == json.loads(text)


@pytest.mark.parametrize("folder", ["analysis_outputs/model_card", "sdk_model_card/"])
def test_other_explanations_are_kept(folder: str) -> None:
    name = f"clarify/{folder}{'_' if not folder.endswith('/') else ''}clarify_explanability.json"
    value = json.loads(fixture(name).read_text(encoding="utf-8"))
    document = read_constraints(value, name)
    assert list(document.labels) == ["label0", "label1"]
    assert constraints_to_json(document) == value


def statistics() -> AttributionStatistics:
    label = LabelAttributions(
        values={"a": 0.5, "b": None},
        expected_value=0.25,
        standard_errors={"a": 0.125},
        total=0.5,
        total_standard_error=0.125,
        sampling_errors={"a": 0.0625},
        noise_floors={"a": 0.03125},
    )
    return AttributionStatistics(
        {"yes": label},
        Explained(10, 12, 3000, 2.5, partial=True),
        SamplingDesign("mean_abs", use_logit=True, num_samples=100, seed=1, baseline_rows=2, rows=10),
        ("a note",),
    )


def test_our_own_are_read_as_they_were_written() -> None:
    document = statistics()
    written = json_layout.dumps(statistics_to_json(document))
    again = read_statistics(json_layout.loads(written, "statistics.json"), "statistics.json")
    assert statistics_to_json(again) == statistics_to_json(document)
    assert (again.explained, again.design, again.notes) == (
        document.explained,
        document.design,
        document.notes,
    )
    constraints = AttributionChecker("sound").suggest(document, None)
    value = constraints_to_json(constraints)
    read = read_constraints(json.loads(json.dumps(value)), "constraints.json")
    assert (read.labels["yes"].values, read.design) == (constraints.labels["yes"].values, constraints.design)
    assert read.labels["yes"].drift_threshold == 0.9
    assert read.labels["yes"].magnitude_threshold == 2.0
    assert constraints_to_json(read) == value


def test_analysis_json_has_no_members_of_our_own() -> None:
    files = ATTRIBUTION.further_files(statistics(), AttributionChecker("sound").suggest(statistics(), None))
    assert list(files) == ["analysis.json"]
    assert json.loads(files["analysis.json"]) == {
        "version": "1.0",
        "explanations": {
            "kernel_shap": {"yes": {"global_shap_values": {"a": 0.5, "b": None}, "expected_value": 0.25}}
        },
    }


def test_thresholds_are_carried_over() -> None:
    given = {"drift_threshold": 0.8, "magnitude_threshold": 5.0, "direction_threshold": 0.0}
    before = LabelAttributions({"a": 1.0}, 0.0, **given)
    baseline = Baseline(None, AttributionConstraints({"0.79": before}))
    label = AttributionChecker("sound").suggest(statistics(), baseline).labels["yes"]
    assert (label.drift_threshold, label.magnitude_threshold, label.direction_threshold) == (0.8, 5.0, 0.0)
    assert (
        AttributionChecker("sound", 0.7).suggest(statistics(), baseline).labels["yes"].drift_threshold == 0.7
    )


def test_tables_can_be_read_again() -> None:
    names = ["plain", 'with, comma and "quotes"', " spaced"]
    table = pa.table(
        [
            pa.array([0.1, None, 1e-20]),
            pa.array(["x", 'y,"z"', None]).dictionary_encode(),
            pa.array([1, 2, 3]),
        ],
        names=names,
    )
    rows = list(csv.reader(io.StringIO(table_to_csv(table).decode())))
    assert rows[0] == names
    assert [float(row[0]) if row[0] else None for row in rows[1:]] == [0.1, None, 1e-20]
    assert [row[1] for row in rows[1:]] == ["x", 'y,"z"', ""]


def test_cells_are_quoted_only_where_they_must_be() -> None:
    texts = pa.array(["plain", "two words", 'a "b"', "1,5", " spaced", "", None])
    assert table_to_csv(pa.table([texts, pa.array(range(7))], names=["text", "row"])).decode() == (
        'text,row\nplain,0\ntwo words,1\n"a ""b""",2\n"1,5",3\n spaced,4\n,5\n,6\n'
    )
    assert table_to_csv(pa.table({"lone": ["x", None]})) == b'lone\nx\n""\n'
    assert table_to_csv(pa.table({"a": pa.array([], pa.float64())})) == b"a\n"


def explained(**label: Any) -> dict[str, Any]:
    return {"explanations": {"kernel_shap": {"label0": {"global_shap_values": {"a": 1.0}, **label}}}}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"features": []}, "explanations"),
        ({"explanations": {"pdp": []}}, "explanations.kernel_shap"),
        ({"explanations": {"kernel_shap": {"x": 1}}}, "explanations.kernel_shap.x"),
        (explained(global_shap_values={}), "explanations.kernel_shap.label0.global_shap_values"),
        (explained(global_shap_values={"a": "much"}), "explanations.kernel_shap.label0.global_shap_values.a"),
        (explained(drift_threshold=1.5), "explanations.kernel_shap.label0.drift_threshold"),
        (explained(magnitude_threshold=0.5), "explanations.kernel_shap.label0.magnitude_threshold"),
        (explained(direction_threshold=2.5), "explanations.kernel_shap.label0.direction_threshold"),
    ],
)
def test_mistakes_name_the_place(value: dict[str, Any], field: str) -> None:
    with pytest.raises(DocumentError) as error:
        read_constraints(value, "f.json")
    assert (error.value.file, error.value.field) == ("f.json", field)
