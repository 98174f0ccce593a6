"""Every way to have too little to decide on, in all four monitors: what each of them says, everywhere."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from captured_predictions import write_labels
from captures.capture_data import part, record
from captures.capture_data import write as write_records
from gate.labelled_rows import BIAS, HEAD, Rows, all_of, table, write
from models.model_server import Answer, Request, serving
from run_jobs import run_job

from containers.bias.main import main as monitor_bias
from containers.commands.main import monitor_history
from containers.data_quality.main import main as monitor_data_quality
from containers.feature_attribution.main import main as monitor_feature_attribution
from containers.model_quality.main import main as monitor_model_quality

COMMANDS = {
    "data-quality": monitor_data_quality,
    "model-quality": monitor_model_quality,
    "bias": monitor_bias,
    "feature-attribution": monitor_feature_attribution,
}
CAPTURED = {
    **{name: member for name, member in BIAS.items() if name != "predicted_label"},
    "headers": ["sex", "x", "label"],
}
ATTRIBUTION = {
    "dataset_type": "text/csv",
    "label": "label",
    "predicted_label": "prediction",
    "methods": {"shap": {"baseline": [["0", "50.0"]]}},
    "predictor": {"content_type": "text/csv"},
}


@dataclass(frozen=True)
class Way:
    """A way to lack something: what becomes of the window, of the model's answers, and of the settings."""

    window: Callable[[Rows], Rows] = lambda rows: rows
    answer: str | None = None
    settings: dict[str, Any] | None = None
    segment_by: str | None = None
    labels: str | None = None
    is_damaged: bool = False


WAYS = {
    "no labels": Way(all_of("label", "")),
    "labels of other ids": Way(labels="nobody"),
    "labels not there yet": Way(labels=""),
    "predictions missing": Way(all_of("prediction", ""), answer=""),
    "predictions infinite": Way(all_of("prediction", "inf"), answer="inf"),
    "predictions of other words": Way(all_of("prediction", "approved"), answer="approved"),
    "predictions of other numbers": Way(all_of("prediction", "7")),
    "labels of other words": Way(all_of("label", "yes")),
    "a group absent": Way(all_of("sex", "0")),
    "every group absent": Way(all_of("sex", "7")),
    "an empty segment": Way(lambda rows: [row for row in rows if row[2] == "0"], segment_by="sex"),
    "nothing left": Way(settings={"exclude_features_attribute": ",".join(HEAD)}),
    "no statistics": Way(settings={"baseline_statistics": None}),
    "payloads damaged": Way(is_damaged=True),
}

NOTHING, PARTLY, VIOLATED, REFUSED, DECIDED = "nothing", "partly", "violated", "refused", "decided"
# Partly too, but nothing that the baseline has is lost, so that it is renewed.
OPEN = "open"
# For each monitor how it ends, and what its message says of it.
EXPECTED: dict[str, tuple[tuple[str, str], ...]] = {
    "no labels": (
        (VIOLATED, "hold no value in the window"),
        (NOTHING, "no row has a label"),
        (PARTLY, "no row has a label"),
        (DECIDED, ""),
    ),
    "labels of other ids": (
        (DECIDED, ""),
        (NOTHING, "no row has a label"),
        (PARTLY, "no row has a label"),
        (DECIDED, ""),
    ),
    "labels not there yet": (
        (DECIDED, ""),
        (NOTHING, "no row has a label"),
        (PARTLY, "no row has a label"),
        (DECIDED, ""),
    ),
    "predictions missing": (
        (VIOLATED, "hold no value in the window"),
        (NOTHING, "no row with a label has a usable prediction"),
        (PARTLY, "no row has a usable prediction"),
        (REFUSED, "its answer is empty"),
    ),
    "predictions infinite": (
        (VIOLATED, "hold no finite number"),
        (NOTHING, "no row with a label has a usable prediction"),
        (PARTLY, "no row has a usable prediction"),
        (REFUSED, "answered the score inf"),
    ),
    "predictions of other words": (
        (VIOLATED, "numbers on one side only"),
        (REFUSED, "none is of both"),
        (REFUSED, "none is of both"),
        (REFUSED, "holds 'approved' where a number should be"),
    ),
    "predictions of other numbers": (
        (VIOLATED, ""),
        (REFUSED, "none is of both"),
        (REFUSED, "none is of both"),
        (DECIDED, ""),
    ),
    "labels of other words": (
        (VIOLATED, "numbers on one side only"),
        (REFUSED, "none is of both"),
        (REFUSED, "'label' holds 'yes'"),
        (DECIDED, ""),
    ),
    "a group absent": (
        (VIOLATED, ""),
        (DECIDED, ""),
        (VIOLATED, "the window has no rows outside the group sex = 0"),
        (VIOLATED, ""),
    ),
    "every group absent": (
        (VIOLATED, ""),
        (DECIDED, ""),
        (VIOLATED, "the window has no rows of the group sex = 0"),
        (VIOLATED, ""),
    ),
    "an empty segment": (
        (VIOLATED, "the window has no rows of the segment sex=1"),
        (PARTLY, "the window has no rows of the segment sex=1"),
        (VIOLATED, "the window has no rows of the segment sex=1"),
        (VIOLATED, ""),
    ),
    "nothing left": (
        (REFUSED, "has no column left"),
        (REFUSED, "has no column left"),
        (DECIDED, ""),
        (REFUSED, "has no column left"),
    ),
    "no statistics": (
        (OPEN, "the baseline has no statistics of some features"),
        (OPEN, "the baseline has no statistics of what rows lack"),
        (OPEN, "the baseline has no statistics of what rows lack"),
        (DECIDED, ""),
    ),
    "payloads damaged": (
        (VIOLATED, "the window lacks columns"),
        (VIOLATED, "no row with a label has a usable prediction"),
        (REFUSED, "see that payloads are captured and can be decoded"),
        (REFUSED, "see that requests are captured and can be decoded"),
    ),
}
answer_with: list[str] = []


def answer(request: Request) -> Answer:
    scores = [repr(float(row[-1]) * 0.1 + float(row[-2])) for row in request.rows()]
    return Answer("".join(f"{(answer_with or [score])[-1]}\n" for score in scores))


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with serving(answer) as server:
        yield server.url


def settings_of(folder: Path, monitor: str, model: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"command": COMMANDS[monitor]}
    if monitor == "model-quality":
        settings |= {
            "problem_type": "BinaryClassification",
            "inference_attribute": "prediction",
            "ground_truth_attribute": "label",
        }
    if monitor in ("bias", "feature-attribution"):
        config = folder / "analysis_config.json"
        config.write_text(json.dumps(BIAS if monitor == "bias" else ATTRIBUTION), encoding="utf-8")
        settings["analysis_config"] = config
    if monitor == "feature-attribution":
        settings |= {"model": model, "dataset_format": None}
    return settings


def captures_of(folder: Path, rows: Rows, *, is_damaged: bool = False) -> Path:
    """Write the window as captures, whose labels come from elsewhere."""
    kind = {"observedContentType": "text/csv"}
    if is_damaged:
        kind["encoding"], rows = "JSON", [[row[0], "{not", "{", "not"] for row in rows]
    records = [
        record(
            part(row[1], **kind),
            part(f"{row[2]},{row[3]}", **kind),
            eventMetadata={"eventId": f"event-{place}", "inferenceTime": "2026-05-06T22:10:00Z"},
        )
        for place, row in enumerate(rows)
    ]
    write_records(folder / "2026/05/06/22" / "captures.jsonl", records)
    return folder


@pytest.mark.parametrize("monitor", COMMANDS)
@pytest.mark.parametrize("way", WAYS)
def test_every_pair(
    tmp_path: Path, model: str, way: str, monitor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lack, (end, because) = WAYS[way], EXPECTED[way][list(COMMANDS).index(monitor)]
    settings = settings_of(tmp_path, monitor, model)
    baseline = tmp_path / "baseline"
    if lack.segment_by and monitor != "feature-attribution":
        settings["segment_by"] = lack.segment_by
    answer_with.clear()
    first, window = write(tmp_path / "first.csv", table(1)), lack.window(table(2))
    source, labels = write(tmp_path / "window.csv", window), tmp_path / "labels"
    if lack.is_damaged or (lack.labels is not None and monitor in ("model-quality", "bias")):
        first = captures_of(tmp_path / "before", table(1))
        source = captures_of(tmp_path / "now", window, is_damaged=lack.is_damaged)
        write_labels(labels, [row[0] for row in table(1)])
        (tmp_path / "analysis_config.json").write_text(json.dumps(CAPTURED), encoding="utf-8")
        sides = ["endpointInput", "endpointOutput"][monitor == "model-quality" :]
        settings["dataset_format"] = json.dumps({"sagemakerCaptureJson": {"captureIndexNames": sides}})
        if monitor in ("model-quality", "bias"):
            settings |= {
                "inference_attribute": "0",
                "ground_truth_attribute": None,
                "ground_truth_source": labels,
            }
        elif monitor == "feature-attribution":
            config = {**ATTRIBUTION, "headers": ["sex", "x"], "label": None, "predicted_label": None}
            config = {name: member for name, member in config.items() if member is not None}
            (tmp_path / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    first = run_job(tmp_path, first, output_path=baseline, report="Disabled", **settings)
    assert first.exit_code == 0, first.message
    before = {file.name: file.read_bytes() for file in baseline.iterdir() if file.is_file()}
    answer_with.extend([] if lack.answer is None else [lack.answer])
    if lack.labels is not None:
        shutil.rmtree(labels, ignore_errors=True)
        write_labels(labels, ["1"] * 600 if lack.labels else [], prefix=lack.labels)
    result = run_job(
        tmp_path,
        source,
        **settings
        | {
            "baseline_constraints": baseline,
            "baseline_statistics": baseline / "statistics.json",
            "history_path": tmp_path / "history",
            "register_new_baseline": baseline,
            "fail_on_violations": "Enabled",
            "metrics_sinks": f"prometheus-textfile:{tmp_path}/metrics.prom",
        }
        | (lack.settings or {}),
    )
    capsys.readouterr()
    assert monitor_history(["list", "--history-path", str(tmp_path / "history")]) == 0
    listed = capsys.readouterr().out
    after = {file.name: file.read_bytes() for file in baseline.iterdir() if file.is_file()}
    assert because in result.message
    assert (after == before) == (end != DECIDED)
    codes = {NOTHING: (5,), PARTLY: (5,), OPEN: (0,), VIOLATED: (3,), REFUSED: (2,), DECIDED: (0,)}
    assert result.exit_code in codes[end], result.message
    if end == REFUSED:
        assert result.files == []
        assert "failed" in listed
        return
    page = (result.output / "report.html").read_text(encoding="utf-8")
    head = " ".join(re.sub(r"<[^>]*>", " ", page.partition("<header")[2].partition("</header>")[0]).split())
    comparisons = result.document("comparisons.json")
    metrics = (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    decided, undecided = comparisons["decided"], comparisons["not_decided"]
    for one in comparisons["comparisons"]:
        if one["check"] in ("completeness_check", "presence_check") and not one.get("lost"):
            # Figures of 0 say something.
            assert {"value", "rows"} <= one.keys()
    assert f'comparisons_decided{{monitor="{monitor}"}} {decided}.0' in metrics
    assert f'comparisons_undecided{{monitor="{monitor}"}} {undecided}.0' in metrics
    if end == NOTHING:
        assert decided == 0 < undecided
        assert "nothing could be decided" in result.message
        assert f"Nothing could be decided: {comparisons['because']}" in head
        assert "not decided" in listed
    elif undecided:
        counts = f"{decided} of {decided + undecided}"
        assert f"{counts} comparisons decided, {undecided} not" in head
        assert f"Decided were {counts} comparisons" in result.message
        assert comparisons["because"] in result.message
    assert (undecided > 0) == bool(because)
    assert ("No violations" in head) == (end in (PARTLY, OPEN, DECIDED))
    assert bool(result.violations) == (end == VIOLATED)


def test_a_handful_of_rows_decides_nothing_of_a_model(tmp_path: Path, model: str) -> None:
    settings = settings_of(tmp_path, "model-quality", model)
    run_job(tmp_path, write(tmp_path / "first.csv", table(1)), output_path=tmp_path / "baseline", **settings)
    before = (tmp_path / "baseline" / "statistics.json").read_bytes()
    given = {"baseline_constraints": tmp_path / "baseline", "baseline_statistics": tmp_path / "baseline"}
    result = run_job(
        tmp_path,
        write(tmp_path / "window.csv", [["1", "1", "0", "50"], ["0", "0", "1", "40"], ["1", "1", "1", "60"]]),
        register_new_baseline=tmp_path / "baseline",
        **settings | given,
    )
    assert result.exit_code == 5
    assert "nothing could be decided, because the window has too few rows" in result.message
    assert (tmp_path / "baseline" / "statistics.json").read_bytes() == before


def test_a_threshold_that_no_share_reaches_is_refused(tmp_path: Path, model: str) -> None:
    settings = settings_of(tmp_path, "model-quality", model)
    source = write(tmp_path / "first.csv", table(1))
    run_job(tmp_path, source, output_path=tmp_path / "baseline", **settings)
    file = tmp_path / "baseline" / "constraints.json"
    document = json.loads(file.read_text())
    document["binary_classification_constraints"]["recall"]["threshold"] = 95
    file.write_text(json.dumps(document))
    result = run_job(tmp_path, source, baseline_constraints=file, **settings)
    assert result.exit_code == 2
    assert "the threshold of recall is 95" in result.message


def edit_quality(document: Any, wish: str) -> None:
    metrics = document["binary_classification_constraints"]
    if wish == "demand more":
        metrics["accuracy"]["threshold"] = 0.99
    else:
        del metrics["accuracy"]


def edit_bias(document: Any, wish: str) -> None:
    [facet] = document["post_training_bias_metrics"]["facets"]["sex"]
    [metric] = [one for one in facet["metrics"] if one["name"] == "DPPL"]
    if wish == "demand more":
        metric["allowed"] = [0.9, 1.0]
    else:
        facet["metrics"].remove(metric)


def edit_attribution(document: Any, wish: str) -> None:
    [label] = document["explanations"]["kernel_shap"].values()
    if wish == "demand more":
        label["magnitude_threshold"] = 1.1
    else:
        label["magnitude_threshold"] = 0


@pytest.mark.parametrize("wish", ["demand more", "do not check"])
@pytest.mark.parametrize(
    ("monitor", "edit", "check"),
    [
        ("model-quality", edit_quality, ("accuracy", "LessThanThreshold")),
        ("bias", edit_bias, ("DPPL", "bias_drift_check")),
        ("feature-attribution", edit_attribution, ("total", "feature_attribution_magnitude_check")),
    ],
)
def test_edits_of_other_monitors_have_the_effect_that_the_page_names(
    tmp_path: Path, model: str, monitor: str, edit: Any, check: tuple[str, str], wish: str
) -> None:
    answer_with.clear()
    settings, baseline = settings_of(tmp_path, monitor, model), tmp_path / "baseline"
    first = run_job(tmp_path, write(tmp_path / "first.csv", table(1)), output_path=baseline, **settings)
    assert first.exit_code == 0, first.message
    settings |= {"baseline_constraints": baseline, "baseline_statistics": baseline}

    # Attributions of x grow by half.
    window = [[*row[:3], str(50 + 1.5 * (float(row[3]) - 50))] for row in table(2)]

    def states() -> list[str]:
        result = run_job(tmp_path, write(tmp_path / "window.csv", window), **settings)
        assert result.exit_code == 0, result.message
        comparisons = result.document("comparisons.json")["comparisons"]
        return [one["state"] for one in comparisons if check[0] in str(one) and one["check"] == check[1]]

    before = states()
    file = baseline / "constraints.json"
    document = json.loads(file.read_text())
    edit(document, wish)
    file.write_text(json.dumps(document))
    after = states()
    assert "violated" not in before
    assert ("violated" in after) if wish == "demand more" else (len(after) < len(before)), (before, after)
