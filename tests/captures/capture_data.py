"""Writing capture files for tests, and reading them back through a plan."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from contract.dataset import Dataset
from contract.dataset_format import DatasetFormat
from readers.plan import plan_dataset


def part(data: Any, encoding: str | None = "CSV", **more: Any) -> dict[str, Any]:
    return {"observedContentType": None, "mode": "X", "data": data, "encoding": encoding} | more


def record(
    output: Any = None, request: Any = None, time: str | None = "2026-05-06T10:20:30Z", **more: Any
) -> dict[str, Any]:
    """Return a capture record; payloads are CSV text, a value to encode as JSON, or a finished part."""
    captured = {}
    for side, payload in (("endpointInput", request), ("endpointOutput", output)):
        if payload is None:
            continue
        if isinstance(payload, dict) and "encoding" in payload:
            captured[side] = payload
        elif isinstance(payload, str):
            captured[side] = part(payload)
        else:
            captured[side] = part(json.dumps(payload), "JSON")
    metadata = {"eventId": "e-1"} | ({"inferenceTime": time} if time else {})
    return {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"} | more


def write(path: Path, records: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def read_batches(source: Path, **options: Any) -> list[pa.RecordBatch]:
    kind = options.pop("kind", "sagemakerCaptureJson")
    indices = options.pop("indices", ("endpointInput", "endpointOutput"))
    request = Dataset(source=str(source), format=DatasetFormat(kind, capture_indices=indices), **options)
    return [batch for split in plan_dataset(request).splits for batch in split.batches()]


def read_columns(source: Path, **options: Any) -> dict[str, list[Any]]:
    """Return all rows as one dict of columns."""
    batches = read_batches(source, **options)
    if not batches:
        return {}
    table = pa.concat_tables(
        [pa.Table.from_batches([batch.replace_schema_metadata(None)]) for batch in batches],
        promote_options="permissive",
    )
    return table.to_pydict()
