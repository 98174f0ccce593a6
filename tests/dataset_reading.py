"""What the tests of the readers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from contract.dataset import Dataset, Plan, Said, Split, Tally, counting
from contract.dataset_format import parse_dataset_format
from readers.plan import plan_dataset


def request(source: Path | str, dataset_format: str = "csv", **options: Any) -> Dataset:
    return Dataset(str(source), parse_dataset_format(dataset_format), **options)


def plan(
    source: Path | str, dataset_format: str = "csv", *, whole_files: bool = False, **options: Any
) -> Plan:
    return plan_dataset(request(source, dataset_format, **options), whole_files=whole_files)


def rows(splits: Iterable[Split]) -> list[dict[str, Any]]:
    """Read splits one after the other, missing columns of a batch left out."""
    return [row for split in splits for batch in split.batches() for row in batch.to_pylist()]


def read(source: Path | str, dataset_format: str = "csv", **options: Any) -> list[dict[str, Any]]:
    return rows(plan(source, dataset_format, **options).splits)


def first_batch(source: Path | str, dataset_format: str = "csv", **options: Any) -> pa.RecordBatch:
    return next(plan(source, dataset_format, **options).splits[0].batches())


@contextmanager
def heard() -> Iterator[Said]:
    """Give what readers notice inside the block, as sentences once it has ended."""
    said, tally = Said(), Tally()
    with counting(tally):
        yield said
    said.add(tally, 0)
