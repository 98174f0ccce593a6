"""Whether two commits do the same: files, message files, exit codes and stderr of many jobs, byte by byte.

    python -m benchmarks.same_bytes OLD NEW [--shared ../shared] [--only TEXT]

Both are commits, or folders with a checkout. The jobs are the demo, and data quality, model quality, bias
and dry runs on all data in ``fixtures`` and ``cases`` of the shared folder, by both sets of rules. Times,
durations, versions, random names and names of loggers are left out of the comparison.
"""

from __future__ import annotations

import argparse
import difflib
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

Job = dict[str, Any]
# What runs in a process of its own, with one checkout on its path: each job is a copy of it.
_RUNNER = """
import importlib, json, os, pathlib, sys, traceback
import contract
mains = {}
for job in json.load(sys.stdin):
    if job["program"] not in mains:
        mains[job["program"]] = importlib.import_module(job["program"]).main
    folder = pathlib.Path(job["folder"])
    folder.mkdir(parents=True)
    child = os.fork()
    if not child:
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o644), number)
        os.environ.update(job["variables"])
        try:
            code = mains[job["program"]](job["arguments"])
        except BaseException:
            traceback.print_exc()
            code = 99
        sys.stdout.flush()
        os._exit(code)
    (folder / "exit_code").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""
_VARIES = [
    (re.compile(pattern), text)
    for pattern, text in (
        (r"(?m)^\d{4}-\d\d-\d\d \d\S+ - \S+ - ", "TIME - LOGGER - "),
        (r"20[2-9]\d-\d\d-\d\d[T ]\d\d[:\d]*(\.\d+)?(Z|\+00:00| UTC)?", "TIME"),
        (r"\d{8}T\d{6}\.\d+Z-[\w-]+-[0-9a-f]{12}", "RUN"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
        (r"\b\d+(\.\d+)? (s|seconds|rows/s|MB)\b", "AMOUNT"),
        (r'"(seconds|duration_seconds|seconds_spent|spent)": ?[\d.e+-]+', r'"\1":SECONDS'),
        (r"model_monitor_(duration|last_success)\S* \S+", r"model_monitor_\1"),
        (r'"(version|digest)": ?"[^"]*"', r'"\1":VARIES'),
        (r"\b(\d+\.){2}(\d+|dev)\w*", "VERSION"),
    )
]
_CAPTURE = '{"sagemakerCaptureJson":{}}'
_FORMATS = {
    ".csv": ('{"csv":{"header":true}}', '{"csv":{"header":false}}'),
    ".json": ("json", _CAPTURE),
    ".jsonl": ("json", _CAPTURE),
    ".parquet": ("parquet",),
}
_BIAS = {
    "dataset_type": "text/csv",
    "label": "Churn",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "Account Length", "value_or_threshold": [100]}],
    "methods": {"pre_training_bias": {"methods": "all"}},
}


def jobs_of(shared: Path, work: Path) -> Iterator[Job]:
    """Yield the jobs; a window follows the baseline that it is compared with."""
    sources = [
        path
        for room in ("fixtures", "cases")
        for path in sorted((shared / room).rglob("*"))
        if path.suffix in _FORMATS and "schedules" not in path.parts
    ]
    for source in sources:
        name = "_".join(source.relative_to(shared).parts)
        siblings = [path for path in sorted(source.parent.glob(f"*{source.suffix}")) if path != source][:2]
        for number, form in enumerate(_FORMATS[source.suffix]):
            for rules in ("sound", "sagemaker"):
                label = f"{name}-{number}-{rules}"
                given = {"dataset_source": source, "dataset_format": form, "rules": rules}
                yield _job("data_quality", work / label, given)
                compared = {
                    **_baseline(work / label),
                    "fail_on_violations": "Enabled",
                    "history_path": work / f"{label}-history",
                    "publish_cloudwatch_metrics": "Enabled",
                    "cloudwatch_metrics_directory": work / f"{label}-metrics",
                }
                for window in (source, *siblings):
                    wanted = {**given, **compared, "dataset_source": window}
                    yield _job("data_quality", work / f"{label}-of-{window.stem}", wanted)
                yield _job("data_quality", work / f"{label}-dry", {**given, **compared}, "--validate")
    table = shared / "fixtures/model_monitor/mq_binary/validation_with_predictions.csv"
    config = work / "bias.json"
    for rules in ("sound", "sagemaker"):
        given = {
            "dataset_source": table,
            "dataset_format": '{"csv":{"header":true}}',
            "rules": rules,
            "problem_type": "BinaryClassification",
            "inference_attribute": "prediction",
            "probability_attribute": "probability",
            "ground_truth_attribute": "label",
        }
        yield _job("model_quality", work / f"quality-{rules}", given)
        compared = _baseline(work / f"quality-{rules}")
        yield _job("model_quality", work / f"quality-{rules}-window", {**given, **compared})
        table_of_groups = shared / "fixtures/model_monitor/churn/bias-validation-dataset-with-header.csv"
        given = {"dataset_source": table_of_groups, "analysis_config": config, "rules": rules}
        yield _job("bias", work / f"bias-{rules}", given)
        yield _job("bias", work / f"bias-{rules}-window", {**given, **_baseline(work / f"bias-{rules}")})


def _job(monitor: str, folder: Path, variables: dict[str, Any], *arguments: str) -> Job:
    paths = {"output_path": folder / "output", "output_message_file": folder / "message"}
    return {
        "program": f"containers.{monitor}.main",
        "folder": str(folder),
        "variables": {name: str(value) for name, value in {**variables, **paths}.items()},
        "arguments": list(arguments),
    }


def _baseline(folder: Path) -> dict[str, Path]:
    output = folder / "output"
    return {
        "baseline_constraints": output / "constraints.json",
        "baseline_statistics": output / "statistics.json",
    }


def run(root: Path, jobs: list[Job], work: Path, demo: bool) -> dict[str, bytes]:
    """Run all jobs with one checkout; return what they left behind, by path."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "bias.json").write_text(json.dumps(_BIAS), encoding="utf-8")
    kept = {name: text for name, text in os.environ.items() if name != name.lower()}
    environment = {**kept, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-c", _RUNNER]
    subprocess.run(command, input=json.dumps(jobs).encode(), env=environment, cwd=work, check=True)
    if demo:
        with (work / "demo.txt").open("wb") as log:
            command = [sys.executable, "-m", "demo", "--output", str(work / "demo")]
            subprocess.run(command, env=environment, cwd=root, stdout=log, stderr=log, check=True)
    return {
        _plain(str(path.relative_to(work))): content_of(path) for path in work.rglob("*") if path.is_file()
    }


def content_of(path: Path) -> bytes:
    """Return what a file holds, unpacked, without what differs between two runs of one job."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if path.suffix == ".zst":
        content = pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
    try:
        return _plain(content.decode()).encode()
    except UnicodeDecodeError:
        return content


def _plain(text: str) -> str:
    for pattern, replacement in _VARIES:
        text = pattern.sub(replacement, text)
    return text


def difference(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Return a line for each file that differs, with the first lines that do."""
    alone = sorted(before.keys() ^ after.keys())
    lines = [f"only {'before' if name in before else 'after'}: {name}" for name in alone]
    for name in sorted(before.keys() & after.keys()):
        if before[name] == after[name]:
            continue
        texts = [side[name].decode(errors="replace").splitlines() for side in (before, after)]
        changed = difflib.unified_diff(*texts, lineterm="", n=0)
        shown = [line[:200] for line in changed if not line.startswith(("---", "+++", "@@"))][:6]
        lines += [f"differs: {name}", *(f"    {line}" for line in shown)]
    return lines


def main() -> int:
    """Compare two commits; return 1 where they differ."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("commits", nargs=2, metavar="COMMIT")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--only", default="", help="jobs whose name holds this text")
    parser.add_argument("--no-demo", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name) / "work"
        jobs = [job for job in jobs_of(given.shared.resolve(), work) if given.only in job["folder"]]
        sides = []
        for number, commit in enumerate(given.commits):
            root = Path(commit).resolve()
            if not root.is_dir():
                root = Path(name) / str(number)
                root.mkdir()
                tree = subprocess.run(["git", "archive", commit], stdout=subprocess.PIPE, check=True).stdout
                subprocess.run(["tar", "-x", "-C", str(root)], input=tree, check=True)
            sides.append(run(root, jobs, work, not given.no_demo))
    found = difference(*sides)
    codes = [content.decode() for path, content in sides[1].items() if path.endswith("exit_code")]
    counts = ", ".join(f"{code}: {codes.count(code)}" for code in sorted(set(codes)))
    files = len(sides[0].keys() | sides[1].keys())
    differing = sum(not line.startswith("    ") for line in found)
    print("\n".join(found))
    print(f"{len(jobs)} jobs (exit codes {counts}), {files} files, {differing} of them differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
