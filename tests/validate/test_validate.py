"""``monitor-validate``: set-ups in order pass, and each planted mistake is found and its fix named."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attributed_people import csv_endpoint
from models.model_server import serving
from run_jobs import environment
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


MISTAKES: list[tuple[str, Make, Plant, str]] = [
    (
        "misspelt variable",
        data_quality,
        variable(baseline_constraint="x"),
        "variable baseline_constraint is unknown: did you mean baseline_constraints?",
    ),
    (
        "settings with several mistakes",
        data_quality,
        variable(rules="strict", workers="0"),
        (
            "2 settings are wrong: (1) rules is 'strict'; use sound or sagemaker; (2) workers is '0'; use a "
            "whole number from 1."
        ),
    ),
    (
        "dataset_source elsewhere",
        data_quality,
        moved("dataset_source"),
        "datas does not exist (did you mean ",
    ),
    (
        "window without files",
        data_quality,
        variable(start_time="2026-05-07T00:00:00Z", end_time="2026-05-07T01:00:00Z"),
        (
            "holds 1 file, but none of the window 2026-05-07T00:00Z to 2026-05-07T01:00Z: their folders are "
            "of 2026-05-06T22:00Z to 2026-05-06T22:00Z (UTC); mend start_time and end_time"
        ),
    ),
    (
        "format of other files",
        data_quality,
        read_plainly(dataset_format='{"parquet":{}}'),
        'but dataset_format is parquet; give dataset_format {"csv":{"header":true}}, or move this file',
    ),
    (
        "captures read as CSV",
        data_quality,
        data('{"captureData":{}}\n'),
        (
            "looks like captures, but dataset_format is csv; give dataset_format "
            '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}, or move this file'
        ),
    ),
    (
        "a header that is read as a row",
        data_quality,
        read_plainly(dataset_format=CSV_AS_IT_IS),
        (
            "reads age, income, colour, which look like names of the columns; give dataset_format "
            '{"csv":{"header":true}}, or remove the line.'
        ),
    ),
    (
        "a row that is read as the header",
        data_quality,
        data(people_table().partition("\n")[2]),
        'look like values of a first row; give dataset_format {"csv":{"header":false}}',
    ),
    (
        "baseline_constraints elsewhere",
        data_quality,
        variable(baseline_constraints="/nowhere/constraints.json"),
        "baseline_constraints /nowhere/constraints.json does not exist; the nearest folder that exists is /.",
    ),
    (
        "a baseline of another kind",
        model_quality_of_a_table,
        lambda set_up: set_up.variables.update(
            baseline_constraints=set_up.write("constraints.json", '{"features": []}')
        ),
        "so it is not a model-quality file; give baseline_constraints the constraints.json of a model-",
    ),
    (
        "a column the data lacks",
        data_quality,
        data(people_table().replace("income", "incomes")),
        (
            "The baseline has income, which the data lacks (is income there called incomes?); mend the "
            "data's columns, or run the baseline job again."
        ),
    ),
    (
        "a column the baseline lacks",
        data_quality,
        data("\n".join(f"{line},z" for line in people_table().splitlines())),
        "The data has z, which the baseline lacks; leave them out with exclude_features_attribute",
    ),
    (
        "a column of another type",
        data_quality,
        data(people_table().replace("age,income,colour", "colour,income,age")),
        "Column age holds values such as 'a', but is Integral in the baseline; check the order of",
    ),
    (
        "exclude_features_attribute misspelt",
        data_quality,
        variable(exclude_features_attribute="incom"),
        "exclude_features_attribute is 'incom', which is not in the data: did you mean income?",
    ),
    (
        "segment_by misspelt",
        data_quality,
        variable(segment_by="color"),
        "segment_by is 'color', which is not in the data: did you mean colour?",
    ),
    (
        "a function of the script misspelt",
        data_quality,
        script("def preproces_handler(record):\n    return record\n"),
        "did you mean preprocess_handler where it says preproces_handler?",
    ),
    (
        "a script that fails on a record",
        data_quality,
        script("def preprocess_handler(record):\n    return {'age': int(record)}\n"),
        "before.py line 2 failed with ValueError: invalid literal for int()",
    ),
    (
        "a script whose result is no row",
        data_quality,
        script("def preprocess_handler(record):\n    return 5\n"),
        "returned a value of type int; return a dict, a list of dicts, [] to drop the record",
    ),
    (
        "a script of the wrong kind after the analysis",
        data_quality,
        lambda set_up: set_up.write("after.py", "import no_such_library\n"),
        "install no_such_library in the image, or do without it",
    ),
    (
        "output_path below a file",
        data_quality,
        below_a_file("output_path"),
        "file is a file; name a folder, or remove that file.",
    ),
    (
        "history_path below a file",
        data_quality,
        below_a_file("history_path"),
        "file/folder cannot be written: ",
    ),
    (
        "a folder for the message",
        data_quality,
        lambda set_up: set_up.variables.update(output_message_file=set_up.folder),
        "is a folder, but the job writes a file there; name a file in it.",
    ),
    (
        "a sink that nobody serves",
        data_quality,
        sink,
        "(Connection refused); check host and port, and that this network reaches them.",
    ),
    (
        "inference_attribute misspelt",
        model_quality_of_a_table,
        variable(inference_attribute="predictoin"),
        "inference_attribute is 'predictoin', which is not in the data: did you mean prediction?",
    ),
    (
        "labels of other calls",
        model_quality,
        of_another_endpoint,
        "none of 80 captured rows has a label in ",
    ),
    (
        "labels nobody reads",
        model_quality,
        variable(ground_truth_source=None),
        "none of 80 captured rows has a label, and ground_truth_source is not set; set it to the folder",
    ),
    (
        "an analysis configuration with two mistakes",
        bias,
        lambda set_up: set_up.config(labels="y", facet=[{"name_or_index": "sex", "values": ["f"]}]),
        "are name_or_index, value_or_threshold; (2) labels is unknown: did you mean label?",
    ),
    (
        "a facet that is not in the data",
        bias,
        lambda set_up: set_up.config(facet=[{"name_or_index": "sx", "value_or_threshold": ["f"]}]),
        "facet[0].name_or_index is 'sx', which is not in the data: did you mean sex?",
    ),
    (
        "a model that nobody serves",
        bias,
        no_endpoint,
        "(Connection refused); check host and port",
    ),
    (
        "a model file that is not there",
        lambda folder: attribution(folder, folder / "model.onnx"),
        lambda set_up: None,
        "model.onnx is no file; the nearest folder that exists is ",
    ),
]


@pytest.mark.parametrize(
    ("make", "plant", "sentence"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_planted_mistake_is_found_and_its_fix_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Make, plant: Plant, sentence: str
) -> None:
    set_up = make(tmp_path)
    plant(set_up)
    code, lines = set_up.check(capsys)
    failures = [line for line in lines if line.startswith("FAIL  ")]
    assert code == 2
    assert len(failures) == 1, "\n".join(lines)
    assert sentence in failures[0]
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
