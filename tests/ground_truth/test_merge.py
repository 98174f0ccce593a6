"""The command merge-ground-truth: what it joins, where it writes, what it reports."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st
from label_data import HOUR, capture, label, lines, merged_files, report, run_merge, write
from run_jobs import run_job

from containers.commands.merge_ground_truth import main
from containers.model_quality.main import main as monitor_model_quality
from job_runner import merge
from job_runner.merge import Merged, _log_report, coverage_report
from readers import arrow_json
from readers import labels as index
from readers.captures import envelope


def _merge(tmp_path, captures, labels, **variables):
    write(tmp_path / "in" / HOUR / "a.jsonl", captures)
    write(tmp_path / "labels" / "2026/05/07/01" / "b.jsonl", labels)
    return run_merge(tmp_path, tmp_path / "in", tmp_path / "labels", **variables)


def test_recorded_captures_and_labels(tmp_path):
    captured = fixture("model_monitor/sdk/capture.jsonl").read_text()
    actuals = fixture("model_monitor/sdk/actuals.jsonl").read_text()
    (tmp_path / "in").mkdir()
    (tmp_path / "labels").mkdir()
    filled = captured.replace("{%s}", "2026-05-06T22:10:00Z")
    (tmp_path / "in" / "capture.jsonl").write_text(filled)
    (tmp_path / "labels" / "actuals.jsonl").write_text(actuals)
    result = run_merge(tmp_path, tmp_path / "in", tmp_path / "labels")
    assert (result.exit_code, result.message) == (0, "")
    [(name, records)] = merged_files(result.output).items()
    assert name == "endpoint/AllTraffic/2026/05/06/22/capture.jsonl"
    expected = {
        found["eventMetadata"]["eventId"]: found["groundTruthData"]
        for found in map(json.loads, actuals.splitlines())
    }
    assert len(records) == 44
    for record, line in zip(records, filled.splitlines(), strict=True):
        truth = record.pop("groundTruthData")
        assert truth == expected[record["eventMetadata"]["eventId"]]
        assert record == json.loads(line)


def test_the_captured_line_stays_as_it_was(tmp_path):
    odd = '{ "captureData" : {"endpointOutput":{"data":"\\u00e9 \\/"}},"eventMetadata":{"eventId":"a"} }'
    folder = tmp_path / "in" / HOUR
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text(f"{odd}\r\n\n{lines([capture('b')])}")
    write(tmp_path / "labels" / "l.jsonl", [label("a", 'x"\\\n\u20ac'), label("b")])
    result = run_merge(tmp_path, tmp_path / "in", tmp_path / "labels")
    first, _ = (result.output / HOUR / "a.jsonl").read_text("utf-8").splitlines()
    assert first.startswith(odd[:-1] + ',"groundTruthData":')
    assert json.loads(first)["groundTruthData"] == {"data": 'x"\\\n\u20ac', "encoding": "CSV"}


def test_inner_join_by_inference_id_else_event_id(tmp_path):
    captures = [
        capture("a"),
        capture("b", inference_id="x"),
        capture("c", inference_id=""),
        capture(None),
        capture("d"),
    ]
    labels = [label("a", "1"), label("b", "2"), label("x", "3"), label("c", "4"), label("nobody", "5")]
    result = _merge(tmp_path, captures, labels)
    [records] = merged_files(result.output).values()
    assert [record["groundTruthData"]["data"] for record in records] == ["1", "3", "4"]
    found = report(result.output)
    assert (found["captures"], found["joined"], found["captures_without_id"]) == (5, 3, 1)
    assert (found["labels"], found["orphan_labels"], found["coverage"]) == (5, 2, 0.6)


@pytest.mark.parametrize(
    ("below", "field"), [("in", "dataset_source"), ("labels/merged", "ground_truth_source")]
)
def test_what_is_merged_does_not_go_where_it_comes_from(tmp_path, below, field):
    captures = write(tmp_path / "in" / HOUR / "a.jsonl", [capture("a")])
    write(tmp_path / "labels" / HOUR / "a.jsonl", [label("a")])
    result = run_merge(tmp_path, tmp_path / "in", tmp_path / "labels", output_path=tmp_path / below)
    assert result.exit_code == 2
    assert f"output_path lies in {field}" in result.message
    assert [path for path in tmp_path.rglob("*.jsonl") if "in" in path.parts] == [captures]


def test_the_latest_label_wins(tmp_path):
    write(tmp_path / "labels/z.jsonl", [label("a", "first, without an hour")])
    write(tmp_path / "labels/q/2026/05/07/02/a.jsonl", [label("a", "later"), label("a", "latest")])
    write(tmp_path / "labels/r/2026/05/07/01/z.jsonl", [label("a", "earlier"), label("b", "only")])
    write(tmp_path / "in" / HOUR / "a.jsonl", [capture("a"), capture("b"), capture("a")])
    result = run_merge(tmp_path, tmp_path / "in", tmp_path / "labels")
    [records] = merged_files(result.output).values()
    assert [record["groundTruthData"]["data"] for record in records] == ["latest", "only", "latest"]
    found = report(result.output)
    assert (found["label_records"], found["labels"], found["duplicate_labels"]) == (5, 2, 3)
    assert found["changed_labels"] == 3
    assert found["hours"] == [
        {
            "hour": "2026-05-06T22:00:00Z",
            "captures": 3,
            "labels": 0,
            "joined": 3,
            "orphans": 0,
            "coverage": 1.0,
        },
        {
            "hour": "2026-05-07T01:00:00Z",
            "captures": 0,
            "labels": 1,
            "joined": 0,
            "orphans": 0,
            "coverage": None,
        },
        {
            "hour": "2026-05-07T02:00:00Z",
            "captures": 0,
            "labels": 1,
            "joined": 0,
            "orphans": 0,
            "coverage": None,
        },
    ]


def test_where_files_go(tmp_path):
    source = tmp_path / "in"
    write(source / HOUR / "a.jsonl", [capture("a")])
    write(source / HOUR / "deeper" / "a.jsonl", [capture("b")])
    write(source / "plain" / "a.json", [capture("a", time="2026-05-06T01:59:59Z"), capture("b", time=None)])
    write(source / "plain" / "b.jsonl", [capture("a", time="2026-05-06T02:00:00+02:00")])
    labels = write(tmp_path / "labels.jsonl", [label("a"), label("b")])
    result = run_merge(tmp_path, source, labels, sagemaker_endpoint_name="churn")
    assert {name: len(records) for name, records in merged_files(result.output).items()} == {
        "churn/AllTraffic/2026/05/06/00/b.jsonl": 1,
        "churn/AllTraffic/2026/05/06/01/a.jsonl": 1,
        "churn/AllTraffic/a.jsonl": 1,
        f"{HOUR}/a.jsonl": 1,
        f"{HOUR}/a-2.jsonl": 1,
    }
    assert report(result.output)["hours"][0]["hour"] == "unknown"
    # Pointed at the variant itself, its folders still say what it is.
    inner = run_merge(tmp_path, source / "endpoint/variant", labels, output_path=tmp_path / "inner")
    assert f"{HOUR}/a.jsonl" in merged_files(inner.output)


def test_only_captures_of_the_window(tmp_path):
    captures = [capture("a", time="2026-05-06T22:59:59Z"), capture("a", time="2026-05-06T23:00:00Z")]
    window = {"start_time": "2026-05-06T22:00:00Z", "end_time": "2026-05-06T23:00:00Z"}
    result = _merge(tmp_path, captures, [label("a")], **window)
    assert report(result.output)["captures"] == 1
    assert len(merged_files(result.output)[f"{HOUR}/a.jsonl"]) == 1


def test_merging_again_replaces_labels(tmp_path):
    first = _merge(tmp_path, [capture("a"), capture("b")], [label("a", "1"), label("b", "1")])
    write(tmp_path / "new.jsonl", [label("a", "2")])
    again = run_merge(tmp_path, first.output, tmp_path / "new.jsonl", output_path=tmp_path / "again")
    [[record]] = merged_files(again.output).values()
    assert record["groundTruthData"]["data"] == "2"


def test_nothing_to_merge_is_a_completed_job(tmp_path):
    for name in ("no captures", "no labels"):
        (tmp_path / name).mkdir()
    captures = write(tmp_path / "in.jsonl", [capture("a")])
    labels = write(tmp_path / "labels.jsonl", [label("b")])
    for source, truth, words in (
        (tmp_path / "no captures", labels, "holds no captures"),
        (captures, tmp_path / "no labels", "holds no labels"),
        (tmp_path / "no captures", tmp_path / "no labels", "holds no captures"),
        (captures, labels, "of any label (of 1): a capture has 'a', a label 'b'"),
    ):
        result = run_merge(tmp_path, source, truth)
        assert result.exit_code == 0
        assert words in result.message
        assert merged_files(result.output) == {}
        assert report(result.output)["joined"] == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"groundTruthData":{"data":"1"},"eventMeta', "is not one whole JSON object"),
        ("[1]", "is no JSON object"),
        ('{"groundTruthData":"1","eventMetadata":{"eventId":"a"}}', "has no groundTruthData.data"),
        ('{"groundTruthData":{"data":"1"},"eventMetadata":{}}', "has no eventMetadata.eventId"),
        ('{"groundTruthData":{"data":"1"},"eventMetadata":{"eventId":[]}}', "has no eventMetadata.eventId"),
        ("\udcff", "is not UTF-8 text"),
    ],
)
def test_lines_that_are_no_labels(tmp_path, text, reason):
    write(tmp_path / "in.jsonl", [capture("a")])
    path = tmp_path / "labels.jsonl"
    path.write_bytes((lines([label("a")]) + "\n" + text).encode(errors="surrogateescape"))
    result = run_merge(tmp_path, tmp_path / "in.jsonl", path)
    assert result.exit_code == 2
    assert f"{path} line 3 is not a label, since it {reason}" in result.message
    assert result.files == []


def test_a_label_without_a_value_is_no_label_yet(tmp_path):
    write(tmp_path / "in.jsonl", [capture("a"), capture("b")])
    path = tmp_path / "labels.jsonl"
    path.write_text(
        lines([label("a")]) + '{"groundTruthData":{"data":null},"eventMetadata":{"eventId":"b"}}\n'
    )
    result = run_merge(tmp_path, tmp_path / "in.jsonl", path)
    assert result.exit_code == 0, result.message
    assert report(result.output)["joined"] == 1


def test_a_half_capture_stops_the_merge_and_leaves_nothing(tmp_path):
    write(tmp_path / "in/a.jsonl", [capture("a")])
    (tmp_path / "in/b.jsonl").write_text(lines([capture("a")]) + lines([capture("b")])[:50])
    labels = write(tmp_path / "labels.jsonl", [label("a")])
    result = run_merge(tmp_path, tmp_path / "in", labels)
    assert result.exit_code == 2
    assert f"{tmp_path / 'in/b.jsonl'} line 2 is not a capture record" in result.message
    assert result.files == []


def test_settings_of_the_merge(tmp_path):
    captures = write(tmp_path / "in.jsonl", [capture("a")])
    result = run_merge(tmp_path, captures, None)
    assert result.exit_code == 2
    assert "ground_truth_source is not set" in result.message
    result = run_merge(tmp_path, captures, tmp_path / "label")
    assert result.exit_code == 2
    assert f"ground_truth_source {tmp_path / 'label'} does not exist" in result.message


def test_labels_that_are_not_quite_in_form(tmp_path):
    labels = [label("a", 1, None), label(7, [0, 1]), label("c", "x", "csv"), label("d", "{}", "JSON")]
    captures = [capture("a"), capture("7"), capture("c"), capture("d")]
    [records] = merged_files(_merge(tmp_path, captures, labels).output).values()
    assert [record["groundTruthData"] for record in records] == [
        {"data": "1", "encoding": "CSV"},
        {"data": "[0,1]", "encoding": "JSON"},
        {"data": "x", "encoding": "CSV"},
        {"data": "{}", "encoding": "JSON"},
    ]


_ids = st.sampled_from(["a", "b", "c", "é", "", "0" * 40]) | st.text(max_size=3)
_file = st.tuples(st.sampled_from(["2026/05/07/01", "2026/05/07/02", "x"]), st.sampled_from("pq"))
_texts = st.text(max_size=4)


@given(
    captures=st.lists(st.tuples(_file, _ids, st.none() | _ids), max_size=25),
    labels=st.lists(st.tuples(_file, _ids, _texts), max_size=25),
    memory=st.sampled_from([0, 1 << 20]),
    partition=st.sampled_from([300, 1 << 20]),
    bulk=st.booleans(),
)
def test_the_join_is_that_of_a_dictionary(captures, labels, memory, partition, bulk):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "MEMORY", memory)
        patch.setattr(index, "_PARTITION", partition)
        patch.setattr(merge, "_BLOCK_SIZE", 1000)
        if not bulk:
            patch.setattr(envelope, "read_json", _refuse)
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "labels").mkdir()
        for (hour, file), records in _by_file(captures).items():
            path = folder / "in/e/v" / hour / f"{file}.jsonl"
            write(path, [capture(event, inference_id=inference) for event, inference in records])
        for (hour, file), records in _by_file(labels).items():
            write(folder / "labels" / hour / f"{file}.jsonl", [label(*found) for found in records])
        result = run_merge(folder, folder / "in", folder / "labels")
        assert result.exit_code == 0
        merged = [
            (record["eventMetadata"], record["groundTruthData"]["data"])
            for records in merged_files(result.output).values()
            for record in records
        ]
        found = report(result.output)
    in_order = sorted(labels, key=lambda entry: (entry[0][0] != "x", entry[0]))
    latest = {identifier: data for _, identifier, data in in_order}
    expected = [
        (capture(event, inference_id=inference)["eventMetadata"], latest[inference or event])
        for _, event, inference in captures
        if (inference or event) in latest
    ]
    assert sorted(map(str, merged)) == sorted(map(str, expected))
    assert (found["captures"], found["joined"]) == (len(captures), len(expected))
    assert (found["label_records"], found["labels"]) == (len(labels), len(latest))
    wanted = {inference or event for _, event, inference in captures}
    assert found["orphan_labels"] == len(latest.keys() - wanted)


def _by_file(entries):
    files = {}
    for place, *entry in entries:
        files.setdefault(place, []).append(entry)
    return files


def _refuse(*_, **__):
    raise arrow_json.NotBulkError("not now")


def test_large_files_are_cut_and_put_together_again(tmp_path):
    captures = [capture(str(number), f"0.5,{'x' * 300}") for number in range(12_000)]
    result = _merge(tmp_path, captures, [label(str(number), str(number)) for number in range(0, 12_000, 2)])
    records = merged_files(result.output)[f"{HOUR}/a.jsonl"]
    assert [record["groundTruthData"]["data"] for record in records] == list(map(str, range(0, 12_000, 2)))
    assert result.files == ["_merge_report.json", "endpoint"]


def test_on_s3(bucket, tmp_path):
    write(bucket / "in" / HOUR / "a.jsonl", [capture("a"), capture("b")])
    write(bucket / "labels/2026/05/07/01/a.jsonl", [label("b", "2"), label("c", "3")])
    arguments = ["--dataset-source", "s3://bucket/in", "--ground-truth-source", "s3://bucket/labels"]
    arguments += ["--output-path", "s3://bucket/out", "--output-message-file", str(tmp_path / "message")]
    assert main(arguments) == 0
    [(name, [record])] = merged_files(bucket / "out").items()
    assert name == f"{HOUR}/a.jsonl"
    assert record["groundTruthData"] == {"data": "2", "encoding": "CSV"}
    assert report(bucket / "out")["orphan_labels"] == 1


def test_validation_writes_nothing(tmp_path, capsys):
    captures = write(tmp_path / "in.jsonl", [capture("a")])
    arguments = ["--dataset-source", str(captures), "--ground-truth-source", str(captures), "--validate"]
    arguments += ["--output-path", str(tmp_path / "out"), "--output-message-file", str(tmp_path / "message")]
    assert main(arguments) == 0
    assert "ground_truth_source has" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_recorded_captures_score_the_same_merged_or_joined(tmp_path):
    captured = fixture("model_monitor/sdk/capture.jsonl").read_text()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/capture.jsonl").write_text(captured.replace("{%s}", "2026-05-06T22:10:00Z"))
    labels = fixture("model_monitor/sdk/actuals.jsonl")
    merged = run_merge(tmp_path, tmp_path / "in", labels, output_path=tmp_path / "merged")
    kinds = {
        "sagemakerMergeJson": {"source": merged.output},
        "sagemakerCaptureJson": {"source": tmp_path / "in", "ground_truth_source": labels},
    }
    statistics = {}
    for kind, inputs in kinds.items():
        result = run_job(
            tmp_path,
            command=monitor_model_quality,
            dataset_format=json.dumps({kind: {"captureIndexNames": ["endpointOutput"]}}),
            problem_type="BinaryClassification",
            probability_attribute="0",
            output_path=tmp_path / kind,
            **inputs,
        )
        assert result.exit_code == 0, result.message
        statistics[kind] = result.document("statistics.json")
    for document in statistics.values():
        assert document["dataset"].pop("item_count") == 44
        document["dataset"].pop("evaluation_time", None)
    assert statistics["sagemakerMergeJson"] == statistics["sagemakerCaptureJson"]
    truth = [json.loads(line)["groundTruthData"]["data"] for line in labels.read_text().splitlines()]
    matrix = statistics["sagemakerMergeJson"]["binary_classification_metrics"]["confusion_matrix"]
    assert {name: sum(row.values()) for name, row in matrix.items()} == {
        name: truth.count(name) for name in ("0", "1")
    }


def test_the_log_names_the_hours_that_miss_most_and_debug_all_of_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hours = Counter(dict.fromkeys(range(480_000, 480_050), 10))
    joined = Counter({hour: 10 - hour % 7 for hour in hours})
    caplog.set_level(logging.DEBUG)
    used, keys = np.ones(500, bool), np.arange(500, dtype=np.uint64)
    collected = np.array(list(hours.elements()), np.int32)
    labels = index.LabelIndex(keys, keys, pa.nulls(500), np.zeros(500, np.uint8), collected, 500)
    _log_report(coverage_report(Merged(used, {}, hours, joined), labels))
    shown, everything = caplog.messages
    assert len(shown.splitlines()) == 8
    assert "_merge_report.json has all 50" in shown
    missed = [int(line.split()[1]) - int(line.split()[3]) for line in shown.splitlines()[2:-1]]
    assert missed == [6] * 5
    assert len(everything.splitlines()) == 53
    assert shown.splitlines()[-1] == everything.splitlines()[-1]
    caplog.clear()
    _log_report(coverage_report(Merged(used, {}, hours, Counter(hours)), labels))
    assert len(caplog.messages[0].splitlines()) == 3
