"""Lists that mix numbers and text are read together, as they are one by one."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from capture_data import read_columns, record, write
from hypothesis import given
from hypothesis import strategies as st

from readers.captures import columns
from readers.lanes import NotBulkError

# What may stand in a column: values of one kind, or of several.
NUMBERS = st.one_of(st.integers(-9, 9), st.floats(-4, 4).map(lambda value: round(value, 3)))
TEXTS = st.text(st.sampled_from('a1,:[]{}"é '), max_size=4)
KINDS = [NUMBERS, st.integers(-9, 9), TEXTS, st.booleans(), st.one_of(NUMBERS, TEXTS)]
LACKING = [values | st.none() for values in KINDS[:4]]


@st.composite
def calls(draw: st.DrawFn) -> list[Any]:
    """Draw the requests of calls: one list of rows each, now and then something else."""
    kinds = draw(st.lists(st.sampled_from([*KINDS[:4], *LACKING, KINDS[4]]), min_size=1, max_size=4))
    beside = draw(st.fixed_dictionaries({}, optional={"id": TEXTS, "more": st.sampled_from([1, {"a": 2}])}))
    width = st.integers(1, len(kinds)) if draw(st.booleans()) else st.just(len(kinds))
    found: list[Any] = []
    for _ in range(draw(st.integers(1, 6))):
        rows = [[draw(kind) for kind in kinds[: draw(width)]] for _ in range(draw(st.integers(1, 3)))]
        found.append(beside | {draw(st.sampled_from(["instances", "instances", "inputs"])): rows})
    if draw(st.booleans()):
        found.append(
            draw(st.sampled_from([{"instances": [[]]}, {"instances": [[[1, "a"]]]}, {"a": [1, "x"]}]))
        )
    return found


def answer(request: Any) -> Any:
    [rows] = [rows for rows in request.values() if isinstance(rows, list)]
    return {"predictions": [0.5] * len(rows)}


@pytest.mark.property
@given(calls())
def test_together_as_one_by_one(tmp_path_factory: pytest.TempPathFactory, requests: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("captures")
    write(folder / "a.jsonl", [record(answer(request), request) for request in requests])
    found = []
    for json_rows in (columns._json_rows, _refuse):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "_WORTH_IT", 0)
            patch.setattr(columns, "_json_rows", json_rows)
            found.append({name: [*map(repr, cells)] for name, cells in read_columns(folder).items()})
    assert found[0] == found[1]


def _refuse(data: pa.StringArray, shape: str) -> columns.Rows:
    raise NotBulkError("for once")


def test_they_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns.Decoder, "_rows", lambda *_: pytest.fail("read one by one"))
    requests = [
        {"name": "a", "instances": [[at, "a, b", None, at % 2 == 0], [at / 2, 'say "x"', "[1,", True]]}
        for at in range(900)
    ]
    write(tmp_path / "a.jsonl", [record(answer(request), request) for request in requests])
    found = read_columns(tmp_path, indices=("endpointInput",))
    assert found.pop("name") == ["a"] * 1800
    assert [*found] == [f"instances.{at}" for at in range(4)]
    rows = [list(row) for row in zip(*found.values(), strict=True)]
    assert rows == [row for request in requests for row in request["instances"]]
