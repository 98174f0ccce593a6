"""From an analysis configuration to a dataset that can be read, and the names of its columns.

The first rows are read to learn what the columns are called; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa

from contract.analysis_config import AnalysisConfig, Locator
from contract.dataset import CellRules, ColumnPaths, Dataset, LabelPlaces, Location
from contract.dataset_format import DatasetFormat, Kind
from contract.schema import Mistakes
from contract.settings import Settings
from contract.wording import several
from file_storage.storage import list_files
from job_runner.clarify.columns import Columns, column_names, find_column, first_batch
from readers.captures.envelope import LABEL
from readers.captures.split import first_sides, survey
from readers.cell_types import PANDAS_MARKERS
from readers.csv import first_records
from readers.csv_dialect import header_evidence
from readers.json_files import is_document
from readers.labels.lines import read_labels
from readers.paths import GROUND_TRUTH, PREFIX, RESPONSE
from readers.plan import files_of

# Datasets that are tables: CSV, Parquet, and JSON of flat records; columns in files of their own.


_BY_SUFFIX: dict[str, Kind] = {"csv": "csv", "json": "json", "jsonl": "json", "parquet": "parquet"}
PREDICTED_LABEL = "predicted_label"


def arrange_table(
    settings: Settings,
    config: AnalysisConfig,
    request: Dataset,
    mistakes: Mistakes,
    *,
    header_told: bool,
) -> tuple[Dataset, Columns]:
    """Return what to read and its columns, for data whose columns need no JMESPath.

    Parameters
    ----------
    header_told
        Whether the settings say how the data is read, CSV's header included.
    """
    if request.format.kind == "csv":
        mentioned = [*_mentioned(config), settings.ground_truth_attribute]
        request = _named_csv(request, config.headers, mentioned, "headers", mistakes, header_told=header_told)
        mistakes.stop_if_any()  # of columns with other names, more would be said that is beside the point
    names = column_names(request)
    request, columns = add_separate_files(config, request, Columns(names), mistakes)
    headers = config.headers

    def find(locator: Locator | None, place: str) -> str | None:
        return None if locator is None else find_column(locator, columns.names, place, mistakes, headers)

    if request.ground_truth_source is not None:
        columns = replace(columns, names=(*columns.names, GROUND_TRUTH))
        label: str | None = GROUND_TRUTH
    else:
        label = find(settings.ground_truth_attribute, "ground_truth_attribute") or find(config.label, "label")
    predicted = columns.predicted_label
    if predicted is None:
        predicted = find(settings.inference_attribute, "inference_attribute") or find(
            config.predicted_label, "predicted_label"
        )
    columns = replace(
        columns,
        label=label,
        label_name=str(config.label or label) if label == GROUND_TRUTH else label or "",
        predicted_label=predicted,
        probability=find(settings.probability_attribute, "probability_attribute"),
    )
    return request, columns


def add_separate_files(
    config: AnalysisConfig, request: Dataset, columns: Columns, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Add the columns of ``facet_dataset_uri`` and ``predicted_label_dataset_uri``."""
    if config.facet_dataset_uri:
        wanted = [name for facet in config.facet for name in facet.name_or_index if isinstance(name, str)]
        other = _separate(
            config.facet_dataset_uri,
            request,
            config.facet_headers,
            wanted,
            "facet_headers",
            "facet_",
            mistakes,
        )
        names = column_names(other)
        request = replace(request, beside=(*request.beside, other))
        columns = replace(columns, names=_together(columns.names, names), facets=names)
    if config.predicted_label_dataset_uri:
        request, columns = _add_predictions(config, request, columns, mistakes)
    return request, columns


def _add_predictions(
    config: AnalysisConfig, request: Dataset, columns: Columns, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    uri, asked = config.predicted_label_dataset_uri or "", config.predicted_label
    other = replace(
        request, source=uri, format=_format_of(uri, request), beside=(), locations=None, column_names=None
    )
    if other.format.kind == "json" and asked is not None:
        location = Location(PREDICTED_LABEL, str(asked), variable="predicted_label")
        document = request.locations.document if request.locations else False
        other = replace(other, locations=ColumnPaths(None, (location,), document=document))
        asked = PREDICTED_LABEL
    elif other.format.kind == "csv":
        wanted = [asked] if isinstance(asked, str) else []
        other = _separate(
            uri,
            request,
            config.predicted_label_headers,
            wanted,
            "predicted_label_headers",
            PREDICTED_LABEL,
            mistakes,
        )
    names = column_names(other)
    # One column needs no name.
    found = find_column(0 if asked is None else asked, names, "predicted_label", mistakes)
    request = replace(request, beside=(*request.beside, other))
    return request, replace(columns, names=_together(columns.names, names), predicted_label=found)


def _separate(
    uri: str,
    request: Dataset,
    headers: tuple[str, ...],
    wanted: list[str],
    member: str,
    prefix: str,
    mistakes: Mistakes,
) -> Dataset:
    other = replace(
        request, source=uri, format=_format_of(uri, request), beside=(), locations=None, column_names=None
    )
    if other.format.kind != "csv":
        return other
    other = _named_csv(other, headers, wanted, member, mistakes, header_told=False)
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
        mistakes.add(
            f"{member} names {several(len(headers), 'column')}, but {request.source} has {len(names)}; "
            "name every column, in order"
        )
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
    for file in list_files(request.source):
        records = first_records(file.path)
        if records:
            cells, *rows = records
            if any(name in cells for name in names):
                return True
            evidence = header_evidence(cells, rows, names)
            if evidence is not None:
                return evidence == "names" and not needs_name
            return not (needs_name or any(_is_number(cell) for cell in cells))
    return True


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()
    return True


def _mentioned(config: AnalysisConfig) -> list[Locator | None]:
    facets = (
        [] if config.facet_dataset_uri else [name for facet in config.facet for name in facet.name_or_index]
    )
    return [*facets, config.label, config.group_variable, config.predicted_label]


def _format_of(uri: str, request: Dataset) -> DatasetFormat:
    suffix = uri.rpartition(".")[2].casefold()
    return DatasetFormat(_BY_SUFFIX.get(suffix, request.format.kind))


def _together(names: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, *others)))


# Datasets of nested JSON records, whose columns are found by JMESPath.


_ENOUGH_ROWS = 10
_TWO = 2
_LABEL, _PREDICTED, _PROBABILITY = "label", "predicted_label", "probability"


def arrange_nested(
    settings: Settings, config: AnalysisConfig, request: Dataset, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Return what to read and its columns, for JSON and JSON Lines with a path of the features."""
    separate = config.predicted_label_dataset_uri is not None
    predicted = None if separate else settings.inference_attribute or config.predicted_label
    truth = settings.ground_truth_attribute
    paths: list[tuple[str, Locator | None, str]] = [
        (_LABEL, truth or config.label, "ground_truth_attribute" if truth else "label"),
        (_PREDICTED, predicted, "inference_attribute" if settings.inference_attribute else "predicted_label"),
        (_PROBABILITY, settings.probability_attribute, "probability_attribute"),
    ]
    if request.ground_truth_source is not None:
        paths = paths[1:]
    others = with_classes(
        [Location(name, str(path), variable=variable) for name, path, variable in paths if path is not None],
        config,
    )
    locations = ColumnPaths(config.features, others, document=_is_document(config, request))
    request = replace(request, locations=locations)
    request, columns = name_columns(request, locations, config, mistakes)
    if request.ground_truth_source is not None:
        columns = replace(
            columns,
            names=(*columns.names, GROUND_TRUTH),
            label=GROUND_TRUTH,
            label_name=str(config.label or GROUND_TRUTH),
        )
    return add_separate_files(config, request, columns, mistakes)


def with_classes(others: list[Location], config: AnalysisConfig) -> tuple[Location, ...]:
    """Return the locations; scores of more than two classes become the label with the largest.

    Two classes may have one score as well as two, so they are left to a threshold.
    """
    headers = () if config.predictor is None else config.predictor.label_headers
    if len(headers) <= _TWO or any(other.name == _PREDICTED for other in others):
        return tuple(others)
    return tuple(
        replace(other, name=_PREDICTED, classes=headers) if other.name == _PROBABILITY else other
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
    if batch is not None:
        _note_empty(batch, locations, mistakes)
    beside = [other.name for other in locations.others]
    features = tuple(name for name in found if name not in beside)
    names = _names(features, beside, config, mistakes)
    others = tuple(replace(other, name=names.get(other.name, other.name)) for other in locations.others)
    named = tuple(names.get(name, name) for name in features)
    # Records may name their features themselves; headers are for those that do not.
    locations = replace(locations, others=others, headers=named)
    columns = Columns(
        names=(*named, *(other.name for other in others)) if found else (),
        label=names.get(_LABEL, _LABEL) if _LABEL in beside else None,
        predicted_label=names.get(_PREDICTED, _PREDICTED) if _PREDICTED in beside else None,
        probability=_PROBABILITY if _PROBABILITY in beside else None,
        label_name=names.get(_LABEL, _LABEL),
    )
    return replace(request, locations=locations), columns


def _note_empty(batch: pa.RecordBatch, locations: ColumnPaths, mistakes: Mistakes) -> None:
    """Note the paths that lead to nothing. Of a few rows, all may well lack a value."""
    if batch.num_rows < _ENOUGH_ROWS:
        return
    for other in locations.others:
        if other.side != GROUND_TRUTH and batch.column(other.name).null_count == batch.num_rows:
            mistakes.add(
                f"{other.variable} is {other.path!r}, which leads to nothing in the first "
                f"{batch.num_rows} rows; correct the path"
            )


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
    least, most = len(features), len(features) + len(listed)
    if not least <= len(config.headers) <= most:
        further = "".join(f" and the {name.replace('_', ' ')}" for name in listed)
        expected = several(least, "feature") + further
        mistakes.add(
            f"headers names {several(len(config.headers), 'column')}, but the data has {expected}; "
            "name the features, then the label, then the predicted label"
        )
        mistakes.stop_if_any()  # of columns with other names, more would be said that is beside the point
    return dict(zip([*features, *listed], config.headers, strict=False))


def _is_document(config: AnalysisConfig, request: Dataset) -> bool:
    if config.dataset_type in ("application/json", "application/jsonlines"):
        return config.dataset_type == "application/json"
    files = list_files(request.source, "dataset_source")
    return bool(files) and is_document(files[0].path)


# Captured predictions, with labels or without, as datasets of a bias or attribution job.


def arrange_captures(
    settings: Settings, config: AnalysisConfig, request: Dataset, mistakes: Mistakes
) -> tuple[Dataset, Columns]:
    """Return what to read and its columns, for captures."""
    for member in ("facet_dataset_uri", "predicted_label_dataset_uri"):
        if getattr(config, member):
            mistakes.add(f"{member} is for datasets, but captures carry their own columns; leave it out")
    sides = first_sides(files_of(request)[0])
    labels_are_csv = sides.pop(GROUND_TRUTH, True) and _single_labels(request)
    inputs = [side for side in sides if side.endswith("Input")]
    if inputs and all(sides.values()) and len(sides) <= 2 and labels_are_csv:
        return _csv_captures(settings, config, request, tuple(sides), mistakes)
    predictor = config.predictor
    predicted = settings.inference_attribute
    probability = settings.probability_attribute
    if predicted is None and probability is None and predictor is not None:
        predicted, probability = _text(predictor.label), _text(predictor.probability)
    truth = settings.ground_truth_attribute
    paths = [
        ("label", truth or _text(config.label), GROUND_TRUTH, "ground_truth_attribute" if truth else "label"),
        ("predicted_label", predicted, RESPONSE, "inference_attribute"),
        ("probability", probability, RESPONSE, "probability_attribute"),
    ]
    others = with_classes(
        [
            Location(name, path, side, variable)
            for name, path, side, variable in paths
            if path is not None or side == GROUND_TRUTH
        ],
        config,
    )
    features = settings.features_attribute or config.features
    variable = "features_attribute" if settings.features_attribute else "features"
    locations = ColumnPaths(features, others, variable=variable)
    return name_columns(replace(request, locations=locations), locations, config, mistakes)


def _csv_captures(
    settings: Settings,
    config: AnalysisConfig,
    request: Dataset,
    sides: tuple[str, ...],
    mistakes: Mistakes,
) -> tuple[Dataset, Columns]:
    """Arrange captures whose payloads are all CSV, which are read in bulk."""
    request = replace(
        request,
        format=replace(request.format, capture_indices=sides),
        labels=True,
        typed_labels=True,
    )
    decoder, _ = survey(files_of(request)[0], request)
    widths = decoder.layout.widths
    answers = sum(widths) - widths[-1]
    features = _feature_names(config, widths[-1], mistakes)
    response = tuple(f"response_{at}" for at in range(answers))
    names = (*response, *features)

    def find(path: str | None, variable: str) -> str | None:
        if path is None:
            return None
        if path.isdecimal() and int(path) < answers:
            return response[int(path)]
        mistakes.add(
            f"{variable} is {path!r}, but responses are CSV of {answers} columns; give a zero-based position"
        )
        return None

    predictor = config.predictor
    predicted = find(settings.inference_attribute, "inference_attribute")
    probability = find(settings.probability_attribute, "probability_attribute")
    if predicted is None and probability is None and predictor is not None and not mistakes.texts:
        predicted = find(_text(predictor.label), "predictor.label")
        probability = find(_text(predictor.probability), "predictor.probability")
    columns = Columns(
        names=(*features, LABEL),
        label=LABEL,
        label_name=config.label if isinstance(config.label, str) else LABEL,
        predicted_label=predicted,
        probability=probability,
    )
    return replace(request, column_names=names), columns


def _single_labels(request: Dataset) -> bool:
    """Return whether labels that are joined with the records are cells of CSV, as far as the first says."""
    if request.ground_truth_source is None:
        return True
    files = list_files(request.ground_truth_source, "ground_truth_source")
    first = next(read_labels(files[:1], request.label_places or LabelPlaces()), None)
    if first is None or not len(first.data):
        return True
    return first.encodings[0].as_py() == "CSV" and "," not in first.data[0].as_py()


def _feature_names(config: AnalysisConfig, width: int, mistakes: Mistakes) -> tuple[str, ...]:
    headers, label = config.headers, config.label
    if not headers:
        return tuple(f"{PREFIX}{at}" for at in range(width))
    if isinstance(label, int) and len(headers) == width + 1 and label < len(headers):
        label = headers[label]
    names = tuple(name for name in headers if name != label)
    if len(names) != width:
        mistakes.add(
            f"headers names {several(len(names), 'feature')}, but requests have {width}; name every "
            "feature, in order"
        )
        return tuple(f"{PREFIX}{at}" for at in range(width))
    return names


def _text(locator: Locator | None) -> str | None:
    return None if locator is None else str(locator)


_KINDS: dict[str, Kind] = {
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
    told = "dataset_format" in settings.given
    if told:
        form = settings.dataset_format
    else:
        # The configuration of a monitor says nothing of the data, which are captures.
        form = DatasetFormat(_KINDS[config.dataset_type] if config.dataset_type else "sagemakerMergeJson")
    request = replace(
        request,
        source=config.dataset_uri or settings.dataset_source,
        format=form,
        # Types are told from the values under both sets of rules, as the originals' reader did.
        text_only=False,
        column_names=None,
        cells=None if request.cells is None else replace(request.cells, dates=False),
    )
    if settings.rules == "sagemaker" and form.kind == "csv":
        request = replace(request, cells=CellRules(PANDAS_MARKERS, judged=True, like_pandas=True))
    if form.kind in ("sagemakerCaptureJson", "sagemakerMergeJson"):
        return arrange_captures(settings, config, request, mistakes)
    if form.kind == "json" and config.features is not None:
        return arrange_nested(settings, config, request, mistakes)
    return arrange_table(settings, config, request, mistakes, header_told=told)
