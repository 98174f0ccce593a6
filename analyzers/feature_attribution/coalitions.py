"""Which coalitions of features the model is asked about.

A coalition is the set of features that keep the explained row's values; the others take the baseline's.
Coalitions come in pairs, each with its complement. The Shapley value is an odd function of the pairs: every
interaction of an even number of features cancels in ``v(S) - v(complement of S)``, so a pair tells more than
two coalitions drawn apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

type Masks = NDArray[np.bool_]


def number_of_pairs(players: int) -> int:
    """Return how many pairs of complements there are, the empty and the full coalition left out."""
    return (1 << (players - 1)) - 1 if players > 0 else 0


def default_num_samples(players: int) -> int:
    """Return Clarify's default number of coalitions: ``2 M + 2048``, at most ``2^M - 2``."""
    return min(2 * players + 2048, 2 * number_of_pairs(players))


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
    members = np.array(list(_members(players, size)), dtype=np.int64)
    masks = np.zeros((len(members), players), dtype=np.bool_)
    masks[np.arange(len(members))[:, None], members] = True
    return masks


def _members(players: int, size: int) -> Iterator[tuple[int, ...]]:
    for members in combinations(range(players), size):
        if 2 * size == players and members[0] != 0:
            return  # from here on only complements of those seen
        yield members


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
    while (again := _repeated(drawn)).any():
        drawn[again] = _uniform(players, wanted[again], generator)
    return np.concatenate((*chosen, drawn))


def _uniform(players: int, sizes: NDArray[np.int64], generator: np.random.Generator) -> Masks:
    """Return one coalition of every size given; of the middle size the one that holds the first player."""
    order = generator.random((len(sizes), players)).argsort(axis=1)
    masks = np.empty((len(sizes), players), dtype=np.bool_)
    np.put_along_axis(masks, order, np.arange(players) < sizes[:, None], axis=1)
    masks[(2 * sizes == players) & ~masks[:, 0]] ^= True
    return masks


def _repeated(masks: Masks) -> Masks:
    """Return which rows occur before."""
    packed = np.packbits(masks, axis=1)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    repeated = np.ones(len(masks), dtype=np.bool_)
    repeated[np.unique(keys, return_index=True)[1]] = False
    return repeated
