"""``comparisons.json``: every comparison that was asked for, and how it ended.

It stands beside ``constraint_violations.json``, which has the violations only, as the originals wrote it.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from contract.api import Comparison, Decision

VERSION = 1


def dump_comparisons(decision: Decision) -> bytes:
    """Return the document, with members that have nothing to say left out."""
    document = {
        "version": VERSION,
        "decided": len(decision.comparisons) - len(decision.undecided),
        "not_decided": len(decision.undecided),
        "because": decision.why_undecided or None,
        "comparisons": [_to_json(comparison) for comparison in decision.comparisons],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _to_json(comparison: Comparison) -> dict[str, Any]:
    members = {
        name: member for name, member in vars(comparison).items() if member not in ("", None, False, {})
    }
    # JSON has no infinity.
    return {
        name: None if isinstance(member, float) and not math.isfinite(member) else member
        for name, member in members.items()
    }
