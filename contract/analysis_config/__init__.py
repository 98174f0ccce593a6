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
from contract.analysis_config.read import Kind, read_analysis_config

__all__ = [
    "AnalysisConfig",
    "Facet",
    "Kind",
    "Locator",
    "Methods",
    "PartialDependenceConfig",
    "PredictorConfig",
    "ReportConfig",
    "Segments",
    "ShapConfig",
    "Value",
    "read_analysis_config",
]
