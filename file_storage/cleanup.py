"""Cleanup that runs when a job ends, however it ends.

Success and failure come to the end of `all_undone`; SIGTERM and SIGINT too, as both are raised as exceptions.
A program without it undoes what is left when its process exits. Nothing helps against SIGKILL.
"""

import atexit
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

IsUrged = Callable[[], bool]
# Gets a function that tells whether a signal arrived meanwhile, so that there is no time for more attempts.
Undo = Callable[[IsUrged], None]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


_owed: list[Callable[[], None]] = []


def at_end(undo: Undo) -> Callable[[], None]:
    """Have something undone at the end of the job; return a function that does it earlier.

    Parameters
    ----------
    undo
        Is called once, by the main thread as a rule, with signals held back.
    """
    process, is_done = os.getpid(), False
    # The same thread may come again: memory may be cleared up at any time.
    lock = threading.RLock()

    def settle() -> None:
        nonlocal is_done
        with signals_held_back() as is_urged, lock:
            # A copy of this process owes nothing.
            if is_done or process != os.getpid():
                return
            is_done = True
            try:
                undo(is_urged)
            finally:
                _owed.remove(settle)

    if not _owed:
        atexit.unregister(undo_all)
        atexit.register(undo_all)
    _owed.append(settle)
    return settle


def undo_all(before: Collection[Callable[[], None]] = ()) -> None:
    """Undo what is left, the latest first, but for what was begun `before`."""
    for settle in reversed(_owed.copy()):
        if settle not in before:
            settle()


@contextmanager
def all_undone() -> Iterator[None]:
    """Undo what was begun in the block and is left when it ends, whatever its end."""
    before = _owed.copy()
    try:
        yield
    finally:
        undo_all(before)


@contextmanager
def signals_held_back() -> Iterator[IsUrged]:
    """Hold SIGTERM and SIGINT back while the block runs; the first that arrived comes after it.

    Gives a function that tells whether one has arrived. Only the main thread is ever interrupted, so in
    others there is nothing to hold back.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            signal.signal(number, lambda number, frame: arrived.append(number))
        yield lambda: bool(arrived)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if arrived:
            signal.raise_signal(arrived[0])
