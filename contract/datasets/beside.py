"""Datasets whose rows continue each other: facets or predictions that are kept in files of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from contract.datasets.request import Split
from contract.errors import DatasetError
from contract.wording import several


@dataclass(frozen=True)
class Side:
    """One of the datasets: what the settings call it, and its splits in order."""

    source: str
    splits: tuple[Split, ...]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all splits in order."""
        for split in self.splits:
            yield from (batch for batch in split.batches() if batch.num_rows)


@dataclass(frozen=True)
class BesideSplit:
    """Rows of several datasets side by side: the first row of each, the second of each, and so on."""

    sides: tuple[Side, ...]

    @property
    def label(self) -> str:
        """Return the datasets."""
        return " beside ".join(side.source for side in self.sides)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield rows with the columns of all; a later dataset's column replaces one of the same name.

        Raises
        ------
        DatasetError
            When the datasets differ in their number of rows; names both numbers.
        """
        streams = [_Stream(side) for side in self.sides]
        while _all_filled(streams):
            count = min(stream.left for stream in streams)
            columns: dict[str, pa.Array] = {}
            for stream in streams:
                batch = stream.take(count)
                columns |= dict(zip(batch.schema.names, batch.columns, strict=True))
            yield pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        first, *others = streams
        for other in others:
            if first.left or other.left:
                raise DatasetError(
                    f"{first.side.source} has {several(first.count(), 'row')}, but {other.side.source} has "
                    f"{other.count()}; rows are matched by their order, so both need as many."
                )


class _Stream:
    """A dataset read step by step."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._batches = side.batches()
        self._batch: pa.RecordBatch | None = None
        self._taken = 0
        self._rows = 0

    @property
    def left(self) -> int:
        """Return how many rows of the batch at hand are left."""
        return 0 if self._batch is None else int(self._batch.num_rows) - self._taken

    def fill(self) -> bool:
        """Read on when nothing is left; return whether there is something."""
        if not self.left:
            self._batch = next(self._batches, None)
            self._taken = 0
        return self.left > 0

    def take(self, count: int) -> pa.RecordBatch:
        """Return the next `count` rows, of which there are that many left."""
        assert self._batch is not None  # noqa: S101 - fill() has said so
        rows = self._batch.slice(self._taken, count)
        self._taken += count
        self._rows += count
        return rows

    def count(self) -> int:
        """Return the number of rows, reading what is left of them."""
        rows: int = self._rows + self.left + sum(batch.num_rows for batch in self._batches)
        return rows


def _all_filled(streams: list[_Stream]) -> bool:
    """Read on in every stream, also where an earlier one has ended; return whether each has rows."""
    filled = [stream.fill() for stream in streams]
    return all(filled)
