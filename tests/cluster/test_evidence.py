"""Hosts that see other files than the leader are found out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contract.errors import DatasetError
from job_runner.cluster.hosts import gather, verify


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.csv").write_text("a\n1\n", encoding="utf-8")
    return folder


def test_the_same_files_pass_and_later_ones_do_no_harm(data: Path) -> None:
    evidence = gather([str(data), str(data), "s3://bucket/data", "http://model:8080", "/not/there"])
    verify(evidence, "algo-2")
    (data / "later.csv").write_text("a\n", encoding="utf-8")
    with (data / "0.csv").open("a", encoding="utf-8") as file:
        file.write("2\n")
    verify(evidence, "algo-2")


@pytest.mark.parametrize(
    ("change", "name", "found"),
    [
        (lambda data: shutil.rmtree(data), "0.csv", "cannot read"),
        (lambda data: (data / "4.csv").unlink(), "4.csv", "no such file"),
        (lambda data: (data / "4.csv").write_text("a"), "4.csv", "where the leader holds 4"),
    ],
)
def test_what_lacks_is_named(data: Path, change, name: str, found: str) -> None:
    evidence = gather([str(data)])
    change(data)
    with pytest.raises(DatasetError) as caught:
        verify(evidence, "algo-2")
    assert (caught.value.code, caught.value.file) == ("cluster.other_files", str(data / name))
    assert found in caught.value.message


def test_a_share_of_a_large_dataset_is_noticed(tmp_path: Path) -> None:
    for number in range(3_000):
        (tmp_path / f"{number}.csv").touch()
    evidence = gather([str(tmp_path)])
    assert len(evidence.files) <= 1_000
    for number in range(0, 3_000, 2):
        (tmp_path / f"{number}.csv").unlink()
    with pytest.raises(DatasetError) as caught:
        verify(evidence, "algo-2")
    assert caught.value.code == "cluster.other_files"


def test_a_leader_without_files_knows_that_others_have_them(tmp_path: Path) -> None:
    evidence = gather([str(tmp_path)])
    verify(evidence, "algo-2")
    (tmp_path / "rows.csv").touch()
    with pytest.raises(DatasetError) as caught:
        verify(evidence, "algo-2")
    assert (caught.value.code, caught.value.file) == ("cluster.other_files", str(tmp_path))


def test_another_script_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("x = 1\n", encoding="utf-8")
    evidence = gather([str(script)])
    script.write_text("x = 2\n", encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        verify(evidence, "algo-2")
    assert (caught.value.code, caught.value.file) == ("cluster.other_files", str(script))
