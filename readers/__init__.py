"""Readers: files to record batches of flat columns."""
