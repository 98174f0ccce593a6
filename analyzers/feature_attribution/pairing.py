"""Which labels and features of a window answer to which of the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analyzers.feature_attribution.drift import Attributions
from analyzers.wording import listing
from contract.documents.attribution import (
    AttributionConstraints,
    AttributionStatistics,
    LabelAttributions,
)
from contract.errors import DocumentError

Labels = dict[str, LabelAttributions]


@dataclass(frozen=True)
class Pair:
    """One label on both sides, with the same features in the same order.

    Parameters
    ----------
    label
        What the window calls it.
    features
        Those of the baseline in its order, then those that only the window has.
    baseline, live
        Sizes of the attributions; a feature that one side lacks has zero there.
    before
        The baseline's document, for what a user allows.
    notes
        On features that appeared, disappeared or have no value.
    """

    label: str
    features: tuple[str, ...]
    baseline: Attributions
    live: Attributions
    before: LabelAttributions
    notes: tuple[str, ...] = ()


def counterparts(baseline: Labels, live: Labels) -> Labels:
    """Return, by the names of the window's labels, those of the baseline that answer to them.

    The only label of one side answers to the only label of the other, whatever they are called: Clarify
    named some by the first score the model gave.
    """
    if len(baseline) == len(live) == 1:
        return dict(zip(live, baseline.values(), strict=True))
    return {name: baseline[name] for name in live if name in baseline}


def pair_labels(
    before: AttributionConstraints | AttributionStatistics, statistics: AttributionStatistics
) -> Iterator[Pair]:
    """Yield the labels that baseline and window both have.

    Raises
    ------
    DocumentError
        When no label, or no feature, is on both sides.
    """
    formers = counterparts(before.labels, statistics.labels)
    if not formers:
        raise DocumentError(
            f"{before.where} explains the labels {listing(list(before.labels))}, but the window has "
            f"{listing(list(statistics.labels))}; give the same predictor.label_headers as at the baseline."
        )
    rows = before.design.rows, statistics.explained.rows
    for name, former in formers.items():
        yield _pair(name, former, statistics.labels[name], rows, before.where)


def unpaired(baseline: Labels, live: Labels) -> list[str]:
    """Return notes on labels that only one side has."""
    if len(baseline) == len(live) == 1:
        return []
    notes = []
    if gone := [name for name in baseline if name not in live]:
        notes.append(f"The labels {listing(gone)} of the baseline are not in the window, so are not checked.")
    if new := [name for name in live if name not in baseline]:
        notes.append(f"The labels {listing(new)} are not in the baseline, so are not checked.")
    return notes


def _pair(
    name: str,
    baseline: LabelAttributions,
    live: LabelAttributions,
    rows: tuple[int | None, int],
    where: str,
) -> Pair:
    if not baseline.values.keys() & live.values.keys():
        raise DocumentError(
            f"{where} explains the features {listing(list(baseline.values))}, but the window has "
            f"{listing(list(live.values))}; give the same headers as at the baseline."
        )
    everything = dict.fromkeys((*baseline.values, *live.values))
    undefined = [
        feature
        for feature in everything
        if not _is_known(baseline.values, feature) or not _is_known(live.values, feature)
    ]
    features = tuple(feature for feature in everything if feature not in undefined)
    notes = []
    if undefined:
        notes.append(f"The features {listing(undefined)} have no value for {name}, so are not compared.")
    if gone := [feature for feature in features if feature not in live.values]:
        notes.append(f"The features {listing(gone)} of the baseline are gone, and count as used no more.")
    if new := [feature for feature in features if feature not in baseline.values]:
        notes.append(f"The features {listing(new)} are new, and count as unused at the baseline.")
    return Pair(
        label=name,
        features=features,
        baseline=_attributions(baseline, features, rows[0]),
        live=_attributions(live, features, rows[1]),
        before=baseline,
        notes=tuple(notes),
    )


def _is_known(values: dict[str, float | None], feature: str) -> bool:
    value = values.get(feature, 0.0)
    return value is not None and math.isfinite(value)


def _attributions(label: LabelAttributions, features: tuple[str, ...], rows: int | None) -> Attributions:
    # Medians of signed values may be negative; how much a feature counts is its size.
    values = np.abs(np.array([label.values.get(feature) or 0.0 for feature in features]))
    errors = np.array([label.standard_errors.get(feature, 0.0) for feature in features])
    total = float(values.sum())
    total_error = label.total_standard_error
    if total_error is None or (label.total is not None and not math.isclose(label.total, total)):
        # At most: as if all features moved together.
        total_error = float(errors.sum())
    return Attributions(values, errors, total, total_error, rows)
