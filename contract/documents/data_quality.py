"""The documents of data-quality jobs, as a set."""

from __future__ import annotations

from contract.analyzer import Baseline, DocumentSet
from contract.documents.constraints import Constraints, constraints_to_json, read_constraints
from contract.documents.statistics import Statistics, read_statistics, statistics_to_json

DataQualityBaseline = Baseline[Statistics, Constraints]


def _column_names(baseline: DataQualityBaseline) -> tuple[str, ...] | None:
    document = baseline.constraints or baseline.statistics
    return tuple(feature.name for feature in document.features) if document else None


DATA_QUALITY = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
    column_names=_column_names,
)
