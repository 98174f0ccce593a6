"""What went wrong with a file, in the words of an error message."""

from __future__ import annotations

import contextlib
import difflib
import re
from pathlib import Path


def nearby(path: str) -> str:
    """Say which part of a path exists, or which neighbour looks like it."""
    missing = Path(path)
    while not missing.parent.exists():
        missing = missing.parent
    if not missing.parent.is_dir():
        return ""
    with contextlib.suppress(OSError):
        close = difflib.get_close_matches(missing.name, [entry.name for entry in missing.parent.iterdir()], 1)
        if close:
            return f" (did you mean {missing.parent / close[0]}?)"
    return f", there is only {missing.parent}"


def cause_of(problem: OSError, path: str) -> str:
    """Return the cause, without the path and the numbers that libraries add to it."""
    text = problem.strerror or str(problem)
    aws = re.search(r"AWS Error (\w+)(?: \(HTTP status \d+\))? during \w+ operation: (.*)", text, re.DOTALL)
    if aws:
        detail = "" if aws[2].startswith("No response body") else f" ({aws[2]})"
        text = f"{aws[1].replace('_', ' ').lower()}{detail}"
    else:
        # Arrow repeats the path and appends the number of the error.
        text = text.partition("Detail: ")[2] or text
        text = re.sub(r"^\[errno \d+\]\s*", "", text)
    return " ".join(text.split()).rstrip(".")[:300] or type(problem).__name__
