"""import-schedule: what the service described, as manifests of every orchestrator."""

import ast
import gzip
import importlib
import io
import json
import re
from pathlib import Path

import botocore
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from imported_schedules import LABELLED, MONITORS, SCHEDULES, descriptions, import_schedule
from kubernetes_validate import validate as validate_kubernetes
from refusals import refused

from containers.commands import main
from contract.errors import ConfigurationError, DocumentError
from orchestrators.import_schedule.describe import combine, parse_documents
from orchestrators.import_schedule.jobs import dump, hours_between, translate, unique_name

CALLS = {
    "data-quality": "DescribeDataQualityJobDefinition",
    "model-quality": "DescribeModelQualityJobDefinition",
    "bias": "DescribeModelBiasJobDefinition",
    "feature-attribution": "DescribeModelExplainabilityJobDefinition",
}
EVERY = ("kubernetes", "sagemaker", "airflow", "airflow-kubernetes", "argo", "compose")


@pytest.fixture(scope="module")
def service() -> dict:
    """The service's own description of its answers, as botocore carries it."""
    file = Path(botocore.__file__).parent / "data" / "sagemaker" / "2017-07-24" / "service-2.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))


def check_shape(service: dict, name: str, value: object, where: str) -> None:
    shape = service["shapes"][name]
    kind = shape["type"]
    if kind == "structure":
        assert isinstance(value, dict), where
        assert set(value) <= set(shape["members"]), where
        assert set(shape.get("required", ())) <= set(value), where
        for member, content in value.items():
            check_shape(service, shape["members"][member]["shape"], content, f"{where}.{member}")
    elif kind == "list":
        for content in value:
            check_shape(service, shape["member"]["shape"], content, where)
    elif kind == "string":
        assert isinstance(value, str), where
        assert value in shape.get("enum", [value]), where
    elif kind in ("integer", "float", "double"):
        assert isinstance(value, int | float), where


@pytest.mark.parametrize("monitor", MONITORS)
def test_the_descriptions_have_the_shapes_of_the_service(monitor: str, service: dict) -> None:
    calls = ("DescribeMonitoringSchedule", CALLS[monitor], "DescribeEndpoint")
    for file, call in zip(descriptions(monitor), calls, strict=True):
        shape = service["operations"][call]["output"]["shape"]
        check_shape(service, shape, json.loads(Path(file).read_text()), call)


@pytest.mark.parametrize("monitor", MONITORS)
@pytest.mark.parametrize("target", EVERY)
def test_every_type_becomes_a_manifest_of_every_orchestrator(monitor: str, target: str) -> None:
    text = import_schedule("--to", target, *descriptions(monitor))
    if target.startswith("airflow"):
        ast.parse(text)
    else:
        assert isinstance(yaml.safe_load(text), dict)
    assert f"monitor-{monitor}" in text
    assert "where it is false nothing is captured" in text
    assert ("merge-ground-truth" in text) == (monitor in LABELLED and target != "sagemaker")


@pytest.mark.parametrize("monitor", MONITORS)
def test_cron_jobs_fulfil_the_schema_of_kubernetes(monitor: str) -> None:
    manifest = yaml.safe_load(import_schedule("--to", "kubernetes", *descriptions(monitor)))
    validate_kubernetes(manifest, "1.31", strict=True)
    assert manifest["kind"] == "CronJob"


def variables(monitor: str, *options: str) -> dict[str, str]:
    manifest = yaml.safe_load(import_schedule("--to", "kubernetes", *options, *descriptions(monitor)))
    pod = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}


def test_a_schedule_keeps_its_baseline_its_script_and_its_hours() -> None:
    found = variables("data-quality")
    assert found["dataset_source"] == "s3://captures/live/churn"
    assert found["baseline_statistics"] == "s3://models/churn/data-quality/statistics.json"
    assert found["record_preprocessor_script"] == "s3://models/churn/code/preprocessor.py"
    assert found["window"] == "PT1H"
    assert found["output_path"] == "s3://reports/churn/churn-data-quality-schedule/%Y/%m/%d/%H"


def test_offsets_and_attributes_are_kept() -> None:
    found = variables("model-quality", "--rules", "sagemaker")
    assert (found["start_time_offset"], found["end_time_offset"]) == ("-P1D", "-P1D")
    assert (found["window"], found["rules"], found["problem_type"]) == (
        "PT24H",
        "sagemaker",
        "BinaryClassification",
    )
    assert (found["inference_attribute"], found["probability_attribute"]) == ("0", "1")


@pytest.mark.parametrize("monitor", MONITORS)
def test_attributes_without_effect_are_left_out(monitor: str) -> None:
    schedule, definition, endpoint = (json.loads(Path(file).read_text()) for file in descriptions(monitor))
    [source] = [one["EndpointInput"] for name, one in definition.items() if name.endswith("JobInput")]
    every = ("Features", "Inference", "Probability", "ProbabilityThreshold", "ExcludeFeatures")
    source |= {f"{name}Attribute": 0.5 if "Threshold" in name else "a" for name in every}
    text = piped("".join(map(json.dumps, (schedule, definition, endpoint))), "kubernetes")
    container = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    module = importlib.import_module(f"containers.{monitor.replace('-', '_')}.main")
    known = {variable.name for variable in module.MONITOR.variables}
    named = {one["name"] for one in container["env"]}
    for name in every:
        variable = re.sub("(?<=[a-z])(?=[A-Z])", "_", f"{name}Attribute").lower()
        [line] = [line for line in text.splitlines() if f".{name}Attribute = " in line]
        verdict = "kept" if variable in known else f"left out: it has no effect in monitor-{monitor}"
        assert f": {verdict}" in line
        assert (variable in named) == (variable in known)


def test_what_cannot_be_carried_over_is_said() -> None:
    text = import_schedule("--to", "kubernetes", *descriptions("bias"))
    comments = " ".join(line[2:] for line in text.splitlines() if line.startswith("#"))
    for said in (
        "subnet-0a1b2c3d4e5f67890",
        "key/00000000",
        '"ml.c5.2xlarge": changed: limits of processors',
    ):
        assert said in comments


@pytest.mark.parametrize(
    ("expression", "expected", "hours"),
    [
        ("cron(0 * ? * * *)", "0 * * * *", 1),
        ("cron(0 0 ? * * *)", "0 0 * * *", 24),
        ("cron(0 17 ? * * *)", "0 17 * * *", 24),
        ("cron(0 0/6 ? * * *)", "0 0,6,12,18 * * *", 6),
        ("cron(0 17/12 ? * * *)", "0 5,17 * * *", 12),
        ("cron(0 0 ? * MON *)", "0 0 * * 1", 7 * 24),
        ("cron(0 0 ? * 2-6 *)", "0 0 * * 1-5", 3 * 24),
        ("cron(0 8 1 * ? *)", "0 8 1 * *", 31 * 24),
        ("cron(0 0 ? * FRI-MON *)", "0 0 * * 0,1,5,6", 4 * 24),
        ("cron(0 22-1 ? * * *)", "0 0,1,22,23 * * *", 21),
        ("cron(0 0 29 FEB ? *)", "0 0 29 2 *", (4 * 365 + 1) * 24),
    ],
)
def test_expressions_have_five_fields_elsewhere(expression: str, expected: str, hours: int) -> None:
    cron = translate(expression)
    assert str(cron) == expected
    assert hours_between(cron)[0] == hours


def test_once_is_a_job() -> None:
    documents = [json.loads(Path(file).read_text()) for file in descriptions("data-quality")]
    timing = {
        "ScheduleExpression": "NOW",
        "DataAnalysisStartTime": "-PT6H",
        "DataAnalysisEndTime": "-PT1H",
    }
    documents[0]["MonitoringScheduleConfig"]["ScheduleConfig"] = timing
    text = "".join(json.dumps(document) for document in documents)
    manifest = yaml.safe_load(piped(text, "kubernetes"))
    validate_kubernetes(manifest, "1.31", strict=True)
    assert manifest["kind"] == "Job"
    entries = manifest["spec"]["template"]["spec"]["containers"][0]["env"]
    found = {entry["name"]: entry["value"] for entry in entries}
    assert (found["window"], found["end_time_offset"]) == ("PT5H", "-PT1H")


@pytest.mark.parametrize(
    ("target", "said"),
    [("kubernetes", "applied"), ("airflow", "trigger it"), ("sagemaker", "write the time")],
)
def test_once_says_what_is_left_to_do(target: str, said: str) -> None:
    documents = [json.loads(Path(file).read_text()) for file in descriptions("data-quality")]
    documents[0]["MonitoringScheduleConfig"]["ScheduleConfig"] = {"ScheduleExpression": "NOW"}
    lines = piped("".join(map(json.dumps, documents)), target).splitlines()
    assert said in next(line for line in lines if 'ScheduleExpression = "NOW": ' in line)


def piped(text: str, target: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(text))
        return import_schedule("--to", target)


def test_a_definition_within_its_schedule_is_read_too() -> None:
    schedule, definition, endpoint = (
        json.loads(Path(file).read_text()) for file in descriptions("data-quality")
    )
    configuration = schedule["MonitoringScheduleConfig"]
    del configuration["MonitoringJobDefinitionName"]
    configuration["MonitoringJobDefinition"] = {
        "BaselineConfig": definition["DataQualityBaselineConfig"],
        "MonitoringInputs": [definition["DataQualityJobInput"]],
        "MonitoringOutputConfig": definition["DataQualityJobOutputConfig"],
        "MonitoringResources": definition["JobResources"],
        "MonitoringAppSpecification": definition["DataQualityAppSpecification"],
        "NetworkConfig": definition["NetworkConfig"],
        "RoleArn": definition["RoleArn"],
        "StoppingCondition": definition["StoppingCondition"],
        "Environment": definition["DataQualityAppSpecification"]["Environment"],
    }
    found = piped(json.dumps(schedule) + json.dumps(endpoint), "argo")
    assert yaml.safe_load(found) == yaml.safe_load(
        import_schedule("--to", "argo", *descriptions("data-quality"))
    )


def test_the_service_itself_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [json.loads(Path(file).read_text()) for file in descriptions("bias")]

    class Client:
        def describe_monitoring_schedule(self, MonitoringScheduleName: str) -> dict:
            assert MonitoringScheduleName == documents[0]["MonitoringScheduleName"]
            return documents[0]

        def describe_model_bias_job_definition(self, JobDefinitionName: str) -> dict:
            assert JobDefinitionName == documents[1]["JobDefinitionName"]
            return documents[1]

        def describe_endpoint(self, EndpointName: str) -> dict:
            assert EndpointName == "churn"
            return documents[2]

    monkeypatch.setattr("boto3.client", lambda service: Client())
    assert import_schedule("--to", "compose", "--schedule-name", "churn-bias-schedule") == import_schedule(
        "--to", "compose", *descriptions("bias")
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "No schedule was given"),
        (
            (str(SCHEDULES / "bias" / "schedule.json"),),
            "describe-model-bias-job-definition --job-definition-name",
        ),
        (tuple(descriptions("bias")[:2]), "describe-endpoint --endpoint-name churn"),
        ((str(SCHEDULES / "missing.json"),), "missing.json cannot be read"),
        ((str(SCHEDULES.parent.parent / "imported_schedules.py"),), "not an object"),
        ((*descriptions("bias"), descriptions("bias")[0]), "give one schedule at a time"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main.import_schedule(("--to", "argo", *arguments)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert sentence in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        ("0.MonitoringType", "ModelQuality", "contradiction"),
        ("0.EndpointName", "loans", "contradiction"),
        ("1.DataQualityAppSpecification.Environment.analysis_type", "MODEL_BIAS", "contradiction"),
        ("1.DataQualityAppSpecification.Environment.analysis_type", "MODEL_QUALTY", "monitoring_type"),
        ("1.DataQualityJobInput.BatchTransformInput", {"LocalPath": "/opt"}, "exclusive"),
        ("1.ModelQualityAppSpecification", {"ImageUri": "own"}, "exclusive"),
        ("1.ModelQualityAppSpecification.ProblemType", "Binary", "value"),
        ("0.MonitoringScheduleStatus", "Runing", "value"),
    ],
)
def test_members_that_contradict_each_other_are_refused(place: str, value: object, code: str) -> None:
    documents = [json.loads(Path(file).read_text()) for file in descriptions("data-quality")]
    number, *names, last = place.split(".")
    part = documents[int(number)]
    for name in names:
        part = part.setdefault(name, {})
    part[last] = value
    with refused(ConfigurationError, f"schedule_description.{code}"):
        combine(documents)


def test_a_schedule_within_which_the_analysis_is_named_has_that_monitor() -> None:
    schedule = json.loads(Path(descriptions("bias")[0]).read_text())
    inline = {"MonitoringInputs": [{"EndpointInput": {"EndpointName": "churn", "LocalPath": "/opt"}}]}
    inline |= {"MonitoringAppSpecification": {"ImageUri": "clarify"}, "RoleArn": "arn:aws:iam::1:role/a"}
    inline |= {"MonitoringOutputConfig": {"MonitoringOutputs": []}, "Environment": {"analysis_type": "BIAS"}}
    inline["MonitoringResources"] = {"ClusterConfig": {"InstanceCount": 1}}
    schedule["MonitoringScheduleConfig"] = {"MonitoringJobDefinition": inline}
    assert combine([{**schedule, "MonitoringType": None}]).monitor == "bias"


def test_a_member_at_another_place_is_not_called_kept() -> None:
    documents = [json.loads(Path(file).read_text()) for file in descriptions("data-quality")]
    documents[1]["StartTimeOffset"] = "-PT1H"
    found = piped("".join(map(json.dumps, documents)), "argo")
    assert 'definition.StartTimeOffset = "-PT1H": left out' in found


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "rate(1 hour)",
            "cron(0 0 L * ? *)",
            "cron(0 0 ? * 2#1 *)",
            "cron(x * ? * * *)",
            "cron(0 24 ? * * *)",
        ),
        *(
            "cron(0 0 1 * MON *)",
            "cron(0/30 * ? * * *)",
            "cron(0 0/0 ? * * *)",
            "cron(0 17/ ? * * *)",
            "cron(0 0 31 FEB ? *)",
        ),
    ],
)
def test_what_five_fields_cannot_say_is_refused(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="ScheduleExpression"):
        hours_between(translate(expression) or pytest.fail("runs once"))


def test_text_that_is_no_json_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match=r"x\.json is not JSON \(.* in line 2\)"):
        parse_documents('{"a": 1}\n{"b" 2}', "x.json")


@given(st.integers(0, 59), st.integers(0, 23), st.integers(1, 7))
def test_days_of_the_week_are_counted_from_sunday(minute: int, hour: int, day: int) -> None:
    assert str(translate(f"cron({minute} {hour} ? * {day} *)")) == f"{minute} {hour} * * {day - 1}"


def test_a_member_that_is_there_twice_is_refused() -> None:
    with refused(DocumentError, "json.twice", field="TEAM"):
        parse_documents('{"Environment": {"TEAM": "a", "TEAM": "b"}}', "x.json")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    files = []
    for file in map(Path, descriptions("data-quality")):
        files.append(str(tmp_path / file.name))
        Path(files[-1]).write_text(file.read_text(), encoding="utf-8-sig")
    written = import_schedule("--to", "argo", "--image-prefix", "registry.example/mm/", *files)
    assert written.replace("registry.example/mm", "model-monitor") == import_schedule(
        "--to", "argo", *descriptions("data-quality")
    )


@pytest.mark.parametrize("option", ["--captures", "--baseline"])
def test_a_place_that_is_no_address_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.import_schedule(("--to", "argo", option, "churn-job", *descriptions("data-quality")))
    assert f"argument {option}: 'churn-job' is no address" in capsys.readouterr().err


@pytest.mark.parametrize("delay", ["60", "-1", "soon"])
def test_a_delay_that_is_no_minute_is_refused(delay: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.import_schedule(("--to", "argo", f"--delay={delay}", *descriptions("data-quality")))
    error = capsys.readouterr().err
    assert f"argument --delay: '{delay}' is no minute; write a whole number from 0 to 59" in error


def test_names_never_meet() -> None:
    names = ["monitoring-schedule-2026-11-28-13-15-55-719", "monitoring-schedule-2026-11-28-13-15-55-794"]
    names += ["churn", "Churn", "churn-2", "a" * 63, "a" * 62]
    for longest, always in ((52, False), (26, True)):
        made = [unique_name(name, longest, always=always) for name in names]
        assert len(set(made)) == len(names)
        assert max(map(len, made)) <= longest
    jobs = [unique_name(name, 26, always=True) + "-" for name in names]
    assert not any(one != other and other.startswith(one) for one in jobs for other in jobs)


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | texts
    | st.sampled_from(["yes", "on", "1e3", "a: b", "12:30", "~", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_yaml_is_read_back_as_it_was(value: object) -> None:
    assert yaml.safe_load(dump(value, "# a note: with a colon\n")) == value


def test_lines_stay_lines() -> None:
    value = {"script": "a\n  b\nc\n", "list": ["x\ny\nz\n", {"k": "l\nm\nn\n"}]}
    assert yaml.safe_load(dump(value)) == value


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers(), max_size=2), max_size=3))
def test_documents_may_follow_each_other(documents: list[dict[str, int]]) -> None:
    assert parse_documents("\n".join(map(json.dumps, documents)), "x") == documents


def test_a_description_without_a_role_says_so() -> None:
    documents = [json.loads(Path(file).read_text()) for file in descriptions("bias")]
    del documents[1]["RoleArn"]
    with refused(ConfigurationError, "schedule_description.lacks"):
        combine(documents)
