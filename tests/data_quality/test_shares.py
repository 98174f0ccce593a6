"""Shares, dependence and the row sample: against scipy, against simulation, and against one pass."""

import itertools
import json
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from analyzers.data_quality.documents import read_statistics, statistics_to_json
from analyzers.data_quality.drift import effect_size, evidence
from analyzers.shared import row_sample
from analyzers.shared.cells import as_float32
from analyzers.shared.row_sample import Grouping, Rivals, RowSample, design_effects, quantile_groups, seed_of
from contract.api import Baseline, State


@given(st.integers(50, 20_000), st.integers(50, 20_000), st.data())
def test_evidence_tells_the_hypergeometric_tail(baseline, window, data):
    before = data.draw(st.integers(0, baseline))
    now = data.draw(st.integers(0, window))
    if now / window <= before / baseline:
        return
    exact = stats.hypergeom.sf(now - 1, baseline + window, before + now, window)
    found = evidence(np.array([float(before)]), np.array([float(now)]), (baseline, window), (1.0, 1.0))
    if 1e-9 < exact < 1e-2:
        assert exact <= 1.25 * np.exp(-found[0])
        if before + now < 0.1 * (baseline + window) and min(baseline, window) > 500:
            assert exact <= 1.02 * np.exp(-found[0])


def test_cohens_h():
    assert effect_size(0.0, 0.0025) == pytest.approx(0.1, abs=1e-4)
    assert effect_size(0.5, 0.55) == pytest.approx(0.1, abs=2e-3)
    assert effect_size(0.3, 0.2) < 0.0


@pytest.mark.parametrize("length", [1, 2, 10, 50])
def test_design_effect_is_the_length_of_sessions(length):
    generator = np.random.default_rng(length)
    rows = np.repeat(generator.normal(size=30_000 // length), length)
    effect, blocks, is_clear = design_effects([quantile_groups(rows)])[0]
    assert effect == pytest.approx(length, rel=0.35)
    assert blocks >= 14
    assert is_clear == (length > 1)


def test_design_effect_of_an_autoregressive_process():
    generator, value, rows = np.random.default_rng(1), 0.0, []
    for step in generator.normal(size=30_000):
        value = 0.5 * value + step
        rows.append(value)
    # Of the process itself (1 + c) / (1 - c) = 3, of its indicators a little less.
    (found,) = design_effects([quantile_groups(np.array(rows))])
    assert 1.8 < found.effect < 3.0
    assert found.is_clear


def test_a_fault_inside_a_window_is_no_dependence():
    rows = np.random.default_rng(2).normal(size=5_000)
    rows[4_250:] = rows[4_250]
    assert design_effects([quantile_groups(rows)])[0].effect < 3.0


@pytest.mark.parametrize("rows", [100, 300, 3_000])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.02, None])
def test_independent_rows_hardly_ever_seem_clearly_dependent(rows, share):
    generator = np.random.default_rng(rows)
    asked = [
        quantile_groups(generator.normal(size=rows))
        if share is None
        else Grouping((generator.random(rows) < share).astype(np.int64), 2, cumulative=False)
        for _ in range(600_000 // rows)
    ]
    # 0.3 % or less of many; 14 of 2,000 has a probability below 0.1 % then.
    assert np.mean([found.is_clear for found in design_effects(asked)]) <= 0.007 + 1 / len(asked)


def test_pairs_of_rows_are_clear_from_300_rows_on():
    generator = np.random.default_rng(5)
    pairs = [np.repeat(generator.normal(size=151), 2)[place % 2 :][:300] for place in range(200)]
    for asked in (
        [quantile_groups(rows) for rows in pairs],
        [Grouping((rows > 0.0).astype(np.int64), 2, cumulative=False) for rows in pairs],
    ):
        assert np.mean([found.is_clear for found in design_effects(asked)]) > 0.95


def test_pairs_and_triples_show_in_windows_of_20_to_47_rows():
    generator = np.random.default_rng(7)
    for length, rows, least in ((3, 20, 0.75), (3, 42, 0.95), (2, 42, 0.75)):
        drawn = [np.repeat(generator.normal(size=rows), length)[:rows] for _ in range(100)]
        found = design_effects([quantile_groups(one) for one in drawn])
        assert np.mean([one.effect >= length for one in found]) > least
    alone = design_effects([quantile_groups(generator.normal(size=30)) for _ in range(300)])
    assert np.mean([one.effect > 1.0 for one in alone]) < 0.02


def test_a_level_that_changes_inside_a_window_is_hardly_a_dependence():
    generator = np.random.default_rng(6)
    asked = []
    for start in range(100, 900, 4):
        rows = generator.normal(size=1_000)
        rows[start:] += 1.0
        asked.append(quantile_groups(rows))
    found = design_effects(asked)
    assert np.mean([one.is_clear and one.effect > 1.2 for one in found]) < 0.05


def test_design_effects_are_the_same_side_by_side():
    generator = np.random.default_rng(4)
    sessions = [
        np.repeat(generator.normal(size=-(-5_000 // length)), length)[:5_000] for length in (1, 7, 50)
    ]
    asked = [
        quantile_groups(rows) for rows in (*sessions, sessions[1][:900], np.zeros(5_000), sessions[2][:40])
    ]
    asked.append(Grouping(np.repeat(np.arange(300), 20)[:5_000], 300, cumulative=False))
    found = design_effects(asked)
    assert found == [design_effects([one])[0] for one in asked]
    assert [one.blocks for one in found[4:6]] == [625, 0]


@given(st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=6), st.data())
def test_samples_merge_associatively(splits, data):
    most, run = row_sample.MOST_ROWS, row_sample.RUN
    row_sample.MOST_ROWS, row_sample.RUN = 60, 8
    try:
        parts, number = [], 0
        for batches in splits:
            parts.append((number, batches))
            number += sum(batches)
        left = RowSample()
        for part in parts:
            left.merge(_sampled(*part))
        cut = data.draw(st.integers(0, len(parts)))
        first, second = RowSample(), RowSample()
        for part in parts[:cut]:
            first.merge(_sampled(*part))
        for part in parts[cut:]:
            second.merge(_sampled(*part))
        first.merge(second)
        assert _rows(left) == _rows(first)
        assert _rows(left) == sorted(_rows(left))
    finally:
        row_sample.MOST_ROWS, row_sample.RUN = most, run


_LONG = [[40, 40, 40, 40]] * 6


@given(st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=6))
@example(_LONG)
def test_samples_that_know_of_each_other_come_to_the_same(splits):
    most, run = row_sample.MOST_ROWS, row_sample.RUN
    row_sample.MOST_ROWS, row_sample.RUN = 60, 8
    try:
        merged, kept = [], []
        for rivals in (None, Rivals()):
            sample, number, rows = RowSample(), 0, 0
            for batches in splits:
                part = _sampled(number, batches, rivals)
                number += sum(batches)
                rows += part.rows
                sample.merge(part)
            merged.append(_rows(sample))
            kept.append(rows)
        assert merged[0] == merged[1]
        if splits == _LONG:
            assert kept[1] < kept[0] / 2
    finally:
        row_sample.MOST_ROWS, row_sample.RUN = most, run


def _sampled(first, batches, rivals=None):
    sample, seed, position = RowSample(), None, 0
    for rows in batches:
        batch = pa.RecordBatch.from_pydict({"x": np.arange(first + position, first + position + rows)})
        seed = seed_of(batch) if seed is None else seed
        sample.add(batch, seed, position, rivals=rivals)
        position += rows
    return sample


def _rows(sample):
    return [value for array in sample.columns().get("x", []) for value in array.to_pylist()]


def _statistics(rows, seed, **changed):
    generator = np.random.default_rng(seed)
    columns = {"x": generator.normal(size=rows), "y": generator.normal(size=rows), **changed}
    analyzer = DataQualityAnalyzer()
    return analyzer.describe(analyzer.summarize([pa.RecordBatch.from_pydict(columns)]))


def test_a_baseline_without_a_sample_still_decides_and_says_what_it_lacks():
    analyzer = DataQualityAnalyzer()
    written = json.loads(json.dumps(statistics_to_json(_statistics(5_000, 1), False), default=list))
    old = read_statistics(written, "statistics.json")
    decision = analyzer.check(_statistics(5_000, 2), Baseline(old, analyzer.suggest(old, None)))
    assert not decision.violations.violations
    (undecided,) = decision.undecided
    assert "make it anew" in undecided.reason
    assert not undecided.lost
    shifted = np.random.default_rng(3).normal(0.5, 1.0, 5_000)
    decision = analyzer.check(_statistics(5_000, 2, x=shifted), Baseline(old, analyzer.suggest(old, None)))
    assert [violation.feature_name for violation in decision.violations.violations] == ["x"]


def test_what_is_written_decides_as_what_was_in_memory():
    analyzer = DataQualityAnalyzer()
    baseline, window = _statistics(5_000, 1), _statistics(5_000, 2, x=np.zeros(5_000))
    read = [
        read_statistics(json.loads(json.dumps(statistics_to_json(one), default=list)), "statistics.json")
        for one in (baseline, window)
    ]
    constraints = analyzer.suggest(baseline, None)
    found = analyzer.check(window, Baseline(baseline, constraints))
    assert found == analyzer.check(read[1], Baseline(read[0], constraints))
    assert State.VIOLATED in {comparison.state for comparison in found.comparisons}


def _texts(generator, rows, filler, prefix="user", values=1 << 60):
    codes = generator.integers(1, values, rows).tolist()
    column = np.where(generator.random(rows) < filler, "n/k", [f"{prefix}-{code}" for code in codes])
    analyzer = DataQualityAnalyzer()
    return analyzer.describe(analyzer.summarize([pa.RecordBatch.from_pydict({"x": column})]))


def _violations(baseline, window):
    analyzer = DataQualityAnalyzer()
    decision = analyzer.check(window, Baseline(baseline, analyzer.suggest(baseline, None)))
    return [one.description for one in decision.violations.violations]


@pytest.mark.parametrize("filler", [0.02, 0.125, 0.3, 0.5, 0.87])
def test_ids_with_one_frequent_filler_raise_no_alarm(filler):
    generator = np.random.default_rng(int(1_000 * filler))
    for rows in (2_000, 5_000):
        baseline = _texts(generator, rows, filler)
        assert [_violations(baseline, _texts(generator, 2_000, filler)) for _ in range(12)] == [[]] * 12


@pytest.mark.parametrize("filler", [0.0, 0.3, 0.87])
def test_a_new_vocabulary_is_found_beside_a_frequent_filler(filler):
    generator = np.random.default_rng(int(1_000 * filler))
    baseline = _texts(generator, 20_000, filler, "word", 5_000)
    (found,) = _violations(baseline, _texts(generator, 5_000, filler, "term", 5_000))
    now = float(re.search(r"values that are new: \S+ % -> (\S+) %", found)[1]) / 100.0
    assert now == pytest.approx(1.0 - filler, abs=0.02)


def test_an_id_half_unknown_is_found():
    generator = np.random.default_rng(3)
    (found,) = _violations(_texts(generator, 5_000, 0.1), _texts(generator, 2_000, 0.5))
    assert "the single value 'n/k'" in found


def test_a_share_beyond_its_limit_and_almost_beyond_chance_is_left_open():
    def rows(sentinels, seed):
        ages = np.random.default_rng(seed).integers(18, 80, 2_000)
        ages[:sentinels] = -999
        return _statistics(2_000, seed, age=np.random.default_rng(seed).permutation(ages))

    analyzer, before = DataQualityAnalyzer(), rows(40, 1)
    states = {}
    for sentinels in (45, 95, 140):
        decision = analyzer.check(rows(sentinels, 2), Baseline(before, analyzer.suggest(before, None)))
        (one,) = [c for c in decision.comparisons if (c.subject, c.check) == ("age", "baseline_drift_check")]
        states[sentinels] = one.state
        if one.state is State.UNDECIDED:
            assert one.effect > one.limit
            assert "too few rows" in one.reason
            assert not decision.fails_gate
    assert states == {45: State.HOLDS, 95: State.UNDECIDED, 140: State.VIOLATED}


def _comments(seed, rows, share):
    generator = np.random.default_rng(seed)
    places, lengths = generator.integers(0, 64, (rows, 12)), generator.integers(4, 12, rows)
    words = [
        [
            "".join(np.array(["ba", "ke", "li", "mo", "nu", "ra", "so", "tu"])[[one // 8, one % 8]])
            for one in row
        ]
        for row in places.tolist()
    ]
    return [
        " ".join(["refund"] * (generator.random() < share) + row[:length])
        for row, length in zip(words, lengths, strict=True)
    ]


def test_a_word_of_many_more_texts_in_few_rows_does_not_hold():
    analyzer, states = DataQualityAnalyzer(), {0.1: set(), 0.5: set()}
    before = _statistics(2_000, 1, comment=_comments(1, 2_000, 0.1))
    for seed, share in itertools.product(range(2, 10), states):
        window = _statistics(60, seed, comment=_comments(seed, 60, share))
        decision = analyzer.check(window, Baseline(before, analyzer.suggest(before, None)))
        (state,) = (
            c.state
            for c in decision.comparisons
            if (c.subject, c.check) == ("comment", "baseline_drift_check")
        )
        states[share].add(state)
    assert states[0.1] == {State.HOLDS}
    assert State.HOLDS not in states[0.5]


@pytest.mark.parametrize("stand_in", [-999, 0, 9_999])
def test_a_few_stand_ins_in_a_small_window_do_not_hold(stand_in):
    def rows(count, seed, share):
        ages = np.random.default_rng(seed).integers(18, 80, count)
        ages[: round(share * count)] = stand_in
        return _statistics(count, seed, age=ages)

    analyzer, before = DataQualityAnalyzer(), rows(2_000, 1, 0.0)
    for share in (0.0, 0.03):
        decision = analyzer.check(rows(200, 2, share), Baseline(before, analyzer.suggest(before, None)))
        states = {one.state for one in decision.comparisons if one.subject == "age"}
        assert states != {State.HOLDS} if share else states == {State.HOLDS}


def test_a_distance_of_many_categories_that_chance_may_explain_is_left_open():
    def table(rows, seed, shift):
        codes = np.random.default_rng(seed).integers(0, 20, rows)
        return _statistics(rows, seed, kind=[f"k{max(0, code - shift)}" for code in codes.tolist()])

    analyzer, before = DataQualityAnalyzer(categorical_drift_method="ChiSquared"), table(2_000, 1, 0)
    decision = analyzer.check(table(40, 2, 0), Baseline(before, analyzer.suggest(before, None)))
    (found,) = [c for c in decision.comparisons if (c.subject, c.check) == ("kind", "baseline_drift_check")]
    assert found.effect > found.limit
    assert (found.state, bool(found.reason)) == (State.UNDECIDED, True)


@pytest.mark.parametrize(
    ("rows", "slope_now", "state"),
    [(20, 0.7, State.UNDECIDED), (400, -2.0, State.VIOLATED), (2_000, 2.0, State.HOLDS)],
)
def test_a_correlation_beyond_its_limit_by_chance_is_left_open(rows, slope_now, state):
    def table(count, slope, seed):
        one, noise = np.random.default_rng(seed).normal(size=(2, count))
        return _statistics(count, seed, one=one, other=slope * one + noise)

    analyzer, before = DataQualityAnalyzer(), table(2_000, 2.0, 1)
    decision = analyzer.check(table(rows, slope_now, 2), Baseline(before, analyzer.suggest(before, None)))
    (found,) = [one for one in decision.comparisons if one.subject == "one, other"]
    assert (found.effect > found.limit) == (state is not State.HOLDS)
    assert (found.state, bool(found.reason)) == (state, state is State.UNDECIDED)


def _noisy(values):
    return {
        "float32": values.astype(np.float32),
        "sums": values + np.where(np.arange(values.size) % 3, 0.0, np.spacing(values)),
        "steps": (values * 10.0).round() * 0.1,
    }


@pytest.mark.parametrize("kind", ["float32", "sums", "steps"])
@pytest.mark.parametrize("values", [4, 50, 200])
def test_the_same_numbers_in_another_precision_are_no_drift(kind, values):
    generator = np.random.default_rng(values)
    prices = (generator.permutation(400)[:values] + 1) / 10.0
    before, now = (generator.choice(prices, 5_000) for _ in range(2))
    baseline = _statistics(5_000, 1, price=before)
    assert not _violations(baseline, _statistics(5_000, 2, price=_noisy(now)[kind]))
    analyzer = DataQualityAnalyzer()
    constraints = analyzer.suggest(baseline, None)
    constraints.features[-1].numeric_extra = {"maximum": float(prices.max())}
    window = _statistics(5_000, 2, price=_noisy(now)[kind])
    assert not analyzer.check(window, Baseline(baseline, constraints)).violations.violations
    (found,) = _violations(
        baseline, _statistics(5_000, 2, price=_noisy(np.where(now < 5.0, prices[0], now))[kind])
    )
    assert "the single value" in found or "share of values up to" in found.lower()


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_float32_keeps_the_order_and_whole_numbers(one, other):
    kept = as_float32([min(one, other), max(one, other)])
    assert kept[0] <= kept[1]
    assert kept[1] == pytest.approx(max(one, other), rel=1e-6, abs=1e-29)
    whole = float(int(one))
    assert as_float32(whole) == whole


def _ordered(generator, rows, odd):
    """Draw two columns that go up together but for a share of rows, as times of day do around midnight."""
    first = generator.random(rows)
    return {"x": first, "y": np.where(generator.random(rows) < odd, 1.0 - first, first)}


def _flags(generator, rows, _):
    first, second = generator.random((2, rows)) < 0.06
    return {"x": first * 1.0, "y": second * 1.0}


@pytest.mark.parametrize("draw", [_ordered, _flags])
@pytest.mark.parametrize(("rows", "odd"), [(20, 0.04), (100, 0.05), (200, 0.06)])
def test_correlations_of_which_few_rows_decide_raise_no_alarm(draw, rows, odd):
    generator = np.random.default_rng(rows)
    for before in (200, 20_000):
        baseline = _statistics(before, 1, **draw(generator, before, odd))
        for _ in range(150):
            assert not _violations(baseline, _statistics(rows, 1, **draw(generator, rows, odd)))


def test_a_lost_correlation_is_found_in_small_windows_or_left_open():
    generator = np.random.default_rng(7)
    baseline = _statistics(20_000, 1, **_ordered(generator, 20_000, 0.04))
    analyzer, states = DataQualityAnalyzer(), []
    for rows in (200, *range(16, 30)):
        lost = _statistics(rows, 1, x=generator.random(rows), y=generator.random(rows))
        decision = analyzer.check(lost, Baseline(baseline, analyzer.suggest(baseline, None)))
        states += [one.state for one in decision.comparisons if one.subject == "x, y"]
    assert states[0] is State.VIOLATED
    assert State.UNDECIDED in states


_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "rain", "falls", "on"]


def _sentences(generator, rows, change=str):
    draw = (" ".join(generator.choice(_WORDS, 6)) for _ in range(rows))
    codes = generator.integers(0, 1 << 60, rows).tolist()
    column = [change(f"{text} {code}") for text, code in zip(draw, codes, strict=True)]
    return _statistics(rows, 1, text=column)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("the ", "der "), "the word '"),
        (str.upper, "small letters"),
        (lambda text: f"<p>{text}</p>", "the word 'p'"),
        (lambda text: text.replace("e", "Ã©"), "characters beyond ASCII"),
        (lambda text: f"{text} {text} {text}", "96 characters or more"),
        (lambda text: text[-12:], "texts with"),
    ],
)
@pytest.mark.parametrize("rows", [500, 20_000])
def test_texts_that_are_all_different_are_compared_by_what_they_have_in_common(change, told, rows):
    generator = np.random.default_rng(3)
    baseline = _sentences(generator, rows)
    (found,) = _violations(baseline, _sentences(generator, 500, change))
    assert told in found


def test_texts_with_words_in_common_raise_no_alarm():
    generator = np.random.default_rng(4)
    for before in (200, 20_000):
        baseline = _sentences(generator, before)
        for rows in (20, 100, 1_000):
            for _ in range(10):
                assert not _violations(baseline, _sentences(generator, rows))


def test_rows_of_the_same_language_in_sessions_raise_no_alarm():
    generator = np.random.default_rng(5)

    def sessions(rows):
        marks = np.repeat(generator.choice(["", " ß"], rows // 20), 20).tolist()
        codes = generator.integers(0, 1 << 60, rows).tolist()
        return _statistics(rows, 1, text=[f"{code}{mark}" for code, mark in zip(codes, marks, strict=True)])

    for _ in range(20):
        assert not _violations(sessions(20_000), sessions(1_000))


def _dates(generator, rows, first="2025-01-01", days=400, share=0.0, other="1900-01-01"):
    day = np.datetime64(first, "us") + generator.integers(0, days, rows) * np.timedelta64(
        86_400_000_000, "us"
    )
    return _statistics(
        rows, 1, when=np.where(generator.random(rows) < share, np.datetime64(other, "us"), day)
    )


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ({"share": 0.05}, "dates before 2023-1"),
        ({"share": 1.0}, "0 % -> at least 2"),
        ({"share": 0.05, "other": "2099-12-31"}, "the farthest 2099-12-31"),
        ({"first": "2005-01-01"}, "dates before 2023-1"),
        ({"first": "2026-02-01"}, ""),
        ({"first": "2026-02-01", "days": 1}, ""),
        ({"first": "2031-02-01", "days": 30}, ""),
        ({"first": "2024-06-01", "days": 30}, ""),
    ],
)
def test_dates_far_from_those_of_the_baseline_are_found_and_later_ones_are_not(window, told):
    generator = np.random.default_rng(6)
    found = _violations(_dates(generator, 5_000), _dates(generator, 1_000, **window))
    assert len(found) == bool(told)
    assert told in "".join(found)


@pytest.mark.parametrize("stand_in", ["1900-01-01", "9999-12-31"])
def test_one_stand_in_among_few_dates_does_not_hold(stand_in):
    analyzer = DataQualityAnalyzer()

    def days(rows, seed, *first):
        found = np.datetime64("2026-01-01") + np.random.default_rng(seed).integers(0, 60, rows)
        return _statistics(rows, seed, day=np.array([*first, *found[len(first) :]], "datetime64[us]"))

    before = days(300, 1)
    for first in ((), (np.datetime64(stand_in),)):
        decision = analyzer.check(days(30, 2, *first), Baseline(before, analyzer.suggest(before, None)))
        (found,) = [
            c for c in decision.comparisons if (c.subject, c.check) == ("day", "baseline_drift_check")
        ]
        assert found.state is (State.UNDECIDED if first else State.HOLDS)


def test_one_time_in_all_rows_is_found_where_rows_had_their_own():
    def times(rows, seed, unit):
        seconds = np.sort(np.random.default_rng(seed).integers(0, 60 * 86_400, rows))
        return seconds.astype("datetime64[s]").astype(f"datetime64[{unit}]").astype("datetime64[us]")

    for unit, rows in itertools.product(("s", "D"), (60, 1_000)):
        baseline, window = _statistics(3_000, 1, time=times(3_000, 1, unit)), times(rows, 2, unit)
        assert not _violations(baseline, _statistics(rows, 2, time=window))
        # A window of one day has one date.
        found = _violations(baseline, _statistics(rows, 2, time=np.full(rows, window[0])))
        assert bool(found) == (unit == "s")


@pytest.mark.parametrize("kind", [str, int])
def test_rows_that_are_there_twice_show_in_a_key(kind):
    generator = np.random.default_rng(8)

    def keys(rows):
        return [kind(code) for code in generator.integers(0, 1 << 50, rows).tolist()]

    for before, rows in ((20_000, 1_000), (1_000, 1_000)):
        baseline, window = _statistics(before, 1, key=keys(before)), keys(rows // 2)
        (found,) = _violations(baseline, _statistics(rows, 1, key=[*window, *window]))
        assert "values that are different" in found
        assert not _violations(baseline, _statistics(rows, 1, key=keys(rows)))


def test_larger_windows_of_the_same_customers_hold_no_fewer_different_ones_than_can_be():
    generator = np.random.default_rng(9)
    customers = [f"c{place}" for place in range(3_000)]
    baseline = _statistics(1_000, 1, key=generator.choice(customers, 1_000).tolist())
    for _ in range(10):
        assert not _violations(
            baseline, _statistics(5_000, 1, key=generator.choice(customers, 5_000).tolist())
        )


def test_shares_that_are_not_known_exactly_are_told_as_bounds():
    window = _statistics(5_000, 2, x=np.full(5_000, 100.1234))
    (found,) = [one for one in _violations(_statistics(5_000, 1), window) if "single value" in one]
    assert "the single value 100.1234: " in found
    x = np.random.default_rng(3).normal(size=5_000)
    (found,) = _violations(
        _statistics(5_000, 1), _statistics(5_000, 2, x=np.where(np.arange(5_000) % 50, x, 99))
    )
    assert re.search(r"values above [0-9.]+: 0 % -> at least 1.9 %, the farthest 99 ", found)


@pytest.mark.parametrize("kind", ["datetime64[us]", "int64"])
def test_rows_in_order_of_a_column_are_not_taken_for_dependent_in_others(kind):
    def rows(number, seed, share):
        flags = np.random.default_rng(seed).random(number) < share
        return _statistics(number, seed, x=flags * 1, order=np.arange(number).astype(kind))

    assert "single value 1" in _violations(rows(20_000, 1, 0.002), rows(5_000, 2, 0.02))[-1]
