"""Rows for the flip test and for their dependence: all of them while they are few, else a random sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
import xxhash

from analyzers.shared import row_sample
from analyzers.shared.cells import Codes, Flags, Floats, floats, is_textual, read_numbers
from analyzers.shared.row_sample import cluster_hashes

# Cells and rows kept at most: 64 MB, and a search for neighbours of a minute or so.
MOST_CELLS = 1 << 23
MOST_ROWS = 1_000_000

# Begins the names of columns of places, since a facet may be a feature as well.
_PLACE = "\0"


@dataclass(frozen=True)
class SamplePlan:
    """Which columns to keep.

    Parameters
    ----------
    features
        Names; None takes every column of the first batch but `excluded`.
    excluded
        Never kept as features.
    places
        Columns whose places are kept with each row.
    numeric_texts
        Whether text that is a number counts as one.
    seed
        Of the sampling.
    cluster_by
        Columns that tell which rows belong together.
    """

    features: tuple[str, ...] | None
    excluded: frozenset[str]
    places: tuple[str, ...]
    numeric_texts: bool
    seed: int
    cluster_by: tuple[str, ...] = ()


@dataclass
class RowSample(row_sample.RowSample):
    """Rows in their order: feature values, and the place of each facet and prediction.

    `not_numeric` names features that hold text; their values are NaN.
    """

    names: tuple[str, ...] | None = None
    not_numeric: frozenset[str] = frozenset()
    seed: int | None = None

    def take_in(self, batch: pa.RecordBatch, places: Mapping[str, Codes], plan: SamplePlan) -> None:
        """Add the rows of a batch."""
        if self.names is None:
            names = plan.features if plan.features is not None else tuple(batch.schema.names)
            self.names = tuple(name for name in dict.fromkeys(names) if name not in plan.excluded)
        if self.seed is None:
            # Splits differ in their first rows, so that their rows get different priorities.
            head = repr((plan.seed, batch.num_rows, batch.slice(0, 64).to_pylist())).encode()
            self.seed = xxhash.xxh3_64_intdigest(head)
        columns = {name: pa.array(self._feature(batch, name, plan).copy()) for name in self.names}
        for name in plan.places:
            columns[f"{_PLACE}{name}"] = pa.array(places[name].astype(np.int32))
        rows, clusters = pa.RecordBatch.from_pydict(columns), cluster_hashes(batch, plan.cluster_by)
        self.add(rows, self.seed, self.rows_seen, is_new=True, clusters=clusters)

    def _feature(self, batch: pa.RecordBatch, name: str, plan: SamplePlan) -> Floats:
        if name in batch.schema.names and name not in self.not_numeric:
            numbers = read_numbers(batch.column(name))
            if not numbers.unusable and (plan.numeric_texts or not is_textual(batch.column(name).type)):
                return numbers.values
            self.not_numeric |= {name}
        return np.full(batch.num_rows, np.nan)

    def merge(self, other: Self) -> None:
        """Append the rows of the splits that follow; their places must have the same meaning."""
        self.names = tuple(dict.fromkeys((*(self.names or ()), *(other.names or ())))) or None
        self.not_numeric |= other.not_numeric
        super().merge(other)

    def moved(self, moves: Mapping[str, Codes]) -> Self:
        """Return the same rows with new numbers for the places of some columns."""

        def renumbered(rows: pa.RecordBatch) -> pa.RecordBatch:
            for name, moved in moves.items():
                if (place := rows.schema.get_field_index(f"{_PLACE}{name}")) >= 0:
                    codes = moved[rows.column(place).to_numpy()].astype(np.int32)
                    rows = rows.set_column(place, f"{_PLACE}{name}", pa.array(codes))
            return rows

        return replace(self, chunks=[replace(chunk, rows=renumbered(chunk.rows)) for chunk in self.chunks])

    def matrix(self, kept: Flags | slice = slice(None)) -> Floats:
        """Return the features, or those `kept`, shape (rows, features)."""
        columns, names = self.columns(), np.array(self.names or (), dtype=object)[kept]
        found = [np.concatenate([floats(part) for part in columns[name]]) for name in names]
        return np.column_stack(found) if found else np.empty((self.rows, 0))

    def places_of(self, column: str) -> Codes:
        """Return the places of a column, shape (rows,)."""
        parts = self.columns().get(f"{_PLACE}{column}", [])
        return np.concatenate([part.to_numpy() for part in parts] or [np.empty(0)]).astype(np.int64)

    def _most_rows(self) -> int:
        return min(MOST_ROWS, MOST_CELLS // len(self.names)) if self.names else super()._most_rows()
