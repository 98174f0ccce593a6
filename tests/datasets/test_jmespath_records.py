"""JSON, JSON Lines and captures whose columns are found by JMESPath."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jmespath
import pyarrow as pa
import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st

from contract.dataset import GROUND_TRUTH, ColumnPaths, Dataset, Location
from contract.dataset_format import DatasetFormat
from contract.errors import ConfigurationError, DatasetError
from file_storage.storage import list_files
from readers.captures.split import first_sides
from readers.cell_types import typed_text
from readers.paths import RESPONSE, compile_path
from readers.plan import plan_dataset

JSON = DatasetFormat("json")
CAPTURES = DatasetFormat("sagemakerMergeJson")
LINES = ColumnPaths("features", (Location("y", "label", variable="label"),))
DOCUMENT = ColumnPaths("rows[*].x", (Location("y", "rows[*].y", variable="label"),), document=True)


def read(request: Dataset) -> pa.Table:
    return pa.Table.from_batches(list(batches(request)))


def batches(request: Dataset) -> Iterator[pa.RecordBatch]:
    for split in plan_dataset(request).splits:
        yield from split.batches()


def write(path: Path, *values: Any) -> str:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return str(path)


members = st.sampled_from(["a", "b", "long_name"])
documents = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3),
    max_leaves=10,
)


@given(documents, st.lists(members, min_size=1, max_size=3))
def test_plain_paths_find_what_jmespath_finds(document: Any, steps: list[str]) -> None:
    path = ".".join(steps)
    assert compile_path(path, "x")(document) == jmespath.search(path, document)


@given(documents, st.lists(members, max_size=2), st.lists(members, max_size=2))
def test_projections_find_what_jmespath_finds_but_keep_the_gaps(
    document: Any, before: list[str], after: list[str]
) -> None:
    path = ".".join(before) + "[*]" + "".join("." + step for step in after)
    found = compile_path(path, "x")(document)
    kept = [value for value in found if value is not None] if isinstance(found, list) else found
    assert kept == jmespath.search(path, document)


@pytest.mark.parametrize(
    "path", ["rows[?x > `1`].y", "[rows[0].x, rows[1].x]", "length(rows)", "rows[-1]", "*"]
)
def test_other_paths_are_jmespath(path: str) -> None:
    document = {"rows": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}
    assert compile_path(path, "x")(document) == jmespath.search(path, document)


def test_what_is_no_jmespath_names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"features_attribute is 'a\[', which is no JMESPath"):
        compile_path("a[", "features_attribute")


def test_lines_and_documents_of_the_same_rows_are_the_same() -> None:
    lines = Dataset(str(fixture("clarify/adult_jsonl/validation-dataset.jsonl")), JSON, locations=LINES)
    located = ColumnPaths(
        "instances[*].features", (Location("y", "instances[*].label", variable="label"),), document=True
    )
    whole = Dataset(str(fixture("clarify/adult_json/validation-dataset.json")), JSON, locations=located)
    table = read(lines)
    assert table.equals(read(whole))
    assert table.num_rows == 666
    assert table.column_names == [*(f"column_{at}" for at in range(14)), "y"]
    assert set(table.schema.types) == {pa.int64()}


def test_features_may_be_objects_and_types_are_those_of_the_values(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"features": {"age": 3, "sex": "f"}, "label": True},
        {"features": {"age": 2.5, "sex": None}},
    )
    table = read(Dataset(path, JSON, locations=LINES))
    assert table.to_pylist() == [{"age": 3.0, "sex": "f", "y": True}, {"age": 2.5, "sex": None, "y": None}]
    assert table.schema.types == [pa.float64(), pa.string(), pa.bool_()]


@pytest.mark.parametrize("labels", [[True, 2.5], [2.5, True]])
def test_booleans_beside_numbers_are_text_in_any_order(tmp_path: Path, labels: list[Any]) -> None:
    path = write(tmp_path / "a.jsonl", *({"features": [1], "label": label} for label in labels))
    found = read(Dataset(path, JSON, locations=LINES)).column("y").to_pylist()
    assert found == ["true" if label is True else "2.5" for label in labels]


def test_records_of_several_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"features": [[1, "a"], [2, "b"]], "label": [0, 1]},
        {"features": [3, "c"], "label": 1},
    )
    table = read(Dataset(path, JSON, locations=ColumnPaths("features", LINES.others, headers=("n", "t"))))
    assert table.to_pydict() == {"n": [1, 2, 3], "t": ["a", "b", "c"], "y": [0, 1, 1]}


def test_a_lines_file_in_byte_ranges_is_read_once(tmp_path: Path) -> None:
    rows = [{"features": [number, "x" * 40], "label": number % 2} for number in range(70_000)]
    path = write(tmp_path / "a.jsonl", *rows)
    request = Dataset(path, JSON, locations=LINES)
    assert len(plan_dataset(request).splits) > 1
    assert read(request)["column_0"].to_pylist() == list(range(70_000))


@pytest.mark.parametrize(
    ("values", "locations", "message"),
    [
        (
            [{"features": [1], "label": 1}, {"feature": [1]}],
            LINES,
            r"a\.jsonl line 2 has nothing at 'features'",
        ),
        ([{"feature": [1]}], LINES, r"\(its members are feature\); correct features"),
        (
            [{"features": [[1], [2]], "label": [1, 2, 3]}],
            LINES,
            "has 2 rows of features, but 3 values of 'y'",
        ),
        ([{"rows": [{"x": [1]}]}], DOCUMENT, None),
        ([{"rows": {"x": [1]}}], DOCUMENT, r"has nothing at 'rows\[\*\]\.x'"),
        (
            [{"features": [1]}, {"features": [1]}],
            DOCUMENT,
            "if it holds one record per line, set dataset_type",
        ),
        (
            [{"features": [[[1, 2]]], "label": 0}],
            LINES,
            "'column_0' holds a list where one value was expected",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, values: list[Any], locations: ColumnPaths, message: str | None
) -> None:
    request = Dataset(write(tmp_path / "a.jsonl", *values), JSON, locations=locations)
    if message is None:
        assert read(request).to_pylist() == [{"column_0": 1, "y": None}]
        return
    with pytest.raises(DatasetError, match=message):
        read(request)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"features":[1]}\n{"features":\n', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a\.jsonl line 2 is not JSON"):
        read(Dataset(str(tmp_path), JSON, locations=LINES))


def merged(name: str, folder: Path) -> str:
    record = json.loads(fixture(f"clarify/aws_notebook_outputs/{name}.json").read_text(encoding="utf-8"))
    return write(folder / "merged.jsonl", record)


@pytest.mark.parametrize(
    ("name", "features", "label", "prediction", "rows"),
    [
        (
            "bias_endpoint_json_merged_record",
            "instances[*].features",
            "instances[*].label",
            "predictions[*].predicted_label",
            334,
        ),
        (
            "bias_batch_json_merged_record",
            "instances[*].features",
            "instances[*].label",
            "SageMakerOutput.predictions[*].predicted_label",
            334,
        ),
        ("bias_batch_jsonl_merged_record", "features", "label", "SageMakerOutput.predicted_label", 1),
    ],
)
def test_real_merged_captures(
    tmp_path: Path, name: str, features: str, label: str, prediction: str, rows: int
) -> None:
    others = (Location("y", label, GROUND_TRUTH, "label"), Location("p", prediction, RESPONSE, "inference"))
    source = merged(name, tmp_path)
    table = read(Dataset(source, CAPTURES, locations=ColumnPaths(features, others)))
    assert table.num_rows == rows
    assert table.column_names == [*(f"column_{at}" for at in range(14)), "y", "p"]
    assert table.slice(0, 1).to_pylist()[0]["column_2"] == 133937
    assert table["p"].to_pylist()[0] == 1
    assert table["y"].null_count == table["p"].null_count == 0


def capture(request: str, response: str, label: str | None = None, number: int = 0) -> dict[str, Any]:
    def part(data: str) -> dict[str, str]:
        return {"data": data, "encoding": "JSON" if data[:1] in "{[" else "CSV"}

    record: dict[str, Any] = {
        "captureData": {"endpointInput": part(request), "endpointOutput": part(response)},
        "eventMetadata": {"eventId": str(number)},
        "eventVersion": "0",
    }
    return record if label is None else {**record, "groundTruthData": part(label)}


def test_csv_requests_with_json_answers_and_csv_labels(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        capture("1,a\n2,b", '{"predictions":[{"score":0.5},{"score":1}]}', "0\n1"),
        capture("3.5,c", '{"predictions":[{"score":0.25}]}', "1"),
        capture("4,d", '{"predictions":[{"score":0.25}]}'),
    )
    others = (
        Location("y", None, GROUND_TRUTH, "label"),
        Location("p", "predictions[*].score", RESPONSE, "p"),
    )
    table = read(Dataset(path, CAPTURES, locations=ColumnPaths(None, others, headers=("n", "t"))))
    assert table.to_pydict() == {
        "n": [1.0, 2.0, 3.5, 4.0],
        "t": ["a", "b", "c", "d"],
        "y": [0, 1, 1, None],
        "p": [0.5, 1.0, 0.25, 0.25],
    }
    assert table.schema.field("y").type == pa.int64()
    expected = {"endpointInput": True, "endpointOutput": False, "groundTruthData": True}
    assert first_sides(list_files(path)) == expected


def test_labels_are_joined_while_reading(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.jsonl", capture('{"x":[1]}', "[0.1]", number=1), capture('{"x":[2]}', "[0.9]", number=2)
    )
    labels = write(
        tmp_path / "labels.jsonl",
        {"groundTruthData": {"data": '{"y":7}', "encoding": "JSON"}, "eventMetadata": {"eventId": "2"}},
    )
    others = (Location("y", "y", GROUND_TRUTH, "label"), Location("p", "0", RESPONSE, "p"))
    request = Dataset(source, CAPTURES, locations=ColumnPaths("x", others), ground_truth_source=labels)
    assert read(request).to_pydict() == {"column_0": [1, 2], "y": [None, 7], "p": [0.1, 0.9]}


def test_captures_that_do_not_fit_are_named(tmp_path: Path) -> None:
    others = (Location("y", "label", GROUND_TRUTH, "label"), Location("p", "p", RESPONSE, "p"))
    source = write(tmp_path / "a.jsonl", capture('{"x":[[1],[2]]}', '{"p":[1,2,3]}'))
    with pytest.raises(DatasetError, match=r"line 1 has 2 rows of features, but 3 values of 'p' at 'p'"):
        read(Dataset(source, CAPTURES, locations=ColumnPaths("x", others)))
    with pytest.raises(DatasetError, match=r"has nothing at 'z' in its request; correct features_attribute"):
        read(Dataset(source, CAPTURES, locations=ColumnPaths("z", others, variable="features_attribute")))
    labelled = [capture('{"x":[1]}', '{"p":1}', '{"Label":1}') for _ in range(10)]
    source = write(tmp_path / "a.jsonl", *labelled)
    with pytest.raises(
        DatasetError, match="10 records with groundTruthData, but none has a label at 'label'"
    ):
        read(Dataset(source, CAPTURES, locations=ColumnPaths("x", others)))


def test_rows_of_several_files_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n" + "".join(f"{n}\n" for n in range(100_000)), encoding="utf-8")
    (tmp_path / "b.csv").write_text("b,a\n" + "".join(f"{n},x\n" for n in range(100_000)), encoding="utf-8")
    beside = Dataset(str(tmp_path / "b.csv"), DatasetFormat("csv"))
    table = read(Dataset(str(tmp_path / "a.csv"), DatasetFormat("csv"), beside=(beside,)))
    assert table.column_names == ["a", "b"]
    assert table["b"].to_pylist() == list(range(100_000))
    assert set(table["a"].to_pylist()) == {"x"}
    (tmp_path / "b.csv").write_text("b\n" + "1\n" * 99_999, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a\.csv has 100000 rows, but .*b\.csv has 99999"):
        read(Dataset(str(tmp_path / "a.csv"), DatasetFormat("csv"), beside=(beside,)))


def test_a_line_that_repeats_the_names_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("2,y\n", encoding="utf-8")
    request = Dataset(
        str(tmp_path), DatasetFormat("csv", header=False), column_names=("a", "b"), repeated_names=True
    )
    assert read(request).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", None, " 2"], [1, None, 2]),
        (["1", "2.5"], [1.0, 2.5]),
        (["1", "a"], ["1", "a"]),
        (["01", "13"], ["01", "13"]),
        ([None, None], [None, None]),
    ],
)
def test_text_becomes_numbers_where_all_of_it_is_one(cells: list[str | None], expected: list[Any]) -> None:
    assert typed_text(pa.array(cells, pa.string())).to_pylist() == expected


cells = st.one_of(st.integers(-5, 5), st.floats(-5, 5), st.none(), st.sampled_from(["a", "2020-01-01"]))
kinds = st.sampled_from(
    [st.integers(-5, 5), st.integers(-5, 5) | st.floats(-5, 5), st.sampled_from(["a", "2020-01-01"]), cells]
)


@st.composite
def record_lines(draw: st.DrawFn) -> list[dict[str, Any]]:
    columns = draw(st.lists(kinds, min_size=1, max_size=4))
    named = draw(st.booleans())
    label = draw(
        st.sampled_from([st.integers(0, 1), st.booleans(), st.none() | st.integers(0, 1), st.just("x")])
    )
    lines = []
    for _ in range(draw(st.integers(1, 6))):
        values = [draw(column) for column in columns]
        features = {f"f{at}": value for at, value in enumerate(values)} if named else values
        lines.append({"in": {"features": features}, "label": draw(label), "other": draw(cells)})
    return lines


@given(record_lines())
def test_plain_paths_are_read_in_bulk_as_they_are_one_by_one(lines: list[dict[str, Any]]) -> None:
    import tempfile

    # `|| ` makes the path more than plain, so the second reading is line by line.
    tables = []
    for features, label in (("in.features", "label"), ("in.features || `[]`", "label || label")):
        with tempfile.TemporaryDirectory() as folder:
            path = write(Path(folder) / "a.jsonl", *lines)
            locations = ColumnPaths(features, (Location("y", label, variable="label"),))
            tables.append(read(Dataset(path, JSON, locations=locations)))
    assert tables[0].to_pydict() == tables[1].to_pydict()
    assert tables[0].schema == tables[1].schema


def test_integers_beside_floats_stay_integers_in_bulk(tmp_path: Path) -> None:
    rows = [{"features": [number, number / 2], "label": 1} for number in range(1_000)]
    table = read(Dataset(write(tmp_path / "a.jsonl", *rows), JSON, locations=LINES))
    assert table.schema.types == [pa.int64(), pa.float64(), pa.int64()]


@st.composite
def captured_lines(draw: st.DrawFn) -> list[dict[str, Any]]:
    width = draw(st.integers(1, 3))
    cell = draw(
        st.sampled_from(
            [st.integers(-5, 5), st.integers(-5, 5) | st.floats(-5, 5), st.text("ab", max_size=2)]
        )
    )
    labelled = draw(
        st.sampled_from([st.none(), st.just("JSON"), st.just("CSV"), st.sampled_from(["JSON", None])])
    )
    lines = []
    for number in range(draw(st.integers(1, 5))):
        rows = draw(st.integers(1, 3))
        instances = [{"features": [draw(cell) for _ in range(width)]} for _ in range(rows)]
        guesses = [{"score": draw(st.floats(0, 1)), "label": draw(st.integers(0, 1))} for _ in range(rows)]
        labels = [draw(st.integers(0, 1)) for _ in range(rows)]
        kind = draw(labelled)
        truth = {
            None: None,
            "JSON": json.dumps({"instances": [{"label": label} for label in labels]}),
            "CSV": "\n".join(map(str, labels)),
        }[kind]
        request, response = json.dumps({"instances": instances}), json.dumps({"predictions": guesses})
        lines.append(capture(request, response, truth, number))
    return lines


@given(captured_lines())
def test_captures_are_read_in_bulk_as_they_are_one_by_one(lines: list[dict[str, Any]]) -> None:
    import tempfile

    tables = []
    for more in ("", " || `null`"):
        others = (
            Location("y", "instances[*].label", GROUND_TRUTH, "label"),
            Location("s", "predictions[*].score", RESPONSE, "s"),
            Location("p", "predictions[*].label" + more, RESPONSE, "p"),
        )
        with tempfile.TemporaryDirectory() as folder:
            path = write(Path(folder) / "a.jsonl", *lines)
            request = Dataset(path, CAPTURES, locations=ColumnPaths("instances[*].features", others))
            tables.append(read(request))
    assert tables[0].to_pydict() == tables[1].to_pydict()
    assert tables[0].schema == tables[1].schema
