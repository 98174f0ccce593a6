"""Captures of a binary classifier and labels that come later, as files, for tests of whole jobs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HOUR = "2026/05/06/22"
LATER = "2026/05/07/03"
GROUPS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Predictions:
    """Scores, predicted labels at 0.5, true labels and groups; one entry per row."""

    scores: list[float]
    predicted: list[int]
    labels: list[int]
    groups: list[str]

    @property
    def accuracy(self) -> float:
        """Return the share of right predictions."""
        return float(np.mean(np.equal(self.predicted, self.labels)))


def predict(rows: int, *, seed: int, wrong: float = 0.0, wrong_in: tuple[str, ...] = GROUPS) -> Predictions:
    """Draw calibrated predictions; in the groups `wrong_in`, a share `wrong` of the labels are tossed."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(0.4, 0.6, rows).round(4)
    labels = (rng.random(rows) < scores).astype(int)
    groups = rng.choice(GROUPS, rows)
    tossed = (rng.random(rows) < wrong) & np.isin(groups, wrong_in)
    labels = np.where(tossed, rng.integers(0, 2, rows), labels)
    return Predictions(
        scores.tolist(), (scores >= 0.5).astype(int).tolist(), labels.tolist(), groups.tolist()
    )


def write_table(file: Path, predictions: Predictions) -> Path:
    """Write labels and predictions together, as a baseline's validation data has them."""
    rows = zip(predictions.labels, predictions.predicted, predictions.scores, predictions.groups, strict=True)
    lines = ["label,prediction,probability,group", *(",".join(map(str, row)) for row in rows)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def write_captures(folder: Path, predictions: Predictions) -> Path:
    """Write one capture per row, output ``label,probability``, input the group."""
    lines = [
        json.dumps(
            {
                "captureData": {
                    "endpointInput": _payload("INPUT", group),
                    "endpointOutput": _payload("OUTPUT", f"{predicted},{score}"),
                },
                "eventMetadata": {
                    "eventId": f"event-{row}",
                    "inferenceTime": "2026-05-06T22:15:00Z",
                },
                "eventVersion": "0",
            }
        )
        for row, (group, predicted, score) in enumerate(
            zip(predictions.groups, predictions.predicted, predictions.scores, strict=True)
        )
    ]
    return _write(folder / "endpoint" / "AllTraffic" / HOUR / "15-00-000-captures.jsonl", lines, folder)


def write_labels(
    folder: Path, labels: list[int] | list[str], *, hour: str = LATER, prefix: str = "event"
) -> Path:
    """Write one label per row, in the layout of ground truth."""
    lines = [
        json.dumps(
            {
                "groundTruthData": {"data": str(label), "encoding": "CSV"},
                "eventMetadata": {"eventId": f"{prefix}-{row}"},
                "eventVersion": "0",
            }
        )
        for row, label in enumerate(labels)
    ]
    return _write(folder / hour / "labels.jsonl", lines, folder)


def _payload(mode: str, data: str) -> dict[str, str]:
    return {"observedContentType": "text/csv", "mode": mode, "data": data, "encoding": "CSV"}


def _write(file: Path, lines: list[str], folder: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    # Containers of image tests run as somebody else.
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder
