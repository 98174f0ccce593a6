"""The console command ``import-schedule``.

aws sagemaker describe-monitoring-schedule --monitoring-schedule-name NAME > schedule.json
aws sagemaker describe-data-quality-job-definition --job-definition-name DEFINITION > definition.json
aws sagemaker describe-endpoint --endpoint-name ENDPOINT > endpoint.json
import-schedule --to kubernetes schedule.json definition.json endpoint.json > monitor.yaml

or, with boto3 and credentials: import-schedule --to kubernetes --schedule-name NAME > monitor.yaml
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from containers.commands.command_line import add_flags, new_parser, run_action
from contract.errors import ConfigurationError
from orchestrators.import_schedule import manifests
from orchestrators.import_schedule.describe import ask_service, combine, parse_documents
from orchestrators.import_schedule.jobs import Jobs, Options, make_jobs

WRITERS: dict[str, Callable[[Jobs], str]] = {
    "kubernetes": manifests.for_kubernetes,
    "sagemaker": manifests.for_sagemaker,
    "airflow": manifests.for_airflow,
    "airflow-kubernetes": lambda jobs: manifests.for_airflow(jobs, "kubernetes"),
    "argo": manifests.for_argo,
    "compose": manifests.for_compose,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_action(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    about = "Write what a monitoring schedule of SageMaker did as a manifest of any orchestrator."
    parser = new_parser("import-schedule", about, __doc__)
    parser.add_argument("--to", required=True, choices=tuple(WRITERS), help="whom to write for")
    add_flags(parser, "import-schedule")
    parser.set_defaults(action=_write, **vars(Options()))
    return parser


def _documents(given: argparse.Namespace) -> list[dict[str, Any]]:
    if given.schedule_name:
        if given.files:
            raise ConfigurationError.of("command.two_sources", field="--schedule-name")
        return list(ask_service(given.schedule_name))
    documents = []
    for file in given.files or ["-"]:
        name = "stdin" if file == "-" else file
        with ConfigurationError.instead_of("command.file", OSError, UnicodeDecodeError, file=name):
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        documents += parse_documents(text, name)
    return documents


def _write(given: argparse.Namespace) -> None:
    options = Options(**{name: vars(given)[name] for name in vars(Options())})
    sys.stdout.write(WRITERS[given.to](make_jobs(combine(_documents(given)), options)))
