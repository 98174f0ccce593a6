"""Logs of other servers, read as captures: request and response of a call are found by its id.

Each server writes calls into an envelope of its own. Here these become capture records, so that everything
else (rows of calls, paths, labels, windows, scripts) is as for captures. Names of members come from the
servers' sources: KServe's logger (its events, and what it stores in buckets), MLServer and Seldon, BentoML's
monitoring, inference tables of Databricks, the data collector of Azure Machine Learning, Triton's trace.
"""

import base64
import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from contract.dataset import GROUND_TRUTH, Dataset, notice
from contract.errors import DatasetError, topic
from contract.window import parse_instant
from contract.wording import some_of
from file_storage.storage import SourceFile, open_random, read_bytes
from readers.flatten import json_text, loads, scalar_text
from readers.parquet import parquet_rows
from readers.splitting import FileRange, LineBlock, LogFiles, Segment, first_bytes, gathered, line_blocks

SERVERS = topic("inference_servers")
_FILES_LOOKED_AT = 3
_BATCH = 1024
_BEGINNING = 1 << 16
# What tells the files of requests from those of responses.
_SIDE = re.compile(r"(?i)request|response|input|output")
# Members of BentoML's records that are no columns.
_BENTOML = ("timestamp", "request_id", "trace_id")
_DATABRICKS = {"databricks_request_id", "request", "response"}
_KSERVE_TABLE = {"bytes", "reqType", "id"}
_REQUEST, _RESPONSE = "endpointInput", "endpointOutput"
# Python's values of the types of tensors, by how their names begin.
_CELLS: dict[str, Callable[[str], Any]] = {"INT": int, "UINT": int, "FP": float, "BF": float}
_CELLS["BOOL"] = lambda cell: cell.strip() in ("1", "true")
_TENSORS = {"TENSOR_QUEUE_INPUT": (_REQUEST, "inputs"), "TENSOR_BACKEND_OUTPUT": (_RESPONSE, "outputs")}

Record = dict[str, Any]


class Place(NamedTuple):
    """Where a record was found: its file, and its line or row from 1."""

    path: str
    line: int


@dataclass
class Half:
    """A request or a response, or both of a call that its server writes as one record.

    Parameters
    ----------
    key
        What the halves of a call have in common.
    parts
        Payloads by the names that captures have for them.
    identifiers
        ``inferenceId`` and ``eventId``, None where there is none.
    """

    key: tuple[str, ...]
    parts: dict[str, dict[str, str]]
    identifiers: tuple[str | None, str | None]
    time: str | None
    place: Place
    label: Any = None


def _find_server(files: Sequence[SourceFile]) -> str | None:
    for file in files[:_FILES_LOOKED_AT]:
        if (record := _first_record(file.path)) is not None:
            return _server_of(record)
    return None


def log_of(files: Sequence[SourceFile], request: Dataset) -> LogFiles | None:
    """Return files as the log of the server that wrote them, by their first records; None for captures.

    Raises
    ------
    DatasetError
        When the format names a server, and it was another one, or none.
    """
    server, asked = _find_server(files), request.format.server
    if server is None or asked not in (None, "auto", server):
        if asked is None:
            return None
        what = "no log of a server that is known" if server is None else f"the log of {SERVERS[server]}"
        about = {"what": what, "server": asked, "known": ", ".join(SERVERS)}
        raise DatasetError.of("inference_logs.other_server", file=files[0].path, **about)
    said = request.said
    kept = list(files)
    if server == "azureml" and any("/model_inputs/" in file.path for file in files):
        # The same calls twice: as they were sent, and as the script collected them.
        kept = [file for file in files if "/request/" not in file.path and "/response/" not in file.path]
        if len(kept) < len(files):
            said.say("reading.collected")
    said.say("reading.server", server=SERVERS[server])
    size, paths = sum(file.size for file in kept), tuple(file.path for file in kept)
    return LogFiles(request.source, size, capture_blocks, paths, server)


def refuse_log(files: Sequence[SourceFile], kind: str) -> None:
    """Make sure that files to be read as a table are no log of a server.

    Raises
    ------
    DatasetError
        Naming the file, the server, and the format to give.
    """
    if (server := _find_server(files)) is not None:
        said = {"title": SERVERS[server], "kind": kind, "server": server}
        raise DatasetError.of("inference_logs.as_table", file=files[0].path, **said)


def capture_blocks(log: LogFiles, size: int) -> Iterator[LineBlock]:
    """Yield the calls of a log as capture records, in blocks of about `size` bytes.

    Only halves of calls whose other half has not come yet are kept in memory.

    Raises
    ------
    DatasetError
        Naming file and line of what is no record of the server.
    """
    calls = ((call.place, _capture(call)) for call in _calls(log))
    for lines in gathered(calls, lambda line: len(line[1]), size // 2):
        segments = []
        for path, group in itertools.groupby(lines, key=lambda line: line[0].path):
            places, data = zip(*group, strict=True)
            segments.append(Segment(path, 0, b"".join(data), tuple(place.line for place in places)))
        yield LineBlock(tuple(segments), b"".join(line for _, line in lines))


def _calls(log: LogFiles) -> Iterator[Half]:
    """Yield calls, paired by their ids, in the order in which they are complete."""
    halves: dict[tuple[str, ...], Half] = {}
    paired = 0
    for half in _HALVES.get(log.server, _events)(log):
        if half.parts.keys() >= {_REQUEST, _RESPONSE} or log.server == "bentoml":
            paired += 1
            yield half
            continue
        other = halves.pop(half.key, None)
        if other is None:
            halves[half.key] = half
        elif other.parts.keys() == half.parts.keys():
            notice("reading.repeated")  # brokers may deliver an event twice
            halves[half.key] = other
        else:
            paired += 1
            first, second = (other, half) if _REQUEST in other.parts else (half, other)
            first.parts |= second.parts
            first.time = first.time or second.time
            yield first
    sides = {side for half in halves.values() for side in half.parts}
    if not paired and len(sides) == 1:
        yield from halves.values()  # only requests, or only responses, are logged
    else:
        for half in halves.values():
            notice("reading.unpaired", side="request" if _REQUEST in half.parts else "response")


def _capture(call: Half) -> bytes:
    inference_id, event_id = call.identifiers
    metadata = {"inferenceId": inference_id, "eventId": event_id, "inferenceTime": call.time}
    known = {name: value for name, value in metadata.items() if value is not None}
    record: Record = {"eventMetadata": known, "captureData": call.parts}
    if call.label is not None:
        record[GROUND_TRUTH] = {"data": scalar_text(GROUND_TRUTH, call.label) or "", "encoding": "CSV"}
    return json_text(record).encode(errors="replace") + b"\n"


def _part(payload: Any) -> dict[str, str]:
    """Return a payload as captures write it; text is what was on the wire, anything else a JSON value."""
    if not isinstance(payload, str):
        text, encoding = json_text(payload), "JSON"
    else:
        text, encoding = payload, "JSON" if payload.lstrip()[:1] in ("{", "[") else "CSV"
    return {"data": text, "encoding": encoding, "mode": "INPUT"}


# Records: objects of JSON, one per line or in an array, and rows of Parquet.


def _records(path: str) -> Iterator[tuple[Record, Place]]:
    for number, item in _items(path):
        place = Place(path, number)
        if not isinstance(item, dict):
            raise _no_call(place, "it is not one whole JSON object")
        yield item, place


def _items(path: str) -> Iterator[tuple[int, Any]]:
    """Yield rows, elements of an array, or what is on each line, with their numbers from 1."""
    beginning = first_bytes(path, _BEGINNING)
    if beginning.startswith(b"PAR1"):
        yield from enumerate(itertools.chain.from_iterable(parquet_rows(path, _BATCH)), 1)
        return
    if beginning.lstrip().startswith(b"["):
        with DatasetError.instead_of("inference_logs.array", ValueError, file=path):
            items = loads(read_bytes(path))
        yield from enumerate(items, 1)
        return
    blocks = (block.data.removesuffix(b"\n") for block in line_blocks(FileRange(path)))
    for number, line in enumerate((line for block in blocks for line in block.split(b"\n")), 1):
        if line and not line.isspace():
            item = None
            with contextlib.suppress(ValueError):
                item = loads(line)
            yield number, item


def _in_turn(paths: Sequence[str]) -> Iterator[tuple[Record, Place]]:
    """Yield the records of files; where requests and responses are in files of their own, by turns.

    Halves of a call then need not wait long for each other.
    """
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault((_SIDE.findall(path) or [""])[-1], []).append(path)
    turns = [itertools.chain.from_iterable(map(_records, group)) for group in groups.values()]
    return (record for turn in itertools.zip_longest(*turns) for record in turn if record is not None)


def _no_call(place: Place, reason: str) -> DatasetError:
    return DatasetError.of("inference_logs.no_call", file=place.path, line=place.line, reason=reason)


def _first_record(path: str) -> Record | None:
    text = first_bytes(path, _BEGINNING)
    if text.startswith(b"PAR1"):
        # Reading in earnest reports what is wrong.
        with contextlib.suppress(OSError, ValueError, NotImplementedError), open_random(path) as source:
            return dict.fromkeys(pq.ParquetFile(source).schema_arrow.names)
        return None
    if text.startswith(b"{") and b"\n" not in text:
        with contextlib.suppress(DatasetError):  # a line too long; reading in earnest reports it
            text = next(line_blocks(FileRange(path), size=_BEGINNING)).data
    try:
        # An array may be long; its first object is enough.
        start = text.decode(errors="replace").lstrip("\ufeff \t\r\n").removeprefix("[").lstrip()
        value, _ = json.JSONDecoder().raw_decode(start)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _server_of(record: Record) -> str | None:
    names = record.keys()
    if names >= _DATABRICKS:
        return "databricks"
    if names >= _KSERVE_TABLE:
        return "kserve"
    if _attributes(record) is not None:
        kind = str((_attributes(record) or {}).get("type", ""))
        if kind.startswith("azureml."):
            return "azureml"
        if ".inference." in kind:
            return "mlserver" if "parameters" in names else "kserve"
        return None
    has_roles = {"columns", "meta_data"} <= names and "bento_name" in _of(record, "meta_data")
    if has_roles or names >= set(_BENTOML):
        return "bentoml"
    if {"id", "model_name", "model_version"} <= names and "inputs" not in names and "outputs" not in names:
        return "triton"
    return "triton" if {"id", "activity", "tensor"} <= names else None


def _of(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _attributes(record: Record) -> dict[str, Any] | None:
    """Return the attributes of an event: members of it, or headers of the request that brought it."""
    if "specversion" in record and "type" in record:
        return record
    headers = _of(record, "headers") or _of(_of(record, "parameters"), "headers")
    found = {str(name).casefold(): value for name, value in headers.items()}
    if "ce-type" not in found:
        return None
    return {name.removeprefix("ce-"): value for name, value in found.items()}


# What each server writes.


def _events(log: LogFiles) -> Iterator[Half]:
    """CloudEvents of KServe, Seldon, MLServer and Azure, and KServe's files of one event each."""
    seen = set()
    for record, place in _in_turn(log.files):
        if record.keys() >= _KSERVE_TABLE:
            attributes = {**record, "type": record["reqType"], "time": record.get("occurrenceTime")}
            attributes["inferenceservicename"] = record.get("inferenceService")
            payload: Any = _decoded(record["bytes"], place)
        elif (found := _attributes(record)) is not None:
            attributes, payload = found, _payload(record, place)
        else:
            raise _no_call(place, "it has no type of an event")
        kind = str(attributes["type"]).rpartition(".")[2]
        if kind.endswith(("request", "inputs")):
            side = _REQUEST
        elif kind.endswith(("response", "outputs")):
            side = _RESPONSE
        else:
            notice("reading.event", kind=str(attributes["type"]))
            continue
        if payload is None:  # Azure stores large ones elsewhere
            notice("reading.failed")
            continue
        names = ("xrequestid", "correlationid") if log.server == "azureml" else ("requestid", "id")
        identifier = next((str(attributes[name]) for name in names if attributes.get(name)), None)
        if identifier is None:
            raise _no_call(place, f"it has none of {' and '.join(names)}")
        # A transformer and its predictor log the same id.
        members = ("namespace", "inferenceservicename", "component")
        whose = tuple(str(attributes.get(name) or "") for name in members)
        seen.add(whose)
        time = attributes.get("time")
        yield Half((identifier, *whose), {side: _part(payload)}, (identifier, None), _time(time), place)
    _say_services("/".join(whose) for whose in seen)


def _say_services(names: Iterable[str]) -> None:
    distinct = sorted({*names} - {""})
    notice("reading.services", int(len(distinct) > 1), names=some_of(distinct))


def _payload(record: Record, place: Place) -> Any:
    if "data_base64" in record:
        return _decoded(record["data_base64"], place)
    if "parameters" in record:  # the message of MLServer is the body; headers are no part of it
        return {name: value for name, value in record.items() if name != "parameters"}
    return record.get("data", record.get("body"))


def _decoded(text: Any, place: Place) -> str:
    with contextlib.suppress(ValueError, TypeError):
        return (text if isinstance(text, bytes) else base64.b64decode(text or "")).decode()
    raise _no_call(place, "its payload is no text in base64")


def _databricks(log: LogFiles) -> Iterator[Half]:
    served = set()
    for row, place in itertools.chain.from_iterable(map(_records, log.files)):
        identifier = row.get("databricks_request_id")
        # Text or a float, as exports write it.
        status = str(row.get("status_code") or 200).removesuffix(".0")
        if status != "200" or row.get("request") is None or row.get("response") is None:
            notice("reading.failed")
            continue
        about = row.get("request_metadata")  # an object of JSON, or a map of Parquet
        about = dict(about) if isinstance(about, dict | list) else {}
        names = (about.get("model_name"), about.get("model_version"), row.get("served_entity_id"))
        served.add(" ".join(filter(None, names)))
        client = row.get("client_request_id")
        time = row.get("request_time", row.get("timestamp_ms"))
        parts = {_REQUEST: _part(row["request"]), _RESPONSE: _part(row["response"])}
        yield Half((str(identifier),), parts, (client or None, identifier), _time(time), place)
    _say_services(served)


def _bentoml(log: LogFiles) -> Iterator[Half]:
    """Rows; the roles of their columns are in a file of their own."""
    roles: dict[str, str] = {}
    rows: list[str] = []
    for path in log.files:
        first = _first_record(path)
        if first is not None and "columns" in first and "meta_data" in first:
            roles |= {str(column["name"]): str(column["role"]) for column in first["columns"]}
        else:
            rows.append(path)
    if not roles:
        notice("reading.roles")
    sides = {"prediction": _RESPONSE, "target": GROUND_TRUTH}
    for row, place in itertools.chain.from_iterable(map(_records, rows)):
        parts: dict[str, dict[str, Any]] = {_REQUEST: {}, _RESPONSE: {}, GROUND_TRUTH: {}}
        for name, value in row.items():
            if name not in _BENTOML:
                parts[sides.get(roles.get(name, ""), _REQUEST)][name] = value
        label = next(iter(parts.pop(GROUND_TRUTH).values()), None)
        identifier = None if row.get("request_id") is None else str(row["request_id"])
        payloads = {side: _part(part) for side, part in parts.items() if part}
        yield Half((), payloads, (identifier, None), _time(row.get("timestamp")), place, label)


def _triton(log: LogFiles) -> Iterator[Half]:
    """Tensors of a request one by one, after a record that names the request."""
    served = set()
    for path in log.files:
        calls: dict[Any, Half] = {}
        tensors: dict[Any, dict[str, Record]] = {}
        for record, place in _records(path):
            number = record.get("id")
            if "model_name" in record and "parent_id" not in record:  # a step of an ensemble has a parent
                identifier = str(record.get("request_id") or "") or None
                served.add(f"{record['model_name']} {record.get('model_version', '')}")
                calls[number] = Half((path, str(number)), {}, (identifier, None), None, place)
            side, members = _TENSORS.get(str(record.get("activity")), ("", ""))
            if number in calls and side and isinstance(record.get("tensor"), dict):
                body = tensors.setdefault(number, {}).setdefault(side, {members: []})
                body[members].append(_tensor(record["tensor"], place))
        for number, bodies in tensors.items():
            calls[number].parts = {side: _part(body) for side, body in bodies.items()}
            yield calls[number]
    _say_services(served)


def _tensor(tensor: Record, place: Place) -> Record:
    kind = str(tensor.get("dtype"))
    try:
        shape = [int(size) for size in str(tensor["shape"]).split(",")]
        convert = next((convert for start, convert in _CELLS.items() if kind.startswith(start)), str)
        cells = list(map(convert, str(tensor["data"]).split(",")))
    except (KeyError, ValueError):
        raise _no_call(place, "its tensor cannot be read") from None
    return {"name": str(tensor.get("name")), "shape": shape, "datatype": kind, "data": cells}


def _time(value: Any) -> str | None:
    """Return a time as captures write it: of ISO 8601, a timestamp, or milliseconds since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = datetime.fromtimestamp(value / 1000, UTC)
    instant = parse_instant(value.isoformat() if isinstance(value, datetime) else value)
    return None if instant is None else instant.isoformat()


# How servers log that write no events.
_HALVES = {"bentoml": _bentoml, "databricks": _databricks, "triton": _triton}
