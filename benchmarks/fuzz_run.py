"""Running hostile inputs through whole jobs, in this process, and judging how each one ends."""

from __future__ import annotations

import faulthandler
import functools
import gzip
import io
import json
import os
import pkgutil
import re
import resource
import shutil
import signal
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from benchmarks import fuzz_case, fuzz_inputs, fuzz_jobs, fuzz_seeds
from benchmarks.fuzz_case import Case
from model_clients import local

# Of the processor, so that whatever else a machine does plays no part; and of the clock, for what waits.
SECONDS = 10.0
_STUCK_SECONDS = 120.0
_MEMORY = 8 << 30
_DOCUMENTS = ("statistics.json", "constraints.json")
_PAGE = "report.html"
_SECONDS = re.compile(rb'"seconds":[\d.e-]+')
_DIGEST = re.compile(rb'"[0-9a-f]{32}"')
_TIME = re.compile(rb'"20\d\d-[\d-]+T[\d:.]+Z"|"(?:statistics/)?20\d{6}T[^"]*"')
_EVALUATION_TIME = re.compile(rb'("evaluation_time" : )"[^"]*"')
COMMANDS = {
    "monitor-data-quality": "containers.data_quality.main:main",
    "monitor-model-quality": "containers.model_quality.main:main",
    "merge-ground-truth": "containers.commands.merge_ground_truth:main",
    "monitor-bias": "containers.bias.main:main",
    "monitor-feature-attribution": "containers.feature_attribution.main:main",
    "monitor-history": "containers.commands.main:monitor_history",
}


@dataclass(frozen=True)
class Verdict:
    """How a case ended; `problem` is empty when it ended as it must."""

    exit_code: int | None
    problem: str
    message: str
    seconds: float
    log: str = ""


class _TooSlow(BaseException):
    """The time limit has passed; no handler of the job may take it for an error of its own."""


def prepare(folder: Path, *, limit_memory: bool = True) -> None:
    """Make `folder` ready for cases: baselines of the valid inputs, limits of this process."""
    if limit_memory:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter("error")
    local.LEAST_SECONDS = 1.0  # many damaged LightGBM files are never loaded
    for name in [name for name in os.environ if name == name.lower()]:
        del os.environ[name]
    for name, file, data, dataset_format in (
        ("table", "data.csv", fuzz_seeds.csv_seeds()[0], fuzz_case.CSV),
        ("capture", "data.jsonl", fuzz_seeds.capture_seeds()[0], fuzz_case.CAPTURE),
    ):
        settings = {"dataset_source": f"{{folder}}/{file}", "dataset_format": dataset_format}
        settings["history_path"] = "{folder}/history"
        _make_baseline(Case({file: data}, settings, ()), folder, name)
    _keep_documents("", folder / "table")
    (record,) = (folder / "scratch" / "history" / "runs").iterdir()
    text = _SECONDS.sub(b'"seconds":1.0', gzip.decompress(record.read_bytes()).replace(bytes(folder), b"/x"))
    fuzz_jobs.documents["record"] = _DIGEST.sub(b'"0"', _TIME.sub(b'"2026-05-06T11:00:00.000000Z"', text))
    for problem in fuzz_jobs.PROBLEMS:
        files = {"data.csv": fuzz_seeds.quality_table()}
        case = Case(files, fuzz_jobs.quality_settings(problem), (), command="monitor-model-quality")
        _make_baseline(case, folder, problem)
        _keep_documents(problem, folder / problem)


@functools.cache
def _endpoint(answer: Path) -> str:
    """Return the address of a server that answers each request with what a file holds."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.read_bytes())

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def _keep_documents(problem: str, folder: Path) -> None:
    """Give the documents in `folder` to the makers of cases, with the time of the job replaced."""
    for name in _DOCUMENTS:
        data = (folder / name).read_bytes()
        fuzz_jobs.documents[problem + name] = _EVALUATION_TIME.sub(rb'\1"2026-05-06T11:00:00.000Z"', data)


def _make_baseline(case: Case, folder: Path, name: str) -> None:
    verdict = run_case(case, folder / "scratch")
    if verdict.exit_code != 0 or verdict.problem:
        raise RuntimeError(f"the valid input {name} fails: {verdict}")
    shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(folder / "scratch" / "output", folder / name)


def run_case(case: Case, folder: Path) -> Verdict:
    """Run one case in `folder`, which is emptied first.

    Returns
    -------
    The verdict. A job must end in time with code 0, 2 or 3, a message of one line and at most 1 KB that
    names its cause, and with whole documents or none.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "output").mkdir(parents=True)
    for name, data in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    settings = {
        "output_path": "{folder}/output",
        "output_message_file": "{folder}/message",
        "log_level": "ERROR",
        **case.settings,
    }
    places = {
        "{folder}": str(folder),
        "{endpoint}": _endpoint(folder / "answer") if "answer" in case.files else "",
    }
    for place, text in places.items():
        settings = {name: value.replace(place, text) for name, value in settings.items()}
    started = time.monotonic()
    exit_code, problem, log = _run(case.command, case.arguments, settings)
    seconds = time.monotonic() - started
    message_file = folder / "message"
    message = message_file.read_text(encoding="utf-8") if message_file.exists() else ""
    problem = problem or _judge(case, exit_code, message, folder / "output", log)
    return Verdict(exit_code, problem, message, seconds, log)


def _run(command: str, arguments: tuple[str, ...], settings: dict[str, str]) -> tuple[int | None, str, str]:
    """Run the job; return its exit code, or what went wrong with it, and its log."""
    run = pkgutil.resolve_name(COMMANDS[command])
    log = io.StringIO()
    before = dict(os.environ)
    error, sys.stderr = sys.stderr, log
    output, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO())
    handler = signal.signal(signal.SIGPROF, _stop)
    faulthandler.dump_traceback_later(_STUCK_SECONDS, exit=True, file=error)
    try:
        os.environ.update(settings)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        return run(arguments), "", log.getvalue()
    except _TooSlow:
        return None, f"no end within {SECONDS:.0f} s of the processor", log.getvalue()
    except BaseException as escaped:  # whatever it is, it is a finding
        return None, f"{type(escaped).__name__} escaped: {escaped}", log.getvalue()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, handler)
        sys.stderr, sys.stdout = error, output
        for name in settings:
            os.environ.pop(name, None)
        os.environ.update(before)


def _stop(signal_number: int, frame: FrameType | None) -> NoReturn:
    raise _TooSlow


def _judge(case: Case, exit_code: int | None, message: str, output: Path, log: str) -> str:
    merges = case.command == "merge-ground-truth"
    if exit_code not in (0, 2, 3, 5):
        return f"exit code {exit_code}"
    if case.command == "monitor-history":
        return "a traceback" if "Traceback" in log else ""
    # A merge that went well has nothing to say, as the originals.
    if len(message.encode()) > 1024 or "\n" in message or not (message or (merges and exit_code == 0)):
        return "no message of one line"
    if exit_code == 2 and not any(cause in message for cause in case.causes):
        return "the message names no cause"
    if "Traceback" in log and "script" not in message:
        return "a traceback that is not of the user's script"
    files = [file for file in output.rglob("*") if file.is_file()]
    if hidden := [file.name for file in output.rglob(".*")]:
        return f"{hidden[0]} was left behind"
    if exit_code == 2:
        return f"{files[0].name} was written" if files else ""
    expected = {"_merge_report.json"} if merges else {*_DOCUMENTS, _PAGE}
    expected |= {"constraint_violations.json"} if case.monitors else set()
    if missing := expected - {file.name for file in files}:
        return f"no {min(missing)}"
    return next(filter(None, map(_not_strict, files)), "")


def _not_strict(file: Path) -> str:
    """Return why a file is no strict JSON or JSON Lines, empty when it is."""
    text = file.read_bytes()
    if file.suffix == ".csv":
        return ""
    if file.name == _PAGE:
        return "" if text.rstrip().endswith(b"</html>") else f"{_PAGE} is not whole"
    try:
        for part in text.strip(b"\n").split(b"\n") if file.suffix == ".jsonl" else [text]:
            # Records are passed on as they came, whatever is in members that nobody reads.
            errors = "replace" if file.suffix == ".jsonl" else "strict"
            json.loads(part.decode(errors=errors), parse_constant=_no_constant)
    except ValueError as error:
        return f"{file.name} is not strict JSON: {error}"
    return ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no strict JSON")


def main(reader: str, start: int, stop: int, folder: Path) -> None:
    """Run cases ``[start, stop)`` of a reader; print one JSON line before and after each."""
    prepare(folder)
    for number in range(start, stop):
        _tell({"number": number})
        verdict = run_case(fuzz_inputs.make_case(reader, number), folder / "scratch")
        _tell({"number": number, **vars(verdict), "log": verdict.log[-3000:]})


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
