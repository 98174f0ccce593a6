"""Endpoint and batch captures, one JSON record per line, as record batches.

Columns of the response come first, then those of the request, and the label last when it is asked for.
A record belongs to the window when its ``inferenceTime`` does; without a readable one, when the hour
folder of its file does.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import Dataset
from contract.dataset_format import Shape
from contract.errors import DatasetError
from contract.window import Window
from file_storage.storage import SourceFile, is_compressed
from readers.captures.columns import Decoder
from readers.captures.envelope import (
    LABEL,
    Envelope,
    Part,
    open_envelope,
    parse_record,
    payload_part,
    times_in_window,
)
from readers.captures.labels import UNLIKE_ROWS, with_label_columns
from readers.captures.layout import find_layout
from readers.captures.shapes import (
    CSV,
    MOST_CONTRADICTIONS,
    PEERS,
    Call,
    Payload,
    Row,
    UndecodableError,
    decide,
    decode,
    parsed,
    too_many,
)
from readers.csv_records import CellParser, CellsError
from readers.labels.index import LabelIndex
from readers.splitting import LINES_BLOCK_SIZE, FileSplit, Pieces, blocks_of_lines, divide, label, whole_of

# Calls from which the rows of a call, names and types are decided, and files they are taken from.
_CALLS = 1000
_FILES = 8

# A call so many times as long as most decides nothing, unless it is short.
_ODD_LENGTH, _SHORT = 100, 10_000

UNEVEN = "records whose payloads differ in their number of rows were padded with missing values"

_log = logging.getLogger(__name__)


def read_captures(
    pieces: Pieces,
    decoder: Decoder,
    types: Mapping[str, pa.DataType],
    window: Window | None,
    index: LabelIndex | None,
    *,
    labels: bool,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some capture files, or of a byte range of one.

    Raises
    ------
    DatasetError
        Naming file and line of what is no capture record.
    """
    notes, parser = Notes(label(pieces)), decoder.parser(types)
    for envelope in envelopes(pieces, decoder.sides, window, index, labels=labels):
        yield table_of(envelope, decoder, parser, notes)
    notes.report()


def envelopes(
    pieces: Pieces,
    sides: Sequence[str],
    window: Window | None,
    index: LabelIndex | None,
    *,
    labels: bool,
    size: int = LINES_BLOCK_SIZE,
) -> Iterator[Envelope]:
    """Yield the envelopes of the records in a window, with the labels that an index has for them."""
    for block in blocks_of_lines(pieces, size):
        envelope = open_envelope(block, sides, labels=labels, ids=index is not None, times=window is not None)
        if window is not None and envelope.times is not None:
            inside = times_in_window(envelope.times, window, block, envelope.numbers)
            envelope = envelope.filter(inside)
        if index is not None and envelope.labels is not None and envelope.ids is not None:
            data, encodings = index.take(index.find(envelope.ids))
            encodings = pc.if_else(data.is_valid(), encodings, envelope.labels.encodings)
            envelope = replace(envelope, labels=Part(pc.coalesce(data, envelope.labels.data), encodings))
        if len(envelope):
            yield envelope


@dataclass
class Notes:
    """What is odd about the records of a split: reported once each, with the first place."""

    label: str
    records: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, envelope: Envelope, odd: Mapping[str, set[int]]) -> None:
        """Count records of an envelope, by what is odd about them."""
        self.records += len(envelope)
        for text, records in odd.items():
            self.counts[text] = self.counts.get(text, 0) + len(records)
            if text not in self.places:
                self.places[text] = envelope.place(min(records))

    def report(self) -> None:
        """Log each kind once.

        Raises
        ------
        DatasetError
            When too many calls contradict the reading of their rows.
        """
        for text, count in self.counts.items():
            _log.warning("%s: %s: %d, the first at %s", self.label, text, count, self.places[text])
        uneven = self.counts.get(UNEVEN, 0)
        if self.records >= _CALLS and uneven > MOST_CONTRADICTIONS * self.records:
            raise too_many(uneven, self.records, self.places[UNEVEN])


def table_of(envelope: Envelope, decoder: Decoder, parser: CellParser, notes: Notes) -> pa.RecordBatch:
    """Return the rows of an envelope under their final names, labels last."""
    odd: dict[str, set[int]] = {}

    def note(text: str, records: Sequence[int]) -> None:
        if len(records):
            odd.setdefault(text, set()).update(records)

    try:
        table = decoder.table(envelope, parser, note)
    except CellsError as error:
        raise DatasetError(
            f"{envelope.block.segments[0].path} holds payloads that do not fit into columns: {error}"
        ) from error
    note(UNEVEN, table.uneven.tolist())
    batch = decoder.layout.finish(table.batch)
    if envelope.labels is not None:
        try:
            batch, unlike = with_label_columns(batch, envelope.labels, table.counts)
        except DatasetError as error:
            raise DatasetError(f"labels of {envelope.block.segments[0].path}: {error.message}") from error
        note(UNLIKE_ROWS, unlike.tolist())
    notes.add(envelope, odd)
    return batch


def capture_splits(
    files: Sequence[SourceFile], request: Dataset, index: LabelIndex | None = None
) -> tuple[FileSplit, ...]:
    """Divide capture files into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With the format's `capture_indices`, the window, and the baseline's names.
    index
        Labels to join with the records.
    """
    decoder, types = survey(files, request)
    read = functools.partial(
        read_captures,
        decoder=decoder,
        types=types,
        window=request.window,
        index=index,
        labels=request.labels or index is not None,
    )
    return tuple(
        FileSplit(pieces, read, reading=decoder.reading) for pieces in divide(files, may_cut=may_cut)
    )


def may_cut(file: SourceFile) -> bool:
    """Return whether a file can be read in byte ranges."""
    return not is_compressed(file.path)


def survey(files: Sequence[SourceFile], request: Dataset) -> tuple[Decoder, dict[str, pa.DataType]]:
    """Decide from the first calls how rows are read, what columns are called, and likely types of CSV cells.

    Raises
    ------
    DatasetError
        When the calls contradict every reading.
    """
    # The response first, then the request.
    sides = tuple(sorted(request.format.capture_indices, key=lambda side: not side.endswith("Output")))
    calls = first_calls(files, sides)
    decoder = Decoder(sides, text_only=request.text_only)

    def rows(shapes: Mapping[str, Shape]) -> list[list[list[Row] | None]]:
        return [
            [
                call.payloads[side].rows(shapes.get(side, "row")) or None if side in call.payloads else None
                for side in sides
            ]
            for call in calls
        ]

    def fits_baseline(shapes: Mapping[str, Shape]) -> bool | None:
        if not request.column_names:
            return None
        names = set(find_layout(sides, rows(shapes), request).names.values())
        return set(request.column_names) <= names

    reading = decide(calls, request.rows, fits_baseline)
    for side in sides if request.text_only else ():
        if reading.shape(side) != "row" and any(
            call.payloads[side].kind == CSV for call in calls if side in call.payloads
        ):
            raise DatasetError(
                f"{request.source}: {side} is one line of CSV for several rows, which the originals joined "
                "with the first of them; set rules=sound to have its cells read as rows."
            )
    try:
        records = rows(reading.shapes)
        layout = find_layout(sides, records, request)
        decoder = replace(decoder, reading=reading, layout=layout)
        parser = CellParser(request.text_only)
        if records:
            first = decoder.of_rows(records, parser).batch.schema
            decoder = replace(decoder, kinds=dict(zip(first.names, first.types, strict=True)))
    except (DatasetError, CellsError) as error:
        raise DatasetError(
            f"{request.source} holds payloads that do not fit into columns: {error}"
        ) from error
    _log.info("%s: %s", request.source, reading.text())
    return decoder, parser.types


def first_calls(files: Sequence[SourceFile], sides: Sequence[str]) -> list[Call]:
    """Return the first calls of several files, with those payloads that belong to the wanted ones."""
    wanted = dict.fromkeys([*sides, *(PEERS[side] for side in sides if side in PEERS)])
    looked_at = files[:_FILES]
    calls: list[tuple[int, Call]] = []
    for number, file in enumerate(looked_at):
        block = next(iter(blocks_of_lines([whole_of(file)], size=1 << 18)), None)
        share = (_CALLS - len(calls)) // (len(looked_at) - number)
        if block is None:
            continue
        for line in islice(block.lines(), share):
            try:
                record = parse_record(line.data)
            except ValueError:
                continue  # reading the file in earnest reports it
            payloads = {
                side: payload
                for side in wanted
                if (
                    payload := _payload(
                        record.get(side) if side == LABEL else record["captureData"].get(side)
                    )
                )
                is not None
            }
            call = Call(payloads, functools.partial(block.place, line.number))
            calls.append((len(line.data), call))
    # What is many times as long as the others is damage, and decides nothing.
    usual = sorted(size for size, _ in calls)[len(calls) // 2] if calls else 0
    return [call for size, call in calls if size <= _ODD_LENGTH * usual + _SHORT]


def _payload(part: object) -> Payload | None:
    found = payload_part(part)
    if found is None or not isinstance(part, dict):
        return None
    try:
        content_type = part.get("observedContentType")
        payload = parsed(*decode(*found, None if content_type is None else str(content_type)))
    except UndecodableError:
        return None
    return payload if payload.values else None
