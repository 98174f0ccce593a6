"""The benchmark of bias at a few rows: what it runs, and that its runs give values."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import bias


def test_our_job_gives_every_metric(tmp_path: Path) -> None:
    path = bias.write_table(tmp_path / "data" / "table.parquet", 2_000, features=False)
    work = bias.Work(path, bias.METRICS, bias.FACETS)
    cost = bias.timed(bias.our_command(work, tmp_path), tmp_path, 1)
    values = bias.our_values(tmp_path)
    assert cost.wall > 0.0
    assert {name for _, name in values} == set(bias.METRICS)
    assert {facet for facet, _ in values} == set(bias.FACETS)
    assert -1.0 < values["sex", "DPL"] < 1.0


def test_the_flip_test_has_fourteen_features(tmp_path: Path) -> None:
    path = bias.write_table(tmp_path / "table.parquet", 100, features=True)
    assert bias.write_table(path, 200, features=True) == path  # there already
    table = pq.read_table(path)
    assert table.num_rows == 100
    assert table.num_columns == 14 + 2


def test_values_of_the_peer_are_read(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a warning of several words\nsex DPL 0.25\nsex TE inf\n", encoding="utf-8")
    assert bias.peer_values(tmp_path) == {("sex", "DPL"): 0.25, ("sex", "TE"): float("inf")}
