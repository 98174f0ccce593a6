"""The demo: a delay model for flights out of New York, and how its data drift in July."""
