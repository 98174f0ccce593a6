"""``monitor-validate``: set-ups in order pass, and each planted mistake is found and its fix named."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attributed_people import csv_endpoint
from models.model_server import serving
from run_jobs import environment
from sentences import says
from validate.set_up import (
    SetUp,
    attribution,
    bias,
    data_quality,
    model_quality,
    model_quality_of_a_table,
    people_table,
)

from containers.commands.main import monitor_validate
from containers.data_quality.main import main as monitor_data_quality

Make = Callable[[Path], SetUp]
Plant = Callable[[SetUp], Any]
CSV_AS_IT_IS = '{"csv":{"header":false}}'


def variable(**values: Any) -> Plant:
    return lambda set_up: set_up.variables.update(values)


def without_script(set_up: SetUp) -> None:
    set_up.variables.pop("record_preprocessor_script")


def data(text: str, **values: Any) -> Plant:
    """Replace the window's data, read without a script."""

    def plant(set_up: SetUp) -> None:
        without_script(set_up)
        set_up.write("data/2026/05/06/22/a.csv", text)
        set_up.variables.update(values)

    return plant


def script(text: str) -> Plant:
    return lambda set_up: set_up.write("before.py", text)


def read_plainly(**values: Any) -> Plant:
    def plant(set_up: SetUp) -> None:
        without_script(set_up)
        set_up.variables.update(values)

    return plant


def moved(name: str) -> Plant:
    """Point a variable at a neighbour that is not there."""
    return lambda set_up: set_up.variables.update({name: f"{set_up.variables[name]}s"})


def below_a_file(name: str) -> Plant:
    return lambda set_up: set_up.variables.update({name: set_up.write("file", "") / "folder"})


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def of_another_endpoint(set_up: SetUp) -> None:
    labels = next((set_up.folder / "labels").rglob("*.jsonl"))
    labels.write_text(labels.read_text().replace("event-", "other-"))


def no_endpoint(set_up: SetUp) -> None:
    set_up.variables["model"] = f"http://127.0.0.1:{closed_port()}/invocations"
    set_up.config(predicted_label=None, excluded_columns=["guess", "sex"])


def sink(set_up: SetUp) -> None:
    set_up.variables["event_sinks"] = f"events+http://127.0.0.1:{closed_port()}/hook"


def misspelt_metric(set_up: SetUp) -> None:
    constraints = {"acuracy": {"threshold": 0.5, "comparison_operator": "LessThanThreshold"}}
    document = {"version": 0.0, "binary_classification_constraints": constraints}
    set_up.variables["baseline_constraints"] = set_up.write("constraints.json", json.dumps(document))


def told(code: str, **members: Any) -> tuple[str, dict[str, Any]]:
    """Return what a line has to say: the code of a sentence, and its members."""
    return code, members


def absent(field: str, column: str, meant: str) -> tuple[str, dict[str, Any]]:
    return told("column.absent", field=field, column=column, hint=f": did you mean {meant}?")


def hours(first: datetime, last: datetime) -> SimpleNamespace:
    return SimpleNamespace(start=first, end=last)


MIDNIGHT = datetime(2026, 5, 7, tzinfo=UTC)
BEFORE = datetime(2026, 5, 6, 22, tzinfo=UTC)
# A sentence, or a short part of one.
Told = tuple[str, dict[str, Any]] | str
MISTAKES: list[tuple[str, Make, Plant, list[Told]]] = [
    (
        "misspelt variable",
        data_quality,
        variable(baseline_constraint="x"),
        [told("setting.near_miss", field="baseline_constraint", meant="baseline_constraints")],
    ),
    (
        "settings with several mistakes",
        data_quality,
        variable(rules="strict", workers="0"),
        [
            "2 settings are wrong",
            told("setting.choice", field="rules", text="strict", known="sound or sagemaker"),
            told("setting.count", field="workers", text="0"),
        ],
    ),
    (
        "dataset_source elsewhere",
        data_quality,
        moved("dataset_source"),
        [told("stored_file.missing", field="dataset_source"), "datas does not exist (did you mean "],
    ),
    (
        "window without files",
        data_quality,
        variable(start_time="2026-05-07T00:00:00Z", end_time="2026-05-07T01:00:00Z"),
        [
            told(
                "files.of_other_hours",
                files="1 file",
                window=hours(MIDNIGHT, MIDNIGHT.replace(hour=1)),
                hours=hours(BEFORE, BEFORE),
            )
        ],
    ),
    (
        "format of other files",
        data_quality,
        read_plainly(dataset_format='{"parquet":{}}'),
        [told("data_files.kind", kind="parquet", written='{"csv":{"header":true}}')],
    ),
    (
        "captures read as CSV",
        data_quality,
        data('{"captureData":{}}\n'),
        [
            told(
                "data_files.kind",
                found="captures",
                kind="csv",
                written='{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}',
            )
        ],
    ),
    (
        "a header that is read as a row",
        data_quality,
        read_plainly(dataset_format=CSV_AS_IT_IS),
        [told("csv.header", cells="age, income, colour")],
    ),
    (
        "a row that is read as the header",
        data_quality,
        data(people_table().partition("\n")[2]),
        [told("csv.no_header")],
    ),
    (
        "baseline_constraints elsewhere",
        data_quality,
        variable(baseline_constraints="/nowhere/constraints.json"),
        [
            told(
                "stored_file.missing",
                field="baseline_constraints",
                file="/nowhere/constraints.json",
                nearby="; the nearest folder that exists is /",
            )
        ],
    ),
    (
        "a baseline of another kind",
        model_quality_of_a_table,
        lambda set_up: set_up.variables.update(
            baseline_constraints=set_up.write("constraints.json", '{"features": []}')
        ),
        [told("quality_documents.other", field="baseline_constraints", name="constraints.json")],
    ),
    (
        "a column the data lacks",
        data_quality,
        data(people_table().replace("income", "incomes")),
        [told("columns.missing", columns="income", hint=" (is income there called incomes?)")],
    ),
    (
        "a column the baseline lacks",
        data_quality,
        data("\n".join(f"{line},z" for line in people_table().splitlines())),
        [told("columns.further", columns="z")],
    ),
    (
        "a column of another type",
        data_quality,
        data(people_table().replace("age,income,colour", "colour,income,age")),
        [told("columns.type", field="age", value="a", kind="Integral")],
    ),
    (
        "exclude_features_attribute misspelt",
        data_quality,
        variable(exclude_features_attribute="incom"),
        [absent("exclude_features_attribute", "incom", "income")],
    ),
    (
        "segment_by misspelt",
        data_quality,
        variable(segment_by="color"),
        [absent("segment_by", "color", "colour")],
    ),
    (
        "a function of the script misspelt",
        data_quality,
        script("def preproces_handler(record):\n    return record\n"),
        [
            told(
                "script_file.no_function",
                field="record_preprocessor_script",
                hint="did you mean preprocess_handler where it says preproces_handler?",
            )
        ],
    ),
    (
        "a script that fails on a record",
        data_quality,
        script("def preprocess_handler(record):\n    return {'age': int(record)}\n"),
        [
            told("script_file.failed", function="preprocess_handler", line=" line 2"),
            "before.py line 2 failed with ValueError: invalid literal for int()",
        ],
    ),
    (
        "a script whose result is no row",
        data_quality,
        script("def preprocess_handler(record):\n    return 5\n"),
        [told("script_rows.value", kind="a value of type int")],
    ),
    (
        "a script of the wrong kind after the analysis",
        data_quality,
        lambda set_up: set_up.write("after.py", "import no_such_library\n"),
        ["install no_such_library in the image"],
    ),
    (
        "output_path below a file",
        data_quality,
        below_a_file("output_path"),
        [told("place.below_a_file", field="output_path"), "/file is a file; "],
    ),
    (
        "history_path below a file",
        data_quality,
        below_a_file("history_path"),
        [told("place.below_a_file", field="history_path"), "/file/folder cannot be written: "],
    ),
    (
        "a folder for the message",
        data_quality,
        lambda set_up: set_up.variables.update(output_message_file=set_up.folder),
        [told("place.folder", field="output_message_file")],
    ),
    (
        "a sink that nobody serves",
        data_quality,
        sink,
        [told("connection.refused", problem="Connection refused")],
    ),
    (
        "a folder for metrics that is not there",
        data_quality,
        variable(metrics_sinks="prometheus-textfile:/nowhere/"),
        [told("place.no_textfile_folder", file="/nowhere")],
    ),
    (
        "several hosts without a leader",
        data_quality,
        variable(cluster_size="3"),
        [told("cluster.size_alone", size=3, field="cluster_size")],
    ),
    (
        "a Dask scheduler that nobody serves",
        data_quality,
        lambda set_up: set_up.variables.update(dask_scheduler_address=f"127.0.0.1:{closed_port()}"),
        [told("connection.refused", problem="Connection refused")],
    ),
    (
        "inference_attribute misspelt",
        model_quality_of_a_table,
        variable(inference_attribute="predictoin"),
        [absent("inference_attribute", "predictoin", "prediction")],
    ),
    (
        "a metric of the constraints misspelt",
        model_quality_of_a_table,
        misspelt_metric,
        [told("quality_documents.metric", field="acuracy", hint="did you mean 'accuracy'?")],
    ),
    (
        "a positive label that no row has",
        model_quality_of_a_table,
        variable(positive_label="7"),
        [told("quality_labels.positive", positive="7")],
    ),
    (
        "labels of other calls",
        model_quality,
        of_another_endpoint,
        [told("labels.none", rows=80)],
    ),
    (
        "labels nobody reads",
        model_quality,
        variable(ground_truth_source=None),
        [told("labels.no_source", rows=80, field="ground_truth_source")],
    ),
    (
        "an analysis configuration with two mistakes",
        bias,
        lambda set_up: set_up.config(labels="y", facet=[{"name_or_index": "sex", "values": ["f"]}]),
        [
            told("members.unknown", field="facet[0].values"),
            "are name_or_index, value_or_threshold; (2) ",
            told("members.unknown", field="labels", hint=": did you mean label?"),
        ],
    ),
    (
        "a facet that is not in the data",
        bias,
        lambda set_up: set_up.config(facet=[{"name_or_index": "sx", "value_or_threshold": ["f"]}]),
        [absent("facet[0].name_or_index", "sx", "sex")],
    ),
    (
        "a model that nobody serves",
        bias,
        no_endpoint,
        [told("connection.refused", problem="Connection refused")],
    ),
    (
        "a model file that is not there",
        lambda folder: attribution(folder, folder / "model.onnx"),
        lambda set_up: None,
        [told("model.no_file"), "model.onnx is no file; the nearest folder that exists is "],
    ),
]


@pytest.mark.parametrize(
    ("make", "plant", "expected"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_planted_mistake_is_found_and_its_fix_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Make, plant: Plant, expected: list[Told]
) -> None:
    set_up = make(tmp_path)
    plant(set_up)
    code, lines = set_up.check(capsys)
    failures = [line for line in lines if line.startswith("FAIL  ")]
    assert code == 2
    assert len(failures) == 1, "\n".join(lines)
    for one in expected:
        assert one in failures[0] if isinstance(one, str) else says(failures[0], one[0], **one[1])
    assert not (tmp_path / "output").exists()
    assert not (tmp_path / "history").exists()


@pytest.mark.parametrize("make", [data_quality, model_quality, model_quality_of_a_table, bias])
def test_a_set_up_in_order_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Make) -> None:
    code, lines = make(tmp_path).check(capsys)
    assert code == 0, "\n".join(lines)
    assert all(line.startswith("ok    ") for line in lines)
    assert "ok    the first rows can be analysed" in lines
    assert not (tmp_path / "output").exists()
    assert not (tmp_path / "message").exists()


def test_a_model_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(csv_endpoint) as server:
        code, lines = attribution(tmp_path, server.url).check(capsys)
    assert code == 0, "\n".join(lines)
    assert any("answers 1 score per row" in line for line in lines)


def test_label_coverage_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up = model_quality(tmp_path)
    labels = next((tmp_path / "labels").rglob("*.jsonl"))
    labels.write_text("".join(labels.read_text().splitlines(keepends=True)[:60]))
    _, lines = set_up.check(capsys)
    assert "ok    75% of 80 captured rows have a label (60)" in lines


def test_five_mistakes_are_all_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up = data_quality(tmp_path)
    sink(set_up)
    below_a_file("history_path")(set_up)
    set_up.write("after.py", "def postproces_handler():\n    pass\n")
    set_up.variables |= {"segment_by": "color", "exclude_features_attribute": "agee"}
    (tmp_path / "baseline/output/statistics.json").write_text("{", encoding="utf-8")
    code, lines = set_up.check(capsys)
    failures = [line for line in lines if line.startswith("FAIL")]
    assert code == 2
    for part in (
        "history_path",
        "event_sinks holds",
        "statistics.json",
        "did you mean postprocess_handler",
        "did you mean colour?",
        "did you mean age?",
    ):
        assert sum(part in line for line in failures) == 1, "\n".join(lines)
    assert len(failures) == 6


def test_a_column_that_only_the_baseline_would_leave_out_fails_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up = data_quality(tmp_path)
    set_up.variables["exclude_features_attribute"] = "label"
    code, lines = set_up.check(capsys)
    assert code == 0, "\n".join(lines)
    assert any(line.startswith("ok    exclude_features_attribute is 'label'") for line in lines)


def test_the_command_of_the_monitor_prints_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up = data_quality(tmp_path)
    set_up.variables["segment_by"] = "color"
    code, lines = set_up.check(capsys)
    with environment({name: str(value) for name, value in set_up.variables.items()}):
        assert monitor_data_quality(["--validate"]) == code == 2
    assert capsys.readouterr().out.splitlines() == lines


def test_the_monitor_is_told_by_the_kind_of_analysis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with environment({"analysis_type": "MODEL_BIAS"}):
        assert monitor_validate([]) == 2
    assert "analysis_config /opt/ml/processing/input/config" in capsys.readouterr().out
    with environment({}):
        assert monitor_validate([]) == 2
    assert "give --monitor, one of data-quality, model-quality, bias" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [("no_such_module:MONITOR", "cannot be imported"), ("json:dumps", "names no contract.api.Monitor")],
)
def test_a_monitor_that_is_none_is_a_line_of_the_list(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert monitor_validate(["--monitor", name]) == 2
    line = capsys.readouterr().out
    assert line.startswith(f"FAIL  --monitor {name} ")
    assert said in line


def test_every_planted_mistake_is_in_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "validate.md").read_text(encoding="utf-8")
    assert [name for name, *_ in MISTAKES if f"| {name} |" not in page] == []
    assert json.dumps(len(MISTAKES)) in page
