"""The same table as CSV, JSON Lines and Parquet gives the same rows, numbers, shares and verdict."""

from __future__ import annotations

import itertools
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jobs.attribution_runs import run as attribute
from models.model_server import Answer, Request, serving
from reading_inputs import checks
from run_jobs import baseline_of, run_job

from containers.bias.main import main as monitor_bias
from containers.model_quality.main import main as monitor_model_quality
from contract.dataset import CellRules
from contract.dataset_format import parse_dataset_format
from readers.cell_types import PANDAS_MARKERS
from readers.dataset import Dataset
from readers.plan import plan_dataset

FORMATS = {"csv": '{"csv":{"header":true}}', "json": '{"json":{"lines":true}}', "parquet": "parquet"}
LONG = pytest.mark.long  # six whole jobs each
KINDS = ("whole", "real", "text", "words", "flag", "date", "code", "gaps")


def column(kind: str, rows: int, random: np.random.Generator, *, moved: bool) -> list[Any]:
    step = 40 if moved else 0
    match kind:
        case "whole":
            return [int(x) + step for x in random.integers(0, 50, rows)]
        case "real":
            return [round(float(x), 3) + step for x in random.normal(10, 3, rows)]
        case "text":
            return [f"id-{x}" for x in random.integers(0, 10**6, rows)]
        case "words":
            words = ["red", "green", "blue", "NA"] if not moved else ["red", "pink"]
            return [str(x) for x in random.choice(words, rows)]
        case "flag":
            return [bool(x) for x in random.random(rows) < (0.3 if not moved else 0.8)]
        case "date":
            return [f"2026-03-{1 + x:02d}" for x in random.integers(0, 28, rows)]
        case "code":
            return [f"{x:04d}" for x in random.integers(0, 900, rows)]
    share = 0.5 if moved else 0.05
    return [None if random.random() < share else round(float(x), 2) for x in random.normal(5, 1, rows)]


@dataclass(frozen=True)
class Written:
    """A table in one format: how to read it, where its labels are, and how its columns are called."""

    source: Path
    settings: dict[str, Any]
    prediction: str
    names: dict[str, str]
    label: str | None = None


def write(
    folder: Path, table: dict[str, list[Any]], marker: str, *, answer: str = "", label: str = ""
) -> dict[str, Written]:
    """Write a table in every format; where a value is missing, CSV has a marker and the others have null.

    In captures and in the log of a service, `answer` is in the response, and `label` in a file of its own.
    """
    folder.mkdir(parents=True)
    rows = [dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
    features = [name for name in table if name not in (answer, label)]
    paths = {form: folder / f"table.{form}" for form in FORMATS}
    lines = [[",".join(_text(row[name], marker) for name in table)] for row in rows]
    paths["csv"].write_text(
        "\n".join([",".join(table), *(line for [line] in lines)]) + "\n", encoding="utf-8"
    )
    paths["json"].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pydict(table), paths["parquet"])
    same = {name: name for name in table}
    found = {
        form: Written(path, {"dataset_format": FORMATS[form]}, answer, same, label)
        for form, path in paths.items()
    }
    indices = ["endpointInput", *(["endpointOutput"] if answer else [])]
    captures = {"dataset_format": json.dumps({"sagemakerCaptureJson": {"captureIndexNames": indices}})}
    for form, most in (("CSV", 1), ("CSV", 4), ("JSON", 1), ("JSON", 4)):
        calls = _calls(rows, most)
        place = folder / f"{form}-{most}"
        text = [_captured(at, call, form, most, features, answer, marker) for at, call in enumerate(calls)]
        _write_lines(place / "data" / "a.jsonl", text)
        labels = _labels(place / "labels", calls, label) if label else {}
        first = len([answer]) if answer else 0
        names = same if form == "JSON" else {f"_c{first + at}": name for at, name in enumerate(features)}
        if form == "CSV":  # as the monitors with a configuration call columns without names
            names |= {f"column_{at}": name for at, name in enumerate(features)}
            names |= {"_c0": answer} if answer else {}
        names = names | ({f"column_{len(features)}": label} if label else {})
        prediction = answer if form == "JSON" else "0"
        found[f"{form} captures of {most}"] = Written(place / "data", captures | labels, prediction, names)
    log = [
        {"id": f"e{at}", "time": f"2026-03-02T10:{at % 60:02}:00Z"}
        | {"request": {name: row[name] for name in features}}
        | ({"response": {answer: row[answer]}} if answer else {})
        for at, row in enumerate(rows)
    ]
    _write_lines(folder / "log" / "data" / "a.jsonl", log)
    keys = {"dataset_format": FORMATS["json"], "id_attribute": "id", "time_attribute": "time"}
    keys |= _labels(folder / "log" / "labels", [[row] for row in rows], label) if label else {}
    names = {f"request.{name}": name for name in features} | {f"response.{answer}": answer}
    names |= {"groundTruthData": label}
    found["log"] = Written(folder / "log" / "data", keys, f"response.{answer}", names)
    return found


def _text(value: Any, marker: str) -> str:
    return marker if value is None else str(value)


def _write_lines(path: Path, records: list[Any]) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def _calls(rows: list[dict[str, Any]], most: int) -> list[list[dict[str, Any]]]:
    """Divide rows into calls of one to so many rows."""
    sizes = itertools.cycle(range(1, most + 1))
    calls, at = [], 0
    while at < len(rows):
        calls.append(rows[at : (at := at + next(sizes))])
    return calls


def _captured(
    number: int,
    call: list[dict[str, Any]],
    form: str,
    most: int,
    features: list[str],
    answer: str,
    marker: str,
) -> dict[str, Any]:
    parts = {}
    for side, names, member in (("Input", features, "instances"), ("Output", [answer], "predictions")):
        if names != [""]:
            values = [{name: row[name] for name in names} for row in call]
            lines = [",".join(_text(value, marker) for value in row.values()) for row in values]
            text = (
                "\n".join(lines) if form == "CSV" else json.dumps({member: values} if most > 1 else values[0])
            )
            parts[f"endpoint{side}"] = {"data": text, "encoding": form}
    about = {"eventId": f"e{number}", "inferenceTime": "2026-03-02T10:00:00Z"}
    return {"captureData": parts, "eventMetadata": about, "eventVersion": "0"}


def _labels(folder: Path, calls: list[list[dict[str, Any]]], label: str) -> dict[str, Any]:
    """Write the labels of calls, and return the setting that joins them."""
    records = [
        {
            # In lines of CSV, a last label that is missing would be none.
            "groundTruthData": {"data": json.dumps([row[label] for row in call]), "encoding": "JSON"},
            "eventMetadata": {"eventId": f"e{number}"},
        }
        for number, call in enumerate(calls)
    ]
    _write_lines(folder / "a.jsonl", records)
    return {"ground_truth_source": folder}


def figures(document: Any, written: Written) -> Any:
    """Return a document without what was said, under the names of the table."""
    if isinstance(document, dict):
        document = {name: member for name, member in document.items() if name not in ("reading", "explained")}
    text = json.dumps(document, sort_keys=True)
    for own, name in written.names.items():
        text = re.sub(rf"(?<![\w.]){re.escape(own)}(?![\w.])", name, text)
    return json.loads(text, parse_float=lambda number: round(float(number), 9), object_hook=_in_order)


def _in_order(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object with lists of values in one order: theirs is that of the rows or of the reader."""
    document.pop("evaluation_time", None)
    for name in ("buckets", "domains"):
        if name in document:
            document[name] = sorted(document[name], key=str)
    return document


MANY = [*range(4), *(pytest.param(seed, marks=LONG) for seed in range(4, 300))]


@pytest.mark.parametrize("seed", MANY)
def test_data_quality(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = [*random.choice(KINDS, 6), "gaps"]
    marker = str(random.choice(["", "NA", "null", "?"]))
    rows = int(random.integers(300, 900))
    moved = bool(random.random() < 0.5)
    names = [f"c{number}_{kind}" for number, kind in enumerate(kinds)]
    table = {n: column(kind, rows, random, moved=False) for n, kind in zip(names, kinds, strict=True)}
    baselines = write(tmp_path / "b", table, marker)
    table = {n: column(kind, rows, random, moved=moved) for n, kind in zip(names, kinds, strict=True)}
    windows = write(tmp_path / "w", table, marker)
    found = {}
    for form, written in baselines.items():
        baseline = run_job(tmp_path / f"b{form}", written.source, **written.settings)
        assert baseline.exit_code == 0, baseline.message
        window = windows[form]
        result = run_job(tmp_path / f"w{form}", window.source, **window.settings, **baseline_of(baseline))
        assert result.exit_code == 0, result.message
        documents = [one.document("statistics.json") for one in (baseline, result)]
        documents += [checks(result), result.document("constraints.json")]
        found[form] = [figures(document, written) for document in documents]
    for form, documents in found.items():
        assert documents == found["csv"], form


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


POOLS = (
    *(["1", "2", "3"], ["1", "2.5", "-3e2"], ["True", "False"], ["true", "TRUE", "False"], ["x", "y", "z w"]),
    *(["NA", "NULL", "nan", "None", "null", "n/a", "<NA>"], ["007", "01"], [""], ["inf", "-inf"], ["?", "-"]),
    *(["yes", "no"], [" 1", "2 "], ["1", "0"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(POOLS), min_size=1, max_size=3), st.randoms(), st.sampled_from([3, 8, 30]))
def test_cells_for_clarifys_rules_are_those_of_pandas(pools: list[list[str]], random: Any, rows: int) -> None:
    cells = [random.choice(random.choice(pools)) for _ in range(rows)]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.csv"
        path.write_text("a,k\n" + "".join(f"{cell},1\n" for cell in cells), encoding="utf-8")
        expected = pd.read_csv(path)["a"]
        rules = CellRules(PANDAS_MARKERS, judged=True, like_pandas=True)
        request = Dataset(str(path), parse_dataset_format(FORMATS["csv"]), cells=rules)
        batches = [batch for split in plan_dataset(request).splits for batch in split.batches()]
    found = pa.Table.from_batches(batches).column("a").to_pylist()
    assert [value != value or value is None for value in found] == expected.isna().tolist()
    assert [value for value in found if value is not None and value == value] == expected.dropna().tolist()
