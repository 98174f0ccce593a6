"""The console command ``monitor-bias``."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from contract.api import MakeAnalyzer, Monitor
from contract.settings import Rules, Settings
from job_runner.console import run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contract.api import AnyAnalyzer, Body, Dataset, DocumentSet, Plan, Replay, Source


def _arrange(settings: Settings, request: Dataset) -> tuple[Dataset, MakeAnalyzer]:
    """Return what ``analysis_config.json`` says to read, and how to make the analyzer it asks for."""
    from analyzers.bias.analyzer import BiasAnalyzer
    from containers.bias.configuration import bias_request, only_needed, wants_predictions
    from contract.schema import Mistakes
    from job_runner.clarify.columns import load_analysis_config, segment_columns
    from job_runner.clarify.resolve_columns import arrange_dataset, ask_model, names_a_model
    from readers.cell_types import texts_in

    config = load_analysis_config(settings, "groups")
    mistakes = Mistakes(config.where)
    request, columns = arrange_dataset(settings, config, request, mistakes)
    if wants_predictions(config) and not columns.has_predictions and names_a_model(settings, config):
        request, columns = ask_model(settings, config, request, columns, mistakes)
    segments = segment_columns(config, columns, mistakes)
    wanted = bias_request(settings, config, columns, mistakes)
    if request.cells is not None:
        listed = texts_in([wanted.label_values, *(facet.values for facet in wanted.facets)])
        within = (member for segment in segments for values in segment.segments for member in values)
        values = request.cells.listed.union(listed, map(str, within))
        request = replace(request, cells=replace(request.cells, judged=True, listed=values))
    request = only_needed(replace(request, segments=segments), wanted, columns, settings)

    def make(settings: Settings, plan: Plan) -> AnyAnalyzer:
        return BiasAnalyzer(settings.rules, wanted)

    return request, make


def _adjust(settings: Settings) -> Settings:
    """Return the settings with the segments of ``analysis_config.json``."""
    from job_runner.clarify.columns import load_analysis_config, segment_names

    names = segment_names(load_analysis_config(settings, "groups"))
    return replace(settings, segment_by=(*settings.segment_by, *names))


def _documents() -> DocumentSet[Any, Any]:
    from analyzers.bias.documents import BIAS

    return BIAS


def _body() -> Callable[[Source], Body]:
    from containers.bias.page import body

    return body


def _replay() -> Replay:
    from analyzers.bias.analyzer import BiasAnalyzer
    from analyzers.bias.request import BiasRequest
    from contract.api import Replay

    def make_checker(rules: Rules, checking: Mapping[str, Any], statistics: Any) -> AnyAnalyzer:
        # What was asked for is in the statistics: metrics and their counts.
        nothing = BiasRequest(label="", label_values=(), facets=(), pre_training=None, post_training=None)
        return BiasAnalyzer(rules, nothing)

    return Replay(
        make_checker=make_checker,
        has_written=lambda document: "facets" in document,
        takes=lambda document: (
            "pre_training_bias_metrics" in document or "post_training_bias_metrics" in document
        ),
    )


MONITOR = Monitor(
    program="monitor-bias",
    description="Measure how unlike a model treats groups, and report where more so than at the baseline.",
    analysis_types=("MODEL_BIAS", "DATA_BIAS", "BIAS"),
    title="Bias",
    lead="The model, or its data, treats groups differently than at the baseline.",
    offers=frozenset({"analysis", "configuration", "segments", "predictions", "labels"}),
    load_documents=_documents,
    arrange=_arrange,
    adjust=_adjust,
    load_body=_body,
    load_replay=_replay,
)
main = partial(run_command, MONITOR)


if __name__ == "__main__":
    sys.exit(main())
