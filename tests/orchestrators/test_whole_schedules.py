"""Schedules with every field filled: members accounted for, times and windows, damaged input."""

from __future__ import annotations

import ast
import copy
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures import ROOT
from imported_schedules import MONITORS, descriptions
from orchestrators.test_sagemaker_stack import Loader
from refusals import refused

from containers.commands.main import import_schedule
from contract.errors import ConfigurationError
from contract.window import resolve_window
from orchestrators.import_schedule.describe import combine, parse_documents
from orchestrators.import_schedule.jobs import WRITERS

CASES = ROOT.parent / "shared" / "cases" / "schedules"
OPTIONS = ("--captures", "s3://bucketZZ/files")


def cases() -> dict[str, list[dict[str, Any]]]:
    """Return the descriptions of each schedule there is."""
    found = {
        file.stem: parse_documents(file.read_text(encoding="utf-8"), file.name)
        for file in sorted(CASES.glob("*.json"))
    }
    for monitor in MONITORS:
        found[monitor] = [
            json.loads(Path(file).read_text(encoding="utf-8")) for file in descriptions(monitor)
        ]
    return found


ALL = cases()


def options(documents: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return what import-schedule must be told besides."""
    text = json.dumps(documents)
    needs_place = "BatchTransformInput" in text or "DataCaptureConfig" not in text
    needs_baseline = "BaseliningJobName" in text and "ConstraintsResource" not in text
    return (*(OPTIONS if needs_place else ()), *(("--baseline", "s3://base/line") if needs_baseline else ()))


def run(
    documents: list[dict[str, Any]], target: str, *given: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Run the command with its descriptions through stdin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO("\n".join(map(json.dumps, documents))))
        code = import_schedule(("--to", target, *given))
    output = capsys.readouterr()
    return code, output.out, output.err


def read_back(text: str, target: str) -> Any:
    """Return a manifest's values as its orchestrator reads them."""
    if target.startswith("airflow"):
        return [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    document = yaml.load(text, Loader)
    if target == "sagemaker":
        written = document["Resources"]["Schedule"]["Properties"]["Target"]["Input"]["Fn::Sub"]
        written = re.sub(r"\$\{(Image|JobRole)\}", lambda name: f"<{name[1]}>", written).replace("${!", "${")
        return [document["Parameters"], json.loads(written)]
    return document


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}")
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from leaves(part, f"{path}[{at}]")
    elif value is not None:
        yield path, value


def text_of(value: Any) -> str:
    return str(value).casefold() if isinstance(value, bool) else str(value)


# What has no counterpart there, and why.
TARGETS = tuple(WRITERS)
REFUSED = {("expr9", target): "rate(1 hour)" for target in TARGETS} | {
    (name, "compose"): "ContainerEntrypoint" for name in ("own_argsonly", "own_none")
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ALL)
def test_every_member_is_carried_or_accounted_for(
    name: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text, error = run(ALL[name], target, *options(ALL[name]), capsys=capsys)
    if (name, target) in REFUSED:
        assert code == 2
        assert REFUSED[name, target] in error
        return
    assert code == 0, error
    comment = [line for line in text.splitlines() if line.startswith("#")]
    found = [text_of(value) for _, value in leaves(read_back(text, target))]
    body = "\n".join(found).replace("$$", "$")
    for document in ALL[name]:
        for path, value in leaves(document):
            member = f"{path} = {json.dumps(value)}: "
            kinds = tuple(f"#   {kind}{member}" for kind in ("schedule", "definition", "endpoint"))
            line = next((line for line in comment if line.startswith(kinds)), "")
            verdict = line.partition(member)[2]
            assert re.match(r"(kept|changed|left out): \S", verdict), (path, line)
            if verdict.startswith("kept"):
                assert text_of(value).rstrip("/") in body, (path, line)
            assert "unknown" not in verdict, path


def changed(name: str, **timing: str) -> list[dict[str, Any]]:
    """Return a schedule with another ScheduleConfig, and no offsets of its source."""
    documents = copy.deepcopy(ALL[name])
    documents[0]["MonitoringScheduleConfig"]["ScheduleConfig"] = timing
    for part in documents[1].values():
        source = part.get("EndpointInput", {}) if isinstance(part, dict) else {}
        source.pop("StartTimeOffset", None)
        source.pop("EndTimeOffset", None)
    return documents


def hours_of_day(*hours: int) -> Callable[[datetime], bool]:
    return lambda at: at.hour in hours


def round_the_clock(start: int, step: int) -> Callable[[datetime], bool]:
    return hours_of_day(*((start + past) % 24 for past in range(0, 24, step)))


# The documentation's: every hour, once a day, every so many hours from one on; then days and lists.
MODEL: list[tuple[str, Callable[[datetime], bool], int]] = [
    ("cron(0 * ? * * *)", lambda at: True, 1),
    *((f"cron(0 {hour} ? * * *)", hours_of_day(hour), 24) for hour in (0, 1, 6, 12, 17, 23)),
    ("cron(0 00 ? * * *)", hours_of_day(0), 24),
    *(
        (f"cron(0 {start}/{step} ? * * *)", round_the_clock(start, step), step)
        for start in (0, 5, 17, 23)
        for step in (1, 2, 3, 6, 12, 24)
    ),
    ("cron(0 17/5 ? * * *)", round_the_clock(17, 5), 5),
    ("cron(0 3,15 * * ? *)", hours_of_day(3, 15), 12),
    ("cron(0 0-5 ? * * *)", hours_of_day(*range(6)), 19),
    ("cron(0 0 ? * MON-FRI *)", lambda at: at.hour == 0 and at.weekday() < 5, 72),
    ("cron(0 0 ? * 2-6 *)", lambda at: at.hour == 0 and at.weekday() < 5, 72),
    ("cron(15 2 ? * SUN *)", lambda at: at.hour == 2 and at.weekday() == 6, 168),
    ("cron(0 8 1 * ? *)", lambda at: at.hour == 8 and at.day == 1, 31 * 24),
    ("cron(0 8 ? 1,3 SAT *)", lambda at: at.hour == 8 and at.month in (1, 3) and at.weekday() == 5, 0),
]


def listed(field: str, names: int = 0) -> set[int]:
    """Return the numbers in a field of cron that has numbers, lists and spans."""
    values: set[int] = set()
    for part in field.split(","):
        low, _, high = part.partition("-")
        values |= set(range(int(low), int(high or low) + 1))
    return values


def fires(text: str, target: str) -> tuple[int, Callable[[datetime], bool]]:
    """Return the minute a manifest starts at, and whether it does at an hour."""
    if target == "compose":
        (service,) = yaml.safe_load(text)["services"].values()
        script = service["command"][0].replace("$$", "$")
        offset = int(re.search(r"date \+%s\) - (\d+)\) % 3600", script)[1])
        conditions = re.findall(r"case \$\(date -u \+(%\w)\) in ([\d|]+)\)", script)
        return offset // 60, lambda at: all(
            at.strftime(field) in some.split("|") for field, some in conditions
        )
    if target.startswith("airflow"):
        expression = re.search(r'schedule="([^"]+)"', text)[1]
    else:
        expression = next(
            str(value)
            for path, value in leaves(yaml.load(text, Loader))
            if re.search(r"\.(schedule|schedules\[0\]|ScheduleExpression)$", path)
        )
    if target == "sagemaker":
        expression = re.fullmatch(r"cron\((.*) \*\)", expression)[1]
    minute, *rest = expression.split()
    assert len(rest) == 4
    if target == "sagemaker":
        assert (rest[1] == "?") != (rest[3] == "?")
    sets = [None if field in "*?" else listed(field) for field in rest]

    def holds(at: datetime) -> bool:
        weekday = at.isoweekday() % 7 + (target == "sagemaker")
        values = (at.hour, at.day, at.month, weekday)
        return all(some is None or value in some for value, some in zip(values, sets, strict=True))

    return int(minute), holds


def variables(text: str, target: str) -> dict[str, str]:
    """Return window and offsets of a manifest's last container."""
    pattern = r"""["']?\b(?P<name>window|start_time_offset|end_time_offset)\b["']?\s*"""
    pattern += r"""(?:[:=]|\n\s*value:)\s*["']?(?P<value>-?P[0-9DTH]+)"""
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return {match["name"]: match["value"] for match in re.finditer(pattern, body)}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("expression", "runs", "period"), MODEL, ids=[entry[0] for entry in MODEL])
def test_times_and_windows_are_those_of_the_documentation(
    expression: str,
    runs: Callable[[datetime], bool],
    period: int,
    target: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(MODEL) == 40
    said = {"DataAnalysisStartTime": "-PT3H", "DataAnalysisEndTime": "-PT1H"}
    for timing, first, last in (({}, -period, 0), (said, -3, -1)):
        documents = changed("DataQuality", ScheduleExpression=expression, **timing)
        code, text, error = run(documents, target, capsys=capsys)
        assert code == 0, error
        minute, due = fires(text, target)
        assert minute == (15 if "cron(15" in expression else 20)
        found = variables(text, target)
        at = datetime(2026, 3, 1, tzinfo=UTC)
        while at < datetime(2026, 4, 1, tzinfo=UTC):
            assert due(at) == runs(at), at
            if runs(at) and (period or timing):
                window = resolve_window(
                    None,
                    None,
                    found["window"],
                    found.get("start_time_offset"),
                    found.get("end_time_offset"),
                    at + timedelta(minutes=minute, seconds=7),
                )
                assert window is not None
                assert window.start == at + timedelta(hours=first)
                assert window.end == at + timedelta(hours=last)
            at += timedelta(hours=1)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_said_is_every_day(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = run(ALL["nosched"], target, *options(ALL["nosched"]), capsys=capsys)
    _, due = fires(text, target)
    days = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(48)]
    assert [at.hour for at in days if due(at)] == [0, 0]


def test_offsets_of_the_source_hold_where_the_schedule_says_only_one_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    documents = copy.deepcopy(ALL["DataQuality.times"])
    del documents[0]["MonitoringScheduleConfig"]["ScheduleConfig"]["DataAnalysisStartTime"]
    _, text, _ = run(documents, "kubernetes", capsys=capsys)
    # Runs every 6 hours; ends an hour before; moved back by 31 and 29 hours.
    assert variables(text, "kubernetes") == {
        "window": "PT5H",
        "start_time_offset": "-PT32H",
        "end_time_offset": "-PT30H",
    }


@pytest.mark.parametrize("target", TARGETS)
def test_a_stopped_schedule_waits(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    mark = {
        "compose": "profiles:",
        "sagemaker": "State: DISABLED",
        "airflow": "is_paused_upon_creation=True",
        "airflow-kubernetes": "is_paused_upon_creation=True",
    }.get(target, "suspend: true")
    _, text, _ = run(ALL["stopped"], target, *options(ALL["stopped"]), capsys=capsys)
    assert mark in text
    _, text, _ = run(ALL["DataQuality"], target, capsys=capsys)
    assert mark not in text


@pytest.mark.parametrize(
    ("document", "member"), [(1, "JobDefinitionName"), (2, "EndpointName"), (3, "ProcessingJobName")]
)
def test_a_description_of_another_part_is_refused(document: int, member: str) -> None:
    schedule, definition, *endpoint = copy.deepcopy(ALL["DataQuality"])
    definition["DataQualityBaselineConfig"] = {"BaseliningJobName": "made-it"}
    made = {"ProcessingOutputConfig": {"Outputs": [{"S3Output": {"S3Uri": "s3://made/here/"}}]}}
    documents = [schedule, definition, *endpoint, made | {"ProcessingJobName": "made-it"}]
    combine(documents)
    documents[document][member] = "another"
    with refused(ConfigurationError, "schedule_description.another") as caught:
        combine(documents)
    assert caught.value.field.endswith(f".{member}")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("SchedulConfig", "ScheduleConfig"),
        ("DataQualityBaselinConfig", "DataQualityBaselineConfig"),
        ("NetworkConfg", "NetworkConfig"),
    ],
)
def test_a_misspelt_part_is_not_left_out(wrong: str, right: str) -> None:
    documents = copy.deepcopy(ALL["DataQuality"])
    place = documents[0]["MonitoringScheduleConfig"] if right == "ScheduleConfig" else documents[1]
    place[wrong] = place.pop(right, {})
    with refused(ConfigurationError, "members.near_miss") as caught:
        combine(documents)
    assert caught.value.field.endswith(f".{wrong}")


def test_what_a_schedule_works_out_wins_over_its_environment(capsys: pytest.CaptureFixture[str]) -> None:
    documents = copy.deepcopy(ALL["data-quality"])
    given = {"dataset_source": "/opt/ml/processing/input", "window": "PT9H", "start_time": "2025-01-01"}
    documents[1]["DataQualityAppSpecification"]["Environment"] = given
    _, text, _ = run(documents, "kubernetes", capsys=capsys)
    pod = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    found = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    assert found["dataset_source"] == "s3://captures/live/churn"
    assert found["window"] == "PT1H"
    assert "start_time" not in found
    for name in given:
        assert re.search(rf"^# .*Environment\.{name} = .*: left out: ", text, re.M)


def test_a_baseline_known_by_its_job_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = run(ALL["basejob"], "argo", capsys=capsys)
    assert code == 2
    assert "BaseliningJobName" in error
    assert "--baseline" in error
    made = {"ProcessingOutputConfig": {"Outputs": [{"S3Output": {"S3Uri": "s3://made/here/"}}]}}
    code, text, _ = run([*ALL["basejob"], made], "argo", capsys=capsys)
    assert code == 0
    assert 'value: "s3://made/here"' in text


@pytest.mark.parametrize("monitor", ["ModelQuality", "ModelBias"])
@pytest.mark.parametrize("shape", ["batchCsv", "batchJson", "batchJsonL", "batchParquet"])
def test_labels_of_a_transform_are_joined_by_the_job_itself(
    monitor: str, shape: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text, _ = run(ALL[f"{monitor}.{shape}"], "kubernetes", *OPTIONS, capsys=capsys)
    pod = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    found = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    assert found["dataset_source"] == "s3://bucketZZ/files"
    assert found["ground_truth_source"] == "s3://bucketZZ/gtZZ"
    expected = {
        "batchCsv": {"csv": {"header": True}},
        "batchJson": {"json": {"lines": False}},
        "batchJsonL": {"json": {"lines": True}},
        "batchParquet": {"parquet": {}},
    }
    assert json.loads(found["dataset_format"]) == expected[shape]


@pytest.mark.parametrize(
    ("name", "target"),
    sorted(
        {(name, target) for name in ("own", "own_argsonly", "own_none") for target in TARGETS} - set(REFUSED)
    ),
)
def test_an_image_of_one_s_own_keeps_entry_point_and_arguments_apart(
    name: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text, _ = run(ALL[name], target, capsys=capsys)
    read = read_back(text, target)
    entry, arguments = (["entryZZ"] if name == "own" else None), (["argZZ"] if name != "own_none" else None)
    flat = dict(leaves(read))
    assert any(str(value).endswith("ownZZ:1") for value in flat.values())
    if target in ("kubernetes", "argo"):
        (container,) = re.findall(r"(?s)(image: \S*ownZZ:1\S*.*?)env:", text)
        assert ("command:" in container, "args:" in container) == (entry is not None, arguments is not None)
    if target == "sagemaker":
        specification = read[1]["AppSpecification"]
        assert specification.get("ContainerEntrypoint") == entry
        assert specification.get("ContainerArguments") == arguments


HOSTILE = [
    "a\nb: c\n- d\n",
    "x\u2028y\u2029z\x85",
    "'\"`\\",
    "${Image} $(HOME) $HOME $$ $$(HOME) $$$",
    "#comment: {x} %",
    "\ttab\r\n",
    "yes",
    "1e3",
    "😀",
]


def kubernetes_reads(text: object) -> str:
    """Return what a container of Kubernetes gets: its rule for dollar signs, as its API documents it."""
    return re.sub(r"\$\$|\$\(\w+\)", lambda found: "$" if found[0] == "$$" else "", str(text))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", HOSTILE)
def test_texts_stay_inside_their_value(text: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    documents = copy.deepcopy(ALL["DataQuality"])
    documents[1]["DataQualityAppSpecification"]["Environment"] = {"hostile": text, "after": "it"}
    documents[0]["Tags"] = [{"Key": "team", "Value": text}]
    code, written, error = run(documents, target, capsys=capsys)
    assert code == 0, error
    values = [value for _, value in leaves(read_back(written, target))]
    if target == "compose":
        script = next(value for value in values if "trap" in str(value))
        import shlex

        loop = script.replace("$$", "$").partition("  env \\\n")[2].rpartition("\ndone")[0]
        assert f"hostile={text}" in shlex.split(loop)
    else:
        reads = kubernetes_reads if target in ("kubernetes", "argo", "airflow-kubernetes") else str
        assert text in map(reads, values)


WEIRD: list[Any] = [
    *(None, "", 0, -1, 1e300, True, [], {}, [[]], [None], {"a": {"b": []}}, float("nan"), "x" * 5_000),
    *("a\nb: c", "\u2028", "'\"", "${A}", "{{x}}", "$(X)", "\x00", "\ud800", "P9999999999D", "s3://", "\x1b"),
]


def damage(documents: list[dict[str, Any]], chance: random.Random) -> set[str]:
    """Delete or replace one member; return its name, and those of what holds it and what it holds."""
    place: Any = chance.choice(documents)
    above: list[Any] = []
    while True:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        above.append(key)
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.85:
            place = place[key]
            continue
        below = list(place[key]) if isinstance(place[key], dict) else []
        if chance.random() < 0.3:
            del place[key]
        else:
            place[key] = copy.deepcopy(chance.choice(WEIRD))
        return {name for name in (*above[-2:], *below) if isinstance(name, str)}


def check_damaged(number: int, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(seed)
    for _ in range(number):
        case, target = chance.choice(list(ALL)), chance.choice(TARGETS)
        if (case, target) in REFUSED:
            continue
        documents = copy.deepcopy(ALL[case])
        given = options(documents)
        names = damage(documents, chance)
        code, text, error = run(documents, target, *given, capsys=capsys)
        told = json.dumps(documents)[:3_000]
        if code:
            assert (code, text, error.count("\n")) == (2, "", 1), told
            wanted = names | {"AppSpecification" for name in names if name.endswith("AppSpecification")}
            wanted |= {ACCEPTED[name] for name in names & ACCEPTED.keys()}
            assert any(name in error for name in wanted), (names, error)
        else:
            read_back(text, target)


# What may be named instead of a member that is missing: what cannot be done without it.
ACCEPTED = {
    "MonitoringJobDefinitionName": "AppSpecification",
    "MonitoringJobDefinition": "AppSpecification",
    "ImageUri": "ContainerEntrypoint",
}


def test_damaged_descriptions_are_named_or_written(capsys: pytest.CaptureFixture[str]) -> None:
    check_damaged(150, 1, capsys)


@pytest.mark.long
def test_many_damaged_descriptions_are_named_or_written(capsys: pytest.CaptureFixture[str]) -> None:
    check_damaged(3_000, 2, capsys)
