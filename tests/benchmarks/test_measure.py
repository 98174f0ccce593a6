"""The measuring of processes: what is counted, and how failures are told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import measure

ROOT = Path(__file__).parents[2]
MEGABYTE = 1 << 20


def run_python(code: str, folder: Path, timeout: float = 60) -> measure.Cost:
    return measure.run([sys.executable, "-c", code], os.environ, folder / "log", timeout)


def test_peak_is_that_of_the_process(tmp_path):
    # Measured from an interpreter as small as the benchmark's own, not from this one: see measure.py.
    code = f"""
import os, pathlib, sys
from benchmarks import measure
log = pathlib.Path({str(tmp_path / "log")!r})
for size in (0, {300 * MEGABYTE}):
    cost = measure.run([sys.executable, "-c", f"data = b'x' * {{size}}"], os.environ, log, 60)
    print(cost.peak)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    small, large = map(int, output.split())
    assert 290 * MEGABYTE < large - small < 310 * MEGABYTE


def test_peak_adds_what_runs_at_the_same_time(tmp_path):
    child = f"import time; data = b'x' * {150 * MEGABYTE}; time.sleep(0.5)"
    code = f"""
import subprocess, sys
children = [subprocess.Popen([sys.executable, "-c", {child!r}]) for _ in range(2)]
for child in children:
    child.wait()
"""
    assert run_python(code, tmp_path).peak > 300 * MEGABYTE


def test_processor_time_includes_children_that_outlive_their_parent(tmp_path):
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    assert run_python(code, tmp_path).processor >= 0.5


def test_wall_time_is_that_of_the_command_itself(tmp_path):
    assert run_python("import time; time.sleep(0.3)", tmp_path).wall >= 0.3


def test_failure_tells_exit_code_and_output(tmp_path):
    with pytest.raises(measure.RunFailedError, match=r"exit code 7(.|\n)*no such column"):
        run_python("print('no such column'); raise SystemExit(7)", tmp_path)


def test_timeout_ends_the_whole_group(tmp_path):
    code = """
import subprocess, sys, time
print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
time.sleep(600)
"""
    with pytest.raises(measure.RunFailedError, match=r"not finished after 3 s") as caught:
        run_python(code, tmp_path, timeout=3)
    sleep = int(str(caught.value).splitlines()[-1])
    with pytest.raises(ProcessLookupError):
        os.kill(sleep, 0)


def test_median_of_runs():
    costs = [measure.Cost(wall, wall / 2, int(10 * wall)) for wall in (3.0, 1.0, 2.0)]
    assert measure.median(costs) == measure.Cost(2.0, 1.0, 30)
