"""How scores translate into probabilities, learnt from labelled rows."""

from __future__ import annotations

import numpy as np

from analyzers.model_quality.cells import Floats
from analyzers.model_quality.scores import ScoreHistogram
from contract.documents.model_quality import ScoreCalibration

# Isotonic regression pools entries that chance has put out of order, so they may be small.
_ROWS_PER_ENTRY = 10
_MOST_ENTRIES = 100


def calibrate(histogram: ScoreHistogram, kind: str) -> ScoreCalibration | None:
    """Return how often rows of a score are positive, None without both classes.

    Isotonic regression (pool adjacent violators) over up to 100 entries of about equal numbers of rows.

    Parameters
    ----------
    histogram
        Labelled rows.
    kind
        What a positive is.
    """
    rows = histogram.total_positives + histogram.total_negatives
    if not histogram.total_positives or not histogram.total_negatives:
        return None
    entries = min(_MOST_ENTRIES, max(2, rows // _ROWS_PER_ENTRY))
    coarse = histogram.compressed(entries)
    weights = (coarse.positives + coarse.negatives).astype(np.float64)
    rates = isotonic(coarse.positives / weights, weights)
    return ScoreCalibration(coarse.scores.tolist(), rates.tolist(), rows, kind)


def isotonic(rates: Floats, weights: Floats) -> Floats:
    """Return the non-decreasing sequence nearest to `rates` in weighted squares."""
    blocks: list[tuple[float, float, int]] = []
    for rate, weight in zip(rates.tolist(), weights.tolist(), strict=True):
        block = (rate, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            total = before[1] + block[1]
            mean = (before[0] * before[1] + block[0] * block[1]) / total
            block = (mean, total, before[2] + block[2])
        blocks.append(block)
    return np.repeat([mean for mean, _, _ in blocks], [size for _, _, size in blocks])


def probabilities(calibration: ScoreCalibration, scores: Floats) -> Floats:
    """Return the probability that a row of each score is positive."""
    return np.interp(scores, calibration.scores, calibration.positive_rates)
