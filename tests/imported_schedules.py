"""Schedules as the service described them, and what ``import-schedule`` makes of them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from containers.commands import main

SCHEDULES = Path(__file__).parent / "orchestrators" / "schedules"
MONITORS = ("data-quality", "model-quality", "bias", "feature-attribution")
LABELLED = ("model-quality", "bias")


def descriptions(monitor: str) -> list[str]:
    """Return the files that describe a monitor's schedule."""
    folder = SCHEDULES / monitor
    return [
        str(file)
        for file in (folder / "schedule.json", folder / "definition.json", SCHEDULES / "endpoint.json")
    ]


def import_schedule(*arguments: str) -> str:
    """Run the command, which must succeed; return what it wrote."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        assert main.import_schedule(arguments) == 0
    return written.getvalue()
