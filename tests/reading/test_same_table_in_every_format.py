"""The same table as CSV, JSON Lines and Parquet gives the same rows, numbers, shares and verdict."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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


def write(folder: Path, table: dict[str, list[Any]], marker: str) -> dict[str, Path]:
    """Write a table in every format; where a number is missing, CSV has a marker and the others have null."""
    folder.mkdir(parents=True)
    rows = [dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
    paths = {form: folder / f"table.{form}" for form in FORMATS}
    texts = [",".join(marker if cell is None else str(cell) for cell in row.values()) for row in rows]
    paths["csv"].write_text("\n".join([",".join(table), *texts]) + "\n", encoding="utf-8")
    paths["json"].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pydict(table), paths["parquet"])
    return paths


def figures(statistics: dict[str, Any]) -> Any:
    """Return the document without what differs by chance of when it was made, and without what was said."""
    kept = {name: member for name, member in statistics.items() if name != "reading"}
    text = json.dumps(kept, sort_keys=True)
    return json.loads(text, parse_float=lambda number: round(float(number), 9))


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=LONG) for seed in range(4, 50))])
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
    for form, dataset_format in FORMATS.items():
        baseline = run_job(tmp_path / f"b{form}", baselines[form], dataset_format=dataset_format)
        assert baseline.exit_code == 0, baseline.message
        result = run_job(
            tmp_path / f"w{form}", windows[form], dataset_format=dataset_format, **baseline_of(baseline)
        )
        assert result.exit_code == 0, result.message
        statistics = [figures(one.document("statistics.json")) for one in (baseline, result)]
        found[form] = (statistics, result.violations, result.document("constraints.json"))
    assert found["csv"] == found["json"]
    assert found["csv"] == found["parquet"]


@pytest.mark.parametrize("seed", range(2))
def test_model_quality_and_bias(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = 400
    labels = random.random(rows) < 0.4
    guesses = np.where(random.random(rows) < 0.9, labels, ~labels)
    table = {
        "label": [None if random.random() < 0.05 else bool(label) for label in labels],
        "prediction": [bool(guess) for guess in guesses],
        "branch": [str(x) for x in random.choice(["north", "south", "NA"], rows)],
        "age": [int(x) for x in random.integers(20, 60, rows)],
    }
    paths = write(tmp_path / "d", table, "N/A")
    config = {
        "label": "label",
        "label_values_or_threshold": [True],
        "predicted_label": "prediction",
        "facet": [{"name_or_index": "branch", "value_or_threshold": ["north"]}],
        "methods": {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}},
    }
    where = tmp_path / "analysis_config.json"
    where.write_text(json.dumps(config), encoding="utf-8")
    quality, bias = {}, {}
    for form, dataset_format in FORMATS.items():
        result = run_job(
            tmp_path / f"q{form}",
            paths[form],
            command=monitor_model_quality,
            dataset_format=dataset_format,
            problem_type="BinaryClassification",
            inference_attribute="prediction",
            ground_truth_attribute="label",
        )
        assert result.exit_code == 0, result.message
        quality[form] = result.document("statistics.json")["binary_classification_metrics"]
        result = run_job(
            tmp_path / f"b{form}",
            paths[form],
            command=monitor_bias,
            dataset_format=dataset_format,
            analysis_config=where,
        )
        assert result.exit_code == 0, result.message
        bias[form] = result.document("analysis.json")
    assert quality["csv"] == quality["json"] == quality["parquet"]
    assert bias["csv"] == bias["json"] == bias["parquet"]


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
