"""Captured calls of endpoints and batch jobs as record batches."""
