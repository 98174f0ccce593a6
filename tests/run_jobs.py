"""Running the commands in this process, as an orchestrator would run them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from containers.data_quality.main import main as monitor_data_quality

CSV = '{"csv":{"header":true}}'
# What the original service says: others read these sentences, so they are asserted as they are.
NO_VIOLATIONS = "Completed: Job completed successfully with no violations."
VIOLATIONS = "CompletedWithViolations: Job completed successfully with {} violations."


@dataclass(frozen=True)
class Result:
    """What a job left behind."""

    exit_code: int
    message: str
    output: Path

    def document(self, name: str) -> dict[str, Any]:
        return json.loads((self.output / name).read_text(encoding="utf-8"))

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.output.iterdir()) if self.output.exists() else []

    @property
    def violations(self) -> list[dict[str, str]]:
        return self.document("constraint_violations.json")["violations"]


def run_job(
    folder: Path,
    source: Path | str | None,
    *,
    command: Callable[[Sequence[str]], int] = monitor_data_quality,
    **variables: Any,
) -> Result:
    """Run a command with environment variables only; a variable given as None is left out.

    Parameters
    ----------
    folder
        Scratch folder; outputs go to `folder/output` unless `output_path` is given.
    source
        The dataset, None to leave the variable out.
    command
        What to run, data quality unless told otherwise.
    """
    output = Path(variables.pop("output_path", folder / "output"))
    message_file = folder / "message"
    message_file.unlink(missing_ok=True)
    settings = {
        "dataset_source": source,
        "dataset_format": CSV,
        "output_path": output,
        "output_message_file": message_file,
        "log_level": "ERROR",
        **variables,
    }
    with environment({name: str(value) for name, value in settings.items() if value is not None}):
        exit_code = command([])
    return Result(exit_code, message_file.read_text(encoding="utf-8"), output)


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set exactly these lower-case variables for a while."""
    kept = {name: value for name, value in os.environ.items() if name != name.lower()}
    with mock.patch.dict(os.environ, {**kept, **variables}, clear=True):
        yield


def baseline_of(result: Result) -> dict[str, Path]:
    """Return the variables that make a job monitor against `result`."""
    return {
        "baseline_constraints": result.output / "constraints.json",
        "baseline_statistics": result.output / "statistics.json",
    }
