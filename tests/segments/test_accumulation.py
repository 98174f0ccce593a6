"""Rows wait sorted by segment until they are worth summarizing, in order and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_segments import divided

from contract.api import Analyzer
from job_runner import segments as segments_module
from job_runner.segments import SegmentedAnalyzer, sort_rows


class Recorder(Analyzer[list[int], Any, Any]):
    """An analyzer whose summary is the rows in the order they came."""

    def empty(self) -> list[int]:
        return []

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> list[int]:
        return [row for batch in batches for row in batch.column("row").to_pylist()]

    def merge(self, left: list[int], right: list[int]) -> list[int]:
        return left + right

    def row_count(self, summary: list[int]) -> int:
        return len(summary)

    def describe(self, summary: list[int]) -> Any:
        raise NotImplementedError

    def suggest(self, statistics: Any, baseline: Any) -> Any:
        raise NotImplementedError

    def check(self, statistics: Any, baseline: Any) -> Any:
        raise NotImplementedError


def segmented(**options: Any) -> SegmentedAnalyzer:
    return SegmentedAnalyzer(Recorder(), ("key",), **options)


@st.composite
def batches(draw: st.DrawFn) -> list[pa.RecordBatch]:
    """Batches of numbered rows, each with a dictionary of its own, some of them empty."""
    drawn, row = [], 0
    for keys in draw(st.lists(st.lists(st.sampled_from("abcdef") | st.none(), max_size=12), max_size=9)):
        array = pa.array(keys, pa.string())
        rows = pa.array(range(row, row + len(keys)), pa.int64())
        drawn.append(
            pa.RecordBatch.from_arrays([array.dictionary_encode(), rows], names=["key", "row"])
            if draw(st.booleans())
            else pa.RecordBatch.from_arrays([array, rows], names=["key", "row"])
        )
        row += len(keys)
    return drawn


@given(batches(), st.integers(1, 40))
def test_each_segment_gets_all_its_rows_in_order_however_many_wait(
    given_batches: list[pa.RecordBatch], together: int
) -> None:
    with mock.patch.object(segments_module, "_ROWS_TOGETHER", together):
        summary = segmented().summarize(given_batches)
    expected: dict[tuple[str | None], list[int]] = {}
    for batch in given_batches:
        for key, row in zip(batch.column("key").to_pylist(), batch.column("row").to_pylist(), strict=True):
            expected.setdefault((key,), []).append(row)
    assert {key: segment.summary for key, segment in summary.segments.items()} == expected
    assert all(segment.rows == len(segment.summary) for segment in summary.segments.values())
    assert summary.whole == sorted(row for rows in expected.values() for row in rows)


def test_segments_given_up_are_left_out_while_sorting() -> None:
    batch = pa.RecordBatch.from_pydict({"key": ["a", "b", None, "a", "c", "b"], "row": [0, 1, 2, 3, 4, 5]})
    rows = sort_rows(batch, [0], without={("a",), (None,)})
    assert rows.batch.column("row").to_pylist() == [1, 5, 4]
    assert rows.places == {("b",): (0, 2), ("c",): (2, 1)}
    assert divided([rows, sort_rows(batch, [0])]).counts == {("b",): 4, ("c",): 2, ("a",): 2, (None,): 1}
    nothing = divided([sort_rows(batch, [0], without={("a",), ("b",), ("c",), (None,)})])
    assert (nothing.counts, list(nothing.select([]))) == ({}, [])


@pytest.mark.parametrize("columns", [1, 2])
def test_more_combinations_than_a_table_holds(columns: int) -> None:
    random = np.random.default_rng(1)
    drawn = [random.integers(0, 70_000, 90_000) for _ in range(columns)]
    names = [f"key{n}" for n in range(columns)]
    batch = pa.RecordBatch.from_arrays(
        [*map(pa.array, drawn), pa.array(np.arange(90_000))], names=[*names, "row"]
    )
    divided_rows = divided([sort_rows(batch, list(range(columns)))])
    assert sum(divided_rows.counts.values()) == 90_000
    some = list(divided_rows.counts)[::5_000]
    for key, rows in divided_rows.select(some):
        same = np.all([values.astype(str) == text for values, text in zip(drawn, key, strict=True)], axis=0)
        assert rows.column("row").to_pylist() == np.flatnonzero(same).tolist()


def test_memory_does_not_grow_with_the_rows_however_many_segments() -> None:
    random = np.random.default_rng(2)
    bound, most = 1 << 20, []

    def stream() -> Iterator[pa.RecordBatch]:
        before = pa.total_allocated_bytes()
        for number in range(100):
            keys = random.integers(0, 90, 4_096)
            batch = pa.RecordBatch.from_arrays(
                [pa.array(keys), pa.array(np.full(4_096, number)), *[pa.array(keys * 1.5)] * 4],
                names=["key", "row", "w", "x", "y", "z"],
            )
            yield batch
            most.append(pa.total_allocated_bytes() - before)

    class Counter(Recorder):
        def summarize(self, batches: Iterable[pa.RecordBatch]) -> Any:
            return [sum(batch.num_rows for batch in batches)]

    with mock.patch.object(segments_module, "_BYTES_TOGETHER", bound):
        analyzer = SegmentedAnalyzer(Counter(), ("key",))
        summary = analyzer.summarize(stream())
    assert sum(sum(segment.summary) for segment in summary.segments.values()) == 100 * 4_096
    assert bound / 2 < max(most) < 2 * bound
    assert max(most[50:]) <= 1.1 * max(most[:50])
