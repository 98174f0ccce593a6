"""Scripts that fail or return nonsense: the message names the line of the script and the record."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_jobs import CSV, run_job
from sentences import says

from contract.errors import wording

CAPTURE = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}'
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    source = tmp_path / "data.csv"
    source.write_text("a,b\n1,x\n2,y\n3,z\n")
    return source


def script(tmp_path: Path, body: str, function: str = "preprocess_handler(record)") -> Path:
    path = tmp_path / "script.py"
    path.write_text(f"def {function}:\n    {body}\n")
    return path


def test_a_script_that_raises(tmp_path: Path, table: Path) -> None:
    path = script(tmp_path, "return {'a': 1 / (2 - int(record[:1]))} if record[0] != 'a' else record")
    result = run_job(tmp_path, table, record_preprocessor_script=path)
    assert result.exit_code == 2
    assert says(
        result.message,
        "script_file.failed",
        function="preprocess_handler",
        file=path,
        line=" line 2",
        problem="ZeroDivisionError: division by zero",
        occasion=f", for {table} line 3: '2,y'",
    )
    assert result.files == []


def test_a_script_that_ends_the_process(tmp_path: Path, table: Path) -> None:
    path = script(tmp_path, "raise SystemExit(0)")
    result = run_job(tmp_path, table, record_preprocessor_script=path)
    assert result.exit_code == 2
    place = {"function": "preprocess_handler", "file": path, "line": " line 2"}
    occasion = f", for {table} line 1: 'a,b'"
    assert says(result.message, "script_file.failed", **place, problem="SystemExit: 0", occasion=occasion)


def returned(path: Path, occasion: str) -> dict[str, object]:
    return {"function": "preprocess_handler", "file": path, "occasion": occasion}


@pytest.mark.parametrize(
    ("value", "kind"),
    [("None", "None"), ("7", "a value of type int"), ("b'x'", "a value of type bytes")],
)
def test_a_script_that_returns_nonsense(tmp_path: Path, table: Path, value: str, kind: str) -> None:
    path = script(tmp_path, f"return {value}")
    result = run_job(tmp_path, table, record_preprocessor_script=path)
    assert result.exit_code == 2
    where = returned(path, f"{table} line 1: 'a,b'")
    problem = wording("script_rows.value", kind=kind)
    assert says(result.message, "script_file.result", problem=problem, **where)


def test_a_script_that_returns_a_list_of_nonsense(tmp_path: Path, table: Path) -> None:
    path = script(tmp_path, "return [1]")
    result = run_job(tmp_path, table, record_preprocessor_script=path)
    assert result.exit_code == 2
    where = returned(path, f"{table} line 1: 'a,b'")
    problem = wording("script_rows.list", kind="int")
    assert says(result.message, "script_file.result", problem=problem, **where)


def test_a_script_that_returns_values_without_a_column_type(tmp_path: Path, table: Path) -> None:
    path = script(tmp_path, "return {'a': object()}")
    result = run_job(tmp_path, table, record_preprocessor_script=path)
    assert result.exit_code == 2
    assert says(result.message, "script_file.result", **returned(path, f"records of {table}"))
    assert "rows that do not fit" in result.message
    assert says(result.message, "tables.value", field="a", kind="object")


def test_a_script_that_is_no_python(tmp_path: Path, table: Path) -> None:
    path = script(tmp_path, "return {")
    result = run_job(tmp_path, table, record_preprocessor_script=path)
    assert result.exit_code == 2
    where = {"file": path, "line": 2, "text": " (return {)"}
    assert says(result.message, "script_file.syntax", problem="'{' was never closed", **where)


def test_a_script_without_its_function(tmp_path: Path, table: Path) -> None:
    path = script(tmp_path, "return {}", "preprocess_handle(record)")
    result = run_job(tmp_path, table, record_preprocessor_script=path)
    assert result.exit_code == 2
    hint = "did you mean preprocess_handler where it says preprocess_handle?"
    names = {"field": "record_preprocessor_script", "wanted": "preprocess_handler or preprocess_dataframe"}
    assert says(result.message, "script_file.no_function", file=path, **names, hint=hint)


def test_a_post_analytics_script_that_raises_leaves_whole_results(tmp_path: Path, table: Path) -> None:
    path = script(tmp_path, "raise OSError('no route to host')", "postprocess_handler()")
    result = run_job(tmp_path, table, post_analytics_processor_script=path)
    assert result.exit_code == 2
    place = {"function": "postprocess_handler", "file": path, "line": " line 2"}
    problem = "OSError: no route to host"
    assert says(result.message, "script_file.failed", **place, problem=problem, occasion="")
    assert result.files == ["constraints.json", "report.html", "statistics.json"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANYTHING, number=st.integers(0, 1 << 60))
def test_a_script_may_return_anything(tmp_path: Path, value: object, number: int) -> None:
    """Each value is a result or the script's mistake."""
    source = tmp_path / "data.jsonl"
    part = {"data": "1,2", "encoding": "CSV"}
    source.write_text((json.dumps({"captureData": {"endpointInput": part}}) + "\n") * 3)
    path = tmp_path / f"script_{number}.py"
    text = f"nan, inf = float('nan'), float('inf')\ndef preprocess_handler(record):\n    return {value!r}\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    result = run_job(tmp_path, source, dataset_format=CAPTURE, record_preprocessor_script=path)
    if result.exit_code == 0:
        result.document("statistics.json")
    else:
        assert result.exit_code == 2
        without_values = re.search(r"holds no row|none of \d+ rows has a value", result.message)
        assert str(path) in result.message or without_values


def run_process(
    folder: Path, source: Path, script: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run data quality in a process of its own, for scripts that do something to the process."""
    given = {
        "dataset_source": str(source),
        "dataset_format": CSV,
        "output_path": str(folder / "output"),
        "output_message_file": str(folder / "message"),
        "record_preprocessor_script": str(script),
        **variables,
    }
    command = Path(sys.executable).with_name("monitor-data-quality")
    return subprocess.run([command], env={**os.environ, **given}, capture_output=True, text=True, timeout=60)


def test_a_script_that_leaves_a_thread_running(tmp_path: Path, table: Path) -> None:
    path = script(tmp_path, "return record")
    path.write_text(
        f"import threading, time\nthreading.Thread(target=time.sleep, args=[999]).start()\n{path.read_text()}"
    )
    done = run_process(tmp_path, table, path)
    assert done.returncode == 0, done.stderr
    assert "is still running; the job is over and ends without it" in done.stderr
    assert says((tmp_path / "message").read_text(), "outcome.baseline", rows="3 rows")


@pytest.mark.parametrize("body", ["import os; os._exit(0)", "from os import _exit; _exit(0)"])
def test_a_script_that_leaves_at_once(tmp_path: Path, table: Path, body: str) -> None:
    done = run_process(tmp_path, table, script(tmp_path, body))
    assert done.returncode == 2
    assert "failed with SystemExit: 0" in (tmp_path / "message").read_text()


@pytest.mark.parametrize("kind", ["GeneratorExit", "type('Mine', (BaseException,), {})"])
@pytest.mark.parametrize("place", ["loading", "record", "frame", "post"])
def test_a_script_that_raises_no_exception(tmp_path: Path, table: Path, kind: str, place: str) -> None:
    path = script(
        tmp_path,
        f"raise {kind}('x')",
        "preprocess_dataframe(df)" if place == "frame" else "preprocess_handler(r)",
    )
    setting = "record_preprocessor_script"
    if place == "loading":
        path.write_text(f"raise {kind}('x')")
    if place == "post":
        path, setting = (
            script(tmp_path, f"raise {kind}('x')", "postprocess_handler()"),
            "post_analytics_processor_script",
        )
    result = run_job(tmp_path, table, **{setting: path})
    assert result.exit_code == 2
    assert "x" in result.message
    assert "with Mine" in result.message or "with GeneratorExit" in result.message


LOOP = "\n    while True: pass"
STUBBORN = "\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass"


@pytest.mark.parametrize(
    ("body", "place"), [(LOOP, "loading"), (LOOP, "record"), (LOOP, "post"), (STUBBORN, "post")]
)
def test_a_script_that_never_returns(tmp_path: Path, table: Path, body: str, place: str) -> None:
    function = "postprocess_handler()" if place == "post" else "preprocess_handler(r)"
    path = script(tmp_path, body, function)
    if place == "loading":
        path.write_text(path.read_text() + "\npreprocess_handler(1)\n")
    setting = "post_analytics_processor_script" if place == "post" else "record_preprocessor_script"
    given = {
        "record_preprocessor_script": "",
        setting: str(path),
        "script_timeout": "0.5",
        "history_path": str(tmp_path / "h"),
    }
    done = run_process(tmp_path, table, path, **given)
    assert done.returncode == 2, done.stderr
    message = (tmp_path / "message").read_text()
    assert f"in {path} did not return within 0.5 s; " in message
    assert "set a longer script_timeout" in message
