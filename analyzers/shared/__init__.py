"""What several analyzers use."""
