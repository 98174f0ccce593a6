"""From an analysis configuration and data to columns: headers, positions, paths, separate files, captures."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refused

from containers.bias.main import MONITOR
from contract.analysis_config import read_analysis_config
from contract.api import DocumentSet
from contract.errors import ConfigurationError, DatasetError
from contract.schema import Mistakes
from contract.settings import read_settings
from job_runner.clarify import Columns, arrange_dataset
from job_runner.job import dataset_request
from readers.plan import plan_dataset

BIAS: dict[str, Any] = {"label": "y", "label_values_or_threshold": [1], "facet": [{"name_or_index": "a"}]}
CSV = {**BIAS, "dataset_type": "text/csv"}
LINES = {**BIAS, "dataset_type": "application/jsonlines", "features": "features"}


def arrange(source: Path | str, config: dict[str, Any], **variables: Any) -> tuple[pa.Table, Columns]:
    variables |= {"dataset_source": source}
    texts = {name: str(value) for name, value in variables.items()}
    settings = read_settings([], texts, MONITOR)
    read = read_analysis_config(config, "analysis_config.json", "groups")
    mistakes = Mistakes("analysis_config.json")
    request, columns = arrange_dataset(
        settings, read, dataset_request(settings, DocumentSet(), None, None), mistakes
    )
    mistakes.stop_if_any()
    batches = [batch for split in plan_dataset(request).splits for batch in split.batches()]
    return pa.Table.from_batches(batches) if batches else pa.table({}), columns


def write(path: Path, *lines: Any) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def test_csv_with_a_header_row(tmp_path: Path) -> None:
    table, columns = arrange(write(tmp_path / "d.csv", "a,y", "3,1"), CSV)
    assert table.to_pydict() == {"a": [3], "y": [1]}
    assert (columns.label, columns.label_name, columns.features) == ("y", "y", ("a",))
    assert not columns.has_predictions


def test_a_header_of_numbers_is_one_when_a_column_asked_for_is_in_it(tmp_path: Path) -> None:
    table, _ = arrange(write(tmp_path / "d.csv", "a,y,2020", "3,1,5"), CSV)
    assert table.column_names == ["a", "y", "2020"]


def test_csv_without_header_row_and_headers(tmp_path: Path) -> None:
    config = {**CSV, "label": 1, "predicted_label": 2}
    table, columns = arrange(write(tmp_path / "d.csv", "3,1,0", "4,0,0"), config)
    assert table.to_pydict() == {"column_0": [3, 4], "column_1": [1, 0], "column_2": [0, 0]}
    assert (columns.label, columns.predicted_label, columns.features) == (
        "column_1",
        "column_2",
        ("column_0",),
    )


@pytest.mark.parametrize("first", [[], ["a,y"]])
def test_headers_name_csv_whether_or_not_the_file_has_them_too(tmp_path: Path, first: list[str]) -> None:
    table, columns = arrange(write(tmp_path / "d.csv", *first, "3,1"), {**CSV, "headers": ["a", "y"]})
    assert table.to_pydict() == {"a": [3], "y": [1]}
    assert columns.label == "y"


def test_a_header_told_by_the_settings(tmp_path: Path) -> None:
    told = {"dataset_format": '{"csv":{"header":true}}'}
    table, columns = arrange(write(tmp_path / "d.csv", "b,z", "3,1"), {**CSV, "headers": ["a", "y"]}, **told)
    assert table.to_pydict() == {"b": [3], "z": [1]}
    assert columns.label == "z"


TOLD = {"dataset_format": '{"csv":{"header":true}}'}


@pytest.mark.parametrize("headers", [["y", "A", "n"], ["N", " a", "Y"], ["Y", "n", "a"]])
def test_headers_in_another_order_or_spelling_are_matched_by_name(tmp_path: Path, headers: list[str]) -> None:
    path = write(tmp_path / "d.csv", "n,a,y", "3,1,0")
    config = {**CSV, "headers": headers, "label": headers[0], "facet": [{"name_or_index": "a"}]}
    table, columns = arrange(path, config, **TOLD)
    assert table.to_pydict() == {"n": [3], "a": [1], "y": [0]}
    assert columns.label == headers[0].casefold()


def test_headers_need_not_name_every_column(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "n,a,y", "3,1,0")
    table, columns = arrange(path, {**CSV, "headers": ["y", "a"]}, **TOLD)
    assert table.to_pydict() == {"n": [3], "a": [1], "y": [0]}
    assert columns.label == "y"


@pytest.mark.parametrize("headers", [["a", "y", "z"], ["a", "y", "n", "m"], ["b", "z", "x", "w"]])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_headers_that_do_not_fit_the_names_in_the_data_are_refused(
    tmp_path: Path, kind: str, headers: list[str]
) -> None:
    path = write(tmp_path / "d.csv", "n,a,y", "3,1,0")
    if kind == "parquet":
        path = tmp_path / "d.parquet"
        pq.write_table(pa.table({"n": [3], "a": [1], "y": [0]}), path)
    told = TOLD if kind == "csv" else {"dataset_format": '{"parquet":{}}'}
    with pytest.raises(
        ConfigurationError, match=r"headers does not fit the columns of .*'(n|y|z|m|b)' is not"
    ):
        arrange(path, {**CSV, "headers": headers}, **told)


def test_headers_may_name_the_id_and_a_label_that_is_joined(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "id,a,p", "k,3,1")
    config = {**CSV, "headers": ["y", "p", "a", "id"], "predicted_label": "p"}
    joined = {"id_attribute": "id", "ground_truth_source": write(tmp_path / "l.csv", "id,y", "k,1")}
    assert arrange(path, config, **TOLD, **joined)[1].label == "groundTruthData"


@pytest.mark.parametrize(
    "told", [{"predicted_label": "y"}, {"predicted_label": 1}, {"predictor": {}, "predicted_label": "y"}]
)
def test_a_label_is_no_prediction(tmp_path: Path, told: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigurationError, match="predicted_label is 'y', which is the label; name the column"
    ):
        arrange(write(tmp_path / "d.csv", "a,y", "3,1"), {**CSV, **told})


def test_headers_of_another_number_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "3,1,5")
    with pytest.raises(
        ConfigurationError, match=r"headers names 2 columns, but .*d\.csv has 3; name every column"
    ):
        arrange(path, {**CSV, "headers": ["a", "y"]})
    path = write(tmp_path / "d.jsonl", {"features": [1, 2], "l": 1})
    with pytest.raises(
        ConfigurationError, match="headers names 1 column, but the data has 2 features and the label"
    ):
        arrange(path, {**LINES, "label": "l", "headers": ["a"]})


def test_parquet_by_its_own_names_and_by_the_headers(tmp_path: Path) -> None:
    pq.write_table(pa.table({"b": [3], "z": [1]}), tmp_path / "d.parquet")
    config = {**BIAS, "dataset_type": "application/x-parquet", "headers": ["a", "y"]}
    assert arrange(tmp_path / "d.parquet", config)[1].label == "z"


def test_flat_json_lines_need_no_paths(tmp_path: Path) -> None:
    config = {**BIAS, "dataset_type": "application/jsonlines", "predicted_label": "p"}
    table, columns = arrange(write(tmp_path / "d.jsonl", {"a": 1, "y": 0, "p": 1}), config)
    assert table.column_names == ["a", "y", "p"]
    assert (columns.label, columns.predicted_label) == ("y", "p")


def test_headers_of_records_name_features_label_and_predicted_label(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", {"features": [3, 4], "l": 1, "p": 0})
    config = {**LINES, "label": "l", "predicted_label": "p"}
    table, columns = arrange(path, {**config, "headers": ["a", "b", "Target", "Predicted"]})
    assert table.to_pydict() == {"a": [3], "b": [4], "Target": [1], "Predicted": [0]}
    assert (columns.label, columns.label_name, columns.predicted_label) == ("Target", "Target", "Predicted")
    table, columns = arrange(path, config)
    assert table.column_names == ["column_0", "column_1", "column_2", "column_3"]
    assert columns.label == "column_2"
    table, columns = arrange(path, {**config, "headers": ["a", "b", "Target"]})
    assert table.column_names == ["a", "b", "Target", "predicted_label"]


def test_a_path_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", *[{"features": [3], "l": 1}] * 10)
    with pytest.raises(ConfigurationError, match="label is 'y', which leads to nothing in the first 10 rows"):
        arrange(path, LINES)


def test_facets_in_a_file_of_their_own(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", "1,0", "2,1")
    facets = write(tmp_path / "facets.csv", "f", "m")
    config = {**CSV, "label": 1, "facet_dataset_uri": str(facets)}
    table, columns = arrange(data, config)
    assert table.to_pydict() == {"column_0": [1, 2], "column_1": [0, 1], "a": ["f", "m"]}
    assert columns.facets == ("a",)
    table, columns = arrange(data, {**config, "facet_headers": ["sex"], "facet": [{"name_or_index": 0}]})
    assert columns.facets == ("sex",)
    write(tmp_path / "facets.csv", "f", "m", "f")
    with pytest.raises(DatasetError, match=r"d\.csv has 2 rows, but .*facets\.csv has 3"):
        arrange(data, config)


@pytest.mark.parametrize(
    ("name", "lines", "asked"),
    [
        ("p.csv", ["1", "0"], {}),
        ("p.csv", ["guess,score", "1,5", "0,6"], {"predicted_label": "guess"}),
        ("p.csv", ["5,1", "6,0"], {"predicted_label": 1}),
        ("p.csv", ["5,1", "6,0"], {"predicted_label": "g", "predicted_label_headers": ["s", "g"]}),
        ("p.jsonl", [{"out": {"guess": 1}}, {"out": {"guess": 0}}], {"predicted_label": "out.guess"}),
    ],
)
def test_predictions_in_a_file_of_their_own(
    tmp_path: Path, name: str, lines: list[Any], asked: dict[str, Any]
) -> None:
    predictions = write(tmp_path / name, *lines)
    config = {**CSV, "predicted_label_dataset_uri": str(predictions), **asked}
    table, columns = arrange(write(tmp_path / "d.csv", "a,y", "3,1", "4,0"), config)
    assert columns.predicted_label is not None
    assert table[columns.predicted_label].to_pylist() == [1, 0]
    assert columns.label == "y"


def capture(request: str, response: str, label: str | None) -> dict[str, Any]:
    captured = {"endpointInput": (request, "INPUT"), "endpointOutput": (response, "OUTPUT")}
    record: dict[str, Any] = {
        "captureData": {
            side: {"data": data, "mode": mode, "encoding": "CSV", "observedContentType": "text/csv"}
            for side, (data, mode) in captured.items()
        },
        "eventMetadata": {"eventId": "1"},
        "eventVersion": "0",
    }
    return record if label is None else {**record, "groundTruthData": {"data": label, "encoding": "CSV"}}


def test_csv_captures(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", capture("3,f", "0.5,1", "1"), capture("4,m", "0.25,0", "0"))
    config = {**BIAS, "headers": ["n", "a", "y"]}
    table, columns = arrange(path, config, probability_attribute=0, inference_attribute=1)
    assert table.select(["n", "a", "groundTruthData"]).to_pydict() == {
        "n": [3, 4],
        "a": ["f", "m"],
        "groundTruthData": [1, 0],
    }
    assert columns.features == ("n", "a")
    assert (columns.label, columns.label_name) == ("groundTruthData", "y")
    assert table[columns.predicted_label or ""].to_pylist() == [1, 0]
    assert table[columns.probability or ""].to_pylist() == [0.5, 0.25]
    # A predicted label is a place in the answer too, but for the name of a column of the baseline's table.
    for predictor, place in (({}, 1), ({"label": 0}, 0)):
        told: dict[str, Any] = {"predictor": predictor, "predicted_label": 1}
        assert arrange(path, {**config, **told})[1].predicted_label == f"response_{place}"
    told = {"headers": ["n", "a", "y", "p"], "predicted_label": "p", "predictor": {}}
    assert arrange(path, {**config, **told})[1].predicted_label is None
    told = {"predictor": {"probability": 0}, "predicted_label": 1}
    found = arrange(path, {**config, **told})[1]
    assert (found.predicted_label, found.probability) == (None, "response_0")
    assert arrange(path, {**BIAS, "headers": ["n", "a"]})[1].features == ("n", "a")
    assert arrange(path, BIAS)[1].features == ("column_0", "column_1")
    with pytest.raises(
        ConfigurationError, match=r"inference_attribute is '2', but responses are CSV of 2 columns"
    ):
        arrange(path, config, inference_attribute=2)
    with pytest.raises(ConfigurationError, match="headers names 1 feature, but requests have 2"):
        arrange(path, {**BIAS, "headers": ["n", "y"]})


@pytest.mark.parametrize(
    ("label", "encoding", "asked"),
    [
        ('{"t":1}', "JSON", {"label": "t"}),
        ("1", "JSON", {"label": "t"}),
        ("[1]", "JSON", {"label": "t"}),
        ("[0,1]", "JSON", {"label": "[1]"}),
        ("9,1", "CSV", {"label": 1}),
    ],
)
def test_csv_captures_with_labels_that_are_no_single_cell(
    tmp_path: Path, label: str, encoding: str, asked: dict[str, Any]
) -> None:
    truth = {"data": label, "encoding": encoding}
    config = {**BIAS, "headers": ["n", "a", "Target"], **asked}
    record = capture("3,f", "0.5", None)
    labels = write(tmp_path / "labels.jsonl", {"groundTruthData": truth, "eventMetadata": {"eventId": "1"}})
    joined = arrange(write(tmp_path / "d.jsonl", record), config, ground_truth_source=labels)
    merged = arrange(write(tmp_path / "d.jsonl", {**record, "groundTruthData": truth}), config)
    for table, columns in (joined, merged):
        assert table[columns.label or ""].to_pylist() == [1]
        assert columns.features == ("n", "a")


def test_captures_without_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", capture("3,f", "0.5", None))
    table, columns = arrange(path, {**BIAS, "headers": ["n", "a", "y"]}, probability_attribute=0)
    assert table[columns.label or ""].null_count == 1


def test_captures_have_no_files_beside_them(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", capture("3,f", "0.5", None))
    with refused(ConfigurationError, "column.not_of_captures"):
        arrange(path, {**BIAS, "facet_dataset_uri": "x.csv"})


def test_no_rows_leave_the_names_as_they_are_given(tmp_path: Path) -> None:
    table, columns = arrange(write(tmp_path / "d.jsonl"), LINES)
    assert table.num_rows == 0
    assert columns.names == ()


def test_of_scores_of_several_classes_the_largest_is_the_prediction(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.jsonl",
        {"features": [3], "l": "b", "scores": [0.1, 0.7, 0.2]},
        {"features": [[4], [5]], "l": ["a", "c"], "scores": [[0.5, 0.1, 0.4], [0, 0, 1]]},
        {"features": [6], "l": "c", "scores": [math.nan, 0.2, 0.7]},
        {"features": [[7], [8]], "l": ["a", "c"], "scores": [[None, 0.2, 0.7], None]},
        {"features": [9], "l": "c", "scores": [None, None, None]},
    )
    config = {**LINES, "label": "l", "predictor": {"label_headers": ["a", "b", "c"]}}
    table, columns = arrange(path, config, probability_attribute="scores")
    assert table[columns.predicted_label or ""].to_pylist() == ["b", "a", "c", None, None, None, None]
    assert columns.probability is None
    config["predictor"] = {"label_headers": ["a", "b", "c", "d"]}
    with pytest.raises(DatasetError, match="label_headers names 4 classes"):
        arrange(path, config, probability_attribute="scores")


@pytest.mark.parametrize("features", ["features", None])
def test_headers_name_no_members_that_have_names_of_their_own(tmp_path: Path, features: str | None) -> None:
    record = capture('{"features":{"age":3,"sex":"f"}}', '{"score":0.5}', "1")
    for side in record["captureData"].values():
        side |= {"encoding": "JSON", "observedContentType": "application/json"}
    path = write(tmp_path / "d.jsonl", *[record] * 20)
    config = {**BIAS, "headers": ["sex", "age", "y"], "features": features}
    if features:
        assert arrange(path, config)[0].select(["age", "sex"]).to_pydict() == {
            "age": [3] * 20,
            "sex": ["f"] * 20,
        }
        config["headers"] = ["Age", "sex", "y"]
    with refused(ConfigurationError, "headers.other_names", field="Age" if features else "age"):
        arrange(path, config)
