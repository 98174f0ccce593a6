"""Where the work runs: splits are summarized side by side, summaries merged in order.

The default is a pool of threads: the readers and the numerical code release the interpreter lock. Anything
else that takes a split and returns a future will do, such as a cluster of hosts (`job_runner.cluster`).
"""

import contextlib
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from contract.api import AnyAnalyzer, Split
from contract.dataset import Tally, counting
from contract.errors import DatasetError

_log = logging.getLogger(__name__)


def available_processors() -> int:
    """Return the processors this process may use, container quotas included, at least one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no such limit here
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            count = min(count, math.ceil(int(quota) / int(period)))
    return max(1, count)


def summarize_splits(
    analyzer: AnyAnalyzer, splits: tuple[Split, ...], workers: int | None = None, noticed: Tally | None = None
) -> Any:
    """Summarize every split and merge the summaries in split order.

    Parameters
    ----------
    analyzer
        What to compute.
    splits
        The pieces of the dataset; may be empty.
    workers
        How many splits to read at once; default `available_processors`.
    noticed
        Gets what the readers count.

    Returns
    -------
    The merged summary, ``analyzer.empty()`` for no splits.
    """
    analyzer, noticed = analyzer.of_one_dataset(), Tally() if noticed is None else noticed
    workers = min(workers or available_processors(), max(1, len(splits)))
    if workers == 1:
        return merged(analyzer, (summarize_split(analyzer, split) for split in splits), noticed)
    executor = ThreadPoolExecutor(workers, thread_name_prefix="split")
    try:

        def submit(split: Split) -> Pending:
            return executor.submit(summarize_split, analyzer, split)

        return merged(analyzer, in_order(splits, submit, lambda: 2 * workers), noticed)
    finally:
        # After a failure nobody waits for the splits still being read.
        executor.shutdown(wait=False, cancel_futures=True)
        # What follows has other needs than reading, and Arrow would keep all that reading had.
        pa.default_memory_pool().release_unused()


class Pending(Protocol):
    """The summary of a split that is being read somewhere."""

    def result(self) -> tuple[Any, Tally]:
        """Wait for what `summarize_split` returns, or raise what reading raised."""

    def cancel(self) -> Any:
        """Do without it."""


def merged(analyzer: AnyAnalyzer, partials: Iterable[tuple[Any, Tally]], noticed: Tally) -> Any:
    """Return all summaries as one, ``analyzer.empty()`` for none; `noticed` gets what the readers counted."""
    summary = analyzer.empty()
    for partial, tally in partials:
        summary = analyzer.merge(summary, partial)
        noticed.update(tally)
    return summary


def in_order[Work](
    splits: Iterable[Work], submit: Callable[[Work], Pending], ahead: Callable[[], int]
) -> Iterator[tuple[Any, Tally]]:
    """Yield summaries in split order, so the result is the same wherever they come from.

    Parameters
    ----------
    splits
        The pieces of the dataset, or their numbers.
    submit
        Has a split summarized elsewhere.
    ahead
        How many summaries may wait unmerged, so memory stays bounded; it is asked again for each split.
    """
    waiting: deque[Pending] = deque()
    try:
        for split in splits:
            waiting.append(submit(split))
            while len(waiting) >= ahead():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for pending in waiting:
            pending.cancel()


def summarize_split(analyzer: AnyAnalyzer, split: Split) -> tuple[Any, Tally]:
    """Return the summary of one split, and what its readers counted.

    Raises
    ------
    DatasetError
        When it holds text that is none; and whatever the reader and the analyzer raise.
    """
    _log.debug("Reading %s", split.label)
    tally = Tally()
    try:
        with counting(tally):
            return analyzer.summarize(split.batches()), tally
    except UnicodeDecodeError as error:
        # Formats with a type for text, such as Parquet, only claim that it is UTF-8.
        excerpt = error.object[:80].decode(errors="replace")
        raise DatasetError.of("split.not_utf8", file=split.label, excerpt=excerpt) from error
