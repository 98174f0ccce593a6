"""Sending parcels to sinks: side by side, tried again while it may help, given up when time is over."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_ATTEMPTS = 6
# A sink that hangs is asked this often within its time.
_TRIES_OF_A_HANGING_SINK = 3

_log = logging.getLogger(__name__)


class NotDeliveredError(Exception):
    """An attempt that failed.

    Parameters
    ----------
    text
        Why, without anything secret.
    again
        Whether another attempt may succeed.
    pause
        Seconds the sink asks to wait, if it does.
    """

    def __init__(self, text: str, *, again: bool, pause: float | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.again = again
        self.pause = pause


@dataclass(frozen=True)
class Delivery:
    """Something to deliver.

    Parameters
    ----------
    address
        Where to, fit to be shown.
    content
        What it is, such as ``86 metrics``, for the log.
    send
        One attempt, within the seconds given; raises NotDeliveredError.
    """

    address: str
    content: str
    send: Callable[[float], None]


@dataclass(frozen=True)
class Undelivered:
    """A parcel that did not arrive: what, where to, and why, as half a sentence."""

    address: str
    content: str
    reason: str


def deliver(
    parcels: Sequence[Delivery], timeout: float, *, first_pause: float = _FIRST_PAUSE
) -> tuple[Undelivered, ...]:
    """Send all parcels side by side and return those that did not arrive, in order.

    Parameters
    ----------
    parcels
        Each has a thread of its own, so that a slow sink holds up no other.
    timeout
        Seconds for all attempts together.
    first_pause
        Seconds before the second attempt at most; doubles with each, and the real pause is drawn from the
        upper half, so that many jobs that failed together do not come back together.
    """
    deadline = time.monotonic() + timeout
    reasons: list[str | None] = [f"no answer within {timeout:g} s" for _ in parcels]

    def work(position: int) -> None:
        reasons[position] = _deliver(parcels[position], timeout, deadline, first_pause)

    # Daemons: a sink that trickles bytes for ever must not keep the process.
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(len(parcels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        # A little longer, for an attempt that ends with the time tells more than we know here.
        thread.join(max(0.0, deadline - time.monotonic()) + 0.25)
    return tuple(
        Undelivered(parcel.address, parcel.content, reason)
        for parcel, reason in zip(parcels, tuple(reasons), strict=True)
        if reason is not None
    )


def _deliver(parcel: Delivery, timeout: float, deadline: float, pause: float) -> str | None:
    """Return why a parcel did not arrive, None when it did."""
    started = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        left = deadline - time.monotonic()
        try:
            parcel.send(max(0.05, min(left, timeout / _TRIES_OF_A_HANGING_SINK)))
        except NotDeliveredError as error:
            failure = error
        except Exception as error:  # whatever a sink does to us, the job's result stands
            _log.debug("Sending to %s failed", parcel.address, exc_info=True)
            failure = NotDeliveredError(f"{type(error).__name__} while sending", again=False)
        else:
            seconds = time.monotonic() - started
            _log.info("Delivered %s to %s in %.1f s", parcel.content, parcel.address, seconds)
            return None
        wait = min(pause, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        wait = max(wait, failure.pause or 0.0)
        last = attempt == _ATTEMPTS or time.monotonic() + wait >= deadline
        if last or not failure.again:
            times = "" if attempt == 1 else f" ({attempt} attempts in {time.monotonic() - started:.1f} s)"
            return failure.text + times
        _log.debug("%s: %s; trying again in %.1f s", parcel.address, failure.text, wait)
        time.sleep(wait)
        pause *= 2
    raise AssertionError("the last attempt returns")
