"""The console command ``monitor-bias``."""

from functools import partial
from pkgutil import resolve_name

from contract.api import Monitor
from job_runner.console import call_named, run_command

MONITOR = Monitor(
    program="monitor-bias",
    description="Measure how unlike a model treats groups, and report where more so than at the baseline.",
    analysis_types=("MODEL_BIAS", "DATA_BIAS", "BIAS"),
    title="Bias",
    lead="The model, or its data, treats groups differently than at the baseline.",
    offers=frozenset({"analysis", "configuration", "segments", "predictions", "labels", "clusters"}),
    load_documents=partial(resolve_name, "analyzers.bias.documents:BIAS"),
    arrange=partial(call_named, "containers.bias.configuration:arrange"),
    adjust=partial(call_named, "containers.bias.configuration:adjust"),
    load_body=partial(resolve_name, "containers.bias.page:body"),
    load_replay=partial(resolve_name, "containers.bias.configuration:REPLAY"),
)
main = partial(run_command, MONITOR)
