"""The same rows with answers and labels give the same metrics in every format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs.attribution_runs import run as attribute
from models.model_server import Answer, Request, serving
from reading.tables_in_formats import FORMATS, LONG, column, figures, write
from run_jobs import run_job

from containers.bias.main import main as monitor_bias
from containers.model_quality.main import main as monitor_model_quality


def outcomes(random: np.random.Generator, problem: str, rows: int) -> tuple[list[Any], list[Any]]:
    """Return labels, some of them missing, and predictions."""
    if problem == "Regression":
        truth = random.normal(10, 3, rows).round(3)
        found = (truth + random.normal(0, 1, rows)).round(3)
        labels = [float(value) for value in truth]
        return [None if random.random() < 0.05 else label for label in labels], found.tolist()
    classes = {
        "flags": [False, True],
        "digits": [0, 1],
        "words": ["no", "yes"],
        "classes": ["low", "mid", "NA", "high"],
    }[problem]
    truth = random.integers(0, len(classes), rows)
    found = np.where(random.random(rows) < 0.85, truth, random.integers(0, len(classes), rows))
    labels = [None if random.random() < 0.05 else classes[at] for at in truth]
    return labels, [classes[at] for at in found]


PROBLEMS = ("Regression", "flags", "digits", "words", "classes")
SOME = [*range(5), *(pytest.param(seed, marks=LONG) for seed in range(5, 60))]


@pytest.mark.parametrize("seed", SOME)
def test_model_quality(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    problem, rows = PROBLEMS[seed % len(PROBLEMS)], int(random.integers(200, 500))
    labels, answers = outcomes(random, problem, rows)
    table = {"x": column("real", rows, random, moved=False), "answer": answers, "truth": labels}
    kind = {"Regression": "Regression", "classes": "MulticlassClassification"}.get(
        problem, "BinaryClassification"
    )
    positive = {"flags": "true", "words": "yes"}.get(problem)
    found = {}
    for form, written in write(tmp_path / "d", table, "", answer="answer", label="truth").items():
        in_table = form in FORMATS
        result = run_job(
            tmp_path / f"q{form}",
            written.source,
            command=monitor_model_quality,
            problem_type=kind,
            inference_attribute=written.prediction,
            ground_truth_attribute="truth" if in_table else None,
            positive_label=positive,
            **written.settings,
        )
        assert result.exit_code == 0, f"{form}: {result.message}"
        found[form] = figures(result.document("statistics.json"), written)
    for form, document in found.items():
        assert document == found["csv"], form


@pytest.mark.parametrize("seed", SOME)
def test_bias(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    problem, rows = ("flags", "digits", "words")[seed % 3], int(random.integers(300, 600))
    labels, answers = outcomes(random, problem, rows)
    branches = [str(x) for x in random.choice(["north", "south", "NA"], rows)]
    table = {
        "branch": branches,
        "age": column("whole", rows, random, moved=False),
        "member": column("flag", rows, random, moved=False),
        "answer": answers,
        "truth": labels,
    }
    positive = {"flags": True, "digits": 1, "words": "yes"}[problem]
    facet = [("branch", ["north"]), ("age", [30]), ("member", [True])][seed // 3 % 3]
    found = {}
    for form, written in write(tmp_path / "d", table, "", answer="answer", label="truth").items():
        in_table = form in FORMATS
        name = [own for own, name in written.names.items() if name == facet[0]][-1]
        config = {
            "label": "truth" if in_table else "groundTruthData" if form == "log" else "@",
            "label_values_or_threshold": [positive],
            "facet": [{"name_or_index": name, "value_or_threshold": facet[1]}],
            "methods": {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}},
        }
        where = tmp_path / f"b{form}" / "analysis_config.json"
        where.parent.mkdir()
        where.write_text(json.dumps(config), encoding="utf-8")
        result = run_job(
            tmp_path / f"b{form}",
            written.source,
            command=monitor_bias,
            analysis_config=where,
            inference_attribute="predictions[*].answer"
            if form == "JSON captures of 4"
            else written.prediction,
            **written.settings,
        )
        assert result.exit_code == 0, f"{form}: {result.message}"
        found[form] = figures(result.document("analysis.json"), written)
        for section in ("pre_training_bias_metrics", "post_training_bias_metrics"):
            del found[form][section]["label"]  # its name is that of the place where labels are
    for form, document in found.items():
        assert document == found["csv"], form


def weighted(request: Request) -> Answer:
    """Answer the cells of each line, weighted by their position."""
    rows = [[float(cell or 0) for cell in row] for row in request.rows()]
    return Answer("".join(f"{sum((at + 1) * cell for at, cell in enumerate(row))!r}\n" for row in rows))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving(weighted) as server:
        yield server.url


@pytest.mark.parametrize("seed", SOME)
def test_feature_attribution(tmp_path: Path, endpoint: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds, rows = [str(kind) for kind in random.choice(["whole", "real", "gaps"], 3)], 40
    names = [f"f{number}" for number in range(3)]
    table = {name: column(kind, rows, random, moved=False) for name, kind in zip(names, kinds, strict=True)}
    config = {
        "methods": {"shap": {"baseline": [[1, 2, 3]], "seed": 1}},
        "predictor": {"content_type": "text/csv"},
    }
    found = {}
    for form, written in write(tmp_path / "d", table, "").items():
        result = attribute(tmp_path / form, written.source, config, endpoint, **written.settings)
        assert result.exit_code == 0, f"{form}: {result.message}"
        found[form] = [
            figures(result.document(name), written) for name in ("analysis.json", "statistics.json")
        ]
    for form, documents in found.items():
        assert documents == found["csv"], form


def test_records_without_a_feature_are_said(tmp_path: Path, endpoint: str) -> None:
    records = [{"f0": at, "f1": 2 * at} | ({"f2": 1} if at % 4 else {}) for at in range(20)]
    source = tmp_path / "a.json"
    source.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    config = {
        "methods": {"shap": {"baseline": [[1, 2, 3]], "seed": 1}},
        "predictor": {"content_type": "text/csv"},
        "headers": ["f0", "f1", "f2"],
    }
    result = attribute(tmp_path, source, config, endpoint, dataset_format=FORMATS["json"])
    assert result.exit_code == 0, result.message
    said = result.document("statistics.json")["reading"]["missing"]
    assert said == ["5 of 20 rows have no value of f2; the model is asked with it missing"]
