"""The monitors of docs/examples/: a planted change is found, a control is quiet, and mistakes are named."""

from __future__ import annotations

import csv
import importlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fixtures import ROOT
from run_jobs import CSV, baseline_of, run_job

EXAMPLES = str(ROOT / "docs" / "examples")


@pytest.fixture
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return an example as a module."""
    monkeypatch.syspath_prepend(EXAMPLES)
    yield importlib.import_module(request.param)
    del sys.modules[request.param]


def orders(file: Path, seed: int, *, returned: float = 0.1, price: float = 20.0) -> Path:
    chance = random.Random(seed)
    rows = [
        (round(chance.gauss(price, 4), 2), chance.randint(1, 4), int(chance.random() < returned))
        for _ in range(4000)
    ]
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("price", "quantity", "returned"), *rows])
    return file


def requests(file: Path, seed: int, *, topic: str = "", share: float = 0.0) -> Path:
    chance = random.Random(seed)
    words = [f"word{at}" for at in range(300)]
    with file.open("w", newline="", encoding="utf-8") as stream:
        write = csv.writer(stream).writerow
        write(("text", "stars"))
        for _ in range(3000):
            text = " ".join(chance.choices(words, k=8))
            write((f"{text} {topic}" if chance.random() < share else text, chance.randint(1, 5)))
    return file


@pytest.mark.parametrize("example", ["custom_metrics"], indirect=True)
def test_metrics_of_one_s_own(example: ModuleType, tmp_path: Path) -> None:
    def run(name: str, rows: Path, **variables: object) -> object:
        (tmp_path / name).mkdir()
        return run_job(tmp_path / name, rows, command=example.main, dataset_format=CSV, **variables)

    baseline = run("baseline", orders(tmp_path / "then.csv", 1))
    asked = baseline_of(baseline)
    quiet = [
        run(f"same{seed}", orders(tmp_path / f"same{seed}.csv", seed), **asked).violations for seed in (2, 3)
    ]
    assert quiet == [[], []]
    worse = run("worse", orders(tmp_path / "worse.csv", 4, returned=0.15), **asked)
    assert [one["metric_name"] for one in worse.violations] == ["return_rate"]
    dearer = run("dearer", orders(tmp_path / "dearer.csv", 5, price=22), **asked)
    assert [one["metric_name"] for one in dearer.violations] == ["order_value"]
    # An expert's limit is honoured, and kept by the next baseline.
    document = baseline.document("constraints.json")
    document["metrics"]["order_value"]["most_change"] = 0.3
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(document), encoding="utf-8")
    allowed = run(
        "allowed", tmp_path / "dearer.csv", **{**asked, "baseline_constraints": edited}, skip_check="Enabled"
    )
    assert allowed.document("constraints.json")["metrics"]["order_value"]["most_change"] == 0.3
    document["metrics"]["order_valeu"] = document["metrics"].pop("order_value")
    edited.write_text(json.dumps(document), encoding="utf-8")
    wrong = run("wrong", tmp_path / "dearer.csv", **{**asked, "baseline_constraints": edited})
    assert (wrong.exit_code, "order_valeu" in wrong.message) == (2, True), wrong.message


@pytest.mark.parametrize("example", ["text_drift"], indirect=True)
def test_words_of_requests(example: ModuleType, tmp_path: Path) -> None:
    def run(name: str, rows: Path, **variables: object) -> object:
        (tmp_path / name).mkdir()
        return run_job(tmp_path / name, rows, command=example.main, dataset_format=CSV, **variables)

    baseline = run("baseline", requests(tmp_path / "then.csv", 1))
    asked = baseline_of(baseline)
    for seed in (2, 3):
        assert run(f"same{seed}", requests(tmp_path / f"same{seed}.csv", seed), **asked).violations == []
    new = run("new", requests(tmp_path / "new.csv", 4, topic="refund", share=0.1), **asked)
    (found,) = new.violations
    assert "refund: 0.0% to 1" in found["description"]
    other = run("other", tmp_path / "new.csv", text_column="txt", **asked)
    assert (other.exit_code, "text_column" in other.message) == (2, True), other.message
