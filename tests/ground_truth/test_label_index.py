"""The index of labels: whatever the hashes, it is a dictionary in which the latest label wins."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_data import label, write

from contract.errors import DatasetError
from readers import labels as ground_truth_index
from readers.labels import hash_ids, index_labels

_ids = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"]) | st.text(max_size=2)


def _colliding(ids):
    """Return hashes of which the first half has two values only, at both ends."""
    keys, checks = hash_ids(ids)
    return (keys & np.uint64(1)) << np.uint64(63), checks


@given(
    st.lists(st.tuples(_ids, st.sampled_from(["", "0", "1", "é"])), max_size=30),
    st.lists(st.none() | _ids, max_size=20),
    st.sampled_from([0, 1 << 20]),
    st.sampled_from([100, 1 << 20]),
    st.booleans(),
)
def test_the_index_is_a_dictionary(labels, wanted, memory, partition, collide):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ground_truth_index, "_PARTITION", partition)
        if collide:
            patch.setattr(ground_truth_index, "hash_ids", _colliding)
        path = write(Path(name) / "labels.jsonl", [label(*found) for found in labels])
        index = index_labels(str(path), memory=memory)
        data, encodings = index.take(index.find(pa.array(wanted, pa.string()))).flatten()
    expected = dict(labels)
    assert data.to_pylist() == [expected.get(identifier) for identifier in wanted]
    assert encodings.to_pylist() == ["CSV" if identifier in expected else None for identifier in wanted]
    assert (index.records, index.duplicates) == (len(labels), len(labels) - len(expected))
    if not collide:
        assert index.changed == sum(data != expected[identifier] for identifier, data in labels)


def test_nothing_stays_on_disk_after_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    path = write(tmp_path / "labels.jsonl", [label("a"), "no label"])
    with pytest.raises(DatasetError, match="line 2 is not a label"):
        index_labels(str(path), memory=0)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_compressed_labels_count_as_larger(tmp_path):
    path = tmp_path / "labels.jsonl.gz"
    text = write(
        tmp_path / "a.jsonl", [label(str(number), str(number)) for number in range(100)]
    ).read_bytes()
    path.write_bytes(gzip.compress(text))
    index = index_labels(str(path), memory=path.stat().st_size)
    assert not index.keys.flags.owndata  # they are mapped
    assert index.take(index.find(pa.array(["7"]))).to_pylist() == [{"data": "7", "encoding": "CSV"}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026/03/02/10/a.jsonl", "2026/03/02/11/a.jsonl"),
        ("2026/03/04/10/a.jsonl", "2026/03/05/a.jsonl"),
        ("2026/03/04/10/a.jsonl", "dt=2026-03-05/a.jsonl"),
        ("year=2026/month=3/day=9/a.jsonl", "year=2026/month=3/day=10/a.jsonl"),
        ("z.jsonl", "2026/03/02/10/a.jsonl"),
        ("part-2.jsonl", "part-10.jsonl"),
    ],
)
def test_the_label_that_was_collected_later_wins(tmp_path, before, after):
    write(tmp_path / after, [label("a", "later")])
    write(tmp_path / before, [label("a", "before")])
    index = index_labels(str(tmp_path))
    assert index.take(index.find(pa.array(["a"]))).to_pylist() == [{"data": "later", "encoding": "CSV"}]
