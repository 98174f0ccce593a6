"""Parts of the attribution job: samples of the data, baseline rows, progress, the simulation."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from refusals import refused

from analyzers.feature_attribution.summary import Budget
from benchmarks import simulate_attribution
from containers.feature_attribution import configuration
from containers.feature_attribution.configuration import (
    Asking,
    Shape,
    count_rows,
    given_rows,
    progress,
    rows_of_baseline_job,
    rows_of_files,
    sample_rows,
)
from contract.analysis_config import AnalysisConfig, Methods, ShapConfig
from contract.dataset import Dataset
from contract.dataset_format import DatasetFormat
from contract.errors import ConfigurationError, InputError
from readers.plan import plan_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    for part in range(3):
        rows = "".join(f"{100 * part + row},t{row}\n" for row in range(100))
        (tmp_path / f"{part}.csv").write_text("number,text\n" + rows, encoding="utf-8")
    return Dataset(str(tmp_path), DatasetFormat("csv"))


def test_rows_are_counted_and_sampled_once_each(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_dataset(dataset)
    assert count_rows(plan, dataset) == 300
    everything = sample_rows(plan, dataset, ("text", "number"), seed=0)
    assert everything.schema.names == ["text", "number"]
    assert everything.column("number").to_pylist() == list(range(300))
    monkeypatch.setattr(configuration, "SAMPLED_ROWS", 50)
    monkeypatch.setattr(configuration, "_BLOCK_ROWS", 40)
    some = sample_rows(plan, dataset, ("number",), seed=0).column("number").to_pylist()
    assert len(set(some)) == 50
    assert some == sorted(some)
    assert np.mean(some) == pytest.approx(150, abs=45)
    assert some == sample_rows(plan, dataset, ("number",), seed=0).column("number").to_pylist()
    assert some != sample_rows(plan, dataset, ("number",), seed=1).column("number").to_pylist()


def test_quoted_line_ends_are_no_obstacle(tmp_path: Path) -> None:
    text = "\n".join(["line"] * 40)
    rows = "".join(f'{row},"{text}"\n' for row in range(25_000))
    (tmp_path / "data.csv").write_text("number,text\n" + rows, encoding="utf-8")
    request = Dataset(str(tmp_path), DatasetFormat("csv"))
    plan = plan_dataset(request)
    assert sample_rows(plan, request, ("number",), seed=0).num_rows == configuration.SAMPLED_ROWS
    assert count_rows(plan, request) in (None, 25_000)


def test_large_datasets_are_not_counted(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "MOST_BYTES_COUNTED", 100)
    assert count_rows(plan_dataset(dataset), dataset) is None


SHAPE = Shape(("a", "b"), ("a", "label", "b"), "features")


@pytest.mark.parametrize(
    ("baseline", "rows"),
    [
        ([[1, "x"]], [[1, "x"]]),
        ([1, "x"], [[1, "x"]]),
        ([[1, "x"], [2.5, None]], [[1.0, "x"], [2.5, None]]),
        ([[1, 0, "x"]], [[1, "x"]]),
        ([{"a": 1, "b": "x", "more": 3}], [[1, "x"]]),
        ([{"features": [1, "x"]}], [[1, "x"]]),
        ({"features": [1, "x"]}, [[1, "x"]]),
        ({"instances": [{"features": [1, "x"]}, {"features": [2, "y"]}]}, [[1, "x"], [2, "y"]]),
        ([{"instances": [{"data": {"a": 1, "b": "x"}}]}], [[1, "x"]]),
        ([["mixed", 1], [2, 3]], [["mixed", 1], ["2", 3]]),
        ([[True, 1], ["yes", 3]], [["true", 1], ["yes", 3]]),
        ([[2**63, "x"], [-1, "y"]], [[float(2**63), "x"], [-1.0, "y"]]),
    ],
)
def test_baseline_rows_in_the_shapes_that_clarify_takes(baseline: Any, rows: list[list[Any]]) -> None:
    config = AnalysisConfig(methods=Methods(shap=ShapConfig(baseline=baseline)))
    found = given_rows(config, SHAPE)
    assert found is not None
    assert found.schema.names == ["a", "b"]
    assert [list(row.values()) for row in found.to_pylist()] == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,x\n2,y\n", [[1, "x"], [2, "y"]]),
        ("b,a\nx,1\ny,2\n", [[1, "x"], [2, "y"]]),
        ("a,label,b\n1,0,x\n2,0,y\n", [[1, "x"], [2, "y"]]),
        ("1,0,x\n2,0,y\n", [[1, "x"], [2, "y"]]),
        ('{"features":[1,"x"]}\n\n{"features":[2,"y"]}\n', [[1, "x"], [2, "y"]]),
        ('[{"a":1,"b":"x"},{"a":2,"b":"y"}]', [[1, "x"], [2, "y"]]),
        ("\ufeffa,b\n1.5,\n,x\n", [[1.5, None], [None, "x"]]),
        ("a;b\n1;x\n2;y\n", [[1, "x"], [2, "y"]]),
        ("1\tx\n2\ty\n", [[1, "x"], [2, "y"]]),
    ],
)
def test_baseline_rows_in_files(tmp_path: Path, text: str, rows: list[list[Any]]) -> None:
    file = tmp_path / "baseline"
    file.write_text(text, encoding="utf-8")
    found = rows_of_files(str(file), SHAPE)
    assert [list(row.values()) for row in found.to_pylist()] == rows


@pytest.mark.parametrize("text", ["b,A\nx,1\n", "b,c\nx,1\n", "c,d\n1,x\n2,y\n", "label,b\n1,x\n"])
def test_a_header_that_lacks_a_feature_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "baseline.csv"
    file.write_text(text, encoding="utf-8")
    with refused(ConfigurationError, "shap_rows.header"):
        rows_of_files(str(file), SHAPE)


def test_baseline_rows_in_several_files(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("1,x\n", encoding="utf-8")
    (tmp_path / "2.csv").write_text("2.5,y\n", encoding="utf-8")
    assert rows_of_files(str(tmp_path), SHAPE).to_pydict() == {"a": [1.0, 2.5], "b": ["x", "y"]}
    (tmp_path / "3.csv").write_text("many,7\n", encoding="utf-8")
    found = rows_of_files(str(tmp_path), SHAPE).to_pydict()
    assert found == {"a": ["1", "2.5", "many"], "b": ["x", "y", "7"]}


def test_rows_of_the_baseline_job_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / configuration.BASELINE_ROWS).parent.mkdir()
    (tmp_path / configuration.BASELINE_ROWS).write_text("a,b\n1,x\n", encoding="utf-8")
    settings: Any = SimpleNamespace(baseline_constraints=str(tmp_path), baseline_statistics=None)
    found = rows_of_baseline_job(settings, SHAPE)
    assert found is not None
    assert found.to_pydict() == {"a": [1], "b": ["x"]}

    def read_bytes(path: str, error: type[InputError]) -> bytes:
        raise error(f"{path} cannot be read")

    monkeypatch.setattr(configuration.storage, "read_bytes", read_bytes)
    with pytest.raises(ConfigurationError, match=r"cannot be read"):
        rows_of_baseline_job(settings, SHAPE)


def test_lines_that_are_no_json_are_named(tmp_path: Path) -> None:
    file = tmp_path / "baseline.jsonl"
    file.write_text('{"features":[1,"x"]}\n{"features":\n', encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        rows_of_files(str(file), SHAPE)
    assert error.value.code == "shap_rows.json"


class _Elapsed(Budget):
    """A job that has been at it for a hundred seconds."""

    @property
    def spent(self) -> float:
        return 100.0


def test_progress_tells_the_rate_and_the_time_left() -> None:
    budget = _Elapsed()
    assert progress(0, budget, None) == "Explained 0 rows, asked the model for 0 (0 a second)"
    # Before a row is explained, what it may take at most.
    assert progress(5_000, budget, 200, 20_000).endswith("(50 a second), about 5 min left")
    budget.explained = 50
    assert progress(5_000, budget, 200) == (
        "Explained 50 of 200 rows, asked the model for 5000 (50 a second), about 5 min left"
    )
    limited = _Elapsed(130.0)
    limited.explained = 50
    assert progress(5_000, limited, 20_000).endswith("about 30 s left")
    budget.explained = 1
    assert progress(5_000, budget, 2_000).endswith("about 55.5 h left")


def test_progress_is_logged_once_in_a_while_and_the_model_closed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        where = "here"
        closed = 0

        def predict(self, table: pa.RecordBatch) -> Any:
            return np.zeros((table.num_rows, 1))

        def close(self) -> None:
            self.closed += 1

    model = Model()
    ask = Asking(model, Budget(), 10)  # type: ignore[arg-type]  # answers no labels
    table = pa.record_batch({"a": [1, 2]})
    with caplog.at_level(logging.INFO, "monitor.feature_attribution"):
        ask(table)
        assert caplog.messages == []
        monkeypatch.setattr(configuration, "INTERVAL", 0.0)
        ask(table)
        ask.log(underway=3)
    assert caplog.messages[0].startswith("Explained 0 of 10 rows, asked the model for 4 (")
    assert caplog.messages[1].startswith("Explained 0 of 10 rows, asked the model for 7 (")
    ask.close()
    del ask
    assert model.closed == 1


def test_the_simulation_counts_what_both_rules_decide() -> None:
    same = simulate_attribution.rates("falling weights", "none", 100, 60, windows=2, seed=0)
    assert same == {"sound": 0.0, "sagemaker": 0.0}
    shrunk = simulate_attribution.rates("three of fourteen", "all attributions a hundredth", 100, 60, 2, 0)
    assert shrunk == {"sound": 1.0, "sagemaker": 0.0}
