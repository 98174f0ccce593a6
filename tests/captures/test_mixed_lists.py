"""Lists that mix numbers and text are read together, as they are one by one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from capture_data import read_columns, record, write
from hypothesis import given
from hypothesis import strategies as st

from contract.dataset import ColumnPaths
from readers.captures import columns
from readers.lanes import NotBulkError
from readers.like_lines import cells_of_lists

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
    """Return an answer with a prediction for each row, which are the deepest list."""
    return {"predictions": [0.5] * max(rows_in(request), default=2)}


def rows_in(value: Any) -> Iterator[int]:
    if isinstance(value, list) and all(isinstance(row, list) for row in value):
        yield len(value)
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from rows_in(member)


@pytest.mark.property
@given(calls())
def test_together_as_one_by_one(tmp_path_factory: pytest.TempPathFactory, requests: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("captures")
    write(folder / "a.jsonl", [record(answer(request), request) for request in requests])
    found = []
    for json_rows in (columns.rows_of_json, _refuse):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("readers.captures.rows._WORTH_IT", 0)
            patch.setattr(columns, "rows_of_json", json_rows)
            found.append({name: [*map(repr, cells)] for name, cells in read_columns(folder).items()})
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "request_of",
    [
        lambda at: {"c": [5] * (1 + at % 3), "inner": {"rows": [[at, "a"]] * (1 + at % 3)}, "n": at},
        lambda at: [[0.5, 2**53 + 1], [at, 2**62 + at]],
        lambda at: [{"row": [0.5, -(2**53) - 1 - at]}, {"row": [at, 1]}],
    ],
)
def test_deeper_lists_and_long_integers_are_as_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, request_of: Callable[[int], Any]
) -> None:
    requests = [request_of(at) for at in range(40)]
    test_together_as_one_by_one.hypothesis.inner_test(tmp_path_factory, requests)


def test_long_integers_that_a_path_finds_are_exact(tmp_path: Path) -> None:
    requests = [{"instances": [{"features": [0.5, 2**53 + 1 + at]}]} for at in range(300)]
    write(tmp_path / "a.jsonl", [record("1", request) for request in requests])
    found = read_columns(tmp_path, locations=ColumnPaths("instances[*].features"))
    assert found["column_1"] == [2**53 + 1 + at for at in range(300)]


def _refuse(data: pa.StringArray, shape: str) -> columns.Rows:
    raise NotBulkError("for once")


FORMS: dict[str, Callable[[list[list[Any]], list[str]], Any]] = {
    "mlflow": lambda rows, names: {"dataframe_split": {"columns": names, "data": rows}},
    "pandas": lambda rows, names: {"columns": names, "index": [*range(len(rows))], "data": rows},
    "watsonx": lambda rows, names: {"input_data": [{"fields": names, "values": rows}]},
    "seldon": lambda rows, names: {"data": {"names": names, "ndarray": rows}, "meta": {"version": 1}},
    "wrapped": lambda rows, names: {"inner": {"instances": rows}, "parameters": {"n": None}},
}


@pytest.mark.property
@pytest.mark.parametrize("form", FORMS)
@given(st.data())
def test_tables_together_as_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    kinds = data.draw(st.lists(st.sampled_from([*KINDS[:4], *LACKING]), min_size=1, max_size=3))
    names, row = [f"n{at}" for at in range(len(kinds))], st.tuples(*kinds).map(list)
    requests = [
        FORMS[form](data.draw(st.lists(row, min_size=1, max_size=3)), data.draw(st.permutations(names)))
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    test_together_as_one_by_one.hypothesis.inner_test(tmp_path_factory, requests)


@pytest.mark.parametrize("form", FORMS)
def test_tables_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(columns.Decoder, "_rows", lambda *_: pytest.fail("read one by one"))
    requests = [FORMS[form]([[at, "a", None], [at / 2, "[1,", True]], ["x", "y", "z"]) for at in range(300)]
    write(tmp_path / "a.jsonl", [record({"predictions": [0.5, 0.5]}, request) for request in requests])
    found = read_columns(tmp_path, indices=("endpointInput",))
    rows = [list(row) for row in zip(*list(found.values())[:3], strict=True)]
    assert rows == [row for at in range(300) for row in ([at, "a", None], [at / 2, "[1,", True])]


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


# What may stand where a cell does, some of which is no JSON; and between cells, rows and payloads.
ODD = st.one_of(
    st.from_regex(r"\A[-+ 01.eEx_naN\"]{0,5}\Z"),
    st.sampled_from(
        ["nul", "tru", "1e400", "9" * 20, '"a""b"', '"a\\n"', "[1]", "{}", "1.e5", "007", "0x1F"]
    ),
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
KINDS_OF_TOKENS = [
    st.one_of(st.integers(-9, 9).map(str), FLOATS, st.just("null")),
    st.one_of(st.integers(-(2**63), 2**63 - 1).map(str), st.just("-0")),
    st.sampled_from(["true", "false", "null"]),
    st.sampled_from(['"a\\"b"', '"1"', '"[,"', '""', '" "', "null"]),
]
PLAIN = st.sampled_from([",", ", ", "],[", "], ["])
ODDLY = st.sampled_from([",,", "]x,[", "],x[", "]],[[", "", " ,", ",  ", "][", "] ,["])
AROUND = [
    '{"a":%s%s%s}',
    '{"b":"[", "a":%s%s%s}',
    '{"a": %s%s%s,"b":1e5}',
    '{"b":["x",{}],"a":%s%s%s,"c":{"d":[]}}',
]


@pytest.mark.property
@given(st.integers(1, 2), st.data())
def test_cells_are_what_json_says(deep: int, data: st.DataObject) -> None:
    tokens = data.draw(st.sampled_from(KINDS_OF_TOKENS))
    tokens = data.draw(st.sampled_from([tokens, tokens, tokens | ODD]))
    separators = data.draw(st.sampled_from([PLAIN if deep > 1 else st.just(","), PLAIN | ODDLY]))
    payloads = data.draw(st.lists(st.lists(tokens, min_size=1, max_size=3), min_size=1, max_size=4))
    around = data.draw(st.sampled_from(AROUND))
    texts = []
    for each in payloads:
        cells = "".join(token + data.draw(separators) for token in each[:-1]) + each[-1]
        texts.append(around % ("[" * deep, cells, "]" * deep))
    try:
        lists = cells_of_lists(pa.array(texts))
    except NotBulkError:
        return
    parsed = [json.loads(text) for text in texts]
    values = [one["a"] for one in parsed]
    assert lists.deep == deep
    rows = values if deep == 1 else [row for each in values for row in each]
    around_them = zip(lists.before.to_pylist(), lists.after.to_pylist(), strict=True)
    assert [json.loads("".join(each)) for each in around_them] == [one | {"a": []} for one in parsed]
    assert lists.counts.tolist() == ([1] * len(values) if deep == 1 else [*map(len, values)])
    width = max(map(len, rows))
    assert lists.are_even == all(len(row) == width for row in rows)
    found = [cell for row in zip(*(cells.to_pylist() for cells in lists.cells), strict=True) for cell in row]
    wanted = [cell for row in rows for cell in [*row, *[None] * (width - len(row))]]
    assert found == wanted
    assert [isinstance(cell, bool) for cell in found] == [isinstance(cell, bool) for cell in wanted]
