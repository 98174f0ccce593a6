"""The console commands that are no image."""
