"""The segments of an analysis configuration, as columns that divide the rows."""

from __future__ import annotations

from contract.analysis_config.columns import Columns, find_column
from contract.analysis_config.json_object import Mistakes
from contract.analysis_config.members import AnalysisConfig, Segments
from contract.datasets.segment_column import REST, SegmentColumn, is_interval


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
                mistakes.add(
                    f"segment_config[{number}].segments holds {member!r}, which is no interval; "
                    'write for example "[18, 30]" or "(30, inf)"'
                )
        found.append(SegmentColumn(_name(segments), source or "", segments.segments, _labels(segments)))
    return tuple(found)


def _name(segments: Segments) -> str:
    return segments.config_name or f"{segments.name_or_index} segment"


def _labels(segments: Segments) -> tuple[str, ...]:
    texts = [",".join(str(member) for member in members) for members in segments.segments]
    aliases = list(segments.display_aliases)
    return tuple(aliases + [*texts, REST][len(aliases) :])
