"""The documents: lossless reading and writing, errors that name the place, overrides."""

from typing import Any

import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st

from analyzers.data_quality.documents import (
    Constraints,
    constraints_to_json,
    read_constraints,
    read_statistics,
    statistics_to_json,
)
from contract import json_layout
from contract.api import read_violations
from contract.errors import DocumentError
from contract.schema import write_document

READERS = {
    "statistics": (read_statistics, statistics_to_json),
    "constraints": (read_constraints, constraints_to_json),
    "violations": (read_violations, write_document),
}


@pytest.mark.parametrize("name", ["statistics", "constraints"])
def test_real_files_of_the_service_are_emitted_byte_for_byte(name: str) -> None:
    raw = fixture(f"model_monitor/dq_service_output/ox2025/{name}.json").read_bytes()
    read, write = READERS[name]
    assert json_layout.dumps(write(read(json_layout.loads(raw, name), name))) == raw


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("sdk/statistics.json", "statistics"),
        ("sdk/constraints.json", "constraints"),
        ("sdk/constraint_violations.json", "violations"),
        ("dq_service_output/dsoa_reviews/constraints.json", "constraints"),
        ("dq_service_output/packt_weather/constraints.json", "constraints"),
    ],
)
def test_other_real_files_lose_nothing(path: str, kind: str) -> None:
    value = json_layout.loads(fixture(f"model_monitor/{path}").read_bytes(), path)
    read, write = READERS[kind]
    assert write(read(value, path)) == value


def constraints_of(**members: Any) -> Constraints:
    feature = {"name": "x", "inferred_type": "Integral", **members.pop("feature", {})}
    return read_constraints({"version": 0.0, "features": [feature], **members}, "constraints.json")


_json = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
)
_additions = st.dictionaries(st.text(min_size=1, max_size=8).map(lambda key: "x-" + key), _json, max_size=3)


@given(_additions, _additions, _additions)
def test_an_experts_additions_are_kept(top: dict, feature: dict, numeric: dict) -> None:
    value = {
        "note": "mine",
        "version": 0.0,
        **top,
        "features": [
            {
                **feature,
                "name": "é.`x`",
                "inferred_type": "Fractional",
                "num_constraints": {**numeric, "limit": 3},
            }
        ],
        "monitoring_config": {"evaluate_constraints": "Enabled", "owner": "team"},
    }
    written = constraints_to_json(read_constraints(value, "constraints.json"))
    assert written == value
    assert list(written) == list(value)


def test_constraints_of_2019_are_understood() -> None:
    config = read_constraints(
        json_layout.loads(fixture("model_monitor/sdk/constraints.json").read_bytes(), "c"), "c"
    ).config()
    assert config.perform_comparison is True
    assert config.comparison_threshold == 1.0
    assert config.domain_content_threshold == 1.0


def test_overrides_apply_to_any_feature_flat_or_nested() -> None:
    flat = constraints_of(feature={"monitoringConfigOverrides": {"comparison_threshold": 0.3}})
    assert flat.config(flat.features[0]).comparison_threshold == 0.3
    assert flat.config(flat.features[0]).categorical_threshold == 0.3
    assert flat.config().comparison_threshold == 0.1
    nested = constraints_of(
        feature={
            "monitoringConfigOverrides": {"distribution_constraints": {"perform_comparison": "Disabled"}}
        }
    )
    assert nested.config(nested.features[0]).perform_comparison is False
    helper = constraints_of(
        feature={
            "string_constraints": {"monitoring_config_overrides": {"evaluate_constraints": "Disabled"}},
            "inferred_type": "String",
        }
    )
    assert helper.config(helper.features[0]).evaluate_constraints is False


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "no 'features' list"),
        ({"features": [{"inferred_type": "Integral"}]}, r"features\[0\]\.name is missing"),
        ({"features": [{"name": "a", "inferred_type": "Int"}]}, "must be one of Integral"),
        (
            {"features": [{"name": "a", "inferred_type": "String", "string_constraints": {"domains": [1]}}]},
            "domains must be a list of texts",
        ),
        ({"features": [], "monitoring_config": {"datatype_check_threshold": "1"}}, "threshold must be"),
        ({"features": [], "monitoring_config": {"evaluate_constraints": "On"}}, "known are Enabled"),
        ({"features": [{"name": "a", "inferred_type": "String", "completeness": "1"}]}, "must be a number"),
    ],
)
def test_unusable_constraints_name_the_place(value: dict, says: str) -> None:
    with pytest.raises(DocumentError, match=says) as caught:
        read_constraints(value, "/in/constraints.json")
    assert "/in/constraints.json" in caught.value.message


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"regression_metrics": {}}, "not a data-quality statistics file"),
        ({"features": [1]}, "must be an object"),
        (
            {"features": [{"name": "a", "inferred_type": "Integral", "numerical_statistics": []}]},
            "must be an object",
        ),
    ],
)
def test_unusable_statistics_name_the_place(value: dict, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        read_statistics(value, "statistics.json")


def test_values_of_a_sample_at_its_ends_must_be_as_many_as_its_rows_keep() -> None:
    feature = {"name": "x", "inferred_type": "Integral", "sample": {"rows": 8, "low": [1, 2]}}
    value = {"version": 0.0, "features": [feature]}
    with pytest.raises(DocumentError, match=r"s\.json.*sample\.low and \.high must each have the 2 numbers"):
        read_statistics(value, "s.json")
    feature["sample"]["high"] = [8, 7]  # type: ignore[index]
    assert read_statistics(value, "s.json")
