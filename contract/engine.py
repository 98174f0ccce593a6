"""Where the work runs: splits are summarized side by side, summaries merged in order.

Any `concurrent.futures.Executor` will do. The default is a pool of threads: the readers and the
numerical code release the interpreter lock.
"""

from __future__ import annotations

import logging
import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contract.analyzer import AnyAnalyzer
from contract.datasets.plan import Split
from contract.errors import DatasetError

_log = logging.getLogger(__name__)


def available_processors() -> int:
    """Return the processors this process may use, container quotas included, at least one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            count = min(count, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # no such limit here
    return max(1, count)


def summarize_splits(analyzer: AnyAnalyzer, splits: tuple[Split, ...], workers: int | None = None) -> Any:
    """Summarize every split and merge the summaries in split order.

    Parameters
    ----------
    analyzer
        What to compute.
    splits
        The pieces of the dataset; may be empty.
    workers
        How many splits to read at once; default `available_processors`.

    Returns
    -------
    The merged summary, ``analyzer.empty()`` for no splits.
    """
    workers = min(workers or available_processors(), max(1, len(splits)))
    summary = analyzer.empty()
    if workers == 1:
        for split in splits:
            summary = analyzer.merge(summary, _summarize(analyzer, split))
        return summary
    executor = ThreadPoolExecutor(workers, thread_name_prefix="split")
    try:
        for partial in _in_order(executor, analyzer, splits, ahead=2 * workers):
            summary = analyzer.merge(summary, partial)
    finally:
        # After a failure nobody waits for the splits still being read.
        executor.shutdown(wait=False, cancel_futures=True)
    return summary


def _in_order(
    executor: Executor, analyzer: AnyAnalyzer, splits: tuple[Split, ...], ahead: int
) -> Iterator[Any]:
    """Yield summaries in split order with at most `ahead` unmerged, so memory stays bounded."""
    waiting: deque[Future[Any]] = deque()
    upcoming = iter(splits)
    try:
        for split in upcoming:
            waiting.append(executor.submit(_summarize, analyzer, split))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _summarize(analyzer: AnyAnalyzer, split: Split) -> Any:
    _log.debug("Reading %s", split.label)
    try:
        return analyzer.summarize(split.batches())
    except UnicodeDecodeError as error:
        # Formats with a type for text, such as Parquet, only claim that it is UTF-8.
        excerpt = error.object[:80].decode(errors="replace")
        raise DatasetError(
            f"{split.label} holds text that is not UTF-8: {excerpt!r}; write it again as UTF-8."
        ) from error
