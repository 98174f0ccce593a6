"""Datasets that are tables: CSV, Parquet, and JSON of flat records; columns in files of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from contract.analysis_config.columns import Columns, find_column
from contract.analysis_config.first_rows import column_names
from contract.analysis_config.json_object import Mistakes
from contract.analysis_config.members import AnalysisConfig, Locator
from contract.datasets.csv_table import first_cells
from contract.datasets.format import DatasetFormat, Kind
from contract.datasets.locations import PREFIX, Location, Locations
from contract.datasets.request import DatasetRequest
from contract.datasets.storage import list_files
from contract.settings import Settings
from contract.wording import several

_BY_SUFFIX: dict[str, Kind] = {"csv": "csv", "json": "json", "jsonl": "json", "parquet": "parquet"}
PREDICTED_LABEL = "predicted_label"


def arrange_table(
    settings: Settings,
    config: AnalysisConfig,
    request: DatasetRequest,
    mistakes: Mistakes,
    *,
    header_told: bool,
) -> tuple[DatasetRequest, Columns]:
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

    label = find(settings.ground_truth_attribute, "ground_truth_attribute") or find(config.label, "label")
    predicted = columns.predicted_label
    if predicted is None:
        predicted = find(settings.inference_attribute, "inference_attribute") or find(
            config.predicted_label, "predicted_label"
        )
    columns = replace(
        columns,
        label=label,
        label_name=label or "",
        predicted_label=predicted,
        probability=find(settings.probability_attribute, "probability_attribute"),
    )
    return request, columns


def add_separate_files(
    config: AnalysisConfig, request: DatasetRequest, columns: Columns, mistakes: Mistakes
) -> tuple[DatasetRequest, Columns]:
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
    config: AnalysisConfig, request: DatasetRequest, columns: Columns, mistakes: Mistakes
) -> tuple[DatasetRequest, Columns]:
    uri, asked = config.predicted_label_dataset_uri or "", config.predicted_label
    other = replace(
        request, source=uri, format=_format_of(uri, request), beside=(), locations=None, column_names=None
    )
    if other.format.kind == "json" and asked is not None:
        location = Location(PREDICTED_LABEL, str(asked), variable="predicted_label")
        document = request.locations.document if request.locations else False
        other = replace(other, locations=Locations(None, (location,), document=document))
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
    request: DatasetRequest,
    headers: tuple[str, ...],
    wanted: list[str],
    member: str,
    prefix: str,
    mistakes: Mistakes,
) -> DatasetRequest:
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
    request: DatasetRequest,
    headers: tuple[str, ...],
    mentioned: Iterable[Locator | None],
    member: str,
    mistakes: Mistakes,
    *,
    header_told: bool,
) -> DatasetRequest:
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


def _has_header(request: DatasetRequest, names: list[str], *, needs_name: bool) -> bool:
    """Return whether the first row of CSV is a header: it has a name asked for, or no number.

    Parameters
    ----------
    names
        Those asked for.
    needs_name
        Whether only a row with one of them is a header.
    """
    for file in list_files(request.source):
        cells = first_cells(file.path)
        if cells:
            named = any(name in cells for name in names)
            return named or not (needs_name or any(_is_number(cell) for cell in cells))
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


def _format_of(uri: str, request: DatasetRequest) -> DatasetFormat:
    suffix = uri.rpartition(".")[2].casefold()
    return DatasetFormat(_BY_SUFFIX.get(suffix, request.format.kind))


def _together(names: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, *others)))
