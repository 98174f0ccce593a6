"""Archives with a model file or a script, and those that cannot be used."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from models.model_files import NAMES, ROWS, packed, table

from contract.analysis_config import PredictorConfig
from contract.errors import ModelError, ScriptError
from model_clients.opening import open_model


def test_an_archive_with_a_model_file(boosters: dict[str, Any], tmp_path: Path) -> None:
    members = {"xgboost-model": boosters["folder"] / "binary.json", "README.txt": b"hi", "config.json": b"{}"}
    model = open_model(packed(tmp_path / "model.tar.gz", members))
    assert np.array_equal(
        model.predict(table()), open_model(str(boosters["folder"] / "binary.json")).predict(table())
    )
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict(table()), model.predict(table()))


HANDLER = """
import json, pathlib
import numpy as np

def model_fn(model_dir):
    return json.loads((pathlib.Path(model_dir) / "weights.json").read_text())

def predict_fn(data, model, context):
    return data @ np.array(model)
"""

TRANSFORM = """
import gzip
import io
import json
import os

def model_fn(model_dir):
    return 2.0

def transform_fn(model, body, content_type, accept):
    assert content_type == "application/jsonlines", content_type
    rows = [json.loads(line)["features"] for line in body.splitlines()]
    return "\\n".join(json.dumps({"score": model * row[0], "word": row[1]}) for row in rows), accept
"""


def test_an_archive_with_a_script(tmp_path: Path) -> None:
    weights = [0.5, -1.0, 2.0, 0.25]
    members = {"code/inference.py": HANDLER.encode(), "weights.json": json.dumps(weights).encode()}
    model = open_model(packed(tmp_path / "model.tar.gz", members))
    assert np.allclose(model.predict(table())[:, 0], ROWS @ weights, rtol=1e-12)
    assert model.predict(table().slice(0, 1)).shape == (1, 1)
    document = PredictorConfig(
        content_type="application/json", content_template="$records", record_template="$features"
    )
    other = open_model(str(tmp_path / "model.tar.gz"), document)
    assert np.allclose(other.predict(table())[:, 0], ROWS @ weights, rtol=1e-12)
    model.close()
    other.close()


def test_a_script_that_transforms(tmp_path: Path) -> None:
    predictor = PredictorConfig(
        content_type="application/jsonlines",
        content_template='{"features":$features}',
        probability="score",
        label="word",
    )
    model = open_model(packed(tmp_path / "model.tar.gz", {"inference.py": TRANSFORM.encode()}), predictor)
    rows = pa.record_batch({"n": [1, 2, 3], "s": ["a", "b", "c"]})
    assert model.predict(rows).tolist() == [[2.0], [4.0], [6.0]]
    assert model.predict_labels(rows).to_pylist() == ["a", "b", "c"]
    model.close()


@pytest.mark.parametrize(
    ("source", "kind", "complaint"),
    [
        ("def predict_fn(data, model): ...", ModelError, r"defines no model_fn\(model_dir\); add it"),
        ("def model_fn(d): return 1 / 0", ScriptError, "model_fn in .*line 1 failed with ZeroDivisionError"),
        ("def model_fn(d):\n  return 1 +", ScriptError, "inference.py line 2 is not valid Python"),
        ("import no_such_package", ScriptError, "No module named 'no_such_package'"),
        (
            "def model_fn(d): return 1\ndef predict_fn(data, m): return data.sums()",
            ScriptError,
            "predict_fn in .*line 2",
        ),
        (
            "def model_fn(d): ...\ndef predict_fn(d, m): ...",
            ModelError,
            "answers NoneType where text/csv needs a list; return a list",
        ),
        (
            "def model_fn(d): ...\ndef predict_fn(d, m): return d\ndef output_fn(p, a): return {'x': 1}",
            ModelError,
            "answers dict where text/csv needs a list; return a list",
        ),
        (
            "def model_fn(d): ...\ndef transform_fn(*a): ...\ndef input_fn(*a): ...",
            ModelError,
            "keep either it or",
        ),
    ],
)
def test_scripts_that_fail(tmp_path: Path, source: str, kind: type[Exception], complaint: str) -> None:
    path = packed(tmp_path / "model.tar.gz", {"code/inference.py": source.encode()})
    with pytest.raises(kind, match=complaint) as failed:
        open_model(path).predict(table())
    assert ".partial" not in str(failed.value)
    assert kind is ModelError or f"{path}:code/inference.py" in str(failed.value)


def test_archives_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with pytest.raises(ModelError, match=r"holds no model \(README\.md\); pack one"):
        open_model(packed(path, {"README.md": b"hello"}))
    with pytest.raises(ModelError, match=r"holds several model files \(a\.ubj, b\.onnx\)"):
        open_model(packed(path, {"a.ubj": b"{}", "b.onnx": b""}))
    with pytest.raises(ModelError, match=r"leads out of the archive .*; pack it anew"):
        open_model(packed(path, {"../../evil.json": b"{}"}))
    path.write_bytes(b"\x1f\x8brubbish")
    with pytest.raises(ModelError, match=r"cannot be (unpacked|read)"):
        open_model(str(path))
    content = Path(packed(path, {"model.ubj": np.random.default_rng(7).bytes(50_000)})).read_bytes()
    path.write_bytes(content[:20_000])
    with pytest.raises(ModelError, match=r"cannot be (unpacked|read)"):
        open_model(str(path))


def test_archives_beyond_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_clients.opening.MOST_BYTES", 1_000_000)
    with pytest.raises(ModelError, match="holds more than"):
        open_model(packed(tmp_path / "model.tar.gz", {"model.json": bytes(2_000_000)}))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_archives_with_giant_headers(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 1 << 32
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    with pytest.raises(ModelError, match="a header claims 4,294,967,296 bytes"):
        open_model(str(path))


def test_archives_with_files_that_have_holes(tmp_path: Path) -> None:
    path = tmp_path / "model.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("model.json")
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
        member.size = 1024
        archive.addfile(member, io.BytesIO(b"1000000000\n".ljust(1024, b"1")))
    with pytest.raises(ModelError, match="it has holes"):
        open_model(str(path))


def test_models_that_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(gzip.compress(b"{" + bytes(65 << 20), compresslevel=1))
    with pytest.raises(ModelError, match="more than 64 MB when decompressed"):
        open_model(str(path))
    with zipfile.ZipFile(tmp_path / "model_algo-1", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mx-mod-0000.params", bytes(65 << 20))
    with pytest.raises(ModelError, match="larger than 64 MB unpacked"):
        open_model(str(tmp_path / "model_algo-1"))


POSITIONS = """
import io
import numpy as np

class Model:
    {names}

def model_fn(model_dir):
    return Model()

def predict_fn(data, model):
    return data @ np.array([1.0, 10.0, 100.0, 1000.0])
"""


@pytest.mark.parametrize(
    "member", ["feature_names_in_ = np.array({})", "feature_names = {}", "feature_name = lambda self: {}"]
)
def test_columns_go_to_a_script_in_the_order_of_its_model(tmp_path: Path, member: str) -> None:
    script = POSITIONS.replace("{names}", member.format(NAMES))
    model = open_model(packed(tmp_path / "model.tar.gz", {"code/inference.py": script.encode()}))
    expected = model.predict(table())
    assert np.array_equal(model.predict(table().select(NAMES[::-1])), expected)
    # A script may make features of columns that are called otherwise.
    assert np.array_equal(model.predict(table().rename_columns(["a", "b", "c", "d"])), expected)
    model.close()


def test_a_package_that_is_missing_when_the_model_is_loaded(tmp_path: Path) -> None:
    script = b"def model_fn(folder):\n    import torch_of_tomorrow.nn"
    with pytest.raises(ScriptError, match="install torch_of_tomorrow in the image, or do without it"):
        open_model(packed(tmp_path / "model.tar.gz", {"code/inference.py": script}))


def test_requirements_are_checked_and_never_installed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = "# ours\nnumpy<1\npandas\ntorch_of_tomorrow==9 # soon\n-r more.txt\n\nxgboost\n"
    wanted += "x; python_version<'3'\n"
    members: dict[str, bytes | Path] = {
        "code/inference.py": POSITIONS.replace("{names}", "pass").encode(),
        "code/requirements.txt": wanted.encode(),
    }
    open_model(packed(tmp_path / "model.tar.gz", members)).close()
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "packages in code/requirements.txt that are not here" in said
    assert re.search(r": numpy<1 \([\d.]+ is installed\); torch_of_tomorrow==9 \(not installed\)\. No", said)
    assert "pandas" not in said
    assert "xgboost" not in said
