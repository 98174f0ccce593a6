"""Captures and their labels as merged records: the captured line with its label, byte for byte otherwise."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from contract.datasets.capture import in_window, parse_instant, record_of_line, times_in_window
from contract.datasets.capture_bulk import label_ids
from contract.datasets.capture_lines import LineBlock, line_blocks
from contract.datasets.ground_truth_columns import LABEL, ids_of_records
from contract.datasets.ground_truth_index import LabelIndex, Positions
from contract.datasets.ground_truth_lines import UNKNOWN_HOUR, Hours, hour_number, hour_text, require_utf8
from contract.datasets.payload_columns import NotBulkError, read_json, text_bytes
from contract.datasets.pieces import Piece
from contract.datasets.window import Window, folder_hour

_BLOCK_SIZE = 8 << 20
_SCHEMA = pa.schema(
    [
        ("captureData", pa.struct([])),
        (
            "eventMetadata",
            pa.struct([(name, pa.string()) for name in ("inferenceId", "eventId", "inferenceTime")]),
        ),
    ]
)
_NEEDS_ESCAPE = re.compile(rb'[\x00-\x1f"\\]')
_ENDPOINT_FOLDERS = re.compile(r"(?:^|/)([^/]+/[^/]+)/\d{4}/\d{2}/\d{2}/\d{2}/")
_ENDINGS = re.compile(r"(\.jsonl?)?(\.(gz|bz2|zst))?$")


@dataclass(frozen=True)
class Target:
    """Where merged records go: beside others of the same capture file, by hour."""

    path: str
    hour: int


@dataclass
class Merged:
    """What became of some capture files.

    Parameters
    ----------
    parts
        File with the merged records for each target.
    captures, joined
        Records by the hour of their inference, hours since 1970.
    without_id
        Records that have neither inferenceId nor eventId.
    """

    parts: dict[Target, Path] = field(default_factory=dict)
    captures: Counter[int] = field(default_factory=Counter)
    joined: Counter[int] = field(default_factory=Counter)
    without_id: int = 0


@dataclass(frozen=True)
class _Records:
    """Capture records: whole lines that end with a brace and a newline, and what belongs to each."""

    lines: pa.BinaryArray
    ids: pa.StringArray
    hours: Hours
    sources: npt.NDArray[np.int64]
    paths: tuple[str, ...]

    def filter(self, mask: npt.NDArray[np.bool_]) -> _Records:
        kept = pa.array(mask)
        return _Records(
            self.lines.filter(kept), self.ids.filter(kept), self.hours[mask], self.sources[mask], self.paths
        )


def merge_pieces(
    pieces: Sequence[Piece],
    index: LabelIndex,
    used: npt.NDArray[np.bool_],
    window: Window | None,
    folder: Path,
    stop: threading.Event,
) -> Merged:
    """Join the records of some capture files with their labels.

    Parameters
    ----------
    pieces
        Capture files, or byte ranges of them.
    index
        The labels.
    used
        Which labels have found a record; written to.
    window
        Leave out records outside; None merges all.
    folder
        Where merged records are written, into files of their own.
    stop
        Set to give up, when nobody wants the result any more.

    Raises
    ------
    DatasetError
        Naming file and line of what is no capture record.
    """
    merged = Merged()
    for block in line_blocks(pieces, size=_BLOCK_SIZE):
        if stop.is_set():
            break
        try:
            records = _bulk(block, window)
        except NotBulkError:
            records = _exact(block, window)
        positions = index.find(records.ids)
        found = positions >= 0
        used[positions[found]] = True
        merged.captures.update(_counts(records.hours))
        merged.joined.update(_counts(records.hours[found]))
        merged.without_id += records.ids.null_count
        if found.any():
            _write(records.filter(found), positions[found], index, folder, merged)
    return merged


def target_name(target: Target, endpoint: str) -> str:
    """Return where a merged file belongs: ``<endpoint>/<variant>/yyyy/mm/dd/hh/<name>.jsonl``.

    Parameters
    ----------
    target
        Capture file and hour.
    endpoint
        ``<endpoint>/<variant>`` for files whose path does not say it.
    """
    path = re.sub(r"^s3://[^/]+/", "", target.path)
    folders = _ENDPOINT_FOLDERS.findall(path)
    hour = hour_text(target.hour)[:13].replace("-", "/").replace("T", "/")
    name = _ENDINGS.sub("", path.rpartition("/")[2]) + ".jsonl"
    parts = [folders[-1] if folders else endpoint, *([hour] if target.hour != UNKNOWN_HOUR else []), name]
    return "/".join(parts)


def _bulk(block: LineBlock, window: Window | None) -> _Records:
    if f'"{LABEL}"'.encode() in block.data:
        raise NotBulkError("records have labels already")
    table = read_json(pa.py_buffer(block.data), _SCHEMA, others="ignore")
    text = np.frombuffer(block.data, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if table.num_rows != len(ends) or table.column("captureData").null_count:
        raise NotBulkError("a line is no capture record")
    if (text[ends - 1] != ord("}")).any():
        raise NotBulkError("lines end with spaces")
    edges = pa.py_buffer(np.concatenate([[0], ends + 1]).astype(np.int32))
    lines = pa.BinaryArray.from_buffers(pa.binary(), len(ends), [None, edges, pa.py_buffer(block.data)])
    inference_ids, event_ids, times = table.column("eventMetadata").flatten()
    require_utf8(times)
    paths = tuple(segment.path for segment in block.segments)
    counts = [segment.data.count(b"\n") for segment in block.segments]
    sources = np.repeat(np.arange(len(paths)), counts)
    records = _Records(
        lines, label_ids(inference_ids, event_ids), _hours(times, sources, paths), sources, paths
    )
    return records if window is None else records.filter(times_in_window(times, window, block))


def _exact(block: LineBlock, window: Window | None) -> _Records:
    paths = tuple(dict.fromkeys(segment.path for segment in block.segments))
    numbers = {path: number for number, path in enumerate(paths)}
    lines: list[bytes] = []
    records: list[dict[str, Any]] = []
    sources: list[int] = []
    for line in block.lines():
        record = record_of_line(line)
        if not in_window(record, line.path, window):
            continue
        text = line.data.strip()
        if LABEL in record:
            record.pop(LABEL)
            text = orjson.dumps(record)
        lines.append(text + b"\n")
        records.append(record)
        sources.append(numbers[line.path])
    metadata = (record.get("eventMetadata") for record in records)
    found = (part.get("inferenceTime") if isinstance(part, dict) else None for part in metadata)
    times = pa.array([time if isinstance(time, str) else None for time in found], pa.string())
    places = np.array(sources, np.int64)
    return _Records(
        pa.array(lines, pa.binary()), ids_of_records(records), _hours(times, places, paths), places, paths
    )


def _hours(times: pa.StringArray, sources: npt.NDArray[np.int64], paths: Sequence[str]) -> Hours:
    """Return the hour of each record: that of its file's folder, else that of its inference."""
    by_path = np.array([hour_number(folder_hour(path)) for path in paths], np.int32)
    hours = by_path[sources]
    if (hours != UNKNOWN_HOUR).all():
        return hours
    encoded = times.dictionary_encode()
    distinct = [hour_number(parse_instant(text)) for text in encoded.dictionary.to_pylist()]
    codes = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    by_time = np.array([*distinct, UNKNOWN_HOUR], np.int32)[codes]
    return np.where(hours == UNKNOWN_HOUR, by_time, hours)


def _counts(hours: Hours) -> dict[int, int]:
    values, counts = np.unique(hours, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _write(records: _Records, positions: Positions, index: LabelIndex, folder: Path, merged: Merged) -> None:
    lines = _with_labels(records.lines, *index.take(positions))
    targets = np.stack([records.sources, records.hours.astype(np.int64)], axis=1)
    order = np.lexsort((targets[:, 1], targets[:, 0]))
    if (order[1:] < order[:-1]).any():
        lines, targets = lines.take(pa.array(order)), targets[order]
    edges = np.flatnonzero((targets[1:] != targets[:-1]).any(axis=1)) + 1
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset :]
    content = lines.buffers()[2]
    for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(lines)], strict=True):
        source, hour = targets[start].tolist()
        target = Target(records.paths[source], hour)
        part = merged.parts.setdefault(target, folder / str(len(merged.parts)))
        with part.open("ab") as file:
            file.write(content.slice(int(offsets[start]), int(offsets[end] - offsets[start])))


def _with_labels(lines: pa.BinaryArray, data: pa.StringArray, encodings: pa.StringArray) -> pa.BinaryArray:
    text = data.cast(pa.binary())
    if _NEEDS_ESCAPE.search(text_bytes(data)):
        text = pa.array([orjson.dumps(label)[1:-1] for label in data.to_pylist()], pa.binary())
    return pc.binary_join_element_wise(
        pc.binary_slice(lines, 0, -2),
        f',"{LABEL}":{{"data":"'.encode(),
        text,
        b'","encoding":"',
        encodings.cast(pa.binary()),
        b'"}}\n',
        b"",
    )
