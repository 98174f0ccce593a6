"""Running hostile inputs through whole jobs, in this process, and judging how each one ends."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from benchmarks import fuzz_inputs
from benchmarks.fuzz_inputs import Case

SECONDS = 10.0
_STUCK_SECONDS = 30.0
_MEMORY = 8 << 30
_DOCUMENTS = ("statistics.json", "constraints.json")


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
    for name in [name for name in os.environ if name == name.lower()]:
        del os.environ[name]
    valid = {
        "table": ("data.csv", fuzz_inputs.csv_seeds()[0], fuzz_inputs.CSV),
        "capture": ("data.jsonl", fuzz_inputs.capture_seeds()[0], fuzz_inputs.CAPTURE),
    }
    for name, (file, data, dataset_format) in valid.items():
        case = Case(
            {file: data}, {"dataset_source": f"{{folder}}/{file}", "dataset_format": dataset_format}, ()
        )
        verdict = run_case(case, folder / "scratch")
        if verdict.exit_code != 0 or verdict.problem:
            raise RuntimeError(f"the valid input {name} fails: {verdict}")
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(folder / "scratch" / "output", folder / name)
    fuzz_inputs.documents.update({name: (folder / "table" / name).read_bytes() for name in _DOCUMENTS})


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
        (folder / name).write_bytes(data)
    settings = {
        "output_path": "{folder}/output",
        "output_message_file": "{folder}/message",
        "log_level": "ERROR",
        **case.settings,
    }
    settings = {name: text.replace("{folder}", str(folder)) for name, text in settings.items()}
    started = time.monotonic()
    exit_code, problem, log = _run(settings)
    seconds = time.monotonic() - started
    message_file = folder / "message"
    message = message_file.read_text(encoding="utf-8") if message_file.exists() else ""
    problem = problem or _judge(case, exit_code, message, folder / "output", log)
    return Verdict(exit_code, problem, message, seconds, log)


def _run(settings: dict[str, str]) -> tuple[int | None, str, str]:
    """Run the job; return its exit code, or what went wrong with it, and its log."""
    from containers.data_quality.main import main

    log = io.StringIO()
    before = dict(os.environ)
    error, sys.stderr = sys.stderr, log
    handler = signal.signal(signal.SIGALRM, _stop)
    faulthandler.dump_traceback_later(_STUCK_SECONDS, exit=True, file=error)
    try:
        os.environ.update(settings)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        return main([]), "", log.getvalue()
    except _TooSlow:
        return None, f"no end within {SECONDS:.0f} s", log.getvalue()
    except BaseException as escaped:  # whatever it is, it is a finding
        return None, f"{type(escaped).__name__} escaped: {escaped}", log.getvalue()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, handler)
        sys.stderr = error
        for name in settings:
            os.environ.pop(name, None)
        os.environ.update(before)


def _stop(signal_number: int, frame: FrameType | None) -> NoReturn:
    raise _TooSlow


def _judge(case: Case, exit_code: int | None, message: str, output: Path, log: str) -> str:
    if exit_code not in (0, 2, 3):
        return f"exit code {exit_code}"
    if not message or len(message.encode()) > 1024 or "\n" in message:
        return "no message of one line"
    if exit_code == 2 and not any(cause in message for cause in case.causes):
        return "the message names no cause"
    if "Traceback" in log and "script" not in message:
        return "a traceback that is not of the user's script"
    documents = {file.name: file for file in output.iterdir()}
    if leftover := [name for name in documents if name.startswith(".")]:
        return f"{leftover[0]} was left behind"
    if exit_code == 2:
        return f"{min(documents)} was written" if documents else ""
    for name in (*_DOCUMENTS, *(("constraint_violations.json",) if case.monitors else ())):
        if name not in documents:
            return f"no {name}"
        with strictly(name) as problems:
            json.loads(documents[name].read_bytes().decode(), parse_constant=_no_constant)
        if problems:
            return problems[0]
    return ""


@contextlib.contextmanager
def strictly(name: str) -> Iterator[list[str]]:
    problems: list[str] = []
    try:
        yield problems
    except ValueError as error:
        problems.append(f"{name} is not strict JSON: {error}")


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
