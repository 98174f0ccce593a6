"""The model-quality image."""
