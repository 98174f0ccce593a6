"""Set-ups in order, to plant mistakes in, and the checklist of one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from attributed_people import people, table_config, write_csv
from captured_predictions import predict, write_captures, write_labels, write_table
from run_jobs import CSV, baseline_of, environment, run_job

from containers.commands.main import monitor_validate

WINDOW = {"start_time": "2026-05-06T22:00:00Z", "end_time": "2026-05-06T23:00:00Z"}
BEFORE = """\
def preprocess_handler(line):
    age, income, colour = line.split(",")
    if age == "age":
        return []
    return {"age": int(age), "income": float(income), "colour": colour}
"""


@dataclass
class SetUp:
    """A set-up: where it lies, and its variables, for tests to change."""

    folder: Path
    monitor: str
    variables: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def config(self, **members: Any) -> None:
        """Change members of the analysis configuration; those given as None go."""
        path = self.folder / "analysis_config.json"
        config = json.loads(path.read_text(encoding="utf-8")) | members
        path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))

    def check(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
        """Return exit code and lines of the checklist."""
        capsys.readouterr()
        given = {name: str(value) for name, value in self.variables.items() if value is not None}
        with environment(given):
            code = monitor_validate(["--monitor", self.monitor])
        return code, capsys.readouterr().out.splitlines()


def people_table(rows: int = 60) -> str:
    lines = [f"{20 + row % 50},{1000.5 + row * 7 % 900},{'abc'[row % 3]}" for row in range(rows)]
    return "\n".join(["age,income,colour", *lines]) + "\n"


def data_quality(folder: Path) -> SetUp:
    """Return a monitoring job of data quality with a baseline, scripts, and every place to write to."""
    set_up = SetUp(folder, "data-quality")
    source = set_up.write("training.csv", people_table())
    set_up.write("data/2026/05/06/22/a.csv", people_table())
    baseline = run_job(folder / "baseline", source)
    assert baseline.exit_code == 0, baseline.message
    set_up.variables = {
        "dataset_source": folder / "data",
        "dataset_format": CSV,
        "output_path": folder / "output",
        "history_path": folder / "history",
        "output_message_file": folder / "message",
        "record_preprocessor_script": set_up.write("before.py", BEFORE),
        "post_analytics_processor_script": set_up.write("after.py", "def postprocess_handler():\n    pass\n"),
        **WINDOW,
        **baseline_of(baseline),
    }
    return set_up


def model_quality(folder: Path) -> SetUp:
    """Return a job of model quality that joins captures with labels."""
    predictions = predict(80, seed=1)
    return SetUp(
        folder,
        "model-quality",
        {
            "dataset_source": write_captures(folder / "captures", predictions),
            "ground_truth_source": write_labels(folder / "labels", predictions.labels),
            "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}',
            "problem_type": "BinaryClassification",
            "inference_attribute": "0",
            "probability_attribute": "1",
            "output_path": folder / "output",
            "output_message_file": folder / "message",
            **WINDOW,
        },
    )


def model_quality_of_a_table(folder: Path) -> SetUp:
    """Return a job of model quality whose data holds labels and predictions."""
    return SetUp(
        folder,
        "model-quality",
        {
            "dataset_source": write_table(folder / "data.csv", predict(80, seed=1)),
            "dataset_format": CSV,
            "problem_type": "BinaryClassification",
            "inference_attribute": "prediction",
            "ground_truth_attribute": "label",
            "output_path": folder / "output",
            "output_message_file": folder / "message",
        },
    )


def bias(folder: Path) -> SetUp:
    """Return a job of bias whose data holds labels and predictions."""
    set_up = SetUp(folder, "bias")
    rows = "".join(f"{'fm'[row % 2]},{20 + row},{row % 3 % 2},1\n" for row in range(60))
    set_up.write("data.csv", f"sex,age,y,guess\n{rows}")
    config = {
        "dataset_type": "text/csv",
        "label": "y",
        "label_values_or_threshold": [1],
        "predicted_label": "guess",
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["f"]}],
    }
    set_up.write("analysis_config.json", json.dumps(config))
    set_up.variables = {
        "dataset_source": folder / "data.csv",
        "dataset_format": CSV,
        "analysis_config": folder,
        "output_path": folder / "output",
        "output_message_file": folder / "message",
    }
    return set_up


def attribution(folder: Path, model: object) -> SetUp:
    """Return a job of feature attribution that asks a model."""
    set_up = SetUp(folder, "feature-attribution")
    source = write_csv(folder / "data.csv", people(40, seed=9).rows)
    set_up.write("analysis_config.json", json.dumps(table_config()))
    set_up.variables = {
        "dataset_source": source,
        "analysis_config": folder,
        "model": model,
        "output_path": folder / "output",
        "output_message_file": folder / "message",
    }
    return set_up
