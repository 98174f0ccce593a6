"""Runs of the feature-attribution job, and what they wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from run_jobs import Result, run_job

from containers.feature_attribution import main as command


def run(folder: Path, source: Path | None, config: dict[str, Any], model: object, **variables: Any) -> Result:
    """Run the job with that analysis configuration; further variables as in `run_job`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    settings = {"dataset_format": None, "analysis_config": folder, "model": model, **variables}
    return run_job(folder, source, command=command.main, **settings)


def attributions(result: Result, label: str = "label0") -> dict[str, float]:
    """Return the global value of each feature."""
    assert result.exit_code in (0, 3), result.message
    values = result.document("analysis.json")["explanations"]["kernel_shap"][label]["global_shap_values"]
    assert isinstance(values, dict)
    return values


def table(result: Result, name: str) -> list[list[str]]:
    """Return the rows of a CSV file beside analysis.json, its header first."""
    with (result.output / "explanations_shap" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def kinds(result: Result) -> set[str]:
    """Return the kinds of violations that were found."""
    return {violation["constraint_check_type"] for violation in result.violations}
