"""The dry run: check a whole set-up, go on after what fails, and write nothing.

A check that needs what another one could not give is skipped, and says so.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from contract.analyzer import AnyAnalyzer, Baseline, DocumentSet
from contract.checklist import Line, attempt, obtain
from contract.checks.columns import missing_columns, require_like_baseline
from contract.checks.labels import expects_labels, require_labels
from contract.checks.looks import require_header, require_kind
from contract.checks.places import check_places
from contract.checks.reach import check_model, check_sinks
from contract.datasets import storage
from contract.datasets.plan import CAPTURE_SLACK, CAPTURES, DatasetRequest, NotSplittable, plan_dataset
from contract.datasets.segment_column import segments_of
from contract.datasets.window import folder_hour, folder_overlaps
from contract.errors import DatasetError
from contract.job import column_names, dataset_request, load_documents, make_analyzer, read_baseline
from contract.monitor import MakeAnalyzer, Monitor
from contract.scripts import Preprocessor, load_postprocessor, load_preprocessor
from contract.settings import Settings
from contract.wording import several

_COLUMNS_SHOWN = 8
# Splits that are looked through for a first row.
_MOST_SPLITS = 16
# Rows a model is asked about in a dry run.
_ROWS_ASKED = 100


@runtime_checkable
class Trying(Protocol):
    """An analyzer that uses more than the data, and has something to say of how that went."""

    def tried(self, statistics: Any) -> tuple[str, ...]:
        """Return a line for each thing that was found in order, from the statistics of a trial."""


# Commands that can do little without labels; others may read them all the same.
_LABELLED = ("monitor-model-quality", "monitor-bias")

_AnyBaseline = Baseline[Any, Any]
_Documents = DocumentSet[Any, Any]
_Arranged = tuple[DatasetRequest, MakeAnalyzer]
_Lines = Generator[Line, None, bool]


def validate(settings: Settings, monitor: Monitor) -> Iterator[Line]:
    """Yield a line for each thing that is in order, each that is not, and each that cannot be checked.

    Parameters
    ----------
    settings
        What the job is told.
    monitor
        What kind of job it is.
    """
    yield Line("ok", "settings can be read")
    yield from check_places(settings)
    yield from check_sinks(settings)
    adjusted = yield from obtain(lambda: monitor.adjusted(settings), lambda _: None)
    settings = replace(adjusted or settings, validate_only=True)
    files = load_documents(settings, monitor)
    baseline = yield from _baseline(settings, files)
    preprocessor, scripts_load = yield from _scripts(settings)
    request = dataset_request(settings, column_names(baseline, files), preprocessor)
    model_is_there = yield from check_model(settings)
    arranged = None
    if adjusted is not None and scripts_load and model_is_there:
        arranged = yield from obtain(
            lambda: monitor.arranged(settings, request),
            lambda _: (
                f"the analysis configuration at {settings.analysis_config} can be used"
                if monitor.arrange
                else None
            ),
        )
    if arranged is None:
        # Where the data is may be told by the configuration, else the settings say it.
        if "dataset_source" in settings.given:
            yield from _files(settings, request, format_known="dataset_format" in settings.given)
        yield Line("skip", "rows, columns and model are not looked at before the above is mended")
        return
    if (yield from _files(settings, arranged[0], format_known=True)):
        yield from _rows(settings, monitor.program, files, baseline, arranged)
    else:
        yield Line("skip", "rows, columns and model are not looked at before there are files to read")


def _baseline(settings: Settings, files: _Documents) -> Generator[Line, None, _AnyBaseline | None]:
    """Read both documents of the baseline, each whatever is wrong with the other."""
    constraints = statistics = None
    if settings.baseline_constraints:
        alone = replace(settings, baseline_statistics=None)
        part = yield from obtain(
            functools.partial(read_baseline, alone, files),
            lambda found: None if found is None else "baseline_constraints can be read",
        )
        constraints = part.constraints if part else None
    if settings.baseline_statistics:
        alone = replace(settings, baseline_constraints=None)
        part = yield from obtain(
            functools.partial(read_baseline, alone, files),
            lambda found: None if found is None else "baseline_statistics can be read",
        )
        statistics = part.statistics if part else None
    return Baseline(statistics, constraints) if constraints or statistics else None


def _scripts(settings: Settings) -> Generator[Line, None, tuple[Preprocessor | None, bool]]:
    """Load the scripts; return the preprocessor, and whether there is one where one is wanted."""
    if script := settings.post_analytics_processor_script:
        yield from obtain(
            lambda: load_postprocessor(script), lambda _: "post_analytics_processor_script can be loaded"
        )
    if path := settings.record_preprocessor_script:
        preprocessor = yield from obtain(
            lambda: load_preprocessor(path),
            lambda loaded: f"record_preprocessor_script can be loaded ({loaded.kind})",
        )
        return preprocessor, preprocessor is not None
    return None, True


def _files(settings: Settings, request: DatasetRequest, *, format_known: bool) -> _Lines:
    """Look for files of the window; return whether they are what the format says."""
    source = _source(request, settings)
    files = yield from obtain(
        lambda: _files_in_window(request, source),
        lambda found: f"{source} has {storage.size_of(found)}{' of the window' if request.window else ''}",
    )
    if not files:
        return False
    scripted = request.preprocessor is not None and request.preprocessor.kind == "record"
    if scripted or not format_known:
        return True  # a script reads what it likes
    kinds = yield from obtain(lambda: _kinds(files, request), lambda _: None)
    return kinds is not None


def _kinds(files: list[storage.SourceFile], request: DatasetRequest) -> bool:
    for file in (files[0], files[-1]):
        require_kind(file.path, request.format)
    return True


def _files_in_window(request: DatasetRequest, source: str) -> list[storage.SourceFile]:
    files = storage.list_files(request.source)
    if not files:
        raise DatasetError(f"{source} holds no files; check the path, and that what writes the data has run.")
    slack = CAPTURE_SLACK if request.format.kind in CAPTURES else timedelta(0)
    inside = [file for file in files if folder_overlaps(file.path, request.window, slack)]
    if inside or request.window is None:
        return inside
    hours = sorted(hour for hour in (folder_hour(file.path) for file in files) if hour is not None)
    raise DatasetError(
        f"{source} holds {several(len(files), 'file')}, but none of the window "
        f"{_time(request.window.start)} to {_time(request.window.end)}: "
        f"their folders are of {_time(hours[0])} to {_time(hours[-1])} (UTC); "
        "mend start_time and end_time, or window, and mind the time zone."
    )


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _rows(
    settings: Settings,
    program: str,
    files: _Documents,
    baseline: _AnyBaseline | None,
    arranged: _Arranged,
) -> Iterator[Line]:
    """Read the first rows, and hold settings, baseline and model to them."""
    request, make = arranged
    source = _source(request, settings)
    if program in _LABELLED and expects_labels(settings, request):
        yield from attempt(lambda: require_labels(request))
    first = yield from obtain(lambda: _first_rows(request, source), _columns_line)
    if first is None:
        yield Line("skip", "columns and model are not looked at before rows can be read")
        return
    expected = column_names(baseline, files) or ()
    header = yield from obtain(lambda: _header(first, request, expected, source), lambda _: None)
    if header is None:
        yield Line("skip", "columns are not looked at before the header is mended")
        return
    added = {column.name for column in request.segments}
    named = replace(settings, segment_by=tuple(name for name in settings.segment_by if name not in added))
    missing = missing_columns(named, _all_names(settings, request, first), first.schema.names)
    for text in missing:
        yield Line("FAIL", text)
    if baseline is not None and expected:
        yield from attempt(lambda: require_like_baseline(first, baseline, expected))
    if missing:
        yield Line("skip", "the analysis of the first rows is not tried before these columns are there")
    else:
        yield from attempt(lambda: _trial(settings, request, make, first))


def _first_rows(request: DatasetRequest, source: str) -> pa.RecordBatch:
    """Return the first rows of the window; a model is not asked for them."""
    request = replace(request, prediction=None, segments=())
    for whole_files in (False, True):
        try:
            for split in plan_dataset(request, whole_files=whole_files).splits[:_MOST_SPLITS]:
                for batch in split.batches():
                    if batch.num_rows:
                        return batch
            break
        except NotSplittable:
            continue
    in_window = " in the window; mend start_time and end_time, or window" if request.window else ""
    script = request.preprocessor
    cause = "check what writes the data" if script is None else f"see whether {script.path} leaves all out"
    raise DatasetError(f"{source} has files, but no row{in_window}; {cause}.")


def _all_names(settings: Settings, request: DatasetRequest, first: pa.RecordBatch) -> list[str]:
    """Return the names of all columns, those too that the settings leave out."""
    if not settings.exclude_features:
        return list(first.schema.names)
    everything = _first_rows(replace(request, exclude=()), "dataset_source")
    return list(everything.schema.names)


def _header(batch: pa.RecordBatch, request: DatasetRequest, expected: tuple[str, ...], source: str) -> bool:
    if request.preprocessor is None:
        require_header(batch, request.format, expected, source)
    return True


def _trial(
    settings: Settings, request: DatasetRequest, make: MakeAnalyzer, first: pa.RecordBatch
) -> Iterator[str]:
    """Analyse the first rows, and ask the model about some of them where one is asked."""
    prediction = request.prediction
    if prediction is not None:
        first = first.slice(0, _ROWS_ASKED)
        first = first.append_column(prediction.name, prediction.column(first))
        rows = several(first.num_rows, "row")
        yield f"the model {prediction.model.where} answers {rows} with {prediction.name}"
    for division in request.segments:
        first = first.append_column(division.name, segments_of(first, division))
    analyzer: AnyAnalyzer = make_analyzer(settings, make, plan_dataset(request))
    statistics = analyzer.describe(analyzer.summarize([first]))
    if isinstance(analyzer, Trying):
        yield from analyzer.tried(statistics)
    yield "the first rows can be analysed"


def _columns_line(first: pa.RecordBatch) -> str:
    columns = ", ".join(
        f"{field.name} ({_kind(field.type)})" for field in list(first.schema)[:_COLUMNS_SHOWN]
    )
    more = first.num_columns - _COLUMNS_SHOWN
    rows = "the first row has" if first.num_rows == 1 else f"the first {first.num_rows} rows have"
    return f"{rows} columns {columns}" + (f" and {more} more" if more > 0 else "")


def _source(request: DatasetRequest, settings: Settings) -> str:
    if request.source == settings.dataset_source:
        return "dataset_source"
    return f"dataset_uri {request.source}"


def _kind(type_: pa.DataType) -> str:
    return "text" if pa.types.is_dictionary(type_) else str(type_).replace("string", "text")
