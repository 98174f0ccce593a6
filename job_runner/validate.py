"""The dry run: check a whole set-up, go on after what fails, and write nothing.

A check that needs what another one could not give is skipped, and says so.
"""

import contextlib
import functools
import os
import socket
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from contract.api import AnyBaseline, AnyDocuments, Arranged, Baseline, Monitor
from contract.dataset import GROUND_TRUTH, Dataset, Preprocessor, Tally, counting
from contract.errors import ConfigurationError, DatasetError, ModelError, OutputError, wording
from contract.outcome import Line, attempt, obtain
from contract.schema import nearest
from contract.settings import DEFAULT_MESSAGE_FILE, Settings
from contract.window import Window, path_span
from contract.wording import several, some_of
from file_storage import storage
from file_storage.scripts import load_postprocessor, load_preprocessor
from file_storage.transport import require_url
from job_runner.clarify import batches_of, missing_columns
from job_runner.cluster.role import COMPLETION_INDEX, find_role, split_address
from job_runner.job import dataset_request, load_documents, make_analyzer, read_baseline
from readers.dataset import segments_of
from readers.plan import CAPTURES, files_of, plan_dataset
from reporting.sinks import messages, publishing

# Whether the columns that settings and baseline name are in the data.


_SHOWN = 8
_NUMERIC = ("Integral", "Fractional")
_MOSTLY = 0.5
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"


def unlike_baseline(
    batch: pa.RecordBatch, column_types: Mapping[str, str] | None, expected: Sequence[str]
) -> Iterator[str]:
    """Yield each way in which the data's columns differ from those of the baseline.

    Parameters
    ----------
    batch
        The first rows of the data.
    column_types
        By the baseline's constraints; None where columns without constraints are no mistake.
    expected
        Names of the baseline's columns.
    """
    names = list(batch.schema.names)
    if (batch.schema.metadata or {}).get(b"positional") == b"true" and len(names) != len(expected):
        yield wording("columns.unnamed", columns=several(len(names), "column"), expected=len(expected))
        return
    missing = [name for name in expected if name not in names]
    extra = [name for name in names if name not in expected]
    if missing:
        close = ((name, nearest(name, extra)) for name in missing[:_SHOWN])
        hint = next((f" (is {name} there called {other}?)" for name, other in close if other), "")
        yield wording("columns.missing", columns=some_of(missing, _SHOWN), hint=hint)
    if extra and column_types is not None:
        yield wording("columns.further", columns=some_of(extra, _SHOWN))
    for name, kind in (column_types or {}).items():
        if kind not in _NUMERIC or name not in names:
            continue
        column = batch.column(names.index(name)).drop_null()
        if len(column) and _share_of_numbers(column) < _MOSTLY:
            yield wording("columns.type", field=name, value=str(column[0].as_py())[:40], kind=kind)


def _share_of_numbers(cells: pa.Array) -> float:
    if pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type):
        return 1.0
    return float(pc.mean(pc.match_substring_regex(cells.cast(pa.string()), _NUMBER)).as_py())


# Which share of the captured rows has a label.


# Enough to tell a share to a per cent, read in a few seconds.
_MOST_ROWS = 100_000
# What captures whose columns a configuration locates call their label.
_LOCATED = "label"


def expects_labels(settings: Settings, request: Dataset) -> bool:
    """Return whether the rows are captures that get their labels from elsewhere."""
    attribute = settings.ground_truth_attribute
    elsewhere = attribute is None or attribute.startswith(GROUND_TRUTH) or request.locations is not None
    wanted = request.labels or request.ground_truth_source is not None
    return request.format.kind in CAPTURES and wanted and elsewhere


def require_labels(request: Dataset) -> Iterator[str]:
    """Yield a line with the share of rows that have a label.

    Raises
    ------
    DatasetError
        When no row has one, with the likely causes.
    """
    rows = labelled = 0
    for batch in _many(replace(request, prediction=None, segments=())):
        valid = [
            column.is_valid()
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
            if name in (_LOCATED, GROUND_TRUTH) or name.startswith(f"{GROUND_TRUTH}.")
        ]
        rows += batch.num_rows
        labelled += functools.reduce(pc.or_, valid).true_count if valid else 0
    if not rows:
        return
    seen = f"the first {rows}" if rows >= _MOST_ROWS else str(rows)
    if labelled:
        yield f"{labelled / rows:.0%} of {seen} captured rows have a label ({labelled})"
        return
    if request.ground_truth_source is None:
        raise DatasetError.of("labels.no_source", field="ground_truth_source", rows=seen)
    raise DatasetError.of("labels.none", file=request.ground_truth_source, rows=seen)


def _many(request: Dataset) -> Iterator[pa.RecordBatch]:
    """Yield the first rows, `_MOST_ROWS` or a few more, or all there are."""
    seen = 0
    for batch in batches_of(request):
        yield batch
        seen += batch.num_rows
        if seen >= _MOST_ROWS:
            return


# Splits that are looked through for a first row.
_MOST_SPLITS = 16
# Rows a model is asked about in a dry run.
_ROWS_ASKED = 100


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
    yield from obtain(functools.partial(_cluster, settings), lambda text: text)
    yield from check_places(settings)
    yield from check_sinks(settings)
    adjusted = yield from obtain(lambda: monitor.adjusted(settings), lambda _: None)
    settings = replace(adjusted or settings, validate_only=True)
    files = load_documents(settings, monitor)
    baseline = yield from _baseline(settings, files)
    preprocessor, scripts_load = yield from _scripts(settings)
    request = dataset_request(settings, files, baseline, preprocessor)
    model_is_there = yield from check_model(settings)
    arranged = None
    if adjusted is not None and scripts_load and model_is_there:
        usable = f"the analysis configuration at {settings.analysis_config} can be used"
        arranged = yield from obtain(
            lambda: monitor.arranged(settings, request),
            lambda _: usable if "configuration" in monitor.offers else None,
        )
    if arranged is None:
        # Where the data is may be told by the configuration, else the settings say it.
        if "dataset_source" in settings.given:
            yield from _files(settings, request, format_known="dataset_format" in settings.given)
        yield Line("skip", "rows, columns and model are not looked at before the above is mended")
        return
    if (yield from _files(settings, arranged[0], format_known=True)):
        yield from _rows(settings, monitor, files, baseline, arranged)
    else:
        yield Line("skip", "rows, columns and model are not looked at before there are files to read")


def _cluster(settings: Settings) -> str | None:
    """Return a line on the hosts of the job; None where it has one."""
    # A pod has its index only in the cluster.
    role = find_role(settings, {COMPLETION_INDEX: "0", **os.environ})
    if role and role.kind == "client":
        _connect(split_address(role.address), f"dask_scheduler_address is {role.address}", _LONGEST_WAIT)
    return role and f"the hosts of the job meet at {role.address}"


def _baseline(settings: Settings, files: AnyDocuments) -> Generator[Line, None, AnyBaseline | None]:
    """Read both documents of the baseline, each whatever is wrong with the other."""

    def read(name: str, alone: Settings) -> Generator[Line, None, AnyBaseline | None]:
        return obtain(
            lambda: read_baseline(alone, files),
            lambda found: None if found is None else f"{name} can be read",
        )

    constraints = yield from read("baseline_constraints", replace(settings, baseline_statistics=None))
    statistics = yield from read("baseline_statistics", replace(settings, baseline_constraints=None))
    if constraints is None or statistics is None:
        return constraints or statistics
    return Baseline(statistics.statistics, constraints.constraints)


def _scripts(settings: Settings) -> Generator[Line, None, tuple[Preprocessor | None, bool]]:
    """Load the scripts; return the preprocessor, and whether there is one where one is wanted."""
    if script := settings.post_analytics_processor_script:
        yield from _passed("post_analytics_processor_script can be loaded", load_postprocessor, script)
    if path := settings.record_preprocessor_script:
        preprocessor = yield from obtain(
            lambda: load_preprocessor(path),
            lambda loaded: f"record_preprocessor_script can be loaded ({loaded.kind})",
        )
        return preprocessor, preprocessor is not None
    return None, True


def _files(settings: Settings, request: Dataset, *, format_known: bool) -> Generator[Line, None, bool]:
    """Look for files of the window; return whether they are what the format says."""
    source = _source(request, settings)
    files = yield from obtain(
        lambda: _files_in_window(request, source, format_known=format_known),
        lambda found: f"{source} has {storage.size_of(found)}{' of the window' if request.window else ''}",
    )
    return bool(files)


def _files_in_window(request: Dataset, source: str, *, format_known: bool) -> list[storage.SourceFile]:
    files = storage.list_files(request.source)
    if not files:
        raise DatasetError.of("files.none", file=source)
    inside = files_of(request)[0] if format_known else files
    if inside or request.window is None:
        return inside
    starts = sorted(span.start for file in files if (span := path_span(file.path)) is not None)
    has, window, hours = several(len(files), "file"), request.window, Window(starts[0], starts[-1])
    raise DatasetError.of("files.of_other_hours", file=source, files=has, window=window, hours=hours)


def _rows(
    settings: Settings,
    monitor: Monitor,
    files: AnyDocuments,
    baseline: AnyBaseline | None,
    arranged: Arranged,
) -> Iterator[Line]:
    """Read the first rows, and hold settings, baseline and model to them."""
    request = arranged[0]
    source = _source(request, settings)
    labels: list[Line] = []
    # A monitor without predictions may read labels, but does not live on them.
    if "predictions" in monitor.offers and expects_labels(settings, request):
        labels = list(attempt(lambda: require_labels(request)))
    yield from labels
    first = yield from obtain(lambda: _first_rows(request, source), _columns_line)
    if first is None:
        yield Line("skip", "columns and model are not looked at before rows can be read")
        return
    if request.said.call_rows.shapes:
        yield Line("ok", request.said.call_rows.text())
    for sentence in request.said.lines():
        yield Line("ok", f"reading {sentence}")
    expected = (files.column_names(baseline) if baseline else None) or ()
    added = {column.name for column in request.segments}
    named = replace(settings, segment_by=tuple(name for name in settings.segment_by if name not in added))
    # All columns, those too that the settings leave out.
    every = _first_rows(replace(request, exclude=()), source) if settings.exclude_features else first
    missing = []
    for text in missing_columns(named, every.schema.names, first.schema.names):
        # What would be left out may be in the baseline's data alone; the job says so, too.
        is_said = text.startswith("exclude_features_attribute") and not text.endswith("?")
        missing += [] if is_said else [text]
        yield Line("ok" if is_said else "FAIL", text)
    if baseline is not None and expected:
        constraints = baseline.constraints
        types = None if constraints is None else files.column_types(constraints)
        differences = " ".join(text[0].upper() + text[1:] for text in unlike_baseline(first, types, expected))
        alike = f"the data has the {several(len(expected), 'column')} of the baseline"
        yield Line("FAIL", differences) if differences else Line("ok", alike)
    if missing or any(line.found == "FAIL" for line in labels):
        yield Line("skip", "the analysis of the first rows is not tried before the above is mended")
        return
    asks_model = request.prediction is not None or "attributions" in monitor.offers
    yield from attempt(lambda: _trial(settings, baseline, arranged, first if asks_model else None))


def _first_rows(request: Dataset, source: str) -> pa.RecordBatch:
    """Return the first rows of the window; a model is not asked for them."""
    request = replace(request, prediction=None, segments=())
    tally = Tally()
    with counting(tally):
        for batch in batches_of(request, _MOST_SPLITS):
            if batch.num_rows:
                request.said.add(tally, batch.num_rows)
                return batch
    in_window = " in the window; mend start_time and end_time, or window" if request.window else ""
    if (script := request.preprocessor) is not None:
        raise DatasetError.of("rows.all_left_out", file=source, window=in_window, script=script.path)
    raise DatasetError.of("rows.none", file=source, window=in_window)


def _trial(
    settings: Settings, baseline: AnyBaseline | None, arranged: Arranged, first: pa.RecordBatch | None
) -> Iterator[str]:
    """Analyse rows and compare them with the baseline, as the job does.

    A model is asked about some of the `first` rows; without these many are read. What is wrong with rows is
    told where these are all.
    """
    request, make = arranged
    if first is not None and request.prediction is not None:
        first = request.prediction.append(first.slice(0, _ROWS_ASKED))
        asked = several(first.num_rows, "row")
        yield f"the model {request.prediction.where} answers {asked} with {request.prediction.name}"
        for division in request.segments:
            first = first.append_column(division.name, segments_of(first, division))
    analyzer = make_analyzer(settings, plan_dataset(request), make)
    summary = analyzer.summarize(_many(request) if first is None else [first])
    statistics = analyzer.describe(summary)
    yield from analyzer.tried(statistics)
    yield "the first rows can be analysed"
    are_all = first is None and analyzer.row_count(summary) < _MOST_ROWS
    with contextlib.suppress(*() if are_all else (DatasetError,)):
        if baseline is not None and settings.is_monitoring:
            statistics = analyzer.estimate(statistics, baseline)
            analyzer.check(statistics, baseline)
        analyzer.suggest(statistics, baseline if settings.is_monitoring else None)


def _columns_line(first: pa.RecordBatch) -> str:
    types = first.schema.types
    kinds = ["text" if pa.types.is_dictionary(one) else str(one).replace("string", "text") for one in types]
    columns = [f"{name} ({kind})" for name, kind in zip(first.schema.names, kinds, strict=True)]
    rows = "the first row has" if first.num_rows == 1 else f"the first {first.num_rows} rows have"
    return f"{rows} columns {some_of(columns, _SHOWN)}"


def _source(request: Dataset, settings: Settings) -> str:
    return "dataset_source" if request.source == settings.dataset_source else f"dataset_uri {request.source}"


# Whether the places a job writes to can be written, without writing to them.


def check_places(settings: Settings) -> Iterator[Line]:
    """Yield a line for each folder or file that the job writes."""
    always = ("output_path", "register_new_baseline", "history_path")
    folders = {variable: getattr(settings, variable) for variable in always}
    if settings.publish_cloudwatch_metrics and "cloudwatch_metrics_directory" in settings.given:
        folders["cloudwatch_metrics_directory"] = settings.cloudwatch_metrics_directory
    # Outside of SageMaker the default place seldom exists, which fails no job.
    if settings.output_message_file != DEFAULT_MESSAGE_FILE:
        folders["output_message_file"] = settings.output_message_file
    for variable, path in folders.items():
        if path is not None:
            is_file = variable == "output_message_file"
            yield from _passed(f"{variable} {path} can be written", require_writable, path, variable, is_file)


def _passed[**P](text: str, check: Callable[P, object], *given: P.args, **named: P.kwargs) -> Iterator[Line]:
    """Yield a line with `text` where a check passes, else with what it raises."""
    yield from obtain(lambda: check(*given, **named), lambda _: text)


def require_writable(path: str, role: str, is_file: bool) -> None:
    """Make sure that files can be written to a folder that may not exist yet, and create nothing.

    Parameters
    ----------
    path
        Local folder or ``s3://bucket/prefix``; a local file when `is_file`.
    role
        What it is, for the message.

    Raises
    ------
    OutputError
        Naming the path, what stands in the way, and the fix.
    """
    if storage.is_s3(path):
        storage.prepare_output(path, role)  # looks for the bucket, and writes nothing
        return
    target = Path(path)
    if is_file and target.is_dir():
        raise OutputError.of("place.folder", field=role, file=path)
    if is_file and target.exists():
        if not os.access(target, os.W_OK):
            raise OutputError.of("place.read_only", field=role, file=path)
        return
    above = next(one for one in (target, *target.parents) if one.exists())
    if not above.is_dir():
        raise OutputError.of("place.below_a_file", field=role, file=path, above=above)
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError.of("place.forbidden", field=role, file=path, above=above)


_LONGEST_WAIT = 5.0
_PORTS = {"http": 80, "https": 443}


def check_sinks(settings: Settings) -> Iterator[Line]:
    """Yield a line for the sinks' settings and for each sink."""
    addresses = (*settings.metrics_sinks, *settings.event_sinks)
    if addresses or settings.sink_headers_file:
        said = "sinks are set up, and will be asked when the job is done"
        yield from obtain(
            lambda: publishing.open_sinks(settings),
            lambda sinks: None if sinks is None else f"{said}: {sinks.describe()}",
        )
    for address in addresses:
        kind, target, shown = address.kind, address.target, address.shown
        if kind in ("cloudwatch", "eventbridge"):
            yield Line("skip", f"{shown} can only be tried by sending something")
        elif kind == "prometheus-textfile":
            yield from _passed(f"{shown} can be written", _require_textfile, target, kind)
        else:
            variable = "metrics_sinks" if address in settings.metrics_sinks else "event_sinks"
            wait = min(settings.sink_timeout, _LONGEST_WAIT)
            what = f"{variable} holds {shown}"
            yield from _passed(f"{shown} can be reached", _connect, _place(target), what, wait)


def _require_textfile(target: str, kind: str) -> None:
    folder = messages.textfile_path(target, {}).parent
    if not folder.is_dir():
        raise OutputError.of("place.no_textfile_folder", file=folder)
    require_writable(str(folder), kind, is_file=False)


def check_model(settings: Settings) -> Generator[Line, None, bool]:
    """Yield a line for the model, if the settings name one; return whether it can be asked or loaded."""
    model = settings.model
    if model is None or storage.is_s3(model):
        return True
    found = yield from obtain(functools.partial(_find_model, model), lambda text: text)
    return found is not None


def _find_model(model: str) -> str:
    """Return a line on where the model is.

    Raises
    ------
    ModelError
        When nothing answers there, or there is no such file.
    """
    if model.startswith(tuple(f"{scheme}://" for scheme in _PORTS)):
        require_url(model)
        _connect(_place(model), f"model is {model}", _LONGEST_WAIT)
        return f"the model's server {urlsplit(model).netloc.rpartition('@')[2]} can be reached"
    if "://" not in model and not Path(model).is_file():
        raise ModelError.of("model.no_file", file=model, hint=storage.nearby(model))
    return f"the model is at {model}"


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _connect(place: tuple[str, int], what: str, wait: float) -> None:
    where = "{} port {}".format(*place)
    with ConfigurationError.instead_of("connection.refused", OSError, what=what, where=where):
        socket.create_connection(place, wait).close()
