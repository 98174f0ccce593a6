"""Reading datasets of every documented format as Arrow record batches."""
