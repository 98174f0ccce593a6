"""Segments: the same analysis again for each value of chosen columns, around any analyzer.

A segment is one combination of values of the columns. The largest are kept, each complete: a segment that
was once given up never comes back with half of its rows. Up to `2 * most` segments all of this is exact;
beyond that, the ones kept are those that were among the largest all the way through the data.
"""

import itertools
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract import api
from contract.errors import DatasetError, wording
from contract.schema import JsonObject, gathered, nearest
from contract.wording import several, some_of

# Segments in ``statistics.json``: the member ``segments``, beside any monitor's statistics.
#
# Each entry is a statistics document of its own with two more members: ``segment``, an object of column and
# value (null where it is missing), and ``item_count``.


# The values of the columns as text, None for missing ones.
Key = tuple[str | None, ...]

_SEGMENTS = "segments"
_LEFT_OUT = "segments_left_out"


@dataclass
class Segment[Statistics]:
    """Statistics of the rows that have these values; None for a missing value."""

    values: dict[str, str | None]
    item_count: int
    statistics: Statistics

    def key(self, columns: Sequence[str]) -> Key:
        """Return the values in the order of `columns`; in their own order where the names are others.

        A column may have a name in one dataset and a position in another.
        """
        order = columns if set(columns) == set(self.values) else self.values
        return tuple(self.values[column] for column in order)

    @property
    def text(self) -> str:
        """Return the segment as people read it."""
        cells = self.values.items()
        return ", ".join(f"{name} missing" if value is None else f"{name}={value}" for name, value in cells)


@dataclass
class SegmentedStatistics[Statistics]:
    """Statistics of all rows, of the largest segments, and the rows in neither of those."""

    whole: Statistics
    segments: list[Segment[Statistics]] = field(default_factory=list)
    rows_left_out: int = 0


SegmentedBaseline = api.Baseline[SegmentedStatistics[Any], Any]


def whole_baseline(baseline: SegmentedBaseline) -> api.AnyBaseline:
    """Return the baseline without its segments, as the inner analyzer knows it."""
    return replace(baseline, statistics=baseline.statistics and baseline.statistics.whole)


def expected_segments(baseline: SegmentedBaseline) -> Sequence[Segment[Any]]:
    """Return the baseline's segments."""
    return baseline.statistics.segments if baseline.statistics else ()


def segmented_documents(documents: api.AnyDocuments) -> api.DocumentSet[SegmentedStatistics[Any], Any]:
    """Return how a monitor's documents are read and written when there are segments.

    Parameters
    ----------
    documents
        The monitor's own. Constraints stay as they are: those of a segment follow from its statistics.
    """

    def read(value: dict[str, Any], where: str) -> SegmentedStatistics[Any]:
        whole = {key: member for key, member in value.items() if key not in (_SEGMENTS, _LEFT_OUT)}
        with gathered(value, where) as members:
            segments = [_read_segment(member, documents) for member in members.children(_SEGMENTS, [])]
        return SegmentedStatistics(documents.read_statistics(whole, where), segments)

    def write(statistics: SegmentedStatistics[Any], with_extensions: bool) -> dict[str, Any]:
        written = documents.write_statistics(statistics.whole, with_extensions)
        written[_SEGMENTS] = []
        for segment in statistics.segments:
            own = documents.write_statistics(segment.statistics, with_extensions)
            written[_SEGMENTS].append({"segment": segment.values, "item_count": segment.item_count, **own})
        if statistics.rows_left_out:
            written[_LEFT_OUT] = {"item_count": statistics.rows_left_out}
        return written

    return documents._replace(
        read_statistics=read,
        write_statistics=write,
        declared=lambda baseline: documents.declared(whole_baseline(baseline)),
        column_names=lambda baseline: documents.column_names(whole_baseline(baseline)),
        further_files=lambda statistics, constraints: documents.further_files(statistics.whole, constraints),
    )


def _read_segment(members: JsonObject, documents: api.AnyDocuments) -> Segment[Any]:
    values = members.get("segment", dict)
    if not all(value is None or isinstance(value, str) for value in values.values()):
        members.wrong("segment", "an object of texts, or null for missing values")
    count = members.get("item_count", int)
    own = documents.read_statistics(members.extra(), f"{members.mistakes.where}: {members.path}")
    return Segment(values, count, own)


# Dividing rows by the values of some columns: codes, one stable sort, one gather per batch, then slices.


# Combinations are found in a table up to this size, by sorting above it.
_LARGEST_TABLE = 1 << 17
# How much is summarized together.
_ROWS_TOGETHER = 1 << 20
_BYTES_TOGETHER = 128 << 20


class SortedRows(NamedTuple):
    """Rows of one batch, those of a segment next to each other, in their order.

    Attributes
    ----------
    batch
        The rows.
    places
        Where each segment's rows begin, and how many they are.
    """

    batch: pa.RecordBatch
    places: dict[Key, tuple[int, int]]


@dataclass
class DividedRows:
    """Sorted batches that are summarized together: what many segments have of one batch is tiny.

    Attributes
    ----------
    counts
        Rows of each segment.
    schema
        Of the batches, None before the first.
    rows, size
        Rows and bytes of the batches as they came.
    """

    pieces: list[SortedRows] = field(default_factory=list)
    counts: Counter[Key] = field(default_factory=Counter)
    schema: pa.Schema | None = None
    rows: int = 0
    size: int = 0

    def takes(self, batch: pa.RecordBatch) -> bool:
        """Return whether another batch may join, alike and in bounded memory."""
        return self.schema is None or (
            batch.schema.equals(self.schema, check_metadata=True)
            and self.rows + batch.num_rows <= _ROWS_TOGETHER
            and self.size + batch.nbytes <= _BYTES_TOGETHER
        )

    def add(self, batch: pa.RecordBatch, sorted_rows: SortedRows) -> None:
        """Add a batch, whose rows were sorted."""
        self.schema = self.schema or batch.schema
        self.pieces.append(sorted_rows)
        self.rows += batch.num_rows
        self.size += batch.nbytes
        self.counts.update({key: count for key, (_, count) in sorted_rows.places.items()})

    def select(self, keys: Sequence[Key]) -> Iterator[tuple[Key, pa.RecordBatch]]:
        """Yield the rows of each of these segments, in their order."""
        if not keys:
            return
        pieces = [piece for piece in self.pieces if piece.places]
        batches = pa.Table.from_batches([piece.batch for piece in pieces]).unify_dictionaries().to_batches()
        for key in keys:
            pairs = zip(pieces, batches, strict=True)
            parts = [batch.slice(*piece.places[key]) for piece, batch in pairs if key in piece.places]
            yield key, _compact(pa.concat_batches(parts) if len(parts) > 1 else parts[0])


def sort_rows(
    batch: pa.RecordBatch, positions: Sequence[int | None], without: Container[Key] = ()
) -> SortedRows:
    """Find the segment of every row, and sort the rows by it.

    A batch at a time: what is sorted and gathered fits the processor's caches, and several batches together
    do not.

    Parameters
    ----------
    batch
        The rows.
    positions
        Of the columns whose values make the segments; None for a column that is absent, where every row
        counts as missing.
    without
        Segments whose rows are not wanted.
    """
    keys: list[Key] = [()]
    codes = pa.nulls(batch.num_rows, pa.uint8()).fill_null(0)
    for position in positions:
        values, column_codes = _encode(None if position is None else batch.column(position), batch.num_rows)
        keys, codes = _combine(keys, codes, values, column_codes)
    wanted = [place for place, key in enumerate(keys) if key not in without]
    if len(wanted) < len(keys):
        ranks = np.full(len(keys), len(wanted))
        ranks[wanted] = np.arange(len(wanted))
        codes = _code_table(ranks, len(keys)).take(codes)
    found = codes.to_numpy()
    counts = np.bincount(found, minlength=len(keys))[: len(wanted)].tolist()
    ranges = zip(itertools.accumulate(counts, initial=0), counts, strict=False)
    places = {keys[place]: rows for place, rows in zip(wanted, ranges, strict=True) if rows[1]}
    if (found[1:] >= found[:-1]).all():  # as of windows, where rows come in the order of time
        return SortedRows(batch, places)
    # Stable, and in time proportional to the rows as long as the codes are small numbers.
    return SortedRows(pc.take(batch, pc.array_sort_indices(codes)[: sum(counts)], boundscheck=False), places)


def positions_of(names: Sequence[str], columns: Sequence[str]) -> list[int | None]:
    """Return where the columns are; a name that exists wins over a zero-based position."""
    places = {str(place): place for place in range(len(names))}
    places |= {name: place for place, name in enumerate(names)}
    return [places.get(column) for column in columns]


def _encode(array: pa.Array | None, rows: int) -> tuple[list[str | None], pa.Array]:
    """Return distinct values as text, and the index of each row's value among them.

    The codes are as narrow as can be, and Arrow's: fresh memory for each batch costs more than the work.
    """
    if array is None or pa.types.is_null(array.type):
        array = pa.nulls(rows, pa.string())
    encoded = _compacted(array).dictionary_encode()
    texts = [_text(value) for value in encoded.dictionary.to_pylist()]
    # Different values may read the same (1 and 1.0), and a dictionary may hold what no row uses.
    places = {text: place for place, text in enumerate(dict.fromkeys([*texts, None]))}
    table = _code_table([places[text] for text in texts], len(places))
    return list(places), table.take(encoded.indices).fill_null(places[None])


def _code_table(codes: npt.ArrayLike, limit: int) -> pa.Array:
    return pa.array(np.asarray(codes, np.min_scalar_type(limit)))


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return None if value is None else str(value)


def _combine(
    keys: list[Key], codes: pa.Array, values: list[str | None], column_codes: pa.Array
) -> tuple[list[Key], pa.Array]:
    """Return combinations, all that occur among them, and the index of each row's."""
    if len(keys) == 1:
        return [(*keys[0], value) for value in values], column_codes
    combined = codes.to_numpy().astype(np.int64) * len(values) + column_codes.to_numpy()
    size = len(keys) * len(values)
    if size <= _LARGEST_TABLE:
        found = np.flatnonzero(np.bincount(combined, minlength=size))
        table = np.zeros(size, np.int64)
        table[found] = np.arange(found.size)
        combined = table[combined]
    else:
        found, combined = np.unique(combined, return_inverse=True)
    keys = [(*keys[code // len(values)], values[code % len(values)]) for code in found.tolist()]
    return keys, _code_table(combined, len(keys))


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch without dictionaries larger than itself: each segment would walk all of them."""
    bare = pa.RecordBatch.from_arrays([_compacted(array) for array in batch.columns], batch.schema.names)
    return bare.replace_schema_metadata(batch.schema.metadata)


def _compacted(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type) and len(array.dictionary) > len(array):
        return array.dictionary_decode()
    return array


# The analyzer.


Statistics = SegmentedStatistics[Any]
_MOST_REMEMBERED = 100_000
_NAMES_SHOWN = 20
# What readers call a column without a name, before its position.
_UNNAMED = "_c"

_log = logging.getLogger(__name__)


@dataclass
class SegmentSummary:
    """One segment's rows and the inner analyzer's summary of them, while they are read the pass over them."""

    rows: int
    summary: Any


@dataclass
class SegmentedSummary:
    """The summary of the whole and those of the segments; picklable, of bounded size.

    Attributes
    ----------
    whole
        Summary of all rows, as without segments.
    segments
        By the values of the columns.
    given_up
        Segments seen that are too small to be kept.
    found
        Which of the columns were in the data.
    names
        The data's columns, for messages.
    titles
        What the data calls a column that was given by its position.
    """

    whole: Any
    segments: dict[Key, SegmentSummary] = field(default_factory=dict)
    given_up: set[Key] = field(default_factory=set)
    found: set[str] = field(default_factory=set)
    names: tuple[str, ...] = ()
    titles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SegmentedAnalyzer(api.Analyzer[SegmentedSummary, Statistics, Any]):
    """An analyzer that repeats another one's work per segment.

    Parameters
    ----------
    inner
        The analysis.
    columns
        Names, or zero-based positions as text.
    most
        How many segments to report, the largest ones.
    warned_of
        Columns that the log has already said to be absent somewhere.
    """

    inner: api.AnyAnalyzer
    columns: tuple[str, ...]
    most: int = 50
    warned_of: set[str] = field(default_factory=set, compare=False, repr=False)

    def empty(self) -> SegmentedSummary:
        """Return the identity of `merge`."""
        return SegmentedSummary(self.inner.empty())

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> SegmentedSummary:
        """Summarize the record batches of one split, whole and by segment.

        Raises
        ------
        DatasetError
            When the columns have far too many values to be segments.
        """
        summary = self.empty()
        summary.whole = self.inner.summarize(self._divide(batches, summary))
        return summary

    def merge(self, left: SegmentedSummary, right: SegmentedSummary) -> SegmentedSummary:
        """Combine two summaries."""
        left.whole = self.inner.merge(left.whole, right.whole)
        left.found |= right.found
        left.names = left.names or right.names
        left.titles = {**right.titles, **left.titles}
        left.given_up |= right.given_up
        for key, segment in right.segments.items():
            if (known := left.segments.setdefault(key, segment)) is not segment:
                known.summary = self.inner.merge(known.summary, segment.summary)
                known.rows += segment.rows
        for key in left.given_up & left.segments.keys():
            del left.segments[key]
        self._give_up(left, {key: segment.rows for key, segment in left.segments.items()})
        return left

    def unanswered(self, baseline: api.AnyBaseline, reason: str) -> tuple[api.Comparison, ...]:
        """Return what the baseline asks for of the whole."""
        return self.inner.unanswered(whole_baseline(baseline), reason)

    def row_count(self, summary: SegmentedSummary) -> int:
        """Return how many rows were summarized."""
        return self.inner.row_count(summary.whole)

    def describe(self, summary: SegmentedSummary) -> Statistics:
        """Describe the whole and the segments, the largest first.

        Raises
        ------
        DatasetError
            When a column is nowhere in the data.
        """
        absent = [column for column in self.columns if column not in summary.found]
        if absent and self.row_count(summary):
            raise DatasetError.of("segments.absent", field=absent[0], hint=self._hint(absent[0], summary))
        largest = sorted(summary.segments.items(), key=lambda item: (-item[1].rows, _sorted_key(item[0])))
        # By name where the data has one, as they were given where two are the same.
        titles = tuple(summary.titles.get(column, column) for column in self.columns)
        titles = titles if len(set(titles)) == len(titles) else self.columns
        segments = [
            Segment(dict(zip(titles, key, strict=True)), segment.rows, self.inner.describe(segment.summary))
            for key, segment in largest[: self.most]
        ]
        left_out = self.row_count(summary) - sum(segment.item_count for segment in segments)
        return SegmentedStatistics(self.inner.describe(summary.whole), segments, left_out)

    def estimate(self, statistics: Statistics, baseline: SegmentedBaseline) -> Statistics:
        """Add what the inner analyzer can estimate from the whole baseline, to the whole and its segments.

        Columns that the data has no names for take those of the baseline's segments.
        """
        before = whole_baseline(baseline)
        named = named_alike(statistics.segments, expected_segments(baseline))
        segments = [replace(one, statistics=self.inner.estimate(one.statistics, before)) for one in named]
        return replace(statistics, whole=self.inner.estimate(statistics.whole, before), segments=segments)

    def design_effects(self, statistics: Statistics) -> Mapping[str, float]:
        """Return those of all rows: segments keep their own."""
        return self.inner.design_effects(statistics.whole)

    def with_design_effects(self, statistics: Statistics, effects: Mapping[str, float]) -> Statistics:
        """Return the statistics with other design effects of all rows."""
        return replace(statistics, whole=self.inner.with_design_effects(statistics.whole, effects))

    def suggest(self, statistics: Statistics, baseline: SegmentedBaseline | None) -> Any:
        """Suggest constraints of the whole; those of a segment follow from the baseline's statistics."""
        return self.inner.suggest(statistics.whole, baseline and whole_baseline(baseline))

    def check(self, statistics: Statistics, baseline: SegmentedBaseline) -> api.Decision:
        """Compare the whole and every segment with the baseline's."""
        return check_segments(self.inner, statistics, baseline)

    def facts(self, statistics: Statistics) -> api.Facts:
        """Return those of the whole."""
        return self.inner.facts(statistics.whole)

    def tried(self, statistics: Statistics) -> tuple[str, ...]:
        """Return what a dry run of the whole found."""
        return self.inner.tried(statistics.whole)

    def metrics(
        self, statistics: Statistics, baseline: SegmentedBaseline | None, decision: api.Decision | None
    ) -> list[api.Metric]:
        """Return the values of the whole: metrics are published without a dimension for segments."""
        return self.inner.metrics(statistics.whole, baseline and whole_baseline(baseline), decision)

    def _divide(
        self, batches: Iterable[pa.RecordBatch], summary: SegmentedSummary
    ) -> Iterator[pa.RecordBatch]:
        """Pass the batches on, and summarize their segments on the way."""
        waiting, begin = DividedRows(), self.inner.begin_passes()
        for batch in batches:
            if not waiting.takes(batch):
                self._pass_on(summary, waiting, begin)
                waiting = DividedRows()
            if waiting.schema is None:
                self._note_columns(summary, batch.schema.names)
            positions = positions_of(batch.schema.names, self.columns)
            waiting.add(batch, sort_rows(batch, positions, without=summary.given_up))
            # All but the largest would be given up: a column that identifies rows shows in its first batches.
            self._require_few(len(summary.given_up) + len(waiting.counts) - 2 * self.most)
            yield batch
        self._pass_on(summary, waiting, begin)
        for segment in summary.segments.values():
            segment.summary = segment.summary.finish()

    def _note_columns(self, summary: SegmentedSummary, names: list[str]) -> None:
        """Note which columns the next rows have, and log once which they lack: other files may have it."""
        summary.names = summary.names or tuple(names)
        for column, at in zip(self.columns, positions_of(names, self.columns), strict=True):
            if at is not None:
                summary.found.add(column)
                if names[at] not in (column, f"{_UNNAMED}{at}"):
                    summary.titles.setdefault(column, names[at])
            elif names and column not in self.warned_of:
                self.warned_of.add(column)
                hint = self._hint(column, summary)
                _log.warning("segment_by names %r, which rows read just now do not have; %s", column, hint)

    def _pass_on(
        self, summary: SegmentedSummary, waiting: DividedRows, begin: Callable[[], api.Pass]
    ) -> None:
        """Hand the rows that waited on to the passes over their segments."""
        counts = Counter({key: segment.rows for key, segment in summary.segments.items()})
        counts.update(waiting.counts)
        self._give_up(summary, counts)
        for key, batch in waiting.select([key for key in waiting.counts if key in counts]):
            if key not in summary.segments:
                summary.segments[key] = SegmentSummary(0, begin())
            summary.segments[key].summary.add(self._own_rows(batch))
            summary.segments[key].rows += batch.num_rows

    def _own_rows(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows

    def _give_up(self, summary: SegmentedSummary, counts: dict[Key, int]) -> None:
        """Take all but the largest segments out of `counts` and the summary, and remember them."""
        limit = 2 * self.most
        if len(counts) > limit:
            for key in sorted(counts, key=lambda key: (-counts[key], _sorted_key(key)))[limit:]:
                del counts[key]
                summary.segments.pop(key, None)
                summary.given_up.add(key)
        self._require_few(len(summary.given_up))

    def _require_few(self, given_up: int) -> None:
        if given_up > _MOST_REMEMBERED:
            raise DatasetError.of("segments.too_many", columns=",".join(self.columns), most=_MOST_REMEMBERED)

    def _hint(self, column: str, summary: SegmentedSummary) -> str:
        close = nearest(column, summary.names)
        hint = f"did you mean {close!r}? The columns are" if close else "the columns are"
        return f"{hint} {some_of(summary.names, _NAMES_SHOWN)}."


def _sorted_key(key: Key) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, value or "") for value in key)


# Decisions per segment, all of a job's checks together within one budget of false alarms.


# Half of the false alarms a job may raise are the whole's, as the whole is what a job is about.
WHOLE_SHARE = 0.5
# Below this, on either side, a segment's checks could find nothing but a collapse.
FEWEST_ROWS = 30
SEGMENT_CHECK = "segment_check"
_MOST_LISTED = 8
_NUMBER = re.compile(r"\d[\d.,]*")


class _Checked(NamedTuple):
    """A segment and what its check concluded."""

    segment: Segment[Any]
    decision: api.Decision

    @property
    def violations(self) -> list[api.Violation]:
        """Return what the check found."""
        return self.decision.violations.violations

    @property
    def finding(self) -> api.Finding:
        """Return how many violations there are, as a finding of the whole."""
        count = len(self.violations)
        text = f"{several(count, 'violation')} in {several(self.segment.item_count, 'row')}"
        return api.Finding(f"segment {self.segment.text}", text, violated=count > 0)

    @property
    def severity(self) -> tuple[bool, float, int, float]:
        """Return a value that is larger the worse the segment is.

        Any violation, then the largest move that is one, then how many there are, then the largest move.
        """
        moves = [(one.distance, one.violated) for one in self.decision.findings if one.distance is not None]
        significant = max((distance for distance, violated in moves if violated), default=0.0)
        largest = max((distance for distance, _ in moves), default=0.0)
        return bool(self.violations), significant, len(self.violations), largest


def named_alike(segments: Sequence[Segment[Any]], expected: Sequence[Segment[Any]]) -> list[Segment[Any]]:
    """Return the segments with positions replaced by the names that the baseline's segments have for them."""
    if not segments or not expected:
        return list(segments)
    columns, names = list(segments[0].values), list(expected[0].values)
    titles = [name if column.isdecimal() else column for column, name in zip(columns, names, strict=False)]
    known = {segment.key(names) for segment in expected}
    is_known = any(tuple(segment.values.values()) in known for segment in segments)
    if not is_known or len(names) != len(columns) or len(set(titles)) != len(titles):
        return list(segments)
    return [replace(one, values=dict(zip(titles, one.values.values(), strict=True))) for one in segments]


def check_segments(
    analyzer: api.AnyChecker, statistics: SegmentedStatistics[Any], segmented: SegmentedBaseline
) -> api.Decision:
    """Compare the whole with its baseline and each segment with the same segment of the baseline.

    A segment's constraints are those its baseline statistics suggest, with what an expert changed in the
    constraints of the whole.

    Parameters
    ----------
    analyzer
        Of the whole and of a segment alike.
    statistics
        The window's.
    segmented
        The baseline.

    Returns
    -------
    Decision
        Violations of the whole first, then those of the segments, the worst segment first. Findings stay
        the whole's, with one per segment behind them.
    """
    expected, baseline = expected_segments(segmented), whole_baseline(segmented)
    columns = list(statistics.segments[0].values) if statistics.segments else []
    gone = {segment.key(columns): segment for segment in expected}
    found = [(segment, gone.pop(segment.key(columns), None)) for segment in statistics.segments]
    new = [segment for segment, before in found if before is None]
    pairs = [(one, before, min(one.item_count, before.item_count)) for one, before in found if before]
    comparable = [(segment, before) for segment, before, rows in pairs if rows >= FEWEST_ROWS]
    small = [(segment, rows) for segment, _, rows in pairs if rows < FEWEST_ROWS]
    of_whole = analyzer.with_error_share(WHOLE_SHARE) if comparable else analyzer
    whole = of_whole.check(statistics.whole, baseline)
    inner = analyzer.with_error_share((1.0 - WHOLE_SHARE) / max(1, len(comparable)))
    checked = []
    for segment, before in comparable:
        of_segment = api.Baseline(before.statistics, inner.suggest(before.statistics, baseline))
        checked.append(_Checked(segment, inner.check(segment.statistics, of_segment)))
    checked.sort(key=lambda one: one.severity, reverse=True)
    said = {violation.description for violation in whole.violations.violations}
    violations = [violation for one in checked for violation in _violations(one, said)]
    compared = ((one.segment.values, each) for one in checked for each in one.decision.comparisons)
    comparisons = [replace(each, segment=values) for values, each in compared]
    # A segment of which nothing could be compared is a comparison itself.
    too_small = f"segments have fewer than {FEWEST_ROWS} rows"
    comparisons += [_undecided(segment, too_small) for segment, _ in small]
    before_by = list(expected[0].values) if expected else []
    for before in gone.values():
        # Where this window has too many segments to keep, it may be among those left out.
        lost = before.item_count >= FEWEST_ROWS and not statistics.rows_left_out
        reason = f"the window has no rows of the segment {before.text}"
        if columns and sorted(columns) != sorted(before_by):
            reason = wording("segments.other_columns", by=", ".join(columns), before=", ".join(before_by))
        comparisons.append(_undecided(before, reason, lost))
    if statistics.segments and not expected:
        notes = [wording("segments.no_baseline")]
        comparisons += [_undecided(one, "the baseline has no segments") for one in statistics.segments]
    elif statistics.segments and not pairs:
        notes = [wording("segments.other_baseline", by=", ".join(expected[0].values))]
    else:
        notes = _notes(statistics, checked, new, [*gone.values()], small)
    return api.Decision(
        api.Violations([*whole.violations.violations, *violations], whole.violations.extra),
        (*whole.findings, *(one.finding for one in checked)),
        (*whole.notes, *notes),
        (*whole.comparisons, *comparisons),
        whole.reason,
    )


def with_segments_unasked(decision: api.Decision, columns: str) -> api.Decision:
    """Return the decision of a job without ``segment_by``, whose baseline has segments by these columns."""
    reason = wording("segments.unasked", by=columns)
    lost = api.Comparison("segments", SEGMENT_CHECK, api.State.UNDECIDED, reason=reason, lost=True)
    note = f"{reason[:1].upper()}{reason[1:]}."
    return replace(decision, notes=(*decision.notes, note), comparisons=(*decision.comparisons, lost))


def _undecided(segment: Segment[Any], reason: str, lost: bool = False) -> api.Comparison:
    about = (f"segment {segment.text}", SEGMENT_CHECK, api.State.UNDECIDED)
    return api.Comparison(*about, reason=reason, lost=lost, segment=segment.values)


def _violations(one: _Checked, said: set[str]) -> list[api.Violation]:
    """Return a segment's violations, without those that the whole has in the same words: a missing column."""
    where, own = f"In the segment {one.segment.text}: ", {"segment": one.segment.values}
    new = (violation for violation in one.violations if violation.description not in said)
    return [replace(each, description=where + each.description, extra={**each.extra, **own}) for each in new]


def _notes(
    statistics: SegmentedStatistics[Any],
    checked: list[_Checked],
    new: list[Segment[Any]],
    gone: list[Segment[Any]],
    small: list[tuple[Segment[Any], int]],
) -> list[str]:
    worst = [f"{one.segment.text} ({len(one.violations)})" for one in checked if one.violations]
    too_small = [f"{segment.text} ({several(rows, 'row')})" for segment, rows in small]
    listed = {
        "Worst segments, with the number of their violations": worst,
        "Segments the baseline does not have, measured and not checked": [one.text for one in new],
        "Segments of the baseline that are not among this window's": [one.text for one in gone],
        f"Segments too small to decide (fewer than {FEWEST_ROWS} rows)": too_small,
    }
    notes = [f"{title}: {some_of(texts, _MOST_LISTED)}." for title, texts in listed.items() if texts]
    notes += _notes_of_segments(checked)
    if statistics.rows_left_out:
        rows, kept = several(statistics.rows_left_out, "row"), len(statistics.segments)
        notes.append(wording("segments.left_out", rows=rows, kept=kept))
    return notes


def _notes_of_segments(checked: list[_Checked]) -> list[str]:
    """Return the segments' own notes, those that differ in their numbers only told once."""
    alike: dict[str, list[tuple[_Checked, str]]] = {}
    for one in checked:
        for note in one.decision.notes:
            alike.setdefault(_NUMBER.sub("#", note), []).append((one, note))
    notes = []
    for group in alike.values():
        first, note = group[0]
        where = f"{len(group)} segments, such as" if len(group) > 1 else "the segment"
        notes.append(f"In {where} {first.segment.text}: {note}")
    return notes[:_MOST_LISTED]
