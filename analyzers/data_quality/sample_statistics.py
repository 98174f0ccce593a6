"""What the row sample shows: dependence of rows, tails, repeated and new values, correlations.

Definitions
-----------
fresh
    Rows whose value occurs in one tenth of the sample only: what a tenth shows that the others do not. It
    estimates the share of values that are new to a sample (Good 1953) also where rows come in sessions.
known
    The 256 values of smallest hash and their rows. Of two samples the values below the smaller of the largest
    hashes are a random choice of values, the same on both sides (coordinated sampling, Cohen & Kaplan 2007).
traits
    What texts that are mostly different have in common: lengths, kinds of characters, marks and the 32 words
    that most rows have, each with its rows. A word ends where a digit begins.
correlation
    Pearson's of ranks within blocks of 128 rows, so that what changes slowly does not make everything
    correlate.
variance of a correlation
    Times the rows: the mean square of what each row adds, ``u v - r (u u + v v) / 2`` of standardized ranks u
    and v. A few rows that go against the others add much, and a small sample has some or none of them.
"""

import functools
import itertools
import math
import string

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analyzers.data_quality.documents import Correlations, SampleStatistics, tail_ranks
from analyzers.data_quality.text import CellKind, bytes_of, read_texts
from analyzers.shared.cells import Codes, Flags, Floats, as_float32, is_textual
from analyzers.shared.row_sample import DesignEffect, Grouping, RowSample, design_effects, quantile_groups

KNOWN_VALUES = 256
CORRELATION_BLOCK = 128
_BLOCKS_OF_VARIANCE = 48
_MOST_CORRELATED = 500
_MOSTLY_ONE = 0.95  # a correlation with the few rows that differ is mostly chance
_REPEATED_VALUES = 64
_LEAST_REPEATED = 0.0005
_FEWEST_EVENTS = 20
_TEXT_GROUPS = 16
_LENGTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
_CHARACTERS = {
    "capital letters": string.ascii_uppercase.encode(),
    "small letters": string.ascii_lowercase.encode(),
    "digits": string.digits.encode(),
    "blanks": string.whitespace.encode(),
    "characters beyond ASCII": range(128, 256),
} | {repr(mark): mark.encode() for mark in string.punctuation}
_WORDS = 32
_TENTHS = 10


def sample_statistics(
    sample: RowSample, numeric: dict[str, bool]
) -> tuple[dict[str, SampleStatistics], Correlations | None]:
    """Return what the sample shows of each feature, and of each pair of numeric ones.

    Parameters
    ----------
    sample
        Rows in order.
    numeric
        By name of a feature, whether it holds numbers.
    """
    columns, clusters = sample.columns(), sample.clusters()
    numbers = {name: _numbers(columns[name]) for name in columns if numeric.get(name)}
    shown = {
        name: _numeric_statistics(numbers[name], clusters)
        if is_numeric
        # Dates mostly come in their own order.
        else (*_numeric_statistics(_numbers(columns[name]), clusters)[:2], [])
        if all(pa.types.is_timestamp(one.type) for one in columns[name])
        else _text_statistics(columns[name], clusters)
        for name, is_numeric in numeric.items()
        if name in columns
    }
    # Of all features at once, which takes a quarter of the time.
    there = {name: values[~np.isnan(values)] for name, values in numbers.items()}
    rising = {name for name, values in there.items() if (values[1:] >= values[:-1]).all()}
    effects = iter(design_effects([one for _, *of in shown.values() for one in itertools.chain(*of)]))
    figures = {name: found for name, (found, *_) in shown.items()}
    of_cells = []
    for name, (found, of_missing, of_values) in shown.items():
        missing = next(itertools.islice(effects, len(of_missing)), DesignEffect())
        # Frequent values among many may come in runs that the others do not.
        known = enumerate(itertools.islice(effects, len(of_values)))
        values = max((one for place, one in known if not place or one.is_clear), default=DesignEffect())
        found.missing_design_effect = missing.effect
        found.design_effect, found.blocks = values.effect, values.blocks
        # A column that counts the rows, or that they were sorted by, tells nothing of other columns.
        of_cells.append((values._replace(is_clear=values.is_clear and name not in rising), missing))
    _borrow_design_effects(list(figures.values()), of_cells, sample.rows)
    varying = [
        name
        for name in numbers
        if figures[name].rows
        and (not figures[name].repeated or figures[name].repeated[0][1] < _MOSTLY_ONE * figures[name].rows)
    ]
    return figures, _correlations({name: numbers[name] for name in varying[:_MOST_CORRELATED]})


def _borrow_design_effects(
    figures: list[SampleStatistics], of_cells: list[tuple[DesignEffect, DesignEffect]], rows: int
) -> None:
    """Give rare events the largest design effect of frequent ones: they are too few to show their own."""
    events = [
        found.rows - (found.repeated[0][1] if found.repeated else found.next_repeated) for found in figures
    ]
    lacking = [min(found.rows, rows - found.rows) for found in figures]
    shown = [
        known.effect
        for effects, *numbers in zip(of_cells, events, lacking, strict=True)
        for known, number in zip(effects, numbers, strict=True)
        if number >= _FEWEST_EVENTS * known.effect and known.is_clear
    ]
    largest = max(shown, default=1.0)
    for found, values, cells in zip(figures, events, lacking, strict=True):
        if values < _FEWEST_EVENTS * largest:
            found.design_effect = max(found.design_effect, largest)
        if cells < _FEWEST_EVENTS * largest:
            found.missing_design_effect = max(found.missing_design_effect, largest)


def _numbers(arrays: list[pa.Array]) -> Floats:
    parts = []
    for array in arrays:
        if is_textual(array.type):
            encoded = array.dictionary_encode()
            values = read_texts(encoded.dictionary, hash_as_text=False).numbers
            codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            parts.append(np.append(values, np.nan)[codes])
        elif pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
            parts.append(array.to_numpy(zero_copy_only=False).astype(np.float64))
        elif pa.types.is_timestamp(array.type):
            parts.append(array.cast(pa.int64()).to_numpy(zero_copy_only=False) / 1e6)
        else:
            parts.append(np.full(len(array), np.nan))
    values = np.concatenate(parts) if parts else np.empty(0)
    return np.where(np.isfinite(values), values, np.nan)


# What is known of a feature, and groupings of its rows: those without a value, and those with one.
type _Shown = tuple[SampleStatistics, list[Grouping], list[Grouping]]


def _numeric_statistics(values: Floats, clusters: Codes | None) -> _Shown:
    missing = np.isnan(values)
    present = values[~missing]
    found, of_missing, clusters = _with_missing(missing, clusters)
    if not present.size:
        return found, of_missing, []
    ordered = np.sort(present)
    ranks = tail_ranks(ordered.size)
    found.low, found.high = ordered[ranks - 1].tolist(), ordered[ordered.size - ranks].tolist()
    single = as_float32(ordered)
    # Most numbers occur once, so that only where others begin and end is looked at.
    same = np.concatenate(([False], single[1:] == single[:-1], [False]))
    begins, ends = np.flatnonzero(same[1:] & ~same[:-1]), np.flatnonzero(same[:-1] & ~same[1:])
    counts = ends - begins + 1
    places, found.next_repeated = _most_repeated(counts, ordered.size)
    if not found.next_repeated and counts.sum() < ordered.size:
        found.next_repeated = 1
    found.repeated = [(float(ordered[begins[place]]), int(counts[place])) for place in places]
    return found, of_missing, [quantile_groups(present, ordered, clusters)]


def _encoded(arrays: list[pa.Array]) -> tuple[pa.Array, pa.Array]:
    """Return texts in order of their first occurrence, each once, and the place of each cell's text."""
    kind = arrays[0].type
    alike = pa.types.is_dictionary(kind) and all(one.type == kind for one in arrays)
    if alike and not any(one.dictionary.null_count for one in arrays):
        # Texts that were encoded before are neither decoded nor looked at again.
        known = pa.chunked_array(arrays).unify_dictionaries().combine_chunks()
        used = known.indices.dictionary_encode()
        texts = known.dictionary.take(used.dictionary).cast(pa.string())
        if not texts.null_count and len(texts.unique()) == len(texts):
            return texts, used.indices
    parts = pa.chunked_array([array.cast(pa.string()) for array in arrays])
    encoded = parts.combine_chunks().dictionary_encode()
    return encoded.dictionary, encoded.indices


def _text_statistics(arrays: list[pa.Array], clusters: Codes | None) -> _Shown:
    texts, indices = _encoded(arrays)
    cells = read_texts(texts, hash_as_text=True)
    # The place of each cell's text in the dictionary; -1, the last, where it is missing.
    codes = indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    missing = np.append(cells.kinds == CellKind.MISSING, True)[codes]
    found, of_missing, clusters = _with_missing(missing, clusters)
    codes = codes[~missing]
    if not codes.size:
        return found, of_missing, []
    counts = np.bincount(codes, minlength=len(texts))
    places, found.next_repeated = _most_repeated(counts, codes.size)
    found.repeated = [(texts[place].as_py(), int(counts[place])) for place in places]
    of_each = [(_TEXT_GROUPS, (cells.hashes % np.uint64(_TEXT_GROUPS)).astype(np.uint8))]
    for most in (1, _TEXT_GROUPS - 1):
        group_of = np.full(counts.size, min(most, len(places)), np.uint8)
        group_of[places[:most]] = np.arange(min(most, len(places)))
        of_each.append((most + 1, group_of))
    of_values = [Grouping(group_of[codes], number, False, clusters) for number, group_of in of_each]
    used = np.flatnonzero(counts)
    if used.size * _TENTHS > codes.size:
        traits, found.next_trait = _traits(texts, counts)
        rows = {name: int(counts[has].sum()) for name, has in traits.items()}
        found.traits = list(rows.items())
        # Rows may depend on each other by what their texts have in common, too.
        most_telling = sorted(traits, key=lambda name: abs(2 * rows[name] - codes.size))[:_TENTHS]
        of_values += [Grouping(traits[one][codes].view(np.uint8), 2, True, clusters) for one in most_telling]
    # Clusters that come in no order are in a tenth as a whole.
    place = np.arange(codes.size) if clusters is None else clusters
    tenths = place * _TENTHS // (int(place.max()) + 1)
    first, last = np.full(counts.size, _TENTHS), np.full(counts.size, -1)
    np.minimum.at(first, codes, tenths)
    np.maximum.at(last, codes, tenths)
    found.fresh = int(counts[first == last].sum())
    hashes = (cells.hashes[used] >> np.uint64(32)).astype(np.int64)
    smallest = _first_in_order(hashes, KNOWN_VALUES)
    found.known = hashes[smallest].tolist()
    found.known_rows = counts[used[smallest]].tolist()
    return found, of_missing, of_values


def _traits(texts: pa.Array, counts: Codes) -> tuple[dict[str, Flags], int]:
    """Return which texts have each trait, and how many rows the next word has; `counts` are rows of texts."""
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    found = {f"{least} characters or more": lengths >= least for least in _LENGTHS}
    data, _, sizes = bytes_of(texts)
    bytes_in = np.zeros((counts.size, 256), np.bool_)
    bytes_in[np.repeat(np.arange(counts.size), sizes), data] = True
    found |= {name: bytes_in[:, [*some]].any(axis=1) for name, some in _CHARACTERS.items()}
    words = pc.split_pattern_regex(texts, r"[^\p{L}\d]+")
    whole = words.flatten().dictionary_encode()
    spelt = pc.replace_substring_regex(whole.dictionary, r"\d.*", "").dictionary_encode()
    number = max(1, len(spelt.dictionary))
    pairs = pc.list_parent_indices(words).to_numpy() * number + spelt.indices.take(whole.indices).to_numpy()
    text, word = np.divmod(pc.unique(pa.array(pairs)).to_numpy(), number)
    rows = np.bincount(word, counts[text], number)
    order = np.argsort(-rows, kind="stable")[: _WORDS + 1].tolist()
    for place in order[:_WORDS]:
        if spelt.dictionary[place].as_py():
            has = np.zeros(counts.size, np.bool_)
            has[text[word == place]] = True
            found[f"the word {spelt.dictionary[place].as_py()!r}"] = has
    return found, int(rows[order[_WORDS]]) if len(order) > _WORDS else 0


def _with_missing(
    missing: Flags, clusters: Codes | None
) -> tuple[SampleStatistics, list[Grouping], Codes | None]:
    """Return what is known of missing cells, and the clusters of the others."""
    found = SampleStatistics(int(missing.size - np.count_nonzero(missing)))
    varies = 0 < found.rows < missing.size or clusters is not None
    asked = [Grouping(missing.view(np.uint8), 2, cumulative=True, clusters=clusters)] if varies else []
    return found, asked, None if clusters is None else clusters[~missing]


def _most_repeated(counts: Codes, rows: int) -> tuple[list[int], int]:
    """Return the places of the values that occur most often, and how often the next one does."""
    order = np.argsort(-counts, kind="stable")[: _REPEATED_VALUES + 1]
    least = max(2, math.ceil(_LEAST_REPEATED * rows))
    listed = [int(place) for place in order[:_REPEATED_VALUES] if counts[place] >= least]
    following = int(counts[order[len(listed)]]) if len(listed) < order.size else 0
    return listed, following


def _first_in_order(numbers: Codes, most: int) -> Codes:
    """Return the places of the smallest numbers in ascending order, of equal ones the first."""
    if numbers.size > most:
        last = np.partition(numbers, most - 1)[most - 1]
        below, equal = np.flatnonzero(numbers < last), np.flatnonzero(numbers == last)
        return np.append(below[np.argsort(numbers[below], kind="stable")], equal)[:most]
    return np.argsort(numbers, kind="stable")


def _correlations(numbers: dict[str, Floats]) -> Correlations | None:
    rows = min((values.size for values in numbers.values()), default=0)
    length = min(CORRELATION_BLOCK, rows)
    if len(numbers) < 2 or length < 16:
        return None
    blocks = rows // length
    values = np.stack([column[: blocks * length] for column in numbers.values()])
    # Column by column: ranking needs several times the memory of what is ranked.
    scores = np.stack([_centred_ranks(column.reshape(-1, length)).ravel() for column in values])
    present = np.isfinite(values)
    scores[~present] = 0.0
    held = present.astype(np.float64)
    squares = (scores * scores) @ held.T
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = scores @ scores.T / np.sqrt(squares * squares.T)
    # The variance is known well enough from some of the blocks.
    some = (np.arange(blocks * length) // length) % math.ceil(blocks / _BLOCKS_OF_VARIANCE) == 0
    of_pairs = [
        one[pairs_of(len(numbers))] for one in (matrix, _variances(scores[:, some], held[:, some], matrix))
    ]
    rounded = [np.round(np.nan_to_num(one), 3).tolist() for one in of_pairs]
    return Correlations(list(numbers), blocks * length, *rounded)


def _variances(scores: Floats, held: Floats, matrix: Floats) -> Floats:
    """Return the variance of each correlation, times the rows."""
    squared = scores * scores
    squares, both = squared @ held.T, held @ held.T
    with np.errstate(invalid="ignore", divide="ignore"):
        mixed = squared @ squared.T * both / (squares * squares.T)
        skewed = (squared * scores) @ scores.T * both / (squares * np.sqrt(squares * squares.T))
        fourth = (squared * squared) @ held.T * both / squares**2
    return mixed - matrix * (skewed + skewed.T) + matrix**2 / 4.0 * (fourth + fourth.T + 2.0 * mixed)


# The places of both sides of each pair among so many, as `Correlations` has them.
pairs_of = functools.lru_cache(8)(functools.partial(np.triu_indices, k=1))


def _centred_ranks(values: Floats) -> Floats:
    """Return twice the ranks of the cells of each line, ties averaged, less twice their mean."""
    length = values.shape[1]
    # Whole numbers in the order of the floats, with the place in the line for their last digits: a sort of
    # them takes a third of the time. Lines whose floats differ in these digits only are sorted as floats.
    keys = np.ascontiguousarray(values).view(np.int64)
    keys = (keys ^ ((keys >> 63) & ((1 << 63) - 1))) & -CORRELATION_BLOCK | np.arange(length)
    keys.sort(axis=1)
    order = (keys & (CORRELATION_BLOCK - 1)) + np.arange(0, values.size, length)[:, None]
    ordered = values.ravel()[order]
    wrong = np.flatnonzero((ordered[:, 1:] < ordered[:, :-1]).any(axis=1))
    if wrong.size:
        order[wrong] = np.argsort(values[wrong], axis=1) + length * wrong[:, None]
        ordered[wrong] = values.ravel()[order[wrong]]
    places = np.tile(2.0 * np.arange(length), (len(values), 1))
    tied = ordered[:, 1:] == ordered[:, :-1]
    lines = np.flatnonzero(tied.any(axis=1))
    starts = np.ones((lines.size, length), dtype=np.bool_)
    starts[:, 1:] = ~tied[lines]
    first = np.flatnonzero(starts)
    last = np.append(first[1:], starts.size) - 1
    of_ties = np.repeat(first + last, last - first + 1).reshape(-1, length)
    places[lines] = of_ties - 2 * length * np.arange(lines.size)[:, None]
    ranks = np.empty(values.size)
    ranks[order] = places
    # Twice the rank less its mean is a whole number, so that sums of products are exact in any order.
    most = np.count_nonzero(np.isfinite(values), axis=1) - 1
    return np.asarray(ranks.reshape(values.shape) - most[:, None])
