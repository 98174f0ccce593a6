"""Partial dependence: the mean answer of the model where one feature has the same value in all rows.

Of a value ``v`` it is the mean over rows of ``f(row with the feature set to v)`` (Friedman 2001), which
scikit-learn calls the method ``brute``. Members are those that Clarify wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analyzers.feature_attribution.documents import LabelAttributions
from analyzers.feature_attribution.rows import is_number, plain_values
from analyzers.feature_attribution.summary import Ask, AttributionRequest, Budget
from analyzers.shared.cells import Floats, floats
from contract.errors import ModelError, wording

# Means over so many rows are within two hundredths of a standard deviation.
MOST_ROWS = 4_096
MOST_CATEGORIES = 100
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Dependence:
    """``methods.pdp``, for the data at hand.

    Parameters
    ----------
    rows
        Of the dataset; means are over these.
    grid_resolution
        Into how many buckets the range of a number is divided.
    features
        Whose dependence is wanted; none for the `top_k` with the largest attributions.
    """

    rows: pa.RecordBatch
    grid_resolution: int = 15
    features: tuple[str, ...] = ()
    top_k: int = 10


def partial_dependence(
    wanted: Dependence,
    request: AttributionRequest,
    labels: dict[str, LabelAttributions],
    ask: Ask,
    budget: Budget,
) -> list[dict[str, Any]]:
    """Return one object per feature: its values, the share of rows near each, the mean answers per label.

    A feature that the model cannot be asked about, or for which no time is left, has the member ``error``.
    """
    found: list[dict[str, Any]] = []
    failure = ""
    for name in wanted.features or _largest(labels, wanted.top_k):
        column = plain_values(wanted.rows.column(name))
        kind = "numerical" if is_number(column.type) else "categorical"
        entry: dict[str, Any] = {"feature_name": name, "data_type": kind}
        found.append(entry)
        if budget.is_over:
            failure = wording("attributions.no_time_for_dependence")
        values, shares = grid(column, wanted.grid_resolution)
        if failure or not len(values):
            entry["error"] = failure or wording("attributions.no_value_for_dependence")
            continue
        try:
            means = _mean_answers(wanted.rows, name, values, ask)
        except ModelError as error:
            entry["error"] = error.message
            # A server that is gone would be waited for again.
            failure = error.message if error.code.startswith("model_endpoint.") else ""
            continue
        entry["feature_values"] = values.to_pylist()
        entry["data_distribution"] = shares.tolist()
        entry["model_predictions"] = means.T.tolist()
        entry["label_headers"] = list(request.label_names(means.shape[1]))
    return found


def grid(column: pa.Array, resolution: int) -> tuple[pa.Array, Floats]:
    """Return the values that a feature is set to, and the share of its values at, or in the bucket of, each.

    Of numbers these are the centres of buckets of equal width, whole where all numbers are; the numbers
    themselves where they are no more than buckets. Of anything else they are the most frequent categories.
    """
    if pa.types.is_floating(column.type):
        column = column.filter(pc.is_finite(column))
    column = column.drop_null()
    counted = column.value_counts()
    values, counts = counted.field("values"), counted.field("counts").to_numpy()
    if not is_number(column.type):
        names = values.cast(pa.string()).to_pylist()
        order = sorted(range(len(names)), key=lambda place: (-counts[place], names[place]))[:MOST_CATEGORIES]
        values, counts = values.take(pa.array(order, pa.int64())), counts[order]
    elif len(values) <= resolution:
        ascending = pc.sort_indices(values)
        values, counts = values.take(ascending), counts[ascending.to_numpy()]
    else:
        counts, edges = np.histogram(floats(column), resolution)
        centres = (edges[:-1] + edges[1:]) / 2.0
        is_whole = pa.types.is_integer(column.type)
        values = pa.array(np.floor(centres + 0.5) if is_whole else centres).cast(column.type)
    return values, counts / max(1, len(column))


def _mean_answers(rows: pa.RecordBatch, name: str, values: pa.Array, ask: Ask) -> Floats:
    """Return the mean answers, shape (values, outputs)."""
    place, count = rows.schema.get_field_index(name), rows.num_rows
    step = max(1, _ROWS_AT_ONCE // count)
    means = []
    for start in range(0, len(values), step):
        some = values.slice(start, step)
        repeated = rows.take(pa.array(np.tile(np.arange(count), len(some))))
        column = some.take(pa.array(np.repeat(np.arange(len(some)), count)))
        answers = np.asarray(ask(repeated.set_column(place, name, column)))
        means.append(answers.reshape(len(some), count, -1).mean(axis=1))
    return np.concatenate(means)


def _largest(labels: dict[str, LabelAttributions], count: int) -> Sequence[str]:
    """Return the features with the largest sizes over all labels, largest first."""
    sizes: dict[str, float] = {}
    for label in labels.values():
        for name, value in label.values.items():
            sizes[name] = sizes.get(name, 0.0) + abs(value or 0.0)
    return sorted(sizes, key=lambda name: -sizes[name])[:count]
