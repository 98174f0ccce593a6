"""Endpoint and batch captures: envelope, payloads, rows of a call, columns."""
