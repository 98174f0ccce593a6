"""Splits are summarized side by side and merged in order."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pytest

from job_runner import engine


@dataclass(frozen=True)
class Piece:
    label: str
    seconds: float = 0.0
    fails: bool = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        time.sleep(self.seconds)
        if self.fails:
            raise ValueError(self.label)
        yield pa.record_batch({"label": [self.label]})


class Labels:
    """An analyzer whose summary is the list of labels, in order."""

    threads: set[str]

    def __init__(self) -> None:
        self.threads = set()

    def of_one_dataset(self) -> "Labels":
        return self

    def empty(self) -> list[str]:
        return []

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> list[str]:
        self.threads.add(threading.current_thread().name)
        return [label for batch in batches for label in batch.column(0).to_pylist()]

    def merge(self, left: list[str], right: list[str]) -> list[str]:
        return left + right


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_order_does_not_depend_on_the_number_of_workers(workers: int) -> None:
    splits = tuple(Piece(str(i), seconds=0.002 * (i % 3)) for i in range(20))
    assert engine.summarize_splits(Labels(), splits, workers) == [str(i) for i in range(20)]


def test_no_splits_give_the_empty_summary() -> None:
    assert engine.summarize_splits(Labels(), (), 2) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_split_stops_the_job(workers: int) -> None:
    splits = (Piece("good"), Piece("bad", fails=True), *(Piece(str(i)) for i in range(50)))
    with pytest.raises(ValueError, match="bad"):
        engine.summarize_splits(Labels(), splits, workers)


def test_at_least_one_processor() -> None:
    assert engine.available_processors() >= 1
