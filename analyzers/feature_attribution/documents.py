"""The documents of feature-attribution jobs.

``analysis.json`` has exactly Clarify's members: ``explanations.kernel_shap``, and for each label the
``global_shap_values`` and the ``expected_value``. ``constraints.json`` has the same shape; each label may
also hold ``standard_errors``, ``noise_floors``, the ``total`` of the sizes of all values with its
``total_standard_error``, and what a user allows: ``drift_threshold``, ``magnitude_threshold`` and
``direction_threshold``. They are read as constraints.
``statistics.json`` says how the values came about. Values of single rows and the rows of the baseline are
files of their own.
"""

import csv
import io
import math
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from analyzers.feature_attribution.rows import plain_values
from analyzers.shared import analysis_json
from analyzers.shared.analysis_json import VERSION, figure, number_to_json, read_number
from analyzers.shared.rules import SWITCH, Checked, read_unused
from contract import schema
from contract.api import Baseline, DocumentSet
from contract.errors import DocumentError
from contract.schema import REQUIRED, JsonObject, Level, count, member, of_kind, read_document, write_document

# The tables of feature-attribution jobs.


_ROWS_AT_ONCE = 65_536


def table_to_csv(table: pa.Table) -> bytes:
    """Return a table as CSV, as Clarify writes it: names in the first line, nothing for missing values.

    Names and cells are quoted only where they hold a comma, a quote or a line end.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        # Arrow writes numbers with the fewest digits that give the same.
        cells = (plain_values(column).cast(pa.string()).to_pylist() for column in batch.columns)
        writer.writerows(zip(*cells, strict=True))
    return text.getvalue().encode()


ANALYSIS = "analysis.json"
LOCAL_VALUES = "explanations_shap/out.csv"
BASELINE_ROWS = "explanations_shap/baseline.csv"
EXPLANATIONS = "explanations"
KERNEL_SHAP = "kernel_shap"
PARTIAL_DEPENDENCE = "pdp"


def _numbers(members: JsonObject, key: str) -> dict[str, float]:
    found = members.within(key)
    numbers = {name: read_number(found, name) for name in found.members}
    return {name: number for name, number in numbers.items() if number is not None}


def _values(members: JsonObject, key: str) -> dict[str, float | None] | None:
    values = members.within(key)
    if members.raw(key) == {}:
        members.note(key, "attributions.no_feature")
    return {name: read_number(values, name) for name in values.members} or None


def _to_json(numbers: dict[str, float | None]) -> dict[str, Any]:
    return {name: number_to_json(number) for name, number in numbers.items()}


def _limit(meant: str, least: float, most: float) -> schema.Reader:
    """Return what reads a limit of a user's: 0, or a number in a range."""

    def read(members: JsonObject, key: str) -> float | None:
        number = read_number(members, key)
        if number and not least <= number <= most:
            members.wrong(key, meant)
        return number

    return read


@dataclass
class LabelAttributions(schema.Kept):
    """The global values of one label.

    Parameters
    ----------
    values
        By feature; None where undefined.
    expected_value
        The model's mean answer on the baseline's rows, in log-odds when the values are.
    standard_errors
        By feature, of `values`; empty in files of Clarify.
    total, total_standard_error
        Of the sizes of all features' values.
    drift_threshold
        NDCG below which the order of features has drifted; None where nobody said.
    magnitude_threshold
        Factor by which sizes may grow or shrink; None where nobody said, 0 for any.
    direction_threshold
        By how much a direction that turns round may move; None where nobody said, 0 for any.
    sampling_errors
        By feature, the part of the standard errors that more coalitions would lower; not in constraints.
    noise_floors
        By feature, what it would show without any influence, for the noise of coalitions alone.
    directions, direction_errors
        By feature, from 1 (cells above the baseline's always raise the answer) to -1 (they always lower it),
        with standard errors; of what is no number, whether values of any kind do.
    """

    values: dict[str, float | None] = member(_values, REQUIRED, key="global_shap_values", write=_to_json)
    expected_value: float | None = figure(written="always")
    standard_errors: dict[str, float] = member(_numbers, {}, write=_to_json, written="if any", ours=True)
    sampling_errors: dict[str, float] = member(_numbers, {}, write=_to_json, written="if any", ours=True)
    noise_floors: dict[str, float] = member(_numbers, {}, write=_to_json, written="if any", ours=True)
    directions: dict[str, float] = member(_numbers, {}, write=_to_json, written="if any", ours=True)
    direction_errors: dict[str, float] = member(_numbers, {}, write=_to_json, written="if any", ours=True)
    total: float | None = figure(ours=True)
    total_standard_error: float | None = figure(ours=True)
    drift_threshold: float | None = member(_limit("a number from 0 to 1", 0.0, 1.0), ours=True)
    magnitude_threshold: float | None = member(
        _limit("a factor of 1 or more, or 0 for any", 1.0, math.inf), write=number_to_json, ours=True
    )
    direction_threshold: float | None = member(_limit("a number up to 2, or 0 for any", 0.0, 2.0), ours=True)


@dataclass(frozen=True)
class SamplingDesign:
    """What values must have in common to be compared.

    Parameters
    ----------
    agg_method
        ``mean_abs``, ``median`` or ``mean_sq``; None in files of Clarify.
    use_logit
        Whether values are in log-odds.
    num_samples
        Coalitions asked for each row at most; None for the default.
    seed
        Of the coalitions.
    baseline_rows
        How many rows stand for absent features.
    rows
        Explained.
    missing
        By feature, how many of these rows have no value of it; features without such rows are left out.
    features_to_explain
        The features whose values are reported; None for all.
    """

    agg_method: str | None = member(of_kind(str))
    use_logit: bool | None = member(of_kind(bool))
    num_samples: int | None = member(of_kind(int))
    seed: int | None = member(of_kind(int))
    baseline_rows: int | None = member(of_kind(int))
    rows: int | None = member(of_kind(int))
    missing: dict[str, float] = member(_numbers, {}, written="if any")
    features_to_explain: list[str] | None = member(of_kind(list))


@dataclass
class AttributionConstraints(Checked):
    """``constraints.json`` or ``analysis.json``.

    Other explanations in the file are kept in `further_explanations`, other analyses in `extra`.
    """

    labels: dict[str, LabelAttributions]
    design: SamplingDesign = field(default_factory=SamplingDesign)
    further_explanations: dict[str, Any] = field(default_factory=dict)


_LABEL = schema.level_of(LabelAttributions, "a label", global_top_shap_text=None)
_DESIGN = schema.level_of(SamplingDesign, "sampling_design")
_EXPLANATIONS = {KERNEL_SHAP: Level(KERNEL_SHAP, {"*": _LABEL}), "sampling_design": _DESIGN, "pdp": None}
_OTHERS = dict.fromkeys(("version", "pre_training_bias_metrics", "post_training_bias_metrics"))
_FILE = Level("the file", {**_OTHERS, EXPLANATIONS: Level(EXPLANATIONS, _EXPLANATIONS)})


@dataclass
class Explained:
    """How much was explained.

    Parameters
    ----------
    rows
        Explained.
    rows_read
        Explained or not.
    model_rows
        Rows the model was asked about.
    seconds
        Spent on it.
    partial
        Whether the time ran out before all rows were explained.
    """

    rows: int = member(count, 0)
    rows_read: int = member(count, 0)
    model_rows: int = member(count, 0)
    seconds: float = member(schema.number, 0.0)
    partial: bool = member(of_kind(bool), False)


@dataclass
class AttributionStatistics:
    """``statistics.json``, and the tables written beside it."""

    labels: dict[str, LabelAttributions]
    explained: Explained = field(default_factory=Explained)
    design: SamplingDesign = field(default_factory=SamplingDesign)
    notes: tuple[str, ...] = ()
    where: str = "statistics.json"
    local_values: pa.Table | None = None
    baseline_rows: pa.RecordBatch | None = None
    dependence: list[dict[str, Any]] = field(default_factory=list)


type Former = AttributionConstraints | AttributionStatistics
AttributionBaseline = Baseline[AttributionStatistics, AttributionConstraints]


# --- analysis.json and constraints.json -------------------------------------------------------------------


def read_constraints(value: dict[str, Any], where: str) -> AttributionConstraints:
    """Build the constraints from ``constraints.json`` or a Clarify ``analysis.json``.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type, or there are no values.
    """
    with schema.gathered(value, where) as members:
        unused = read_unused(members, _FILE)
        members.raw("version")
        labels, design, further = _read_explanations(members, where)
        own = {"labels": labels, "design": design, "further_explanations": further}
        return read_document(AttributionConstraints, members, **own, unused=unused, where=where)


def _read_explanations(
    members: JsonObject, where: str
) -> tuple[dict[str, LabelAttributions], SamplingDesign, dict[str, Any]]:
    if (explanations := members.child(EXPLANATIONS)) is None:
        raise DocumentError.of("attributions.wrong_file", file=where, field=EXPLANATIONS)
    values = explanations.within(KERNEL_SHAP)
    if not values.members:
        raise DocumentError.of("attributions.wrong_file", file=where, field=values.path)
    labels = {name: read_document(LabelAttributions, each) for name, each in values.objects().items()}
    design = read_document(SamplingDesign, explanations.within("sampling_design"))
    explanations.note_near_misses()
    return labels, design, explanations.extra()


def constraints_to_json(document: AttributionConstraints) -> dict[str, Any]:
    """Return the constraints as JSON values."""
    explanations: dict[str, Any] = _values_to_json(document, _labels_to_json(document.labels))
    if design := write_document(document.design):
        explanations["sampling_design"] = design
    members = {"version": VERSION, EXPLANATIONS: explanations | document.further_explanations}
    extra = document.extra if document.order else SWITCH | document.extra
    return schema.in_order(members, extra, document.order)


def _values_to_json(document: AttributionConstraints, labels: dict[str, Any]) -> dict[str, Any]:
    # Of partial dependence alone there are no values.
    return {} if document.further_explanations and not labels else {KERNEL_SHAP: labels}


def _labels_to_json(labels: dict[str, LabelAttributions]) -> dict[str, Any]:
    return {name: write_document(label) for name, label in labels.items()}


def analysis_to_json(document: AttributionConstraints) -> dict[str, Any]:
    """Return what ``analysis.json`` holds: the constraints without members that Clarify lacks."""
    shown = {name: replace(label, extra={}, order=()) for name, label in document.labels.items()}
    labels = {name: write_document(label, with_ours=False) for name, label in shown.items()}
    explanations = _values_to_json(document, labels) | document.further_explanations
    members = {"version": VERSION, EXPLANATIONS: explanations}
    return schema.in_order(members, document.extra, document.order)


# --- statistics.json --------------------------------------------------------------------------------------


def read_statistics(value: dict[str, Any], where: str) -> AttributionStatistics:
    """Build the statistics from JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    with schema.gathered(value, where) as members:
        members.raw("version")
        labels, design, _ = _read_explanations(members, where)
        explained = members.within("explained")
        explained.raw("rows_per_second")
        found, notes = read_document(Explained, explained), tuple(schema.texts(members, "notes") or ())
        members.note_near_misses()
    return AttributionStatistics(labels, found, design, notes, where)


def statistics_to_json(document: AttributionStatistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the statistics as JSON values; all members are our own, so there is nothing to leave out."""
    explained = document.explained
    rate = explained.rows / explained.seconds if explained.seconds > 0.0 else 0.0
    seconds = {"seconds": round(explained.seconds, 3), "rows_per_second": round(rate, 1)}
    return {
        "version": VERSION,
        "explained": write_document(explained) | seconds,
        EXPLANATIONS: {
            KERNEL_SHAP: _labels_to_json(document.labels),
            "sampling_design": write_document(document.design),
        },
        "notes": list(document.notes),
    }


# --- The set ----------------------------------------------------------------------------------------------


def _further_files(statistics: AttributionStatistics, constraints: AttributionConstraints) -> dict[str, Any]:
    files: dict[str, Any] = {ANALYSIS: analysis_json.dumps(analysis_to_json(constraints))}
    if statistics.baseline_rows is not None:
        files[BASELINE_ROWS] = table_to_csv(pa.Table.from_batches([statistics.baseline_rows]))
    if statistics.local_values is not None:
        files[LOCAL_VALUES] = table_to_csv(statistics.local_values)
    return files


def _column_names(baseline: AttributionBaseline) -> tuple[str, ...] | None:
    """Return the features the baseline names; None when they are not the model's own."""
    document = baseline.constraints or baseline.statistics
    return None if document is None else tuple(next(iter(document.labels.values())).values)


ATTRIBUTION: DocumentSet[AttributionStatistics, AttributionConstraints] = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
    column_names=_column_names,
    further_files=_further_files,
    occasional_files=(LOCAL_VALUES,),
    # The attributions of single rows are as large as the data, and nothing is compared with them.
    not_in_baseline=(LOCAL_VALUES,),
    constraints_names=("constraints.json", ANALYSIS),
)
