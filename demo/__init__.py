"""The demo: a delay model for flights out of New York; how its data drift, and when it fails, and whom."""
