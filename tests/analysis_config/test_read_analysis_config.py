"""Reading analysis_config.json: the whole schema, strictly, with every mistake in one report."""

import json
from typing import Any

import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st
from sentences import says

from contract.analysis_config import (
    POST_TRAINING_METRICS,
    PRE_TRAINING_METRICS,
    AnalysisConfig,
    Facet,
    Kind,
    read_analysis_config,
)
from contract.errors import ConfigurationError

BIAS: dict[str, Any] = {
    "dataset_type": "text/csv",
    "label": "approved",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "sex", "value_or_threshold": ["female"]}],
    "methods": {"pre_training_bias": {"methods": "all"}},
}
ATTRIBUTION: dict[str, Any] = {
    "dataset_type": "text/csv",
    "methods": {"shap": {}},
    "predictor": {"endpoint_name": "loans"},
}
# Every object of the schema with every member that tabular data has.
EVERYTHING: dict[str, Any] = {
    "version": "1.0",
    "dataset_type": "application/jsonlines",
    "dataset_uri": "s3://bucket/data",
    "headers": ["age", "sex", "approved"],
    "label": "label",
    "predicted_label": "prediction",
    "features": "features",
    "label_values_or_threshold": [1, "yes", 0.5],
    "probability_threshold": 0.7,
    "segment_config": [
        {
            "config_name": "by age",
            "name_or_index": "age",
            "segments": [["[18, 30]"], ["(30, 99]"]],
            "display_aliases": ["young", "old", "rest"],
        }
    ],
    "facet": [{"name_or_index": "sex", "value_or_threshold": ["female"]}],
    "facet_dataset_uri": "s3://bucket/facets",
    "facet_headers": ["sex"],
    "predicted_label_dataset_uri": "s3://bucket/predictions",
    "predicted_label_headers": ["prediction"],
    "excluded_columns": ["id", 0],
    "joinsource_name_or_index": "id",
    "group_variable": "age",
    "methods": {
        "pre_training_bias": {"methods": ["CI", "DPL"]},
        "post_training_bias": {"methods": "all"},
        "shap": {
            "baseline": [[1, None, "a"]],
            "use_logit": True,
            "num_samples": 100,
            "agg_method": "MEAN_SQ",
            "save_local_shap_values": True,
            "seed": 3,
            "features_to_explain": ["age", 1],
        },
        "pdp": {"grid_resolution": 15, "features": ["age"], "top_k_features": 3},
        "report": {"name": "report", "title": "A title"},
    },
    "predictor": {
        "endpoint_name": "loans",
        "endpoint_name_prefix": "loans",
        "model_name": "loans",
        "target_model": "a.tar.gz",
        "instance_type": "ml.m5.large",
        "initial_instance_count": 1,
        "accelerator_type": "ml.eia2.medium",
        "content_type": "application/JSON",
        "accept_type": "application/json",
        "label": 0,
        "probability": "score",
        "label_headers": ["yes", 0],
        "content_template": '{"instances":$records}',
        "record_template": '{"features":$features}',
        "custom_attributes": "a=b",
    },
}


def read(value: Any, kind: Kind = "groups") -> AnalysisConfig:
    return read_analysis_config(value, "analysis_config.json", kind)


def message(value: Any, kind: Kind = "groups") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(value, kind)
    return caught.value.message


def test_real_configurations() -> None:
    path = fixture("clarify/analysis_configs/bias_analysis_config.json")
    config = read(json.loads(path.read_text(encoding="utf-8")))
    assert config.facet == (Facet(("Sex",), (0,)),)
    assert config.methods is not None
    assert config.methods.pre_training_bias == PRE_TRAINING_METRICS
    assert config.methods.post_training_bias == POST_TRAINING_METRICS
    assert (config.group_variable, config.probability_threshold) == ("Age", 0.8)
    path = fixture("clarify/analysis_configs/explainability_analysis_config.json")
    config = read(json.loads(path.read_text(encoding="utf-8")), "attribution")
    assert config.methods is not None
    assert config.methods.shap is not None
    assert config.methods.shap.num_samples == 15
    assert config.methods.shap.save_local_shap_values


@pytest.mark.parametrize("kind", ["groups", "attribution"])
def test_every_member_of_the_schema_is_known(kind: Kind) -> None:
    config = read(EVERYTHING, kind)
    assert config.methods is not None
    assert config.methods.pre_training_bias == ("CI", "DPL")
    assert config.methods.shap is not None
    assert config.methods.shap.agg_method == "mean_sq"
    assert config.predictor is not None
    assert config.predictor.content_type == "application/json"
    assert config.segment_config[0].display_aliases == ("young", "old", "rest")


def test_the_configuration_of_a_monitor_has_neither_type_nor_methods() -> None:
    value = {key: BIAS[key] for key in ("label", "label_values_or_threshold", "facet")}
    assert read(value).methods is None


def objects(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all objects with a fixed set of members."""
    found = [path] if isinstance(value, dict) else []
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        found += objects(member, (*path, key))
    return found


@pytest.mark.parametrize("path", objects(EVERYTHING), ids=str)
def test_unknown_members_are_rejected_at_every_level_with_a_suggestion(path: tuple[Any, ...]) -> None:
    value = json.loads(json.dumps(EVERYTHING))
    inner = value
    for key in path:
        inner = inner[key]
    name = max((key for key in inner if key != "version"), key=len)
    inner[name + "x"] = inner[name]
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in (*path, f"{name}x"))
    assert says(message(value), "members.unknown", field=place[1:], hint=f": did you mean {name}?")


@pytest.mark.parametrize("key", sorted(set(EVERYTHING) - {"version"}))
@pytest.mark.parametrize("wrong", [True, [True], {"a": 1}, 1.5, [[]]], ids=str)
def test_members_of_the_wrong_kind_are_named(key: str, wrong: Any) -> None:
    fits = {("label_values_or_threshold", "[true]")}
    if (key, json.dumps(wrong)) in fits or (key == "probability_threshold" and wrong == 1.5):
        return
    assert key in message({**EVERYTHING, key: wrong})


def test_all_mistakes_are_reported_at_once() -> None:
    text = message(
        {
            "dataset_type": "text/cvs",
            "labl": "x",
            "facet": [{"name_or_idx": 3, "value_or_threshold": 0}],
            "methods": {"post_training_bias": {"methods": ["DCAcc", "DP"]}, "shap": {"num_samples": 0}},
        }
    )
    assert text.startswith("analysis_config.json: 8 members are wrong")
    metrics, least = "methods.post_training_bias.methods", "methods.shap.num_samples"
    for code, members in (
        (
            "members.choice",
            {"field": "dataset_type", "value": "text/cvs", "hint": ": did you mean text/csv?"},
        ),
        ("members.unknown", {"field": "labl", "hint": ": did you mean label?"}),
        ("members.unknown", {"field": "facet[0].name_or_idx", "hint": ": did you mean name_or_index?"}),
        ("members.wrong", {"field": "facet[0].value_or_threshold", "value": 0, "hint": "; write [0]"}),
        ("members.wrong", {"expected": "a list of text and numbers", "value": 0}),
        ("analysis_config.metric", {"field": metrics, "name": "DCAcc", "hint": ": did you mean DCA?"}),
        ("analysis_config.metric", {"field": metrics, "name": "DP", "hint": ": did you mean DPPL?"}),
        ("members.wrong", {"field": least, "expected": "a whole number from 1", "value": 0}),
        ("members.required", {"field": "label_values_or_threshold"}),
    ):
        assert says(text, code, **members)


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"time_series_data_config": {}}, "time_series_data_config is for time series"),
        ({"dataset_type": "application/x-image"}, "which is for images"),
        ({"methods": {"shap": {"text_config": {}}}}, "methods.shap.text_config is for text"),
        ({"methods": {"shap": {"image_config": {}}}}, "methods.shap.image_config is for images"),
        ({"methods": {"asymmetric_shapley_value": {}}}, "asymmetric_shapley_value is for time series"),
        ({"predictor": {"content_type": "image/png"}}, "which is for images"),
        ({"predictor": {"time_series_predictor_config": {}}}, "is for time series"),
    ],
)
def test_what_is_not_tabular_is_refused_by_name(change: dict[str, Any], subject: str) -> None:
    text = message({**ATTRIBUTION, **change}, "attribution")
    assert subject in text
    assert "only tabular data is analysed" in text


def test_integers_are_numbers_too() -> None:
    assert read({**BIAS, "probability_threshold": 1}).probability_threshold == 1.0
    assert "from 0 to 1, but is 2" in message({**BIAS, "probability_threshold": 2})


def test_intersections_of_facets() -> None:
    pairs = [{"name_or_index": ["sex", "age"], "value_or_threshold": [["f", 30], ["m", 20]]}]
    assert read({**BIAS, "facet": pairs}).facet == (Facet(("sex", "age"), (("f", 30), ("m", 20))),)
    assert read({**BIAS, "facet": [["sex", 2]]}).facet == (Facet(("sex", 2)),)
    without = {key: member for key, member in BIAS.items() if key != "facet"}
    assert read({**without, "facets": [["sex", "age"], "sex"]}).facet == (
        Facet(("sex", "age")),
        Facet(("sex",)),
    )
    pairs[0]["value_or_threshold"] = ["f"]
    assert "facet[0].value_or_threshold[0] must be one of lists of 2 values" in message(
        {**BIAS, "facet": pairs}
    )


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"headers": ["a", "a"]}, "headers names 'a' twice"),
        ({"predictor": {"label_headers": ["1", 1]}}, "predictor.label_headers names '1' twice"),
        ({"facet": []}, "facet is missing"),
        ({"facet": [{"name_or_index": ["a", "a"]}]}, "names a column twice"),
        ({"methods": {"report": {}}}, "methods asks for no bias metric"),
        ({"methods": {"pre_training_bias": {"methods": []}}}, "a list of names of metrics"),
        ({"methods": {"pre_training_bias": {"methods": ["DI"]}}}, "asks for 'DI', which is no such metric"),
        ({"version": "2.0"}, 'version must be the text "1.0"'),
        ({"segment_config": [{"name_or_index": "a"}]}, "segment_config[0].segments is missing"),
        (
            {
                "segment_config": [
                    {"name_or_index": "a", "segments": [["x"]], "display_aliases": ["a", "b", "c"]}
                ]
            },
            "has 3 names for 1 segments",
        ),
        (
            {"predictor": {"content_type": "application/jsonlines", "content_template": "{}"}},
            "has no $features",
        ),
        ({"predictor": {"content_type": "application/json", "content_template": "{}"}}, "has no $records"),
        ({"methods": {"shap": {"agg_method": "mean"}}}, "did you mean mean_abs?"),
    ],
)
def test_mistakes_say_what_to_do(change: dict[str, Any], part: str) -> None:
    assert part in message({**BIAS, **change})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("label", -1, "a name, or a zero-based position"),
        ("headers", "a,b", "a list of texts"),
        ("facet", {"name_or_index": "a"}, "a list of objects"),
    ],
)
def test_what_was_expected_is_said(field: str, value: Any, expected: str) -> None:
    text = message({**BIAS, field: value})
    shown = {"value": json.dumps(value)} if field != "facet" else {}
    assert says(text, "members.wrong", field=field, expected=expected, **shown)


def test_attribution_needs_shap() -> None:
    assert "methods.shap is missing" in message({"dataset_type": "text/csv"}, "attribution")
    both = {"shap": {"baseline": [[1]], "num_clusters": 2}}
    assert "exclude each other" in message({**ATTRIBUTION, "methods": both}, "attribution")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(EVERYTHING)), inner, max_size=3)
    ),
    max_leaves=8,
)


def report_of(value: Any, kind: Kind) -> str | None:
    try:
        read(value, kind)
    except ConfigurationError as error:
        return error.message
    return None


@given(json_values, st.sampled_from(["groups", "attribution"]))
def test_no_json_value_surprises_the_reader(value: Any, kind: Kind) -> None:
    report = report_of(value, kind)
    assert report is None or report.startswith("analysis_config.json: ")


@given(st.sampled_from(sorted(EVERYTHING)), json_values)
def test_no_member_surprises_the_reader(key: str, value: Any) -> None:
    report = report_of({**EVERYTHING, key: value}, "groups")
    assert report is None or key in report


@pytest.mark.parametrize("prefix", ["a" * 24, "-loans", "loans-", "my loans", "my_loans"])
def test_a_prefix_that_no_endpoint_can_have(prefix: str) -> None:
    said = message(BIAS | {"predictor": {"model_name": "loans", "endpoint_name_prefix": prefix}})
    assert "predictor.endpoint_name_prefix must be at most 23 letters, digits and hyphens within" in said
