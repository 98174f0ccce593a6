"""Writing labels for tests, and running the merge."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from run_jobs import Result, run_job

from containers.commands.merge_ground_truth import main

HOUR = "endpoint/variant/2026/05/06/22"


def capture(
    identifier: Any,
    output: Any = "0.5",
    inference_id: str | None = None,
    time: str | None = "2026-05-06T22:20:30Z",
    **more: Any,
) -> dict[str, Any]:
    """Return a capture record; an output that is no text becomes JSON, ids and times of None are left out."""
    encoding, data = ("CSV", output) if isinstance(output, str) else ("JSON", json.dumps(output))
    metadata = {"eventId": identifier, "inferenceId": inference_id, "inferenceTime": time}
    return {
        "captureData": {
            "endpointInput": {"mode": "INPUT", "data": "1,2", "encoding": "CSV"},
            "endpointOutput": {"mode": "OUTPUT", "data": data, "encoding": encoding},
        },
        "eventMetadata": {name: value for name, value in metadata.items() if value is not None},
        "eventVersion": "0",
        **more,
    }


def label(identifier: Any, data: Any = "1", encoding: str | None = "CSV") -> dict[str, Any]:
    """Return a label as it is written; an encoding of None is left out."""
    truth = {"data": data} | ({} if encoding is None else {"encoding": encoding})
    return {"groundTruthData": truth, "eventMetadata": {"eventId": identifier}, "eventVersion": "0"}


def lines(records: Iterable[Any]) -> str:
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)


def write(path: Path, records: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lines(records), encoding="utf-8")
    return path


def run_merge(folder: Path, source: Any, labels: Any, **variables: Any) -> Result:
    """Run the command as an orchestrator would."""
    return run_job(folder, source, command=main, dataset_format=None, ground_truth_source=labels, **variables)


def merged_files(output: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the merged records by file."""
    return {
        str(path.relative_to(output)): [json.loads(line) for line in path.read_bytes().splitlines()]
        for path in sorted(output.rglob("*.jsonl"))
    }


def report(output: Path) -> dict[str, Any]:
    return json.loads((output / "_merge_report.json").read_text("utf-8"))
