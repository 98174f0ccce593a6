"""The feature-attribution image."""
