"""Labels as columns: those that records carry, and those joined while captures are read."""

from __future__ import annotations

import pickle
import tempfile
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from dataset_reading import heard, request
from hypothesis import given
from hypothesis import strategies as st
from label_data import HOUR, capture, label, run_merge, write

from contract.dataset import Tally, counting
from contract.errors import ConfigurationError, DatasetError
from contract.window import Window
from file_storage.scripts import load_preprocessor
from readers import arrow_json
from readers.captures import envelope
from readers.captures.envelope import PAYLOAD
from readers.captures.label_columns import label_columns
from readers.plan import plan_dataset

OUTPUT = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}'
MERGED = '{"sagemakerMergeJson":{"captureIndexNames":["endpointOutput"]}}'


def read(source, dataset_format=OUTPUT, **options):
    """Return all rows; columns missing from a batch are missing from its rows."""
    plan = plan_dataset(request(source, dataset_format, **options))
    return [row for split in plan.splits for batch in split.batches() for row in batch.to_pylist()]


def joined(tmp_path, captures, labels, **options):
    source = write(tmp_path / "in" / HOUR / "a.jsonl", captures)
    truth = write(tmp_path / "labels" / "b.jsonl", labels)
    return read(source, ground_truth_source=str(truth), **options)


@pytest.fixture(params=["bulk", "record by record"])
def path(request, monkeypatch):
    """Read captures in both ways."""
    if request.param != "bulk":
        monkeypatch.setattr(envelope, "read_json", _refuse)
        monkeypatch.setattr(arrow_json, "read_json", _refuse)


def _refuse(*_, **__):
    raise arrow_json.NotBulkError("not now")


@pytest.mark.usefixtures("path")
def test_captures_without_a_label_stay(tmp_path):
    captures = [
        capture("a", "0.1"),
        capture("b", "0.2"),
        capture("c", "0.3", inference_id="x"),
        capture(None),
    ]
    labels = [label("a", "0"), label("a", "1"), label("x", "yes"), label("nobody")]
    assert joined(tmp_path, captures, labels) == [
        {"_c0": 0.1, "groundTruthData": "1"},
        {"_c0": 0.2, "groundTruthData": None},
        {"_c0": 0.3, "groundTruthData": "yes"},
        {"_c0": 0.5, "groundTruthData": None},
    ]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(("ids", "shared"), [("aabab", 3), ("abcde", 0), ("xxyyz", 0)])
def test_captures_that_share_the_label_of_one_id_are_counted(tmp_path, ids, shared):
    tally: Tally = Counter()
    with counting(tally):
        joined(tmp_path, [capture(one, "0.1") for one in ids], [label(one) for one in "abcde"])
    assert tally["reading.shared",] == shared


def test_replaced_labels_are_said(tmp_path):
    source = write(tmp_path / "in" / HOUR / "a.jsonl", [capture("a", "0.1")])
    truth = write(
        tmp_path / "labels" / "b.jsonl",
        [label("a", "0"), label("b", "1"), label("b", "1.0"), label("a", "1")],
    )
    dataset = request(source, OUTPUT, ground_truth_source=str(truth))
    plan_dataset(dataset)
    told = "2 of 4 labels were replaced by a later one of the same id, 1 of them by another label"
    assert dataset.said.sentences["labels"] == [told]


@pytest.mark.usefixtures("path")
def test_the_label_is_the_last_column(tmp_path):
    both = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
    [row] = joined(tmp_path, [capture("a", "yes,0.5")], [label("a")], dataset_format=both)
    assert list(row) == ["_c0", "_c1", "_c2", "_c3", "groundTruthData"]
    # Names of the baseline are those of the payloads only.
    [row] = joined(tmp_path, [capture("a", "yes,0.5")], [label("a")], column_names=("class", "score"))
    assert list(row) == ["class", "score", "groundTruthData"]


@pytest.mark.usefixtures("path")
def test_rules_of_the_originals_keep_the_label_apart(tmp_path):
    rows = joined(tmp_path, [capture("a", "7,0.50")], [label("a", "1.0")], text_only=True)
    assert rows == [{"_c0": "7", "_c1": "0.50", "groundTruthData": "1.0"}]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("output", "data", "encoding", "labels"),
    [
        ("0.1\n0.2\n0.3", "1\n0\n", "CSV", [None, None, None]),
        ("0.1\n0.2\n0.3", "1\n0\n1\n", "CSV", ["1", "0", "1"]),
        ("0.1\n0.2\n0.3", "1\r\n\r\n1", "CSV", ["1", None, "1"]),
        ("0.1\n0.2\n0.3", "[1, 0.0, true]", "JSON", ["1", "0.0", "true"]),
        ("0.1\n0.2", "1", "CSV", [None, None]),
        ("0.1", "1\n0", "CSV", [None]),
        ("0.1", '"a, b"', "CSV", ["a, b"]),
        ("0.1", '"a, b"', "JSON", ["a, b"]),
        ("0.1", "[1]", "JSON", ["1"]),
        ("0.1", "MQ==", "BASE64", ["1"]),
        ("0.1", "", "CSV", [None]),
        ("0.1", "{broken", "JSON", [None]),
    ],
)
def test_as_many_labels_as_rows(tmp_path, output, data, encoding, labels):
    with heard() as said:
        rows = joined(tmp_path, [capture("a", output)], [label("a", data, encoding)])
    assert [row["groundTruthData"] for row in rows] == labels
    if output.count("\n") != data.strip().count("\n") and encoding == "CSV":
        [sentence] = [text for text in said.sentences["labels"] if "unlabelled" in text]
        assert "records with another number of labels than rows count as unlabelled: 1," in sentence
        assert sentence.endswith("a.jsonl line 1")


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("output", "data", "encoding", "columns"),
    [
        ("0.1", "1,2", "CSV", {"groundTruthData.0": ["1"], "groundTruthData.1": ["2"]}),
        ("0.1", "[1,2]", "JSON", {"groundTruthData.0": ["1"], "groundTruthData.1": ["2"]}),
        ("1\n2", "1,a\n2,b", "CSV", {"groundTruthData.0": ["1", "2"], "groundTruthData.1": ["a", "b"]}),
        ("1\n2", '[{"y":1},{"y":2}]', "JSON", {"groundTruthData.y": ["1", "2"]}),
        ("1\n2", '{"y":[1,2]}', "JSON", {"groundTruthData.y": ["1", "2"]}),
        ("1", '{"y":[1]}', "JSON", {"groundTruthData.y": ["1"]}),
        ("1", '{"y":{"z":1}}', "JSON", {"groundTruthData.y.z": ["1"]}),
    ],
)
def test_labels_of_several_cells(tmp_path, output, data, encoding, columns):
    rows = joined(tmp_path, [capture("a", output)], [label("a", data, encoding)])
    found = {name: [row[name] for row in rows] for name in rows[0] if name.startswith("ground")}
    assert found == columns


@pytest.mark.usefixtures("path")
def test_joining_while_reading_equals_merging_first(tmp_path):
    captures = [
        capture(str(number), [number / 10], time=f"2026-05-06T22:{number:02}:00Z") for number in range(40)
    ]
    labels = [label(str(number), str(number % 3)) for number in range(0, 80, 2)]
    source = write(tmp_path / "in" / HOUR / "a.jsonl", captures)
    truth = write(tmp_path / "labels.jsonl", labels)
    merged = run_merge(tmp_path, source, truth)
    both = [row for row in read(source, ground_truth_source=str(truth)) if row["groundTruthData"] is not None]
    assert both == read(merged.output, MERGED, labels=True)
    assert len(both) == 20


@pytest.mark.usefixtures("path")
def test_a_later_label_replaces_the_merged_one(tmp_path):
    captures = [
        capture("a", groundTruthData={"data": "old", "encoding": "CSV"}),
        capture("b", groundTruthData={"data": 1}),
    ]
    rows = joined(tmp_path, captures, [label("a", "new")], dataset_format=MERGED)
    assert [row["groundTruthData"] for row in rows] == ["new", "1"]


@pytest.mark.usefixtures("path")
def test_labels_stay_with_their_records_inside_a_window(tmp_path):
    captures = [capture(str(number), time=f"2026-05-06T{number:02}:00:00Z") for number in range(24)]
    window = Window(datetime(2026, 5, 6, 21, tzinfo=UTC), datetime(2026, 5, 6, 23, tzinfo=UTC))
    labels = [label(str(number), str(number)) for number in range(24)]
    rows = joined(tmp_path, captures, labels, window=window)
    assert [row["groundTruthData"] for row in rows] == ["21", "22"]


def test_captures_alone_have_the_column_when_asked(tmp_path):
    source = write(tmp_path / "a.jsonl", [capture("a", "0.1\n0.2")])
    assert read(source, labels=True) == [
        {"_c0": 0.1, "groundTruthData": None},
        {"_c0": 0.2, "groundTruthData": None},
    ]
    assert read(source) == [{"_c0": 0.1}, {"_c0": 0.2}]


def test_scripts_see_the_label(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "def preprocess_handler(record):\n"
        "    if record.ground_truth is None:\n"
        "        return record\n"
        "    if record.ground_truth.data == 'drop':\n"
        "        return []\n"
        "    if record.ground_truth.data == 'own':\n"
        "        return {'p': 1, 'y': 2}\n"
        "    record.ground_truth.data = 'seen ' + record.ground_truth.data\n"
        "    return record\n"
    )
    captures = [capture(name) for name in "abcd"]
    labels = [label("a", "own"), label("b", "drop"), label("c", "1")]
    rows = joined(tmp_path, captures, labels, preprocessor=load_preprocessor(str(script)))
    assert rows == [
        {"p": 1, "y": 2},
        {"_c0": 0.5, "groundTruthData": "seen 1"},
        {"_c0": 0.5, "groundTruthData": None},
    ]


@pytest.mark.parametrize(
    ("ids", "labelled", "said_of_it"),
    [
        ("ab", "xyz", "see whether labels are of this time and this endpoint"),
        ("ab", "AB", "in capital letters"),
        ("AB", "ab", "in small letters"),
        ("12", ["1.0", "2.0"], "with .0 at the end"),
        (["1.0", "2.0"], "12", "without leading zeros, blanks and .0"),
        (["007", "8"], "79", "without leading zeros"),
        (["7", "8"], ["007", "008"], "with zeros before them"),
        (["7", "8"], ["  7", "  8"], "with blanks before them"),
        (["7", "8"], ["7 ", "8 "], "with blanks behind them"),
        ("ab", "bx", ""),
    ],
)
def test_labels_of_other_ids_are_said(tmp_path, monkeypatch, ids, labelled, said_of_it):
    for memory in (1 << 20, 0):  # the index in memory, and on disk
        monkeypatch.setattr("readers.labels.MEMORY", memory)
        with heard() as said:
            joined(tmp_path, map(capture, ids), map(label, labelled))
        found = [text for text in said.sentences.get("labels", ()) if text.startswith("none of")]
        if not said_of_it:
            assert not found
            continue
        assert f"none of the {len(ids)} ids" in found[0]
        assert f"one of the {len(labelled)} labels read" in found[0]
        assert f"a row has {ids[0]!r}, a label {labelled[0]!r}; {said_of_it}" in found[0]


@pytest.mark.parametrize(
    ("ids", "labelled", "hint"),
    [
        ("AbC", "abC", "in small letters"),
        (["1", "2.0", "3.0"], "123", "without leading zeros, blanks and .0"),
        (["1", "2", "3"], ["1", "2.0", "4.0"], "with .0 at the end"),
        ("abc", "axy", ""),
    ],
)
def test_ids_that_only_nearly_meet_a_label_are_said_though_others_meet(tmp_path, ids, labelled, hint):
    with heard() as said:
        joined(tmp_path, map(capture, ids), map(label, labelled))
    [told] = said.sentences.get("labels", [""])
    assert hint in told
    assert told.startswith("at least ") == bool(hint)


def test_splits_with_labels_travel(tmp_path, monkeypatch):
    source = write(tmp_path / "a.jsonl", [capture("a")])
    truth = write(tmp_path / "labels.jsonl", [label("a")])
    monkeypatch.setattr("readers.labels.MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    [split] = plan_dataset(request(source, OUTPUT, ground_truth_source=str(truth))).splits
    assert list((tmp_path / "scratch").iterdir()) == []
    [batch] = pickle.loads(pickle.dumps(split)).batches()
    assert batch.to_pylist() == [{"_c0": 0.5, "groundTruthData": "1"}]


def test_what_cannot_be_joined(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("a\n1\n")
    labels = write(tmp_path / "labels.jsonl", [label("a")])
    with pytest.raises(ConfigurationError, match="set id_attribute"):
        read(table, "csv", ground_truth_source=str(labels))
    captures = write(tmp_path / "a.jsonl", [capture("a")])
    with pytest.raises(DatasetError, match=r"ground_truth_source .* does not exist"):
        read(captures, ground_truth_source=str(tmp_path / "absent"))


_labels = st.none() | st.lists(st.sampled_from(["", "1", "b", '"q"']), min_size=1, max_size=4).map("\n".join)


@given(st.lists(st.tuples(_labels, st.integers(0, 3)), min_size=1, max_size=8))
def test_rows_and_labels_line_up(records):
    texts = pa.array([text for text, _ in records], pa.string())
    counts = np.array([count for _, count in records], np.int64)
    encodings = pa.array(["CSV"] * len(texts), pa.string())
    columns, unlike = label_columns(
        pa.StructArray.from_arrays([texts, encodings], fields=list(PAYLOAD)), counts
    )
    expected, wrong = [], []
    for number, (text, count) in enumerate(records):
        # Line ends at the end of a payload count for nothing, as in captured payloads.
        cells = None if text is None else [cell.strip('"') or None for cell in text.rstrip("\n").split("\n")]
        fits = cells is not None and len(cells) == count
        expected += cells if fits and cells else [None] * count
        wrong += [number] if cells is not None and not fits else []
    assert columns["groundTruthData"].to_pylist() == expected
    assert unlike.tolist() == wrong
