"""The record object that a user's ``preprocess_handler`` is given for captures.

Its attributes are those that the originals documented, with two additions: ``event_metadata.inference_id``
and ``event_metadata.inference_time``. The form of 2019, ``record.event_data.endpointInput``, works too.
"""

from __future__ import annotations

import types
from typing import Any

import orjson

_PARTS = {
    "endpoint_input": "endpointInput",
    "endpoint_output": "endpointOutput",
    "batch_transform_input": "batchTransformInput",
    "batch_transform_output": "batchTransformOutput",
}
_GROUND_TRUTH = "groundTruthData"


class CapturedPart:
    """One payload: a request, a response, or a label.

    Attributes are those of the JSON: `encoding`, `data`, `observedContentType` and `mode`, None where
    absent. They may be assigned to.
    """

    __slots__ = ("_fields", "data", "encoding", "mode", "observedContentType")

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self.encoding = fields.get("encoding")
        self.data = fields.get("data")
        self.observedContentType = fields.get("observedContentType")
        self.mode = fields.get("mode")

    def as_dict(self) -> dict[str, Any]:
        """Return the payload as in the JSON, with what was assigned."""
        for name in ("encoding", "data", "observedContentType", "mode"):
            value = getattr(self, name)
            if value is not None or name in self._fields:
                self._fields[name] = value
        return self._fields

    def __str__(self) -> str:
        return str(self.as_dict())


class EventMetadata:
    """Which call a record is of; None where absent."""

    __slots__ = ("custom_attribute", "event_id", "event_time", "inference_id", "inference_time")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.event_id = fields.get("eventId")
        self.event_time = fields.get("eventTime", fields.get("inferenceTime"))
        self.custom_attribute = fields.get("customAttributes")
        self.inference_id = fields.get("inferenceId")
        self.inference_time = fields.get("inferenceTime")


class InferenceRecord:
    """One captured call.

    Attributes
    ----------
    endpoint_input, endpoint_output, batch_transform_input, batch_transform_output, ground_truth
        `CapturedPart`, or None where absent.
    event_metadata
        `EventMetadata`.
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
        self.event_metadata = EventMetadata(metadata if isinstance(metadata, dict) else {})
        self.event_version = event.get("eventVersion")
        captured = event.get("captureData")
        captured = captured if isinstance(captured, dict) else {}
        self.endpoint_input = _part(captured, "endpointInput")
        self.endpoint_output = _part(captured, "endpointOutput")
        self.batch_transform_input = _part(captured, "batchTransformInput")
        self.batch_transform_output = _part(captured, "batchTransformOutput")
        self.ground_truth = _part(event, _GROUND_TRUTH)

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
        for attribute, name in _PARTS.items():
            _write_back(captured, name, getattr(self, attribute))
        _write_back(self.event_dict, _GROUND_TRUTH, self.ground_truth)
        return self.event_dict

    def __str__(self) -> str:
        return orjson.dumps(self.as_dict(), default=str).decode()


def _part(fields: dict[str, Any], name: str) -> CapturedPart | None:
    found = fields.get(name)
    return CapturedPart(found) if isinstance(found, dict) else None


def _write_back(fields: dict[str, Any], name: str, part: CapturedPart | None) -> None:
    if part is not None:
        fields[name] = part.as_dict()
    else:
        fields.pop(name, None)
