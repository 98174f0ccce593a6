"""Which rows a call has: decided once for a dataset, from both sides of the first calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from contract.dataset import Reading
from contract.dataset_format import SHAPES, Shape
from contract.errors import DatasetError
from contract.wording import several
from readers.captures.shapes import (
    BATCH_MEMBERS,
    CSV,
    Row,
    cells_as_rows,
    column_rows,
    is_row_like,
    lone_list,
    rows_of_values,
)

PEERS = {
    "endpointInput": "endpointOutput",
    "endpointOutput": "endpointInput",
    "batchTransformInput": "batchTransformOutput",
    "batchTransformOutput": "batchTransformInput",
}
# Of more calls than this share, no reading may contradict itself.
MOST_CONTRADICTIONS = 0.01
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Payload:
    """One payload of a call, parsed: the values of JSON, or the lines of CSV."""

    kind: int
    values: list[Any]

    def rows(self, shape: Shape) -> list[Row]:
        """Return its rows."""
        return cells_as_rows(self.values, shape) if self.kind == CSV else rows_of_values(self.values, shape)


@dataclass(frozen=True)
class Call:
    """A call: its payloads by name, and where it was found."""

    payloads: Mapping[str, Payload]
    place: Callable[[], str]


def decide(
    calls: Sequence[Call],
    given: Mapping[str, Shape] | None,
    fits_baseline: Callable[[Mapping[str, Shape]], bool | None],
) -> Reading:
    """Decide how the rows of a dataset's calls stand in their payloads.

    Parameters
    ----------
    calls
        The first ones.
    given
        What the setting `rows` says, None where it is not set.
    fits_baseline
        Whether the columns that shapes give are those of the baseline; None where there is none.

    Raises
    ------
    DatasetError
        When more than 1 % of the calls contradict every reading.
    """
    sides = [side for side in PEERS if any(side in call.payloads for call in calls)]
    if given is not None:
        return _reading({side: given[side] for side in sides}, calls, "the setting rows")
    shapes: dict[str, Shape] = {}
    why = set()
    for answer, request in (
        ("endpointOutput", "endpointInput"),
        ("batchTransformOutput", "batchTransformInput"),
    ):
        pair = [side for side in (answer, request) if side in sides]
        if pair:
            chosen, reason = _choose(
                pair, [call for call in calls if call.payloads.keys() & pair], fits_baseline
            )
            shapes |= chosen
            why.add(reason)
    return _reading(shapes, calls, " and ".join(sorted(why)) or "nothing")


def contradiction(counts: Sequence[int]) -> bool:
    """Return whether the payloads of a call differ in their rows; one row belongs to all of the others."""
    return len({count for count in counts if count > 1}) > 1


def too_many(contradicting: int, calls: int, place: str) -> DatasetError:
    """Return the error for calls whose sides do not have the same number of rows."""
    return DatasetError(
        f"{contradicting} of {several(calls, 'call')} have another number of rows in the request than in the "
        f"response, the first at {place}; correct what writes them, or say with rows how they are read "
        f"({', '.join(SHAPES)}, or request=columns,response=list)."
    )


def _reading(shapes: Mapping[str, Shape], calls: Sequence[Call], why: str) -> Reading:
    counts = [
        [len(payload.rows(shapes.get(side, "row"))) for side, payload in call.payloads.items()]
        for call in calls
    ]
    wrong = [call for call, count in zip(calls, counts, strict=True) if contradiction(count)]
    if len(wrong) > MOST_CONTRADICTIONS * len(calls):
        raise too_many(len(wrong), len(calls), wrong[0].place())
    several_rows = sum(max(count, default=0) > 1 for count in counts)
    return Reading(shapes, len(calls), several_rows, why)


def _choose(
    pair: Sequence[str],
    calls: Sequence[Call],
    fits_baseline: Callable[[Mapping[str, Shape]], bool | None],
) -> tuple[dict[str, Shape], str]:
    """Return the shapes of request and response on which most calls agree, and why."""
    both = [call for call in calls if all(side in call.payloads for side in pair)] if len(pair) > 1 else []
    natural = {side: _natural(side, calls, pair) for side in pair}
    rows = {
        side: {shape: [len(call.payloads[side].rows(shape)) for call in both] for shape in SHAPES}
        for side in pair
    }
    candidates: list[tuple[float, int, dict[str, Shape]]] = []
    # Of CSV, answers alone are written as cells of one line.
    tried = [
        ("row",)
        if side.endswith("Input") and all(call.payloads[side].kind == CSV for call in both)
        else SHAPES
        for side in pair
    ]
    for shapes in product(*tried):
        chosen = dict(zip(pair, shapes, strict=True))
        if both:
            counts = zip(*(rows[side][shape] for side, shape in chosen.items()), strict=True)
            wrong = sum(len(set(count)) > 1 for count in counts) / len(both)
        else:
            wrong = 0.0 if chosen == natural else 1.0
        # The request's own shape decides where those of both sides contradict each other.
        liked = sum((2 if side.endswith("Input") else 1) * (chosen[side] == natural[side]) for side in pair)
        candidates.append((wrong, -liked, chosen))
    agreeing = sorted(
        (liked, place) for place, (wrong, liked, _) in enumerate(candidates) if wrong <= MOST_CONTRADICTIONS
    )
    if not agreeing:
        return natural, "the shape of the payloads, whose numbers of rows differ"
    # Shapes that make no difference to any call are one reading.
    fitting = [place for _, place in agreeing if _differs(candidates[place][2], natural, calls)]
    verdicts = {place: fits_baseline(candidates[place][2]) for place in {agreeing[0][1], *fitting}}
    if True in verdicts.values() and not verdicts[agreeing[0][1]]:
        best = next(place for _, place in agreeing if verdicts.get(place))
        return candidates[best][2], "the baseline's columns"
    [_, best] = agreeing[0]
    chosen = candidates[best][2]
    if chosen == natural:
        return chosen, "the shape of the payloads"
    return chosen, "the numbers of rows on both sides"


def _differs(shapes: Mapping[str, Shape], natural: Mapping[str, Shape], calls: Sequence[Call]) -> bool:
    """Return whether another reading changes anything, as far as the first calls show."""
    return any(
        payload.rows(shapes.get(side, "row")) != payload.rows(natural.get(side, "row"))
        for call in calls[:20]
        for side, payload in call.payloads.items()
    )


def _natural(side: str, calls: Sequence[Call], pair: Sequence[str]) -> Shape:
    """Return the shape that a payload's own form suggests."""
    payloads = [call.payloads[side] for call in calls if side in call.payloads]
    values = [payload.values[0] for payload in payloads if payload.kind != CSV and len(payload.values) == 1]
    if not values:
        return "row"
    lists = [(value, member) for value in values if (member := lone_list(value)) is not None]
    if 2 * len(lists) > len(values):
        lengths = {len(member) for _, member in lists}
        named = all(next(iter(value)) in BATCH_MEMBERS for value, _ in lists)
        row_like = all(is_row_like(member) for _, member in lists)
        if row_like or (len(pair) > 1 and (named or len(lengths) > 1)):
            return "list"
        # One element on both sides: a batch of one.
        peers = [
            call.payloads[peer] for call in calls for peer in pair if peer != side and peer in call.payloads
        ]
        alike = peers and all(peer.values and lone_list(peer.values[0]) is not None for peer in peers)
        return "list" if lengths == {1} and alike else "row"
    tables = [len(rows) for value in values if (rows := column_rows(value)) is not None]
    # Alone, lists of one length may as well be parts of one row.
    by_column = len(set(tables)) > 1 or (len(pair) > 1 and max(tables, default=0) > 1)
    return "columns" if by_column and 2 * len(tables) > len(values) else "row"
