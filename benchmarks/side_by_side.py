"""Jobs side by side in containers, with one output folder: none may fail, and no folder may hold a mix.

Each job gets a process namespace of its own (``unshare``), in which it is process 1 as in a container. Two
jobs read different data and write to one place at the same time; what is there afterwards must be, file by
file, what one of them writes when it is alone. `python -m benchmarks.fuzz --pairs 40` runs all kinds.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")
# Times, and what hangs on them, are another in each run.
_TIMES = re.compile(
    rb'\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC)?|"(seconds|rows_per_second)" ?: ?[\d.e+-]+'
    rb"|_seconds\{[^}]*\} [\d.e+-]+"
)
_ROWS = 300

Command = Callable[[Path, str, Path], list[str]]


@dataclass
class Pairs:
    """What was seen of a kind of job: how many pairs, whose files stood, and what was wrong."""

    stood: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    mixes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        stood = ", ".join(f"{count} {whose}" for whose, count in sorted(self.stood.items()))
        text = f"{self.stood.total()} pairs ({stood}): {len(self.failures)} failures, {len(self.mixes)} mixes"
        return text + "".join(f"\n  {problem[:600]}" for problem in (*self.failures, *self.mixes)[:5])


def _job(command: str, folder: Path, whose: str, output: Path, *more: str) -> list[str]:
    return [
        *(str(Path(sys.executable).with_name(command)), "--log-level", "ERROR", "--output-path", str(output)),
        *("--output-message-file", str(folder / f"{whose}-message"), *more),
    ]


def _csv(folder: Path, whose: str) -> Path:
    """Name a table by its day, so that windows apply to it."""
    return folder / "2026/03/02" / f"{whose}.csv"


def _table(command: str, folder: Path, whose: str, output: Path, *more: str) -> list[str]:
    source = ("--dataset-source", str(_csv(folder, whose)), "--dataset-format", '{"csv":{"header":true}}')
    return _job(command, folder, whose, output, *source, *more)


def _baseline(folder: Path) -> tuple[str, ...]:
    documents = folder / "baseline"
    return ("--baseline-statistics", str(documents), "--baseline-constraints", str(documents))


def _merge(folder: Path, whose: str, output: Path) -> list[str]:
    places = ("--dataset-source", str(folder / whose), "--ground-truth-source", str(folder / "labels"))
    return _job("merge-ground-truth", folder, whose, output, *places)


def _describe(folder: Path, whose: str, output: Path) -> list[str]:
    return _table("monitor-data-quality", folder, whose, output)


def _check(folder: Path, whose: str, output: Path) -> list[str]:
    """Only one of the two compares anything: the other's files have no violations beside them."""
    more = _baseline(folder) if whose == "b" else ("--report", "Disabled")
    return _table("monitor-data-quality", folder, whose, output, *more)


def _publish(folder: Path, whose: str, output: Path) -> list[str]:
    """What both write to is where their metrics go."""
    output.mkdir(exist_ok=True)
    more = ("--metrics-sinks", f"prometheus-textfile:{output}/", "--fail-on-sink-error", "Enabled")
    files = ("--publish-cloudwatch-metrics", "Enabled", "--cloudwatch-metrics-directory", f"{output}")
    own = output.parent / f"{whose}-own"
    times = ("--start-time", "2026-03-02T00:00:00Z", "--end-time", "2026-03-03T00:00:00Z")
    return _table("monitor-data-quality", folder, whose, own, *more, *files, *times, *_baseline(folder))


def _remember(folder: Path, whose: str, output: Path) -> list[str]:
    """What both write to is a history."""
    own = output.parent / f"{whose}-own"
    more = ("--history-path", str(output), "--fail-on-sink-error", "Enabled")
    return _table("monitor-data-quality", folder, whose, own, *more, *_baseline(folder))


def _register(folder: Path, whose: str, output: Path) -> list[str]:
    """What both write to is the baseline that they register."""
    own = output.parent / f"{whose}-own"
    more = ("--register-new-baseline", str(output), "--skip-check", "Enabled")
    return _table("monitor-data-quality", folder, whose, own, *more)


def _quality(folder: Path, whose: str, output: Path) -> list[str]:
    more = ("--problem-type", "Regression", "--inference-attribute", "x", "--ground-truth-attribute", "y")
    return _table("monitor-model-quality", folder, whose, output, *more)


def _bias(folder: Path, whose: str, output: Path) -> list[str]:
    return _configured("monitor-bias", folder, whose, output)


def _attribution(folder: Path, whose: str, output: Path) -> list[str]:
    more = ("--model", str(folder / "model.txt"))
    return _configured("monitor-feature-attribution", folder, whose, output, *more)


def _configured(command: str, folder: Path, whose: str, output: Path, *more: str) -> list[str]:
    kind = command.removeprefix("monitor-").replace("-", "_")
    config = (
        "--dataset-source",
        str(_csv(folder, whose)),
        "--analysis-config",
        str(folder / f"{kind}.json"),
    )
    return _job(command, folder, whose, output, *config, *more)


COMMANDS: dict[str, Command] = {
    "merge": _merge,
    "data-quality": _describe,
    "check": _check,
    "metrics": _publish,
    "history": _remember,
    "register": _register,
    "model-quality": _quality,
    "bias": _bias,
    "attribution": _attribution,
}


def make_inputs(folder: Path) -> None:
    """Write what jobs `a` and `b` read, and a baseline."""
    generator = random.Random(1)
    _csv(folder, "a").parent.mkdir(parents=True)
    for whose, shift in (("a", 0.0), ("b", 3.0)):
        rows = [
            (round(generator.gauss(shift, 1), 3), generator.randint(0, 1), generator.randint(0, 1))
            for _ in range(_ROWS)
        ]
        lines = [f"{x},{y},{facet},{x + y}" for x, y, facet in rows]
        _csv(folder, whose).write_text("\n".join(["x,y,facet,z", *lines]) + "\n", encoding="utf-8")
        _write_captures(folder / whose, shift)
    labels = folder / "labels"
    labels.mkdir()
    (labels / "labels.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "groundTruthData": {"data": str(number), "encoding": "CSV"},
                    "eventMetadata": {"eventId": f"id-{number}"},
                    "eventVersion": "0",
                }
            )
            + "\n"
            for number in range(_ROWS)
        ),
        encoding="utf-8",
    )
    bias = {
        "dataset_type": "text/csv",
        "label": "y",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "facet", "value_or_threshold": [1]}],
        "methods": {"pre_training_bias": {"methods": "all"}},
    }
    (folder / "bias.json").write_text(json.dumps(bias), encoding="utf-8")
    shap = {
        "baseline": [[0, 0, 0]],
        "num_samples": 20,
        "agg_method": "mean_abs",
        "save_local_shap_values": True,
    }
    attribution = {"dataset_type": "text/csv", "label": "y", "methods": {"shap": shap}}
    (folder / "feature_attribution.json").write_text(json.dumps(attribution), encoding="utf-8")
    subprocess.run(_describe(folder, "a", folder / "baseline"), cwd=ROOT, check=True)


def _write_captures(folder: Path, shift: float) -> None:
    """Write captures of ten hours."""
    for hour in range(10):
        path = folder / f"churn/AllTraffic/2026/03/02/{hour:02}/00-00-000-capture.jsonl"
        path.parent.mkdir(parents=True)
        records = []
        for number in range(hour, _ROWS, 10):
            side = {"observedContentType": "text/csv", "encoding": "CSV"}
            data = {
                "endpointInput": {**side, "mode": "INPUT", "data": f"{shift + number},1"},
                "endpointOutput": {**side, "mode": "OUTPUT", "data": f"{shift}\n"},
            }
            event = {"eventId": f"id-{number}", "inferenceTime": f"2026-03-02T{hour:02}:00:00Z"}
            records.append(json.dumps({"captureData": data, "eventMetadata": event, "eventVersion": "0"}))
        path.write_text("\n".join(records) + "\n", encoding="utf-8")


def write_model(folder: Path) -> None:
    import lightgbm
    import numpy as np

    features = np.random.default_rng(1).normal(size=(_ROWS, 3))
    data = lightgbm.Dataset(features, features.sum(axis=1), feature_name=["x", "facet", "z"])
    lightgbm.train({"verbosity": -1, "num_threads": 1}, data, 5).save_model(folder / "model.txt")


def run_pairs(folder: Path, kind: str, pairs: int, *, seed: int = 1) -> Pairs:
    """Run jobs of a kind two at a time, and look at what stands afterwards; `folder` is empty."""
    generator = random.Random(seed)
    make_inputs(folder)
    if kind == "attribution":
        write_model(folder)
    command = COMMANDS[kind]
    alone: dict[str, dict[str, bytes]] = {}
    for whose in ("a", "b"):
        output = folder / f"alone-{whose}"
        _run(command(folder, whose, output))
        alone[whose] = _files(output)
    result = Pairs()
    output = folder / "output"
    for number in range(pairs):
        if number % 2:
            shutil.rmtree(output, ignore_errors=True)  # else they find what jobs before them left
        delay = generator.uniform(0, 0.1)
        runs = [("a", 0.0), ("b", delay)] if generator.random() < 0.5 else [("b", 0.0), ("a", delay)]
        processes = [
            subprocess.Popen(
                [
                    *NAMESPACE,
                    "sh",
                    "-c",
                    f'sleep {wait:.3f}; exec "$@"',
                    "sh",
                    *command(folder, whose, output),
                ],
                cwd=ROOT,
                stderr=subprocess.PIPE,
            )
            for whose, wait in runs
        ]
        for (whose, _), process in zip(runs, processes, strict=True):
            error = process.communicate()[1].decode(errors="replace").strip()
            if process.returncode:
                result.failures.append(f"pair {number}: {whose} ended with {process.returncode}: {error}")
        _judge(kind, _files(output), alone, result, number)
    return result


def _run(command: Sequence[str]) -> None:
    done = subprocess.run([*NAMESPACE, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"alone it ended with {done.returncode}: {done.stderr[-2000:]}")


def _judge(
    kind: str,
    found: dict[str, bytes],
    alone: dict[str, dict[str, bytes]],
    result: Pairs,
    number: int,
) -> None:
    if hidden := [name for name in found if "/." in f"/{name}"]:
        result.mixes.append(f"pair {number}: {', '.join(hidden)} was left behind")
    if kind == "history":
        runs = sum(name.startswith("runs/") for name in found)
        result.stood["both"] += 1
        if runs != 2 * (1 if number % 2 else 2 if number else 1):
            result.mixes.append(f"pair {number}: the history has {runs} runs")
        return
    # A registered baseline keeps those before it, each a set; metrics are sets of one file.
    sets: dict[str, dict[str, bytes]] = {"": {}}
    for name, content in found.items():
        place, _, rest = name.rpartition("/") if name.startswith("previous/") else ("", "", name)
        sets.setdefault(name if kind == "metrics" else place, {})[rest] = content
    for place, now in sets.items():
        whole = [
            whose
            for whose, files in alone.items()
            if now == ({place: files[place]} if place in files else files) or not now
        ]
        result.stood[whole[0] if whole else "neither"] += bool(now)
        if not whole:
            owners = {name: [w for w in alone if alone[w].get(name) == now[name]] for name in now}
            result.mixes.append(f"pair {number}: {place}: {owners}")


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): _TIMES.sub(b"", file.read_bytes())
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
