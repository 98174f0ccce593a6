"""Rows that belong together, in no order: `cluster_by` tells, in every monitor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from analyzers.bias.analyzer import BiasAnalyzer
from analyzers.bias.summary import ALL_POST, BiasRequest, FacetRequest
from analyzers.data_quality.analyzer import DataQualityAnalyzer
from analyzers.feature_attribution.analyzer import FeatureAttributionAnalyzer
from analyzers.feature_attribution.kernel import Sampling
from analyzers.feature_attribution.summary import AttributionRequest
from analyzers.model_quality.analyzer import ModelQualityAnalyzer
from analyzers.shared import row_sample
from analyzers.shared.row_sample import Grouping, RowSample, cluster_hashes, design_effects
from contract.api import Baseline
from contract.errors import DatasetError

POST = tuple(name for name in ALL_POST if name != "FT")


def rows(generator: np.random.Generator, count: int, length: int = 10) -> pa.RecordBatch:
    """Draw sessions of equal rows, shuffled."""
    sessions = count // length
    group = (generator.random(sessions) < 0.3).astype(int)
    label = (generator.random(sessions) < 0.4).astype(int)
    columns: dict[str, Any] = {
        "session": [f"s-{place}" for place in generator.integers(0, 1 << 40, sessions)],
        "x": generator.normal(size=sessions),
        "word": [f"w{place}" for place in (3_000.0 * generator.random(sessions) ** 2).astype(int)],
        "group": group,
        "label": label,
        "prediction": np.where(generator.random(sessions) < 0.8, label, 1 - label),
    }
    order = generator.permutation(sessions * length) // length
    return pa.RecordBatch.from_pydict({name: np.asarray(column)[order] for name, column in columns.items()})


def monitor(name: str, cluster_by: tuple[str, ...]) -> Any:
    if name == "data quality":
        return DataQualityAnalyzer(cluster_by=cluster_by)
    if name == "bias":
        facets = (FacetRequest(("group",), (1,)),)
        request = BiasRequest(
            "label", (1,), facets, None, "prediction", post_training=POST, cluster_by=cluster_by
        )
        return BiasAnalyzer("sound", request)
    if name == "model quality":
        return ModelQualityAnalyzer(
            problem_type="BinaryClassification",
            inference_attribute="prediction",
            ground_truth_attribute="label",
            cluster_by=cluster_by,
        )
    baseline = pa.RecordBatch.from_pydict({"x": [0.0], "label": [0]})
    request = AttributionRequest(("x", "label"), baseline, Sampling(8), cluster_by=cluster_by)
    return FeatureAttributionAnalyzer("sound", request=request, ask=_ask)


def _ask(table: pa.RecordBatch) -> Any:
    return (table.column("x").to_numpy() + table.column("label").to_numpy())[:, None]


@pytest.mark.parametrize("name", ["data quality", "model quality", "bias"])
def test_shuffled_sessions_raise_no_alarm_where_their_column_is_named(name: str) -> None:
    generator = np.random.default_rng(1)
    alarms = {(): 0, ("session",): 0}
    before, windows = rows(generator, 20_000), [rows(generator, 5_000) for _ in range(12)]
    for cluster_by in alarms:
        analyzer = monitor(name, cluster_by)
        known = analyzer.describe(analyzer.summarize([before]))
        baseline = Baseline(known, analyzer.suggest(known, None))
        for window in windows:
            decision = analyzer.check(analyzer.describe(analyzer.summarize([window])), baseline)
            alarms[cluster_by] += bool(decision.violations.violations)
    assert alarms["session",] == 0
    assert alarms[()] > 0 or name == "model quality"


def test_intervals_and_errors_are_those_of_the_clusters() -> None:
    window = rows(np.random.default_rng(2), 4_000)
    quality, fairness, attribution = (
        [monitor(name, cluster_by) for cluster_by in ((), ("session",))]
        for name in ("model quality", "bias", "feature attribution")
    )
    widths = []
    for analyzer in quality:
        low, high = analyzer.describe(analyzer.summarize([window])).metrics["accuracy"].interval
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(10.0), rel=0.15)
    found = [one.describe(one.summarize([window])).facets[0].metric("DPPL") for one in fairness]
    assert found[1].standard_error / found[0].standard_error == pytest.approx(np.sqrt(10.0), rel=0.15)
    labels = [one.describe(one.summarize([window])).labels["label0"] for one in attribution]
    ratio = labels[1].standard_errors["x"] / labels[0].standard_errors["x"]
    assert ratio == pytest.approx(np.sqrt(10.0), rel=0.15)


def test_one_large_cluster_tells_as_much_as_one_row() -> None:
    groups = np.random.default_rng(3).integers(0, 2, 500)
    assert design_effects([Grouping(groups, 2, False, np.zeros(500, np.int64))]) == [(500.0, 1, True)]
    (alone,) = design_effects([Grouping(groups, 2, False, np.arange(500))])
    assert alone[0] == pytest.approx(1.0, abs=0.6)


@pytest.mark.parametrize("values", [[1, 1, 2, None, None], ["1", "1", "2", None, None]])
def test_rows_without_a_value_are_by_themselves(values: list[Any]) -> None:
    batch = pa.RecordBatch.from_pydict({"c": pa.array(values), "x": range(5)})
    hashes = cluster_hashes(batch, ("c",))
    assert hashes is not None
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 4
    numbers = cluster_hashes(batch.set_column(0, "c", pa.array([1.0, 1.0, 2.0, None, None])), ("0",))
    assert numbers is not None
    assert numbers[:3].tolist() == hashes[:3].tolist()  # one value, whatever type a reader gave it


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(DatasetError) as raised:
        cluster_hashes(pa.RecordBatch.from_pydict({"customer": [1]}), ("custmer",))
    assert raised.value.code == "clusters.absent"
    assert "did you mean 'customer'?" in str(raised.value)


def test_whole_clusters_are_sampled_in_whatever_splits_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_sample, "MOST_ROWS", 1_000)
    whole = rows(np.random.default_rng(4), 8_000)
    kept = []
    for size in (8_000, 500):
        sample = RowSample()
        for start in range(0, 8_000, size):
            part = whole.slice(start, size)
            other = RowSample()
            other.add(part, start, 0, clusters=cluster_hashes(part, ("session",)))
            sample.merge(other)
        columns, clusters = sample.columns(), sample.clusters()
        assert clusters is not None
        assert set(np.bincount(clusters)) == {10}
        kept.append(sorted(text for array in columns["session"] for text in array.to_pylist()))
    assert 1_000 <= len(kept[0]) < 1_020
    assert kept[0] == kept[1]


@pytest.mark.parametrize("turn", [-1.0, 1.0])
def test_a_feature_whose_effect_turned_round_is_found(turn: float) -> None:
    generator = np.random.default_rng(5)
    baseline = pa.RecordBatch.from_pydict({"x": [0.0], "y": [0.0]})

    def explained(sign: float) -> tuple[FeatureAttributionAnalyzer, Any]:
        def ask(table: pa.RecordBatch) -> Any:
            return (sign * table.column("x").to_numpy() + table.column("y").to_numpy())[:, None]

        request = AttributionRequest(("x", "y"), baseline, Sampling(8))
        job = FeatureAttributionAnalyzer("sound", request=request, ask=ask)
        window = pa.RecordBatch.from_pydict({name: generator.normal(size=200) for name in ("x", "y")})
        return job, job.describe(job.summarize([window]))

    job, before = explained(1.0)
    constraints = job.suggest(before, None)
    _, window = explained(turn)
    decision = job.check(window, Baseline(before, constraints))
    turned = [("feature_attribution_direction_check", "x")] if turn < 0.0 else []
    found = decision.violations.violations
    assert [(one.constraint_check_type, one.feature_name) for one in found] == turned
    # A baseline of before directions were kept says what it lacks.
    for label in constraints.labels.values():
        label.directions, label.direction_errors = {}, {}
    old = job.check(window, Baseline(None, constraints))
    assert not old.violations.violations
    assert any(one.reason and one.check == "feature_attribution_direction_check" for one in old.comparisons)
