"""The console command ``monitor-feature-attribution``."""

from functools import partial
from pkgutil import resolve_name

from contract.api import Monitor
from job_runner.console import call_named, run_command

MONITOR = Monitor(
    program="monitor-feature-attribution",
    description="Explain what a model's predictions come from, and report where that is no longer as it was.",
    analysis_types=("MODEL_EXPLAINABILITY", "EXPLAINABILITY"),
    title="Feature attribution",
    lead="The model's answers come from other features than they did.",
    offers=frozenset({"analysis", "configuration", "script", "attributions", "clusters"}),
    load_documents=partial(resolve_name, "analyzers.feature_attribution.documents:ATTRIBUTION"),
    arrange=partial(call_named, "containers.feature_attribution.configuration:arrange"),
    load_body=partial(resolve_name, "containers.feature_attribution.page:body"),
    load_replay=partial(resolve_name, "containers.feature_attribution.configuration:REPLAY"),
)
main = partial(run_command, MONITOR)
