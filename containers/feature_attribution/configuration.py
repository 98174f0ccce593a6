"""From settings and ``analysis_config.json`` to what is read and explained, and how the model is asked."""

import contextlib
import csv
import io
import logging
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from analyzers.feature_attribution.analyzer import AttributionChecker, FeatureAttributionAnalyzer
from analyzers.feature_attribution.documents import BASELINE_ROWS
from analyzers.feature_attribution.kernel import Sampling
from analyzers.feature_attribution.rows import FeatureStream, cluster_baselines
from analyzers.feature_attribution.summary import MOST_ROWS, AttributionRequest, Budget, Dependence
from containers.feature_attribution.shortcut import open_shortcut
from contract.analysis_config import AnalysisConfig, Locator, Methods, PartialDependenceConfig, ShapConfig
from contract.api import AnyAnalyzer, Arranged, Dataset, Plan, Replay, Rules, Settings
from contract.dataset_format import DatasetFormat
from contract.errors import ConfigurationError, wording
from contract.schema import Mistakes
from contract.wording import listing, several
from file_storage import storage
from job_runner import clarify
from job_runner.engine import available_processors
from model_clients.endpoints import EndpointModel
from model_clients.model import Model, Policy
from model_clients.opening import open_model
from readers.cell_types import typed_text
from readers.csv import decide_dialect, header_evidence
from readers.dataset import NotSplittable
from readers.flatten import column_of
from readers.paths import compile_path, feature_rows
from readers.plan import CAPTURES, plan_dataset

# One pass over the dataset before the model is asked: how many rows there are, and some of them.


# Rows that clusters are made from, and what is read at a time.
SAMPLED_ROWS = 20_000
_BLOCK_ROWS = 65_536
# Larger datasets are not read an extra time only to tell how long is left.
MOST_BYTES_COUNTED = 256 << 20


def count_rows(plan: Plan, request: Dataset) -> int | None:
    """Return the number of rows, None where finding out would take long or run a user's script twice."""
    if plan.total_bytes <= MOST_BYTES_COUNTED and request.preprocessor is None:
        with contextlib.suppress(NotSplittable):
            return int(sum(batch.num_rows for batch in plan.batches()))
    return None


def sample_rows(
    plan: Plan, request: Dataset, features: tuple[str, ...], seed: int, most: int | None = None
) -> pa.RecordBatch:
    """Return at most so many rows, `SAMPLED_ROWS` by default, each with the same chance, in their order.

    Parameters
    ----------
    plan
        The dataset.
    request
        What the plan was made of, in case it must be made anew with whole files.
    features
        The columns to keep.
    seed
        Of the choice.
    most
        Rows.
    """
    most = most or SAMPLED_ROWS
    try:
        return _sample(plan.batches(), features, seed, most)
    except NotSplittable:
        return _sample(plan_dataset(request, whole_files=True).batches(), features, seed, most)


def _sample(
    batches: Iterator[pa.RecordBatch], features: tuple[str, ...], seed: int, most: int
) -> pa.RecordBatch:
    generator = np.random.default_rng([seed, 1])
    empty = pa.RecordBatch.from_arrays([pa.nulls(0) for _ in features], names=list(features))

    def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        rows = sum(batch.num_rows for batch in batches)
        return FeatureStream(batches, features, empty).take(max(1, rows)) or empty

    kept: list[pa.RecordBatch] = []
    keys = np.zeros(0)
    stream = FeatureStream(batches, features, empty)
    while (block := stream.take(_BLOCK_ROWS)) is not None:
        kept.append(block)
        keys = np.concatenate((keys, generator.random(block.num_rows)))
        if len(keys) > most:
            # The rows with the smallest keys are a sample whatever comes later.
            chosen = np.sort(np.argpartition(keys, most)[:most])
            kept = [joined(kept).take(pa.array(chosen))]
            keys = keys[chosen]
    return joined(kept)


INTERVAL = 10.0
_FIRST = 1.0

_log = logging.getLogger("monitor.feature_attribution")


class Asking:
    """The model as a function of rows.

    Parameters
    ----------
    model
        To ask.
    budget
        Knows how many rows have been explained.
    rows
        In the dataset; None where nobody knows.
    most
        Rows the model may be asked for in all; 0 where nobody knows.
    """

    def __init__(self, model: Model, budget: Budget, rows: int | None, most: int = 0) -> None:
        self._model = model
        self._budget = budget
        self._rows = rows
        self._most = most
        self._answered = 0
        self._logged = time.monotonic() - INTERVAL + _FIRST
        # Closes the model. A job that fails forgets it anywhere on its way; it is closed all the same.
        self.close = weakref.finalize(self, model.close)

    def __reduce__(self) -> tuple[object, ...]:
        # On another host it asks, and says how far it is, for itself.
        return (Asking, (self._model, self._budget, self._rows, self._most))

    def __call__(self, table: pa.RecordBatch) -> NDArray[np.float64]:
        """Return the scores of some rows."""
        scores = self._model.predict(table)
        self._answered += table.num_rows
        self.log()
        return scores

    def log(self, underway: int = 0) -> None:
        """Say how far the job is, if it has not been said for a while.

        Parameters
        ----------
        underway
            Rows answered of the call that has not ended yet.
        """
        now = time.monotonic()
        if now - self._logged < INTERVAL:
            return
        self._logged = now
        _log.info("%s", progress(self._answered + underway, self._budget, self._rows, self._most))


def progress(answered: int, budget: Budget, rows: int | None, most: int = 0) -> str:
    """Return how far the job is as a sentence.

    Parameters
    ----------
    answered
        Rows the model has been asked for.
    budget
        Of the time and the rows.
    rows
        In the dataset; None where nobody knows.
    most
        As `Asking` has it.
    """
    explained = budget.explained
    rate = answered / max(budget.spent, 1e-9)
    text = f"Explained {explained}" + ("" if rows is None else f" of {rows}") + " rows"
    text += f", asked the model for {answered} ({rate:.0f} a second)"
    left = budget.left
    if rows is not None and explained:
        left = min(left, budget.spent * (rows - explained) / explained)
    elif most and answered:
        left = min(left, budget.spent * max(0, most - answered) / answered)
    return text + (f", about {_duration(left)} left" if left < float("inf") else "")


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"


# The rows that stand for absent features: written in the configuration, read from a file, or none yet.


_MEMBER = "methods.shap.baseline"


class Shape(NamedTuple):
    """The columns that rows must fill.

    Parameters
    ----------
    features
        Those the model takes, in its order.
    columns
        All columns of the dataset, for rows that have them all.
    path
        JMESPath of the features in records, None for none.
    """

    features: tuple[str, ...]
    columns: tuple[str, ...] = ()
    path: str | None = None


def given_rows(config: AnalysisConfig, shape: Shape) -> pa.RecordBatch | None:
    """Return the rows that ``methods.shap.baseline`` gives or names a file of, None when it is absent.

    Raises
    ------
    ConfigurationError
        When rows do not have one value per feature, or the file cannot be read.
    """
    shap = None if config.methods is None else config.methods.shap
    if shap is None or shap.baseline is None:
        return None
    if isinstance(shap.baseline, str):
        return rows_of_files(shap.baseline, shape)
    return _table(_found(shap.baseline, shape), shape, config.where)


def rows_of_baseline_job(settings: Settings, shape: Shape) -> pa.RecordBatch | None:
    """Return the rows that the baseline job used, None when they are not beside its other files."""
    for place in filter(None, (settings.baseline_constraints, settings.baseline_statistics)):
        folder = place.rstrip("/")
        if folder.endswith(".json"):
            folder = folder.rpartition("/")[0] or "."
        if storage.is_there(path := f"{folder}/{BASELINE_ROWS}"):
            return rows_of_files(path, shape, has_header=True)
    return None


def rows_of_files(uri: str, shape: Shape, *, has_header: bool = False) -> pa.RecordBatch:
    """Return the rows of the files at a path, local or on S3: CSV, JSON, JSON Lines or Parquet.

    Parameters
    ----------
    uri
        A file or a folder.
    shape
        The columns to fill.
    has_header
        Whether CSV begins with a header even where none of its names is known.

    Raises
    ------
    ConfigurationError
        When a row does not have one value per feature, or a file is none of these.
    DatasetError
        When there is no file.
    """
    tables = [_read(file.path, shape, has_header) for file in storage.list_files(uri, _MEMBER)]
    if not any(table.num_rows for table in tables):
        raise ConfigurationError.of("shap_rows.none", field=_MEMBER, file=uri)
    cells = ([cell for table in tables for cell in table.column(name).to_pylist()] for name in shape.features)
    return pa.RecordBatch.from_arrays([*map(_column, shape.features, cells)], names=list(shape.features))


def _read(path: str, shape: Shape, has_header: bool) -> pa.RecordBatch:
    data = storage.read_bytes(path, ConfigurationError)
    told = {"field": _MEMBER, "file": path}
    if data[:4] == b"PAR1":
        from pyarrow import parquet

        with ConfigurationError.instead_of("shap_rows.parquet", pa.ArrowInvalid, OSError, **told):
            return _table(parquet.read_table(io.BytesIO(data)).to_pylist(), shape, path)
    with ConfigurationError.instead_of("shap_rows.encoding", UnicodeDecodeError, **told):
        text = data.decode("utf-8-sig")
    if text.lstrip()[:1] in ("{", "["):
        return _table(_json_rows(text, path, shape), shape, path)
    return _csv(text, path, shape, has_header)


def _json_rows(text: str, path: str, shape: Shape) -> list[Any]:
    with contextlib.suppress(orjson.JSONDecodeError):
        return _found(orjson.loads(text), shape)
    records = []  # one per line, perhaps
    for number, line in enumerate(text.splitlines(), start=1):
        told = {"field": _MEMBER, "file": path, "line": number}
        with ConfigurationError.instead_of("shap_rows.json", orjson.JSONDecodeError, **told):
            records += [orjson.loads(line)] if line.strip() else []
    return _found(records, shape)


def _csv(text: str, path: str, shape: Shape, has_header: bool) -> pa.RecordBatch:
    dialect = decide_dialect(path, text.encode(), "," if has_header else None, complete=True)
    escape = "\\" if dialect.escaped else None
    lines = csv.reader(
        io.StringIO(text), delimiter=dialect.separator, doublequote=not escape, escapechar=escape
    )
    rows = [row for row in lines if row]
    names: list[str] = []
    known = shape.columns or shape.features
    if rows and (has_header or header_evidence(rows[0], rows[1:], known) == "names"):
        names = rows.pop(0)
    cells = [[cell if cell != "" else None for cell in row] for row in rows]
    absent = [name for name in shape.features if name not in names]
    if not absent:
        places = [names.index(name) for name in shape.features]
        cells = [[row[place] if place < len(row) else None for place in places] for row in cells]
    elif names and (not has_header or set(names) & set(known)):
        told = {"field": _MEMBER, "file": path, "names": listing(names, 12)}
        raise ConfigurationError.of("shap_rows.header", **told, absent=listing(absent))
    table = _table(cells, shape, path)
    return pa.RecordBatch.from_arrays([*map(typed_text, table.columns)], names=list(shape.features))


def _found(value: Any, shape: Shape) -> list[Any]:
    """Return the rows in rows, records, requests in the shape of the model's, or lists of them."""
    if isinstance(value, list):
        if value and not any(isinstance(member, list | dict) for member in value):
            return [value]
        return [row for member in value for row in _found(member, shape)]
    if not isinstance(value, dict):
        return [value]
    if shape.path is not None:
        rows = feature_rows(compile_path(shape.path, "features")(value))
        if rows is not None:
            return list(rows)
    if set(shape.features) <= value.keys():
        return [value]
    nested = [member for member in value.values() if isinstance(member, list | dict)]
    return [row for member in nested for row in _found(member, shape)] if nested else [value]


def _table(rows: Sequence[Any], shape: Shape, where: str) -> pa.RecordBatch:
    cells = [_cells(row, number, shape, where) for number, row in enumerate(rows)]
    if not cells:
        raise ConfigurationError.of("shap_rows.none", field=_MEMBER, file=where)
    columns = [*map(_column, shape.features, map(list, zip(*cells, strict=True)))]
    return pa.RecordBatch.from_arrays(columns, names=list(shape.features))


def _cells(row: Any, number: int, shape: Shape, where: str) -> list[Any]:
    features, told = shape.features, dict[str, Any](field=_MEMBER, file=where, row=number)
    if isinstance(row, dict):
        if absent := [name for name in features if name not in row]:
            raise ConfigurationError.of("shap_rows.features", **told, absent=listing(absent))
        return [row[name] for name in features]
    cells = row if isinstance(row, list) else [row]
    if len(cells) == len(features):
        return cells
    if shape.columns and len(cells) == len(shape.columns):
        return [cells[shape.columns.index(name)] for name in features]
    told |= {"found": len(cells), "wanted": len(features), "names": listing(list(features), 12)}
    raise ConfigurationError.of("shap_rows.width", **told)


def _column(name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return column_of(name, values)


_TABLES = ("text/csv", "application/x-parquet")
_NO_ROWS = pa.RecordBatch.from_arrays([], names=[])


def _named_as_at_the_baseline(
    settings: Settings, config: AnalysisConfig, request: Dataset
) -> tuple[Dataset, clarify.Columns] | None:
    """Arrange records without headers by the baseline's names, None where these do not fit."""
    names = request.column_names
    is_table = config.dataset_type in _TABLES or settings.dataset_format.kind in ("csv", "parquet")
    if not names or config.headers or (is_table and config.features is None):
        return None
    mistakes = Mistakes(config.where)
    try:
        arranged = clarify.arrange_dataset(settings, replace(config, headers=names), request, mistakes)
    except ConfigurationError:
        return None
    return None if mistakes.found else arranged


def _scripted(
    settings: Settings, config: AnalysisConfig, request: Dataset, mistakes: Mistakes
) -> tuple[Dataset, clarify.Columns]:
    """Arrange records whose columns a user's script names."""
    form = settings.dataset_format
    if "dataset_format" not in settings.given:
        kind = clarify.KINDS.get(str(config.dataset_type), "sagemakerCaptureJson")
        sides = ("endpointInput",) if kind in CAPTURES else ()
        form = DatasetFormat(kind, header=kind == "csv" and not config.headers, capture_indices=sides)
    source, headers = config.dataset_uri or settings.dataset_source, config.headers or None
    request = replace(request, source=source, format=form, text_only=False, column_names=headers)
    names = clarify.column_names(request)

    def find(locator: Locator | None, place: str) -> str | None:
        return clarify.find_column(locator, names, place, mistakes, config.headers)

    label = None if form.kind in CAPTURES else find(config.label, "label")
    predicted = find(config.predicted_label, "predicted_label")
    return request, clarify.Columns(names, label=label, predicted_label=predicted)


def _wanted(
    settings: Settings,
    config: AnalysisConfig,
    columns: clarify.Columns,
    mistakes: Mistakes,
    known: Sequence[str],
) -> tuple[AttributionRequest, PartialDependenceConfig | None]:
    """Return what to explain, as yet without baseline rows, and the features of partial dependence."""
    names = columns.names
    features, join_column = clarify.model_features(config, columns, mistakes, known)
    methods = config.methods or Methods()
    shap, pdp = methods.shap or ShapConfig(), methods.pdp

    def among_features(locators: Sequence[Locator], place: str) -> tuple[str, ...]:
        found = set()
        for number, locator in enumerate(locators):
            among = features if isinstance(locator, str) and not locator.isdecimal() else names
            found.add(clarify.find_column(locator, among, f"{place}[{number}]", mistakes, config.headers))
        return tuple(name for name in features if name in found)

    clusters = clarify.cluster_columns(settings, columns, mistakes)
    if names and not features:
        mistakes.add("shap_rows.no_column", field="excluded_columns")
    wanted = AttributionRequest(
        features=features,
        baseline=_NO_ROWS,
        sampling=Sampling(shap.num_samples, shap.use_logit, shap.seed or 0),
        agg_method=shap.agg_method,
        reported=among_features(shap.features_to_explain, "methods.shap.features_to_explain"),
        label_headers=tuple(str(header) for header in clarify.predictor_of(config).label_headers),
        keep_local=shap.save_local_shap_values,
        join_column=join_column,
        explain=methods.shap is not None or pdp is None,
        cluster_by=clusters,
    )
    return wanted, pdp and replace(pdp, features=among_features(pdp.features, "methods.pdp.features"))


def arrange(settings: Settings, request: Dataset) -> Arranged:
    """Return what ``analysis_config.json`` says to read, and how to make the analyzer it asks for.

    Raises
    ------
    ConfigurationError
        With every member that does not suit the data.
    DatasetError
        When the data cannot be read.
    """
    config = clarify.load_analysis_config(settings, "attribution")
    mistakes, known = Mistakes(config.where), request.column_names or ()
    script = request.preprocessor
    if script is not None and script.kind == "record":
        request, columns = _scripted(settings, config, request, mistakes)
    else:
        # Answers of the model are asked for anew, whatever was captured of them.
        unasked = replace(config, predictor=None)
        named = _named_as_at_the_baseline(settings, unasked, request)
        request, columns = named or clarify.arrange_dataset(settings, unasked, request, mistakes)
    wanted, pdp = _wanted(settings, config, columns, mistakes, known)
    mistakes.stop_if_any()
    clarify.log_other_methods(config, ("pre_training_bias", "post_training_bias"), _log)
    # Rows written as lists have the order of the headers, whatever that of the data.
    names = tuple(config.headers) if {*config.headers} == {*columns.names} else columns.names
    return request, partial(_make_analyzer, config, request, names, wanted, pdp)


def _explains(document: Mapping[str, Any]) -> bool:
    return "kernel_shap" in (document.get("explanations") or {})


def _make_checker(rules: Rules, checking: Mapping[str, Any], statistics: Any) -> AttributionChecker:
    return AttributionChecker(rules, checking.get("attribution_drift_threshold"), statistics.design.seed or 0)


REPLAY = Replay(make_checker=_make_checker, has_written=_explains, takes=_explains)


def _make_analyzer(
    config: AnalysisConfig,
    request: Dataset,
    columns: tuple[str, ...],
    wanted: AttributionRequest,
    pdp: PartialDependenceConfig | None,
    settings: Settings,
    plan: Plan,
) -> AnyAnalyzer:
    baseline, notes = _NO_ROWS, tuple[str, ...]()
    if columns and wanted.explain:  # neither a window without data nor partial dependence alone
        shape = Shape(wanted.features, columns, settings.features_attribute or config.features)
        baseline, notes = _baseline_rows(settings, config, request, shape, plan)
    budget = Budget(settings.max_runtime)
    rows = 1 if settings.validate_only else count_rows(plan, request)
    asked: list[Asking] = []
    # A dataset in few pieces leaves processors to the model's own library.
    policy = Policy(threads=max(1, (settings.workers or available_processors()) // max(1, len(plan.splits))))
    model = open_model(
        settings.model,
        clarify.predictor_of(config),
        policy=replace(policy, start_limit=min(policy.start_limit, budget.left)),
        allow_pickled_model=settings.allow_pickled_model,
        progress=lambda done, all_rows: asked[0].log(done) if asked else None,
        start=not settings.validate_only and rows != 0 and bool(plan.splits),
    )
    sampling, width = wanted.sampling, len(wanted.features)
    most = (rows or 0) * (1 + 2 * sampling.pairs(width, width) * baseline.num_rows) if wanted.explain else 0
    asked.append(Asking(model, budget, rows, most))
    if wanted.features:
        request.said.say("reading.model", model=model.where, names=listing(wanted.features))
    if most and isinstance(model, EndpointModel) and not settings.validate_only:
        told = {"rows": several(rows or 0, "row"), "most": most, "requests": model.requests(baseline, most)}
        _log.info("%s", wording("attributions.cost", model=model.where, **told))
        if model.codec.is_single:
            _log.warning("%s", wording("attributions.one_record"))
    names = getattr(model, "names", None) or wanted.features
    unused = tuple(name for name in wanted.features if not {name, name.replace(" ", "_")} & set(names))
    if len(wanted.features) - len(unused) != len(names):
        unused = ()  # columns go by position, or the model refuses them
    if unused:
        notes = (*notes, f"{model.where} has no feature called {listing(unused)}; the attribution is 0.")
    if config.segment_config:
        notes = (*notes, wording("attributions.no_segments"))
    dependence = None
    if pdp is not None and columns and not settings.validate_only:
        some = sample_rows(plan, request, wanted.features, sampling.seed, MOST_ROWS)
        asked_for = tuple(map(str, pdp.features))
        dependence = Dependence(some, pdp.grid_resolution, asked_for, pdp.top_k_features)
    wanted = replace(wanted, baseline=baseline, unused=unused, notes=notes, model=model.where)
    return FeatureAttributionAnalyzer(
        rules=settings.rules,
        request=replace(wanted, most_rows=1 if settings.validate_only else None),
        ask=asked[0],
        drift_limit=settings.attribution_drift_threshold,
        budget=budget,
        shortcut=open_shortcut(model, asked[0], sampling, wanted.features, rows),
        finish=asked[0].close,
        seed=sampling.seed,
        dependence=dependence,
    )


def _baseline_rows(
    settings: Settings, config: AnalysisConfig, request: Dataset, shape: Shape, plan: Plan
) -> tuple[pa.RecordBatch, tuple[str, ...]]:
    """Return the rows that stand for absent features, and notes on where they come from."""
    rows = given_rows(config, shape)
    if rows is None and settings.is_monitoring:
        rows = rows_of_baseline_job(settings, shape)
    if rows is not None:
        return rows, ()
    notes = (wording("shap_rows.own"),) if settings.is_monitoring else ()
    shap = (config.methods or Methods()).shap or ShapConfig()
    sample = sample_rows(plan, request, shape.features, shap.seed or 0)
    if not sample.num_rows:
        return sample, notes
    rows = cluster_baselines(sample, num_clusters=shap.num_clusters, seed=shap.seed or 0)
    _log.info("Absent features take the values of %s of the data", several(rows.num_rows, "cluster"))
    return rows, notes
