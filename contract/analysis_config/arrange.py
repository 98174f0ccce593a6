"""From an analysis configuration to a dataset that can be read, and the names of its columns.

The first rows are read to learn what the columns are called; nothing is computed here.
"""

from __future__ import annotations

from dataclasses import replace

from contract.analysis_config.captures import arrange_captures
from contract.analysis_config.columns import Columns
from contract.analysis_config.json_object import Mistakes
from contract.analysis_config.members import AnalysisConfig
from contract.analysis_config.nested import arrange_nested
from contract.analysis_config.tables import arrange_table
from contract.datasets.format import DatasetFormat, Kind
from contract.datasets.request import DatasetRequest
from contract.settings import Settings

_KINDS: dict[str, Kind] = {
    "text/csv": "csv",
    "application/jsonlines": "json",
    "application/json": "json",
    "application/x-parquet": "parquet",
    "application/sagemakercapturejson": "sagemakerMergeJson",
}


def arrange_dataset(
    settings: Settings, config: AnalysisConfig, request: DatasetRequest, mistakes: Mistakes
) -> tuple[DatasetRequest, Columns]:
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
    )
    if form.kind in ("sagemakerCaptureJson", "sagemakerMergeJson"):
        return arrange_captures(settings, config, request, mistakes)
    if form.kind == "json" and config.features is not None:
        return arrange_nested(settings, config, request, mistakes)
    return arrange_table(settings, config, request, mistakes, header_told=told)
