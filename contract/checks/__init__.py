"""What the dry run checks beyond what a job finds out by itself before its work."""
