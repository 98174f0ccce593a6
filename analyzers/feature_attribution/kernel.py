"""Shapley values of any model: which rows to ask it for, and what its answers say of each feature.

A feature whose value equals the baseline's has the Shapley value 0 exactly and leaves the game; the game
of the ``m`` others is solved exactly where all ``2^m`` coalitions fit the budget, by sampling otherwise. The
same design (coalitions and the matrix that turns answers into values) serves all rows with equally many
features that differ, whichever those are, up to `ROWS_PER_DESIGN` rows; then a fresh one is drawn, so that
the mean over many rows does not carry the error of one design.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, takewhile
from math import comb
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analyzers.feature_attribution.rows import Masks, Positions, Rows, first_alike
from analyzers.shared.cells import Floats
from contract.errors import ConfigurationError, ModelError
from contract.wording import several

# From the model's answers on coalitions to Shapley values, as one fixed matrix per design.
#
# With ``d(S) = (v(S) - v(complement of S)) / 2`` every estimator here is linear, ``phi = projection @ d``,
# so one product solves all rows and outputs that share a design.
#
# Exact. All pairs were asked: the projection holds the weights of Shapley's formula.
#
# Sampled. The odd part of any game is ``d(S) = sum over odd sets T of a_T prod_{i in T} z_i``, where
# ``z_i`` is +1 for members of S and -1 for others, and ``phi_i = 2 sum over T containing i of a_T / |T|``.
# Least squares with Shapley's kernel (Lundberg and Lee 2017) fits the sets of one member and treats the
# rest as noise. Here the sets of one member are fitted freely, and the rest is a Gaussian process whose
# variance falls by a constant factor from each odd order to the next (universal kriging; the covariance of
# two coalitions depends on their Hamming distance alone, through Krawtchouk polynomials). So coalitions
# that overlap tell of each other. Values are exact for models with interactions of at most two features
# once there are as many pairs as features; they add up to ``v(all) - v(none)``; and they come with their
# own error, the kriging variance times a scale estimated from residuals left out one at a time. Measured
# beside the kernel-weighted fit in docs/shapley.md.


# Which coalitions of features the model is asked about.
#
# A coalition is the set of features that keep the explained row's values; the others take the baseline's.
# Coalitions come in pairs, each with its complement. The Shapley value is an odd function of the pairs:
# every interaction of an even number of features cancels in ``v(S) - v(complement of S)``, so a pair tells
# more than two coalitions drawn apart.


def number_of_pairs(players: int) -> int:
    """Return how many pairs of complements there are, the empty and the full coalition left out."""
    return (1 << (players - 1)) - 1 if players > 0 else 0


def enumerate_pairs(players: int) -> Masks:
    """Return one coalition of every pair: all that hold the last player, but the full one.

    Parameters
    ----------
    players
        Number of features that take part.

    Returns
    -------
    Array of shape (2^(players - 1) - 1, players); row ``c`` holds the bits of ``c``.
    """
    codes = np.arange(number_of_pairs(players), dtype=np.int64)
    masks = ((codes[:, None] >> np.arange(players)) & 1).astype(np.bool_)
    masks[:, players - 1 :] = True
    return masks


def draw_pairs(players: int, pairs: int, generator: np.random.Generator) -> tuple[Masks, int]:
    """Return distinct pairs, sizes filled completely from the outside while the budget allows.

    A size (together with its complement's) is filled when the share of the remaining budget that the Shapley
    kernel gives it covers all of its pairs. What is left of the budget goes in equal parts to the remaining
    sizes, members drawn uniformly without replacement: the solver (see ``solve``) weighs coalitions by what
    they tell of the rest, so that middle sizes, of which the kernel draws few, are worth their calls.

    Parameters
    ----------
    players
        Number of features that take part, at least 2.
    pairs
        Pairs wanted, fewer than ``number_of_pairs(players)``.
    generator
        Source of the members.

    Returns
    -------
    masks
        Array of shape (pairs, players), one coalition of each pair.
    filled
        How many leading rows belong to completely filled sizes; they are the same in every draw.
    """
    sizes = list(range(1, players // 2 + 1))
    mass = {size: _weight(players, size) / (size * (players - size)) for size in sizes}
    chosen: list[Masks] = []
    left = pairs
    while sizes:
        size = sizes[0]
        share = left * mass[size] / sum(mass[other] for other in sizes)
        if share < _pairs_of_size(players, size) - 1e-9:
            break
        chosen.append(_all_of_size(players, size))
        left -= len(chosen[-1])
        sizes.pop(0)
    filled = pairs - left
    chosen.append(_draw(players, sizes, _equal_parts(players, sizes, left, generator), generator))
    return np.concatenate(chosen), filled


def _weight(players: int, size: int) -> float:
    # The middle size is its own complement's, so it counts once where others count twice.
    return 0.5 if 2 * size == players else 1.0


def _pairs_of_size(players: int, size: int) -> int:
    return comb(players, size) // 2 if 2 * size == players else comb(players, size)


def _all_of_size(players: int, size: int) -> Masks:
    every: Iterator[tuple[int, ...]] = combinations(range(players), size)
    if 2 * size == players:  # those without the first player are complements of those with it
        every = takewhile(lambda members: members[0] == 0, every)
    members = np.array(list(every), dtype=np.int64)
    masks = np.zeros((len(members), players), dtype=np.bool_)
    masks[np.arange(len(members))[:, None], members] = True
    return masks


def _equal_parts(players: int, sizes: list[int], budget: int, generator: np.random.Generator) -> list[int]:
    """Return how many pairs each size gets; what a small size cannot take goes to the others."""
    counts = dict.fromkeys(sizes, 0)
    open_sizes = list(sizes)
    left = budget
    while left > 0 and open_sizes:
        weights = np.array([_weight(players, size) for size in open_sizes])
        whole = np.floor(left * weights / weights.sum()).astype(np.int64)
        whole[generator.permutation(len(open_sizes))[: left - int(whole.sum())]] += 1
        for size, part in zip(open_sizes, whole.tolist(), strict=True):
            taken = min(part, _pairs_of_size(players, size) - counts[size])
            counts[size] += taken
            left -= taken
        open_sizes = [size for size in open_sizes if counts[size] < _pairs_of_size(players, size)]
    return [counts[size] for size in sizes]


def _draw(players: int, sizes: list[int], counts: list[int], generator: np.random.Generator) -> Masks:
    """Return so many coalitions of every size, all distinct, no two of them complements."""
    chosen = [np.zeros((0, players), dtype=np.bool_)]
    sparse: list[int] = []
    for size, count in zip(sizes, counts, strict=True):
        if 2 * count > _pairs_of_size(players, size):
            everything = _all_of_size(players, size)
            chosen.append(everything[generator.permutation(len(everything))[:count]])
        else:
            sparse += [size] * count
    wanted = np.array(sparse, dtype=np.int64)
    drawn = _uniform(players, wanted, generator)
    while (again := first_alike(np.packbits(drawn, axis=1)) < np.arange(len(drawn))).any():
        drawn[again] = _uniform(players, wanted[again], generator)
    return np.concatenate((*chosen, drawn))


def _uniform(players: int, sizes: NDArray[np.int64], generator: np.random.Generator) -> Masks:
    """Return one coalition of every size given; of the middle size the one that holds the first player."""
    order = generator.random((len(sizes), players)).argsort(axis=1)
    masks = np.empty((len(sizes), players), dtype=np.bool_)
    np.put_along_axis(masks, order, np.arange(players) < sizes[:, None], axis=1)
    masks[(2 * sizes == players) & ~masks[:, 0]] ^= True
    return masks


# How much of the variance each odd order holds of the one before. From 0.03 to 0.3 the errors of smooth
# models and trees stay below those of least squares; larger shares waste less on games without structure.
_DECAY = 0.2
_HIGHEST_ORDER = 13

# Keeps the covariance positive definite where coalitions determine each other.
_NUGGET = 1e-9

# A dense system of this size takes 0.2 s; larger designs are averages of several.
_PAIRS_PER_SYSTEM = 2048

# A few more pairs than features may by chance not tell all features apart; such draws are repeated.
_SCARCE = 3
_REDRAWS = 100

# Residuals that estimate the scale of the error, per design: its standard error has 11 % noise.
RESIDUALS = 40


class Design(NamedTuple):
    """Coalitions and what to make of the model's answers on them.

    Parameters
    ----------
    masks
        One coalition of each pair, shape (pairs, players).
    projection
        Shape (players, 1 + pairs), applied to ``d`` of the full coalition and of every pair.
    residuals
        Shape (RESIDUALS, 1 + pairs): standardized left-out residuals; empty when the design is exact.
    spread
        Standard error of each player's value for residuals of size one; 0 when exact, NaN when the
        design has no residuals to tell it from.
    """

    masks: Masks
    projection: Floats
    residuals: Floats
    spread: Floats


@lru_cache(maxsize=32)
def exact_design(players: int) -> Design:
    """Return all pairs, and the weights of Shapley's formula.

    Notes
    -----
    ``phi_i = sum over S containing i of (|S| - 1)! (m - |S|)! / m! (v(S) - v(S without i))``, Shapley
    (1953). The weight of ``v(S)`` is the negative of its complement's, so pairs suffice.
    """
    masks = enumerate_pairs(players)
    everything = _with_all(masks)
    sizes = everything.sum(axis=1)
    inside = np.array([0.0] + [1.0 / (size * comb(players, size)) for size in range(1, players + 1)])
    outside = np.array([1.0 / ((players - size) * comb(players, size)) for size in range(players)] + [0.0])
    weights = np.where(everything, inside[sizes][:, None], -outside[sizes][:, None])
    projection, residuals = np.ascontiguousarray(2.0 * weights.T), np.zeros((0, len(weights)))
    return Design(masks, projection, residuals, np.zeros(players))


def sampled_design(players: int, pairs: int, generator: np.random.Generator) -> Design:
    """Return drawn pairs and their solution; the exact design when ``pairs`` covers them all.

    Parameters
    ----------
    players
        Number of features that take part.
    pairs
        Budget in pairs of coalitions, at least 1.
    generator
        Source of the coalitions.
    """
    if pairs >= number_of_pairs(players):
        return exact_design(players)
    masks, filled = draw_pairs(players, pairs, generator)
    if players <= pairs < _SCARCE * players:
        for _ in range(_REDRAWS):
            if _tells_apart(masks):
                break
            masks, filled = draw_pairs(players, pairs, generator)
    sampled = np.arange(filled, pairs) if filled < pairs else np.arange(pairs)
    candidates = generator.permutation(sampled)
    systems = -(-pairs // _PAIRS_PER_SYSTEM)
    if systems == 1:
        return _solve(masks, candidates[:RESIDUALS])
    return _average(masks, np.array_split(generator.permutation(pairs), systems), generator)


def _tells_apart(masks: Masks) -> bool:
    """Return whether no two features, nor sums of them, come and go together in every coalition."""
    signs = np.where(_with_all(masks), 1.0, -1.0)
    return bool(np.linalg.matrix_rank(signs) == masks.shape[1])


def _with_all(masks: Masks) -> Masks:
    """Return the coalitions after the one of all players."""
    return np.vstack((np.ones(masks.shape[1], dtype=np.bool_), masks))


def _average(masks: Masks, parts: list[NDArray[np.int64]], generator: np.random.Generator) -> Design:
    """Return the mean of independent systems; residuals come from the first."""
    pairs, players = masks.shape
    projection = np.zeros((players, 1 + pairs))
    residuals = np.zeros((0, 1 + pairs))
    variance = np.zeros(players)
    for number, part in enumerate(parts):
        design = _solve(masks[part], generator.permutation(len(part))[:RESIDUALS])
        columns = np.concatenate(([0], 1 + part))
        projection[:, columns] += design.projection / len(parts)
        variance += design.spread**2 / len(parts) ** 2
        if number == 0:
            residuals = np.zeros((len(design.residuals), 1 + pairs))
            residuals[:, columns] = design.residuals
    return Design(masks, projection, residuals, np.sqrt(variance))


def _solve(masks: Masks, residuals: NDArray[np.int64]) -> Design:
    """Return the universal kriging of the Shapley values from these pairs.

    Parameters
    ----------
    masks
        One coalition of each pair, shape (pairs, players).
    residuals
        Positions of the pairs whose left-out residuals estimate the scale.
    """
    pairs, players = masks.shape
    kernel = _kernel(players)
    coalitions = _with_all(masks)
    signs = np.where(coalitions, 1.0, -1.0)
    covariance = kernel.between[np.rint((players - signs @ signs.T) / 2).astype(np.intp)]
    asked = np.arange(1, 1 + pairs)
    covariance[asked, asked] += _NUGGET
    absent_others = (~coalitions).sum(axis=1)[:, None] - ~coalitions
    target = signs * kernel.with_value[absent_others]

    picked = np.zeros((1 + pairs, len(residuals)))
    picked[1 + residuals, np.arange(len(residuals))] = 1.0
    solved = np.linalg.solve(covariance, np.concatenate((signs, target, picked), axis=1))
    signs_solved, target_solved, picked_solved = np.split(solved, (players, 2 * players), axis=1)
    # The pseudo-inverse lets budgets below the number of features end in the smallest values that fit.
    information = np.linalg.pinv(signs.T @ signs_solved, rcond=1e-10, hermitian=True)
    trend = 2.0 * np.eye(players) - signs.T @ target_solved
    projection = (target_solved + signs_solved @ (information @ trend)).T
    variance = kernel.of_value - np.einsum("ci,ci->i", target, target_solved)
    variance += np.einsum("ti,tu,ui->i", trend, information, trend)
    left_out = (picked_solved - signs_solved @ (information @ (signs.T @ picked_solved))).T
    precision = left_out[np.arange(len(residuals)), 1 + residuals]
    told = precision > 1e-9 * kernel.of_value
    if pairs < players or not told.any() or not _tells_apart(masks):
        told[:] = False
        variance = np.full(players, np.nan)
    # Values add up to ``2 d(all) = v(all) - v(none)`` to the last bit or so.
    wanted = np.zeros(1 + pairs)
    wanted[0] = 2.0
    return Design(
        masks,
        np.ascontiguousarray(projection + (wanted - projection.sum(axis=0)) / players),
        left_out[told] / np.sqrt(precision[told])[:, None],
        np.sqrt(np.maximum(variance, 0.0)),
    )


@lru_cache(maxsize=64)
def shared_error(players: int, pairs: int) -> float:
    """Return which share of the error's variance two designs have in common, of the same game.

    Coalitions that are in both, and what neither can tell apart, err the same way however often a design is
    drawn. Estimated from two draws under the covariance that the solution assumes.
    """
    if pairs >= number_of_pairs(players):
        return 0.0
    kernel = _kernel(players)
    designs = [sampled_design(players, pairs, np.random.default_rng(number)) for number in range(2)]
    coalitions = [_with_all(one.masks) for one in designs]
    signs = [np.where(one, 1.0, -1.0) for one in coalitions]
    between = kernel.between[np.rint((players - signs[0] @ signs[1].T) / 2).astype(np.intp)]
    common = np.full(players, kernel.of_value)
    for one, sign, design in zip(coalitions, signs, designs, strict=True):
        target = sign * kernel.with_value[(~one).sum(axis=1)[:, None] - ~one]
        common -= np.einsum("ic,ci->i", design.projection, target)
    first, second = (design.projection for design in designs)
    common += np.einsum("ic,ic->i", first @ between, second)
    own = np.mean([design.spread**2 for design in designs])
    return float(np.clip(common.mean() / own, 0.0, 1.0)) if own > 0.0 else 1.0


class _Kernel(NamedTuple):
    """Covariances of the odd part's orders three and above, whose variances sum to one.

    Parameters
    ----------
    between
        Of two coalitions, by Hamming distance.
    with_value
        Of a coalition and the Shapley value of one of its members, by the number of other players it lacks.
    of_value
        Of a Shapley value with itself.
    """

    between: Floats
    with_value: Floats
    of_value: float


@lru_cache(maxsize=64)
def _kernel(players: int) -> _Kernel:
    orders = range(3, min(players, _HIGHEST_ORDER) + 1, 2)
    if not orders:
        # Fewer than three players have no such orders; an identity leaves least squares.
        return _Kernel(np.eye(1, players + 1)[0], np.zeros(players), 0.0)
    variances = np.array([_DECAY ** ((order - 3) / 2) for order in orders])
    variances /= variances.sum()
    between, with_value, of_value = np.zeros(players + 1), np.zeros(players), 0.0
    for order, variance in zip(orders, variances, strict=True):
        between += variance * _mean_sign(players, order)
        # A set of k players holds a given one in k of m cases, and gives it 2 / k of its coefficient.
        with_value += variance * 2.0 / players * _mean_sign(players - 1, order - 1)
        of_value += variance * 4.0 / (order * players)
    return _Kernel(between, with_value, float(of_value))


def _mean_sign(length: int, order: int) -> Floats:
    """Return the mean product of signs over all sets of ``order`` positions, by how many signs are negative.

    This is Krawtchouk's polynomial divided by its value at zero. The terms of its sum add up to one in
    size, so nothing is lost where they cancel.
    """
    negative = np.arange(length + 1)
    values = np.zeros(length + 1)
    for among in range(order + 1):
        ways = _choose(negative, among) * _choose(length - negative, order - among)
        values += (-1.0) ** among * ways / comb(length, order)
    return values


def _choose(available: NDArray[np.int64], wanted: int) -> Floats:
    ways = np.ones(len(available))
    for position in range(wanted):
        ways *= (available - position) / (position + 1)
    return ways


type Predict = Callable[[Any], NDArray[Any]]

# Rows are explained in windows of this many positions; results depend on where windows begin, not on batches.
WINDOW_ROWS = 1024
ROWS_PER_DESIGN = 256

# All coalitions of 20 features; their solution fills 100 MB.
MOST_SAMPLES = 1 << 20

# Where the user gave no budget, all coalitions of this many features are asked: 4,096, twice the default.
EXACT_FEATURES = 12

# Size of the tables that the model is asked about, at 8 bytes a cell: about what caches hold. Values do not
# depend on it, but for rounding.
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
    """

    num_samples: int | None = None
    use_logit: bool = False
    seed: int = 0
    exact_features: int | None = None

    def __post_init__(self) -> None:
        if self.num_samples is not None and not 2 <= self.num_samples <= MOST_SAMPLES:
            field, given = "methods.shap.num_samples", self.num_samples
            raise ConfigurationError.of("shapley.num_samples", field=field, given=given, most=MOST_SAMPLES)

    def pairs(self, features: int, players: int) -> int:
        """Return how many pairs to ask for a row in which ``players`` of all ``features`` differ."""
        exact = self.exact_features
        if exact is None:
            exact = EXACT_FEATURES if self.num_samples is None else 0
        everything = number_of_pairs(players)
        default = min(2 * features + 2048, 2 * number_of_pairs(features))
        budget = default if self.num_samples is None else self.num_samples
        # With all but a few, what larger sets hold fits every answer, so that nothing tells it from the rest.
        is_nearly_all = players <= budget // 2 and everything - players <= budget // 2
        return everything if players <= exact or is_nearly_all else min(budget // 2, everything)


# Local Shapley values with their errors.

_BY_ROW = ("local", "predictions", "coalitions", "design", "residuals", "spread")


@dataclass(frozen=True)
class Explanation:
    """Shapley values of rows, in the units of the model's answers (log-odds with ``use_logit``).

    Parameters
    ----------
    local
        Shape (rows, outputs, features); over features they add up to ``predictions - expected``.
    expected
        The model's mean answer on the baseline rows, shape (outputs,).
    predictions
        The model's answers on the rows, shape (rows, outputs).
    coalitions
        Coalitions asked for every row, 0 where nothing but the row itself had to be asked, shape (rows,).
    design
        Rows with the same number share coalitions, so that their errors are correlated; -1 where values
        are exact. Shape (rows,).
    residuals
        Standardized left-out residuals, shape (rows, outputs, RESIDUALS); 0 where values are exact.
    spread
        Standard error of a value for residuals of size one, shape (rows, features); 0 where exact, NaN where
        fewer pairs of coalitions were asked than there are features.
    model_rows
        Rows that the model was asked for.
    """

    local: Floats
    expected: Floats
    predictions: Floats
    coalitions: NDArray[np.int64]
    design: NDArray[np.int64]
    residuals: Floats
    spread: Floats
    model_rows: int

    @property
    def standard_error(self) -> Floats:
        """Standard error of every local value from the choice of coalitions, shape of ``local``."""
        scale = np.sqrt(np.mean(self.residuals**2, axis=2))
        return scale[:, :, None] * self.spread[:, None, :]


def exact_explanation(local: Floats, expected: Floats, model_rows: int = 0) -> Explanation:
    """Return values that were not estimated from coalitions, such as those of a shortcut.

    Parameters
    ----------
    local
        Shape (rows, outputs, features).
    expected
        Shape (outputs,).
    model_rows
        Rows that the model was asked for.
    """
    rows, outputs, features = local.shape
    return Explanation(
        local=local,
        expected=expected,
        predictions=expected + local.sum(axis=2),
        coalitions=np.zeros(rows, dtype=np.int64),
        design=np.full(rows, -1, dtype=np.int64),
        residuals=np.zeros((rows, outputs, RESIDUALS)),
        spread=np.zeros((rows, features)),
        model_rows=model_rows,
    )


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
    expected = asked.mean_of(Rows(instances[:0], baselines).baselines)
    for start in range(0, max(1, len(instances)), WINDOW_ROWS):
        window = Rows(instances[start : start + WINDOW_ROWS], baselines)
        yield _explained(asked, window, expected, sampling, first_position + start)


def expected_of(
    predict: Predict, instances: pa.RecordBatch, baselines: pa.RecordBatch, sampling: Sampling
) -> Floats:
    """Return the model's mean answer on the baseline rows, shape (outputs,)."""
    return _Asked(predict, sampling.use_logit).mean_of(Rows(instances[:0], baselines).baselines)


class _Asked:
    """The model, with what it answers checked, and the rows it was asked for counted."""

    def __init__(self, predict: Predict, use_logit: bool) -> None:
        self._predict = predict
        self._use_logit = use_logit
        self._rows = 0

    def mean_of(self, reference: Any) -> Floats:
        """Return the mean answer on the baseline rows, in log-odds where these are wanted."""
        if not len(reference):
            raise ConfigurationError.of("shapley.no_baseline", field="methods.shap.baseline")
        return self.link(self.answers(reference).mean(axis=0))

    def answers(self, table: Any) -> Floats:
        """Return the scores of a table, shape (rows, outputs)."""
        rows = len(table)
        scores = np.asarray(self._predict(table), dtype=np.float64)
        if scores.ndim == 1:
            scores = scores[:, None]
        if scores.ndim != 2 or len(scores) != rows:
            raise ModelError.of("shapley.shape", shape=scores.shape, rows=several(rows, "row"))
        if not np.isfinite(scores).all():
            row = int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])
            raise ModelError.of("shapley.not_finite", scores=scores[row].tolist(), row=row, rows=rows)
        if self._use_logit and (scores.min(initial=0.5) < -1e-6 or scores.max(initial=0.5) > 1 + 1e-6):
            field, low, high = "methods.shap.use_logit", scores.min(), scores.max()
            raise ConfigurationError.of("shapley.no_probabilities", field=field, low=low, high=high)
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


class _Piece(NamedTuple):
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


def _explained(asked: _Asked, rows: Rows, expected: Floats, sampling: Sampling, position: int) -> Explanation:
    """Return the values of one window; rows that occur again are solved once."""
    differing = rows.differing()
    count, columns = differing.shape
    first = rows.first_alike()
    distinct = np.unique(first)
    outputs = len(expected)
    result = exact_explanation(np.zeros((count, outputs, columns)), expected)
    block_rows = max(64, BLOCK_BYTES // (_CELL_BYTES * max(1, columns)))
    for start in range(0, len(distinct), block_rows):
        block = distinct[start : start + block_rows]
        result.predictions[block] = asked.link(asked.answers(rows.instances(block)))
    most_rows = block_rows // len(rows.baselines)
    for some in _packed(_pieces(differing, distinct, sampling, position, most_rows), most_rows):
        for piece, values in zip(some, _values(asked, rows, some, most_rows), strict=True):
            _write(piece, values, result)
    by_row = {name: getattr(result, name)[first] for name in _BY_ROW}
    return replace(result, **by_row, model_rows=asked.counted())


def _pieces(
    differing: Masks, distinct: Positions, sampling: Sampling, position: int, most_rows: int
) -> Iterator[_Piece]:
    """Return what to solve: rows by the number of features that differ, then by which, in small parts."""
    columns = differing.shape[1]
    players = differing[distinct].sum(axis=1)
    number = position
    for size in np.unique(players[players > 0]).tolist():
        pairs = sampling.pairs(columns, size)
        members = distinct[players == size]
        for start in range(0, len(members), ROWS_PER_DESIGN):
            chunk = members[start : start + ROWS_PER_DESIGN]
            generator = np.random.default_rng([sampling.seed % 2**64, position, size, start])
            design = sampled_design(size, pairs, generator)
            together = max(1, most_rows // max(1, 2 * len(design.masks)))
            # In groups that differ from the baseline in the same features.
            packed = np.packbits(differing[chunk], axis=1)
            _, inverse = np.unique(packed, axis=0, return_inverse=True)
            order = np.argsort(inverse, kind="stable")
            for rows in np.split(chunk[order], np.flatnonzero(np.diff(inverse[order])) + 1):
                for part in np.split(rows, range(together, len(rows), together)):
                    yield _Piece(part, np.flatnonzero(differing[part[0]]), design, number)
            number += 1


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


def _values(asked: _Asked, rows: Rows, pieces: Sequence[_Piece], most_rows: int) -> Iterator[Floats]:
    """Yield the values of the coalitions of every piece, each of shape (rows, 2 pairs, outputs)."""
    wanted = [(piece.rows, piece.masks(rows.baselines.num_columns)) for piece in pieces]
    baseline_rows = len(rows.baselines)
    shapes = [(len(instances), baseline_rows, len(masks)) for instances, masks in wanted]
    if not any(len(masks) for _, masks in wanted):
        yield from (np.zeros((instances, 0, 1)) for instances, _, _ in shapes)
    elif len(wanted) == 1:
        # The coalitions of one piece may be more than fit into memory at once.
        [(instances, masks)] = wanted
        step = max(1, most_rows // len(instances))
        slices = [masks[start : start + step] for start in range(0, len(masks), step)]
        pairs = zip(slices, (asked.answers(rows.mixed([(instances, some)])) for some in slices), strict=True)
        means = (scores.reshape(*shapes[0][:2], len(some), -1).mean(axis=1) for some, scores in pairs)
        parts = [asked.link(mean) for mean in means]
        yield parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    else:
        together = asked.answers(rows.mixed(wanted))
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        for shape, scores in zip(shapes, np.split(together, ends[:-1]), strict=True):
            yield asked.link(scores.reshape(*shape, together.shape[1]).mean(axis=1))


def _write(piece: _Piece, values: Floats, result: Explanation) -> None:
    """Write the Shapley values of one piece, in place."""
    design, pairs = piece.design, len(piece.design.masks)
    outputs = len(result.expected)
    odd = np.empty((len(piece.rows), outputs, 1 + pairs))
    odd[:, :, 0] = (result.predictions[piece.rows] - result.expected) / 2
    if pairs:
        odd[:, :, 1:] = (values[:, :pairs] - values[:, pairs:]).transpose(0, 2, 1) / 2
    places = (piece.rows[:, None, None], np.arange(outputs)[:, None], piece.players)
    result.local[places] = odd @ design.projection.T
    result.coalitions[piece.rows] = 2 * pairs
    if pairs >= number_of_pairs(len(piece.players)):
        return
    result.design[piece.rows] = piece.number
    result.spread[piece.rows[:, None], piece.players] = design.spread
    used = len(design.residuals)
    if used:
        # Unused places hold zeros; their share of the mean square goes to the others.
        scale = np.sqrt(RESIDUALS / used)
        result.residuals[piece.rows, :, :used] = (odd @ design.residuals.T) * scale
