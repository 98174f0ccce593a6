import gzip
import json
import pickle
import textwrap
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_reading import heard
from fixtures import fixture

from contract.dataset import CellRules, Dataset, Said
from contract.dataset_format import DatasetFormat
from contract.errors import DatasetError, ScriptError
from contract.window import Window
from file_storage.scripts import load_preprocessor
from readers.plan import plan_dataset


def run(tmp_path, text, source, kind, **options):
    """Run a script over `source` and return the rows as one dict of columns."""
    script = tmp_path / "user_script.py"
    script.write_text(textwrap.dedent(text), encoding="utf-8")
    form = DatasetFormat(kind, header=options.pop("header", True))
    request = Dataset(source=str(source), format=form, preprocessor=load_preprocessor(str(script)), **options)
    splits = pickle.loads(pickle.dumps(plan_dataset(request).splits))
    batches = [batch for split in splits for batch in split.batches()]
    if not batches:
        return {}
    tables = [pa.Table.from_batches([batch.replace_schema_metadata(None)]) for batch in batches]
    return pa.concat_tables(tables, promote_options="permissive").to_pydict()


def handler(body):
    return "def preprocess_handler(record):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")


def captures(tmp_path, *outputs, time="2026-05-06T10:00:00Z"):
    lines = [
        {
            "captureData": {
                "endpointInput": {"data": f"{number},x", "encoding": "CSV", "mode": "INPUT"},
                "endpointOutput": {"data": output, "encoding": "CSV", "observedContentType": "text/csv"},
            },
            "eventMetadata": {
                "eventId": f"e{number}",
                "inferenceId": f"i{number}",
                "inferenceTime": time,
                "customAttributes": ["a=b"],
            },
            "eventVersion": "0",
        }
        for number, output in enumerate(outputs)
    ]
    path = tmp_path / "captures" / "a.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


CAPTURE = "sagemakerCaptureJson"


def test_the_documented_attributes(tmp_path):
    body = """
    return {
        "id": record.event_metadata.event_id,
        "inference": record.event_metadata.inference_id,
        "time": record.event_metadata.inference_time,
        "attributes": ",".join(record.event_metadata.custom_attribute),
        "in": record.endpoint_input.data + record.endpoint_input.encoding + record.endpoint_input.mode,
        "type": record.endpoint_output.observedContentType,
        "fields": ",".join(sorted(record.endpoint_output.as_dict())),
        "none": record.batch_transform_output is None and record.ground_truth is None,
        "version": record.event_version,
        "dict": record.event_dict["eventMetadata"]["eventId"],
        "as_dict": record.as_dict() is record.event_dict,
        "text": str(record)[:16],
        "old": record.event_data.endpointOutput.data,
    }
    """
    rows = run(tmp_path, handler(body), captures(tmp_path, "0.5\n"), CAPTURE)
    assert rows == {
        "as_dict": [True],
        "attributes": ["a=b"],
        "dict": ["e0"],
        "fields": ["data,encoding,observedContentType"],
        "id": ["e0"],
        "in": ["0,xCSVINPUT"],
        "inference": ["i0"],
        "none": [True],
        "old": ["0.5\n"],
        "text": ['{"captureData":{'],
        "time": ["2026-05-06T10:00:00Z"],
        "type": ["text/csv"],
        "version": ["0"],
    }
    assert list(rows) == sorted(rows)


def test_real_script_of_the_first_kind(tmp_path):
    # The echo script of the 2019 interface, in our own words.
    body = """
    import json
    data = record.event_data
    return {**json.loads(data.endpointInput.data), **json.loads(data.endpointOutput.data)}
    """
    rows = run(tmp_path, handler(body), fixture("model_monitor/sdk/captured-data.jsonl"), CAPTURE)
    assert rows["instances.2"] == [5.0, 5.0]
    assert rows["predictions.0"] == [3.5, 3.5]


def test_dicts_lists_and_drops(tmp_path):
    body = """
    if record.endpoint_output.data == "2":
        return []
    if record.endpoint_output.data == "3":
        return [{"b": 1, 5: 2}, {"b": None}]
    return {"b": 0, "a": "x"}
    """
    rows = run(tmp_path, handler(body), captures(tmp_path, "1", "2", "3"), CAPTURE)
    assert rows == {"5": [None, 2, None], "a": ["x", None, None], "b": [0, 1, None]}


def test_the_record_itself_is_read_as_usual(tmp_path):
    body = """
    record.endpoint_output.data = str(-float(record.endpoint_output.data))
    return {"as": record, "dict": record.as_dict(), "list": [record]}[record.event_version and "%s"]
    """
    for form in ("as", "dict", "list"):
        folder = tmp_path / form
        folder.mkdir()
        rows = run(
            folder,
            handler(body % form),
            captures(folder, "0.5", "0.25"),
            CAPTURE,
            column_names=("y", "a", "b"),
        )
        assert rows == {"y": [-0.5, -0.25], "a": [0, 1], "b": ["x", "x"]}


def test_names_by_position(tmp_path):
    body = 'return {"0": 1, "1": "x"}'
    source = captures(tmp_path, "1")
    assert run(tmp_path, handler(body), source, CAPTURE, column_names=("y", "a")) == {"y": [1], "a": ["x"]}
    assert list(run(tmp_path, handler(body), source, CAPTURE, column_names=("y",))) == ["0", "1"]
    assert list(run(tmp_path, handler(body), source, CAPTURE, column_names=("1", "a"))) == ["0", "1"]
    assert run(tmp_path, handler(body), source, CAPTURE, column_names=("y", "a"), exclude=("a",)) == {
        "y": [1]
    }


def test_originals_rules_keep_text(tmp_path):
    body = 'return {"a": 0.0, "b": 1, "c": True, "d": None}'
    rows = run(tmp_path, handler(body), captures(tmp_path, "1"), CAPTURE, text_only=True)
    assert rows == {"a": ["0.0"], "b": ["1"], "c": ["true"], "d": [None]}


def test_records_outside_the_window_are_not_seen(tmp_path):
    window = Window(datetime(2026, 5, 6, 11, tzinfo=UTC), datetime(2026, 5, 6, 12, tzinfo=UTC))
    assert run(tmp_path, handler("1 / 0"), captures(tmp_path, "1"), CAPTURE, window=window) == {}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return None", "returned None; return a dict, a list of dicts, [] to drop the record"),
        ("pass", "returned None"),
        ("return 3", "returned a value of type int"),
        ("return 'text'", "returned a value of type str"),
        ("return [1]", "returned a list of int"),
        ("return {'a': object()}", "holds a value of type object"),
    ],
)
def test_unusable_results(tmp_path, body, expected):
    source = captures(tmp_path, "1")
    with pytest.raises(ScriptError) as error:
        run(tmp_path, handler(body), source, CAPTURE)
    assert expected in error.value.message
    assert str(source) in error.value.message
    assert "user_script.py" in error.value.message


def test_exceptions_name_script_and_record(tmp_path):
    body = """
    if record.endpoint_output.data == "bad":
        value = float(record.endpoint_output.data)
    return {"a": 1}
    """
    source = captures(tmp_path, "1", "2", "bad")
    with pytest.raises(ScriptError) as error:
        run(tmp_path, handler(body), source, CAPTURE)
    assert error.value.message.startswith(
        f"preprocess_handler in {tmp_path / 'user_script.py'} line 3 failed"
    )
    assert "ValueError: could not convert string to float: 'bad'" in error.value.message
    assert f'{source} line 3: \'{{"captureData"' in error.value.message
    assert "value = float(record" in error.value.details
    assert len(error.value.message) < 1000


def test_bad_lines_are_the_datas_fault(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("oops\n")
    with pytest.raises(DatasetError, match="line 1 is not a capture record"):
        run(tmp_path, handler("return {}"), path, CAPTURE)


def test_csv_lines_are_text_header_included(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,a\n2,b\n")
    body = """
    if record == "x,y":
        return []
    first, second = record.split(",")
    return {"x": int(first), "y": second}
    """
    assert run(tmp_path, handler(body), tmp_path / "a.csv", "csv") == {"x": [1, 2], "y": ["a", "b"]}


def test_csv_lines_returned_are_read_as_usual(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_bytes(b'x,y\r\n1,"a,b"\r\n\r\n2,\r\n')
    (folder / "b.csv.gz").write_bytes(gzip.compress(b"y,x\n-1,7\nc,8"))
    script = handler('return record.replace("-1", "")')
    assert run(tmp_path, script, folder, "csv") == {"x": [1, 2, 7, 8], "y": ["a,b", None, None, "c"]}
    rows = run(tmp_path, script, folder / "a.csv", "csv", text_only=True, exclude=("y",))
    assert rows == {"x": ["1", "2"]}


def test_csv_without_header(tmp_path):
    (tmp_path / "a.csv").write_text("1,a\n2,b,c\n")
    script = handler("return record")
    rows = run(tmp_path, script, tmp_path / "a.csv", "csv", header=False)
    assert rows == {"_c0": [1, 2], "_c1": ["a", "b"], "_c2": [None, "c"]}
    (tmp_path / "b.csv").write_text("1,a\n2,b\n")
    rows = run(tmp_path, script, tmp_path / "b.csv", "csv", header=False, column_names=("x", "y"))
    assert rows == {"x": [1, 2], "y": ["a", "b"]}


def test_json_lines_and_arrays_are_text(tmp_path):
    (tmp_path / "a.json").write_text('{"a": {"b": 1}}\n\n{"a": {"b": 2}}\n')
    (tmp_path / "b.json").write_text('[{"a": {"b": 3}},\n {"a": {"b": 4}}]')
    body = """
    import json
    row = json.loads(record)
    return record if row["a"]["b"] % 2 else {"b": row["a"]["b"]}
    """
    first = run(tmp_path, handler(body), tmp_path / "a.json", "json")
    assert first == {"a.b": [1, None], "b": [None, 2]}
    second = run(tmp_path, handler(body), tmp_path / "b.json", "json")
    assert second == {"a.b": [3, None], "b": [None, 4]}
    with pytest.raises(ScriptError, match="returned text that is no JSON"):
        run(tmp_path, handler("return 'x'"), tmp_path / "b.json", "json")


def test_parquet_rows_are_dicts(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"a": [1, 2, 3], "t": pa.array([0, 1, None], pa.timestamp("s")), "l": [[1], [2], None]})
    pq.write_table(table, path)
    body = 'record["a"] *= 2\nreturn record if record["a"] != 4 else []'
    rows = run(tmp_path, handler(body), path, "parquet")
    assert rows == {"a": [2, 6], "l.0": [1, None], "t": ["1970-01-01T00:00:00", None]}
    with pytest.raises(ScriptError, match=r"a\.parquet row 1: .*'a': 1"):
        run(tmp_path, handler("1 / 0"), path, "parquet")
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(DatasetError) as caught:
        run(tmp_path, handler("return record"), path, "parquet")
    assert caught.value.code == "parquet.damaged"


def test_data_frames_see_every_format(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,a\n-1,b\n")
    script = "def preprocess_dataframe(df):\n    return df[df['x'] > 0].assign(z=df['y'] * 2)"
    assert run(tmp_path, script, tmp_path / "a.csv", "csv") == {"x": [1], "y": ["a"], "z": ["aa"]}


def test_captures_returned_where_none_are_read_are_rows(tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"a": 1}\n{"a": 2}\n')
    text = handler("return {'captureData': {}, 'a': 1} if '1' in record else {'a': 2}")
    assert run(tmp_path, text, source, "json")["a"] == [1, 2]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_each_record_passes_a_script_once_and_cells_are_what_it_returns(tmp_path, kind):
    folder, said = tmp_path / "data", Said()
    folder.mkdir()
    note = "x" * 30_000
    row = json.dumps({"amount": "12 EUR", "note": note}) if kind == "json" else f"12 EUR,{note}"
    for name in ("a", "b"):  # a split each
        (folder / name).write_text("amount,note\n" * (kind == "csv") + 75 * f"{row}\n")
    text = "count = 0\n" + handler("global count\ncount += 1\nreturn {'amount': count}")
    found = run(tmp_path, text, folder, kind, cells=CellRules(), said=said)
    assert found == {"amount": list(range(1, len(found["amount"]) + 1))}
    assert not said.sentences


@pytest.mark.parametrize("kind", ["csv", "json", "sagemakerCaptureJson"])
def test_records_that_a_script_leaves_out_are_counted(tmp_path, kind):
    if kind == "sagemakerCaptureJson":
        source = captures(tmp_path, *"0123456789")
    else:
        source = tmp_path / f"a.{kind}"
        rows = [f'{{"a":{at}}}' if kind == "json" else str(at) for at in range(10)]
        source.write_text("".join(f"{row}\n" for row in (["a"] if kind == "csv" else []) + rows))
    text = "SEEN = []\n" + handler("SEEN.append(1)\nreturn [] if len(SEEN) % 3 == 0 else record")
    with heard() as said:
        run(tmp_path, text, source, kind)
    assert said.sentences["script"][0].startswith("3 records were left out by the script")


def test_rows_that_a_script_takes_out_of_a_data_frame_are_counted(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("a\n" + "".join(f"{at}\n" for at in range(10)))
    text = "def preprocess_dataframe(frame):\n    return frame[frame.a > 3]\n"
    with heard() as said:
        assert len(run(tmp_path, text, source, "csv")["a"]) == 6
    assert said.sentences["script"][0].startswith("4 records were left out")
