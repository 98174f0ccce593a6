"""Checking past windows again from their statistics alone: what an edit of the baseline would change."""
