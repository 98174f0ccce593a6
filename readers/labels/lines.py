"""Labels as they are written: one JSON object per line, with the id of the inference they belong to.

``{"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "..."}}``, in files
anywhere below a folder, commonly ``yyyy/mm/dd/hh`` of the hour when the label was collected. Answers of
human reviewers and tables are accepted beside them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import Dataset, LabelPlaces
from contract.dataset_format import DatasetFormat
from contract.errors import DatasetError
from contract.schema import nearest, suggestion
from contract.window import folder_hour
from contract.wording import several
from file_storage.storage import SourceFile, read_bytes
from readers.captures.envelope import json_object, label_part, read_records
from readers.csv import csv_splits
from readers.parquet import parquet_splits
from readers.python_rows import json_text, loads, scalar_text
from readers.splitting import FileRange, Line, Segment, joined_segments, segments_of

# In the order in which they are looked for, since a capture's inferenceId comes before its eventId.
ID_COLUMNS = ("inferenceId", "eventId", "inference_id", "event_id")
_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst")
_PARQUET = (".parquet",)
# Text with these is one label and not several cells, as which CSV would be read.
_MARKS = '[,"\\r\\n]'
_LARGEST_ANSWER = 16 << 20

UNKNOWN_HOUR = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK_SIZE = 8 << 20
_SCHEMA = pa.schema(
    [
        ("groundTruthData", pa.struct([("data", pa.string()), ("encoding", pa.string())])),
        ("eventMetadata", pa.struct([("eventId", pa.string())])),
    ]
)

Hours = npt.NDArray[np.int32]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
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
        In any order. They are read by hour folder, then by path; files outside hour folders come first.
    places
        Where files other than lines hold the label.

    Raises
    ------
    DatasetError
        Naming file and line of what is no label.
    """
    ordered = sorted(files, key=lambda file: (_hour(file.path), file.path))
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


def _hour(path: str) -> int:
    return hour_number(folder_hour(path))


def hour_number(instant: datetime | None) -> int:
    """Return the full hours since 1970, `UNKNOWN_HOUR` for None."""
    return UNKNOWN_HOUR if instant is None else (instant - _EPOCH) // timedelta(hours=1)


def hour_text(number: int) -> str:
    """Return an hour as ISO 8601 text; ``unknown`` for `UNKNOWN_HOUR`."""
    if number == UNKNOWN_HOUR:
        return "unknown"
    return (_EPOCH + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines_as_labels(segments: Iterable[Segment]) -> Iterator[Labels]:
    for block in joined_segments(segments, _BLOCK_SIZE):
        batch, numbers = read_records(block, _SCHEMA, _label, _is_whole)
        has_value = batch.column("groundTruthData").flatten()[0].is_valid()
        batch, numbers = batch.filter(has_value), numbers[has_value.to_numpy(zero_copy_only=False)]
        data, encodings = batch.column("groundTruthData").flatten()
        hours = np.array([_hour(segment.path) for segment in block.segments], np.int32)
        yield Labels(
            batch.column("eventMetadata").flatten()[0],
            data,
            pc.utf8_upper(pc.fill_null(encodings, "CSV")),
            hours[block.sources(numbers)],
        )


def _is_whole(batch: pa.RecordBatch) -> bool:
    data, _ = batch.column("groundTruthData").flatten()
    return not (data.null_count or batch.column("eventMetadata").flatten()[0].null_count)


def _label(line: Line) -> dict[str, Any]:
    """Return the line's members; the data is None where a label has no value yet."""
    try:
        record = json_object(line.data)
    except ValueError as reason:
        raise _no_label(line, str(reason)) from None
    part = label_part(record.get("groundTruthData"))
    metadata = record.get("eventMetadata")
    identifier = metadata.get("eventId") if isinstance(metadata, dict) else None
    if identifier is None or isinstance(identifier, dict | list):
        raise _no_label(line, "it has no eventMetadata.eventId")
    if part is None and not isinstance(record.get("groundTruthData"), dict):
        raise _no_label(line, "it has no groundTruthData.data")
    data, encoding = part or (None, None)
    return {
        "groundTruthData": {"data": data, "encoding": encoding},
        "eventMetadata": {"eventId": str(identifier)},
    }


def _no_label(line: Line, reason: str) -> DatasetError:
    return DatasetError.of(
        "label_files.no_label", file=line.path, line=line.line_number(), reason=reason, excerpt=line.excerpt()
    )


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
        hours = np.full(len(ids), _hour(file.path), np.int32)
        yield Labels(ids, data, pc.if_else(marked, "JSON", "CSV"), hours)
    if unlabelled:
        _log.info("Left out the rows of %s without a label: %d of %d", file.path, unlabelled, before)


def _chosen(path: str, names: list[str], places: LabelPlaces) -> tuple[str, str]:
    """Return the names of the columns with ids and labels."""
    columns = ", ".join(names) or "none"
    for variable, name in (
        ("ground_truth_id_column", places.id_column),
        ("ground_truth_label_column", places.label_column),
    ):
        if name is not None and name not in names:
            meant = suggestion(name, names)
            raise DatasetError.of("label_files.no_column", file=path, name=name, field=variable, meant=meant)
    usual = (places.id_column, places.usual_id, *ID_COLUMNS)
    identifier = next((name for name in usual if name is not None and name in names), None)
    if identifier is None:
        raise DatasetError.of("label_files.no_id_column", file=path, columns=columns)
    others = [name for name in names if name != identifier]
    if places.label_column is None and len(others) != 1:
        others_there = several(len(others), "column")
        raise DatasetError.of(
            "label_files.no_label_column", file=path, others=others_there, id=identifier, columns=columns
        )
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
    content = read_bytes(file.path)
    if b'"humanAnswers"' not in content:
        return None
    try:
        loop = loads(content)
    except ValueError:
        return None  # perhaps lines; whoever reads them says what is wrong
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
    identifier = _identifier(loop, places, file.path)
    line = {
        "groundTruthData": {"data": label, "encoding": encoding},
        "eventMetadata": {"eventId": identifier},
    }
    return json_text(line).encode() + b"\n"


def _identifier(loop: dict[str, Any], places: LabelPlaces, path: str) -> str:
    content = loop.get("inputContent")
    for attribute in places.id_attributes:
        found = _at(content, attribute)
        if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
            return str(found)
    name = loop.get("humanLoopName")
    if isinstance(name, str) and name:
        return name
    raise DatasetError.of("label_files.no_inference", file=path, attributes=", ".join(places.id_attributes))


def _label_of(answer: dict[str, Any], places: LabelPlaces, path: str) -> tuple[str, str]:
    content = answer.get("answerContent")
    leaves = {at: one for at, one in _values(content) if not (one is None or isinstance(one, dict | list))}
    if places.label_attribute is None:
        if len(leaves) == 1:
            return _as_label(next(iter(leaves.values())))
    else:
        found = _at(content, places.label_attribute)
        if found is not None:
            return _as_label(found)
    wanted = "single value" if places.label_attribute is None else repr(places.label_attribute)
    there = ", ".join(leaves) or "nothing"
    close = nearest(places.label_attribute or "", leaves)
    meant = f": did you mean {close}?" if close else "."
    raise DatasetError.of("label_files.no_answer", file=path, wanted=wanted, there=there, meant=meant)


def _as_label(value: Any) -> tuple[str, str]:
    if isinstance(value, dict | list):
        return json_text(value), "JSON"
    text = scalar_text("answerContent", value) or ""
    # A text with commas is one label, not several cells.
    return (json_text(text), "JSON") if re.search(_MARKS, text) else (text, "CSV")


def _at(value: Any, attribute: str) -> Any:
    """Return what a dotted path leads to, None for nothing; keys may contain dots themselves."""
    found = (inner for path, inner in _values(value) if path == attribute and inner is not None)
    return next(found, None)


def _values(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value in a JSON value with its dotted path, the shallowest first."""
    found = [("", value)]
    for prefix, inner in found:  # which grows meanwhile
        yield prefix, inner
        if isinstance(inner, dict | list):
            items = inner.items() if isinstance(inner, dict) else enumerate(inner)
            found += [(f"{prefix}.{key}" if prefix else str(key), member) for key, member in items]
