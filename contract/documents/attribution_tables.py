"""The tables of feature-attribution jobs: CSV with a header, as Clarify writes it."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_ROWS_AT_ONCE = 65_536
_SPECIAL = r'[,"\r\n]|^\s|\s$'


def table_to_csv(table: pa.Table) -> bytes:
    """Return a table as CSV: names in the first line, nothing for missing values.

    Names and cells are quoted only where they hold a comma, a quote, a line end, or space at an end.
    """
    parts = [_header(table.column_names)]
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        cells = [_cells(column) for column in batch.columns]
        if len(cells) == 1:
            # An empty line is no row to most readers.
            cells = [pc.if_else(pc.equal(cells[0], _text("")), _text('""'), cells[0])]
        lines = pc.binary_join_element_wise(*cells, _text(",")) if cells else pa.nulls(0, pa.large_string())
        parts.append("".join(f"{line}\n" for line in lines.to_pylist()).encode())
    return b"".join(parts)


def _cells(column: pa.Array) -> pa.Array:
    """Return the values as the file shows them."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    texts = column.cast(pa.large_string()).fill_null("")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return texts
    needed = pc.match_substring_regex(texts, _SPECIAL)
    if not pc.any(needed).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    quoted = pc.binary_join_element_wise(_text('"'), doubled, _text('"'), _text(""))
    return pc.if_else(needed, quoted, texts)


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _header(names: list[str]) -> bytes:
    return (",".join(_quoted(name) for name in names) + "\n").encode()


def _quoted(name: str) -> str:
    if re.search(_SPECIAL, name):
        return '"' + name.replace('"', '""') + '"'
    return name
