"""The same table as CSV, JSON Lines and Parquet gives the same rows, numbers, shares and verdict."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading.tables_in_formats import FORMATS, KINDS, LONG, column, figures, write
from reading_inputs import checks
from run_jobs import baseline_of, run_job

from contract.dataset import CellRules
from contract.dataset_format import parse_dataset_format
from readers.cell_types import PANDAS_MARKERS
from readers.dataset import Dataset
from readers.plan import plan_dataset

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
