"""Runs for tests of the history: jobs on small tables, and records made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from histories import append as append
from run_jobs import NO_VIOLATIONS, Result, baseline_of, run_job

from reporting.history.record import Run

FIRST = datetime(2026, 5, 6, 22, tzinfo=UTC)


def write_csv(path: Path, seed: int, shift: float = 0.0) -> Path:
    rng = np.random.default_rng(seed)
    rows = (f"{rng.integers(18, 90)},{rng.normal(50 + shift, 10):.3f}" for _ in range(500))
    path.write_text("age,income\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def make_baseline(path: Path, **variables: Any) -> Result:
    path.mkdir(parents=True, exist_ok=True)
    return run_job(path, write_csv(path / "data.csv", 1), **variables)


def monitor(path: Path, baseline: Result, shift: float = 0.0, **variables: Any) -> Result:
    path.mkdir(parents=True, exist_ok=True)
    source = write_csv(path / "data.csv", 2, shift)
    return run_job(path, source, **{**baseline_of(baseline), **variables})


def make_run(hour: int = 0, **members: Any) -> Run:
    start = FIRST + timedelta(hours=hour)
    finished = start + timedelta(hours=1, minutes=5)
    values: dict[str, Any] = {
        "run": f"{finished:%Y%m%dT%H%M%S.%fZ}-data-quality-{hour:012x}",
        "monitor": "data-quality",
        "version": "1.0",
        "rules": "sound",
        "started": finished - timedelta(seconds=3),
        "finished": finished,
        "seconds": 3.0,
        "dataset_source": "/data",
        "output_path": "/out",
        "exit_code": 0,
        "message": NO_VIOLATIONS,
        "window": (start, start + timedelta(hours=1)),
        "rows": 100,
        "violations": (),
        **members,
    }
    return Run(**values)
