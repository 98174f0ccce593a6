"""Histories made by hand, for the pages over all models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from contract.api import Metric, Violation
from file_storage import storage
from reporting.history import folder
from reporting.history.record import Run, RunFinding, run_to_json

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
MONITORS = ("data-quality", "model-quality", "bias", "feature-attribution")


def run_of(day: int, monitor: str = "model-quality", accuracy: float | None = 0.8, **members: Any) -> Run:
    """Return a run about a day: its accuracy, expected at least 0.79, None where nothing was decided."""
    start = FIRST + timedelta(days=day)
    finished = start + timedelta(days=1, minutes=5)
    bad = accuracy is not None and accuracy < 0.75
    found = Violation("metric_check", f"accuracy is {accuracy}", metric_name="accuracy")
    finding = RunFinding(
        "accuracy",
        max(0.0, 0.79 - (accuracy or 0.0)),
        bad,
        value=accuracy,
        expected=0.79,
        interval=None if accuracy is None else (accuracy - 0.02, accuracy + 0.02),
    )
    values: dict[str, Any] = {
        "run": f"{finished:%Y%m%dT%H%M%S.%fZ}-{monitor}-{members.get('model', 'm')}-{day:06x}",
        "monitor": monitor,
        "version": "1.0",
        "rules": "sound",
        "model": "flights",
        "window": (start, start + timedelta(days=1)),
        "started": finished - timedelta(seconds=3),
        "finished": finished,
        "seconds": 3.0,
        "output_path": f"/out/{monitor}/{day}",
        "exit_code": 0,
        "rows": 1000,
        "labelled": 900,
        "unlabelled": 100,
        "violations": (found,) if bad else (),
        "decided": 0 if accuracy is None else 4,
        "undecided": 4 if accuracy is None else 0,
        "why_undecided": "no row has a label" if accuracy is None else None,
        "metrics": (Metric("estimated_accuracy", 0.78),),
        "findings": () if accuracy is None else (finding,),
        **members,
    }
    return Run(**values)


def fleet(models: int, days: int, subjects: int = 6) -> list[Run]:
    """Return the runs of many models: some alarm, some have gaps, some wait for labels."""
    rng = np.random.default_rng(7)
    runs = []
    for model in range(models):
        for monitor in MONITORS:
            for day in range(days):
                chance = rng.random()
                if chance < 0.02:
                    continue
                accuracy = None if chance < 0.05 else 0.6 if chance < 0.1 else 0.8
                run = run_of(day, monitor, accuracy, model=f"model {model:02d}")
                more = tuple(
                    RunFinding(f"feature {number}", float(rng.random() / 10), limit=0.1, noise=0.02)
                    for number in range(subjects)
                )
                runs.append(Run(**{**vars(run), "findings": (*run.findings, *more)}))
    return runs


def append(history: Path, *runs: Run) -> None:
    """Put records into a history."""
    for run in runs:
        content = folder.compress(orjson.dumps(run_to_json(run)) + b"\n")
        storage.write_file(folder.join(str(history), folder.RUNS, f"{run.run}.jsonl.gz"), content)
