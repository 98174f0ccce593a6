"""The rows that the flip test looks at: all of them while they are few, else a random sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from analyzers.shared.cells import Codes, Floats, is_textual, read_numbers

# Cells and rows kept at most: 64 MB, and a search for neighbours of a minute or so.
MOST_CELLS = 1 << 23
MOST_ROWS = 1_000_000


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
    """

    features: tuple[str, ...] | None
    excluded: frozenset[str]
    places: tuple[str, ...]
    numeric_texts: bool
    seed: int


@dataclass
class RowSample:
    """Rows in their order: feature values, and the place of each facet and prediction.

    `not_numeric` names features that hold text; their column in `values` is NaN.
    """

    names: tuple[str, ...] | None = None
    values: list[Floats] = field(default_factory=list)
    places: dict[str, list[npt.NDArray[np.int32]]] = field(default_factory=dict)
    priorities: list[Floats] = field(default_factory=list)
    not_numeric: frozenset[str] = frozenset()
    rows: int = 0
    rows_seen: int = 0
    generator: np.random.Generator | None = None

    def matrix(self, kept: npt.NDArray[np.bool_] | slice = slice(None)) -> Floats:
        """Return the features, or those `kept`, shape (rows, features)."""
        chunks = self.values or [np.empty((0, len(self.names or ())))]
        return np.concatenate([chunk[:, kept] for chunk in chunks])

    def places_of(self, column: str) -> npt.NDArray[np.int32]:
        """Return the places of a column, shape (rows,)."""
        chunks = self.places.get(column, [])
        return np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int32)

    def moved(self, moves: Mapping[str, Codes]) -> RowSample:
        """Return the same rows with new numbers for the places of some columns."""
        places = {
            column: [moves[column][chunk].astype(np.int32) for chunk in chunks] if column in moves else chunks
            for column, chunks in self.places.items()
        }
        return replace(self, places=places)


def add(sample: RowSample, batch: pa.RecordBatch, places: Mapping[str, Codes], plan: SamplePlan) -> None:
    """Add the rows of a batch."""
    if sample.names is None:
        names = plan.features if plan.features is not None else tuple(batch.schema.names)
        sample.names = tuple(name for name in dict.fromkeys(names) if name not in plan.excluded)
    if sample.generator is None:
        # Splits differ in their first rows, so that their rows get different priorities.
        head = repr((batch.num_rows, batch.slice(0, 64).to_pylist())).encode()
        sample.generator = np.random.default_rng([plan.seed, xxhash.xxh3_64_intdigest(head)])
    columns = [_feature(sample, batch, name, plan) for name in sample.names]
    rows = batch.num_rows
    sample.values.append(np.column_stack(columns) if columns else np.empty((rows, 0)))
    for column in plan.places:
        sample.places.setdefault(column, []).append(places[column].astype(np.int32))
    sample.priorities.append(sample.generator.random(rows))
    sample.rows += rows
    sample.rows_seen += rows
    if sample.rows > 2 * most_rows(sample):
        thin(sample)


def _feature(sample: RowSample, batch: pa.RecordBatch, name: str, plan: SamplePlan) -> Floats:
    place = batch.schema.get_field_index(name)
    missing = np.full(batch.num_rows, np.nan)
    if place < 0 or name in sample.not_numeric:
        return missing
    numbers = read_numbers(batch.column(place))
    if numbers.unusable or (is_textual(batch.column(place).type) and not plan.numeric_texts):
        sample.not_numeric |= {name}
        return missing
    return numbers.values


def most_rows(sample: RowSample) -> int:
    """Return how many rows are kept at most."""
    return min(MOST_ROWS, MOST_CELLS // max(1, len(sample.names or ())))


def thin(sample: RowSample) -> None:
    """Keep the rows of lowest priority, as many as `most_rows`, in their order."""
    most = most_rows(sample)
    if sample.rows <= most:
        return
    priorities = np.concatenate(sample.priorities)
    kept = np.sort(np.argpartition(priorities, most)[:most])
    sample.values = [sample.matrix()[kept]]
    sample.places = {column: [sample.places_of(column)[kept]] for column in sample.places}
    sample.priorities = [priorities[kept]]
    sample.rows = most


def merge(left: RowSample, right: RowSample) -> RowSample:
    """Combine the rows of two samples; their places must have the same meaning."""
    if not left.rows_seen or left.names is None:
        return replace(right, generator=left.generator or right.generator)
    if not right.rows_seen or right.names is None:
        return left
    names = tuple(dict.fromkeys((*left.names, *right.names)))
    merged = RowSample(
        names=names,
        values=[*_aligned(left, names), *_aligned(right, names)],
        places={
            column: [*left.places.get(column, []), *right.places.get(column, [])]
            for column in {**left.places, **right.places}
        },
        priorities=[*left.priorities, *right.priorities],
        not_numeric=left.not_numeric | right.not_numeric,
        rows=left.rows + right.rows,
        rows_seen=left.rows_seen + right.rows_seen,
        generator=left.generator,
    )
    if merged.rows > 2 * most_rows(merged):
        thin(merged)
    return merged


def _aligned(sample: RowSample, names: tuple[str, ...]) -> list[Floats]:
    if sample.names == names or sample.names is None:
        return sample.values
    aligned = []
    for values in sample.values:
        wide = np.full((values.shape[0], len(names)), np.nan)
        wide[:, [names.index(name) for name in sample.names]] = values
        aligned.append(wide)
    return aligned
