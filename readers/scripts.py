"""Datasets that pass through a user's script: record by record, or batch by batch as data frames."""

import csv
import functools
import io
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from contract.dataset import GROUND_TRUTH, Dataset, Preprocessor, notice
from contract.errors import DatasetError, ScriptError, wording
from file_storage import scripts
from file_storage.storage import SourceFile, read_bytes
from readers import splitting
from readers.captures.columns import Decoder
from readers.captures.envelope import Envelope, open_envelope, record_of_line
from readers.captures.shapes import csv_rows
from readers.captures.split import Notes, envelopes, survey, table_of
from readers.csv_records import CellsError
from readers.dataset import POSITIONAL, excluded_positions, positional_names
from readers.flatten import column_of, flatten_batch, loads, rows_to_batch
from readers.labels import LabelIndex
from readers.lanes import like_first
from readers.splitting import FileSplit, Line, LineBlock, Pieces, Segment

# The record object that a user's ``preprocess_handler`` is given for captures.
#
# Its attributes are those that the originals documented, with two additions:
# ``event_metadata.inference_id``
# and ``event_metadata.inference_time``. The form of 2019, ``record.event_data.endpointInput``, works too.


_PARTS = {
    "endpoint_input": "endpointInput",
    "endpoint_output": "endpointOutput",
    "batch_transform_input": "batchTransformInput",
    "batch_transform_output": "batchTransformOutput",
}


class CapturedPart:
    """One payload: a request, a response, or a label.

    Attributes are those of the JSON: `encoding`, `data`, `observedContentType` and `mode`, None where
    absent. They may be assigned to.
    """

    __slots__ = ("_fields", "encoding", "data", "observedContentType", "mode")  # noqa: RUF023 - the JSON's order

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        for name in self.__slots__[1:]:
            setattr(self, name, fields.get(name))

    def as_dict(self) -> dict[str, Any]:
        """Return the payload as in the JSON, with what was assigned."""
        for name in self.__slots__[1:]:
            value = getattr(self, name)
            if value is not None or name in self._fields:
                self._fields[name] = value
        return self._fields

    def __str__(self) -> str:
        return str(self.as_dict())


class InferenceRecord:
    """One captured call.

    Attributes
    ----------
    endpoint_input, endpoint_output, batch_transform_input, batch_transform_output, ground_truth
        `CapturedPart`, or None where absent.
    event_metadata
        Which call it is of: `event_id`, `event_time`, `custom_attribute`, `inference_id`, `inference_time`;
        None where absent.
    event_version
        As captured.
    event_dict
        The parsed JSON of the record.
    event_data
        The payloads by their names in the JSON, as in 2019: ``event_data.endpointInput.data``.
    """

    def __init__(self, event: dict[str, Any]) -> None:
        self.event_dict = event
        metadata = event.get("eventMetadata")
        told = metadata if isinstance(metadata, dict) else {}
        self.event_metadata = types.SimpleNamespace(
            event_id=told.get("eventId"),
            event_time=told.get("eventTime", told.get("inferenceTime")),
            custom_attribute=told.get("customAttributes"),
            inference_id=told.get("inferenceId"),
            inference_time=told.get("inferenceTime"),
        )
        self.event_version = event.get("eventVersion")
        for attribute, name in _PARTS.items():
            setattr(self, attribute, _part(event["captureData"], name))
        self.ground_truth = _part(event, GROUND_TRUTH)

    @property
    def event_data(self) -> types.SimpleNamespace:
        """Return the payloads by their names in the JSON."""
        parts = {name: getattr(self, attribute) for attribute, name in _PARTS.items()}
        return types.SimpleNamespace(**parts, groundTruthData=self.ground_truth)

    def as_dict(self) -> dict[str, Any]:
        """Write what was assigned to the payloads back into `event_dict`, and return it."""
        captured = self.event_dict.get("captureData")
        if not isinstance(captured, dict):
            captured = self.event_dict["captureData"] = {}
        parts = [(captured, name, getattr(self, attribute)) for attribute, name in _PARTS.items()]
        for fields, name, part in (*parts, (self.event_dict, GROUND_TRUTH, self.ground_truth)):
            if part is not None:
                fields[name] = part.as_dict()
            else:
                fields.pop(name, None)
        return self.event_dict

    def __str__(self) -> str:
        return orjson.dumps(self.as_dict(), default=str).decode()


def _part(fields: dict[str, Any], name: str) -> CapturedPart | None:
    found = fields.get(name)
    return CapturedPart(found) if isinstance(found, dict) else None


# What a user's ``preprocess_handler`` returned, gathered and made columns.


class UnusableResultError(ValueError):
    """The handler returned something that is no row; the message says what, and what to return."""


class Gathered:
    """Rows of one block: mappings, lines of CSV, and records to be parsed as without a script.

    Parameters
    ----------
    request
        What is read, for names, columns to leave out, and whether cells stay text.
    decoder
        For records that are returned as they are; captures only.
    """

    def __init__(self, request: Dataset, decoder: Decoder) -> None:
        self._request = request
        self._decoder = decoder
        self.awaits_header = request.format.kind == "csv" and request.format.header
        self._parser = decoder.parser()
        self._mappings: list[dict[str, Any]] = []
        self._records: list[bytes] = []
        self._lines: list[list[str | None]] = []
        self._header: list[str] | None = None
        self.without_row = 0

    def add_header(self, text: str) -> None:
        """Set the names of the cells in the lines that follow."""
        [names] = csv_rows(text)[:1]
        self._header = [str(name or f"_c{position}") for position, name in enumerate(names)]

    def add(self, result: Any) -> None:
        """Add what the handler returned.

        Raises
        ------
        UnusableResultError
            When it is none of the documented kinds.
        """
        if isinstance(result, InferenceRecord):
            self._records.append(orjson.dumps(result.as_dict(), default=str) + b"\n")
        elif isinstance(result, Mapping):
            if isinstance(result.get("captureData"), dict) and self._decoder.sides:
                self._records.append(orjson.dumps(dict(result), default=str) + b"\n")
            else:
                self._mappings.append({str(key): result[key] for key in sorted(result, key=str)})
        elif isinstance(result, list | tuple):
            for row in result:
                if not isinstance(row, Mapping | InferenceRecord):
                    raise UnusableResultError(wording("script_rows.list", kind=type(row).__name__))
                self.add(row)
        elif isinstance(result, str) and self._request.format.kind in ("csv", "json"):
            self._add_text(result)
        else:
            kind = "None" if result is None else f"a value of type {type(result).__name__}"
            raise UnusableResultError(wording("script_rows.value", kind=kind))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows gathered so far, and forget them."""
        if self._mappings:
            yield self._named_batch()
        if self._lines:
            yield self._cell_batch()
        if self._records:
            data = b"".join(self._records)
            block = LineBlock((Segment("the records that the script returned", 0, data),), data)
            envelope = open_envelope(block, self._decoder.sides, labels=self._request.labels)
            yield table_of(envelope, self._decoder, self._parser, Notes())
        self._mappings, self._lines, self._records = [], [], []

    def _add_text(self, text: str) -> None:
        if self._request.format.kind == "csv":
            self._lines += csv_rows(text)
            return
        try:
            value = loads(text)
        except ValueError:
            raise UnusableResultError("returned text that is no JSON; return a dict, or the line") from None
        if not isinstance(value, Mapping):
            raise UnusableResultError("returned JSON that is no object; return a dict, or the line")
        self._mappings.append(dict(value))

    def _named_batch(self) -> pa.RecordBatch:
        batch = rows_to_batch(self._mappings, text_only=self._request.text_only)
        # Keys are sorted as text: that is the order scripts were written for.
        names, baseline = sorted(batch.schema.names), list(self._request.column_names or ())
        batch = batch.select(names)
        if baseline and len(baseline) == len(names) and not set(baseline).intersection(names):
            batch, names = batch.rename_columns(baseline), baseline
        excluded = excluded_positions(names, self._request.exclude)
        return batch.select([position for position in range(len(names)) if position not in excluded])

    def _cell_batch(self) -> pa.RecordBatch:
        width = max(len(line) for line in self._lines)
        if self._header is None:
            names, excluded = positional_names(width, self._request)
        else:
            names = self._header + [f"_c{position}" for position in range(len(self._header), width)]
            excluded = excluded_positions(names, self._request.exclude)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(line + [None] * (len(names) - len(line)) for line in self._lines)
        self._parser.excluded = [names[position] for position in excluded]
        columns = self._parser(text.getvalue().encode(), names, len(self._lines))
        metadata = POSITIONAL if self._header is None else None
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns), metadata=metadata)


# Between record batches and pandas data frames, for scripts that work on whole columns.
#
# pandas is imported here and nowhere else, and only when a script asks for it.


def apply_dataframe(preprocessor: Preprocessor, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return what `preprocess_dataframe` makes of the batch, given to it as a DataFrame.

    Parameters
    ----------
    batch
        Flat columns. Text arrives as objects, whole numbers with missing values as floats.

    Returns
    -------
    Flat columns; the metadata of `batch` when the names are unchanged.

    Raises
    ------
    ScriptError
        When pandas is not installed, the function fails, or it returns something else than a DataFrame
        with distinct column names and representable values.
    """
    with ScriptError.instead_of("script_rows.no_pandas", ImportError, file=preprocessor.path):
        import pandas as pd
    script = preprocessor.path
    # Dictionaries as text: a script expects to compare and change text freely.
    is_coded = pa.types.is_dictionary
    plain = [column.cast(pa.string()) if is_coded(column.type) else column for column in batch.columns]
    frame = pa.RecordBatch.from_arrays(plain, names=batch.schema.names).to_pandas()
    handler = scripts.handler_of(preprocessor)
    with scripts.script_lock:
        result = scripts.call_script(script, preprocessor.function, handler, frame)
    if not isinstance(result, pd.DataFrame):
        kind = "None" if result is None else f"a {type(result).__name__}"
        raise ScriptError.of("script_rows.no_frame", file=script, kind=kind)
    with ScriptError.instead_of("script_rows.frame_value", DatasetError, file=script):
        flat = _flat(result, batch, script)
    notice("reading.script", max(0, batch.num_rows - flat.num_rows))
    for name in filter(None, result.index.names):
        notice("reading.frame_index", field=str(name))
    same_names = flat.schema.names == batch.schema.names
    return flat.replace_schema_metadata(batch.schema.metadata) if same_names else flat


def _flat(result: Any, before: pa.RecordBatch, script: str) -> pa.RecordBatch:
    """Return the columns of a data frame, flat, with the types they had where they still fit."""
    names = [str(name) for name in result.columns]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ScriptError.of("script_rows.frame_twice", file=script, field=repeated)
    if not names:
        return rows_to_batch([{}] * len(result))
    columns = [_frame_column(name, result.iloc[:, position], before) for position, name in enumerate(names)]
    return flatten_batch(pa.RecordBatch.from_arrays(columns, names=names))


def _frame_column(name: str, values: Any, before: pa.RecordBatch) -> pa.Array:
    try:
        array = pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # Objects of several kinds: numbers beside text, lists beside None, ...
        batch = rows_to_batch([{name: value} for value in values.tolist()])
        if batch.schema.names == [name]:
            return batch.column(0)
        return column_of(name, [None if value is None else str(value) for value in values.tolist()])
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    known = before.schema.get_field_index(name)
    return like_first(array, None if known < 0 else before.schema.types[known])


# Python objects take ten times the room of the text they are read from.
_BLOCK_SIZE = 8 << 20
_PARQUET_ROWS = 16_384
_CAPTURES = ("sagemakerCaptureJson", "sagemakerMergeJson")


class Place(NamedTuple):
    """Where a record comes from, for messages."""

    path: str
    row: int
    record: Any

    def where(self) -> str:
        """Return the place and the beginning of the record."""
        return f"{self.path} row {self.row}: {str(self.record)[:80]!r}"


def read_records(
    pieces: Pieces, request: Dataset, preprocessor: Preprocessor, decoder: Decoder, index: LabelIndex | None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that ``preprocess_handler`` makes of some files, or of a byte range of one.

    Raises
    ------
    ScriptError
        Naming the line in the script, and file and line of the record.
    DatasetError
        When a record cannot be read.
    """
    captures, handler = request.format.kind in _CAPTURES, scripts.handler_of(preprocessor)
    # Header rows and arrays belong to one file; capture files are many and small.
    for together in (pieces,) if captures else ((piece,) for piece in pieces):
        gathered = Gathered(request, decoder)
        for chunk in _chunks(together, request, index):
            # A script keeps its own state; only one thread at a time may be in it.
            with scripts.script_lock:
                for record, place in chunk:
                    _handle(preprocessor, handler, record, place, gathered)
            try:
                yield from gathered.batches()
            except (DatasetError, CellsError) as problem:
                text = f"returned text that is no CSV: {problem}"
                if isinstance(problem, DatasetError):
                    text = f"returned rows that do not fit: {problem.message.rstrip('.')}"
                where = f"records of {splitting.label(together)}"
                raise scripts.reject_result(preprocessor, text, where) from problem
        notice("reading.script", gathered.without_row)


def _chunks(
    pieces: Pieces, request: Dataset, index: LabelIndex | None
) -> Iterator[Iterable[tuple[Any, Line | Place]]]:
    """Yield what the script is called with, and where each is from."""
    kind = request.format.kind
    if kind == "parquet":
        from readers.parquet import parquet_rows

        path, number = pieces[0].path, 1
        for rows in parquet_rows(path, _PARQUET_ROWS):
            yield [(row, Place(path, at, row)) for at, row in enumerate(rows, number)]
            number += len(rows)
        return
    if kind in _CAPTURES:
        for envelope in envelopes(pieces, (), request.window, index, labels=False, size=_BLOCK_SIZE):
            yield _captured(envelope, index)
        return
    for block in splitting.blocks_of_lines(pieces, size=_BLOCK_SIZE):
        if kind == "json" and block.segments[0].offset == 0 and block.data.lstrip()[:1] == b"[":
            yield _array_records(pieces[0].path)
            return
        yield ((_text(line), line) for line in block.lines())


def _captured(envelope: Envelope, index: LabelIndex | None) -> Iterator[tuple[InferenceRecord, Line]]:
    """Yield the records of an envelope, with the labels that the index has for them."""
    lines = {line.number: line for line in envelope.block.lines()}
    labels = [None] * len(envelope) if index is None else index.take(index.find(envelope.ids)).to_pylist()
    for number, label in zip(envelope.numbers.tolist(), labels, strict=True):
        record = record_of_line(lines[number])
        if label is not None:
            record[GROUND_TRUTH] = label
        yield InferenceRecord(record), lines[number]


def _handle(
    preprocessor: Preprocessor, handler: scripts.Handler, record: Any, place: Line | Place, gathered: Gathered
) -> None:
    path, function = preprocessor.path, preprocessor.function
    result = scripts.call_script(path, function, handler, record, where=place.where)
    try:
        if gathered.awaits_header:
            gathered.awaits_header = False
            gathered.add_header(record)
            if isinstance(result, str):
                gathered.add_header(result)
                return
        gathered.add(result)
        gathered.without_row += not result and isinstance(result, list | tuple | str)
    except UnusableResultError as problem:
        raise scripts.reject_result(preprocessor, str(problem), place.where()) from None
    except DatasetError as problem:
        raise DatasetError.of("script_rows.record", error=problem, place=place.where()) from None


def record_splits(
    files: Sequence[SourceFile], request: Dataset, preprocessor: Preprocessor, index: LabelIndex | None
) -> tuple[FileSplit, ...]:
    """Divide files whose records pass through a script into splits.

    Parameters
    ----------
    files
        In path order.
    request
        What is read.
    preprocessor
        Of the kind ``"record"``.
    index
        Labels to join with captures, before the script sees them.
    """
    if request.format.kind in _CAPTURES:
        decoder, divided = survey(files, request), splitting.divide(files, may_cut=splitting.has_lines)
        request.said.call_rows = decoder.call_rows
    else:
        # Header rows, arrays and Parquet's footer belong to the whole file.
        decoder, divided = Decoder((), text_only=request.text_only), splitting.divide(files)
    read = functools.partial(
        read_records, request=request, preprocessor=preprocessor, decoder=decoder, index=index
    )
    return tuple(FileSplit(pieces, read) for pieces in divided)


def _text(line: Line) -> str:
    try:
        return line.data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise DatasetError.of("data_files.utf8", **line.members()) from None


def _array_records(path: str) -> Iterator[tuple[Any, Place]]:
    with DatasetError.instead_of("json_files.no_array", orjson.JSONDecodeError, file=path):
        items = orjson.loads(read_bytes(path))
    for number, item in enumerate(items, 1):
        text = orjson.dumps(item).decode()
        yield text, Place(path, number, text)
