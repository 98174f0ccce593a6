"""The console command ``merge-ground-truth``."""

import os
from collections.abc import Iterator
from functools import partial

from contract.outcome import EXIT_COMPLETED, Line, attempt
from contract.settings import Program, Settings
from job_runner.cluster.role import find_role
from job_runner.console import call_named, run_program


def _run(settings: Settings) -> tuple[int, str]:
    role = find_role(settings, os.environ)
    if role is not None and role.kind == "worker":
        return EXIT_COMPLETED, f"Not needed: labels are joined on one host, {role.address}."
    # Imported late: Arrow takes longer to load than the settings take to check.
    from job_runner.merge import merge

    return EXIT_COMPLETED, merge(settings)


def _validate(settings: Settings) -> Iterator[Line]:
    return attempt(lambda: call_named("job_runner.merge:validate", settings))


PROGRAM = Program(
    program="merge-ground-truth",
    description="Join captured predictions with labels that came later.",
    offers=frozenset({"labels", "joining"}),
)
main = partial(run_program, PROGRAM, _run, _validate)
