"""The console command ``monitor-feature-attribution``."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from contract.api import MakeAnalyzer, Monitor
from contract.settings import Rules, Settings
from contract.wording import listing, several
from job_runner.console import run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from containers.feature_attribution.configuration import Wanted
    from contract.analysis_config import AnalysisConfig
    from contract.api import AnyAnalyzer, Body, Dataset, DocumentSet, Plan, Replay, Source
    from model_clients.model import Policy

_log = logging.getLogger("monitor.feature_attribution")

_OWN_ROWS = (
    "Neither methods.shap.baseline nor the baseline job's explanations_shap/baseline.csv gives the rows that "
    "stand for absent features, so they are clusters of this window's data, and sizes can change for that "
    "alone."
)


def _arrange(settings: Settings, request: Dataset) -> tuple[Dataset, MakeAnalyzer]:
    """Return what ``analysis_config.json`` says to read, and how to make the analyzer it asks for."""
    from containers.feature_attribution.configuration import arrange_attribution
    from job_runner.clarify.columns import load_analysis_config

    config = load_analysis_config(settings, "attribution")
    request, wanted = arrange_attribution(settings, config, request)

    def make(settings: Settings, plan: Plan) -> AnyAnalyzer:
        return _make_analyzer(settings, config, request, wanted, plan)

    return request, make


def _make_analyzer(
    settings: Settings, config: AnalysisConfig, request: Dataset, wanted: Wanted, plan: Plan
) -> AnyAnalyzer:
    from analyzers.feature_attribution.analyzer import FeatureAttributionAnalyzer
    from analyzers.feature_attribution.check_sound import Limits
    from analyzers.feature_attribution.kernel import Sampling
    from analyzers.feature_attribution.request import AttributionRequest, Budget
    from containers.feature_attribution.asking import Asking, count_rows
    from containers.feature_attribution.shortcut import open_shortcut
    from job_runner.engine import available_processors
    from model_clients.opening import open_model

    shap = wanted.shap
    baseline, notes = _baseline_rows(settings, config, request, wanted, plan)
    budget = Budget(settings.max_runtime)
    rows = 1 if settings.validate_only else count_rows(plan, request)
    asked: list[Asking] = []
    policy = model_policy(settings.workers or available_processors(), len(plan.splits))
    model = open_model(
        settings.model,
        wanted.predictor,
        policy=replace(policy, start_limit=min(policy.start_limit, budget.left)),
        allow_pickled_model=settings.allow_pickled_model,
        progress=lambda done, all_rows: asked[0].log(done) if asked else None,
        start=not settings.validate_only and rows != 0 and bool(plan.splits),
    )
    asked.append(Asking(model, budget, rows))
    names = getattr(model, "names", None) or wanted.features
    unused = tuple(name for name in wanted.features if not {name, name.replace(" ", "_")} & set(names))
    if len(wanted.features) - len(unused) != len(names):
        unused = ()  # columns go by position, or the model refuses them
    if unused:
        notes = (*notes, f"{model.where} has no feature called {listing(unused)}; the attribution is 0.")
    sampling = Sampling(shap.num_samples, shap.use_logit, shap.seed or 0)
    return FeatureAttributionAnalyzer(
        rules=settings.rules,
        request=AttributionRequest(
            features=wanted.features,
            baseline=baseline,
            sampling=sampling,
            agg_method=shap.agg_method,
            reported=wanted.reported,
            label_headers=tuple(str(header) for header in wanted.predictor.label_headers),
            keep_local=shap.save_local_shap_values,
            join_column=wanted.join_column,
            unused=unused,
            most_rows=1 if settings.validate_only else None,
            notes=notes,
            model=model.where,
        ),
        ask=asked[0],
        limits=Limits(drift=settings.attribution_drift_threshold),
        budget=budget,
        shortcut=open_shortcut(model, asked[0], sampling, wanted.features, rows),
        finish=asked[0].close,
    )


def model_policy(processors: int, splits: int) -> Policy:
    """Return how the model is asked: a dataset in few pieces leaves processors to the model's own library."""
    from model_clients.model import Policy

    return Policy(threads=max(1, processors // max(1, splits)))


def _baseline_rows(
    settings: Settings, config: AnalysisConfig, request: Dataset, wanted: Wanted, plan: Plan
) -> tuple[pa.RecordBatch, tuple[str, ...]]:
    """Return the rows that stand for absent features, and notes on where they come from."""
    import pyarrow as pa

    from analyzers.feature_attribution.baselines import cluster_baselines
    from containers.feature_attribution.asking import sample_rows
    from containers.feature_attribution.configuration import Shape, given_rows, rows_of_baseline_job

    if not wanted.columns:  # a window without data
        return pa.RecordBatch.from_arrays([], names=[]), ()
    shape = Shape(wanted.features, wanted.columns, settings.features_attribute or config.features)
    rows = given_rows(config, shape)
    if rows is None and settings.is_monitoring:
        rows = rows_of_baseline_job(settings, shape)
    if rows is not None:
        return rows, ()
    notes = (_OWN_ROWS,) if settings.is_monitoring else ()
    seed = wanted.shap.seed or 0
    sample = sample_rows(plan, request, wanted.features, seed)
    if not sample.num_rows:
        return sample, notes
    rows = cluster_baselines(sample, num_clusters=wanted.shap.num_clusters, seed=seed)
    _log.info("Absent features take the values of %s of the data", several(rows.num_rows, "cluster"))
    return rows, notes


def _documents() -> DocumentSet[Any, Any]:
    from analyzers.feature_attribution.documents import ATTRIBUTION

    return ATTRIBUTION


def _body() -> Callable[[Source], Body]:
    from containers.feature_attribution.page import body

    return body


def _replay() -> Replay:
    from analyzers.feature_attribution.analyzer import AttributionChecker
    from analyzers.feature_attribution.check_sound import Limits
    from contract.api import Replay

    def make_checker(rules: Rules, checking: Mapping[str, Any], statistics: Any) -> AttributionChecker:
        limits = Limits(drift=checking.get("attribution_drift_threshold"))
        return AttributionChecker(rules, limits, statistics.design.seed or 0)

    def explains(document: Mapping[str, Any]) -> bool:
        return "kernel_shap" in (document.get("explanations") or {})

    return Replay(make_checker=make_checker, has_written=explains, takes=explains)


MONITOR = Monitor(
    program="monitor-feature-attribution",
    description="Explain what a model's predictions come from, and report where that is no longer as it was.",
    analysis_types=("MODEL_EXPLAINABILITY", "EXPLAINABILITY"),
    title="Feature attribution",
    lead="The model's answers come from other features than they did.",
    offers=frozenset({"analysis", "configuration", "script", "attributions"}),
    load_documents=_documents,
    arrange=_arrange,
    load_body=_body,
    load_replay=_replay,
)
main = partial(run_command, MONITOR)


if __name__ == "__main__":
    sys.exit(main())
