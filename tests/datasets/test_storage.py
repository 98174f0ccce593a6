import gzip
import os
from pathlib import Path

import pytest
from dataset_reading import plan, read
from refusals import refused

from contract.errors import DatasetError, DocumentError, OutputError
from contract.window import Window, resolve_window
from file_storage import storage


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def listed(folder):
    return [os.path.relpath(file.path, folder) for file in storage.list_files(str(folder))]


def test_data_files_are_found_in_path_order(tmp_path):
    for name in ("b.csv", "a/z.csv", "a/b/c.csv", "manifest", "10.csv", "9.csv"):
        touch(tmp_path / name)
    for name in ("_SUCCESS", ".hidden", "a/.x.crc", "a/x.crc", "_temporary/part.csv", ".git/config"):
        touch(tmp_path / name)
    assert listed(tmp_path) == ["10.csv", "9.csv", "a/b/c.csv", "a/z.csv", "b.csv", "manifest"]
    assert storage.list_files(str(tmp_path / ".hidden"))[0].size == 1
    assert storage.list_files(f"{tmp_path}/")[0].path == f"{tmp_path}/10.csv"


def test_links_are_followed_once(tmp_path):
    touch(tmp_path / "data" / "a.csv")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "other").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "b.csv").symlink_to(tmp_path / "data" / "a.csv")
    (tmp_path / "data" / "gone.csv").symlink_to(tmp_path / "nowhere")
    assert listed(tmp_path / "data") == ["a.csv"]
    assert listed(tmp_path) == ["data/a.csv"]


def test_diamonds_of_links_are_followed_once(tmp_path):
    touch(tmp_path / "data" / "level20" / "a.csv")
    touch(tmp_path / "elsewhere" / "b.csv")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    for level in range(20):
        for side in ("left", "right"):
            (tmp_path / "data" / f"level{level}").mkdir(exist_ok=True)
            (tmp_path / "data" / f"level{level}" / side).symlink_to(tmp_path / "data" / f"level{level + 1}")
    assert listed(tmp_path / "data") == ["level20/a.csv", "linked/b.csv"]


def test_folders_nested_deeply(tmp_path):
    folder = tmp_path / "data"
    for depth in range(1200):
        (folder / ("d/" * depth)).mkdir()
    touch(folder / ("d/" * 1199) / "a.csv")
    assert listed(folder) == ["d/" * 1199 + "a.csv"]


def test_names_that_are_no_utf_8(tmp_path):
    touch(tmp_path / os.fsdecode(b"caf\xe9.csv"))
    with pytest.raises(DatasetError, match=r"caf\\udce9.csv', whose name is not UTF-8; rename it"):
        storage.list_files(str(tmp_path))


def test_pipes_are_called_so(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with refused(DatasetError, "stored_file.pipe_once"):
        storage.list_files(str(tmp_path / "pipe"))
    with refused(DocumentError, "stored_file.pipe"):
        storage.resolve_document(str(tmp_path / "pipe"), ["statistics.json"], "baseline_statistics")


def test_a_source_that_does_not_exist_is_named_with_what_is_near(tmp_path):
    touch(tmp_path / "endpoint" / "a.csv")
    with pytest.raises(DatasetError) as caught:
        storage.list_files(str(tmp_path / "endpint"))
    assert "dataset_source" in caught.value.message
    assert f"did you mean {tmp_path / 'endpoint'}" in caught.value.message
    with refused(DatasetError, "stored_file.missing"):
        storage.list_files(str(tmp_path / "quite" / "elsewhere"))


def test_a_folder_without_files_is_an_empty_plan(tmp_path):
    found = plan(tmp_path)
    assert (found.splits, found.total_bytes, found.small) == ((), 0, True)


def test_folders_outside_the_window_are_left_out(tmp_path):
    for hour in (20, 21, 22):
        touch(tmp_path / f"2026/05/06/{hour}/a.csv", b"hour\n%d\n" % hour)
    window = resolve_window("2026-05-06T21:00:00Z", "2026-05-06T22:00:00Z", None, None, None, None)
    assert isinstance(window, Window)
    assert read(tmp_path, window=window) == [{"hour": 21}]
    assert len(read(tmp_path)) == 3
    touch(tmp_path / "undated.csv", b"hour\n0\n")
    with refused(DatasetError, "windowed_rows.no_date"):
        read(tmp_path, window=window)


def test_bytes_are_read_decompressed(tmp_path):
    touch(tmp_path / "a.json", gzip.compress(b"{}"))
    assert storage.read_bytes(str(tmp_path / "a.json")) == b"{}"
    with refused(DocumentError, "stored_file.unreadable"):
        storage.read_bytes(str(tmp_path / "absent.json"), DocumentError)
    touch(tmp_path / "b.json", gzip.compress(os.urandom(9000))[:4000])
    with refused(DatasetError, "stored_file.unreadable"):
        storage.read_bytes(str(tmp_path / "b.json"))


def test_documents_are_found_by_file_or_folder(tmp_path):
    touch(tmp_path / "statistics.json")
    for path in (tmp_path, tmp_path / "statistics.json"):
        found = storage.resolve_document(str(path), ("statistics.json",), "baseline_statistics")
        assert found == str(tmp_path / "statistics.json")
    with refused(DocumentError, "stored_file.folder"):
        storage.resolve_document(str(tmp_path), ("constraints.json",), "baseline_constraints")
    with refused(DocumentError, "stored_file.missing"):
        storage.resolve_document(
            str(tmp_path / "statistic.json"), ("constraints.json",), "baseline_constraints"
        )


def test_files_are_written_together(tmp_path):
    target = tmp_path / "new" / "folder"
    storage.prepare_output(str(target))
    assert list(target.iterdir()) == []
    storage.write_files_atomically(str(target), {"a.json": b"1", "b.json": b"2"})
    storage.write_files_atomically(str(target), {"a.json": b"3"})
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"a.json": b"3", "b.json": b"2"}
    assert (target / "a.json").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    storage.write_files_atomically(str(tmp_path), {"a.json": b"before"})
    with refused(OutputError, "stored_file.unwritable"):
        storage.write_files_atomically(str(tmp_path), {"a.json": b"after", "a.json/is-a-file.json": b""})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": b"before"}


def test_an_output_path_that_is_a_file_is_refused(tmp_path):
    touch(tmp_path / "out")
    with refused(OutputError, "stored_file.unwritable"):
        storage.prepare_output(str(tmp_path / "out"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write anything")
def test_missing_permission_is_named(tmp_path):
    touch(tmp_path / "a.csv", b"a\n1\n")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(DatasetError, match="Permission denied"):
        read(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        storage.prepare_output(str(tmp_path))


def test_a_file_may_lie_in_a_folder_of_its_own(tmp_path):
    storage.write_files_atomically(str(tmp_path), {"deep/out.csv": b"1\n", "a.json": b"{}"})
    assert (tmp_path / "deep" / "out.csv").read_bytes() == b"1\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "deep"]


def test_the_first_name_that_exists_is_taken(tmp_path):
    (tmp_path / "analysis.json").write_text("{}")
    names = ("constraints.json", "analysis.json")
    found = storage.resolve_document(str(tmp_path), names, "baseline_constraints")
    assert found == str(tmp_path / "analysis.json")


def test_a_relative_path_that_is_not_there_names_the_folder_it_is_looked_for_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.nearby("nowhere.csv") == f"; the nearest folder that exists is {tmp_path}"
    assert storage.nearby("/nowhere/d.csv") == "; the nearest folder that exists is /"


def test_an_answer_of_s3_without_a_reason_tells_its_status() -> None:
    text = "When getting information for key 'b' in bucket 'a': AWS Error UNKNOWN (HTTP status 400) during "
    cause = storage.cause_of(OSError(text + "HeadObject operation: No response body."))
    assert cause == "the server answered status 400, as it may where there are no valid credentials"
