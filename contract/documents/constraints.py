"""``constraints.json``: what is expected of later data, written by a baseline job, edited by people.

Spec section 3.3 lists every member. Files of 2019 used ``enable_comparisons`` (a boolean) and
``min_domain_mass``; they are read as ``perform_comparison`` and ``domain_content_threshold`` and kept
as they are when written again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from contract.documents.fields import Fields, features_have, in_order
from contract.documents.statistics import INFERRED_TYPES, InferredType
from contract.errors import DocumentError

OVERRIDES = "monitoringConfigOverrides"
_STRING_OVERRIDES = "monitoring_config_overrides"


@dataclass(frozen=True)
class MonitoringConfig:
    """The thresholds and switches that apply to one feature, after its overrides."""

    evaluate_constraints: bool = True
    emit_metrics: bool = True
    datatype_check_threshold: float = 1.0
    domain_content_threshold: float = 1.0
    perform_comparison: bool = True
    comparison_threshold: float = 0.1
    comparison_method: str = "Robust"
    categorical_comparison_threshold: float | None = None
    categorical_drift_method: str = "LInfinity"

    @property
    def categorical_threshold(self) -> float:
        """Return the drift threshold of text features, which falls back to the numeric one."""
        threshold = self.categorical_comparison_threshold
        return self.comparison_threshold if threshold is None else threshold


@dataclass
class FeatureConstraints:
    """What is expected of one feature. `domains` is None when any text is allowed.

    `overrides` replaces keys of ``monitoring_config`` for this feature, flat or nested as there.
    """

    name: str
    inferred_type: InferredType
    completeness: float | None = None
    is_non_negative: bool | None = None
    domains: list[str] | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    numeric_extra: dict[str, Any] = field(default_factory=dict)
    string_extra: dict[str, Any] = field(default_factory=dict)
    string_overrides: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass
class Constraints:
    """The whole document; `monitoring_config` holds the JSON as read or suggested."""

    features: list[FeatureConstraints]
    monitoring_config: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "constraints.json"

    def feature(self, name: str) -> FeatureConstraints | None:
        """Return the constraints of that feature, if present."""
        return next((feature for feature in self.features if feature.name == name), None)

    def config(self, feature: FeatureConstraints | None = None) -> MonitoringConfig:
        """Return the configuration in force, for the whole document or for one feature.

        Raises
        ------
        DocumentError
            Naming the file, the feature and the key, when a value is unusable.
        """
        members = _flatten(self.monitoring_config)
        where = f"{self.where}: monitoring_config"
        if feature is not None:
            overrides = {**_flatten(feature.string_overrides), **_flatten(feature.overrides)}
            if overrides:
                where = f"{self.where}: {OVERRIDES} of feature {feature.name!r} over monitoring_config"
                if (
                    "comparison_threshold" in overrides
                    and "categorical_comparison_threshold" not in overrides
                ):
                    # One threshold given for one feature means that feature, text or number.
                    overrides["categorical_comparison_threshold"] = overrides["comparison_threshold"]
            members.update(overrides)
        return _config(members, where)


def _flatten(config: dict[str, Any]) -> dict[str, Any]:
    members = {key: value for key, value in config.items() if key != "distribution_constraints"}
    nested = config.get("distribution_constraints")
    if isinstance(nested, dict):
        members.update(nested)
    return members


def _config(members: dict[str, Any], where: str) -> MonitoringConfig:
    domain_content = members.get("domain_content_threshold", members.get("min_domain_mass", 1.0))
    comparison = members.get("perform_comparison", members.get("enable_comparisons", "Enabled"))
    categorical = members.get("categorical_comparison_threshold")
    return MonitoringConfig(
        evaluate_constraints=_switch(
            members.get("evaluate_constraints", "Enabled"), where, "evaluate_constraints"
        ),
        emit_metrics=_switch(members.get("emit_metrics", "Enabled"), where, "emit_metrics"),
        datatype_check_threshold=_number(
            members.get("datatype_check_threshold", 1.0), where, "datatype_check_threshold"
        ),
        domain_content_threshold=_number(domain_content, where, "domain_content_threshold"),
        perform_comparison=_switch(comparison, where, "perform_comparison"),
        comparison_threshold=_number(members.get("comparison_threshold", 0.1), where, "comparison_threshold"),
        comparison_method=_choice(
            str(members.get("comparison_method", "Robust")).removeprefix("linf_"),
            where,
            "comparison_method",
            ("Robust", "Simple"),
        ),
        categorical_comparison_threshold=None
        if categorical is None
        else _number(categorical, where, "categorical_comparison_threshold"),
        categorical_drift_method=_choice(
            members.get("categorical_drift_method", "LInfinity"),
            where,
            "categorical_drift_method",
            ("LInfinity", "ChiSquared"),
        ),
    )


def _switch(value: Any, where: str, key: str) -> bool:
    if isinstance(value, bool):
        return value
    return _choice(value, where, key, ("Enabled", "Disabled")) == "Enabled"


def _choice(value: Any, where: str, key: str, allowed: tuple[str, ...]) -> str:
    for name in allowed:
        if isinstance(value, str) and value.casefold() == name.casefold():
            return name
    raise DocumentError(f"{where}: {key} is {value!r}; use {' or '.join(allowed)}.")


def _number(value: Any, where: str, key: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise DocumentError(f"{where}: {key} is {value!r}; use a number such as 0.1.")


def read_constraints(value: dict[str, Any], where: str) -> Constraints:
    """Build the document from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    if not isinstance(value.get("features"), list):
        raise DocumentError(
            f"{where} has no 'features' list, so it is not a data-quality constraints file; "
            "give baseline_constraints the constraints.json of a data-quality baseline job."
        )
    if features_have(value, "numerical_statistics", "string_statistics"):
        raise DocumentError(
            f"{where} is a statistics file; give it to baseline_statistics, and baseline_constraints the "
            "constraints.json beside it."
        )
    fields = Fields(value, where)
    fields.number("version", 0.0)
    document = Constraints(
        features=[_read_feature(member) for member in fields.children("features")],
        monitoring_config=fields.get("monitoring_config", dict, {}),
        extra=fields.extra(),
        order=fields.order(),
        where=where,
    )
    document.config()
    for feature in document.features:
        document.config(feature)
    return document


def _read_feature(fields: Fields) -> FeatureConstraints:
    name = fields.get("name", str)
    fields.where = f"{fields.where} ({name})"
    inferred = fields.get("inferred_type", str)
    if inferred not in INFERRED_TYPES:
        raise DocumentError(
            f"{fields.where}.inferred_type is {inferred!r}; known are {', '.join(INFERRED_TYPES)}."
        )
    feature = FeatureConstraints(
        name=name, inferred_type=inferred, completeness=fields.number("completeness", None)
    )
    if (numeric := fields.child("num_constraints")) is not None:
        feature.is_non_negative = numeric.get("is_non_negative", bool, None)
        feature.numeric_extra = numeric.extra()
    if (string := fields.child("string_constraints")) is not None:
        domains = string.get("domains", list, None)
        if domains is not None and not all(isinstance(text, str) for text in domains):
            raise DocumentError(f'{string.where}.domains must be a list of texts, such as ["a", "b"].')
        feature.domains = domains
        feature.string_overrides = string.get(_STRING_OVERRIDES, dict, {})
        feature.string_extra = string.extra()
    feature.overrides = fields.get(OVERRIDES, dict, {})
    feature.extra = fields.extra()
    feature.order = fields.order()
    return feature


def constraints_to_json(document: Constraints) -> dict[str, Any]:
    """Return the document as JSON values, in the key order of the original files."""
    members: dict[str, Any] = {
        "version": 0.0,
        "features": [_to_json(feature) for feature in document.features],
    }
    if document.monitoring_config:
        members["monitoring_config"] = document.monitoring_config
    return in_order(members, document.extra, document.order)


def _to_json(feature: FeatureConstraints) -> dict[str, Any]:
    members: dict[str, Any] = {"name": feature.name, "inferred_type": feature.inferred_type}
    if feature.completeness is not None:
        members["completeness"] = feature.completeness
    numeric = dict(feature.numeric_extra)
    if feature.is_non_negative is not None:
        numeric = {"is_non_negative": feature.is_non_negative, **numeric}
    if numeric or "num_constraints" in feature.order:
        members["num_constraints"] = numeric
    string: dict[str, Any] = {}
    if feature.domains is not None:
        string["domains"] = feature.domains
    if feature.string_overrides:
        string[_STRING_OVERRIDES] = feature.string_overrides
    string.update(feature.string_extra)
    if string or "string_constraints" in feature.order:
        members["string_constraints"] = string
    if feature.overrides:
        members[OVERRIDES] = feature.overrides
    return in_order(members, feature.extra, feature.order)
