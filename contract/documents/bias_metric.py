"""One metric of bias as the documents hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from contract.documents.analysis import number_to_json, read_number
from contract.documents.fields import Fields, in_order
from contract.errors import DocumentError


@dataclass
class MetricValue:
    """One metric of one facet value.

    Parameters
    ----------
    name, description
        Such as ``DPL`` and its sentence.
    value
        May be infinite; None when undefined, for the reason in `error`.
    confidence_interval, standard_error
        Of the value; on a ratio's own scale. None where there is none.
    allowed, threshold
        What a user allows: a range that the value must not leave, the size it must not exceed.
    """

    name: str
    description: str
    value: float | None
    error: str | None = None
    confidence_interval: tuple[float, float] | None = None
    standard_error: float | None = None
    allowed: tuple[float, float] | None = None
    threshold: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


def read_metric(fields: Fields) -> MetricValue:
    """Build one metric from JSON."""
    return MetricValue(
        name=fields.get("name", str),
        description=fields.get("description", str, ""),
        value=read_number(fields, "value"),
        error=fields.get("error", str, None),
        confidence_interval=_read_range(fields, "confidence_interval"),
        standard_error=read_number(fields, "standard_error"),
        allowed=_read_range(fields, "allowed"),
        threshold=read_number(fields, "threshold"),
        extra=fields.extra(),
        order=fields.order(),
    )


def _read_range(fields: Fields, key: str) -> tuple[float, float] | None:
    member = fields.get(key, list, None)
    if member is None:
        return None
    where = f"{fields.where}.{key}"
    ends = [read_number(Fields({"end": end}, where), "end") for end in member]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        raise DocumentError(f"{where} must be two numbers, the lower end first, but is {member}.")
    return ends[0], ends[1]


def metric_to_json(metric: MetricValue, with_extensions: bool = True) -> dict[str, Any]:
    """Return one metric as JSON values; without extensions only the members that Clarify writes."""
    members: dict[str, Any] = {
        "name": metric.name,
        "description": metric.description,
        "value": number_to_json(metric.value),
    }
    if metric.error is not None:
        members["error"] = metric.error
    if not with_extensions:
        return in_order(members, {}, metric.order)
    for key, ends in (("confidence_interval", metric.confidence_interval), ("allowed", metric.allowed)):
        if ends is not None:
            members[key] = [number_to_json(end) for end in ends]
    for key, number in (("standard_error", metric.standard_error), ("threshold", metric.threshold)):
        if number is not None:
            members[key] = number_to_json(number)
    return in_order(members, metric.extra, metric.order)
