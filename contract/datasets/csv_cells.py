"""CSV payloads as columns: cells without header, types remembered from block to block."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import pyarrow as pa

from contract.datasets.csv_block import CsvColumns, parse_csv_block

# From CSV text, names of its columns and its number of rows to columns by name.
ParseCells = Callable[[bytes, list[str], int], dict[str, pa.Array]]


class CellsError(ValueError):
    """The text does not have the expected rows or columns."""


@dataclass
class CellParser:
    """Parses blocks of cells, with the types that earlier blocks had.

    Parameters
    ----------
    text_only
        Every column stays text.
    excluded
        Names of columns that need not be parsed.
    types
        What is known of the columns so far.
    """

    text_only: bool
    excluded: Collection[str] = ()
    types: dict[str, pa.DataType] = field(default_factory=dict)

    def __call__(self, text: bytes, names: list[str], rows: int) -> dict[str, pa.Array]:
        """Return the columns of CSV text without header.

        Parameters
        ----------
        text
            One line per row.
        names
            Of all columns in the text.
        rows
            How many there must be.

        Raises
        ------
        CellsError
            When a row has another number of cells, or rows are missing.
        """
        out = {at for at, name in enumerate(names) if name in self.excluded}
        if len(out) == len(names):
            return {}
        columns = CsvColumns(names, out, self.text_only)
        kept = columns.kept
        if all(name in self.types for name in kept):
            columns.types = {name: self.types[name] for name in kept}
        try:
            table = parse_csv_block(text, columns)
        except pa.ArrowInvalid as error:
            raise CellsError(str(error)) from error
        if table.num_rows != rows:
            raise CellsError(f"{table.num_rows} rows instead of {rows}")
        self.types |= columns.types
        return {
            name: column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
            for name, column in zip(table.schema.names, table.columns, strict=True)
        }
