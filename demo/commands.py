"""The commands a user would type, and how the demo runs them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contract.errors import MonitorError
from contract.settings import VARIABLES
from demo.captures import ANSWER
from demo.flights import FEATURES, LABEL
from demo.story import ENDPOINT, YEAR_END, YEAR_START, YEAR_ZONE, Layout, Window

_ROOT = Path(__file__).parents[1]


def _format(name: str, **options: object) -> str:
    return json.dumps({name: options})


_CSV = _format("csv", header=True)
_INPUTS = _format("sagemakerCaptureJson", captureIndexNames=["endpointInput"])
_BOTH_SIDES = ["endpointOutput", "endpointInput"]
_ANSWERS = _format("sagemakerCaptureJson", captureIndexNames=_BOTH_SIDES)
_ANSWERS_WITH_LABELS = _format("sagemakerMergeJson", captureIndexNames=_BOTH_SIDES)

# Captured CSV has no names, so columns go by their position: the answer comes first, then the features.
COLUMNS = (*ANSWER, *FEATURES)
SEGMENT = "origin"
SEGMENT_POSITION = str(COLUMNS.index(SEGMENT))
_MODEL = [
    "--problem-type=BinaryClassification",
    f"--inference-attribute={COLUMNS.index('predicted_late')}",
    f"--probability-attribute={COLUMNS.index('probability')}",
    f"--segment-by={SEGMENT_POSITION}",
]


def baseline_command(layout: Layout) -> list[str]:
    """Return the command that profiles the training data."""
    return [
        "monitor-data-quality",
        *_reading(layout.training, _CSV),
        *_reporting_to(layout.baseline),
    ]


def monitoring_command(layout: Layout, window: Window, captures: Path | None = None) -> list[str]:
    """Return the command that compares a window of captures, the endpoint's or others, with the baseline."""
    report = layout.report(window)
    return [
        "monitor-data-quality",
        *_reading(captures or layout.captures, _INPUTS),
        *_monitoring(window, layout.baseline, report),
        "--publish-cloudwatch-metrics=Enabled",
        f"--cloudwatch-metrics-directory={report}",
    ]


def model_baseline_command(layout: Layout) -> list[str]:
    """Return the command that measures the model on the validation data."""
    return [
        "monitor-model-quality",
        *_reading(layout.validation, _CSV),
        *_MODEL,
        f"--ground-truth-attribute={LABEL}",
        *_reporting_to(layout.model_baseline),
    ]


def estimate_command(layout: Layout, window: Window) -> list[str]:
    """Return the command that estimates how good the model is in a window that has no labels yet."""
    return [
        "monitor-model-quality",
        *_reading(layout.captures, _ANSWERS),
        *_MODEL,
        *_monitoring(window, layout.model_baseline, layout.estimate(window)),
    ]


def merge_command(layout: Layout) -> list[str]:
    """Return the command that joins the captures with the labels that came later."""
    return [
        "merge-ground-truth",
        f"--dataset-source={layout.captures}",
        f"--ground-truth-source={layout.labels}",
        *_reporting_to(layout.merged),
    ]


def measurement_command(layout: Layout, window: Window) -> list[str]:
    """Return the command that measures how good the model was in a window, now that it has labels."""
    return [
        "monitor-model-quality",
        *_reading(layout.merged, _ANSWERS_WITH_LABELS),
        *_MODEL,
        *_monitoring(window, layout.model_baseline, layout.measurement(window)),
    ]


def bias_baseline_command(layout: Layout) -> list[str]:
    """Return the command that measures bias on the validation data."""
    return [
        "monitor-bias",
        f"--analysis-config={layout.bias_configuration}",
        *_reading(layout.validation, _CSV),
        "--inference-attribute=predicted_late",
        *_reporting_to(layout.bias_baseline),
    ]


def bias_command(layout: Layout, window: Window) -> list[str]:
    """Return the command that compares bias in a window that has labels with the baseline's."""
    return [
        "monitor-bias",
        f"--analysis-config={layout.bias_configuration}",
        *_reading(layout.merged, _ANSWERS_WITH_LABELS),
        f"--inference-attribute={COLUMNS.index('predicted_late')}",
        *_monitoring(window, layout.bias_baseline, layout.bias(window)),
    ]


def attribution_baseline_command(layout: Layout) -> list[str]:
    """Return the command that explains the model on some of the validation data."""
    return [
        "monitor-feature-attribution",
        *_explaining(layout),
        *_reading(layout.explained, _CSV),
        *_reporting_to(layout.attribution_baseline),
    ]


def attribution_command(layout: Layout, window: Window) -> list[str]:
    """Return the command that explains the model in a window, and compares with the baseline."""
    return [
        "monitor-feature-attribution",
        *_explaining(layout),
        *_reading(layout.captures, _INPUTS),
        *_during(window),
        f"--baseline-constraints={layout.attribution_baseline / 'constraints.json'}",
        *_reporting_to(layout.attribution(window)),
    ]


def year_command(layout: Layout, monitor: str) -> list[str]:
    """Return the command by which a monitor looks at every week of the year."""
    only = {
        "data-quality": [f"--exclude-features-attribute={','.join((*ANSWER, LABEL))}"],
        "model-quality": [
            "--problem-type=BinaryClassification",
            "--inference-attribute=predicted_late",
            "--probability-attribute=probability",
            f"--ground-truth-attribute={LABEL}",
        ],
    }
    return [
        f"monitor-{monitor}",
        *_reading(layout.flights_of_the_year, "parquet"),
        "--time-attribute=asked_at",
        "--id-attribute=flight_id",
        *only[monitor],
        "--each-window=Enabled",
        f"--start-time={YEAR_START:%Y-%m-%d}",
        f"--end-time={YEAR_END:%Y-%m-%d}",
        "--window=P1W",
        f"--time-zone={YEAR_ZONE}",
        *_compared_with(layout.years[monitor]),
        f"--model-name={ENDPOINT}",
        f"--history-path={layout.history}",
        f"--output-path={layout.year_of(monitor)}",
        f"--output-message-file={layout.year_of(monitor) / 'message'}",
    ]


def year_pages_command(layout: Layout) -> list[str]:
    """Return the command that makes one page over the year's runs, and one for each model."""
    return ["monitor-history", "report", f"--history-path={layout.history}", f"--output={layout.overview}"]


def _reading(dataset: Path, dataset_format: str) -> list[str]:
    return [f"--dataset-source={dataset}", f"--dataset-format={dataset_format}"]


def _explaining(layout: Layout) -> list[str]:
    return [f"--analysis-config={layout.attribution_configuration}", f"--model={layout.model}"]


def _monitoring(window: Window, baseline: Path, report: Path) -> list[str]:
    return [*_during(window), *_compared_with(baseline), *_reporting_to(report)]


def _during(window: Window) -> list[str]:
    return [
        f"--start-time={window.start:%Y-%m-%dT%H:%M:%SZ}",
        f"--end-time={window.end:%Y-%m-%dT%H:%M:%SZ}",
    ]


def _compared_with(baseline: Path) -> list[str]:
    return [
        f"--baseline-statistics={baseline / 'statistics.json'}",
        f"--baseline-constraints={baseline / 'constraints.json'}",
    ]


def _reporting_to(directory: Path) -> list[str]:
    return [f"--output-path={directory}", f"--output-message-file={directory / 'message'}"]


def run_job(command: list[str], log: Path) -> None:
    """Run a console command as a user would, its log going to `log`.

    Raises
    ------
    MonitorError
        When the job fails, with the last line it said.
    """
    # The very command, whether or not it is on the PATH of whoever started the demo.
    process = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
    contract_variables = {name for variable in VARIABLES for name in (variable.name, *variable.aliases)}
    environment = {name: text for name, text in os.environ.items() if name not in contract_variables}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environment.get("PYTHONPATH")]))
    with log.open("wb") as sink:
        ended = subprocess.run(  # noqa: S603 - our own command with our own arguments, no shell
            process, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment, check=False
        )
    if ended.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
        reason = lines[-1].rpartition(" - ERROR - ")[2].rstrip(".")
        raise MonitorError(f"A job ended with exit code {ended.returncode} ({reason}); its log is {log}.")


def run_jobs(jobs: Sequence[tuple[list[str], Path]]) -> None:
    """Run jobs that do not need each other side by side; each is a command and its log.

    Raises
    ------
    MonitorError
        When a job fails; see `run_job`.
    """
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        for _ in pool.map(lambda job: run_job(*job), jobs):
            pass


def shell_text(command: list[str]) -> str:
    """Return a command as a user types it, one flag per line."""
    return " \\\n      ".join(_quoted(argument) for argument in command)


def _quoted(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag + (" " + shlex.quote(value) if equals else "")
