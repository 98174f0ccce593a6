"""What was decided of how a dataset is read, and what readers count while they read it.

Whoever decides says so here: the plan, a reader, an analysis configuration. A split is read elsewhere, so
what it notices travels as counts, and the leader makes sentences of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from contract.dataset_format import Shape
from contract.wording import several

# What is noticed: the kind of it, then what it is about, such as ``("marker", column, text)``.
Noticed = tuple[str, ...]
Tally = Counter[Noticed]

# Subject and sentence of each kind; ``{0}`` and so on are what it is about.
SAID_OF: dict[str, tuple[str, str]] = {
    "type": ("types", "{0}"),
    "marker": ("missing", "{count} of {rows} cells of {0} hold {1!r} and count as missing"),
    "flags": ("types", "some cells of {0} are {1}"),
    "undated": ("types", "{count} of {rows} cells of {0} are no dates, so it counts as text there"),
    "unexcluded": ("columns", "exclude_features_attribute names {0}, which is no column in {count} files"),
    "lacking": ("columns", "files without a column {0}, where it counts as missing: {count}"),
    "index": (
        "columns",
        "{0} has no name of its own, like a data frame's index; exclude_features_attribute leaves it out",
    ),
    "member": ("rows", "the {count} rows of {0} are its member {1}"),
    "mixed": ("forms", "{0} is a value in some records, and an object or a list in {count} others"),
    "forms": (
        "forms",
        "records have several forms: {count} have {1}, others {0} instead; each is missing beside the other",
    ),
    "members": ("forms", "objects name their member {0} twice, and the last value counts"),
    "glued": ("lines", "{count} records follow another one on the same line"),
    "table": ("rows", "{0} is a table of {count} rows as pandas writes it"),
    "labelled": ("labels", "{count} of {rows} rows have a label"),
    "again": ("ids", "at least {count} rows have the {0} of an earlier one; each of them counts"),
    "shared": (
        "labels",
        "at least {count} times a label went to one more row or call of its id; give each an id of its own",
    ),
    "unpaired": ("calls", "{count} calls have a {0} only and are left out"),
    "repeated": ("calls", "{count} events came twice and count once"),
    "failed": ("calls", "{count} calls failed, or were logged without payload, and are left out"),
    "services": ("calls", "calls of several services or components are read together: {0}"),
    "event": ("calls", "{count} events of the type {0} are no calls and are left out"),
    "roles": ("calls", "no schema says which columns are predictions, so all belong to the request"),
    "zoneless": ("window", "times in {0} name no time zone and are taken as UTC"),
    "untimed": ("window", "{count} of {rows} rows have no readable time in {0} and are left out"),
}

_WORDS: dict[Shape, str] = {
    "row": "one row, or one for each line",
    "list": "one row for each element of its list",
    "columns": "a table written column by column",
}

# Sentences of one kind; more would hide the others.
_MOST_SAID = 20

_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@dataclass(frozen=True)
class CallRows:
    """How the rows of a call stand in its payloads.

    Parameters
    ----------
    shapes
        By payload; others are `row`.
    calls
        How many calls were looked at, and in how many of them a side had several rows.
    why
        What decided.
    """

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    calls: int = 0
    of_several_rows: int = 0
    why: str = ""

    def shape(self, side: str) -> Shape:
        """Return the shape of a payload."""
        return self.shapes.get(side, "row")

    def text(self) -> str:
        """Return what was decided as a sentence."""
        sides = "; ".join(f"{side}: {_WORDS[shape]}" for side, shape in self.shapes.items())
        calls = several(self.calls, "call")
        return f"rows of a call, by {self.why} ({calls}, {self.of_several_rows} of several rows): {sides}"


@dataclass
class Said:
    """Sentences by subject, such as ``header`` or ``rows``, each once and in the order they were said.

    They go to the log and to the lines of ``--validate``, and with `call_rows`, which captures have, into
    ``statistics.json`` as ``reading``.
    """

    sentences: dict[str, list[str]] = field(default_factory=dict)
    call_rows: CallRows = field(default_factory=CallRows)

    def document(self, *, with_sentences: bool) -> dict[str, Any]:
        """Return ``reading`` of ``statistics.json``, empty when there is nothing to say."""
        calls = self.call_rows
        shapes = {
            "rows_of_a_call": dict(calls.shapes),
            "calls_looked_at": calls.calls,
            "calls_of_several_rows": calls.of_several_rows,
            "decided_by": calls.why,
        }
        return (shapes if calls.shapes else {}) | (self.sentences if with_sentences else {})

    def say(self, subject: str, sentence: str) -> None:
        """Add a sentence, unless it has been said."""
        known = self.sentences.setdefault(subject, [])
        if sentence not in known:
            known.append(sentence)

    def add(self, tally: Tally, rows: int) -> None:
        """Say what was noticed while `rows` rows were read: see `SAID_OF` for the kinds."""
        files = tally.pop(("file",), 0)
        for what in [what for what in tally if what[0] == "file"]:
            if lack := files - tally.pop(what):
                tally["lacking", what[1]] += lack
        kinds = Counter[str]()
        for (kind, *about), count in sorted(tally.items()):
            kinds[kind] += 1
            if kinds[kind] > _MOST_SAID:
                continue
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
