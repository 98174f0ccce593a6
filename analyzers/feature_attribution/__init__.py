"""Feature attribution: Shapley values of a model's answers."""
