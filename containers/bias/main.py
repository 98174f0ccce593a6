"""The console command ``monitor-bias``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from contract.api import MakeAnalyzer, Monitor
from contract.settings import Rules, Settings
from job_runner.console import run_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.api import AnyAnalyzer, Dataset, Replay


def _arrange(settings: Settings, request: Dataset) -> tuple[Dataset, MakeAnalyzer]:
    from containers.bias.configuration import arrange

    return arrange(settings, request)


def _adjust(settings: Settings) -> Settings:
    """Return the settings with the segments of ``analysis_config.json``."""
    from job_runner.clarify import load_analysis_config, segment_names

    names = segment_names(load_analysis_config(settings, "groups"))
    return replace(settings, segment_by=(*settings.segment_by, *names))


def _replay() -> Replay:
    from analyzers.bias.analyzer import BiasAnalyzer
    from analyzers.bias.summary import BiasRequest
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
    offers=frozenset({"analysis", "configuration", "segments", "predictions", "labels", "clusters"}),
    load_documents=partial(resolve_name, "analyzers.bias.documents:BIAS"),
    arrange=_arrange,
    adjust=_adjust,
    load_body=partial(resolve_name, "containers.bias.page:body"),
    load_replay=_replay,
)
main = partial(run_command, MONITOR)
