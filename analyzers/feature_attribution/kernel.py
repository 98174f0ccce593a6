"""Shapley values of any model: which rows to ask it for, and what its answers say of each feature.

A feature whose value equals the baseline's has the Shapley value 0 exactly and leaves the game; the game
of the ``m`` others is solved exactly where all ``2^m`` coalitions fit the budget, by sampling otherwise. The
same design (coalitions and the matrix that turns answers into values) serves all rows with equally many
features that differ, whichever those are, up to `ROWS_PER_DESIGN` rows; then a fresh one is drawn, so that
the mean over many rows does not carry the error of one design.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analyzers.feature_attribution.aggregate import Explanation, exact_explanation
from analyzers.feature_attribution.rows import Mixture, Positions, Rows
from analyzers.feature_attribution.solve import (
    RESIDUALS,
    Design,
    Floats,
    Masks,
    default_num_samples,
    exact_design,
    number_of_pairs,
    sampled_design,
)
from contract.errors import ConfigurationError, ModelError
from contract.wording import several

type Predict = Callable[[Any], NDArray[Any]]

# Rows are explained in windows of this many positions; results depend on where windows begin, not on batches.
WINDOW_ROWS = 1024
ROWS_PER_DESIGN = 256

# All coalitions of 20 features; their solution fills 100 MB.
MOST_SAMPLES = 1 << 20

# Where the user gave no budget, all coalitions of this many features are asked: 4,096, twice the default.
EXACT_FEATURES = 12

# Synthetic rows that the model is asked for at a time: about what caches hold, for models in this process.
BLOCK_BYTES = 4 << 20
_CELL_BYTES = 8

# Half the distance from 1 to the next smaller float32: what a model that answers float32 can mean by 1.
LOGIT_CLIP = 2.0**-25


@dataclass(frozen=True)
class Sampling:
    """How coalitions are chosen.

    Parameters
    ----------
    num_samples
        Coalitions per explained row (half as many pairs), or None for Clarify's default,
        ``min(2 M + 2048, 2^M - 2)``, M being the number of features.
    use_logit
        Whether probabilities are turned into log-odds, clipped to ``[LOGIT_CLIP, 1 - LOGIT_CLIP]``, before
        values are computed (after the mean over baseline rows is taken).
    seed
        Of the coalitions. The same seed, rows and positions give the same values.
    exact_features
        Rows that differ from the baseline in at most so many features have all their coalitions asked,
        whatever the budget; None stands for `EXACT_FEATURES` without ``num_samples``, for 0 with it.
    block_bytes
        Size of the tables that the model is asked about, at 8 bytes a cell. An endpoint that takes several
        requests at once wants more. Values do not depend on it, but for rounding.
    """

    num_samples: int | None = None
    use_logit: bool = False
    seed: int = 0
    exact_features: int | None = None
    block_bytes: int = BLOCK_BYTES

    def __post_init__(self) -> None:
        if self.num_samples is not None and self.num_samples < 2:
            raise ConfigurationError(
                f"methods.shap.num_samples is {self.num_samples}; coalitions are asked in pairs, "
                "give at least 2."
            )
        if self.num_samples is not None and self.num_samples > MOST_SAMPLES:
            raise ConfigurationError(
                f"methods.shap.num_samples is {self.num_samples}, more coalitions per row than can be "
                f"solved; give at most {MOST_SAMPLES}, or leave it out."
            )

    def pairs(self, features: int, players: int) -> int:
        """Return how many pairs to ask for a row in which ``players`` of all ``features`` differ."""
        exact = self.exact_features
        if exact is None:
            exact = EXACT_FEATURES if self.num_samples is None else 0
        everything = number_of_pairs(players)
        budget = default_num_samples(features) if self.num_samples is None else self.num_samples
        return everything if players <= exact else min(budget // 2, everything)


def explain_windows(
    predict: Predict,
    instances: pa.RecordBatch,
    baselines: pa.RecordBatch,
    sampling: Sampling,
    first_position: int = 0,
) -> Iterator[Explanation]:
    """Return the Shapley values of rows window by window, so that memory is bounded and a caller can stop.

    Parameters
    ----------
    predict
        The model: record batches in, scores of shape (rows,) or (rows, outputs) out.
    instances
        Rows to explain.
    baselines
        Rows that stand for "feature absent", with the same columns. Answers on several are averaged.
    sampling
        How coalitions are chosen.
    first_position
        Position of the first row in the dataset; a multiple of `WINDOW_ROWS` makes the values those of the
        whole dataset explained at once.

    Raises
    ------
    ConfigurationError
        When the baseline does not fit the rows, or ``use_logit`` meets answers that are no probabilities.
    ModelError
        When the model answers another number of rows, or NaN or infinity.

    Notes
    -----
    Method of Lundberg and Lee (2017), solved as `solve` describes.
    """
    asked = _Asked(predict, sampling.use_logit)
    reference = Rows(instances[:0], baselines).baselines()
    if not len(reference):
        raise ConfigurationError("The SHAP baseline has no rows; give at least one, or leave it out.")
    expected = asked.link(asked.answers(reference).mean(axis=0))
    for start in range(0, max(1, len(instances)), WINDOW_ROWS):
        window = Rows(instances[start : start + WINDOW_ROWS], baselines)
        yield _explain_window(asked, window, expected, sampling, first_position + start)


class _Asked:
    """The model, with what it answers checked, and the rows it was asked for counted."""

    def __init__(self, predict: Predict, use_logit: bool) -> None:
        self._predict = predict
        self._use_logit = use_logit
        self._rows = 0

    def answers(self, table: Any) -> Floats:
        """Return the scores of a table, shape (rows, outputs)."""
        rows = len(table)
        scores = np.asarray(self._predict(table), dtype=np.float64)
        if scores.ndim == 1:
            scores = scores[:, None]
        if scores.ndim != 2 or len(scores) != rows:
            raise ModelError(
                f"The model answered scores of shape {scores.shape} when asked for {several(rows, 'row')}; "
                "it must answer one score, or one list of scores, per row."
            )
        if not np.isfinite(scores).all():
            row = int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])
            raise ModelError(
                f"The model answered {scores[row].tolist()} for row {row} of {rows} while features were "
                "replaced by the baseline's; it must give finite scores for every mixture of a row and the "
                "baseline."
            )
        if self._use_logit and (scores.min(initial=0.5) < -1e-6 or scores.max(initial=0.5) > 1 + 1e-6):
            raise ConfigurationError(
                "methods.shap.use_logit needs probabilities, but the model answered scores from "
                f"{scores.min():g} to {scores.max():g}; leave use_logit out."
            )
        self._rows += rows
        return scores

    def counted(self) -> int:
        """Return the rows asked for since this was called last."""
        rows, self._rows = self._rows, 0
        return rows

    def link(self, scores: Floats) -> Floats:
        """Return scores in the units that values are computed in."""
        if not self._use_logit:
            return scores
        clipped = np.clip(scores, LOGIT_CLIP, 1.0 - LOGIT_CLIP)
        return np.asarray(np.log(clipped) - np.log1p(-clipped), dtype=np.float64)


@dataclass(frozen=True)
class _Piece:
    """Rows that share a design and the features in which they differ from the baseline.

    Parameters
    ----------
    rows
        Their positions in the window.
    players
        Columns of the features that differ, in order.
    number
        Of the design, counted over the dataset.
    """

    rows: Positions
    players: NDArray[np.intp]
    design: Design
    number: int

    def masks(self, columns: int) -> Masks:
        """Return the coalitions and their complements over all columns, shape (2 pairs, columns)."""
        pairs = len(self.design.masks)
        masks = np.zeros((2 * pairs, columns), dtype=np.bool_)
        masks[:pairs, self.players] = self.design.masks
        masks[pairs:, self.players] = ~self.design.masks
        return masks


def _explain_window(
    asked: _Asked, rows: Rows, expected: Floats, sampling: Sampling, position: int
) -> Explanation:
    """Return the values of one window; rows that occur again are solved once."""
    differing = rows.differing()
    count, columns = differing.shape
    first = rows.first_alike()
    distinct = np.unique(first)
    outputs = len(expected)
    result = exact_explanation(np.zeros((count, outputs, columns)), expected)
    block_rows = max(64, sampling.block_bytes // (_CELL_BYTES * max(1, columns)))
    for start in range(0, len(distinct), block_rows):
        block = distinct[start : start + block_rows]
        result.predictions[block] = asked.link(asked.answers(rows.instances(block)))
    baseline_rows = len(rows.baselines())
    pieces = _pieces(differing, distinct, sampling, position, block_rows // baseline_rows)
    for some in _packed(pieces, block_rows // baseline_rows):
        for piece, values in zip(some, _values(asked, rows, some, columns, block_rows), strict=True):
            _solve(piece, values, result)
    return replace(result.take(first), model_rows=asked.counted())


def _pieces(
    differing: Masks, distinct: Positions, sampling: Sampling, position: int, most_rows: int
) -> Iterator[_Piece]:
    """Return what to solve: rows by the number of features that differ, then by which, in small parts."""
    columns = differing.shape[1]
    players = differing[distinct].sum(axis=1)
    number = position
    for size in np.unique(players[players > 0]).tolist():
        pairs = sampling.pairs(columns, size)
        exact = pairs >= number_of_pairs(size)
        members = distinct[players == size]
        for start in range(0, len(members), ROWS_PER_DESIGN):
            chunk = members[start : start + ROWS_PER_DESIGN]
            if exact:
                design = exact_design(size)
            else:
                generator = np.random.default_rng([sampling.seed % 2**64, position, size, start])
                design = sampled_design(size, pairs, generator)
            together = max(1, most_rows // max(1, 2 * len(design.masks)))
            for rows in _same_pattern(differing, chunk):
                for part in np.split(rows, range(together, len(rows), together)):
                    yield _Piece(part, np.flatnonzero(differing[part[0]]), design, number)
            number += 1


def _same_pattern(differing: Masks, rows: Positions) -> Iterator[Positions]:
    """Return the rows in groups that differ from the baseline in the same features."""
    _, inverse = np.unique(np.packbits(differing[rows], axis=1), axis=0, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    yield from np.split(rows[order], np.flatnonzero(np.diff(inverse[order])) + 1)


def _packed(pieces: Iterator[_Piece], most_rows: int) -> Iterator[list[_Piece]]:
    """Return pieces in groups of at most ``most_rows`` coalitions, or one piece that has more."""
    some: list[_Piece] = []
    size = 0
    for piece in pieces:
        rows = len(piece.rows) * 2 * len(piece.design.masks)
        if some and size + rows > most_rows:
            yield some
            some, size = [], 0
        some.append(piece)
        size += rows
    if some:
        yield some


def _values(
    asked: _Asked, rows: Rows, pieces: Sequence[_Piece], columns: int, block_rows: int
) -> Iterator[Floats]:
    """Return the values of the coalitions of every piece, each of shape (rows, 2 pairs, outputs)."""
    mixtures = [Mixture(piece.rows, piece.masks(columns)) for piece in pieces]
    baseline_rows = len(rows.baselines())
    if len(mixtures) == 1:
        yield _values_in_slices(asked, rows, mixtures[0], max(1, block_rows // baseline_rows))
        return
    if not any(len(wanted.masks) for wanted in mixtures):
        yield from (np.zeros((len(wanted.instances), 0, 1)) for wanted in mixtures)
        return
    answers = asked.answers(rows.mixed(mixtures))
    start = 0
    for wanted in mixtures:
        shape = (len(wanted.instances), baseline_rows, len(wanted.masks))
        stop = start + int(np.prod(shape))
        yield asked.link(answers[start:stop].reshape(*shape, answers.shape[1]).mean(axis=1))
        start = stop


def _values_in_slices(asked: _Asked, rows: Rows, wanted: Mixture, most_rows: int) -> Floats:
    """Return the values of one piece, whose coalitions may be more than fit into memory at once."""
    instances, baseline_rows = len(wanted.instances), len(rows.baselines())
    step = max(1, most_rows // instances)
    parts = []
    for start in range(0, max(1, len(wanted.masks)), step):
        masks = wanted.masks[start : start + step]
        if not len(masks):
            return np.zeros((instances, 0, 1))
        answers = asked.answers(rows.mixed([Mixture(wanted.instances, masks)]))
        parts.append(asked.link(answers.reshape(instances, baseline_rows, len(masks), -1).mean(axis=1)))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _solve(piece: _Piece, values: Floats, result: Explanation) -> None:
    """Write the Shapley values of one piece, in place."""
    design, pairs = piece.design, len(piece.design.masks)
    outputs = len(result.expected)
    odd = np.empty((len(piece.rows), outputs, 1 + pairs))
    odd[:, :, 0] = (result.predictions[piece.rows] - result.expected) / 2
    if pairs:
        odd[:, :, 1:] = (values[:, :pairs] - values[:, pairs:]).transpose(0, 2, 1) / 2
    result.local[piece.rows[:, None, None], np.arange(outputs)[:, None], piece.players] = (
        odd @ design.projection.T
    )
    result.coalitions[piece.rows] = 2 * pairs
    if design.exact:
        return
    result.design[piece.rows] = piece.number
    result.spread[piece.rows[:, None], piece.players] = design.spread
    used = len(design.residuals)
    if used:
        # Unused places hold zeros; their share of the mean square goes to the others.
        scale = np.sqrt(RESIDUALS / used)
        result.residuals[piece.rows, :, :used] = (odd @ design.residuals.T) * scale
