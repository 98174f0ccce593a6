"""How a monitoring job meets the outside world: settings, datasets, scripts, documents, outcome."""

__version__ = "0.1.0"
