"""The four monitors, as far as checking statistics again takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from containers.bias import main as bias
from containers.data_quality import main as data_quality
from containers.feature_attribution import main as feature_attribution
from containers.model_quality import main as model_quality
from contract.api import AnyAnalyzer, Decision
from job_runner.replay import Kind

if TYPE_CHECKING:
    from analyzers.feature_attribution.documents import AttributionBaseline, AttributionStatistics

Value = Mapping[str, Any]


def _has(*names: str) -> Callable[[Value], bool]:
    return lambda value: any(name in value for name in names)


def _data_quality(rules: str, checking: Value, statistics: Any) -> AnyAnalyzer:
    from analyzers.data_quality.analyzer import DataQualityAnalyzer

    return DataQualityAnalyzer(rules=_rules(rules))


def _model_quality(rules: str, checking: Value, statistics: Any) -> AnyAnalyzer:
    from analyzers.model_quality.analyzer import ModelQualityAnalyzer

    return ModelQualityAnalyzer(
        rules=_rules(rules),
        problem_type=statistics.problem_type,
        inference_attribute="0",  # columns play no part any more
        positive_label=checking.get("positive_label"),
    )


def _bias(rules: str, checking: Value, statistics: Any) -> AnyAnalyzer:
    from analyzers.bias.analyzer import BiasAnalyzer
    from analyzers.bias.request import BiasRequest

    # What was asked for is in the statistics: metrics and their counts.
    nothing = BiasRequest(label="", label_values=(), facets=(), pre_training=None, post_training=None)
    return BiasAnalyzer(_rules(rules), nothing)


@dataclass(frozen=True)
class _AttributionChecker:
    """The check of feature attributions without the model that they explain."""

    rules: Any
    drift: float | None
    seed: int

    def check(self, statistics: AttributionStatistics, baseline: AttributionBaseline) -> Decision:
        """Compare a window's attributions with the baseline's."""
        from analyzers.feature_attribution.analyzer import check
        from analyzers.feature_attribution.check_sound import Limits

        return check(statistics, baseline, rules=self.rules, limits=Limits(drift=self.drift), seed=self.seed)


def _attribution(rules: str, checking: Value, statistics: Any) -> AnyAnalyzer:
    checker: Any = _AttributionChecker(
        rules=_rules(rules),
        drift=checking.get("attribution_drift_threshold"),
        seed=statistics.design.seed or 0,
    )
    analyzer: AnyAnalyzer = checker
    return analyzer


def _rules(rules: str) -> Any:
    return rules


def _explains(value: Value) -> bool:
    return "kernel_shap" in (value.get("explanations") or {})


KINDS: dict[str, Kind] = {
    kind.monitor: kind
    for kind in (
        Kind(
            "data-quality",
            data_quality.MONITOR.load_documents,
            _data_quality,
            has_written=_has("features"),
            takes=_has("features"),
        ),
        Kind(
            "model-quality",
            model_quality.MONITOR.load_documents,
            _model_quality,
            has_written=_has(
                "regression_metrics", "binary_classification_metrics", "multiclass_classification_metrics"
            ),
            takes=_has(
                "regression_constraints",
                "binary_classification_constraints",
                "multiclass_classification_constraints",
            ),
        ),
        Kind(
            "bias",
            bias.MONITOR.load_documents,
            _bias,
            has_written=_has("facets"),
            takes=_has("pre_training_bias_metrics", "post_training_bias_metrics"),
        ),
        Kind(
            "feature-attribution",
            feature_attribution.MONITOR.load_documents,
            _attribution,
            has_written=_explains,
            takes=_explains,
        ),
    )
}
