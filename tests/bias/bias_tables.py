"""Statistics of bias made from counts, without data, and what decisions about them say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from analyzers.bias.analyzer import BiasAnalyzer, suggest
from analyzers.bias.check import tables_of
from analyzers.bias.describe import impact_findings
from analyzers.bias.documents import (
    BiasBaseline,
    BiasStatistics,
    FacetStatistics,
    MetricValue,
    constraints_to_json,
    read_constraints,
)
from analyzers.bias.metrics import METRICS
from analyzers.bias.resampling import spreads
from analyzers.bias.summary import BiasRequest
from analyzers.shared.rules import Rules
from contract.api import Baseline, Decision

# counts[facet][observed][predicted]
FAIR = [[[3000, 750], [900, 2100]], [[400, 100], [120, 280]]]
# The minority of FAIR with half of its positive predictions taken away.
HALVED = [FAIR[0], [[450, 50], [260, 140]]]
# Any counts at all.
COUNTS = st.lists(st.integers(0, 4_000), min_size=8, max_size=8).map(
    lambda cells: [[cells[:2], cells[2:4]], [cells[4:6], cells[6:]]]
)


def check(
    window: BiasStatistics, baseline: BiasBaseline, *, rules: Rules, error_share: float = 1.0, seed: int = 0
) -> Decision:
    """Return what an analyzer decides, which has no data to look at."""
    request = BiasRequest("label", (1,), (), post_training=None)
    return BiasAnalyzer(rules, request, seed, error_share=error_share).check(window, baseline)


def facet(
    counts: Any, name: str = "Sex", group: str = "0", strata: Any = None, intervals: bool = False
) -> FacetStatistics:
    """Return a group's statistics; `strata` are ``[stratum][facet][observed][predicted]``."""
    observed = predicted = None
    if strata is not None:
        table = np.asarray(strata)
        observed, predicted = table.sum(axis=-1).tolist(), table.sum(axis=-2).tolist()
    one = FacetStatistics(name, group, np.asarray(counts).tolist(), observed, predicted)
    tables = tables_of(one)
    metrics = {}
    for name, metric in METRICS.items():
        of_strata = tables.strata.get(name)
        table = of_strata if metric.table == "strata" else tables.confusion
        if table is None or metric.table == "neighbours":
            continue
        value = float(metric.function(table))
        metrics[name] = MetricValue(name, metric.description, None if np.isnan(value) else value)
    if intervals:
        values = {name: m.value for name, m in metrics.items() if m.value is not None}
        for name, spread in spreads(tables, values, np.random.default_rng(0)).items():
            metrics[name].confidence_interval = spread.interval
            metrics[name].standard_error = spread.standard_error
    one.pre, one.post = (
        [metrics[name] for name in sorted(metrics) if METRICS[name].stage == stage]
        for stage in ("pre", "post")
    )
    return one


def statistics(*facets: FacetStatistics) -> BiasStatistics:
    """Return the statistics of a data set with these groups."""
    rows = int(np.sum(facets[0].counts))
    notes = list(impact_findings(facets).values())
    return BiasStatistics(
        rows, "Target", "1", list(facets), has_labels=True, has_predictions=True, notes=notes
    )


def of_values(
    values: Mapping[str, Mapping[str, float | str | None]], name: str = "Sex", group: str = "0"
) -> BiasStatistics:
    """Return statistics with given values, such as those that Clarify printed; no counts."""
    one = FacetStatistics(name, group, np.zeros((2, 2, 2), int).tolist())
    one.pre, one.post = (
        [
            MetricValue(metric, "", None if value is None else float(value))
            for metric, value in values[stage].items()
        ]
        if stage in values
        else None
        for stage in ("pre", "post")
    )
    return BiasStatistics(0, "Target", "1", [one], has_labels=True, has_predictions="post" in values)


def baseline_of(before: BiasStatistics, *, with_statistics: bool = True, **changes: Any) -> BiasBaseline:
    """Return a baseline with constraints as read from a file.

    `changes` are members set on metrics, by metric name: ``DI={"allowed": [0.8, 1.25]}``.
    """
    document = constraints_to_json(suggest(before, None))
    for stage in ("pre_training_bias_metrics", "post_training_bias_metrics"):
        for groups in document.get(stage, {}).get("facets", {}).values():
            for group in groups:
                for metric in group["metrics"]:
                    metric.update(changes.get(metric["name"], {}))
    constraints = read_constraints(json.loads(json.dumps(document)), "constraints.json")
    return Baseline(before if with_statistics else None, constraints)


def names(decision: Decision) -> list[str]:
    """Return the metrics that are violated, in the order of the violations."""
    return [violation.metric_name or "" for violation in decision.violations.violations]


def notes(decision: Decision) -> str:
    """Return all notes of a decision, one a line."""
    return "\n".join(decision.notes)
