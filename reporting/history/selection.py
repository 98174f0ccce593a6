"""Which runs of a history are wanted; apart, so that a command's mistakes are told before anything loads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reporting.history.record import Run


@dataclass(frozen=True)
class Selection:
    """Which runs are wanted; None does not ask.

    Parameters
    ----------
    monitor, endpoint, schedule
        Exactly so.
    since, until
        Runs about a time from `since`, inclusive, to `until`, exclusive.
    last
        The latest so many.
    """

    monitor: str | None = None
    endpoint: str | None = None
    schedule: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    last: int | None = None

    def takes(self, run: Run) -> bool:
        """Return whether a run is wanted, `last` apart."""
        wanted = ((self.monitor, run.monitor), (self.endpoint, run.endpoint), (self.schedule, run.schedule))
        return (
            all(asked is None or asked == found for asked, found in wanted)
            and (self.since is None or run.at >= self.since)
            and (self.until is None or run.at < self.until)
        )
