"""``constraint_violations.json``: what is no longer as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from contract.documents.fields import Fields


class CheckType(StrEnum):
    """The stable reason codes of data-quality violations."""

    DATA_TYPE = "data_type_check"
    COMPLETENESS = "completeness_check"
    CATEGORICAL_VALUES = "categorical_values_check"
    BASELINE_DRIFT = "baseline_drift_check"
    MISSING_COLUMN = "missing_column_check"
    EXTRA_COLUMN = "extra_column_check"


# Members of bias violations that the original file has before others.
_LEADING = ("version",)
_BEFORE_METRIC = ("facet", "facet_value")


@dataclass
class Violation:
    """One violation. Data quality names a feature; model quality names a metric."""

    constraint_check_type: str
    description: str
    feature_name: str | None = None
    metric_name: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """Return what it is about: a feature, or a metric, and whose."""
        subject = self.feature_name or self.metric_name or ""
        if "facet" not in self.extra:
            return subject
        return f"{subject} of {self.extra['facet']} {self.extra.get('facet_value', '')}"


@dataclass
class Violations:
    """The whole document."""

    violations: list[Violation] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def read_violations(value: dict[str, Any], where: str) -> Violations:
    """Build the document from parsed JSON."""
    fields = Fields(value, where)
    members = fields.children("violations")
    return Violations([_read_violation(member) for member in members], fields.extra())


def _read_violation(fields: Fields) -> Violation:
    return Violation(
        constraint_check_type=fields.get("constraint_check_type", str),
        description=fields.get("description", str),
        feature_name=fields.get("feature_name", str, None),
        metric_name=fields.get("metric_name", str, None),
        extra=fields.extra(),
    )


def violations_to_json(document: Violations) -> dict[str, Any]:
    """Return the document as JSON values."""
    first = {key: document.extra[key] for key in _LEADING if key in document.extra}
    return {
        **first,
        "violations": [_to_json(violation) for violation in document.violations],
        **document.extra,
    }


def _to_json(violation: Violation) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if violation.feature_name is not None:
        members["feature_name"] = violation.feature_name
    members["constraint_check_type"] = violation.constraint_check_type
    members["description"] = violation.description
    members |= {key: violation.extra[key] for key in _BEFORE_METRIC if key in violation.extra}
    if violation.metric_name is not None:
        members["metric_name"] = violation.metric_name
    return {**members, **violation.extra}
