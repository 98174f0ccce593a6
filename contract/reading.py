"""What was decided of how a dataset is read, and what readers count while they read it.

Whoever decides says so here: the plan, a reader, an analysis configuration. A split is read elsewhere, so
what it notices travels as counts, and the leader makes sentences of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

# What is noticed: the kind of it, then what it is about, such as ``("marker", column, text)``.
Noticed = tuple[str, ...]
Tally = Counter[Noticed]

# Subject and sentence of each kind; ``{0}`` and so on are what it is about.
SAID_OF: dict[str, tuple[str, str]] = {
    "type": ("types", "{0}"),
    "marker": ("missing", "{count} of {rows} cells of {0} hold {1!r} and count as missing"),
    "undated": ("types", "{count} of {rows} cells of {0} are no dates, so it counts as text there"),
    "unexcluded": ("columns", "exclude_features_attribute names {0}, which is no column in {count} files"),
    "member": ("rows", "the {count} rows of {0} are its member {1}"),
    "glued": ("lines", "{count} records follow another one on the same line"),
    "table": ("rows", "{0} is a table of {count} rows as pandas writes it"),
    "labelled": ("labels", "{count} of {rows} rows have a label"),
    "unpaired": ("calls", "{count} calls have a {0} only and are left out"),
    "repeated": ("calls", "{count} events came twice and count once"),
    "failed": ("calls", "{count} calls failed, or were logged without payload, and are left out"),
    "services": ("calls", "calls of several services or components are read together: {0}"),
    "event": ("calls", "{count} events of the type {0} are no calls and are left out"),
    "roles": ("calls", "no schema says which columns are predictions, so all belong to the request"),
    "untimed": ("window", "{count} of {rows} rows have no readable time in {0} and are left out"),
}

_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@dataclass
class Said:
    """Sentences by subject, such as ``header`` or ``rows``, each once and in the order they were said.

    They go to the log, to the lines of ``--validate`` and into ``statistics.json`` as ``reading``.
    """

    sentences: dict[str, list[str]] = field(default_factory=dict)

    def say(self, subject: str, sentence: str) -> None:
        """Add a sentence, unless it has been said."""
        known = self.sentences.setdefault(subject, [])
        if sentence not in known:
            known.append(sentence)

    def add(self, tally: Tally, rows: int) -> None:
        """Say what was noticed while `rows` rows were read: see `SAID_OF` for the kinds."""
        for (kind, *about), count in sorted(tally.items()):
            subject, sentence = SAID_OF[kind]
            self.say(subject, sentence.format(*about, count=count, rows=rows))

    def lines(self) -> Iterator[str]:
        """Yield all sentences, each with its subject."""
        for subject, sentences in self.sentences.items():
            for sentence in sentences:
                yield f"{subject}: {sentence}"


def notice(*what: str, count: int = 1) -> None:
    """Count something while a split is read; nothing happens where nobody collects."""
    tally = _tally.get()
    if tally is not None and count:
        tally[what] += count


@contextmanager
def counting(tally: Tally) -> Iterator[None]:
    """Have what is noticed inside the block added to `tally`."""
    token = _tally.set(tally)
    try:
        yield
    finally:
        _tally.reset(token)
