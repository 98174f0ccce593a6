"""Whether the columns that settings and baseline name are in the data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from contract.analysis_config.columns import find_column
from contract.analysis_config.json_object import Mistakes
from contract.analyzer import Baseline
from contract.checks.looks import share_of_numbers
from contract.errors import DatasetError
from contract.settings import Settings
from contract.wording import several

_SHOWN = 8
# Paths, lists and names with a shared beginning are looked up by the monitor itself.
_PLAIN_NAME = re.compile(r"[\w -]+")
_NUMERIC = ("Integral", "Fractional")
_MOSTLY = 0.5


def missing_columns(settings: Settings, names: Sequence[str], kept: Sequence[str]) -> list[str]:
    """Return a sentence for each column that settings name and the data lacks.

    Parameters
    ----------
    names
        Columns of the data.
    kept
        Those that are left when the excluded ones are left out.
    """
    mistakes = Mistakes("")
    for name in settings.exclude_features:
        find_column(name, names, "exclude_features_attribute", mistakes)
    # Rows are divided by what is read, without what is left out.
    for name in settings.segment_by:
        find_column(name, kept, "segment_by", mistakes)
    for variable in ("inference_attribute", "probability_attribute", "ground_truth_attribute"):
        text = getattr(settings, variable)
        if text is None or settings.problem_type is None or not _PLAIN_NAME.fullmatch(text):
            continue
        if not any(name.startswith(text) for name in kept):
            find_column(text, kept, variable, mistakes)
    return [text if text.endswith("?") else f"{text}; name one that is there." for text in mistakes.texts]


def unlike_baseline(
    batch: pa.RecordBatch, baseline: Baseline[Any, Any], expected: Sequence[str]
) -> Iterator[str]:
    """Yield a sentence for each way in which the data's columns are not those of the baseline.

    Parameters
    ----------
    batch
        The first rows of the data.
    expected
        Names of the baseline's columns.
    """
    names = list(batch.schema.names)
    positional = (batch.schema.metadata or {}).get(b"positional") == b"true"
    if positional and len(names) != len(expected):
        yield (
            f"the data has {several(len(names), 'column')} without names, but the baseline has "
            f"{len(expected)}; give the window the baseline's columns, or leave further ones out with "
            "exclude_features_attribute."
        )
        return
    missing = [name for name in expected if name not in names]
    if missing:
        yield (
            f"the baseline has {_listed(missing)}, which the data lacks{_instead(missing, names, expected)}; "
            "mend the data's columns, or run the baseline job again."
        )
    extra = [name for name in names if name not in expected]
    # Attributions are of features alone: label and predictions lie beside them.
    if extra and hasattr(baseline.constraints, "features"):
        yield (
            f"the data has {_listed(extra)}, which the baseline lacks; leave them out with "
            "exclude_features_attribute, or run the baseline job again."
        )
    for feature in getattr(baseline.constraints, "features", ()):
        if feature.inferred_type not in _NUMERIC or feature.name not in names:
            continue
        column = batch.column(names.index(feature.name))
        if column.null_count < len(column) and share_of_numbers(column) < _MOSTLY:
            example = next((cell for cell in column.to_pylist() if cell is not None), None)
            yield (
                f"column {feature.name} holds values such as {str(example)[:40]!r}, but is "
                f"{feature.inferred_type} in the baseline; check the order of the columns and what writes "
                "them, or run the baseline job again."
            )


def require_like_baseline(
    batch: pa.RecordBatch, baseline: Baseline[Any, Any], expected: Sequence[str]
) -> Iterator[str]:
    """Yield a line when the columns are the baseline's.

    Raises
    ------
    DatasetError
        With all differences.
    """
    found = list(unlike_baseline(batch, baseline, expected))
    if found:
        raise DatasetError(" ".join(text[0].upper() + text[1:] for text in found))
    yield f"the data has the {several(len(expected), 'column')} of the baseline"


def _instead(missing: Sequence[str], names: Sequence[str], expected: Sequence[str]) -> str:
    free = [name for name in names if name not in expected]
    mistakes = Mistakes("")
    find_column(missing[0], free, "", mistakes)
    _, found, close = "".join(mistakes.texts).partition(": did you mean ")
    return f" (is {missing[0]} there called {close.rstrip('?')}?)" if found else ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
