"""Synthetic rows: each column holds the explained row's value or the baseline's.

A mixture of two rows needs no arithmetic, so any type of column can be explained: strings, categories and
missing values as well as numbers. Two rows are alike in a column when their values are the same, missing
being the same as missing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analyzers.shared.cells import Floats, floats
from contract.dataset import aligned_columns, notice
from contract.errors import ConfigurationError

type Masks = NDArray[np.bool_]
type Positions = NDArray[np.int64]

# Rows wanted: every instance with every baseline row under every mask, in this order of nesting. Positions of
# explained rows, and masks of shape (coalitions, columns), where True keeps the instance's value.
type Mixture = tuple[Positions, Masks]


class Rows:
    """Explained rows and baseline rows, record batches with the same columns.

    The attribute ``baselines`` holds the baseline rows with the types of the explained ones.

    Raises
    ------
    ConfigurationError
        When the baseline does not have the columns of the instances.
    """

    def __init__(self, instances: pa.RecordBatch, baselines: pa.RecordBatch) -> None:
        self._instances = instances
        self.baselines = baselines = _fitting(baselines, instances.schema)
        # Baseline rows come first in every pool of values, then the instances.
        pairs = zip(baselines.columns, instances.columns, strict=True)
        self._pools = [pa.concat_arrays(list(map(plain_values, pair))) for pair in pairs]
        self._numbers = [
            pool.to_numpy(zero_copy_only=False) if pool.null_count == 0 and is_number(pool.type) else None
            for pool in self._pools
        ]
        self._codes = np.stack([value_codes(pool) for pool in self._pools], axis=1)

    def differing(self) -> Masks:
        """Return where an instance differs from any baseline row, shape (instances, columns)."""
        count = self.baselines.num_rows
        instances = self._codes[count:]
        different = np.zeros(instances.shape, dtype=np.bool_)
        for baseline in self._codes[:count]:
            different |= instances != baseline
        return different

    def first_alike(self) -> Positions:
        """Return for every instance the position of the first that is identical to it."""
        return first_alike(self._codes[self.baselines.num_rows :])

    def instances(self, positions: Positions) -> pa.RecordBatch:
        """Return a table of these instances."""
        return self._instances.take(pa.array(positions))

    def mixed(self, mixtures: Sequence[Mixture]) -> pa.RecordBatch:
        """Return a table of all rows wanted, one mixture after the other."""
        schema = self._instances.schema
        columns = (self._mixed_column(place, mixtures) for place in range(len(schema)))
        arrays = [column.cast(kind, safe=False) for column, kind in zip(columns, schema.types, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _mixed_column(self, column: int, mixtures: Sequence[Mixture]) -> pa.Array:
        count = self.baselines.num_rows
        numbers = self._numbers[column]
        source = np.arange(len(self._pools[column]), dtype=np.int32) if numbers is None else numbers
        parts = []
        for instances, masks in mixtures:
            kept = source[count + instances][:, None, None]
            replaced = source[:count][None, :, None]
            parts.append(np.where(masks[:, column][None, None], kept, replaced).reshape(-1))
        mixed = pa.array(np.concatenate(parts))
        return mixed if numbers is not None else self._pools[column].take(mixed)


def first_alike(rows: NDArray[Any]) -> Positions:
    """Return for every row of a matrix the position of the first that is identical to it."""
    if not rows.shape[1]:
        return np.zeros(len(rows), dtype=np.int64)
    kind = np.dtype((np.void, rows.shape[1] * rows.itemsize))
    whole = np.ascontiguousarray(rows).view(kind).reshape(-1)
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def _fitting(baselines: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the baseline rows in the schema of the instances."""
    arrays = []
    for array, field in zip(baselines.columns, schema, strict=True):
        # Invalid is text that is no number, or 1.5 for a whole one; not implemented, a list for either.
        misfits = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
        said = {
            "field": "methods.shap.baseline",
            "feature": field.name,
            "found": array.type,
            "expected": field.type,
        }
        with ConfigurationError.instead_of("shap_baseline.type", *misfits, why=str, **said):
            arrays.append(plain_values(array).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def plain_values(array: pa.Array) -> pa.Array:
    """Return the values of a dictionary array; other arrays as they are."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def value_codes(array: pa.Array) -> NDArray[np.int64]:
    """Return a number for every value of an array, the same for the same values; missing is a value."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.int64)
    encoded = pc.dictionary_encode(plain_values(array), null_encoding="encode")
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


# The feature columns of record batches, as a stream from which any number of rows can be taken.


class FeatureStream:
    """Rows of feature columns, in order, whatever batches they came in.

    Parameters
    ----------
    batches
        Of one split. A column that a batch lacks is missing in its rows.
    columns
        To keep, in this order.
    baseline
        Gives columns their type where the data holds nothing or whole numbers only.
    """

    def __init__(
        self, batches: Iterable[pa.RecordBatch], columns: Sequence[str], baseline: pa.RecordBatch
    ) -> None:
        self._batches = iter(batches)
        self._columns = columns
        self._baseline = {field.name: field.type for field in baseline.schema}
        self._waiting: list[pa.RecordBatch] = []
        self.rows_read = 0

    def take(self, count: int) -> pa.RecordBatch | None:
        """Return the next `count` rows, fewer at the end; None when there are none."""
        waiting = sum(batch.num_rows for batch in self._waiting)
        while waiting < count and (batch := next(self._batches, None)) is not None:
            if batch.num_rows:
                self._waiting.append(batch)
                self.rows_read += batch.num_rows
                waiting += batch.num_rows
        if not waiting:
            return None
        taken: list[pa.RecordBatch] = []
        while count and self._waiting:
            batch = self._waiting.pop(0)
            if batch.num_rows > count:
                self._waiting.insert(0, batch.slice(count))
            taken.append(batch.slice(0, count))
            count -= taken[-1].num_rows
        return self._together(taken)

    def skip_rest(self) -> None:
        """Count the rows that are left."""
        self._waiting.clear()
        for batch in self._batches:
            self.rows_read += batch.num_rows

    def _together(self, batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        rows, known, arrays = sum(batch.num_rows for batch in batches), aligned_columns(batches), []
        for name in self._columns:
            parts = known.get(name) or [pa.nulls(rows)]
            notice("reading.not_there", sum(part.null_count for part in parts), field=name)
            kind = common_type([part.type for part in parts], self._baseline.get(name))
            parts = [plain_values(part) for part in parts]
            arrays.append(pa.concat_arrays([part.cast(kind, safe=False) for part in parts]))
        if not arrays:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        return pa.RecordBatch.from_arrays(arrays, names=list(self._columns))


def common_type(kinds: Sequence[pa.DataType], baseline: pa.DataType | None = None) -> pa.DataType:
    """Return a type that holds values of all of `kinds`, and the baseline's where that is a number.

    Booleans beside numbers, and anything beside text, become text; so do dictionaries, whose values the
    model is sent.
    """
    plain = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
    found = dict.fromkeys(kind for kind in plain if not pa.types.is_null(kind))
    if not found:
        return baseline if baseline is not None else pa.null()
    if all(is_number(kind) for kind in found):
        if baseline is not None and is_number(baseline):
            found[baseline] = None
        return pa.int64() if all(pa.types.is_signed_integer(kind) for kind in found) else pa.float64()
    return next(iter(found)) if len(found) == 1 else pa.string()


def is_number(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is numbers; values of all others are compared by equality alone."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


# Baseline rows where the user gives none: centres of clusters of the data.
#
# k-prototypes (Huang 1998): numbers are compared by squared distance in units of their standard deviation,
# categories by equality; a centre holds the mean of its numbers and the most frequent of its categories.
# Without categories this is k-means. The number of clusters, where not given, is that of Pham, Dimov and
# Nguyen (2005).


MOST_CLUSTERS = 12

# Clusters of a sample are as good as those of millions of rows.
_FITTED_ROWS = 5_000
_ITERATIONS = 30
_STARTS = 3

# What a mismatch of categories adds to a distance: Huang's half of the mean standard deviation, which is one.
_MISMATCH = 0.5

# Above this value of f(K) data counts as unclustered, in the words of its authors "close to 1".
_CLUSTERED = 0.85


class _Cells(NamedTuple):
    """Rows in the units that distances are measured in.

    Parameters
    ----------
    numbers
        Standardized, missing at the mean, shape (rows, numeric columns).
    categories
        Codes, shape (rows, categorical columns); missing is a category.
    """

    numbers: Floats
    categories: NDArray[np.int64]


def cluster_baselines(
    rows: pa.RecordBatch, *, num_clusters: int | None = None, seed: int = 0
) -> pa.RecordBatch:
    """Return the centres of clusters of the rows, in the rows' schema, largest cluster first.

    Parameters
    ----------
    rows
        Features, of one row at least; a seeded sample of 5,000 is clustered when there are more. Text and
        booleans are categories.
    num_clusters
        How many; None chooses from 1 to 12.
    seed
        Of the sample and the first centres.

    Returns
    -------
    Means over each cluster's rows without missing values, rounded in integer columns; the most frequent
    category, the smallest among equals. Empty columns stay missing.

    Raises
    ------
    ConfigurationError
        When there are fewer distinct rows than clusters asked for.
    """
    generator = np.random.default_rng([seed, rows.num_rows])
    if rows.num_rows > _FITTED_ROWS:
        rows = rows.take(pa.array(np.sort(generator.choice(rows.num_rows, _FITTED_ROWS, replace=False))))
    cells = _cells(rows)
    distinct = len(np.unique(np.concatenate((cells.numbers, cells.categories), axis=1), axis=0))
    if num_clusters is None:
        members = _best(cells, min(MOST_CLUSTERS, distinct), generator)
    elif not 1 <= num_clusters <= distinct:
        field = "methods.shap.num_clusters"
        raise ConfigurationError.of("shap_baseline.clusters", field=field, given=num_clusters, rows=distinct)
    else:
        members, _ = _clusters(cells, num_clusters, generator)
    return _centres(rows, members)


def _cells(rows: pa.RecordBatch) -> _Cells:
    numbers, categories = [], []
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if not is_number(field.type):
            categories.append(value_codes(column))
            continue
        values = floats(column).copy()
        present = np.isfinite(values)
        mean = values[present].mean() if present.any() else 0.0
        deviation = values[present].std() if present.any() else 0.0
        values[~present] = mean
        numbers.append((values - mean) / deviation if deviation > 0 else np.zeros(len(values)))
    return _Cells(
        np.ascontiguousarray(np.array(numbers, dtype=np.float64).reshape(-1, rows.num_rows).T),
        np.ascontiguousarray(np.array(categories, dtype=np.int64).reshape(-1, rows.num_rows).T),
    )


def _best(cells: _Cells, most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the clusters whose number has the least f(K).

    ``f(K) = S_K / (a_K S_{K-1})``, where ``S_K`` is the sum of distances from the centres and ``a_K`` what it
    would shrink by in uniform data: ``1 - 3 / (4 dimensions)`` for two clusters, then a sixth nearer to 1
    each time.
    """
    best, before = _clusters(cells, 1, generator)
    dimensions = max(2, cells.numbers.shape[1] + cells.categories.shape[1])
    least, shrinks = _CLUSTERED, 1.0 - 3.0 / (4.0 * dimensions)
    for count in range(2, most + 1):
        members, distortion = _clusters(cells, count, generator)
        ratio = distortion / (shrinks * before) if before > 0.0 else 1.0
        if ratio < least:
            best, least = members, ratio
        before = distortion
        shrinks += (1.0 - shrinks) / 6.0
    return best


def _clusters(cells: _Cells, count: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """Return each row's cluster and the sum of distances, the best of several starts."""
    if count == 1:
        everything = np.zeros(len(cells.numbers), dtype=np.int64)
        return everything, float(_distances(cells, *_means(cells, everything, 1)).sum())
    attempts = [_refined(cells, count, generator) for _ in range(_STARTS)]
    return min(attempts, key=lambda attempt: attempt[1])


def _refined(cells: _Cells, count: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """Return the clusters that Lloyd's iterations reach from well spread rows (k-means++)."""
    first = [int(generator.integers(len(cells.numbers)))]
    nearest = _distances(cells, cells.numbers[first], cells.categories[first])[:, 0]
    while len(first) < count:
        first.append(int(generator.choice(len(nearest), p=nearest / nearest.sum())))
        added = first[-1:]
        nearest = np.minimum(nearest, _distances(cells, cells.numbers[added], cells.categories[added])[:, 0])
    numbers, categories = cells.numbers[first], cells.categories[first]
    members = np.full(len(cells.numbers), -1)
    for _ in range(_ITERATIONS):
        distances = _distances(cells, numbers, categories)
        closest = distances.argmin(axis=1)
        for cluster in np.setdiff1d(np.arange(count), closest):
            # An emptied cluster starts again from the row farthest from its centre.
            farthest = int(distances[np.arange(len(closest)), closest].argmax())
            closest[farthest] = cluster
            distances[farthest] = 0.0
        if np.array_equal(closest, members):
            break
        members = closest
        numbers, categories = _means(cells, members, count)
    distances = _distances(cells, numbers, categories)
    return members, float(distances[np.arange(len(members)), members].sum())


def _distances(cells: _Cells, numbers: Floats, categories: NDArray[np.int64]) -> Floats:
    """Return the distance of every row from every centre, shape (rows, centres)."""
    apart = (cells.numbers**2).sum(axis=1)[:, None] + (numbers**2).sum(axis=1)
    apart -= 2.0 * cells.numbers @ numbers.T
    np.maximum(apart, 0.0, out=apart)  # of a row from itself, but for rounding
    for column, codes in enumerate(cells.categories.T):
        apart += _MISMATCH * (codes[:, None] != categories[:, column])
    return apart


def _means(cells: _Cells, members: NDArray[np.int64], count: int) -> tuple[Floats, NDArray[np.int64]]:
    belongs = (members == np.arange(count)[:, None]).astype(np.float64)
    numbers = belongs @ cells.numbers / np.maximum(belongs.sum(axis=1), 1.0)[:, None]
    categories = np.zeros((count, cells.categories.shape[1]), dtype=np.int64)
    for column, codes in enumerate(cells.categories.T):
        kinds = int(codes.max()) + 1
        counts = np.bincount(members * kinds + codes, minlength=count * kinds)
        categories[:, column] = counts.reshape(count, kinds).argmax(axis=1)
    return numbers, categories


def _centres(rows: pa.RecordBatch, members: NDArray[np.int64]) -> pa.RecordBatch:
    """Return the centres in the units and types of the rows, the largest cluster first."""
    sizes = np.bincount(members)
    arrays = []
    for field, column in zip(rows.schema, rows.columns, strict=True):
        centre = _mean if is_number(field.type) else _mode
        values = [centre(column.filter(pa.array(members == cluster))) for cluster in np.argsort(-sizes)]
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        arrays.append(pa.array(values, kind).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=rows.schema)


def _mean(column: pa.Array) -> float | int | None:
    values = floats(column)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    mean = float(values.mean())
    return round(mean) if pa.types.is_integer(column.type) else mean


def _mode(column: pa.Array) -> object:
    counts = Counter(plain_values(column).to_pylist())
    most = max(counts.values())
    frequent = [value for value, count in counts.items() if count == most and value is not None]
    return min(frequent, default=None)
