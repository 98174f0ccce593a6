"""A job on several hosts gives what it gives on one, and survives the loss of a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import SECONDS, exit_code, free_port, wait_until, worker
from labelled import Labels, Piece, Untravelled
from run_jobs import run_job
from several_splits import write_rows

from contract.dataset import Tally
from contract.errors import ConfigurationError, DatasetError, MonitorError
from job_runner.cluster import hosts
from job_runner.cluster.hosts import Cluster, open_cluster
from job_runner.cluster.role import Role

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def cluster(port: int) -> Iterator[Cluster]:
    role = Role("leader", "pod 0", f"127.0.0.1:{port}", (), SECONDS, threads=1)
    with open_cluster(role) as opened:
        yield opened


def wait_for_workers(cluster: Cluster, count: int) -> None:
    cluster.client.wait_for_workers(count, timeout=SECONDS)


def test_the_order_is_that_of_the_splits(cluster: Cluster, port: int, tmp_path: Path) -> None:
    splits = tuple(Piece(str(i), seconds=0.01 * (i % 3)) for i in range(40))
    with worker(tmp_path, port):
        wait_for_workers(cluster, 2)
        seen = cluster.summarize(Labels(), splits, (), Tally())
    assert seen.labels == [str(i) for i in range(40)]
    assert len(seen.processes) == 2
    assert seen.total[0] == 40.0


def test_a_worker_killed_in_the_middle_is_survived(
    cluster: Cluster, port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Split 10 ends every process but the leader's.
    splits = tuple(Piece(str(i), 0.05, kills_all_but=os.getpid() if i == 10 else None) for i in range(20))
    with worker(tmp_path / "1", port, 1) as first, worker(tmp_path / "2", port, 2) as second:
        wait_for_workers(cluster, 3)
        seen = cluster.summarize(Labels(), splits, (), Tally())
        assert 1 in (first.exitcode, second.exitcode) or os.getpid() in seen.processes
    assert seen.labels == [str(i) for i in range(20)]


def test_the_log_says_who_was_lost(
    cluster: Cluster, port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    splits = tuple(Piece(str(i), 0.1) for i in range(16))
    with worker(tmp_path, port) as process:
        wait_for_workers(cluster, 2)

        class Killing(Labels):
            def merge(self, left, right):
                if len(left.labels) == 3:
                    process.kill()
                return super().merge(left, right)

        # The workers get the class they know.
        parcel = hosts.Parcel(Labels(), splits, hosts.gather(()))
        seen = cluster._divide(Killing(), hosts.pack(parcel), splits, Tally())
    assert seen.labels == [str(i) for i in range(16)]
    assert "Lost pod 1; others read its splits again" in caplog.text


def test_a_worker_may_come_late(cluster: Cluster, port: int, tmp_path: Path) -> None:
    splits = tuple(Piece(str(i), 0.1) for i in range(60))
    with worker(tmp_path, port):
        seen = cluster.summarize(Labels(), splits, (), Tally())
    assert seen.labels == [str(i) for i in range(60)]
    assert len(seen.processes) == 2


def test_errors_cross_hosts_whole(cluster: Cluster) -> None:
    splits = (Piece("good"), Piece("bad", error="bad.csv line 3 is cut off."), Piece("more"))
    with pytest.raises(DatasetError, match=r"bad\.csv line 3") as caught:
        cluster.summarize(Labels(), splits, (), Tally())
    assert caught.value.details == "of the worker"


def test_what_cannot_travel_stays_with_the_leader(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    seen = cluster.summarize(Untravelled(), (Piece("a"), Piece("b")), (), Tally())
    assert seen.labels == ["a", "b"]
    assert "cannot be divided over hosts" in caplog.text


def test_a_host_that_never_comes_is_not_waited_for_long(port: int, caplog: pytest.LogCaptureFixture) -> None:
    role = Role("leader", "algo-1", f"127.0.0.1:{port}", ("algo-1", "algo-2"), 0.2, threads=1)
    with open_cluster(role) as opened:
        assert opened.summarize(Labels(), (Piece("a"), Piece("b")), (), Tally()).labels == ["a", "b"]
    assert "Did without algo-2" in caplog.text


def test_a_worker_without_a_leader_ends_well(port: int, tmp_path: Path) -> None:
    with worker(tmp_path, port, cluster_wait="0.3") as process:
        assert exit_code(process) == 0
    assert "found no leader" in (tmp_path / "message").read_text(encoding="utf-8")


def test_a_worker_that_loses_its_leader_fails(port: int, tmp_path: Path) -> None:
    with worker(tmp_path / "leader", port, 0, dataset_source=str(tmp_path), cluster_size="3") as first:
        (tmp_path / "rows.csv").write_text("a\n1\n", encoding="utf-8")
        with worker(tmp_path / "worker", port) as second:
            wait_until(tmp_path / "worker", "works for the leader")
            first.kill()
            assert exit_code(second) == 1
    assert "lost the leader" in (tmp_path / "worker" / "message").read_text(encoding="utf-8")


def test_a_host_with_other_files_is_named(
    cluster: Cluster, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "gather", lambda sources: hosts.Evidence({"/nowhere/else.csv": (10, "")}))
    with pytest.raises(DatasetError) as caught:
        cluster.summarize(Labels(), (Piece("a"),), (), Tally())
    assert (caught.value.code, caught.value.file) == ("cluster.other_files", "/nowhere/else.csv")


def test_a_cluster_that_exists_already(cluster: Cluster, port: int, tmp_path: Path) -> None:
    role = Role("client", "client", f"tcp://127.0.0.1:{port}", (), SECONDS)
    splits = tuple(Piece(str(i)) for i in range(10))
    with open_cluster(role) as client:
        assert client.summarize(Labels(), splits, (), Tally()).labels == [str(i) for i in range(10)]
    wait_for_workers(cluster, 1)  # it was left running


def test_no_scheduler_is_an_error_that_names_the_address(port: int) -> None:
    role = Role("client", "client", f"127.0.0.1:{port}", (), 0.5)
    expected = f"No Dask scheduler answers at tcp://127.0.0.1:{port}"
    with pytest.raises(ConfigurationError, match=expected), open_cluster(role):
        pass


def test_a_port_in_use_is_an_error(cluster: Cluster, port: int) -> None:
    role = Role("leader", "pod 0", f"127.0.0.1:{port}", (), 1.0)
    with pytest.raises(ConfigurationError, match=f"cannot listen on port {port}"), open_cluster(role):
        pass


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_documents_are_those_of_one_host(
    rules: str,
    port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Both hosts take part from the first split on.
    monkeypatch.setattr(Cluster, "_require_workers", lambda self: wait_for_workers(self, 2))
    data = write_rows(tmp_path / "data", files=6, rows=100_000)
    options = {"dataset_format": '{"parquet":{}}', "rules": rules}
    alone = run_job(tmp_path / "alone", data, **options)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    with worker(tmp_path / "worker", port) as process:
        together = run_job(
            tmp_path / "together",
            data,
            cluster_leader_address=f"127.0.0.1:{port}",
            cluster_size=2,
            workers=1,
            log_level="INFO",
            **options,
        )
        if rules == "sound":  # it takes a while to leave
            assert exit_code(process) == 0
            assert "which has the results" in (tmp_path / "worker" / "message").read_text(encoding="utf-8")
    assert together.exit_code == 0
    assert "pod 1 reads 1 split at once" in capfd.readouterr().err
    for name in ("constraints.json", "statistics.json"):
        assert (together.output / name).read_bytes() == (alone.output / name).read_bytes()


def test_dask_opens_no_port_for_others_and_writes_no_log(cluster: Cluster) -> None:
    from distributed.client import default_client

    with pytest.raises(ValueError, match="No client"):
        default_client()
    scheduler = cluster.client.cluster.scheduler
    assert {server.getsockname()[0] for server in scheduler.http_server._sockets.values()} == {"127.0.0.1"}


def test_a_scheduler_lost_in_the_middle_ends_the_job(tmp_path: Path, port: int) -> None:
    role = Role("client", "client", f"127.0.0.1:{port}", (), SECONDS)
    splits = tuple(Piece(str(i), 0.05) for i in range(30))
    parcel = hosts.pack(hosts.Parcel(Labels(), splits, hosts.gather(())))
    (tmp_path / "rows.csv").write_text("a\n1\n", encoding="utf-8")
    with worker(tmp_path / "leader", port, 0, dataset_source=str(tmp_path), cluster_size="3") as process:

        class Killing(Labels):
            def merge(self, left, right):
                if len(left.labels) == 2:
                    process.kill()
                return super().merge(left, right)

        with open_cluster(role) as client, pytest.raises(MonitorError) as caught:
            client._divide(Killing(), parcel, splits, Tally())
    assert caught.value.code == "cluster.scheduler_lost"


def test_a_split_that_takes_workers_with_it_is_given_up(cluster: Cluster, port: int, tmp_path: Path) -> None:
    cluster.client.cluster.scheduler.allowed_failures = 0
    splits = (Piece("0"), *(Piece(str(i), 0.2, kills_all_but=os.getpid()) for i in range(1, 9)))
    with worker(tmp_path, port):
        wait_for_workers(cluster, 2)
        with pytest.raises(MonitorError) as caught:
            cluster.summarize(Labels(), splits, (), Tally())
    assert caught.value.code == "cluster.killed"


def test_a_cluster_that_loses_all_its_workers_ends_the_job(
    cluster: Cluster, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "_ASKING_SECONDS", 2.0)
    cluster.client.retire_workers()
    splits = (Piece("0"), Piece("1", kills_all_but=os.getpid()))
    role = Role("client", "client", f"127.0.0.1:{port}", (), 1.0)
    with worker(tmp_path, port), open_cluster(role) as client:
        wait_for_workers(client, 1)
        with pytest.raises(ConfigurationError) as caught:
            client.summarize(Labels(), splits, (), Tally())
    assert caught.value.code == "cluster.no_worker"
