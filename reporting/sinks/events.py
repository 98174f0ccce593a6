"""Violations as an event: CloudEvents 1.0 in structured JSON, or an entry of an EventBridge bus.

Both carry the same ``data``. Its size is limited, so that every bus takes it: violations that do not fit are
left out from the end, ``violations_left_out`` counts them, and ``report`` names the file with all of them.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from contract.schema import write_document
from contract.sink_addresses import SinkAddress
from reporting.history.record import Run
from reporting.sinks import delivery

TYPE = "modelmonitor.violations.found"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
# EventBridge counts an entry's source, type, time and detail; the rest of the event needs room too.
MOST_BYTES = 256 * 1024
_ROOM_FOR_THE_REST = 4 * 1024


def cloud_event(run: Run, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return the event for a run that found violations.

    Its ``id`` is the same whenever the same was found in the same data, so that a receiver can tell an event
    that comes twice.
    """
    subject = run.endpoint or run.schedule
    return {
        "specversion": "1.0",
        "id": run.digest,
        "source": "/".join(["/model-monitor", *(quote(part, safe="") for part in run.labels.values())]),
        "type": TYPE,
        "time": _text(run.finished),
        "datacontenttype": "application/json",
        **({"subject": subject} if subject else {}),
        "data": event_data(run, most_bytes - _ROOM_FOR_THE_REST),
    }


def event_data(run: Run, most_bytes: int) -> dict[str, Any]:
    """Return what happened, with as many violations as fit into `most_bytes` of JSON."""
    violations = list(map(write_document, run.violations or ()))
    data: dict[str, Any] = {
        "monitor": run.monitor,
        "endpoint": run.endpoint,
        "schedule": run.schedule,
        **({"model": run.model} if run.model else {}),
        "window": dict(zip(("start", "end"), map(_text, run.window), strict=True)) if run.window else None,
        "dataset_source": run.dataset_source,
        "output_path": run.output_path,
        "report": f"{run.output_path.rstrip('/')}/constraint_violations.json",
        "rows": run.rows,
        "comparisons_decided": run.decided,
        "comparisons_undecided": run.undecided,
        **({"alert": write_document(run.alert)} if run.alert else {}),
        "violation_count": len(violations),
        "violations_left_out": len(violations),
        "violations": [],
    }
    size = len(_json(data))
    for violation in violations:
        size += len(_json(violation)) + 1
        if size > most_bytes:
            break
        data["violations"].append(violation)
    data["violations_left_out"] -= len(data["violations"])
    return data


def post(address: SinkAddress, event: dict[str, Any], headers: delivery.Headers, timeout: float) -> None:
    """Send the event to an HTTP sink.

    Raises
    ------
    NotDeliveredError
        When it does not take it.
    """
    delivery.send("POST", address.target, _json(event), CONTENT_TYPE, headers, timeout)


def put(address: SinkAddress, event: dict[str, Any], headers: delivery.Headers, timeout: float) -> None:
    """Put the event on an EventBridge bus: type and data become detail type and detail.

    Raises
    ------
    NotDeliveredError
        When EventBridge does not take it.
    """
    entry = {
        "Source": "model-monitor",
        "DetailType": event["type"],
        "Detail": _json({"id": event["id"], **event["data"]}).decode(),
        "EventBusName": address.target,
        "Time": datetime.fromisoformat(event["time"]),
    }
    answer = delivery.call("events", "put_events", {"Entries": [entry]}, timeout)
    if answer.get("FailedEntryCount"):
        failed = answer["Entries"][0]
        code = str(failed.get("ErrorCode", ""))
        again = code in ("InternalFailure", "InternalException", "ThrottlingException")
        raise delivery.NotDeliveredError(f"{code}: {failed.get('ErrorMessage', '')}", again=again)


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
