"""Answers of human reviewers as labels."""

from __future__ import annotations

import json

import pytest
from label_data import capture, label, merged_files, run_merge, write


def answer(content, time="2026-05-07T01:00:00.000Z"):
    return {
        "answerContent": content,
        "submissionTime": time,
        "timeSpentInSeconds": 7.5,
        "workerId": "w",
        "workerMetadata": {"identityData": {"sub": "s"}},
    }


def loop(*answers, name="loop-1", content=None):
    return {
        "flowDefinitionArn": "arn:aws:sagemaker:us-east-1:111122223333:flow-definition/review",
        "humanAnswers": list(answers),
        "humanLoopName": name,
        "inputContent": {"inferenceId": "a"} if content is None else content,
    }


@pytest.fixture
def merge(tmp_path):
    """Return a function that merges one capture per id with human loops; gives its label, or the message."""

    def run(*loops, ids="a", **variables):
        captures = write(tmp_path / "in.jsonl", [capture(identifier) for identifier in ids])
        for number, found in enumerate(loops):
            folder = tmp_path / "labels" / f"review/2026/05/07/01/{number:02}/30/loop-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "output.json").write_text(json.dumps(found, indent=1))
        result = run_merge(tmp_path, captures, tmp_path / "labels", **variables)
        if result.exit_code:
            return result.message
        return [
            record["groundTruthData"]["data"]
            for records in merged_files(result.output).values()
            for record in records
        ]

    return run


def test_the_only_value_is_the_label(merge):
    assert merge(loop(answer({"category": {"label": "cat"}}))) == ["cat"]


def test_a_setting_names_the_label(merge):
    content = {"crowd-classifier": {"label": "dog"}, "notes": "blurred", "boxes": [{"h": 3}]}
    assert merge(loop(answer(content)), human_review_label_attribute="crowd-classifier.label") == ["dog"]
    assert merge(loop(answer(content)), human_review_label_attribute="boxes.0.h", ids="a") == ["3"]


def test_keys_with_dots(merge):
    assert merge(loop(answer({"a.b": {"c": 1}, "x": 2})), human_review_label_attribute="a.b.c") == ["1"]


def test_a_label_that_cannot_be_found(merge):
    message = merge(loop(answer({"label": "cat", "notes": "x"})))
    assert (
        "output.json has no single value in humanAnswers.answerContent, which holds label, notes" in message
    )
    message = merge(loop(answer({"label": "cat"})), human_review_label_attribute="lable")
    assert "has no 'lable' in humanAnswers.answerContent, which holds label" in message
    assert message.endswith("did you mean label?")


def test_the_id(merge):
    def yes(**options):
        return loop(answer({"y": options.pop("y")}), **options)

    loops = [
        yes(y="1", content={"inferenceId": "a", "eventId": "b"}),
        yes(y="2", content={"eventId": "b"}),
        yes(y="3", name="c", content={"text": "no id"}),
        yes(y="4", name="d", content={"inferenceId": ""}),
    ]
    assert merge(*loops, ids="abcd") == ["1", "2", "3", "4"]


def test_a_setting_names_the_id(merge):
    content = {"inferenceId": "b", "meta": {"id": 7}}
    found = merge(loop(answer({"y": "1"}), content=content), ids="7b", human_review_id_attribute="meta.id")
    assert found == ["1"]


def test_no_id_at_all(merge):
    assert "output.json names no inference" in merge(loop(answer({"y": 1}), name="", content={"x": 1}))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("cat dog cat", "cat"),
        ("cat dog", "dog"),
        ("cat dog dog cat", "cat"),
        ("a b c b", "b"),
    ],
)
def test_several_reviewers(merge, answers, expected):
    given = [
        answer({"label": text}, f"2026-05-07T01:{minute:02}:00.000Z")
        for minute, text in enumerate(answers.split())
    ]
    assert merge(loop(*reversed(given))) == [expected]


def test_nobody_answered_yet(merge):
    assert merge(loop(), loop(answer({"y": 1}), name="x", content={"inferenceId": "b"}), ids="ab") == ["1"]


def test_truth_values_numbers_and_commas(merge):
    loops = [
        loop(answer({"y": value}), content={"inferenceId": name})
        for name, value in zip("abc", [True, 2.5, "cat, big"], strict=True)
    ]
    assert merge(*loops, ids="abc") == ["true", "2.5", '"cat, big"']


def test_beside_lines_of_labels(merge, tmp_path):
    write(tmp_path / "labels/2026/05/07/00/a.json", [label("a", "before"), label("b", "line")])
    write(tmp_path / "labels/2026/05/07/02/a.jsonl", [label("c", "after")])
    loops = [loop(answer({"y": "review"}), content={"inferenceId": name}) for name in "ac"]
    assert merge(*loops, ids="abc") == ["review", "line", "after"]


def test_other_json_is_read_as_lines(merge, tmp_path):
    path = tmp_path / "labels" / "other.json"
    path.parent.mkdir()
    path.write_text('{"humanAnswers":\n[]')
    assert f"{path} line 1 is not a label" in merge()
