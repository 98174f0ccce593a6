"""Labels in tables, as a query of a warehouse leaves them: CSV with a header, or Parquet.

One column holds the id of the inference, another the label; other columns are ignored. A row without a label
is not labelled yet, and is left out.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from contract.datasets.csv_table import csv_splits
from contract.datasets.format import DatasetFormat
from contract.datasets.label_places import LabelColumns
from contract.datasets.parquet_table import parquet_splits
from contract.datasets.request import DatasetRequest
from contract.datasets.storage import SourceFile
from contract.errors import DatasetError
from contract.wording import several

# In the order in which they are looked for, since a capture's inferenceId comes before its eventId.
ID_COLUMNS = ("inferenceId", "eventId", "inference_id", "event_id")
_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst")
_PARQUET = (".parquet",)
# Text with these is one label and not several cells, as which CSV would be read.
_MARKS = '[,"\\r\\n]'

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelTexts:
    """Some rows of a table: ids, labels as written, and how to read those (``CSV`` or ``JSON``)."""

    ids: pa.StringArray
    data: pa.StringArray
    encodings: pa.StringArray


def is_table(path: str) -> bool:
    """Return whether a file is read as a table, by its name."""
    return path.lower().endswith((*_CSV, *_PARQUET))


def read_table(file: SourceFile, columns: LabelColumns) -> Iterator[LabelTexts]:
    """Yield the labels of a table in the order of its rows.

    Parameters
    ----------
    file
        For which `is_table` holds.
    columns
        Which columns to take.

    Raises
    ------
    DatasetError
        Naming the file and the columns it has, or the first row with a label and no id.
    """
    is_parquet = file.path.lower().endswith(_PARQUET)
    form = DatasetFormat("parquet") if is_parquet else DatasetFormat("csv", header=True)
    request = DatasetRequest(file.path, form, text_only=True)
    splits = parquet_splits([file], request) if is_parquet else csv_splits([file], request, whole_files=True)
    before = unlabelled = 0
    for split in splits:
        for batch in split.batches():
            identifier, label = _chosen(file.path, batch.schema.names, columns)
            ids, data = _texts(batch.column(identifier)), _texts(batch.column(label))
            labelled = data.is_valid()
            _require_ids(file.path, ids, labelled, before)
            before += batch.num_rows
            unlabelled += data.null_count
            yield _encoded(ids.filter(labelled), data.filter(labelled))
    if unlabelled:
        _log.info("Left out the rows of %s without a label: %d of %d", file.path, unlabelled, before)


def _chosen(path: str, names: list[str], columns: LabelColumns) -> tuple[str, str]:
    """Return the names of the columns with ids and labels."""
    there = f"its columns are {', '.join(names)[:200] or 'none'}"
    for variable, name in (
        ("ground_truth_id_column", columns.identifier),
        ("ground_truth_label_column", columns.label),
    ):
        if name is not None and name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise DatasetError(f"{path} has no column {name!r}, which {variable} names; {there}{hint}")
    identifier = columns.identifier or next((name for name in ID_COLUMNS if name in names), None)
    if identifier is None:
        raise DatasetError(
            f"{path} has no column {' or '.join(ID_COLUMNS[:2])}; {there}; set ground_truth_id_column to the "
            "one with the id of the inference."
        )
    others = [name for name in names if name != identifier]
    if columns.label is None and len(others) != 1:
        raise DatasetError(
            f"{path} has {several(len(others), 'column')} beside the id {identifier!r}; {there}; set "
            "ground_truth_label_column to the one with the label."
        )
    return identifier, columns.label or others[0]


def _texts(column: pa.Array) -> pa.StringArray:
    """Return cells as text; empty ones and NaN are none."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    texts = column.cast(pa.string())
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _require_ids(path: str, ids: pa.StringArray, labelled: pa.BooleanArray, before: int) -> None:
    lost = pc.and_(ids.is_null(), labelled)
    if pc.any(lost).as_py():
        row = before + pc.index(lost, True).as_py() + 1
        raise DatasetError(
            f"{path} row {row} (the header apart) has a label and no id of an inference; fill the id in, or "
            "remove the row."
        )


def _encoded(ids: pa.StringArray, data: pa.StringArray) -> LabelTexts:
    marked = pc.match_substring_regex(data, _MARKS)
    encodings = pc.if_else(marked, "JSON", "CSV")
    if pc.any(marked).as_py():
        quoted = [json.dumps(text, ensure_ascii=False) for text in data.filter(marked).to_pylist()]
        data = pc.replace_with_mask(data, marked, pa.array(quoted, pa.string()))
    return LabelTexts(ids, data, encodings)
