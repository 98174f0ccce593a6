"""Drift under sound rules: a distance, a share or a correlation beyond its limit and beyond chance.

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

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analyzers.data_quality import columns
from analyzers.data_quality import distance as distances
from analyzers.data_quality.columns import FeaturePair, category_counts, holds_dates, number_count
from analyzers.data_quality.distance import Distribution, bucket_distance, shares_at, sketch_distribution
from analyzers.data_quality.documents import NumericalStatistics, SampleStatistics, Statistics, tail_ranks
from analyzers.data_quality.sample_statistics import CORRELATION_BLOCK, KNOWN_VALUES, pairs_of
from analyzers.data_quality.text import read_texts
from analyzers.shared.cells import Floats, as_float32, distinct_of
from analyzers.shared.significance import kolmogorov_band, student_ratio
from contract.api import SHIFT, CheckType, Comparison, Part, Shift, State
from contract.errors import wording
from contract.json_layout import java_double
from contract.wording import chance, number, percent, shorten

_QUANTILES = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
# Shares compared of one feature at most: 7 quantiles, 6 ranks at each end, values repeated on either side.
COMPARED = 150
# Topics come and go: of texts that are mostly different only what moves by three limits is damage. They have
# more traits than values are compared, and these take a sixth of the false alarms.
_TRAITS_COMPARED, _TRAITS_PART = 6 * COMPARED, 3.0
# A column of which so many values are different is a key. HyperLogLog's counts hardly ever differ by 40 %.
_KEY, _COUNTED_BELOW = 0.8, 1.4
_DAY = 86_400.0
_AT_MOST, _AT_LEAST = "at most ", "at least "
_TAIL_RANKS = (1, 4, 16, 64, 256, 1024)
# A share that so many times the false alarms would have found, of independent rows, is not decided.
_OPEN = 30.0


class Dependence(NamedTuple):
    """The design effects of baseline and window, and by how much not knowing them exactly raises the bar."""

    before: float = 1.0
    now: float = 1.0
    blocks: int = 0

    def least_evidence(self, alpha: float) -> float:
        """Return the evidence at which a two-sided comparison has probability `alpha` of a false alarm."""
        least = math.log(2.0 / alpha)
        return least * student_ratio(math.sqrt(2.0 * least), self.blocks) ** 2

    def widening(self, alpha: float) -> float:
        """Return by how much that widens a band of chance."""
        return math.sqrt(self.least_evidence(alpha) / math.log(2.0 / alpha))


def dependence(pair: FeaturePair, *, of_missing: bool = False) -> Dependence:
    """Return how the rows of a feature depend on each other, by the baseline and no less by the window."""
    before, now = (side.sample if side else None for side in (pair.baseline, pair.current))
    known = before or now
    if known is None:
        return Dependence()
    sides = (before or known, now or known)
    effects = [side.missing_design_effect if of_missing else side.design_effect for side in sides]
    return Dependence(effects[0], max(effects), known.blocks)


class Change(NamedTuple):
    """A share of rows that changed; `evidence` and `least` are in the unit of `evidence()`.

    `kind` tells what kind of rows, such as ``low end``; `text` makes a clause of it. `doubt` is by how much
    its evidence, with rows of both sides as independent as the baseline's, is beyond what leaves it open.
    """

    kind: str
    text: Callable[[], str]
    effect: float
    limit: float
    evidence: float
    least: float
    doubt: float

    @property
    def violated(self) -> bool:
        """Return whether it is beyond the limit and beyond chance."""
        return abs(self.effect) > self.limit and self.evidence > self.least

    @property
    def is_open(self) -> bool:
        """Return whether it is beyond the limit, and too rare in windows without a change to hold."""
        return abs(self.effect) > self.limit and self.evidence <= self.least and self.doubt > 0.0


class _Shares(NamedTuple):
    """Rows of baseline and window with some properties, what rows have each of them, and what it may mean.

    `kind` is that of a `Change`; `compared` are the shares that share false alarms, `part` multiplies the
    limit. `bounds` says of both sides whether a share is ``at most`` or ``at least`` what is told. What
    `open` times the false alarms would have found is not decided.
    """

    kind: str
    before: Floats
    now: Floats
    totals: tuple[float, float]
    of: Callable[[int], str]
    hint: str = ""
    compared: int = COMPARED
    part: float = 1.0
    bounds: Callable[[int], tuple[str, str]] = lambda _: ("", "")
    open: float = _OPEN


def effect_size(before: npt.ArrayLike, now: npt.ArrayLike) -> Floats:
    """Return Cohen's h of shares."""
    low, high = (np.minimum(np.maximum(side, 0.0), 1.0) for side in (before, now))
    return np.asarray(2.0 * np.arcsin(np.sqrt(high)) - 2.0 * np.arcsin(np.sqrt(low)))


# Of baseline and window.
type _Sides = Sequence[npt.ArrayLike]


def evidence(before: npt.ArrayLike, now: npt.ArrayLike, totals: _Sides, effects: _Sides) -> Floats:
    """Return the evidence that the shares of two samples differ.

    Parameters
    ----------
    before, now
        Rows with the property, of one shape.
    totals
        Rows of each side.
    effects
        Design effects of each side.
    """
    rows = [np.divide(total, effect) for total, effect in zip(totals, effects, strict=True)]
    sides = zip((before, now), totals, strict=True)
    share = np.minimum(np.maximum([np.divide(side, total) for side, total in sides], 0.0), 1.0)
    pooled = (share[0] * rows[0] + share[1] * rows[1]) / (rows[0] + rows[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(share > 0.0, share * np.log(share / pooled), 0.0)
        outside = np.where(share < 1.0, (1.0 - share) * np.log((1.0 - share) / (1.0 - pooled)), 0.0)
    divergence = inside + outside
    return np.asarray(rows[0] * divergence[0] + rows[1] * divergence[1])


# The distributions of numbers of baseline and window; None for text.
type _Numbers = tuple[Distribution | None, Distribution | None]


def _compared_shares(pair: FeaturePair, numbers: _Numbers) -> list[_Shares]:
    """Return each kind of share of a feature."""
    baseline, current = numbers
    before, now = (side.sample if side else None for side in (pair.baseline, pair.current))
    if holds_dates(pair.baseline) and before is not None and now is not None:
        return _date_shares(before, now, pair)
    kinds: list[_Shares | None] = []
    counts = [category_counts(side) if side else None for side in (pair.baseline, pair.current)]
    if baseline is not None and current is not None:
        kinds.append(_quantile_shares(baseline, current))
        if before is not None and now is not None:
            kinds += [_tail_shares(before, now, low_end=low_end) for low_end in (True, False)]
    elif current is not None:
        return []  # a baseline that kept buckets only
    if counts[0] is not None and counts[1] is not None:
        now_listed = counts[1]
        if pair.expected.domains is not None:  # values that are new are for the check of known values
            now_listed = {value: rows for value, rows in counts[1].items() if value in counts[0]}
        kinds.append(_listed_shares(counts[0], now_listed, sum(counts[1].values())))
    elif before is not None and now is not None:
        kinds.append(_repeated_shares(before, now))
    if before is not None and now is not None and before.traits and now.traits:
        kinds.append(_trait_shares(before, now))
    kinds.append(_different_shares(pair))
    return [one for one in kinds if one is not None and one.before.size and all(one.totals)]


def _measure(asked: list[tuple[_Shares, Dependence]]) -> Iterator[list[list[float]]]:
    """Yield the effects and the evidence of each, worked out together: one pass is as cheap as any.

    And the evidence where the window's rows are as independent as the baseline's.
    """
    if not asked:
        return
    sizes = [shares.before.size for shares, _ in asked]
    before, now = (np.concatenate([getattr(one, side) for one, _ in asked]) for side in ("before", "now"))
    totals = [np.repeat(side, sizes) for side in zip(*(one.totals for one, _ in asked), strict=True)]
    spread = [np.repeat([getattr(found, side) for _, found in asked], sizes) for side in ("before", "now")]
    told = [evidence(before, now, totals, effects) for effects in (spread, [spread[0], spread[0]])]
    found = [one.tolist() for one in (effect_size(before / totals[0], now / totals[1]), *told)]
    for start, end in itertools.pairwise(itertools.accumulate(sizes, initial=0)):
        yield [one[start:end] for one in found]


def _most_telling(
    shares: _Shares, measured: list[list[float]], limit: float, found: Dependence, alpha: float
) -> Change:
    effects, told, doubts = measured
    limit, least = round(limit * shares.part, 12), found.least_evidence(alpha / shares.compared)
    least_open = math.log(2.0 * len(effects) / alpha) - math.log(shares.open)

    def order(place: int) -> tuple[int, float, int]:
        size = abs(effects[place])
        kind = 2 if told[place] > least else int(doubts[place] > least_open)
        return kind if size > limit else 0, size, place

    # Those beyond chance first, then those left open; among them the largest.
    place = max(range(len(effects)), key=order)

    def text() -> str:
        sides = zip((shares.before, shares.now), shares.totals, shares.bounds(place), strict=True)
        moved = " -> ".join(f"{bound}{percent(float(side[place] / total))}" for side, total, bound in sides)
        return f"share of {shares.of(place)}: {moved}{shares.hint}"

    return Change(shares.kind, text, effects[place], limit, told[place], least, doubts[place] - least_open)


def _quantile_shares(baseline: Distribution, current: Distribution) -> _Shares:
    places = np.searchsorted(baseline.shares, _QUANTILES)
    points = distinct_of(baseline.values[np.minimum(places, baseline.values.size - 1)])
    before, now = shares_at(baseline, points), shares_at(current, points)
    # What the sketches may have misplaced is no change.
    error = baseline.rank_error + current.rank_error
    now = before + np.sign(now - before) * np.maximum(np.abs(now - before) - error, 0.0)
    counts = baseline.count, current.count
    rows = before * counts[0], now * counts[1]
    return _Shares("quantiles", *rows, counts, lambda place: f"values up to {number(points[place])}")


def _tail_shares(before: SampleStatistics, now: SampleStatistics, *, low_end: bool) -> _Shares | None:
    """Return the rows beyond values that few rows of the baseline are beyond, at the low or the high end.

    Bounds of the counts on the cautious side: a sample keeps values at some ranks only.
    """
    if not before.low or not now.low:
        return None
    limits, rows = _tail_of(before, low_end)
    sign = 1.0 if low_end else -1.0
    seen = sign * as_float32(now.low if low_end else now.high)
    fewest, most = _rows_below(seen, limits, now.rows)
    rows_now = np.concatenate([np.maximum(fewest, 0.0), most])
    # What moved against the side that its bounds are cautious for counts as equal.
    share, share_now = rows / before.rows, rows_now / now.rows
    moved = np.where(np.arange(rows.size) < limits.size, share_now > share, share_now < share)
    rows_now = np.where(moved, rows_now, share * now.rows)
    farthest = number(sign * seen[0])
    hint = f", the farthest {farthest} (outliers, another unit, or a stand-in for missing values?)"
    side = "below" if low_end else "above"

    def beyond(place: int) -> str:
        return f"values {side} {number(sign * limits[place % limits.size])}"

    kind = "low end" if low_end else "high end"
    told = [(_AT_MOST * (most > 0.0), _AT_LEAST) for most in rows[: limits.size].tolist()]
    told += [(_AT_LEAST, _AT_MOST)] * limits.size
    return _Shares(kind, rows, rows_now, (before.rows, now.rows), beyond, hint, bounds=told.__getitem__)


@functools.lru_cache(4096)  # of a baseline, which many windows are compared with
def _tail_of(before: SampleStatistics, low_end: bool) -> tuple[Floats, Floats]:
    """Return values that few rows are beyond, with the most and the fewest rows that can be."""
    ranks = tail_ranks(before.rows)
    wanted = [rank for rank in _TAIL_RANKS if rank <= ranks[-1]]
    chosen = distinct_of(np.searchsorted(ranks, wanted, side="right") - 1)
    known = as_float32(before.low) if low_end else -as_float32(before.high)
    limits = known[chosen]
    fewest, most = _rows_below(known, limits, before.rows)
    # More rows out there than the baseline has at most, or fewer than it has at least.
    return limits, np.concatenate([most, np.minimum(fewest, most)])


def _rows_below(kept: Floats, limits: Floats, rows: int) -> tuple[Floats, Floats]:
    """Return the fewest and the most rows that can lie below each limit."""
    ranks = np.concatenate([[0], tail_ranks(rows)[: kept.size], [rows + 1]]).astype(np.float64)
    places = np.searchsorted(kept, limits, side="left")
    return ranks[places], ranks[places + 1] - 1.0


def _listed_shares(before: dict[str, int], now: dict[str, int], rows_now: int) -> _Shares:
    values = list({**before, **now})
    rows = [np.array([side.get(value, 0) for value in values], dtype=np.float64) for side in (before, now)]
    totals = (float(rows[0].sum()), rows_now)
    return _Shares(
        "values", rows[0], rows[1], totals, lambda place: repr(shorten(values[place])), compared=len(values)
    )


def _repeated_shares(before: SampleStatistics, now: SampleStatistics) -> _Shares:
    """Return the rows of values listed on either side; the other may have as many as it does not list."""
    sides = [_repeated_of(before), _repeated_of(now)]
    values = list({**sides[0], **sides[1]})
    spare = (before.next_repeated, now.next_repeated)
    pairs = zip(sides, spare, strict=True)
    rows = [np.array([side.get(value, most) for value in values], np.float64) for side, most in pairs]

    # A value listed on one side only is compared with the bound, which must not pass for a change itself.
    for side, other, total, other_total in ((0, 1, before.rows, now.rows), (1, 0, now.rows, before.rows)):
        unlisted = np.array([value not in sides[side] for value in values], dtype=np.bool_)
        equal = rows[other] / max(1, other_total) * total
        rows[side] = np.where(unlisted & (rows[side] > equal), equal, rows[side])

    def single(place: int) -> str:
        value = values[place]
        # In full, to be looked for: float32 has seven digits.
        return f"the single value {repr(shorten(value)) if isinstance(value, str) else number(value, 7)}"

    def bounds(place: int) -> tuple[str, str]:
        lacks = [values[place] not in side and limit > 0 for side, limit in zip(sides, spare, strict=True)]
        return _AT_MOST * lacks[0], _AT_MOST * lacks[1]

    hint = " (a default, an imputed value, or a feed that stands still?)"
    return _Shares("values", rows[0], rows[1], (before.rows, now.rows), single, hint, bounds=bounds)


def _date_shares(before: SampleStatistics, now: SampleStatistics, pair: FeaturePair) -> list[_Shares]:
    """Return the rows of dates by more than all of the baseline's time before or after it.

    Dates go on: the later end moves as the earlier quarter did, and the earlier end with a window before it.
    """
    first, last = before.low[0], before.high[0]
    known = pair.current.string.extra["dates"] if pair.current.string else {}
    gone = max(0.0, last - now.high[0] - known.get("age_in_days", math.inf) * _DAY)
    went_on, spare = max(0.0, now.low[-1] - before.low[-1]), max(last - first, 31.0 * _DAY)

    def beyond(kind: str, side: str, end: float, dates: list[float]) -> _Shares:
        sign = 1.0 if side == "before" else -1.0
        rows, _ = _rows_below(sign * np.array(dates), np.array([sign * end]), now.rows)
        limit, farthest = (str(np.datetime64(int(one), "s"))[:10] for one in (end, dates[0]))
        hint = f", the farthest {farthest} (a stand-in for missing values, a stale feed, or another unit?)"
        # No window without a change has one, be it that too few rows tell.
        about = (lambda _: f"dates {side} {limit}", hint, COMPARED, 1.0, lambda _: ("", _AT_LEAST), math.inf)
        return _Shares(kind, np.zeros(1), np.maximum(rows, 0.0), (before.rows, now.rows), *about)

    ends = first - spare - gone, last + spare + went_on
    found = [beyond("low end", "before", ends[0], now.low), beyond("high end", "after", ends[1], now.high)]
    return [*found, *filter(None, [_different_shares(pair)])]


def _different_shares(pair: FeaturePair) -> _Shares | None:
    """Return how many values of a key are different: in fewer rows no smaller share is."""
    if pair.current.numerical is not None and pair.expected.inferred_type != "Integral":
        return None
    sides = [side for side in (pair.baseline, pair.current) if side is not None]
    rows, counts = [side.num_present for side in sides], [columns.distinct_count(side) for side in sides]
    if len(sides) < 2 or not min(rows) or counts[0] < _KEY * rows[0]:
        return None
    # In n times as many rows are as many different ones at least. Both counts are estimates.
    usual = min(counts[0] / rows[0], 1.0) * min(1.0, rows[0] / rows[1])
    share = min(usual, counts[1] / rows[1] * _COUNTED_BELOW)
    known = (np.array([usual * rows[0]]), np.array([share * rows[1]]), (rows[0], rows[1]))
    about = ["values that are different"].__getitem__, " (rows twice, or a key that is none any more?)"
    return _Shares("different", *known, *about, bounds=lambda _: ("", _AT_MOST))


def _trait_shares(before: SampleStatistics, now: SampleStatistics) -> _Shares:
    """Return the rows whose texts have something in common, such as a word, on either side."""
    sides = [replace(side, repeated=side.traits, next_repeated=side.next_trait) for side in (before, now)]
    names = list(dict([*before.traits, *now.traits]))
    return _repeated_shares(*sides)._replace(
        kind="traits",
        of=lambda place: f"texts with {names[place]}",
        hint=" (another language, template, encoding or length?)",
        compared=_TRAITS_COMPARED,
        part=_TRAITS_PART,
    )


def _repeated_of(sample: SampleStatistics) -> Counter[float | str]:
    numbers = iter(as_float32([one for one, _ in sample.repeated if not isinstance(one, str)]).tolist())
    counts: Counter[float | str] = Counter()
    for one, count in sample.repeated:
        counts[one if isinstance(one, str) else next(numbers)] += count
    return counts


def _new_values(
    before: SampleStatistics, now: SampleStatistics, found: Dependence, limit: float, alpha: float
) -> Change | None:
    """Return the share of values that the baseline has not, beside what one of its tenths has alone."""
    if before.fresh is None or not before.rows or not now.known:
        return None
    largest = [side.known[-1] if len(side.known) >= KNOWN_VALUES else math.inf for side in (before, now)]
    # A choice of values tells nothing of one that is frequent: those are compared by themselves.
    frequent = [dict(side.repeated) for side in (before, now)]
    texts = pa.array([str(value) for side in frequent for value in side], pa.string())
    hashes = read_texts(texts, hash_as_text=True).hashes >> np.uint64(32)
    old, apart = set(before.known), set(hashes.tolist())
    pairs = zip(now.known, now.known_rows, strict=False)
    rows = {value: count for value, count in pairs if value <= min(largest) and value not in apart}
    total = sum(rows.values())
    others = [side.rows - sum(listed.values()) for side, listed in zip((before, now), frequent, strict=True)]
    if not total or min(others) <= 0:
        return None
    new = sum(count for value, count in rows.items() if value not in old)
    # Values were chosen, not rows: rows of one value stand or fall together (Kish's effective number).
    independent = min(total * total / sum(count * count for count in rows.values()), others[1] / found.now)
    share, usual = new / total, min(1.0, before.fresh / others[0])
    if share <= usual:
        return None
    measured = float(
        evidence(usual * others[0], share * independent, (others[0], independent), (found.before, 1.0))
    )
    # As shares of all rows of the window.
    part = 1.0 - sum(count for value, count in now.repeated if value in frequent[0]) / now.rows
    share, usual = share * part, usual * part
    text = wording("drift.new_values", usual=percent(usual), share=percent(share))
    effect, least = float(effect_size(usual, share)), found.least_evidence(alpha)
    return Change(
        "new values", lambda: text, effect, limit, measured, least, measured - least + math.log(_OPEN)
    )


# One feature: its distance, and the shares of its rows.

# What part of a feature's false alarms its distance may raise; the rest is that of its shares.
_DISTANCE_PART = 0.4
_MOST_CHANGES = 2  # of one feature in its sentence, the largest


class Drift(NamedTuple):
    """How far a feature moved.

    `distance` is None where no distance can be measured. `band` is what chance alone explains, in the unit of
    `distance`; None where a p-value decides. `changes` holds the shares compared, `shift` where numbers
    moved to.
    """

    name: str
    distance: float | None
    threshold: float
    band: float | None
    is_far: bool
    moved: str
    changes: tuple[Change, ...] = ()
    shift: Shift | None = None

    @property
    def violated(self) -> bool:
        """Return whether the distance or any share is beyond its limit and beyond chance."""
        return self.is_far or any(change.violated for change in self.changes)

    @property
    def is_beyond_chance(self) -> bool:
        """Return whether anything moved further than chance explains, within the limit or not."""
        far = self.distance is not None and self.band is not None and self.distance > self.band
        return self.violated or far or any(change.evidence > change.least for change in self.changes)

    @property
    def parts(self) -> dict[str, Part]:
        """Return how far the distance and each kind of share moved."""
        found = [(change.kind, change.effect, change.limit, change.violated) for change in self.changes]
        if self.distance is not None:
            found.append(("distance", self.distance, self.threshold, self.is_far))
        if self.shift is not None:
            found.append((SHIFT, self.shift.by, self.shift.limit, False))
        return {
            name: Part(effect / limit if limit > 0.0 else math.copysign(math.inf, effect), violated)
            for name, effect, limit, violated in found
        }

    @property
    def excess(self) -> float:
        """Return the distance in thresholds, for sorting."""
        told = (abs(part.excess) for name, part in self.parts.items() if part.violated or name == "distance")
        return max(told, default=0.0)

    @property
    def text(self) -> str:
        """Return a sentence; it ends as the originals' does, because parsers read two numbers from there."""
        changed = [change for change in self.changes if change.violated]
        changed.sort(key=lambda change: -abs(change.effect))
        parts = [text for change in changed if (text := change.text()) not in self.moved][:_MOST_CHANGES]
        if self.moved and self.moved not in parts:
            explained = "" if self.band is None else f", where chance explains up to {percent(self.band)}"
            parts.insert(0 if self.is_far or not changed else len(parts), f"{self.moved}{explained}")
        if changed:
            parts.append(chance(math.exp(-max(change.evidence for change in changed))))
        moved = "; ".join(parts) or "nothing"
        if self.is_far or not changed:
            distance, threshold = self.distance or 0.0, self.threshold
        else:
            distance, threshold = abs(changed[0].effect), changed[0].limit
        verb = _verb(self.violated, distance > threshold)
        texts = {"distance": java_double(round(distance, 12)), "threshold": java_double(threshold)}
        return wording("drift.moved", moved=f"{moved[0].upper()}{moved[1:]}", verb=verb, **texts)


def _verb(violated: bool, is_beyond: bool) -> str:
    return "exceeds" if violated else "exceeds, perhaps by chance," if is_beyond else "does not violate"


def compares_drift(pair: FeaturePair) -> bool:
    """Return whether drift can be measured: enabled, and both sides kept figures of the same kind."""
    if not pair.config.perform_comparison or pair.baseline is None or columns.has_unknown_dates(pair):
        return False
    if pair.current.numerical is not None and pair.baseline.numerical is not None:
        before = pair.baseline.numerical
        return pair.current.numerical.sketch is not None and bool(before.sketch or before.buckets)
    if pair.current.numerical is not None or pair.baseline.numerical is not None:
        return False
    if category_counts(pair.baseline) and category_counts(pair.current):
        return True
    sides = (pair.baseline, pair.current)
    return all(side.sample is not None and side.num_present for side in sides)


def measure_drifts(pairs: Iterable[FeaturePair], alpha: float) -> list[Drift]:
    """Measure the drift of each feature that `compares_drift`, and of which neither side is empty.

    Parameters
    ----------
    pairs
        The features on both sides.
    alpha
        Probability of a false alarm that each comparison may have.
    """
    sides = [(pair, _numbers_of(pair)) for pair in pairs if compares_drift(pair)]
    asked = [(_compared_shares(*side), dependence(side[0])) for side in sides]
    told = _measure([(shares, found) for kinds, found in asked for shares in kinds])
    alphas = _DISTANCE_PART * alpha, (1.0 - _DISTANCE_PART) * alpha
    drifts: list[Drift | None] = []
    for (pair, numbers), (kinds, found) in zip(sides, asked, strict=True):
        limit = pair.config.share_threshold(text=numbers[0] is None)
        changes = [_most_telling(shares, next(told), limit, found, alphas[1]) for shares in kinds]
        if pair.current.numerical is None:
            drifts.append(_drift_of_text(pair, found, limit, alphas, changes))
        else:
            drifts.append(_numeric_drift(pair, numbers, alphas[0], changes))
    return [drift for drift in drifts if drift is not None]


def _numbers_of(pair: FeaturePair) -> _Numbers:
    known = [
        side.numerical.sketch if side and side.numerical else None for side in (pair.baseline, pair.current)
    ]
    baseline = distances.baseline_distribution(known[0]) if known[0] else None
    return baseline, sketch_distribution(known[1]) if known[1] else None


def _drift_of_text(
    pair: FeaturePair, found: Dependence, limit: float, alphas: tuple[float, float], changes: list[Change]
) -> Drift:
    assert pair.baseline is not None  # noqa: S101 - for mypy: it was compared
    before, now = category_counts(pair.baseline), category_counts(pair.current)
    samples = pair.baseline.sample, pair.current.sample
    if before is None and samples[0] is not None and samples[1] is not None:
        fresh = _new_values(samples[0], samples[1], found, limit, alphas[1] / COMPARED)
        changes = [*changes, fresh] if fresh else changes
    if not before or not now:
        moved = max(changes, key=lambda change: abs(change.effect)).text() if changes else ""
        return Drift(pair.name, None, pair.config.categorical_threshold, None, False, moved, tuple(changes))
    return _text_drift(pair, before, now, alphas[0], tuple(changes))


def _numeric_drift(pair: FeaturePair, numbers: _Numbers, alpha: float, changes: list[Change]) -> Drift | None:
    before, now = (side.numerical if side else None for side in (pair.baseline, pair.current))
    (baseline, current), found, shift = numbers, dependence(pair), None
    if before is None or now is None or current is None:
        return None
    if baseline is not None:
        distance, widest, told, rank = distances.numeric_distance(baseline, current)
        shift = _shift(rank, (current, baseline), found, pair.config.comparison_threshold)
        count, rank_error = baseline.count, baseline.rank_error + current.rank_error
        where = f"share of values up to {number(widest)}: {percent(told[0])} -> {percent(told[1])}"
    else:
        coarse = bucket_distance(before, current)
        if coarse is None:
            return None
        distance, widest = coarse
        count, rank_error = float(before.num_present), current.rank_error
        where = f"the shares differ most at {number(widest)}"
    # The rows of each side tell as much as so many independent ones.
    band = kolmogorov_band(count / found.before, current.count / found.now, alpha)
    band = min(1.0, found.widening(alpha) * band + rank_error)
    threshold = pair.config.comparison_threshold
    is_far = distance > (threshold if pair.config.comparison_method == "Simple" else max(threshold, band))
    moved = ", ".join([*_moments_moved(before, now), where])
    return Drift(pair.name, distance, threshold, band, is_far, moved, tuple(changes), shift)


def _shift(rank: float, sides: Sequence[Distribution], found: Dependence, threshold: float) -> Shift:
    """Return where numbers moved to, by the mean of their ranks in the baseline, ties in the middle.

    Ranks go from 0 to 1, and deviate no more than the uniform distribution does, whatever the values are.
    Their mean never moves further than the distance does, so that the limit of that is one of this.
    """
    pairs = zip(sides, (found.now, found.before), strict=True)
    errors = [math.sqrt(effect / (12.0 * side.count)) + side.rank_error for side, effect in pairs]
    return Shift(rank - 0.5, errors[0], errors[1], threshold)


def _moments_moved(before: NumericalStatistics, now: NumericalStatistics) -> list[str]:
    if before.mean is None or now.mean is None:
        return []
    means = [number(mean) for mean in (before.mean, now.mean)]
    moved = [f"mean {means[0]} -> {means[1]}"]
    if means[0] == means[1] and before.std_dev is not None and now.std_dev is not None:
        moved.append(f"standard deviation {number(before.std_dev)} -> {number(now.std_dev)}")
    return moved


def _text_drift(
    pair: FeaturePair, before: dict[str, int], now: dict[str, int], alpha: float, changes: tuple[Change, ...]
) -> Drift:
    found, shifts = dependence(pair), distances.category_shift(before, now)
    threshold, simple = pair.config.categorical_threshold, pair.config.comparison_method == "Simple"

    def moved(category: str) -> str:
        shares = [counts.get(category, 0) / sum(counts.values()) for counts in (before, now)]
        return f"share of {shorten(category)!r}: {percent(shares[0])} -> {percent(shares[1])}"

    if pair.config.categorical_drift_method == "ChiSquared":
        distance = sum(abs(shift) for shift in shifts.values()) / 2.0
        # Rao & Scott (1981): the statistic of dependent rows, divided by their mean design effect.
        effects = ((before, found.before), (now, found.now))
        sides = [{category: rows / effect for category, rows in side.items()} for side, effect in effects]
        p_value = distances.homogeneity_p_value(*sides)
        widest = max(shifts, key=lambda category: abs(shifts[category]))
        about = {"share": percent(distance), "p_value": p_value, "moved": moved(widest)}
        text = wording("drift.chi_squared", **about)
        is_far = distance > threshold and (simple or p_value < alpha)
        return Drift(pair.name, distance, threshold, None, is_far, text, changes)
    per_category = alpha / len(shifts)
    rows = [np.array([side.get(value, 0) for value in shifts], dtype=np.float64) for side in (before, now)]
    totals = (float(rows[0].sum()), float(rows[1].sum()))
    measured = evidence(rows[0], rows[1], totals, (found.before, found.now))
    told = zip(shifts.items(), (measured > found.least_evidence(per_category)).tolist(), strict=True)
    far = [category for (category, shift), sure in told if abs(shift) > threshold and (simple or sure)]
    widest = max(far or shifts, key=lambda category: abs(shifts[category]))
    # What chance explains, for readers: a normal approximation.
    share = (before.get(widest, 0) + now.get(widest, 0)) / (totals[0] + totals[1])
    # Imported late: it loads fractions and decimals, which only this needs.
    from statistics import NormalDist

    deviations = -NormalDist().inv_cdf(per_category / 2.0) * found.widening(per_category)
    n, m = totals[0] / found.before, totals[1] / found.now
    band = min(1.0, deviations * math.sqrt(share * (1.0 - share) * (n + m) / (n * m)))
    return Drift(pair.name, abs(shifts[widest]), threshold, band, bool(far), moved(widest), changes)


# Pairs of numeric features whose rank correlation changed.

# A rank correlation varies a little more than Pearson's (Fieller, Hartley & Pearson 1957).
_RANK_VARIANCE = 1.06
_LARGEST = 0.999
_MOST_LISTED = 20


def changed_correlations(
    pairs: list[FeaturePair], baseline: Statistics | None, statistics: Statistics, alpha: float
) -> list[tuple[str, Comparison]] | None:
    """Return the comparison of each pair of numeric features after the first one's name, violated ones first.

    Fisher's z of the correlations, and the difference beside the larger of both sides' variances, which holds
    for features of any distribution; the rows of each side are divided by the larger design effect of the two
    features. At `alpha` over all pairs together. None where a side has no correlations.
    """
    if baseline is None or baseline.correlations is None or statistics.correlations is None:
        return None
    compared = [pair for pair in pairs if pair.config.perform_comparison]
    sides = []
    for document, features in (
        (baseline, [pair.baseline for pair in compared]),
        (statistics, [pair.current for pair in compared]),
    ):
        known = document.correlations
        assert known is not None  # noqa: S101 - for mypy: returned above
        matrix, spread = np.zeros((2, len(known.features), len(known.features)))
        matrix[pairs_of(len(known.features))] = known.pairs
        spread[pairs_of(len(known.features))] = known.variances or 1.0
        places = {name: place for place, name in enumerate(known.features)}
        found = [places.get(feature.name, -1) if feature else -1 for feature in features]
        present = np.array([number_count(one) / max(1, one.rows) if one else 0.0 for one in features])
        sides.append((matrix + matrix.T, spread + spread.T, np.array(found), present, known.rows))
    both = np.flatnonzero((sides[0][2] >= 0) & (sides[1][2] >= 0))
    if both.size < 2:
        return None
    first, second = pairs_of(both.size)
    dependences = [dependence(compared[place]) for place in both]
    values, spreads, per_row = [], [], np.zeros(first.size)
    for side, (matrix, spread, places_of, present, rows) in enumerate(sides):
        chosen = places_of[both]
        values.append(np.clip(matrix[np.ix_(chosen, chosen)][first, second], -_LARGEST, _LARGEST))
        spreads.append(spread[np.ix_(chosen, chosen)][first, second])
        effects = np.array([found.now if side else found.before for found in dependences])
        effect = np.maximum(effects[first], effects[second])
        complete = rows * present[both][first] * present[both][second]
        # Ranks within blocks leave out what differs between blocks.
        independent = complete / effect - rows / CORRELATION_BLOCK - 3.0
        per_row += 1.0 / np.maximum(independent, 1e-9)
    least = max(found.least_evidence(alpha / first.size) for found in dependences)
    deviation = np.abs(np.arctanh(values[1]) - np.arctanh(values[0])) / np.sqrt(_RANK_VARIANCE * per_row)
    change = np.abs(values[1] - values[0])
    deviation = np.minimum(deviation, change / np.sqrt(np.maximum(np.maximum(*spreads), 1e-9) * per_row))
    limits = np.array([compared[place].config.correlation_comparison_threshold for place in both])
    limit = np.maximum(limits[first], limits[second])
    told, is_large = deviation**2 / 2.0, change > limit
    violated = is_large & (told > least)
    order = np.lexsort((-change, ~violated))
    decided = []
    for place in order[: max(_MOST_LISTED, int(violated.sum()))].tolist():
        one, other = (compared[both[side[place]]].name for side in (first, second))
        then, now = (float(side[place]) for side in values)
        verb = _verb(bool(violated[place]), bool(is_large[place]))
        p_value = math.exp(-float(told[place]))
        texts = {"then": number(then), "now": number(now), "distance": java_double(round(abs(now - then), 3))}
        texts |= {"verb": verb, "threshold": java_double(float(limit[place]))}
        text = wording("drift.correlation", one=one, other=other, sure=chance(p_value), **texts)
        state = State.VIOLATED if violated[place] else State.UNDECIDED if is_large[place] else State.HOLDS
        figures: dict[str, Any] = {"value": now, "effect": abs(now - then), "limit": float(limit[place])}
        figures |= {"p_value": min(1.0, 2.0 * p_value), "rows": statistics.item_count}
        figures["baseline_rows"] = baseline.item_count
        figures["reason"] = columns.FEW_ROWS if state is State.UNDECIDED else ""
        comparison = Comparison(f"{one}, {other}", CheckType.BASELINE_DRIFT, state, text, **figures)
        decided.append((one, comparison))
    return decided
