"""The ``methods`` of an analysis configuration."""

from __future__ import annotations

from typing import Any

from contract.analysis_config.json_object import JsonObject, is_locator, suggestion
from contract.analysis_config.members import Methods, PartialDependenceConfig, ReportConfig, ShapConfig

PRE_TRAINING_METRICS = ("CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD")
POST_TRAINING_METRICS = (
    "AD",
    "CDDPL",
    "DAR",
    "DCA",
    "DCR",
    "DI",
    "DPPL",
    "DRR",
    "FT",
    "GE",
    "RD",
    "SD",
    "TE",
)
# Names that older guides give to metrics.
_ALIASES = {"DCACC": "DCA", "DCACCEPTANCE": "DCA", "DCREJ": "DCR"}

_COLUMNS = "names and zero-based positions"


def read_methods(members: JsonObject | None) -> Methods | None:
    """Read ``methods``, noting mistakes; None when absent."""
    if members is None:
        return None
    members.refuse("asymmetric_shapley_value", "time series")
    methods = Methods(
        pre_training_bias=_metrics(members.child("pre_training_bias"), PRE_TRAINING_METRICS),
        post_training_bias=_metrics(members.child("post_training_bias"), POST_TRAINING_METRICS),
        shap=_shap(members.child("shap")),
        pdp=_partial_dependence(members.child("pdp")),
        report=_report(members.child("report")),
    )
    members.finish()
    return methods


def _metrics(members: JsonObject | None, known: tuple[str, ...]) -> tuple[str, ...] | None:
    if members is None:
        return None
    asked = members.raw("methods")
    members.finish()
    if asked is None or (isinstance(asked, str) and asked.strip().casefold() == "all"):
        return known
    place = members.place("methods")
    if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked) or not asked:
        members.wrong(
            "methods", 'the text "all" or a list of names of metrics', f'["{known[0]}","{known[1]}"]'
        )
        return known
    names = {name.strip().upper(): name for name in asked}
    for name, written in names.items():
        if name not in known:
            alias = _ALIASES.get(name)
            hint = f": did you mean {alias}?" if alias in known else suggestion(name, known)
            members.mistakes.add(f"{place} asks for {written!r}, which is no such metric{hint}")
    return tuple(name for name in known if name in names)


def _shap(members: JsonObject | None) -> ShapConfig | None:
    if members is None:
        return None
    members.refuse("text_config", "text")
    members.refuse("image_config", "images")
    shap = ShapConfig(
        baseline=_baseline(members),
        num_clusters=members.whole_number("num_clusters", 1),
        use_logit=members.switch("use_logit", default=False),
        num_samples=members.whole_number("num_samples", 1),
        agg_method=members.choice("agg_method", ("mean_abs", "median", "mean_sq")) or "mean_abs",
        save_local_shap_values=members.switch("save_local_shap_values", default=False),
        seed=members.whole_number("seed"),
        features_to_explain=members.values("features_to_explain", is_locator, _COLUMNS),
    )
    if shap.baseline is not None and shap.num_clusters is not None:
        members.mistakes.add(
            f"{members.place('baseline')} and {members.place('num_clusters')} exclude each other; "
            "leave one out"
        )
    members.finish()
    return shap


def _baseline(members: JsonObject) -> Any:
    baseline = members.raw("baseline")
    if baseline is None or isinstance(baseline, str | dict):
        return baseline or None
    if isinstance(baseline, list) and baseline and _are_rows(baseline):
        return baseline
    members.wrong(
        "baseline",
        "the URI of a file, or a list of rows, each a list of text, numbers and null, or an object",
        "[[35, null, 0.5]]",
    )
    return None


def _are_rows(rows: list[Any]) -> bool:
    return all(isinstance(row, dict) for row in rows) or all(
        isinstance(row, list) and all(cell is None or isinstance(cell, str | int | float) for cell in row)
        for row in rows
    )


def _partial_dependence(members: JsonObject | None) -> PartialDependenceConfig | None:
    if members is None:
        return None
    pdp = PartialDependenceConfig(
        # Required by the originals' schema, although their SDK has this default.
        grid_resolution=members.whole_number("grid_resolution", 1) or 15,
        features=members.values("features", is_locator, _COLUMNS),
        top_k_features=members.whole_number("top_k_features", 1) or 10,
    )
    members.finish()
    return pdp


def _report(members: JsonObject | None) -> ReportConfig | None:
    if members is None:
        return None
    default = ReportConfig()
    report = ReportConfig(
        name=members.text("name") or default.name, title=members.text("title") or default.title
    )
    members.finish()
    return report
