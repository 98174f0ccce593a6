"""Small tables and captures, written as a test needs them, and what a job says of how it read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from run_jobs import Result

HEADER = '{"csv":{"header":true}}'
HEADERLESS = '{"csv":{"header":false}}'
CAPTURES = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
LINES = '{"json":{"lines":true}}'
DAY = {"start_time": "2026-03-02T00:00:00Z", "end_time": "2026-03-03T00:00:00Z"}


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def csv_table(path: Path, names: str, rows: Sequence[Sequence[Any]], separator: str = ",") -> Path:
    lines = [names, *(separator.join(map(str, row)) for row in rows)]
    return write(path, "".join(f"{line}\n" for line in lines if line))


def reading(result: Result) -> dict[str, list[str]]:
    assert result.exit_code == 0, result.message
    return result.document("statistics.json").get("reading", {})


def features(result: Result) -> dict[str, dict[str, Any]]:
    assert result.exit_code == 0, result.message
    return {feature["name"]: feature for feature in result.document("statistics.json")["features"]}


def common(feature: dict[str, Any]) -> dict[str, int]:
    return (feature.get("numerical_statistics") or feature["string_statistics"])["common"]


def checks(result: Result) -> list[tuple[str, str]]:
    assert result.exit_code == 0, result.message
    return [(found["feature_name"], found["constraint_check_type"]) for found in result.violations]


def captured(request: Any, response: Any = "1", number: int = 0, **metadata: Any) -> str:
    """Return a capture record as a line; a text is CSV, anything else JSON."""
    parts = {
        name: {"data": data, "encoding": "CSV"}
        if isinstance(data, str)
        else {"data": json.dumps(data), "encoding": "JSON"}
        for name, data in (("endpointInput", request), ("endpointOutput", response))
    }
    about = {"eventId": f"e{number}", "inferenceTime": "2026-03-02T10:00:00Z"} | metadata
    return json.dumps({"captureData": parts, "eventMetadata": about, "eventVersion": "0"}) + "\n"


def json_lines(path: Path, records: Sequence[Any]) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))
