"""Commands that share variables, by what they have in common."""

MODEL_QUALITY = ("monitor-model-quality",)
BIAS = ("monitor-bias",)
ATTRIBUTION = ("monitor-feature-attribution",)
TABLES = ("monitor-data-quality", *MODEL_QUALITY)
SCRIPTED = (*TABLES, *ATTRIBUTION)
CONFIGURED = (*BIAS, *ATTRIBUTION)
ANALYSES = (*SCRIPTED, *BIAS)
PREDICTIONS = (*MODEL_QUALITY, *BIAS)
LABELS = (*PREDICTIONS, "merge-ground-truth")
