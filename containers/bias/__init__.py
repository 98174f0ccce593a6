"""The bias image."""
