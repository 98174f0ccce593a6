"""Ways to ask a model for predictions: one protocol for endpoints, model files and a user's script.

`open_model` chooses the kind from what the configuration or the name of a file says. Nothing of a library
is loaded before a model of its kind is opened.
"""
