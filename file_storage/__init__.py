"""Files on disk and S3."""
