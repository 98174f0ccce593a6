import csv
import json
import runpy
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from fixtures import ROOT

from contract.dataset import Dataset
from contract.dataset_format import DatasetFormat
from contract.errors import ScriptError
from file_storage.scripts import load_preprocessor, run_postprocessor
from readers.plan import plan_dataset

EXAMPLES = ROOT / "preprocessing_examples"


def _captures(tmp_path, *pairs):
    lines = []
    for number, (output, request) in enumerate(pairs):
        captured = {}
        for side, payload in (("endpointInput", request), ("endpointOutput", output)):
            is_text = isinstance(payload, str)
            data = payload if is_text else json.dumps(payload)
            captured[side] = {"data": data, "encoding": "CSV" if is_text else "JSON"}
        lines.append({"captureData": captured, "eventMetadata": {"eventId": f"call-{number}"}})
    path = tmp_path / "captures.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _read(source, script, kind="sagemakerCaptureJson"):
    preprocessor = load_preprocessor(str(EXAMPLES / script)) if script else None
    request = Dataset(source=str(source), format=DatasetFormat(kind), preprocessor=preprocessor)
    batches = [batch for split in plan_dataset(request).splits for batch in split.batches()]
    return pa.Table.from_batches(batches).to_pydict()


def test_flatten_arrays(tmp_path):
    rows = _read(_captures(tmp_path, ({"probabilities": [0.25, 0.75]}, "1,a\n")), "flatten_arrays.py")
    assert rows == {
        "feature_000": ["1"],
        "feature_001": ["a"],
        "probability_000": [0.25],
        "probability_001": [0.75],
    }


def test_sentinel_to_missing(tmp_path):
    source = _captures(tmp_path, ("1\n", "-1,a\n"), ("0", "5,unknown"), ("1\n0", "-999,b\n-2,c"))
    rows = _read(source, "sentinel_to_missing.py")
    assert rows == {"_c0": [1, 0, 1, 0], "_c1": [None, 5, None, -2], "_c2": ["a", None, "b", "c"]}


def test_sample_records(tmp_path):
    source = _captures(tmp_path, *[(str(number), "1") for number in range(2000)])
    first, second = _read(source, "sample_records.py"), _read(source, "sample_records.py")
    assert first == second
    assert 140 < len(first["_c0"]) < 260


def test_nested_json(tmp_path, caplog):
    request = {
        "customer": {"age": 42, "address": {"country": "PT"}},
        "basket": [{"price": 3.5}, {"price": 1.0}],
    }
    with caplog.at_level("INFO", "user_script"):
        rows = _read(_captures(tmp_path, ({"score": 0.5}, request), ({"score": 0.25}, {})), "nested_json.py")
    assert rows == {
        "age": [42, None],
        "basket_size": [2, 0],
        "basket_value": [4.5, 0.0],
        "country": ["PT", None],
        "score": [0.5, 0.25],
    }
    assert "empty basket in call call-1" in caplog.text


def test_exclude_features(tmp_path):
    request = {"customer_id": 7, "created_at": "now", "Comment": "hi", "age": 4}
    assert _read(_captures(tmp_path, ("1", request)), "exclude_features.py") == {"age": [4]}


def test_parts_of_embeddings(tmp_path):
    requests = [
        {"embedding": [0.1, -2.5, 3.0, 1e-9, 5.0], "text": "One. Two. Three."},
        {"embedding": [1.0], "text": ""},
    ]
    rows = _read(_captures(tmp_path, *[("1", request) for request in requests]), "parts_of_embeddings.py")
    assert list(rows) == ["block_0", "block_1", "block_2", "block_3", "sentence_0", "sentence_1"]
    assert rows["block_0"] == ["0.1 -2.5", "1.0"]
    assert rows["sentence_1"] == ["Two. Three.", ""]
    join = runpy.run_path(str(EXAMPLES / "parts_of_embeddings.py"))["join"]
    assert [join({name: rows[name][number] for name in rows}) for number in (0, 1)] == requests


def test_vectorised_dataframe(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["age", "income", "environment"],
                [17, 100, "live"],
                [70, -1, "live"],
                [3, 3, "test"],
                ["", 5, "live"],
            ]
        )
    assert _read(path, "vectorised_dataframe.py", "csv") == {
        "age": [17, 70, None],
        "income": [100, None, 5],
        "age_group": ["under 18", "65 and over", None],
    }


@pytest.fixture
def business_api(monkeypatch):
    """Serve an HTTP API on this machine; yields the requests it got."""
    received = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.headers["Authorization"], json.loads(body)))
            self.send_response(202 if self.path == "/findings" else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("BUSINESS_API_URL", f"http://127.0.0.1:{server.server_port}/findings")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield received
        server.shutdown()
        thread.join()


def test_call_business_api(tmp_path, monkeypatch, business_api, caplog):
    monkeypatch.setenv("output_path", str(tmp_path))
    monkeypatch.setenv("sagemaker_endpoint_name", "churn")
    monkeypatch.delenv("start_time", raising=False)
    script = str(EXAMPLES / "call_business_api.py")
    run_postprocessor(script)
    assert business_api == []  # a baseline job has no violations

    violations = [
        {"feature_name": name, "constraint_check_type": kind, "description": "..."}
        for name, kind in (("b", "data_type_check"), ("a", "data_type_check"), ("a", "baseline_drift_check"))
    ]
    (tmp_path / "constraint_violations.json").write_text(json.dumps({"violations": violations}))
    monkeypatch.setenv("BUSINESS_API_TOKEN", "secret")
    with caplog.at_level("INFO", "user_script"):
        run_postprocessor(script)
    assert business_api == [
        (
            "Bearer secret",
            {
                "endpoint": "churn",
                "window_start": None,
                "violations": 3,
                "by_check": {"data_type_check": 2, "baseline_drift_check": 1},
                "features": ["a", "b"],
            },
        )
    ]
    assert "sent 3 violations, answer 202" in caplog.text
    monkeypatch.setenv("BUSINESS_API_URL", "http://127.0.0.1:9/refused")
    with pytest.raises(ScriptError, match=r"line \d+ failed with URLError"):
        run_postprocessor(script)


def test_every_example_is_listed_and_tested():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f"]({path.name})" in listed
        assert path.name in tested
