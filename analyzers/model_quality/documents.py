"""The documents of model-quality jobs: how good the predictions were, and what is expected of later ones.

Spec section 4 lists every member of the original files. Beyond them, the sound rules write a 95 % interval
with each metric, further metrics, what was estimated for rows without a label (``estimated``), how scores
translate into probabilities (``score_calibration``), and ``notes``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from analyzers.shared.rules import SWITCH
from contract.api import Baseline, DocumentSet
from contract.errors import DocumentError
from contract.schema import Fields, in_order

ProblemType = Literal["Regression", "BinaryClassification", "MulticlassClassification"]
Operator = Literal["LessThanThreshold", "GreaterThanThreshold"]

LESS: Operator = "LessThanThreshold"
GREATER: Operator = "GreaterThanThreshold"

CONFUSION_MATRIX = "confusion_matrix"
ROC_CURVE = "receiver_operating_characteristic_curve"
PR_CURVE = "precision_recall_curve"

_METRICS: dict[ProblemType, str] = {
    "Regression": "regression_metrics",
    "BinaryClassification": "binary_classification_metrics",
    "MulticlassClassification": "multiclass_classification_metrics",
}
_CONSTRAINTS: dict[ProblemType, str] = {
    "Regression": "regression_constraints",
    "BinaryClassification": "binary_classification_constraints",
    "MulticlassClassification": "multiclass_classification_constraints",
}


@dataclass
class MetricValue:
    """One metric; a value of None is one that the rows leave undefined, written as ``"NaN"``.

    `interval` is the 95 % confidence interval, which the originals do not have.
    """

    value: float | None
    standard_deviation: float | None = None
    interval: tuple[float, float] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class ScoreCalibration:
    """How often rows of a given score were positive: interpolated linearly between `scores`.

    `of` says what a positive is: the positive label, or a right prediction (multiclass).
    """

    scores: list[float]
    positive_rates: list[float]
    item_count: int
    of: str


@dataclass
class ModelQualityStatistics:
    """The whole of ``statistics.json``.

    Parameters
    ----------
    problem_type
        Which of the three objects it holds.
    item_count
        Rows evaluated: those with a label and a prediction.
    metrics
        By name, in the order of the file.
    confusion_matrix
        Actual label to predicted label to rows.
    curves
        By name of the curve, name of the list.
    evaluation_time
        UTC, ``2023-03-30T21:08:34.729Z``.
    unlabelled_count
        Rows without a label.
    unpredicted_count
        Rows with a label and without a usable prediction.
    estimated
        What was estimated for rows without a label, as JSON.
    calibration
        How scores translate into probabilities.
    design_effect, blocks
        By how much dependence of rows widens the spread of metrics, and from how many blocks of rows it was
        estimated; 1 and 0 where rows do not clearly depend on each other.
    notes
        What a reader should know: metrics left out, rows not used.
    evidence
        What the analyzer keeps in memory for the check; not written.
    """

    problem_type: ProblemType
    item_count: int
    metrics: dict[str, MetricValue]
    confusion_matrix: dict[str, dict[str, int]] | None = None
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    evaluation_time: str | None = None
    unlabelled_count: int = 0
    unpredicted_count: int = 0
    estimated: dict[str, Any] | None = None
    calibration: ScoreCalibration | None = None
    design_effect: float = 1.0
    blocks: int = 0
    notes: list[str] = field(default_factory=list)
    evidence: Any = None
    other_metrics: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    metric_order: tuple[str, ...] = ()
    where: str = "statistics.json"

    def value(self, name: str) -> float | None:
        """Return the value of a metric, None when it is absent or undefined."""
        metric = self.metrics.get(name)
        return None if metric is None else metric.value


@dataclass
class MetricConstraint:
    """What is expected of one metric: a violation when it lies beyond `threshold`, as `operator` says."""

    threshold: float
    operator: Operator
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class ModelQualityConstraints:
    """The whole of ``constraints.json``."""

    problem_type: ProblemType
    metrics: dict[str, MetricConstraint]
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "constraints.json"


ModelQualityBaseline = Baseline[ModelQualityStatistics, ModelQualityConstraints]


def read_statistics(value: dict[str, Any], where: str) -> ModelQualityStatistics:
    """Build the statistics from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    problem_type = _problem_type(value, _METRICS, where, "baseline_statistics", "statistics.json")
    fields = Fields(value, where)
    fields.number("version", 0.0)
    dataset = fields.child("dataset")
    members = fields.child(_METRICS[problem_type])
    estimated = fields.get("estimated", dict, None)
    calibration = fields.child("score_calibration")
    document = ModelQualityStatistics(
        problem_type=problem_type,
        item_count=dataset.get("item_count", int, 0) if dataset else 0,
        metrics={},
        evaluation_time=dataset.get("evaluation_time", str, None) if dataset else None,
        unlabelled_count=dataset.get("unlabelled_count", int, 0) if dataset else 0,
        unpredicted_count=dataset.get("unpredicted_count", int, 0) if dataset else 0,
        estimated=estimated,
        calibration=None if calibration is None else _read_calibration(calibration),
        design_effect=max(1.0, fields.number("design_effect", 1.0)),
        blocks=fields.count("blocks", 0),
        notes=[str(note) for note in fields.get("notes", list, [])],
        order=fields.order(),
        where=where,
    )
    document.extra = fields.extra()
    if members is not None:
        _read_metrics(document, members)
    return document


def _problem_type(
    value: dict[str, Any], members: dict[ProblemType, str], where: str, setting: str, file: str
) -> ProblemType:
    for problem_type, member in members.items():
        if member in value:
            return problem_type
    raise DocumentError(
        f"{where} has none of {', '.join(repr(member) for member in members.values())}, so it is not a "
        f"model-quality file; give {setting} the {file} of a model-quality baseline job."
    )


def _read_metrics(document: ModelQualityStatistics, members: Fields) -> None:
    document.metric_order = members.order()
    for name, member in members.value.items():
        if name == CONFUSION_MATRIX:
            document.confusion_matrix = _read_matrix(member, f"{members.where}.{name}")
        elif name in (ROC_CURVE, PR_CURVE):
            document.curves[name] = _read_curve(member, f"{members.where}.{name}")
        elif isinstance(member, dict) and "value" in member:
            document.metrics[name] = _read_metric(Fields(member, f"{members.where}.{name}"))
        else:
            document.other_metrics[name] = member


def _read_metric(fields: Fields) -> MetricValue:
    interval = fields.get("confidence_interval", list, None)
    if interval is not None and (
        len(interval) != 2 or not all(isinstance(bound, int | float) for bound in interval)
    ):
        raise DocumentError(f"{fields.where}.confidence_interval must be a list of two numbers.")
    return MetricValue(
        value=_number_or_nan(fields, "value"),
        standard_deviation=_number_or_nan(fields, "standard_deviation"),
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
        extra=fields.extra(),
    )


def _number_or_nan(fields: Fields, key: str) -> float | None:
    # The originals write the text "NaN" where they have no number.
    member = fields.get(key, (int, float, str), None)
    if isinstance(member, str):
        if member in ("NaN", "Infinity", "-Infinity"):
            return None
        raise DocumentError(f'{fields.where}.{key} is {member!r}; use a number or "NaN".')
    return None if member is None else float(member)


def _read_matrix(value: Any, where: str) -> dict[str, dict[str, int]]:
    rows = Fields(value, where)
    matrix: dict[str, dict[str, int]] = {}
    for actual in rows.value:
        row = rows.child(actual)
        matrix[actual] = {} if row is None else {name: row.count(name) for name in row.value}
    return matrix


def _read_curve(value: Any, where: str) -> dict[str, list[float]]:
    fields = Fields(value, where)
    curve = {}
    for name in fields.value:
        points = fields.get(name, list)
        if not all(isinstance(point, int | float) for point in points):
            raise DocumentError(f"{where}.{name} must be a list of numbers.")
        curve[name] = [float(point) for point in points]
    if len({len(points) for points in curve.values()}) > 1:
        raise DocumentError(f"{where} must have lists of one length.")
    return curve


def _read_calibration(fields: Fields) -> ScoreCalibration:
    lists = []
    for key in ("scores", "positive_rates"):
        numbers = fields.get(key, list)
        if not numbers or not all(isinstance(number, int | float) for number in numbers):
            raise DocumentError(f"{fields.where}.{key} must be a list of numbers.")
        lists.append([float(number) for number in numbers])
    if len(lists[0]) != len(lists[1]):
        raise DocumentError(f"{fields.where}: scores and positive_rates must be of the same length.")
    return ScoreCalibration(
        scores=lists[0],
        positive_rates=lists[1],
        item_count=fields.get("item_count", int, 0),
        of=fields.get("of", str, ""),
    )


def statistics_to_json(document: ModelQualityStatistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the statistics as JSON values, in the key order of the original files.

    Parameters
    ----------
    document
        The document.
    with_extensions
        Whether to write members the originals do not have.
    """
    dataset: dict[str, Any] = {"item_count": document.item_count}
    if document.evaluation_time is not None:
        dataset["evaluation_time"] = document.evaluation_time
    if with_extensions and document.unlabelled_count:
        dataset["unlabelled_count"] = document.unlabelled_count
    if with_extensions and document.unpredicted_count:
        dataset["unpredicted_count"] = document.unpredicted_count
    members: dict[str, Any] = {
        "version": 0.0,
        "dataset": dataset,
        _METRICS[document.problem_type]: _metrics_to_json(document, with_extensions),
    }
    if with_extensions:
        if document.estimated is not None:
            members["estimated"] = document.estimated
        if document.calibration is not None:
            members["score_calibration"] = _calibration_to_json(document.calibration)
        if document.design_effect > 1.0:
            members["design_effect"], members["blocks"] = document.design_effect, document.blocks
        if document.notes:
            members["notes"] = list(document.notes)
    if document.order:
        members = {key: member for key, member in members.items() if key in document.order}
    return in_order(members, document.extra, document.order)


def _metrics_to_json(document: ModelQualityStatistics, with_extensions: bool) -> dict[str, Any]:
    members: dict[str, Any] = {
        name: _metric_to_json(metric, with_extensions) for name, metric in document.metrics.items()
    }
    if document.confusion_matrix is not None:
        members[CONFUSION_MATRIX] = document.confusion_matrix
    members.update(document.curves)
    return in_order(members, document.other_metrics, document.metric_order)


def _metric_to_json(metric: MetricValue, with_extensions: bool) -> dict[str, Any]:
    deviation = metric.standard_deviation
    members: dict[str, Any] = {
        "value": "NaN" if metric.value is None else metric.value,
        "standard_deviation": "NaN" if deviation is None else deviation,
    }
    if with_extensions and metric.interval is not None:
        members["confidence_interval"] = list(metric.interval)
    return {**members, **metric.extra}


def _calibration_to_json(calibration: ScoreCalibration) -> dict[str, Any]:
    return {
        "of": calibration.of,
        "item_count": calibration.item_count,
        "scores": calibration.scores,
        "positive_rates": calibration.positive_rates,
    }


def read_constraints(value: dict[str, Any], where: str) -> ModelQualityConstraints:
    """Build the constraints from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file, metric and key, when a member is missing or unusable.
    """
    problem_type = _problem_type(value, _CONSTRAINTS, where, "baseline_constraints", "constraints.json")
    fields = Fields(value, where)
    fields.number("version", 0.0)
    members = fields.child(_CONSTRAINTS[problem_type])
    metrics = {}
    for name in members.value if members is not None else ():
        entry = members.child(name) if members is not None else None
        if entry is not None:
            metrics[name] = _read_constraint(entry)
    return ModelQualityConstraints(
        problem_type=problem_type, metrics=metrics, extra=fields.extra(), order=fields.order(), where=where
    )


def _read_constraint(fields: Fields) -> MetricConstraint:
    threshold = fields.number("threshold")
    operator = fields.get("comparison_operator", str)
    for known in (LESS, GREATER):
        if operator == known:
            return MetricConstraint(threshold, known, fields.extra())
    raise DocumentError(f"{fields.where}.comparison_operator is {operator!r}; use {LESS} or {GREATER}.")


def constraints_to_json(document: ModelQualityConstraints) -> dict[str, Any]:
    """Return the constraints as JSON values, in the key order of the original files."""
    metrics = {
        name: {
            "threshold": constraint.threshold,
            "comparison_operator": constraint.operator,
            **constraint.extra,
        }
        for name, constraint in document.metrics.items()
    }
    members: dict[str, Any] = {"version": 0.0, _CONSTRAINTS[document.problem_type]: metrics}
    if document.order:
        members = {key: member for key, member in members.items() if key in document.order}
    return in_order(members, document.extra if document.order else SWITCH | document.extra, document.order)


def _no_names(baseline: ModelQualityBaseline) -> None:
    """Return None: model-quality files do not hold the names of columns."""


MODEL_QUALITY = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
    column_names=_no_names,
)
