"""Every way to decide nothing, in every monitor: message, page, history, exit code and baseline say so."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attributed_people import csv_endpoint, people, table_config
from attributed_people import write_csv as write_people
from captured_predictions import predict, write_captures, write_labels, write_table
from fixtures import ROOT
from gate.labelled_rows import BIAS, Rows, all_of, table, write
from models.model_server import Answer, Request, serving
from reading.reading_inputs import captured
from run_jobs import Result, baseline_of, run_job
from sentences import says

from containers.bias.main import main as monitor_bias
from containers.commands.main import monitor_history
from containers.data_quality.main import main as monitor_data_quality
from containers.feature_attribution.main import main as monitor_feature_attribution
from containers.model_quality.main import main as monitor_model_quality

REGRESSION = {
    "problem_type": "Regression",
    "inference_attribute": "prediction",
    "ground_truth_attribute": "label",
}
BINARY = {**REGRESSION, "problem_type": "BinaryClassification"}


def nothing(document: dict[str, Any], member: str) -> dict[str, Any]:
    """Return a constraints document without any figure of a bias metric, or without any entry."""
    if member != "value":
        return {**document, member: {} if isinstance(document[member], dict) else []}

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: None if key == "value" else without(inner) for key, inner in value.items()}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    return without(document)


@dataclass(frozen=True)
class Case:
    """A window, or a baseline, of which nothing can be decided, and what the message says of it."""

    monitor: str
    because: str
    window: Callable[[Rows], Rows] = field(default=lambda rows: rows)
    # What becomes of the baseline's constraints; its statistics are then left out.
    constraints: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    refused_by: tuple[str, ...] = ()


def _without_attribution(value: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(value) if "age" in value else value


def _disabled(document: dict[str, Any]) -> dict[str, Any]:
    config = {**document.get("monitoring_config", {}), "evaluate_constraints": "Disabled"}
    return {**document, "monitoring_config": config}


RULES = ("sound", "sagemaker")
CASES = {
    "data-quality, no rows": Case("data-quality", "there are no rows in", lambda rows: []),
    "data-quality, no features": Case(
        "data-quality", "has no feature", constraints=lambda document: nothing(document, "features")
    ),
    "data-quality, switched off": Case(
        "data-quality", "evaluate_constraints is Disabled", constraints=_disabled
    ),
    "model-quality, no rows": Case("model-quality", "there are no rows in", lambda rows: []),
    "model-quality, no labels": Case("model-quality", "no row has a label", all_of("label", "")),
    "model-quality, predictions missing": Case(
        "model-quality", "no row with a label has a usable prediction", all_of("prediction", "")
    ),
    "model-quality, predictions infinite": Case(
        "model-quality",
        "no row with a label has a usable prediction",
        all_of("prediction", "inf"),
        settings=REGRESSION,
    ),
    "model-quality, no constraints": Case(
        "model-quality",
        "there are no constraints",
        constraints=lambda document: nothing(document, "binary_classification_constraints"),
    ),
    "bias, no rows": Case("bias", "there are no rows in", lambda rows: []),
    "bias, no group": Case("bias", "of the group sex = 0", all_of("sex", "")),
    "bias, no labels and no predictions": Case(
        "bias",
        "no row has a label",
        lambda rows: all_of("label", "")(all_of("prediction", "")(rows)),
        refused_by=("sagemaker",),
    ),
    "bias, no figures": Case(
        "bias",
        "the baseline has no",
        constraints=lambda document: nothing(document, "value"),
    ),
    "feature-attribution, no rows": Case("feature-attribution", "there are no rows in", lambda rows: []),
    "feature-attribution, no figures": Case(
        "feature-attribution",
        "the baseline attributes nothing",
        constraints=lambda document: json.loads(json.dumps(document), object_hook=_without_attribution),
    ),
}
COMMANDS = {
    "data-quality": monitor_data_quality,
    "model-quality": monitor_model_quality,
    "bias": monitor_bias,
    "feature-attribution": monitor_feature_attribution,
}
CONSTRAINTS = {"bias": "analysis.json", "feature-attribution": "analysis.json"}


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with serving(csv_endpoint) as server:
        yield server.url


def settings_of(folder: Path, case: Case, model: str) -> dict[str, Any]:
    config = {"bias": BIAS, "feature-attribution": table_config()}.get(case.monitor)
    settings: dict[str, Any] = dict(BINARY) if case.monitor == "model-quality" else {}
    if config is not None:
        (folder / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
        settings = {"analysis_config": folder / "analysis_config.json"}
    if case.monitor == "feature-attribution":
        settings |= {"model": model, "dataset_format": None}
    return {"command": COMMANDS[case.monitor], **settings, **case.settings}


def data_of(file: Path, case: Case, rows: int, *, is_window: bool) -> Path:
    if case.monitor != "feature-attribution":
        return write(file, case.window(table(1, rows)) if is_window else table(1, rows))
    features = [[str(cell) for cell in row] for row in people(30, seed=1).rows]
    return write_people(file, case.window(features) if is_window else features)


def listed(history: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert monitor_history(["list", "--history-path", str(history)]) == 0
    return capsys.readouterr().out.splitlines()[1]


def run_case(
    folder: Path, case: Case, model: str, rules: str, **gate: Any
) -> tuple[Result, dict[str, bytes]]:
    """Run baseline and window; return the result, and the baseline as it was before."""
    settings = {**settings_of(folder, case, model), "rules": rules}
    first = run_job(
        folder,
        data_of(folder / "first.csv", case, 400, is_window=False),
        output_path=folder / "baseline",
        report="Disabled",
        **settings,
    )
    assert first.exit_code == 0, first.message
    baseline = {
        "baseline_constraints": folder / "baseline",
        "baseline_statistics": folder / "baseline" / "statistics.json",
    }
    if case.constraints is not None:
        file = folder / "edited" / CONSTRAINTS.get(case.monitor, "constraints.json")
        file.parent.mkdir()
        document = case.constraints(json.loads((folder / "baseline" / "constraints.json").read_text()))
        file.write_text(json.dumps(document), encoding="utf-8")
        baseline = {"baseline_constraints": file}
    before = {file.name: file.read_bytes() for file in (folder / "baseline").iterdir() if file.is_file()}
    source = data_of(folder / "window.csv", case, 400, is_window=True)
    result = run_job(folder, source, history_path=folder / "history", **settings, **baseline, **gate)
    return result, before


@pytest.mark.parametrize("gate", [True, False], ids=["gate", "no gate"])
@pytest.mark.parametrize(
    ("name", "rules"),
    # What the originals' rules refuse with exit code 2 never comes to a decision.
    [(name, rules) for name, case in CASES.items() for rules in RULES if rules not in case.refused_by],
)
def test_nothing_decided_is_said_everywhere(
    tmp_path: Path, model: str, name: str, gate: bool, rules: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    given = {"register_new_baseline": tmp_path / "baseline"} if gate else {}
    result, before = run_case(tmp_path, case, model, rules, **given)
    assert result.exit_code == (5 if gate else 0), result.message
    assert says(result.message, "outcome.empty")
    assert case.because in result.message
    assert "no violations" not in result.message
    page = (result.output / "report.html").read_text(encoding="utf-8")
    head = page.partition("<header")[2].partition("</header>")[0]
    assert head.startswith(' class="plain"')
    assert "Nothing could be decided" in head or "nothing was decided" in head
    assert 'class="state fine"' not in page
    # A sentence in a column of numbers would push those behind it off the page and off paper.
    assert all(len(cell) < 25 for cell in re.findall(r'<td class="number"[^>]*>([^<]*)', page))
    assert "  not decided  " in listed(tmp_path / "history", capsys)
    kept = {file.name: file.read_bytes() for file in (tmp_path / "baseline").iterdir() if file.is_file()}
    assert kept == before
    assert not (tmp_path / "baseline" / "previous").exists()
    assert result.violations == []
    if rules == "sound":
        comparisons = result.document("comparisons.json")
        assert comparisons["decided"] == 0
        assert {one["state"] for one in comparisons["comparisons"]} <= {"not_decided"}
        assert case.because in comparisons["because"]
    else:
        assert "comparisons.json" not in result.files


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"fail_on_violations": "Enabled"}, 5),
        ({"fail_on_undecided": "Enabled"}, 5),
        ({"fail_on_violations": "Enabled", "fail_on_undecided": "Disabled"}, 0),
        ({"fail_on_sink_error": "Enabled", "metrics_sinks": "pushgateway+http://127.0.0.1:9"}, 4),
        (
            {
                "fail_on_undecided": "Enabled",
                "fail_on_sink_error": "Enabled",
                "metrics_sinks": "pushgateway+http://127.0.0.1:9",
            },
            5,
        ),
    ],
)
def test_what_makes_it_a_gate(tmp_path: Path, model: str, given: dict[str, str], expected: int) -> None:
    case = CASES["model-quality, no labels"]
    result, _ = run_case(tmp_path, case, model, "sound", sink_timeout="PT1S", **given)
    assert result.exit_code == expected, result.message


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
@pytest.mark.parametrize("ids", ["other ids", "no labels yet"])
def test_captures_whose_labels_do_not_come(tmp_path: Path, rules: str, ids: str) -> None:
    first = write_table(tmp_path / "data.csv", predict(1_000, seed=1))
    settings = {"command": monitor_model_quality, "rules": rules, "problem_type": "BinaryClassification"}
    baseline = run_job(
        tmp_path,
        first,
        output_path=tmp_path / "baseline",
        inference_attribute="prediction",
        ground_truth_attribute="label",
        **settings,
    )
    assert baseline.exit_code == 0, baseline.message
    window = predict(300, seed=2)
    labels = tmp_path / "labels"
    labels.mkdir()
    if ids == "other ids":
        write_labels(labels, window.labels, prefix="nobody")
    result = run_job(
        tmp_path,
        write_captures(tmp_path / "captures", window),
        dataset_format='{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}',
        ground_truth_source=labels,
        inference_attribute="0",
        baseline_constraints=tmp_path / "baseline" / "constraints.json",
        baseline_statistics=tmp_path / "baseline" / "statistics.json",
        fail_on_violations="Enabled",
        **settings,
    )
    assert result.exit_code == 5, result.message
    assert "nothing could be decided, because no row has a label" in result.message


def test_the_shared_case(tmp_path: Path) -> None:
    folder = ROOT.parent / "shared" / "cases" / "nothing_to_decide"
    if not folder.exists():
        pytest.skip("the shared cases are not beside the checkout")
    settings = {"command": monitor_model_quality, **BINARY}
    run_job(tmp_path, folder / "baseline.csv", output_path=tmp_path / "baseline", **settings)
    before = (tmp_path / "baseline" / "statistics.json").read_bytes()
    result = run_job(
        tmp_path,
        folder / "window.csv",
        baseline_constraints=tmp_path / "baseline",
        baseline_statistics=tmp_path / "baseline",
        register_new_baseline=tmp_path / "baseline",
        **settings,
    )
    assert result.exit_code == 5
    assert (tmp_path / "baseline" / "statistics.json").read_bytes() == before


def test_a_segment_that_is_gone_keeps_the_baseline_and_fails_a_gate(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"segment_by": "group", "command": monitor_model_quality, **BINARY}
    first = write_table(tmp_path / "first.csv", predict(2_000, seed=1))
    run_job(tmp_path, first, output_path=tmp_path / "baseline", **settings)
    lines = write_table(tmp_path / "all.csv", predict(2_000, seed=2)).read_text().splitlines()
    (tmp_path / "window.csv").write_text("\n".join(line for line in lines if line[-2:] != ",d") + "\n")
    result = run_job(
        tmp_path,
        tmp_path / "window.csv",
        baseline_constraints=tmp_path / "baseline",
        baseline_statistics=tmp_path / "baseline",
        register_new_baseline=tmp_path / "baseline",
        **settings,
    )
    assert result.exit_code == 5, result.message
    assert "the window has no rows of the segment group=d" in result.message
    assert "stays as it was, because this window lacks figures that it has" in result.message
    assert result.violations == []
    page = (result.output / "report.html").read_text(encoding="utf-8")
    assert "comparisons decided" in page.partition("</h1>")[0]


@pytest.mark.parametrize("monitor", ["model-quality", "data-quality"])
def test_a_segment_without_a_baseline_has_no_number_of_violations(tmp_path: Path, monitor: str) -> None:
    settings: dict[str, Any] = {
        "command": COMMANDS[monitor],
        **(BINARY if monitor == "model-quality" else {}),
    }
    first = write_table(tmp_path / "first.csv", predict(500, seed=1))
    run_job(tmp_path, first, output_path=tmp_path / "baseline", **settings)
    result = run_job(
        tmp_path,
        write_table(tmp_path / "window.csv", predict(500, seed=2)),
        segment_by="group",
        baseline_constraints=tmp_path / "baseline",
        baseline_statistics=tmp_path / "baseline",
        **settings,
    )
    described = run_job(tmp_path, first, segment_by="group", output_path=tmp_path / "described", **settings)
    pages = [(one.output / "report.html").read_text(encoding="utf-8") for one in (described, result)]
    of, section = (
        page.partition("<caption>One row per segment.")[2].partition("</table>")[0] for page in pages
    )
    assert of
    assert "not decided" not in of
    assert section.count("not decided") == 4
    assert '<td class="number" data-sort="0">0</td>' not in section


@pytest.mark.parametrize("monitor", ["data-quality", "model-quality"])
@pytest.mark.parametrize(
    ("before", "now", "state"),
    [(0.0, 0.0, None), (0.0, 0.005, "holds"), (0.0, 0.1, "violated"), (0.2, 0.2, "holds")],
)
def test_payloads_that_cannot_be_decoded_are_compared(
    tmp_path: Path, monitor: str, before: float, now: float, state: str | None
) -> None:
    settings: dict[str, Any] = {
        "command": COMMANDS[monitor],
        "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}',
    }
    if monitor == "model-quality":
        settings |= {"problem_type": "BinaryClassification", "inference_attribute": "0"}
        settings["ground_truth_source"] = write_labels(tmp_path / "labels", predict(2_000, seed=1).labels)
    results = []
    for seed, share in enumerate((before, now)):
        captures = write_captures(tmp_path / f"{seed}", predict(2_000, seed=1))
        [file] = captures.rglob("*.jsonl")
        lines = file.read_text().splitlines()
        for place in np.random.default_rng(seed).permutation(2_000)[: round(2_000 * share)]:
            record = json.loads(lines[place])
            record["captureData"]["endpointOutput"] |= {"data": "{not", "encoding": "JSON"}
            lines[place] = json.dumps(record)
        file.write_text("\n".join(lines))
        if results:
            settings |= baseline_of(results[0])
        results.append(run_job(tmp_path, captures, output_path=tmp_path / f"out-{seed}", **settings))
        assert results[-1].exit_code == 0, results[-1].message
    found = [
        one for one in results[1].document("comparisons.json")["comparisons"] if one["subject"] == "payloads"
    ]
    assert [one["state"] for one in found] == ([] if state is None else [state])
    page = (results[1].output / "report.html").read_text(encoding="utf-8")
    assert (page.count("<h3>Fewer usable: ") == 1) == (state == "violated")
    assert ("could not be decoded (10 %), at the baseline 0 of 2,000" in page) == (state == "violated")
    if monitor == "model-quality" and state == "violated":
        # A row whose prediction cannot be read has its label all the same.
        assert ("2,000 of 2,000 (100 %)" in page, "1,800 of 2,000 (90 %)" in page) == (True, True)


def without_answers(lines: list[str], how: str) -> list[str]:
    answers = {"null": {"data": None}, "empty": {"data": ""}, "broken": {"data": "{", "encoding": "JSON"}}
    records = [json.loads(line) for line in lines]
    for one in records:
        if how == "no part":
            del one["captureData"]["endpointOutput"]
        else:
            one["captureData"]["endpointOutput"] |= answers[how]
    return [json.dumps(one) for one in records]


@pytest.mark.parametrize("sides", [["endpointOutput"], ["endpointInput", "endpointOutput"]])
@pytest.mark.parametrize("how", ["no part", "null", "broken", "empty"])
def test_a_model_that_answers_nothing_is_not_judged_by_other_columns(
    tmp_path: Path, how: str, sides: list[str]
) -> None:
    captures = write_captures(tmp_path / "captures", predict(400, seed=1))
    [file] = captures.rglob("*.jsonl")
    settings: dict[str, Any] = {
        "command": monitor_model_quality,
        "dataset_format": json.dumps({"sagemakerCaptureJson": {"captureIndexNames": sides}}),
        "problem_type": "BinaryClassification",
        "inference_attribute": "0",
        "ground_truth_source": write_labels(tmp_path / "labels", predict(400, seed=1).labels),
    }
    first = run_job(tmp_path, captures, output_path=tmp_path / "first", **settings)
    assert first.exit_code == 0, first.message
    file.write_text("\n".join(without_answers(file.read_text().splitlines(), how)))
    assert run_job(tmp_path, captures, output_path=tmp_path / "baseline", **settings).exit_code == 2
    result = run_job(tmp_path, captures, fail_on_violations="Enabled", **settings | baseline_of(first))
    if len(sides) == 2 and how != "empty":
        assert result.exit_code == 2
        assert "has an endpointOutput that can be decoded, so there are no predictions" in result.message
    else:
        assert result.exit_code == (3 if how == "broken" else 5)
        assert "no row with a label has a usable prediction" in result.message


def test_payloads_that_cannot_be_decoded_are_compared_in_attribution(tmp_path: Path) -> None:
    def write(folder: Path, damaged: int) -> Path:
        lines = [captured({"a": at % 7, "b": at % 5}, "1", number=at) for at in range(300)]
        for at in range(damaged):
            record = json.loads(lines[at * 2])
            record["captureData"]["endpointInput"]["data"] = "{not"
            lines[at * 2] = json.dumps(record) + "\n"
        folder.mkdir()
        (folder / "a.jsonl").write_text("".join(lines))
        return folder

    def answer(request: Request) -> Answer:
        return Answer("".join(f"{float(row[0] or 0) * 0.1}\n" for row in request.rows()))

    config = {
        "headers": ["a", "b"],
        "methods": {"shap": {"baseline": [[0, 0]]}},
        "predictor": {"content_type": "text/csv"},
    }
    (tmp_path / "analysis_config.json").write_text(json.dumps(config))
    settings: dict[str, Any] = {
        "command": monitor_feature_attribution,
        "analysis_config": tmp_path / "analysis_config.json",
        "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}',
    }
    with serving(answer) as server:
        settings["model"] = server.url
        first = run_job(tmp_path, write(tmp_path / "then", 0), output_path=tmp_path / "first", **settings)
        assert first.exit_code == 0, first.message
        result = run_job(tmp_path, write(tmp_path / "now", 30), **settings | baseline_of(first))
    assert "30 of 300 payloads could not be decoded (10 %), at the baseline 0 of 300" in str(
        result.violations
    )
