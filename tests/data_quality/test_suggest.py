"""Suggested constraints: the originals' exactly, and room for what a sample must miss."""

import numpy as np
import pytest
from fixtures import fixture
from hand_made import document, numeric, text, unknown

from analyzers.data_quality.documents import constraints_to_json, read_constraints, read_statistics
from analyzers.data_quality.limits import domain_threshold, suggest
from contract import json_layout
from contract.api import Baseline


def test_originals_file_is_reproduced_to_the_byte():
    statistics_file = fixture("model_monitor/dq_service_output/ox2025/statistics.json")
    constraints_file = fixture("model_monitor/dq_service_output/ox2025/constraints.json")
    statistics = read_statistics(json_layout.loads(statistics_file.read_bytes(), "statistics.json"), "s")
    written = json_layout.dumps(constraints_to_json(suggest(statistics, rules="sagemaker")))
    assert written == constraints_file.read_bytes()


def test_each_type_gets_its_members():
    statistics = document(
        numeric("age", [1, 2, 3, 4], integral=True),
        numeric("delta", [-1.5, 2.0, 3.0], missing=1),
        text("town", ["a", "b", "a", "c"]),
        text("id", ["1a", "2b", "3c", "4d"], listed=False),
        unknown("empty", 4),
    )
    features = constraints_to_json(suggest(statistics, rules="sagemaker"))["features"]
    assert features == [
        {
            "name": "age",
            "inferred_type": "Integral",
            "completeness": 1.0,
            "num_constraints": {"is_non_negative": True},
        },
        {
            "name": "delta",
            "inferred_type": "Fractional",
            "completeness": 0.75,
            "num_constraints": {"is_non_negative": False},
        },
        {
            "name": "town",
            "inferred_type": "String",
            "completeness": 1.0,
            "string_constraints": {"domains": ["a", "b", "c"]},
        },
        {"name": "id", "inferred_type": "String", "completeness": 1.0},
        {"name": "empty", "inferred_type": "Unknown", "completeness": 0.0},
    ]


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_categorical_drift_method_is_written(rules):
    config = suggest(
        document(numeric("x", [1.0])), rules=rules, categorical_drift_method="ChiSquared"
    ).config()
    assert config.categorical_drift_method == "ChiSquared"
    assert (
        suggest(document(numeric("x", [1.0])), rules=rules).config().categorical_drift_method == "LInfinity"
    )


def test_sound_rules_leave_room_per_feature():
    statistics = document(text("town", {"a": 15_000, "b": 5_000}))
    (feature,) = suggest(statistics).features
    assert feature.overrides == {"domain_content_threshold": 0.99965}
    assert suggest(statistics).config(feature).domain_content_threshold == 0.99965
    assert suggest(statistics, rules="sagemaker").features[0].overrides == {}


@pytest.mark.parametrize("rows", [200, 2_000, 20_000])
@pytest.mark.parametrize("categories", [5, 200, 2_000])
def test_room_covers_the_share_of_unseen_categories(rows, categories):
    generator = np.random.default_rng(rows + categories)
    shares = 1.0 / np.arange(1, categories + 1) ** 1.2
    shares /= shares.sum()
    short = 0
    for _ in range(300):
        counts = generator.multinomial(rows, shares)
        unseen = shares[counts == 0].sum()
        short += unseen > 1.0 - domain_threshold(counts[counts > 0].tolist())
    assert short <= 3


def test_room_is_no_wider_than_it_must_be():
    assert domain_threshold([1_000_000]) == pytest.approx(1 - 7e-6)
    assert domain_threshold([1] * 10) == 0.0
    assert domain_threshold([]) == 0.0
    # A hundred categories seen once among 20,000 rows: 0.5 % estimated, bound below 0.7 %.
    assert 0.993 <= domain_threshold([1] * 100 + [19_900]) < 0.995


def test_an_experts_additions_survive_a_monitoring_job():
    baseline_statistics = document(
        numeric("age", [1, 2, 3], missing=1, integral=True), text("town", {"a": 60, "b": 40})
    )
    edited = constraints_to_json(suggest(baseline_statistics))
    edited["owner"] = "risk team"
    edited["monitoring_config"]["distribution_constraints"]["comparison_threshold"] = 0.2
    age, town = edited["features"]
    age["completeness"] = 0.5
    age["inferred_type"] = "Fractional"
    age["note"] = "agreed in May"
    age["monitoringConfigOverrides"] = {"comparison_threshold": 0.3}
    town["string_constraints"]["domains"] += ["c"]
    constraints = read_constraints(edited, "constraints.json")

    window = document(
        numeric("age", [4, 5, 6, 7], integral=True),
        text("town", {"b": 1000, "d": 1000}),
        numeric("new", [1.0]),
    )
    adopted = constraints_to_json(suggest(window, Baseline(baseline_statistics, constraints)))
    assert adopted["owner"] == "risk team"
    assert adopted["monitoring_config"] == edited["monitoring_config"]
    age, town, new = adopted["features"]
    assert (age["completeness"], age["inferred_type"], age["note"]) == (0.5, "Fractional", "agreed in May")
    assert age["monitoringConfigOverrides"] == {"comparison_threshold": 0.3}
    assert town["string_constraints"]["domains"] == ["b", "d", "c"]
    assert town["completeness"] == 1.0
    # Not edited, so it is suggested anew, for the window's number of rows.
    expected_threshold = domain_threshold([1000, 1000])
    assert town["monitoringConfigOverrides"] == {"domain_content_threshold": expected_threshold}
    assert new["name"] == "new"
    pure = constraints_to_json(suggest(window, Baseline(baseline_statistics, constraints), rules="sagemaker"))
    assert "owner" not in pure
    assert pure["features"][0]["completeness"] == 1.0


def test_a_tightened_room_survives():
    statistics = document(text("town", {"a": 60, "b": 40}))
    constraints = suggest(statistics)
    constraints.features[0].overrides = {"domain_content_threshold": 1.0}
    (feature,) = suggest(statistics, Baseline(statistics, constraints)).features
    assert feature.overrides == {"domain_content_threshold": 1.0}


def test_without_the_previous_statistics_additions_are_kept():
    constraints = suggest(document(text("town", {"a": 60, "b": 40})))
    constraints.features[0].extra = {"note": "kept"}
    window = document(text("town", {"b": 10, "z": 10}, missing=5))
    (feature,) = suggest(window, Baseline(None, constraints)).features
    assert feature.domains == ["b", "z", "a"]
    assert feature.extra == {"note": "kept"}
    assert feature.completeness == 0.8


def test_a_domain_removed_by_an_expert_stays_removed():
    statistics = document(text("town", {"a": 60, "b": 40}))
    constraints = suggest(statistics)
    constraints.features[0].domains = None
    (feature,) = suggest(statistics, Baseline(statistics, constraints)).features
    assert feature.domains is None


@pytest.mark.parametrize(
    ("name", "values", "settings", "is_compared"),
    [
        ("_c0", range(40), {}, False),
        ("Unnamed: 0", range(7, 90, 2), {}, False),
        ("Unnamed: 0.1", range(40), {}, False),
        ("__index_level_0__", range(40), {}, False),
        ("id", range(40), {}, True),
        ("_c0", [n % 9 for n in range(40)], {}, True),
        ("_c0", [n / 8 for n in range(40)], {"integral": False}, True),
        ("_c0", [7], {}, True),
    ],
)
def test_what_numbers_the_rows_is_not_compared(name, values, settings, is_compared):
    statistics = document(numeric(name, list(values), **{"integral": True, **settings}))
    constraints = suggest(statistics)
    (feature,) = constraints.features
    assert constraints.config(feature).perform_comparison is is_compared
    assert suggest(statistics, rules="sagemaker").features[0].overrides == {}
    statistics.positional = True
    assert suggest(statistics).features[0].overrides == {}


def test_an_index_that_an_expert_wants_compared_stays_so():
    statistics = document(numeric("_c0", list(range(40)), integral=True))
    for overrides in ({}, {"perform_comparison": "Enabled"}):
        constraints = suggest(statistics)
        constraints.features[0].overrides = overrides
        (feature,) = suggest(statistics, Baseline(statistics, constraints)).features
        assert feature.overrides == overrides
