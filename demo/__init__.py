"""The demo: a delay model for flights out of New York; how its data drift, when it fails, whom, and why."""
