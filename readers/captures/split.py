"""Endpoint and batch captures, one JSON record per line, as record batches.

Columns of the response come first, then those of the request, and the label last when it is asked for.
A record belongs to the window when its ``inferenceTime`` does; without a readable one, when the hour
folder of its file does.
"""

import contextlib
import functools
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import GROUND_TRUTH, Dataset, notice
from contract.dataset_format import Shape
from contract.errors import DatasetError
from contract.window import Window
from contract.wording import shorten
from file_storage.storage import SourceFile
from readers import paths, splitting
from readers.captures import shapes
from readers.captures.columns import Decoder, Note, Texts, texts_of
from readers.captures.envelope import PAYLOAD, Envelope, open_envelope, payload_part, record_of_line
from readers.captures.label_columns import label_columns, with_label_columns
from readers.captures.layout import find_layout
from readers.captures.rows import json_array
from readers.cell_types import typed_text
from readers.csv_records import CellParser, CellsError
from readers.labels import LabelIndex, labels_of
from readers.lanes import Counts, Table, of_kinds, require_alike
from readers.splitting import FileSplit, Pieces

# Calls from which the rows of a call, names and types are decided, and files they are taken from.
_CALLS = 1000
_FILES = 8

# What is called CSV, but looks like something else.
_NOT_CSV = {
    "JSON": re.compile(r"\[.*\]|\{.*\}", re.DOTALL),
    "cells between semicolons": re.compile(r"[^,;]*(;[^,;]*)+"),
    "cells between tabs": re.compile(r"[^,\t]*(\t[^,\t]*)+"),
    "cells between vertical bars": re.compile(r"[^,|]*(\|[^,|]*)+"),
    "multipart": re.compile(r"--\S.*"),
    "a stream of events": re.compile(r"(data|event|id|retry):.*"),
    "BASE64": re.compile(r"(?=.*[a-z].*[A-Z])([\w+/]{4})+([\w+/]{2}==|[\w+/]{3}=)?", re.ASCII),
    "XML or HTML": re.compile(r"\s*<[/?!\w].*", re.DOTALL),
    "prose": re.compile(r"\W*([^\s\d]+ ){3}\D*[.!?]\W*"),
    "LIBSVM": re.compile(r"(\S+ )?\d+:\S+( \d+:\S+)*\s*"),
}
_MOSTLY = 0.9
_SHOWN = 40

# A call so many times as long as most decides nothing, unless it is short.
_ODD_LENGTH, _SHORT = 100, 10_000

_log = logging.getLogger(__name__)


def read_captures(
    pieces: Pieces, request: Dataset, decoder: Decoder, index: LabelIndex | None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some capture files, or of a byte range of one.

    Raises
    ------
    DatasetError
        Naming file and line of what is no capture record, or, where paths lead to columns, holds another
        number of labels or predictions than rows.
    """
    notes, parser, finder = Notes(), decoder.parser(), None
    if request.locations is not None:
        finder = paths.Finder(request.locations, decoder.call_rows.shape("endpointInput"))

    def rows(envelope: Envelope) -> pa.RecordBatch:
        if finder is None:
            return table_of(envelope, decoder, parser, notes)
        with notes.of(envelope) as note:
            table = _table(envelope, finder, decoder.headers, note)
        return envelope.with_windows(table.batch, table.counts)

    labels = request.labels or index is not None or finder is not None
    found = envelopes(pieces, decoder.sides, request.window, index, labels=labels)
    # Nothing holds an envelope while the next one is read.
    yield from chain.from_iterable(map(splitting.balanced, map(rows, found)))
    if finder is not None:
        finder.require_labels(splitting.label(pieces))
    notes.report()


def envelopes(
    pieces: Pieces,
    sides: Sequence[str],
    window: Window | None,
    index: LabelIndex | None,
    *,
    labels: bool,
    times: bool = False,
    size: int = splitting.LINES_BLOCK_SIZE,
) -> Iterator[Envelope]:
    """Yield the envelopes of the records in a window, with the labels that an index has for them."""
    ids, times = index is not None, times or window is not None

    def opened(block: splitting.LineBlock) -> Envelope:
        envelope = open_envelope(block, sides, labels=labels, ids=ids, times=times)
        if window is not None:
            envelope = envelope.in_window(window)
        if index is not None and labels:
            known = pc.coalesce(labels_of(index, envelope.ids), envelope.parts[GROUND_TRUTH])
            envelope = replace(envelope, parts={**envelope.parts, GROUND_TRUTH: known})
        return envelope

    return filter(len, map(opened, splitting.blocks_of_lines(pieces, size)))


@dataclass
class Notes:
    """What is odd about the records of a split: noticed once each, with the first place."""

    records: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def of(self, envelope: Envelope) -> Iterator[Note]:
        """Give a function that notes what is odd about records of an envelope; each counts once."""
        odd: dict[str, set[int]] = {}
        yield lambda code, records: odd.setdefault(code, set()).update(records)
        self.records += len(envelope)
        if envelope.windows is not None:
            unread = pa.array(sorted(odd.get("reading.undecodable", ())), pa.int64())
            for window in envelope.windows.take(unread).to_pylist():
                notice("window", window=window)
        for code, records in odd.items():
            self.counts[code] += len(records)
            if records and code not in self.places:
                self.places[code] = envelope.place(min(records))

    def report(self) -> None:
        """Notice each kind once.

        Raises
        ------
        DatasetError
            When too many calls contradict the reading of their rows.
        """
        for code, place in self.places.items():
            notice(code, self.counts[code], place=place)
        uneven = self.counts["reading.uneven"]
        if self.records >= _CALLS and uneven > shapes.MOST_CONTRADICTIONS * self.records:
            raise shapes.too_many(uneven, self.records, self.places["reading.uneven"])


def table_of(envelope: Envelope, decoder: Decoder, parser: CellParser, notes: Notes) -> pa.RecordBatch:
    """Return the rows of an envelope under their final names, labels last."""
    path = envelope.block.segments[0].path
    with notes.of(envelope) as note:
        with DatasetError.instead_of("captures.payloads", CellsError, file=path):
            table = decoder.table(envelope, parser, note)
        note("reading.uneven", table.uneven.tolist())
        batch = decoder.layout.finish(table.batch)
        if GROUND_TRUTH in envelope.parts:
            with DatasetError.instead_of("captures.labels", DatasetError, file=path):
                batch, unlike = with_label_columns(batch, envelope.parts[GROUND_TRUTH], table.counts)
            note("reading.unlike_labels", unlike.tolist())
    return envelope.with_windows(batch, table.counts)


def capture_splits(
    files: Sequence[SourceFile], request: Dataset, index: LabelIndex | None = None
) -> tuple[FileSplit, ...]:
    """Divide capture files into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With the format's `capture_indices` or locations, the window, and the baseline's names.
    index
        Labels to join with the records.
    """
    if request.locations is None:
        decoder = survey(files, request)
        request.said.call_rows = decoder.call_rows
    else:
        paths.Finder(request.locations)  # its mistakes show before the work
        if request.locations.features is None:
            decoder = replace(survey(files, request), sides=_ALL_SIDES)
        else:
            headers = leave_out_headers(first_calls(files, _ALL_SIDES), request)
            decoder = Decoder(_ALL_SIDES, headers=headers)
    read = functools.partial(read_captures, request=request, decoder=decoder, index=index)
    return tuple(FileSplit(pieces, read) for pieces in splitting.divide(files, may_cut=splitting.has_lines))


def survey(files: Sequence[SourceFile], request: Dataset) -> Decoder:
    """Decide from the first calls how rows are read, what columns are called, and their likely types.

    Raises
    ------
    DatasetError
        When the calls contradict every reading.
    """
    # The response first, then the request.
    sides = tuple(sorted(request.format.capture_indices, key=lambda side: not side.endswith("Output")))
    calls = first_calls(files, sides)
    if calls and not any(call.payloads for call in calls):
        others = [call.payloads for call in first_calls(files, tuple(shapes.PEERS))]
        if there := [side for side in shapes.PEERS if any(side in payloads for payloads in others)]:
            told = {"field": ", ".join(sides), "there": ", ".join(there)}
            raise DatasetError.of("captures.other_sides", file=request.source, **told)
    headers = leave_out_headers(calls, request)
    names = {side: shapes.csv_rows(header)[0] for side, header in headers.items()}
    decoder = Decoder(sides, text_only=request.text_only, headers=headers)
    is_judged = request.labels or request.ground_truth_source is not None
    if is_judged and len(sides) > 1 and calls and not any(sides[0] in call.payloads for call in calls):
        # Columns of the request would move to the places of the answer's.
        raise DatasetError.of("captures.unanswered", file=request.source, field=sides[0], calls=len(calls))

    def rows(chosen: Mapping[str, Shape]) -> list[list[list[shapes.Row] | None]]:
        found = {side: [call.payloads.get(side, shapes.NOTHING) for call in calls] for side in sides}
        return [[one.rows(chosen.get(side, "row")) or None for one in found[side]] for side in sides]

    def fits_baseline(chosen: Mapping[str, Shape]) -> bool:
        known = set(request.column_names or ())
        return bool(known) and known.issubset(find_layout(sides, rows(chosen), request, names).names.values())

    call_rows = shapes.decide(calls, request.rows, fits_baseline)
    for side in sides if request.text_only else ():
        has_text = any(call.payloads.get(side, shapes.NOTHING).kind == shapes.CSV for call in calls)
        if has_text and call_rows.shape(side) != "row":
            raise DatasetError.of("captures.cells_of_rows", file=request.source, field=side)
    with DatasetError.instead_of("captures.payloads", DatasetError, CellsError, file=request.source):
        found = rows(call_rows.shapes)
        _say_other_than_csv(sides, calls, request)
        for side, of in zip(sides, found, strict=True):
            if calls and not any(of):
                request.said.say("reading.no_side", side=side, calls=len(calls))
            cells = {len(row) for row in chain.from_iterable(filter(None, of)) if isinstance(row, list)}
            if len(cells) > 1:
                request.said.say("reading.ragged", side=side, least=min(cells), most=max(cells))
        layout = find_layout(sides, found, request, names)
        decoder = replace(decoder, call_rows=call_rows, layout=layout)
        if calls:
            first = decoder.of_rows(found, CellParser(request.text_only)).batch.schema
            decoder = replace(decoder, kinds=dict(zip(first.names, first.types, strict=True)))
    _log.info("%s: %s", request.source, call_rows.text())
    return decoder


def _say_other_than_csv(sides: Sequence[str], calls: Sequence[shapes.Call], request: Dataset) -> None:
    """Say so when payloads are called CSV, but nearly all of them look like something else."""
    for side in sides:
        payloads = [call.payloads.get(side, shapes.NOTHING) for call in calls]
        texts = [payload.first_line for payload in payloads if payload.kind == shapes.CSV]
        texts = [text for text in texts if text[:1] != '"']
        for what, pattern in _NOT_CSV.items():
            others = (text for text in texts if not pattern.fullmatch(text))
            # So many others are too many.
            if texts and next(islice(others, int(len(texts) - _MOSTLY * len(texts)), None), None) is None:
                request.said.say("reading.not_csv", side=side, what=what, example=texts[0][:_SHOWN])


def leave_out_headers(calls: Sequence[shapes.Call], request: Dataset) -> dict[str, str]:
    """Return by payload the line of names that its CSV begins with, and take it away from the calls."""
    ids = [call.identifier for call in calls if call.identifier]
    if again := len(ids) - len(set(ids)):
        request.said.say("reading.event_ids", count=again, calls=len(ids))
    sides = dict.fromkeys(side for call in calls for side in call.payloads if side != GROUND_TRUTH)
    headers: dict[str, str] = {}
    # The originals know no headers in payloads.
    for side in () if request.text_only else sides:
        if (header := shapes.repeated_header(side, calls)) is not None:
            headers[side] = header
            payloads = [call.payloads[side] for call in calls if side in call.payloads]
            begin = [payload for payload in payloads if payload.first_line == header]
            told = {"count": len(begin), "payloads": len(payloads), "names": shorten(header)}
            request.said.say("reading.names", side=side, **told)
            for payload in begin:
                del payload.values[0]
    return headers


def first_calls(files: Sequence[SourceFile], sides: Sequence[str]) -> list[shapes.Call]:
    """Return the first calls of several files, with those payloads that belong to the wanted ones."""
    wanted = dict.fromkeys([*sides, *(shapes.PEERS[side] for side in sides if side in shapes.PEERS)])
    looked_at = files[:_FILES]
    calls: list[tuple[int, shapes.Call]] = []
    for number, file in enumerate(looked_at):
        block = next(iter(splitting.blocks_of_lines([splitting.whole_of(file)], size=1 << 18)), None)
        share = (_CALLS - len(calls)) // (len(looked_at) - number)
        if block is None:
            continue
        for line in islice(block.lines(), share):
            try:
                record = record_of_line(line)
            except DatasetError:
                continue  # reading the file in earnest reports it
            parts = {**record["captureData"], GROUND_TRUTH: record.get(GROUND_TRUTH)}
            payloads = {side: found for side in wanted if (found := _payload(parts.get(side))).values}
            metadata = record.get("eventMetadata")
            identifier = metadata.get("eventId") if isinstance(metadata, dict) else None
            call = shapes.Call(payloads, functools.partial(block.place, line.number), str(identifier or ""))
            calls.append((len(line.data), call))
    # What is many times as long as the others is damage, and decides nothing.
    usual = sorted(size for size, _ in calls)[len(calls) // 2] if calls else 0
    return [call for size, call in calls if size <= _ODD_LENGTH * usual + _SHORT]


def _payload(part: object) -> shapes.Payload:
    found = payload_part(part)
    with contextlib.suppress(ValueError):
        return shapes.parsed(*shapes.decode(*found.values())) if found else shapes.NOTHING
    return shapes.NOTHING


# Captures, merged ones too, whose columns are found by JMESPath in their payloads.
#
# A call may carry many rows: its features, scores and labels are then lists of one length. Payloads of CSV
# have no paths; there, a location is the position of a column.


# What a part is called in captures: the first of these that a record has.
SIDES = {
    paths.REQUEST: ("endpointInput", "batchTransformInput", "batchTransformOutput"),
    paths.RESPONSE: ("endpointOutput", "batchTransformOutput"),
}
_ALL_SIDES = tuple(dict.fromkeys(side for names in SIDES.values() for side in names))
# Of so many records the types of features are learnt.
_LEARNT_RECORDS = 100
_RECORDS_LOOKED_AT = 100


def _table(envelope: Envelope, finder: paths.Finder, headers: Mapping[str, str], note: Note) -> Table:
    texts = {part: _first_of(envelope, names, headers, note) for part, names in SIDES.items()}
    texts[GROUND_TRUTH] = texts_of(envelope, GROUND_TRUTH, note)
    # What has no request holds features and predictions together, as the output of batch transform may.
    no_data = (envelope.parts[name].flatten()[0].is_null() for name in SIDES[paths.REQUEST][:2])
    alone = pc.and_(*no_data).to_pylist()

    def one_by_one(records: Counts) -> Table:
        return finder.one_by_one(_parts(envelope, texts, alone, records, note))

    def bulk(records: Counts) -> Table:
        if finder.kinds is None:
            finder.learn(_parts(envelope, texts, alone, np.arange(min(len(envelope), _LEARNT_RECORDS)), note))
        are_json = [part for part in SIDES if (texts[part].kinds[records] == shapes.JSON).all()]
        values = {part: json_array(texts[part].take(records).text) for part in are_json}
        truth = texts[GROUND_TRUTH].take(records)
        return finder.together(values, functools.partial(_labels_at, truth))

    kinds = [texts[part].kinds for part in SIDES]
    table = of_kinds(kinds, bulk if finder.is_bulk else None, one_by_one)
    finder.count_labels(table.batch, int((texts[GROUND_TRUTH].kinds != shapes.NONE).sum()))
    return table


def first_sides(files: Sequence[SourceFile]) -> dict[str, bool]:
    """Return the parts that the first records have, and whether each is CSV, labels of one cell.

    Parameters
    ----------
    files
        Captures, in path order; a few records of the first ones are read.
    """
    sides: dict[str, bool] = {}
    for call in first_calls(files, (*_ALL_SIDES, GROUND_TRUTH))[:_RECORDS_LOOKED_AT]:
        for side, payload in call.payloads.items():
            fits = payload.kind == shapes.CSV
            if fits and side == GROUND_TRUTH:
                fits = all(len(row) == 1 for row in payload.values)
            sides[side] = sides.get(side, True) and fits
    return sides


def _first_of(envelope: Envelope, names: Sequence[str], headers: Mapping[str, str], note: Note) -> Texts:
    """Return the first of some payloads that each record has."""
    texts = [texts_of(envelope, name, note, headers.get(name)) for name in names]
    kinds = texts[-1].kinds
    for text in reversed(texts[:-1]):
        kinds = np.where(text.kinds == shapes.NONE, kinds, text.kinds)
    return Texts(pc.coalesce(*(text.text for text in texts)), kinds)


def _parts(
    envelope: Envelope, texts: Mapping[str, Texts], alone: Sequence[bool], records: Counts, note: Note
) -> Iterator[paths.Record]:
    """Yield the parts of records, parsed, and what names each record."""
    columns = [text.payloads(records, note) for text in texts.values()]
    for number, *found in zip(records.tolist(), *columns, strict=True):
        parts = dict(zip(texts, found, strict=True))
        if alone[number]:
            parts[paths.REQUEST] = parts[paths.RESPONSE]
        yield parts, functools.partial(envelope.place, number)


def _labels_at(truth: Texts, path: paths.Find | None, counts: Counts) -> pa.Array:
    """Return one label for each row; missing where a record has none."""
    present = truth.kinds != shapes.NONE
    if not present.any():
        return pa.nulls(int(counts.sum()))
    if not (truth.kinds == shapes.JSON).any():
        encodings = pa.nulls(len(counts), pa.string())  # which is CSV
        labels = pa.StructArray.from_arrays([truth.text, encodings], fields=list(PAYLOAD))
        columns, unlike = label_columns(labels, counts)
        is_single = not len(unlike) and list(columns) == [GROUND_TRUTH]
        require_alike(is_single, "labels of several cells, or of another number than rows")
        return typed_text(columns[GROUND_TRUTH])
    require_alike(not (truth.kinds == shapes.CSV).any(), "labels of several encodings, or without a path")
    values, found = paths.values_at(json_array(truth.text.drop_null()), path)
    require_alike(np.array_equal(found, counts[present]), "another number of labels than rows")
    rows = np.repeat(present, counts)
    where = np.cumsum(rows) - 1
    return values.take(pa.array(where, mask=~rows))
