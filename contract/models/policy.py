"""How an endpoint is asked: how much at once, how long to wait, when to give up."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """How an endpoint is asked.

    Parameters
    ----------
    most_bytes
        Of one request; a request of several rows never exceeds it. SageMaker takes 6 MB.
    usual_bytes
        Of one request, as far as rows are many: larger ones are no faster, and reach time limits sooner.
    most_rows
        Of one request; None for no limit but the bytes.
    concurrency
        Requests under way at once.
    timeout
        Seconds until connected, and from then until the answer is whole.
    attempts
        How often one request is sent before it is given up.
    first_pause, longest_pause
        Seconds before the second attempt, doubled each time, and the most; each is shortened at random by
        up to a half so that many clients do not return at once.
    patience
        Seconds without any answer, counted from the first failure, after which no request is repeated.
    start_limit
        Seconds until an endpoint that is started for the job must be in service.
    threads
        Of a model file's library in one call.
    """

    most_bytes: int = 5_800_000
    usual_bytes: int = 1_000_000
    most_rows: int | None = None
    concurrency: int = 8
    timeout: float = 70.0
    attempts: int = 6
    first_pause: float = 0.5
    longest_pause: float = 20.0
    patience: float = 300.0
    start_limit: float = 3600.0
    threads: int = 1

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after attempt number `attempt`, counted from one."""
        full = min(self.longest_pause, self.first_pause * 2.0 ** (attempt - 1))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, keeps no secret
