"""The data-quality image."""
