"""The ``analysis_config.json`` of bias and attribution jobs: its members, and reading them."""

from contract.analysis_config.members import (
    AnalysisConfig,
    Facet,
    Locator,
    Methods,
    PartialDependenceConfig,
    PredictorConfig,
    ReportConfig,
    Segments,
    ShapConfig,
    Value,
)

__all__ = [
    "AnalysisConfig",
    "Facet",
    "Locator",
    "Methods",
    "PartialDependenceConfig",
    "PredictorConfig",
    "ReportConfig",
    "Segments",
    "ShapConfig",
    "Value",
]
