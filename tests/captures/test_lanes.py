"""Records in lanes: those that fit are read together, the others one by one, and nothing is kept."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from readers.lanes import Counts, NotBulkError, in_lanes


class Rows:
    def __init__(self, numbers: Counts) -> None:
        self.numbers = numbers.tolist()


def test_what_was_read_is_let_go_without_a_collection() -> None:
    gc.collect()
    gc.disable()
    try:
        lanes = in_lanes(np.arange(8), Rows, Rows)
        kept = [weakref.ref(rows) for _, rows in lanes]
        del lanes
        assert [ref() for ref in kept] == [None]
    finally:
        gc.enable()


def test_records_that_do_not_fit_are_read_by_themselves_and_come_in_order() -> None:
    def together(some: Counts) -> Rows:
        if 500 in some:
            raise NotBulkError("it is odd")
        return Rows(some)

    alone: list[int] = []

    def one_by_one(some: Counts) -> Rows:
        alone.extend(some.tolist())
        return Rows(some)

    lanes = in_lanes(np.arange(1_000), together, one_by_one)
    assert sorted(number for _, rows in lanes for number in rows.numbers) == list(range(1_000))
    assert 500 in alone
    assert len(alone) < 100
    firsts = [rows.numbers[0] for _, rows in lanes]
    assert firsts == sorted(firsts)
