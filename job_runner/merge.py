"""The merge of captures with labels that came later, as a job: read, join, write, report."""

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from contract import json_layout
from contract.dataset import GROUND_TRUTH, LabelPlaces
from contract.errors import ConfigurationError, wording
from contract.settings import Settings, is_within
from contract.window import CAPTURE_SLACK, Window, between, folder_overlaps
from contract.wording import several
from file_storage import s3, storage
from job_runner.engine import available_processors
from readers.captures.envelope import Envelope
from readers.captures.split import envelopes
from readers.dataset import UNREAD
from readers.flatten import loads
from readers.labels import HOUR, UNKNOWN_HOUR, Hours, LabelIndex, Positions, hour_of, hour_text, index_labels
from readers.lanes import text_buffer
from readers.splitting import FileRange, LineBlock, divide, has_lines

# Captures and their labels as merged records: the captured line with its label, byte for byte otherwise.


_BLOCK_SIZE = 8 << 20
_NEEDS_ESCAPE = re.compile(rb'[\x00-\x1f"\\]')
_ENDPOINT_FOLDERS = re.compile(r"(?:^|/)([^/]+/[^/]+)/\d{4}/\d{2}/\d{2}/\d{2}/")
_ENDINGS = re.compile(r"(\.jsonl?)?(\.(gz|bz2|zst))?$")


# Where merged records go: beside others of the same capture file, by hour.
Target = tuple[str, int]


@dataclass
class Merged:
    """What became of capture files.

    Parameters
    ----------
    used
        Which labels found a record.
    parts
        Files with the merged records for each target.
    captures, joined
        Records by the hour of their inference, hours since 1970, and those of them that have a label.
    without_id
        Records that have neither inferenceId nor eventId, so that no label can refer to them.
    example
        The first id of a record.
    """

    used: npt.NDArray[np.bool_]
    parts: dict[Target, list[Path]] = field(default_factory=dict)
    captures: Counter[int] = field(default_factory=Counter)
    joined: Counter[int] = field(default_factory=Counter)
    without_id: int = 0
    example: str | None = None

    def add(self, other: "Merged") -> None:
        """Add what became of further files."""
        for target, files in other.parts.items():
            self.parts.setdefault(target, []).extend(files)
        self.captures.update(other.captures)
        self.joined.update(other.joined)
        self.without_id += other.without_id
        self.example = self.example or other.example


def _lines(block: LineBlock) -> pa.BinaryArray:
    """Return the lines of a block, those too that are blank."""
    ends = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord("\n"))
    edges = pa.py_buffer(np.concatenate([[0], ends + 1]).astype(np.int32))
    return pa.BinaryArray.from_buffers(pa.binary(), len(ends), [None, edges, pa.py_buffer(block.data)])


def _replaced(lines: pa.BinaryArray) -> pa.BinaryArray:
    """Return lines that end with a brace and a newline, without the labels that some have already."""
    odd = pc.invert(pc.match_substring_regex(lines, r"\}\n$"))
    if f'"{GROUND_TRUTH}"'.encode() in bytes(lines.buffers()[2]):
        odd = pc.or_(odd, pc.match_substring(lines, f'"{GROUND_TRUTH}"'))
    if not pc.any(odd).as_py():
        return lines
    mended = []
    for line in lines.filter(odd).to_pylist():
        text = line.strip()
        if GROUND_TRUTH in (record := loads(text)):
            record.pop(GROUND_TRUTH)
            text = orjson.dumps(record)
        mended.append(text + b"\n")
    return pc.replace_with_mask(lines, odd, pa.array(mended, pa.binary()))


def _hours(envelope: Envelope) -> Hours:
    """Return the hour of each record: that of its file's folder, else that of its inference."""
    by_path = [hour_of(segment.path) for segment in envelope.block.segments]
    hours = np.array(by_path, np.int32)[envelope.block.sources(envelope.numbers)]
    if (hours == UNKNOWN_HOUR).any():
        instants = envelope.instants()
        by_time = np.where(instants == UNREAD, UNKNOWN_HOUR, instants // HOUR).astype(np.int32)
        hours = np.where(hours == UNKNOWN_HOUR, by_time, hours)
    return hours


def _counts(hours: Hours) -> Counter[int]:
    values, counts = np.unique(hours, return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _write(
    envelope: Envelope, hours: Hours, positions: Positions, index: LabelIndex, folder: Path, merged: Merged
) -> None:
    lines = _replaced(_lines(envelope.block).take(pa.array(envelope.numbers)))
    lines = _with_labels(lines, *index.take(positions).flatten())
    targets = np.stack([envelope.block.sources(envelope.numbers), hours.astype(np.int64)], axis=1)
    order = np.lexsort((targets[:, 1], targets[:, 0]))
    if (order[1:] < order[:-1]).any():
        lines, targets = lines.take(pa.array(order)), targets[order]
    edges = np.flatnonzero((targets[1:] != targets[:-1]).any(axis=1)) + 1
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset :]
    content = lines.buffers()[2]
    for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(lines)], strict=True):
        source, hour = targets[start].tolist()
        target = (envelope.block.segments[source].path, hour)
        [part] = merged.parts.setdefault(target, [folder / str(len(merged.parts))])
        with part.open("ab") as file:
            file.write(content.slice(int(offsets[start]), int(offsets[end] - offsets[start])))


def _with_labels(lines: pa.BinaryArray, data: pa.StringArray, encodings: pa.StringArray) -> pa.BinaryArray:
    text = data.cast(pa.binary())
    if _NEEDS_ESCAPE.search(text_buffer(data)):
        text = pa.array([orjson.dumps(label)[1:-1] for label in data.to_pylist()], pa.binary())
    opening, middle = f',"{GROUND_TRUTH}":{{"data":"'.encode(), b'","encoding":"'
    label = (opening, text, middle, encodings.cast(pa.binary()), b'"}}\n')
    return pc.binary_join_element_wise(pc.binary_slice(lines, 0, -2), *label, b"")


# Underscore: whoever reads the merged records as a dataset passes over it.
REPORT = "_merge_report.json"
_MOST_WORKERS = 8
_HOURS_LOGGED = 5
_VARIANT = "AllTraffic"

_log = logging.getLogger(__name__)


def coverage_report(merged: Merged, index: LabelIndex) -> dict[str, Any]:
    """Return how captures and labels found each other, as JSON values."""
    captures, joined = merged.captures, merged.joined
    # By the hour when they were collected.
    labels, orphans = _counts(index.hours), _counts(index.hours[~merged.used])
    by_hour = {"captures": captures, "labels": labels, "joined": joined, "orphans": orphans}
    hours = []
    for hour in sorted(captures.keys() | labels.keys()):
        counts = {name: of[hour] for name, of in by_hour.items()}
        coverage = _share(joined[hour], captures[hour])
        hours.append({"hour": hour_text(hour), **counts, "coverage": coverage})
    return {
        "version": 0.0,
        "captures": captures.total(),
        "captures_without_id": merged.without_id,
        "label_records": index.records,
        "labels": labels.total(),
        "duplicate_labels": index.duplicates,
        "changed_labels": index.changed,
        "joined": joined.total(),
        "orphan_labels": orphans.total(),
        "coverage": _share(joined.total(), captures.total()),
        "hours": hours,
    }


def merge(settings: Settings) -> str:
    """Join captures with labels and write them below the output path.

    Returns
    -------
    The message of the job: empty, or why nothing was merged.

    Raises
    ------
    InputError
        When the job cannot complete.
    """
    started = time.monotonic()
    labels_source = settings.ground_truth_source or ""
    for name, source in (("dataset_source", settings.dataset_source), ("ground_truth_source", labels_source)):
        if is_within(settings.output_path, source):
            raise ConfigurationError.of("settings.output_in_source", field=name)
    s3.encrypt_with(settings.output_kms_key)
    storage.prepare_output(settings.output_path)
    files = _captures(settings)
    index = index_labels(labels_source, LabelPlaces.of(settings))
    _log.info("Read %s in %.1f s", several(index.records, "label"), time.monotonic() - started)
    with storage.staging_folder(settings.output_path) as folder:
        merged = _merged(files, index, settings.window, folder)
        report = coverage_report(merged, index)
        # Together, so that the report is that of the files beside it.
        contents: dict[str, Path | bytes] = {REPORT: json_layout.dumps(report)}
        contents |= _joined_parts(merged.parts, settings)
        storage.write_files_atomically(settings.output_path, contents)
    _log_report(report)
    _log.info("Merged %s in %.1f s", several(report["joined"], "record"), time.monotonic() - started)
    return _message(report, settings, (merged.example, index.example))


def _captures(settings: Settings) -> list[storage.SourceFile]:
    """Return the capture files that can hold records of the window."""
    files = storage.list_files(settings.dataset_source)
    return [file for file in files if folder_overlaps(file.path, settings.window, CAPTURE_SLACK)]


def _merged(
    files: Sequence[storage.SourceFile], index: LabelIndex, window: Window | None, folder: Path
) -> Merged:
    """Join the records of capture files with their labels."""
    stop, used = threading.Event(), np.zeros(len(index.keys), np.bool_)
    together = Merged(used)

    def work(numbered: tuple[int, tuple[FileRange, ...]]) -> Merged:
        number, pieces = numbered
        merged, own = Merged(used), folder / str(number)
        own.mkdir()
        for envelope in envelopes(pieces, (), window, index, labels=False, times=True, size=_BLOCK_SIZE):
            if stop.is_set():
                break
            positions, hours = index.find(envelope.ids), _hours(envelope)
            found = positions >= 0
            used[positions[found]] = True
            merged.captures.update(_counts(hours))
            merged.joined.update(_counts(hours[found]))
            merged.without_id += envelope.ids.null_count
            merged.example = merged.example or pc.first(envelope.ids).as_py()
            if found.any():
                _write(envelope.filter(found), hours[found], positions[found], index, own, merged)
        return merged

    workers = min(available_processors(), _MOST_WORKERS)
    with ThreadPoolExecutor(workers, thread_name_prefix="merge") as executor:
        try:
            for merged in executor.map(work, enumerate(divide(files, may_cut=has_lines))):
                together.add(merged)
        finally:
            # After a failure nobody wants the rest; the folder can go when all have stopped.
            stop.set()
            executor.shutdown(wait=True, cancel_futures=True)
    return together


def _joined_parts(parts: dict[Target, list[Path]], settings: Settings) -> dict[str, Path]:
    """Return one whole file by each path below the output folder: ``<endpoint>/<variant>/yyyy/mm/dd/hh/``."""
    endpoint = f"{settings.sagemaker_endpoint_name or 'endpoint'}/{_VARIANT}"
    taken: dict[str, list[Path]] = {}
    for (path, hour), files in parts.items():
        path = re.sub(r"^s3://[^/]+/", "", path)
        folders = _ENDPOINT_FOLDERS.findall(path)
        in_time = [] if hour == UNKNOWN_HOUR else [hour_text(hour)[:13].replace("-", "/").replace("T", "/")]
        name = _ENDINGS.sub("", path.rpartition("/")[2])
        stem = "/".join([folders[-1] if folders else endpoint, *in_time, name])
        name, number = f"{stem}.jsonl", 1
        while name in taken:  # files of one name from different folders
            number += 1
            name = f"{stem}-{number}.jsonl"
        taken[name] = files
    with ThreadPoolExecutor(_MOST_WORKERS, thread_name_prefix="join") as executor:
        return dict(zip(taken, executor.map(storage.join_parts, taken.values()), strict=True))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _log_report(report: dict[str, Any]) -> None:
    hours = report["hours"]
    totals = (report["captures"], report["labels"], report["joined"], report["orphan_labels"])
    lacking = [hour for hour in hours if hour["joined"] < hour["captures"] and len(hours) > 1]
    worst = sorted(lacking, key=lambda hour: hour["joined"] - hour["captures"])[:_HOURS_LOGGED]
    title = "Label coverage"
    if worst:
        title += f", the hours with most captures without label first ({REPORT} has all {len(hours)})"
    _log.info("%s\n%s", title, _coverage_table(worst, totals))
    _log.debug("Label coverage by hour\n%s", _coverage_table(hours, totals))
    if report["duplicate_labels"]:
        counts = (several(report["duplicate_labels"], "label"), report["changed_labels"])
        _log.warning("Replaced %s by later ones for the same id, %d of them by another label", *counts)
    if report["captures_without_id"]:
        nameless = several(report["captures_without_id"], "capture")
        _log.warning("Found %s without an id, which no label can name", nameless)


def _coverage_table(hours: list[dict[str, Any]], totals: tuple[int, ...]) -> str:
    columns = ("captures", "labels", "joined", "orphans")
    lines = [f"{'hour':<20}" + "".join(f"{column:>12}" for column in columns)]
    lines += [f"{hour['hour']:<20}" + "".join(f"{hour[column]:>12}" for column in columns) for hour in hours]
    return "\n".join([*lines, f"{'total':<20}" + "".join(f"{total:>12}" for total in totals)])


def _message(report: dict[str, Any], settings: Settings, examples: tuple[str | None, str]) -> str:
    if report["joined"]:
        return ""  # as the originals
    if not report["captures"]:
        return wording("merge.no_captures", source=settings.dataset_source, window=between(settings.window))
    if not report["labels"]:
        return wording("merge.no_labels", source=settings.ground_truth_source)
    counts = {"captures": report["captures"], "labels": report["labels"]}
    return wording("merge.no_common_id", **counts, example=examples[0], known=examples[1])


def validate(settings: Settings) -> Iterator[str]:
    """Yield one line per thing found in order, and write nothing.

    Raises
    ------
    InputError
        At the first thing that would fail the job.
    """
    yield "settings can be read"
    yield f"dataset_source has {storage.size_of(_captures(settings))}"
    labels = storage.list_files(settings.ground_truth_source or "", "ground_truth_source")
    yield f"ground_truth_source has {storage.size_of(labels)}"
