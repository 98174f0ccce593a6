"""Whether files are what ``dataset_format`` says: kind by the first bytes, header by its cells."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset_format import DatasetFormat
from contract.errors import DatasetError
from file_storage import storage

_BYTES = 4096
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_MOSTLY = 0.9
_WRITTEN = {
    "csv": '{"csv":{"header":true}}',
    "json": '{"json":{"line":true}}',
    "parquet": '{"parquet":{}}',
    "sagemakerCaptureJson": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}',
}
_SAID = {"csv": "CSV", "json": "JSON", "parquet": "Parquet", "sagemakerCaptureJson": "captures"}


def require_kind(path: str, form: DatasetFormat) -> None:
    """Make sure that a file begins as its format does.

    Raises
    ------
    DatasetError
        Naming the file, what it looks like, and the format to give.
    """
    with storage.reading(path), storage.open_input(path) as stream:
        kind = kind_of(stream.read(_BYTES))
    expected = "sagemakerCaptureJson" if form.kind == "sagemakerMergeJson" else form.kind
    # Where a long record holds its captureData, the first bytes need not show it.
    if kind in (None, expected) or (kind == "json" and expected == "sagemakerCaptureJson"):
        return
    raise DatasetError(
        f"{path} looks like {_SAID[kind]}, but dataset_format is {form.kind}; "
        f"give dataset_format {_WRITTEN[kind]}."
    )


def kind_of(beginning: bytes) -> str | None:
    """Return the kind of format that a file's first bytes show, None for an empty file."""
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return None
    if text.startswith(b"PAR1"):
        return "parquet"
    if text.startswith((b"{", b"[")):
        return "sagemakerCaptureJson" if text.startswith(b"{") and b'"captureData"' in text else "json"
    return "csv"


def require_header(batch: pa.RecordBatch, form: DatasetFormat, known: Sequence[str], source: str) -> None:
    """Make sure that CSV has a header where the format says so, and none where it does not.

    Parameters
    ----------
    batch
        The first rows of the data.
    known
        Names that columns are expected to have, such as the baseline's.

    Raises
    ------
    DatasetError
        Naming what gives it away, and the format to give.
    """
    if form.kind != "csv":
        return
    names = list(batch.schema.names)
    positional = (batch.schema.metadata or {}).get(b"positional") == b"true"
    if not positional and form.header and not set(names) & set(known) and _read_as_names(batch):
        raise DatasetError(
            f"the header of {source} reads {', '.join(names[:6])}, which look like values of a first row; "
            'give dataset_format {"csv":{"header":false}}, or add a line with the names.'
        )
    if not form.header and batch.num_rows > 1:
        cells = _first_cells(batch)
        if cells:
            raise DatasetError(
                f"the first row of {source} reads {', '.join(cells[:6])} above columns of numbers, which "
                'look like names; give dataset_format {"csv":{"header":true}}.'
            )


def _read_as_names(batch: pa.RecordBatch) -> bool:
    """Return whether the names of numeric columns are numbers, and not counted up as years are."""
    names = [field.name for field in batch.schema if _numbers(batch.column(field.name))]
    if not names or not all(_NUMBER.fullmatch(name) for name in names):
        return False
    values = [float(name) for name in names]
    counted = all(left < right for left, right in itertools.pairwise(values))
    return not counted or any(not value.is_integer() for value in values)


def _first_cells(batch: pa.RecordBatch) -> list[str]:
    """Return the cells of the first row if they are names of numeric columns, else none."""
    first = [column[0].as_py() for column in batch.columns]
    if not all(isinstance(cell, str) and cell and not _NUMBER.fullmatch(cell) for cell in first):
        return []
    below = batch.slice(1)
    return first if any(_numbers(column) for column in below.columns) else []


def _numbers(column: pa.Array) -> bool:
    """Return whether nearly all cells that are not missing are numbers."""
    return share_of_numbers(column) >= _MOSTLY


def share_of_numbers(column: pa.Array) -> float:
    """Return which share of the cells that are not missing are numbers; 0 where all are missing."""
    cells = column.drop_null()
    if not len(cells):
        return 0.0
    kind = cells.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return 1.0
    if pa.types.is_boolean(kind):
        return 0.0
    matches = pc.match_substring_regex(cells.cast(pa.string()), f"^{_NUMBER.pattern}$")
    return float(pc.mean(matches).as_py())
