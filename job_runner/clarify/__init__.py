"""What an ``analysis_config.json`` means for the data at hand."""
