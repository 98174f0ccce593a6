"""Nothing holds rows that were handed on: they are free before the next ones are read."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_reading import plan

from analyzers.data_quality.sample_statistics import _correlations
from analyzers.data_quality.summary import SummaryOptions, summarize
from analyzers.shared.row_sample import RowSample, seed_of
from readers import csv_records, parquet, splitting
from readers.cell_types import CellRules, typed_rows
from readers.splitting import FileSplit, each, joined

_ROWS = splitting.BATCH_ROWS


def _drained(batches: Iterable[pa.RecordBatch]) -> None:
    for batch in batches:
        del batch


def _summarized(batches: Iterable[pa.RecordBatch]) -> None:
    summarize(batches, SummaryOptions(arrival_order=False, row_sample=True))


@pytest.mark.parametrize("consume", [_drained, _summarized])
@pytest.mark.parametrize("rows", [_ROWS, _ROWS // 3])
def test_transforms_hold_no_batch_while_the_next_one_is_read(
    rows: int, consume: Callable[[Iterable[pa.RecordBatch]], None]
) -> None:
    read: list[weakref.ref[pa.RecordBatch]] = []
    held: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(6):
            held.append(sum(one() is not None for one in read))
            batch = pa.record_batch({"x": np.arange(rows) + number})
            read.append(weakref.ref(batch))
            yield batch
            del batch

    transforms = (each(lambda batch: batch), joined, partial(typed_rows, rules=CellRules(), kinds=None))
    consume(FileSplit((), lambda _: batches(), transforms).batches())
    # Small ones wait to be joined with their like, so that at most one waits here.
    assert max(held) <= (rows < _ROWS // 2)


def test_a_csv_reader_holds_no_block_while_the_next_one_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "BLOCK_SIZE", 1 << 18)
    path = tmp_path / "table.csv"
    path.write_text("x\n" + "".join(f"{number}.5\n" for number in range(300_000)))
    parse, held = csv_records.parse_csv_block, []

    def watched(*arguments: Any) -> pa.Table:
        held.append(pa.total_allocated_bytes())
        return parse(*arguments)

    monkeypatch.setattr(csv_records, "parse_csv_block", watched)
    for split in plan(path, '{"csv":{"header":true}}').splits:
        _drained(split.batches())
    assert len(held) > 3
    assert max(held) - min(held) < 1 << 16


def test_a_parquet_reader_holds_no_batch_while_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"x": np.arange(4.0 * _ROWS)}), path)
    flatten, read, held = parquet._flat, [], []

    def watched(batch: pa.RecordBatch, **options: Any) -> pa.RecordBatch:
        held.append(sum(one() is not None for one in read))
        flat = flatten(batch, **options)
        read.extend(map(weakref.ref, (batch, flat)))
        return flat

    monkeypatch.setattr(parquet, "_flat", watched)
    for split in plan(path, "parquet").splits:
        _drained(split.batches())
    assert held == [0, 0, 0, 0]


def test_rows_of_the_sample_are_held_apart_from_those_that_come_and_go() -> None:
    before = pa.total_allocated_bytes()
    sample = RowSample()
    for first_row in range(0, 4 * _ROWS, _ROWS):
        batch = pa.record_batch({"x": np.arange(_ROWS) + 0.5})
        sample.add(batch, seed_of(batch), first_row)
    del batch
    assert sample.rows
    assert pa.total_allocated_bytes() - before < 1 << 10


def test_ranks_of_many_columns_need_no_more_than_their_scores() -> None:
    numbers = {f"x{place}": np.random.default_rng(place).normal(size=1 << 15) for place in range(32)}
    tracemalloc.start()
    try:
        assert _correlations(numbers) is not None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * sum(column.nbytes for column in numbers.values())


def test_a_command_takes_its_memory_from_the_system(tmp_path: Path) -> None:
    script = (
        "from containers.data_quality.main import main\n"
        "assert not main(), 'failed'\n"
        "import pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    )
    (tmp_path / "table.csv").write_text("x\n1\n2\n")
    settings = {
        "dataset_source": str(tmp_path / "table.csv"),
        "dataset_format": '{"csv":{"header":true}}',
        "output_path": str(tmp_path / "out"),
        "output_message_file": str(tmp_path / "message"),
        "publish_cloudwatch_metrics": "Disabled",
    }
    environment = os.environ | settings
    environment.pop("ARROW_DEFAULT_MEMORY_POOL", None)
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.stdout.split()[-1:] == ["system"], found.stderr
