"""What an ``analysis_config.json`` means for the data at hand: a dataset that can be read, and its columns.

The first rows are read to learn what the columns are called; nothing is computed here.
"""

import functools
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from contract import dataset
from contract.analysis_config import AnalysisConfig, Locator, PredictorConfig, Segments, read_analysis_config
from contract.analysis_config import Kind as Purpose
from contract.api import Dataset, Settings
from contract.dataset import GROUND_TRUTH, CellRules, ColumnPaths, LabelPlaces, Location
from contract.dataset_format import DatasetFormat, Kind
from contract.errors import ConfigurationError, wording
from contract.outcome import NotTriedError
from contract.schema import Mistakes, nearest, require_once
from contract.wording import as_float, listing, several, some_of
from file_storage import storage
from model_clients.model import Model
from readers.captures.split import first_sides, survey
from readers.cell_types import PANDAS_MARKERS
from readers.csv import first_records, fold, header_evidence
from readers.dataset import REST, NotSplittable, is_interval
from readers.json_files import is_document
from readers.labels import read_labels
from readers.paths import PREFIX, RESPONSE
from readers.plan import CAPTURES, files_of, plan_dataset

# The first rows of a dataset, from which its columns are known.


def batches_of(request: Dataset, most_splits: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the first splits, of whole files where the first rows show that to be necessary."""
    try:
        yield from plan_dataset(request).batches(most_splits)
    except NotSplittable:
        yield from plan_dataset(request, whole_files=True).batches(most_splits)


def first_batch(request: Dataset) -> pa.RecordBatch | None:
    """Return the first rows, of any window and without labels from elsewhere; None when there are none."""
    request = replace(request, window=None, ground_truth_source=None, beside=(), cells=None)
    return next(batches_of(request), None)


def column_names(request: Dataset) -> tuple[str, ...]:
    """Return the names of a dataset's columns, none when it has no rows."""
    batch = first_batch(request)
    return () if batch is None else tuple(batch.schema.names)


_SHOWN = 12


@dataclass(frozen=True)
class Columns:
    """The columns of the batches that are read, by their names.

    Parameters
    ----------
    names
        All of them; empty when there is no data to tell them.
    label, predicted_label, probability
        None where there is none.
    label_name
        What files call the label.
    facets
        Names of the columns of a separate facet dataset, which positions of facets then refer to.
    """

    names: tuple[str, ...]
    label: str | None = None
    predicted_label: str | None = None
    probability: str | None = None
    label_name: str = ""
    facets: tuple[str, ...] = ()

    @property
    def has_predictions(self) -> bool:
        """Return whether the data says what the model predicted."""
        return self.predicted_label is not None or self.probability is not None

    @property
    def features(self) -> tuple[str, ...]:
        """Return the columns that are neither label nor prediction."""
        apart = {self.label, self.predicted_label, self.probability}
        return tuple(name for name in self.names if name not in apart)


def find_column(
    locator: Locator | None, names: Sequence[str], place: str, mistakes: Mistakes, headers: Sequence[str] = ()
) -> str | None:
    """Return the name of the column that a name or zero-based position leads to; note it when there is none.

    Parameters
    ----------
    locator
        A name; a position, also as text. None leads to none.
    names
        The columns there are; when empty, a name is believed.
    place
        The member or setting, for the message.
    headers
        Other names of the same columns, when there are as many: in any order where they differ in letter case
        or blanks only, else by position.
    """
    if locator is None or not names:
        return None if locator is None else str(locator)
    if isinstance(locator, str):
        if locator in names:
            return locator
        if locator in headers and len(headers) == len(names):
            return {fold(name): name for name in names}.get(fold(locator)) or names[headers.index(locator)]
        if not locator.isdecimal():
            close, parts = nearest(locator, names), [one for one in names if one.startswith(f"{locator}.")]
            hint = f": did you mean {close}?" if close else f"; its columns are {some_of(names, _SHOWN)}"
            if parts:
                hint = wording("column.parts", parts=some_of(parts, _SHOWN))
            mistakes.add("column.absent", field=place, column=locator, hint=hint)
            return None
        locator = int(locator)
    if locator < len(names):
        return names[locator]
    columns, last = several(len(names), "column"), len(names) - 1
    mistakes.add("column.beyond", field=place, position=locator, columns=columns, last=last)
    return None


def cluster_columns(settings: Settings, columns: Columns, mistakes: Mistakes) -> tuple[str, ...]:
    """Return the columns of ``cluster_by``; those that are not in the data are noted."""
    found = (find_column(name, columns.names, "cluster_by", mistakes) for name in settings.cluster_by)
    return tuple(name for name in found if name)


# What a configuration asks for that is another job's.


def log_other_methods(config: AnalysisConfig, names: Iterable[str], log: logging.Logger) -> None:
    """Log which members of ``methods``, of those named, the configuration has.

    Parameters
    ----------
    config
        As read.
    names
        The members that are not for this job.
    log
        The job's.
    """
    ignored = [name for name in names if getattr(config.methods, name, None) is not None]
    if ignored:
        log.info("Not for this job: methods.%s of the configuration", " and methods.".join(ignored))


# The segments of an analysis configuration, as columns that divide the rows.


def segment_name(segments: Segments) -> str:
    """Return the name of the column that tells these segments, which is not that of their source."""
    own = f"{segments.name_or_index} segment"
    return own if segments.config_name in (None, str(segments.name_or_index)) else segments.config_name


def segment_columns(
    config: AnalysisConfig, columns: Columns, mistakes: Mistakes
) -> tuple[dataset.SegmentColumn, ...]:
    """Return how the configuration divides the rows; columns that are not in the data are noted."""
    found: list[dataset.SegmentColumn] = []
    for number, segments in enumerate(config.segment_config):
        place = f"segment_config[{number}].name_or_index"
        name = segment_name(segments)
        if name in (*columns.names, *(other.name for other in found)):
            mistakes.add("column.taken", field=f"segment_config[{number}].config_name", column=name)
        source = find_column(segments.name_or_index, columns.names, place, mistakes, config.headers)
        for member in (member for members in segments.segments for member in members):
            if isinstance(member, str) and member[:1] in "[(" and not is_interval(member):
                mistakes.add("column.no_interval", field=f"segment_config[{number}].segments", text=member)
        texts = [*(",".join(map(str, members)) for members in segments.segments), REST]
        labels = (*segments.display_aliases, *texts[len(segments.display_aliases) :])
        found.append(dataset.SegmentColumn(name, source or "", segments.segments, labels))
    return tuple(found)


# Finding and parsing the analysis configuration that the settings name.


FILE_NAME = "analysis_config.json"


def load_analysis_config(settings: Settings, kind: Purpose) -> AnalysisConfig:
    """Read the file that ``analysis_config`` names, or that lies in the folder it names.

    Raises
    ------
    ConfigurationError
        When the file is no JSON, with the place in it; else with everything that is wrong with it.
    DocumentError
        When there is no such file, or it has a member twice.
    """
    path = storage.resolve_document(settings.analysis_config or "", (FILE_NAME,), "analysis_config")
    content = storage.read_bytes(path, ConfigurationError).removeprefix(b"\xef\xbb\xbf")
    with ConfigurationError.instead_of("json.broken", orjson.JSONDecodeError, file=path, cause=str):
        value = orjson.loads(content)
    json.loads(content, object_pairs_hook=functools.partial(require_once, path))
    return read_analysis_config(value, path, kind)


# Paths, lists and names with a shared beginning are looked up by the monitor itself.
_PLAIN_NAME = re.compile(r"[\w -]+")


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
        # What rows are found by is left out already.
        if name not in (settings.id_attribute, settings.time_attribute):
            find_column(name, names, "exclude_features_attribute", mistakes)
    # Rows are divided by what is read, without what is left out.
    for name in settings.segment_by:
        find_column(name, kept, "segment_by", mistakes)
    for name in settings.cluster_by:
        if f"endpointInput_{name}" not in kept:
            find_column(name, kept, "cluster_by", mistakes)
    for variable in ("inference_attribute", "probability_attribute", "ground_truth_attribute"):
        text = getattr(settings, variable)
        if text is None or settings.problem_type is None or not _PLAIN_NAME.fullmatch(text):
            continue
        if not any(name.startswith(text) for name in kept):
            find_column(text, kept, variable, mistakes)
    texts = [mistake.text for mistake in mistakes.found]
    return [text if text.endswith("?") else f"{text}; name one that is there." for text in texts]


# What stands where, by what settings and configuration say.


# Called as the members of `Columns`.
_ROLES = _LABEL, _PREDICTED, _PROBABILITY = "label", "predicted_label", "probability"


def roles(
    settings: Settings, config: AnalysisConfig, *, captured: bool = False
) -> dict[str, tuple[Locator, str]]:
    """Return where label, predicted label and probability are, each with the setting or member that says so.

    A setting comes before the configuration. What captures hold of an answer the `predictor` tells first.
    """
    told: dict[str, list[tuple[Locator | None, str]]] = {
        _LABEL: [(settings.ground_truth_attribute, "ground_truth_attribute"), (config.label, "label")],
        _PREDICTED: [(settings.inference_attribute, "inference_attribute")],
        _PROBABILITY: [(settings.probability_attribute, "probability_attribute")],
    }
    if not captured:
        told[_PREDICTED].append((config.predicted_label, "predicted_label"))
    elif config.predictor and settings.inference_attribute is None and settings.probability_attribute is None:
        told[_PREDICTED] = [(config.predictor.label, "predictor.label")]
        told[_PROBABILITY] = [(config.predictor.probability, "predictor.probability")]
        # One of the headers is a column of the baseline's table.
        if config.predictor.probability is None and config.predicted_label not in config.headers:
            told[_PREDICTED].append((config.predicted_label, "predicted_label"))
    # The first of several is the last to be set.
    pairs = ((role, pair) for role, places in told.items() for pair in reversed(places))
    return {role: (locator, place) for role, (locator, place) in pairs if locator is not None}


# Datasets that are tables: CSV, Parquet, and JSON of flat records; columns in files of their own.


_BY_SUFFIX: dict[str, Kind] = {"csv": "csv", "json": "json", "jsonl": "json", "parquet": "parquet"}


def arrange_table(
    settings: Settings, config: AnalysisConfig, request: Dataset, mistakes: Mistakes, *, header_told: bool
) -> tuple[Dataset, Columns]:
    """Return what to read and its columns, for data whose columns need no JMESPath.

    Parameters
    ----------
    header_told
        Whether the settings say how the data is read, CSV's header included.
    """
    if request.format.kind == "csv":
        facets = () if config.facet_dataset_uri else config.facet
        mentioned: list[Locator | None] = [name for facet in facets for name in facet.name_or_index]
        mentioned += [config.label, config.group_variable, config.predicted_label]
        mentioned += [settings.ground_truth_attribute]
        request = _named_csv(request, config.headers, mentioned, "headers", mistakes, header_told=header_told)
        mistakes.stop_if_any()  # of columns with other names, more would be said that is beside the point
    names = column_names(request)
    if config.headers and names:
        every = column_names(replace(request, keys=None)) if request.keys else names
        joined = () if request.ground_truth_source is None or config.label in every else (str(config.label),)
        _fit_headers(config.headers, (*every, *joined), request, mistakes)
    request, columns = add_separate_files(config, request, Columns(names), mistakes)
    asked = roles(settings, config)
    columns = _with_joined_label(config, request, columns)

    found: dict[str, Any] = {}
    for role in _ROLES:
        locator, place = asked.get(role, (None, role))
        known = getattr(columns, role)
        found[role] = known or find_column(locator, columns.names, place, mistakes, config.headers)
        if role != _LABEL and found[role] is not None and found[role] == found[_LABEL]:
            mistakes.add("column.label_twice", field=place, column=found[role])
    return request, replace(columns, **found, label_name=columns.label_name or found[_LABEL] or "")


def _fit_headers(headers: Sequence[str], names: Sequence[str], request: Dataset, mistakes: Mistakes) -> None:
    """Make sure that headers are names of columns there are, or other names of as many."""
    given, there = set(map(fold, headers)), set(map(fold, names))
    # Further columns keep their names, and members of records come and go.
    if given <= there or (request.format.kind == "json" and there < given):
        return
    if given.isdisjoint(there) and len(headers) == len(names):
        pairs = list(map(" = ".join, zip(headers, names, strict=True)))
        request.said.say("reading.other_names", names=some_of(pairs))
        return
    apart = next(name for name in (*headers, *names) if fold(name) in given ^ there)
    mistakes.add("headers.other_names", file=request.source, field=apart, names=some_of(names, _SHOWN))


def _with_joined_label(config: AnalysisConfig, request: Dataset, columns: Columns) -> Columns:
    """Return the columns with the label that is joined by id, if the settings say where labels are."""
    if request.ground_truth_source is None:
        return columns
    name = str(config.label or GROUND_TRUTH)
    return replace(columns, names=(*columns.names, GROUND_TRUTH), label=GROUND_TRUTH, label_name=name)


def add_separate_files(
    config: AnalysisConfig, request: Dataset, columns: Columns, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Add the columns of ``facet_dataset_uri`` and ``predicted_label_dataset_uri``."""
    if config.facet_dataset_uri:
        wanted = [name for facet in config.facet for name in facet.name_or_index if isinstance(name, str)]
        other = _separate(config, "facet", request, wanted, "facet_", mistakes)
        names = column_names(other)
        request = replace(request, beside=(*request.beside, other))
        columns = replace(columns, names=tuple(dict.fromkeys((*columns.names, *names))), facets=names)
    if config.predicted_label_dataset_uri:
        asked = config.predicted_label
        wanted = [asked] if isinstance(asked, str) else []
        other = _separate(config, _PREDICTED, request, wanted, _PREDICTED, mistakes)
        if other.format.kind == "json" and asked is not None:
            location = Location(_PREDICTED, str(asked), variable=_PREDICTED)
            document = request.locations.document if request.locations else False
            other = replace(other, locations=ColumnPaths(None, (location,), document=document))
            asked = _PREDICTED
        names = column_names(other)
        # One column needs no name.
        if asked is None and len(names) > 1:
            told = {"field": f"{_PREDICTED}_dataset_uri", "file": other.source}
            mistakes.add("column.several", **told, columns=listing(names))
        found = find_column(0 if asked is None else asked, names, _PREDICTED, mistakes)
        request = replace(request, beside=(*request.beside, other))
        names = tuple(dict.fromkeys((*columns.names, *names)))
        columns = replace(columns, names=names, predicted_label=found)
    return request, columns


def _separate(
    config: AnalysisConfig, role: str, request: Dataset, wanted: list[str], prefix: str, mistakes: Mistakes
) -> Dataset:
    uri, headers = getattr(config, f"{role}_dataset_uri"), getattr(config, f"{role}_headers")
    storage.list_files(uri, f"{role}_dataset_uri")  # names the member where there is nothing
    form = DatasetFormat(_BY_SUFFIX.get(uri.rpartition(".")[2].casefold(), request.format.kind))
    other = replace(request, source=uri, format=form, beside=(), locations=None, column_names=None)
    if other.format.kind != "csv":
        return other
    other = _named_csv(other, headers, wanted, f"{role}_headers", mistakes, header_told=False)
    names = column_names(other)
    if names and not headers and not other.format.header:
        # Its columns must not be mistaken for those of the dataset, which may be called the same.
        given = wanted if len(set(wanted)) == len(names) else [prefix + str(at) for at in range(len(names))]
        other = replace(other, column_names=tuple(dict.fromkeys(given)))
    return other


def _named_csv(
    request: Dataset,
    headers: tuple[str, ...],
    mentioned: Iterable[Locator | None],
    member: str,
    mistakes: Mistakes,
    *,
    header_told: bool,
) -> Dataset:
    """Decide whether CSV has a header, and name its columns where it has none.

    Files that come with names of their columns have no header as a rule; one that repeats the names is
    recognised all the same.
    """
    if header_told and request.format.header:
        return request
    if not headers and not header_told:
        request = replace(request, format=DatasetFormat("csv", header=True))
        # A separate file has only columns that are asked for, so one without their names has none.
        asked = [name for name in mentioned if isinstance(name, str)]
        if _has_header(request, asked, needs_name=member != "headers" and bool(asked)):
            return request
    request = replace(request, format=DatasetFormat("csv", header=False))
    if headers:
        request = replace(request, column_names=headers, repeated_names=True)
    names = column_names(request)
    if headers and names and len(names) != len(headers):
        members = {"file": request.source, "field": member, "width": len(names)}
        mistakes.add("headers.other_width", given=several(len(headers), "column"), **members)
    if not headers and names:
        request = replace(request, column_names=tuple(f"{PREFIX}{at}" for at in range(len(names))))
    return request


def _has_header(request: Dataset, names: list[str], *, needs_name: bool) -> bool:
    """Return whether the first row of CSV is a header: it has a name asked for, or no number.

    Parameters
    ----------
    names
        Those asked for.
    needs_name
        Whether only a row with one of them is a header.
    """
    for file in storage.list_files(request.source):
        if records := first_records(file.path):
            cells, *rows = records
            if any(name in cells for name in names):
                return True
            evidence = header_evidence(cells, rows, names)
            if evidence is not None:
                return evidence == "names" and not needs_name
            return not needs_name and all(as_float(cell) is None and cell.strip() for cell in cells)
    return True


# Datasets of nested JSON records, whose columns are found by JMESPath.


_ENOUGH_ROWS = 10


def arrange_nested(
    settings: Settings, config: AnalysisConfig, request: Dataset, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Return what to read and its columns, for JSON and JSON Lines with a path of the features."""
    apart = {_LABEL: request.ground_truth_source, _PREDICTED: config.predicted_label_dataset_uri}
    told = ((role, *where) for role, where in roles(settings, config).items() if apart.get(role) is None)
    others = with_classes([Location(role, str(path), variable=place) for role, path, place in told], config)
    is_whole = config.dataset_type == "application/json"
    if config.dataset_type not in ("application/json", "application/jsonlines"):
        files = storage.list_files(request.source, "dataset_source")
        is_whole = bool(files) and is_document(files[0].path)
    locations = ColumnPaths(config.features, others, document=is_whole)
    request = replace(request, locations=locations)
    request, columns = name_columns(request, locations, config, mistakes)
    return add_separate_files(config, request, _with_joined_label(config, request, columns), mistakes)


def with_classes(others: list[Location], config: AnalysisConfig) -> tuple[Location, ...]:
    """Return the locations; scores of more than two classes become the label with the largest.

    Two classes may have one score as well as two, so they are left to a threshold.
    """
    headers = () if config.predictor is None else config.predictor.label_headers
    if len(headers) <= 2 or any(other.name == _PREDICTED for other in others):
        return tuple(others)
    return tuple(
        other._replace(name=_PREDICTED, classes=headers) if other.name == _PROBABILITY else other
        for other in others
    )


def name_columns(
    request: Dataset, locations: ColumnPaths, config: AnalysisConfig, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Name the columns that `locations` lead to: by the headers for features, label and predicted label.

    Parameters
    ----------
    request
        Reads `locations`.
    """
    batch = first_batch(request)
    found = () if batch is None else tuple(batch.schema.names)
    # Of a few rows, all may well lack a value.
    if batch is not None and batch.num_rows >= _ENOUGH_ROWS:
        for other in locations.others:
            if other.side != GROUND_TRUTH and batch.column(other.name).null_count == batch.num_rows:
                members = {"field": other.variable, "path": other.path, "rows": batch.num_rows}
                mistakes.add("column.empty_path", **members)
    beside = [other.name for other in locations.others]
    features = tuple(name for name in found if name not in beside)
    names = _names(features, beside, config, mistakes)
    others = tuple(other._replace(name=names.get(other.name, other.name)) for other in locations.others)
    named = tuple(names.get(name, name) for name in features)
    if features and not features[0].startswith(PREFIX) and (others_named := sorted({*named} - {*features})):
        # Members have names of their own, by which they are read.
        told = {"file": request.source, "field": others_named[0], "names": some_of(features, _SHOWN)}
        mistakes.add("headers.other_names", **told)
        mistakes.stop_if_any()  # of columns with other names, more would be said that is beside the point
    # Records may name their features themselves; headers are for those that do not.
    locations = locations._replace(others=others, headers=named)
    every = (*named, *(other.name for other in others)) if found else ()
    known: dict[str, Any] = {role: names.get(role, role) for role in _ROLES if role in beside}
    columns = Columns(every, **known, label_name=names.get(_LABEL, _LABEL))
    return replace(request, locations=locations), columns


def _names(
    features: tuple[str, ...], beside: list[str], config: AnalysisConfig, mistakes: Mistakes
) -> dict[str, str]:
    """Return final names by those at hand, for the columns that get another."""
    listed = [name for name in (_LABEL, _PREDICTED) if name in beside]
    if not config.headers:
        if not features or not features[0].startswith(PREFIX):
            return {}
        return {name: f"{PREFIX}{len(features) + at}" for at, name in enumerate(listed)}
    if not features:
        return {}
    unread = _PREDICTED not in beside and config.predicted_label in config.headers
    least, most = len(features), len(features) + len(listed) + unread
    if not least <= len(config.headers) <= most:
        further = "".join(f" and the {name.replace('_', ' ')}" for name in listed)
        given, expected = several(len(config.headers), "column"), several(least, "feature") + further
        mistakes.add("headers.other_columns", given=given, expected=expected)
        mistakes.stop_if_any()  # of columns with other names, more would be said that is beside the point
    return dict(zip([*features, *listed], config.headers, strict=False))


# Captured predictions, with labels or without, as datasets of a bias or attribution job.


def arrange_captures(
    settings: Settings, config: AnalysisConfig, request: Dataset, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Return what to read and its columns, for captures."""
    for member in ("facet_dataset_uri", "predicted_label_dataset_uri"):
        if getattr(config, member):
            mistakes.add("column.not_of_captures", field=member)
    sides = first_sides(files_of(request)[0])
    labels_are_csv = sides.pop(GROUND_TRUTH, True) and _single_labels(request)
    inputs = [side for side in sides if side.endswith("Input")]
    if inputs and all(sides.values()) and len(sides) <= 2 and labels_are_csv:
        return _csv_captures(settings, config, request, tuple(sides), mistakes)
    asked = roles(settings, config, captured=True)
    label, place = asked.pop(_LABEL, (None, _LABEL))
    others = [Location(_LABEL, None if label is None else str(label), GROUND_TRUTH, place)]
    others += [Location(role, str(path), RESPONSE, place) for role, (path, place) in asked.items()]
    features = settings.features_attribute or config.features
    variable = "features_attribute" if settings.features_attribute else "features"
    locations = ColumnPaths(features, with_classes(others, config), variable=variable)
    # By their names a table written column by column is told from lists in one row.
    names = tuple(name for name in config.headers if name != config.label) or None
    request = replace(request, locations=locations, column_names=names)
    return name_columns(request, locations, config, mistakes)


def _csv_captures(
    settings: Settings, config: AnalysisConfig, request: Dataset, sides: tuple[str, ...], mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Arrange captures whose payloads are all CSV, which are read in bulk."""
    form = request.format._replace(capture_indices=sides)
    request = replace(request, format=form, labels=True, typed_labels=True)
    widths = survey(files_of(request)[0], request).layout.widths
    answers = sum(widths) - widths[-1]
    features = _feature_names(config, widths[-1], mistakes)
    response = tuple(f"response_{at}" for at in range(answers))
    found: dict[str, Any] = {}
    asked = roles(settings, config, captured=True)
    for role, (path, place) in ((role, asked[role]) for role in (_PREDICTED, _PROBABILITY) if role in asked):
        if str(path).isdecimal() and int(path) < answers:
            found[role] = response[int(path)]
        else:
            mistakes.add("column.no_position", field=place, text=str(path), columns=answers)
    label = config.label if isinstance(config.label, str) else GROUND_TRUTH
    columns = Columns((*features, GROUND_TRUTH), GROUND_TRUTH, **found, label_name=label)
    return replace(request, column_names=(*response, *features)), columns


def _single_labels(request: Dataset) -> bool:
    """Return whether labels that are joined with the records are cells of CSV, as far as the first says."""
    if request.ground_truth_source is None:
        return True
    files = storage.list_files(request.ground_truth_source, "ground_truth_source")
    first = next(read_labels(files[:1], request.label_places or LabelPlaces()), None)
    if first is None or not len(first.data):
        return True
    return first.encodings[0].as_py() == "CSV" and "," not in first.data[0].as_py()


def _feature_names(config: AnalysisConfig, width: int, mistakes: Mistakes) -> tuple[str, ...]:
    headers, label = config.headers, config.label
    unnamed = tuple(f"{PREFIX}{at}" for at in range(width))
    if isinstance(label, int) and len(headers) == width + 1 and label < len(headers):
        label = headers[label]
    beside = (label, config.predicted_label)
    names = tuple(name for name in headers if name not in beside) if headers else unnamed
    if len(names) == width:
        return names
    mistakes.add("headers.other_requests", given=several(len(names), "feature"), width=width)
    return unnamed


KINDS: dict[str, Kind] = {
    "text/csv": "csv",
    "application/jsonlines": "json",
    "application/json": "json",
    "application/x-parquet": "parquet",
    "application/sagemakercapturejson": "sagemakerMergeJson",
}


def arrange_dataset(
    settings: Settings, config: AnalysisConfig, request: Dataset, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Return what to read, and the names of its columns.

    Parameters
    ----------
    settings
        The job's settings; where data is and how it is read may be told there or in `config`.
    request
        What the settings alone say; its window and labels are kept.
    mistakes
        Gets every member that does not suit the data.

    Raises
    ------
    ConfigurationError
        When members suit the data so little that others cannot be judged.
    DatasetError
        When the data cannot be read.
    """
    told, form = "dataset_format" in settings.given, settings.dataset_format
    if not told:
        # The configuration of a monitor says nothing of the data, which are captures.
        form = DatasetFormat(KINDS[config.dataset_type] if config.dataset_type else "sagemakerMergeJson")
    cells = request.cells and replace(request.cells, dates=False)
    if settings.rules == "sagemaker" and form.kind == "csv":
        cells = CellRules(PANDAS_MARKERS, judged=True, like_pandas=True)
    source = config.dataset_uri or settings.dataset_source
    # Types are told from the values under both sets of rules, as the originals' reader did.
    request = replace(request, source=source, format=form, text_only=False, column_names=None, cells=cells)
    if form.kind in CAPTURES:
        return arrange_captures(settings, config, request, mistakes)
    if form.kind == "json" and config.features is not None:
        return arrange_nested(settings, config, request, mistakes)
    return arrange_table(settings, config, request, mistakes, header_told=told)


# Predictions that a model is asked for, where the data has none.


def ask_model(
    settings: Settings, config: AnalysisConfig, request: Dataset, columns: Columns, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Return what to read with a column of predictions, and the columns with it.

    The model is asked for the first row at once, so that what is wrong with it shows before the work.

    Raises
    ------
    ConfigurationError
        When it is not said how to ask the model, or the configuration is at fault otherwise.
    ModelError
        When the model cannot be asked.
    """
    from model_clients.opening import open_model

    features, _ = model_features(config, columns, mistakes)
    mistakes.stop_if_any()
    predictor = predictor_of(config)
    first = first_batch(request)
    is_given = settings.model is not None or predictor.endpoint_name is not None
    model = open_model(
        settings.model,
        predictor,
        allow_pickled_model=settings.allow_pickled_model,
        # No dry run, and no window without data, is worth an endpoint.
        start=not settings.validate_only and (is_given or bool(plan_dataset(request).splits)),
    )
    request.said.say("reading.model", model=model.where, names=listing(features))
    as_label = model.only_labels or (predictor.probability is None and predictor.label is not None)
    if not as_label and first is not None:
        try:  # more than one column is the class, and not the score of one
            as_label = model.predict(first.slice(0, 1).select(list(features))).shape[1] > 1
        except NotTriedError:
            as_label = len(predictor.label_headers) > 1
    name = _PREDICTED if as_label else _PROBABILITY
    while name in columns.names:
        name += "_"
    ask = model.predict_labels if as_label else functools.partial(_scores, model)
    prediction = dataset.Prediction(name, features, ask, model.where, model.close)
    columns = replace(columns, predicted_label=name) if as_label else replace(columns, probability=name)
    return replace(request, prediction=prediction), columns


def _scores(model: Model, rows: pa.RecordBatch) -> pa.Array:
    return pa.array(np.ascontiguousarray(model.predict(rows)[:, 0]))


def predictor_of(config: AnalysisConfig) -> PredictorConfig:
    """Return how the model is asked: in the type of the dataset, where nothing else is said."""
    predictor, kind = config.predictor or PredictorConfig(), config.dataset_type
    if predictor.content_type is None and kind in ("text/csv", "application/json", "application/jsonlines"):
        predictor = replace(predictor, content_type=kind)
    return predictor


def model_features(
    config: AnalysisConfig, columns: Columns, mistakes: Mistakes, known: Sequence[str] = ()
) -> tuple[tuple[str, ...], str | None]:
    """Return the columns that the model takes, and the one that joins what is written with other data.

    The model takes all but label, predictions, and those that are left out: in the order of the headers, or
    of the `known` names, where these have them all.
    """
    excluded = {
        find_column(locator, columns.names, f"excluded_columns[{number}]", mistakes, config.headers)
        for number, locator in enumerate(config.excluded_columns)
    }
    join, place = config.joinsource_name_or_index, "joinsource_name_or_index"
    join = find_column(join, columns.names, place, mistakes, config.headers)
    left_out = {*excluded, join, *columns.facets}
    features = [name for name in columns.features if name not in left_out]
    order = {name: place for place, name in enumerate(config.headers or known)}
    return tuple(sorted(features, key=order.__getitem__) if order.keys() >= {*features} else features), join
