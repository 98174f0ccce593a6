"""Shares of rows that changed: how much, and whether chance explains it.

Definitions
-----------
effect
    Cohen's (1988) h, ``2 asin sqrt(p1) - 2 asin sqrt(p0)``: 0 -> 0.25 %, 1 -> 2.25 %, 2 -> 3.6 % and
    50 -> 55 % are all 0.1. Small shares count by their ratio, large ones by their difference.
evidence
    ``n0 KL(p0 || p) + n1 KL(p1 || p)`` with the pooled share p: half the likelihood-ratio statistic of two
    binomials. ``exp(-evidence)`` is close to the tail of the hypergeometric distribution: the tail is at most
    1.02 times as large where shares are below 10 % and both sides have 500 rows, and 1.25 times elsewhere
    (400,000 tables of 50 to 20,000 rows were searched; there is no proof). It is linear in the rows, so that
    dependence divides the rows of each side by their design effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzers.data_quality.columns import FeaturePair, category_counts
from analyzers.data_quality.distance import Distribution, shares_at
from analyzers.data_quality.documents import FeatureStatistics, SampleStatistics, tail_ranks
from analyzers.data_quality.sample_statistics import KNOWN_VALUES
from analyzers.shared.dependence import student_ratio
from contract.wording import number, percent, shorten

Floats = npt.NDArray[np.float64]

_QUANTILES = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
# Shares compared of one feature at most: 7 quantiles, 6 ranks at each end, values repeated on either side.
COMPARED = 150
_TAIL_RANKS = (1, 4, 16, 64, 256, 1024)


@dataclass(frozen=True)
class Dependence:
    """The design effects of baseline and window, and by how much not knowing them exactly raises the bar."""

    before: float = 1.0
    now: float = 1.0
    blocks: int = 0

    def least_evidence(self, alpha: float) -> float:
        """Return the evidence at which a two-sided comparison has probability `alpha` of a false alarm."""
        least = math.log(2.0 / alpha)
        return least * student_ratio(math.sqrt(2.0 * least), self.blocks) ** 2


def dependence(pair: FeaturePair, *, of_missing: bool = False) -> Dependence:
    """Return how the rows of a feature depend on each other, by the baseline and no less by the window."""
    before, now = (side.sample if side else None for side in (pair.baseline, pair.current))
    known = before or now
    if known is None:
        return Dependence()
    effects = [
        side.missing_design_effect if of_missing else side.design_effect
        for side in (before or known, now or known)
    ]
    return Dependence(effects[0], max(effects), known.blocks)


@dataclass(frozen=True)
class Change:
    """A share of rows that changed; `evidence` and `least` are in the unit of `evidence()`."""

    text: str
    effect: float
    limit: float
    evidence: float
    least: float

    @property
    def violated(self) -> bool:
        """Return whether it is beyond the limit and beyond chance."""
        return abs(self.effect) > self.limit and self.evidence > self.least


@dataclass(frozen=True)
class _Shares:
    """Rows of baseline and window with some properties, and the words for each."""

    before: Floats
    now: Floats
    totals: tuple[float, float]
    words: Callable[[int, float, float], str]


def effect_size(before: npt.ArrayLike, now: npt.ArrayLike) -> Floats:
    """Return Cohen's h of shares."""
    low, high = np.clip(before, 0.0, 1.0), np.clip(now, 0.0, 1.0)
    return np.asarray(2.0 * np.arcsin(np.sqrt(high)) - 2.0 * np.arcsin(np.sqrt(low)))


def evidence(
    before: Floats, now: Floats, totals: tuple[float, float], effects: tuple[float, float]
) -> Floats:
    """Return the evidence that the shares of two samples differ.

    Parameters
    ----------
    before, now
        Rows with the property, shape (n,).
    totals
        Rows of each side.
    effects
        Design effects of each side.
    """
    rows = [total / effect for total, effect in zip(totals, effects, strict=True)]
    shares = [np.clip(side / total, 0.0, 1.0) for side, total in zip((before, now), totals, strict=True)]
    pooled = (shares[0] * rows[0] + shares[1] * rows[1]) / (rows[0] + rows[1])
    return sum(
        (count * _divergence(share, pooled) for count, share in zip(rows, shares, strict=True)), np.zeros(1)
    )


def _divergence(share: Floats, pooled: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(share > 0.0, share * np.log(share / pooled), 0.0)
        outside = np.where(share < 1.0, (1.0 - share) * np.log((1.0 - share) / (1.0 - pooled)), 0.0)
    return np.asarray(inside + outside)


def changed_shares(
    pair: FeaturePair, baseline: Distribution | None, current: Distribution | None, alpha: float
) -> list[Change]:
    """Return the most telling change of each kind of share.

    Parameters
    ----------
    pair
        The feature.
    baseline, current
        The distributions of numbers; None for text.
    alpha
        Probability of a false alarm that all shares of the feature may have together.
    """
    before, now = (side.sample if side else None for side in (pair.baseline, pair.current))
    kinds: list[tuple[_Shares | None, int]] = []
    counts = [category_counts(side) if side else None for side in (pair.baseline, pair.current)]
    if baseline is not None and current is not None:
        kinds.append((_quantile_shares(baseline, current), COMPARED))
        if before is not None and now is not None:
            kinds += [(shares, COMPARED) for shares in _tail_shares(before, now)]
    if counts[0] is not None and counts[1] is not None:
        # Values that are new are for the check of known values, where there is one.
        now_listed = (
            counts[1]
            if pair.expected.domains is None
            else {v: n for v, n in counts[1].items() if v in counts[0]}
        )
        listed = _listed_shares(counts[0], now_listed, sum(counts[1].values()))
        kinds.append((listed, listed.before.size))
    elif before is not None and now is not None:
        kinds.append((_repeated_shares(before, now), COMPARED))
    found = dependence(pair)
    changes = [
        _most_telling(shares, found, pair.config.share_threshold(text=baseline is None), alpha / compared)
        for shares, compared in kinds
        if shares is not None and shares.before.size and all(shares.totals)
    ]
    if counts[0] is None and before is not None and now is not None and baseline is None:
        fresh = _new_values(before, now, found, pair.config.share_threshold(text=True), alpha / COMPARED)
        changes += [fresh] if fresh else []
    return changes


def _most_telling(shares: _Shares, found: Dependence, limit: float, alpha: float) -> Change:
    before, now = shares.before / shares.totals[0], shares.now / shares.totals[1]
    effects = effect_size(before, now)
    found_evidence = evidence(shares.before, shares.now, shares.totals, (found.before, found.now))
    least = found.least_evidence(alpha)
    # Those beyond chance first; among them the largest.
    place = int(np.lexsort((np.abs(effects), (found_evidence > least) & (np.abs(effects) > limit)))[-1])
    text = shares.words(place, float(before[place]), float(now[place]))
    return Change(text, float(effects[place]), limit, float(found_evidence[place]), least)


def _quantile_shares(baseline: Distribution, current: Distribution) -> _Shares:
    points = np.unique(
        baseline.values[np.minimum(np.searchsorted(baseline.shares, _QUANTILES), baseline.values.size - 1)]
    )
    before, now = shares_at(baseline, points), shares_at(current, points)
    # What the sketches may have misplaced is no change.
    error = baseline.rank_error + current.rank_error
    now = before + np.sign(now - before) * np.maximum(np.abs(now - before) - error, 0.0)

    def words(place: int, share: float, share_now: float) -> str:
        return f"share of values up to {number(points[place])} {percent(share)} -> {percent(share_now)}"

    return _Shares(before * baseline.count, now * current.count, (baseline.count, current.count), words)


def _tail_shares(before: SampleStatistics, now: SampleStatistics) -> list[_Shares]:
    """Return the rows beyond values that few rows of the baseline are beyond, at the low and the high end.

    Bounds of the counts on the cautious side: a sample keeps values at some ranks only.
    """
    if not before.low or not now.low:
        return []
    ranks = tail_ranks(before.rows)
    chosen = np.unique(
        np.searchsorted(ranks, [rank for rank in _TAIL_RANKS if rank <= ranks[-1]], side="right") - 1
    )
    tails = []
    for low_end in (True, False):
        sign = 1.0 if low_end else -1.0
        known = sign * np.array(before.low if low_end else before.high, dtype=np.float64)
        seen = sign * np.array(now.low if low_end else now.high, dtype=np.float64)
        limits = known[chosen]
        fewest_before, most_before = _rows_below(known, limits, before.rows)
        fewest, most = _rows_below(seen, limits, now.rows)
        most_before = np.maximum(most_before, ranks[chosen])
        side, extreme = ("below", seen[0] * sign) if low_end else ("above", seen[0] * sign)

        def words(
            place: int,
            share: float,
            share_now: float,
            limits: Floats = sign * limits,
            side: str = side,
            extreme: float = extreme,
        ) -> str:
            value = number(limits[place % limits.size])
            return (
                f"share of values {side} {value} {percent(share)} -> {percent(share_now)}, the farthest "
                f"{number(extreme)} (outliers, another unit, or a stand-in for missing values?)"
            )

        # More rows out there than the baseline has at most, or fewer than it has at least.
        tails.append(
            _Shares(
                np.concatenate([most_before, np.minimum(fewest_before, most_before)]),
                np.concatenate([np.maximum(fewest, 0.0), most]),
                (before.rows, now.rows),
                words,
            )
        )
    return [_one_sided(tail) for tail in tails]


def _one_sided(tail: _Shares) -> _Shares:
    """Return the shares with those equalised that moved against the side their bounds are cautious for."""
    half = tail.before.size // 2
    before, now = tail.before / tail.totals[0], tail.now / tail.totals[1]
    moved = np.where(np.arange(tail.before.size) < half, now > before, now < before)
    return _Shares(tail.before, np.where(moved, tail.now, before * tail.totals[1]), tail.totals, tail.words)


def _rows_below(kept: Floats, limits: Floats, rows: int) -> tuple[Floats, Floats]:
    """Return the fewest and the most rows that can lie below each limit."""
    ranks = np.concatenate([[0], tail_ranks(rows)[: kept.size], [rows + 1]]).astype(np.float64)
    places = np.searchsorted(kept, limits, side="left")
    return ranks[places], ranks[places + 1] - 1.0


def _listed_shares(before: dict[str, int], now: dict[str, int], rows_now: int) -> _Shares:
    values = list({**before, **now})
    rows = [np.array([side.get(value, 0) for value in values], dtype=np.float64) for side in (before, now)]

    def words(place: int, share: float, share_now: float) -> str:
        return f"share of {shorten(values[place])!r} {percent(share)} -> {percent(share_now)}"

    return _Shares(rows[0], rows[1], (rows[0].sum(), rows_now), words)


def _repeated_shares(before: SampleStatistics, now: SampleStatistics) -> _Shares:
    """Return the rows of values listed on either side; the other may have as many as it does not list."""
    sides = [dict(before.repeated), dict(now.repeated)]
    values = list({**sides[0], **sides[1]})
    spare = (before.next_repeated, now.next_repeated)
    rows = [
        np.array([side.get(value, most) for value in values], dtype=np.float64)
        for side, most in zip(sides, spare, strict=True)
    ]

    # A value listed on one side only is compared with the bound, which must not pass for a change itself.
    for side, other, total, other_total in ((0, 1, before.rows, now.rows), (1, 0, now.rows, before.rows)):
        unlisted = np.array([value not in sides[side] for value in values], dtype=np.bool_)
        equal = rows[other] / max(1, other_total) * total
        rows[side] = np.where(unlisted & (rows[side] > equal), equal, rows[side])

    def words(place: int, share: float, share_now: float) -> str:
        value = values[place]
        text = number(value) if isinstance(value, int | float) else repr(shorten(value))
        return (
            f"share of the single value {text} {percent(share)} -> {percent(share_now)} (a default, an "
            "imputed value, or a feed that stands still?)"
        )

    return _Shares(rows[0], rows[1], (before.rows, now.rows), words)


def _new_values(
    before: SampleStatistics, now: SampleStatistics, found: Dependence, limit: float, alpha: float
) -> Change | None:
    """Return the share of values that the baseline has not, beside what one of its tenths has alone."""
    if before.fresh is None or not before.rows or not now.known:
        return None
    largest = [side.known[-1] if len(side.known) >= KNOWN_VALUES else math.inf for side in (before, now)]
    old = set(before.known)
    rows = {
        value: count for value, count in zip(now.known, now.known_rows, strict=False) if value <= min(largest)
    }
    total = sum(rows.values())
    if not total:
        return None
    new = sum(count for value, count in rows.items() if value not in old)
    # Values were chosen, not rows: rows of one value stand or fall together (Kish's effective number).
    independent = min(total * total / sum(count * count for count in rows.values()), now.rows / found.now)
    share, usual = new / total, before.fresh / before.rows
    if share <= usual:
        return None
    measured = evidence(
        np.array([float(before.fresh)]),
        np.array([share * independent]),
        (before.rows, independent),
        (found.before, 1.0),
    )
    text = (
        f"share of values that are new {percent(usual)} -> {percent(share)} (another vocabulary or encoding?)"
    )
    effect = float(effect_size(usual, share))
    return Change(text, effect, limit, float(measured[0]), found.least_evidence(alpha))


def rows_of(feature: FeatureStatistics | None) -> int | None:
    """Return the number of values of a feature."""
    return feature.num_present if feature else None
