"""Rows divided into segments by values and intervals."""

import pyarrow as pa
import pytest

from contract.dataset import SegmentColumn
from readers.dataset import REST, is_interval, segments_of

VALUES = [1, 4, 5, 6, None, 40]


def labels(values: list[object], *segments: tuple[str | int, ...]) -> list[str]:
    names = tuple(f"s{number}" for number in range(len(segments)))
    batch = pa.RecordBatch.from_pydict({"a": pa.array(values)})
    return segments_of(batch, SegmentColumn("segment", "a", segments, (*names, REST))).to_pylist()


@pytest.mark.parametrize(
    ("interval", "inside"),
    [
        ("[1, 4]", [1, 4]),
        ("(1, 4]", [4]),
        ("[1,4)", [1]),
        ("(4, inf)", [5, 6, 40]),
        ("[-1e3, 5.5]", [1, 4, 5]),
    ],
)
def test_intervals_hold_what_their_brackets_say(interval: str, inside: list[int]) -> None:
    assert is_interval(interval)
    found = labels(VALUES, (interval,))
    assert [value for value, label in zip(VALUES, found, strict=True) if label == "s0"] == inside


def test_the_first_segment_that_holds_a_value_has_the_row() -> None:
    assert labels(VALUES, ("[1, 4]", 40), ("[4, 6]",)) == ["s0", "s0", "s1", "s1", REST, "s0"]


def test_text_and_numbers_as_text() -> None:
    assert labels(["x", "y", None, "[1, 2]"], ("x", "z"), ("[1, 2]",)) == ["s0", REST, REST, "s1"]
    assert labels([1.0, 2.5], ("1",), ("x",)) == ["s0", REST]
    batch = pa.RecordBatch.from_pydict({"a": pa.array(["x", "y"]).dictionary_encode()})
    column = SegmentColumn("segment", "a", (("y",),), ("s0", REST))
    assert segments_of(batch, column).to_pylist() == [REST, "s0"]


def test_a_column_that_is_not_there_leaves_all_to_the_rest() -> None:
    batch = pa.RecordBatch.from_pydict({"b": [1, 2]})
    assert segments_of(batch, SegmentColumn("s", "a", ((1,),), ("s0", REST))).to_pylist() == [REST, REST]


@pytest.mark.parametrize("text", ["[1, 4", "1, 4]", "[1; 4]", "[a, b]", "x", 3])
def test_what_is_no_interval(text: str | int) -> None:
    assert not is_interval(text)


def test_integers_that_no_float_holds() -> None:
    assert labels([2**53 + 1, 2**62, 3], ("[0, 10]",), ("(10, inf]",)) == ["s1", "s1", "s0"]
