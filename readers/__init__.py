"""Readers of every documented format: files to Arrow record batches."""
