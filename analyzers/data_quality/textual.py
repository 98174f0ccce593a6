"""Texts of record batches into a column summary, each distinct text looked at once per dictionary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analyzers.data_quality.column_summary import ColumnSummary, Counts
from analyzers.data_quality.text import CellKind, TextCells, read_texts


@dataclass(slots=True)
class LastRead:
    """The dictionary read last and what its texts are, for whoever meets it again."""

    dictionary: pa.Array | None = None
    cells: TextCells | None = None

    def read(self, dictionary: pa.Array, *, hash_as_text: bool) -> TextCells:
        """Return what the texts of a dictionary are; `hash_as_text` is the same every time."""
        if self.cells is None or not _same(self.dictionary, dictionary):
            self.dictionary, self.cells = dictionary, read_texts(dictionary, hash_as_text=hash_as_text)
        return self.cells


class TextRun:
    """Successive batches of one text column whose cells point into the same dictionary.

    Batches only count codes; the dictionary is read when the run ends (`finish`), or at once when numbers
    are wanted in order of arrival.
    """

    def __init__(self, column: ColumnSummary, last_read: LastRead, *, hash_as_text: bool) -> None:
        self._column = column
        self._last_read = last_read
        self._hash_as_text = hash_as_text
        self._mostly_different = False
        self._dictionary: pa.Array | None = None
        self._cells: TextCells | None = None
        self._counts: Counts = np.empty(0, dtype=np.int64)

    def add(self, array: pa.Array) -> None:
        """Add an Arrow array of texts or of a dictionary of texts."""
        if not pa.types.is_dictionary(array.type):
            if self._column.needs_numbers and self._mostly_different:
                self._add_directly(array)
                return
            array = array.dictionary_encode()
            self._mostly_different = 2 * len(array.dictionary) > len(array)
        if not _same(self._dictionary, array.dictionary):
            self.finish()
            self._dictionary = array.dictionary
            self._counts = np.zeros(len(array.dictionary), dtype=np.int64)
        codes = _codes(array)
        self._column.cells[CellKind.MISSING] += len(array) - codes.size
        occurrences = np.bincount(codes, minlength=self._counts.size)
        self._counts += occurrences
        if self._column.in_order:
            numbers = self._read().numbers[codes]
            numbers = numbers[np.isfinite(numbers)]
            self._column.sketch.update(numbers)
            self._column.moments.add_in_order(numbers)

    def finish(self) -> None:
        """Bring what was counted into the summary; the run may go on with another dictionary."""
        used = np.flatnonzero(self._counts)
        if self._dictionary is not None and used.size:
            _add_counted(self._column, self._dictionary, self._read(), used, self._counts[used])
        self._dictionary, self._cells = None, None
        self._counts = np.empty(0, dtype=np.int64)

    def _read(self) -> TextCells:
        if self._cells is None:
            self._cells = self._last_read.read(self._dictionary, hash_as_text=self._hash_as_text)
        return self._cells

    def _add_directly(self, array: pa.Array) -> None:
        """Add texts that are mostly different: a dictionary would cost more than it saves."""
        cells = read_texts(array, hash_as_text=self._hash_as_text)
        column = self._column
        column.cells += np.bincount(cells.kinds, minlength=len(CellKind))
        column.distinct.add_hashes(cells.hashes[cells.kinds != CellKind.MISSING])
        numbers = cells.numbers[np.isfinite(cells.numbers)]
        column.moments.add(numbers)
        column.sketch.update_unordered(numbers)


def _add_counted(
    column: ColumnSummary, dictionary: pa.Array, cells: TextCells, used: npt.NDArray[np.intp], counts: Counts
) -> None:
    """Add the texts at the places `used` of a dictionary, each as often as `counts` says."""
    kinds = cells.kinds[used]
    column.cells += np.bincount(kinds, weights=counts, minlength=len(CellKind)).astype(np.int64)
    present = kinds != CellKind.MISSING
    used, counts = used[present], counts[present]
    column.distinct.add_hashes(cells.hashes[used])
    numbers = cells.numbers[used]
    numeric = np.isfinite(numbers)
    if not column.in_order:
        column.moments.add_weighted(numbers[numeric], counts[numeric])
    if used.size > column.values.limit:
        column.stop_counting()
    if column.values.overflowed:
        if not column.in_order:
            column.sketch.update_weighted(numbers[numeric], counts[numeric])
        return
    texts = dictionary.take(pa.array(used)).to_pylist()
    column.count_values(column.values.texts, texts, counts.tolist())


def _codes(array: pa.Array) -> npt.NDArray[np.signedinteger]:
    """Return the dictionary codes of the cells that are not null."""
    indices = array.indices
    if indices.null_count:
        indices = indices.drop_null()
    codes: npt.NDArray[np.signedinteger] = indices.to_numpy()
    return codes


def _same(known: pa.Array | None, dictionary: pa.Array) -> bool:
    if known is None or len(known) != len(dictionary) or known.type != dictionary.type:
        return False
    addresses = [[buffer and buffer.address for buffer in array.buffers()] for array in (known, dictionary)]
    in_place = addresses[0] == addresses[1] and known.offset == dictionary.offset
    return in_place or bool(known.equals(dictionary))
