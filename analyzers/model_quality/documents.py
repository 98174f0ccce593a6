"""The documents of model-quality jobs: how good the predictions were, and what is expected of later ones.

Spec section 4 lists every member of the original files. Beyond them, the sound rules write a 95 % interval
with each metric, further metrics, what was estimated for rows without a label (``estimated``), how scores
translate into probabilities (``score_calibration``), and ``notes``.
"""

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from analyzers.shared.analysis_json import range_to_json, read_range
from analyzers.shared.rules import SWITCH, Checked, read_unused
from contract import schema
from contract.api import Baseline, DocumentSet
from contract.errors import DocumentError

ProblemType = Literal["Regression", "BinaryClassification", "MulticlassClassification"]
Operator = Literal["LessThanThreshold", "GreaterThanThreshold"]

LESS: Operator = "LessThanThreshold"
GREATER: Operator = "GreaterThanThreshold"

CONFUSION_MATRIX = "confusion_matrix"
ROC_CURVE = "receiver_operating_characteristic_curve"
PR_CURVE = "precision_recall_curve"

# What is known of each metric; the file says what its tables are.
_TABLES = Path(__file__).with_name("metrics.toml")
FACTS: dict[str, Any] = tomllib.loads(_TABLES.read_text("utf-8"))

# Which member of the file holds the metrics, and what is expected of them.
_METRICS: dict[ProblemType, str] = {
    "Regression": "regression_metrics",
    "BinaryClassification": "binary_classification_metrics",
    "MulticlassClassification": "multiclass_classification_metrics",
}
_CONSTRAINTS = {kind: name.replace("_metrics", "_constraints") for kind, name in _METRICS.items()}


def _number(members: schema.JsonObject, key: str) -> float | None:
    # The originals write the text "NaN" where they have no number.
    number = members.number(key, None)
    return number if number is None or math.isfinite(number) else None


def _number_to_json(value: float | None) -> float | str:
    return "NaN" if value is None else value


def _calibration(members: schema.JsonObject) -> "ScoreCalibration":
    calibration = schema.read_document(ScoreCalibration, members)
    if not calibration.scores or len(calibration.scores) != len(calibration.positive_rates):
        members.note("scores", "quality_documents.lengths", other="positive_rates")
    return calibration


@dataclass
class MetricValue:
    """One metric; a value of None is one that the rows leave undefined, written as ``"NaN"``.

    `interval` is the 95 % confidence interval, which the originals do not have.
    """

    value: float | None = schema.member(_number, write=_number_to_json, written="always")
    standard_deviation: float | None = schema.member(_number, write=_number_to_json, written="always")
    interval: tuple[float, float] | None = schema.member(
        read_range, key="confidence_interval", write=range_to_json, ours=True
    )
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class ScoreCalibration:
    """How often rows of a given score were positive: interpolated linearly between `scores`.

    `of` says what a positive is: the positive label, or a right prediction (multiclass).
    """

    of: str = schema.member(schema.of_kind(str), "")
    item_count: int = schema.member(schema.count, 0)
    scores: list[float] = schema.member(schema.numbers, [])
    positive_rates: list[float] = schema.member(schema.numbers, [])


@dataclass
class QualityStatistics(schema.Kept):
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
    unusable_label_count
        Labels that are no numbers, or infinite, where numbers are wanted; they count as missing.
    unscored_count
        Rows evaluated that lack a usable score, where there are scores.
    positive_label
        The label that counts as positive; None where there is none.
    probability_threshold
        The score from which a row counts as predicted positive; None where predictions say that.
    unknown_class_count
        Rows whose label has no column of probabilities, though there are several.
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
    metrics: dict[str, MetricValue]
    item_count: int = schema.member(schema.count, 0, inside="dataset")
    evaluation_time: str | None = schema.member(schema.of_kind(str), inside="dataset")
    confusion_matrix: dict[str, dict[str, int]] | None = None
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    unlabelled_count: int = schema.member(schema.count, 0, inside="dataset", written="if any", ours=True)
    unpredicted_count: int = schema.member(schema.count, 0, inside="dataset", written="if any", ours=True)
    unusable_label_count: int = schema.member(schema.count, 0, inside="dataset", written="if any", ours=True)
    unscored_count: int = schema.member(schema.count, 0, inside="dataset", written="if any", ours=True)
    positive_label: str | None = schema.member(schema.of_kind(str), inside="dataset", ours=True)
    probability_threshold: float | None = schema.member(schema.number, inside="dataset", ours=True)
    unknown_class_count: int = schema.member(schema.count, 0, inside="dataset", written="if any", ours=True)
    estimated: dict[str, Any] | None = schema.member(schema.of_kind(dict), ours=True)
    calibration: ScoreCalibration | None = schema.member(
        schema.nested(_calibration), key="score_calibration", ours=True
    )
    design_effect: float = schema.member(schema.effect, 1.0, ours=True)
    blocks: int = schema.member(schema.count, 0, ours=True)
    notes: list[str] = schema.member(schema.texts, [], written="if any", ours=True)
    evidence: Any = None
    other_metrics: dict[str, Any] = field(default_factory=dict)
    metric_order: tuple[str, ...] = ()
    where: str = "statistics.json"

    def value(self, name: str) -> float | None:
        """Return the value of a metric, None when it is absent or undefined."""
        metric = self.metrics.get(name)
        return None if metric is None else metric.value


_operator = schema.checked(lambda value: value in (LESS, GREATER), f"{LESS} or {GREATER}")


@dataclass
class MetricConstraint:
    """What is expected of one metric: a violation when it lies beyond `threshold`, as `operator` says."""

    threshold: float = schema.member(schema.JsonObject.number, schema.REQUIRED)
    operator: Operator = schema.member(_operator, schema.REQUIRED, key="comparison_operator")
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class QualityConstraints(Checked):
    """The whole of ``constraints.json``."""

    problem_type: ProblemType
    metrics: dict[str, MetricConstraint]


# A change of the baseline's own value that somebody would act on, where monitoring_config says nothing else:
# of shares and areas as Cohen's h, of errors and of what R² leaves unexplained as a ratio.
LEAST_CHANGES = {"share_comparison_threshold": 0.03, "error_comparison_threshold": 0.02}

_OF_METRIC = schema.Level("metrics", {"*": schema.level_of(MetricConstraint, "a metric")})
_FILE = schema.Level("the file", {"version": None, **dict.fromkeys(_CONSTRAINTS.values(), _OF_METRIC)})

QualityBaseline = Baseline[QualityStatistics, QualityConstraints]


def _problem_type(
    file: schema.JsonObject, members: dict[ProblemType, str], setting: str, document: str
) -> tuple[ProblemType, schema.JsonObject]:
    """Return what the file is about, and the object with its metrics, empty where that is null."""
    for problem_type, name in members.items():
        if name in file.members:
            return problem_type, file.within(name)
    names = ", ".join(map(repr, members.values()))
    where = {"file": file.mistakes.where, "field": setting}
    raise DocumentError.of("quality_documents.other", names=names, name=document, **where)


def read_statistics(value: dict[str, Any], where: str) -> QualityStatistics:
    """Build the statistics from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    with schema.gathered(value, where) as file:
        problem_type, members = _problem_type(file, _METRICS, "baseline_statistics", "statistics.json")
        file.number("version", 0.0)
        others = {"problem_type": problem_type, "metric_order": tuple(members.members), "where": where}
        document = schema.read_document(QualityStatistics, file, metrics={}, **others)
        for name, found in members.members.items():
            if name == CONFUSION_MATRIX:
                document.confusion_matrix = {
                    actual: {predicted: row.count(predicted) for predicted in row.members}
                    for actual, row in members.within(name).objects().items()
                }
            elif name in (ROC_CURVE, PR_CURVE):
                lists = members.within(name)
                document.curves[name] = {
                    points: [float(number) for number in schema.numbers(lists, points) or ()]
                    for points in lists.members
                }
                if len({len(points) for points in document.curves[name].values()}) > 1:
                    members.note(name, "quality_documents.points")
            elif isinstance(found, dict) and "value" in found:
                document.metrics[name] = schema.read_document(MetricValue, members.within(name))
            else:
                document.other_metrics[name] = found
    return document


def statistics_to_json(document: QualityStatistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the statistics as JSON values, in the key order of the original files.

    Parameters
    ----------
    document
        The document.
    with_extensions
        Whether to write members the originals do not have.
    """
    metrics: dict[str, Any] = {
        name: schema.write_document(metric, with_ours=with_extensions)
        for name, metric in document.metrics.items()
    }
    if document.confusion_matrix is not None:
        metrics[CONFUSION_MATRIX] = document.confusion_matrix
    metrics = schema.in_order(metrics | document.curves, document.other_metrics, document.metric_order)
    head = {"version": 0.0, "dataset": {}, _METRICS[document.problem_type]: metrics}
    members = schema.write_document(document, with_ours=with_extensions, **head)
    if document.design_effect <= 1.0:
        members = {key: value for key, value in members.items() if key not in ("design_effect", "blocks")}
    return _as_in_the_file(members, document)


def _as_in_the_file(members: dict[str, Any], document: schema.Kept) -> dict[str, Any]:
    """Return members and those not known here; of a file that was read only what it had, in its order."""
    if document.order:
        members = {key: value for key, value in members.items() if key in document.order}
    return schema.in_order(members, document.extra, document.order)


def read_constraints(value: dict[str, Any], where: str) -> QualityConstraints:
    """Build the constraints from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file, metric and key, when a member is missing or unusable.
    """
    with schema.gathered(value, where) as file:
        unused = read_unused(file, _FILE, *LEAST_CHANGES)
        problem_type, members = _problem_type(file, _CONSTRAINTS, "baseline_constraints", "constraints.json")
        file.number("version", 0.0)
        present = [name for name in members.members if members.raw(name) is not None]
        metrics = {name: schema.read_document(MetricConstraint, members.within(name)) for name in present}
        own = {"problem_type": problem_type, "metrics": metrics}
        return schema.read_document(QualityConstraints, file, **own, unused=unused, where=where)


def constraints_to_json(document: QualityConstraints) -> dict[str, Any]:
    """Return the constraints as JSON values, in the key order of the original files."""
    metrics = {name: schema.write_document(constraint) for name, constraint in document.metrics.items()}
    members = {"version": 0.0, _CONSTRAINTS[document.problem_type]: metrics}
    return _as_in_the_file(members, document) if document.order else members | SWITCH | document.extra


MODEL_QUALITY = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
)
