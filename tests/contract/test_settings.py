"""Settings: variables and flags, all mistakes together, every setting documented."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fixtures import ROOT
from refusals import refused
from sentences import says

from containers.bias.main import MONITOR as BIAS
from containers.data_quality.main import MONITOR
from containers.model_quality.main import MONITOR as MODEL_QUALITY
from contract import settings
from contract.errors import ConfigurationError, wording
from contract.settings import VARIABLES, Settings, Variable, message_file, read_settings

NEEDED = {"dataset_source": "/in", "dataset_format": '{"csv":{"header":true}}', "output_path": "/out"}
NOW = datetime(2026, 5, 6, 22, 40, tzinfo=UTC)


def read(*arguments: str, **variables: str) -> Settings:
    return read_settings(arguments, variables, MONITOR, now=NOW)


def test_variables_alone_are_enough() -> None:
    settings = read(**NEEDED)
    assert (settings.dataset_source, settings.output_path, settings.rules) == ("/in", "/out", "sound")
    assert not settings.is_monitoring


def test_flags_alone_are_enough_and_win() -> None:
    flags = [part for name, value in NEEDED.items() for part in ("--" + name.replace("_", "-"), value)]
    assert read(*flags).dataset_source == "/in"
    assert read("--dataset-source=/flag", **NEEDED).dataset_source == "/flag"


def test_the_documented_alias_is_accepted() -> None:
    variables = {**NEEDED, "dataset_source_path": "/alias"}
    del variables["dataset_source"]
    assert read(**variables).dataset_source == "/alias"


@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        (["--rules", "sound", "--rules", "sagemaker"], {}),
        (["--dataset-source", "/a", "--dataset-source-path", "/b"], {}),
        ([], {"dataset_source_path": "/b"}),
    ],
)
def test_a_setting_with_two_values_is_refused(flags: list[str], variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(*flags, **NEEDED, **variables)
    assert says(
        refused.value.message, "setting.twice", field="rules" if "sound" in flags else "dataset_source"
    )
    assert read("--rules", "sagemaker", "--rules=sagemaker", **NEEDED, rules="sound").rules == "sagemaker"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read(**NEEDED, baseline_constraints="").is_monitoring is False
    assert read(**NEEDED, baseline_constraints="/c.json").is_monitoring is True


def test_a_value_of_a_flag_may_begin_with_a_dash() -> None:
    moved = read("--start-time-offset", "-P3D", "--missing-values", "-999,-1", **NEEDED, window="P1D")
    assert moved.missing_values == ("-999", "-1")
    assert moved.window is not None
    assert moved.window.start == datetime(2026, 5, 2, tzinfo=UTC)


@pytest.mark.parametrize("text", ["Enabled", "enabled", "true", "1"])
def test_switches(text: str) -> None:
    assert read(**NEEDED, fail_on_violations=text).fail_on_violations is True


def test_a_window_from_a_duration() -> None:
    window = read(**NEEDED, window="PT1H").window
    assert window is not None
    assert window.start == datetime(2026, 5, 6, 21, tzinfo=UTC)
    assert window.end == datetime(2026, 5, 6, 22, tzinfo=UTC)
    moved = read(**NEEDED, window="P1D", start_time_offset="-P3D", end_time_offset="-P1D").window
    assert moved is not None
    assert moved.start == datetime(2026, 5, 2, tzinfo=UTC)
    assert moved.end == datetime(2026, 5, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({}, "3 settings are wrong"),
        ({"DATASET_SOURCE": "/in"}, "DATASET_SOURCE is set, but the name is lower-case"),
        ({**NEEDED, "rules": "strict"}, "rules is 'strict'; use sound or sagemaker"),
        ({**NEEDED, "publish_cloudwatch_metrics": "on"}, "use Enabled or Disabled"),
        ({**NEEDED, "workers": "0"}, "use a whole number from 1"),
        ({**NEEDED, "metric_time": "yesterday"}, "metric_time is 'yesterday'"),
        ({**NEEDED, "analysis_type": "MODEL_QUALITY"}, "which this image does not serve"),
        ({**NEEDED, "start_time_offset": "-PT2D"}, "start_time_offset"),
        ({**NEEDED, "dataset_format": '{"cvs":{}}'}, "csv"),
    ],
)
def test_mistakes_name_the_variable_and_the_fix(variables: dict[str, str], part: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(**variables)
    assert part in caught.value.message


def test_a_variable_that_is_nearly_one_names_it() -> None:
    with refused(ConfigurationError, "setting.near_miss", field="baseline_constrants") as caught:
        read(**NEEDED, baseline_constrants="/c")
    assert says(caught.value.message, "setting.near_miss", meant="baseline_constraints")


@pytest.mark.parametrize(
    "name",
    ["dataset_source", "output_path", "history_path", "baseline_constraints"],
)
@pytest.mark.parametrize(
    "address",
    [
        "S3://bucket/a",
        "s3a://bucket/a",
        "gs://bucket/a",
        "file:///a",
        "https://h/a",
        "s3:/bucket/a",
        "arn:aws:s3:::b/a",
    ],
)
def test_an_address_that_is_no_s3_is_no_folder_of_that_name(name: str, address: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"{name} is '.*', which is no local path and does not begin with s3"
    ):
        read(**{**NEEDED, name: address})
    assert read(**{**NEEDED, name: "/a://b", "model_name": address}).given[name] == "/a://b"


@pytest.mark.parametrize("address", ["s3://", "s3:///prefix"])
def test_an_address_without_a_bucket_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"output_path is '{address}', which names no bucket"):
        read(**{**NEEDED, "output_path": address})


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read("--rulez", "sound", **{**NEEDED, "workers": "x", "dataset_format": "{"})
    for part in ("did you mean --rules?", "workers is 'x'", "dataset_format", "(3)"):
        assert part in caught.value.message


def test_variables_of_other_programs_are_left_alone() -> None:
    assert read(**NEEDED, http_proxy="http://proxy", DATASET_FORMATS="x", _="x")


def test_the_message_file_is_found_without_the_rest() -> None:
    assert message_file([], {}) == "/opt/ml/output/message"
    assert message_file(["--output-message-file", "/m"], {"output_message_file": "/n"}) == "/m"
    assert message_file(["--output-message-file=/m"], {}) == "/m"
    assert message_file([], {"output_message_file": "/n"}) == "/n"


@pytest.mark.parametrize(
    ("wait", "seconds"), [("30000", None), ("3000", None), ("2999", 2999), ("PT2H", 7200)]
)
def test_waits_that_may_be_milliseconds_are_refused(wait: str, seconds: float | None) -> None:
    given = {**NEEDED, "metrics_sinks": "otlp+http://localhost:4318", "sink_timeout": wait}
    if seconds is not None:
        assert read(**given).sink_timeout == seconds
        return
    with pytest.raises(ConfigurationError) as caught:
        read(**given)
    assert says(caught.value.message, "setting.unit", field="sink_timeout", text=wait, example="PT30S")


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for variable in VARIABLES:
        assert f"`{variable.name}`" in page
        assert variable.ignored or f"`{variable.flag}`" in page


def test_names_in_upper_case_are_named(caplog: pytest.LogCaptureFixture) -> None:
    read(**NEEDED, HISTORY_PATH="/h", RULES="sagemaker")
    assert "HISTORY_PATH is set, but the name is lower-case: rename it to history_path" in caplog.text
    assert "RULES is set, but the name is lower-case: rename it to rules" in caplog.text


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BASELINE_CONSTRAINTS", "baseline_constraints"),
        ("Baseline_Statistics", "baseline_statistics"),
        ("baselineConstraints", "baseline_constraints"),
        ("FAIL_ON_VIOLATIONS", "fail_on_violations"),
    ],
)
def test_what_decides_the_verdict_is_never_passed_over(name: str, meant: str) -> None:
    with refused(ConfigurationError, "setting.near_miss") as caught:
        read(**NEEDED, **{name: "Enabled"})
    assert meant in caught.value.message


def test_so_are_those_of_a_monitors_own_variables(caplog: pytest.LogCaptureFixture) -> None:
    monitor = replace(MONITOR, own_variables=(Variable("most_points", "Points that are no violation."),))
    read_settings((), {**NEEDED, "MOST_POINTS": "20"}, monitor, now=NOW)
    assert "MOST_POINTS is set, but the name is lower-case: rename it to most_points" in caplog.text


@pytest.mark.parametrize("name", ["history_path", "register_new_baseline"])
def test_places_of_times_are_filled_in_in_output_path_alone(name: str) -> None:
    given = {**NEEDED, "window": "P1D", "baseline_constraints": "/b/constraints.json", name: "/runs/%Y-%m"}
    with pytest.raises(ConfigurationError) as error:
        read(**given)
    assert says(str(error.value), "settings.no_places", field=name, sign="%Y")


@pytest.mark.parametrize(
    ("variables", "field", "others"),
    [
        ({"gate_on": "last"}, "gate_on", "each_window"),
        ({"rows": "list"}, "rows", "captures"),
        ({"sink_timeout": "5"}, "sink_timeout", "metrics_sinks or event_sinks or history_path"),
        ({"history_statistics": "Disabled"}, "history_statistics", "history_path"),
        ({"ground_truth_id_column": "id"}, "ground_truth_id_column", "ground_truth_source"),
    ],
)
def test_what_has_no_effect_without_another_is_logged(
    variables: dict[str, str], field: str, others: str, caplog: pytest.LogCaptureFixture
) -> None:
    read_settings([], {**NEEDED, "problem_type": "Regression", **variables}, MODEL_QUALITY, now=NOW)
    assert caplog.messages == [wording("settings.idle", field=field, relation="without", others=others)]


@pytest.mark.parametrize(
    ("variables", "field", "others"),
    [
        ({"positive_label": "yes"}, "positive_label", "problem_type=MulticlassClassification"),
        (
            {"inference_attribute": "0", "probability_threshold_attribute": "0.7"},
            "probability_threshold_attribute",
            "inference_attribute",
        ),
        (
            {"dask_scheduler_address": "a:1", "cluster_leader_address": "b:1"},
            "cluster_leader_address",
            "dask_scheduler_address",
        ),
        (
            {
                "alert_after": "2/3",
                "history_path": "/history",
                "window": "P1D",
                "register_new_baseline": "/baseline",
                "skip_check": "Enabled",
            },
            "alert_after",
            "register_new_baseline",
        ),
    ],
)
def test_what_has_no_effect_beside_another_is_logged(
    variables: dict[str, str], field: str, others: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = {**NEEDED, "problem_type": "MulticlassClassification", **variables}
    read_settings([], given, MODEL_QUALITY, now=NOW)
    assert caplog.messages == [wording("settings.idle", field=field, relation="beside", others=others)]


@pytest.mark.parametrize(
    "variables",
    [
        {"gate_on": "all", "sink_timeout": "PT30S", "history_statistics": "Enabled"},  # the defaults
        {"history_statistics": "Disabled", "sink_timeout": "5", "history_path": "/history"},
        {"rows": "list", "dataset_format": "sagemakerCaptureJson"},
        {"positive_label": "yes", "probability_threshold_attribute": "0.7"},
    ],
)
def test_what_has_an_effect_is_not(variables: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    given = {**NEEDED, "problem_type": "BinaryClassification", **variables}
    read_settings([], given, MODEL_QUALITY, now=NOW)
    assert not caplog.messages


def test_features_of_a_table_need_no_path(caplog: pytest.LogCaptureFixture) -> None:
    read_settings([], {**NEEDED, "features_attribute": "x", "analysis_config": "/a.json"}, BIAS, now=NOW)
    about = {"field": "features_attribute", "relation": "without", "others": "captures"}
    assert caplog.messages == [wording("settings.idle", **about)]


def test_the_settings_that_may_have_no_effect_are_settings() -> None:
    for name, _, others in settings._IDLE:
        assert name in settings.VARIABLE_BY_NAME
        assert {other.partition("=")[0] for other in others} <= {*settings.VARIABLE_BY_NAME, "captures"}
