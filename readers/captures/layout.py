"""What the columns of captures are called, decided once per job from the first records.

Every split then names its columns alike, whatever single records it holds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from contract.dataset import Dataset
from readers.captures.shapes import BATCH_MEMBERS, Row
from readers.dataset import POSITIONAL, excluded_positions, positional_names
from readers.flatten import batch_of, columns_of, rows_to_batch

CELL = "_c"


@dataclass(frozen=True)
class Layout:
    """Where the columns of each payload stand, and what they are called.

    Parameters
    ----------
    widths
        Columns of each wanted payload, in column order; what a record without it is padded with.
    shared
        Names that several payloads have in common, told apart by the name of the payload.
    names
        Final name by raw name, None for columns to leave out. Other columns keep their raw name.
    exclude
        Raw names to leave out beyond those of `names`.
    positional
        Whether columns have to be matched with the baseline's by their position.
    """

    widths: tuple[int, ...]
    shared: frozenset[str] = frozenset()
    names: Mapping[str, str | None] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    positional: bool = False

    def finish(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with final names, without the columns to leave out."""
        found = columns_of(batch)
        columns: dict[str, pa.Array] = {}
        # In the order of the first records, whatever comes first in these.
        for raw in dict.fromkeys((*self.names, *found)):
            name = self.names.get(raw, None if raw in self.exclude else raw)
            if name is not None and raw in found:
                columns[raw if name in columns else name] = found[raw]
        return batch_of(columns, batch.num_rows, POSITIONAL if self.positional else None)


def cell_name(position: int) -> str:
    """Return the raw name of a column without a name."""
    return f"{CELL}{position}"


def find_layout(
    sides: Sequence[str], rows_of: Sequence[Sequence[Sequence[Row] | None]], request: Dataset
) -> Layout:
    """Decide the layout from the first records.

    Parameters
    ----------
    sides
        The wanted payloads in column order, such as ``("endpointOutput", "endpointInput")``.
    rows_of
        For each of them the rows of each record, None where there is none.
    request
        With the baseline's names and the columns to leave out.
    """
    widths: list[int] = []
    columns: list[str] = []
    names_of_sides: list[list[str]] = []
    for records in rows_of:
        rows = [row for record in records for row in record or ()]
        cells = Counter(len(row) for row in rows if isinstance(row, list))
        named = rows_to_batch([row for row in rows if isinstance(row, dict)]).schema.names
        if request.text_only:
            named = sorted(named)  # as the originals' JSON reader does
        width = len(named) if named else max(cells, key=cells.__getitem__, default=0)
        if not named:
            columns += [cell_name(sum(widths) + position) for position in range(width)]
        widths.append(width)
        names_of_sides.append(named)
    shared = shared_names(names_of_sides)
    for number, named in enumerate(names_of_sides):
        own = [f"{sides[number]}.{name}" if name in shared[number] else name for name in named]
        columns[sum(widths[:number]) : sum(widths[:number])] = own
    return name_columns(Layout(tuple(widths), frozenset().union(*shared)), columns, request)


def name_columns(layout: Layout, columns: list[str], request: Dataset) -> Layout:
    """Return the layout with the names of the columns that are expected.

    Columns without names get the baseline's by position. Where some columns have names: when none of
    them is in the baseline and the numbers agree, likewise; when one is, columns without names get the
    names left over, in order, if their numbers agree.
    """
    positional = all(map(is_cell, columns))
    # Of ``{"instances": [[1, 2]]}`` the columns are instances.0 and instances.1, which is no name either.
    unnamed = [name for name in columns if is_cell(name) or (not request.text_only and _is_of_batch(name))]
    if positional:
        final, excluded = positional_names(len(columns), request)
        # By the baseline's names a single record with more cells disturbs no other column. The originals
        # know positions only.
        positional = request.text_only or final == columns
    else:
        final = _mixed_names(columns, unnamed, request) if unnamed else columns
        if final != columns and not all(map(is_cell, unnamed)):
            pairs = [f"{raw} is {name}" for raw, name in zip(columns, final, strict=True) if raw != name]
            request.said.say("reading.by_position", pairs=", ".join(pairs))
        excluded = excluded_positions(final, request.exclude) | excluded_positions(columns, request.exclude)
    kept = [None if position in excluded else name for position, name in enumerate(final)]
    names = dict(zip(columns, kept, strict=True))
    beyond = {cell_name(int(entry)) for entry in request.exclude if entry.isdecimal()}
    return Layout(layout.widths, layout.shared, names, frozenset(request.exclude) | beyond, positional)


def is_cell(name: str) -> bool:
    """Return whether this is the raw name of a column without a name."""
    return name.startswith(CELL) and name[len(CELL) :].isdecimal()


def _is_of_batch(name: str) -> bool:
    member, _, position = name.partition(".")
    return member in BATCH_MEMBERS and (not position or position.isdecimal())


def shared_names(names_of_sides: Sequence[Sequence[str]]) -> list[frozenset[str]]:
    """Return for each payload those of its names that a later payload has too."""
    later: set[str] = set()
    shared: list[frozenset[str]] = []
    for names in reversed(names_of_sides):
        shared.append(frozenset(later.intersection(names)))
        later.update(names)
    return shared[::-1]


def _mixed_names(columns: list[str], unnamed: list[str], request: Dataset) -> list[str]:
    baseline = request.column_names or ()
    if set(columns).intersection(baseline):
        pairs = [(unnamed, [name for name in baseline if name not in columns])]
    else:
        excluded = excluded_positions(columns, request.exclude)
        kept = [column for position, column in enumerate(columns) if position not in excluded]
        pairs = [(columns, list(baseline)), (kept, list(baseline))]
    for candidates, names in pairs:
        if len(candidates) == len(names):
            by_position = dict(zip(candidates, names, strict=True))
            return [by_position.get(column, column) for column in columns]
    return columns
