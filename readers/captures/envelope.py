"""The envelope of captures: what a record says, payload by payload, before any payload is looked into.

A block of lines becomes Arrow arrays, one entry per record. Lines that do not fit are read one by one, into
the same arrays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import GROUND_TRUTH, WINDOW, notice
from contract.errors import DatasetError
from contract.window import (
    CAPTURE_SLACK,
    ZONED,
    Window,
    folder_hour,
    folder_overlaps,
    in_window_by_folder,
    microseconds,
    parse_instant,
)
from readers.arrow_json import read_json
from readers.dataset import UNREAD, window_places
from readers.flatten import json_text, loads, scalar_text
from readers.lanes import Counts, NotBulkError, in_lanes, line_ends, merged, require_alike
from readers.like_lines import like_lines
from readers.splitting import Line, LineBlock, Segment

# One payload of every record as it was written, null where there is none, and how to read it.
PAYLOAD = pa.struct([("data", pa.string()), ("encoding", pa.string())])
_CAPTURED = pa.struct([*PAYLOAD, ("observedContentType", pa.string())])
# What labels are found by: the first that there is.
_IDS = ("inferenceId", "eventId")


@dataclass(frozen=True)
class Envelope:
    """Records of a block.

    Parameters
    ----------
    block
        The lines.
    numbers
        Of each record's line in the block.
    parts
        Payloads by name, the label that the record carries among them where it was asked for.
    ids, times
        What labels are found by, and ``inferenceTime``; None where they were not asked for.
    windows
        In which of several windows each lies; None where there are no several.
    """

    block: LineBlock
    numbers: Counts
    parts: Mapping[str, pa.StructArray]
    ids: pa.StringArray = None
    times: pa.StringArray = None
    windows: pa.Array = None

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, record: int) -> str:
        """Return how messages call a record."""
        return self.block.place(int(self.numbers[record]))

    def filter(self, mask: npt.NDArray[np.bool_]) -> "Envelope":
        """Return the records where `mask` is true."""
        if mask.all():
            return self
        kept = pa.array(mask)
        parts = {side: part.filter(kept) for side, part in self.parts.items()}
        further = (self.ids, self.times, self.windows)
        others = (None if part is None else part.filter(kept) for part in further)
        return Envelope(self.block, self.numbers[mask], parts, *others)

    def in_window(self, window: Window) -> "Envelope":
        """Return the records in a window: by their time, or else by the folder of their file."""
        instants = self.instants()
        places = window_places(instants, window)
        untimed = instants == UNREAD
        outside = (places == -1) & ~untimed
        earliest = instants.min(initial=microseconds(window.end), where=~untimed)
        is_odd = untimed.any() or outside.any()
        origins = self.block.sources(self.numbers)
        for origin in np.unique(origins):
            path = self.block.segments[origin].path
            hour = folder_hour(path)
            oldest = UNREAD if hour is None else microseconds(hour - CAPTURE_SLACK)
            if not is_odd and earliest >= oldest:
                continue
            of_file = origins == origin
            if (without := untimed & of_file).any():
                is_inside = in_window_by_folder(path, window, "records")
                places[without] = window.place(max(hour or window.start, window.start)) if is_inside else -1
            if folder_overlaps(path, window):
                notice("outside", int((outside & of_file).sum()))
            notice("reading.late", int((of_file & ~untimed & (instants < oldest)).sum()))
        told = replace(self, windows=pa.array(places)) if window.edges else self
        return told.filter(places >= 0)

    def instants(self) -> npt.NDArray[np.int64]:
        """Return the times in microseconds since 1970, `UNREAD` where there is no readable one."""
        kind = pa.timestamp("us", "UTC")
        try:
            instants = self.times.cast(kind)  # fails where one has no zone
        except pa.ArrowInvalid:
            encoded = self.times.dictionary_encode()
            if not pc.all(pc.match_substring_regex(encoded.dictionary, ZONED)).as_py():
                notice("reading.zoneless", field="inferenceTime")
            read = pa.array(map(parse_instant, encoded.dictionary.to_pylist()), kind)
            instants = read.take(encoded.indices)
        return np.asarray(instants.cast(pa.int64()).fill_null(UNREAD).to_numpy())

    def with_windows(self, batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        """Return rows, so many of each record, with the window of each where there are several."""
        if self.windows is None:
            return batch
        return batch.append_column(WINDOW, pa.array(np.repeat(self.windows.to_numpy(), counts)))


def open_envelope(
    block: LineBlock, sides: Sequence[str], *, labels: bool = False, ids: bool = False, times: bool = False
) -> Envelope:
    """Read the envelopes of a block.

    Parameters
    ----------
    block
        Whole lines; blank ones count for nothing.
    sides
        The payloads that are wanted.
    labels, ids, times
        Whether these are.

    Raises
    ------
    DatasetError
        Naming file and line of what is no capture record.
    """
    wanted = ("inferenceTime",) * times + _IDS * ids
    fields = [pa.field("captureData", pa.struct([(side, _CAPTURED) for side in sides]))]
    fields += [pa.field(GROUND_TRUTH, PAYLOAD)] * labels
    fields += [pa.field("eventMetadata", pa.struct([(name, pa.string()) for name in wanted]))] * bool(wanted)
    schema = pa.schema(fields)

    def is_whole(batch: pa.RecordBatch) -> bool:
        return not batch.column("captureData").null_count

    batch, numbers = read_records(block, schema, lambda line: _exact(line, schema), is_whole)
    parts = dict(zip(sides, batch.column("captureData").flatten(), strict=True))
    if labels:
        parts[GROUND_TRUTH] = batch.column(GROUND_TRUTH)
    metadata = dict(zip(wanted, batch.column("eventMetadata").flatten(), strict=True)) if wanted else {}
    found_by = None
    if ids:
        first, second = (metadata[name] for name in _IDS)
        found_by = pc.coalesce(pc.if_else(pc.equal(first, ""), pa.scalar(None, pa.string()), first), second)
    return Envelope(block, numbers, parts, found_by, metadata.get("inferenceTime"))


def read_records(
    block: LineBlock,
    schema: pa.Schema,
    exact: Callable[[Line], dict[str, Any]],
    is_whole: Callable[[pa.RecordBatch], bool],
) -> tuple[pa.RecordBatch, Counts]:
    """Read members of the JSON objects in a block.

    Parameters
    ----------
    block
        One object per line; blank lines count for nothing.
    schema
        The members, text or objects of text.
    exact
        Reads one line, or raises the error that names it.
    is_whole
        Whether records read in bulk have what they need.

    Returns
    -------
    One row per object, and the number of its line in the block.
    """

    def whole(batch: pa.RecordBatch) -> pa.RecordBatch:
        require_alike(is_whole(batch), "a line is no record")
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise NotBulkError(str(error)) from error  # neither reader looks whether text is UTF-8
        return batch

    def bulk(data: bytes, lines: int) -> pa.RecordBatch:
        batch = read_json(data, schema, others="ignore")
        require_alike(batch.num_rows == lines, "a line is no record")
        return whole(batch)

    def parsed(data: bytes, first: int) -> list[tuple[Counts, pa.RecordBatch]]:
        ends = line_ends(data)
        try:
            return [(np.arange(first, first + ends), bulk(data, ends))]
        except NotBulkError:
            lines = list(block.lines(data, first))
        numbers = np.array([line.number for line in lines], np.int64)

        def one_by_one(some: Counts) -> pa.RecordBatch:
            rows = [exact(lines[at]) for at in some]
            return pa.RecordBatch.from_struct_array(pa.array(rows, pa.struct(list(schema))))

        def some_together(some: Counts) -> pa.RecordBatch:
            return bulk(b"".join(lines[at].data for at in some), len(some))

        found = in_lanes(np.arange(len(lines)), some_together, one_by_one)
        return [(numbers[some], batch) for some, batch in found]

    def of_text(text: bytes) -> dict[str, Any]:
        nowhere = LineBlock((Segment("", 0, text, (1,)),), text)  # nobody sees what is wrong with it
        return exact(Line("", text, 0, nowhere))

    lanes: list[tuple[Counts, pa.RecordBatch]] = []
    first = 0
    for start, end, batch in like_lines(block.data, schema, of_text, whole):
        if batch is None:
            lanes += parsed(block.data[start:end], first)
            first += line_ends(block.data[start:end])
        else:
            lanes.append((np.arange(first, first + len(batch)), batch))
            first += len(batch)
    return merged(lanes), np.sort(np.concatenate([numbers for numbers, _ in lanes]))


def json_object(line: Line, wrong: Callable[[Line, str], DatasetError]) -> dict[str, Any]:
    """Return the JSON object of a line; raise what `wrong` makes of the line, and of why it is none."""
    try:
        record = loads(line.data)
    except UnicodeDecodeError:
        raise wrong(line, "it is not UTF-8 text") from None
    except ValueError:
        raise wrong(line, "it is not one whole JSON object") from None
    if not isinstance(record, dict):
        raise wrong(line, "it is no JSON object")
    return record


def record_of_line(line: Line) -> dict[str, Any]:
    """Return the capture record of a line.

    Raises
    ------
    DatasetError
        Naming file and line when it is none.
    """
    record = json_object(line, _no_record)
    if not isinstance(record.get("captureData"), dict):
        raise _no_record(line, "it has no captureData")
    return record


def _no_record(line: Line, reason: str) -> DatasetError:
    return DatasetError.of("captures.no_record", reason=reason, **line.members())


def payload_part(part: Any) -> dict[str, Any] | None:
    """Return one payload of a parsed record with all that `shapes.decode` takes, None where there is none.

    Data that is no text, but a JSON value, is written as JSON.
    """
    data = part.get("data") if isinstance(part, dict) else None
    if data is None:
        return None
    told = (part.get(name) for name in ("encoding", "observedContentType"))
    encoding, content_type = (None if value is None else str(value) for value in told)
    if not isinstance(data, str):
        data, encoding = json_text(data), "JSON"
    return {"data": data, "encoding": encoding, "observedContentType": content_type}


def label_part(part: Any) -> dict[str, Any] | None:
    """Return data and encoding of a ``groundTruthData`` object, None when it holds no label."""
    found = payload_part(part)
    if found is None:
        return None
    if not isinstance(part["data"], str | dict | list):
        return {"data": scalar_text(GROUND_TRUTH, part["data"]) or "", "encoding": "CSV"}
    return {"data": found["data"], "encoding": (found["encoding"] or "CSV").upper()}


def _exact(line: Line, schema: pa.Schema) -> dict[str, Any]:
    record = record_of_line(line)
    parts = {side.name: payload_part(record["captureData"].get(side.name)) for side in schema[0].type}
    metadata = record.get("eventMetadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    known = {name: str(metadata[name]) for name in _IDS if isinstance(metadata.get(name), str | int | float)}
    time = metadata.get("inferenceTime")
    known |= {"inferenceTime": time} if isinstance(time, str) else {}
    label = label_part(record.get(GROUND_TRUTH))
    return {"captureData": parts, GROUND_TRUTH: label, "eventMetadata": known}
