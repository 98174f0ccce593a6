"""What is computed: summaries that merge, statistics, suggested constraints, decisions."""
