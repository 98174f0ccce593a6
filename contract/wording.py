"""Words of logs and messages."""

from __future__ import annotations


def several(amount: int, noun: str) -> str:
    """Return an amount with its noun, as in ``1 row`` and ``2 rows``."""
    return f"{amount} {noun if amount == 1 else noun + 's'}"
