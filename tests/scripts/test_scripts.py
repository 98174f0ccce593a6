import logging
import pickle
import sys
import textwrap

import pyarrow as pa
import pytest
from dataset_reading import heard
from sentences import says

from contract.errors import ScriptError
from file_storage.scripts import handler_of, load_preprocessor, run_postprocessor
from readers.flatten import rows_to_batch
from readers.scripts import apply_dataframe


def script(tmp_path, text, name="user.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "signature",
    [
        "inference_record",
        "inference_record, logger",
        "r, logger=None",
        "r, *, logger",
        "r, log",
        "*args",
        "r, verbose=False",
        "r, **options",
    ],
)
def test_the_logger_is_given_to_those_who_take_it(tmp_path, signature, caplog):
    names = {part.strip(" *").partition("=")[0] for part in signature.split(",")}
    log = next((name for name in ("logger", "log") if name in names), None)
    body = f"{log}.info('seen')" if log else "pass"
    path = script(tmp_path, f"def preprocess_handler({signature}):\n    {body}\n    return {{'a': 1}}\n")
    with caplog.at_level(logging.INFO):
        assert handler_of(load_preprocessor(path))("x") == {"a": 1}
    assert [(r.name, r.getMessage()) for r in caplog.records] == ([("user_script", "seen")] if log else [])


def test_signatures_that_cannot_be_called(tmp_path):
    for signature in ("", "a, b, c"):
        path = script(
            tmp_path, f"def preprocess_handler({signature}):\n    return []\n", f"s{len(signature)}.py"
        )
        with pytest.raises(ScriptError, match=r"write preprocess_handler\(inference_record\)"):
            load_preprocessor(path)


def test_a_set_has_one_order_and_a_named_index_is_said(tmp_path):
    cells = {letter * 3 for letter in "qwertyuiop"}
    assert rows_to_batch([{"x": cells}]).to_pylist() == [{f"x.{i}": v for i, v in enumerate(sorted(cells))}]
    body = "def preprocess_dataframe(df):\n    return df.set_index('a')\n"
    with heard() as said:
        rows = apply_dataframe(
            load_preprocessor(script(tmp_path, body)), pa.record_batch({"a": [1], "b": [2]})
        )
    assert rows.schema.names == ["b"]
    assert says(said.lines(), "reading.frame_index", field="a")


def test_preprocessors_travel(tmp_path):
    path = script(tmp_path, "def preprocess_handler(record):\n    return {'a': record}\n")
    loaded = pickle.loads(pickle.dumps(load_preprocessor(path)))
    assert loaded.kind == "record"
    assert handler_of(loaded)(3) == {"a": 3}


def test_scripts_may_use_their_neighbours_and_dataclasses(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_the_script.py").write_text("FACTOR = 3\n")
    path = script(
        tmp_path,
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from beside_the_script import FACTOR

        @dataclass
        class Row:
            value: int

        def preprocess_handler(record):
            return {"a": Row(record).value * FACTOR}
        """,
    )
    assert handler_of(load_preprocessor(path))(2) == {"a": 6}


def test_a_data_frame_function_is_preferred(tmp_path, caplog):
    path = script(tmp_path, "def preprocess_handler(r):\n  ...\ndef preprocess_dataframe(df):\n  return df\n")
    assert load_preprocessor(path).kind == "dataframe"
    assert "preprocess_dataframe" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def preprocess_handler(r)\n    return r\n", "line 1 is not valid Python"),
        ("x = 1\nimport not_there.at_all\n", "line 2 fails with ModuleNotFoundError.*install not_there"),
        ("1 / 0\n", "line 1 fails with ZeroDivisionError"),
        ("raise SystemExit(3)\n", "fails with SystemExit"),
        (
            "def preprocess_handle(r): ...\n",
            "did you mean preprocess_handler where it says preprocess_handle",
        ),
        ("def clean(r): ...\ndef load(): ...\n", "it defines clean, load"),
        ("", "it defines no function"),
        ("def postprocess_handler(): ...\n", "postprocess_handler belongs into another setting"),
        ("preprocess_handler = 3\n", "defines no preprocess_handler or preprocess_dataframe"),
    ],
)
def test_scripts_that_cannot_be_used(tmp_path, text, expected):
    path = script(tmp_path, text)
    with pytest.raises(ScriptError, match=expected) as error:
        load_preprocessor(path)
    assert path in error.value.message
    assert error.value.message.endswith((".", "?"))


def test_tracebacks_begin_in_the_script(tmp_path):
    path = script(tmp_path, "def helper():\n    return 1 / 0\n\nhelper()\n")
    with pytest.raises(ScriptError) as error:
        load_preprocessor(path)
    assert error.value.details.startswith(f'Traceback (most recent call last):\n  File "{path}", line 4')
    assert "contract" not in error.value.details


def test_a_script_that_is_not_there(tmp_path):
    with pytest.raises(ScriptError, match=r"absent\.py cannot be read"):
        load_preprocessor(str(tmp_path / "absent.py"))


# Post-analytics


def test_postprocessors_find_the_jobs_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("output_path", "before")
    path = script(
        tmp_path, "import os\ndef postprocess_handler():\n    assert os.environ['output_path'] == 'here'\n"
    )
    run_postprocessor(path, {"output_path": "here"})


def test_postprocessors_run_once(tmp_path, caplog):
    path = script(
        tmp_path,
        f"""
        def postprocess_handler(logger):
            logger.warning("done")
            with open({str(tmp_path / "out.txt")!r}, "a") as file:
                file.write("x")
        """,
    )
    run_postprocessor(path)
    assert (tmp_path / "out.txt").read_text() == "x"
    assert "done" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def postprocess_handler():\n    raise KeyError('k')\n", "line 2 failed with KeyError: 'k'"),
        ("import sys\ndef postprocess_handler():\n    sys.exit(1)\n", "line 3 failed with SystemExit"),
        ("def postprocess(): ...\n", "did you mean postprocess_handler where it says postprocess"),
    ],
)
def test_postprocessors_that_fail(tmp_path, text, expected):
    with pytest.raises(ScriptError, match=expected):
        run_postprocessor(script(tmp_path, text))


# Data frames


def _apply(tmp_path, body, batch):
    path = script(
        tmp_path, "import pandas as pd\ndef preprocess_dataframe(df):\n" + textwrap.indent(body, "    ")
    )
    return apply_dataframe(load_preprocessor(path), batch)


def test_data_frames_change_columns_and_rows(tmp_path):
    batch = pa.RecordBatch.from_pydict(
        {"n": [1, None, 3], "t": pa.array(["a", None, "b"]).dictionary_encode(), "x": [0.5, -1.0, None]},
        metadata={"positional": "true"},
    )
    same = _apply(tmp_path, "return df", batch)
    assert same.to_pydict() == batch.to_pydict()
    assert same.schema.field("n").type == pa.int64()
    assert same.schema.metadata == batch.schema.metadata
    (tmp_path / "b").mkdir()
    changed = _apply(
        tmp_path / "b", "df = df[df['x'] != -1]\nreturn df.assign(k='c', t=df['t'] + '!')", batch
    )
    assert changed.to_pydict() == {"n": [1, 3], "t": ["a!", "b!"], "x": [0.5, None], "k": ["c", "c"]}
    assert changed.schema.metadata is None


def test_data_frames_with_objects(tmp_path):
    batch = pa.RecordBatch.from_pydict({"n": [1, 2]})
    columns = "{'a': [1, 'x'], 'b': [{'c': 1}, None], 3: [None, pd.NA], 't': pd.Timestamp('2026')}"
    body = f"return pd.DataFrame({columns})"
    assert _apply(tmp_path, body, batch).to_pydict() == {
        "a": ["1", "x"],
        "b.c": [1, None],
        "3": [None, None],
        "t": ["2026-01-01T00:00:00"] * 2,
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return None", "returned None; return a pandas DataFrame"),
        ("return df['n']", "returned a Series; return a pandas DataFrame"),
        ("return pd.concat([df, df], axis=1)", "returned the column 'n' twice"),
        ("return df['absent']", "line 3 failed with KeyError: 'absent'"),
        ("return df.assign(n=object())", "column 'n' holds a value of type object"),
    ],
)
def test_data_frame_functions_that_fail(tmp_path, body, expected):
    with pytest.raises(ScriptError, match=expected):
        _apply(tmp_path, body, pa.RecordBatch.from_pydict({"n": [1, 2]}))


def test_without_pandas(tmp_path, monkeypatch):
    path = script(tmp_path, "def preprocess_dataframe(df):\n    return df\n")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ScriptError, match=r"install model-monitor-containers\[dataframe\]"):
        apply_dataframe(load_preprocessor(path), pa.RecordBatch.from_pydict({"n": [1]}))
