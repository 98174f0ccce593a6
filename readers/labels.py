"""Labels that come later, and which captured rows they belong to.

One JSON object per line, with the id of the inference it belongs to:
``{"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "..."}}``, in files
anywhere below a folder, commonly ``yyyy/mm/dd/hh`` of the hour when the label was collected. Answers of
human reviewers and tables are accepted beside them.
"""

import itertools
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from contract.dataset import Dataset, LabelPlaces, notice
from contract.dataset_format import DatasetFormat
from contract.errors import DatasetError, topic
from contract.schema import nearest, suggestion
from contract.window import folder_hour, microseconds, path_span
from contract.wording import several, some_of
from file_storage.storage import SourceFile, list_files, read_bytes, scratch_folder
from readers.captures.envelope import PAYLOAD, json_object, label_part, read_records
from readers.csv import csv_splits
from readers.file_kind import without_documents
from readers.flatten import json_text, loads, scalar_text
from readers.parquet import parquet_splits
from readers.splitting import FileRange, Line, Segment, joined_segments, segments_of

# In the order in which they are looked for, since a capture's inferenceId comes before its eventId.
ID_COLUMNS = ("inferenceId", "eventId", "inference_id", "event_id")
_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst")
_PARQUET = (".parquet",)
# Text with these is one label and not several cells, as which CSV would be read.
_MARKS = '[,"\\r\\n]'
_LARGEST_ANSWER = 16 << 20

UNKNOWN_HOUR = -1
HOUR = 60 * 60 * 1_000_000
_BLOCK_SIZE = 8 << 20
_SCHEMA = pa.schema({"groundTruthData": PAYLOAD, "eventMetadata": pa.struct({"eventId": "string"})})

Hours = npt.NDArray[np.int32]

_log = logging.getLogger(__name__)


class Labels(NamedTuple):
    """Labels in the order of their files and lines; arrays of one length.

    Parameters
    ----------
    ids
        Of the inferences: their inferenceId, or else their eventId.
    data, encodings
        The label as it was written, and how to read it: ``CSV`` or ``JSON``.
    hours
        Hours since 1970 of the folder, `UNKNOWN_HOUR` for none.
    """

    ids: pa.StringArray
    data: pa.StringArray
    encodings: pa.StringArray
    hours: Hours


def read_labels(files: Sequence[SourceFile], places: LabelPlaces) -> Iterator[Labels]:
    """Yield the labels of files, those collected later after those collected before.

    Parameters
    ----------
    files
        In any order. They are read by the hour or day of their folders or names, then by path, in which
        numbers count as such; files without a date come first.
    places
        Where files other than lines hold the label.

    Raises
    ------
    DatasetError
        Naming file and line of what is no label.
    """

    def collected(file: SourceFile) -> tuple[int, list[int | str]]:
        span, parts = path_span(file.path), re.split("([0-9]+)", file.path)
        numbered = [int(part) if at % 2 else part for at, part in enumerate(parts)]
        return UNKNOWN_HOUR if span is None else microseconds(span.start), numbered

    ordered = sorted(files, key=collected)
    for is_table, group in groupby(ordered, key=lambda file: file.path.lower().endswith((*_CSV, *_PARQUET))):
        if is_table:
            for file in group:
                yield from read_table(file, places)
        else:
            yield from _lines_as_labels(segment for file in group for segment in _segments(file, places))


def _segments(file: SourceFile, places: LabelPlaces) -> Iterator[Segment]:
    """Yield the lines of a file; what reviewers answered becomes a line."""
    answer = read_answers(file, places)
    if answer is None:
        yield from segments_of([FileRange(file.path)], _BLOCK_SIZE)
    elif answer:
        yield Segment(file.path, 0, answer)


def hour_of(path: str) -> int:
    """Return the full hours since 1970 of a file's folder, `UNKNOWN_HOUR` where it tells none."""
    hour = folder_hour(path)
    return UNKNOWN_HOUR if hour is None else microseconds(hour) // HOUR


def hour_text(number: int) -> str:
    """Return an hour as ISO 8601 text; ``unknown`` for `UNKNOWN_HOUR`."""
    return "unknown" if number == UNKNOWN_HOUR else f"{np.datetime64(number, 'h')}:00:00Z"


def _lines_as_labels(segments: Iterable[Segment]) -> Iterator[Labels]:
    for block in joined_segments(segments, _BLOCK_SIZE):
        batch, numbers = read_records(block, _SCHEMA, _label, _is_whole)
        has_value = batch.column("groundTruthData").flatten()[0].is_valid()
        batch, numbers = batch.filter(has_value), numbers[has_value.to_numpy(zero_copy_only=False)]
        data, encodings = batch.column("groundTruthData").flatten()
        encodings = pc.utf8_upper(pc.fill_null(encodings, "CSV"))
        hours = np.array([hour_of(segment.path) for segment in block.segments], np.int32)
        ids = batch.column("eventMetadata").flatten()[0]
        yield Labels(ids, data, encodings, hours[block.sources(numbers)])


def _is_whole(batch: pa.RecordBatch) -> bool:
    data, _ = batch.column("groundTruthData").flatten()
    return not (data.null_count or batch.column("eventMetadata").flatten()[0].null_count)


def _label(line: Line) -> dict[str, Any]:
    """Return the line's members; there is no data where a label has no value yet."""
    record = json_object(line, _no_label)
    part = label_part(record.get("groundTruthData"))
    metadata = record.get("eventMetadata")
    identifier = metadata.get("eventId") if isinstance(metadata, dict) else None
    if identifier is None or isinstance(identifier, dict | list):
        raise _no_label(line, "it has no eventMetadata.eventId")
    if part is None and not isinstance(record.get("groundTruthData", ""), dict | None):
        raise _no_label(line, "it has no groundTruthData.data")
    return {"groundTruthData": part, "eventMetadata": {"eventId": str(identifier)}}


def _no_label(line: Line, reason: str) -> DatasetError:
    return DatasetError.of("label_files.no_label", reason=reason, **line.members())


# Labels in tables, as a query of a warehouse leaves them: CSV with a header, or Parquet.
#
# One column holds the id of the inference, another the label; other columns are ignored. A row without a
# label is not labelled yet, and is left out.


def read_table(file: SourceFile, places: LabelPlaces) -> Iterator[Labels]:
    """Yield the labels of a table in the order of its rows.

    Parameters
    ----------
    places
        Which columns to take.

    Raises
    ------
    DatasetError
        Naming the file and the columns it has, or the first row with a label and no id.
    """
    is_parquet = file.path.lower().endswith(_PARQUET)
    form = DatasetFormat("parquet") if is_parquet else DatasetFormat("csv", header=True)
    request = Dataset(file.path, form, text_only=True)
    splits = parquet_splits([file], request) if is_parquet else csv_splits([file], request, whole_files=True)
    before = unlabelled = 0
    for batch in (batch for split in splits for batch in split.batches()):
        identifier, label = _chosen(file.path, batch.schema.names, places)
        ids, data = _texts(batch.column(identifier)), _texts(batch.column(label))
        ids = id_texts(ids) if places.usual_id else ids
        lost = pc.and_(ids.is_null(), data.is_valid())
        if pc.any(lost).as_py():
            row = before + pc.index(lost, True).as_py() + 1
            raise DatasetError.of("label_files.no_id", file=file.path, row=row)
        before += batch.num_rows
        unlabelled += data.null_count
        ids, data = ids.filter(data.is_valid()), data.drop_null()
        marked = pc.match_substring_regex(data, _MARKS)
        if pc.any(marked).as_py():
            quoted = [json_text(text) for text in data.filter(marked).to_pylist()]
            data = pc.replace_with_mask(data, marked, pa.array(quoted, pa.string()))
        hours = np.full(len(ids), hour_of(file.path), np.int32)
        yield Labels(ids, data, pc.if_else(marked, "JSON", "CSV"), hours)
    if unlabelled:
        _log.info("Left out the rows of %s without a label: %d of %d", file.path, unlabelled, before)


def id_texts(ids: pa.StringArray) -> pa.StringArray:
    """Return ids (or labels) as they are compared: without blanks around, and whole ones without ``.0``."""
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(ids), r"^([+-]?\d+)\.0$", r"\1")


def _chosen(path: str, names: list[str], places: LabelPlaces) -> tuple[str, str]:
    """Return the names of the columns with ids and labels."""
    columns = ", ".join(names) or "none"
    asked = {"ground_truth_id_column": places.id_column, "ground_truth_label_column": places.label_column}
    for variable, name in asked.items():
        if name is not None and name not in names:
            meant = suggestion(name, names)
            raise DatasetError.of("label_files.no_column", file=path, name=name, field=variable, meant=meant)
    usual = (places.id_column, places.usual_id, *ID_COLUMNS)
    identifier = next((name for name in usual if name is not None and name in names), None)
    if identifier is None:
        told = places.usual_id or " or ".join(ID_COLUMNS[:2])
        raise DatasetError.of("label_files.no_id_column", file=path, usual=told, columns=columns)
    others = [name for name in names if name != identifier]
    if places.label_column is None and len(others) != 1:
        found = {"others": several(len(others), "column"), "id": identifier, "columns": columns}
        raise DatasetError.of("label_files.no_label_column", file=path, **found)
    return identifier, places.label_column or others[0]


def _texts(column: pa.Array) -> pa.StringArray:
    """Return cells as text; empty ones and NaN are none."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    texts = column.cast(pa.string())
    return pc.if_else(pc.equal(texts, ""), None, texts)


# Answers of human reviewers (Amazon Augmented AI) as labels.
#
# Augmented AI writes one ``output.json`` per human loop. It becomes one label:
#
# ========  ============================================================================================
# id        the first of `LabelPlaces.id_attributes` found in ``inputContent``, else ``humanLoopName``
# label     in each of ``humanAnswers``, the member of ``answerContent`` at `LabelPlaces.label_attribute`
# answers   the label most reviewers gave; among equals the one whose last answer came latest
# ========  ============================================================================================
#
# A file counts as such when its name ends with ``.json`` and its content is one object with
# ``humanAnswers``.


def read_answers(file: SourceFile, places: LabelPlaces) -> bytes | None:
    """Return the label of a human loop's output as a line, an empty one when nobody has answered.

    Returns
    -------
    None when the file is no such output.

    Raises
    ------
    DatasetError
        When the label cannot be found; names the file and what there is.
    """
    if not file.path.endswith(".json") or file.size > _LARGEST_ANSWER:
        return None
    content, loop = read_bytes(file.path), None
    if b'"humanAnswers"' in content:
        with suppress(ValueError):  # perhaps lines; whoever reads them says what is wrong
            loop = loads(content)
    if not isinstance(loop, dict) or not isinstance(loop.get("humanAnswers"), list):
        return None
    answers = [answer for answer in loop["humanAnswers"] if isinstance(answer, dict)]
    if not answers:
        return b""
    # ISO 8601 in UTC, as the service writes it, sorts as text.
    answers.sort(key=lambda answer: str(answer.get("submissionTime") or ""))
    labels = [_label_of(answer, places, file.path) for answer in answers]
    latest = {label: position for position, label in enumerate(labels)}
    label, encoding = max(latest, key=lambda each: (labels.count(each), latest[each]))
    name, attributes = loop.get("humanLoopName"), places.id_attributes
    found = [_at(loop.get("inputContent"), attribute) for attribute in attributes]
    ids = [one for one in found if isinstance(one, str | int) and not isinstance(one, bool) and one != ""]
    ids += [name] if isinstance(name, str) and name else []
    if not ids:
        raise DatasetError.of("label_files.no_inference", file=file.path, attributes=", ".join(attributes))
    part = {"data": label, "encoding": encoding}
    line = {"groundTruthData": part, "eventMetadata": {"eventId": str(ids[0])}}
    return json_text(line).encode() + b"\n"


def _label_of(answer: dict[str, Any], places: LabelPlaces, path: str) -> tuple[str, str]:
    content = answer.get("answerContent")
    leaves = {at: one for at, one in _values(content) if not (one is None or isinstance(one, dict | list))}
    alone = next(iter(leaves.values())) if len(leaves) == 1 else None
    found = alone if places.label_attribute is None else _at(content, places.label_attribute)
    if isinstance(found, dict | list):
        return json_text(found), "JSON"
    if found is not None:
        text = scalar_text("answerContent", found) or ""
        # A text with commas is one label, not several cells.
        return (json_text(text), "JSON") if re.search(_MARKS, text) else (text, "CSV")
    wanted = "single value" if places.label_attribute is None else repr(places.label_attribute)
    there = ", ".join(leaves) or "nothing"
    close = nearest(places.label_attribute or "", leaves)
    meant = f": did you mean {close}?" if close else "."
    raise DatasetError.of("label_files.no_answer", file=path, wanted=wanted, there=there, meant=meant)


def _at(value: Any, attribute: str) -> Any:
    """Return what a dotted path leads to, None for nothing; keys may contain dots themselves."""
    return next((inner for path, inner in _values(value) if path == attribute and inner is not None), None)


def _values(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value in a JSON value with its dotted path, the shallowest first."""
    found = [("", value)]
    for prefix, inner in found:  # which grows meanwhile
        yield prefix, inner
        if isinstance(inner, dict | list):
            items = inner.items() if isinstance(inner, dict) else enumerate(inner)
            found += [(f"{prefix}.{key}" if prefix else str(key), member) for key, member in items]


# Labels found by the id of their inference, in memory or on disk.
#
# Ids are known by their 128-bit XXH3 hash, sorted by its first half. Labels that are larger than the memory
# for them are divided by hash into partitions on disk, each sorted by itself, and the sorted result is mapped
# into memory, so that the system keeps of it what there is room for. The files have no names any more once
# they are mapped: however the process ends, nothing is left behind.


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

_KEYS = {"key": "uint64", "check": "uint64"}
_SPILLED = pa.schema({**_KEYS, "data": "string", "encoding": "uint8", "hour": "int32"})


class LabelIndex(NamedTuple):
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
    changed
        How many of those replaced are written unlike the label that counts.
    example
        The longest id among the first of them.
    """

    keys: Words
    checks: Words
    data: pa.LargeStringArray
    encodings: npt.NDArray[np.uint8]
    hours: Hours
    records: int
    changed: int = 0
    example: str = ""

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

    def take(self, positions: Positions) -> pa.StructArray:
        """Return the labels at `positions` as captures have them, null where negative."""
        none = pa.array(positions < 0)
        places = pa.array(positions, mask=positions < 0)
        encodings = pa.array(ENCODINGS).take(pa.array(self.encodings).take(places))
        data = self.data.take(places).cast(pa.string())
        return pa.StructArray.from_arrays([data, encodings], fields=list(PAYLOAD), mask=none)


def labels_of(index: LabelIndex, ids: pa.StringArray) -> pa.StructArray:
    """Return the label of each id; say where rows of one block share a label."""
    positions = index.find(ids)
    found = positions[positions >= 0]
    notice("reading.shared", count=len(found) - len(np.unique(found)))
    notice("joined", len(found))
    missed = ids.filter(pa.array(positions < 0)).drop_null()
    if len(missed) and index.records:
        some = missed[:_LOOKED_AT]
        spellings = {name: spelt(some, len(index.example)) for name, spelt in _SPELLINGS.items()}
        near = {name: int((index.find(texts) >= 0).sum()) for name, texts in spellings.items()}
        how = max(near, key=near.__getitem__)
        notice("reading.near", near[how], hint=topic("label_ids")[how])
        if not len(found):
            about = {"labels": index.records, "known": index.example, "example": missed[0].as_py()}
            notice("apart", len(missed), **about, how=how if near[how] else "unlike")
    return index.take(positions)


# Other ways to write ids, given how long those of labels are; tried where ids have no label.
_LOOKED_AT = 1_000
_SPELLINGS: dict[str, Callable[[pa.StringArray, int], pa.StringArray]] = {
    "upper": lambda ids, _: pc.utf8_upper(ids),
    "lower": lambda ids, _: pc.utf8_lower(ids),
    "plain": lambda ids, _: pc.replace_substring_regex(id_texts(ids), r"^0+(\d)", r"\1"),
    "decimal": lambda ids, _: pc.binary_join_element_wise(ids, ".0", ""),
    "zeros": lambda ids, width: pc.utf8_lpad(ids, width, "0"),
    "before": lambda ids, width: pc.utf8_lpad(ids, width),
    "behind": lambda ids, width: pc.utf8_rpad(ids, width),
}


def hash_ids(ids: pa.StringArray) -> tuple[Words, Words]:
    """Return the two halves of the hash of each id; that of a null means nothing."""
    texts = pc.fill_null(ids.cast(pa.binary()), b"").to_pylist()
    halves = np.frombuffer(b"".join(map(xxhash.xxh3_128_digest, texts)), ">u8").reshape(-1, 2)
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
    listed = list_files(source, "ground_truth_source")
    files = without_documents(listed)
    if passed_over := sorted(file.path for file in {*listed} - {*files}):
        _log.info("Passed over what holds no labels: %s", some_of(passed_over))
    plain = (".jsonl", ".json", ".csv")
    total = sum(file.size * (1 if file.path.endswith(plain) else _COMPRESSION) for file in files)
    found = (part for part in read_labels(files, places or LabelPlaces()) if len(part.ids))
    first = list(itertools.islice(found, 1))
    labels = itertools.chain(first, found)
    if total <= (MEMORY if memory is None else memory):
        index = _sorted_index([_hashed(part) for part in labels])
    else:
        partitions = min(_MOST_PARTITIONS, 1 << max(1, (total // _PARTITION).bit_length()))
        index = _index_on_disk(labels, partitions)
    return index._replace(example=max(first[0].ids.to_pylist(), key=len) if first else "")


def _hashed(labels: Labels) -> pa.RecordBatch:
    keys, checks = hash_ids(labels.ids)
    codes = pc.fill_null(pc.index_in(labels.encodings, pa.array(ENCODINGS)), 0).cast(pa.uint8())
    columns = [pa.array(keys), pa.array(checks), labels.data, codes, pa.array(labels.hours)]
    return pa.RecordBatch.from_arrays(columns, schema=_SPILLED)


def _sorted_index(batches: Sequence[pa.RecordBatch]) -> LabelIndex:
    table = pa.Table.from_batches(batches, _SPILLED)
    keys, checks = (table.column(name).to_numpy() for name in ("key", "check"))
    order = np.lexsort((checks, keys))
    is_next = (keys[order[1:]] == keys[order[:-1]]) & (checks[order[1:]] == checks[order[:-1]])
    # The last of each pair of halves.
    order = order[np.append(~is_next, True)] if len(order) else order
    texts = table.column("data").cast(pa.large_string()).combine_chunks()
    data = texts.take(pa.array(order))
    lost = np.delete(np.arange(len(keys)), order)
    counted = data.take(pa.array(np.searchsorted(keys[order], keys[lost])))
    differ = pc.not_equal(id_texts(texts.take(pa.array(lost))), id_texts(counted))
    encodings, hours = (table.column(name).to_numpy()[order] for name in ("encoding", "hour"))
    return LabelIndex(keys[order], checks[order], data, encodings, hours, len(keys), differ.true_count)


def _index_on_disk(labels: Iterable[Labels], partitions: int) -> LabelIndex:
    with scratch_folder("ground-truth-", "sorting labels that outnumber the memory") as folder:
        records = _partition(labels, folder, partitions)
        rows, changed, end = 0, 0, np.int64(0)
        with ExitStack() as stack:
            files = {name: stack.enter_context((folder / name).open("wb")) for name in _COLUMNS}
            files["edges"].write(end.tobytes())
            for number in range(partitions):
                path = folder / str(number)
                with pa.ipc.open_stream(str(path)) as reader:
                    index = _sorted_index(list(reader))
                path.unlink()
                changed += index.changed
                if not len(index.keys):
                    continue
                _, buffer, content = index.data.buffers()
                edges = np.frombuffer(buffer, np.int64)[: len(index.keys) + 1]
                texts = content.slice(0, int(edges[-1]))
                columns = (index.keys, index.checks, index.hours, index.encodings, texts, edges[1:] + end)
                for name, column in zip(_COLUMNS, columns, strict=True):
                    files[name].write(memoryview(column))
                rows, end = rows + len(index.keys), end + edges[-1]

        def mapped(name: str) -> pa.Buffer:
            path = folder / name  # an empty file cannot be mapped
            return pa.memory_map(str(path)).read_buffer() if path.stat().st_size else pa.py_buffer(b"")

        keys, checks = (np.frombuffer(mapped(name), np.uint64) for name in ("key", "check"))
        hours = np.frombuffer(mapped("hour"), np.int32)
        encodings = np.frombuffer(mapped("encoding"), np.uint8)
        data = pa.LargeStringArray.from_buffers(rows, mapped("edges"), mapped("data"))
        return LabelIndex(keys, checks, data, encodings, hours, records, changed=changed)


def _partition(labels: Iterable[Labels], folder: Path, partitions: int) -> int:
    """Divide labels by the first bits of their hash into files; return how many there were."""
    shift = np.uint64(64 - (partitions.bit_length() - 1))
    records = 0
    with ExitStack() as stack:
        paths = [str(folder / str(number)) for number in range(partitions)]
        writers = [stack.enter_context(pa.ipc.new_stream(path, _SPILLED)) for path in paths]
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
