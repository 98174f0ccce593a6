"""From what a configuration calls columns to their names in the data."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import orjson
import pyarrow as pa

from contract.analysis_config import AnalysisConfig, Kind, Locator, Segments, read_analysis_config
from contract.dataset import Dataset, SegmentColumn
from contract.errors import ConfigurationError, wording
from contract.schema import Mistakes, nearest
from contract.settings import Settings
from contract.wording import several, some_of
from file_storage import storage
from readers.dataset import REST, NotSplittable, is_interval
from readers.plan import plan_dataset

# The first rows of a dataset, from which its columns are known.


def batches_of(request: Dataset, most_splits: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the first splits, of whole files where the first rows show that to be necessary."""
    try:
        for split in plan_dataset(request).splits[:most_splits]:
            yield from split.batches()
    except NotSplittable:
        for split in plan_dataset(request, whole_files=True).splits[:most_splits]:
            yield from split.batches()


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
        Other names of the same columns, when there are as many.
    """
    if locator is None or not names:
        return None if locator is None else str(locator)
    if isinstance(locator, str):
        if locator in names:
            return locator
        if locator in headers and len(headers) == len(names):
            return names[headers.index(locator)]
        if not locator.isdecimal():
            close = nearest(locator, names)
            hint = f": did you mean {close}?" if close else f"; its columns are {some_of(names, _SHOWN)}"
            mistakes.add(wording("column.absent", field=place, column=locator, hint=hint))
            return None
        locator = int(locator)
    if locator < len(names):
        return names[locator]
    columns, last = several(len(names), "column"), len(names) - 1
    mistakes.add(wording("column.beyond", field=place, position=locator, columns=columns, last=last))
    return None


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
        log.info("methods.%s of the configuration is not for this job", " and methods.".join(ignored))


# The segments of an analysis configuration, as columns that divide the rows.


def segment_names(config: AnalysisConfig) -> tuple[str, ...]:
    """Return the names of the columns that tell the segments."""
    return tuple(_name(segments) for segments in config.segment_config)


def segment_columns(
    config: AnalysisConfig, columns: Columns, mistakes: Mistakes
) -> tuple[SegmentColumn, ...]:
    """Return how the configuration divides the rows; columns that are not in the data are noted."""
    found = []
    for number, segments in enumerate(config.segment_config):
        place = f"segment_config[{number}].name_or_index"
        source = find_column(segments.name_or_index, columns.names, place, mistakes, config.headers)
        for member in (member for members in segments.segments for member in members):
            if isinstance(member, str) and member[:1] in "[(" and not is_interval(member):
                place = f"segment_config[{number}].segments"
                mistakes.add(wording("column.no_interval", field=place, text=member))
        found.append(SegmentColumn(_name(segments), source or "", segments.segments, _labels(segments)))
    return tuple(found)


def _name(segments: Segments) -> str:
    return segments.config_name or f"{segments.name_or_index} segment"


def _labels(segments: Segments) -> tuple[str, ...]:
    texts = [",".join(str(member) for member in members) for members in segments.segments]
    aliases = list(segments.display_aliases)
    return tuple(aliases + [*texts, REST][len(aliases) :])


# Finding and parsing the analysis configuration that the settings name.


FILE_NAME = "analysis_config.json"


def load_analysis_config(settings: Settings, kind: Kind) -> AnalysisConfig:
    """Read the file that ``analysis_config`` names, or that lies in the folder it names.

    Raises
    ------
    ConfigurationError
        When the file is no JSON, with the place in it; else with everything that is wrong with it.
    DocumentError
        When there is no such file.
    """
    path = storage.resolve_document(settings.analysis_config or "", (FILE_NAME,), "analysis_config")
    data = storage.read_bytes(path, ConfigurationError)
    try:
        value = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise ConfigurationError.of("json.broken", file=path, cause=error) from None
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
    return [text if text.endswith("?") else f"{text}; name one that is there." for text in mistakes.texts]
