"""The console command ``monitor-bias``."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from contract.console import run_command
from contract.monitor import MakeAnalyzer, Monitor
from contract.settings import Settings

if TYPE_CHECKING:
    from contract.analyzer import AnyAnalyzer, DocumentSet
    from contract.datasets.plan import DatasetRequest, Plan


def _arrange(settings: Settings, request: DatasetRequest) -> tuple[DatasetRequest, MakeAnalyzer]:
    """Return what ``analysis_config.json`` says to read, and how to make the analyzer it asks for."""
    from analyzers.bias.analyzer import BiasAnalyzer
    from containers.bias.request import bias_request, only_needed, wants_predictions
    from contract.analysis_config.arrange import arrange_dataset
    from contract.analysis_config.json_object import Mistakes
    from contract.analysis_config.load import load_analysis_config
    from contract.analysis_config.predictions import ask_model, names_a_model
    from contract.analysis_config.segments import segment_columns

    config = load_analysis_config(settings, "bias")
    mistakes = Mistakes(config.where)
    request, columns = arrange_dataset(settings, config, request, mistakes)
    if wants_predictions(config) and not columns.has_predictions and names_a_model(settings, config):
        request, columns = ask_model(settings, config, request, columns, mistakes)
    segments = segment_columns(config, columns, mistakes)
    wanted = bias_request(settings, config, columns, mistakes)
    request = only_needed(replace(request, segments=segments), wanted, columns, settings)

    def make(settings: Settings, plan: Plan) -> AnyAnalyzer:
        return BiasAnalyzer(settings.rules, wanted)

    return request, make


def _adjust(settings: Settings) -> Settings:
    """Return the settings with the segments of ``analysis_config.json``."""
    from contract.analysis_config.load import load_analysis_config
    from contract.analysis_config.segments import segment_names

    names = segment_names(load_analysis_config(settings, "bias"))
    return replace(settings, segment_by=(*settings.segment_by, *names))


def _documents() -> DocumentSet[Any, Any]:
    from contract.documents.bias import BIAS

    return BIAS


MONITOR = Monitor(
    program="monitor-bias",
    description="Measure how unlike a model treats groups, and report where more so than at the baseline.",
    analysis_types=("MODEL_BIAS", "DATA_BIAS", "BIAS"),
    load_documents=_documents,
    arrange=_arrange,
    adjust=_adjust,
)
main = partial(run_command, MONITOR)


if __name__ == "__main__":
    sys.exit(main())
