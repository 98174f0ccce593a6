import base64
import gzip
import json
import pickle
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from capture_data import part, read_batches, read_columns, record, write
from dataset_reading import heard
from fixtures import fixture

from contract.dataset import Dataset, Said
from contract.dataset_format import DatasetFormat
from contract.errors import DatasetError
from contract.window import Window
from readers.plan import plan_dataset

HOUR = Window(datetime(2026, 5, 6, 10, tzinfo=UTC), datetime(2026, 5, 6, 11, tzinfo=UTC))


def _read(tmp_path, records, **options):
    return read_columns(write(tmp_path / "data" / "a.jsonl", records), **options)


def test_response_comes_first_and_newlines_go(tmp_path):
    rows = _read(tmp_path, [record("0.5\n", "1,a\n"), record("0.75\r\n", "2,b")])
    assert rows == {"_c0": [0.5, 0.75], "_c1": [1, 2], "_c2": ["a", "b"]}


def test_real_csv_captures():
    rows = read_columns(fixture("model_monitor/sdk/capture.jsonl"))
    assert list(rows) == [f"_c{position}" for position in range(8)]
    assert len(rows["_c0"]) == 44
    assert [rows[name][0] for name in rows] == [0.302709460258, 9, 45, 45, 42, 7, 5, 0]


def test_real_json_captures_with_several_rows():
    rows = read_columns(fixture("model_monitor/sdk/captured-data.jsonl"))
    assert rows == {"predictions": [3.5, 4.0, 5.5] * 2, "instances": [1.0, 2.0, 5.0] * 2}
    # What a list means does not depend on what is looked at.
    output = read_columns(fixture("model_monitor/sdk/captured-data.jsonl"), indices=("endpointOutput",))
    assert output == {"predictions": rows["predictions"]}


def test_real_nested_json_captures():
    rows = read_columns(fixture("model_monitor/capture/json_llm"))
    assert list(rows) == [
        "generated_text",
        "inputs",
        "parameters.max_new_tokens",
        "parameters.temperature",
        "parameters.top_p",
        "parameters.do_sample",
    ]
    assert rows["parameters.max_new_tokens"] == [512] * 3
    assert rows["parameters.do_sample"] == [True] * 3


def test_real_flat_json_payload(tmp_path):
    payload = json.loads(fixture("model_monitor/capture/json_payload/sample.json").read_text())
    rows = _read(tmp_path, [record({"score": 0.5}, payload)])
    assert {name: [value] for name, value in payload.items()} | {"score": [0.5]} == rows


@pytest.mark.parametrize("indices", [("endpointInput",), ("endpointOutput",)])
def test_one_index_only(tmp_path, indices):
    rows = _read(tmp_path, [record("0.5", "1,a")], indices=indices)
    assert list(rows.values()) == ([[1], ["a"]] if indices == ("endpointInput",) else [[0.5]])


def test_batch_transform_indices(tmp_path):
    captured = {"captureData": {"batchTransformOutput": part("7"), "batchTransformInput": part("1,2")}}
    rows = _read(tmp_path, [captured], indices=("batchTransformInput", "batchTransformOutput"))
    assert rows == {"_c0": [7], "_c1": [1], "_c2": [2]}


def test_missing_payloads_are_missing_cells(tmp_path):
    rows = _read(tmp_path, [record("1,2", "3"), record(None, "4"), record("5,6", None), record(None, None)])
    assert rows == {"_c0": [1, None, 5, None], "_c1": [2, None, 6, None], "_c2": [3, 4, None, None]}


@pytest.mark.parametrize(
    ("output", "request_", "expected"),
    [
        ("1\n2\n", "3,x\n4,y", {"_c0": [1, 2], "_c1": [3, 4], "_c2": ["x", "y"]}),
        ("1", "3,x\n4,y", {"_c0": [1, 1], "_c1": [3, 4], "_c2": ["x", "y"]}),
        ("1\n2", "3,x", {"_c0": [1, 2], "_c1": [3, 3], "_c2": ["x", "x"]}),
        ({"p": [1, 2]}, "3\n4", {"p": [1, 2], "_c1": [3, 4]}),
        ([{"p": 1}, {"p": 2}], {"instances": [{"a": 3}, {"a": 4}]}, {"p": [1, 2], "a": [3, 4]}),
        ([[1, 2], [3, 4]], "5\n6", {"_c0": [1, 3], "_c1": [2, 4], "_c2": [5, 6]}),
        ({"p": [0.5]}, {"instances": [[1, 2]]}, {"p": [0.5], "instances.0": [1], "instances.1": [2]}),
        (
            {"p": [0.5, 0.25]},
            {"f": [1, 2, 3]},
            {"p.0": [0.5], "p.1": [0.25], "f.0": [1], "f.1": [2], "f.2": [3]},
        ),
        ({"score": 0.5}, {"f": [1]}, {"score": [0.5], "f.0": [1]}),
        (part('{"p":1}\n{"p":2}\n', "JSON"), "3\n4", {"p": [1, 2], "_c1": [3, 4]}),
        (0.5, "3", {"_c0": [0.5], "_c1": [3]}),
        ([0.5, 2], [3], {"_c0": [0.5], "_c1": [2], "_c2": [3]}),
    ],
)
def test_several_rows(tmp_path, output, request_, expected):
    assert _read(tmp_path, [record(output, request_)]) == expected


def test_few_calls_that_contradict_the_reading_are_padded_and_said_once(tmp_path):
    odd = [record("1\n2\n3", "4\n5"), record("6\n7", "1\n2\n3")]
    with heard() as said:
        rows = _read(tmp_path, [record("9", "9")] * 300 + odd)
    assert rows["_c0"][299:] == [9, 1, 2, 3, 6, 7, None]
    assert rows["_c1"][299:] == [9, 4, 5, None, 1, 2, 3]
    [sentence] = said.sentences["calls"]
    assert "number of rows were padded with missing values: 2, the first at " in sentence
    assert sentence.endswith("a.jsonl line 301")


def test_many_calls_that_contradict_every_reading_end_the_job(tmp_path):
    with pytest.raises(DatasetError, match=r"4 of 104 calls have another number of rows .* line 101; .*rows"):
        _read(tmp_path, [record("9", "9")] * 100 + [record("1\n2\n3", "4,5\n4,5")] * 4)
    # Beyond the first calls, which decide.
    later = [record("9", "9")] * 2000 + [record("1\n2\n3", "4\n5")] * 30
    with pytest.raises(DatasetError, match=r"30 of 2030 calls have another number of rows .* line 2001"):
        _read(tmp_path, later)


def test_encodings_may_differ(tmp_path):
    assert _read(tmp_path, [record({"score": 0.5}, "1,x")]) == {"score": [0.5], "_c1": [1], "_c2": ["x"]}
    assert _read(tmp_path, [record("0.5", {"a": 1})]) == {"_c0": [0.5], "a": [1]}


@pytest.mark.parametrize(
    ("payload", "content_type", "expected"),
    [
        ('{"a": 1}', "application/json", {"_c0": [7], "a": [1]}),
        ("1,x", "text/csv; charset=utf-8", {"_c0": [7], "_c1": [1], "_c2": ["x"]}),
        ('{"a": 1}', None, {"_c0": [7], "a": [1]}),
        ("1,x", "application/octet-stream", {"_c0": [7], "_c1": [1], "_c2": ["x"]}),
        ("[not json", "text/html", {"_c0": [7], "_c1": ["[not json"]}),
    ],
)
def test_base64_is_decoded_and_recognised(tmp_path, payload, content_type, expected):
    encoded = base64.b64encode(payload.encode()).decode()
    data = part(encoded, "BASE64", observedContentType=content_type)
    assert _read(tmp_path, [record("7", data)]) == expected


@pytest.mark.parametrize("data", [part("/wD+", "BASE64"), part("%%%", "BASE64"), part("{not", "JSON")])
def test_undecodable_payloads_are_missing_and_said(tmp_path, data):
    with heard() as said:
        rows = _read(tmp_path, [record("7", "1"), record("7", data)])
    if data["data"] != "%%%":  # decodes to nothing
        assert rows == {"_c0": [7, 7], "_c1": [1, None]}
        [sentence] = said.sentences["payloads"]
        assert "payloads that could not be decoded count as missing: 1," in sentence


def test_json_of_mixed_kinds(tmp_path):
    rows = _read(
        tmp_path, [record(None, {"a": 1, "t": "2026-05-06"}), record(None, {"a": "x", "b": {"c": [1.5]}})]
    )
    assert rows == {"a": ["1", "x"], "t": ["2026-05-06", None], "b.c.0": [None, 1.5]}


def test_times_in_json_stay_text(tmp_path):
    rows = _read(tmp_path, [record(None, {"t": "2026-05-06T01:02:03Z", "n": [{"d": "2026-05-06"}]})])
    assert rows == {"t": ["2026-05-06T01:02:03Z"], "n.0.d": ["2026-05-06"]}


def test_json_as_python_writes_it(tmp_path):
    data = part('{"a": NaN, "b": Infinity, "c": "\\ud83d", "d": 1}', "JSON")
    rows = _read(tmp_path, [record(None, data)])
    assert rows["b"] == [float("inf")]
    assert rows["c"] == ["\N{REPLACEMENT CHARACTER}"]
    assert rows["d"] == [1]


def test_names_that_request_and_response_share(tmp_path):
    rows = _read(tmp_path, [record({"id": 1, "y": 2}, {"id": 3, "x": 4}), record({"id": 5}, None)])
    assert rows == {"endpointOutput.id": [1, 5], "y": [2, None], "id": [3, None], "x": [4, None]}


def test_ragged_rows_pad_and_extend(tmp_path):
    names = ("y", "a", "b")
    records = [record("1", "2,3")] * 3 + [record("1", "2"), record("1", "2,3,4")]
    rows = _read(tmp_path, records, column_names=names)
    assert rows == {"y": [1] * 5, "a": [2] * 5, "b": [3, 3, 3, None, 3], "_c3": [None] * 4 + [4]}


@pytest.mark.parametrize(
    ("names", "exclude", "expected"),
    [
        (("y", "a", "b"), (), ["y", "a", "b"]),
        (("y", "a"), (), ["_c0", "_c1", "_c2"]),
        (("y", "a", "b"), ("a", "0"), ["b"]),
        (("a", "b"), ("0",), ["a", "b"]),
        (None, ("_c1",), ["_c0", "_c2"]),
    ],
)
def test_names_by_position_and_exclusion(tmp_path, names, exclude, expected):
    rows = _read(tmp_path, [record("1", "2,3")], column_names=names, exclude=exclude)
    assert list(rows) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("p", "q", "r"), ["p", "q", "r"]),  # nothing in common: by position
        (("score", "q", "r"), ["score", "q", "r"]),  # those left over
        (("q", "score", "r"), ["score", "q", "r"]),
        (("score", "q"), ["score", "_c1", "_c2"]),
        (("p", "q"), ["score", "_c1", "_c2"]),
        (None, ["score", "_c1", "_c2"]),
    ],
)
def test_names_of_mixed_payloads(tmp_path, names, expected):
    assert list(_read(tmp_path, [record({"score": 1}, "2,3")], column_names=names)) == expected


def test_positional_mark(tmp_path):
    path = write(tmp_path / "a.jsonl", [record("1", "2")])
    positional = {b"positional": b"true"}
    assert read_batches(path)[0].schema.metadata == positional
    assert read_batches(path, column_names=("a", "b"), text_only=True)[0].schema.metadata == positional
    # Names found by position are names: an extra cell in one record disturbs no other column.
    assert read_batches(path, column_names=("a", "b"))[0].schema.metadata is None
    path = write(tmp_path / "b.jsonl", [record({"a": 1}, "2")])
    assert read_batches(path)[0].schema.metadata is None


def test_json_columns_can_be_left_out(tmp_path):
    records = [record({"y": 1}, {"a": 2, "b": 3})]
    assert _read(tmp_path, records, exclude=("a", "0")) == {"b": [3]}


def test_everything_excluded_keeps_the_rows(tmp_path):
    path = write(tmp_path / "a.jsonl", [record("1", "2")] * 3)
    assert [batch.num_rows for batch in read_batches(path, exclude=("0", "1"))] == [3]


# Rules of the originals


def test_originals_keep_cells_as_text(tmp_path):
    rows = _read(tmp_path, [record("0.0", "007,x"), record("1", ",y")], text_only=True)
    assert rows == {"_c0": ["0.0", "1"], "_c1": ["007", None], "_c2": ["x", "y"]}


def test_originals_join_texts_before_lines(tmp_path):
    rows = _read(tmp_path, [record("1\n2\n", "3,x\n4,y\n")], text_only=True)
    assert rows == {"_c0": ["1", "2", "4"], "_c1": [None, "3", "y"], "_c2": [None, "x", None]}


def test_originals_sort_json_keys(tmp_path):
    rows = _read(tmp_path, [record({"z": 1, "y": 0.0}, {"b": True, "a": None})], text_only=True)
    assert list(rows) == ["y", "z", "a", "b"]
    assert rows["y"] == ["0.0"]
    assert rows["b"] == ["true"]


def test_originals_reject_mixed_encodings(tmp_path):
    with pytest.raises(DatasetError) as error:
        _read(tmp_path, [record("1", "2"), record({"y": 1}, "2")], text_only=True)
    assert error.value.message.startswith(
        "Encoding mismatch: Encoding is CSV for endpointInput, but Encoding is JSON for endpointOutput"
    )
    assert error.value.message.endswith("a.jsonl line 2.")
    with pytest.raises(DatasetError, match=r"BASE64.*rules=sound"):
        _read(tmp_path, [record(part("AAAA", "BASE64"), "2")], text_only=True)


# Lines that are no records


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"captureData":{"endpointIn', "not one whole JSON object"),
        (b"hello", "not one whole JSON object"),
        (b"[1]", "no JSON object"),
        (b'{"eventVersion":"0"}', "no captureData"),
        (b'{"captureData":null}', "no captureData"),
        (b'{"captureData":{"endpointInput":{"data":"\xff","encoding":"CSV"}}}', "not UTF-8"),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_what_is_no_record_is_named(tmp_path, bad, reason, last):
    good = json.dumps(record("1", "2")).encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([good, b"", good, bad] + ([] if last else [good])))
    with pytest.raises(DatasetError) as error:
        read_columns(path)
    assert f"{path} line 4 is not a capture record" in error.value.message
    assert reason in error.value.message
    assert len(error.value.message) < 1000


def test_two_records_in_a_line(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(record("1", "2")) * 2)
    with pytest.raises(DatasetError, match="line 1 is not a capture record"):
        read_columns(tmp_path)


def test_blank_lines_marks_and_compression(tmp_path):
    line = json.dumps(record("1", "2")).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + line + b"\n\n  \n" + line)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line + b"\r\n"))
    (tmp_path / "c.jsonl").write_bytes(b"")
    assert read_columns(tmp_path) == {"_c0": [1] * 3, "_c1": [2] * 3}


def test_line_number_in_a_later_block(tmp_path, monkeypatch):
    monkeypatch.setattr("readers.splitting.blocks_of_lines.__defaults__", (4096,), raising=False)
    path = write(tmp_path / "a.jsonl", [record(str(number), "2") for number in range(200)] + [{"x": 1}])
    with pytest.raises(DatasetError, match="line 201 is not"):
        read_columns(path)


# Windows


def test_window_goes_by_inference_time(tmp_path):
    times = [
        "2026-05-06T09:59:59.999Z",
        "2026-05-06T10:00:00Z",
        "2026-05-06T12:30:00+02:00",
        "2026-05-06T10:59:59.999999Z",
        "2026-05-06T11:00:00Z",
        "{%s}",
        None,
    ]
    records = [record(str(number), "0", time=time) for number, time in enumerate(times)]
    with pytest.raises(
        DatasetError, match=r"window is set, but records of .*a\.jsonl have no time that can be read; write"
    ):
        _read(tmp_path, records, window=HOUR)
    assert _read(tmp_path, records[:5], window=HOUR)["_c0"] == [1, 2, 3]


def test_lists_inside_a_window(tmp_path):
    records = [
        record({"p": [number, -number]}, {"i": [[1], [2]]}, time=f"2026-05-06T{number:02}:00:00Z")
        for number in (9, 10, 11)
    ]
    assert _read(tmp_path, records, window=HOUR, indices=("endpointOutput",)) == {"p": [10, -10]}


def test_names_that_clash_are_an_error_with_its_place(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.jsonl holds payloads .*'a\.b' and 'a' both become"):
        _read(tmp_path, [record("1", "2")] * 500 + [record("1", {"a.b": 1, "a": {"b": 2}})])


def test_folder_decides_without_a_time(tmp_path):
    for hour in (8, 9, 10, 11, 12):
        folder = tmp_path / f"endpoint/AllTraffic/2026/05/06/{hour:02}"
        records = [
            record(str(hour), "0", time=None),
            record(str(hour + 100), "0", time="2026-05-06T10:30:00Z"),
        ]
        write(folder / "a.jsonl", records)
    # Files two hours away are not opened: nobody writes a capture that late.
    assert read_columns(tmp_path, window=HOUR)["_c0"] == [109, 10, 110, 111]


def test_calls_written_late_are_said(tmp_path):
    times = ["2026-05-06T10:20:00Z", "2026-05-06T08:59:00Z", "2026-05-06T09:01:00Z"]
    write(tmp_path / "2026/05/06/10/a.jsonl", [record("1", "0", time=time) for time in times])
    write(tmp_path / "2026/05/06/11/a.jsonl", [record("1", "0", time="2026-05-06T11:20:00Z")] * 5)
    with heard() as said:
        assert len(read_columns(tmp_path, window=HOUR)["_c0"]) == 1
    assert "1 calls are more than an hour older" in said.sentences["late"][0]
    assert said.outside == 2  # of files of the hour itself
    said, window = Said(), Window(*(instant + timedelta(hours=5) for instant in (HOUR.start, HOUR.end)))
    assert read_columns(tmp_path, window=window, said=said) == {}
    assert "there are 2, from" in said.sentences["files"][0]


def test_unopened_files_may_be_broken(tmp_path):
    (tmp_path / "2026/05/06/01").mkdir(parents=True)
    (tmp_path / "2026/05/06/01/a.jsonl").write_bytes(b"broken")
    assert read_columns(tmp_path, window=HOUR) == {}


def test_uneven_record_inside_a_window_is_placed(tmp_path):
    records = [record("1", "2", time="2026-05-06T01:00:00Z")] * 200 + [record("1\n2\n3", "1\n2")]
    with heard() as said:
        _read(tmp_path, records, window=HOUR)
    assert said.sentences["calls"][0].endswith("a.jsonl line 201")


# Merged captures and splits


def test_merged_captures(tmp_path):
    records = [record("0.5", "1,2", groundTruthData={"data": "1", "encoding": "CSV"})]
    assert _read(tmp_path, records, kind="sagemakerMergeJson") == {"_c0": [0.5], "_c1": [1], "_c2": [2]}
    rows = _read(tmp_path, records, kind="sagemakerMergeJson", indices=("endpointOutput",), labels=True)
    assert rows == {"_c0": [0.5], "groundTruthData": ["1"]}


def test_large_files_are_cut_and_small_ones_grouped(tmp_path):
    padding = "x" * 2000
    records = [record(str(number), f"{number % 7},{padding}") for number in range(4000)]
    write(tmp_path / "b.jsonl", records[:3000])
    for number in range(10):
        write(tmp_path / f"c{number}.jsonl", records[3000 + 100 * number : 3100 + 100 * number])
    request = Dataset(source=str(tmp_path), format=DatasetFormat("sagemakerCaptureJson"))
    splits = plan_dataset(request).splits
    assert 4 <= len(splits) <= 20
    splits = pickle.loads(pickle.dumps(splits))
    batches = [batch for split in splits for batch in split.batches()]
    assert [value for batch in batches for value in batch.column("_c0").to_pylist()] == list(range(4000))
    assert pa.types.is_dictionary(batches[0].schema.field("_c2").type)


def test_a_content_type_that_is_no_text(tmp_path):
    odd = record("0.5", "1,a")
    odd["captureData"]["endpointInput"] |= {"observedContentType": {"a": 1}, "encoding": None}
    assert _read(tmp_path, [odd]) == {"_c0": [0.5], "_c1": [1], "_c2": ["a"]}


def test_odd_payloads_of_a_window_are_read_though_others_lie_outside(tmp_path):
    written = {hour: base64.b64encode(f"{hour},a".encode()).decode() for hour in (9, 10, 11)}
    records = [
        record(
            request=part(text, "BASE64", observedContentType="text/csv"), time=f"2026-05-06T{hour:02}:20:30Z"
        )
        for hour, text in written.items()
    ]
    assert _read(tmp_path, records, window=HOUR, indices=("endpointInput",)) == {"_c0": [10], "_c1": ["a"]}
