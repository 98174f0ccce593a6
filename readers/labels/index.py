"""Labels found by the id of their inference, in memory or on disk.

Ids are known by their 128-bit XXH3 hash, sorted by its first half. Labels that are larger than the memory for
them are divided by hash into partitions on disk, each sorted by itself, and the sorted result is mapped into
memory, so that the system keeps of it what there is room for. The files have no names any more once they are
mapped: however the process ends, nothing is left behind.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from contract.dataset import LabelPlaces
from contract.reading import notice
from file_storage.storage import list_files
from file_storage.temporary import scratch_folder
from readers.labels.lines import Hours, Labels, read_labels

# Bytes of label files that may be held in memory; a label takes less there than in its file.
MEMORY = 256 << 20
_PARTITION = 64 << 20
_MOST_PARTITIONS = 256
# What else a label says of its encoding is taken as the first of these.
ENCODINGS = ("CSV", "JSON", "BASE64")
# Label files shrink so much when compressed.
_COMPRESSION = 12

Words = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]

_SPILLED = pa.schema(
    [
        ("key", pa.uint64()),
        ("check", pa.uint64()),
        ("data", pa.string()),
        ("encoding", pa.uint8()),
        ("hour", pa.int32()),
    ]
)


@dataclass(frozen=True)
class LabelIndex:
    """The latest label of each inference, sorted by `keys`.

    Parameters
    ----------
    keys, checks
        First and second half of the hash of the id.
    data
        The label as it was written.
    encodings
        How to read it, as position in `ENCODINGS`.
    hours
        Hours since 1970 when it was collected, as far as folders say.
    records
        How many labels were read, those that later ones replaced included.
    """

    keys: Words
    checks: Words
    data: pa.LargeStringArray
    encodings: npt.NDArray[np.uint8]
    hours: Hours
    records: int

    @property
    def duplicates(self) -> int:
        """Return how many labels a later one for the same id replaced."""
        return self.records - len(self.keys)

    def find(self, ids: pa.StringArray) -> Positions:
        """Return the position of the label of each id, -1 where there is none or the id is null."""
        keys, checks = hash_ids(ids)
        # Looking up in order of the keys walks through memory, or the disk, in one direction.
        pending = np.argsort(keys)
        positions = np.searchsorted(self.keys, keys[pending])
        found = np.full(len(keys), -1, np.int64)
        while len(pending):
            inside = positions < len(self.keys)
            pending, positions = pending[inside], positions[inside]
            same = self.keys[positions] == keys[pending]
            pending, positions = pending[same], positions[same]
            hit = self.checks[positions] == checks[pending]
            found[pending[hit]] = positions[hit]
            # Another id with the same first half: the one wanted may stand behind it.
            pending, positions = pending[~hit], positions[~hit] + 1
        if ids.null_count:
            found[ids.is_null().to_numpy(zero_copy_only=False)] = -1
        return found

    def take(self, positions: Positions) -> tuple[pa.StringArray, pa.StringArray]:
        """Return data and encodings of the labels at `positions`, null where negative."""
        missing = positions < 0
        data = self.data.take(pa.array(positions, mask=missing)).cast(pa.string())
        codes = np.zeros(len(positions), np.uint8)
        codes[~missing] = self.encodings[positions[~missing]]
        return data, pa.array(ENCODINGS).take(pa.array(codes, mask=missing))


def labels_of(index: LabelIndex, ids: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """Return data and encodings of the label of each id; say where rows of one block share a label."""
    positions = index.find(ids)
    found = positions[positions >= 0]
    notice("shared", count=len(found) - len(np.unique(found)))
    return index.take(positions)


def hash_ids(ids: pa.StringArray) -> tuple[Words, Words]:
    """Return the two halves of the hash of each id; that of a null means nothing."""
    texts = ids.cast(pa.binary())
    texts = pc.fill_null(texts, b"") if texts.null_count else texts
    digest = xxhash.xxh3_128_digest
    halves = np.frombuffer(b"".join(map(digest, texts.to_pylist())), ">u8").reshape(-1, 2)
    return halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)


def index_labels(source: str, places: LabelPlaces | None = None, *, memory: int | None = None) -> LabelIndex:
    """Read all labels below a folder.

    Parameters
    ----------
    source
        Local file or folder, or ``s3://bucket/prefix``.
    places
        Where files other than lines hold the label.
    memory
        Bytes of label files from which on the index is made on disk; default `MEMORY`.

    Raises
    ------
    DatasetError
        When there is nothing at `source`, or naming file and line of what is no label.
    """
    files = list_files(source, "ground_truth_source")
    plain = (".jsonl", ".json", ".csv")
    total = sum(file.size * (1 if file.path.endswith(plain) else _COMPRESSION) for file in files)
    labels = read_labels(files, places or LabelPlaces())
    if total <= (MEMORY if memory is None else memory):
        return _sorted_index([_hashed(part) for part in labels])
    partitions = min(_MOST_PARTITIONS, 1 << max(1, (total // _PARTITION).bit_length()))
    return _index_on_disk(labels, partitions)


def _hashed(labels: Labels) -> pa.RecordBatch:
    keys, checks = hash_ids(labels.ids)
    codes = pc.fill_null(pc.index_in(labels.encodings, pa.array(ENCODINGS)), 0).cast(pa.uint8())
    columns = [pa.array(keys), pa.array(checks), labels.data, codes, pa.array(labels.hours)]
    return pa.RecordBatch.from_arrays(columns, schema=_SPILLED)


def _sorted_index(batches: Sequence[pa.RecordBatch]) -> LabelIndex:
    table = pa.Table.from_batches(batches, _SPILLED)
    keys, checks = (table.column(name).to_numpy() for name in ("key", "check"))
    order = latest_of_each(keys, checks)
    data = table.column("data").cast(pa.large_string()).combine_chunks().take(pa.array(order))
    encodings, hours = (table.column(name).to_numpy()[order] for name in ("encoding", "hour"))
    return LabelIndex(keys[order], checks[order], data, encodings, hours, table.num_rows)


def latest_of_each(keys: Words, checks: Words) -> Positions:
    """Return the position of the last occurrence of each pair, sorted by `keys`."""
    order = np.argsort(keys, kind="stable")
    same_key = keys[order[1:]] == keys[order[:-1]]
    same = same_key & (checks[order[1:]] == checks[order[:-1]])
    if (same != same_key).any():
        # Two ids share the first half: their labels may be mixed.
        order = np.lexsort((checks, keys))
        same = (keys[order[1:]] == keys[order[:-1]]) & (checks[order[1:]] == checks[order[:-1]])
    return order[np.append(~same, True)] if len(order) else order


def _index_on_disk(labels: Iterable[Labels], partitions: int) -> LabelIndex:
    with scratch_folder("ground-truth-", "sorting labels that outnumber the memory") as folder:
        records = _partition(labels, folder, partitions)
        rows, end = 0, np.int64(0)
        with ExitStack() as stack:
            files = {name: stack.enter_context((folder / name).open("wb")) for name in _COLUMNS}
            files["edges"].write(end.tobytes())
            for number in range(partitions):
                path = folder / str(number)
                with pa.ipc.open_stream(str(path)) as reader:
                    index = _sorted_index(list(reader))
                path.unlink()
                if not len(index.keys):
                    continue
                numbers: tuple[npt.NDArray[Any], ...] = (
                    index.keys,
                    index.checks,
                    index.hours,
                    index.encodings,
                )
                for name, column in zip(_COLUMNS, numbers, strict=False):
                    files[name].write(column.tobytes())
                _, buffer, content = index.data.buffers()
                edges = np.frombuffer(buffer, np.int64)[index.data.offset :][: len(index.keys) + 1]
                files["data"].write(content.slice(int(edges[0]), int(edges[-1] - edges[0])))
                files["edges"].write((edges[1:] - edges[0] + end).tobytes())
                rows, end = rows + len(index.keys), end + edges[-1] - edges[0]
        return _mapped(folder, rows, records)


def _partition(labels: Iterable[Labels], folder: Path, partitions: int) -> int:
    """Divide labels by the first bits of their hash into files; return how many there were."""
    shift = np.uint64(64 - (partitions.bit_length() - 1))
    records = 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pa.ipc.new_stream(str(folder / str(number)), _SPILLED))
            for number in range(partitions)
        ]
        for part in labels:
            batch = _hashed(part)
            records += batch.num_rows
            numbers = batch.column("key").to_numpy() >> shift
            order = np.argsort(numbers, kind="stable")
            batch = batch.take(pa.array(order))
            edges = np.searchsorted(numbers[order], np.arange(partitions + 1, dtype=np.uint64))
            for number, (start, end) in enumerate(itertools.pairwise(edges)):
                if end > start:
                    writers[number].write_batch(batch.slice(start, end - start))
    return records


# Files of the finished index; texts are their bytes, and where each begins and ends.
_COLUMNS = ("key", "check", "hour", "encoding", "data", "edges")


def _mapped(folder: Path, rows: int, records: int) -> LabelIndex:
    def numbers(name: str, kind: type[np.generic]) -> npt.NDArray[Any]:
        return np.memmap(folder / name, kind, mode="r") if rows else np.zeros(0, kind)

    def buffer(name: str) -> pa.Buffer:
        path = folder / name  # an empty file cannot be mapped
        return pa.memory_map(str(path)).read_buffer() if path.stat().st_size else pa.py_buffer(b"")

    return LabelIndex(
        numbers("key", np.uint64),
        numbers("check", np.uint64),
        pa.LargeStringArray.from_buffers(rows, buffer("edges"), buffer("data")),
        numbers("encoding", np.uint8),
        numbers("hour", np.int32),
        records,
    )
