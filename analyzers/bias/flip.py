"""The flip test of one group, from the rows that were kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analyzers.bias.flip_test import flip_test
from analyzers.bias.row_sample import RowSample, thin
from analyzers.bias.tables import Group, Reading, rows, rows_lacking
from analyzers.wording import listing

_NOT_NUMERIC = "FlipTest does not support non-numeric columns"
# What scikit-learn says of it, with whose neighbours Clarify votes.
_GUIDE = "https://scikit-learn.org/stable/modules/impute.html"
_MISSING_VALUES = (
    "Input X contains NaN.\nKNeighborsClassifier does not accept missing values encoded as NaN natively. "
    "For supervised learning, you might want to consider sklearn.ensemble.HistGradientBoostingClassifier and "
    "Regressor which accept missing values encoded as NaNs natively. Alternatively, it is possible to "
    "preprocess the data, for instance by using an imputer transformer in a pipeline or drop samples with "
    f"missing values. See {_GUIDE} You can find a list of all estimators that handle NaN values at the "
    f"following page: {_GUIDE}#estimators-that-handle-nan-values"
)
_INFINITE = "Input X contains infinity or a value too large for dtype('float64')."
_NO_ROWS = "The flip test needs rows without missing values in the group and outside it"


@dataclass(frozen=True)
class Flip:
    """The value of FT, or why there is none."""

    value: float | None
    problem: str | None = None
    notes: list[str] = field(default_factory=list)


def flip_of(sample: RowSample, group: Group, prediction: str, reading: Reading, seed: int) -> Flip:
    """Return the flip test of a group that has rows, as have the others.

    Parameters
    ----------
    sample
        The rows.
    group
        Whose columns are left out of the features.
    prediction
        Column of predictions.
    reading
        Which predictions are positive; under sound rules rows that lack something are left out.
    seed
        Of the sample taken of many rows.
    """
    names = sample.names or ()
    text = [name for name in names if name in sample.not_numeric and name not in group.columns]
    if text:
        named = f": {listing(text)}" if reading.leave_out else ""
        return Flip(None, f"{_NOT_NUMERIC}{named}")
    thin(sample)
    features = sample.matrix(np.array([name not in group.columns for name in names], dtype=np.bool_))
    kept = {column: sample.places_of(column) for column in (*group.columns, prediction)}
    with np.errstate(invalid="ignore"):
        usable = ~np.isnan(features @ np.zeros(features.shape[1]))  # infinite times zero is NaN, too
    notes = []
    if reading.leave_out:
        for places in kept.values():
            usable &= places > 0
        if not usable.all():
            features = features[usable]
            kept = {column: places[usable] for column, places in kept.items()}
            notes.append(f"{rows_lacking(int((~usable).sum()), 'a value')} of the flip test (FT).")
    elif not usable.all():
        return Flip(None, _MISSING_VALUES if np.isnan(features).any() else _INFINITE)
    inside = group.contains({column: places.astype(np.int64) for column, places in kept.items()})
    if reading.predictions is None or not inside.any() or inside.all():
        return Flip(None, _NO_ROWS, notes)
    flips = flip_test(features, inside, reading.predictions.chosen[kept[prediction]], seed=seed)
    if sample.rows_seen > sample.rows:
        notes.append(f"The flip test (FT) looks at {sample.rows:,} of {rows(sample.rows_seen)}.")
    if flips.rows < int(inside.sum()):
        notes.append(
            f"The flip test (FT) asks about {flips.rows:,} of {int(inside.sum()):,} rows of a group."
        )
    return Flip(flips.value, None, notes)
