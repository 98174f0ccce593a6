"""What the jobs about a year have left, week by week: read from the files alone, as any tool could."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class Week:
    """One week: its Monday, the names of what violated its constraint, and how much was left undecided."""

    start: date
    subjects: list[str]
    undecided: int


def read_weeks(folder: Path) -> list[Week]:
    """Return the weeks of one monitor, the first first."""
    return [_read(place) for place in sorted(folder.iterdir()) if place.is_dir()]


def _read(folder: Path) -> Week:
    found = json.loads((folder / "constraint_violations.json").read_text(encoding="utf-8"))["violations"]
    comparisons = json.loads((folder / "comparisons.json").read_text(encoding="utf-8"))["comparisons"]
    subjects = dict.fromkeys(one.get("feature_name") or one["metric_name"] for one in found)
    undecided = sum(one["state"] == "not decided" for one in comparisons)
    return Week(date.fromisoformat(folder.name), list(subjects), undecided)
