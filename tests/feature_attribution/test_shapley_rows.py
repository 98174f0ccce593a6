"""Mixtures of rows of any type, and baseline rows made of clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapley_models
from refusals import refused
from sentences import says
from shapley_models import explain

from analyzers.feature_attribution.rows import MOST_CLUSTERS, cluster_baselines
from contract.errors import ConfigurationError

LEVELS = {"low": 0.0, "middle": 1.0, "high": 3.0, None: -1.0}


def mixed_table(rows: int, seed: int = 0) -> pa.RecordBatch:
    generator = np.random.default_rng(seed)
    levels = generator.choice(["low", "middle", "high"], rows).tolist()
    levels[-1] = None
    return pa.RecordBatch.from_pydict(
        {
            "amount": pa.array(generator.normal(size=rows)),
            "count": pa.array(generator.integers(0, 5, rows), pa.int32()),
            "level": pa.array(levels).dictionary_encode(),
            "again": pa.array(generator.random(rows) < 0.5),
            "city": pa.array(generator.choice(["Bern", "Wien"], rows)),
            "empty": pa.nulls(rows),
            "score": pa.array([None if value < 0.3 else value for value in generator.random(rows)]),
        }
    )


def mixed_model(batch: pa.RecordBatch) -> np.ndarray:
    columns: dict[str, list[Any]] = batch.to_pydict()
    scores = []
    for amount, count, level, again, city, _, score in zip(*columns.values(), strict=True):
        value = LEVELS[level] * amount + count * (2.0 if again else 1.0) * (score or 0.5)
        scores.append(value + (city == "Wien") * count)
    return np.array(scores)


def test_mixed_types_have_the_values_of_the_formula() -> None:
    table = mixed_table(40)
    baseline = table.slice(0, 1)

    def of_masks(row: pa.RecordBatch, masks: np.ndarray) -> np.ndarray:
        both = pa.Table.from_batches([baseline, row]).combine_chunks()
        columns = [both.column(n).take(pa.array(kept.astype(int))) for n, kept in enumerate(masks.T)]
        return mixed_model(pa.Table.from_arrays(columns, schema=table.schema).to_batches()[0])

    found = explain(mixed_model, table.slice(3), baseline)
    for number in (0, 17, 36):
        row = table.slice(3 + number, 1)
        expected = shapley_models.enumerated(
            lambda masks, row=row: of_masks(row, masks.astype(bool)), np.ones((1, 7)), np.zeros(7)
        )
        np.testing.assert_allclose(found.local[number, 0], expected[0], atol=1e-12)
    assert not found.local[:, 0, 5].any()


def test_tables_keep_their_schema() -> None:
    table = mixed_table(30)

    def model(batch: pa.RecordBatch) -> np.ndarray:
        assert batch.schema.equals(table.schema)
        batch.validate(full=True)
        return mixed_model(batch)

    explain(model, table.slice(1), table.slice(0, 1), num_samples=10)


@pytest.mark.parametrize(("value", "kind"), [("old", "string"), (3.5, "double"), ([3], "list<")])
def test_baseline_values_that_do_not_fit_are_named(value: object, kind: str) -> None:
    table = pa.RecordBatch.from_pydict({"age": [3, 4]})
    field = "methods.shap.baseline"
    with refused(ConfigurationError, "shap_baseline.type", field=field) as raised:
        explain(lambda batch: np.zeros(len(batch)), table, pa.RecordBatch.from_pydict({"age": [value]}))
    named = {"field": field, "feature": "age", "expected": "int64"}
    assert says(str(raised.value), "shap_baseline.type", **named)
    assert f"'age' is {kind}" in str(raised.value)


def clustered(clusters: int, rows: int = 1200) -> tuple[pa.RecordBatch, np.ndarray]:
    generator = np.random.default_rng(clusters)
    centres = generator.normal(size=(clusters, 5)) * 12
    members = generator.integers(clusters, size=rows)
    values = centres[members] + generator.normal(size=(rows, 5))
    columns = {f"x{column}": pa.array(values[:, column]) for column in range(4)}
    columns["whole"] = pa.array(np.rint(values[:, 4]).astype(np.int64))
    columns["kind"] = pa.array(np.array(list("abcdefghijkl"))[members]).dictionary_encode()
    return pa.RecordBatch.from_pydict(columns), members


@pytest.mark.parametrize("clusters", [1, 2, 4, 7])
def test_clusters_are_found(clusters: int) -> None:
    table, members = clustered(clusters)
    found = cluster_baselines(table)
    assert found.schema.equals(table.schema)
    assert found.num_rows == clusters
    sizes = np.sort(np.bincount(members))[::-1]
    largest = int(np.argmax(np.bincount(members)))
    assert found.column("kind")[0].as_py() == "abcdefghijkl"[largest]
    inside = table.column("x0").to_numpy()[members == largest]
    assert found.column("x0")[0].as_py() == pytest.approx(inside.mean(), abs=1e-9)
    assert sizes.sum() == table.num_rows


def test_k_means_is_as_good_as_scikit_learns() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    values = np.random.default_rng(3).normal(size=(800, 3))
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    table = pa.RecordBatch.from_arrays([pa.array(column) for column in values.T], names=["a", "b", "c"])
    centres = np.stack(
        [column.to_numpy() for column in cluster_baselines(table, num_clusters=5).columns], axis=1
    )
    distances = ((values[:, None] - centres) ** 2).sum(axis=2).min(axis=1).sum()
    assert distances <= cluster.KMeans(5, n_init=10, random_state=0).fit(values).inertia_ * 1.05


def test_clusters_are_the_same_again() -> None:
    table = mixed_table(300)
    assert cluster_baselines(table, seed=2).equals(cluster_baselines(table, seed=2))
    assert cluster_baselines(table).num_rows <= MOST_CLUSTERS


def test_categories_take_the_most_frequent_and_numbers_the_mean_of_those_present() -> None:
    table = pa.RecordBatch.from_pydict(
        {
            "code": pa.array(["1", "1", "9"]),
            "size": pa.array([1.0, None, 4.0]),
            "whole": pa.array([1, 2, 2], pa.int64()),
            "kind": pa.array(["b", "a", None]),
        }
    )
    found = cluster_baselines(table, num_clusters=1).to_pylist()
    assert found == [{"code": "1", "size": 2.5, "whole": 2, "kind": "a"}]


def test_more_clusters_than_distinct_rows_are_refused() -> None:
    table = pa.RecordBatch.from_pydict({"a": [1.0, 1.0, 2.0]})
    field = "methods.shap.num_clusters"
    with refused(ConfigurationError, "shap_baseline.clusters", field=field) as raised:
        cluster_baselines(table, num_clusters=3)
    assert says(str(raised.value), "shap_baseline.clusters", field=field, given=3, rows=2)
