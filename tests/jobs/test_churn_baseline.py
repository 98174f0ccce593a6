"""A real training file through the whole job under the originals' rules, against a plain reading of them.

The oracle below restates the published rules one value at a time, without NumPy and without our code, so
that it can be checked by eye; the job must give the same file.
"""

import csv
import math
import re
from pathlib import Path
from typing import Any

import pytest
from fixtures import fixture
from run_jobs import run_job

FRACTIONAL = re.compile(r"[-+]? ?\d+(\.\d+|(\.\d+)?[eE][-+]?\d+)")
INTEGRAL = re.compile(r"[-+]? ?\d+")


class PlainSketch:
    """The KLL sketch of the originals: k = 2048, c = 0.64, capacities shrinking upwards, no randomness."""

    def __init__(self) -> None:
        self.levels: list[list[float]] = [[]]
        self.compactions = [0]

    def capacity(self, height: int) -> int:
        return 2 * (math.ceil(2048 * 0.64**height / 2) + 1)

    def add(self, value: float) -> None:
        self.levels[0].append(value)
        stored = sum(len(level) for level in self.levels)
        if stored > sum(self.capacity(height) for height in range(len(self.levels))):
            self.compact()

    def compact(self) -> None:
        height = next(h for h, level in enumerate(self.levels) if len(level) >= self.capacity(h))
        if height + 1 == len(self.levels):
            self.levels.append([])
            self.compactions.append(0)
        level = self.levels[height]
        even = len(level) // 2 * 2
        self.compactions[height] += 1
        # The offset toggles just before the second, fourth, sixth ... compaction of a level.
        offset = self.compactions[height] // 2 % 2
        self.levels[height + 1] += sorted(level[:even])[offset::2]
        self.levels[height] = level[even:]


def expected_feature(texts: list[str]) -> dict[str, Any]:
    fractional = any(FRACTIONAL.fullmatch(text) for text in texts)
    assert all(FRACTIONAL.fullmatch(text) or INTEGRAL.fullmatch(text) for text in texts)
    values = [float(text) for text in texts]
    sketch = PlainSketch()
    for value in values:
        sketch.add(value)
    low, high = min(values), max(values)
    bounds = [low + (high - low) * i / 10.0 for i in range(11)]
    counts = [0.0] * 10
    for height, level in enumerate(sketch.levels):
        for value in level:
            place = next((i for i in range(9) if bounds[i] <= value < bounds[i + 1]), 9)
            counts[place] += 2.0**height
    mean = math.fsum(values) / len(values)
    return {
        "type": "Fractional" if fractional else "Integral",
        "mean": mean,
        "std_dev": math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)),
        "levels": sketch.levels,
        "bounds": bounds,
        "counts": counts,
        "non_negative": low >= 0,
    }


def test_the_file_is_what_the_published_rules_prescribe(tmp_path: Path) -> None:
    source = fixture("model_monitor/churn/training-dataset-with-header.csv")
    result = run_job(tmp_path, source, rules="sagemaker")
    assert result.exit_code == 0
    statistics = result.document("statistics.json")
    constraints = {feature["name"]: feature for feature in result.document("constraints.json")["features"]}
    with source.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert statistics["dataset"] == {"item_count": len(rows)}
    assert [feature["name"] for feature in statistics["features"]] == header
    for position, feature in enumerate(statistics["features"]):
        expected = expected_feature([row[position] for row in rows])
        numbers = feature["numerical_statistics"]
        kll = numbers["distribution"]["kll"]
        assert feature["inferred_type"] == expected["type"]
        assert list(feature) == ["name", "inferred_type", "numerical_statistics"]
        assert numbers["common"] == {"num_present": len(rows), "num_missing": 0}
        assert numbers["completeness"] == 1.0
        assert numbers["mean"] == pytest.approx(expected["mean"], rel=1e-12)
        assert numbers["std_dev"] == pytest.approx(expected["std_dev"], rel=1e-12)
        assert (numbers["min"], numbers["max"]) == (expected["bounds"][0], expected["bounds"][-1])
        assert kll["sketch"] == {"parameters": {"c": 0.64, "k": 2048.0}, "data": expected["levels"]}
        assert [bucket["count"] for bucket in kll["buckets"]] == expected["counts"]
        assert [bucket["lower_bound"] for bucket in kll["buckets"]] == expected["bounds"][:-1]
        assert constraints[feature["name"]] == {
            "name": feature["name"],
            "inferred_type": expected["type"],
            "completeness": 1.0,
            "num_constraints": {"is_non_negative": expected["non_negative"]},
        }
