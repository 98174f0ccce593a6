"""How many separate tests the metrics of a group amount to: they are functions of the same few counts.

With n tests that a false alarm may come from, each at level q, some alarm in at most n q of the windows
(Bonferroni). Where tests alarm together that is too much, and wastes power. Let S be how many alarm, and let
test j alarm with probability ``w_j q`` when nothing has changed. One alarm or more is the sum of 1 / S over
those that alarm, so

    P(some test alarms) = sum_j w_j q E[1 / S | j alarms] = q W:

the tests cost an effective weight W of at most ``sum_j w_j``, and level ``rate / W`` keeps the rate. This is
the single-step procedure of Westfall & Young (1993, Resampling-Based Multiple Testing, section 2.3). In each
of the draws some test alarms already (Owen, Maximov & Chertkov 2019, Importance sampling the union of rare
events, Electronic Journal of Statistics 13), so that 2,000 suffice for any level, where plain resampling
would need a million for one in 10,000.

Both tables of counts are resampled whole, all metrics from the same cells, and a metric's moves from baseline
to window are given the ranks of a normal distribution; that a test alarms then moves the others along their
correlation (Hothorn, Bretz & Westfall 2008, Simultaneous inference in general parametric models, Biometrical
Journal 50). A test alarms when the size of its metric grows: far up or far down where the baseline is near no
bias, in one direction where it is not.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from analyzers.bias.formulas import Floats
from analyzers.bias.held import Held
from analyzers.bias.resampling import draw_together

_DRAWS = 2_000
_LARGEST_LEVEL = 0.5
_NORMAL = NormalDist()


@dataclass(frozen=True)
class _Moves:
    """How metrics move together by chance alone.

    Parameters
    ----------
    scores
        Moves with the ranks of a normal distribution, shape (draws, metrics).
    correlation
        Of the scores.
    positions
        The baseline's values in standard errors of a move.
    """

    scores: Floats
    correlation: Floats
    positions: Floats


def effective_weight(group: Held, weights: Mapping[str, float], level: float, seed: int) -> float:
    """Return the weight that a group's tests cost together, at most the sum of theirs.

    Parameters
    ----------
    group
        With the counts of the window and of the baseline.
    weights
        By metric. Metrics whose limit is not a value of the baseline's counts, and those of strata, whose
        counts are not part of the group's table, cost their full weight, which is enough however they depend.
    level
        Of a weight of 1. Smaller levels depend less, so this should be the smallest one considered.
    seed
        Of the resampling.
    """
    total = sum(weights.values())
    joint = [name for name in weights if group.limits[name].own]
    if group.before is None or not joint:
        return total
    generators = np.random.default_rng([seed, 3]).spawn(3)
    now = draw_together(group.window, joint, _DRAWS, generators[0])
    then = draw_together(group.before, joint, _DRAWS, generators[1])
    joint = [name for name in joint if name in now]
    if len(joint) < 2:
        return total
    levels = np.array([min(_LARGEST_LEVEL, level * weights[name]) for name in joint])
    moves = _moves(np.stack([now[name] for name in joint]), np.stack([then[name] for name in joint]))
    apart = total - sum(weights[name] for name in joint)
    return apart + (total - apart) * _share_alarming_first(moves, levels, generators[2])


def _moves(now: Floats, then: Floats) -> _Moves:
    """Return the moves of ``[metric, draw]``."""
    with np.errstate(invalid="ignore"):
        raw = now - then
    order = raw.argsort(axis=1, kind="stable")
    scores = np.empty_like(raw)
    np.put_along_axis(scores, order, np.broadcast_to(_normal_scores(), raw.shape), axis=1)
    low, high = (int(share * raw.shape[1]) for share in (0.1587, 0.8413))
    ordered = np.take_along_axis(raw, order[:, [low, high]], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        positions = 2.0 * np.asarray(np.median(then, axis=1)) / (ordered[:, 1] - ordered[:, 0])
    # Without a spread a metric may grow on either side, as from 0.
    positions = np.asarray(np.where(np.isfinite(positions), positions, 0.0))
    return _Moves(scores.T, np.asarray(np.corrcoef(scores)), positions)


@functools.cache
def _normal_scores() -> Floats:
    return np.array([_NORMAL.inv_cdf((rank + 0.5) / _DRAWS) for rank in range(_DRAWS)])


def _share_alarming_first(moves: _Moves, levels: Floats, generator: np.random.Generator) -> float:
    """Return E[1 / S] for S tests that alarm, over draws in which one does, chosen by the levels."""
    # Distances from no move at which a test alarms: with the baseline's sign, and against it.
    sides = [
        _thresholds(float(level), abs(float(z))) for level, z in zip(levels, moves.positions, strict=True)
    ]
    along, against = np.array(sides).T
    towards = np.copysign(1.0, moves.positions)
    chances = np.array([[_NORMAL.cdf(-along), _NORMAL.cdf(-against)] for along, against in sides]).ravel()
    chosen = generator.choice(chances.size, len(moves.scores), p=chances / chances.sum())
    test, is_against = np.divmod(chosen, 2)
    tails = chances[chosen] * (1.0 - generator.random(len(chosen)))
    far = np.array([-_NORMAL.inv_cdf(tail) for tail in tails.tolist()])
    far *= np.where(is_against, -towards[test], towards[test])
    rows = np.arange(len(chosen))
    moved = moves.scores + (far - moves.scores[rows, test])[:, None] * moves.correlation[test]
    moved *= towards
    alarms = (moved >= along) | (moved <= -against)
    alarms[rows, test] = True
    return float(np.mean(1.0 / alarms.sum(axis=1)))


def _thresholds(level: float, position: float) -> tuple[float, float]:
    """Return how far a metric must move to have grown at a level: with the baseline's sign, and against."""
    # Against its sign a metric must first come back from where it was, and as far again.
    against = max(-_NORMAL.inv_cdf(level / 2.0), 2.0 * position)
    return -_NORMAL.inv_cdf(level - _NORMAL.cdf(-against)), against
