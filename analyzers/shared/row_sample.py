"""A random sample of runs of rows, and how many independent rows the rows tell as much as.

The cells of a row stay side by side, the rows of a run in their order. Dependence between rows, dependence
between columns and values that repeat show only where rows are kept. Up to `MOST_ROWS` rows all are. Beyond,
runs of `RUN` consecutive rows of a split have random priorities, and those of lowest priority stay. Runs
begin where a split begins, so the sample depends on the splits of a dataset and not on who reads them or
when, and merging is associative. Where clusters of rows are known, whole clusters are chosen by a hash
instead.

The design effect is by how much the variance of a share is larger than that of independent rows, so that n
rows tell as much as n / design effect independent ones (Kish 1965). Von Neumann's estimate from the means of
successive blocks, ``b * sum (m[i+1] - m[i])**2 / (2 (B - 1)) / (p (1 - p))``, pooled over several indicators.
The block length b doubles until it is six times the largest estimate or fewer than `_FEWEST_BLOCKS` blocks
are left; the estimate is then extrapolated to long blocks, ``2 e(b) - e(b / 2)`` (the lugsail of Vats &
Flegal 2022). The three largest jumps are left out, so that a fault that begins or ends inside a window does
not pass as dependence. That rows depend on each other at all is decided by the estimates before they are
extrapolated, and by how many more neighbours are alike than rows an eighth of the sample apart: pairs of rows
show at 300 rows already.

Where `cluster_by` says which rows belong together, the effect is no less than that of the sums over clusters,
``sum |S[c] - n[c] p|**2 / (n p (1 - p)) * G / (G - 1)`` (Liang & Zeger 1986), with G = n**2 / sum n[c]**2,
the number of clusters of equal size that tell as much.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from analyzers.shared.cells import Codes, Floats, Hashes, arrow_of, is_textual, label_of
from contract.dataset import aligned_columns
from contract.errors import DatasetError, wording
from contract.schema import hint
from contract.wording import listing

RUN = 512
MOST_ROWS = 1 << 15
MOST_CELLS = 1 << 22  # 32 MB of numbers

# Part of the sample's rows from which on it pays to look at all runs again.
_FEWEST_ADDED = 16
_LONGEST_TEXT = 200
CLUSTER = "\0cluster"
# Where rows that stay are held: among those that come and go, each would keep a whole page from being reused.
_APART = pa.system_memory_pool()
_HASH_STEP = np.uint64(0x9E3779B97F4A7C15)
_HASH_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(slots=True)
class _Chunk:
    """Rows of one batch: `lengths` rows of each run, one after the other."""

    rows: pa.RecordBatch
    priorities: Hashes
    lengths: Codes

    def up_to(self, cutoff: int, *, copy: bool = False) -> "_Chunk":
        """Return the runs of at most this priority; as it is where those are all, unless it is to `copy`."""
        kept = self.priorities <= cutoff
        if not kept.all():
            rows = pc.filter(self.rows, arrow_of(np.repeat(kept, self.lengths)), memory_pool=_APART)
        elif copy:  # which takes a quarter of the time of a filter that all pass
            rows = pa.concat_batches([self.rows, self.rows.slice(0, 0)], memory_pool=_APART)
        else:
            return self
        return _Chunk(_lean(rows), self.priorities[kept], self.lengths[kept])


@dataclass(slots=True)
class RowSample:
    """Mergeable sample of rows in order of arrival."""

    chunks: list[_Chunk] = field(default_factory=list)
    rows: int = 0
    rows_seen: int = 0
    width: int = 1
    cutoff: int = (1 << 64) - 1

    def add(
        self,
        batch: pa.RecordBatch,
        seed: int,
        first_row: int,
        *,
        run: int | None = None,
        is_new: bool = False,
        clusters: Hashes | None = None,
        rivals: "Rivals | None" = None,
    ) -> None:
        """Take in the next rows of a split, of which `first_row` is the number of the first.

        `clusters` are hashes of what rows belong to, as `cluster_hashes` gives them; `rivals` the runs of all
        samples that will be merged with this one. Rows whose memory belongs to the reader are copied, so that
        it is free for the next batch; those of a new batch are not.
        """
        run = 1 if clusters is not None else run or RUN
        self.rows_seen += batch.num_rows
        self.width = max(self.width, batch.num_columns)
        places = np.arange(first_row // run, (first_row + batch.num_rows + run - 1) // run)
        bounds = np.clip(np.append(places * run, first_row + batch.num_rows), first_row, None)
        priorities = _priorities(seed, places)
        if clusters is not None:
            batch = batch.append_column(CLUSTER, arrow_of(clusters))
            priorities = _priorities(0, clusters.astype(np.int64))
        chunk = _Chunk(batch, priorities, np.diff(bounds))
        if rivals is not None and clusters is None:
            self.cutoff = min(self.cutoff, rivals.cutoff(priorities, chunk.lengths, self._most_rows()))
        else:
            # Those that stay are known before any is copied, where runs are few: not of clusters.
            are_few = clusters is None and batch.num_rows >= self._most_rows() // _FEWEST_ADDED
            self._lower_cutoff([*self.chunks, chunk] if are_few else [chunk])
        if (priorities <= self.cutoff).any():
            kept = chunk.up_to(self.cutoff, copy=not is_new)
            self.chunks.append(kept if kept is not chunk else replace(chunk, rows=_lean(batch)))
            self.rows += kept.rows.num_rows
            self._thin(2)

    def merge(self, other: Self) -> None:
        """Append the rows of the splits that follow."""
        self.chunks += other.chunks
        self.rows += other.rows
        self.rows_seen += other.rows_seen
        self.width = max(self.width, other.width)
        self.cutoff = min(self.cutoff, other.cutoff)
        self._thin(1.25)

    def columns(self) -> dict[str, list[pa.Array]]:
        """Return the arrays of each column, in order; nulls where a batch had no such column."""
        self._thin(1)
        return aligned_columns([chunk.rows for chunk in self.chunks])

    def clusters(self) -> Codes | None:
        """Return the number of each row's cluster, in the order of hashes; None where none are known."""
        parts = self.columns().get(CLUSTER)
        if not parts:
            return None
        hashes = np.concatenate([part.fill_null(0).to_numpy(zero_copy_only=False) for part in parts])
        return np.unique(hashes, return_inverse=True)[1].astype(np.int64)

    def _most_rows(self) -> int:
        return min(MOST_ROWS, MOST_CELLS // self.width)

    def _thin(self, times: float) -> None:
        if self.rows <= times * self._most_rows():
            return
        self._lower_cutoff(self.chunks)
        self.chunks = [c.up_to(self.cutoff) for c in self.chunks if (c.priorities <= self.cutoff).any()]
        self.rows = sum(chunk.rows.num_rows for chunk in self.chunks)
        while self.rows > 4 * self._most_rows() and len(self.chunks) > 1:  # one cluster of very many rows
            self.rows -= self.chunks.pop().rows.num_rows

    def _lower_cutoff(self, chunks: list[_Chunk]) -> None:
        """Lower the priority up to which runs stay to what those in `chunks` leave room for."""
        priorities = np.concatenate([chunk.priorities for chunk in chunks])
        lengths = np.concatenate([chunk.lengths for chunk in chunks])
        self.cutoff = min(self.cutoff, _cutoff(priorities, lengths, self._most_rows()))


class Rivals:
    """The runs of samples that will be merged into one: what one has seen, the others need not keep.

    Threads may share it. Of two that add runs at once one may lose its own: the cutoff is then no less right.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Hashes, Codes]] = [(np.empty(0, np.uint64), np.empty(0, np.int64))]
        self._cutoff, self._rows_added = (1 << 64) - 1, 0

    def cutoff(self, priorities: Hashes, lengths: Codes, most_rows: int) -> int:
        """Add runs, and return the priority up to which those of all samples may stay."""
        self._runs.append((priorities, lengths))
        self._rows_added += int(lengths.sum())
        if self._rows_added >= most_rows // _FEWEST_ADDED:
            priorities, lengths = map(np.concatenate, zip(*self._runs, strict=True))
            self._cutoff = _cutoff(priorities, lengths, most_rows)
            kept = priorities <= self._cutoff
            self._runs, self._rows_added = [(priorities[kept], lengths[kept])], 0
        return self._cutoff


def cluster_hashes(batch: pa.RecordBatch, columns: tuple[str, ...]) -> Hashes | None:
    """Return a hash of what each row belongs to, by the columns of ``cluster_by``; None without columns.

    A row without a value in all of them is by itself.

    Raises
    ------
    DatasetError
        When a column is not there.
    """
    if not columns:
        return None
    alone = _priorities(seed_of(batch), np.arange(batch.num_rows))
    hashes, is_alone = np.zeros(batch.num_rows, np.uint64), np.ones(batch.num_rows, np.bool_)
    for name in columns:
        column = batch.column(_place_of(name, batch.schema.names))
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        texts = [label_of(value, binary=False) for value in encoded.dictionary.to_pylist()]
        table = np.array([0, *(xxhash.xxh3_64_intdigest(text.encode()) for text in texts)], np.uint64)
        codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False) + 1
        hashes = _priorities(0, hashes.astype(np.int64)) ^ table[codes]
        is_alone &= codes == 0
    return np.where(is_alone, alone, hashes)


def _place_of(name: str, names: list[str]) -> int:
    # In captures the columns of the request carry its name.
    for known in (name, f"endpointInput_{name}"):
        if known in names:
            return names.index(known)
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    said = {"names": listing(names, 20), "hint": hint(name, names)}
    raise DatasetError.of("clusters.absent", field="cluster_by", name=name, **said)


def seed_of(batch: pa.RecordBatch) -> int:
    """Return a number from the first row of a split, so that splits choose different runs."""
    return xxhash.xxh3_64_intdigest(repr(batch.slice(0, 1).to_pydict()).encode())


def _priorities(seed: int, places: Codes) -> Hashes:
    """Return random numbers of the places of runs: SplitMix64 (Steele, Lea & Flood 2014)."""
    mixed = np.uint64(seed) + (places.astype(np.uint64) + np.uint64(1)) * _HASH_STEP
    for multiplier, shift in zip(_HASH_MULTIPLIERS, (np.uint64(30), np.uint64(27)), strict=True):
        mixed = (mixed ^ (mixed >> shift)) * multiplier
    return mixed ^ (mixed >> np.uint64(31))


def _cutoff(priorities: Hashes, lengths: Codes, most_rows: int) -> int:
    """Return the priority at which the runs in ascending order hold `most_rows` or more."""
    order = np.argsort(priorities, kind="stable")
    reached = int(np.searchsorted(np.cumsum(lengths[order]), most_rows))
    return int(priorities[order[reached]]) if reached < order.size else (1 << 64) - 1


def _lean(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows whose memory is bounded by their number.

    A dictionary has no more texts than there are rows, and texts have a bounded length that still tells long
    ones apart.
    """
    columns = []
    for column in rows.columns:
        is_coded = pa.types.is_dictionary(column.type)
        texts = column.dictionary if is_coded else column
        is_long = is_textual(texts.type) and (pc.max(pc.binary_length(texts)).as_py() or 0) > _LONGEST_TEXT
        if is_coded and (is_long or len(texts) > len(column)):
            column = column.dictionary_decode()
        columns.append(pa.array(map(_short, column.to_pylist()), pa.string()) if is_long else column)
    return pa.RecordBatch.from_arrays(columns, rows.schema.names)


def _short(text: str | None) -> str | None:
    if text is None or len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:100]}… ({xxhash.xxh3_64_hexdigest(text.encode())})"


# Dependence of rows.


_SHORTEST_BLOCK = 8
_FEWEST_BLOCKS = 14
_BLOCKS_PER_EFFECT = 6
_LARGEST_JUMPS = 3
# How many groupings are looked at side by side: more need more memory, and hardly less time.
_MOST_TOGETHER = 16
# Standard deviations above independent rows. Jumps between blocks have a longer tail than pairs of rows.
_CLEAR_JUMPS, _CLEAR_PAIRS = 4.25, 3.25


class DesignEffect(NamedTuple):
    """By how much the variance of a share is larger than that of independent rows.

    Attributes
    ----------
    effect
        1 or more.
    blocks
        The number of blocks or clusters it was estimated from; 0 where rows are too few.
    is_clear
        Whether rows clearly depend on those before them, or it is known which belong together: the effect
        of independent rows is estimated above 1, too.
    """

    effect: float = 1.0
    blocks: int = 0
    is_clear: bool = False


def dependence_note(rows: int, effect: float) -> str:
    """Say that rows depend on each other, and how many independent ones they tell as much as."""
    return wording("quality_notes.dependent", rows=rows, enough=max(1, round(rows / effect)))


class Grouping(NamedTuple):
    """Rows in order, by the group of each.

    Attributes
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

    groups: Codes | npt.NDArray[np.uint8]
    number: int
    cumulative: bool
    clusters: Codes | None = None


def quantile_groups(values: Floats, ordered: Floats | None = None, clusters: Codes | None = None) -> Grouping:
    """Return between which deciles of all values each lies."""
    ordered = np.sort(values) if ordered is None else ordered
    places = (math.ceil(tenth / 10.0 * values.size - 1.0) for tenth in range(1, 10))
    cuts = {float(ordered[place]) for place in places}
    # As `searchsorted` does, several times faster.
    groups = np.zeros(values.size, np.uint8)
    for cut in cuts:
        groups += (values > cut).view(np.uint8)
    return Grouping(groups, len(cuts) + 1, cumulative=True, clusters=clusters)


def design_effects(asked: Sequence[Grouping]) -> list[DesignEffect]:
    """Return the design effects of rows in order, or of the clusters that are known."""
    found: dict[int, DesignEffect] = {}
    for size in {one.groups.size for one in asked}:
        alike = [place for place, one in enumerate(asked) if one.groups.size == size]
        for some in itertools.batched(alike, _MOST_TOGETHER):
            found |= zip(some, _effects_in_order([asked[place] for place in some]), strict=True)
    return [_no_less_than_clusters(one, found[place]) for place, one in enumerate(asked)]


def _no_less_than_clusters(asked: Grouping, in_order: DesignEffect) -> DesignEffect:
    groups, number, cumulative, clusters = asked
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
        return DesignEffect(float(groups.size), 1, is_clear=True)  # one cluster tells as much as one row
    if spread <= 0.0:
        return DesignEffect(1.0, int(number_of_equal), is_clear=True)
    effect = float(((counts - np.outer(sizes, shares)) ** 2).sum()) / spread
    effect = round(effect * number_of_equal / (number_of_equal - 1.0), 3)
    return max(in_order, DesignEffect(max(1.0, effect), int(number_of_equal)))._replace(is_clear=True)


def clear_effect(asked: Sequence[Grouping]) -> DesignEffect:
    """Return the largest design effect of those that are clear; 1 without any."""
    return max((one for one in design_effects(asked) if one.is_clear), default=DesignEffect())


def effect_of_numbers(sample: RowSample) -> DesignEffect:
    """Return the largest clear design effect of the numbers kept of rows; 1 without any."""
    asked, clusters = [], sample.clusters()
    for name, arrays in sample.columns().items():
        values = np.concatenate([array.to_numpy(zero_copy_only=False) for array in arrays])
        finite = np.isfinite(values)
        if name != CLUSTER and finite.any():
            known = None if clusters is None else clusters[finite]
            asked.append(quantile_groups(values[finite], clusters=known))
    return clear_effect(asked)


def _effects_in_order(asked: Sequence[Grouping]) -> list[DesignEffect]:
    """Return the design effects of rows in order, of which there are as many in each grouping."""
    size, length = asked[0].groups.size, _SHORTEST_BLOCK
    blocks = size // length
    if blocks < 2 * _LARGEST_JUMPS:
        return [_effect_of_few(one) for one in asked]
    # One line for each indicator; the eight rows of a block are the bits of one byte.
    widths = [one.number - one.cumulative for one in asked]
    starts = [*itertools.accumulate(widths, initial=0)]
    flags = np.empty((starts.pop(), blocks), np.uint8)
    for one, start, width in zip(asked, starts, widths, strict=True):
        flags[start : start + width] = np.packbits(_indicators(one, blocks * length), axis=1)
    counts = np.bitwise_count(flags)
    shares = counts.sum(axis=1) / blocks / length
    shares *= 1.0 - shares
    # What does not vary has an effect of 1, as it has no jumps.
    spreads = np.array([float(part.sum()) or 1.0 for part in np.split(shares, starts[1:])])
    # What counts of few events add to 3, the variance of a squared difference.
    of_few = np.array(widths) / spreads
    excess = _excess_of_neighbours(flags, starts) / spreads
    is_clear = excess > _CLEAR_PAIRS * math.sqrt(2.0 / (blocks * length))
    counts, lengths, effects = counts.astype(np.int32), [], []
    while True:
        steps = counts[:, 1:] - counts[:, :-1]
        steps *= steps
        # All are whole, so that sums are exact.
        jumps = np.add.reduceat(steps, starts, axis=0, dtype=np.int32)
        lengths.append(length)
        kept = jumps.shape[1] - _LARGEST_JUMPS
        # The three largest of exponential variables have this share of the sum of all.
        share = _LARGEST_JUMPS / jumps.shape[1] * (1.0 + math.log(jumps.shape[1] / _LARGEST_JUMPS))
        totals = np.partition(jumps, kept)[:, :kept].sum(axis=1) / max(0.1, 1.0 - share)
        found = totals / (2.0 * jumps.shape[1] * length) / spreads
        is_clear |= found > 1.0 + _CLEAR_JUMPS * np.sqrt((3.0 + of_few / length) / blocks)
        effects.append(found.tolist())
        if blocks // 2 < _FEWEST_BLOCKS or length >= RUN:
            break
        length, blocks = 2 * length, blocks // 2
        counts = counts[:, 0 : 2 * blocks : 2] + counts[:, 1 : 2 * blocks : 2]
    extrapolated = []
    for own, clear in zip(zip(*effects, strict=True), is_clear.tolist(), strict=True):
        # Of blocks shorter than a session most are followed by an equal one, so that only long ones show it.
        wanted = _BLOCKS_PER_EFFECT * max(own)
        place = next((place for place, length in enumerate(lengths) if length >= wanted), len(lengths) - 1)
        effect = own[place]
        if place:
            effect = max(effect, 2.0 * effect - own[place - 1])
        extrapolated.append(DesignEffect(round(max(1.0, effect), 3), size // lengths[place], clear))
    return extrapolated


def _indicators(asked: Grouping, rows: int) -> npt.NDArray[np.bool_]:
    """Return a line for each indicator of a grouping: whether it holds for each of the first rows."""
    indicated = np.less_equal if asked.cumulative else np.equal
    kind = np.min_scalar_type(asked.number)
    lines = np.arange(asked.number - asked.cumulative, dtype=kind)[:, np.newaxis]
    found: npt.NDArray[np.bool_] = indicated(asked.groups[:rows].astype(kind, copy=False), lines)
    return found


def _effect_of_few(asked: Grouping) -> DesignEffect:
    """Return the design effect of too few rows for blocks: that of an autoregressive process, if any.

    It would be (1 + r) / (1 - r) for a correlation r of neighbours, here beyond that of rows further apart:
    a level that changes raises both. Up to one and a half standard errors r is chance.
    """
    size = asked.groups.size
    flags = _indicators(asked, size)
    from_mean = flags - flags.mean(axis=1, keepdims=True) if size else flags
    spread = float(np.square(from_mean).sum()) or 1.0
    near, far = (
        float((from_mean[:, apart:] * from_mean[:, :-apart]).sum()) / spread
        for apart in (1, max(4, size // 8))
    )
    excess = near - max(0.0, far)
    if excess * math.sqrt(size) <= 1.5:
        return DesignEffect()
    return DesignEffect(round((1.0 + excess) / (1.0 - excess), 3), size)


def _excess_of_neighbours(flags: npt.NDArray[np.uint8], starts: list[int]) -> Floats:
    """Return how much more often neighbours are both in a group than rows far apart, added up over groups.

    A level that changes inside a window raises both. Three pairs may be neighbours by chance in rare groups.
    `flags` has eight rows in a byte, and a line for each group.
    """
    blocks = flags.shape[1]
    next_rows = flags << 1 | np.roll(flags, -1, axis=1) >> 7
    near, far = (
        np.add.reduceat(np.bitwise_count(flags & others).sum(axis=1, dtype=np.int64), starts)
        for others in (next_rows, np.roll(flags, max(1, blocks // 8), axis=1))
    )
    excess: Floats = (near - far - _LARGEST_JUMPS) / (8 * blocks)
    return excess
