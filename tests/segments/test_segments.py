"""Segments: rows divided as pandas divides them, each segment analysed as if it were alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_jobs import baseline_of, run_job
from sentences import says

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from analyzers.data_quality.documents import DATA_QUALITY
from contract import json_layout
from contract.api import Baseline, Decision, Finding, Violation, Violations
from contract.errors import DatasetError, wording
from job_runner import segments as segments_module
from job_runner.segments import (
    DividedRows,
    Segment,
    SegmentedAnalyzer,
    SegmentedStatistics,
    SortedRows,
    check_segments,
    named_alike,
    positions_of,
    segmented_documents,
    sort_rows,
)

CELLS = {
    "text": st.sampled_from(["a", "b", "", "ä b", None]),
    "whole": st.sampled_from([1, 2, -7, None]),
    "number": st.sampled_from([1.0, 2.5, float("nan"), None]),
    "flag": st.sampled_from([True, False, None]),
}
TYPES = {"text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}
ROWS = st.lists(st.tuples(*CELLS.values()), min_size=1, max_size=60)


def batch_of(rows: list[tuple[Any, ...]], *, dictionary: bool) -> pa.RecordBatch:
    arrays = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(TYPES.values())]
    if dictionary:
        arrays[0] = arrays[0].dictionary_encode()
    return pa.RecordBatch.from_arrays([*arrays, pa.array(range(len(rows)))], names=[*TYPES, "row"])


def text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def divided(pieces: list[SortedRows]) -> DividedRows:
    rows = DividedRows()
    for piece in pieces:
        rows.add(piece.batch, piece)
    return rows


@given(ROWS, ROWS, st.booleans(), st.permutations(list(TYPES)), st.integers(1, 4))
def test_rows_are_divided_as_pandas_groups_them(
    first: list[Any], second: list[Any], dictionary: bool, order: list[str], count: int
) -> None:
    columns = order[:count]
    batches = [batch_of(rows, dictionary=dictionary) for rows in (first, second)]
    positions = positions_of(batches[0].schema.names, columns)
    rows = divided([sort_rows(batch, positions) for batch in batches])
    frame = pd.DataFrame([*first, *second], columns=list(TYPES), dtype=object)
    frame["row"] = [*range(len(first)), *range(len(second))]
    for column in columns:
        frame[column] = [text(value) for value in frame[column]]
    keys = list(zip(*(frame[column] for column in columns), strict=True))
    assert rows.counts == Counter(tuple(None if pd.isna(v) else v for v in key) for key in keys)
    chosen = list(rows.counts)[::2]
    for key, batch in rows.select(chosen):
        matches = [tuple(None if pd.isna(v) else v for v in other) == key for other in keys]
        assert batch.column("row").to_pylist() == frame["row"][matches].tolist()


def test_an_absent_column_is_missing_and_a_number_can_be_a_position() -> None:
    assert positions_of(["a", "1", "b"], ["b", "1", "0", "9", "c"]) == [2, 1, 0, None, None]
    rows = divided([sort_rows(pa.RecordBatch.from_pydict({"a": [1, 2]}), [None])])
    assert rows.counts == {(None,): 2}


def table(rows: int, seed: int, *, shift: dict[str, float] | None = None, names: int = 4) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    carrier = rng.choice([f"c{i}" for i in range(names)], rows)
    delay = rng.normal(size=rows) + np.array([(shift or {}).get(name, 0.0) for name in carrier])
    return pa.RecordBatch.from_pydict(
        {
            "delay": pa.array(delay),
            "carrier": pa.array(carrier).dictionary_encode(),
            "hour": pa.array(rng.integers(0, 24, rows)),
        },
    )


def written(statistics: Any) -> bytes:
    return json_layout.dumps(DATA_QUALITY.write_statistics(statistics, True))


def test_a_segment_is_described_as_if_it_were_alone() -> None:
    batch = table(2_000, seed=1)
    inner = DataQualityAnalyzer()
    analyzer = SegmentedAnalyzer(inner, ("carrier",))
    pieces = [batch.slice(start, 500) for start in range(0, 2_000, 500)]
    statistics = analyzer.describe(analyzer.summarize(pieces))
    assert written(statistics.whole) == written(inner.describe(inner.summarize(pieces)))
    assert [segment.item_count for segment in statistics.segments] == sorted(
        (segment.item_count for segment in statistics.segments), reverse=True
    )
    assert statistics.rows_left_out == 0
    for segment in statistics.segments:
        mask = pa.compute.equal(batch.column("carrier").dictionary_decode(), segment.values["carrier"])
        alone = inner.describe(inner.summarize([batch.filter(mask)]))
        assert written(segment.statistics) == written(alone)


def test_merging_splits_gives_the_segments_of_one_pass() -> None:
    analyzer = SegmentedAnalyzer(DataQualityAnalyzer(), ("hour", "carrier"))
    batches = [table(700, seed) for seed in range(3)]
    merged = analyzer.empty()
    for batch in batches:
        merged = analyzer.merge(merged, analyzer.summarize([batch]))
    once = analyzer.summarize(batches)
    assert {key: segment.rows for key, segment in merged.segments.items()} == {
        key: segment.rows for key, segment in once.segments.items()
    }
    assert analyzer.row_count(merged) == analyzer.row_count(once) == 2_100


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=60), min_size=1, max_size=6))
def test_a_reported_segment_has_all_its_rows_however_many_there_are(splits: list[list[int]]) -> None:
    analyzer = SegmentedAnalyzer(DataQualityAnalyzer(), ("k",), most=3)
    summary = analyzer.empty()
    for values in splits:
        summary = analyzer.merge(summary, analyzer.summarize([pa.RecordBatch.from_pydict({"k": values})]))
    statistics = analyzer.describe(summary)
    true = Counter(str(value) for values in splits for value in values)
    assert len(statistics.segments) <= 3
    for segment in statistics.segments:
        assert segment.item_count == true[segment.values["k"] or ""]
    if len(true) <= 6:
        largest = sorted(true.values(), reverse=True)[:3]
        assert [segment.item_count for segment in statistics.segments] == largest
    assert statistics.rows_left_out == sum(true.values()) - sum(s.item_count for s in statistics.segments)


def test_an_identifier_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "_MOST_REMEMBERED", 100)
    analyzer = SegmentedAnalyzer(DataQualityAnalyzer(), ("id",))
    with pytest.raises(DatasetError) as caught:
        analyzer.summarize([pa.RecordBatch.from_pydict({"id": list(range(1_000))})])
    assert caught.value.code == "segments.too_many"


def test_documents_are_the_same_after_reading_and_writing() -> None:
    analyzer = SegmentedAnalyzer(DataQualityAnalyzer(), ("carrier", "hour"), most=5)
    statistics = analyzer.describe(analyzer.summarize([table(500, seed=3)]))
    documents = segmented_documents(DATA_QUALITY)
    data = json_layout.dumps(documents.write_statistics(statistics, True))
    assert statistics.rows_left_out > 0
    again = documents.read_statistics(json_layout.loads(data, "s.json"), "s.json")
    again.rows_left_out = statistics.rows_left_out
    assert json_layout.dumps(documents.write_statistics(again, True)) == data


class Recorder:
    """An analyzer that violates where its statistics say so, and remembers the shares it was given."""

    def __init__(self, shares: list[float]) -> None:
        self.shares = shares

    def with_error_share(self, share: float) -> Recorder:
        self.shares.append(share)
        return self

    def suggest(self, statistics: Any, baseline: Any) -> None:
        return None

    def check(self, statistics: Any, baseline: Any) -> Decision:
        found = [Violation("check", f"{n} is worse", metric_name="auc") for n in range(statistics)]
        return Decision(Violations(found), (Finding("auc", "moved", float(statistics)),))


def test_the_budget_is_shared_and_the_worst_segment_comes_first() -> None:
    def segment(name: str, worse: int, rows: int = 100) -> Segment[int]:
        return Segment({"k": name}, rows, worse)

    shares: list[float] = []
    window = SegmentedStatistics(0, [segment("a", 1), segment("b", 2), segment("new", 9), segment("c", 9, 8)])
    expected = [segment(name, 0) for name in "abc"]
    decision = check_segments(Recorder(shares), window, Baseline(SegmentedStatistics(0, expected)))  # type: ignore[arg-type] # a small double
    assert sum(share * uses for share, uses in zip(shares, (1, 2), strict=True)) == pytest.approx(1.0)
    assert [violation.extra["segment"]["k"] for violation in decision.violations.violations] == [
        "b",
        "b",
        "a",
    ]
    assert decision.violations.violations[0].description == "In the segment k=b: 0 is worse"
    notes = " ".join(decision.notes)
    assert "number of their violations: k=b (2), k=a (1)" in notes
    assert "measured and not checked: k=new" in notes
    assert "(fewer than 30 rows): k=c (8 rows)" in notes


def test_a_column_may_have_a_name_in_the_baseline_and_a_position_in_the_window() -> None:
    window = SegmentedStatistics(0, [Segment({"3": "a"}, 100, 2), Segment({"3": "b"}, 100, 0)])
    expected = [Segment({"k": "b"}, 100, 0), Segment({"k": "a"}, 100, 0), Segment({"k": "gone"}, 100, 0)]
    decision = check_segments(Recorder([]), window, Baseline(SegmentedStatistics(0, expected)))  # type: ignore[arg-type] # a small double
    assert [violation.extra["segment"] for violation in decision.violations.violations] == [{"3": "a"}] * 2
    assert "not among this window's: k=gone" in decision.notes[-1]
    other = check_segments(
        Recorder([]), window, Baseline(SegmentedStatistics(0, [Segment({"h": "1"}, 9, 0)]))
    )  # type: ignore[arg-type] # ditto
    (note,) = other.notes
    assert says(note, "segments.other_baseline", by="h")


def test_the_largest_significant_loss_counts_more_than_the_number_of_violations() -> None:
    class Losing(Recorder):
        def check(self, statistics: Any, baseline: Any) -> Decision:
            violations = [Violation("check", "worse", metric_name="auc")] * statistics["violations"]
            findings = [
                Finding("auc", "moved", statistics["loss"], bool(violations)),
                Finding("recall", "moved, but no more than chance explains", statistics["chance"]),
            ]
            return Decision(Violations(violations), tuple(findings))

    losses = {"many": (5, 0.05, 0.0), "much": (1, 0.3, 0.0), "chance": (0, 0.0, 0.9), "half": (1, 0.05, 0.0)}
    segments = [
        Segment({"k": name}, 100, {"violations": count, "loss": loss, "chance": chance})
        for name, (count, loss, chance) in losses.items()
    ]
    whole = {"violations": 0, "loss": 0.0, "chance": 0.0}
    decision = check_segments(
        Losing([]), SegmentedStatistics(whole, segments), Baseline(SegmentedStatistics(0, segments))
    )  # type: ignore[arg-type] # a small double
    worst = "number of their violations: k=much (1), k=many (5), k=half (1)"
    assert any(worst in note for note in decision.notes)
    assert [finding.subject for finding in decision.findings[-4:]][-1] == "segment k=chance"


@pytest.mark.parametrize("names", [("delay", "carrier", "hour"), ("_c0", "_c1", "_c2")])
def test_a_position_is_shown_by_the_name_that_is_known(names: tuple[str, ...]) -> None:
    batch = table(400, seed=1).rename_columns(names)
    analyzer = SegmentedAnalyzer(DataQualityAnalyzer(), ("1",))
    statistics = analyzer.describe(analyzer.summarize([batch]))
    shown = "carrier" if "carrier" in names else "1"
    assert {tuple(segment.values) for segment in statistics.segments} == {(shown,)}
    named = SegmentedAnalyzer(DataQualityAnalyzer(), ("carrier",))
    before = named.describe(named.summarize([table(400, seed=2)]))
    window = analyzer.estimate(statistics, Baseline(before, None))
    assert {tuple(segment.values) for segment in window.segments} == {("carrier",)}


def test_names_of_the_baseline_are_not_lent_to_other_columns() -> None:
    segments = [Segment({"3": "a"}, 9, 0)]
    for expected in (
        [Segment({"k": "b"}, 9, 0)],
        [Segment({"k": "a", "h": "1"}, 9, 0)],
        [],
    ):
        assert named_alike(segments, expected) == segments
    both = named_alike([Segment({"3": "a", "h": "1"}, 9, 0)], [Segment({"k": "a", "h": "1"}, 9, 0)])
    assert both[0].values == {"k": "a", "h": "1"}


def test_notes_that_differ_in_numbers_only_are_told_once() -> None:
    class Noting(Recorder):
        def check(self, statistics: Any, baseline: Any) -> Decision:
            notes = ("It is small.",) if statistics == 0 else (f"{statistics}.5 are odd.",)
            return Decision(Violations(), notes=notes)

    segments = [Segment({"k": str(n)}, 100, n) for n in range(4)]
    decision = check_segments(
        Noting([]), SegmentedStatistics(0, segments), Baseline(SegmentedStatistics(0, segments))
    )  # type: ignore[arg-type] # a small double
    small, odd = "It is small.", "1.5 are odd."
    assert decision.notes == (
        small,
        f"In the segment k=0: {small}",
        f"In 3 segments, such as k=1: {odd}",
    )


def test_columns_of_the_same_names_match_in_any_order() -> None:
    segment = Segment({"a": "1", "b": "2"}, 1, 0)
    assert segment.key(["b", "a"]) == ("2", "1")
    assert segment.key(["0", "1"]) == ("1", "2")


# Whole jobs


def write(path: Path, batch: pa.RecordBatch) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    batch.to_pandas().to_csv(path, index=False)
    return path


def test_a_change_in_one_segment_is_found_where_it_is(tmp_path: Path) -> None:
    before = write(tmp_path / "before" / "data.csv", table(6_000, seed=1, names=20))
    baseline = run_job(tmp_path / "a", before, segment_by="carrier", output_path=tmp_path / "baseline")
    assert baseline.exit_code == 0, baseline.message
    assert len(baseline.document("statistics.json")["segments"]) == 20
    after = table(6_000, seed=2, names=20, shift={"c7": 2.0})
    window = write(tmp_path / "after" / "data.csv", after)
    result = run_job(tmp_path, window, segment_by="carrier", **baseline_of(baseline))
    assert result.exit_code == 0, result.message
    # A twentieth of all rows moved by two standard deviations: the tail of all shows it too.
    assert {violation["feature_name"] for violation in result.violations} == {"delay"}
    (violation,) = [violation for violation in result.violations if violation.get("segment")]
    assert violation["segment"] == {"carrier": "c7"}
    assert violation["description"].startswith("In the segment carrier=c7: ")


def test_no_change_raises_nothing_in_any_segment(tmp_path: Path) -> None:
    before = write(tmp_path / "before" / "data.csv", table(6_000, seed=1, names=20))
    baseline = run_job(tmp_path / "a", before, segment_by="carrier", output_path=tmp_path / "baseline")
    for seed in (5, 6, 7):
        window = write(tmp_path / "after" / "data.csv", table(6_000, seed=seed, names=20))
        result = run_job(tmp_path, window, segment_by="carrier", **baseline_of(baseline))
        assert result.violations == []


def test_a_missing_column_is_told_once(tmp_path: Path) -> None:
    before = table(2_000, seed=1)
    baseline = run_job(
        tmp_path / "a",
        write(tmp_path / "before.csv", before),
        segment_by="carrier",
        output_path=tmp_path / "baseline",
    )
    window = write(tmp_path / "after.csv", before.drop_columns(["hour"]))
    result = run_job(tmp_path, window, segment_by="carrier", **baseline_of(baseline))
    assert [violation["constraint_check_type"] for violation in result.violations] == ["missing_column_check"]


def test_a_baseline_without_segments_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "data.csv", table(1_000, seed=1))
    baseline = run_job(tmp_path / "a", source, output_path=tmp_path / "baseline")
    result = run_job(tmp_path, source, segment_by="carrier", log_level="WARNING", **baseline_of(baseline))
    assert result.violations == []
    assert "The baseline has no segments" in capsys.readouterr().err
    assert says(result.message, "outcome.undecided", why="the baseline has no segments")
    # And the other way round: what a plain job does with a baseline that has some.
    segmented = run_job(tmp_path / "b", source, segment_by="carrier", output_path=tmp_path / "segmented")
    plain = run_job(tmp_path, source, **baseline_of(segmented))
    assert plain.exit_code == 0, plain.message
    assert "segments" not in plain.document("statistics.json")
    why = wording("segments.unasked", by="carrier")
    assert says(plain.message, "outcome.undecided", open="1 was", why=why)
    gate = run_job(tmp_path, source, fail_on_violations=True, **baseline_of(segmented))
    assert gate.exit_code == 5, gate.message
    other = run_job(tmp_path, source, segment_by="hour", **baseline_of(segmented))
    why = wording("segments.other_columns", by="hour", before="carrier")
    assert says(other.message, "outcome.undecided", why=why)


MEANT = "did you mean 'carrier'? The columns are delay, carrier, hour"


def test_an_unknown_column_lists_those_that_are_there(tmp_path: Path) -> None:
    source = write(tmp_path / "data.csv", table(100, seed=1))
    result = run_job(tmp_path, source, segment_by="carier")
    assert result.exit_code == 2
    assert says(result.message, "segments.absent", field="carier", hint=MEANT)
    assert result.files == []


def test_an_absent_column_is_told_at_the_first_rows_and_once(caplog: pytest.LogCaptureFixture) -> None:
    analyzer = SegmentedAnalyzer(DataQualityAnalyzer(), ("carier",))
    other = pa.RecordBatch.from_pydict({"carier": ["a", "b"]})
    summary = analyzer.summarize([table(100, seed=1), table(50, seed=2).drop_columns(["hour"]), other])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"segment_by names 'carier', which rows read just now do not have; {MEANT}" in caplog.text
    assert {segment.values["carier"] for segment in analyzer.describe(summary).segments} == {None, "a", "b"}


def test_the_originals_have_no_segments(tmp_path: Path) -> None:
    source = write(tmp_path / "data.csv", table(100, seed=1))
    result = run_job(tmp_path, source, segment_by="carrier", rules="sagemaker")
    assert result.exit_code == 2
    assert "segment_by needs rules=sound" in result.message


def test_a_window_without_data_has_no_segments(tmp_path: Path) -> None:
    source = write(tmp_path / "data.csv", table(500, seed=1))
    baseline = run_job(tmp_path / "a", source, segment_by="carrier", output_path=tmp_path / "baseline")
    empty = tmp_path / "empty.csv"
    empty.write_text("delay,carrier,hour\n")
    result = run_job(tmp_path, empty, segment_by="carrier", **baseline_of(baseline))
    assert result.exit_code == 0, result.message
    assert result.document("statistics.json")["segments"] == []
