"""Dependence of rows: how many independent rows they tell as much as.

The design effect is by how much the variance of a share is larger than that of independent rows, so that n
rows tell as much as n / design effect independent ones (Kish 1965). Von Neumann's estimate from the means of
successive blocks, ``b * sum (m[i+1] - m[i])**2 / (2 (B - 1)) / (p (1 - p))``, pooled over several indicators.
The block length b doubles until it is six times the largest estimate or fewer than `_FEWEST_BLOCKS` blocks
are left; the estimate is then extrapolated to long blocks, ``2 e(b) - e(b / 2)`` (the lugsail of Vats &
Flegal 2022). The three largest jumps are left out, so that a fault that begins or ends inside a window does
not pass as dependence.

Where `cluster_by` says which rows belong together, the effect is no less than that of the sums over clusters,
``sum |S[c] - n[c] p|**2 / (n p (1 - p)) * G / (G - 1)`` (Liang & Zeger 1986), with G = n**2 / sum n[c]**2,
the number of clusters of equal size that tell as much.
"""

import math

import numpy as np

from analyzers.shared.cells import Codes, Floats
from analyzers.shared.row_sample import CLUSTER, RUN, RowSample
from analyzers.shared.significance import student_quantile
from contract.errors import wording

_SHORTEST_BLOCK = 8
_FEWEST_BLOCKS = 14
_BLOCKS_PER_EFFECT = 6
_LARGEST_JUMPS = 3
_CLEARLY = 3.0  # standard deviations of the estimate above that of independent rows
_FEWEST_DEGREES = 6


def is_dependent(effect: float, blocks: int) -> bool:
    """Return whether a design effect is clearly above that of independent rows."""
    return blocks > 0 and effect > 1.0 + _CLEARLY * math.sqrt(2.0 / blocks)


def dependence_note(rows: int, effect: float) -> str:
    """Say that rows depend on each other, and how many independent ones they tell as much as."""
    return wording("quality_notes.dependent", rows=rows, enough=max(1, round(rows / effect)))


def student_ratio(deviations: float, blocks: int) -> float:
    """Return by how much an error known from so many blocks widens a band of so many deviations."""
    return student_quantile(deviations, max(_FEWEST_DEGREES, blocks - 1)) / deviations if blocks else 1.0


def quantile_groups(values: Floats, ordered: Floats | None = None) -> tuple[Codes, int]:
    """Return between which deciles of all values each lies, and the number of groups."""
    ordered = np.sort(values) if ordered is None else ordered
    cuts = np.unique(ordered[np.ceil(np.arange(1, 10) / 10.0 * values.size - 1.0).astype(np.int64)])
    # As `searchsorted` does, several times faster.
    return np.sum([values > cut for cut in cuts], axis=0), cuts.size + 1


def design_effect(
    groups: Codes, number: int, *, cumulative: bool, clusters: Codes | None = None
) -> tuple[float, int]:
    """Return the design effect of rows in order, and from how many blocks or clusters it was estimated.

    Parameters
    ----------
    groups
        Of each row, below `number`.
    number
        Of groups.
    cumulative
        Whether the indicators are "in this group or a lower one" instead of "in this group".
    clusters
        The number of each row's cluster, where that is known.
    """
    in_order = _effect_in_order(groups, number, cumulative)
    if clusters is None or not groups.size:
        return in_order
    _, places = np.unique(clusters, return_inverse=True)
    cells = np.bincount(places * number + groups, minlength=(int(places.max()) + 1) * number)
    counts = cells.reshape(-1, number).astype(np.float64)
    sizes = counts.sum(axis=1)
    if cumulative:
        counts = counts.cumsum(axis=1)[:, :-1]
    shares = counts.sum(axis=0) / groups.size
    spread = groups.size * float((shares * (1.0 - shares)).sum())
    number_of_equal = groups.size**2 / float(sizes @ sizes)
    if number_of_equal < 2.0:
        return float(groups.size), 1  # one cluster tells as much as one row
    if spread <= 0.0:
        return 1.0, int(number_of_equal)
    effect = float(((counts - np.outer(sizes, shares)) ** 2).sum()) / spread
    effect = round(effect * number_of_equal / (number_of_equal - 1.0), 3)
    return max(in_order, (max(1.0, effect), int(number_of_equal)))


def effect_of_numbers(sample: RowSample) -> tuple[float, int]:
    """Return the largest design effect of the numbers kept of rows, and from how many blocks or clusters.

    1 where no clusters are known and rows do not clearly depend on those before them.
    """
    found, clusters = [], sample.clusters()
    for name, arrays in sample.columns().items():
        values = np.concatenate([array.to_numpy(zero_copy_only=False) for array in arrays])
        finite = np.isfinite(values)
        if name != CLUSTER and finite.any():
            groups, number = quantile_groups(values[finite])
            known = None if clusters is None else clusters[finite]
            found.append(design_effect(groups, number, cumulative=True, clusters=known))
    effect, blocks = max(found, default=(1.0, 0))
    return (effect, blocks) if clusters is not None or is_dependent(effect, blocks) else (1.0, 0)


def _effect_in_order(groups: Codes, number: int, cumulative: bool) -> tuple[float, int]:
    length, blocks = _SHORTEST_BLOCK, groups.size // _SHORTEST_BLOCK
    if blocks < 2 * _LARGEST_JUMPS:
        return 1.0, 0
    places = np.repeat(np.arange(blocks) * number, length) + groups[: blocks * length]
    counts = np.bincount(places, minlength=blocks * number).reshape(blocks, number).astype(np.float64)
    if cumulative:
        counts = counts.cumsum(axis=1)[:, :-1]
    shares = counts.mean(axis=0) / length
    spread = float((shares * (1.0 - shares)).sum())
    if spread <= 0.0:
        return 1.0, blocks
    lengths = [length]
    effects = [_effect(counts, length, spread)]
    while blocks // 2 >= _FEWEST_BLOCKS and length < RUN:
        length, blocks = 2 * length, blocks // 2
        counts = counts[0 : 2 * blocks : 2] + counts[1 : 2 * blocks : 2]
        lengths.append(length)
        effects.append(_effect(counts, length, spread))
    # Of blocks shorter than a session most are followed by an equal one, so that only long ones show it.
    wanted = _BLOCKS_PER_EFFECT * max(effects)
    place = next((place for place, length in enumerate(lengths) if length >= wanted), len(lengths) - 1)
    effect = effects[place]
    if place:
        effect = max(effect, 2.0 * effect - effects[place - 1])
    return round(max(1.0, effect), 3), groups.size // lengths[place]


def _effect(counts: Floats, length: int, spread: float) -> float:
    jumps = np.sort((np.diff(counts, axis=0) ** 2) @ np.ones(counts.shape[1]))
    kept = jumps.size - _LARGEST_JUMPS
    # The three largest of exponential variables have this share of the sum of all.
    share = _LARGEST_JUMPS / jumps.size * (1.0 + math.log(jumps.size / _LARGEST_JUMPS))
    total = float(jumps[:kept].sum()) / max(0.1, 1.0 - share)
    return total / (2.0 * jumps.size * length) / spread
