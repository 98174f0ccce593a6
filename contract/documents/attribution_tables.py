"""The tables of feature-attribution jobs: CSV with a header, as Clarify writes it."""

from __future__ import annotations

import io

import pyarrow as pa
from pyarrow import csv


def table_to_csv(table: pa.Table) -> bytes:
    """Return a table as CSV: names in the first line, nothing for missing values."""
    plain = pa.table(
        [
            column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            for column in table.columns
        ],
        names=table.column_names,
    )
    buffer = io.BytesIO()
    buffer.write(_header(table.column_names))
    csv.write_csv(plain, buffer, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return buffer.getvalue()


def _header(names: list[str]) -> bytes:
    return (",".join(_quoted(name) for name in names) + "\n").encode()


def _quoted(name: str) -> str:
    if any(character in name for character in ',"\r\n') or name != name.strip():
        return '"' + name.replace('"', '""') + '"'
    return name
