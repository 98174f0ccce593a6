"""The merge of captures with labels that came later, as a job: read, join, write, report."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.datasets import storage
from contract.datasets.capture import may_cut
from contract.datasets.ground_truth_index import LabelIndex, index_labels
from contract.datasets.ground_truth_lines import hour_text
from contract.datasets.ground_truth_merge import Merged, Target, merge_pieces, target_name
from contract.datasets.label_places import LabelPlaces
from contract.datasets.pieces import Piece, divide
from contract.datasets.plan import CAPTURE_SLACK
from contract.datasets.staging import join_parts, staging_folder
from contract.datasets.storage import SourceFile
from contract.datasets.window import Window, folder_overlaps
from contract.documents import json_layout
from contract.engine import available_processors
from contract.errors import ConfigurationError
from contract.settings import Settings
from contract.wording import several

# Underscore: whoever reads the merged records as a dataset passes over it.
REPORT = "_merge_report.json"
_MOST_WORKERS = 8
_HOURS_LOGGED = 5
_VARIANT = "AllTraffic"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Coverage:
    """How captures and labels found each other.

    Parameters
    ----------
    captures, joined
        Records by hour, and those of them that have a label.
    labels, orphans
        Labels by the hour when they were collected, and those of them that have no record.
    label_records, duplicates
        Labels read, and how many of them a later one for the same id replaced.
    without_id
        Records that no label can refer to.
    """

    captures: Counter[int]
    joined: Counter[int]
    labels: Counter[int]
    orphans: Counter[int]
    label_records: int
    duplicates: int
    without_id: int

    def report(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        hours = sorted(self.captures.keys() | self.labels.keys())
        return {
            "version": 0.0,
            "captures": self.captures.total(),
            "captures_without_id": self.without_id,
            "label_records": self.label_records,
            "labels": self.labels.total(),
            "duplicate_labels": self.duplicates,
            "joined": self.joined.total(),
            "orphan_labels": self.orphans.total(),
            "coverage": _share(self.joined.total(), self.captures.total()),
            "hours": [
                {
                    "hour": hour_text(hour),
                    "captures": self.captures[hour],
                    "labels": self.labels[hour],
                    "joined": self.joined[hour],
                    "orphans": self.orphans[hour],
                    "coverage": _share(self.joined[hour], self.captures[hour]),
                }
                for hour in hours
            ],
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
    source, labels_source = sources(settings)
    storage.prepare_output(settings.output_path)
    files = captures_to_read(source, settings.window)
    index = index_labels(labels_source, LabelPlaces.of(settings))
    _log.info("Read %s in %.1f s", several(index.records, "label"), time.monotonic() - started)
    report = _merge_files(files, index, settings)
    _log_report(report)
    _log.info("Merged %s in %.1f s", several(report["joined"], "record"), time.monotonic() - started)
    return _message(report, settings, labels_source)


def sources(settings: Settings) -> tuple[str, str]:
    """Return where captures and labels are.

    Raises
    ------
    ConfigurationError
        When no place for labels is set.
    """
    if settings.ground_truth_source is None:
        raise ConfigurationError(
            "ground_truth_source is not set: set it (or --ground-truth-source), for example to "
            "/opt/ml/processing/groundtruth."
        )
    return settings.dataset_source, settings.ground_truth_source


def captures_to_read(source: str, window: Window | None) -> list[SourceFile]:
    """Return the capture files that can hold records of the window."""
    files = storage.list_files(source)
    return [file for file in files if folder_overlaps(file.path, window, CAPTURE_SLACK)]


def _merge_files(files: Sequence[SourceFile], index: LabelIndex, settings: Settings) -> dict[str, Any]:
    used = np.zeros(len(index.keys), np.bool_)
    captures: Counter[int] = Counter()
    joined: Counter[int] = Counter()
    without_id = 0
    parts: dict[Target, list[Path]] = {}
    with staging_folder(settings.output_path) as folder:
        for merged in _merged_in_order(files, index, used, settings.window, folder):
            captures.update(merged.captures)
            joined.update(merged.joined)
            without_id += merged.without_id
            for target, part in merged.parts.items():
                parts.setdefault(target, []).append(part)
        report = Coverage(
            captures,
            joined,
            _by_hour(index.hours),
            _by_hour(index.hours[~used]),
            index.records,
            index.duplicates,
            without_id,
        ).report()
        merged_files: dict[str, Path | bytes] = {**_joined_parts(parts, settings)}
        # Together, so that the report is that of the files beside it.
        merged_files[REPORT] = json_layout.dumps(report)
        storage.write_files_atomically(settings.output_path, merged_files)
    return report


def _merged_in_order(
    files: Sequence[SourceFile],
    index: LabelIndex,
    used: npt.NDArray[np.bool_],
    window: Window | None,
    folder: Path,
) -> Iterator[Merged]:
    stop = threading.Event()

    def work(numbered: tuple[int, tuple[Piece, ...]]) -> Merged:
        number, pieces = numbered
        own = folder / str(number)
        own.mkdir()
        return merge_pieces(pieces, index, used, window, own, stop)

    workers = min(available_processors(), _MOST_WORKERS)
    with ThreadPoolExecutor(workers, thread_name_prefix="merge") as executor:
        try:
            yield from executor.map(work, enumerate(divide(files, may_cut=may_cut)))
        finally:
            # After a failure nobody wants the rest; the folder can go when all have stopped.
            stop.set()
            executor.shutdown(wait=True, cancel_futures=True)


def _joined_parts(parts: dict[Target, list[Path]], settings: Settings) -> dict[str, Path]:
    """Return one whole file by each path below the output folder."""
    endpoint = f"{settings.sagemaker_endpoint_name or 'endpoint'}/{_VARIANT}"
    taken: dict[str, list[Path]] = {}
    for target, files in parts.items():
        name = target_name(target, endpoint)
        stem, number = name.removesuffix(".jsonl"), 1
        while name in taken:  # files of one name from different folders
            number += 1
            name = f"{stem}-{number}.jsonl"
        taken[name] = files
    with ThreadPoolExecutor(_MOST_WORKERS, thread_name_prefix="join") as executor:
        return dict(zip(taken, executor.map(join_parts, taken.values()), strict=True))


def _by_hour(hours: npt.NDArray[np.int32]) -> Counter[int]:
    values, counts = np.unique(hours, return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _log_report(report: dict[str, Any]) -> None:
    hours = report["hours"]
    totals = (report["captures"], report["labels"], report["joined"], report["orphan_labels"])
    worst = sorted(
        (hour for hour in hours if hour["joined"] < hour["captures"]),
        key=lambda hour: hour["joined"] - hour["captures"],
    )[:_HOURS_LOGGED]
    title = "Label coverage"
    if worst and len(hours) > 1:
        title += f", the hours with most captures without label first ({REPORT} has all {len(hours)})"
    _log.info("%s\n%s", title, _coverage_table(worst if len(hours) > 1 else [], totals))
    _log.debug("Label coverage by hour\n%s", _coverage_table(hours, totals))
    if report["duplicate_labels"]:
        replaced = several(report["duplicate_labels"], "label")
        _log.warning("Replaced %s by later ones for the same id", replaced)
    if report["captures_without_id"]:
        nameless = several(report["captures_without_id"], "capture")
        _log.warning("Found %s without an id, which no label can name", nameless)


def _coverage_table(hours: list[dict[str, Any]], totals: tuple[int, ...]) -> str:
    columns = ("captures", "labels", "joined", "orphans")
    lines = [f"{'hour':<20}" + "".join(f"{column:>12}" for column in columns)]
    lines += [f"{hour['hour']:<20}" + "".join(f"{hour[column]:>12}" for column in columns) for hour in hours]
    return "\n".join([*lines, f"{'total':<20}" + "".join(f"{total:>12}" for total in totals)])


def _message(report: dict[str, Any], settings: Settings, labels_source: str) -> str:
    if report["joined"]:
        return ""  # as the originals
    if not report["captures"]:
        where = f"{settings.dataset_source} holds no captures{_when(settings)}"
        return f"Completed: nothing was merged, since {where}."
    if not report["labels"]:
        return f"Completed: nothing was merged, since {labels_source} holds no labels."
    return (
        f"Completed: nothing was merged, since no capture (of {report['captures']}) has the inferenceId "
        f"or eventId of any label (of {report['labels']}); check that labels "
        "name the eventId of their capture."
    )


def _when(settings: Settings) -> str:
    if settings.window is None:
        return ""
    return f" between {settings.window.start:%Y-%m-%dT%H:%M:%SZ} and {settings.window.end:%Y-%m-%dT%H:%M:%SZ}"


def validate(settings: Settings) -> Iterator[str]:
    """Yield one line per thing found in order, and write nothing.

    Raises
    ------
    InputError
        At the first thing that would fail the job.
    """
    yield "settings can be read"
    source, labels_source = sources(settings)
    files = captures_to_read(source, settings.window)
    yield f"dataset_source has {storage.size_of(files)}"
    labels = storage.list_files(labels_source, "ground_truth_source")
    yield f"ground_truth_source has {storage.size_of(labels)}"
