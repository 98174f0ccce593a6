"""Lines that differ in texts only say the same whether they are read together or one by one."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import says

from readers import like_lines
from readers.captures import envelope
from readers.splitting import LineBlock, Segment

SIDES = ("endpointOutput", "endpointInput")
# What may stand in a text: quotes and what else JSON escapes, what is not ASCII, and what looks like JSON.
TEXTS = st.text(st.sampled_from('ab1.,:"{}[] é\uf8ff☃\\\n\t'), max_size=8)


def lines_with(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    side = st.fixed_dictionaries(
        {"data": texts, "encoding": st.sampled_from(["CSV", "JSON"])}, optional={"mode": st.just("INPUT")}
    )
    member = st.one_of(side, side, side, st.just({"data": {"a": "x"}}), st.just({"data": 1.5}), st.none())
    return st.fixed_dictionaries(
        {
            "captureData": st.fixed_dictionaries({"endpointInput": member, "endpointOutput": member}),
            "eventMetadata": st.fixed_dictionaries(
                {"eventId": st.one_of(texts, texts, st.just(7)), "inferenceTime": texts},
                optional={"inferenceId": texts},
            ),
            "eventVersion": st.sampled_from(["0", "0", "0", 0, None]),
        },
        optional={"groundTruthData": side},
    )


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """Draw lines of a few forms, mostly one, whose texts differ."""
    forms = draw(st.lists(lines_with(st.just("?")), min_size=1, max_size=2))
    text, written = draw(st.sampled_from([st.from_regex(r"[a-z0-9.,]{0,6}", fullmatch=True), TEXTS])), []
    for _ in range(draw(st.integers(1, 12))):
        form = json.loads(json.dumps(draw(st.sampled_from(forms))))
        for holder in (*filter(None, form["captureData"].values()), form["eventMetadata"]):
            holder.update({name: draw(text) for name, value in holder.items() if value == "?"})
        spaces = draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ": ")]))
        written.append(json.dumps(form, separators=spaces, ensure_ascii=draw(st.booleans())))
    return "".join(f"{line}\n" for line in written).encode()


def read(data: bytes) -> envelope.Envelope:
    block = LineBlock((Segment("captures.jsonl", 0, data),), data)
    return envelope.open_envelope(block, SIDES, labels=True, ids=True, times=True)


@pytest.mark.property
@given(blocks())
def test_together_as_one_by_one(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(like_lines, "_TOGETHER", 400)
        found = read(data)
    lines = [read(line) for line in data.splitlines(keepends=True)] if data.count(b"\n") > 1 else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(like_lines, "_MOST_UNLIKE", -1)  # nothing is read by its quotes
        expected = read(data)
        alone = [read(line) for line in data.splitlines(keepends=True)] if lines else []
    for one, other in zip((found, *lines), (expected, *alone), strict=True):
        assert {name: part.to_pylist() for name, part in one.parts.items()} == {
            name: part.to_pylist() for name, part in other.parts.items()
        }
        assert one.ids.to_pylist() == other.ids.to_pylist()
        assert one.times.to_pylist() == other.times.to_pylist()
        assert np.array_equal(one.numbers, other.numbers)


LINE = (
    '{"captureData":{"endpointInput":{"data":"%s","encoding":"CSV"},'
    '"endpointOutput":{"data":"1","encoding":"CSV"}},"eventMetadata":{"eventId":"%s","inferenceTime":"t"}}\n'
)


@pytest.mark.parametrize(
    ("odd", "parts"),
    [
        ("", 1),
        (LINE.replace("CSV", "JSON") % ("1", "7"), 1),
        (LINE % ('{\\"a\\":1}', "7"), 1),
        (LINE % ("a\\\\b", "7"), 2),
        (LINE.replace('"t"', "5") % ("1", "7"), 2),
        (" \n", 2),
    ],
    ids=["like", "other texts", "a quote", "a backslash", "a number", "blank"],
)
def test_what_is_read_by_its_quotes(odd: str, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(like_lines, "_TOGETHER", 1 << 17)
    many = "".join(LINE % (at, f"id{at}") for at in range(4000))
    data = f"{many}{odd}{many}".encode()
    schema = pa.schema({"eventMetadata": pa.struct({"eventId": "string"})})
    found = list(like_lines.like_lines(data, schema, json.loads, lambda batch: batch))
    left = [end - start for start, end, batch in found if batch is None]
    assert len(left) == parts - 1
    assert len(found) <= 2 * parts
    assert sum(left) < 2 * like_lines._TOGETHER
    ids = [one["eventId"] for *_, batch in found if batch for one in batch.column(0).to_pylist()]
    assert ids == [one for one in ids if one is not None]
    assert found[0][0] == 0
    assert all(one[1] == after[0] for one, after in pairwise(found))


@pytest.mark.parametrize("bad", [b"\x01", b"\t", b"\xff"], ids=["control", "tab", "not UTF-8"])
def test_what_is_no_json_is_refused_with_its_line(bad: bytes, tmp_path: Path) -> None:
    path = tmp_path / "captures.jsonl"
    path.write_bytes((LINE % ("1", "1")).encode() * 3 + (LINE % ("1?", "2")).encode().replace(b"?", bad))
    block = LineBlock((Segment(str(path), 0, path.read_bytes()),), path.read_bytes())
    with pytest.raises(envelope.DatasetError) as error:
        envelope.open_envelope(block, SIDES)
    assert says(str(error.value), "captures.no_record", line=4)


def test_texts_that_no_line_changes() -> None:
    data = (LINE % ('{\\"a\\":[\\"b\\"]}', "7")).encode()
    for lines in (1, 2):
        part = read(data * lines).parts["endpointInput"]
        found = [(one["data"], one["encoding"]) for one in part.to_pylist()]
        assert found == [('{"a":["b"]}', "CSV")] * lines


def test_a_last_line_without_its_end() -> None:
    schema = pa.schema({"eventMetadata": pa.struct({"eventId": "string"})})
    data = (LINE % ("1", "a") + LINE % ("1", "b"))[:-1].encode()
    assert list(like_lines.like_lines(data, schema, json.loads, lambda batch: batch)) == [
        (0, len(data), None)
    ]
