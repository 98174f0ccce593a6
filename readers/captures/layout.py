"""What the columns of captures are called, decided once per job from the first records.

Every split then names its columns alike, whatever single records it holds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import Dataset
from readers.captures.shapes import Row, is_batch
from readers.dataset import POSITIONAL, excluded_positions, named_by_position, positional_names
from readers.flatten import batch_of, columns_of, rows_to_batch
from readers.lanes import common_type

CELL = "_c"


@dataclass(frozen=True)
class Layout:
    """Where the columns of each payload stand, and what they are called.

    Parameters
    ----------
    widths
        Columns of each wanted payload, in column order; what a record without it is padded with.
    own
        Names of each payload's columns. Those that several have in common are told apart by the name of
        the payload, and so is what later records have of a name that belonged to another payload.
    names
        Final name by raw name, None for columns to leave out. Other columns keep their raw name.
    exclude
        Raw names to leave out beyond those of `names`.
    positional
        Whether columns have to be matched with the baseline's by their position.
    """

    widths: tuple[int, ...]
    own: tuple[frozenset[str], ...] = ()
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
                columns |= _added(columns.get(name), found[raw], name, raw)
        return batch_of(columns, batch.num_rows, POSITIONAL if self.positional else None)


def _added(known: pa.Array | None, column: pa.Array, name: str, raw: str) -> dict[str, pa.Array]:
    """Return a column under its name, together with the one that has this name in other records."""
    if known is None or pc.any(pc.and_(known.is_valid(), column.is_valid())).as_py():
        return {name if known is None else raw: column}
    kind = common_type({known.type, column.type}, as_text=True)
    return {name: pc.coalesce(known.cast(kind), column.cast(kind))}


def cell_name(position: int) -> str:
    """Return the raw name of a column without a name."""
    return f"{CELL}{position}"


def find_layout(
    sides: Sequence[str],
    rows_of: Sequence[Sequence[Sequence[Row] | None]],
    request: Dataset,
    headers: Mapping[str, Sequence[str | None]],
) -> Layout:
    """Decide the layout from the first records.

    Cells are called by the header of their payload. Columns without names get the baseline's by position.
    Where some columns have names: when none of them is in the baseline and the numbers agree, likewise;
    when one is, columns without names get the names left over, in order, if their numbers agree.

    Parameters
    ----------
    sides
        The wanted payloads in column order, such as ``("endpointOutput", "endpointInput")``.
    rows_of
        For each of them the rows of each record, None where there is none.
    request
        With the baseline's names and the columns to leave out.
    headers
        By payload, the names that its CSV begins with.
    """
    widths: list[int] = []
    is_named: list[bool] = []
    names_of_sides: list[list[str]] = []
    for records in rows_of:
        rows = [row for record in records for row in record or ()]
        cells = Counter(len(row) for row in rows if isinstance(row, list))
        objects = [row for row in rows if isinstance(row, dict)]
        seen = rows_to_batch(objects).schema.names
        named = sorted(seen) if request.text_only else seen  # as the originals' JSON reader does
        # A few objects among cells do not tell what the cells are.
        is_named.append(bool(named) and (request.text_only or 2 * len(objects) >= len(rows)))
        widths.append(len(named) if is_named[-1] else max(cells, key=cells.__getitem__, default=0))
        names_of_sides.append(named)
    distinct = distinct_names(sides, names_of_sides)
    columns: list[str] = []
    titled: list[list[str]] = []
    for side, mine, told, width in zip(sides, distinct, is_named, widths, strict=True):
        own = mine if told else []
        raw = own or [cell_name(len(columns) + position) for position in range(width)]
        header = headers.get(side, ()) if not own else ()
        columns += raw
        fits = len(header) == len(raw)
        titled.append([title or name for title, name in zip(header, raw, strict=True)] if fits else raw)
    titles = [*chain.from_iterable(distinct_names(sides, titled))]
    positional = all(map(is_cell, titles))
    # Of ``{"instances": [[1, 2]]}`` the columns are instances.0 and instances.1, which is no name either.
    unnamed = [name for name in titles if is_cell(name) or (not request.text_only and is_batch(name))]
    if positional:
        final, excluded = positional_names(len(columns), request)
        # By the baseline's names a single record with more cells disturbs no other column. The originals
        # know positions only.
        positional = request.text_only or final == columns
    else:
        final = _mixed_names(titles, unnamed, request) if unnamed or titles != columns else titles
        if renamed := {title: name for title, name in zip(titles, final, strict=True) if title != name}:
            pairs = [f"{title} is {name}" for title, name in renamed.items()]
            request.said.say("reading.by_position", pairs=", ".join(pairs))
        known = (final, titles, columns)
        excluded = set[int]().union(*(excluded_positions(names, request.exclude) for names in known))
    kept = [None if position in excluded else name for position, name in enumerate(final)]
    names = dict(zip(columns, kept, strict=True))
    for name in chain.from_iterable(distinct):
        names.setdefault(name, None if name in request.exclude else name)
    beyond = {cell_name(int(entry)) for entry in request.exclude if entry.isdecimal()}
    left_out = frozenset(request.exclude) | beyond
    return Layout(tuple(widths), tuple(map(frozenset, names_of_sides)), names, left_out, positional)


def is_cell(name: str) -> bool:
    """Return whether this is the raw name of a column without a name."""
    return name.startswith(CELL) and name[len(CELL) :].isdecimal()


def distinct_names(
    sides: Sequence[str], names_of_sides: Sequence[list[str]], own: Sequence[frozenset[str]] = ()
) -> list[list[str]]:
    """Return the names of each payload's columns, after its own where they belong to another payload.

    Of several payloads with a name it belongs to the last one, and where names are known to be the `own` of
    a payload, to none of the others.
    """
    known, later = frozenset[str]().union(*own), set[str]()
    found: list[list[str]] = []
    every = [*zip(sides, names_of_sides, own or [known] * len(sides), strict=True)]
    for side, names, mine in reversed(every):
        taken = later | (known - mine)
        found.insert(0, [f"{side}.{name}" if name in taken else name for name in names])
        later |= mine.union(names) - taken
    return found


def _mixed_names(columns: list[str], unnamed: list[str], request: Dataset) -> list[str]:
    baseline = request.column_names or ()
    if not set(columns).intersection(baseline):
        return named_by_position(columns, request)
    # What the baseline calls by its place is no other column, even where an optional member is not there.
    unnamed = [name for name in unnamed if name not in baseline]
    left = [name for name in baseline if name not in columns]
    names = dict(zip(unnamed, left, strict=True)) if len(unnamed) == len(left) else {}
    return [names.get(column, column) for column in columns]
