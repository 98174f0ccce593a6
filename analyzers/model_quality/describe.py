"""From a summary to the statistics document: every metric, how far it would move by chance, and notes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from analyzers.model_quality.calibration import calibrate
from analyzers.model_quality.describe_classes import describe_binary, describe_multiclass, label_problem
from analyzers.model_quality.describe_regression import describe_regression
from analyzers.model_quality.scores import ScoreHistogram
from analyzers.model_quality.summary import ModelQualitySummary, Task
from analyzers.rules import Rules
from analyzers.wording import listing
from contract.documents.model_quality import ModelQualityStatistics

_SETTING_OF_COLUMN = {
    "inference_attribute": "predictions",
    "probability_attribute": "scores",
    "ground_truth_attribute": "labels",
}


@dataclass(frozen=True)
class Evidence:
    """What the later steps need of a window beyond its file.

    `problem` is what is wrong with the data as a whole; a segment may be as it is.
    """

    unlabelled_scores: ScoreHistogram
    column_names: tuple[str, ...]
    problem: str | None


def describe(summary: ModelQualitySummary, task: Task, *, rules: Rules, seed: int) -> ModelQualityStatistics:
    """Return the statistics of the rows summarized.

    Parameters
    ----------
    summary
        The rows.
    task
        What is predicted.
    rules
        ``sagemaker`` writes the originals' members only, with their spread; ``sound`` adds intervals and
        further metrics.
    seed
        Of the resampling.
    """
    generator = np.random.default_rng(seed)
    describe_type = {
        "Regression": describe_regression,
        "BinaryClassification": describe_binary,
        "MulticlassClassification": describe_multiclass,
    }[task.problem_type]
    statistics = ModelQualityStatistics(problem_type=task.problem_type, item_count=0, metrics={})
    describe_type(statistics, summary, task, rules == "sound", generator)
    statistics.unlabelled_count = summary.unlabelled
    statistics.unpredicted_count = summary.not_predicted
    statistics.evaluation_time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    statistics.notes = [*_row_notes(summary), *statistics.notes]
    statistics.evidence = Evidence(summary.unlabelled_scores, summary.column_names, _problem(summary, task))
    if rules == "sound" and task.problem_type != "Regression":
        kind = "positive label" if task.problem_type == "BinaryClassification" else "right prediction"
        statistics.calibration = calibrate(summary.scores, kind)
    return statistics


def _problem(summary: ModelQualitySummary, task: Task) -> str | None:
    """Return what is wrong with the data, if anything: cells that cannot be what the settings say."""
    for setting, cells in summary.unusable.items():
        if cells.count + summary.unlabelled >= summary.rows:
            return (
                f"The {_SETTING_OF_COLUMN[setting]} ({setting}) hold no number, but for example "
                f"{cells.example!r}; choose another column or another problem_type. "
                f"The columns are {listing(list(summary.column_names), 20)}."
            )
    return label_problem(summary.confusion, task) if task.problem_type == "BinaryClassification" else None


def _row_notes(summary: ModelQualitySummary) -> list[str]:
    notes = []
    if summary.unlabelled:
        notes.append(f"{summary.unlabelled} of {summary.rows} rows have no label and are not in the metrics.")
    if summary.not_predicted:
        notes.append(f"{summary.not_predicted} labelled rows have no prediction and are not in the metrics.")
    if summary.not_scored:
        notes.append(f"{summary.not_scored} rows have no score and are not in the metrics of scores.")
    for setting, cells in summary.unusable.items():
        notes.append(
            f"{cells.count} {_SETTING_OF_COLUMN[setting]} are no numbers, such as {cells.example!r}, and "
            "count as missing."
        )
    return notes
