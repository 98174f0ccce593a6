"""From a summary to the statistics document."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from analyzers.feature_attribution import aggregate
from analyzers.feature_attribution.aggregate import GlobalValues
from analyzers.feature_attribution.documents import (
    AttributionStatistics,
    Explained,
    LabelAttributions,
    SamplingDesign,
)
from analyzers.feature_attribution.request import AttributionRequest
from analyzers.feature_attribution.solve import Floats
from analyzers.feature_attribution.summary import AttributionSummary
from contract.wording import listing, several


def describe(
    summary: AttributionSummary, request: AttributionRequest, seconds: float
) -> AttributionStatistics:
    """Return the statistics.

    Parameters
    ----------
    summary
        Of all splits.
    request
        What was asked for.
    seconds
        Spent on explaining.
    """
    labels: dict[str, LabelAttributions] = {}
    notes = list(request.notes)
    if summary.totals is not None and summary.expected is not None:
        values = aggregate.describe(summary.totals)
        names = request.label_names(len(summary.expected))
        labels = {
            name: _label(values, number, float(summary.expected[number]), _features(request))
            for number, name in enumerate(names)
        }
        notes += _notes(values, request, len(names))
    if summary.partial:
        notes.append(
            f"max_runtime was over after {summary.rows} of {summary.rows_read} rows; the values are those "
            "of the first rows."
        )
    return AttributionStatistics(
        labels=labels,
        explained=Explained(summary.rows, summary.rows_read, summary.model_rows, seconds, summary.partial),
        design=SamplingDesign(
            agg_method=request.agg_method,
            use_logit=request.sampling.use_logit,
            num_samples=request.sampling.num_samples,
            seed=request.sampling.seed,
            baseline_rows=request.baseline.num_rows,
            rows=summary.rows,
        ),
        notes=tuple(dict.fromkeys(notes)),
        local_values=_local_table(summary, request) if request.keep_local and labels else None,
        baseline_rows=request.baseline,
    )


def tried(statistics: AttributionStatistics, model: str) -> tuple[str, ...]:
    """Return a line on what the model did with the rows of a trial; none where no row was explained.

    Parameters
    ----------
    statistics
        Of the trial.
    model
        Its address or file.
    """
    explained = statistics.explained
    if not statistics.labels:
        return ()
    labels = listing(list(statistics.labels))
    name, first = next(iter(statistics.labels.items()))
    feature, value = max(first.values.items(), key=lambda item: abs(item[1] or 0.0))
    scores = several(len(statistics.labels), "score")
    text = (
        f"the model {model} answers {scores} per row ({labels}); asked about "
        f"{several(explained.model_rows, 'row')} in {explained.seconds:.1f} s, it gives {name} "
        f"{_shown(first.expected_value)} at the baseline, and the first row's "
        f"largest value to {feature}: {_shown(value)}"
    )
    return (text,)


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _features(request: AttributionRequest) -> tuple[str, ...]:
    return request.reported or request.features


def _label(
    values: GlobalValues, number: int, expected: float, features: tuple[str, ...]
) -> LabelAttributions:
    def by_name(numbers: Floats, unknown: float = np.inf) -> dict[str, float]:
        # An error that cannot be told may be of any size.
        return dict(zip(features, np.nan_to_num(numbers[number], nan=unknown).tolist(), strict=True))

    floors = by_name(values.noise_floor, unknown=0.0)
    return LabelAttributions(
        values=dict(zip(features, values.values[number].tolist(), strict=True)),
        expected_value=expected,
        standard_errors=by_name(values.standard_error),
        total=float(values.total[number]),
        total_standard_error=float(np.nan_to_num(values.total_error[number], nan=np.inf)),
        sampling_errors=by_name(values.coalition_error),
        # Values that are exact have none.
        noise_floors=floors if any(floors.values()) else {},
    )


def _notes(values: GlobalValues, request: AttributionRequest, outputs: int) -> list[str]:
    notes = []
    if request.label_headers and len(request.label_headers) != outputs:
        notes.append(
            f"predictor.label_headers names {several(len(request.label_headers), 'label')}, but the model "
            f"gives {several(outputs, 'score')} per row, so they are called label0 and so on."
        )
    if not np.isfinite(values.coalition_error).all():
        notes.append(
            "methods.shap.num_samples is too small for the error from the choice of coalitions to be told, "
            "so no change can be told from noise; give at least four times the number of features."
        )
    if not np.any(values.total):
        notes.append("Every feature has the value 0: all rows equal the baseline, or the model ignores them.")
    return notes


def _local_table(summary: AttributionSummary, request: AttributionRequest) -> pa.Table:
    """Return the values of single rows: features fastest, then labels, then the column copied beside them."""
    local = np.concatenate(summary.local)
    features = _features(request)
    names: list[str] = []
    columns: list[pa.Array] = []
    for number, label in enumerate(request.label_names(local.shape[1])):
        names += [f"{feature}_{label}" for feature in features]
        columns += [pa.array(np.ascontiguousarray(local[:, number, place])) for place in range(len(features))]
    if request.join_column is not None:
        names.append(request.join_column)
        columns.append(_joined(summary.joined))
    return pa.table(columns, names=names)


def _joined(parts: list[pa.Array]) -> pa.ChunkedArray:
    kinds = {part.type for part in parts}
    return pa.chunked_array(parts if len(kinds) == 1 else [part.cast(pa.string()) for part in parts])
